"""What reaches what. A mistake here stops nothing: it only changes, in silence, what is learned."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from datasets import Dataset

from gan.augment import augment, initial_probability
from gan.losses import LOSSES
from tests.helpers import trainers
from tests.helpers.runs import command, launch
from tests.helpers.trainers import N, random_batch, shaken_trainer, still, train
from train.cli import run
from train.covers import Covers
from train.train_gan import __main__ as train_gan
from train.train_gan import data, loop, setup
from train.train_gan.averages import ema_exponent, update_averages
from train.train_gan.state import build
from train.train_gan.steps import Trainer


@pytest.mark.parametrize("name", ["r3gan-64", "wgan-gp-64", "dcgan-64"])
def test_the_discriminator_sees_only_augmented_covers(name: str) -> None:
    recipe = still(name)
    taught, batch, seen, drawn = shaken_trainer(recipe), random_batch(recipe), [], []
    taught.gan.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    taught.gan.generator.register_forward_hook(lambda _, __, out: drawn.append(out.detach().clone()))
    taught.step(batch, 0)
    first, second = batch.draws
    real, fake = augment(batch.real, first), augment(drawn[0], first)
    expected = [real, fake] + ([torch.lerp(real, fake, batch.mix)] if name == "wgan-gp-64" else [])
    expected += [augment(batch.others, second)] if LOSSES[recipe.loss].compares else []
    expected += [augment(drawn[-1], second)]
    assert len(seen) == len(expected)
    for one, other in zip(seen, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_schedules_reach_the_optimisers_and_the_penalty() -> None:
    recipe = still("r3gan-64", learning_rate=[4e-4, 1e-4], total_images=1000, schedule_fraction=1.0)
    taught, batch = shaken_trainer(recipe), random_batch(recipe)
    taught.step(batch, 500)
    for optimizer in (taught.gan.generator_optimizer, taught.gan.discriminator_optimizer):
        (group,) = optimizer.param_groups
        assert group["lr"] == pytest.approx(2.5e-4) and group["betas"] == (0.0, pytest.approx(0.945))
    fake = taught.generate(batch.latents).detach()
    for images, weight in zip((0, 1000), recipe.gradient_penalty_weight, strict=True):
        loss, shown = taught.discriminator_loss(batch, fake, images)
        assert (loss - shown["loss_d"]).item() == pytest.approx(weight * shown["gradient_penalty"].item(), rel=1e-3)


def test_the_penalty_is_r1_and_r2() -> None:
    recipe = still("r3gan-64")
    taught, batch = shaken_trainer(recipe), replace(random_batch(recipe), draws=(None, None))
    fake = taught.generate(batch.latents).detach()
    _, shown = taught.discriminator_loss(batch, fake, 0)
    penalties = [taught.discriminate_and_penalise(covers, None)[1] for covers in (batch.real, fake)]
    assert min(penalties) > 1e-6
    torch.testing.assert_close(shown["gradient_penalty"], sum(penalties))


def test_a_pair_is_told_apart_where_the_real_cover_looks_more_real() -> None:
    recipe = still("r3gan-64")
    taught = shaken_trainer(recipe)
    taught.gan.discriminator.forward = lambda images, labels: images.mean((1, 2, 3))
    batch = replace(random_batch(recipe), real=torch.full((N, 3, 16, 16), 0.5), draws=(None, None))
    _, shown = taught.discriminator_loss(batch, torch.zeros(N, 3, 16, 16), 0)
    assert shown["pair_accuracy"] == 1


def test_only_bf16_rounds_and_only_inside() -> None:
    recipe = still("dcgan-64")
    for bf16 in (False, True):
        taught, inside = trainers.trainer(recipe, bf16), []
        taught.gan.generator.layers[-2].register_forward_hook(
            lambda _, __, out, inside=inside: inside.append(out.dtype)
        )
        covers = taught.generate(random_batch(recipe).latents)
        assert inside == [torch.bfloat16 if bf16 else torch.float32] and covers.dtype == torch.float32


def test_augmentation_is_adapted_with_the_genres_of_its_covers() -> None:
    recipe = still("r3gan-64", class_conditional=True, augmentation="auto")
    taught, batch, heard = shaken_trainer(recipe), random_batch(recipe), []
    taught.gan.discriminator.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[1]))
    unseen, genres = batch.real.flip(0), (batch.labels + 1) % 3
    taught.adapt_augmentation(batch, unseen, genres, 100)
    assert all(torch.equal(*pair) for pair in zip(heard, (batch.other_labels, genres, batch.labels), strict=True))


def test_averages_know_how_many_covers_a_step_of_the_generator_takes() -> None:
    recipe = trainers.small("wgan-gp-64")
    taught = trainers.trainer(recipe)
    weight, every, steps = next(taught.gan.generator.parameters()), recipe.discriminator_steps, 1000
    assert every == 5
    for step in range(every - 1, steps, every):
        weight.data.fill_(step / steps)
        update_averages(taught.gan.ema, taught.gan.generator, recipe, step * recipe.train_batch_size)
    for sigma, ema in zip(recipe.ema_sigma, taught.gan.ema, strict=True):
        gamma = ema_exponent(sigma)
        wanted = (gamma + 1) / (gamma + 2)  # the mean of what rises evenly, weighted by t^gamma
        assert next(ema.parameters()).flatten()[0].item() == pytest.approx(wanted, abs=5e-3)


def test_each_step_has_covers_genres_and_chances_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = trainers.small("r3gan-64", total_images=32, augmentation=[1.0, 0.0], schedule_fraction=1.0)
    pixels = Dataset.from_dict({"pixels": [bytes([number]) * 768 for number in range(240)]})
    covers, batches = Covers(pixels, 16, labels=torch.arange(240) % 3), []
    monkeypatch.setattr(Trainer, "step", lambda self, batch, images: batches.append(batch) or {})
    monkeypatch.setattr(data, "with_some_dropped", lambda labels, chance, any_genre: labels)
    train(trainers.trainer(recipe), covers, 0, lambda *_: False)

    def all_differ(tensors: list[torch.Tensor]) -> bool:
        return len({tensor.numpy().tobytes() for tensor in tensors}) == len(tensors)

    assert len(batches) == 4
    assert all_differ([batch.latents for batch in batches]) and all_differ([batch.mix for batch in batches])
    assert all_differ([covers for batch in batches for covers in (batch.real, batch.others)])
    assert all_differ([draw.cutout[:, :2] for batch in batches for draw in batch.draws])
    shifted = [(batch.draws[0].geometry[:, 0, 2] != 0).float().mean().item() for batch in batches]
    assert shifted[0] == 1 and shifted[-1] < 0.7  # as the recipe's augmentation falls
    for batch in batches:
        for real, labels in ((batch.real, batch.labels), (batch.others, batch.other_labels)):
            number = ((real[:, 0, 0, 0] + 1) * 127.5).round().long()
            assert torch.equal(number % 3, labels)


def test_what_the_command_line_says_reaches_the_loop(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(loop, "loop", lambda run: calls.append(run) or "")
    asked = ("--gradient_accumulation_steps", "4", "--mixed_precision", "bf16", "--evaluation_images", "16")
    where = ("--dataset_name", str(tiny_dataset), "--output_dir", str(tmp_path / "run"))
    monkeypatch.setattr(sys, "argv", ["train", "--config", "tiny", *where, *asked, "--seed", "5"])
    run(train_gan.main, "train.train_gan")
    (training,) = calls
    trainer, covers, held_out = training.trainer, training.batches.covers, training.batches.held_out
    assert trainer.micro_batches == 4 and trainer.bf16 and training.evaluation_images == 16 and covers.seed == 5
    assert trainer.gan.augmentation.probability == initial_probability(len(covers))
    told = json.loads((tmp_path / "run" / "config.json").read_text())
    assert told["digest"] == covers.digest() and told["held_out"] == len(held_out) > 4


def test_a_run_goes_on_in_the_precision_that_it_began_with(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """On another device `auto` would choose another."""
    assert launch(command(tiny_dataset, tmp_path / "run", "--total_images", "8")).returncode == 0
    where = ("--dataset_name", str(tiny_dataset), "--output_dir", str(tmp_path / "run"))
    monkeypatch.setattr(setup, "can_bf16", lambda device: True)
    monkeypatch.setattr(sys, "argv", ["train", "--config", "tiny", *where, "--total_images", "16"])
    run(train_gan.main, "train.train_gan")
    assert "done after 16 covers" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "config.json").read_text())["mixed_precision"] == "no"


def test_another_seed_begins_with_other_networks() -> None:
    one, again, other = (build(trainers.small("tiny", seed=seed), torch.device("cpu")) for seed in (0, 0, 1))
    for role in ("generator", "discriminator"):
        weights = [torch.cat([p.flatten() for p in getattr(gan, role).parameters()]) for gan in (one, again, other)]
        assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
