"""A dataset that is trained on as it comes from the Hub, without being kept on the disk."""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, IterableDataset

from gan.errors import first_line
from train.covers import (
    Covers,
    CoversError,
    check_name,
    encoded_images,
    genre_column,
    genre_names,
    in_one_line,
    load_genres,
    mixed_seed,
    numbered,
    raw_pixels,
    repository_of,
)
from train.covers_folder import open_folder, read_folder
from train.hub_dataset import load_hub_dataset


# As many rows are mixed with one another: prepared covers lie in the order of their sources.
BUFFER_ROWS = 4096


class StreamedCovers:
    """Read covers of one size one after the other; like `Covers`, in an order that only (seed, position) decides.

    It is shuffled within a buffer and by whole shards, not through and through. To go on in the middle, as a resumed
    run does, the rows of the epoch up to there are read again.

    Args:
        dataset: with a column of encoded images.
        column: its name.
        resolution: height and width in pixels; larger covers are cropped and scaled down.
        seed: another seed is another order.
        genres: how many the column of labels tells of; None where nobody asks.
        label: name of that column.
        length: how many covers there are; None is what the dataset's card tells.
        repository: as in `cell_bytes`.

    Raises:
        CoversError: the dataset does not tell how many covers there are.
    """

    def __init__(
        self,
        dataset: IterableDataset,
        column: str,
        resolution: int,
        seed: int = 0,
        genres: int | None = None,
        label: str = "genre",
        length: int | None = None,
        repository: str | None = None,
    ):
        self.dataset, self.column, self.resolution, self.seed, self.genres = dataset, column, resolution, seed, genres
        self.label, self.repository = label, repository
        self._streams: dict[int, tuple[int, Iterator[tuple[int, dict[str, Any]]]]] = {}
        self._labels: dict[int, torch.Tensor] = {}  # of the last batch of each stream
        if length is None:
            told = (dataset.info.splits or {}).get(str(dataset.split))
            length = told.num_examples if told else None
        if not length:
            raise CoversError("its card does not tell how many covers there are (dataset_info); drop --streaming")
        self._length = length

    def __len__(self) -> int:
        return self._length

    def batch(self, position: int, size: int, stream: int = 0) -> torch.Tensor:
        """Do as `Covers.batch`; cheap where `position` is where the last batch of `stream` ended.

        Raises:
            CoversError: an image that cannot be decoded or is too small, a stream that breaks off, or one that has
                not as many covers as its card tells.
        """
        at, rows = self._streams.get(stream, (sys.maxsize, iter(())))
        if position < at or position // len(self) > at // len(self):
            at, rows = position, self._rows(position, stream)
        mine = islice(rows, position - at, position - at + size)  # what lies between belongs to other processes
        try:
            taken = list(mine)
            decoded = [raw_pixels(row[self.column], index, self.resolution, self.repository) for index, row in taken]
        except CoversError:
            raise
        except Exception as error:  # the Hub client's, pyarrow's and the system's errors
            raise CoversError(f"the stream of covers broke off: {first_line(error)}") from error
        self._streams[stream] = (position + size, rows)
        if self.genres is not None:
            labels = [-1 if row[self.label] is None else row[self.label] for _, row in taken]
            self._labels[stream] = numbered(torch.tensor(labels), self.genres)
        pixels = torch.frombuffer(bytearray(b"".join(decoded)), dtype=torch.uint8)
        return pixels.view(size, self.resolution, self.resolution, 3)

    def batch_labels(self, position: int, size: int, stream: int = 0) -> torch.Tensor | None:
        """Do as `Covers.batch_labels`, of the batch that was read last: a stream comes by only once."""
        return None if self.genres is None else self._labels[stream]

    def _rows(self, position: int, stream: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the numbers and rows of all covers from `position` on, without end."""
        epoch, skip = divmod(position, len(self))
        while True:
            shuffled = self.dataset.shuffle(mixed_seed(self.seed, stream, epoch), buffer_size=BUFFER_ROWS)
            count = skip
            for row in shuffled.skip(skip):
                yield count, row
                count += 1
            if count != len(self):
                raise CoversError(f"its card tells of {len(self):,} covers, and there are {count:,}; drop --streaming")
            epoch, skip = epoch + 1, 0


def _open(dataset_name: str, split: str, config_name: str | None) -> IterableDataset:
    try:
        return load_hub_dataset(dataset_name, config_name, split=split, streaming=True)
    except Exception as error:  # as in train/covers.py
        raise CoversError(f"--dataset_name {dataset_name} cannot be streamed ({in_one_line(error)})") from error


def stream_genres(dataset_name: str, config_name: str | None = None, label_column: str | None = None) -> list[str]:
    """Do as `load_genres`, without keeping anything of the dataset."""
    check_name(dataset_name, config_name)
    if Path(dataset_name).is_dir():
        return load_genres(dataset_name, label_column=label_column)
    return genre_names(_open(dataset_name, "train", config_name), dataset_name, label_column)


def stream_covers(
    dataset_name: str,
    resolution: int,
    split: str = "train",
    seed: int = 0,
    labelled: bool = False,
    config_name: str | None = None,
    label_column: str | None = None,
) -> StreamedCovers:
    """Open a Hub dataset, or a folder, to be read as it is trained on; the arguments are those of `load_covers`.

    Raises:
        CoversError: no such dataset or split, no images in it, or no genres.
    """
    check_name(dataset_name, config_name)
    if Path(dataset_name).is_dir():
        folder = open_folder(dataset_name, split, label_column)
        genres = len(folder.genre_names()) if labelled else None
        rows = IterableDataset.from_generator(_stream_folder, gen_kwargs={"parts": folder.parts(), **folder.reading()})
        return StreamedCovers(rows, "image", resolution, seed, genres, length=len(folder))
    dataset = _open(dataset_name, split, config_name)
    label = genre_column(dataset, dataset_name, label_column) if labelled else ""
    genres = len(dataset.features[label].names) if labelled else None
    images, column = encoded_images(dataset, dataset_name, [label] if labelled else [])
    repository = repository_of(dataset, dataset_name)
    try:
        return StreamedCovers(images, column, resolution, seed, genres, label, repository=repository)
    except CoversError as error:
        raise CoversError(f"--dataset_name {dataset_name}: {error}") from None


def _stream_folder(
    parts: list[tuple[str, ...]], columns: tuple[str | None, str | None], genres: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a folder's parts; `datasets` takes each of a list of these for a shard."""
    for part in parts:
        yield from read_folder(part, columns, genres)


def first_covers(streamed: StreamedCovers, count: int) -> Covers:
    """Return the first covers of a stream, kept in memory: to measure against again and again."""
    count = min(count, len(streamed))
    pixels = Dataset.from_dict({"pixels": [row.numpy().tobytes() for row in streamed.batch(0, count)]})
    return Covers(pixels, streamed.resolution, labels=streamed.batch_labels(0, count))
