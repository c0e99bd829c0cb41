"""Build DCGAN: "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks"
(Radford, Metz, Chintala 2016, https://arxiv.org/abs/1511.06434).

Four rules make it (section 3): strided convolutions instead of pooling; batch normalisation in both networks, but not
on the generator's output nor the discriminator's input; no hidden fully connected layers; ReLU in the generator (tanh
last), LeakyReLU(0.2) in the discriminator. As in the common PyTorch form the kernels are 4x4 and the latents normal.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


NORMALISATIONS = ("batch", "spectral", "none")  # of the discriminator


def _channels(resolution: int, width: int) -> list[int]:
    """Return the channels of the maps from 4x4 up to resolution/2: 512, 256, 128, 64 for 64 px and width 64."""
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two from 8 on, not {resolution}")
    stages = resolution.bit_length() - 3
    return [width * 2**stage for stage in reversed(range(stages))]


def _initialise(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02) (section 4), and the normalisation's gain from N(1, 0.02) (the authors' code)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


class GenreEmbedding(nn.Embedding):
    """Embed genres; the last vector is that of "any". All start at zero: a run begins as if there were no genres."""

    def __init__(self, genres: Sequence[str], features: int):
        super().__init__(len(genres) + 1, features, _weight=torch.zeros(len(genres) + 1, features))

    def forward(self, labels: torch.Tensor | None) -> torch.Tensor:
        """Turn (N,) int64 labels into (N, features); None gives (1, features), the vector of "any"."""
        return self.weight[-1:] if labels is None else super().forward(labels)


class DCGANGenerator(ModelMixin, ConfigMixin):
    """Generate covers from latents.

    Args:
        resolution: height and width of a cover in pixels, a power of two.
        width: channels of the last hidden layer; each layer towards the latents has twice as many.
        latent_dim: length of a latent vector.
        genres: names of the genres that can be asked for, if any. Concatenating an embedding with the latents (Mirza
            and Osindero 2014, section 3.2) adds a vector to the first layer's output; here that vector is learned.
    """

    @register_to_config
    def __init__(self, resolution: int = 64, width: int = 64, latent_dim: int = 100, genres: Sequence[str] = ()):
        super().__init__()
        channels = _channels(resolution, width)
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_dim, channels[0], 4, bias=False)]  # 1x1 -> 4x4
        for above, below in pairwise(channels):
            layers += [nn.BatchNorm2d(above), nn.ReLU(True)]
            layers += [nn.ConvTranspose2d(above, below, 4, stride=2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(channels[-1]), nn.ReLU(True)]
        layers += [nn.ConvTranspose2d(channels[-1], 3, 4, stride=2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(_initialise)
        self.genre_embedding = GenreEmbedding(genres, channels[0] * 4 * 4) if genres else None

    def forward(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Turn (N, latent_dim) normal latents into (N, 3, resolution, resolution) covers in -1..1.

        `labels`: (N,) int64 in 0..len(genres), of which the last means "any"; None means "any" for all covers.
        """
        latents = latents[:, :, None, None]
        if self.genre_embedding is None:
            return self.layers(latents)
        return self.layers[1:](self.layers[0](latents) + self.genre_embedding(labels).unflatten(1, (-1, 4, 4)))


class DCGANDiscriminator(ModelMixin, ConfigMixin):
    """Judge covers by logits: above zero means "looks like a real cover".

    Real and generated covers must go through it in separate batches: batch normalisation would otherwise mix them.

    Args:
        resolution: height and width of a cover in pixels, a power of two.
        width: channels of the first layer; each layer after it has twice as many.
        genres: as in `DCGANGenerator`. Each adds a logit of its own, linear in the pooled features, to the common one
            (Miyato and Koyama 2018, "cGANs with Projection Discriminator", section 3).
        normalisation: batch; spectral, which divides each layer's weights by their largest singular value (Miyato et
            al. 2018, "Spectral Normalization for Generative Adversarial Networks", section 2); or none, for recipes
            whose gradient penalty keeps the logits smooth instead. Such a penalty is defined for each cover alone, and
            batch normalisation would mix it with the others (Gulrajani et al. 2017, section 4).
    """

    @register_to_config
    def __init__(
        self, resolution: int = 64, width: int = 64, genres: Sequence[str] = (), normalisation: str = "batch"
    ):
        super().__init__()
        if normalisation not in NORMALISATIONS:
            raise ValueError(f"normalisation must be one of {', '.join(NORMALISATIONS)}, not {normalisation!r}")
        channels, batch = _channels(resolution, width)[::-1], normalisation == "batch"
        layers = [nn.Conv2d(3, channels[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2, True)]
        for above, below in pairwise(channels):
            layers += [nn.Conv2d(above, below, 4, stride=2, padding=1, bias=not batch)]
            layers += [nn.BatchNorm2d(below)] if batch else []
            layers += [nn.LeakyReLU(0.2, True)]
        layers += [nn.Conv2d(channels[-1], 1, 4)]  # 4x4 -> 1x1
        self.layers = nn.Sequential(*layers)
        self.apply(_initialise)
        for layer in self.layers if normalisation == "spectral" else ():
            if isinstance(layer, nn.Conv2d):
                spectral_norm(layer)
        self.genre_embedding = GenreEmbedding(genres, channels[-1]) if genres else None

    @property
    def stages(self) -> list[nn.Module]:
        """Return the layers but the last, which gives the logit: one convolution each, from the picture on."""
        starts = [i for i, layer in enumerate(self.layers) if isinstance(layer, nn.Conv2d)]
        return [self.layers[start:end] for start, end in pairwise(starts)]

    def forward(self, covers: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Turn (N, 3, resolution, resolution) covers in -1..1 into (N,) logits; `labels` as in `DCGANGenerator`."""
        features = self.layers[:-1](covers)
        with torch.autocast(features.device.type, enabled=False):  # only differences of logits count: no rounding here
            features = features.float()
            logits = self.layers[-1](features).flatten()
            if self.genre_embedding is not None:
                logits = logits + (features.sum((2, 3)) * self.genre_embedding(labels)).sum(1)
            return logits
