"""Penalties teach the same with quick second derivatives as with PyTorch's own."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gan.losses import one_centred_penalty, zero_centred_penalty
from gan.networks.dcgan import DCGANDiscriminator
from gan.networks.r3gan import R3GANDiscriminator
from gan.networks.wgan_gp import WGANGPDiscriminator
from tests.helpers.trainers import random_batch, shaken_trainer, still
from train.train_gan import double_backward
from train.train_gan.double_backward import FastDoubleBackward


DISCRIMINATORS = {
    "r3gan": lambda: R3GANDiscriminator(16, width=8, max_width=16, blocks=1, group_size=8),  # groups, biases
    "dcgan": lambda: DCGANDiscriminator(16, width=8, normalisation="none"),  # strides
    "wgan-gp": lambda: WGANGPDiscriminator(16, width=8),
}


def taught(discriminator: nn.Module, covers: torch.Tensor, penalty: str, fast: bool) -> dict[str, torch.Tensor]:
    """What logits and penalty together teach each weight."""
    discriminator.zero_grad()
    images = covers.clone().requires_grad_()
    with FastDoubleBackward() if fast else nullcontext():
        logits = discriminator(images).float()
        if penalty == "zero-centred":
            value = zero_centred_penalty(logits, images)
        else:
            value = one_centred_penalty(discriminator, covers, covers.flip(0), torch.full((len(covers), 1, 1, 1), 0.3))
    (F.softplus(logits).mean() + 3 * value).backward()
    return {name: p.grad.clone() for name, p in discriminator.named_parameters() if p.grad is not None}


def assert_alike(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], share: float) -> None:
    assert one.keys() == other.keys()
    for name, gradient in one.items():
        assert (gradient - other[name]).norm() <= share * gradient.norm(), name


@pytest.fixture(params=DISCRIMINATORS)
def discriminator(request: pytest.FixtureRequest) -> nn.Module:
    """With weights of which none is zero."""
    torch.manual_seed(0)
    made = DISCRIMINATORS[request.param]()
    for weight in made.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return made


@pytest.mark.parametrize("penalty", ["zero-centred", "one-centred"])
def test_it_teaches_what_pytorchs_own_does(discriminator: nn.Module, penalty: str) -> None:
    covers = torch.randn(4, 3, 16, 16)
    slow, fast = (taught(discriminator, covers, penalty, fast) for fast in (False, True))
    assert_alike(slow, fast, 1e-5)


def test_in_bfloat16_too(discriminator: nn.Module) -> None:
    """Not against PyTorch's own in bfloat16, which torch 2.13 computes wrongly on processors with AMX."""
    covers = torch.randn(4, 3, 16, 16).to(memory_format=torch.channels_last)
    exact = taught(discriminator, covers, "zero-centred", False)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        rounded = taught(discriminator, covers, "zero-centred", True)
        with FastDoubleBackward():
            assert F.conv2d(covers, torch.zeros(8, 3, 3, 3)).dtype == torch.bfloat16
    assert_alike(exact, rounded, 0.15)  # 0.05 to 0.08 where it is right, 0.5 to 1.1 where it is not


def test_the_first_derivative_is_that_of_the_input_alone() -> None:
    images, weight = torch.randn(2, 3, 8, 8, requires_grad=True), torch.randn(4, 3, 3, 3, requires_grad=True)
    with FastDoubleBackward():
        out = F.conv2d(images, weight, padding=1).square().sum()
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(out, weight, create_graph=True)
    (plain,) = torch.autograd.grad(out, weight, retain_graph=True)  # without a second derivative all are there
    again = F.conv2d(images, weight, padding=1).square().sum()
    torch.testing.assert_close(plain, torch.autograd.grad(again, weight)[0])


@pytest.mark.parametrize("inplace", [False, True])
def test_leaky_relu_is_pytorchs_own(inplace: bool) -> None:
    x = torch.randn(20, dtype=torch.float64, requires_grad=True)
    with FastDoubleBackward():
        before = x * 1
        out = F.leaky_relu(before, 0.2, inplace)
    assert torch.equal(out, F.leaky_relu(x, 0.2)) and (before is out) == inplace

    def bent(x: torch.Tensor) -> torch.Tensor:
        with FastDoubleBackward():
            return F.leaky_relu(x * x, 0.2, inplace) * F.leaky_relu(x * 1, 0.2, inplace)

    assert torch.autograd.gradcheck(bent, x) and torch.autograd.gradgradcheck(bent, x)


@pytest.mark.parametrize("name", ["r3gan-64", "wgan-gp-64"])
def test_training_takes_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, taken = still(name), []
    watched = lambda *args, **more: taken.append(args) or F.conv2d(*args, **more)  # noqa: E731
    monkeypatch.setattr(double_backward, "_conv2d", watched)
    shaken_trainer(recipe).step(random_batch(recipe), 0)
    assert taken
