"""What painted covers miss of what was asked of them, and how a composer learns it."""

from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator

from gan.networks.denoiser import Denoiser, DenoiserHeads
from gan.networks.painter import PainterGenerator
from gan.palettes import colour_shares, palettes
from gan.pipeline import COLOURS
from train.train_gan.asked import AskedLoss
from train.train_gan.conditions import Kinds, find_clusters
from train.train_gan.painter import FASTER, composing_groups
from train.train_gan.refine import Refining


class Sees(torch.nn.Module):
    """As a frozen network does, but what a random one of the real shape sees hardly changes with the cover."""

    def forward(self, covers: torch.Tensor) -> list[torch.Tensor]:
        return [F.avg_pool2d(covers, 16)]

    def pool(self, last: torch.Tensor) -> torch.Tensor:
        return last.flatten(1)


def test_shares_of_colours_are_those_of_pictures_and_their_gradients_pass_where_a_colour_is_exact():
    chance = torch.Generator().manual_seed(0)
    covers = torch.randint(0, 256, (3, 32, 32, 3), generator=chance, dtype=torch.uint8)
    covers[0] = torch.tensor(COLOURS["red"])
    drawn = covers.permute(0, 3, 1, 2).float().requires_grad_()
    shares = colour_shares(drawn)
    assert torch.allclose(shares, palettes(covers)) and shares[0, list(COLOURS).index("red")] > 0.8
    shares[:, 0].sum().backward()
    assert drawn.grad is not None and drawn.grad.isfinite().all() and drawn.grad.abs().sum() > 0


def test_nothing_that_can_be_seen_was_asked():
    asked, covers = AskedLoss(nullcontext), torch.zeros(2, 3, 128, 128)
    assert not asked.looks({}) and not asked.looks({"labels": torch.zeros(2)})
    loss, shown = asked.missed(covers, {"palette": torch.zeros(2, 12)})
    assert loss == 0 and shown == {"other_colours": 0}


def test_what_is_missed_is_counted_of_those_that_were_told():
    green = torch.tensor(COLOURS["green"])[:, None, None] / 127.5 - 1
    covers = green.expand(4, 3, 128, 128)
    (own,) = palettes(((covers[:1] + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1))
    other = own.roll(1)  # as much cyan instead
    centres = F.normalize(torch.stack((torch.ones(192), -torch.ones(192))), dim=1)
    asked = AskedLoss(nullcontext, Sees(), Kinds(centres, torch.zeros(192), torch.ones(192)), 2.0, 0.5)
    palette = torch.stack((own, other, 0 * own, 0 * own))
    _, shown = asked.missed(covers, {"palette": palette, "clusters": torch.full((4,), 2)})
    assert shown["loss_g_kinds"] == 0
    assert torch.isclose(shown["other_colours"], (own - other).abs().sum() / 4, atol=1e-3)
    own = int((Sees()(covers)[0].flatten(1)[0] @ centres.T).argmax())
    right, wrong = (asked.missed(covers, {"clusters": torch.full((4,), kind)})[0] for kind in (own, 1 - own))
    assert right < wrong


def refining() -> Refining:
    """A sketching painter of strong colours, whose covers are of three kinds, and a judge of it."""
    torch.manual_seed(0)
    widths = {"width": 4, "sketch_width": 4, "reader_depth": 0}
    generator = PainterGenerator(128, latent_channels=4, latent_dim=8, clusters=3, palette=12, **widths)
    for part, times in ((generator.decoder, 1.5), (generator.composer, 4)):
        for layer in part.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.data.mul_(times)
    generator.decoder.requires_grad_(False)
    with torch.no_grad():
        seen = Sees()(generator(torch.randn(30, 8)))[0].flatten(1)
    _, centres = find_clusters(seen, 3, torch.Generator().manual_seed(0))
    sizes = {"positions": 16, "width": 8, "max_width": 16}
    denoiser = Denoiser(latent_channels=4, depth=1, **sizes).eval().requires_grad_(False)
    heads = DenoiserHeads(**sizes, channels=8, clusters=3, palette=12)
    groups = composing_groups(generator)
    assert [len(group["params"]) for group in groups] == [25, 1, 2] and not groups[1]["params"][0].any()
    for group in groups:
        group["times"] = FASTER.get(group["name"], 1)
    optimizer = torch.optim.Adam(groups, betas=(0.0, 0.99), fused=True)
    judge = torch.optim.Adam(heads.parameters(), betas=(0.0, 0.99), fused=True)
    asked = AskedLoss(nullcontext, Sees(), Kinds(centres, seen.mean(0), seen.std(0)))
    return Refining(generator, denoiser, heads, optimizer, judge, nullcontext, Accelerator(cpu=True), asked, 1e-3)


def given(generator: PainterGenerator) -> dict[str, Any]:
    """Twelve covers of kinds and colours that it can draw, or of any; its judge asks for nothing else."""
    with torch.no_grad():
        real, drawn = generator.compose(torch.randn(12, 8)), colour_shares((generator(torch.randn(12, 8)) + 1) * 127.5)
    conditions = {"clusters": torch.arange(12) % 4, "palette": drawn * (torch.arange(12)[:, None] % 3 > 0)}
    noise = torch.randn(2, 12, 4, 16, 16)
    return {"latents": torch.randn(12, 8), "real": real, "noise": noise, "conditions": conditions}


def test_beside_the_judge_colours_and_kinds_come_nearer():
    made = refining()
    batch = given(made.generator)
    shown = [made.step(**batch, time=torch.rand(12), done=k / 40) for k in range(40)]
    for name, share in (("other_colours", 0.6), ("loss_g_kinds", 0.9)):
        assert shown[-1][name] < share * shown[0][name], name
    assert made.generator.cluster_embedding is not None
    assert not made.generator.cluster_embedding.weight[3].any()  # "any" stays where it is
