"""Measure speed on this machine.

python -m train.benchmark train
python -m train.benchmark generate --model runs/first/pipeline
python -m train.benchmark prepare
python -m train.benchmark duplicates covers/
"""

import os
import statistics
import time
from collections.abc import Callable

import torch
from accelerate import Accelerator
from datasets import Dataset

from gan.covers import Covers
from gan.pipeline_folder import PipelineError, load_pipeline
from train import benchmark_duplicates, benchmark_prepare
from train.cli import Parser, UserError, run
from train.recipes import CONFIGS, load_recipe
from train.steps import Trainer
from train.train_gan import build, can_bf16, cpu_threads, train


def train_speed(config: str, steps: int, batch: int | None, bf16: bool) -> float:
    """Covers a second of a recipe: median of `steps` rounds after two steps to warm up, on covers of random pixels."""
    recipe = load_recipe(config, {"train_batch_size": batch})
    # a recipe with several discriminator steps for one of the generator is timed over whole rounds
    round_ = recipe.discriminator_steps
    images = (round_ * steps + 3) * recipe.train_batch_size
    recipe = load_recipe(config, {"train_batch_size": batch, "total_images": images})
    accelerator = Accelerator(mixed_precision="no")
    pixels = Dataset.from_dict({"pixels": [os.urandom(3 * recipe.resolution**2) for _ in range(512)]})
    trainer = Trainer(build(recipe, accelerator.device), recipe, accelerator, bf16)
    times = []

    def on_step(images: int, measured: dict[str, torch.Tensor]) -> bool:
        measured["loss_d"].item()  # waits for the device
        times.append(time.perf_counter())
        return False

    train(trainer, Covers(pixels, recipe.resolution), 0, on_step)
    laps = [b - a for a, b in zip(times[2::round_], times[2 + round_ :: round_], strict=False)]
    return round_ * recipe.train_batch_size / statistics.median(laps)


def generate_speed(draw: Callable[[int], object], batch: int, repeats: int = 9) -> float:
    """Milliseconds for one cover in batches of `batch`: the median of `repeats` after one that warms up."""
    laps = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        draw(batch)
        laps.append(time.perf_counter() - start)
    return 1000 * statistics.median(laps[1:]) / batch


def benchmark_train(args) -> str:
    """Print covers a second for each recipe, in float32 and in bfloat16 where the device has it."""
    if args.steps < 1:
        raise UserError(f"--steps must be at least 1, not {args.steps}")
    device = Accelerator(mixed_precision="no").device
    if device.type == "cpu":
        torch.set_num_threads(cpu_threads())
    precisions = {"fp32": False} | ({"bf16": True} if can_bf16(device) else {})
    print(f"{'recipe':<16}" + "".join(f"{name + ', covers/s':>18}" for name in precisions))
    for config in args.config or sorted(p.stem for p in CONFIGS.glob("*.yaml")):
        speeds = [train_speed(config, args.steps, args.train_batch_size, bf16) for bf16 in precisions.values()]
        print(f"{config:<16}" + "".join(f"{speed:>18.1f}" for speed in speeds), flush=True)
    return f"on {_device_name(device)}; median of {args.steps} steps"


def benchmark_generate(args) -> str:
    """Print milliseconds for a cover, alone and in a batch."""
    try:
        pipeline = load_pipeline(args.model).to(Accelerator().device)
    except PipelineError as error:
        raise UserError(str(error)) from error
    for batch in (1, 16, 64):
        speed = generate_speed(lambda n: pipeline(seeds=list(range(n)), batch_size=n), batch)
        print(f"{batch:>3} at a time: {speed:6.1f} ms a cover")
    return f"on {_device_name(pipeline.device)}; seeds to pictures, medians"


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads"


def main() -> str:
    """Run the program; returns its last line."""
    parser = Parser(prog="train.benchmark", description=__doc__.strip().splitlines()[0])
    programs = parser.add_subparsers(dest="program", required=True, parser_class=Parser)
    training = programs.add_parser("train", help="covers a second of each recipe")
    training.add_argument("--config", nargs="*", help="recipes; default: all")
    training.add_argument("--train_batch_size", type=int, help="default: the recipe's")
    training.add_argument("--steps", type=int, default=10, help="steps to take the median of")
    training.set_defaults(function=benchmark_train)
    generating = programs.add_parser("generate", help="milliseconds for one cover")
    generating.add_argument("--model", help="pipeline folder or Hub id; default: the generator that ships")
    generating.set_defaults(function=benchmark_generate)
    benchmark_prepare.add_parser(programs)
    benchmark_duplicates.add_parser(programs)
    args = parser.parse_args()
    return args.function(args)


if __name__ == "__main__":
    run(main, "train.benchmark")
