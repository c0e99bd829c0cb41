"""A prepared dataset as batches of covers, in an order that is a pure function of (seed, position)."""

import copy
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, IterableDataset, Value, load_dataset
from datasets import config as datasets_config
from PIL import Image as Pillow
from PIL import ImageOps

from gan.errors import first_line
from train.files import NO_ROOM


class CoversError(Exception):
    """A dataset that cannot be trained on, in one line for the user."""


def to_float(images: torch.Tensor) -> torch.Tensor:
    """(N, H, W, 3) uint8 sRGB, as covers are outside the networks, to (N, 3, H, W) float in -1..1."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) float in -1..1 to (N, H, W, 3) uint8 on the CPU; what lies outside is clipped."""
    images = (images.float().clamp(-1, 1) + 1) * 127.5
    return images.round().to(torch.uint8).permute(0, 2, 3, 1).cpu()


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on the device. The program goes on to prepare the next step while a GPU is still at this one."""
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def mixed_seed(*numbers: int) -> int:
    """One 63-bit seed that depends on all of `numbers` (0 or larger) and on nothing else."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def seeded(*numbers: int) -> torch.Generator:
    """A CPU generator of random numbers that depend on all of `numbers` (0 or larger) and on nothing else."""
    return torch.Generator().manual_seed(mixed_seed(*numbers))


class Covers:
    """Covers of one size, shuffled anew in each epoch.

    Args:
        pixels: a dataset with the column `pixels`, raw uint8 of (resolution, resolution, 3) for each cover.
        resolution: height and width in pixels.
        seed: another seed is another order.
        labels: (N,) int64, the genre of each cover; None where nobody asks.
    """

    def __init__(self, pixels: Dataset, resolution: int, seed: int = 0, labels: torch.Tensor | None = None):
        self.pixels = pixels.with_format("arrow")
        self.resolution = resolution
        self.seed = seed
        self.labels = labels
        self._order: dict[tuple[int, int], torch.Tensor] = {}
        self._resident: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, position: int, size: int, stream: int = 0) -> torch.Tensor:
        """The covers at `position`, `position` + 1, ... of an endless shuffled stream.

        Args:
            position: how many covers of the stream came before; that number is all that a resumed run must know.
            size: how many covers.
            stream: which of several independent orders.

        Returns:
            (size, resolution, resolution, 3) uint8.
        """
        return self[self._indices(position, size, stream)]

    def batch_labels(self, position: int, size: int, stream: int = 0) -> torch.Tensor | None:
        """(size,) int64, the genres of the covers that `batch` gives; None where they were not loaded."""
        return None if self.labels is None else self.labels[self._indices(position, size, stream)]

    def resident(self, device: torch.device) -> "Covers":
        """The same covers with all pixels in the memory of `device`, where `batch` then gives them."""
        covers = copy.copy(self)
        parts = [range(first, min(first + 1024, len(self))) for first in range(0, len(self), 1024)]
        covers._resident = torch.cat([self[part].to(device) for part in parts])
        return covers

    def digest(self) -> str:
        """Tells this dataset from others: of some of its covers, 64 at most, wherever they lie."""
        return hashlib.sha256(self.batch(0, min(64, len(self))).numpy().tobytes()).hexdigest()[:16]

    def of_genre(self, label: int) -> "Covers":
        """The covers of one genre alone; they may be none."""
        chosen = torch.nonzero(self.labels == label).flatten()
        return Covers(self.pixels.select(chosen.tolist()), self.resolution, self.seed, self.labels[chosen])

    def __getitem__(self, indices: Sequence[int] | torch.Tensor) -> torch.Tensor:
        indices = torch.as_tensor(indices)
        if self._resident is not None:
            return self._resident[send(indices, self._resident.device)]
        rows = self.pixels[indices.tolist()]["pixels"].to_pylist()
        flat = torch.frombuffer(bytearray(b"".join(rows)), dtype=torch.uint8)
        return flat.view(len(rows), self.resolution, self.resolution, 3)

    def _indices(self, position: int, size: int, stream: int) -> torch.Tensor:
        parts, end = [torch.empty(0, dtype=torch.int64)], position + size
        while position < end:  # a batch may span epochs
            epoch, offset = divmod(position, len(self))
            parts.append(self._shuffled(epoch, stream)[offset : offset + end - position])
            position += len(parts[-1])
        return torch.cat(parts)

    def _shuffled(self, epoch: int, stream: int) -> torch.Tensor:
        if (stream, epoch) not in self._order:
            self._order = {k: v for k, v in self._order.items() if k[0] != stream or k[1] == epoch - 1}
            self._order[stream, epoch] = torch.randperm(len(self), generator=seeded(self.seed, stream, epoch))
        return self._order[stream, epoch]


def load_covers(
    dataset_name: str, resolution: int, split: str = "train", seed: int = 0, labelled: bool = False
) -> Covers:
    """Open a prepared dataset, or any Hub dataset with images, for training.

    Decoding happens once: the raw pixels are kept in the datasets cache, memory-mapped, and read 20 times as fast.

    Args:
        dataset_name: a folder written by `train.prepare`, or a Hub id.
        resolution: pixels; larger covers are cropped to the middle square and scaled down.
        split: e.g. "train" or "validation".
        seed: see `Covers`.
        labelled: also read the genres, numbered as `load_genres` names them; one more is "any", of covers without one.

    Raises:
        CoversError: no such dataset or split, no images in it, no genres, or images that are too small.
    """
    dataset = _open(dataset_name, split)
    labels = _labels(dataset, dataset_name) if labelled else None
    dataset, column = encoded_images(dataset, dataset_name)
    try:
        pixels = dataset.map(
            _raw_pixels,
            with_indices=True,
            fn_kwargs={"column": column, "resolution": resolution},
            batched=True,
            batch_size=256,
            remove_columns=[column],
            features=Features({"pixels": Value("binary")}),
            desc=f"Decoding {split} covers, once",
        )
    except OSError as error:
        raise CoversError(_no_room(error) or f"--dataset_name {dataset_name}: {first_line(error)}") from error
    return Covers(pixels, resolution, seed, labels)


def encoded_images(
    dataset: Dataset | IterableDataset, dataset_name: str, beside: Sequence[str] = ()
) -> tuple[Dataset | IterableDataset, str]:
    """The first column of images of a dataset alone, or with others `beside` it, not decoded, and its name.

    Raises:
        CoversError: there is none.
    """
    features = dataset.features or {}
    column = next((name for name, feature in features.items() if isinstance(feature, Image)), None)
    if column is None:
        raise CoversError(f"--dataset_name {dataset_name} has no column of images, only {', '.join(features)}")
    return dataset.select_columns([column, *beside]).cast_column(column, Image(decode=False)), column


def load_genres(dataset_name: str) -> list[str]:
    """The names of the genres of a prepared dataset, in the order of their labels.

    Raises:
        CoversError: no such dataset, or covers without genres.
    """
    return genre_names(_open(dataset_name, "train"), dataset_name)


def genre_names(dataset: Dataset | IterableDataset, dataset_name: str) -> list[str]:
    """The names of the genres in the column `genre`. Raises CoversError where there is none."""
    feature = (dataset.features or {}).get("genre")
    if not isinstance(feature, ClassLabel) or not feature.names:
        raise CoversError(
            f"--dataset_name {dataset_name} has no column `genre` of class labels: "
            "prepare it with --labels folder or --labels genres.csv"
        )
    return feature.names


def _labels(dataset: Dataset, dataset_name: str) -> torch.Tensor:
    """(N,) int64; a cover without a genre has null there, or -1 as others write it."""
    count = len(genre_names(dataset, dataset_name))
    column = dataset.select_columns(["genre"]).with_format("arrow")[:]["genre"]
    return numbered(torch.tensor(column.fill_null(-1).to_numpy()), count)


def numbered(labels: torch.Tensor, genres: int) -> torch.Tensor:
    """(N,) int64 `labels`, of which those that name none of so many genres become their number, which is "any"."""
    return torch.where((labels >= 0) & (labels < genres), labels, genres)


def check_name(dataset_name: str) -> None:
    """Raise CoversError where a name is neither a folder nor can be a Hub id: the Hub would be asked for long."""
    is_id = not dataset_name.startswith((".", "/", "~")) and dataset_name.strip("/").count("/") == 1
    if not is_id and not (dataset_name and Path(dataset_name).is_dir()):
        raise CoversError(f"--dataset_name {dataset_name}: no such folder; a dataset on the Hub reads user/name")


def _open(dataset_name: str, split: str) -> Dataset:
    check_name(dataset_name)
    try:
        dataset = load_dataset(dataset_name)
    except Exception as error:  # datasets raises its own, the Hub client's, pyarrow's and the system's errors
        raise CoversError(
            _no_room(error)
            or f"--dataset_name {dataset_name} cannot be read ({first_line(error)}); "
            "name a folder written by train.prepare or a Hub id"
        ) from error
    if not isinstance(dataset, DatasetDict) or split not in dataset or not len(dataset[split]):
        raise CoversError(f"--dataset_name {dataset_name} has no covers in its split {split!r}")
    return dataset[split]


def _no_room(error: BaseException) -> str | None:
    """What to say where a full disk is behind `error`: `datasets` keeps what it has read in a cache."""
    while error.__cause__ is not None and not isinstance(error, OSError):
        error = error.__cause__
    if getattr(error, "errno", None) not in NO_ROOM:
        return None
    cache = datasets_config.HF_DATASETS_CACHE
    return f"{cache}: {error.strerror}; make room there, or name another folder in the variable HF_DATASETS_CACHE"


def _decode(image: dict) -> Pillow.Image:
    return Pillow.open(io.BytesIO(image["bytes"]) if image["bytes"] else image["path"])


def _raw_pixels(batch: dict, indices: list[int], column: str, resolution: int) -> dict:
    return {"pixels": [raw_pixels(image, i, resolution) for image, i in zip(batch[column], indices, strict=True)]}


def raw_pixels(image: dict, index: int, resolution: int) -> bytes:
    """The pixels of one encoded image as (resolution, resolution, 3) uint8, cropped to the middle square and scaled.

    Args:
        image: its `bytes`, or its `path`.
        index: its number, for the user.
        resolution: height and width in pixels.

    Raises:
        CoversError: it cannot be decoded, or is too small.
    """
    try:
        cover = ImageOps.exif_transpose(_decode(image)).convert("RGB")
    except Exception as error:  # Pillow raises nearly anything for a broken image
        raise CoversError(f"image {index} of --dataset_name cannot be decoded; clean it with train.prepare") from error
    if min(cover.size) < resolution:
        raise CoversError(
            f"image {index} of --dataset_name is {cover.width}x{cover.height}, the recipe wants {resolution} px: "
            f"prepare them with --resolution {resolution}, or choose a smaller recipe"
        )
    square = (resolution, resolution)
    return (cover if cover.size == square else ImageOps.fit(cover, square, Pillow.Resampling.LANCZOS)).tobytes()
