"""A judge of latents that has learned to take noise off them, before it judges any.

Whoever can tell noise from a cover, at every strength of noise, knows what covers consist of: their grounds when
hardly anything else is left, lines and letters when hardly anything is missing. Small discriminators on what such a
network sees judge composed latents ("Fast High-Resolution Image Synthesis with Latent Adversarial Diffusion
Distillation", Sauer et al. 2024, https://arxiv.org/abs/2403.12015, section 3).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan.networks.painter import Attention, asked_for, conv, embedding, sizes_up_to


WAVES = 32  # by which a moment is told: that many sines, and as many cosines


class Moment(nn.Module):
    """Map (N,) moments, 0..1, to (N, 64) sines and cosines (Vaswani et al. 2017, section 3.5)."""

    def __init__(self) -> None:
        super().__init__()
        self.frequencies: torch.Tensor
        self.register_buffer("frequencies", math.pi * 2 ** torch.linspace(0, 6, WAVES))

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        angles = time[:, None] * self.frequencies
        return torch.cat((angles.sin(), angles.cos()), 1)


class DenoiserBlock(nn.Module):
    """Add what two 3x3 convolutions give, each after a normalisation, the second with a gain and a bias that follow
    from the moment (Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", section 3.1). A new one
    changes nothing yet.
    """

    def __init__(self, channels: int, features: int):
        super().__init__()
        groups = math.gcd(16, channels)
        self.norms = nn.ModuleList(nn.GroupNorm(groups, channels, affine=affine) for affine in (True, False))
        self.convolutions = nn.ModuleList(conv(channels, channels, gain=gain) for gain in (1.0, 0.0))
        self.to_gain_and_bias = nn.Linear(features, 2 * channels)
        nn.init.normal_(self.to_gain_and_bias.weight, 0.0, 0.3 / math.sqrt(features))
        nn.init.zeros_(self.to_gain_and_bias.bias)

    def forward(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        y = self.convolutions[0](F.silu(self.norms[0](x)))
        gain, bias = self.to_gain_and_bias(features)[:, :, None, None].to(y.dtype).chunk(2, 1)
        return x + self.convolutions[1](F.silu(torch.addcmul(bias, self.norms[1](y), 1 + gain)))


class DenoiserStage(nn.Module):
    """Do what is done at one size: some blocks, and then, where asked for, all positions look at each other."""

    def __init__(self, channels: int, features: int, depth: int, attends: bool):
        super().__init__()
        self.blocks = nn.ModuleList(DenoiserBlock(channels, features) for _ in range(depth))
        self.attention = Attention(channels) if attends else nn.Identity()

    def forward(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x, features)
        return self.attention(x)


class Denoiser(ModelMixin, ConfigMixin):
    """Map noisy latents to the direction that leads from covers to noise: a U-Net (Ronneberger et al. 2015).

    Args:
        latent_channels: numbers at each position.
        positions: a side, a power of two from 4 on.
        width: channels at that size; doubled at each halving, down to 4x4.
        max_width: most channels of any size.
        depth: blocks at each size, on the way down and on the way up. Positions look at each other at all smaller
            sizes.
    """

    @register_to_config
    def __init__(
        self, latent_channels: int = 8, positions: int = 16, width: int = 96, max_width: int = 256, depth: int = 2
    ):
        super().__init__()
        widths, features = stage_widths(positions, width, max_width), max_width
        self.moment = Moment()
        self.to_features = nn.Sequential(nn.Linear(2 * WAVES, features), nn.SiLU(), nn.Linear(features, features))
        self.first = conv(latent_channels, widths[0], gain=1.0)
        self.down = nn.ModuleList(DenoiserStage(c, features, depth, k > 0) for k, c in enumerate(widths))
        self.up = nn.ModuleList(DenoiserStage(c, features, depth, k > 0) for k, c in enumerate(widths[:-1]))
        self.halvings = nn.ModuleList(conv(4 * above, below, 1, gain=1.0) for above, below in pairwise(widths))
        self.narrowings = nn.ModuleList(conv(below, above, 1, gain=1.0) for above, below in pairwise(widths))
        self.joinings = nn.ModuleList(conv(2 * channels, channels, 1, gain=1.0) for channels in widths[:-1])
        self.norm = nn.GroupNorm(math.gcd(16, widths[0]), widths[0])
        self.to_direction = conv(widths[0], latent_channels, gain=0.0)

    def forward(self, latents: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Map (N, latent_channels, positions, positions) at (N,) moments, 0 for a cover and 1 for noise, to as many
        numbers: noise less cover, as far as one can tell."""
        return self.to_direction(F.silu(self.norm(self.see(latents, time)[-1])))

    def see(self, latents: torch.Tensor, time: torch.Tensor) -> list[torch.Tensor]:
        """Return what the network holds after each stage, on the way down and up again."""
        features = F.silu(self.to_features(self.moment(time)))
        x, maps = self.first(latents), []
        for k, stage in enumerate(self.down):
            x = stage(self.halvings[k - 1](F.pixel_unshuffle(x, 2)) if k else x, features)
            maps.append(x)
        for k in reversed(range(len(self.up))):
            x = F.interpolate(self.narrowings[k](x), scale_factor=2.0, mode="nearest")
            x = self.up[k](self.joinings[k](torch.cat((x, maps[k]), 1)), features)
            maps.append(x)
        return maps


class DenoiserHeads(ModelMixin, ConfigMixin):
    """Map what a `Denoiser` sees to logits, for the hinge loss: a small discriminator for each of its stages.

    Args:
        positions, width, max_width: of the denoiser.
        channels: of each head.
        genres, clusters, palette: the conditions, as in `PainterGenerator`; each adds to what a head says one that is
            linear in its features.
    """

    @register_to_config
    def __init__(
        self,
        positions: int = 16,
        width: int = 96,
        max_width: int = 256,
        channels: int = 96,
        genres: Sequence[str] = (),
        clusters: int = 0,
        palette: int = 0,
    ):
        super().__init__()
        widths = stage_widths(positions, width, max_width)
        stages = [(c, positions // 2**k) for k, c in enumerate(widths)]
        self.moment = Moment()
        self.heads = nn.ModuleList(Head(c, side, channels) for c, side in [*stages, *stages[-2::-1]])
        features = channels * len(self.heads)
        self.genre_embedding = embedding(len(genres), features) if genres else None
        self.cluster_embedding = embedding(clusters, features) if clusters else None
        self.palette_embedding = nn.Linear(palette, features, bias=False) if palette else None
        if self.palette_embedding is not None:
            nn.init.zeros_(self.palette_embedding.weight)

    def forward(
        self,
        maps: Sequence[torch.Tensor],
        time: torch.Tensor,
        labels: torch.Tensor | None = None,
        clusters: torch.Tensor | None = None,
        palette: torch.Tensor | None = None,
    ) -> list[torch.Tensor]:
        """Judge N latents by their maps at (N,) moments, and by the conditions, as in `PainterGenerator`: of each head
        (N, positions) logits, above zero for "real"."""
        waves = self.moment(time)
        asked = waves.new_zeros(len(waves), self.config["channels"] * len(self.heads))
        for vector in asked_for(self, labels, clusters, palette):
            asked = asked + vector
        parts = asked.chunk(len(self.heads), 1)
        return [head(found, waves, part) for head, found, part in zip(self.heads, maps, parts, strict=True)]


class Head(nn.Module):
    """Judge one map, as a sum of what its positions look like and of how that fits the moment and what was asked for
    (a projection: Miyato and Koyama 2018, "cGANs with Projection Discriminator", section 3)."""

    def __init__(self, channels: int, side: int, width: int):
        super().__init__()
        layers = [spectral_norm(nn.Conv2d(channels, width, 1)), nn.LeakyReLU(0.2)]
        layers += [spectral_norm(nn.Conv2d(width, width, 3, padding=1)), nn.LeakyReLU(0.2)]
        if side > 4:
            layers += [spectral_norm(nn.Conv2d(width, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.to_logits = spectral_norm(nn.Conv2d(width, 1, 3, padding=1))
        self.from_moment = nn.Linear(2 * WAVES, width)

    def forward(self, found: torch.Tensor, waves: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        y = self.layers(F.layer_norm(found, found.shape[1:]))
        fits = (y * (self.from_moment(waves) + asked)[:, :, None, None]).mean(1, keepdim=True)
        return (self.to_logits(y) + fits).float().flatten(1)


def stage_widths(positions: int, width: int, max_width: int) -> list[int]:
    """Return the channels of each stage, from `positions` down to four a side.

    Raises:
        ValueError: `positions` is no power of two from 4 on.
    """
    return [min(max_width, width * positions // size) for size in reversed(sizes_up_to(positions))]
