"""Compute adversarial losses and gradient penalties, one small function for each paper.

Logits are (N,) tensors, or (N, logits) of discriminators that judge a cover more than once, higher for "more real";
every loss is a scalar to be minimised.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F


def logistic_discriminator_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Compute -log sigmoid(D(x)) - log(1 - sigmoid(D(G(z)))) (Goodfellow et al. 2014, equation 1)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def logistic_generator_loss(real: torch.Tensor | None, fake: torch.Tensor) -> torch.Tensor:
    """Compute -log sigmoid(D(G(z))), the non-saturating form (Goodfellow et al. 2014, section 3), without `real`."""
    return F.softplus(-fake).mean()


def wasserstein_discriminator_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Compute D(G(z)) - D(x) (Arjovsky et al. 2017, algorithm 1): minus an estimate of the Wasserstein distance."""
    return fake.mean() - real.mean()


def wasserstein_generator_loss(real: torch.Tensor | None, fake: torch.Tensor) -> torch.Tensor:
    """Compute -D(G(z)) (Arjovsky et al. 2017, algorithm 1), without `real`."""
    return -fake.mean()


def hinge_discriminator_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Compute max(0, 1 - D(x)) + max(0, 1 + D(G(z))) (Lim and Ye 2017, "Geometric GAN"): nothing is learned from what
    is told apart clearly. The generator minimises -D(G(z)), as Wasserstein's does."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def relativistic_discriminator_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Compute softplus(D(G(z)) - D(x)): each generated cover against one real one (Huang et al. 2024, equation 2)."""
    return F.softplus(fake - real).mean()


def relativistic_generator_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Compute softplus(D(x) - D(G(z))): the same with the roles exchanged (Huang et al. 2024, section 2.1)."""
    return F.softplus(real - fake).mean()


class Loss(NamedTuple):
    """Pair what the two networks minimise; `compares`: whether the generator's loss compares with real covers."""

    discriminator: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    generator: Callable[[Any, torch.Tensor], torch.Tensor]  # Any: real covers, or None where it does not compare
    compares: bool


# What a recipe's `loss:` may say.
LOSSES = {
    "logistic": Loss(logistic_discriminator_loss, logistic_generator_loss, False),
    "wasserstein": Loss(wasserstein_discriminator_loss, wasserstein_generator_loss, False),
    "hinge": Loss(hinge_discriminator_loss, wasserstein_generator_loss, False),
    "relativistic": Loss(relativistic_discriminator_loss, relativistic_generator_loss, True),
}


def zero_centred_penalty(logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Compute half the squared norm of the logits' gradient (Mescheder et al. 2018, equation 9), mean of the batch.

    It is called R1 on real covers and R2 on generated ones; R3GAN uses the sum of both at every step.

    Args:
        logits: (N,) the discriminator's for `images`.
        images: (N, 3, H, W), requiring a gradient.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean() / 2


def one_centred_penalty(
    discriminator: Callable[[torch.Tensor], torch.Tensor],
    real: torch.Tensor,
    fake: torch.Tensor,
    mix: torch.Tensor,
) -> torch.Tensor:
    """Compute (||gradient of D|| - 1)^2 between real and generated covers (Gulrajani et al. 2017, equation 3).

    Args:
        discriminator: (N, 3, H, W) to (N,) scores.
        real, fake: (N, 3, H, W).
        mix: (N, 1, 1, 1) in 0..1, the share of `fake` in each point.
    """
    between = torch.lerp(real, fake, mix).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    # the root's own gradient is infinite at zero: without the small number a single flat gradient makes the run NaN
    norm = (gradient.square().sum((1, 2, 3)) + 1e-12).sqrt()
    return (norm - 1).square().mean()
