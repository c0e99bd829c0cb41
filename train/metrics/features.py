"""The features of covers that `fd_covers`, precision and recall compare: what a small network sees in them.

It learned from covers alone, without labels (train/train_features.py), and ships with the project, so nothing is
downloaded. It is not Inception: what is measured with it is no FID, and can be compared only with itself.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from train.covers import to_float
from train.metrics.distances import frechet_distance, precision_recall


WEIGHTS = Path(__file__).parent / "cover_features.safetensors"
SIDE = 64  # pixels at which every cover is looked at, so that one yardstick serves all resolutions
COMPONENTS = 64
BATCH = 128
FEWEST = 4  # covers of each kind: of fewer none has a third nearest neighbour


class CoverFeatures(nn.Module):
    """Turn covers into features: four stages of two 3x3 convolutions, each at half the size of the one before.

    The means over the maps of the last three stages, shallow and deep ones together because deep ones alone forget
    grain (as in LPIPS, Zhang et al. 2018, section 3), then their principal components, each with mean 0 and
    deviation 1 over training covers: so that no one direction, such as sharpness, drowns the others.

    Args:
        width: channels of the first stage; each one after it has twice as many.
    """

    def __init__(self, width: int = 32):
        super().__init__()
        channels = [3, width, 2 * width, 4 * width, 8 * width]
        self.stages = nn.ModuleList(
            nn.Sequential(*_convolution(above, below, 2), *_convolution(below, below, 1))
            for above, below in pairwise(channels)
        )
        self.components = nn.Linear(sum(channels[2:]), COMPONENTS)

    def means(self, covers: torch.Tensor) -> torch.Tensor:
        """Return the (N, 14 * width) float32 means of the feature maps of (N, 3, H, W) covers in -1..1."""
        means = []
        for stage in self.stages:
            covers = stage(covers)
            means.append(covers.float().mean((2, 3)))
        return torch.cat(means[1:], 1)

    def forward(self, covers: torch.Tensor) -> torch.Tensor:
        """Return the (N, 64) features of (N, 3, 64, 64) covers in -1..1."""
        return self.components(self.means(covers))

    def of(self, covers: torch.Tensor) -> torch.Tensor:
        """Return the (N, 64) float32 features, on the CPU, of (N, H, H, 3) uint8 covers of any size.

        They are computed in float32, so that every machine measures the same up to rounding.
        """
        return self._in_batches(self, covers)

    def means_of(self, covers: torch.Tensor) -> torch.Tensor:
        """Return the (N, 14 * width) `means` of the same covers, which the features are made of."""
        return self._in_batches(self.means, covers)

    @torch.no_grad()
    def _in_batches(self, look: Callable[[torch.Tensor], torch.Tensor], covers: torch.Tensor) -> torch.Tensor:
        device, found = self.components.weight.device, []
        with in_float32():
            for part in covers.split(BATCH):
                images = scaled(to_float(part.to(device)))
                found.append(look(images.contiguous(memory_format=torch.channels_last)).cpu())
        return torch.cat(found)


def in_float32() -> AbstractContextManager[None]:
    """Keep all digits of float32 in a GPU's convolutions, inside a `with` (by default they have 10 bits, TF32)."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=torch.backends.cudnn.benchmark, allow_tf32=False)


def scaled(images: torch.Tensor) -> torch.Tensor:
    """Scale (N, 3, H, H) covers of any size to the 64 pixels at which they are looked at."""
    return images if images.shape[-1] == SIDE else F.interpolate(images, SIDE, mode="bilinear", antialias=True)


def _convolution(above: int, below: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(above, below, 3, stride, 1, bias=False), nn.BatchNorm2d(below), nn.ReLU()


def save_features(network: CoverFeatures, file: str | Path) -> None:
    """Write the weights, those of the convolutions in float16: the features stay the same within one part in 100."""
    weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    save_file({k: v.half() if v.ndim == 4 else v for k, v in weights.items()}, file)


def load_features(file: str | Path = WEIGHTS) -> CoverFeatures:
    """Return the network in evaluation mode on the CPU; without `file` the one that comes with the project.

    Raises:
        OSError, safetensors.SafetensorError, KeyError, RuntimeError: there is none, or it holds another network.
    """
    weights = load_file(file)
    network = CoverFeatures(width=len(weights["stages.0.0.weight"]))
    network.load_state_dict(weights)
    move: Any = network.to  # torch's types know no `memory_format` there
    move(memory_format=torch.channels_last)
    return network.eval().requires_grad_(False)


class CoverDistances:
    """Measure how far covers are from real ones.

    Args:
        network: see `load_features`.
        real: (N, H, H, 3) uint8, at least 4.

    Raises:
        ValueError: fewer than 4.
    """

    def __init__(self, network: CoverFeatures, real: torch.Tensor):
        self.network = network
        self.real = self._features(real)

    def __call__(self, covers: torch.Tensor) -> dict[str, float]:
        """Compare (M, H, H, 3) uint8 covers, at least 4, with the real ones.

        Returns:
            `fd_covers`, the Frechet distance of their features (0 is best; it falls with N and M, so compare only
            what was measured on as many), `precision_covers` and `recall_covers` (see `precision_recall`).
        """
        features = self._features(covers)
        precision, recall = precision_recall(self.real, features)
        return {
            "fd_covers": round(frechet_distance(self.real, features), 3),
            "precision_covers": round(precision, 4),
            "recall_covers": round(recall, 4),
        }

    def _features(self, covers: torch.Tensor) -> torch.Tensor:
        if len(covers) < FEWEST:
            raise ValueError(f"need at least {FEWEST} covers of each kind, not {len(covers)}")
        return self.network.of(covers)
