"""A folder of Parquet files or of pictures on this disk: which covers are in it, and which belong to somebody else."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan.errors import first_line, some
from train.files import is_junk
from train.parquet import SPLITS, Table, TableError, find_tables, open_table, read_rows, split_of


PICTURE_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".png", ".ppm", ".psd", ".tif", ".tiff", ".webp",
)  # fmt: skip


class CoversError(Exception):
    """Tell the user in one line why a dataset cannot be trained on."""


def no_genres(dataset_name: str) -> str:
    """Return what to say of a dataset whose covers have no genres."""
    return (
        f"--dataset_name {dataset_name} has no column `genre` of class labels: "
        "prepare it with --labels folder or --labels genres.csv, or name another column with --label_column"
    )


@dataclass(frozen=True)
class Folder:
    """Describe one split of a folder of Parquet files, or of pictures.

    Args:
        name: the folder.
        split: the split.
        paths: the files.
        table: what Parquet files say of themselves; None of pictures.
        label_column: of the table, None where it has none.
        genres: the names of the genres; of pictures the folders that they lie in.
    """

    name: str
    split: str
    paths: list[Path]
    table: Table | None
    label_column: str | None = None
    genres: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return self.table.rows if self.table else len(self.paths)

    def genre_names(self) -> list[str]:
        """Return the names of the genres. Raises CoversError where there are none."""
        if not self.genres:
            raise CoversError(no_genres(self.name))
        return self.genres

    def parts(self) -> list[tuple[str, ...]]:
        """Return the files in the parts that a stream is shuffled by."""
        paths = list(map(str, self.paths))
        size = 1 if self.table else 512
        return [tuple(paths[n : n + size]) for n in range(0, len(paths), size)]

    def reading(self) -> dict[str, Any]:
        """Return what `read_folder` takes beside the files."""
        columns = (self.table.image, self.label_column) if self.table else (None, None)
        return {"columns": columns, "genres": tuple(self.genres)}


def open_folder(dataset_name: str, split: str, label_column: str | None = None) -> Folder:
    """Look at a folder of Parquet files or of pictures; only files in it count, whatever a card in it names.

    Raises:
        CoversError: it holds neither, or none of this split.
    """
    folder = Path(dataset_name)
    try:
        tables = find_tables(folder)
        _check_links(folder, [*(path for paths in tables.values() for path in paths), *_linked_folders(folder)])
        if tables:
            paths = tables.get(split, [])
            table = open_table(paths)
            if paths and table.image is None:
                raise CoversError(f"--dataset_name {dataset_name} has no column of images, only {some(table.columns)}")
            column = table.label_column(label_column)
            found = Folder(dataset_name, split, paths, table, column, table.classes.get(column or "", []))
        else:
            paths = _pictures(folder)
            if not paths:
                raise CoversError(
                    f"--dataset_name {dataset_name} cannot be read: it holds neither Parquet files nor pictures; "
                    "name a folder written by train.prepare or a Hub id"
                )
            splits = {path: split_of(path.relative_to(folder).parent) for path in paths}
            parents = {path.parent for path in paths} - {folder}
            genres = sorted({parent.name for parent in parents if parent.name.lower() not in SPLITS})
            found = Folder(dataset_name, split, [path for path in paths if splits[path] == split], None, None, genres)
    except (TableError, OSError) as error:
        raise CoversError(f"--dataset_name {dataset_name} cannot be read: {first_line(error)}") from error
    if not len(found):
        raise CoversError(f"--dataset_name {dataset_name} has no covers in its split {split!r}")
    return found


def _pictures(folder: Path) -> list[Path]:
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_junk(name))
        paths = (Path(parent, name) for name in sorted(files) if name.lower().endswith(PICTURE_SUFFIXES))
        found += [path for path in paths if path.is_file() and not is_junk(path.name)]  # a FIFO or a device is none
    _check_links(folder, found)
    return found


def _linked_folders(folder: Path) -> list[Path]:
    """Return the links to folders in a folder, below which nothing is looked for."""
    walked = os.walk(folder)
    return [path for parent, names, _ in walked for name in names if (path := Path(parent, name)).is_symlink()]


def _check_links(folder: Path, paths: list[Path]) -> None:
    """Raise CoversError, which names the first, where links lead out of a folder: what they name is not its own."""
    root = folder.resolve()
    out = [path for path in paths if not path.resolve().is_relative_to(root)]
    if out:
        others = f" and {len(out) - 1:,} others" * (len(out) > 1)
        raise CoversError(
            f"--dataset_name {folder}: {out[0].relative_to(folder)}{others} are links that lead out of it; "
            "copy what they name, or name the folder that they lead to"
        )


def read_folder(
    paths: Sequence[str], columns: tuple[str | None, str | None], genres: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Read the rows of some files of a `Folder`: `image`, as it is encoded, and `genre`, its label or None."""
    image, label = columns
    if image is None:
        numbers = {genre: number for number, genre in enumerate(genres)}
        for path in map(Path, paths):
            yield {"image": path.read_bytes(), "genre": numbers.get(path.parent.name)}
    else:
        for row in read_rows(list(map(Path, paths)), [image, *([label] if label else [])]):
            yield {"image": row[image], "genre": row[label] if label else None}
