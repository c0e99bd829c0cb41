"""What is trained in tests: recipes with tiny networks, covers of one colour, one process or two."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from datasets import Dataset

from gan.augment import draw_augmentation
from gan.losses import LOSSES
from tests.helpers import programs
from train.covers import Covers
from train.metrics.evaluation import Evaluation
from train.train_gan.averages import Averages
from train.train_gan.data import Batches
from train.train_gan.loop import finish, steps
from train.train_gan.monitor import Monitor
from train.train_gan.recipes import Recipe, load_recipe
from train.train_gan.run import Run
from train.train_gan.run_folder import RunFolder
from train.train_gan.state import build
from train.train_gan.steps import Batch, Trainer
from train.train_gan.stop import Stop


N = 8  # covers of a batch
GENRES = ["rock", "jazz"]


def trainer(recipe: Recipe, bf16: bool = False) -> Trainer:
    accelerator = Accelerator(cpu=True)
    genres = GENRES if recipe.class_conditional else []
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
    """A recipe of its name with tiny networks at 16 px, or as few as its frozen network can see."""
    values = vars(load_recipe(name, {})) | {"train_batch_size": 8}
    if values["network"] == "projected":
        sizes = {"width": 2, "composer_width": 4, "composer_max_width": 8, "latent_channels": 4, "latent_dim": 8}
        return Recipe(**(values | {"generator": sizes} | changes))
    values["resolution"] = 16
    for role in ("generator", "discriminator"):
        width = {"width": 8, "max_width": 16, "group_size": 8} if values["network"] == "r3gan" else {"width": 8}
        values[role] = values[role] | width
    return Recipe(**(values | changes))


def still(name: str, **changes) -> Recipe:
    """A recipe with tiny networks that never moves, so that gradients can be compared."""
    return small(name, **({"train_batch_size": N, "discriminator_steps": 1, "learning_rate": 0.0} | changes))


def shaken_trainer(recipe: Recipe, micro_batches: int = 1) -> Trainer:
    """A trainer no weight of whose networks is zero: some begin so, and would hide others' gradients."""
    accelerator = Accelerator(cpu=True)
    gan = build(recipe, accelerator.device, GENRES if recipe.class_conditional else [])
    made = Trainer(gan, recipe, accelerator, bf16=False, micro_batches=micro_batches)
    random = torch.Generator().manual_seed(1)
    for network in (made.gan.generator, made.gan.discriminator):
        for weight in network.parameters():
            weight.data += 0.1 * torch.randn(weight.shape, generator=random)
    return made


def random_batch(recipe: Recipe) -> Batch:
    """What a step takes, of N covers."""
    random = torch.Generator().manual_seed(2)
    side = recipe.resolution
    covers = torch.rand(2, N, 3, side, side, generator=random) * 2 - 1
    draws = (draw_augmentation(N, 0.5, random), draw_augmentation(N, 0.5, random))
    latents = torch.randn(N, recipe.generator["latent_dim"], generator=random)
    batch = Batch(latents, covers[0], covers[1], draws, torch.rand(N, 1, 1, 1, generator=random))
    if not recipe.class_conditional:
        return batch
    labels = torch.randint(0, len(GENRES) + 1, (2, N), generator=random)
    return replace(batch, labels=labels[0], other_labels=labels[1] if LOSSES[recipe.loss].compares else None)


def in_two_processes(function: Callable[[str], None], folder: Path) -> None:
    """Let two processes that know of each other run `function(folder)`."""
    code = f"from accelerate import debug_launcher; from {function.__module__} import {function.__name__} as function"
    ended = programs.run([sys.executable, "-c", f"{code}; debug_launcher(function, ({str(folder)!r},), 2)"])
    assert ended.returncode == 0, ended.stderr
