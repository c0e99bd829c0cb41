"""What `config.json` of a run tells: its recipe, its covers, and where it was trained."""

import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from train.train_gan.recipes import Recipe


# What may differ when a run goes on; anything else would make it another run.
MAY_CHANGE = {
    "total_images", "checkpointing_images", "device", "processes", "gradient_accumulation_steps", "torch",
}  # fmt: skip


@dataclass(frozen=True)
class RunConfig:
    """Say what a run computes, and from what.

    Args:
        recipe: what is computed; its fields stand beside the others in `config.json`.
        dataset_name: a Hub id, or a folder's name without where it lies: the file travels with the generator.
        covers, held_out: how many are trained on, and how many never are.
        streaming: whether the covers are read from the Hub while training.
        genres: names of the genres that are learned, in the order of their labels.
        grown_from: `resolution`, `images` and `seconds` of the smaller run whose networks this one began with.
        started_from: the model of others that this run began with, see `start.Start`; None of none.
        freeze_discriminator: stages of the discriminator that learn nothing.
        mixed_precision: "bf16" or "no".
        device: name of the GPU, or of the kind of CPU.
        processes: that share a batch.
        gradient_accumulation_steps: parts in which each process computes its share.
        torch: version.
        digest: of some of the covers, which tells them from others; None of a stream.
    """

    recipe: Recipe
    dataset_name: str = ""
    covers: int = 0
    held_out: int = 0
    streaming: bool = False
    genres: list[str] = field(default_factory=list)
    grown_from: dict[str, float] | None = None
    started_from: dict[str, object] | None = None
    freeze_discriminator: int = 0
    mixed_precision: str = "no"
    device: str = ""
    processes: int = 1
    gradient_accumulation_steps: int = 1
    torch: str = torch.__version__
    digest: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what `config.json` holds."""
        values = asdict(self)
        recipe = values.pop("recipe")
        if self.digest is None:
            del values["digest"]
        return recipe | values

    def difference(self, before: dict[str, Any]) -> tuple[str, object, object] | None:
        """Return by what this is another run than the one whose `config.json` held `before`: name, then and now."""
        now = self.as_dict()
        # covers that are the same may have moved, to the Hub say
        moved = {"dataset_name"} if self.digest and before.get("digest") == self.digest else set()
        # the digest comes last: another seed may hold out other covers, and is then called by its own name
        names = sorted(now.keys() - MAY_CHANGE - moved, key=lambda name: (name == "digest", name))
        differ = ((name, before[name], now[name]) for name in names if name in before and before[name] != now[name])
        return next(differ, None)


def public_dataset_name(dataset_name: str) -> str:
    """Return a Hub id as it is, of a folder its name alone: whose disk it lies on is nobody's business."""
    return Path(dataset_name).name if Path(dataset_name).is_dir() else dataset_name


def name_of(device: torch.device) -> str:
    """Return what `config.json` calls a device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device} ({platform.machine()})"


def read_config(file: Path) -> dict[str, Any]:
    """Return what a `config.json` holds, or {} where there is none, or none that a run wrote."""
    try:
        values = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) and "network" in values else {}
