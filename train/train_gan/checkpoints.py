"""Checkpoints: all that a run needs to go on exactly, each whole or not there."""

import hashlib
import io
import sys
from dataclasses import fields
from itertools import takewhile
from pathlib import Path

import torch

from train.cli import UserError, full_disk_in_one_line
from train.device import is_no_memory
from train.files import write_atomically
from train.train_gan.painter import Painter
from train.train_gan.state import GAN


KEPT_CHECKPOINTS = 2
DIGEST = 32  # bytes of a SHA-256


class Checkpoints:
    """Keep the newest checkpoints of the run in the folder `run`."""

    def __init__(self, run: Path):
        self.run = run
        self.folder = run / "checkpoints"

    def save(self, gan: GAN | Painter, images: int, seconds: float) -> None:
        """Write all that a run needs to go on exactly, then drop all but the newest checkpoints.

        Raises:
            UserError: the disk is full; the checkpoints before are as they were.
        """
        state = {part.name: getattr(gan, part.name).state_dict() for part in fields(gan)}
        content = io.BytesIO()  # torch ends the whole program where a full disk lets it write half a file
        torch.save(state | {"images": images, "seconds": seconds}, content)
        content.write(hashlib.sha256(content.getbuffer()).digest())  # torch reads past it
        with full_disk_in_one_line(self.run):
            self.folder.mkdir(exist_ok=True)
            write_atomically(self._file(images), content.getbuffer())
            for old in self.files()[:-KEPT_CHECKPOINTS]:
                old.unlink()

    def load(self, gan: GAN | Painter, name: str, device: torch.device) -> tuple[int, float]:
        """Restore a checkpoint.

        Args:
            gan: networks and optimisers to fill.
            name: "latest", or a file; another run's is what this one begins with.
            device: where the tensors go.

        Returns:
            Images shown and seconds trained so far; zeros where "latest" finds none.

        Raises:
            UserError: the file is not there, damaged, or not a checkpoint of this run.
        """
        if name != "latest" and self.files() and not Path(name).resolve().is_relative_to(self.folder.resolve()):
            # what another run ended with, this one began with; the same command goes on
            print(f"--resume_from_checkpoint {name}: {self.run} has begun with it; its own go on", file=sys.stderr)
            name = "latest"
        if name == "latest":
            self._put_damaged_aside()
        elif not is_whole(Path(name)):
            raise UserError(f"--resume_from_checkpoint {name}: damaged; name another one")
        saved = self.files()
        if name == "latest" and not saved:
            return 0, 0.0
        file = saved[-1] if name == "latest" else Path(name)
        try:
            # accelerate numbers even the CPU where there are several processes, and torch.load knows no cpu:0
            where = "cpu" if device.type == "cpu" else device
            state = torch.load(file, map_location=where, weights_only=True)
            for part in fields(gan):
                getattr(gan, part.name).load_state_dict(state[part.name])
            images, seconds = state["images"], state["seconds"]
        except Exception as error:  # torch raises nearly anything for a file that is not what it expects
            if is_no_memory(error):
                raise
            raise UserError(f"--resume_from_checkpoint {file}: not a checkpoint of these networks") from error
        if saved and saved[-1].name > self._file(images).name:
            raise UserError(
                f"--resume_from_checkpoint {file}: {self.run} went further already; "
                "name a new --output_dir, or delete the later checkpoints"
            )
        return images, seconds

    def _put_damaged_aside(self) -> None:
        """Rename damaged checkpoints that are newer than a sound one, so that the sound one is the latest."""
        damaged = list(takewhile(lambda file: not is_whole(file), reversed(self.files())))
        if damaged and len(damaged) == len(self.files()):
            raise UserError(f"{damaged[0]}: damaged, and no other is left; start again in a new --output_dir")
        for file in damaged:
            file.rename(f"{file}.damaged")
            print(f"{file}: damaged, kept as {file.name}.damaged; the one before it is used", file=sys.stderr)

    def files(self) -> list[Path]:
        """Return the checkpoints, the oldest first."""
        return sorted(self.folder.glob("images-*.pt"))

    def newest_of_another_run(self, flag: str) -> Path:
        """Return the newest checkpoint, for a run that begins with this one's networks.

        Raises:
            UserError: there is none, or it is damaged; the line begins with `flag`.
        """
        if not (files := self.files()):
            raise UserError(f"{flag} {self.run}: not the folder of a run with a checkpoint")
        if not is_whole(files[-1]):
            raise UserError(f"{flag} {files[-1]}: damaged")
        return files[-1]

    def _file(self, images: int) -> Path:
        return self.folder / f"images-{images:010d}.pt"


def is_whole(checkpoint: Path) -> bool:
    """Return whether a checkpoint is what was written: it ends with the SHA-256 of all that stands before.

    The checksums of torch's own format leave out where the tensors lie.
    """
    try:
        content = memoryview(checkpoint.read_bytes())
    except OSError:
        return False
    return hashlib.sha256(content[:-DIGEST]).digest() == content[-DIGEST:]
