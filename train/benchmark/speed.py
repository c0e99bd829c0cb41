"""Measure how fast recipes train here: beside their bare mathematics, a trainer of 2022, the machine, and other work.

That trainer (PyTorch's DCGAN example under accelerate, as participants of Hugging Face's HugGAN sprint ran it) is
followed in a few lines: float32, NCHW, an optimiser that is not fused, pictures decoded again in every epoch, a loss
read at every step.
"""

import argparse
import dataclasses
import io
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import torch
from accelerate import Accelerator
from datasets import Dataset
from PIL import Image
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gan.latents import config_of
from gan.losses import LOSSES
from train.benchmark.piles import draw_cover
from train.cli import UserError
from train.covers import Covers, to_float
from train.device import can_bf16, choose_threads, device_name, share_of_cores, use_whole_device
from train.train_gan import loop
from train.train_gan.averages import Averages
from train.train_gan.data import Batches
from train.train_gan.loop import after_step
from train.train_gan.monitor import Monitor
from train.train_gan.painter import build_painter
from train.train_gan.phases import PhaseBatches, PhaseTrainer, load_features
from train.train_gan.recipes import CONFIGS, PHASES, Recipe, load_recipe
from train.train_gan.run import Run
from train.train_gan.run_folder import RunFolder
from train.train_gan.state import build
from train.train_gan.steps import Batch, Trainer
from train.train_gan.stop import Stop


# of the table, with their widths
COLUMNS = {
    "batch": 6, "covers/s": 10, "bare": 10, "loop costs": 12, "reading": 10, "of the peak": 13, "GB": 8,
}  # fmt: skip
PICTURES = 512  # to train on
WARMING = 2  # steps that are not counted
BLOCK = 5  # steps before one waits for a GPU, which is given work ahead
DRAWN = 16  # different pictures for the sprint's way
FEW, MANY, ROW_SIDE = 5_000, 1_000_000, 32
MATRIX = {"cpu": 2048, "cuda": 8192}  # side; large enough for the best
LOAD = 4  # other programs on each core of a busy machine
# How many threads there are, and how they wait for each other's share of a convolution.
ALL = {"OMP_NUM_THREADS": str(share_of_cores())}
WAYS = {
    "all threads, spinning": ALL | {"GOMP_SPINCOUNT": "300000"},  # as libgomp does where nobody says anything
    "all threads, spinning a little": ALL,  # as gan says, see there
    "all threads, asleep at once": ALL | {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
    "as the trainer does by itself": {},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    parser.add_argument("--config", nargs="*", help="recipes; default: all, with --busy tiny")
    parser.add_argument("--train_batch_size", type=int, help="default: the recipe's")
    parser.add_argument("--steps", type=int, default=10, help="steps to take the median of")
    parser.add_argument(
        "--reading", action="store_true", help="instead: what it costs to read a cover, of few and many"
    )
    parser.add_argument(
        "--busy", action="store_true", help="instead: how threads should wait where others compute, too"
    )


def main(args: argparse.Namespace) -> str:
    """Print covers a second of each recipe, what the loop around the mathematics costs, and how others compare."""
    if args.steps < 1:
        raise UserError(f"--steps must be at least 1, not {args.steps}")
    if args.reading:
        few, many = (loader_seconds(count) for count in (FEW, MANY))
        return f"reading a cover: {1e6 * few:.1f} us of {FEW:,} covers, {1e6 * many:.1f} us of {MANY:,}"
    if args.busy:
        return busy(args)
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
        if recipe.phases:
            for name, bf16 in precisions.items():
                for phase, rate in phase_speeds(recipe, args.steps, bf16):
                    print(f"{f'{config}, {phase}, {name}':<30}{recipe.train_batch_size:>6}{rate:>10.1f}", flush=True)
            continue
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
    where = device_name(device)
    return f"on {where}; medians of {args.steps} steps; `accelerate launch` gives a program one thread, ours takes all"


def busy(args: argparse.Namespace) -> str:
    """Print covers a second by how threads wait, on this machine as it is and beside other programs.

    Each in a process of its own, because OpenMP reads its settings once, when torch is loaded.
    """
    if sys.platform != "linux":
        raise UserError("--busy compares settings of Linux's OpenMP, libgomp; elsewhere there is another one")
    others = LOAD * max(2, share_of_cores())
    print(f"{'covers/s':<40}{'alone':>10}{f'beside {others} others':>20}{'slower':>10}")
    for config in args.config or ["tiny"]:
        load_recipe(config, {"train_batch_size": args.train_batch_size})  # a mistake is told at once
        for name, settings in WAYS.items():
            alone, beside = speeds_in_a_process(config, args, settings, others)
            print(f"{f'{config}, {name}':<40}{alone:>10.1f}{beside:>20.1f}{alone / beside:>9.1f}x", flush=True)
    return f"medians of {args.steps} steps of the whole loop; OMP_NUM_THREADS and OMP_WAIT_POLICY choose another way"


@contextmanager
def others_computing(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Keep `count` other processes computing while it is entered, and no longer than this process lives."""
    code = f"import os\nwhile os.getppid() == {os.getpid()}: pass"  # nobody ends them where this one is killed
    processes = [subprocess.Popen([sys.executable, "-S", "-c", code]) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def speeds_in_a_process(
    config: str, args: argparse.Namespace, settings: dict[str, str], others: int
) -> tuple[float, float]:
    """Return covers a second of a recipe's whole loop in a new process with these settings of OpenMP alone.

    The first is measured as the machine is, the second beside so many other programs.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    environment = kept | {"PYTHONPATH": str(Path(__file__).parents[2])} | settings
    command = [sys.executable, "-m", "train.benchmark.speed", config, args.steps, args.train_batch_size or "", others]
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"training failed: {(done.stderr.strip().splitlines() or [''])[-1]}", 1)
    alone, beside = done.stdout.split()[-2:]
    return float(alone), float(beside)


def speeds_of_this_process(config: str, steps: str, train_batch_size: str, others: str) -> tuple[float, float]:
    """Return covers a second of a recipe's whole loop alone and beside others, for `speeds_in_a_process`."""
    device = Accelerator(mixed_precision="no").device
    use_whole_device(device)
    recipe = load_recipe(config, {"train_batch_size": int(train_batch_size) if train_batch_size else None})
    alone = paired_speeds(recipe, int(steps), can_bf16(device)).whole
    with others_computing(int(others)):
        return alone, paired_speeds(recipe, int(steps), can_bf16(device)).whole


def random_batch(trainer: Trainer) -> Batch:
    """Draw once what a step is computed from, where the networks are."""
    recipe, device = trainer.recipe, next(trainer.gan.generator.parameters()).device
    size, shape = recipe.train_batch_size, (recipe.train_batch_size, recipe.resolution, recipe.resolution, 3)
    real, others = (to_float(torch.randint(0, 256, shape, dtype=torch.uint8)).to(device) for _ in range(2))
    latents = torch.randn(size, config_of(trainer.gan.generator).latent_dim, device=device)
    compares = LOSSES[recipe.loss].compares
    return Batch(latents, real, others if compares else None, (None, None), torch.rand(size, 1, 1, 1, device=device))


@dataclass(frozen=True)
class Timed:
    """Say how fast a recipe trains.

    Args:
        whole: covers a second of the whole loop.
        bare: covers a second of its mathematics alone.
        reading: share of the loop's time in which the program reads covers, beside which a GPU goes on computing.
        memory: bytes of a GPU's that steps take at most, without augmentation and the covers that are kept there; 0 on
            a CPU, whose program holds much else.
    """

    whole: float
    bare: float
    reading: float
    memory: int


class TimedCovers(Covers):
    """Note the seconds that reading each batch of covers takes; a copy in a GPU's memory adds to the same list."""

    def __init__(self, pixels: Dataset, resolution: int):
        super().__init__(pixels, resolution)
        self.laps: list[float] = []

    def batch(self, position: int, size: int, stream: int = 0) -> torch.Tensor:
        """Read a batch as `Covers.batch` does, and note the seconds."""
        begin = time.perf_counter()
        pixels = super().batch(position, size, stream)
        self.laps.append(time.perf_counter() - begin)
        return pixels


def paired_speeds(recipe: Recipe, steps: int, bf16: bool) -> Timed:
    """Time the whole loop and its bare mathematics, a few steps of each in turn: medians of `steps` rounds of each.

    The whole reads covers, draws latents, augments with the recipe's first probability, averages the weights, and
    shows and logs; evaluations and checkpoints, which come once in minutes, are left out. The bare one takes the same
    steps on one batch that is there, without augmentation, average or logging.
    """
    accelerator = Accelerator(mixed_precision="no")
    device = accelerator.device
    size, block = recipe.train_batch_size, BLOCK if device.type == "cuda" else 1
    round_ = recipe.discriminator_steps * block  # several discriminator steps for one of the generator go together
    warm = 2 * block
    images = (round_ * steps + warm) * size
    recipe = dataclasses.replace(recipe, total_images=images, checkpointing_images=10 * images)
    pixels = Dataset.from_dict({"pixels": [os.urandom(3 * recipe.resolution**2) for _ in range(PICTURES)]})
    covers = TimedCovers(pixels, recipe.resolution)
    trainer = Trainer(build(recipe, device), recipe, accelerator, bf16)
    choose_threads(trainer.gan.learning)
    memory = peak_of_a_step(trainer) if device.type == "cuda" else 0
    without = dataclasses.replace(recipe, ema_sigma=[])
    bare = Trainer(build(without, device), without, accelerator, bf16)
    batch = random_batch(bare)
    laps: list[list[float]] = [[], [], []]
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        open(os.devnull, "w") as nowhere,
        signals_given_back(),
    ):
        with redirect_stderr(nowhere):
            run_folder, stop = RunFolder(Path(folder)), Stop()
            monitor = Monitor(trainer, run_folder, 0, 0.0, stop)
            monitor.speed_said = True
            averages = Averages(trainer.gan.ema, recipe.ema_sigma)
            whole_loop = Run(trainer, Batches(trainer, covers), run_folder, monitor, averages, stop)
            whole_loop.evaluation_images = recipe.checkpointing_images
        began = time.perf_counter()
        for images, measured in loop.steps(trainer, whole_loop.batches, 0):
            if after_step(whole_loop, images, measured):
                raise KeyboardInterrupt  # what asks a run to stop ends the measurement
            if images // size % block:
                continue
            measured["loss_d"].item()  # waits for the device
            middle = time.perf_counter()
            for step in range(block):
                last = bare.step(batch, images - (block - step) * size)
            last["loss_d"].item()
            end = time.perf_counter()
            for lap, seconds in zip(laps, (middle - began, end - middle, sum(covers.laps)), strict=True):
                lap.append(seconds)
            covers.laps.clear()
            began = time.perf_counter()
        monitor.bar.close()
    every = recipe.discriminator_steps
    whole, alone, reading = (statistics.median(rounds(times[warm // block :], every)) for times in laps)
    return Timed(round_ * size / whole, round_ * size / alone, reading / whole, memory)


def phase_speeds(recipe: Recipe, steps: int, bf16: bool) -> Iterator[tuple[str, float]]:
    """Yield each phase of a painter with its covers a second: the median of `steps` steps of the loop without logging.

    Each is measured where it ends, when all that learn in it do.
    """
    accelerator = Accelerator(mixed_precision="no")
    features = load_features(recipe, accelerator.device)
    gan = build_painter(recipe, accelerator.device, [])
    trainer, size = PhaseTrainer(gan, recipe, accelerator, bf16, features), recipe.train_batch_size
    batches = PhaseBatches(trainer, random_covers(recipe.resolution))
    end = 0
    for phase in PHASES:
        if not recipe.length(phase):
            continue
        end += recipe.length(phase)
        laps = []
        for _ in range(WARMING + steps):
            began = time.perf_counter()
            measured = trainer.step(batches.at(end - size), end - size)
            next(iter(measured.values())).item()  # waits for the device
            laps.append(time.perf_counter() - began)
        yield phase, size / statistics.median(laps[WARMING:])


def random_covers(resolution: int) -> Covers:
    """Return covers of noise to train on."""
    return Covers(Dataset.from_dict({"pixels": [os.urandom(3 * resolution**2) for _ in range(PICTURES)]}), resolution)


@contextmanager
def signals_given_back() -> Iterator[None]:
    """Let signals do after it what they did before, whoever listens to them meanwhile: a run does."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def peak_of_a_step(trainer: Trainer) -> int:
    """Return the most bytes of a GPU's memory that two steps take."""
    torch.cuda.reset_peak_memory_stats()
    batch, every = random_batch(trainer), trainer.recipe.discriminator_steps
    for step in range(2 * every):
        trainer.step(batch, step * trainer.recipe.train_batch_size)
    return torch.cuda.max_memory_allocated()


def rounds(laps: list[float], length: int) -> list[float]:
    """Return the sums of `length` laps each, from every lap on."""
    return [sum(laps[i : i + length]) for i in range(len(laps) - length + 1)]


def matrix_speed(device: torch.device, bf16: bool) -> float:
    """Return multiplications and additions a second in products of square matrices: a bound for convolutions."""
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
    """Count multiplications in convolutions and matrix products while it is entered.

    PyTorch's own counter does not follow second derivatives, nor the groups of a convolution on the way back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(
        self, function: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count, and compute: every operator of torch goes through here, with whatever it takes and returns."""
        out, aten = function(*args, **(kwargs or {})), torch.ops.aten
        if function is aten.convolution.default:
            images, weight, transposed = args[0], args[1], args[6]
            self.macs += (images if transposed else out).numel() * weight[0].numel()
        elif function is aten.convolution_backward.default:
            (gradient, images, weight), transposed, wanted = args[:3], args[7], args[10]
            # that of the images and that of the weights each cost what the convolution cost
            self.macs += (images if transposed else gradient).numel() * weight[0].numel() * sum(wanted[:2])
        elif function._overloadpacket in flop_registry:
            self.macs += flop_registry[function._overloadpacket](*args, **(kwargs or {}), out_val=out) // 2
        return out


def flops_of_a_cover(recipe: Recipe) -> float:
    """Return the multiplications and additions that one cover costs in convolutions and products, mean of a round."""
    size, every = 2 * recipe.gradient_penalty_every, recipe.discriminator_steps
    small = dataclasses.replace(recipe, train_batch_size=size)
    trainer = Trainer(build(small, torch.device("cpu")), small, Accelerator(mixed_precision="no"), bf16=False)
    batch = random_batch(trainer)
    with Work() as work:
        for step in range(every):
            trainer.step(batch, step * size)
    return 2 * work.macs / size / every


class JPEGs(torch.utils.data.Dataset[torch.Tensor]):
    """Decode, scale and normalise JPEGs anew whenever they are asked for."""

    def __init__(self, files: list[bytes], resolution: int):
        self.files, self.resolution = files, resolution

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = Image.open(io.BytesIO(self.files[index])).convert("RGB")
        scaled = image.resize((self.resolution, self.resolution), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.asarray(scaled).copy()).permute(2, 0, 1).float().div(255).sub(0.5).div(0.5)


def sprint_speeds(recipe: Recipe, steps: int, device: torch.device, threads: int) -> Iterator[float]:
    """Yield covers a second of the sprint's way at the same networks and batch, step by step after the first two.

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
        JPEGs(files * (PICTURES // DRAWN) * steps, recipe.resolution),
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
        fake = generator(torch.randn(size, config_of(generator).latent_dim, device=device))
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
    """Return the seconds to read one of `count` memory-mapped covers, with its share of an epoch's shuffling."""
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


if __name__ == "__main__":
    print(*speeds_of_this_process(*sys.argv[1:]))
