"""Compose, the third phase and the longest: a GAN whose pictures are the latents of covers.

Two discriminators judge. One sees the latents themselves, with R3GAN's loss and penalties (Huang et al. 2024): it
knows colours and textures. One stands on features of a frozen network (Sauer et al. 2021), taught to one that reads
latents: it knows figures, faces, lettering. The first alone leaves soft abstractions, the second forgets colours.
While tuning, a third looks at painted covers (tune.py).
"""

from collections.abc import Callable
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
        optimizer, critic_optimizer, heads_optimizer: of the composer and its embeddings, of the critic, of the heads.
        autocast: the context in which networks compute.
        accelerator: the processes that share a batch.
        learning_rate: of all three.
        penalty_weight: gamma of R1 and R2, taken at one cover in `penalty_every`.
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
    heads_weight: float = 0.5
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
        with self.autocast(), torch.set_grad_enabled(not self.waits):
            fake = self.generator.compose(latents, **conditions).float()
        self._shown = {}
        self._teach_critic(real, fake.detach(), conditions)
        if self.heads is not None:
            self._teach_heads(real, fake.detach(), shifts)
        if self.painted is not None:
            assert draw is not None
            some = slice(None, None, self.painted_every)
            self._shown |= self.painted.teach(real[some], fake.detach()[some], draw, self.learning_rate / 2)
        if not self.waits:
            self._teach_composer(real, fake, shifts, conditions, draw)
        return self._shown

    def _teach_critic(self, real: torch.Tensor, fake: torch.Tensor, conditions: Conditions) -> None:
        logits, penalty = [], torch.zeros((), device=real.device)
        for kind in (real, fake):
            # at one cover in so many, the same ones however the processes share a batch
            rows = kind.unflatten(0, (-1, self.penalty_every))
            asked = {name: value.unflatten(0, (-1, self.penalty_every)) for name, value in conditions.items()}
            first = rows[:, 0].clone(memory_format=torch.channels_last).requires_grad_()
            with FastDoubleBackward(), self.autocast():
                judged = self.critic(first, **{name: value[:, 0] for name, value in asked.items()})
            penalty = penalty + zero_centred_penalty(judged, first)
            others = {name: value[:, 1:].flatten(0, 1) for name, value in asked.items()}
            rest = rows[:, 1:].flatten(0, 1).contiguous(memory_format=torch.channels_last)
            with self.autocast():
                logits.append(torch.cat((judged, self.critic(rest, **others))))
        loss = relativistic_discriminator_loss(*logits)
        self.critic_optimizer.zero_grad()
        (loss + self.penalty_weight * penalty).backward()
        norm = update(self.critic_optimizer, self.learning_rate, self.accelerator, LARGEST_NORM)
        told = (logits[0] > logits[1]).float().mean()
        self._shown |= {"loss_d": loss.detach(), "gradient_penalty": penalty.detach(), "pair_accuracy": told}
        self._shown["gradient_norm_d"] = norm

    def _teach_heads(self, real: torch.Tensor, fake: torch.Tensor, shifts: tuple[int, int]) -> None:
        assert self.features is not None and self.heads is not None and self.heads_optimizer is not None
        with self.autocast():
            with torch.no_grad():
                maps = [self.features(shifted(kind, *shifts)) for kind in (real, fake)]
            real_logits, fake_logits = (self.heads(found) for found in maps)
        loss = hinge_discriminator_loss(real_logits, fake_logits)
        self.heads_optimizer.zero_grad()
        loss.backward()
        update(self.heads_optimizer, self.learning_rate, self.accelerator, LARGEST_NORM)
        self._shown["loss_heads"] = loss.detach()

    def _teach_composer(
        self,
        real: torch.Tensor,
        fake: torch.Tensor,
        shifts: tuple[int, int],
        conditions: Conditions,
        draw: Augmentation | None,
    ) -> None:
        self.critic.requires_grad_(False)  # gradients pass through it; its own are not computed
        with self.autocast():
            with torch.no_grad():  # in each pair both have the same conditions
                real_logits = self.critic(real, **conditions)
            loss = relativistic_generator_loss(real_logits, self.critic(fake, **conditions))
            self._shown["loss_g"] = loss.detach()
            if self.heads is not None and self.features is not None:
                self.heads.requires_grad_(False)
                judged = self.heads(self.features(shifted(fake, *shifts))).mean()
                loss = loss - self.heads_weight * judged
                self._shown["loss_g_heads"] = -judged.detach()
                self.heads.requires_grad_(True)
        if self.painted is not None and draw is not None:
            some = slice(None, None, self.painted_every)
            clusters = conditions.get("clusters")
            judged, surprise = self.painted.verdict(fake[some], draw, None if clusters is None else clusters[some])
            loss = loss - self.painted_weight * judged + self.kinds_weight * surprise
            self._shown |= {"loss_g_painted": -judged.detach(), "loss_g_kinds": surprise.detach()}
        self.optimizer.zero_grad()
        loss.backward()
        self.critic.requires_grad_(True)
        self._shown["gradient_norm_g"] = update(self.optimizer, self.learning_rate, self.accelerator, LARGEST_NORM)


def shifted(latents: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Move (N, C, H, W) latents by so many positions; what comes in at an edge is that edge again."""
    reach = max(abs(down), abs(right))
    if reach == 0:
        return latents
    height, width = latents.shape[2:]
    padded = F.pad(latents, (reach,) * 4, mode="replicate")
    top, left = reach - down, reach - right
    return padded[:, :, top : top + height, left : left + width].contiguous(memory_format=torch.channels_last)
