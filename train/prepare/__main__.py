"""Turn piles of album covers (folders, archives, Parquet, Hub datasets) into one clean dataset of square covers.

    python -m train.prepare album_covers_a.tar more/ --output_dir covers-128 --resolution 128

Every file is read, checked, decoded to sRGB, made square and scaled; what gives no cover is refused, and `report.html`
tells why. Copies are found across the whole pile. The result is Parquet that `datasets.load_dataset` reads, from the
folder or from the Hub. Interrupted and started again, the same command goes on, and ends with the same bytes.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.cli import UserError, run
from train.files import NO_ROOM
from train.prepare.options import parse_arguments


if TYPE_CHECKING:
    from train.prepare.report import Report


GO_ON = "the same command goes on where it stopped"


def main() -> str:
    """Prepare a dataset as the command line says, and return the line that sums it up."""
    arguments = parse_arguments(__doc__.splitlines()[0])
    # Here and not above: --help and a mistake in the arguments do not wait for Pillow and Arrow.
    from train.prepare.assemble import read_candidates, write_dataset
    from train.prepare.card import dataset_card
    from train.prepare.internet_archive import fetch_letters
    from train.prepare.items import text
    from train.prepare.labels import Labels, read_labels
    from train.prepare.output import InUse, check_output, is_placed, move_into_place, shared_work_folder, work_folder
    from train.prepare.parts import still_missing, versions
    from train.prepare.pile import judge_pile
    from train.prepare.ranks import agree, unheard_launcher
    from train.prepare.report import Report, is_of, to_json
    from train.prepare.report_page import report_page
    from train.prepare.settings import Settings
    from train.prepare.sources import Reading, check_source, expand

    output_dir: Path = arguments.output_dir
    share = arguments.share
    several = share.world_size > 1
    if several and arguments.launcher:
        told = f"rank {share.rank} of {share.world_size} ({arguments.launcher}); --world_size 1 does everything here"
        print(f"train.prepare: {told}", file=sys.stderr, flush=True)
    elif several and (other := unheard_launcher(share, os.environ)):
        print(f"train.prepare: {other}", file=sys.stderr, flush=True)
    check_output(output_dir, arguments.overwrite or several)
    labels = read_labels(arguments.labels, arguments.label_level)
    sources = expand(arguments.sources)
    alone = len(sources) == 1 and not arguments.archive_letters
    everything = (*sources, *arguments.exclude)
    if arguments.dataset_config_name and all(Path(source).exists() for source in everything):
        raise UserError(
            "--dataset_config_name is for a dataset on the Hub; of a folder, name that of the configuration"
        )
    for source in everything:
        check_source(source, output_dir, alone)
    check_sharing(arguments)
    if arguments.archive_letters:
        sources += map(str, fetch_letters(arguments.archive_letters, arguments.archive_dir))
    settings = Settings(arguments.resolution, arguments.min_size, arguments.max_aspect, arguments.fit)
    report = Report(
        # Names alone: the report is published with the dataset, and whose disk it was is nobody's business.
        sources=[text(Path(source).resolve().name) if Path(source).exists() else source for source in sources],
        settings=vars(settings)
        | {name: getattr(arguments, name) for name in ("hash_distance", "keep_duplicates", "validation_fraction")},
        versions=versions(),
    )
    target = output_dir.resolve()
    title = text(target.name)
    if several and is_placed(target):
        if is_of(target / "report.json", report):
            return f"{output_dir}: is prepared already"
        raise UserError(f"--output_dir {output_dir} holds another dataset already; name a new folder")

    reading = Reading(arguments.label_column, arguments.dataset_config_name, arguments.zip_encoding)

    def judge(work: Path) -> tuple[list[Path], list[Path]]:
        how = (settings, work / "foreign", arguments.num_workers)
        unlabelled = (Labels(is_checked=False), replace(reading, label_column=None))
        foreign = judge_pile(arguments.exclude, *how, *unlabelled, share)
        how = (settings, work / "parts", arguments.num_workers)
        return foreign, judge_pile(sources, *how, labels, reading, share)

    def make(work: Path, foreign: list[Path], parts: list[Path]) -> None:
        write_dataset(work / "dataset", read_candidates(foreign, parts, work), report, labels)
        for name, content in (
            ("report.json", to_json(report)),
            ("report.html", report_page(report, title)),
            ("README.md", dataset_card(report, title, arguments.license)),
        ):
            (work / "dataset" / name).write_text(content, encoding="utf-8")
        move_into_place(work / "dataset", target)

    try:
        if several:
            with shared_work_folder(target) as work:
                agree(work, plan(arguments, report))
                # While this one waited, others may have ended the work.
                foreign, parts = ([], []) if is_placed(target) else judge(work)
            # Looked for only now that the folder is given back: of two ranks that end together, the one that looks
            # last finds all of them, and nobody holds the folder any more who would not look.
            if missing := still_missing([*foreign, *parts]):
                return f"{output_dir}: rank {share.rank} is done; {missing}"
            try:
                with work_folder(target) as work:
                    if is_placed(target):
                        return f"{output_dir}: rank {share.rank} is done; another one has made the dataset"
                    make(work, foreign, parts)
            except InUse:
                return f"{output_dir}: rank {share.rank} is done; another one makes the dataset"
        else:
            with work_folder(target) as work:
                make(work, *judge(work))
    except KeyboardInterrupt:
        raise UserError(f"interrupted; {GO_ON}", 130) from None
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else problem
        code = 1 if problem.errno in NO_ROOM else 2
        raise UserError(f"--output_dir {output_dir} cannot be written: {reason}; {GO_ON}", code) from None
    line = f"{output_dir}: {report.summary()} (see report.html)"
    line += labels.summary(report.kept, sum(report.genres.values()))
    if arguments.validation_fraction and "validation" not in report.covers:
        line += "; too few for a validation split"
    return line + push(arguments)


def plan(arguments: argparse.Namespace, report: "Report") -> dict[str, Any]:
    """Return what all ranks must be told alike: all flags but those of one machine; of paths the names alone."""
    own = ("rank", "share", "launcher", "num_workers", "output_dir", "overwrite", "archive_dir")
    flags = {name: value for name, value in vars(arguments).items() if name not in own}
    flags |= {name: [Path(source).name for source in getattr(arguments, name)] for name in ("sources", "exclude")}
    flags |= {"labels": arguments.labels and Path(arguments.labels).name, "world_size": arguments.share.world_size}
    return flags | {"versions": report.versions}


def check_sharing(arguments: argparse.Namespace) -> None:
    """Check licence, token, name and rights before the work, not after it; `license` becomes the Hub's identifier.

    Raises:
        UserError: the Hub knows no such licence, or would not take the dataset.
    """
    from gan.errors import HubError
    from train.share.licenses import license_id

    try:
        if arguments.license is not None:
            arguments.license = license_id(arguments.license)
        if arguments.push_to_hub:
            from train.share.hub import claim

            claim("dataset", arguments.hub_dataset_id, arguments.hub_private_repo)
    except HubError as problem:
        raise UserError(str(problem)) from None


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
