"""Where covers come from: folders, tars, zips and Hub datasets, read one file at a time and never unpacked to disk."""

import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.cli import UserError, first_line


MAX_BYTES = 128 * 1024**2
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_SUFFIXES = (*TAR_SUFFIXES, ".zip")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, lzma.LZMAError, zlib.error)


@dataclass(frozen=True)
class Item:
    """One file of a source: its name with the source in front, and its bytes, or the reason why there are none.

    `reason` is a key of `train.clean.REASONS`, or `skipped` for what an operating system leaves behind.
    """

    name: str
    content: bytes | None
    reason: str | None = None
    detail: str = ""


def check_source(source: str, output_dir: Path) -> None:
    """Find a mistake in a source before any work is done.

    Args:
        source: a path, which wins, or the id of a Hub dataset.
        output_dir: where the result will lie, which must not be inside a folder that is read.

    Raises:
        UserError: it is missing, empty, no archive, or cannot be opened.
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
        empty = not any(True for _ in _archive_names(path))
    except DAMAGED as problem:
        raise UserError(f"{source}: cannot be opened as a tar or zip ({first_line(problem)})") from None
    if empty:
        raise UserError(f"{source}: the archive holds no files")


def read_source(source: str) -> Iterator[Item]:
    """Every file of one source, in an order that depends on the source alone.

    Raises:
        UserError: a dataset cannot be loaded or has no image column.
    """
    path = Path(source)
    if not path.exists() or is_dataset(path):
        return _read_dataset(source)
    name = path.resolve().name
    return _read_folder(path, name) if path.is_dir() else _read_archive(path, name)


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds Parquet shards, as prepared datasets and Hub datasets do."""
    return any(folder.glob("*.parquet")) or any(folder.glob("data/*.parquet"))


def _read_folder(folder: Path, prefix: str) -> Iterator[Item]:
    closed: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=closed.append):
        folders.sort()
        for file in sorted(files):
            path = Path(parent, file)
            name = _text(f"{prefix}/{path.relative_to(folder).as_posix()}")
            if _is_junk(path.relative_to(folder).as_posix()) or (path.exists() and not path.is_file()):
                yield Item(name, None, "skipped")
            elif path.name.lower().endswith(ARCHIVE_SUFFIXES):
                yield from _read_archive(path, name)
            else:
                yield _read_file(path, name)
    for problem in closed:
        name = _text(f"{prefix}/{Path(problem.filename).relative_to(folder).as_posix()}")
        yield Item(name, None, "unreadable", problem.strerror or "")


def _read_file(path: Path, name: str) -> Item:
    try:
        size = path.stat().st_size
        return _too_large(name, size) if size > MAX_BYTES else Item(name, path.read_bytes())
    except OSError as problem:
        return Item(name, None, "unreadable", problem.strerror or "")


def _read_archive(path: Path, name: str) -> Iterator[Item]:
    """All that can be read of an archive, and one refusal in the archive's own name where it breaks off."""
    try:
        yield from (_read_zip if _is_zip(path) else _read_tar)(path, name)
    except DAMAGED as problem:
        yield Item(name, None, "damaged-archive", first_line(problem))


def _read_tar(path: Path, prefix: str) -> Iterator[Item]:
    with tarfile.open(path) as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # the module keeps them all, a gigabyte for a million covers
            name = _text(f"{prefix}/{_clean_path(member.name)}")
            if member.isdir():
                continue
            if not member.isreg() or _is_junk(member.name):
                yield Item(name, None, "skipped")
            elif member.size > MAX_BYTES:
                yield _too_large(name, member.size)
            else:
                yield Item(name, tar.extractfile(member).read())
        # The module takes a header of garbage, or none at all, for the end.
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError("bad header inside the archive")


def _read_zip(path: Path, prefix: str) -> Iterator[Item]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = _text(f"{prefix}/{_clean_path(member.filename)}")
            if member.is_dir():
                continue
            if _is_junk(member.filename):
                yield Item(name, None, "skipped")
            elif member.file_size > MAX_BYTES:
                yield _too_large(name, member.file_size)
            else:
                yield _read_zip_member(archive, member, name)


def _read_zip_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Item:
    try:
        return Item(name, archive.read(member))
    except (*DAMAGED, RuntimeError, NotImplementedError) as problem:  # the last two: encrypted, unknown compression
        return Item(name, None, "unreadable", first_line(problem))


def _is_zip(path: Path) -> bool:
    """By the first bytes: `zipfile.is_zipfile` looks at the last, and takes a tar that ends with a zip for one."""
    with open(path, "rb") as file:
        return file.read(4) in (b"PK\3\4", b"PK\5\6")


def _archive_names(path: Path) -> Iterator[str]:
    if _is_zip(path):
        with zipfile.ZipFile(path) as archive:
            yield from (member.filename for member in archive.infolist() if not member.is_dir())
    else:
        with tarfile.open(path) as tar:
            yield from (member.name for member in tar if not member.isdir())


def _read_dataset(source: str) -> Iterator[Item]:
    import datasets

    datasets.disable_progress_bars()
    prefix = Path(source).resolve().name if Path(source).exists() else source
    try:
        splits = datasets.load_dataset(source, streaming=True)
    except Exception as problem:  # the Hub, the network, a file format: each raises its own, and each is one line here
        raise UserError(f"{source}: cannot be loaded as a dataset ({first_line(problem)})") from None
    for split, rows in splits.items():
        column = next((k for k, v in (rows.features or {}).items() if isinstance(v, datasets.Image)), None)
        if column is None:
            raise UserError(f"{source}: its split {split} has no image column")
        # A prepared dataset knows where its covers came from.
        origin = "source" if rows.features.get("source") == datasets.Value("string") else None
        rows = rows.select_columns([column, *filter(None, [origin])]).cast_column(column, datasets.Image(decode=False))
        try:
            for number, row in enumerate(rows):
                yield _read_cell(row[column], f"{prefix}/{split}", row.get(origin) or str(number))
        except Exception as problem:
            raise UserError(f"{source}: reading its split {split} failed ({first_line(problem)})") from None


def _read_cell(cell: dict[str, Any] | None, prefix: str, label: str) -> Item:
    """The bytes of an Image column's cell, which holds them itself or says where they are (a path, also on the Hub).

    The cell's own file name goes before `label`.
    """
    path, content = (cell or {}).get("path"), (cell or {}).get("bytes")
    name = _text(f"{prefix}/{os.path.basename(path) if path else label}")
    if content is None and path:
        import fsspec

        try:
            with fsspec.open(path) as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as problem:
            return Item(name, None, "unreadable", first_line(problem))
    return _too_large(name, len(content)) if content and len(content) > MAX_BYTES else Item(name, content or b"")


def _is_junk(path: str) -> bool:
    """What an operating system adds to folders and archives, and hidden files."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[-1:] in (
        ["Thumbs.db"],
        ["desktop.ini"],
    )


def _too_large(name: str, size: int) -> Item:
    return Item(name, None, "too-large", f"{size / 1024**2:,.0f} MiB")


def _clean_path(path: str) -> str:
    return path.removeprefix("./").lstrip("/")


def _text(name: str) -> str:
    """A name that can be written: bytes that are no UTF-8 become the replacement sign."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
