"""Are generated covers copies of training covers? The nearest ones to each, among all there are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from gan.fingerprints import alike, colours, contrast_of, perceptual_hash
from train.covers import Covers
from train.metrics.features import CoverFeatures
from train.metrics.schema import Copies


# A copy is what train.prepare takes for one: hashes of which at most so many bits differ, and alike in colour. By the
# hash alone 14 of the first 1,000 covers of the generator that ships would be copies, and none of them is.
# (gan/nearest.py, for the page, ranks the training covers nearest to one cover and passes no verdict.)
COPY_BITS = 8
AT_ONCE = 1_000  # training covers that are compared with all others
QUANTILES = (0.0, 0.01, 0.1, 0.5, 0.9)


class Prints:
    """Describe N covers by what they are compared by.

    Args:
        covers: (N, H, H, 3) uint8.
        network: makes `features`, (N, 64) float32; None: nobody asks for them, and they cost most.
    """

    def __init__(self, covers: torch.Tensor, network: CoverFeatures | None = None):
        pictures = [Image.fromarray(cover.numpy()) for cover in covers]
        self.hashes = np.array([perceptual_hash(picture) for picture in pictures], np.uint64)
        self.colours = np.array([np.frombuffer(colours(picture), np.uint8) for picture in pictures])
        self.features = None if network is None else network.of(covers)

    def copies(self, others: "Prints", near: np.ndarray) -> np.ndarray:
        """Return which of these N covers are like one of M others in colour, (N,) bool, among those that are `near`.

        Args:
            others: M covers.
            near: (N, M) bool.
        """
        both = np.concatenate([self.colours, others.colours])
        contrast = contrast_of(both)
        found = np.zeros(len(near), bool)
        for one in np.flatnonzero(near.any(1)).tolist():
            found[one] = alike(both, contrast, one, len(near) + np.flatnonzero(near[one])).any()
        return found


@dataclass
class Nearest:
    """Hold the training covers nearest to each of N covers.

    Args:
        bits: (N,) of 64, in which the perceptual hashes differ.
        by_bits: (N,) index of that training cover.
        copied: (N,) bool, whether any training cover is a copy, as train.prepare understands it.
        distance, by_distance: (N,) the same by features; None where they were not asked for.
    """

    bits: np.ndarray
    by_bits: np.ndarray
    copied: np.ndarray
    distance: np.ndarray | None = None
    by_distance: np.ndarray | None = None

    def __getitem__(self, some: slice) -> "Nearest":
        distance, by_distance = (
            None if values is None else values[some] for values in (self.distance, self.by_distance)
        )
        return Nearest(self.bits[some], self.by_bits[some], self.copied[some], distance, by_distance)


def nearest(covers: torch.Tensor, train: Covers, network: CoverFeatures | None = None) -> Nearest:
    """Compare covers with every training cover, a thousand of these at a time, so that memory stays small.

    Args:
        covers: (N, H, H, 3) uint8.
        train: the training covers, of the same size.
        network: compares by features, too.
    """
    prints, count = Prints(covers, network), len(covers)
    found = Nearest(np.full(count, 65), np.zeros(count, np.int64), np.zeros(count, bool))
    by_features = None if network is None else (np.full(count, np.inf, np.float32), np.zeros(count, np.int64))
    for begin in tqdm(range(0, len(train), AT_ONCE), "Looking for copies", unit="part"):
        others = Prints(train[range(begin, min(begin + AT_ONCE, len(train)))], network)
        bits = np.bitwise_count(prints.hashes[:, None] ^ others.hashes).astype(np.int64)
        found.copied |= prints.copies(others, bits <= COPY_BITS)
        _keep_nearer(found.bits, found.by_bits, bits, begin)
        if by_features is not None and prints.features is not None and others.features is not None:
            _keep_nearer(*by_features, torch.cdist(prints.features, others.features).numpy(), begin)
    if by_features is not None:
        found.distance, found.by_distance = by_features
    return found


def _keep_nearer(least: np.ndarray, which: np.ndarray, distances: np.ndarray, begin: int) -> None:
    """Keep, where a row of (N, M) `distances` holds less than `least`, (N,), that and whose it is."""
    nearer = distances.min(1) < least
    which[nearer] = begin + distances.argmin(1)[nearer]
    least[nearer] = distances.min(1)[nearer]


def summary(generated: Nearest, held_out: Nearest | None, training_covers: int, images: int | None = None) -> Copies:
    """Sum up a search as copies.json does.

    Args:
        generated: the training covers nearest to generated covers.
        held_out: those nearest to covers that were never trained on; None where there are no such covers.
        training_covers: among how many was looked.
        images: covers that had been shown to the generator, where that is known.
    """
    facts: dict[str, Any] = {"images": images, "training_covers": training_covers}
    for prefix, one in (("", generated), ("held_out_", held_out)):
        if one is not None:
            facts |= {
                f"{prefix}samples": len(one.bits),
                f"{prefix}nearest_bits": int(one.bits.min()),
                f"{prefix}found": int(one.copied.sum()),
                f"{prefix}bits": _quantiles(one.bits),
                f"{prefix}feature_distance": None if one.distance is None else _quantiles(one.distance),
            }
    return Copies(**facts)


def _quantiles(values: np.ndarray) -> dict[str, float]:
    return {f"{q:.0%}": round(float(np.quantile(values, q)), 3) for q in QUANTILES}
