"""Distil, the second phase: a small network learns to tell from latents what a large, frozen one sees in the cover.

With it a projected discriminator judges what is composed without painting it: three times as many covers a second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator

from gan.networks.efficientnet_lite import EfficientNetLite
from gan.networks.latents import LatentFeatures
from train.train_gan.updates import LARGEST_NORM, falling, update


@dataclass
class Distilling:
    """Hold everything that this phase changes, and change it step by step.

    Args:
        student: what learns.
        teacher: what it learns from.
        paint: (N, latent_channels, positions, positions) of unit variance to covers, see `PainterGenerator.paint`.
        optimizer: of the student.
        autocast: the context in which networks compute.
        accelerator: the processes that share a batch.
        learning_rate: at the start; a twentieth of it at the end, along a cosine.
    """

    student: LatentFeatures
    teacher: EfficientNetLite
    paint: Callable[[torch.Tensor], torch.Tensor]
    optimizer: torch.optim.Optimizer
    autocast: Callable[..., Any]
    accelerator: Accelerator
    learning_rate: float = 1e-3

    def step(self, latents: torch.Tensor, done: float) -> dict[str, torch.Tensor]:
        """Teach the student on (N, latent_channels, positions, positions) latents of unit variance.

        Returns:
            What `metrics.jsonl` shows: for each map the share of the teacher's variance that the student misses.
        """
        wanted = self.student.scaled(self.see(latents))
        with self.autocast():
            found = self.student(latents)
        losses = [(a.float() - b).square().mean() for a, b in zip(found, wanted, strict=True)]
        self.optimizer.zero_grad()
        sum(losses).backward()
        norm = update(self.optimizer, falling(self.learning_rate, done), self.accelerator, LARGEST_NORM)
        return {f"unexplained_{8 * 2**k}": loss.detach() for k, loss in enumerate(losses)} | {"gradient_norm": norm}

    @torch.no_grad()
    def see(self, latents: torch.Tensor) -> list[torch.Tensor]:
        """Return the teacher's maps at strides 8, 16 and 32 of the covers that these latents become."""
        with self.autocast():
            covers = self.paint(latents)
        covers = covers.float().clamp(-1, 1).contiguous(memory_format=torch.channels_last)
        return self.teacher(covers)[1:]


def disturbed(latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return latents as a composer may leave them: a quarter as they are, a quarter with noise, a quarter with a
    rectangle of another cover's, a quarter half way to another cover.

    Args:
        latents: (N, C, H, H) of real covers, N a multiple of 4.
        generator: of the random numbers.
    """
    clean, noisy, pasted, mixed = latents.chunk(4)
    strength = torch.rand(len(noisy), 1, 1, 1, generator=generator)
    noisy = noisy + strength * torch.randn(noisy.shape, generator=generator)
    side = latents.shape[-1]
    top, left, height, width = (torch.randint(0, side, (len(pasted), 1), generator=generator) for _ in range(4))
    place = torch.arange(side)
    inside = ((place >= top) & (place <= top + height))[:, None, :, None]
    inside = inside & ((place >= left) & (place <= left + width))[:, None, None, :]
    pasted = torch.where(inside, pasted.roll(1, 0), pasted)
    share = torch.rand(len(mixed), 1, 1, 1, generator=generator)
    mixed = torch.lerp(mixed, mixed.roll(1, 0), share)
    return torch.cat((clean, noisy, pasted, mixed)).contiguous(memory_format=torch.channels_last)
