"""Steer, the last phase: learn what to add to latents so that a cover of a kind, or of some colours, is drawn.

Covers of all kinds and colours are among the latents already, so the generator stays as it is. What is learned is a
vector for each kind and a matrix for colours, which move a latent vector to where such covers are (Jahanian et al.
2020, "On the 'steerability' of generative adversarial networks", section 3). Painted covers are looked at: their kinds
by the frozen network in whose features the kinds were found, their colours as they are counted in real ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator

from gan.networks.efficientnet_lite import EfficientNetLite
from gan.networks.painter import PainterGenerator
from gan.palettes import colour_shares
from train.train_gan.compose import Conditions
from train.train_gan.conditions import Kinds
from train.train_gan.updates import LARGEST_NORM, falling, update


@dataclass
class Steering:
    """Hold everything that this phase changes, and change it step by step.

    Args:
        generator: its vectors of kinds and colours learn.
        features: the frozen network that found the kinds; None where there are none.
        optimizer: of the generator.
        autocast: the context in which networks compute.
        accelerator: the processes that share a batch.
        kinds: which clusters covers fall into; None where none can be asked for.
        learning_rate: at the start; a twentieth of it at the end, along a cosine; vectors learn `FASTER` times as
            fast, see painter.py.
        kinds_weight: of how much kinds surprise, against the share of a cover whose colour is another.
        shift_weight: of the mean square of what is added, so that covers that were asked for still differ.
    """

    generator: PainterGenerator
    features: EfficientNetLite | None
    optimizer: torch.optim.Optimizer
    autocast: Callable[..., Any]
    accelerator: Accelerator
    kinds: Kinds | None = None
    learning_rate: float = 0.0025
    kinds_weight: float = 0.2
    shift_weight: float = 0.06

    def step(self, latents: torch.Tensor, conditions: Conditions, done: float) -> dict[str, torch.Tensor]:
        """Teach the vectors.

        Args:
            latents: (N, latent_dim) normal numbers.
            conditions: what is asked of each cover, `clusters`, `palette` or both.
            done: share of the phase that is over, 0..1.

        Returns:
            What `metrics.jsonl` shows.
        """
        with self.autocast():
            condition = self.generator.condition(latents, **conditions)
            covers = self.generator.paint(self.generator.composer(condition))
        shift = condition.float() - latents
        loss = self.shift_weight * shift.square().mean()
        covers, shown = covers.float().clamp(-1, 1), {"shift": shift.detach().norm(dim=1).mean()}
        if (asked := conditions.get("palette")) is not None:
            apart = (colour_shares((covers + 1) * 127.5) - asked).abs().sum(1) / 2
            told = asked.any(1)
            loss = loss + (apart * told).mean()  # of all covers, so that processes may share them in any way
            shown["other_colours"] = (apart * told).detach().sum() / told.sum().clamp_min(1)
        if self.kinds is not None and self.features is not None:
            maps = self.features(covers.contiguous(memory_format=torch.channels_last))
            surprise = self.kinds.surprise(self.features.pool(maps[-1]), conditions["clusters"])
            loss, shown["loss_g_kinds"] = loss + self.kinds_weight * surprise, surprise.detach()
        self.optimizer.zero_grad()
        loss.backward()
        rate = falling(self.learning_rate, done)
        shown["gradient_norm_g"] = update(self.optimizer, rate, self.accelerator, LARGEST_NORM)
        return shown
