"""Finish, when the composer has learned: the decoder learns to paint what is composed as crisply as real covers are.

While it learned to paint it saw latents of real covers alone, and what a composer gives is never quite like them. The
critic of patches, which looked over its shoulder then, now sees parts of composed covers, too. (Decoders of latent
diffusion have been finished by themselves, with the encoder frozen: https://huggingface.co/stabilityai/sd-vae-ft-mse.
That composed latents are among what is painted is ours.)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from gan.networks.efficientnet_lite import EfficientNetLite
from gan.networks.painter import SCALE, PainterGenerator
from train.train_gan.paint import feature_distance, teach_critic
from train.train_gan.updates import LARGEST_NORM, falling, update


@dataclass
class Finishing:
    """Hold everything that this phase changes, and change it step by step.

    Args:
        generator: its decoder learns.
        encoder: (N, 3, H, W) covers in -1..1 to latents; frozen.
        critic: a discriminator of patches, see `gan.networks.patch`.
        features: a frozen network; None does without.
        optimizer, critic_optimizer: of the decoder; of the critic.
        autocast: the context in which networks compute.
        accelerator: the processes that share a batch.
        learning_rate: at the start; a twentieth of it at the end, along a cosine.
        feature_weight, latent_noise: as in painting.
        critic_weight: of the critic's verdict.
        critic_from: share of the phase for which the critic learns alone: it has seen no composed cover yet.
    """

    generator: PainterGenerator
    encoder: nn.Module
    critic: nn.Module
    features: EfficientNetLite | None
    optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    autocast: Callable[..., Any]
    accelerator: Accelerator
    learning_rate: float = 3e-4
    critic_learning_rate: float = 3e-4
    feature_weight: float = 0.3
    critic_weight: float = 0.2
    critic_from: float = 0.1
    latent_noise: float = 0.1

    def step(
        self, covers: torch.Tensor, noise: torch.Tensor, latents: torch.Tensor, corner: tuple[int, int], done: float
    ) -> dict[str, torch.Tensor]:
        """Teach the decoder, then the critic.

        Args:
            covers: (N, 3, H, W) parts of covers in -1..1, sides multiples of 16.
            noise: normal numbers, as many as their latents have.
            latents: (N, latent_dim) normal numbers, to compose from.
            corner: row and column of the parts of what is composed, in positions.
            done: share of the phase that is over, 0..1.

        Returns:
            What `metrics.jsonl` shows: `l1`, `feature_distance`, `loss_critic`, `gradient_norm`.
        """
        count, positions = len(covers), covers.shape[2] // SCALE
        top, left = corner
        with torch.no_grad(), self.autocast():
            seen = self.generator.normalise(self.encoder(covers).float() + self.latent_noise * noise)
            composed = self.generator.compose(latents).float()
            composed = composed[:, :, top : top + positions, left : left + positions]
        with self.autocast():
            painted = self.generator.paint(torch.cat((seen, composed)).contiguous(memory_format=torch.channels_last))
        painted = painted.float()
        difference = (painted[:count] - covers).abs().mean()
        loss, shown = difference, {"l1": difference.detach()}
        if self.features is not None:
            some = slice(None, count, 2)  # half of them: these features cost more than the decoder itself
            distance = feature_distance(self.features, painted[some], covers[some])
            loss, shown["feature_distance"] = loss + self.feature_weight * distance, distance.detach()
        if done >= self.critic_from:
            self.critic.requires_grad_(False)
            with self.autocast():
                loss = loss - self.critic_weight * self.critic(painted).float().mean()
            self.critic.requires_grad_(True)
        self.optimizer.zero_grad()
        loss.backward()
        rate = falling(self.learning_rate, done)
        shown["gradient_norm"] = update(self.optimizer, rate, self.accelerator, LARGEST_NORM)
        with self.autocast():
            real, fake = self.critic(covers).float(), self.critic(painted.detach()).float()
        shown["loss_critic"] = teach_critic(
            self.critic_optimizer, real, fake, self.critic_learning_rate, self.accelerator
        )
        return shown
