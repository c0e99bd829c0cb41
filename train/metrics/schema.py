"""What scores.json and copies.json hold: written here, and read here from files that anybody may have changed."""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, get_args, get_origin


@dataclass(frozen=True)
class Measured:
    """Hold what was measured; None is what was not."""

    @classmethod
    def read(cls, file: Path) -> Self:
        """Return what a file holds; without any value where it is missing, damaged or no JSON object."""
        try:
            return cls.from_dict(json.loads(file.read_text()))
        except (OSError, ValueError, RecursionError):
            return cls()

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """Keep what has a name and a type of ours; unknown names and numbers that are not finite are left out."""
        if not isinstance(values, dict):
            return cls()
        names = ((f.name, tuple(get_origin(kind) or kind for kind in get_args(f.type)[:-1])) for f in fields(cls))
        return cls(**{name: values[name] for name, kinds in names if name in values and _is_one(values[name], kinds)})

    def as_dict(self) -> dict[str, Any]:
        """Return what was measured, as the file holds it."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Scores(Measured):
    """Hold how good generated covers are: scores.json, and an evaluation's line of metrics.jsonl.

    Those that begin with `real_` are the same of training covers: what is to be reached.

    Args:
        dataset_name: of the covers that were compared with.
        images: covers that had been shown to these weights.
        count: covers of each kind that were compared.
        filter: which ones were drawn, in words.
        patch_covers: of them so many, the first, by their patches and their pairwise distance.
        sliced_wasserstein: x 1000, by side in pixels, and `mean`; the mean alone in metrics.jsonl. 0 is best.
        fd_covers, precision_covers, recall_covers: see `CoverDistances`.
        pairwise_distance: in grey levels, see `distances.pairwise_distance`.
        fid, kid, precision, recall: the same by Inception's features.
        inception_covers: covers of each kind that those four compared.
        kernel_eyes, fd_eyes, precision_eyes, recall_eyes, lattice_db, colour_spread: see `EyeDistances`.
        eye_covers: covers of each kind that those six compared.
    """

    dataset_name: str | None = None
    images: int | None = None
    count: int | None = None
    filter: str | None = None
    patch_covers: int | None = None
    sliced_wasserstein: dict[str, Any] | float | None = None
    fd_covers: float | None = None
    precision_covers: float | None = None
    recall_covers: float | None = None
    pairwise_distance: float | None = None
    real_sliced_wasserstein: dict[str, Any] | float | None = None
    real_fd_covers: float | None = None
    real_precision_covers: float | None = None
    real_recall_covers: float | None = None
    real_pairwise_distance: float | None = None
    fid: float | None = None
    kid: float | None = None
    precision: float | None = None
    recall: float | None = None
    inception_covers: int | None = None
    kernel_eyes: float | None = None
    fd_eyes: float | None = None
    precision_eyes: float | None = None
    recall_eyes: float | None = None
    lattice_db: float | None = None
    colour_spread: float | None = None
    real_kernel_eyes: float | None = None
    real_fd_eyes: float | None = None
    real_precision_eyes: float | None = None
    real_recall_eyes: float | None = None
    real_lattice_db: float | None = None
    real_colour_spread: float | None = None
    eye_covers: int | None = None

    def number(self, name: str) -> float | None:
        """Return a metric as one number: of several the `mean`."""
        value = getattr(self, name, None)
        return value.get("mean") if isinstance(value, dict) else value

    def as_line(self) -> dict[str, float]:
        """Return the numbers for a line of metrics.jsonl, one for each metric."""
        numbers = {name: self.number(name) for name in self.as_dict()}
        return {name: number for name, number in numbers.items() if isinstance(number, int | float)}


@dataclass(frozen=True)
class Copies(Measured):
    """Hold what a search for copies of training covers found: copies.json.

    Those that begin with `held_out_` are the same of covers that were never trained on.

    Args:
        images: covers that had been shown to the generator.
        training_covers: among how many was looked.
        samples: how many generated covers were looked for.
        nearest_bits: of 64, the fewest in which the perceptual hashes of a generated and a training cover differ.
        found: how many generated covers are copies, as `train.prepare` understands it.
        bits, feature_distance: quantiles of the distances to the nearest training cover, such as "50%": of the hashes,
            and of the features of `fd_covers`.
    """

    images: int | None = None
    training_covers: int | None = None
    samples: int | None = None
    nearest_bits: int | None = None
    found: int | None = None
    bits: dict[str, Any] | None = None
    feature_distance: dict[str, Any] | None = None
    held_out_samples: int | None = None
    held_out_nearest_bits: int | None = None
    held_out_found: int | None = None
    held_out_bits: dict[str, Any] | None = None
    held_out_feature_distance: dict[str, Any] | None = None


def _is_one(value: object, kinds: tuple[type, ...]) -> bool:
    """Return whether a value from JSON is of one of these kinds; a whole number is a float, too, but true is none."""
    if isinstance(value, dict):
        return dict in kinds and all(_is_one(number, (float,)) for number in value.values())
    if isinstance(value, float):
        return float in kinds and math.isfinite(value)
    if isinstance(value, int):
        return not isinstance(value, bool) and (int in kinds or float in kinds)
    return isinstance(value, kinds)
