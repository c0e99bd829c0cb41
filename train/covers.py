"""A prepared dataset as batches of covers, in an order that is a pure function of (seed, position)."""

import copy
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import (
    ClassLabel,
    Dataset,
    DatasetDict,
    Features,
    Image,
    IterableDataset,
    NamedSplit,
    Value,
)
from datasets import config as datasets_config
from PIL import Image as Pillow
from PIL import ImageOps

from gan.errors import first_line, is_hub_id, some
from gan.pictures import PictureError, read_picture
from train.covers_folder import CoversError as CoversError  # who opens covers catches it from here
from train.covers_folder import Folder, no_genres, open_folder, read_folder
from train.files import NO_ROOM
from train.hub_dataset import load_hub_dataset
from train.parquet import Elsewhere, Table, cell_bytes
from train.time_limit import TIME_LIMIT, TooSlow, time_limit


# Raw pixels are kept for the next run; another number when the same file would give others.
READER = 2


def to_float(images: torch.Tensor) -> torch.Tensor:
    """Turn (N, H, W, 3) uint8 sRGB, as covers are outside the networks, into (N, 3, H, W) float in -1..1."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """Turn (N, 3, H, W) float in -1..1 into (N, H, W, 3) uint8 on the CPU; what lies outside is clipped."""
    images = (images.float().clamp(-1, 1) + 1) * 127.5
    return images.round().to(torch.uint8).permute(0, 2, 3, 1).cpu()


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return `tensor` on the device. The program goes on to prepare the next step while a GPU is still at this one."""
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def mixed_seed(*numbers: int) -> int:
    """Return one 63-bit seed that depends on all of `numbers` (0 or larger) and on nothing else."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def seeded(*numbers: int) -> torch.Generator:
    """Return a CPU generator of random numbers that depend on all of `numbers` (0 or larger) and on nothing else."""
    return torch.Generator().manual_seed(mixed_seed(*numbers))


class Covers:
    """Hold covers of one size, shuffled anew in each epoch.

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
        """Return the covers at `position`, `position` + 1, ... of an endless shuffled stream.

        Args:
            position: how many covers of the stream came before; that number is all that a resumed run must know.
            size: how many covers.
            stream: which of several independent orders.

        Returns:
            (size, resolution, resolution, 3) uint8.
        """
        return self[self.indices(position, size, stream)]

    def batch_labels(self, position: int, size: int, stream: int = 0) -> torch.Tensor | None:
        """Return (size,) int64, the genres of the covers that `batch` gives; None where they were not loaded."""
        return None if self.labels is None else self.labels[self.indices(position, size, stream)]

    def resident(self, device: torch.device) -> "Covers":
        """Return the same covers with all pixels in the memory of `device`, where `batch` then gives them."""
        covers = copy.copy(self)
        parts = [range(first, min(first + 1024, len(self))) for first in range(0, len(self), 1024)]
        covers._resident = torch.cat([self[part].to(device) for part in parts])
        return covers

    def digest(self) -> str:
        """Tell this dataset from others by some of its covers, 64 at most, wherever they lie."""
        return hashlib.sha256(self.batch(0, min(64, len(self))).numpy().tobytes()).hexdigest()[:16]

    def of_genre(self, label: int) -> "Covers":
        """Return the covers of one genre alone; they may be none."""
        assert self.labels is not None
        chosen = torch.nonzero(torch.eq(self.labels, label)).flatten()
        return Covers(self.pixels.select(chosen.tolist()), self.resolution, self.seed, self.labels[chosen])

    def __getitem__(self, indices: Sequence[int] | torch.Tensor) -> torch.Tensor:
        indices = torch.as_tensor(indices)
        if self._resident is not None:
            return self._resident[send(indices, self._resident.device)]
        rows = self.pixels[indices.tolist()]["pixels"].to_pylist()
        flat = torch.frombuffer(bytearray(b"".join(rows)), dtype=torch.uint8)
        return flat.view(len(rows), self.resolution, self.resolution, 3)

    def indices(self, position: int, size: int, stream: int = 0) -> torch.Tensor:
        """Return (size,) int64, which covers `batch` gives."""
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
    dataset_name: str,
    resolution: int,
    split: str = "train",
    seed: int = 0,
    labelled: bool = False,
    config_name: str | None = None,
    label_column: str | None = None,
) -> Covers:
    """Open a prepared dataset, a folder of pictures, or any Hub dataset with images, for training.

    Decoding happens once: the raw pixels are kept in the datasets cache, memory-mapped, and read 20 times as fast.

    Args:
        dataset_name: a folder written by `train.prepare`, one of Parquet files or pictures, or a Hub id.
        resolution: pixels; larger covers are cropped to the middle square and scaled down.
        split: e.g. "train" or "validation".
        seed: see `Covers`.
        labelled: also read the genres, numbered as `load_genres` names them; one more is "any", of covers without one.
        config_name: which of a Hub dataset's configurations.
        label_column: where the genres are; None is `genre`, `label`, or the only column of class labels.

    Raises:
        CoversError: no such dataset or split, no images in it, no genres, images that are too small, or a cache that
            cannot be written.
    """
    check_name(dataset_name, config_name)
    check_cache()
    if Path(dataset_name).is_dir():
        return _load_local(open_folder(dataset_name, split, label_column), resolution, seed, labelled)
    dataset = _open(dataset_name, split, config_name)
    labels = _labels(dataset, dataset_name, label_column) if labelled else None
    dataset, column = encoded_images(dataset, dataset_name)
    try:
        pixels = dataset.map(
            _raw_pixels,
            with_indices=True,
            fn_kwargs={
                "column": column,
                "resolution": resolution,
                "repository": repository_of(dataset, dataset_name),
                "reader": READER,
            },
            batched=True,
            batch_size=256,
            remove_columns=[column],
            features=Features({"pixels": Value("binary")}),
            desc=f"Decoding {split} covers, once",
        )
    except OSError as error:
        raise CoversError(_no_room(error) or f"--dataset_name {dataset_name}: {first_line(error)}") from error
    return Covers(pixels, resolution, seed, labels)


def load_genres(dataset_name: str, config_name: str | None = None, label_column: str | None = None) -> list[str]:
    """Return the names of a dataset's genres, in the order of their labels.

    Raises:
        CoversError: no such dataset, or covers without genres.
    """
    check_name(dataset_name, config_name)
    if Path(dataset_name).is_dir():
        return open_folder(dataset_name, "train", label_column).genre_names()
    return genre_names(_open(dataset_name, "train", config_name), dataset_name, label_column)


# -- folders on this disk --


def decode_folder(
    files: tuple[tuple[str, int, int], ...],
    columns: tuple[str | None, str | None],
    genres: tuple[str, ...],
    resolution: int,
    reader: int,
) -> Iterator[dict[str, bytes]]:
    """Decode the covers of files, given with their sizes and times, by which a cache knows them again."""
    for index, row in enumerate(read_folder([path for path, _, _ in files], columns, genres)):
        yield {"pixels": raw_pixels(row["image"], index, resolution)}


def _load_local(folder: Folder, resolution: int, seed: int, labelled: bool) -> Covers:
    labels = None
    if labelled:
        names, reading = folder.genre_names(), folder.reading()
        columns = (None, None) if folder.table is None else (folder.label_column, folder.label_column)
        rows: Iterable[dict[str, Any]]
        if folder.table is None:
            rows = ({"genre": names.index(p.parent.name) if p.parent.name in names else None} for p in folder.paths)
        else:
            rows = read_folder(list(map(str, folder.paths)), columns, reading["genres"])
        labels = numbered(torch.tensor([-1 if row["genre"] is None else row["genre"] for row in rows]), len(names))
    try:
        files = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in folder.paths)
        pixels = Dataset.from_generator(
            decode_folder,
            features=Features({"pixels": Value("binary")}),
            gen_kwargs={"files": files, **folder.reading(), "resolution": resolution, "reader": READER},
            split=NamedSplit(folder.split),
        )
    except Exception as error:  # datasets wraps whatever its generators raise
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, CoversError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from None
        raise CoversError(_no_room(error) or f"--dataset_name {folder.name}: {_innermost(error)}") from error
    return Covers(pixels, resolution, seed, labels)


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)


# -- datasets on the Hub --


def encoded_images(
    dataset: Dataset | IterableDataset, dataset_name: str, beside: Sequence[str] = ()
) -> tuple[Dataset | IterableDataset, str]:
    """Return the first column of images of a dataset alone, or with others `beside` it, not decoded, and its name.

    Raises:
        CoversError: there is none.
    """
    features = dataset.features or {}
    column = next((name for name, feature in features.items() if isinstance(feature, Image)), None)
    if column is None:
        raise CoversError(f"--dataset_name {dataset_name} has no column of images, only {some([*features])}")
    if isinstance(dataset, IterableDataset):
        dataset = dataset.decode(False)  # of loose pictures a stream decodes what is merely cast
    return dataset.select_columns([column, *beside]).cast_column(column, Image(decode=False)), column


def repository_of(dataset: Dataset | IterableDataset, dataset_name: str) -> str | None:
    """Return a dataset's name where `datasets` itself made the cells, of loose picture files; else None."""
    return dataset_name if dataset.info.builder_name == "imagefolder" else None


def genre_column(dataset: Dataset | IterableDataset, dataset_name: str, label_column: str | None = None) -> str:
    """Return the name of the column of class labels. Raises CoversError where there is none."""
    classes = {name: f.names for name, f in (dataset.features or {}).items() if isinstance(f, ClassLabel) and f.names}
    column = Table([], 0, [], None, classes).label_column(label_column)
    if column is None:
        raise CoversError(no_genres(dataset_name))
    return column


def genre_names(dataset: Dataset | IterableDataset, dataset_name: str, label_column: str | None = None) -> list[str]:
    """Return the names behind a dataset's class labels. Raises CoversError where there are none."""
    return dataset.features[genre_column(dataset, dataset_name, label_column)].names


def _labels(dataset: Dataset, dataset_name: str, label_column: str | None) -> torch.Tensor:
    """Return (N,) int64; a cover without a genre has null there, or -1 as others write it."""
    name = genre_column(dataset, dataset_name, label_column)
    column = dataset.select_columns([name]).with_format("arrow")[:][name]
    return numbered(torch.tensor(column.fill_null(-1).to_numpy()), len(dataset.features[name].names))


def numbered(labels: torch.Tensor, genres: int) -> torch.Tensor:
    """Return (N,) int64 `labels`, of which those that name none of so many genres become their number: "any"."""
    return torch.where((labels >= 0) & (labels < genres), labels, genres)


def check_name(dataset_name: str, config_name: str | None = None) -> None:
    """Raise CoversError where a name is neither a folder nor can be a Hub id: the Hub would be asked for long.

    A configuration of a folder is refused, too: what a card there names is not opened.
    """
    if not is_hub_id(dataset_name) and not (dataset_name and Path(dataset_name).is_dir()):
        raise CoversError(f"--dataset_name {dataset_name}: no such folder; a dataset on the Hub reads user/name")
    if config_name and Path(dataset_name).is_dir():
        raise CoversError(
            f"--dataset_config_name is for a dataset on the Hub: {dataset_name} is a folder; "
            "name the folder of that configuration"
        )


def check_cache() -> None:
    """Raise CoversError, which names the folder and HF_HOME, where raw pixels cannot be kept."""
    cache = Path(datasets_config.HF_DATASETS_CACHE)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if not os.access(cache, os.W_OK | os.X_OK):
            raise PermissionError(13, "no permission")
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise CoversError(
            f"the cache {cache} cannot be written ({reason}); name a folder of yours in the variable HF_HOME"
        ) from error


def _open(dataset_name: str, split: str, config_name: str | None) -> Dataset:
    check_cache()
    try:
        dataset = load_hub_dataset(dataset_name, config_name)  # which takes files of its own repository alone
    except Exception as error:  # datasets raises its own, the Hub client's, pyarrow's and the system's errors
        raise CoversError(
            _no_room(error) or f"--dataset_name {dataset_name} cannot be read ({in_one_line(error)})"
        ) from error
    if not isinstance(dataset, DatasetDict) or split not in dataset or not len(dataset[split]):
        raise CoversError(f"--dataset_name {dataset_name} has no covers in its split {split!r}")
    return dataset[split]


def in_one_line(error: Exception) -> str:
    """Return what `datasets` says of a dataset that it cannot load, with the flag that chooses a configuration."""
    said = first_line(error, 3)
    if "Config name is missing" not in said:
        return first_line(error)
    names = said[said.find("[") : said.find("]") + 1]
    return f"it has several configurations, {names}: choose one with --dataset_config_name"


def _no_room(error: BaseException) -> str | None:
    """Return what to say where a full disk is behind `error`: `datasets` keeps what it has read in a cache."""
    while error.__cause__ is not None and not isinstance(error, OSError):
        error = error.__cause__
    if getattr(error, "errno", None) not in NO_ROOM:
        return None
    cache = datasets_config.HF_DATASETS_CACHE
    reason = getattr(error, "strerror", None)
    return f"{cache}: {reason}; make room there, or name another folder in the variable HF_DATASETS_CACHE"


# -- pixels --


def _raw_pixels(
    batch: dict[str, Any], indices: list[int], column: str, resolution: int, repository: str | None, reader: int
) -> dict[str, Any]:
    cells = zip(batch[column], indices, strict=True)
    return {"pixels": [raw_pixels(cell, index, resolution, repository) for cell, index in cells]}


def raw_pixels(cell: dict[str, Any] | bytes, index: int, resolution: int, repository: str | None = None) -> bytes:
    """Return the pixels of one encoded image as (resolution, resolution, 3) uint8: its middle square, scaled.

    Args:
        cell: its bytes, or a dictionary with them.
        index: its number, for the user.
        resolution: height and width in pixels.
        repository: as in `cell_bytes`.

    Raises:
        CoversError: it cannot be decoded, takes too long, is an animation, or is too small.
    """
    try:
        with time_limit(TIME_LIMIT):
            cover = read_picture(cell_bytes(cell, repository))
    except TooSlow:
        took = f"takes more than {TIME_LIMIT:.0f} seconds to decode"
        raise CoversError(f"image {index} of --dataset_name {took}; clean it with train.prepare") from None
    except Elsewhere:
        raise CoversError(
            f"image {index} of --dataset_name is a path and no picture; such paths are never opened"
        ) from None
    except PictureError as error:
        what = "is an animation" if error.reason == "animated" else "cannot be decoded"
        raise CoversError(
            f"image {index} of --dataset_name {what} ({error.reason}); clean it with train.prepare"
        ) from error
    if min(cover.size) < resolution:
        raise CoversError(
            f"image {index} of --dataset_name is {cover.width}x{cover.height}, the recipe wants {resolution} px: "
            f"prepare them with --resolution {resolution}, or choose a smaller recipe"
        )
    square = (resolution, resolution)
    return (cover if cover.size == square else ImageOps.fit(cover, square, Pillow.Resampling.LANCZOS)).tobytes()
