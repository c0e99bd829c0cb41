"""Show what the time of a training goes to: reading, both networks, optimisers, by kind of operator."""

import argparse
import dataclasses
import os
import time
from collections import defaultdict
from collections.abc import Sequence

import torch
from accelerate import Accelerator
from datasets import Dataset
from torch.profiler import ProfilerActivity, profile, record_function

from train.benchmark.speed import PICTURES
from train.cli import UserError
from train.covers import Covers
from train.device import can_bf16, choose_threads, device_name, use_whole_device
from train.train_gan import loop
from train.train_gan.data import Batches
from train.train_gan.recipes import Recipe, load_recipe
from train.train_gan.state import build
from train.train_gan.steps import Trainer


WARMING = 2  # steps that are not counted
READING = "reading covers"
REST = "the rest: Python, waiting"
# The first kind of which a word is in the operator's name. What none names is elementwise.
KINDS = {
    "convolutions": ("conv",),
    "resampling": ("upsample", "bmm"),  # R3GAN's is a product with the filter's matrix
    "matrix products": ("mm", "matmul", "linear"),
    "normalisation": ("batch_norm", "layer_norm", "instance_norm"),
    "copies and casts": ("copy", "clone", "contiguous", "aten::to", "aten::cat", "aten::empty", "zero_", "fill_"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    parser.add_argument("--config", required=True, help="a recipe")
    parser.add_argument("--train_batch_size", type=int, help="default: the recipe's")
    parser.add_argument("--steps", type=int, default=5, help="steps to look at")


def main(args: argparse.Namespace) -> str:
    """Print the share of each kind of operator in the time of a recipe's training."""
    if args.steps < 1:
        raise UserError(f"--steps must be at least 1, not {args.steps}")
    recipe = load_recipe(args.config, {"train_batch_size": args.train_batch_size})
    if recipe.phases:
        raise UserError(
            f"--config {args.config}: a recipe with phases is not looked into; speed tells how fast each is"
        )
    accelerator = Accelerator(mixed_precision="no")
    use_whole_device(accelerator.device)
    bf16 = can_bf16(accelerator.device)
    seconds, kinds = time_by_kind(recipe, accelerator, bf16, args.steps)
    print(f"{args.config}, {'bf16' if bf16 else 'fp32'}, {recipe.train_batch_size} covers a step")
    print(f"{'':<30}{'ms a step':>12}{'share':>10}")
    for kind, spent in sorted(kinds.items(), key=lambda row: -row[1]):
        print(f"{kind:<30}{1000 * spent / args.steps:>12.1f}{spent / seconds:>10.1%}")
    print(f"{'all':<30}{1000 * seconds / args.steps:>12.1f}{1:>10.1%}")
    matrix = sum(spent for kind, spent in kinds.items() if kind.startswith(("convolutions", "matrix products")))
    print(f"{'convolutions and products':<30}{1000 * matrix / args.steps:>12.1f}{matrix / seconds:>10.1%}")
    return f"on {device_name(accelerator.device)}; {args.steps} steps; watching them costs a little, too"


def time_by_kind(recipe: Recipe, accelerator: Accelerator, bf16: bool, steps: int) -> tuple[float, dict[str, float]]:
    """Return the seconds of `steps` steps of the whole loop, in all and by kind of operator.

    The kinds' seconds add up to all of them: what no operator took is `REST`. On a GPU they are the GPU's.
    """
    every = recipe.discriminator_steps  # whole rounds of the discriminator's steps and the generator's one
    recipe = dataclasses.replace(recipe, total_images=every * (steps + WARMING) * recipe.train_batch_size)
    trainer = Trainer(build(recipe, accelerator.device), recipe, accelerator, bf16)
    choose_threads(trainer.gan.learning)
    pixels = Dataset.from_dict({"pixels": [os.urandom(3 * recipe.resolution**2) for _ in range(PICTURES)]})
    cuda = accelerator.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    profiler = profile(activities=activities)
    began = 0.0

    for images, measured in loop.steps(trainer, Batches(trainer, WatchedCovers(pixels, recipe.resolution)), 0):
        measured["loss_d"].item()  # waits for the device
        if images == every * WARMING * recipe.train_batch_size:
            profiler.start()
            began = time.perf_counter()
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    profiler.stop()
    kinds: dict[str, float] = defaultdict(float)
    for event in profiler.events():
        spent = event.self_device_time_total if cuda else event.self_cpu_time_total
        if spent and (event.device_type.name == "CPU"):
            kinds[kind_of(event)] += spent / 1e6
    kinds[REST] += seconds - sum(kinds.values())
    return seconds, kinds


class WatchedCovers(Covers):
    """Show the profiler when covers are read: most of that is none of PyTorch's operators."""

    def __getitem__(self, indices: Sequence[int] | torch.Tensor) -> torch.Tensor:
        with record_function(READING):
            return super().__getitem__(indices)


def kind_of(event: torch.autograd.profiler_util.FunctionEvent) -> str:
    """Return what an operator is for, by its name and by the operators around it."""
    outer, around = event.cpu_parent, [event.name]
    while outer is not None:
        around.append(outer.name)
        outer = outer.cpu_parent
    if READING in around:
        return READING
    if any(name.startswith("Optimizer.") for name in around):
        return "optimisers"
    if any("_foreach_lerp" in name for name in around):
        return "averages of the weights"
    if any(word in name for name in around for word in ("grid_sampl", "affine_grid", "einsum")):
        return "augmentation"
    back = ", backward" if any(name.startswith("autograd::engine") for name in around) else ", forward"
    if event.name.startswith("autograd::"):
        return REST
    for kind, words in KINDS.items():
        if any(word in event.name for word in words):
            return kind + (back if kind in ("convolutions", "resampling") else "")
    return "elementwise, sums" + back
