"""Guess which kind a cover is of, when nobody asked for one: that whose covers are most like it."""

import torch
import torch.nn.functional as F

from gan.networks.painter import PainterGenerator
from gan.pipeline import latents_from_seeds


COVERS = 8  # of each kind, seeds 0 and on: those that the page shows in a row, and a few more
AREA = 4  # positions a side of what is compared as one: a quarter of a cover of 128 pixels


class KindLooks:
    """Know what the covers of each kind have in common, in the latents that are composed for them.

    Args:
        generator: composes; it can be asked for kinds.
    """

    @torch.no_grad()
    def __init__(self, generator: PainterGenerator):
        points = latents_from_seeds(list(range(COVERS)), generator.config.latent_dim)
        kinds = torch.arange(generator.config.clusters)[:, None].expand(-1, COVERS)
        looks = torch.stack([look(generator.compose(points, clusters=kind)) for kind in kinds])
        self.deviation, self.mean = torch.std_mean(looks, (0, 1))
        self.deviation.clamp_(min=1e-6)
        self.middles = (looks.mean(1) - self.mean) / self.deviation

    def nearest(self, composed: torch.Tensor) -> int:
        """Return the kind, from 0 on, whose covers are most like (1, channels, side, side) composed latents."""
        return int(torch.cdist((look(composed) - self.mean) / self.deviation, self.middles).argmin())


def look(composed: torch.Tensor) -> torch.Tensor:
    """Describe (N, channels, side, side) latents by what is where, and how much of it: (N, features)."""
    return torch.cat([F.avg_pool2d(maps, AREA).flatten(1) for maps in (composed, composed.abs())], 1)
