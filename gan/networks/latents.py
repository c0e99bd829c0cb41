"""What judges an autoencoder's latents: a discriminator that learns, and a frozen network's features taught to one
that reads latents, so that a projected discriminator needs neither the decoder nor the large network.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

from gan.networks.painter import ResidualBlock, asked_for, conv, embedding, sizes_up_to


FEATURE_CHANNELS = (40, 112, 320)  # of EfficientNet-lite0 at strides 8, 16 and 32: one, two and four positions


def _halving(latent_channels: int, positions: int, width: int, convolutions: int) -> nn.ModuleList:
    """Return a stage for each size from `positions` to 4: a convolution, of stride 2 but in the first, and a block."""
    stages, channels = [nn.Sequential(conv(latent_channels, width), ResidualBlock(width, convolutions))], width
    for _ in sizes_up_to(positions)[1:]:
        halve = conv(channels, 2 * channels, 4, 2)
        stages.append(nn.Sequential(nn.LeakyReLU(0.2), halve, ResidualBlock(2 * channels, convolutions)))
        channels *= 2
    return nn.ModuleList(stages)


class LatentDiscriminator(ModelMixin, ConfigMixin):
    """Map latents of covers to logits, of which only differences mean something (for a relativistic loss).

    Nothing in it keeps batch statistics, so that a gradient penalty is one of each cover (Huang et al. 2024, section
    4.2).

    Args:
        latent_channels: numbers at each position.
        positions: a side, a power of two from 4 on.
        width: channels at that size; each halving doubles them.
        genres, clusters, palette: the conditions, as in `PainterGenerator`; each adds to a cover's logit one that is
            linear in its features (Miyato and Koyama 2018, "cGANs with Projection Discriminator", section 3).
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 8,
        positions: int = 16,
        width: int = 96,
        genres: Sequence[str] = (),
        clusters: int = 0,
        palette: int = 0,
    ):
        super().__init__()
        self.stages = _halving(latent_channels, positions, width, convolutions=1)
        channels = width * positions // 4
        self.to_features = conv(channels, channels, 1)
        self.to_logit = nn.Linear(channels, 1)
        nn.init.normal_(self.to_logit.weight, 0.0, 1 / math.sqrt(channels))
        self.pool = nn.Conv2d(channels, channels, 4, groups=channels)  # 4x4 -> 1x1, each channel by itself
        nn.init.normal_(self.pool.weight, 0.0, 1 / 4)
        self.genre_embedding = embedding(len(genres), channels) if genres else None
        self.cluster_embedding = embedding(clusters, channels) if clusters else None
        self.palette_embedding = nn.Linear(palette, channels, bias=False) if palette else None
        if self.palette_embedding is not None:
            nn.init.zeros_(self.palette_embedding.weight)

    def forward(
        self,
        latents: torch.Tensor,
        labels: torch.Tensor | None = None,
        clusters: torch.Tensor | None = None,
        palette: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Map (N, latent_channels, positions, positions) of about unit variance to (N,) logits; the conditions as in
        `PainterGenerator`."""
        x = latents
        for stage in self.stages:
            x = stage(x)
        features = self.pool(F.leaky_relu(self.to_features(F.leaky_relu(x, 0.2)), 0.2)).flatten(1)
        with torch.autocast(features.device.type, enabled=False):  # only differences of logits count: no rounding here
            features = features.float()
            logits = self.to_logit(features).flatten()
            for vector in asked_for(self, labels, clusters, palette):
                logits = logits + (features * vector).mean(1)
            return logits


class LatentFeatures(ModelMixin, ConfigMixin):
    """Map latents to what EfficientNet-lite0 sees in the cover that the decoder makes of them (Hinton et al. 2015,
    "Distilling the Knowledge in a Neural Network", with feature maps in place of classes).

    Its maps are those at strides 8, 16 and 32, each channel scaled to mean 0 and deviation 1 over real covers.

    Args:
        latent_channels: numbers at each position.
        positions: a side, a power of two from 16 on.
        width: channels at that size; each halving doubles them.
    """

    @register_to_config
    def __init__(self, latent_channels: int = 8, positions: int = 16, width: int = 80):
        super().__init__()
        if positions < 4 * 2 ** (len(FEATURE_CHANNELS) - 1):
            raise ValueError(f"positions must be at least 16, not {positions}")
        self.stages = _halving(latent_channels, positions, width, convolutions=2)[: len(FEATURE_CHANNELS)]
        self.to_maps = nn.ModuleList(
            conv(width * 2**k, channels, 1, gain=1.0) for k, channels in enumerate(FEATURE_CHANNELS)
        )
        for k, channels in enumerate(FEATURE_CHANNELS):
            self.register_buffer(f"mean{k}", torch.zeros(channels))
            self.register_buffer(f"deviation{k}", torch.ones(channels))

    def forward(self, latents: torch.Tensor) -> list[torch.Tensor]:
        """Map (N, latent_channels, positions, positions) of about unit variance to three maps: 40 channels at as many
        positions, 112 at half and 320 at a quarter of them a side."""
        x, maps = latents, []
        for stage, to_map in zip(self.stages, self.to_maps, strict=True):
            x = stage(x)
            maps.append(to_map(F.leaky_relu(x, 0.2)))
        return maps

    def scaled(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the maps of EfficientNet-lite0 at strides 8, 16 and 32 as this network is to give them."""
        return [
            (found.float() - getattr(self, f"mean{k}")[:, None, None]) / getattr(self, f"deviation{k}")[:, None, None]
            for k, found in enumerate(maps)
        ]

    @torch.no_grad()
    def set_scales(self, means: torch.Tensor, deviations: torch.Tensor) -> None:
        """Take the means and deviations of real covers' maps, (40 + 112 + 320,) each, one map after the other."""
        for k, parts in enumerate(zip(means.split(FEATURE_CHANNELS), deviations.split(FEATURE_CHANNELS), strict=True)):
            getattr(self, f"mean{k}").copy_(parts[0])
            getattr(self, f"deviation{k}").copy_(parts[1])
