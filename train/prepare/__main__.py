"""Turn piles of album covers (folders, archives, Parquet, Hub datasets) into one clean dataset of square covers.

    python -m train.prepare album_covers_a.tar more/ --output_dir covers-128 --resolution 128

Every file is read, checked, decoded to sRGB, made square and scaled; what gives no cover is refused, and `report.html`
tells why. Copies are found across the whole pile. The result is Parquet that `datasets.load_dataset` reads, from the
folder or from the Hub. Interrupted and started again, the same command goes on, and ends with the same bytes.
"""

import argparse
from pathlib import Path

from train.cli import UserError, run
from train.prepare.options import parse_arguments


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
    from train.prepare.output import check_output, move_into_place, work_folder
    from train.prepare.parts import versions
    from train.prepare.pile import judge_pile
    from train.prepare.report import Report, to_json
    from train.prepare.report_page import report_page
    from train.prepare.settings import Settings
    from train.prepare.sources import check_source, expand

    output_dir: Path = arguments.output_dir
    check_output(output_dir, arguments.overwrite)
    labels = read_labels(arguments.labels, arguments.label_level)
    sources = expand(arguments.sources)
    alone = len(sources) == 1 and not arguments.archive_letters
    for source in (*sources, *arguments.exclude):
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
    try:
        with work_folder(target) as work:
            how = (settings, work / "foreign", arguments.num_workers)
            foreign = judge_pile(arguments.exclude, *how, Labels(), None, arguments.dataset_config_name)
            how = (settings, work / "parts", arguments.num_workers)
            parts = judge_pile(sources, *how, labels, arguments.label_column, arguments.dataset_config_name)
            write_dataset(work / "dataset", read_candidates(foreign, parts), report, labels)
            for name, text in (
                ("report.json", to_json(report)),
                ("report.html", report_page(report, title)),
                ("README.md", dataset_card(report, title, arguments.license)),
            ):
                (work / "dataset" / name).write_text(text, encoding="utf-8")
            move_into_place(work / "dataset", target)
    except KeyboardInterrupt:
        raise UserError(f"interrupted; {GO_ON}", 130) from None
    except OSError as problem:
        reason = problem.strerror or problem
        raise UserError(f"--output_dir {output_dir} cannot be written: {reason}; {GO_ON}") from None
    line = f"{output_dir}: {report.summary()} (see report.html)"
    line += labels.summary(report.kept, sum(report.genres.values()))
    if arguments.validation_fraction and "validation" not in report.covers:
        line += "; too few for a validation split"
    return line + push(arguments)


def check_sharing(arguments: argparse.Namespace) -> None:
    """Settle licence, token, name and rights before the work, not after it; `license` becomes the Hub's identifier.

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
