"""Networks for twice the resolution that begin where those of a run ended.

As in progressive growing (Karras et al. 2018, "Progressive Growing of GANs", section 2) a small resolution, where
steps are cheap, teaches layout and colour first. Nothing has to be faded in, because the new layers begin with weights
that change nothing: see train/grow_networks.py.
"""

import json
import shutil
from dataclasses import fields
from pathlib import Path

import torch

from train.cli import UserError
from train.disk import full_disk_in_one_line
from train.train_gan.checkpoints import Checkpoints, is_whole
from train.train_gan.device import is_no_memory
from train.train_gan.grow_networks import GROW
from train.train_gan.recipes import Recipe
from train.train_gan.run_folder import RunFolder
from train.train_gan.steps import GAN


def grow(gan: GAN, run_folder: Path) -> dict[str, float]:
    """Make new networks begin where those of the run in `run_folder` ended; optimisers and averages begin anew.

    Returns:
        What `config.json` tells of that run: its resolution, how many covers it was shown, and in how many seconds.

    Raises:
        UserError: it is not a run with a checkpoint, or its networks are not those of `gan` with one layer less.
    """
    try:
        config = json.loads((run_folder / "config.json").read_text())
        recipe = Recipe(**{field.name: config[field.name] for field in fields(Recipe) if field.name in config})
        file = Checkpoints(run_folder).files()[-1]
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise UserError(f"--grow_from {run_folder}: not the folder of a run with a checkpoint") from error
    if not is_whole(file):
        raise UserError(f"--grow_from {file}: damaged")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        networks = zip(("generator", "discriminator"), recipe.build(config.get("genres", [])), strict=True)
        for (name, small), grown in zip(networks, GROW[recipe.network], strict=True):
            large = getattr(gan, name)
            if large.config.resolution != 2 * recipe.resolution:
                raise ValueError("not twice the resolution")
            small.load_state_dict(state[name])
            grown(small, large)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError, UserError) as error:
        if is_no_memory(error):
            raise
        raise UserError(
            f"--grow_from {run_folder}: a dcgan (with normalisation: none in its discriminator) or an r3gan grows to "
            "twice the resolution at half the width, with the same max_width, blocks, latents and genres; these "
            "networks differ otherwise"
        ) from error
    return {"resolution": recipe.resolution, "images": state["images"], "seconds": state["seconds"]}


def keep_sheets(run_folder: Path, folder: RunFolder) -> None:
    """Copy the sheets of the run that was grown, where it has any, to samples/before/: the film begins with them."""
    if (run_folder / "samples").is_dir():
        with full_disk_in_one_line(folder.folder):
            shutil.copytree(run_folder / "samples", folder.samples / "before", dirs_exist_ok=True)
