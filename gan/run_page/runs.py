"""Read the folders of runs, while somebody trains there and whoever wrote them.

A run may be a stranger's, so everything read of it is bounded, and what makes no sense is left out with a word.
"""

import json
import re
import time
from collections.abc import Iterable, Mapping
from itertools import islice, pairwise
from pathlib import Path, PurePath
from threading import Lock
from types import MappingProxyType
from typing import Any

from gan.errors import first_line
from gan.film import evenly
from gan.health import Health
from gan.untrusted import LONGEST_LINE, check_file, is_folder, is_number, own_file, read_json, read_line


CONFIG, METRICS, SAMPLES, FILM = "config.json", "metrics.jsonl", "samples", "film.webp"
MOST_RUNS = 24  # on one page, the newest
LARGEST_METRICS = 32_000_000  # bytes
MOST_MEASURES, MOST_WARNINGS = 80, 50
MOST_LINES, MOST_KEPT = 2000, 50_000  # of a kind that a browser gets at once, and in memory
ALWAYS = ("images", "evaluation")  # stand in every line
MOST_NAMES, MOST_SHEETS = 20_000, 2000  # in samples/
LARGEST_SHEET, LARGEST_FILM = 30_000_000, 20_000_000  # bytes
MOST_PIXELS = 2**26  # of a sheet
MOST_FACTS, LONGEST_FACT = 100, 200
MEASURE = re.compile(r"[A-Za-z]\w{0,39}")
SHEET = re.compile(r"images-([0-9]{1,15})\.png")
RECENT = 20  # lines by which speed and time left are told
TAIL = 64  # bytes before the place read last: where they have changed, the file was written anew
QUIET = 180  # seconds without a line, after which nobody seems to train; more where lines come slowly


class RunsError(Exception):
    """Tell in one line why there is no run to show."""


class Run:
    """Follow one run: each `refresh` reads what was appended to its metrics.jsonl since the one before.

    Args:
        folder: of the run.

    Attributes:
        lines: finite numbers by name, `images` among them, and `evaluation` (whether it is one), in order.
        warnings: sentences, and after how many covers each was said last, in that order.
        generation: a number, another one whenever metrics.jsonl was written anew, as a run that goes on does.
    """

    def __init__(self, folder: Path):
        self.folder, self.lock = folder, Lock()
        self.generation = 0
        self.trouble = ""  # what else stands in the way of news
        self._forget()

    def _forget(self) -> None:
        self.generation = _now(self.generation)
        self.lines: list[dict[str, Any]] = []
        self.warnings: dict[str, int] = {}
        self.measures: set[str] = set()
        self._read, self._tail, self._left_out = 0, b"", 0
        config, self._problems = _config(self.folder)
        self._health = Health(config.get("gradient_penalty") != "none", config.get("loss") == "wasserstein")

    def stamp(self) -> str:
        """Return a text that changes when anything that `tell` reads has."""
        marks = []
        for part in (CONFIG, METRICS, SAMPLES, FILM):
            try:
                status = (self.folder / part).stat()
                marks.append(f"{status.st_mtime_ns:x}-{status.st_size:x}")
            except OSError:
                marks.append("")
        return " ".join(marks)

    def age(self) -> float | None:
        """Return how many seconds ago the newest line was written, None where there is none."""
        try:
            return max(0.0, time.time() - (self.folder / METRICS).stat().st_mtime)
        except OSError:
            return None

    def refresh(self) -> None:
        """Read the lines that are new; the last one may be half written, and is left for the next time."""
        file = own_file(self.folder, METRICS)
        if file is None:
            if self._read:
                self._forget()
            return
        with open(file, "rb") as opened:
            start = max(0, self._read - TAIL)
            opened.seek(start)
            if opened.read(self._read - start) != self._tail:
                self._forget()
                opened.seek(0)
            new = opened.read(LARGEST_METRICS - self._read)
        complete = new[: new.rfind(b"\n") + 1]
        if not complete and len(new) > LONGEST_LINE:  # no line of a run, and not read again and again until it ends
            complete = new
        for text in complete.splitlines():
            self._take(text)
        self._read += len(complete)
        self._tail = (self._tail + complete)[-TAIL:]

    def _take(self, text: bytes) -> None:
        line = _line(text)
        if line is None:
            self._left_out += bool(text.strip())
            return
        self.measures.update(sorted(line.keys() - self.measures)[: MOST_MEASURES - len(self.measures)])
        line = {name: value for name, value in line.items() if name in self.measures or name in ALWAYS}
        for sentence in self._health.replay(line):
            self.warnings.pop(sentence, None)
            self.warnings = dict([*self.warnings.items(), (sentence, line["images"])][-MOST_WARNINGS:])
        self.lines.append(line)
        if len(self.lines) > MOST_KEPT:
            self.lines = _thinned(self.lines, MOST_KEPT // 2)
            self.generation = _now(self.generation)

    def tell(self, generation: int = 0, count: int = 0) -> dict[str, Any]:
        """Return all that the page shows of the run, as JSON holds it.

        Args:
            generation: of the lines that a browser has.
            count: how many of them it has; the rest is told. Those of another generation are all told.
        """
        with self.lock:
            stamp = self.stamp()  # before anything is read: what comes meanwhile is read again
            problems = [self.trouble] if self.trouble else []
            try:
                self.refresh()
            except OSError as error:
                problems.append(f"{METRICS}: {first_line(error)}")
            config, wrong = _config(self.folder)
            problems += wrong
            if self._left_out:
                problems.append(f"{METRICS}: {self._left_out:,} lines are left out, which are none of a run's")
            if self._read >= LARGEST_METRICS - LONGEST_LINE:
                problems.append(f"{METRICS}: what is beyond {LARGEST_METRICS:,} bytes is left out")
            first = count if generation == self.generation and 0 <= count <= len(self.lines) else 0
            total = config.get("total_images")
            film = own_file(self.folder, FILM)
            return {
                "stamp": stamp,
                "generation": self.generation,
                "first": first,
                "count": len(self.lines),
                "lines": _thinned(self.lines[first:]),
                "warnings": [(images, sentence) for sentence, images in self.warnings.items()],
                "problems": problems,
                "config": _flat(config),
                "sheets": self.sheets(),
                "film": film and film.stat().st_mtime_ns // 1_000_000,
                "total": total if isinstance(total, int) and is_number(total) and total > 0 else None,
                "quiet": max(QUIET, 5 * _gap(self.lines)),
            } | _pace(self.lines, total)

    def numbers(self) -> bytes:
        """Return metrics.jsonl anew, with nothing in it but numbers, their names and each line's kind."""
        kinds = {True: "evaluation", False: "training"}
        written = []
        for line in self.tell()["lines"]:
            numbers = {name: value for name, value in line.items() if name != "evaluation"}
            written.append(json.dumps({"kind": kinds[line["evaluation"]]} | numbers) + "\n")
        return "".join(written).encode()

    def sheets(self) -> list[tuple[int, int]]:
        """Return (covers shown, when it was written in milliseconds) of each sheet of the first 64 seeds, in order.

        Sheets of a painter's autoencoder, painted-*.png, show real covers, and are never told of.
        """
        folder, found = self.folder / SAMPLES, {}
        try:
            if folder.is_symlink():
                return []
            for file in islice(folder.iterdir(), MOST_NAMES):
                if (match := SHEET.fullmatch(file.name)) and not file.is_symlink() and file.is_file():
                    found[int(match[1])] = file.stat().st_mtime_ns // 1_000_000
        except OSError:
            return []
        return evenly(sorted(found.items()), MOST_SHEETS)

    def sheet(self, images: int) -> Path | None:
        """Return the PNG file of the sheet after so many covers, None where there is none, or none to be opened."""
        file = own_file(self.folder, f"{SAMPLES}/images-{images:010d}.png")
        return file if file and is_sheet(file) else None

    def film(self) -> Path | None:
        """Return the animated WebP of the run, None where there is none."""
        file = own_file(self.folder, FILM)
        try:
            if file is None or check_file(file, LARGEST_FILM) < 12:
                return None
            with open(file, "rb") as opened:
                head = opened.read(12)
        except (OSError, ValueError):
            return None
        return file if head[:4] == b"RIFF" and head[8:] == b"WEBP" else None


class Runs:
    """Hold the runs of a page by the names that tell them apart, those included that begin while it is open.

    Args:
        paths: folders of runs, and folders in which such folders lie.
        others: runs that lie elsewhere, by name.

    Raises:
        RunsError: one of the paths is no folder, or there is no run in it.
    """

    def __init__(self, paths: Iterable[Path], others: Mapping[str, Run] = MappingProxyType({})):
        self.paths, self.others = list(paths), dict(others)
        self.found: dict[Path, Run] = {}
        self.lock = Lock()
        for path in self.paths:
            if not is_folder(path):
                raise RunsError(f"--run {path}: no such folder")
            if not _runs_in(path):
                raise RunsError(f"--run {path}: holds no run (train_gan writes one, with {CONFIG} and {METRICS})")

    def list(self) -> dict[str, Run]:
        """Return the runs that are there now by name, at most `MOST_RUNS`: the newest."""
        folders = list(dict.fromkeys(folder for path in self.paths for folder in _runs_in(path)))
        newest = set(sorted(folders, key=_changed)[-MOST_RUNS:])
        with self.lock:
            found = {folder: self.found.get(folder) or Run(folder) for folder in folders if folder in newest}
            self.found = found
        named = dict(self.others)
        for folder, run in found.items():
            parts = folder.absolute().parts
            depths = range(1, len(parts) + 1)
            named[next(name for n in depths if (name := "/".join(parts[-n:])) not in named)] = run
        return named


def _runs_in(path: Path) -> list[Path]:
    """Return `path` where it is a run's folder, or else those in it that are."""
    if _is_run(path):
        return [path]
    try:
        inside = sorted(islice(path.iterdir(), MOST_NAMES))
    except OSError:
        return []
    return [folder for folder in inside if not folder.is_symlink() and _is_run(folder)]


def _is_run(folder: Path) -> bool:
    try:
        return folder.is_dir() and (own_file(folder, METRICS) or own_file(folder, CONFIG)) is not None
    except OSError:
        return False


def _changed(folder: Path) -> float:
    times = [0.0]
    for name in (CONFIG, METRICS):
        try:
            times.append((folder / name).stat().st_mtime)
        except OSError:
            continue
    return max(times)


def _line(text: bytes) -> dict[str, Any] | None:
    """Return the numbers of a line of metrics.jsonl, and whether it is an evaluation; None where it is no line."""
    said = read_line(text)
    if said is None:
        return None
    kind = said.get("kind", "evaluation" if "ema_sigma" in said else "training")  # earlier versions did not say it
    numbers = {name: value for name, value in said.items() if name != "kind" and MEASURE.fullmatch(name)}
    return numbers | {"images": int(said["images"]), "evaluation": kind == "evaluation"}


def _now(before: int) -> int:
    """Return a generation that is not `before`, nor any that a server counted which ran earlier."""
    return max(before + 1, time.time_ns() // 1_000_000)


def _thinned(lines: list[dict[str, Any]], most: int = MOST_LINES) -> list[dict[str, Any]]:
    """Return at most `most` lines of each kind, evenly, in order."""
    if len(lines) <= most:
        return lines
    kept = set()
    for evaluation in (True, False):
        places = [place for place, line in enumerate(lines) if line["evaluation"] is evaluation]
        kept |= set(evenly(places, most))
    return [lines[place] for place in sorted(kept)]


def _pace(lines: list[dict[str, Any]], total: object) -> dict[str, Any]:
    """Return covers shown, seconds trained, covers a second lately, and seconds that are left, None where unknown.

    What is left is reckoned by all that passed lately, measuring and saving included.
    """
    images, seconds = (lines[-1].get(name, 0) if lines else 0 for name in ("images", "seconds"))
    speeds = sorted(line["images_per_second"] for line in lines[-RECENT:] if line.get("images_per_second", 0) > 0)
    speed = speeds[len(speeds) // 2] if speeds else None
    timed = [line for line in lines[-RECENT:] if "seconds" in line]
    covers = timed[-1]["images"] - timed[0]["images"] if timed else 0
    passed = timed[-1]["seconds"] - timed[0]["seconds"] if timed else 0
    rate = covers / passed if covers > 0 and passed > 0 else speed
    left = max(0.0, (total - images) / rate) if isinstance(total, int | float) and is_number(total) and rate else None
    return {"images": images, "seconds": seconds, "speed": speed, "left": left}


def _gap(lines: list[dict[str, Any]]) -> float:
    """Return the longest time between two of the newest lines, in seconds."""
    times = [line["seconds"] for line in lines[-RECENT:] if "seconds" in line]
    return max((later - sooner for sooner, later in pairwise(times)), default=0.0)


def _config(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what config.json holds, and what is wrong with it."""
    file = own_file(folder, CONFIG)
    if file is None:
        return {}, [f"there is no {CONFIG}"]
    try:
        config = read_json(file)
    except (OSError, ValueError) as error:
        return {}, [f"{CONFIG}: {first_line(error)}"]
    return (config, []) if isinstance(config, dict) else ({}, [f"{CONFIG} is no JSON object"])


def _flat(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a recipe as short texts; `{"generator": {"width": 32}}` becomes `generator.width`."""
    facts: dict[str, str] = {}
    for key, value in islice(config.items(), MOST_FACTS):
        parts = {f"{key}.{part}": inner for part, inner in value.items()} if isinstance(value, dict) else {key: value}
        for name, inner in islice(parts.items(), MOST_FACTS - len(facts)):
            facts[name[:LONGEST_FACT]] = _short(inner)
    return facts


def _short(value: object) -> str:
    if isinstance(value, str) and PurePath(value).is_absolute():
        value = "/".join(PurePath(value).parts[-2:])  # where the rest of it lies is nobody else's business
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "…"
    if text.startswith(("/", "~", "\\")) or text[1:3] == ":\\":  # a path of the machine that trained
        text = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    return text if len(text) <= LONGEST_FACT else text[:LONGEST_FACT] + "…"


def is_sheet(file: Path) -> bool:
    """Return whether a file begins as a PNG of at most `MOST_PIXELS`, and is no larger than a sheet."""
    try:
        check_file(file, LARGEST_SHEET)
        with open(file, "rb") as opened:
            head = opened.read(24)
    except (OSError, ValueError):
        return False
    width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    return head[:8] == b"\x89PNG\r\n\x1a\n" and head[12:16] == b"IHDR" and 0 < width * height <= MOST_PIXELS
