"""The command line of train.prepare."""

import argparse
import os
from pathlib import Path

from train.cli import Parser, UserError
from train.prepare.duplicates import LARGEST_DISTANCE
from train.prepare.internet_archive import parse_letters
from train.prepare.ranks import read_share
from train.prepare.settings import FITS


def parse_arguments(description: str) -> argparse.Namespace:
    """Read the command line and check it; `min_size`, `num_workers`, `share` and its `launcher` are filled in."""
    parser = Parser(prog="train.prepare", description=description)
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="folder, archive, Parquet, pattern, or Hub dataset (user/name)",
    )
    parser.add_argument("--dataset_config_name", metavar="NAME", help="which of a Hub dataset's configurations")
    parser.add_argument(
        "--zip_encoding", metavar="NAME", help="of names in zips that do not say theirs, e.g. cp932, gbk or cp866"
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for the dataset; must be new or empty")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier dataset in --output_dir")
    parser.add_argument("--num_workers", type=int, help="processes that decode, 0 is the program itself")

    add = parser.add_argument_group("what a cover is").add_argument
    add("--resolution", type=int, default=128, help="width and height of the covers in pixels, 16 to 1024")
    add("--fit", choices=FITS, default="crop", help="how a picture becomes a square")
    add("--min_size", type=int, help="refuse pictures whose shorter side has fewer pixels; without it resolution / 2")
    add("--max_aspect", type=float, default=2.0, help="refuse pictures whose sides have a larger ratio than this")

    add = parser.add_argument_group("copies").add_argument
    add("--hash_distance", type=int, default=8, help="bits of 64 in which the hashes of near copies differ at most")
    add("--keep_duplicates", action="store_true", help="keep copies, exact and near ones")
    add("--exclude", nargs="+", metavar="DATASET", default=[], help="leave out covers that are in these sources, too")

    add = parser.add_argument_group("labels and splits").add_argument
    add("--labels", metavar="folder|FILE", help="genres: folder names, or a CSV file with the columns file, genre")
    add("--label_level", type=int, metavar="N", help="of nested folders the one that is the genre; 1 is the outermost")
    add("--label_column", metavar="NAME", help="a table's column of labels; without it genre, label, or the only one")
    add("--validation_fraction", type=float, default=0.05, help="share of the covers that is held back for validation")

    add = parser.add_argument_group("the Internet Archive's million covers").add_argument
    add("--archive_letters", type=parse_letters, metavar="x,y", help="fetch these of its archives")
    add("--archive_dir", type=Path, default=Path("audio-covers"), help="where what is fetched is kept")

    add = parser.add_argument_group("several processes or machines, which see the same files").add_argument
    add("--rank", type=int, metavar="I", help="this process's number, from 0; torchrun and srun say it, too")
    add("--world_size", type=int, metavar="N", help="how many there are; 1 does all of it here")

    add = parser.add_argument_group("sharing").add_argument
    add("--license", help="licence that the dataset card names, e.g. other or cc-by-4.0")
    add("--push_to_hub", action="store_true", help="share the dataset through the Hub when it is ready")
    add("--hub_dataset_id", help="user/name on the Hub")
    add("--hub_private_repo", action="store_true", help="visible to its owner alone")

    arguments = parser.parse_args()
    if arguments.min_size is None:
        arguments.min_size = arguments.resolution // 2
    if arguments.num_workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        processes = os.environ.get("LOCAL_WORLD_SIZE", "1")  # of torchrun on this machine
        arguments.num_workers = max(1, cores // max(1, int(processes if processes.isdecimal() else 1)))
    try:
        arguments.share, arguments.launcher = read_share(arguments.rank, arguments.world_size, os.environ)
    except UserError as mistake:
        parser.error(str(mistake))
    several = arguments.share.world_size > 1
    try:
        b"x".decode(arguments.zip_encoding or "utf-8")
    except (LookupError, ValueError):
        parser.error(f"--zip_encoding {arguments.zip_encoding}: no such encoding")
    distance = arguments.hash_distance
    for wrong, message in (
        (not arguments.sources and not arguments.archive_letters, "name a SOURCE, or --archive_letters"),
        (not 16 <= arguments.resolution <= 1024, f"--resolution {arguments.resolution}: must be 16 to 1024"),
        (arguments.min_size < 1, f"--min_size {arguments.min_size}: must be 1 or more"),
        (not arguments.max_aspect >= 1, f"--max_aspect {arguments.max_aspect}: must be 1 or more"),
        (not 0 <= distance <= LARGEST_DISTANCE, f"--hash_distance {distance}: must be 0 to {LARGEST_DISTANCE}"),
        (not 0 <= arguments.validation_fraction < 1, "--validation_fraction: must be 0 or more and below 1"),
        (arguments.label_level is not None and arguments.label_level < 1, "--label_level: must be 1 or more"),
        (arguments.label_level is not None and arguments.labels != "folder", "--label_level is for --labels folder"),
        (several and arguments.overwrite, "--overwrite is for one process: delete the earlier dataset yourself"),
        (arguments.num_workers < 0, f"--num_workers {arguments.num_workers}: must be 0 or more"),
        (arguments.push_to_hub and not arguments.hub_dataset_id, "--push_to_hub needs --hub_dataset_id user/name"),
    ):
        if wrong:
            parser.error(message)
    return arguments
