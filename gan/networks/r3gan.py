"""Build R3GAN's networks: "The GAN is dead; long live the GAN! A Modern Baseline GAN" (Huang et al. 2024,
https://arxiv.org/abs/2501.05441, section 4 and appendix D).

They are ResNeXts without normalisation. Nothing keeps batch statistics, so real and generated covers may share a
batch, and the cover of a seed never depends on its neighbours. The two networks mirror each other.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn


LEAKY_GAIN = math.sqrt(2 / (1 + 0.2**2))  # He et al. 2015 for LeakyReLU(0.2)


def _conv(
    channels_in: int, channels_out: int, kernel: int, gain: float, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, groups=groups, bias=bias)
    nn.init.normal_(conv.weight, 0.0, gain / math.sqrt(conv.weight[0].numel()))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def _channels(resolution: int, width: int, max_width: int) -> list[int]:
    """Return the channels from 4x4 up to `resolution`: 384, 384, 384, 384, 192 for 64 px, width 192, at most 384."""
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two from 8 on, not {resolution}")
    stages = resolution.bit_length() - 2
    return [min(max_width, width * 2**stage) for stage in reversed(range(stages))]


class GenreEmbedding(nn.Embedding):
    """Embed genres; the last vector is that of "any". All start at zero: a run begins as if there were no genres."""

    def __init__(self, genres: Sequence[str], features: int):
        super().__init__(len(genres) + 1, features, _weight=torch.zeros(len(genres) + 1, features))

    def forward(self, labels: torch.Tensor | None) -> torch.Tensor:
        """Turn (N,) int64 labels into (N, features); None gives (1, features), the vector of "any"."""
        return self.weight[-1:] if labels is None else super().forward(labels)


class ResidualBlock(nn.Module):
    """Add to the input: a 1x1 convolution to twice the channels, a grouped 3x3 one, a 1x1 one back (section 4.2).

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
    """Return the (2 * size, size) matrix of bilinear interpolation: a new pixel is 3/4 of one and 1/4 of the next.

    Its transpose, halved, is the [1, 3, 3, 1] / 8 filter at every second pixel; edge pixels are repeated outwards.
    """
    return F.interpolate(torch.eye(size)[None], scale_factor=2.0, mode="linear", align_corners=False)[0].T.contiguous()


def _resample(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Resample (N, C, H, H) to (N, C, H', H'), rows and columns by the (H', H) `matrix`.

    Matrix products have matrix products as derivatives of every order: quick in every precision, and the layout in
    memory stays. PyTorch's padding and interpolation change the layout, which makes all convolutions slower.
    """
    count, channels, size, _ = x.shape
    new = len(matrix)
    rows = torch.bmm(matrix.expand(count, -1, -1), x.permute(0, 2, 3, 1).reshape(count, size, size * channels))
    both = torch.bmm(matrix.expand(count * new, -1, -1), rows.view(count * new, size, channels))
    return both.view(count, new, new, channels).permute(0, 3, 1, 2)


class Upsample(nn.Module):
    """Change channels by a 1x1 convolution, then double the size bilinearly (the paper's [1, 3, 3, 1] filter)."""

    doubling: torch.Tensor

    def __init__(self, channels_in: int, channels_out: int, size: int):
        super().__init__()
        self.project = _conv(channels_in, channels_out, 1, 1.0) if channels_in != channels_out else nn.Identity()
        self.register_buffer("doubling", _doubling(size), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _resample(self.project(x), self.doubling.to(x.dtype))


class Downsample(nn.Module):
    """Halve the size by the [1, 3, 3, 1] filter (antialiased bilinear), then change channels by a 1x1 convolution."""

    halving: torch.Tensor

    def __init__(self, channels_in: int, channels_out: int, size: int):
        super().__init__()
        self.project = _conv(channels_in, channels_out, 1, 1.0) if channels_in != channels_out else nn.Identity()
        self.register_buffer("halving", _doubling(size // 2).T.contiguous() / 2, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.project(_resample(x, self.halving.to(x.dtype)))


class R3GANGenerator(ModelMixin, ConfigMixin):
    """Generate covers from latents.

    Args:
        resolution: height and width of a cover in pixels, a power of two.
        width: channels at full resolution; doubled at each halving of the size, up to `max_width`.
        max_width: most channels of any stage.
        blocks: residual blocks in each stage.
        group_size: channels in each group of the 3x3 convolutions (its authors' code: 16 for FFHQ, 32 for ImageNet).
        latent_dim: length of a latent vector.
        genres: names of the genres that can be asked for, if any. The authors' code concatenates an embedding with the
            latents, which adds a vector to the first layer's output: here that vector is learned.
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
        """Turn (N, latent_dim) normal latents into (N, 3, resolution, resolution) covers, about -1..1 (not clipped).

        `labels`: (N,) int64 in 0..len(genres), of which the last means "any"; None means "any" for all covers.
        """
        scale = self.scale(latents)
        precision = scale.dtype  # bfloat16 under autocast, which adding float32 vectors must not undo
        if self.genre_embedding is not None:
            scale = scale + self.genre_embedding(labels)
        x = self.basis * scale[:, :, None, None]
        return self.to_rgb(self.layers(x.to(precision, memory_format=torch.channels_last)))


class R3GANDiscriminator(ModelMixin, ConfigMixin):
    """Judge covers by logits of which only differences mean something (the loss is relativistic).

    Args:
        resolution, width, max_width, blocks, group_size: as in `R3GANGenerator`.
        genres: as in `R3GANGenerator`. Each adds a logit of its own, linear in the pooled features, to the common one
            (Miyato and Koyama 2018, "cGANs with Projection Discriminator", section 3).
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

    @property
    def stages(self) -> list[nn.Module]:
        """Return the layers but the last, which give the logit, from the picture on: one size each."""
        ends = [i + 1 for i, layer in enumerate(self.layers) if isinstance(layer, Downsample)]
        first, *others = [self.layers[start:end] for start, end in pairwise([0, *ends, len(self.layers)])]
        return [nn.Sequential(self.from_rgb, first), *others]

    def forward(self, covers: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Turn (N, 3, resolution, resolution) covers into (N,) logits; `labels` as in `R3GANGenerator`."""
        features = self.basis(self.layers(self.from_rgb(covers))).flatten(1)
        with torch.autocast(features.device.type, enabled=False):  # only differences of logits count: no rounding here
            features = features.float()
            logits = self.to_logit(features).flatten()
            if self.genre_embedding is not None:
                logits = logits + (features * self.genre_embedding(labels)).sum(1)
            return logits
