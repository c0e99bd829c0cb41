"""A dataset that is trained on as it comes from the Hub, without being kept on the disk."""

import math
from collections.abc import Iterator
from itertools import islice

import torch
from datasets import Dataset, IterableDataset, load_dataset

from gan.errors import first_line
from train.covers import (
    Covers,
    CoversError,
    check_name,
    encoded_images,
    genre_names,
    mixed_seed,
    numbered,
    raw_pixels,
)


# As many rows are mixed with one another: prepared covers lie in the order of their sources.
BUFFER_ROWS = 4096


class StreamedCovers:
    """Covers of one size, read one after the other; like `Covers`, in an order that only (seed, position) decides.

    It is shuffled within a buffer and by whole shards, not through and through. To go on in the middle, as a resumed
    run does, the rows of the epoch up to there are read again.

    Args:
        dataset: with a column of encoded images.
        column: its name.
        resolution: height and width in pixels; larger covers are cropped and scaled down.
        seed: another seed is another order.
        genres: how many the column `genre` tells of; None where nobody asks.

    Raises:
        CoversError: the dataset does not tell how many covers there are.
    """

    def __init__(
        self, dataset: IterableDataset, column: str, resolution: int, seed: int = 0, genres: int | None = None
    ):
        self.dataset, self.column, self.resolution, self.seed, self.genres = dataset, column, resolution, seed, genres
        self._streams: dict[int, tuple[int, Iterator[tuple[int, dict]]]] = {}
        self._labels: dict[int, torch.Tensor] = {}  # of the last batch of each stream
        known = (dataset.info.splits or {}).get(str(dataset.split))
        if not known or not known.num_examples:
            raise CoversError("its card does not tell how many covers there are (dataset_info); drop --streaming")
        self._length = known.num_examples

    def __len__(self) -> int:
        return self._length

    def batch(self, position: int, size: int, stream: int = 0) -> torch.Tensor:
        """As `Covers.batch`; cheap where `position` is where the last batch of `stream` ended.

        Raises:
            CoversError: an image that cannot be decoded or is too small, a stream that breaks off, or one that has
                not as many covers as its card tells.
        """
        at, rows = self._streams.get(stream, (math.inf, iter(())))
        if position < at or position // len(self) > at // len(self):
            at, rows = position, self._rows(position, stream)
        mine = islice(rows, position - at, position - at + size)  # what lies between belongs to other processes
        try:
            taken = list(mine)
            decoded = [raw_pixels(row[self.column], index, self.resolution) for index, row in taken]
        except CoversError:
            raise
        except Exception as error:  # the Hub client's, pyarrow's and the system's errors
            raise CoversError(f"the stream of covers broke off: {first_line(error)}") from error
        self._streams[stream] = (position + size, rows)
        if self.genres is not None:
            labels = [-1 if row["genre"] is None else row["genre"] for _, row in taken]
            self._labels[stream] = numbered(torch.tensor(labels), self.genres)
        pixels = torch.frombuffer(bytearray(b"".join(decoded)), dtype=torch.uint8)
        return pixels.view(size, self.resolution, self.resolution, 3)

    def batch_labels(self, position: int, size: int, stream: int = 0) -> torch.Tensor | None:
        """As `Covers.batch_labels`, of the batch that was read last: a stream comes by only once."""
        return None if self.genres is None else self._labels[stream]

    def _rows(self, position: int, stream: int) -> Iterator[tuple[int, dict]]:
        """The numbers and rows of all covers from `position` on, without end."""
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


def _open(dataset_name: str, split: str) -> IterableDataset:
    check_name(dataset_name)
    try:
        return load_dataset(dataset_name, split=split, streaming=True)
    except Exception as error:  # as in train/covers.py
        raise CoversError(f"--dataset_name {dataset_name} cannot be streamed ({first_line(error)})") from error


def stream_genres(dataset_name: str) -> list[str]:
    """As `load_genres`, without keeping anything of the dataset."""
    return genre_names(_open(dataset_name, "train"), dataset_name)


def stream_covers(
    dataset_name: str, resolution: int, split: str = "train", seed: int = 0, labelled: bool = False
) -> StreamedCovers:
    """Open a Hub dataset, or a folder written by `train.prepare`, to be read as it is trained on.

    Raises:
        CoversError: no such dataset or split, no images in it, or no genres.
    """
    dataset = _open(dataset_name, split)
    genres = len(genre_names(dataset, dataset_name)) if labelled else None
    images, column = encoded_images(dataset, dataset_name, ["genre"] if labelled else [])
    try:
        return StreamedCovers(images, column, resolution, seed, genres)
    except CoversError as error:
        raise CoversError(f"--dataset_name {dataset_name}: {error}") from None


def first_covers(streamed: StreamedCovers, count: int) -> Covers:
    """The first covers of a stream, kept in memory: to measure against again and again."""
    count = min(count, len(streamed))
    pixels = Dataset.from_dict({"pixels": [row.numpy().tobytes() for row in streamed.batch(0, count)]})
    return Covers(pixels, streamed.resolution, labels=streamed.batch_labels(0, count))
