"""Steps of a recipe on the stopwatch: the whole training loop beside its bare mathematics, in turn."""

import dataclasses
import os
import statistics
import tempfile
import time
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from datasets import Dataset

from gan.losses import LOSSES
from train.covers import Covers, to_float
from train.train_gan import loop
from train.train_gan.averages import Averages
from train.train_gan.data import Batches
from train.train_gan.loop import Run, after_step
from train.train_gan.monitor import Monitor
from train.train_gan.recipes import Recipe
from train.train_gan.run_folder import RunFolder
from train.train_gan.state import build
from train.train_gan.steps import Batch, Trainer
from train.train_gan.stop import Stop


PICTURES = 512  # to train on
BLOCK = 5  # steps before one waits for a GPU, which is given work ahead


def random_batch(trainer: Trainer) -> Batch:
    """What a step is computed from, drawn once where the networks are."""
    recipe, device = trainer.recipe, next(trainer.gan.generator.parameters()).device
    size, shape = recipe.train_batch_size, (recipe.train_batch_size, recipe.resolution, recipe.resolution, 3)
    real, others = (to_float(torch.randint(0, 256, shape, dtype=torch.uint8)).to(device) for _ in range(2))
    latents = torch.randn(size, trainer.gan.generator.config.latent_dim, device=device)
    compares = LOSSES[recipe.loss].compares
    return Batch(latents, real, others if compares else None, (None, None), torch.rand(size, 1, 1, 1, device=device))


@dataclass(frozen=True)
class Timed:
    """How fast a recipe trains.

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
    """Covers, and the seconds that reading each batch took; a copy in a GPU's memory adds to the same list."""

    def __init__(self, pixels: Dataset, resolution: int):
        super().__init__(pixels, resolution)
        self.laps: list[float] = []

    def batch(self, position: int, size: int, stream: int = 0) -> torch.Tensor:
        """As `Covers.batch`."""
        begin = time.perf_counter()
        pixels = super().batch(position, size, stream)
        self.laps.append(time.perf_counter() - begin)
        return pixels


def paired_speeds(recipe: Recipe, steps: int, bf16: bool) -> Timed:
    """The whole loop and its bare mathematics, a few steps of each in turn: medians of `steps` rounds of each.

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
    memory = peak_of_a_step(trainer) if device.type == "cuda" else 0
    without = dataclasses.replace(recipe, ema_sigma=[])
    bare = Trainer(build(without, device), without, accelerator, bf16)
    batch = random_batch(bare)
    laps: list[list[float]] = [[], [], []]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, open(os.devnull, "w") as nowhere:
        with redirect_stderr(nowhere):
            run_folder, stop = RunFolder(Path(folder)), Stop()
            monitor = Monitor(trainer, run_folder, 0, 0.0, stop)
            monitor.speed_said = True
            averages = Averages(trainer.gan.ema, recipe.ema_sigma)
            whole_loop = Run(trainer, Batches(trainer, covers), run_folder, monitor, averages, stop)
            whole_loop.evaluation_images = recipe.checkpointing_images
        began = time.perf_counter()
        for images, measured in loop.steps(trainer, whole_loop.batches, 0):
            after_step(whole_loop, images, measured)
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


def peak_of_a_step(trainer: Trainer) -> int:
    """Bytes of a GPU's memory that are taken at most while two steps are taken."""
    torch.cuda.reset_peak_memory_stats()
    batch, every = random_batch(trainer), trainer.recipe.discriminator_steps
    for step in range(2 * every):
        trainer.step(batch, step * trainer.recipe.train_batch_size)
    return torch.cuda.max_memory_allocated()


def rounds(laps: list[float], length: int) -> list[float]:
    """The sums of `length` laps each, from every lap on."""
    return [sum(laps[i : i + length]) for i in range(len(laps) - length + 1)]
