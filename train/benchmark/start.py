"""Compare runs that start from a model with runs from scratch, on few covers: how soon is the same distance reached?

    python -m train.benchmark start --model user/covers --config mine.yaml --dataset_name covers-of-one-genre \\
        --covers 100 300 1000 --total_images 20000 --output_dir started

Each number of covers is a dataset of its own, the first so many that are trained on, with the same held-out ones. What
is done stays in --output_dir, so an interrupted measurement goes on, and a second one, at another rate say, compares
itself with the same runs from scratch.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset

from gan.errors import first_line
from train.cli import UserError
from train.hub_dataset import load_hub_dataset


MEASURED = 5  # times that a run is measured
DISTANCE = "fd_covers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    parser.add_argument("--model", required=True, help="what the runs start from: pipeline folder or Hub id")
    parser.add_argument("--config", required=True, help="a recipe whose networks are the model's")
    parser.add_argument("--dataset_name", required=True, help="covers with a split `validation`")
    parser.add_argument("--covers", type=int, nargs="+", default=[100, 300, 1000], help="how many are learned from")
    parser.add_argument("--total_images", type=int, default=20_000, help="covers shown in each run")
    parser.add_argument("--learning_rate", type=float, help="of the runs that start from the model")
    parser.add_argument("--freeze_discriminator", type=int, default=0, metavar="N", help="in these")
    parser.add_argument("--output_dir", type=Path, required=True, help="where the runs go, and stay")
    parser.add_argument("--name", default="started", help="of these runs in that folder")


def main(args: argparse.Namespace) -> str:
    """Train and print a table; return what it says in one line."""
    try:
        splits = load_hub_dataset(args.dataset_name)
        training, held_out = splits["train"], splits["validation"]
    except Exception as error:  # the library raises nearly anything
        raise UserError(f"--dataset_name {args.dataset_name}: {first_line(error)}") from error
    if short := [count for count in args.covers if not 0 < count <= len(training)]:
        raise UserError(f"--covers {short[0]}: the dataset has {len(training):,} to learn from")
    more = ["--start_from", args.model, "--freeze_discriminator", str(args.freeze_discriminator)]
    more += ["--learning_rate", str(args.learning_rate)] if args.learning_rate else []
    sooner = []
    print(f"{'covers':>7}{'from scratch':>14}{'at the start':>14}{'at best':>9}{'after':>9}{'as scratch after':>18}")
    for count in args.covers:
        folder = args.output_dir / f"{count}"
        covers = write_covers(folder / "covers", training.select(range(count)), held_out)
        scratch = train(args, covers, folder / "scratch", [])
        started = train(args, covers, folder / args.name, more)
        goal, best = (min(run, key=lambda line: line[DISTANCE]) for run in (scratch, started))
        reached = next((line["images"] for line in started if line[DISTANCE] <= goal[DISTANCE]), None)
        sooner.append(reached)
        after = "never" if reached is None else f"{reached:,}"
        first = f"{started[0][DISTANCE]:>14.1f}{best[DISTANCE]:>9.1f}{best['images']:>9,}"
        print(f"{count:>7,}{goal[DISTANCE]:>14.1f}{first}{after:>18}", flush=True)
    there = [images for images in sooner if images is not None]
    return (
        f"what {args.total_images:,} covers from scratch reach is reached from {args.model} in {len(there)} of "
        f"{len(sooner)} cases" + (f", after {', '.join(f'{images:,}' for images in there)} covers" if there else "")
    )


def write_covers(folder: Path, training: Dataset, held_out: Dataset) -> Path:
    """Write a dataset of two splits, unless it is there."""
    for split, rows in (("train", training), ("validation", held_out)):
        file = folder / "data" / f"{split}-00000-of-00001.parquet"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            rows.to_parquet(file)
    return folder


def train(args: argparse.Namespace, covers: Path, run: Path, more: list[str]) -> list[dict[str, Any]]:
    """Train in a process of its own; return the lines of its evaluations. A run that is done is not done again."""
    every = max(1, args.total_images // MEASURED)
    command = [sys.executable, "-m", "train.train_gan", "--config", args.config, "--dataset_name", covers]
    command += ["--output_dir", run, "--total_images", args.total_images, "--evaluation_images", every]
    command += ["--checkpointing_images", args.total_images, *more]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{run}: {(done.stderr.strip().splitlines() or ['training failed'])[-1]}", 1)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if DISTANCE in line]
