"""Compose, the third phase and the longest: a GAN whose pictures are the latents of covers.

Two discriminators judge. One sees the latents themselves, with R3GAN's loss and penalties (Huang et al. 2024): it
knows colours and textures. One stands on features of a frozen network (Sauer et al. 2021), taught to one that reads
latents: it knows figures, faces, lettering. The first alone leaves soft abstractions, the second forgets colours.
While tuning, a third looks at painted covers (tune.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn

from gan.augment import Augmentation
from gan.losses import (
    hinge_discriminator_loss,
    relativistic_discriminator_loss,
    relativistic_generator_loss,
    zero_centred_penalty,
)
from gan.networks.latents import LatentFeatures
from gan.networks.painter import PainterGenerator
from train.train_gan.double_backward import FastDoubleBackward
from train.train_gan.tune import PaintedJudge
from train.train_gan.updates import LARGEST_NORM, update


Conditions = dict[str, torch.Tensor]  # labels, clusters, palette: what `PainterGenerator.compose` takes by name


@dataclass
class Composing:
    """Hold everything that this phase changes, and change it step by step.

    Args:
        generator: its `compose` makes latents.
        critic: a discriminator of latents.
        features: the student of the phase before, frozen; None does without heads.
        heads: a discriminator of its maps.
        optimizer, critic_optimizer, heads_optimizer: of the generator, of the critic, of the heads.
        autocast: the context in which networks compute.
        accelerator: the processes that share a batch.
        learning_rate: of all three.
        penalty_weight: gamma of R1 and R2, taken at one cover in `penalty_every`.
        composer_share: of the learning rate, for the composer.
        heads_weight: of the heads' verdict against the critic's.
        painted: looks at what is painted from the latents, while tuning; None: nobody does.
        painted_every: so many covers a batch for each one that it sees: a painted one costs as much as five composed.
        painted_weight: of its verdict.
        kinds_weight: of how much the kinds of painted covers surprise, where kinds were asked for.
        waits: whether the composer learns nothing yet, because those who judge it are new.
    """

    generator: PainterGenerator
    critic: nn.Module
    features: LatentFeatures | None
    heads: nn.Module | None
    optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    heads_optimizer: torch.optim.Optimizer | None
    autocast: Callable[..., Any]
    accelerator: Accelerator
    learning_rate: float = 2e-4
    penalty_weight: float = 1.0
    penalty_every: int = 4
    composer_share: float = 1.0
    heads_weight: float = 0.15  # with 0.5 covers were softer by eye
    painted: PaintedJudge | None = None
    painted_every: int = 4
    painted_weight: float = 0.05  # with 0.5 its gradient drowns those of the others, which then win every pair
    kinds_weight: float = 0.1
    waits: bool = False
    _shown: dict[str, torch.Tensor] = field(default_factory=dict)

    def step(
        self,
        latents: torch.Tensor,
        real: torch.Tensor,
        shifts: tuple[int, int],
        conditions: Conditions,
        draw: Augmentation | None = None,
    ) -> dict[str, torch.Tensor]:
        """Teach the discriminators, then the composer.

        Args:
            latents: (N, latent_dim) normal numbers.
            real: (N, latent_channels, positions, positions) latents of covers, of unit variance.
            shifts: by how many positions down and right what the heads see is moved.
            conditions: those of the real covers, which the generated ones share.
            draw: how to augment what `painted` sees, real and generated alike.

        Returns:
            What `metrics.jsonl` shows: the losses, the penalty, the share of pairs told apart.
        """
        # what is composed is looked at once: by those who learn from it, and then by those who judge it
        with torch.set_grad_enabled(not self.waits):
            with self.autocast():
                fake = self.generator.compose(latents, **conditions).float()
            maps = self._look(fake, shifts)
            painted = self._look_at_painted(fake, draw)
        self._shown = {}
        self._teach_critic(real, fake.detach(), conditions)
        if self.heads is not None:
            self._teach_heads(real, maps, shifts)
        if self.painted is not None:
            with torch.no_grad():
                real_painted = self._look_at_painted(real, draw)
            self._shown |= self.painted.teach(real_painted, painted, self.learning_rate / 2)
        if not self.waits:
            self._teach_composer(real, fake, maps, painted, conditions)
        return self._shown

    def _look(self, latents: torch.Tensor, shifts: tuple[int, int]) -> list[torch.Tensor]:
        if self.features is None:
            return []
        with self.autocast():
            return self.features(shifted(latents, *shifts))

    def _look_at_painted(self, latents: torch.Tensor, draw: Augmentation | None) -> list[torch.Tensor]:
        if self.painted is None:
            return []
        assert draw is not None
        return self.painted.look(latents[:: self.painted_every], draw)

    def _teach_critic(self, real: torch.Tensor, fake: torch.Tensor, conditions: Conditions) -> None:
        both = torch.cat((real, fake))  # in one pass: in the critic no cover sees another
        asked = {name: torch.cat((value, value)) for name, value in conditions.items()}
        # the penalty at one cover in so many, the same ones however the processes share a batch
        penalised = torch.arange(len(both), device=both.device) % self.penalty_every == 0
        logits = both.new_empty(len(both))
        first = both[penalised].contiguous(memory_format=torch.channels_last).requires_grad_()
        with FastDoubleBackward(), self.autocast():
            logits[penalised] = judged = self.critic(
                first, **{name: value[penalised] for name, value in asked.items()}
            )
        rest = both[~penalised].contiguous(memory_format=torch.channels_last)
        with self.autocast():
            logits[~penalised] = self.critic(rest, **{name: value[~penalised] for name, value in asked.items()})
        penalty = 2 * zero_centred_penalty(judged, first)  # a mean of both, where R1 and R2 are a sum
        real_logits, fake_logits = logits.chunk(2)
        loss = relativistic_discriminator_loss(real_logits, fake_logits)
        self.critic_optimizer.zero_grad()
        (loss + self.penalty_weight * penalty).backward()
        norm = update(self.critic_optimizer, self.learning_rate, self.accelerator, LARGEST_NORM)
        told = (real_logits > fake_logits).float().mean()
        self._shown |= {"loss_d": loss.detach(), "gradient_penalty": penalty.detach(), "pair_accuracy": told}
        self._shown["gradient_norm_d"] = norm

    def _teach_heads(self, real: torch.Tensor, maps: Sequence[torch.Tensor], shifts: tuple[int, int]) -> None:
        assert self.heads is not None and self.heads_optimizer is not None
        with torch.no_grad():
            real_maps = self._look(real, shifts)
        with self.autocast():
            real_logits, fake_logits = self.heads(real_maps), self.heads([found.detach() for found in maps])
        loss = hinge_discriminator_loss(real_logits, fake_logits)
        self.heads_optimizer.zero_grad()
        loss.backward()
        update(self.heads_optimizer, self.learning_rate, self.accelerator, LARGEST_NORM)
        self._shown["loss_heads"] = loss.detach()

    def _teach_composer(
        self,
        real: torch.Tensor,
        fake: torch.Tensor,
        maps: Sequence[torch.Tensor],
        painted: Sequence[torch.Tensor],
        conditions: Conditions,
    ) -> None:
        self.critic.requires_grad_(False)  # gradients pass through it; its own are not computed
        with self.autocast():
            with torch.no_grad():  # in each pair both have the same conditions
                real_logits = self.critic(real, **conditions)
            loss = relativistic_generator_loss(real_logits, self.critic(fake, **conditions))
            self._shown["loss_g"] = loss.detach()
            if self.heads is not None:
                self.heads.requires_grad_(False)
                judged = self.heads(maps).mean()
                loss = loss - self.heads_weight * judged
                self._shown["loss_g_heads"] = -judged.detach()
                self.heads.requires_grad_(True)
        if self.painted is not None:
            clusters = conditions.get("clusters")
            asked = None if clusters is None else clusters[:: self.painted_every]
            judged, surprise = self.painted.verdict(painted, asked)
            loss = loss - self.painted_weight * judged + self.kinds_weight * surprise
            self._shown |= {"loss_g_painted": -judged.detach(), "loss_g_kinds": surprise.detach()}
        self.optimizer.zero_grad()
        loss.backward()
        self.critic.requires_grad_(True)
        rate = self.composer_share * self.learning_rate
        self._shown["gradient_norm_g"] = update(self.optimizer, rate, self.accelerator, LARGEST_NORM)


def shifted(latents: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Move (N, C, H, W) latents by so many positions; what comes in at an edge is that edge again."""
    reach = max(abs(down), abs(right))
    if reach == 0:
        return latents
    height, width = latents.shape[2:]
    padded = F.pad(latents, (reach,) * 4, mode="replicate")
    top, left = reach - down, reach - right
    return padded[:, :, top : top + height, left : left + width].contiguous(memory_format=torch.channels_last)
