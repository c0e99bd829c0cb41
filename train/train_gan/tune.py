"""Tune, the last phase: composing goes on, and a third discriminator looks at what is painted from the latents.

It stands on the frozen network itself (Sauer et al. 2021), of which the student before saw half: figures become
clearer within minutes. Alone it forgets colours as quickly; beside the discriminator of latents, which knows them, it
does not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator

from gan.augment import Augmentation, augment
from gan.losses import hinge_discriminator_loss
from gan.networks.efficientnet_lite import EfficientNetLite
from gan.networks.projected import ProjectedDiscriminator
from train.train_gan.updates import LARGEST_NORM, update


@dataclass
class PaintedJudge:
    """Judge latents by the covers that are painted from them.

    Covers of the dataset are encoded and painted, too: by traces of the painter nobody can tell the two apart, and
    what is judged is what was composed.

    Args:
        paint: (N, C, positions, positions) latents of unit variance to covers in -1..1; it does not learn.
        features: the frozen network.
        heads: a discriminator of its four maps.
        optimizer: of the heads.
        autocast: the context in which networks compute.
        accelerator: the processes that share a batch.
    """

    paint: Callable[[torch.Tensor], torch.Tensor]
    features: EfficientNetLite
    heads: ProjectedDiscriminator
    optimizer: torch.optim.Optimizer
    autocast: Callable[..., Any]
    accelerator: Accelerator

    def teach(
        self, real: torch.Tensor, fake: torch.Tensor, draw: Augmentation, learning_rate: float
    ) -> dict[str, torch.Tensor]:
        """Let the heads learn to tell encoded (N, C, positions, positions) latents from composed ones."""
        with torch.no_grad():
            maps = [self._look(latents, draw) for latents in (real, fake)]
        with self.autocast():
            logits = [self.heads(found) for found in maps]
        loss = hinge_discriminator_loss(*logits)
        self.optimizer.zero_grad()
        loss.backward()
        update(self.optimizer, learning_rate, self.accelerator, LARGEST_NORM)
        return {"loss_painted": loss.detach()}

    def verdict(self, latents: torch.Tensor, draw: Augmentation) -> torch.Tensor:
        """Return the mean logit of latents, above zero for "real"; gradients reach the latents alone."""
        self.heads.requires_grad_(False)
        maps = self._look(latents, draw)
        with self.autocast():
            judged = self.heads(maps).mean()
        self.heads.requires_grad_(True)
        return judged

    def _look(self, latents: torch.Tensor, draw: Augmentation) -> list[torch.Tensor]:
        with self.autocast():
            covers = self.paint(latents)
        return self.features(augment(covers.float(), draw).contiguous(memory_format=torch.channels_last))
