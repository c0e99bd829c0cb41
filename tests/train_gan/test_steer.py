"""The last phase of a painter: what to add to latents so that what is asked for is drawn."""

import copy
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator

from gan.networks.painter import PainterGenerator
from gan.palettes import colour_shares, palettes
from gan.pipeline import COLOURS
from tests.helpers.painters import NETWORKS, RECIPE, new_trainer, same, train
from train.cli import UserError
from train.train_gan.checkpoints import Checkpoints
from train.train_gan.conditions import Kinds
from train.train_gan.recipes import Recipe, load_recipe
from train.train_gan.steer import Steering


class Sees(torch.nn.Module):
    """As a frozen network does, but what a random one of the real shape sees hardly changes with the cover."""

    def forward(self, covers: torch.Tensor) -> list[torch.Tensor]:
        return [F.avg_pool2d(covers, 16)]

    def pool(self, last: torch.Tensor) -> torch.Tensor:
        return last.flatten(1)


STEERED: Recipe = replace(RECIPE, phases={"paint": 24, "distil": 16, "tune": 8, "steer": 16}, total_images=80)


def test_shares_of_colours_are_those_of_pictures_and_their_gradients_pass_where_a_colour_is_exact():
    chance = torch.Generator().manual_seed(0)
    covers = torch.randint(0, 256, (3, 32, 32, 3), generator=chance, dtype=torch.uint8)
    covers[0] = torch.tensor(COLOURS["red"])
    drawn = covers.permute(0, 3, 1, 2).float().requires_grad_()
    shares = colour_shares(drawn)
    assert torch.allclose(shares, palettes(covers)) and shares[0, list(COLOURS).index("red")] > 0.8
    shares[:, 0].sum().backward()
    assert drawn.grad is not None and drawn.grad.isfinite().all() and drawn.grad.abs().sum() > 0


def test_colours_and_kinds_come_nearer_to_those_asked_for_and_nothing_else_changes():
    torch.manual_seed(0)
    generator = PainterGenerator(
        128, width=4, composer_width=8, latent_channels=4, latent_dim=8, clusters=3, palette=12
    )
    for layer in generator.decoder.layers:  # as strong colours as a painter has that learned
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.data.mul_(1.5)
    generator.eval().requires_grad_(False)
    for asked in generator.steering:
        asked.requires_grad_(True)
    before = copy.deepcopy(generator)
    kinds = Kinds(F.normalize(torch.randn(3, 192), dim=1), torch.zeros(192), torch.ones(192))
    learning = [weight for asked in generator.steering for weight in asked.parameters()]
    optimizer = torch.optim.Adam(learning, betas=(0.0, 0.99), fused=True)
    steering = Steering(generator, Sees(), optimizer, nullcontext, Accelerator(cpu=True), kinds, learning_rate=0.1)
    latents, asked = torch.randn(12, 8), torch.arange(12) % 4  # the last kind is any
    drawn = colour_shares((before(torch.randn(12, 8)) + 1) * 127.5)
    wanted = drawn * (torch.arange(12)[:, None] % 3 > 0)  # colours that it can draw; of every third cover any
    shown = [steering.step(latents, {"clusters": asked, "palette": wanted}, k / 30) for k in range(30)]
    for name in ("other_colours", "loss_g_kinds"):
        assert shown[-1][name] < 0.99 * shown[0][name], name
    for name, value in generator.state_dict().items():
        if not name.startswith(("cluster_embedding", "palette_embedding")):
            assert torch.equal(value, before.state_dict()[name]), name
    assert not generator.cluster_embedding.weight[3].any()  # "any" stays where it is


def test_a_run_ends_with_it_and_what_is_shown_steers_as_was_learned(tmp_path: Path):
    whole = new_trainer(STEERED)
    assert train(whole, 0, 64) == ["paint"] * 3 + ["distil"] * 2 + ["compose"] * 2 + ["tune"]
    before = copy.deepcopy(whole.gan)
    Checkpoints(tmp_path).save(whole.gan, 64, 1.0)
    assert train(whole, 64, 80) == ["steer"] * 2
    assert same(before, whole.gan, *(name for name in NETWORKS if name not in ("generator", "ema")))
    for old, new in zip((before.generator, *before.ema), (whole.gan.generator, *whole.gan.ema), strict=True):
        changed = {n for n, value in new.state_dict().items() if not torch.equal(value, old.state_dict()[n])}
        assert changed == {"cluster_embedding.weight", "palette_embedding.weight"}
        for asked, learned in zip(new.steering, whole.gan.generator.steering, strict=True):
            assert torch.equal(asked.weight, learned.weight)
    resumed = new_trainer(STEERED)
    Checkpoints(tmp_path).load(resumed.gan, "latest", torch.device("cpu"))
    train(resumed, 64, 72)
    Checkpoints(tmp_path).save(resumed.gan, 72, 1.0)
    again = new_trainer(STEERED)
    Checkpoints(tmp_path).load(again.gan, "latest", torch.device("cpu"))
    train(again, 72, 80)
    assert same(whole.gan, again.gan, *NETWORKS)


def test_without_anything_to_ask_for_it_is_refused_in_a_line():
    asked = ("clusters", "palette")
    sizes = {name: size for name, size in load_recipe("painter-tiny", {}).generator.items() if name not in asked}
    with pytest.raises(UserError, match=r"phases\.steer learns generator.clusters and palette, and neither is there"):
        load_recipe("painter-tiny", {"generator": sizes, "phases": {"paint": 64, "distil": 32, "steer": 16}})
