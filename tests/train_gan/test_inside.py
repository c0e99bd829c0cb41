"""The trainer inside one process: it learns, stops, goes on, averages."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from gan import load_pipeline
from gan.pipeline import latents_from_seeds
from tests.helpers.trainers import plain_covers, run_of, small, train, trainer
from train.cli import UserError
from train.covers import to_uint8
from train.train_gan import averages
from train.train_gan.averages import ema_exponent, update_averages, with_standing_statistics
from train.train_gan.judge import draw
from train.train_gan.loop import after_step
from train.train_gan.recipes import CONFIGS
from train.train_gan.run_config import RunConfig
from train.train_gan.run_folder import RunFolder


# of a painter's see test_painter_run.py and test_sketch.py
RECIPES = sorted(p.stem for p in CONFIGS.glob("*.yaml") if "painter" not in p.stem)


@pytest.mark.parametrize(
    ("name", "bf16", "genres"),
    [(name, bf16, False) for name in RECIPES for bf16 in (False, True)]
    + [(name, True, True) for name in RECIPES if name != "projected-128"],
)
def test_every_recipe_takes_steps_with_finite_losses(name: str, bf16: bool, genres: bool) -> None:
    recipe = small(name, total_images=8 * 10, class_conditional=genres)
    seen = []
    start = trainer(recipe, bf16)
    before = [p.clone() for p in start.gan.generator.parameters()]
    covers = plain_covers((200, 30, 60), recipe.resolution, genres=genres)
    images = train(start, covers, 0, lambda i, m: seen.append((i, m)) or False)
    assert images == 80 and [i for i, _ in seen] == list(range(8, 88, 8))
    assert all(torch.isfinite(v).all() for _, measured in seen for v in measured.values())
    assert sum("loss_g" in measured for _, measured in seen) == 10 // recipe.discriminator_steps
    assert any(not torch.equal(a, b) for a, b in zip(before, start.gan.generator.parameters(), strict=True))


def test_it_learns_a_colour() -> None:
    """The smallest proof that the whole step points the right way: covers of one colour are learnt."""
    recipe = small("r3gan-64", total_images=8 * 150, learning_rate=2e-3, augmentation=0.0)
    taught = trainer(recipe)
    train(taught, plain_covers((200, 30, 60), 16), 0, lambda *_: False)
    with torch.no_grad():
        drawn = to_uint8(with_standing_statistics(taught.gan.ema[0])(latents_from_seeds(list(range(16)), 64))).float()
    gap = (drawn.mean((0, 1, 2)) - torch.tensor([200.0, 30, 60])).abs().max().item()
    assert gap < 25, drawn.mean((0, 1, 2))


@pytest.mark.parametrize("genres", [False, True], ids=["plain", "genres"])
def test_stopping_and_going_on_changes_nothing(genres: bool) -> None:
    recipe = small("r3gan-64", total_images=8 * 12, class_conditional=genres)
    covers = plain_covers((9, 99, 200), 16, genres=genres)
    straight, halves = trainer(recipe), trainer(recipe)
    train(straight, covers, 0, lambda *_: False)
    stopped = train(halves, covers, 0, lambda images, _: images == 40)
    assert stopped == 40
    train(halves, covers, stopped, lambda *_: False)
    for role in ("generator", "discriminator", "ema"):
        pairs = zip(getattr(straight.gan, role).parameters(), getattr(halves.gan, role).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_augmentation_follows_the_held_out_covers_and_is_part_of_a_checkpoint(tmp_path: Path) -> None:
    """Held-out covers as red as the training covers ask for less, grey ones, like the generated ones, for more."""
    folder = RunFolder(tmp_path / "run")
    recipe = small("r3gan-64", total_images=8 * 32, augmentation="auto")
    folder.open(RunConfig(recipe))
    step = 16 * 8 / 500_000
    for held_out, sign in ((plain_covers((200, 30, 60), 16), -1), (plain_covers((128, 128, 128), 16), 1)):
        taught = trainer(recipe)
        control = taught.gan.augmentation
        control.probability = 0.3
        taught.gan.generator.to_rgb.weight.data.zero_()  # draws grey
        train(taught, plain_covers((200, 30, 60), 16), 0, lambda images, _: images == 8 * 31, held_out)
        assert control.probability == pytest.approx(0.3 + sign * step)
        assert (control.r_v > 0.6) == (sign > 0)
    folder.checkpoints.save(taught.gan, 8 * 31, 0.0)
    other = trainer(recipe)
    folder.checkpoints.load(other.gan, "latest", torch.device("cpu"))
    assert vars(other.gan.augmentation) == vars(control)


def test_ema_is_the_power_function_average() -> None:
    """Against the average computed from all its terms: weight (i / n) ** gamma for the i-th batch."""
    recipe = small("tiny")
    taught = trainer(recipe)
    total = 200
    weight = next(taught.gan.generator.parameters())
    for step in range(total):
        weight.data.fill_(math.sin(step / 30))
        update_averages(taught.gan.ema, taught.gan.generator, recipe, step * recipe.train_batch_size)
    assert recipe.ema_sigma == [0.05, 0.10]
    for sigma, ema in zip(recipe.ema_sigma, taught.gan.ema, strict=True):
        gamma = ema_exponent(sigma)
        shares = [(1 + i) ** (gamma + 1) - i ** (gamma + 1) for i in range(total)]
        expected = sum(s * math.sin(i / 30) for i, s in enumerate(shares)) / sum(shares)
        assert next(ema.parameters()).flatten()[0].item() == pytest.approx(expected, abs=2e-2)


def test_averages_normalise_by_statistics_of_their_own() -> None:
    taught = trainer(small("dcgan-64", total_images=80))
    train(taught, plain_covers((200, 30, 60), 16), 0, lambda *_: False)
    before = {key: value.clone() for key, value in taught.gan.ema.state_dict().items()}
    averages = [with_standing_statistics(taught.gan.ema[number]) for number in range(2)]
    assert all(torch.equal(value, before[key]) for key, value in taught.gan.ema.state_dict().items())
    latents = torch.randn(512, taught.gan.generator.config.latent_dim)
    for average, ema in zip(averages, taught.gan.ema, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(average.parameters(), ema.parameters(), strict=True))
        assert not average.training and average(latents[:1]).shape == (1, 3, 16, 16)
        # what a large batch of its own covers has is what it normalises by
        seen = average.layers[0](latents[:, :, None, None])
        torch.testing.assert_close(average.layers[1].running_mean, seen.mean((0, 2, 3)), atol=0.01, rtol=0.1)
        torch.testing.assert_close(average.layers[1].running_var, seen.var((0, 2, 3)), atol=0.01, rtol=0.2)
        with torch.no_grad():
            drawn = average(latents)
            average.train()
            torch.testing.assert_close(average(latents), drawn, atol=0.1, rtol=0)
    one, other = (
        with_standing_statistics(taught.gan.ema[0]).state_dict() for _ in range(2)
    )  # whenever it is asked for
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    plain = trainer(small("tiny"))
    assert with_standing_statistics(plain.gan.ema[1]) is plain.gan.ema[1]  # nothing to normalise by


@pytest.mark.parametrize(("sigma", "gamma"), [(0.05, 16.97), (0.10, 6.94)])
def test_ema_exponent_is_the_papers(sigma: float, gamma: float) -> None:
    assert ema_exponent(sigma) == pytest.approx(gamma, abs=0.01)


def test_weights_that_are_no_numbers_never_replace_good_ones(tmp_path: Path) -> None:
    recipe = small("tiny", total_images=800, checkpointing_images=16)
    taught, folder = trainer(recipe), RunFolder(tmp_path / "run")
    folder.open(RunConfig(recipe))
    watch = run_of(taught, folder)

    def spoil(images: int, measured: dict[str, torch.Tensor]) -> bool:
        if images == 24:
            taught.gan.generator.to_rgb.weight.data.fill_(math.nan)
        return after_step(watch, images, measured)

    with pytest.raises(UserError, match="no longer finite; start again in a new --output_dir"):
        train(taught, plain_covers((9, 99, 200), 16), 0, spoil)
    load_pipeline(tmp_path / "run" / "pipeline")  # refuses what is not finite
    assert folder.checkpoints.load(trainer(recipe).gan, "latest", torch.device("cpu"))[0] == 16


def test_each_checkpoint_draws_with_the_average_of_its_moment_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small("dcgan-64")
    taught, folder, made = trainer(recipe), RunFolder(tmp_path / "run"), []
    folder.open(RunConfig(recipe))
    ready = averages.with_standing_statistics
    monkeypatch.setattr(averages, "with_standing_statistics", lambda ema: made.append(ema) or ready(ema))
    watch = run_of(taught, folder)
    pixels = []
    for images in (8, 16):
        watch.images = images
        draw(watch)
        watch.averages.ready(images)
        pixels.append(load_pipeline(tmp_path / "run" / "pipeline")(seeds=[1], output_type="np").images)
        taught.gan.ema[0].layers[-2].weight.data.mul_(-1)
    assert len(made) == 2 and made[0] is made[1] and not np.allclose(pixels[0], pixels[1])
