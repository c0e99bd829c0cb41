"""How fast recipes train here: beside their bare mathematics, beside the trainer of a 2022 sprint, beside the machine.

That trainer (PyTorch's DCGAN example under accelerate, as HugGAN's participants ran it) is followed in a few lines:
float32, NCHW, an optimiser that is not fused, pictures decoded again in every epoch, a loss read at every step.
"""

import argparse
import dataclasses
import io
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pyarrow
import torch
from accelerate import Accelerator
from datasets import Dataset
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gan.covers import Covers, to_float
from gan.losses import LOSSES
from train.benchmark_piles import draw_cover
from train.cli import UserError
from train.device import can_bf16, device_name, use_all_cores
from train.recipes import CONFIGS, Recipe, load_recipe
from train.run_folder import RunFolder
from train.steps import Batch, Trainer
from train.train_gan import build, train
from train.watch import Watch


PICTURES, DRAWN = 512, 16  # so many to train on, and so many different ones for the sprint's way
FEW, MANY, ROW_SIDE = 5_000, 1_000_000, 32
MATRIX = 2048


def add_parser(programs: argparse._SubParsersAction) -> None:
    """Add the program to those of `train.benchmark`."""
    parser = programs.add_parser("train", help="covers a second of recipes, beside others and beside the machine")
    parser.add_argument("--config", nargs="*", help="recipes; default: all")
    parser.add_argument("--train_batch_size", type=int, help="default: the recipe's")
    parser.add_argument("--steps", type=int, default=10, help="steps to take the median of")
    parser.set_defaults(function=benchmark_train)


def benchmark_train(args: argparse.Namespace) -> str:
    """Print covers a second of each recipe, what the loop around the mathematics costs, and how others compare."""
    if args.steps < 1:
        raise UserError(f"--steps must be at least 1, not {args.steps}")
    device = Accelerator(mixed_precision="no").device
    use_all_cores(device)
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    precisions = {"fp32": False} | ({"bf16": True} if can_bf16(device) else {})
    peaks = {name: matrix_speed(device, bf16) for name, bf16 in precisions.items()}
    print("matrix products alone: " + ", ".join(f"{peak / 1e9:,.0f} GFLOP/s {name}" for name, peak in peaks.items()))
    print(f"\n{'recipe':<30}{'batch':>6}{'covers/s':>10}{'bare':>10}{'loop costs':>12}{'of the peak':>13}")
    for config in args.config or sorted(p.stem for p in CONFIGS.glob("*.yaml")):
        recipe = load_recipe(config, {"train_batch_size": args.train_batch_size})
        flops = flops_of_a_cover(recipe) if recipe.gradient_penalty == "none" else None
        for name, bf16 in precisions.items():
            whole, bare = paired_speeds(recipe, args.steps, bf16)
            print(f"{config + ', ' + name:<30}{recipe.train_batch_size:>6}{whole:>10.1f}{bare:>10.1f}", end="")
            used = f"{whole * flops / peaks[name]:.0%}" if flops else "-"
            print(f"{bare / whole - 1:>12.1%}{used:>13}", flush=True)
        if recipe.network == "dcgan":
            for count in sorted({1, threads}) if threads else [0]:
                old = statistics.median(sprint_speeds(recipe, args.steps, device, count))
                name = f"  the sprint's way, {count} thread{'s' * (count > 1)}" if count else "  the sprint's way"
                print(f"{name:<30}{recipe.train_batch_size:>6}{old:>10.1f}   {whole / old:.1f}x", flush=True)
    few, many = (loader_seconds(count) for count in (FEW, MANY))
    print(f"\nreading a cover: {1e6 * few:.1f} us of {FEW:,} covers, {1e6 * many:.1f} us of {MANY:,}", flush=True)
    where = device_name(device)
    return f"on {where}; medians of {args.steps} steps; `accelerate launch` gives a program one thread, ours takes all"


def matrix_speed(device: torch.device, bf16: bool) -> float:
    """Multiplications and additions a second in a product of square matrices: what convolutions can reach at best."""
    a, b = torch.randn(2, MATRIX, MATRIX, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    laps = []
    for _ in range(8):
        begin = time.perf_counter()
        (a @ b)[0, 0].item()
        laps.append(time.perf_counter() - begin)
    return 2 * MATRIX**3 / statistics.median(laps[1:])


def flops_of_a_cover(recipe: Recipe) -> float:
    """Multiplications and additions in convolutions and products that one cover costs.

    Without a penalty: PyTorch's counter does not follow second derivatives.
    """
    small = dataclasses.replace(recipe, train_batch_size=2)
    trainer = Trainer(build(small, torch.device("cpu")), small, Accelerator(mixed_precision="no"), bf16=False)
    with FlopCounterMode(display=False) as counter:
        trainer.step(random_batch(trainer), 0)
    return counter.get_total_flops() / 2


def random_batch(trainer: Trainer) -> Batch:
    """What a step is computed from, drawn once on the device."""
    recipe, device = trainer.recipe, trainer.accelerator.device
    size, shape = recipe.train_batch_size, (recipe.train_batch_size, recipe.resolution, recipe.resolution, 3)
    real, others = (to_float(torch.randint(0, 256, shape, dtype=torch.uint8)).to(device) for _ in range(2))
    latents = torch.randn(size, trainer.gan.generator.config.latent_dim, device=device)
    compares = LOSSES[recipe.loss].compares
    return Batch(latents, real, others if compares else None, (None, None), torch.rand(size, 1, 1, 1, device=device))


def paired_speeds(recipe: Recipe, steps: int, bf16: bool) -> tuple[float, float]:
    """Covers a second of the whole loop and of its bare mathematics, in turn: medians of `steps` rounds of each.

    The whole reads covers, draws latents, augments with the recipe's first probability, averages the weights, and
    shows and logs; evaluations and checkpoints, which come once in minutes, are left out. The bare one takes the same
    steps on one batch that is there, without augmentation, average or logging.
    """
    round_ = recipe.discriminator_steps  # several discriminator steps for one of the generator are timed together
    images = (round_ * steps + 3) * recipe.train_batch_size
    recipe = dataclasses.replace(recipe, total_images=images, checkpointing_images=10 * images)
    accelerator = Accelerator(mixed_precision="no")
    pixels = Dataset.from_dict({"pixels": [os.urandom(3 * recipe.resolution**2) for _ in range(PICTURES)]})
    trainer = Trainer(build(recipe, accelerator.device), recipe, accelerator, bf16)
    without = dataclasses.replace(recipe, ema_sigma=[])
    bare = Trainer(build(without, accelerator.device), without, accelerator, bf16)
    batch = random_batch(bare)
    laps: list[list[float]] = [[], []]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, open(os.devnull, "w") as nowhere:
        with redirect_stderr(nowhere):
            watch = Watch(trainer, RunFolder(Path(folder)), 0, 0.0)
            watch.told = True
        began = time.perf_counter()

        def on_step(images: int, measured: dict[str, torch.Tensor]) -> bool:
            nonlocal began
            watch(images, measured)
            measured["loss_d"].item()  # waits for the device
            middle = time.perf_counter()
            bare.step(batch, images - recipe.train_batch_size)["loss_d"].item()
            end = time.perf_counter()
            laps[0].append(middle - began)
            laps[1].append(end - middle)
            began = time.perf_counter()
            return False

        train(trainer, Covers(pixels, recipe.resolution), 0, on_step)
        watch.bar.close()
    seconds = [statistics.median(rounds(times[2:], round_)) for times in laps]
    return round_ * recipe.train_batch_size / seconds[0], round_ * recipe.train_batch_size / seconds[1]


def rounds(laps: list[float], length: int) -> list[float]:
    """The sums of `length` laps each, from every lap on."""
    return [sum(laps[i : i + length]) for i in range(len(laps) - length + 1)]


class Decoded(torch.utils.data.Dataset):
    """JPEGs that are decoded, scaled and normalised whenever they are asked for."""

    def __init__(self, files: list[bytes], resolution: int):
        self.files, self.resolution = files, resolution

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = Image.open(io.BytesIO(self.files[index])).convert("RGB")
        scaled = image.resize((self.resolution, self.resolution), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.asarray(scaled).copy()).permute(2, 0, 1).float().div(255).sub(0.5).div(0.5)


def sprint_speeds(recipe: Recipe, steps: int, device: torch.device, threads: int) -> Iterator[float]:
    """Covers a second of the sprint's way at the same networks and batch, step by step; the first two left out.

    Args:
        recipe: a DCGAN's.
        steps: how many.
        device: where.
        threads: that the CPU computes with; 0 leaves them.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    files = []
    for seed in range(DRAWN):
        draw_cover(seed, 2 * recipe.resolution).save(file := io.BytesIO(), "JPEG", quality=90)
        files.append(file.getvalue())
    loader = torch.utils.data.DataLoader(
        Decoded(files * (PICTURES // DRAWN) * steps, recipe.resolution),
        recipe.train_batch_size,
        shuffle=True,
        drop_last=True,
    )
    generator, discriminator = (network.to(device).train() for network in recipe.build([]))
    betas = (recipe.adam_beta1, recipe.at("adam_beta2", 0))
    optimizers = [
        torch.optim.Adam(n.parameters(), recipe.at("learning_rate", 0), betas) for n in (generator, discriminator)
    ]
    criterion, size = nn.BCEWithLogitsLoss(), recipe.train_batch_size
    began = time.perf_counter()
    for step, real in zip(range(steps + 2), loader, strict=False):
        discriminator.zero_grad()
        loss_real = criterion(discriminator(real.to(device)), torch.ones(size, device=device))
        loss_real.backward()
        fake = generator(torch.randn(size, generator.config.latent_dim, device=device))
        loss_fake = criterion(discriminator(fake.detach()), torch.zeros(size, device=device))
        loss_fake.backward()
        optimizers[1].step()
        generator.zero_grad()
        loss = criterion(discriminator(fake), torch.ones(size, device=device))
        loss.backward()
        optimizers[0].step()
        (loss_real + loss_fake + loss).item()
        now = time.perf_counter()
        if step > 1:
            yield size / (now - began)
        began = now
    torch.set_num_threads(before)


def loader_seconds(count: int, size: int = 128, batches: int = 200) -> float:
    """Seconds to read one of `count` covers from a memory-mapped set, its share of an epoch's shuffling included."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        path = Path(folder) / "pixels.arrow"
        rows = pyarrow.table({"pixels": [os.urandom(3 * ROW_SIDE**2) for _ in range(min(count, 5_000))]})
        with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, rows.schema) as stream:
            for _ in range(count // len(rows)):
                stream.write_table(rows, max_chunksize=1_000)
        covers = Covers(Dataset.from_file(str(path)), ROW_SIDE)
        begin = time.perf_counter()
        covers.batch(0, size)  # draws the order of an epoch
        order = time.perf_counter() - begin
        laps = []
        for number in range(1, batches + 1):
            begin = time.perf_counter()
            covers.batch(number * size, size)
            laps.append(time.perf_counter() - begin)
        return statistics.median(laps) / size + order / count
