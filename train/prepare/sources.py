"""Where covers come from: folders, archives, Parquet and Hub datasets, streamed and never unpacked to disk."""

import glob
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gan.errors import first_line, is_hub_id, some, why_no_cache
from gan.pictures import is_picture, without_quotes
from train.cli import UserError
from train.files import is_junk
from train.parquet import (
    LOOKED_AT,
    PICTURE_NAMES,
    Elsewhere,
    Table,
    TableError,
    cell_bytes,
    find_tables,
    open_table,
    read_rows,
    split_of,
)
from train.prepare.archives import ARCHIVE_SUFFIXES, is_archive, read_archive, why_unreadable
from train.prepare.clean import IMAGE_SUFFIXES
from train.prepare.items import MAX_BYTES, Item, Place, text, too_large


@dataclass(frozen=True)
class Reading:
    """Say how sources are read, where they leave it open.

    Args:
        label_column: where a table's labels are; None is `genre`, `label`, or its only column of class labels.
        config_name: which of a Hub dataset's configurations.
        zip_encoding: of names in zips that do not say theirs.
    """

    label_column: str | None = None
    config_name: str | None = None
    zip_encoding: str | None = None


AS_IT_COMES = Reading()


def expand(sources: list[str]) -> list[str]:
    """Return the sources, each pattern such as `covers/*.jpg` replaced by what matches it, in order of the alphabet.

    Folders on the way to it may hold brackets, and titles may begin with dots.

    Raises:
        UserError: nothing matches a pattern.
    """
    found = []
    for source in sources:
        matches = [source]
        if not Path(source).exists() and glob.has_magic(source):
            begin, pattern = _pattern(source)
            found_there = glob.glob(pattern, root_dir=begin or None, recursive=True, include_hidden=True)
            matches = sorted(os.path.join(begin, match) for match in found_there if not is_junk(match))
        if not matches:
            raise UserError(f"{source}: nothing matches this pattern")
        found += matches
    return found


def _pattern(source: str) -> tuple[str, str]:
    """Split a path into a pattern, perhaps "", and the folder that stands before it: the longest that is there."""
    begin = ""
    for place in (place for place, letter in enumerate(source, 1) if letter == "/"):
        if os.path.isdir(source[:place]):
            begin = source[:place]
    return begin, source[len(begin) :]


def check_source(source: str, output_dir: Path, alone: bool = True) -> None:
    """Find a mistake in a source before any work is done.

    Args:
        source: a path, which wins, or the id of a Hub dataset.
        output_dir: where the result will lie, which must not be inside a folder that is read.
        alone: there is no other source. One bad archive among several is refused by its name and ends nothing.

    Raises:
        UserError: it is missing, empty, neither a file nor a folder, or cannot be opened.
    """
    path = Path(source)
    if not path.exists():
        if not is_hub_id(source):
            raise UserError(f"{source}: no such folder or archive, and no Hub dataset either (those read user/name)")
        return
    if path.is_dir():
        if output_dir.resolve().is_relative_to(path.resolve()) and output_dir.resolve() != path.resolve():
            raise UserError(f"--output_dir {output_dir} lies inside {source}, which is read; name a folder outside it")
        linked = (os.path.islink(os.path.join(parent, name)) for parent, names, _ in os.walk(path) for name in names)
        closed: list[OSError] = []
        if not any(files for _, _, files in os.walk(path, onerror=closed.append)) and not any(linked):
            why = f"cannot be read ({closed[0].strerror})" if closed else "the folder holds no files"
            raise UserError(f"{source}: {why}")
        return
    if not path.is_file():
        raise UserError(f"{source}: neither a file nor a folder")
    try:
        mistake = why_unreadable(path) if alone and not _is_parquet(path) and is_archive(path) else None
    except OSError as problem:
        raise UserError(f"{source}: cannot be read ({problem.strerror})") from None
    if mistake:
        raise UserError(f"{source}: {mistake}")


def read_source(source: str, reading: Reading = AS_IT_COMES) -> Iterator[Item]:
    """Read every file of one source, in an order that depends on the source alone.

    Args:
        source: a path, or the id of a Hub dataset.
        reading: how.

    Raises:
        UserError: a dataset cannot be loaded or has no column of images.
    """
    path = Path(source)
    if not path.exists():
        return _read_hub(source, reading.label_column, reading.config_name)
    whole = path.resolve()
    if path.is_dir():
        return _read_folder(path, text(whole.name), reading)
    if _is_parquet(path):
        return _read_single_table(path, reading.label_column)
    if is_archive(path):
        return read_archive(path, text(whole.name), reading.zip_encoding)
    return iter([_read_file(path, text(f"{whole.parent.name}/{whole.name}"))])


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


# -- folders --


def _read_folder(folder: Path, prefix: str, reading: Reading) -> Iterator[Item]:
    """Read a folder's files; where it holds tables of pictures and neither pictures nor archives, only those."""
    label_column = reading.label_column
    tables: dict[Path, Table] = {}
    faults: dict[Path, str] = {}
    for paths in find_tables(folder).values():
        for path in paths:
            if not _leads_out(path, folder):
                try:
                    tables[path] = open_table([path])
                except TableError as problem:
                    faults[path] = problem.reason
    pictured = {path: table for path, table in tables.items() if table.image}
    loose = pictured and any(
        file.path.lower().endswith((*IMAGE_SUFFIXES, *ARCHIVE_SUFFIXES)) for file in _walk(folder) if not file.reason
    )
    if (
        tables
        and not pictured
        and not any(file.path not in map(str, tables) for file in _walk(folder) if not file.reason)
    ):
        columns = next(iter(tables.values())).columns
        raise UserError(f"{text(str(folder))}: has no image column, only {some(columns)}")
    if pictured and not loose:
        for table in pictured.values():
            if label_column and table.label_column(label_column) is None:
                raise UserError(f"--label_column {label_column}: {text(str(table.paths[0]))} has no such labels")
        numbers: dict[str, int] = {}
        for path, table in sorted(pictured.items(), key=lambda pair: (split_of(pair[0].relative_to(folder)), pair[0])):
            yield from _read_table(table, prefix, split_of(path.relative_to(folder)), label_column, numbers)
    for file in _walk(folder):
        path, name = Path(file.path), text(f"{prefix}/{file.name}")
        if file.reason:
            yield Item(name, None, file.reason, file.detail)
        elif path in pictured:
            if loose:
                yield from _read_table(tables[path], name, None, label_column, {})
        elif path in faults:
            yield Item(name, None, "damaged-archive", faults[path])
        elif path in tables:
            yield Item(name, None, "skipped", "a table without pictures")
        elif pictured and not loose:
            yield Item(name, None, "skipped", "beside tables of pictures")
        elif file.name.lower().endswith(ARCHIVE_SUFFIXES):
            yield from read_archive(path, name, reading.zip_encoding)
        else:
            yield _read_file(path, name)


class _File:
    """Describe a file of a folder: its path, its name there, and reason and detail where it is not read."""

    def __init__(self, path: str, name: str, reason: str = "", detail: str = ""):
        self.path, self.name, self.reason, self.detail = path, name, reason, detail


def _walk(folder: Path) -> Iterator[_File]:
    """Yield all files below a folder in order, those of linked folders inside it, too; each folder once."""
    root = folder.resolve()
    seen: set[Path] = set()
    closed: list[OSError] = []
    later: list[tuple[str, str]] = [(str(folder), "")]
    while later:
        begin, name_of_begin = later.pop(0)
        for parent, folders, files in os.walk(begin, onerror=closed.append):
            inside = os.path.relpath(parent, begin)
            here = "/".join(part for part in (name_of_begin, "" if inside == "." else inside) if part)
            for name in sorted(folders):
                path, shown = os.path.join(parent, name), f"{here}/{name}" if here else name
                if is_junk(name):
                    folders.remove(name)
                    yield _File(path, shown, "skipped", "left by a system or a program")
                elif os.path.islink(path):
                    folders.remove(name)
                    target = Path(path).resolve()
                    if not target.is_relative_to(root):
                        yield _File(path, shown, "link-outside")
                    elif Path(parent).resolve().is_relative_to(target) or target in seen:
                        yield _File(path, shown, "skipped", "a link to a folder that is read already")
                    else:
                        seen.add(target)
                        later.append((path, shown))
            folders.sort()
            for name in sorted(files):
                path, shown = os.path.join(parent, name), f"{here}/{name}" if here else name
                if is_junk(name):
                    yield _File(path, shown, "skipped", "left by a system or a program")
                else:
                    yield _File(path, shown, *_why_not(path, root))
    for problem in closed:
        where = os.path.relpath(problem.filename, folder)
        yield _File(problem.filename, where, "unreadable", problem.strerror or "")


def _why_not(path: str, root: Path) -> tuple[str, ...]:
    """Return (reason, detail) of what is no file of the folder, and never opened: links that lead out, pipes."""
    try:
        kind = os.lstat(path).st_mode
        if stat.S_ISLNK(kind):
            if not Path(path).resolve().is_relative_to(root):
                return ("link-outside",)
            kind = os.stat(path).st_mode
    except (OSError, RuntimeError) as problem:  # the second of links in a circle
        return ("unreadable", getattr(problem, "strerror", None) or "a link in a circle")
    return () if stat.S_ISREG(kind) else ("skipped", "neither a file nor a folder")


def _leads_out(path: Path, folder: Path) -> bool:
    return not path.resolve().is_relative_to(folder.resolve())


def _read_file(path: Path, name: str) -> Item:
    try:
        facts = path.stat()
    except OSError as problem:
        return Item(name, None, "unreadable", problem.strerror or "")
    if facts.st_size > MAX_BYTES:
        return too_large(name, facts.st_size)
    return Item(name, Place(str(path), 0, facts.st_size, facts.st_mtime_ns))


# -- tables --


def _read_single_table(path: Path, label_column: str | None) -> Iterator[Item]:
    source = text(str(path))
    try:
        table = open_table([path])
    except TableError as problem:
        raise UserError(f"{source}: cannot be loaded as a dataset ({problem})") from None
    if table.image is None:
        raise UserError(f"{source}: has no image column, only {some(table.columns)}")
    if label_column and table.label_column(label_column) is None:
        raise UserError(f"--label_column {label_column}: {source} has no such labels")
    return _read_table(table, text(path.resolve().name), split_of(Path(path.name)), label_column, {})


def _read_table(
    table: Table, prefix: str, split: str | None, label_column: str | None, numbers: dict[str, int]
) -> Iterator[Item]:
    """Yield the rows of one file; `numbers` counts those of each split from file to file."""
    assert table.image is not None
    label = table.label_column(label_column)
    origin = "source" if "source" in table.texts else None
    prefix = f"{prefix}/{split}" if split else prefix
    count = numbers.get(prefix, 0)
    try:
        for row in read_rows(table.paths, [table.image, *filter(None, [origin, label])]):
            genre = _genre(row.get(label) if label else None, table.classes.get(label or ""))
            yield _read_cell(row[table.image], prefix, (row[origin] if origin else None) or str(count), genre)
            count += 1
    except TableError as problem:
        yield Item(prefix, None, "damaged-archive", problem.reason)
    numbers[prefix] = count


def _genre(value: Any, names: list[str] | None) -> str | None:
    """Return a label's name; one out of range names none."""
    if names is None:
        return value.strip() or None if isinstance(value, str) else None
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None


def _read_cell(cell: object, prefix: str, label: str, genre: str | None, repository: str | None = None) -> Item:
    """Read the picture in a cell. The cell's own file name goes before `label`."""
    path = cell.get("path") if isinstance(cell, dict) else None
    # a column's type may be any: what is no text is no file's name
    name = text(f"{prefix}/{os.path.basename(path) if path and isinstance(path, str) else label}")
    try:
        content = cell_bytes(cell, repository)
    except Elsewhere:
        return Item(name, None, "elsewhere", genre=genre, is_row=True)
    except OSError as problem:
        return Item(name, None, "unreadable", without_quotes(problem), genre, is_row=True)
    if len(content) > MAX_BYTES:
        return replace(too_large(name, len(content)), is_row=True)
    return Item(name, content, genre=genre, is_row=True)


def _read_hub(source: str, label_column: str | None, config_name: str | None) -> Iterator[Item]:
    import datasets

    from train.hub_dataset import load_hub_dataset

    datasets.disable_progress_bars()
    try:
        splits = load_hub_dataset(source, config_name, streaming=True)
    except Exception as problem:  # the Hub, the network, a file format: each raises its own, and each is one line here
        said = first_line(problem, 3)
        if "Config name is missing" in said:
            names = said[said.find("[") : said.find("]") + 1]
            raise UserError(
                f"{source} has several configurations, {names}: choose one with --dataset_config_name"
            ) from None
        why = why_no_cache(problem) or first_line(problem)
        raise UserError(f"{source}: cannot be loaded as a dataset ({why})") from None
    for split, rows in splits.items():
        features = rows.features or {}
        image = next((k for k, v in features.items() if isinstance(v, datasets.Image)), None)
        try:
            image = image or _column_of_bytes(rows, features)
        except Exception as problem:
            raise UserError(f"{source}: reading its split {split} failed ({first_line(problem)})") from None
        if image is None:
            raise UserError(f"{source}: its split {split} has no image column")
        classes = {name: f.names for name, f in features.items() if isinstance(f, datasets.ClassLabel)}
        texts = [name for name, f in features.items() if f == datasets.Value("string")]
        label = Table([], 0, [], image, classes, texts).label_column(label_column)
        if label_column and label is None:
            raise UserError(f"--label_column {label_column}: {source} has no such labels")
        # A prepared dataset knows where its covers came from.
        origin = "source" if "source" in texts else None
        # Of loose pictures a stream decodes what is merely cast to undecoded images.
        rows = rows.decode(False).select_columns([image, *filter(None, [origin, label])])
        repository = source if rows.info.builder_name == "imagefolder" else None
        try:
            for number, row in enumerate(rows):
                genre = _genre(row.get(label) if label else None, classes.get(label or ""))
                yield _read_cell(row[image], f"{source}/{split}", row.get(origin) or str(number), genre, repository)
        except Exception as problem:
            raise UserError(f"{source}: reading its split {split} failed ({first_line(problem)})") from None


def _column_of_bytes(rows: Any, features: dict[str, Any]) -> str | None:
    """Find the first column of bytes with a picture among its first values, in tables that tell of no pictures."""
    import datasets

    kinds = (datasets.Value("binary"), datasets.Value("large_binary"))
    order = {name: place for place, name in enumerate(PICTURE_NAMES)}
    names = sorted((name for name, kind in features.items() if kind in kinds), key=lambda name: order.get(name, 99))
    for row in rows.take(LOOKED_AT) if names else ():
        for name in names:
            if is_picture(row[name] or b""):
                return name
    return None
