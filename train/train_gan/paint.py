"""Paint, the first phase: an autoencoder learns how covers look from near, on small parts of them.

As in "Taming Transformers" (Esser et al. 2021, section 3.1): colours, what a frozen network sees, and at last a
discriminator of patches, which asks for the crispness that the others do not. Then the latents of all covers are
computed once, and what composes them never needs to see a pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from gan.losses import hinge_discriminator_loss
from gan.networks.efficientnet_lite import EfficientNetLite
from train.train_gan.updates import LARGEST_NORM, falling, update


SCALES = 3  # strides 4, 8 and 16: a part is too small for more


@dataclass
class Painting:
    """Hold everything that this phase changes, and change it step by step.

    Args:
        encoder, decoder: (N, 3, H, W) covers in -1..1 to latents, and back.
        critic: a discriminator of patches, see `gan.networks.patch`.
        features: a frozen network; None does without, and covers become softer.
        optimizer, critic_optimizer: of encoder and decoder; of the critic.
        learning_rate: at the start; a twentieth of it at the end, along a cosine.
        feature_weight: of the difference in features against that in colours.
        critic_weight: of the critic's verdict.
        critic_from: share of the phase after which the critic joins.
        latent_weight: of the latents' mean square, which keeps them near 0.
        latent_noise: deviation of what is added to them, so that the decoder forgives what a composer gets wrong.
        autocast: the context in which networks compute.
        accelerator: the processes that share a batch.
    """

    encoder: nn.Module
    decoder: nn.Module
    critic: nn.Module
    features: EfficientNetLite | None
    optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    autocast: Callable[..., Any]
    accelerator: Accelerator
    learning_rate: float = 1e-3
    critic_learning_rate: float = 3e-4
    feature_weight: float = 0.3
    critic_weight: float = 0.1
    critic_from: float = 0.55
    latent_weight: float = 0.01
    latent_noise: float = 0.1

    def step(self, covers: torch.Tensor, noise: torch.Tensor, done: float) -> dict[str, torch.Tensor]:
        """Teach the autoencoder, and the critic once it has joined.

        Args:
            covers: (N, 3, H, W) parts of covers in -1..1, sides multiples of 16.
            noise: normal numbers, as many as their latents have.
            done: share of the phase that is over, 0..1.

        Returns:
            What `metrics.jsonl` shows: `l1`, `feature_distance`, `latent_deviation`, `loss_critic`, `gradient_norm`.
        """
        rate = falling(self.learning_rate, done)
        judged = done >= self.critic_from
        with self.autocast():
            latents = self.encoder(covers).float()
            painted = self.decoder(latents + self.latent_noise * noise).float()
        difference = (painted - covers).abs().mean()
        loss = difference + self.latent_weight * latents.square().mean()
        shown = {"l1": difference.detach(), "latent_deviation": latents.detach().std()}
        if self.features is not None:
            some = slice(None, None, 2)  # half of them: these features cost more than the autoencoder itself
            distance = feature_distance(self.features, painted[some], covers[some])
            loss = loss + self.feature_weight * distance
            shown["feature_distance"] = distance.detach()
        if judged:
            self.critic.requires_grad_(False)
            with self.autocast():
                loss = loss - self.critic_weight * self.critic(painted).float().mean()
            self.critic.requires_grad_(True)
        self.optimizer.zero_grad()
        loss.backward()
        shown["gradient_norm"] = update(self.optimizer, rate, self.accelerator, LARGEST_NORM)
        if judged:
            with self.autocast():
                real, fake = self.critic(covers).float(), self.critic(painted.detach()).float()
            shown["loss_critic"] = teach_critic(
                self.critic_optimizer, real, fake, self.critic_learning_rate, self.accelerator
            )
        return shown


def teach_critic(
    optimizer: torch.optim.Optimizer,
    real: torch.Tensor,
    fake: torch.Tensor,
    learning_rate: float,
    accelerator: Accelerator,
) -> torch.Tensor:
    """Take a step of the critic of patches, by its logits of real and of painted parts; return its loss."""
    loss = hinge_discriminator_loss(real, fake)
    optimizer.zero_grad()
    loss.backward()
    update(optimizer, learning_rate, accelerator, LARGEST_NORM)
    return loss.detach()


def feature_distance(features: EfficientNetLite, painted: torch.Tensor, covers: torch.Tensor) -> torch.Tensor:
    """Return how differently a frozen network sees two sets of (N, 3, H, W) covers: at each of three scales the mean
    difference against the mean value (Johnson et al. 2016, "Perceptual Losses", equation 2, with L1)."""
    with torch.no_grad():
        wanted = features(covers, SCALES)
    found, each = features(painted, SCALES), (1, 2, 3)
    return sum(((a - b).abs().mean(each) / b.abs().mean(each)).mean() for a, b in zip(found, wanted, strict=True))
