"""Check that the yardstick for 128 px sees what is wrong with covers: real ones, damaged, against held-out ones.

python -m train.benchmark eyes --dataset_name covers-128
"""

import argparse
from collections.abc import Iterator

import torch
from accelerate import Accelerator

from gan.pipeline_folder import PipelineError, load_pipeline
from train.cli import UserError
from train.covers import CoversError, load_covers, seeded
from train.metrics.evaluation import draw
from train.metrics.eyes import FEWEST, EyeDistances
from train.metrics.faults import blur, checkerboard, noise


COLUMNS = {  # of the table, with their widths
    "kernel_eyes": 12, "fd_eyes": 9, "precision_eyes": 15, "recall_eyes": 12, "lattice_db": 12, "colour_spread": 14,
}  # fmt: skip
WIDTH = 34  # letters of the first column


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this program."""
    parser.add_argument("--dataset_name", required=True, help="folder written by train.prepare, or a Hub dataset")
    parser.add_argument("--model", nargs="*", default=[], help="pipelines beside the one that ships")
    parser.add_argument("--resolution", type=int, default=128, help="of the covers, in pixels")
    parser.add_argument("--num_images", type=int, default=1650, help="covers to compare, at most")


def main(args: argparse.Namespace) -> str:
    """Print every measure for real covers, for each fault and strength, and for generators."""
    device = Accelerator(mixed_precision="no").device
    try:
        train, validation = (load_covers(args.dataset_name, args.resolution, s) for s in ("train", "validation"))
        generators = [(name or "the one that ships", load_pipeline(name).synthesis) for name in [*args.model, None]]
    except (CoversError, PipelineError) as error:
        raise UserError(str(error)) from error
    count = min(args.num_images, len(train), len(validation))
    if count < FEWEST:
        raise UserError(f"needs at least {FEWEST} covers in train and in validation, or as --num_images")
    try:
        distances = EyeDistances(validation.batch(0, count), device=device)
    except ModuleNotFoundError as error:
        raise UserError(str(error)) from error
    print(f"{'':<{WIDTH}}" + "".join(f"{name:>{width}}" for name, width in COLUMNS.items()))
    for name, covers in faults(train.batch(0, count)):
        print_row(name, distances(covers))
    for name, generator in generators:
        print_row(name, distances(draw(generator.to(device), count)))
    return f"{count:,} covers a row against as many held-out ones"


def print_row(name: str, found: dict[str, float]) -> None:
    """Print a row of the table."""
    print(f"{name:<{WIDTH}}" + "".join(f"{found[key]:>{width}.2f}" for key, width in COLUMNS.items()), flush=True)


def faults(real: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (N, H, H, 3) uint8 covers as they are, and with each fault: its name, the covers."""
    yield "real", real
    for sigma in (0.5, 1, 2):
        yield f"blur, {sigma} px", blur(real, sigma)
    for deviation in (5, 15):
        yield f"noise, {deviation} grey levels", noise(real, deviation, seeded(0, deviation))
    for levels in (3, 8):
        yield f"checkerboard, {levels} grey levels", checkerboard(real, levels)
    for levels in (3, 8):
        yield f"lattice of 4 px, {levels} grey levels", lattice(real, 4, levels)
    for copies in (4, 20):
        some = real[: -(-len(real) // copies)]
        yield f"each cover {copies} times", some.repeat(copies, 1, 1, 1)[: len(real)]
    for saturation in (0.5, 0.0):
        grey = real.float().mean(3, keepdim=True)
        yield f"colours x {saturation}", (grey + saturation * (real - grey)).round().byte()
    yield "one palette", one_palette(real)


def lattice(covers: torch.Tensor, period: int, levels: int) -> torch.Tensor:
    """Add so many grey levels to every `period`-th row and column of (N, H, H, 3) uint8 covers."""
    lines = (torch.arange(covers.shape[1]) % period == 0).float() * levels
    return (covers + lines[:, None, None] + lines[:, None]).clamp(0, 255).byte()


def one_palette(covers: torch.Tensor) -> torch.Tensor:
    """Return (N, H, H, 3) uint8 covers with the mean colour of all, each pixel as far from its cover's as it was."""
    pixels = covers.float()
    means = pixels.mean((1, 2), keepdim=True)
    return (pixels - means + means.mean(0, keepdim=True)).round().clamp(0, 255).byte()
