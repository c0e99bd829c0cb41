"""The second half of preparing: which covers stay, and the dataset made of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import compute

from train.prepare.duplicates import BYTES_A_COVER, Fingerprints, find_copies
from train.prepare.labels import Labels
from train.prepare.parts import read_part, rows_of_part
from train.prepare.report import SHOWN_CLUSTERS, SHOWN_COPIES, RefusedFile, Report
from train.prepare.shards import Shards
from train.prepare.tables import fits, table


SPLITS = ("train", "validation")


class NothingLeft(Exception):
    """Say that no file of the pile gave a cover."""


@dataclass(frozen=True)
class Candidates:
    """Hold the N covers among the files of a pile as parts tell of them, without names and pictures: 250 bytes each.

    Args:
        parts: the files, in order.
        fingerprints: of the covers.
        genres: (N,) strings or None.
        foreign: how many of the covers, the first, come from what --exclude names.
        foreign_parts: how many of the parts do.
        folder: on the disk where large tables are held; None: in memory, where they fit.
    """

    parts: list[Path]
    fingerprints: Fingerprints
    genres: np.ndarray
    foreign: int
    foreign_parts: int
    folder: Path | None


def read_candidates(foreign: list[Path], parts: list[Path], folder: Path) -> Candidates:
    """Read what decides which covers stay, those of `foreign` parts before the others.

    Tables that would take too much memory are held in `folder`. Raises OSError: its disk is full.
    """
    most = sum(map(rows_of_part, (*foreign, *parts)))
    on_disk = None if fits(most * BYTES_A_COVER) else folder
    sha256, colours = (table((most, size), np.uint8, on_disk) for size in (32, 192))
    phash, pixels, genres = np.empty(most, np.uint64), np.empty(most, np.int64), np.empty(most, object)
    known: dict[str | None, str | None] = {}  # each genre once in memory, however many covers it has
    count = count_foreign = 0
    for number, path in enumerate((*foreign, *parts)):
        part = read_part(path, ["reason", "sha256", "phash", "colours", "pixels", "genre"])
        covers = part.filter(compute.is_null(part["reason"]))
        rows = slice(count, count := count + len(covers))
        sha256[rows], colours[rows] = _bytes(covers["sha256"], 32), _bytes(covers["colours"], 192)
        phash[rows], pixels[rows] = covers["phash"].to_numpy(), covers["pixels"].to_numpy()
        genres[rows] = [known.setdefault(genre, genre) for genre in covers["genre"].to_pylist()]
        count_foreign = count if number < len(foreign) else count_foreign
    prints = Fingerprints(sha256[:count], phash[:count], colours[:count], pixels[:count])
    return Candidates([*foreign, *parts], prints, genres[:count], count_foreign, len(foreign), on_disk)


def _bytes(column: pyarrow.ChunkedArray, size: int) -> np.ndarray:
    """Return (N, size) uint8 of a column of binary values that are all of that size."""
    arrays = [np.frombuffer(chunk.buffers()[1], np.uint8, len(chunk) * size) for chunk in column.chunks if len(chunk)]
    return np.concatenate([np.empty(0, np.uint8), *arrays]).reshape(-1, size)


def read_rows(paths: list[Path], columns: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the parts, in order; `part` is the part's number, `cover` a cover's among all covers."""
    number = 0
    for part, path in enumerate(paths):
        for row in read_part(path, ["reason", *columns]).to_pylist():
            row["part"] = part
            if row["reason"] is None:
                row["cover"] = number
                number += 1
            yield row


def write_dataset(folder: Path, candidates: Candidates, report: Report, labels: Labels) -> None:
    """Write the covers that stay, and enter in `report`, whose settings are followed, what became of every file.

    Raises:
        NothingLeft: no cover stays.
    """
    prints, settings = candidates.fingerprints, report.settings
    everything = np.arange(len(prints.phash))
    of = find_copies(prints, settings["hash_distance"], candidates.foreign, candidates.folder)
    native = everything >= candidates.foreign
    stays = native & (of >= candidates.foreign) & (settings["keep_duplicates"] | (of == everything))
    # By its hash alone, so that a cover never changes sides when the pile grows; copies that are kept go together.
    held_back = prints.sha256[of, :4].copy().view(">u4")[:, 0] < settings["validation_fraction"] * 2**32
    if not (stays & ~held_back).any():  # a handful of covers: training needs them more than validation does
        held_back[:] = False
    genre_of = _genres(candidates.genres, of)
    genres = sorted(set(genre_of[stays]) - {None})
    shards = {split: Shards(folder / "data", split, genres) for split in SPLITS}

    copies = np.flatnonzero(native & (of != everything))
    clusters: dict[int, list[int]] = {}
    for copy in copies:
        clusters.setdefault(int(of[copy]), []).append(int(copy))
    named = {*map(int, copies), *clusters}
    shown = _shown(clusters, prints)
    pictures: dict[int, bytes] = {}
    names: dict[int, str] = {}
    without: list[str] = []
    for row in read_rows(candidates.parts, ["name"]):
        if row.get("cover") in named:
            names[row["cover"]] = row["name"]
    for row in read_rows(candidates.parts, ["name", "detail", "image", "sha256", "phash"]):
        cover = row.get("cover")
        if cover in shown:
            pictures[cover] = row["image"]
        if cover is None and row["part"] >= candidates.foreign_parts:
            report.refuse(RefusedFile(row["name"], row["reason"], row["detail"] or ""), row["image"])
        elif cover is None or not native[cover]:
            continue
        elif stays[cover]:
            genre = genre_of[cover]
            if genre is None and labels.source is not None:
                without.append(row["name"])
            shards[SPLITS[int(held_back[cover])]].add(row, genre if genre is None else genres.index(genre))
        else:
            report.refuse(_copy(row["name"], names[of[cover]], cover, of[cover], candidates))
    for written in shards.values():
        written.close()
    report.covers = {split: written.rows for split, written in shards.items() if written.rows}
    report.picture_bytes = {split: shards[split].picture_bytes for split in report.covers}
    report.genres = {genre: int((genre_of[stays] == genre).sum()) for genre in genres}
    report.labels = labels.report(report.kept, without)
    report.clusters = [[names[kept], *(names[copy] for copy in cluster)] for kept, cluster in clusters.items()]
    report.shown_clusters = [
        [(names[cover], pictures[cover]) for cover in (kept, *clusters[kept][:SHOWN_COPIES])]
        for kept in clusters
        if kept in shown
    ]
    if not report.kept:
        raise NothingLeft(report.failure())


def _copy(name: str, kept: str, cover: int, of: int, candidates: Candidates) -> RefusedFile:
    prints = candidates.fingerprints
    equal = bool((prints.sha256[cover] == prints.sha256[of]).all())
    bits = int(prints.phash[cover] ^ prints.phash[of]).bit_count()
    reason = "excluded" if of < candidates.foreign else "duplicate" if equal else "near-duplicate"
    return RefusedFile(name, reason, f"of {kept}" + f", {bits} of 64 bits differ" * (not equal))


def _genres(genres: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Return the genre of every cover; one without takes that of its first copy with one."""
    genres = genres.copy()
    for cover in np.flatnonzero([genre is not None for genre in genres]):
        if genres[of[cover]] is None:
            genres[of[cover]] = genres[cover]
    return genres


def _shown(clusters: dict[int, list[int]], prints: Fingerprints) -> set[int]:
    """Return the covers that the report shows side by side: of clusters with a near copy some from all the pile."""
    near = [kept for kept, cluster in clusters.items() if (prints.sha256[cluster] != prints.sha256[kept]).any()]
    chosen = near[:: max(1, -(-len(near) // SHOWN_CLUSTERS))]
    return {cover for kept in chosen for cover in (kept, *clusters[kept][:SHOWN_COPIES])}
