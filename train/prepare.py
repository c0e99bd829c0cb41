"""Turn piles of album covers (folders, tars, zips, Hub datasets) into one clean dataset of square covers.

    python -m train.prepare album_covers_a.tar more/ --output_dir covers-128 --resolution 128

Every file is read, checked, decoded to sRGB, cropped and scaled; what gives no cover is refused and counted in
`report.html`. The result is Parquet that `datasets.load_dataset` reads, from the folder or from the Hub.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from train.clean import Cover, Refused, Settings, prepare_cover
from train.cli import Parser, UserError, check_output_dir, run
from train.report import RefusedFile, Report, is_report, write_report
from train.sources import Item, check_source, read_source


FIXED_SETTINGS = {"crop": "centre square", "filter": "Lanczos", "jpeg_check": "libjpeg, warnings refused"}
SPLITS = ("train", "validation")
SHARD_ROWS, SHARD_BYTES = 10_000, 256 * 1024**2
# Small groups, so that a reader, such as the Hub's viewer, can show a few rows without reading a whole shard.
GROUP_ROWS, GROUP_BYTES = 500, 16 * 1024**2
CHUNK_FILES, CHUNK_BYTES = 64, 8 * 1024**2

Outcome = Cover | Refused


def main() -> str:
    """Prepare a dataset as the command line says, and return the line that sums it up."""
    arguments = parse_arguments()
    output_dir: Path = arguments.output_dir
    check_output_dir(output_dir, "report.json")
    check_earlier(output_dir, arguments.overwrite)
    for source in arguments.sources:
        check_source(source, output_dir)
    settings = Settings(arguments.resolution, arguments.min_size, arguments.max_aspect)
    report = Report(
        # Names alone: the report is published with the dataset, and whose disk it was is nobody's business.
        sources=[Path(source).resolve().name if Path(source).exists() else source for source in arguments.sources],
        settings=vars(settings) | {"validation_fraction": arguments.validation_fraction, **FIXED_SETTINGS},
        versions={name: version(name) for name in ("pillow", "simplejpeg", "numpy", "pyarrow", "datasets")},
    )
    target = output_dir.resolve()
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        items = (item for source in arguments.sources for item in read_source(source))
        with closing(prepare_all(items, settings, arguments.num_workers)) as outcomes:
            write_dataset(partial, outcomes, report)
        write_report(partial, report, target.name, arguments.license)
        move_into_place(partial, target)
    except OSError as problem:
        raise UserError(f"--output_dir {output_dir} cannot be written: {problem.strerror or problem}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    short = arguments.validation_fraction and "validation" not in report.covers
    return f"{output_dir}: {report.summary()} (see report.html)" + "; too few for a validation split" * bool(short)


def parse_arguments() -> argparse.Namespace:
    """The command line, checked; `min_size` is filled in."""
    parser = Parser(prog="train.prepare", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("sources", nargs="+", metavar="SOURCE", help="a folder, a tar, a zip, or a dataset on the Hub (user/name)")
    add("--output_dir", type=Path, required=True, help="folder for the dataset; must be new or empty")
    add("--resolution", type=int, default=128, help="width and height of the covers in pixels, 16 to 1024")
    add("--min_size", type=int, help="refuse pictures whose shorter side has fewer pixels (default: resolution / 2)")
    add("--max_aspect", type=float, default=2.0, help="refuse pictures whose sides have a larger ratio than this")
    add("--validation_fraction", type=float, default=0.05, help="share of the covers that is held back for validation")
    add("--license", help="license that the dataset card names, e.g. other or cc-by-4.0")
    add("--num_workers", type=int, default=os.cpu_count(), help="processes that decode; the result is the same")
    add("--overwrite", action="store_true", help="replace the dataset that an earlier run wrote to --output_dir")
    arguments = parser.parse_args()
    if arguments.min_size is None:
        arguments.min_size = arguments.resolution // 2
    for wrong, message in (
        (not 16 <= arguments.resolution <= 1024, f"--resolution {arguments.resolution}: must be 16 to 1024"),
        (arguments.min_size < 1, f"--min_size {arguments.min_size}: must be 1 or more"),
        (not arguments.max_aspect >= 1, f"--max_aspect {arguments.max_aspect}: must be 1 or more"),
        (not 0 <= arguments.validation_fraction < 1, "--validation_fraction: must be 0 or more and below 1"),
        (arguments.num_workers < 1, f"--num_workers {arguments.num_workers}: must be 1 or more"),
    ):
        if wrong:
            parser.error(message)
    return arguments


def check_earlier(output_dir: Path, overwrite: bool) -> None:
    """Refuse to replace anything but an earlier dataset of this program, and that only where it is asked for.

    Raises:
        UserError: the folder holds a dataset and `overwrite` is false, or a report of something else.
    """
    if not (output_dir / "report.json").exists():
        return
    if not is_report(output_dir / "report.json"):
        raise UserError(f"--output_dir {output_dir} holds the report of another program; name a new folder")
    if not overwrite:
        raise UserError(f"--output_dir {output_dir} holds a dataset already; name a new folder or add --overwrite")


def write_dataset(folder: Path, outcomes: Iterator[tuple[Item, Outcome | None]], report: Report) -> None:
    """Write the covers to `folder`, each only once, and enter in `report` what became of every file.

    Raises:
        UserError: no cover is left, or a worker died.
    """
    began = time.monotonic()
    fraction = report.settings["validation_fraction"]
    first_names: dict[str, str] = {}
    shards = {split: Shards(folder / "data", split) for split in SPLITS}
    interval = 0.5 if sys.stderr.isatty() else 30
    with tqdm(outcomes, unit=" files", smoothing=0.05, mininterval=interval) as bar:
        for item, outcome in bar:
            if item.reason == "skipped":
                report.skipped += 1
            elif isinstance(outcome, Refused):
                report.refused.append(RefusedFile(item.name, outcome.reason, outcome.detail))
            elif outcome.sha256 in first_names:
                report.refused.append(RefusedFile(item.name, "duplicate", f"of {first_names[outcome.sha256]}"))
            else:
                first_names[outcome.sha256] = item.name
                held_back = int(outcome.sha256[:8], 16) < fraction * 2**32
                shards[SPLITS[held_back]].add(item.name, outcome)
    if not shards["train"].rows:  # a handful of covers: training needs them more than validation does
        shards = {"train": shards["validation"]}
    for split, written in shards.items():
        written.close(split)
    report.covers = {split: written.rows for split, written in shards.items() if written.rows}
    report.seconds = round(time.monotonic() - began, 2)
    if not report.kept:
        raise UserError(report.failure())


def prepare_all(items: Iterator[Item], settings: Settings, num_workers: int) -> Iterator[tuple[Item, Outcome | None]]:
    """Prepare files in `num_workers` processes; results come in the order of `items`, few of which are held at once.

    Raises:
        UserError: a worker died.
    """
    if num_workers == 1:
        for item in items:
            yield item, _prepare_chunk([item], settings)[0]
        return
    waiting: deque[tuple[list[Item], Future[list[Outcome | None]]]] = deque()
    # Spawned, because a fork of a process with threads, such as pyarrow's, can hang.
    pool = ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn"), _ignore_interrupt)
    try:
        for chunk in _chunks(items):
            names = [Item(item.name, None, item.reason) for item in chunk]
            waiting.append((names, pool.submit(_prepare_chunk, chunk, settings)))
            if len(waiting) > 2 * num_workers:
                names, future = waiting.popleft()
                yield from zip(names, future.result(), strict=True)
        for names, future in waiting:
            yield from zip(names, future.result(), strict=True)
    except BrokenProcessPool:
        raise UserError("a worker process died, for lack of memory perhaps; try a smaller --num_workers") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_chunk(items: list[Item], settings: Settings) -> list[Outcome | None]:
    return [_prepare(item, settings) for item in items]


def _prepare(item: Item, settings: Settings) -> Outcome | None:
    if item.content is None:
        return None if item.reason == "skipped" else Refused(item.reason, item.detail)
    try:
        return prepare_cover(item.content, settings)
    except Refused as refused:
        return refused


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    chunk, size = [], 0
    for item in items:
        chunk.append(item)
        size += len(item.content or b"")
        if len(chunk) >= CHUNK_FILES or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Shards:
    """The Parquet files of one split, written as covers come, so that memory does not grow with their number."""

    def __init__(self, folder: Path, name: str):
        import pyarrow
        from datasets import Features, Image, Value

        text = Value("string")
        features = Features({"image": Image(), "source": text, "sha256": text, "phash": text})
        self.schema: pyarrow.Schema = features.arrow_schema
        self.folder, self.name, self.rows = folder, name, 0
        self.paths: list[Path] = []
        self.writer = None
        self.group, self.group_bytes, self.shard_rows, self.shard_bytes = [], 0, 0, 0

    def add(self, source: str, cover: Cover) -> None:
        """Take one cover, and write when a row group or a shard is full."""
        image = {"bytes": cover.image, "path": None}
        self.group.append({"image": image, "source": source, "sha256": cover.sha256, "phash": cover.phash})
        self.rows += 1
        self.shard_rows += 1
        self.group_bytes += len(cover.image)
        self.shard_bytes += len(cover.image)
        full = self.shard_rows >= SHARD_ROWS or self.shard_bytes >= SHARD_BYTES
        if full or len(self.group) >= GROUP_ROWS or self.group_bytes >= GROUP_BYTES:
            self._write_group()
        if full:
            self._close_shard()

    def close(self, split: str) -> None:
        """Write what is left, and give the files their final names, which tell the split and how many there are."""
        if self.group:
            self._write_group()
        self._close_shard()
        for number, path in enumerate(self.paths):
            path.rename(self.folder / f"{split}-{number:05d}-of-{len(self.paths):05d}.parquet")

    def _write_group(self) -> None:
        import pyarrow
        from pyarrow import parquet

        if self.writer is None:
            self.folder.mkdir(exist_ok=True)
            self.paths.append(self.folder / f"{self.name}-{len(self.paths):05d}.parquet")
            # Chunked by content, so that the Hub stores only what changed between two uploads.
            self.writer = parquet.ParquetWriter(
                self.paths[-1], self.schema, use_content_defined_chunking=True, write_page_index=True
            )
        self.writer.write_table(pyarrow.Table.from_pylist(self.group, schema=self.schema))
        self.group, self.group_bytes = [], 0

    def _close_shard(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.writer, self.shard_rows, self.shard_bytes = None, 0, 0


def move_into_place(partial: Path, output_dir: Path) -> None:
    """Make `partial` the output folder, in place of an earlier dataset there; other files in it stay."""
    if not output_dir.exists():
        partial.rename(output_dir)
        return
    for name in ("report.json", "data", "report.html", "README.md"):
        earlier = output_dir / name
        shutil.rmtree(earlier) if earlier.is_dir() else earlier.unlink(missing_ok=True)
    for name in ("data", "report.html", "README.md", "report.json"):
        shutil.move(partial / name, output_dir / name)


if __name__ == "__main__":
    run(main, "train.prepare")
