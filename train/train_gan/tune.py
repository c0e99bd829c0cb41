"""Tune, the last phase: composing goes on, and a third discriminator looks at what is painted from the latents.

It stands on the frozen network itself (Sauer et al. 2021), of which the student before saw half: figures become
clearer within minutes. Alone it forgets colours as quickly; beside the discriminator of latents, which knows them, it
does not.

The same network found the clusters of covers, so it sees of which kind a painted cover is, too, and leads the composer
to the kind that was asked for (guidance by a frozen classifier: Sauer et al. 2022, "StyleGAN-XL"). The projection in
the discriminator of latents alone taught no kinds: of 512 real covers it preferred the true kind to another one 52
times of 100, and 2.7% of what was drawn was of the kind asked for, which chance does better.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator

from gan.augment import Augmentation, augment
from gan.losses import hinge_discriminator_loss
from gan.networks.efficientnet_lite import EfficientNetLite
from gan.networks.projected import ProjectedDiscriminator
from train.train_gan.conditions import Kinds
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
        kinds: which clusters covers fall into; None where none can be asked for.
    """

    paint: Callable[[torch.Tensor], torch.Tensor]
    features: EfficientNetLite
    heads: ProjectedDiscriminator
    optimizer: torch.optim.Optimizer
    autocast: Callable[..., Any]
    accelerator: Accelerator
    kinds: Kinds | None = None

    def look(self, latents: torch.Tensor, draw: Augmentation) -> list[torch.Tensor]:
        """Return the frozen network's maps of what is painted from (N, C, positions, positions) latents.

        Args:
            latents: gradients reach them alone.
            draw: how to augment what is painted from them.
        """
        with self.autocast():
            covers = self.paint(latents)
        return self.features(augment(covers.float(), draw).contiguous(memory_format=torch.channels_last))

    def teach(
        self, real: Sequence[torch.Tensor], fake: Sequence[torch.Tensor], learning_rate: float
    ) -> dict[str, torch.Tensor]:
        """Let the heads learn to tell maps of encoded covers from maps of composed ones."""
        with self.autocast():
            logits = [self.heads([found.detach() for found in maps]) for maps in (real, fake)]
        loss = hinge_discriminator_loss(*logits)
        self.optimizer.zero_grad()
        loss.backward()
        update(self.optimizer, learning_rate, self.accelerator, LARGEST_NORM)
        return {"loss_painted": loss.detach()}

    def verdict(
        self, maps: Sequence[torch.Tensor], asked: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Judge the maps of N composed covers.

        Args:
            maps: what `look` found.
            asked: (N,) int64, the kinds asked for.

        Returns:
            The mean logit, above zero for "real"; and by how much their kinds surprise, on average (`Kinds.surprise`).
        """
        self.heads.requires_grad_(False)
        with self.autocast():
            judged = self.heads(maps).mean()
        self.heads.requires_grad_(True)
        if self.kinds is None or asked is None:
            return judged, judged.new_zeros(())
        return judged, self.kinds.surprise(self.features.pool(maps[-1]), asked).mean()
