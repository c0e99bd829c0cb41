"""A judge learns to take noise off covers; then the composer learns from small discriminators on what it sees."""

import copy
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from torch import nn

from gan.networks.denoiser import Denoiser, DenoiserHeads
from gan.networks.painter import PainterGenerator
from tests.helpers.painters import RECIPE, covers, new_trainer, same, train
from train.cli import UserError
from train.covers import Covers
from train.train_gan.asked import AskedLoss
from train.train_gan.checkpoints import Checkpoints
from train.train_gan.denoise import Denoising, noisy
from train.train_gan.loop import steps
from train.train_gan.painter import FASTER, build_painter
from train.train_gan.phases import PhaseBatches
from train.train_gan.recipes import Recipe
from train.train_gan.refine import Refining
from train.train_gan.start import discriminators_of


ALONE = Accelerator(cpu=True)
SIZES = {"positions": 8, "width": 8, "max_width": 16}


def adam(network: nn.Module, rate: float = 1e-3) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), rate, betas=(0.0, 0.99), fused=True)


def real(count: int = 32) -> torch.Tensor:
    """Latents of one colour each, which is bright or dark."""
    colour = torch.randint(0, 2, (count, 1, 1, 1)) * 3.0 - 1.5
    return colour.expand(-1, 4, 8, 8) + 0.05 * torch.randn(count, 4, 8, 8)


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Denoiser(latent_channels=4, depth=1, **SIZES)
        denoising = Denoising(made, adam(made), nullcontext, ALONE, learning_rate=5e-3)
        for step in range(150):
            latents = real()
            denoising.step(latents, torch.randn_like(latents), torch.rand(32), step / 150)
    return made.eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def _chance():
    torch.manual_seed(1)


def test_on_the_way_from_latents_to_noise_both_ends_are_there():
    latents, noise = real(3), torch.randn(3, 4, 8, 8)
    found = noisy(latents, noise, torch.tensor([0.0, 0.5, 1.0]))
    assert torch.equal(found[0], latents[0]) and torch.equal(found[2], noise[2])
    assert torch.allclose(found[1], (latents[1] + noise[1]) / 2)


def test_it_learns_to_take_noise_off(denoiser: Denoiser):
    """One step back from the middle of the way leads near the latents; a new denoiser knows no way."""
    latents, noise, half = real(), torch.randn(32, 4, 8, 8), torch.full((32,), 0.5)
    x = noisy(latents, noise, half)
    assert (x - 0.5 * denoiser(x, half) - latents).abs().mean() < 0.5 * (x - latents).abs().mean()
    new = Denoiser(latent_channels=4, **SIZES)
    assert not new(x, half).any()
    assert [tuple(found.shape[1:]) for found in new.see(x, half)] == [(8, 8, 8), (16, 4, 4), (8, 8, 8)]


def test_a_cover_is_judged_by_itself_and_by_the_moment(denoiser: Denoiser):
    heads = DenoiserHeads(**SIZES, channels=8).eval()
    x, time = torch.randn(3, 4, 8, 8), torch.tensor([0.1, 0.5, 0.9])
    judged = heads(denoiser.see(x, time), time)
    assert [tuple(logits.shape) for logits in judged] == [(3, 16), (3, 16), (3, 16)]
    alone = heads(denoiser.see(x[:1], time[:1]), time[:1])
    assert all(torch.allclose(one, many[:1], atol=1e-4) for one, many in zip(alone, judged, strict=True))
    later = heads(denoiser.see(x[:1], time[2:]), time[2:])
    assert not any(torch.allclose(one, other, atol=1e-3) for one, other in zip(alone, later, strict=True))


def refining(denoiser: Denoiser, clusters: int = 0, **changes: bool | float) -> Refining:
    sizes = {"width": 2, "composer_width": 8, "composer_max_width": 16, "latent_channels": 4, "latent_dim": 8}
    generator = PainterGenerator(64, **sizes, clusters=clusters)
    heads = DenoiserHeads(**SIZES, channels=8, clusters=clusters)
    generator.decoder.requires_grad_(False)
    judges = (adam(generator.composer), adam(heads), nullcontext, ALONE, AskedLoss(nullcontext))
    return Refining(generator, denoiser, heads, *judges, learning_rate=3e-3, heads_learning_rate=3e-3, **changes)


def arguments(count: int = 32) -> dict[str, torch.Tensor]:
    noise = torch.randn(2, count, 4, 8, 8)
    return {
        "latents": torch.randn(count, 8),
        "real": real(count),
        "noise": noise,
        "time": torch.rand(count),
        "conditions": {},
    }


def test_the_composer_comes_nearer_to_what_is_real(denoiser: Denoiser):
    made = refining(denoiser)
    untouched, latents = copy.deepcopy(denoiser), torch.randn(64, 8)

    def unevenness() -> float:
        with torch.no_grad():
            return made.generator.compose(latents).std((2, 3)).mean().item()  # of real ones 0.05

    before = unevenness()
    for step in range(400):
        shown = made.step(**arguments(), done=step / 400)
        assert all(value.isfinite() for value in shown.values())
    assert unevenness() < 0.8 * before
    assert shown.keys() == {"loss_heads", "pair_accuracy", "loss_g_heads", "gradient_norm_g"}
    assert all(map(torch.equal, untouched.parameters(), denoiser.parameters()))
    assert all(weight.requires_grad for weight in made.heads.parameters())


def test_while_the_heads_are_new_the_composer_waits(denoiser: Denoiser):
    made = refining(denoiser, waits=True)
    composer, heads = copy.deepcopy(made.generator.composer), copy.deepcopy(made.heads)
    assert made.step(**arguments(), done=0.0).keys() == {"loss_heads", "pair_accuracy"}
    assert all(map(torch.equal, composer.parameters(), made.generator.composer.parameters()))
    assert not all(map(torch.equal, heads.parameters(), made.heads.parameters()))


def test_what_is_asked_for_is_composed(denoiser: Denoiser):
    """Kind 0 is dark, kind 1 bright; of half of the covers it is told."""
    made = refining(denoiser, clusters=2, shift_weight=0.0)  # so few steps hardly get beyond it

    def brightness() -> list[float]:
        latents = torch.randn(64, 8)
        with torch.no_grad():
            return [made.generator.compose(latents, clusters=torch.full((64,), k)).mean().item() for k in (0, 1, 2)]

    assert max(brightness()) - min(brightness()) < 0.1
    asked = {"params": made.generator.cluster_embedding.parameters(), "times": 20}
    made.optimizer.add_param_group(asked)
    for _ in range(150):
        given = arguments()
        kinds = (given["real"].mean((1, 2, 3)) > 0).long()
        told = torch.where(torch.rand(32) < 0.5, kinds, 2)
        made.step(**given | {"conditions": {"clusters": told}}, done=0.0)
    dark, bright, of_any = brightness()
    assert dark + 0.3 < of_any < bright - 0.3, (dark, of_any, bright)
    assert not made.heads.cluster_embedding.weight[2].any()  # "any" adds nothing


def test_what_is_asked_for_learns_faster_than_weights_while_refining():
    trainer = new_trainer(without_composing())
    train(trainer, 0, 48)
    groups = trainer.gan.generator_optimizer.param_groups
    assert [group["lr"] / groups[0]["lr"] for group in groups] == pytest.approx([1, *FASTER.values()])
    assert trainer.gan.generator.cluster_embedding.weight.abs().max() > 0


def test_a_sketch_is_refined_with_all_that_is_asked_for_and_goes_on_exactly(tmp_path: Path):
    sizes = RECIPE.generator | {"sketch_width": 2, "latent_dim": 16}
    phases = {"paint": 24, "denoise": 8, "read": 8, "refine": 32}
    recipe = replace(RECIPE, generator=sizes, phases=phases, total_images=72)
    whole = new_trainer(recipe)
    train(whole, 0, 56)
    before = copy.deepcopy(whole.gan)
    Checkpoints(tmp_path).save(whole.gan, 56, 1.0)
    shown = [measured for _, measured in steps(whole, PhaseBatches(whole, covers()), 56)]
    assert len(shown) == 2 and {"other_colours", "loss_g_kinds"} <= shown[-1].keys()
    assert max(measured["loss_g_kinds"] for measured in shown) > 0
    for old, new in zip((before.generator, *before.ema), (whole.gan.generator, *whole.gan.ema), strict=True):
        changed = {name for name, value in new.state_dict().items() if not torch.equal(value, old.state_dict()[name])}
        parts = ("composer.to_gains_and_biases", "cluster_embedding", "palette_embedding")
        assert {f"{part}.weight" for part in parts} <= changed
    resumed = new_trainer(recipe)
    Checkpoints(tmp_path).load(resumed.gan, "latest", torch.device("cpu"))
    train(resumed, 56, 72)
    assert same(whole.gan, resumed.gan, "generator", "ema", "denoiser_heads")


def test_steering_leaves_covers_as_they_are_of_which_nothing_is_asked():
    sizes = RECIPE.generator | {"sketch_width": 2, "latent_dim": 16}
    phases = {"paint": 24, "denoise": 8, "refine": 16, "steer": 16}
    trainer = new_trainer(replace(RECIPE, generator=sizes, phases=phases, total_images=64))
    train(trainer, 0, 48)
    latents, kinds = torch.randn(3, 16), torch.tensor([0, 1, 0])
    generators = trainer.gan.generator, *trainer.gan.ema

    @torch.no_grad()
    def drawn() -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(generator(latents), generator(latents, clusters=kinds)) for generator in generators]

    before = drawn()
    assert not any(same(average, trainer.gan.generator, "composer") for average in trainer.gan.ema)
    assert train(trainer, 48, 64) == ["steer"] * 2
    groups = trainer.gan.generator_optimizer.param_groups
    assert [group["lr"] / groups[0]["lr"] for group in groups] == pytest.approx([1, *FASTER.values()])
    for (then, asked_then), (now, asked_now) in zip(before, drawn(), strict=True):
        assert torch.equal(then, now) and not torch.equal(asked_then, asked_now)


def without_composing() -> Recipe:
    return replace(RECIPE, phases={"paint": 24, "denoise": 8, "refine": 16}, total_images=48)


@pytest.mark.parametrize(
    "phases, waiting",
    [
        ({"refine": 160, "steer": 16}, [0, 8]),  # a tenth of refining, and no more while steering
        ({"refine": 16, "steer": 160}, [0]),
        ({"steer": 160}, [0, 8]),
    ],
)
def test_the_heads_learn_alone_when_they_are_new(phases: dict[str, int], waiting: list[int]):
    whole = {"paint": 24, "denoise": 8} | phases
    trainer = new_trainer(replace(RECIPE, phases=whole, total_images=sum(whole.values())))
    batches = PhaseBatches(trainer, covers())
    shown = {
        images: trainer.step(batches.at(32 + images), 32 + images) for images in (0, 8, 16, phases.get("refine", 0))
    }
    assert [images for images, measured in shown.items() if "loss_g_heads" not in measured] == waiting


def test_it_can_take_the_place_of_composing():
    trainer = new_trainer(without_composing())
    before = copy.deepcopy(trainer.gan)
    assert train(trainer, 0, 48) == [*["paint"] * 3, "denoise", *["refine"] * 2]
    assert same(before, trainer.gan, "discriminator", "heads")
    assert not same(before.generator, trainer.gan.generator, "composer")
    assert not any(same(average, before.generator, "composer") for average in trainer.gan.ema)
    assert discriminators_of(trainer.gan, trainer.recipe).keys() == {"patch_critic", "denoiser", "denoiser_heads"}
    covers = torch.randint(0, 256, (3, 128, 128, 3), dtype=torch.uint8)
    trainer.gan.denoiser_heads.train()
    before = copy.deepcopy(trainer.gan)
    assert trainer.mean_logit(covers) != trainer.mean_logit(255 - covers)
    assert same(before, trainer.gan, "denoiser_heads") and trainer.gan.denoiser_heads.training
    for average in trainer.gan.ema:
        assert same(average, trainer.gan.generator, "decoder")


@pytest.mark.parametrize(
    "phases, line",
    [
        ({"paint": 24, "distil": 16, "denoise": 8}, "neither phases.refine nor phases.steer asks it"),
        ({"paint": 24, "distil": 16, "refine": 8}, "phases.denoise, which teaches it, is not there"),
        ({"paint": 24, "distil": 16, "steer": 8}, "phases.denoise, which teaches it, is not there"),
        ({"paint": 24, "distil": 16, "read": 8}, "generator.sketch_width is not there"),
    ],
)
def test_one_without_the_other_is_refused_in_a_line(phases: dict[str, int], line: str):
    with pytest.raises(ValueError, match=line):
        replace(RECIPE, phases=phases, total_images=64)


def flat_covers() -> Covers:
    """Six, of one colour each."""
    colours = torch.randint(0, 256, (6, 1, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = colours.expand(-1, 128 * 128, -1).flatten(1)
    return Covers(Dataset.from_dict({"pixels": [cover.numpy().tobytes() for cover in pixels]}), 128)


def test_a_decoder_is_finished_and_paints_nearer_to_covers(monkeypatch: pytest.MonkeyPatch):
    """Its composer and what it reads covers with stay, and averages paint as it does."""
    monkeypatch.setattr("tests.helpers.painters.covers", flat_covers)
    recipe = replace(RECIPE, phases=without_composing().phases | {"finish": 240}, total_images=288)
    trainer = new_trainer(recipe)
    train(trainer, 0, 48)
    before, pixels = copy.deepcopy(trainer.gan), flat_covers()[range(6)]

    def missed() -> float:
        return (trainer.repaint(pixels).float() - pixels.float()).abs().mean().item()

    at_first, shown = missed(), []
    trainer.gan.patch_critic.register_forward_pre_hook(lambda critic, parts: shown.append(len(parts[0])))
    assert train(trainer, 48, 288) == ["finish"] * 30
    # the critic first learns alone, then is asked, too: 8 repainted parts and 8 composed ones, beside 8 real ones
    assert shown == [8, 16] * 3 + [16, 8, 16] * 27
    assert missed() < 0.9 * at_first
    assert same(before, trainer.gan, "encoder") and same(before.generator, trainer.gan.generator, "composer")
    for average, then in zip(trainer.gan.ema, before.ema, strict=True):
        assert same(average, trainer.gan.generator, "decoder") and same(average, then, "composer")


def test_where_nobody_refines_no_large_judge_is_carried_along(tmp_path: Path):
    recipe = replace(RECIPE, phases={"paint": 24, "distil": 16}, total_images=64)
    small = build_painter(recipe, torch.device("cpu"), [])
    assert sum(weight.numel() for weight in small.denoiser.parameters()) < 10_000
    with pytest.raises(UserError, match="denoiser_size"):
        build_painter(replace(recipe, discriminator={"denoiser_size": 8}), torch.device("cpu"), [])
