"""Losses and penalties against values computed by hand."""

import math

import pytest
import torch

from gan.losses import LOSSES, one_centred_penalty, zero_centred_penalty


REAL, FAKE = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        (
            "logistic",
            (softplus(-1) + softplus(2)) / 2 + (softplus(0.5) + softplus(3)) / 2,
            (softplus(-0.5) + softplus(-3)) / 2,
        ),
        ("wasserstein", 1.75 - (-0.5), -1.75),
        ("hinge", (0 + 3) / 2 + (1.5 + 4) / 2, -1.75),
        ("relativistic", (softplus(-0.5) + softplus(5)) / 2, (softplus(0.5) + softplus(-5)) / 2),
    ],
)
def test_losses_by_hand(name: str, discriminator: float, generator: float) -> None:
    loss = LOSSES[name]
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, abs=1e-6)
    assert loss.generator(REAL if loss.compares else None, FAKE).item() == pytest.approx(generator, abs=1e-6)


def test_zero_centred_penalty_of_a_linear_network() -> None:
    weight = torch.randn(3, 4, 4)
    images = torch.randn(5, 3, 4, 4, requires_grad=True)
    penalty = zero_centred_penalty((images * weight).sum((1, 2, 3)), images)
    assert penalty.item() == pytest.approx(weight.square().sum().item() / 2, rel=1e-5)


def test_zero_centred_penalty_teaches_the_weights() -> None:
    scale = torch.tensor(2.0, requires_grad=True)
    images = torch.ones(2, 3, 1, 1, requires_grad=True)
    zero_centred_penalty((scale * images).sum((1, 2, 3)), images).backward()
    assert scale.grad.item() == pytest.approx(6.0)  # d/ds of 3 s^2 / 2 is 3 s


def test_one_centred_penalty() -> None:
    real, fake = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    mix = torch.rand(4, 1, 1, 1)
    steep = one_centred_penalty(lambda x: 5 * x.flatten(1)[:, 0], real, fake, mix)
    assert steep.item() == pytest.approx(16.0, rel=1e-5)  # (5 - 1)^2
    flat = torch.zeros(1, requires_grad=True)
    one_centred_penalty(lambda x: flat * x.flatten(1).sum(1), real, fake, mix).backward()
    assert torch.isfinite(flat.grad).all()


def test_one_centred_penalty_is_taken_between_the_two() -> None:
    real, fake = torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 8.0)
    seen = []
    one_centred_penalty(lambda x: seen.append(x.item()) or x.flatten(), real, fake, torch.full((1, 1, 1, 1), 0.25))
    assert seen == [2.0]


@pytest.mark.parametrize("name", LOSSES)
def test_derivatives_of_losses(name: str) -> None:
    logits = [torch.randn(5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    for loss in (LOSSES[name].discriminator, LOSSES[name].generator):
        assert torch.autograd.gradcheck(loss, logits)


@pytest.mark.parametrize("kind", ["zero-centred", "one-centred"])
def test_derivatives_of_penalties(kind: str) -> None:
    """Of the weights of a network that bends: the second derivatives that a penalty needs."""
    real, fake = torch.randn(2, 4, 3, 2, 2, dtype=torch.float64)
    mix = torch.rand(4, 1, 1, 1, dtype=torch.float64)
    weights = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((12, 7), (7,))]

    def penalty(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        def discriminator(images: torch.Tensor) -> torch.Tensor:
            return torch.tanh(images.flatten(1) @ first) @ second

        if kind == "one-centred":
            return one_centred_penalty(discriminator, real, fake, mix)
        images = real.clone().requires_grad_()
        return zero_centred_penalty(discriminator(images), images)

    assert torch.autograd.gradcheck(penalty, weights)
