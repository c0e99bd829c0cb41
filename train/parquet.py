"""Covers in Parquet files on this disk, as this project and others write them.

The files are read directly, whatever their folders are called. Nothing that a cell or a card names is opened, and
nothing is unpacked that grows beyond what covers do.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow
from pyarrow import parquet

from train.files import is_junk
from train.parquet_pages import LARGEST_FOOTER, SMALL_PAGE, check_pages, checked_groups


SPLITS = {"train": "train|training", "validation": "validation|valid|val|dev|eval", "test": "test|testing"}
# Names that people give columns of encoded pictures, the likeliest first.
PICTURE_NAMES = ("image", "cover", "jpg", "jpeg", "png", "webp", "img", "picture", "bytes", "content", "data")
LABEL_NAMES = ("genre", "label", "labels")
ROWS_AT_ONCE = 32
LOOKED_AT, ROWS_LOOKED_AT = 20, 2_000  # values of a column, and rows, to see whether it holds pictures
FEW_ROWS = 100_000  # a file of more has a byte for each of them: a few bytes say that millions have nothing


class TableError(Exception):
    """Say in one line why a Parquet file cannot be read; `reason` does so without the path, which is its owner's."""

    def __init__(self, name: str, reason: str):
        super().__init__(f"{name}: {reason}")
        self.reason = reason


class Elsewhere(Exception):
    """Say that a cell names a file instead of holding its bytes; nothing that a cell names is opened."""


def cell_bytes(cell: object, repository: str | None = None) -> bytes:
    """Return the bytes of a picture in a cell: they themselves, or as `datasets` keeps them beside a path.

    Args:
        cell: of a column of pictures.
        repository: the id of a Hub dataset of loose picture files, whose paths `datasets` itself wrote into the cells.

    Raises:
        Elsewhere: the cell has no bytes, and names a file.
        OSError: a file of the repository cannot be read.
    """
    content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    if not path:
        return b""
    if repository is None:
        raise Elsewhere()
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    if path.startswith(f"hf://datasets/{repository}@") and ".." not in path.split("/"):
        import fsspec

        with fsspec.open(path) as file:
            return file.read()
    own = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repository, repo_type="dataset"))
    if not Path(path).resolve().is_relative_to(own.resolve()):
        raise Elsewhere()
    return Path(path).read_bytes()


@dataclass(frozen=True)
class Table:
    """Describe the Parquet files of one split.

    Args:
        paths: the files.
        rows: how many rows they have together.
        columns: names of all columns.
        image: name of the column of encoded pictures, None where there is none.
        classes: the names behind the numbers of each column of class labels.
        texts: names of the columns of strings.
    """

    paths: list[Path]
    rows: int
    columns: list[str]
    image: str | None
    classes: dict[str, list[str]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    def label_column(self, wanted: str | None = None) -> str | None:
        """Return the column of labels: the wanted one, or one of a usual name, or the only one of class labels."""
        if wanted is not None:
            return wanted if wanted in self.classes or wanted in self.texts else None
        named = [name for name in LABEL_NAMES if name in self.classes]
        named += [name for name in LABEL_NAMES[:1] if name in self.texts]
        return next(iter([*named, *(list(self.classes) if len(self.classes) == 1 else [])]), None)


def find_tables(folder: Path) -> dict[str, list[Path]]:
    """Return the Parquet files in a folder and below it by split; what names none is `train`."""
    found: dict[str, list[Path]] = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_junk(name))
        for name in sorted(files):
            path = Path(parent, name)
            if name.lower().endswith(".parquet") and not is_junk(name) and path.is_file():
                found.setdefault(split_of(path.relative_to(folder)), []).append(path)
    return found


def split_of(path: Path) -> str:
    """Return the split that a file's relative path names, as `data/train-00000-of-00001.parquet` does."""
    words = re.split(r"[^a-z]+", path.as_posix().lower().removesuffix(".parquet"))
    return next((split for split, names in SPLITS.items() if set(names.split("|")) & set(words)), "train")


def open_table(paths: list[Path]) -> Table:
    """Read what the files say of themselves.

    Raises:
        TableError: one of them is no sound Parquet file.
    """
    rows, first = 0, None
    for path in paths:
        with _opened(path) as file:
            rows += file.metadata.num_rows
            if first is None:
                first = _describe(file, path)
    return Table(paths, rows, **first) if first else Table(paths, 0, [], None)


def read_rows(paths: list[Path], columns: list[str]) -> Iterator[dict[str, Any]]:
    """Read the rows of files one by one, some columns of them.

    Raises:
        TableError: a file breaks off, is damaged, or grows beyond all measure when it is unpacked.
    """
    for path in paths:
        with _opened(path) as file:
            _check_pages(path, columns)
            for group in range(file.num_row_groups):  # Arrow puts no cells with parts together across groups
                groups = file.iter_batches(ROWS_AT_ONCE, [group], columns, use_threads=False)
                for batch in groups:
                    for row in range(batch.num_rows):
                        yield {name: batch.column(name)[row].as_py() for name in batch.schema.names}


def read_batches(
    stream: BinaryIO, name: str, columns: list[str], groups: Sequence[int] | None = None
) -> Iterator[pyarrow.RecordBatch]:
    """Read the rows of a file that may lie elsewhere, a few at a time, as record batches of plain values.

    Each row group is checked, as in `read_rows`, before it is unpacked, and what came before it is used.

    Args:
        stream: the file, which can be read at any place.
        name: what it is called.
        columns: of single values, or of pictures.
        groups: numbers of the row groups that are read; None is all.

    Raises:
        TableError: the file is damaged, or grows beyond all measure when it is unpacked, or a column is of lists.
    """
    try:
        file = _parquet_file(stream)
        _check_rows(file, stream.seek(0, os.SEEK_END))
        nested = [name for name in columns if not _may_be_read(file.schema_arrow.field(name).type)]
        if nested:
            raise ValueError(f"its column {nested[0]} holds lists or other parts")
        for group, dictionary in enumerate(checked_groups(stream, columns)):
            if groups is None or group in groups:
                rows = ROWS_AT_ONCE if dictionary <= SMALL_PAGE else 1  # each may be as large as the dictionary
                yield from file.iter_batches(rows, [group], columns, use_threads=False)
    except (ValueError, KeyError, IndexError, MemoryError, pyarrow.ArrowException) as problem:
        raise _error(Path(name), problem) from None


def _parquet_file(stream: object, dictionaries: Sequence[str] = ()) -> parquet.ParquetFile:
    return parquet.ParquetFile(
        stream,
        read_dictionary=list(dictionaries),
        pre_buffer=False,
        thrift_string_size_limit=LARGEST_FOOTER,
        thrift_container_size_limit=1_000_000,
    )


def _check_rows(file: parquet.ParquetFile, size: int) -> None:
    rows = file.metadata.num_rows
    if not 0 <= rows <= max(FEW_ROWS, size):
        raise ValueError(f"it says that {size:,} bytes hold {rows:,} rows")


class _opened:
    """Hold a Parquet file open as long as the block lasts."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> parquet.ParquetFile:
        try:
            self.stream = pyarrow.OSFile(os.fsencode(self.path))
            file = _parquet_file(self.stream)
            _check_rows(file, self.stream.size())
            # A column in which few values stand for many rows stays as it is stored.
            names = [file.schema.column(n) for n in range(len(file.schema.names))]
            binary = [column.path for column in names if column.physical_type == "BYTE_ARRAY"]
            return _parquet_file(self.stream, binary)
        except Exception as problem:
            self.__exit__()
            raise _error(self.path, problem) from None

    def __exit__(self, kind: object = None, problem: BaseException | None = None, trace: object = None) -> None:
        if getattr(self, "stream", None):
            self.stream.close()
        # Arrow raises its own, Python's and the system's errors, wherever it first touches what is damaged
        if isinstance(problem, Exception) and not isinstance(problem, TableError):
            raise _error(self.path, problem) from None


def _check_pages(path: Path, columns: list[str]) -> None:
    """Raise TableError if a page of these columns says that it grows beyond what pictures do; nothing is unpacked."""
    with open(path, "rb") as stream:
        try:
            check_pages(stream, columns)
        except ValueError as problem:
            raise _error(path, problem) from None


def _error(path: Path, problem: BaseException) -> TableError:
    from gan.pictures import without_quotes

    name = os.fsencode(path).decode("utf-8", "replace")
    return TableError(name, f"cannot be read as Parquet ({without_quotes(problem)})")


def _describe(file: parquet.ParquetFile, path: Path) -> dict[str, Any]:
    schema = file.schema_arrow
    features = _features(schema)
    columns = list(schema.names)
    # What a file says of a column counts only where the column is stored as such.
    pictured = [name for name in columns if _may_hold_pictures(schema.field(name).type)]
    image = next((name for name, feature in features.items() if _kind(feature) == "Image" and name in pictured), None)
    if image is None:
        image = _guess_image(file, path, pictured)
    classes = {
        name: [str(label) for label in feature["names"]]
        for name, feature in features.items()
        if name in columns
        and _kind(feature) == "ClassLabel"
        and isinstance(feature.get("names"), list)
        and pyarrow.types.is_integer(schema.field(name).type)
    }
    texts = [name for name in columns if _is_text(schema.field(name).type)]
    return {"columns": columns, "image": image, "classes": classes, "texts": texts}


def _features(schema: pyarrow.Schema) -> dict[str, Any]:
    """Return what `datasets` wrote of the columns' kinds."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _kind(feature: object) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _value_type(kind: pyarrow.DataType) -> pyarrow.DataType:
    return kind.value_type if pyarrow.types.is_dictionary(kind) else kind


def _is_text(kind: pyarrow.DataType) -> bool:
    kind = _value_type(kind)
    return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)


def _is_binary(kind: pyarrow.DataType) -> bool:
    kind = _value_type(kind)
    return pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)


def _may_hold_pictures(kind: pyarrow.DataType) -> bool:
    """Return whether a column is of bytes, or of structs with `bytes` and other single values beside them.

    Lists are not: one row of them may be said to hold a thousand million values.
    """
    if not pyarrow.types.is_struct(kind):
        return _is_binary(kind)
    plain = (_is_binary, _is_text, pyarrow.types.is_primitive, pyarrow.types.is_null)
    single = all(any(is_kind(part.type) for is_kind in plain) for part in kind)
    return single and any(part.name == "bytes" and _is_binary(part.type) for part in kind)


def _may_be_read(kind: pyarrow.DataType) -> bool:
    """Return whether a column is of single values, or may be of pictures."""
    kind = _value_type(kind)
    single = _is_text(kind) or pyarrow.types.is_primitive(kind) or pyarrow.types.is_null(kind)
    return single or pyarrow.types.is_decimal(kind) or _may_hold_pictures(kind)


def _guess_image(file: parquet.ParquetFile, path: Path, pictured: list[str]) -> str | None:
    """Return the first column that may hold pictures with one among its first values, of which some may be broken."""
    from gan.pictures import is_picture

    order = {name: place for place, name in enumerate(PICTURE_NAMES)}
    for name in sorted(pictured, key=lambda name: order.get(name.lower(), len(order))):
        try:
            _check_pages(path, [name])
            looked_at = 0
            for batch in islice(file.iter_batches(1, columns=[name], use_threads=False), ROWS_LOOKED_AT):
                value = batch.column(0)[0].as_py()
                value = value.get("bytes") if isinstance(value, dict) else value
                if value:
                    looked_at += 1
                    if is_picture(value):
                        return name
                if looked_at == LOOKED_AT:
                    break
        except (TableError, pyarrow.ArrowException):
            continue
    return None
