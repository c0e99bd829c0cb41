"""Find the latents whose cover comes nearest to a given picture."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
import torch.nn.functional as F

from gan.latents import config_of


Draw: TypeAlias = Callable[[torch.Tensor], torch.Tensor]  # of covers, or of what a composer makes, from latents
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
    composed: torch.Tensor | None = None,
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

    Of a painter the first half of the time goes by among composed latents: nothing is painted there, so that a step
    takes a fraction of the time.

    Args:
        generator: (N, latent_dim) latents to (N, 3, H, H) covers in -1..1, with a `config.latent_dim`.
        target: (3, H, H) in -1..1, on the generator's device.
        composed: (1, channels, positions, positions), the latents from which a painter would paint `target`, or None.
        steps: how many steps Adam takes at most; a painter takes as many among composed latents before.
        seconds: how long to search; a step that has begun is finished.
        learning_rate: at the first step; it falls to zero along a cosine.
        prior: weight of the latents' length.
        seed: of the covers drawn at random.

    Yields:
        After each step the best so far; close the iterator to stop early.
    """
    began = time.monotonic()
    stages: list[tuple[Draw, list[torch.Tensor]]] = [(generator, _pyramid(target[None]))]
    if composed is not None:
        stages.insert(0, (cast(Draw, generator.compose), _pyramid(composed)))
    latents = _likest(*stages[0], config_of(generator).latent_dim, seed)
    length, progress = math.sqrt(latents.shape[1]), 0.0
    for number, (draw, wanted) in enumerate(stages):
        best, best_loss = latents[:1].clone(), math.inf
        now, end = time.monotonic(), began + seconds * (number + 1) / len(stages)
        left = max(end - now, 1e-9)  # seconds
        optimiser = torch.optim.Adam([latents.requires_grad_(True)], betas=(0.9, 0.99))
        for step in range(1, steps + 1):
            if progress >= 0.25 and len(latents) > 1:
                latents = best.clone().requires_grad_(True)
                optimiser = torch.optim.Adam([latents], betas=(0.9, 0.99))
            optimiser.param_groups[0]["lr"] = learning_rate * (1 + math.cos(math.pi * progress)) / 2
            with torch.enable_grad():
                losses = _difference(_pyramid(draw(latents)), wanted)
                losses = losses + prior * (latents.norm(dim=1) / length - 1) ** 2
                (latents.grad,) = torch.autograd.grad(losses.sum(), latents)
            if losses.min().item() < best_loss:
                best, best_loss = latents.detach()[losses.argmin()][None].clone(), losses.min().item()
            optimiser.step()
            done = min(1.0, max(step / steps, (time.monotonic() - now) / left))
            progress = (number + done) / len(stages)
            yield Projection(best, best_loss, progress)
            if done == 1:
                break
        latents = best.clone()  # what was yielded stays as it was


@torch.no_grad()
def _likest(draw: Draw, wanted: list[torch.Tensor], latent_dim: int, seed: int) -> torch.Tensor:
    drawn = torch.randn(DRAWN, latent_dim, generator=torch.Generator().manual_seed(seed))
    drawn = drawn.to(wanted[0].device)
    differences = torch.cat([_difference(_pyramid(draw(part)), wanted) for part in drawn.split(32)])
    return drawn[differences.topk(STARTS, largest=False).indices]


def _pyramid(covers: torch.Tensor) -> list[torch.Tensor]:
    """Return the covers at full size, at half of it and so on down to 4 pixels."""
    levels = [covers]
    while levels[-1].shape[-1] > 4:
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels


def _difference(levels: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
    """Return (N,) mean absolute differences, 0..2, in which the coarser levels weigh more."""
    total, weights = torch.zeros((), device=levels[0].device), 0.0
    for number, (level, want) in enumerate(zip(levels, wanted, strict=True)):
        weight = COARSE_WEIGHT ** min(number, 2)
        total = total + weight * (level - want).abs().mean((1, 2, 3))
        weights += weight
    return total / weights
