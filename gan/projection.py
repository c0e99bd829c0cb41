"""Find the latents whose cover comes nearest to a given picture."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F


DRAWN = 256  # covers at random, of which the likest ones are where the search begins
STARTS = 4  # at first; after a quarter of the way only the best of them goes on
COARSE_WEIGHT = 2.0  # of the loss at half the size, against that at full size; again so much at a quarter


@dataclass(frozen=True)
class Projection:
    """Hold the best `latents` (1, latent_dim) so far of a search, their `loss`, and its `progress`, 0..1."""

    latents: torch.Tensor
    loss: float
    progress: float


def project(
    generator: torch.nn.Module,
    target: torch.Tensor,
    *,
    steps: int = 400,
    seconds: float = 20.0,
    learning_rate: float = 0.1,
    prior: float = 0.1,
    seed: int = 0,
) -> Iterator[Projection]:
    """Search the latents for a cover like `target` (Zhu et al. 2016, "Generative Visual Manipulation", section 3.1):
    gradient descent by Adam on the latents, from the likest few of many covers drawn at random.

    The loss is the mean difference at every size of a pyramid, so that layout and colour count before detail. Normal
    latents all have nearly the same length, and the generator has learned to draw from no others; so a prior keeps
    that length (Menon et al. 2020, "PULSE", section 3.2, search on that sphere alone).

    Args:
        generator: (N, latent_dim) latents to (N, 3, H, H) covers in -1..1, with a `config.latent_dim`.
        target: (3, H, H) in -1..1, on the generator's device.
        steps: how many steps Adam takes at most.
        seconds: how long to search; a step that has begun is finished.
        learning_rate: at the first step; it falls to zero along a cosine.
        prior: weight of the latents' length.
        seed: of the covers drawn at random.

    Yields:
        After each step the best so far; close the iterator to stop early.
    """
    begin = time.monotonic()
    wanted = _pyramid(target[None])
    latents = _likest(generator, wanted, seed).requires_grad_(True)
    length = math.sqrt(latents.shape[1])
    optimiser = torch.optim.Adam([latents], betas=(0.9, 0.99))
    best, best_loss, progress = latents.detach()[:1].clone(), math.inf, 0.0
    for step in range(1, steps + 1):
        if progress >= 0.25 and len(latents) > 1:
            latents = best.clone().requires_grad_(True)
            optimiser = torch.optim.Adam([latents], betas=(0.9, 0.99))
        optimiser.param_groups[0]["lr"] = learning_rate * (1 + math.cos(math.pi * progress)) / 2
        with torch.enable_grad():
            losses = _difference(_pyramid(generator(latents)), wanted)
            losses = losses + prior * (latents.norm(dim=1) / length - 1) ** 2
            (latents.grad,) = torch.autograd.grad(losses.sum(), latents)
        if losses.min().item() < best_loss:
            best, best_loss = latents.detach()[losses.argmin()][None].clone(), losses.min().item()
        optimiser.step()
        progress = min(1.0, max(step / steps, (time.monotonic() - begin) / seconds))
        yield Projection(best, best_loss, progress)
        if progress == 1:
            return


@torch.no_grad()
def _likest(generator: torch.nn.Module, wanted: list[torch.Tensor], seed: int) -> torch.Tensor:
    drawn = torch.randn(DRAWN, generator.config.latent_dim, generator=torch.Generator().manual_seed(seed))
    drawn = drawn.to(wanted[0].device)
    differences = torch.cat([_difference(_pyramid(generator(part)), wanted) for part in drawn.split(32)])
    return drawn[differences.topk(STARTS, largest=False).indices]


def _pyramid(covers: torch.Tensor) -> list[torch.Tensor]:
    """Return the covers at full size, at half of it and so on down to 4 pixels."""
    levels = [covers]
    while levels[-1].shape[-1] > 4:
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels


def _difference(levels: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
    """Return (N,) mean absolute differences, 0..2, in which the coarser levels weigh more."""
    total, weights = 0.0, 0.0
    for number, (level, want) in enumerate(zip(levels, wanted, strict=True)):
        weight = COARSE_WEIGHT ** min(number, 2)
        total = total + weight * (level - want).abs().mean((1, 2, 3))
        weights += weight
    return total / weights
