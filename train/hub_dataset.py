"""Datasets on the Hub as the library `datasets` reads them, but for their Parquet files, which are read as those here.

The library unpacks what the files of strangers say of themselves. Here each page is checked before it is unpacked, and
columns of lists, of which a few bytes may tell of thousands of millions of values, are left aside. Of the thirty kinds
of files that it knows only Parquet and loose pictures are let in.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
from datasets import (
    ClassLabel,
    DownloadManager,
    Features,
    Image,
    SplitGenerator,
    Value,
    load_dataset_builder,
)
from datasets import config as datasets_config
from datasets.builder import DatasetBuilder, Key
from datasets.data_files import DataFilesList
from datasets.download.streaming_download_manager import xopen
from datasets.exceptions import DatasetGenerationError
from datasets.packaged_modules.cache.cache import Cache
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from datasets.packaged_modules.parquet.parquet import Parquet
from fsspec.caching import BlockCache

from train.parquet import read_batches


# How the files end that are let in, by what reads them.
LET_IN: dict[type[DatasetBuilder], tuple[str, ...]] = {
    Parquet: (".parquet", ".geoparquet", ".gpq"),
    ImageFolder: (*ImageFolder.EXTENSIONS, "/metadata.csv", "/metadata.jsonl"),
}
# What people miss where it is not read; other files lie beside pictures and hold none.
PACKED = (".7z", ".bz2", ".gz", ".lz4", ".parquet", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst")
BLOCK, BLOCKS = 4 * 1024**2, 32  # of a remote file, kept so that what was checked is not fetched again


def load_hub_dataset(
    name: str, config_name: str | None = None, split: str | None = None, streaming: bool = False
) -> Any:
    """Open a dataset on the Hub, all splits of it or one.

    Raises whatever `datasets.load_dataset` does, and ValueError where it is neither of Parquet files nor of pictures.
    """
    # a cache of its own: other programs want the columns, too, that are left aside here
    cache = str(Path(datasets_config.HF_DATASETS_CACHE, "covers"))
    builder = load_dataset_builder(name, config_name, cache_dir=cache)
    _let_in(builder, name)
    if isinstance(builder, Parquet):
        builder.__class__ = CheckedParquet
    if streaming:
        return builder.as_streaming_dataset(split=split)
    try:
        builder.download_and_prepare()
    except DatasetGenerationError as error:  # which says only that there was one
        raise error.__cause__ or error from None
    return builder.as_dataset(split=split)


def _let_in(builder: DatasetBuilder, name: str) -> None:
    """Leave a builder the files that may be read.

    Raises ValueError where it is none of `LET_IN`, or no such file is left, or a packed one is among them.
    """
    if isinstance(builder, Cache):  # what was read before, in our own folder
        return
    endings = next((endings for kind, endings in LET_IN.items() if isinstance(builder, kind)), None)
    if endings is None:
        raise ValueError(_not_let_in(f"{builder.name} files", name))
    for split, listed in (builder.config.data_files or {}).items():
        kept = [file for file in listed if file.lower().endswith(endings)]
        packed = [file for file in listed if file.lower().endswith(PACKED) and not file.lower().endswith(endings)]
        if packed or not kept:
            raise ValueError(_not_let_in((packed or listed)[0].rpartition("/")[2][:60], name))
        builder.config.data_files[split] = DataFilesList(kept, listed.origin_metadata)


def _not_let_in(what: str, name: str) -> str:
    return (
        f"{what}: of the Hub only Parquet files and loose pictures are read; fetch it with `hf download {name} "
        "--repo-type dataset --local-dir FOLDER`, and give FOLDER to train.prepare, which reads archives, too"
    )


class CheckedParquet(Parquet):
    """Read Parquet as the library does, with this project's way to unpack a file."""

    def _split_generators(self, dl_manager: DownloadManager) -> list[SplitGenerator]:
        splits = super()._split_generators(dl_manager)
        single = {k: v for k, v in self.info.features.items() if isinstance(v, Image | ClassLabel | Value)}
        self.info.features = Features(single)
        return splits

    def _generate_tables(self, files: Any, row_groups_list: Any) -> Iterator[tuple[Key, pyarrow.Table]]:
        for number, (file, groups) in enumerate(zip(files, row_groups_list, strict=True)):
            with xopen(file, "rb") as stream:
                if getattr(stream, "cache", None) is not None:  # it is not on this disk
                    stream.cache = BlockCache(BLOCK, stream._fetch_range, stream.size, maxblocks=BLOCKS)
                name = file.rpartition("/")[2]
                for place, batch in enumerate(read_batches(stream, name, list(self.info.features), groups)):
                    yield Key(number, place), self._cast_table(pyarrow.Table.from_batches([batch]))
