"""A painter small enough to train in a test, and runs of it."""

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import torch
import yaml
from accelerate import Accelerator
from datasets import Dataset

from gan.networks.efficientnet_lite import EfficientNetLite
from tests.helpers import programs
from train.covers import Covers
from train.train_gan.loop import steps
from train.train_gan.painter import Painter, build_painter
from train.train_gan.phases import PhaseBatches, PhaseTrainer
from train.train_gan.recipes import Recipe, load_recipe


PAINTED = {"paint": 24, "distil": 16}
# in the last of three steps of painting a critic joins
RECIPE = replace(
    load_recipe("painter-tiny", {}),
    phases=PAINTED | {"denoise": 8, "tune": 8, "refine": 16, "steer": 16, "finish": 8},
    total_images=112,
)
ENDS = {"paint": 24, "distil": 40, "denoise": 48, "compose": 64, "tune": 72, "refine": 88, "steer": 104, "finish": 112}


def covers() -> Covers:
    """Six of noise."""
    chance = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (6, 128 * 128 * 3), generator=chance, dtype=torch.uint8)
    return Covers(Dataset.from_dict({"pixels": [cover.numpy().tobytes() for cover in pixels]}), 128)


def frozen() -> EfficientNetLite:
    """Random features, in the shapes of the real ones, with a head for the clusters."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        few = [(32, 24, 32, 3, 2), (24, 40, 48, 3, 2), (40, 112, 80, 3, 2), (112, 320, 112, 3, 2)]
        return EfficientNetLite(few).eval().requires_grad_(False)


def new_trainer(recipe: Recipe = RECIPE) -> PhaseTrainer:
    accelerator = Accelerator(cpu=True)
    features = None if recipe.features == "none" else frozen()
    return PhaseTrainer(
        build_painter(recipe, accelerator.device, []), recipe, accelerator, bf16=False, features=features
    )


def train(trainer: PhaseTrainer, images: int, until: int, cache: Path | None = None) -> list[str]:
    """Take the steps from `images` on; return the phases that took them."""
    taken = []
    for shown, measured in steps(trainer, PhaseBatches(trainer, covers(), cache), images):
        taken.append(trainer.recipe.phase(shown - 8).name)
        assert all(value.isfinite() for value in measured.values())
        if shown >= until:
            break
    return taken


def same(a: Painter, b: Painter, *names: str) -> bool:
    pairs = [(getattr(a, name).state_dict(), getattr(b, name).state_dict()) for name in names]
    return all(torch.equal(one[key], other[key]) for one, other in pairs for key in one)


NETWORKS = [part.name for part in fields(Painter) if not part.name.endswith("optimizer")]


def run(drawn: Path, output: Path, *more: str, config: str = "painter-tiny") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "train.train_gan", "--config", config, "--dataset_name", str(drawn)]
    return programs.run([*command, "--output_dir", str(output), *more])


def recipe_file(folder: Path, **changes: object) -> str:
    values = yaml.safe_load(Path("train/configs/painter-tiny.yaml").read_text()) | changes
    (file := folder / "mine.yaml").write_text(yaml.safe_dump(values))
    return str(file)
