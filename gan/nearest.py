"""Find the training covers that look most like a generated one, in an index that holds no pictures.

A cover is described by measurements from which it cannot be drawn again: in which directions its edges run in each of
4 x 4 fields (Oliva and Torralba 2001, "Modeling the Shape of the Scene", with gradients as in Dalal and Triggs 2005),
and how often each colour occurs in 5 regions. The index keeps the principal components of these, a byte each, and the
usual 64-bit perceptual hash.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gan.fingerprints import perceptual_hash
from gan.untrusted import named_in_utf8, read_shapes


SIDE = 64  # pixels at which a cover is described
FIELDS = 4
DIRECTIONS = 8
SHADES = 3  # of each colour channel
COMPONENTS = 40
PERCENTILES = 100
LARGEST_INDEX = 110_000_000  # bytes, of two million covers


class CopiesError(Exception):
    """Tell the user in one line why an index cannot be read or built."""


@dataclass(frozen=True)
class Neighbour:
    """Describe a training cover that is near to the one asked about.

    Args:
        cover: the first hexadecimal digits of the SHA-256 in the dataset's column `sha256`.
        distance: between the two descriptions; 0 for the same cover.
        bits: how many of the 64 bits of their perceptual hashes differ.
        percentile: how many of 100 training covers have their own nearest neighbour at least as near.
    """

    cover: str
    distance: float
    bits: int
    percentile: float


class Index:
    """Hold the descriptions of N training covers.

    Args:
        features: (N, COMPONENTS) int8.
        hashes: (N, 8) uint8.
        names: (N, 5) uint8, the first bytes of each cover's SHA-256.
        basis: (D, COMPONENTS) float32, from descriptions to components.
        mean: (D,) float32, of all descriptions.
        scale: by how much a component grows for one step of its feature.
        nearest: (PERCENTILES + 1,) float32, the percentiles of each cover's distance to the nearest other one.
    """

    def __init__(
        self,
        features: np.ndarray,
        hashes: np.ndarray,
        names: np.ndarray,
        basis: np.ndarray,
        mean: np.ndarray,
        scale: float,
        nearest: np.ndarray,
    ):
        self.features, self.hashes, self.names = features, hashes, names
        self.basis, self.mean, self.scale, self.nearest = basis, mean, scale, nearest

    def __len__(self) -> int:
        return len(self.features)

    def neighbours(self, cover: Image.Image, count: int = 5) -> list[Neighbour]:
        """Return the `count` training covers nearest to `cover` (any mode, square), the nearest first."""
        feature = _components(description(cover)[None], self.mean, self.basis, self.scale)[0]
        distances = self.scale * _distances(self.features, feature[None])[:, 0]
        bits = np.bitwise_count(self.hashes ^ _hash(cover)).sum(1)
        order = np.lexsort((bits, distances))[:count]
        return [
            Neighbour(
                cover=self.names[i].tobytes().hex(),
                distance=float(distances[i]),
                bits=int(bits[i]),
                percentile=float(np.interp(distances[i], self.nearest, np.linspace(0, 100, PERCENTILES + 1))),
            )
            for i in order
        ]

    def save(self, file: str | Path) -> None:
        """Write the index as a safetensors file."""
        arrays = {name: getattr(self, name) for name in ("features", "hashes", "names", "mean", "nearest")}
        arrays |= {"basis": self.basis.astype(np.float16), "scale": np.array([self.scale], np.float32)}
        arrays = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
        Path(file).write_bytes(save(arrays, {"format": json.dumps(FORMAT)}))


# What an index was made with; another one would compare what cannot be compared.
FORMAT = {"side": SIDE, "fields": FIELDS, "directions": DIRECTIONS, "shades": SHADES, "components": COMPONENTS}


def load_index(file: str | Path) -> Index:
    """Read an index that anybody may have written.

    Raises:
        CopiesError: there is none, it is damaged, of another form or too large.
    """
    file = Path(file)
    try:
        shapes = read_shapes([file], LARGEST_INDEX, ("I8", "U8", "F16", "F32"))
        with named_in_utf8(file) as path, safe_open(path, "numpy") as stored:
            if (stored.metadata() or {}).get("format") != json.dumps(FORMAT):
                raise CopiesError(f"{file.name}: made by another version; build it anew")
            size = (shapes.get("features") or [0])[0]
            length = len(description(Image.new("RGB", (SIDE, SIDE))))
            expected = {
                "features": ((size, COMPONENTS), np.int8), "hashes": ((size, 8), np.uint8),
                "names": ((size, 5), np.uint8), "basis": ((length, COMPONENTS), np.float16),
                "mean": ((length,), np.float32), "scale": ((1,), np.float32),
                "nearest": ((PERCENTILES + 1,), np.float32),
            }  # fmt: skip
            arrays = {}
            for name, (shape, kind) in expected.items():
                if not size or tuple(shapes.get(name, ())) != shape:
                    raise CopiesError(f"{file.name}: {name} is not as an index has it")
                arrays[name] = stored.get_tensor(name)
                if arrays[name].dtype != kind:
                    raise CopiesError(f"{file.name}: {name} is not as an index has it")
                if not np.isfinite(arrays[name]).all():
                    raise CopiesError(f"{file.name}: {name} holds numbers that are not finite")
    except FileNotFoundError:
        raise CopiesError(f"{file.name}: not there") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise CopiesError(f"{file.name}: cannot be read ({type(error).__name__})") from error
    arrays |= {"basis": arrays["basis"].astype(np.float32), "scale": float(arrays["scale"][0])}
    return Index(**arrays)


def build_index(covers: Iterable[tuple[Image.Image, str]]) -> Index:
    """Build the index of the covers that a generator learned from.

    Args:
        covers: each with its SHA-256 (64 hexadecimal digits), as in a prepared dataset's columns `image` and `sha256`.

    Raises:
        CopiesError: there are fewer than 2 covers.
    """
    described, hashes, names = [], [], []
    for cover, sha256 in covers:
        described.append(description(cover))
        hashes.append(_hash(cover))
        names.append(np.frombuffer(bytes.fromhex(sha256[:10]), np.uint8))
    if len(described) < 2:
        raise CopiesError(f"an index needs at least 2 covers, not {len(described)}")
    descriptions = np.stack(described)
    mean = descriptions.mean(0)
    covariance = (descriptions - mean).T @ (descriptions - mean) / len(descriptions)
    basis = np.linalg.eigh(covariance.astype(np.float64))[1][:, ::-1][:, :COMPONENTS].astype(np.float16)
    basis = basis.astype(np.float32)  # as it will be read again
    scale = float(np.abs((descriptions - mean) @ basis).max() / 127) or 1.0
    features = _components(descriptions, mean, basis, scale)
    nearest = np.concatenate([
        _nearest_other(features, start, min(start + 512, len(features))) for start in range(0, len(features), 512)
    ])  # fmt: skip
    percentiles = np.percentile(scale * nearest, np.linspace(0, 100, PERCENTILES + 1)).astype(np.float32)
    return Index(features, np.stack(hashes), np.stack(names), basis, mean, scale, percentiles)


def description(cover: Image.Image) -> np.ndarray:
    """Return (D,) float32, the square roots of shares: the distance of two such vectors is Hellinger's."""
    smooth = Image.Resampling.BOX if cover.width > SIDE else Image.Resampling.BICUBIC
    small = cover.convert("RGB").resize((SIDE, SIDE), smooth)
    pixels = np.asarray(small, dtype=np.float32) / 255
    return np.concatenate((_edges(pixels), _colours(pixels)))


def _hash(cover: Image.Image) -> np.ndarray:
    """Return (8,) uint8, the bytes of what `train.prepare` writes into the column `phash`."""
    return np.frombuffer(perceptual_hash(cover).to_bytes(8, "big"), np.uint8)


def _edges(pixels: np.ndarray) -> np.ndarray:
    """Return the share of all edges that lie in each field and run in each direction, as square roots."""
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    down, across = np.gradient(grey)
    strength = np.hypot(across, down)
    # each slope counts for the two directions that it lies between
    turn = (np.arctan2(down, across) % np.pi) / np.pi * DIRECTIONS
    lower = np.floor(turn).astype(int)
    share = turn - lower
    field = np.arange(SIDE) * FIELDS // SIDE
    field = field[:, None] * FIELDS + field
    bins = np.zeros(FIELDS * FIELDS * DIRECTIONS)
    for which, weight in ((lower % DIRECTIONS, 1 - share), ((lower + 1) % DIRECTIONS, share)):
        bins += np.bincount((field * DIRECTIONS + which).ravel(), (strength * weight).ravel(), len(bins))
    return np.sqrt(bins / (bins.sum() + 1.0)).astype(np.float32)  # next to nothing for a cover without edges


def _colours(pixels: np.ndarray) -> np.ndarray:
    """Return the share of SHADES^3 colours in the whole and in each quarter; pixels between two count for both."""
    position = pixels.reshape(-1, 3) * (SHADES - 1)
    lower = np.minimum(np.floor(position).astype(int), SHADES - 2)
    share = position - lower
    quarter = np.arange(SIDE) * 2 // SIDE
    quarter = (quarter[:, None] * 2 + quarter).ravel()
    bins = np.zeros(4 * SHADES**3)
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(np.array(corner), share, 1 - share).prod(1)
        colour = ((lower + np.array(corner)) * np.array([SHADES**2, SHADES, 1])).sum(1)
        bins += np.bincount(quarter * SHADES**3 + colour, weight, len(bins))
    quarters = bins.reshape(4, -1) / len(position)
    return np.sqrt(np.concatenate((quarters.sum(0), quarters.ravel()))).astype(np.float32)


def _components(descriptions: np.ndarray, mean: np.ndarray, basis: np.ndarray, scale: float) -> np.ndarray:
    return np.clip(np.rint((descriptions - mean) @ basis / scale), -127, 127).astype(np.int8)


def _distances(features: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Return the (N, M) Euclidean distances of int8 features."""
    a, b = features.astype(np.float32), some.astype(np.float32)
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0))


def _nearest_other(features: np.ndarray, start: int, end: int) -> np.ndarray:
    distances = _distances(features, features[start:end])
    distances[np.arange(start, end), np.arange(end - start)] = np.inf
    return distances.min(0)
