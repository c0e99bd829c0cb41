"""What is trained in tests: recipes with tiny networks, covers of one colour, one process or two."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator, debug_launcher
from datasets import Dataset

from train.covers import Covers
from train.metrics.evaluation import Evaluation
from train.train_gan.averages import Averages
from train.train_gan.data import Batches
from train.train_gan.loop import Run, finish, steps
from train.train_gan.monitor import Monitor
from train.train_gan.recipes import Recipe, load_recipe
from train.train_gan.run_folder import RunFolder
from train.train_gan.state import build
from train.train_gan.steps import Trainer
from train.train_gan.stop import Stop


def trainer(recipe: Recipe, bf16: bool = False) -> Trainer:
    accelerator = Accelerator(cpu=True)
    genres = ["rock", "jazz"] if recipe.class_conditional else []
    return Trainer(build(recipe, accelerator.device, genres), recipe, accelerator, bf16)


def train(
    trainer: Trainer,
    covers: Covers,
    start: int,
    on_step: Callable[[int, dict[str, torch.Tensor]], bool],
    held_out: Covers | None = None,
) -> int:
    """Take steps until the recipe's covers are shown, or `on_step` returns True; return the covers shown."""
    images = start
    for images, measured in steps(trainer, Batches(trainer, covers, held_out), start):
        if on_step(images, measured):
            break
    return images


def run_of(
    trainer: Trainer,
    folder: RunFolder,
    images: int = 0,
    seconds: float = 0.0,
    evaluation: Evaluation | None = None,
    every: int = 50_000,
) -> Run:
    """Put a run together whose covers are all of one colour."""
    stop, batches = Stop(), Batches(trainer, plain_covers((9, 99, 200), trainer.recipe.resolution))
    monitor, averages = (
        Monitor(trainer, folder, images, seconds, stop),
        Averages(trainer.gan.ema, trainer.recipe.ema_sigma),
    )
    return Run(trainer, batches, folder, monitor, averages, stop, evaluation, every, images=images)


def finish_at(run: Run, images: int) -> str:
    """End a run as if `images` covers had been shown."""
    run.images = images
    return finish(run)


def plain_covers(colour: tuple[int, int, int], resolution: int, count: int = 32, genres: bool = False) -> Covers:
    labels = torch.arange(count) % 3 if genres else None
    return Covers(Dataset.from_dict({"pixels": [bytes(colour) * resolution**2] * count}), resolution, labels=labels)


def small(name: str, **changes) -> Recipe:
    """A recipe of its name with tiny networks at 16 px."""
    values = vars(load_recipe(name, {})) | {"resolution": 16, "train_batch_size": 8}
    for role in ("generator", "discriminator"):
        width = {"width": 8, "max_width": 16, "group_size": 8} if values["network"] == "r3gan" else {"width": 8}
        values[role] = values[role] | width
    return Recipe(**(values | changes))


def in_two_processes(function: Callable[[str], None], folder: Path) -> None:
    """Let two processes that know of each other run `function(folder)`."""
    # from a new process: a fork of one that has used several threads waits for them for ever
    new = multiprocessing.get_context("spawn").Process(target=debug_launcher, args=(function, (str(folder),), 2))
    new.start()
    new.join()
    assert new.exitcode == 0
