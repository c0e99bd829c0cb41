"""Write the Parquet files of a split."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet


SHARD_BYTES = 256 * 1024**2
# Small groups, so that a reader, such as the Hub's viewer, can show a few rows without reading a whole shard.
GROUP_ROWS, GROUP_BYTES = 500, 16 * 1024**2


def schema(genres: list[str]) -> pyarrow.Schema:
    """Return the columns of a dataset as an Arrow schema, with a column `genre` if there are genres.

    It equals `datasets.Features(...).arrow_schema`, but importing `datasets` takes longer than preparing a few hundred
    covers.
    """
    text = {"dtype": "string", "_type": "Value"}
    features: dict[str, Any] = {"image": {"_type": "Image"}, "source": text, "sha256": text, "phash": text}
    types = dict.fromkeys(features, pyarrow.string())
    types["image"] = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    if genres:
        features["genre"] = {"names": genres, "_type": "ClassLabel"}
        types["genre"] = pyarrow.int64()
    return pyarrow.schema(types, {"huggingface": json.dumps({"info": {"features": features}})})


class Shards:
    """Write the Parquet files of one split as covers come, so that memory does not grow with their number.

    Args:
        folder: where the files are written; created with the first one.
        name: name of the split, with which file names begin.
        genres: names of the class labels; [] leaves out the column.
    """

    def __init__(self, folder: Path, name: str, genres: list[str]):
        self.schema = schema(genres)
        self.folder, self.name, self.rows = folder, name, 0
        self.paths: list[Path] = []
        self.writer: Any = None
        self.group: list[dict[str, Any]] = []
        self.group_bytes = self.shard_bytes = self.picture_bytes = 0

    def add(self, row: dict[str, Any], genre: int | None) -> None:
        """Add one cover, and write when a row group or a shard is full.

        Args:
            row: a row of a part: `image` (the bytes of a picture file), `name`, `sha256` (bytes), `phash` (64 bits).
            genre: index of its class label, None for none.
        """
        self.group.append(
            {
                "image": {"bytes": row["image"], "path": None},
                "source": row["name"],
                "sha256": row["sha256"].hex(),
                "phash": f"{row['phash']:016x}",
                "genre": genre,
            }
        )
        self.rows += 1
        self.group_bytes += len(row["image"])
        self.shard_bytes += len(row["image"])
        self.picture_bytes += len(row["image"])
        full = self.shard_bytes >= SHARD_BYTES
        if full or len(self.group) >= GROUP_ROWS or self.group_bytes >= GROUP_BYTES:
            self._write_group()
        if full:
            self._close_shard()

    def close(self) -> None:
        """Write what is left, and give the files their final names, which contain the number of files."""
        if self.group:
            self._write_group()
        self._close_shard()
        for number, path in enumerate(self.paths):
            path.rename(self.folder / f"{self.name}-{number:05d}-of-{len(self.paths):05d}.parquet")

    def _write_group(self) -> None:
        """Write the covers collected so far as a row group, into a new file if none is open."""
        if self.writer is None:
            self.folder.mkdir(exist_ok=True)
            self.paths.append(self.folder / f"{self.name}-{len(self.paths):05d}.parquet")
            # Chunked by content, so that the Hub stores only what changed between two uploads.
            self.file = pyarrow.OSFile(os.fsencode(self.paths[-1]), "wb")  # which opens every name
            self.writer = parquet.ParquetWriter(
                self.file, self.schema, use_content_defined_chunking=True, write_page_index=True
            )
        self.writer.write_table(pyarrow.Table.from_pylist(self.group, schema=self.schema))
        self.group, self.group_bytes = [], 0

    def _close_shard(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.file.close()
        self.writer, self.shard_bytes = None, 0
