"""A painter that begins with the autoencoder of another run, which need not be learned again."""

from pathlib import Path

import torch

from train.cli import UserError
from train.device import is_no_memory
from train.train_gan.checkpoints import Checkpoints
from train.train_gan.painter import Painter


def take_autoencoder(painter: Painter, run_folder: Path) -> None:
    """Let a new painter encode and paint as that of the run in `run_folder` does; all else begins anew.

    Raises:
        UserError: it is not the run of a painter with a sound checkpoint, or its autoencoder is of another size.
    """
    file = Checkpoints(run_folder).newest_of_another_run("--autoencoder")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        decoder = {
            name.removeprefix("decoder."): weight
            for name, weight in state["generator"].items()
            if name.startswith("decoder.")
        }
        painter.encoder.load_state_dict(state["encoder"])
        painter.patch_critic.load_state_dict(state["patch_critic"])
        painter.generator.decoder.load_state_dict(decoder)
    except (LookupError, RuntimeError) as error:
        if is_no_memory(error):
            raise
        raise UserError(
            f"--autoencoder {run_folder}: no autoencoder, or one of another size; generator.width and "
            "generator.latent_channels of the recipe must be those of that run"
        ) from error
