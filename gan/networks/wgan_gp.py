"""Build WGAN-GP's residual networks: "Improved Training of Wasserstein GANs" (Gulrajani et al. 2017,
https://arxiv.org/abs/1704.00028, appendix F: the 64x64 ResNet).

The critic has layer normalisation, never batch normalisation: the gradient penalty is defined for each sample alone
(section 4, "No critic batch normalization").
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn


def _channels(resolution: int, width: int) -> list[int]:
    """Return the channels from 4x4 up to `resolution`: 512, 512, 256, 128, 64 for 64 px and width 64."""
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two from 8 on, not {resolution}")
    stages = resolution.bit_length() - 2
    return [width * min(8, 2**stage) for stage in reversed(range(stages))]


def _initialise(module: nn.Module) -> None:
    """Draw weights as the authors' code does: by Glorot and Bengio 2010, with twice the variance after a ReLU."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            after_relu = name.endswith(("conv1", "conv2", "to_rgb"))
            nn.init.xavier_uniform_(layer.weight, gain=2**0.5 if after_relu else 1.0)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class GenreEmbedding(nn.Embedding):
    """Embed genres; the last vector is that of "any". All start at zero: a run begins as if there were no genres."""

    def __init__(self, genres: Sequence[str], features: int):
        super().__init__(len(genres) + 1, features, _weight=torch.zeros(len(genres) + 1, features))

    def forward(self, labels: torch.Tensor | None) -> torch.Tensor:
        """Turn (N,) int64 labels into (N, features); None gives (1, features), the vector of "any"."""
        return self.weight[-1:] if labels is None else super().forward(labels)


class UpBlock(nn.Module):
    """Normalise, ReLU, double the size, 3x3; normalise, ReLU, 3x3; plus a 1x1 shortcut, also upsampled."""

    def __init__(self, above: int, below: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(above)
        self.conv1 = nn.Conv2d(above, below, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(below)
        self.conv2 = nn.Conv2d(below, below, 3, padding=1)
        self.shortcut = nn.Conv2d(above, below, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(F.interpolate(F.relu(self.norm1(x)), scale_factor=2.0, mode="nearest"))
        y = self.conv2(F.relu(self.norm2(y)))
        # a 1x1 convolution commutes with nearest-neighbour upsampling: done before it, it costs a quarter
        return F.interpolate(self.shortcut(x), scale_factor=2.0, mode="nearest") + y


class DownBlock(nn.Module):
    """Normalise, ReLU, 3x3; normalise, ReLU, 3x3, halve the size by averaging; plus a 1x1 shortcut, also averaged."""

    def __init__(self, above: int, below: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(1, above)  # layer normalisation over channels, height and width
        self.conv1 = nn.Conv2d(above, above, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(1, above)
        self.conv2 = nn.Conv2d(above, below, 3, padding=1)
        self.shortcut = nn.Conv2d(above, below, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        y = self.conv2(F.relu(self.norm2(y)))
        return self.shortcut(F.avg_pool2d(x, 2)) + F.avg_pool2d(y, 2)


class WGANGPGenerator(ModelMixin, ConfigMixin):
    """Generate covers from latents.

    Args:
        resolution: height and width of a cover in pixels, a power of two.
        width: channels at full resolution; doubled at each halving of the size, up to 8 times.
        latent_dim: length of a latent vector.
        genres: names of the genres that can be asked for, if any. Concatenating an embedding with the latents (Mirza
            and Osindero 2014, section 3.2) adds a vector to the first layer's output; here that vector is learned.
    """

    @register_to_config
    def __init__(self, resolution: int = 64, width: int = 64, latent_dim: int = 128, genres: Sequence[str] = ()):
        super().__init__()
        channels = _channels(resolution, width)
        self.first = nn.Linear(latent_dim, channels[0] * 4 * 4)
        self.blocks = nn.Sequential(*[UpBlock(a, b) for a, b in pairwise(channels)])
        self.norm = nn.BatchNorm2d(channels[-1])
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)
        _initialise(self)
        self.genre_embedding = GenreEmbedding(genres, channels[0] * 4 * 4) if genres else None

    def forward(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Turn (N, latent_dim) normal latents into (N, 3, resolution, resolution) covers in -1..1.

        `labels`: (N,) int64 in 0..len(genres), of which the last means "any"; None means "any" for all covers.
        """
        x = self.first(latents)
        if self.genre_embedding is not None:
            x = x + self.genre_embedding(labels)
        x = self.blocks(x.unflatten(1, (-1, 4, 4)))
        return torch.tanh(self.to_rgb(F.relu(self.norm(x))))


class WGANGPDiscriminator(ModelMixin, ConfigMixin):
    """Judge covers by scores without bounds (the paper's critic): higher means closer to the real covers.

    Args:
        resolution: height and width of a cover in pixels, a power of two.
        width: channels at full resolution; doubled at each halving of the size, up to 8 times.
        genres: as in `WGANGPGenerator`. Each adds a logit of its own, linear in the pooled features, to the common one
            (Miyato and Koyama 2018, "cGANs with Projection Discriminator", section 3).
    """

    @register_to_config
    def __init__(self, resolution: int = 64, width: int = 64, genres: Sequence[str] = ()):
        super().__init__()
        channels = _channels(resolution, width)[::-1]
        self.first = nn.Conv2d(3, channels[0], 3, padding=1)
        self.blocks = nn.Sequential(*[DownBlock(a, b) for a, b in pairwise(channels)])
        self.to_score = nn.Linear(channels[-1] * 4 * 4, 1)
        _initialise(self)
        self.genre_embedding = GenreEmbedding(genres, channels[-1]) if genres else None

    @property
    def stages(self) -> list[nn.Module]:
        """Return the layers but the last, which gives the score, from the picture on: one size each."""
        return [nn.Sequential(self.first, self.blocks[0]), *list(self.blocks)[1:]]

    def forward(self, covers: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Turn (N, 3, resolution, resolution) covers in -1..1 into (N,) scores; `labels` as in `WGANGPGenerator`."""
        features = self.blocks(self.first(covers))
        with torch.autocast(features.device.type, enabled=False):  # scores grow without bounds: no rounding here
            features = features.float()
            scores = self.to_score(features.flatten(1)).flatten()
            if self.genre_embedding is not None:
                scores = scores + (features.sum((2, 3)) * self.genre_embedding(labels)).sum(1)
            return scores
