"""How long training takes to begin, with few covers and with a million of them, once their pixels are decoded."""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from train.benchmark.piles import draw_cover
from train.cli import UserError
from train.prepare.shards import Shards
from train.train_gan.monitor import LOG_STEPS
from train.train_gan.recipes import load_recipe


DRAWN = 64  # different pictures


def add_parser(programs: argparse._SubParsersAction) -> None:
    """Add the program to those of `train.benchmark`."""
    parser = programs.add_parser("start", help="seconds from the command to the 25th step, however many the covers")
    parser.add_argument("--covers", nargs="+", type=int, default=[2_500, 1_000_000], help="drawn ones of 16 pixels")
    parser.add_argument("--repeats", type=int, default=3, help="starts to take the median of")
    parser.set_defaults(function=benchmark_start)


def benchmark_start(args: argparse.Namespace) -> str:
    """Print what the first start, which decodes, and later ones take."""
    for name, value in (("covers", min(args.covers)), ("repeats", args.repeats)):
        if value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}")
    print(f"{'covers':>12}{'first start':>14}{'later ones':>14}   seconds to step {LOG_STEPS}")
    for covers in args.covers:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            draw_dataset(Path(folder) / "covers", covers)
            starts = start_again_and_again(Path(folder), args.repeats)
            print(f"{covers:>12,}{next(starts):>14.1f}", end="", flush=True)
            print(f"{statistics.median(starts):>14.1f}", flush=True)
    return f"the recipe tiny; {args.repeats} later starts, medians"


def draw_dataset(folder: Path, covers: int) -> None:
    """Write a dataset of so many drawn covers, as `train.prepare` writes one."""
    pictures, resolution = [], load_recipe("tiny", {}).resolution
    for seed in range(DRAWN):
        draw_cover(seed, resolution).save(file := io.BytesIO(), "PNG")
        pictures.append({"image": file.getvalue(), "name": str(seed), "sha256": b"", "phash": seed})
    folder.mkdir()
    for split, count in (("train", covers), ("validation", DRAWN)):
        shards = Shards(folder / "data", split, [])
        for number in range(count):
            shards.add(pictures[number % DRAWN], None)
        shards.close()


def start_again_and_again(folder: Path, repeats: int) -> Iterator[float]:
    """Seconds until the dataset `folder`/covers has been trained on for some steps: at first, then `repeats` times."""
    images = LOG_STEPS * load_recipe("tiny", {}).train_batch_size
    for number in range(repeats + 1):
        run = folder / f"run-{number}"
        command = [sys.executable, "-m", "train.train_gan", "--config", "tiny", "--total_images", str(images)]
        where = ["--dataset_name", str(folder / "covers"), "--output_dir", str(run)]
        cache = {"HF_DATASETS_CACHE": str(folder / "cache")}
        with open(folder / "said", "w+") as said:
            began = time.monotonic()
            with subprocess.Popen(command + where, env=os.environ | cache, stdout=said, stderr=said) as process:
                while not (began_to_train := (run / "metrics.jsonl").exists()) and process.poll() is None:
                    time.sleep(0.02)
                seconds = time.monotonic() - began
                process.kill()  # among a million covers it would look for copies for minutes
            if not began_to_train:
                said.seek(0)
                raise UserError(f"training failed: {said.read().splitlines()[-1]}", 1)
        yield seconds
