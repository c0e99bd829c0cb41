"""Sources as a stream of labelled files, judged with a progress bar."""

import os
import stat
import sys
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from train.prepare.items import Item, Place
from train.prepare.labels import Labels
from train.prepare.parts import make_parts
from train.prepare.ranks import ALONE, Share
from train.prepare.settings import Settings
from train.prepare.sources import AS_IT_COMES, Reading, read_source


TAR_BLOCK = 512


def judge_pile(
    sources: list[str],
    settings: Settings,
    folder: Path,
    num_workers: int,
    labels: Labels,
    reading: Reading = AS_IT_COMES,
    share: Share = ALONE,
) -> list[Path]:
    """Judge this rank's share of the sources' files, with a progress bar, and return all parts, others' too."""
    items = (item for source in sources for item in labels.label(read_source(source, reading)))
    interval = 0.5 if sys.stderr.isatty() else 30
    total = _bytes_of(sources)
    with tqdm(
        total=total, unit="B" if total else " files", unit_scale=True, mininterval=interval, disable=not sources
    ) as bar:
        files = 0

        def on_done(chunk: list[Item]) -> None:
            nonlocal files
            files += len(chunk)
            bar.set_postfix(files=f"{files:,}", refresh=False)
            bar.update(sum(map(_bytes_on_disk, chunk)) if total else len(chunk))

        return make_parts(items, settings, folder, num_workers, on_done, share)


def _bytes_of(sources: list[str]) -> int | None:
    """Return how many bytes there are to read; None for datasets, which do not tell."""
    paths = [Path(source) for source in sources]
    if not all(path.exists() for path in paths):
        return None
    below = (os.path.join(parent, name) for path in paths for parent, _, names in os.walk(path) for name in names)
    return sum(map(_bytes_of_file, chain(map(str, filter(Path.is_file, paths)), below)))


def _bytes_of_file(path: str) -> int:
    try:
        facts = os.stat(path)
    except OSError:  # it will be refused by its name
        return 0
    return facts.st_size if stat.S_ISREG(facts.st_mode) else 0


def _bytes_on_disk(item: Item) -> int:
    in_tar = isinstance(item.content, Place) and item.content.offset
    return item.size + (TAR_BLOCK - item.size % TAR_BLOCK + TAR_BLOCK if in_tar else 0)
