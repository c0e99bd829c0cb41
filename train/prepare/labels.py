"""Genres: from the folder that a file lies in, or from a table.

Tables are written on other systems than the pile lies on, so names are compared without the differences that these
make: Unicode's two ways to write an accent, backslashes, `./`, capital letters. What a table says in vain is counted.
"""

import codecs
import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from gan.untrusted import MOST_GENRES, check_genres
from train.cli import UserError
from train.prepare.archives import ARCHIVE_SUFFIXES
from train.prepare.items import Item


FOLDER = "folder"
LARGEST_TABLE = 512 * 1024**2
SEPARATORS = ",;\t|"
# What the two columns of a table are called; `datasets` calls them `file_name` and, often, `label`.
FILES, GENRES = ("file", "file_name", "filename", "path"), ("genre", "label")


def genre_name(text: str) -> str | None:
    """Return a genre's name as training takes it: in one line, composed letters; None where nothing is left."""
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or None


@dataclass
class Labels:
    """Find the genres of a pile's files, and count what was found.

    Args:
        source: what --labels says: None, `folder`, or the path of a table.
        level: of nested folders the one that is the genre, 1 for the outermost; None is the innermost.
        rows: of the table: a file's path and its genre.
        contradictions: files that the table gives two genres; the first counts.
        is_checked: whether genres that no generator takes end the program.
    """

    source: str | None = None
    level: int | None = None
    rows: list[tuple[str, str]] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    depths: set[int] = field(default_factory=set)
    uses: dict[int, int] = field(default_factory=dict)
    is_checked: bool = True
    genres: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._exact: dict[str, int] = {}
        self._by_last: dict[str, list[tuple[list[str], int]]] = {}
        for number, (path, _) in enumerate(self.rows):
            key = _plain(path)
            self._exact.setdefault(key, number)
            parts = key.casefold().split("/")
            self._by_last.setdefault(parts[-1], []).append((parts, number))

    def label(self, items: Iterator[Item]) -> Iterator[Item]:
        """Give the files of a source their genres; a table's rows keep their own where nothing names another.

        Raises:
            UserError: at the first genre that no generator takes, before the file is read.
        """
        for item in items:
            genre = item.genre
            if self.source == FOLDER and not item.is_row:
                genre = self._folder(item.name)
            elif self.rows:
                number = self._find(item.name)
                if number is not None:
                    self.uses[number] = self.uses.get(number, 0) + 1
                    genre = self.rows[number][1]
            genre = genre_name(genre) if genre else None
            if genre and genre not in self.genres and self.is_checked:
                self._check(genre, item)
            yield item if genre == item.genre else replace(item, genre=genre)

    def _check(self, genre: str, item: Item) -> None:
        self.genres.add(genre)
        try:
            check_genres([genre])
            if len(self.genres) > MOST_GENRES:
                raise ValueError(f"more than {MOST_GENRES:,} genres")
        except ValueError as problem:
            if item.is_row and not self.rows:
                raise UserError(f"{item.name}: {problem}; name another column by --label_column") from None
            raise UserError(f"--labels: {problem}; name a table, or another folder by --label_level") from None

    def _folder(self, name: str) -> str | None:
        """Return the folder of `a source/a folder/a file`; the source itself, or an archive, is none."""
        folders = [part for part in name.split("/")[1:-1] if not part.lower().endswith(ARCHIVE_SUFFIXES)]
        self.depths.add(len(folders))
        if self.level is None:
            return folders[-1] if folders else None
        return folders[self.level - 1] if self.level <= len(folders) else None

    def _find(self, name: str) -> int | None:
        """Find the row that names a file: its whole name, without the source, or as many of the last parts as fit."""
        plain = _plain(name)
        for key in (plain, plain.partition("/")[2]):
            if key in self._exact:
                return self._exact[key]
        parts = plain.casefold().split("/")
        without_source = len(parts) - 1
        fitting = []
        rows = self._by_last.get(parts[-1], ())
        for row, number in rows:
            common = min(len(row), len(parts))
            if row[-common:] != parts[-common:]:  # where the table was written the source had another name
                # The bare name of a file says enough where no other row has it, too.
                sure = without_source > 1 or len(rows) == 1
                common = without_source if sure and row[-without_source:] == parts[1:] else 0
            if common:
                same_case = plain.endswith(_plain(self.rows[number][0]))
                fitting.append((common, same_case, -number))
        return -max(fitting)[2] if fitting else None

    def report(self, covers: int, without: list[str]) -> dict[str, object] | None:
        """Return what the report tells of labels: rows that named files, those that did not, and covers `without`."""
        if self.source is None:
            return None
        told: dict[str, object] = {"covers_with_a_genre": covers - len(without), "covers_without": len(without)}
        if len(without) < covers:  # where no cover has one, that is every name of the pile
            told["names_without"] = without
        if self.source != FOLDER:
            unused = [path for number, (path, _) in enumerate(self.rows) if number not in self.uses]
            several = {self.rows[number][0]: uses for number, uses in self.uses.items() if uses > 1}
            told |= {"rows": len(self.rows), "rows_matched": len(self.uses), "rows_that_match_nothing": unused}
            told |= {"rows_that_match_several_files": several, "rows_that_contradict_others": self.contradictions}
        return told

    def summary(self, covers: int, with_genre: int) -> str:
        """Return a part of the program's last line; empty where nobody asked for labels."""
        if self.source is None:
            return ""
        line = f"; {with_genre:,} of {covers:,} covers have a genre"
        if self.source == FOLDER:
            deep = self.level is None and max(self.depths, default=0) > 1
            return line + ", that of their innermost folder (--label_level 1 takes the outermost)" * deep
        line += f", {len(self.uses):,} of {len(self.rows):,} rows of {Path(self.source).name} matched"
        several = sum(uses > 1 for uses in self.uses.values())
        line += f", {several:,} of them several files" * (several > 0)
        return line + f", {len(self.contradictions):,} contradict others" * bool(self.contradictions)


def _plain(path: str) -> str:
    parts = unicodedata.normalize("NFC", path).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def read_labels(source: str | None, level: int | None = None) -> Labels:
    """Read what --labels names, before any work is done.

    Raises:
        UserError: it cannot be read, is no table with the columns `file` and `genre` and no `dataset.json` of
            StyleGAN's, or holds nothing, or genres that no generator takes.
    """
    if source in (None, FOLDER):
        return Labels(source, level)
    path = Path(source)
    if not path.exists():
        raise UserError(f"--labels {source}: no such file; name a CSV file, or folder")
    if not path.is_file() or path.stat().st_size > LARGEST_TABLE:
        raise UserError(f"--labels {source}: no table; name a CSV file, or folder")
    try:
        rows = list(_read_json(path) if path.suffix.lower() == ".json" else _read_csv(path))
    except UnicodeDecodeError:
        raise UserError(f"--labels {source}: is not in UTF-8; save it as CSV in UTF-8") from None
    except (OSError, ValueError, csv.Error, RecursionError) as problem:
        kind = type(problem).__name__ if isinstance(problem, ValueError) else problem
        raise UserError(f"--labels {source}: cannot be read ({kind}); name a CSV file, or folder") from None
    found: dict[str, tuple[str, str]] = {}
    contradictions = []
    for file, text in rows:
        genre = genre_name(text)
        if not file or not genre:
            continue
        key = _plain(file)
        if key in found and found[key][1] != genre:
            contradictions.append(file)
        found.setdefault(key, (file, genre))
    if not found:
        raise UserError(f"--labels {source}: holds no row with a file and a genre")
    try:
        check_genres(sorted({genre for _, genre in found.values()}))
    except ValueError as problem:
        raise UserError(f"--labels {source}: {problem}") from None
    return Labels(source, level, list(found.values()), contradictions)


def _read_csv(path: Path) -> Iterator[tuple[str, str]]:
    """Read the columns `file` and `genre`, separated by what the head is separated by."""
    lines = path.read_bytes()
    text = lines.decode("utf-16" if lines.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    text = re.sub(r"\A(sep=.)?\s*\n", "", text.lstrip("\ufeff"))  # as Excel says how it separates
    for separator in SEPARATORS:
        head = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
        names = [name.strip().lower() for name in head]
        columns = [next((names.index(name) for name in wanted if name in names), -1) for wanted in (FILES, GENRES)]
        if -1 not in columns:
            break
    else:
        found = ", ".join(names)[:100]
        only = f", only {found}" if found.isprintable() and found else ""
        raise UserError(f"--labels {path}: has no columns `file` and `genre`{only}")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as problem:
        # Written by a program that quotes nothing, so that a quotation mark is one: "Heroes".jpg
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=csv.QUOTE_NONE))
        if any(len(row) not in (0, len(names)) for row in rows):
            raise UserError(f"--labels {path}: cannot be read ({problem}); a quotation mark is missing") from None
    for row in rows[1:]:
        cells = [row[column] if column < len(row) else "" for column in columns]
        yield cells[0].strip(), cells[1]


def _read_json(path: Path) -> Iterator[tuple[str, str]]:
    """Read StyleGAN's dataset.json: {"labels": [["00000/img00000000.png", 6], ...]}, numbers or names."""
    try:
        labels = json.loads(path.read_bytes())["labels"]
        pairs = [(str(file), str(label)) for file, label in labels if label is not None]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise UserError(f'--labels {path}: is no dataset.json, which reads {{"labels": [["file", 0], ...]}}') from None
    yield from pairs
