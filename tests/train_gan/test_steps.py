"""One step: the same gradients however the batch is split, and nothing that it should leave alone is touched."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.helpers.trainers import N, in_two_processes, random_batch, shaken_trainer, still
from train.covers import to_float
from train.train_gan.recipes import CONFIGS, Recipe
from train.train_gan.state import build
from train.train_gan.steps import Trainer
from train.train_gan.sync_batch_norm import equal_in_parts, synchronise


# of a painter's see test_painter_run.py
RECIPES = sorted(p.stem for p in CONFIGS.glob("*.yaml") if "painter" not in p.stem)


def gradients(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Of both networks; and, because they are averaged alike, the running statistics."""
    found = {}
    for role in ("generator", "discriminator"):
        network = getattr(trainer.gan, role)
        found |= {f"{role}.{name}": p.grad for name, p in network.named_parameters() if p.grad is not None}
        found |= {f"{role}.{name}": b for name, b in network.named_buffers() if name.endswith(("mean", "var"))}
    return found


def assert_equal_gradients(
    one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 1e-6
) -> None:
    """To a millionth of each network's whole gradient, or another share of it."""
    assert one.keys() == other.keys()
    for role in ("generator", "discriminator"):
        a, b = (torch.cat([g.flatten() for key, g in all_.items() if key.startswith(role)]) for all_ in (one, other))
        assert a.norm() > 1e-2
        assert (a - b).norm() <= tolerance * a.norm(), role


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("genres", [False, True], ids=["plain", "genres"])
def test_accumulated_gradients_are_those_of_the_whole_batch(parts: int, genres: bool) -> None:
    recipe = still("r3gan-64", class_conditional=genres)
    whole, split = shaken_trainer(recipe), shaken_trainer(recipe, micro_batches=parts)
    shown = [t.step(random_batch(recipe), 0) for t in (whole, split)]
    assert_equal_gradients(gradients(whole), gradients(split))
    for name, value in shown[0].items():
        torch.testing.assert_close(shown[1][name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_which_recipes_are_the_same_in_parts() -> None:
    networks = {name: build(still(name), torch.device("cpu")) for name in RECIPES}
    same = {name for name, gan in networks.items() if equal_in_parts(gan.generator, gan.discriminator)}
    assert same == {"tiny", "r3gan-cpu", "r3gan-64", "r3gan-128", "r3gan-128-large", "r3gan-256"}


def test_several_parts_take_one_step_of_each_network() -> None:
    recipe = still("dcgan-64", learning_rate=1e-3)
    taught = shaken_trainer(recipe, micro_batches=4)
    taught.step(random_batch(recipe), 0)
    for optimizer in (taught.gan.generator_optimizer, taught.gan.discriminator_optimizer):
        assert {slot["step"].item() for slot in optimizer.state.values()} == {1}


@pytest.mark.parametrize("compares", [True, False])
def test_augmentation_follows_covers_that_were_not_just_learned(compares: bool) -> None:
    class Brightness(nn.Module):
        def forward(self, images: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
            return images.mean((1, 2, 3))

    class Grey(nn.Module):
        def forward(self, latents: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
            return torch.zeros(N, 3, 16, 16)

    recipe = still("r3gan-64" if compares else "dcgan-64", augmentation="auto")
    made = shaken_trainer(recipe)
    made.gan.discriminator, made.gan.generator = Brightness(), Grey()
    just_learned, known, unseen = (torch.full((N, 3, 16, 16), value) for value in (1.0, 0.5, 0.125))
    batch = replace(random_batch(recipe), real=just_learned, others=known if compares else None)
    made.adapt_augmentation(batch, unseen, None, 100)
    assert made.gan.augmentation.r_v == pytest.approx((0.5 - 0.125) / 0.5 if compares else 1 - 0.125)


def all_recipes() -> dict[str, Recipe]:
    """And one of each network with genres."""
    with_genres = {f"{n}-genres": still(n, class_conditional=True) for n in ("tiny", "dcgan-64", "wgan-gp-64")}
    return {name: still(name) for name in RECIPES} | with_genres


def _share_of_two(folder: str) -> None:
    torch.set_num_threads(1)
    for name, recipe in all_recipes().items():
        mine = shaken_trainer(recipe)
        rank = mine.accelerator.process_index
        assert mine.accelerator.num_processes == 2
        synchronise(mine.gan.generator)
        synchronise(mine.gan.discriminator)
        mine.step(random_batch(recipe).split(2)[rank], 0)
        torch.save(gradients(mine), Path(folder, f"{name}-{rank}.pt"))
        share = slice(rank * N // 2, (rank + 1) * N // 2)
        unseen = random_batch(recipe).real.flip(2)[share]
        mine.adapt_augmentation(random_batch(recipe).split(2)[rank], unseen, None, 100)
        Path(folder, f"{name}-{rank}.txt").write_text(str(mine.gan.augmentation.r_v))


def test_two_processes_compute_what_one_does_with_the_whole_batch(tmp_path: Path) -> None:
    """Every recipe, its second derivatives, its batch normalisation and its genres included."""
    in_two_processes(_share_of_two, tmp_path)
    for name, recipe in all_recipes().items():
        alone = shaken_trainer(recipe)
        assert alone.accelerator.num_processes == 1
        alone.step(random_batch(recipe), 0)
        shares = [torch.load(tmp_path / f"{name}-{rank}.pt") for rank in (0, 1)]
        assert all(torch.equal(shares[0][key], shares[1][key]) for key in shares[0])
        # in the rectifiers of a frozen network and normalised heads rounding grows: the same batch in another
        # order differs by 2e-3 in float32, by 6e-15 in float64
        assert_equal_gradients(gradients(alone), shares[0], 0.03 if recipe.network == "projected" else 1e-6)
        alone.adapt_augmentation(random_batch(recipe), random_batch(recipe).real.flip(2), None, 100)
        r_v = [float(Path(tmp_path, f"{name}-{rank}.txt").read_text()) for rank in (0, 1)]
        assert r_v[0] == r_v[1] == pytest.approx(alone.gan.augmentation.r_v, rel=1e-3)


def test_synchronised_normalisation_leaves_checkpoints_as_they_are() -> None:
    network = build(still("dcgan-64"), torch.device("cpu")).discriminator
    before = {key: value.clone() for key, value in network.state_dict().items()}
    synchronise(network)
    assert not any(type(m) is nn.BatchNorm2d for m in network.modules())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    network.eval()(torch.randn(2, 3, 16, 16))  # needs no other process


def test_the_generators_step_leaves_the_discriminator_alone() -> None:
    both, lone = shaken_trainer(still("dcgan-64")), shaken_trainer(still("dcgan-64", discriminator_steps=2))
    batch = random_batch(both.recipe)
    assert "loss_g" in both.step(batch, 0) and "loss_g" not in lone.step(batch, 0)
    for a, b in zip(both.gan.discriminator.parameters(), lone.gan.discriminator.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad) and a.requires_grad


def test_a_gradient_that_is_no_number_is_not_followed() -> None:
    recipe = still("r3gan-64", learning_rate=1e-3)
    taught = shaken_trainer(recipe)
    before = [p.clone() for p in taught.gan.discriminator.parameters()]
    batch = random_batch(recipe)
    shown = taught.step(replace(batch, real=batch.real * math.nan), 0)
    assert not shown["gradient_norm_d"].isfinite() and shown["gradient_norm_g"].isfinite()
    assert all(torch.equal(a, b) for a, b in zip(before, taught.gan.discriminator.parameters(), strict=True))
    taught.step(batch, N)
    moved = zip(before, taught.gan.discriminator.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in moved)


@pytest.mark.parametrize("genres", [False, True], ids=["plain", "genres"])
def test_a_penalty_at_every_fourth_cover_changes_nothing_else(genres: bool) -> None:
    recipe = still("r3gan-64", class_conditional=genres, gradient_penalty_weight=1e-12)
    everywhere, fourth = (shaken_trainer(replace(recipe, gradient_penalty_every=every)) for every in (1, 4))
    batch = replace(random_batch(recipe), draws=(None, None))
    fake = everywhere.generate(batch.latents, batch.labels).detach()
    (loss, shown), (fourth_loss, fourth_shown) = (t.discriminator_loss(batch, fake, 0) for t in (everywhere, fourth))
    torch.testing.assert_close(fourth_loss, loss)  # each cover is compared with the one that it was compared with
    assert torch.equal(fourth_shown["pair_accuracy"], shown["pair_accuracy"])
    labels = None if batch.labels is None else batch.labels[::4]
    some = replace(batch, latents=batch.latents[::4], real=batch.real[::4], mix=batch.mix[::4], labels=labels)
    _, expected = everywhere.discriminator_loss(some, fake[::4], 0)
    torch.testing.assert_close(fourth_shown["gradient_penalty"], expected["gradient_penalty"])
    assert not torch.isclose(shown["gradient_penalty"], expected["gradient_penalty"], rtol=1e-3)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("name", ["r3gan-64", "wgan-gp-64", "dcgan-64"])
def test_a_pair_shares_its_genre(name: str, parts: int) -> None:
    """What the networks are told: the covers drawn beside real ones, and between them, have the genres of these."""
    recipe = still(name, class_conditional=True)
    taught, batch = shaken_trainer(recipe, parts), random_batch(recipe)
    told = {"generator": [], "discriminator": []}
    for role, heard in told.items():
        getattr(taught.gan, role).register_forward_pre_hook(lambda _, inputs, heard=heard: heard.append(inputs[1]))
    taught.step(batch, 0)
    expected = {role: [] for role in told}
    for part in batch.split(parts):
        expected["generator"] += [part.labels]
        # real, generated, and for WGAN-GP's penalty what lies between
        expected["discriminator"] += [part.labels] * (3 if name == "wgan-gp-64" else 2)
    for part in batch.split(parts):
        if name == "r3gan-64":  # which compares with other real covers
            expected["generator"] += [part.other_labels]
            expected["discriminator"] += [part.other_labels] * 2
        else:
            expected["generator"] += [part.labels] if parts > 1 else []
            expected["discriminator"] += [part.labels]
    for role, heard in told.items():
        assert len(heard) == len(expected[role])
        assert all(torch.equal(a, b) for a, b in zip(heard, expected[role], strict=True)), role


@pytest.mark.parametrize("name", ["dcgan-64", "sngan-64-cpu", "wgan-gp-64", "r3gan-64"])
def test_a_look_at_covers_changes_nothing(name: str) -> None:
    recipe = still(name, class_conditional=True)
    taught, covers = shaken_trainer(recipe), torch.randint(0, 256, (70, 16, 16, 3), dtype=torch.uint8)
    labels = torch.arange(70) % 3
    taught.step(random_batch(recipe), 0)
    before = {key: value.clone() for key, value in taught.gan.discriminator.state_dict().items()}
    mean = taught.mean_logit(covers, labels)
    after = taught.gan.discriminator.state_dict()
    assert taught.gan.discriminator.training and all(torch.equal(after[key], before[key]) for key in before)
    with torch.no_grad():
        expected = taught.gan.discriminator.eval()(to_float(covers), labels).mean().item()
    assert mean == pytest.approx(expected, abs=1e-5)
