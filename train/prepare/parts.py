"""The first half of preparing: every file is judged on its own, and what became of it is kept in parts.

A part is a Parquet file about the next few hundred files of the pile. Its name says what it was made from, so that one
that is there already need not be made again: that is how an interrupted run goes on. Worker processes read the files
and write the parts; only names and places pass between them.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from multiprocessing import connection
from pathlib import Path

import pyarrow
from pyarrow import parquet

from train.files import replacing
from train.prepare.clean import PICTURED, Cover, NoCover, prepare_cover, thumbnail
from train.prepare.items import Item, Place
from train.prepare.ranks import ALONE, Share
from train.prepare.settings import Settings
from train.time_limit import TIME_LIMIT, TooSlow, time_limit


PART_FILES, PART_BYTES = 512, 32 * 1024**2
VERSIONS = ("pillow", "simplejpeg", "numpy", "pyarrow")
SCHEMA = pyarrow.schema(
    {
        "name": pyarrow.string(),
        "genre": pyarrow.string(),
        "reason": pyarrow.string(),  # null for a cover
        "detail": pyarrow.string(),
        "image": pyarrow.binary(),  # of a refused file a thumbnail, where something can be seen
        "pixels": pyarrow.int64(),
        "sha256": pyarrow.binary(32),
        "phash": pyarrow.uint64(),
        "colours": pyarrow.binary(192),
    }
)
# Of each reason a part keeps so many thumbnails for the report.
THUMBNAILS = 2

Outcome = Cover | NoCover


def make_parts(
    items: Iterator[Item],
    settings: Settings,
    folder: Path,
    num_workers: int,
    on_done: Callable[[list[Item]], None],
    share: Share = ALONE,
) -> list[Path]:
    """Judge every file, and write what became of them to parts in `folder`, unless they are there already.

    Args:
        items: the files.
        settings: what a cover must be.
        folder: for the parts.
        num_workers: processes; the parts are the same however many there are. 0: this process does the work, and what
            takes it too long is noticed only when it is done.
        on_done: called with the files of each part when it is there, or is another rank's.
        share: which parts are made here; other ranks make the others.

    Returns:
        All parts, in the order of `items`.
    """
    paths: list[Path] = []
    waiting: deque[tuple[list[Item], Path, Future[None] | None]] = deque()
    with ExitStack() as stack:

        def start_pool() -> ProcessPoolExecutor:
            pool = _pool(num_workers)
            stack.callback(pool.shutdown, cancel_futures=True)
            return pool

        pool = start_pool() if num_workers else None

        def finish() -> None:
            nonlocal pool
            chunk, path, future = waiting.popleft()
            try:
                if future is not None:
                    future.result()
            except BrokenProcessPool:
                # All that was under way is lost with the worker that died: it is done again, a file at a time.
                for position, (lost, place, task) in enumerate([(chunk, path, future), *waiting]):
                    if task is not None and not is_whole(place):
                        write_outcomes(place, lost, _outcomes_apart(lost, settings))
                        if position:
                            waiting[position - 1] = (lost, place, None)
                pool = start_pool()
            on_done(chunk)

        for number, chunk in enumerate(_chunks(items)):
            path = folder / f"{number:06d}-{_digest(chunk, settings)}.parquet"
            paths.append(path)
            future = None
            if share.takes(number) and not is_whole(path):
                if pool is None:
                    write_part(chunk, settings, path)
                else:
                    future = pool.submit(write_part, chunk, settings, path)
            waiting.append((chunk, path, future))
            while len(waiting) > 2 * num_workers:
                finish()
        while waiting:
            finish()
    return paths


def write_part(chunk: list[Item], settings: Settings, path: Path) -> None:
    """Judge the files of `chunk` and write the part `path`."""
    write_outcomes(path, chunk, [judge(item, settings) for item in chunk])


def judge(item: Item, settings: Settings) -> Outcome:
    """Return what becomes of one file, with a thumbnail of a refused one where there is something to see."""
    if item.reason is not None:
        return NoCover(item.reason, item.detail)
    try:
        with time_limit(TIME_LIMIT, ends_process=multiprocessing.parent_process() is not None):
            content = item.read()
            try:
                return prepare_cover(content, settings, item.name)
            except NoCover as refused:
                if refused.reason in PICTURED:
                    refused.thumbnail = thumbnail(content)
                return refused
    except TooSlow:
        return NoCover("too-slow")
    except OSError as problem:
        return NoCover("unreadable", problem.strerror or "")


def write_outcomes(path: Path, chunk: list[Item], outcomes: list[Outcome]) -> None:
    """Write the part `path`: it is there whole or not at all."""
    shown: dict[str, int] = {}
    rows = []
    for item, outcome in zip(chunk, outcomes, strict=True):
        row = {"name": item.name, "genre": item.genre}
        if isinstance(outcome, Cover):
            rows.append(row | asdict(outcome))
            continue
        picture = outcome.thumbnail if shown.get(outcome.reason, 0) < THUMBNAILS else None
        shown[outcome.reason] = shown.get(outcome.reason, 0) + (picture is not None)
        rows.append(row | {"reason": outcome.reason, "detail": outcome.detail, "image": picture})
    with replacing(path) as file:
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema=SCHEMA), file)


def read_part(path: Path, columns: list[str]) -> pyarrow.Table:
    """Read some columns of a part, whatever the folders on the way to it are called."""
    with pyarrow.OSFile(os.fsencode(path)) as file:
        return parquet.read_table(file, columns=columns)


def rows_of_part(path: Path) -> int:
    """Return how many files a part tells of."""
    with pyarrow.OSFile(os.fsencode(path)) as file:
        return parquet.read_metadata(file).num_rows


def is_whole(path: Path) -> bool:
    """Return whether a part is there, all of it."""
    if not path.exists():
        return False
    try:
        rows_of_part(path)
    except (OSError, pyarrow.ArrowException):  # as a power cut may leave it
        return False
    return True


def still_missing(paths: list[Path]) -> str:
    """Return in a few words which parts are not there; empty where all are."""
    missing = [path for path in paths if not is_whole(path)]
    if not missing:
        return ""
    line = f"{len(missing):,} of {len(paths):,} parts are missing, and the rank that judges the last one ends the work"
    others = sum(any(path.parent.glob(f"{path.name.partition('-')[0]}-*")) for path in missing)
    if others:
        line += f"; {others:,} are there, made of other files, settings or versions: all ranks must see the same"
    return line


def _digest(chunk: list[Item], settings: Settings) -> str:
    """Return what a part is a function of, as 16 hex digits."""
    facts: list[object] = [asdict(settings), versions()]
    for item in chunk:
        at = item.content
        stamp = [at.offset, at.stamp] if isinstance(at, Place) else zlib.crc32(at or b"")
        facts.append([item.name, item.genre, item.reason, item.size, stamp])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


@cache
def versions() -> dict[str, str]:
    """Return the versions of what decodes and writes: another one may give other pixels or bytes."""
    return {name: version(name) for name in VERSIONS}


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    chunk, size = [], 0
    for item in items:
        chunk.append(item)
        size += item.size
        if len(chunk) >= PART_FILES or size >= PART_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _outcomes_apart(chunk: list[Item], settings: Settings) -> list[Outcome]:
    """Return what becomes of files of which one killed a worker: each is tried alone; a second kill refuses it."""
    outcomes: list[Outcome] = []
    pool = _pool(1)
    for item in chunk:
        begin = time.monotonic()
        try:
            outcomes.append(pool.submit(judge, item, settings).result())
        except BrokenProcessPool:
            slow = time.monotonic() - begin >= TIME_LIMIT
            outcomes.append(NoCover("too-slow" if slow else "kills-its-reader"))
            pool = _pool(1)
    pool.shutdown()
    return outcomes


def _pool(num_workers: int) -> ProcessPoolExecutor:
    # Spawned, because a fork of a process with threads, such as pyarrow's, can hang.
    return ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn"), _start_worker)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches all processes; the first one ends the others
    pyarrow.set_cpu_count(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker with its parent: it would wait for ever for work from a process that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
