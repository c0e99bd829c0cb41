"""Tell how far painted covers are from what was asked of them: their colours, and their kind.

Colours are counted as they are in real covers. Kinds are told by the frozen network in whose features they were found.
Either is easily pleased by what is no cover at all, such as a texture everywhere, so both speak beside a judge of
covers, see refine.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from gan.networks.efficientnet_lite import EfficientNetLite
from gan.palettes import colour_shares
from train.train_gan.compose import Conditions
from train.train_gan.conditions import Kinds


@dataclass
class AskedLoss:
    """Look at painted covers.

    Args:
        autocast: the context in which the network computes.
        features: the frozen network that found the kinds; None where there are none.
        kinds: which clusters covers fall into; None where none can be asked for.
        colours_weight: of the share of a cover whose colour is another.
        kinds_weight: of how much kinds surprise, as far as they surprise more than `enough`.
        enough: how much real covers' own kinds do. Covers more typical of a kind than those are much alike.
    """

    autocast: Callable[..., Any]
    features: EfficientNetLite | None = None
    kinds: Kinds | None = None
    colours_weight: float = 2.0
    kinds_weight: float = 0.2
    enough: float = 1.15

    def looks(self, conditions: Conditions) -> bool:
        """Return whether anything can be asked for that it sees."""
        return "palette" in conditions or (self.kinds is not None and "clusters" in conditions)

    def missed(self, covers: torch.Tensor, conditions: Conditions) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compare (N, 3, H, W) covers in -1..1 with what was asked of each.

        Returns:
            The loss, and what `metrics.jsonl` shows of it.
        """
        loss, measured = covers.new_zeros(()), {}
        if (palette := conditions.get("palette")) is not None:
            apart = (colour_shares((covers + 1) * 127.5) - palette).abs().sum(1) / 2
            told = palette.any(1)
            loss = loss + self.colours_weight * (apart * told).mean()  # of all, so that any processes may share them
            measured["other_colours"] = (apart * told).detach().sum() / told.sum().clamp_min(1)
        if self.kinds is not None and "clusters" in conditions:
            assert self.features is not None  # they were found with it
            with self.autocast():
                maps = self.features(covers.contiguous(memory_format=torch.channels_last))
                pooled = self.features.pool(maps[-1]).float()
            surprise = self.kinds.surprise(pooled, conditions["clusters"])
            loss = loss + self.kinds_weight * (surprise - self.enough).clamp_min(0).mean()
            measured["loss_g_kinds"] = surprise.detach().mean()
        return loss, measured
