"""Discriminators on the features of a frozen network: "Projected GANs Converge Faster" (Sauer et al. 2021,
https://arxiv.org/abs/2111.01007, section 3).

A discriminator looks where the generator is easiest to tell; one on fixed features of several depths is made to look
at everything that they hold. Two random, frozen mixings spread what each map tells over all channels and all scales
(section 3.2); then each scale has a small discriminator of its own, a head.
"""

from collections.abc import Callable, Sequence
from typing import Self

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan.networks.efficientnet_lite import TAPS, load_efficientnet_lite


MIXED = 64  # channels of the shallowest map after the mixing across channels; twice as many at each deeper one


class FeatureMixing(nn.Module):
    """Mix feature maps by random 1x1 convolutions, then from the deepest map up: each plus the one below it, doubled.

    Frozen. The 1x1 convolution of the paper's code comes before the doubling here, where it costs a quarter; on
    bilinear interpolation it makes no difference.

    Args:
        channels: of each map, the shallowest first.
    """

    def __init__(self, channels: Sequence[int]):
        super().__init__()
        mixed = [MIXED * 2**k for k in range(len(channels))]
        self.outputs = [mixed[max(0, k - 1)] for k in range(len(channels))]
        self.across_channels = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(channels, mixed, strict=True))
        self.across_scales = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(mixed, self.outputs, strict=True))
        self.requires_grad_(False)

    def forward(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Map feature maps, each of half the size of the one before, to as many with `outputs` channels each."""
        mixed = [mix(found) for mix, found in zip(self.across_channels, maps, strict=True)]
        out: list[torch.Tensor] = []
        below = None
        for mix, found in zip(reversed(self.across_scales), reversed(mixed), strict=True):
            below = mix(found if below is None else found + below)
            out.insert(0, below)
            below = F.interpolate(below, scale_factor=2.0, mode="bilinear", align_corners=False)
        return out


class ProjectedDiscriminator(ModelMixin, ConfigMixin):
    """Map feature maps to logits, of all heads side by side. For the hinge loss; no gradient penalty (section 4).

    Real and generated covers must go through it in separate batches: its batch normalisation would mix them.

    Args:
        channels: of each map, the shallowest first.
        sizes: of each map, in positions a side, powers of two from 4 on.
        width: channels of a head's layers, against those of its map: 1 is the paper's; a half costs a quarter.
    """

    @register_to_config
    def __init__(
        self, channels: Sequence[int] = (40, 112, 320), sizes: Sequence[int] = (16, 8, 4), width: float = 0.5
    ):
        super().__init__()
        self.mixing = FeatureMixing(channels)
        self.heads = nn.ModuleList(
            _head(outputs, size, round(width * 2 * outputs))
            for outputs, size in zip(self.mixing.outputs, sizes, strict=True)
        )

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Judge the maps of N covers, as (N, logits), above zero for "real"."""
        mixed = self.mixing(maps)
        return torch.cat([head(found).float().flatten(1) for head, found in zip(self.heads, mixed, strict=True)], 1)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let the heads learn, or not; the mixing never does."""
        self.heads.requires_grad_(requires_grad)
        return self


class FeatureDiscriminator(ModelMixin, ConfigMixin):
    """Map covers to logits, by what EfficientNet-lite0 sees in them at four scales.

    The frozen network is none of its modules: neither checkpoints nor optimisers hold it, and `requires_grad_` leaves
    it alone. It comes from its package.

    Args:
        resolution: height and width of a cover in pixels, a power of two from 128 on.
        width: as in `ProjectedDiscriminator`.
        genres: must be empty: with labels such a discriminator learns worse than without.
    """

    @register_to_config
    def __init__(self, resolution: int = 128, width: float = 0.5, genres: Sequence[str] = ()):
        super().__init__()
        if resolution < 128 or resolution & (resolution - 1):
            raise ValueError(f"resolution must be a power of two from 128 on, not {resolution}")
        if genres:
            raise ValueError("a projected discriminator knows no genres")
        self.judge = ProjectedDiscriminator(TAPS, [resolution // stride for stride in (4, 8, 16, 32)], width)
        self.__dict__["features"] = load_efficientnet_lite(0)

    def forward(self, covers: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Map (N, 3, resolution, resolution) covers in -1..1 into (N, logits), above zero for "real"."""
        return self.judge(self.features(covers.contiguous(memory_format=torch.channels_last)))

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let the heads learn, or not."""
        self.judge.requires_grad_(requires_grad)
        return self

    def _apply(self, change: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Let the frozen network follow to another device."""
        self.features._apply(change, recurse)
        return super()._apply(change, recurse)


def _head(channels: int, size: int, width: int) -> nn.Sequential:
    """Return 4x4 convolutions of stride 2 down to 4x4 positions, then one of 3x3 and a 4x4 one to a logit."""
    layers: list[nn.Module] = []
    while size > 4:
        layers += [spectral_norm(nn.Conv2d(channels, width, 4, 2, 1, bias=False))]
        layers += [nn.BatchNorm2d(width), nn.LeakyReLU(0.2, True)]
        size, channels = size // 2, width
    layers += [spectral_norm(nn.Conv2d(channels, width, 3, 1, 1, bias=False))]
    layers += [nn.BatchNorm2d(width), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(width, 1, 4)))
