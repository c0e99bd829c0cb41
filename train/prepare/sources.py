"""Where covers come from: folders, archives, Parquet and Hub datasets, streamed and never unpacked to disk."""

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gan.errors import first_line
from train.cli import UserError
from train.prepare.archives import ARCHIVE_SUFFIXES, DAMAGED, archive_names, is_archive, read_archive
from train.prepare.items import MAX_BYTES, Item, Place, is_junk, text, too_large


HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")  # not ../covers


def expand(sources: list[str]) -> list[str]:
    """The sources with every pattern, such as `covers/*.jpg`, replaced by what matches it, in order of the alphabet.

    Raises:
        UserError: nothing matches a pattern.
    """
    found = []
    for source in sources:
        matches = [source]
        if not Path(source).exists() and glob.has_magic(source):
            matches = sorted(glob.glob(source, recursive=True))
        if not matches:
            raise UserError(f"{source}: nothing matches this pattern")
        found += matches
    return found


def check_source(source: str, output_dir: Path) -> None:
    """Find a mistake in a source before any work is done.

    Args:
        source: a path, which wins, or the id of a Hub dataset.
        output_dir: where the result will lie, which must not be inside a folder that is read.

    Raises:
        UserError: it is missing, empty, or cannot be opened.
    """
    path = Path(source)
    if not path.exists():
        if not HUB_ID.fullmatch(source):
            raise UserError(f"{source}: no such folder or archive, and no Hub dataset either (those read user/name)")
        return
    if path.is_dir():
        if output_dir.resolve().is_relative_to(path.resolve()) and output_dir.resolve() != path.resolve():
            raise UserError(f"--output_dir {output_dir} lies inside {source}, which is read; name a folder outside it")
        if not any(files for _, _, files in os.walk(path)):
            raise UserError(f"{source}: the folder holds no files")
        return
    try:
        empty = is_archive(path) and not any(True for _ in archive_names(path))
    except DAMAGED as problem:
        raise UserError(f"{source}: cannot be opened as a tar or zip ({first_line(problem)})") from None
    if empty:
        raise UserError(f"{source}: the archive holds no files")


def read_source(source: str) -> Iterator[Item]:
    """Every file of one source, in an order that depends on the source alone.

    Raises:
        UserError: a dataset cannot be loaded or has no image column.
    """
    if is_dataset(source):
        return _read_dataset(source)
    path = Path(source)
    whole = path.resolve()
    if path.is_dir():
        return _read_folder(path, whole.name)
    if is_archive(path):
        return read_archive(path, whole.name)
    return iter([_read_file(path, text(f"{whole.parent.name}/{whole.name}"))])


def is_dataset(source: str) -> bool:
    """Whether a source is on the Hub, or a Parquet file, or a folder of them as prepared datasets are."""
    path = Path(source)
    if not path.exists():
        return True
    if path.is_dir():
        return any(path.glob("*.parquet")) or any(path.glob("data/*.parquet"))
    return path.suffix.lower() == ".parquet"


def _read_folder(folder: Path, prefix: str) -> Iterator[Item]:
    closed: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=closed.append):
        folders.sort()
        for file in sorted(files):
            path = Path(parent, file)
            name = text(f"{prefix}/{path.relative_to(folder).as_posix()}")
            if is_junk(path.relative_to(folder).as_posix()) or (path.exists() and not path.is_file()):
                yield Item(name, None, "skipped")
            elif path.name.lower().endswith(ARCHIVE_SUFFIXES):
                yield from read_archive(path, name)
            else:
                yield _read_file(path, name)
    for problem in closed:
        name = text(f"{prefix}/{Path(problem.filename).relative_to(folder).as_posix()}")
        yield Item(name, None, "unreadable", problem.strerror or "")


def _read_file(path: Path, name: str) -> Item:
    try:
        facts = path.stat()
    except OSError as problem:
        return Item(name, None, "unreadable", problem.strerror or "")
    if facts.st_size > MAX_BYTES:
        return too_large(name, facts.st_size)
    return Item(name, Place(str(path), 0, facts.st_size, facts.st_mtime_ns))


def _read_dataset(source: str) -> Iterator[Item]:
    import datasets

    datasets.disable_progress_bars()
    path = Path(source)
    prefix = path.resolve().name if path.exists() else source
    what = {"path": "parquet", "data_files": str(path)} if path.is_file() else {"path": source}
    try:
        splits = datasets.load_dataset(**what, streaming=True)
    except Exception as problem:  # the Hub, the network, a file format: each raises its own, and each is one line here
        raise UserError(f"{source}: cannot be loaded as a dataset ({first_line(problem)})") from None
    for split, rows in splits.items():
        features = rows.features or {}
        column = next((k for k, v in features.items() if isinstance(v, datasets.Image)), None)
        if column is None:
            raise UserError(f"{source}: its split {split} has no image column")
        # A prepared dataset knows where its covers came from, and what they are labelled with.
        origin = "source" if features.get("source") == datasets.Value("string") else None
        genre = features["genre"] if isinstance(features.get("genre"), datasets.ClassLabel) else None
        columns = [column, *filter(None, [origin, genre and "genre"])]
        rows = rows.select_columns(columns).cast_column(column, datasets.Image(decode=False))
        try:
            for number, row in enumerate(rows):
                label = row.get("genre")
                label = genre.int2str(label) if genre and label is not None and label >= 0 else None
                yield _read_cell(row[column], f"{prefix}/{split}", row.get(origin) or str(number), label)
        except Exception as problem:
            raise UserError(f"{source}: reading its split {split} failed ({first_line(problem)})") from None


def _read_cell(cell: dict[str, Any] | None, prefix: str, label: str, genre: str | None) -> Item:
    """The bytes of an Image column's cell, which holds them itself or says where they are (a path, also on the Hub).

    The cell's own file name goes before `label`.
    """
    path, content = (cell or {}).get("path"), (cell or {}).get("bytes")
    name = text(f"{prefix}/{os.path.basename(path) if path else label}")
    if content is None and path:
        import fsspec

        try:
            with fsspec.open(path) as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as problem:
            return Item(name, None, "unreadable", first_line(problem))
    if content and len(content) > MAX_BYTES:
        return too_large(name, len(content))
    return Item(name, content or b"", genre=genre)
