"""Turn piles of album covers (folders, archives, Parquet, Hub datasets) into one clean dataset of square covers.

    python -m train.prepare album_covers_a.tar more/ --output_dir covers-128 --resolution 128

Every file is read, checked, decoded to sRGB, made square and scaled; what gives no cover is refused, and `report.html`
tells why. Copies are found across the whole pile. The result is Parquet that `datasets.load_dataset` reads, from the
folder or from the Hub. Interrupted and started again, the same command goes on, and ends with the same bytes.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from train.cli import Parser, UserError, check_output_dir, run
from train.files import lock
from train.prepare.assemble import NothingLeft, read_covers, write_dataset
from train.prepare.card import dataset_card
from train.prepare.clean import FITS, Settings
from train.prepare.duplicates import LARGEST_DISTANCE
from train.prepare.internet_archive import fetch_letters, parse_letters
from train.prepare.items import Item, Place
from train.prepare.labels import FOLDER, check_labels, labelled
from train.prepare.parts import make_parts, versions
from train.prepare.report import Report, is_report, to_json
from train.prepare.report_page import report_page
from train.prepare.sources import check_source, expand, is_dataset, read_source


GO_ON = "the same command goes on where it stopped"
TAR_BLOCK = 512


def main() -> str:
    """Prepare a dataset as the command line says, and return the line that sums it up."""
    arguments = parse_arguments()
    output_dir: Path = arguments.output_dir
    check_output_dir(output_dir, "report.json")
    check_earlier(output_dir, arguments.overwrite)
    check_labels(arguments.labels)
    sources = expand(arguments.sources)
    for source in (*sources, *arguments.exclude):
        check_source(source, output_dir)
    if arguments.archive_letters:
        sources += map(str, fetch_letters(arguments.archive_letters, arguments.archive_dir))
    settings = Settings(arguments.resolution, arguments.min_size, arguments.max_aspect, arguments.fit)
    report = Report(
        # Names alone: the report is published with the dataset, and whose disk it was is nobody's business.
        sources=[Path(source).resolve().name if Path(source).exists() else source for source in sources],
        settings=vars(settings)
        | {name: getattr(arguments, name) for name in ("hash_distance", "keep_duplicates", "validation_fraction")},
        versions=versions(),
    )
    target = output_dir.resolve()
    try:
        with work_folder(target) as work:
            foreign = judge(arguments.exclude, settings, work / "foreign", arguments.num_workers, None)
            parts = judge(sources, settings, work / "parts", arguments.num_workers, arguments.labels)
            write_dataset(work / "dataset", read_covers(foreign, parts), report)
            for name, text in (
                ("report.json", to_json(report)),
                ("report.html", report_page(report, target.name)),
                ("README.md", dataset_card(report, target.name, arguments.license)),
            ):
                (work / "dataset" / name).write_text(text, encoding="utf-8")
            move_into_place(work / "dataset", target)
    except KeyboardInterrupt:
        raise UserError(f"interrupted; {GO_ON}", 130) from None
    except OSError as problem:
        reason = problem.strerror or problem
        raise UserError(f"--output_dir {output_dir} cannot be written: {reason}; {GO_ON}") from None
    line = f"{output_dir}: {report.summary()} (see report.html)"
    if arguments.validation_fraction and "validation" not in report.covers:
        line += "; too few for a validation split"
    return line + push(arguments)


def parse_arguments() -> argparse.Namespace:
    """The command line, checked; `min_size` is filled in."""
    parser = Parser(prog="train.prepare", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="folder, archive, Parquet, pattern, or Hub dataset (user/name)",
    )
    add("--output_dir", type=Path, required=True, help="folder for the dataset; must be new or empty")
    add("--resolution", type=int, default=128, help="width and height of the covers in pixels, 16 to 1024")
    add("--fit", choices=FITS, default="crop", help="how a picture becomes a square")
    add("--min_size", type=int, help="refuse pictures whose shorter side has fewer pixels (default: resolution / 2)")
    add("--max_aspect", type=float, default=2.0, help="refuse pictures whose sides have a larger ratio than this")
    add("--hash_distance", type=int, default=8, help="bits of 64 in which the hashes of near copies differ at most")
    add("--keep_duplicates", action="store_true", help="keep copies, exact and near ones")
    add("--exclude", nargs="+", metavar="DATASET", help="leave out covers that are in these sources, too")
    add("--labels", metavar="folder|FILE.csv", help="genres: folder names, or a table with the columns file, genre")
    add("--archive_letters", type=parse_letters, metavar="x,y", help="fetch these of the Internet Archive's million")
    add("--archive_dir", type=Path, default=Path("audio-covers"), help="where what is fetched is kept")
    add("--validation_fraction", type=float, default=0.05, help="share of the covers that is held back for validation")
    add("--license", help="license that the dataset card names, e.g. other or cc-by-4.0")
    add("--num_workers", type=int, default=os.cpu_count(), help="processes that decode; the result is the same")
    add("--overwrite", action="store_true", help="replace the dataset that an earlier run wrote to --output_dir")
    add("--push_to_hub", action="store_true", help="share the dataset through the Hub when it is ready")
    add("--hub_dataset_id", help="user/name on the Hub")
    add("--hub_private_repo", action="store_true", help="visible to its owner alone")
    arguments = parser.parse_args()
    arguments.exclude = arguments.exclude or []
    if arguments.min_size is None:
        arguments.min_size = arguments.resolution // 2
    distance = arguments.hash_distance
    for wrong, message in (
        (not arguments.sources and not arguments.archive_letters, "name a SOURCE, or --archive_letters"),
        (not 16 <= arguments.resolution <= 1024, f"--resolution {arguments.resolution}: must be 16 to 1024"),
        (arguments.min_size < 1, f"--min_size {arguments.min_size}: must be 1 or more"),
        (not arguments.max_aspect >= 1, f"--max_aspect {arguments.max_aspect}: must be 1 or more"),
        (not 0 <= distance <= LARGEST_DISTANCE, f"--hash_distance {distance}: must be 0 to {LARGEST_DISTANCE}"),
        (not 0 <= arguments.validation_fraction < 1, "--validation_fraction: must be 0 or more and below 1"),
        (arguments.num_workers < 1, f"--num_workers {arguments.num_workers}: must be 1 or more"),
        (arguments.push_to_hub and not arguments.hub_dataset_id, "--push_to_hub needs --hub_dataset_id user/name"),
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


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target` for what is not ready yet; it stays where the run is interrupted.

    Raises:
        UserError: another process is using it.
    """
    work = target.with_name(f"{target.name}.unfinished")
    work.mkdir(parents=True, exist_ok=True)
    held = os.open(work, os.O_RDONLY)  # freed by the system, however the process ends
    if not lock(held):
        os.close(held)
        raise UserError(f"another process is preparing {target.name}; wait for it")
    try:
        shutil.rmtree(work / "dataset", ignore_errors=True)
        for name in ("foreign", "parts", "dataset"):
            (work / name).mkdir(exist_ok=True)
        yield work
    except NothingLeft as nothing:
        shutil.rmtree(work, ignore_errors=True)
        raise UserError(str(nothing)) from None
    except BaseException:
        if not any(work.glob("*/*.parquet")):  # nothing to go on with
            shutil.rmtree(work, ignore_errors=True)
        raise
    finally:
        os.close(held)
    shutil.rmtree(work, ignore_errors=True)


def judge(sources: list[str], settings: Settings, folder: Path, num_workers: int, labels: str | None) -> list[Path]:
    """Judge all files of the sources, with a progress bar; returns the parts that say what became of them."""
    # Where a dataset's rows lie is no genre of theirs.
    labels_of = {source: None if labels == FOLDER and is_dataset(source) else labels for source in sources}
    items = (item for source in sources for item in labelled(read_source(source), labels_of[source]))
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

        return make_parts(items, settings, folder, num_workers, on_done)


def _bytes_of(sources: list[str]) -> int | None:
    """How much there is to read; None for datasets, which do not tell."""
    paths = [Path(source) for source in sources]
    if not all(path.exists() for path in paths):
        return None
    files = (file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]))
    return sum(file.stat().st_size for file in files if file.is_file())


def _bytes_on_disk(item: Item) -> int:
    in_tar = isinstance(item.content, Place) and item.content.offset
    return item.size + (TAR_BLOCK - item.size % TAR_BLOCK + TAR_BLOCK if in_tar else 0)


def move_into_place(dataset: Path, target: Path) -> None:
    """Make `dataset` the output folder, in place of an earlier dataset there; other files in it stay."""
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    if not target.exists():
        dataset.rename(target)
        return
    # The report comes last: it marks the folder as this program's, should the process be killed in between.
    for name in ("data", "report.html", "README.md", "report.json"):
        earlier = target / name
        if earlier.is_dir():
            shutil.rmtree(earlier)
        (dataset / name).replace(earlier)


def push(arguments: argparse.Namespace) -> str:
    """Share the dataset where that is asked for; returns what to add to the program's last line."""
    if not arguments.push_to_hub:
        return ""
    from train.share.hub import HubError, upload_dataset

    try:
        sent = upload_dataset(arguments.output_dir, arguments.hub_dataset_id, private=arguments.hub_private_repo)
    except HubError as problem:
        again = f"python -m train.share dataset {arguments.output_dir} --repo_id {arguments.hub_dataset_id}"
        raise UserError(f"{problem}; the dataset is ready, share it with: {again}", 1) from None
    return f"; shared at {sent.url}"


if __name__ == "__main__":
    run(main, "train.prepare")
