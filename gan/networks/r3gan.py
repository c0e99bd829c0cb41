"""R3GAN's networks: "The GAN is dead; long live the GAN! A Modern Baseline GAN" (Huang et al. 2024,
https://arxiv.org/abs/2501.05441, section 4 and appendix D).

A ResNeXt without normalisation: nothing keeps batch statistics, so real and generated covers may share a batch, and
what is drawn for one seed never depends on its neighbours. Both networks are mirror images of each other.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn


LEAKY_GAIN = math.sqrt(2 / (1 + 0.2**2))  # He et al. 2015 for LeakyReLU(0.2)


def _conv(channels_in: int, channels_out: int, kernel: int, gain: float, groups: int = 1, bias: bool = False):
    conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, groups=groups, bias=bias)
    nn.init.normal_(conv.weight, 0.0, gain / math.sqrt(conv.weight[0].numel()))
    if bias:
        nn.init.zeros_(conv.bias)
    return conv


def _channels(resolution: int, width: int, max_width: int) -> list[int]:
    """Channels from 4x4 up to `resolution`, e.g. 384, 384, 384, 384, 192 for 64 px, width 192, at most 384."""
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two from 8 on, not {resolution}")
    stages = resolution.bit_length() - 2
    return [min(max_width, width * 2**stage) for stage in reversed(range(stages))]


class GenreEmbedding(nn.Embedding):
    """A vector for each genre, the last one for "any". All start at zero: a run begins as if there were no genres."""

    def __init__(self, genres: Sequence[str], features: int):
        super().__init__(len(genres) + 1, features, _weight=torch.zeros(len(genres) + 1, features))

    def forward(self, labels: torch.Tensor | None) -> torch.Tensor:
        """(N,) int64 to (N, features); None to (1, features), that of "any"."""
        return self.weight[-1:] if labels is None else super().forward(labels)


class ResidualBlock(nn.Module):
    """1x1 to twice the channels, grouped 3x3, 1x1 back, added to the input (section 4.2).

    The last convolution starts at zero and the others are scaled down with depth (Fixup, Zhang et al. 2019), so that
    the network starts as the identity: that is what replaces normalisation.
    """

    def __init__(self, channels: int, group_size: int, depth: int):
        super().__init__()
        gain = LEAKY_GAIN * depth**-0.25
        groups = max(1, 2 * channels // group_size)
        self.expand = _conv(channels, 2 * channels, 1, gain, bias=True)
        self.mix = _conv(2 * channels, 2 * channels, 3, gain, groups=groups, bias=True)
        self.shrink = _conv(2 * channels, channels, 1, 0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.leaky_relu(self.expand(x), 0.2, inplace=True)  # a quarter of a GPU's memory less
        y = F.leaky_relu(self.mix(y), 0.2, inplace=True)
        return x + self.shrink(y)


def _doubling(size: int) -> torch.Tensor:
    """(2 * size, size): each pixel becomes two, three quarters of it and one of the next (bilinear interpolation).

    Its transpose, halved, is the [1, 3, 3, 1] / 8 filter at every second pixel; beyond an edge the edge goes on.
    """
    return F.interpolate(torch.eye(size)[None], scale_factor=2.0, mode="linear", align_corners=False)[0].T.contiguous()


def _resample(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """(N, C, H, H) to (N, C, H', H') by an (H', H) `matrix` for rows and for columns.

    As products, because their derivatives of every order are products, too, quick in every precision, and leave the
    layout in memory as it is. PyTorch's padding and interpolation change it, and with it all convolutions' speed.
    """
    count, channels, size, _ = x.shape
    new = len(matrix)
    rows = torch.bmm(matrix.expand(count, -1, -1), x.permute(0, 2, 3, 1).reshape(count, size, size * channels))
    both = torch.bmm(matrix.expand(count * new, -1, -1), rows.view(count * new, size, channels))
    return both.view(count, new, new, channels).permute(0, 3, 1, 2)


class Upsample(nn.Module):
    """A 1x1 convolution where channels change, then twice the size; bilinear is the paper's [1, 3, 3, 1] filter."""

    def __init__(self, channels_in: int, channels_out: int, size: int):
        super().__init__()
        self.project = _conv(channels_in, channels_out, 1, 1.0) if channels_in != channels_out else nn.Identity()
        self.register_buffer("doubling", _doubling(size), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _resample(self.project(x), self.doubling.to(x.dtype))


class Downsample(nn.Module):
    """Half the size by the [1, 3, 3, 1] filter, the antialiased bilinear one, then 1x1 where channels change."""

    def __init__(self, channels_in: int, channels_out: int, size: int):
        super().__init__()
        self.project = _conv(channels_in, channels_out, 1, 1.0) if channels_in != channels_out else nn.Identity()
        self.register_buffer("halving", _doubling(size // 2).T.contiguous() / 2, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.project(_resample(x, self.halving.to(x.dtype)))


class R3GANGenerator(ModelMixin, ConfigMixin):
    """Latents to covers.

    Args:
        resolution: height and width of a cover in pixels, a power of two.
        width: channels at full resolution; doubled at each halving of the size, up to `max_width`.
        max_width: most channels of any stage.
        blocks: residual blocks in each stage.
        group_size: channels in each group of the 3x3 convolutions (its authors' code: 16 for FFHQ, 32 for ImageNet).
        latent_dim: length of a latent vector.
        genres: names of what can be asked for, or none. The embedding that its authors' code concatenates with the
            latents adds a vector to the first layer's output; here that vector is learned.
    """

    @register_to_config
    def __init__(
        self,
        resolution: int = 64,
        width: int = 192,
        max_width: int = 384,
        blocks: int = 2,
        group_size: int = 32,
        latent_dim: int = 64,
        genres: Sequence[str] = (),
    ):
        super().__init__()
        widths = _channels(resolution, width, max_width)
        depth = blocks * len(widths)
        self.basis = nn.Parameter(torch.randn(widths[0], 4, 4))
        self.scale = nn.Linear(latent_dim, widths[0], bias=False)
        nn.init.normal_(self.scale.weight, 0.0, 1 / math.sqrt(latent_dim))
        layers: list[nn.Module] = []
        for stage, (above, channels) in enumerate(zip((widths[0], *widths), widths, strict=False)):
            layers += [Upsample(above, channels, 2 * 2**stage)] if layers else []
            layers += [ResidualBlock(channels, group_size, depth) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers)
        self.to_rgb = _conv(widths[-1], 3, 1, 1.0)
        self.genre_embedding = GenreEmbedding(genres, widths[0]) if genres else None

    def forward(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """(N, latent_dim) normal latents to (N, 3, resolution, resolution) covers, about -1..1 (not clipped).

        `labels`: (N,) int64 in 0..len(genres), the last one is "any"; None: all of them "any".
        """
        scale = self.scale(latents)
        precision = scale.dtype  # which all that is added to it has from here on
        if self.genre_embedding is not None:
            scale = scale + self.genre_embedding(labels)
        x = self.basis * scale[:, :, None, None]
        return self.to_rgb(self.layers(x.to(precision, memory_format=torch.channels_last)))


class R3GANDiscriminator(ModelMixin, ConfigMixin):
    """Covers to logits, of which only differences mean something (the loss is relativistic).

    Args:
        resolution, width, max_width, blocks, group_size: as in `R3GANGenerator`.
        genres: as in `R3GANGenerator`. Each has a logit of its own, linear in the pooled features, added to that of
            all (Miyato and Koyama 2018, "cGANs with Projection Discriminator", section 3).
    """

    @register_to_config
    def __init__(
        self,
        resolution: int = 64,
        width: int = 192,
        max_width: int = 384,
        blocks: int = 2,
        group_size: int = 32,
        genres: Sequence[str] = (),
    ):
        super().__init__()
        widths = _channels(resolution, width, max_width)
        depth = blocks * len(widths)
        self.from_rgb = _conv(3, widths[-1], 1, 1.0)
        layers: list[nn.Module] = []
        for stage, (channels, below) in enumerate(zip(reversed(widths), (*reversed(widths[:-1]), None), strict=True)):
            layers += [ResidualBlock(channels, group_size, depth) for _ in range(blocks)]
            layers += [Downsample(channels, below, resolution >> stage)] if below else []
        self.layers = nn.Sequential(*layers)
        self.basis = nn.Conv2d(widths[0], widths[0], 4, groups=widths[0], bias=False)  # 4x4 -> 1x1
        nn.init.normal_(self.basis.weight, 0.0, 1 / 4)
        self.to_logit = nn.Linear(widths[0], 1, bias=False)
        nn.init.normal_(self.to_logit.weight, 0.0, 1 / math.sqrt(widths[0]))
        self.genre_embedding = GenreEmbedding(genres, widths[0]) if genres else None

    def forward(self, covers: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """(N, 3, resolution, resolution) covers to (N,) logits; `labels` as in `R3GANGenerator`."""
        features = self.basis(self.layers(self.from_rgb(covers))).flatten(1)
        with torch.autocast(features.device.type, enabled=False):  # only differences of logits count: no rounding here
            features = features.float()
            logits = self.to_logit(features).flatten()
            if self.genre_embedding is not None:
                logits = logits + (features * self.genre_embedding(labels)).sum(1)
            return logits
