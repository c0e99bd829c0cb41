"""Attack what takes strangers' files and requests, for a while: `python -m tests.attack --minutes 60`.

Good files and requests are changed at random, and whatever takes them must refuse them in the words of its own error,
in bounded time: of the processor, so that a busy machine gives no false alarm. What does not is written to a folder,
with the seed that makes it again. The tests of each reader hold what was once found. The kinds take their turns one
after the other, so that each has its memory and disk before and after.
"""

import argparse
import collections
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import psutil

from tests.attack.files import OF_FILES
from tests.attack.odd import PATIENCE, SECONDS, Attack, family, spent
from tests.attack.page import OF_THE_PAGE, page


def attack_all(kinds: dict[str, Attack], seed: int, seconds: float, found: Path) -> dict[str, list[int]]:
    """Attack until the time is over, of which each kind has the same part.

    Args:
        kinds: by name.
        seed: of the first attack; each next one has the next number.
        seconds: how long.
        found: folder for what went wrong.

    Returns:
        Of each kind how many attacks there were, and how many went wrong.
    """
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    slowest: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0])  # by the clock, and the processor
    began, own = [0.0, 0.0], family()
    held: dict[str, list[float]] = {}  # memory before and after, disk before and after
    number = seed

    def took() -> list[float]:
        return [time.monotonic() - began[0], spent(own) - began[1]]

    def look(*_: object) -> None:
        clock, processor = took()
        if processor > SECONDS or clock > PATIENCE:
            raise TimeoutError(f"{processor:.0f} seconds of the processor, {clock:.0f} by the clock")

    signal.signal(signal.SIGALRM, look)
    for name, attack in kinds.items():
        held[name] = [memory(), disk(found)]
        end = time.monotonic() + seconds / len(kinds)
        while time.monotonic() < end:
            number += 1
            counts[name][0] += 1
            began[:] = time.monotonic(), spent(own)
            signal.setitimer(signal.ITIMER_REAL, 1, 1)
            try:
                try:
                    attack(random.Random(f"{name} {number}"))
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Exception:
                counts[name][1] += 1
                (found / f"{name}-{number}.txt").write_text(traceback.format_exc())
                newest = max((found / name).glob("input*"), key=lambda path: path.stat().st_mtime)
                keep = shutil.copytree if newest.is_dir() else shutil.copy
                keep(newest, found / f"{name}-{number}.{newest.name}")
                print(f"{name} {number}: {traceback.format_exc().splitlines()[-1][:200]}", flush=True)
            slowest[name] = [max(pair) for pair in zip(slowest[name], took(), strict=True)]
        held[name] += [memory(), disk(found)]
    columns = f"{'slowest, s':>12}{'processor':>11}{'memory, MB':>22}{'disk, MB':>22}"
    print(f"{'':<12}{'attacks':>10}{'went wrong':>12}{columns}")
    for name, (count, wrong) in counts.items():
        memories, disks = (f"{held[name][n]:,.1f} -> {held[name][n + 2]:,.1f}" for n in (0, 1))
        clock, processor = slowest[name]
        print(f"{name:<12}{count:>10,}{wrong:>12}{clock:>12.1f}{processor:>11.1f}{memories:>22}{disks:>22}")
    return counts


def memory() -> float:
    """Return how many MB this process and those that it started hold, the page among them."""
    total = 0
    for process in family():
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / 1e6


def disk(folder: Path) -> float:
    """Return how many MB lie in a folder, the page's own among them."""
    files = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    total = 0
    for file in files:
        with contextlib.suppress(OSError):
            total += file.lstat().st_size
    return total / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="how long")
    parser.add_argument("--seed", type=int, help="of the first attack; without it another one each time")
    parser.add_argument("--kinds", nargs="+", default=[*OF_FILES, *OF_THE_PAGE], choices=[*OF_FILES, *OF_THE_PAGE])
    args = parser.parse_args()
    seed = random.randrange(2**32) if args.seed is None else args.seed
    found = Path(tempfile.mkdtemp(prefix="attack-"))
    print(f"seed {seed}; what goes wrong is written to {found}", flush=True)
    with contextlib.ExitStack() as stack:
        kinds, log, address = {}, None, ""
        for name in args.kinds:
            folder = found / name
            folder.mkdir()
            if name in OF_FILES:
                kinds[name] = OF_FILES[name](folder)
                continue
            if not address:
                address, log = stack.enter_context(page(folder))
            kinds[name] = OF_THE_PAGE[name](folder, address)
        counts = attack_all(kinds, seed, 60 * args.minutes, found)
        time.sleep(1)
        said = log.read_text(errors="replace") if log else ""
    tracebacks = said.count("Traceback")
    if log:
        print(f"the page said {said.count('Traceback')} tracebacks, and of errors {said.count('failed: ')} lines")
    return 1 if tracebacks or any(wrong for _, wrong in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
