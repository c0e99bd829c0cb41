"""Genres: from the folder that a file lies in, or from a table."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from train.cli import UserError
from train.prepare.archives import ARCHIVE_SUFFIXES
from train.prepare.items import Item


FOLDER = "folder"


def labelled(items: Iterator[Item], labels: str | None) -> Iterator[Item]:
    """`items` with their genres; those that come from a dataset keep its own.

    Args:
        items: of one source, whose name is the first part of theirs.
        labels: `folder` for the name of the folder that a file lies in, or a CSV file with the columns `file` and
            `genre`. A file is found there by its name in the report, by that without the source, or by the last part.

    Raises:
        UserError: the table cannot be read.
    """
    table = read_table(labels) if labels not in (None, FOLDER) else {}
    for item in items:
        genre = item.genre
        if labels == FOLDER:
            genre = _folder(item.name)
        elif table:
            parts = item.name.split("/")
            keys = (item.name, "/".join(parts[1:]), parts[-1])
            genre = next((table[key] for key in keys if key in table), genre)
        yield item if genre == item.genre else replace(item, genre=genre)


def _folder(name: str) -> str | None:
    """The folder of `a source/a folder/a file`; the source itself, or an archive, is none."""
    folders = name.split("/")[1:-1]
    return None if not folders or folders[-1].lower().endswith(ARCHIVE_SUFFIXES) else folders[-1]


def read_table(path: str) -> dict[str, str]:
    """Genres by file. Raises UserError unless `path` is a CSV file with the columns `file` and `genre`."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"file", "genre"} <= set(rows.fieldnames or ()):
                raise UserError(f"--labels {path}: has no columns `file` and `genre`")
            table = {row["file"]: row["genre"].strip() for row in rows if row["file"] and row["genre"]}
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise UserError(f"--labels {path}: cannot be read ({problem}); name a CSV file, or folder") from None
    if not table:
        raise UserError(f"--labels {path}: holds no rows")
    return table


def check_labels(labels: str | None) -> None:
    """Find a mistake before any work is done. Raises UserError as `labelled` does."""
    if labels not in (None, FOLDER):
        if not Path(labels).exists():
            raise UserError(f"--labels {labels}: no such file; name a CSV file, or folder")
        read_table(labels)
