"""Tune, the last phase and the lightest: the decoder learns to paint what the composer really gives it.

It has only ever painted latents of covers. On those it keeps to what it was taught; on composed ones, to which no
cover belongs, a discriminator of patches asks for as crisp a painting. With a projected discriminator on the frozen
network itself (Sauer et al. 2021) the composer learns through pixels, too: faces and lettering come soon, and colours
collapse soon after, so that is for a short time and only where eyes that do not know which is which prefer it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn

from gan.augment import Augmentation, augment
from gan.losses import hinge_discriminator_loss
from gan.networks.efficientnet_lite import EfficientNetLite
from train.train_gan.paint import feature_distance
from train.train_gan.updates import LARGEST_NORM, update


@dataclass
class Tuning:
    """Everything that this phase changes, and how.

    Args:
        generator: `compose` and `paint`, see `PainterGenerator`.
        critic: a discriminator of patches.
        features: a frozen network; None does without.
        heads: a projected discriminator of its four maps; None leaves the composer as it is.
        optimizer: of the decoder and, with heads, of the composer.
        critic_optimizer, heads_optimizer: of those who judge.
        autocast: the context in which networks compute.
        accelerator: the processes that share a batch.
        learning_rate: of all.
        feature_weight, critic_weight: as in `Painting`.
        heads_weight: of the heads' verdict.
    """

    generator: nn.Module
    critic: nn.Module
    features: EfficientNetLite | None
    heads: nn.Module | None
    optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    heads_optimizer: torch.optim.Optimizer | None
    autocast: Callable
    accelerator: Accelerator
    learning_rate: float = 1e-4
    feature_weight: float = 0.3
    critic_weight: float = 0.1
    heads_weight: float = 0.1

    def step(
        self, latents: torch.Tensor, covers: torch.Tensor, encoded: torch.Tensor, draw: Augmentation | None = None
    ) -> dict[str, torch.Tensor]:
        """Teach those who judge, then the decoder and perhaps the composer.

        Args:
            latents: (N, latent_dim) normal numbers.
            covers: (N, 3, H, W) in -1..1.
            encoded: their latents, of unit variance.
            draw: how to augment what the heads see, real and generated alike; None: not at all.

        Returns:
            What `metrics.jsonl` shows: `l1` and `feature_distance` of covers repainted, the losses.
        """
        with self.autocast(), torch.set_grad_enabled(self.heads is not None):
            composed = self.generator.compose(latents)
        with self.autocast():
            repainted = self.generator.paint(encoded).float()
            drawn = self.generator.paint(composed).float()
        painted = torch.cat((repainted, drawn))
        shown = self._teach_critic(covers, painted.detach())
        if self.heads is not None:
            shown |= self._teach_heads(covers, drawn.detach(), draw)
        difference = (repainted - covers).abs().mean()
        loss = difference
        shown["l1"] = difference.detach()
        if self.features is not None:
            distance = feature_distance(self.features, repainted, covers)
            loss = loss + self.feature_weight * distance
            shown["feature_distance"] = distance.detach()
        for judge in (self.critic, self.heads):
            if judge is not None:
                judge.eval().requires_grad_(False)  # gradients pass through it; nothing of it changes
        with self.autocast():
            loss = loss - self.critic_weight * self.critic(painted).float().mean()
        if self.heads is not None:
            loss = loss - self.heads_weight * self._judge(drawn, draw).mean()
        self.optimizer.zero_grad()
        loss.backward()
        shown["gradient_norm"] = update(self.optimizer, self.learning_rate, self.accelerator, LARGEST_NORM)
        self.critic.train().requires_grad_(True)
        if self.heads is not None:
            self.heads.train().requires_grad_(True)
        return shown

    def _teach_critic(self, covers: torch.Tensor, painted: torch.Tensor) -> dict[str, torch.Tensor]:
        with self.autocast():
            real, fake = self.critic(covers).float(), self.critic(painted).float()
        loss = hinge_discriminator_loss(real, fake)
        self.critic_optimizer.zero_grad()
        loss.backward()
        update(self.critic_optimizer, 3 * self.learning_rate, self.accelerator, LARGEST_NORM)
        return {"loss_critic": loss.detach()}

    def _teach_heads(
        self, covers: torch.Tensor, drawn: torch.Tensor, draw: Augmentation | None
    ) -> dict[str, torch.Tensor]:
        loss = hinge_discriminator_loss(self._judge(covers, draw), self._judge(drawn, draw))
        self.heads_optimizer.zero_grad()
        loss.backward()
        update(self.heads_optimizer, 2 * self.learning_rate, self.accelerator, LARGEST_NORM)
        return {"loss_heads": loss.detach()}

    def _judge(self, covers: torch.Tensor, draw: Augmentation | None) -> torch.Tensor:
        covers = covers if draw is None else augment(covers, draw)
        maps = self.features(covers.contiguous(memory_format=torch.channels_last))
        with self.autocast():
            return self.heads(maps)
