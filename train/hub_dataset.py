"""Datasets on the Hub as the library `datasets` reads them, but for their Parquet files, which are read as those here.

The library unpacks what the files of strangers say of themselves. Here each page is checked before it is unpacked, and
columns of lists, of which a few bytes may tell of thousands of millions of values, are left aside.
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
from datasets.builder import Key
from datasets.download.streaming_download_manager import xopen
from datasets.exceptions import DatasetGenerationError
from datasets.packaged_modules.parquet.parquet import Parquet
from fsspec.caching import BlockCache

from train.parquet import read_batches


BLOCK, BLOCKS = 4 * 1024**2, 32  # of a remote file, kept so that what was checked is not fetched again


def load_hub_dataset(
    name: str, config_name: str | None = None, split: str | None = None, streaming: bool = False
) -> Any:
    """Open a dataset on the Hub, all splits of it or one. Raises whatever `datasets.load_dataset` does."""
    # a cache of its own: other programs want the columns, too, that are left aside here
    cache = str(Path(datasets_config.HF_DATASETS_CACHE, "covers"))
    builder = load_dataset_builder(name, config_name, cache_dir=cache)
    if isinstance(builder, Parquet):
        builder.__class__ = CheckedParquet
    if streaming:
        return builder.as_streaming_dataset(split=split)
    try:
        builder.download_and_prepare()
    except DatasetGenerationError as error:  # which says only that there was one
        raise error.__cause__ or error from None
    return builder.as_dataset(split=split)


class CheckedParquet(Parquet):
    """The library's reader of Parquet, with this project's way to unpack a file."""

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
