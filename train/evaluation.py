"""How good the covers are while training: measured now and then on held-out covers, so that the best are kept."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import nn

from gan.covers import Covers, to_uint8
from gan.fingerprints import perceptual_hash
from gan.metrics import pairwise_distance, sliced_wasserstein
from gan.pipeline import latents_from_seeds


COUNT = 256  # covers of each kind: two seconds of one core, and 64 patches of each are compared
HASHED = 50_000  # training covers looked through for copies, at most
ALIKE = 6  # of 64 bits may differ between the hashes of two pictures that look the same to people


class Evaluation:
    """Compares generated with held-out covers, of the same genres where there are any: without any downloaded network,
    so it is not FID.

    Args:
        train: covers that are trained on.
        held_out: covers that never are; the first 256 of its shuffled order are used, or all if there are fewer.
        features: more measurements of a generator, `kid` among them, by which the best is then chosen.
    """

    def __init__(
        self, train: Covers, held_out: Covers, features: Callable[[nn.Module], dict[str, float]] | None = None
    ):
        self.train, self.features = train, features
        count = min(COUNT, len(held_out))
        self.held_out, self.labels = held_out.batch(0, count), held_out.batch_labels(0, count)
        self.best_by = "sliced_wasserstein" if features is None else "kid"

    def __call__(self, generator: nn.Module) -> dict[str, float]:
        """What `metrics.jsonl` shows.

        `sliced_wasserstein` (mean over the sizes of detail, 0 is best), `pairwise_distance` (grey levels; 0 if all
        covers are the same one) and that of held-out covers, `held_out` (how many of each were compared), and what
        `features` measures.
        """
        count = len(self.held_out)
        fake = draw(generator, count, self.labels)
        distances = sliced_wasserstein(self.held_out, fake).values()
        return {
            "sliced_wasserstein": round(sum(distances) / len(distances), 3),
            "pairwise_distance": round(pairwise_distance(fake), 3),
            "real_pairwise_distance": round(pairwise_distance(self.held_out), 3),
            "held_out": count,
            **(self.features(generator) if self.features else {}),
        }

    def copies(self, generator: nn.Module) -> str:
        """One line: how many generated covers look like a training cover, and how many held-out ones do."""
        known = _hashes(self.train.batch(0, min(HASHED, len(self.train))))
        counts = [
            int((_distances(_hashes(covers), known) <= ALIKE).sum())
            for covers in (draw(generator, len(self.held_out), self.labels), self.held_out)
        ]
        return (
            f"of {len(self.held_out)} generated covers {counts[0]} look like one of {len(known):,} training covers; "
            f"of as many held-out covers {counts[1]} do"
        )


@torch.no_grad()
def draw(generator: nn.Module, count: int, labels: torch.Tensor | None = None) -> torch.Tensor:
    """The covers of seeds 0, 1, 2, ..., of the genres (count,) `labels`: (count, H, W, 3) uint8 on the CPU."""
    device = next(generator.parameters()).device
    latents = latents_from_seeds(list(range(count)), generator.config.latent_dim)
    inputs = [latents] if labels is None else [latents, labels]
    parts = zip(*(tensor.to(device).split(64) for tensor in inputs), strict=True)
    return torch.cat([to_uint8(generator(*part)) for part in parts])


def _hashes(covers: torch.Tensor) -> np.ndarray:
    """(N,) uint64 perceptual hashes."""
    return np.array([perceptual_hash(Image.fromarray(c.numpy())) for c in covers], np.uint64)


def _distances(some: np.ndarray, known: np.ndarray) -> np.ndarray:
    """To the nearest of `known`, in bits."""
    return np.array([np.bitwise_count(one ^ known).min() for one in some])
