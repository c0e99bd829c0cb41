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
from pathlib import Path

import numpy as np
import pyarrow
import torch
from accelerate import Accelerator
from datasets import Dataset
from PIL import Image
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from train.benchmark.piles import draw_cover
from train.benchmark.steps import PICTURES, paired_speeds, random_batch
from train.cli import UserError
from train.covers import Covers
from train.train_gan.device import can_bf16, device_name, use_whole_device
from train.train_gan.recipes import CONFIGS, Recipe, load_recipe
from train.train_gan.state import build
from train.train_gan.steps import Trainer


# of the table, with their widths
COLUMNS = {
    "batch": 6, "covers/s": 10, "bare": 10, "loop costs": 12, "reading": 10, "of the peak": 13, "GB": 8,
}  # fmt: skip
DRAWN = 16  # different pictures for the sprint's way
FEW, MANY, ROW_SIDE = 5_000, 1_000_000, 32
MATRIX = {"cpu": 2048, "cuda": 8192}  # side; large enough for the best


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
    use_whole_device(device)
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    precisions = {"fp32": False} | ({"bf16": True} if can_bf16(device) else {})
    peaks = {name: matrix_speed(device, bf16) for name, bf16 in precisions.items()}
    print("matrix products alone: " + ", ".join(f"{peak / 1e9:,.0f} GFLOP/s {name}" for name, peak in peaks.items()))
    heading = (f"{name:>{width}}" for name, width in COLUMNS.items())
    print(f"\n{'recipe':<30}{''.join(heading)}")
    for config in args.config or sorted(p.stem for p in CONFIGS.glob("*.yaml")):
        recipe = load_recipe(config, {"train_batch_size": args.train_batch_size})
        flops = flops_of_a_cover(recipe)
        for name, bf16 in precisions.items():
            print(f"{config + ', ' + name:<30}{recipe.train_batch_size:>6}", end="", flush=True)
            try:
                timed = paired_speeds(recipe, args.steps, bf16)
            except torch.OutOfMemoryError:
                print("   not enough memory")
                continue
            memory = f"{timed.memory / 1e9:.1f}" if timed.memory else "-"
            print(f"{timed.whole:>10.1f}{timed.bare:>10.1f}{timed.bare / timed.whole - 1:>12.1%}", end="")
            print(f"{timed.reading:>10.1%}{timed.whole * flops / peaks[name]:>13.0%}{memory:>8}", flush=True)
        if recipe.network == "dcgan":
            for count in sorted({1, threads}) if threads else [0]:
                old = statistics.median(sprint_speeds(recipe, args.steps, device, count))
                name = f"  the sprint's way, {count} thread{'s' * (count > 1)}" if count else "  the sprint's way"
                print(f"{name:<30}{recipe.train_batch_size:>6}{old:>10.1f}   {timed.whole / old:.1f}x", flush=True)
    few, many = (loader_seconds(count) for count in (FEW, MANY))
    print(f"\nreading a cover: {1e6 * few:.1f} us of {FEW:,} covers, {1e6 * many:.1f} us of {MANY:,}", flush=True)
    where = device_name(device)
    return f"on {where}; medians of {args.steps} steps; `accelerate launch` gives a program one thread, ours takes all"


def matrix_speed(device: torch.device, bf16: bool) -> float:
    """Multiplications and additions a second in products of square matrices: what convolutions can reach at best."""
    kind, products = ("cuda", 5) if device.type == "cuda" else ("cpu", 1)
    side = MATRIX[kind]
    a, b = torch.randn(2, side, side, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    laps = []
    for _ in range(8):
        begin = time.perf_counter()
        for _ in range(products):
            c = a @ b
        c[0, 0].item()  # waits for the device
        laps.append(time.perf_counter() - begin)
    return products * 2 * side**3 / statistics.median(laps[1:])


class Work(TorchDispatchMode):
    """While it is entered, counts multiplications in convolutions and matrix products.

    PyTorch's own counter does not follow second derivatives, nor the groups of a convolution on the way back.
    """

    def __init__(self):
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """What every operator of torch goes through."""
        out, aten = function(*args, **(kwargs or {})), torch.ops.aten
        if function is aten.convolution.default:
            images, weight, transposed = args[0], args[1], args[6]
            self.macs += (images if transposed else out).numel() * weight[0].numel()
        elif function is aten.convolution_backward.default:
            gradient, images, weight, transposed, wanted = *args[:3], args[7], args[10]
            # that of the images and that of the weights each cost what the convolution cost
            self.macs += (images if transposed else gradient).numel() * weight[0].numel() * sum(wanted[:2])
        elif function._overloadpacket in flop_registry:
            self.macs += flop_registry[function._overloadpacket](*args, **(kwargs or {}), out_val=out) // 2
        return out


def flops_of_a_cover(recipe: Recipe) -> float:
    """Multiplications and additions in convolutions and products that one cover costs, a whole round of steps long."""
    size, every = 2 * recipe.gradient_penalty_every, recipe.discriminator_steps
    small = dataclasses.replace(recipe, train_batch_size=size)
    trainer = Trainer(build(small, torch.device("cpu")), small, Accelerator(mixed_precision="no"), bf16=False)
    batch = random_batch(trainer)
    with Work() as work:
        for step in range(every):
            trainer.step(batch, step * size)
    return 2 * work.macs / size / every


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
