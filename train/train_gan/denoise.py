"""Denoise, before composing or in its place: a judge learns what covers consist of, by taking noise off their latents.

A discriminator from nothing has to find out what is wrong with what is composed while that changes, and what is
composed soon wins. Taking noise off is learned from covers alone: nobody to beat, nothing left out, and every strength
of noise asks for something else. What is learned is the direction of the straight way from a cover to noise (flow
matching: Lipman et al. 2023, "Flow Matching for Generative Modeling", section 4; Liu et al. 2023, "Flow Straight and
Fast", section 2.1).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator

from gan.networks.denoiser import Denoiser
from train.train_gan.updates import falling, update


LARGEST_STEP = 1.0  # norm of the gradient beyond which it is shortened


@dataclass
class Denoising:
    """Hold everything that this phase changes, and change it step by step.

    Args:
        denoiser: what learns.
        optimizer: of it.
        autocast: the context in which networks compute.
        accelerator: the processes that share a batch.
        learning_rate: at the start; a twentieth of it at the end, along a cosine.
    """

    denoiser: Denoiser
    optimizer: torch.optim.Optimizer
    autocast: Callable[..., Any]
    accelerator: Accelerator
    learning_rate: float = 6e-4

    def step(
        self, real: torch.Tensor, noise: torch.Tensor, time: torch.Tensor, done: float
    ) -> dict[str, torch.Tensor]:
        """Teach the denoiser.

        Args:
            real: (N, latent_channels, positions, positions) latents of covers, of unit variance.
            noise: as many normal numbers.
            time: (N,) moments, from 0 for a cover to 1 for noise.
            done: share of the phase that is over, 0..1.

        Returns:
            What `metrics.jsonl` shows: `unexplained_noise`, the mean square of what the denoiser misses.
        """
        with self.autocast():
            found = self.denoiser(noisy(real, noise, time), time)
        missed = (found.float() - (noise - real)).square().mean()
        self.optimizer.zero_grad()
        missed.backward()
        norm = update(self.optimizer, falling(self.learning_rate, done), self.accelerator, LARGEST_STEP)
        return {"unexplained_noise": missed.detach(), "gradient_norm": norm}


def noisy(latents: torch.Tensor, noise: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """Return where the straight way from latents to noise is at (N,) moments."""
    return torch.lerp(latents, noise, time[:, None, None, None]).contiguous(memory_format=torch.channels_last)
