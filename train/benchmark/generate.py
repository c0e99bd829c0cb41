"""Measure the milliseconds that one cover takes a generator, from seed to picture."""

import argparse
import statistics
import time
from collections.abc import Callable

from accelerate import Accelerator

from gan.pipeline_folder import PipelineError, load_pipeline
from train.cli import UserError
from train.device import device_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    parser.add_argument("--model", help="pipeline folder or Hub id; default: the generator that ships")


def main(args: argparse.Namespace) -> str:
    """Print the milliseconds of a cover, alone and in batches; return the last line."""
    try:
        pipeline = load_pipeline(args.model).to(Accelerator().device)
    except PipelineError as error:
        raise UserError(str(error)) from error
    for batch in (1, 16, 64):
        speed = generate_speed(lambda n: pipeline(seeds=list(range(n)), batch_size=n), batch)
        print(f"{batch:>3} at a time: {speed:6.1f} ms a cover")
    return f"on {device_name(pipeline.device)}; seeds to pictures, medians"


def generate_speed(draw: Callable[[int], object], batch: int, repeats: int = 9) -> float:
    """Return the milliseconds of one cover in batches of `batch`: the median of `repeats` after one that warms up."""
    laps = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        draw(batch)
        laps.append(time.perf_counter() - start)
    return 1000 * statistics.median(laps[1:]) / batch
