"""What a run leaves on disk: config.json, metrics.jsonl, copies.json, samples/, checkpoints/, pipeline/, best/."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from gan.pipeline import AlbumCoverPipeline
from gan.pipeline_folder import save_pipeline
from gan.untrusted import LARGEST_METRICS, check_file, read_line
from train.cli import UserError, check_output_dir, full_disk_in_one_line
from train.files import NEW, lock, replacing, write_atomically
from train.sheet import SHEET_COLUMNS, draw_sheet, tiled
from train.train_gan.checkpoints import Checkpoints
from train.train_gan.run_config import RunConfig, read_config


UNFINISHED = (NEW, ".push-")  # what a killed process was writing
TRAINING, EVALUATION = "training", "evaluation"  # kinds of a line of metrics.jsonl


class RunFolder:
    """Keep the output of one run. Every file appears whole or not at all."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.checkpoints = Checkpoints(folder)
        self.samples = folder / "samples"
        self.encoded = folder / "encoded.safetensors"  # of a painter's run, see encoded.py
        self._config = folder / "config.json"

    def open(self, config: RunConfig) -> None:
        """Start a run here, or go on with the one that is here; nobody else may until `close` or the process's end.

        Raises:
            UserError: the folder holds something else, a run of another recipe, or a run that is going on.
        """
        check_output_dir(self.folder, "config.json")
        if self._config.exists():
            self._check_same_run(config)
        with full_disk_in_one_line(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._lock()
        if not self.checkpoints.files():
            self.write_config(config)  # first: by it the folder is known as ours
        with full_disk_in_one_line(self.folder):
            for folder in (self.folder, self.checkpoints.folder, self.samples):
                folder.mkdir(exist_ok=True)
                for left in (found for begin in UNFINISHED for found in folder.glob(f"{begin}*")):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()

    def write_config(self, config: RunConfig) -> None:
        """Write config.json; of a run that goes on only when it really does."""
        with full_disk_in_one_line(self.folder):
            write_atomically(self._config, (json.dumps(config.as_dict(), indent=2) + "\n").encode())

    def previous_config(self) -> dict[str, Any]:
        """Return what `config.json` tells of the run that is here, or {} where none has a checkpoint yet."""
        return read_config(self._config) if self.checkpoints.files() else {}

    def _check_same_run(self, config: RunConfig) -> None:
        try:
            json.loads(self._config.read_text())
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self._config} is not JSON; name a new --output_dir") from error
        if not (before := read_config(self._config)):
            raise UserError(f"--output_dir {self.folder} holds another program's config.json; name a new folder")
        if not self.checkpoints.files():
            if len(list(self.samples.glob("images-*.png"))) > 1 or (self.folder / "film.webp").exists():
                raise UserError(
                    f"--output_dir {self.folder} holds a run whose checkpoints are gone; name a new folder"
                )
            return  # nothing was trained that another recipe would contradict
        if not (different := config.difference(before)):
            return
        name, then, now = different
        if name == "digest":
            raise UserError(f"--output_dir {self.folder} holds a run on other covers; name a new folder")
        raise UserError(
            f"--output_dir {self.folder} holds a run with {name} {then}, not {now}: "
            "name a new folder, or go on with the same recipe"
        )

    def close(self) -> None:
        """Let others train in this folder."""
        os.close(self._held)

    def _lock(self) -> None:
        if os.name == "nt":  # where folders cannot be opened
            return
        self._held = os.open(self.folder, os.O_RDONLY)  # freed by the system, however the process ends
        if not lock(self._held):
            raise UserError(f"--output_dir {self.folder}: another process is training here; wait for it")

    def forget_after(self, images: int) -> None:
        """Drop the lines of metrics.jsonl past `images`: the run was cut off after its last checkpoint."""
        file = self.folder / "metrics.jsonl"
        if not file.exists():
            return
        try:
            check_file(file, LARGEST_METRICS)
        except ValueError as error:
            raise UserError(f"{file.parent}: {error}; name a new --output_dir") from error
        lines, kept, damaged = file.read_bytes().splitlines(), [], 0
        for line in lines:
            if (said := read_line(line)) is None:
                damaged += line is not lines[-1]  # half a line may be the last thing that a killed process wrote
            elif said["images"] <= images:
                kept.append(line + b"\n")
        if damaged:
            print(f"{file}: {damaged} damaged line{'s' * (damaged > 1)} left out", file=sys.stderr)
        with full_disk_in_one_line(self.folder):
            write_atomically(file, b"".join(kept))

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl, the oldest first."""
        file = self.folder / "metrics.jsonl"
        lines = file.read_bytes().splitlines() if file.exists() else []
        return [said for line in lines if (said := read_line(line)) is not None]

    def log(self, kind: str, images: int, **values: float) -> None:
        """Append a line to metrics.jsonl: its kind (TRAINING or EVALUATION), covers shown, what was measured."""
        line = json.dumps({"kind": kind, "images": images} | values)
        with full_disk_in_one_line(self.folder), open(self.folder / "metrics.jsonl", "a") as file:
            file.write(line + "\n")

    def save_copies(self, copies: dict[str, int], images: int) -> None:
        """Write copies.json, which the card reads; `images` says to which weights it belongs."""
        write_atomically(self.folder / "copies.json", (json.dumps({"images": images} | copies) + "\n").encode())

    def has_copies(self, images: int) -> bool:
        """Return whether copies.json tells of the weights after `images` covers."""
        try:
            return json.loads((self.folder / "copies.json").read_text())["images"] == images
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return False

    def save_samples(
        self, pipeline: AlbumCoverPipeline, discriminators: Mapping[str, torch.nn.Module], images: int
    ) -> Image.Image:
        """Write the sheet of the first 64 seeds (no choosing) and the pipeline folder, with what judges it; return the
        sheet."""
        sheet = draw_sheet(pipeline.synthesis)
        with full_disk_in_one_line(self.folder):
            self.samples.mkdir(exist_ok=True)
            with replacing(self.samples / f"images-{images:010d}.png") as file:
                sheet.save(file, "PNG")
            save_pipeline(pipeline, self.folder / "pipeline", discriminators=discriminators)
        return sheet

    def save_repainted(self, covers: torch.Tensor, repainted: torch.Tensor, images: int) -> None:
        """Write a sheet of (N, H, W, 3) uint8 covers, each row of them above what an autoencoder makes of it.

        It shows real covers, so nothing that is shared or filmed is made of it, and no tracker gets it.
        """
        rows = zip(covers.split(SHEET_COLUMNS), repainted.split(SHEET_COLUMNS), strict=True)
        sheet = tiled(torch.cat([part for pair in rows for part in pair]), SHEET_COLUMNS)
        with full_disk_in_one_line(self.folder), replacing(self.samples / f"painted-{images:010d}.png") as file:
            sheet.save(file, "PNG")

    def has_samples(self, images: int) -> bool:
        """Return whether there is a sheet of what was drawn, or painted, after `images` covers."""
        return any((self.samples / f"{kind}-{images:010d}.png").exists() for kind in ("images", "painted"))

    def save_best(self, pipeline: AlbumCoverPipeline, discriminators: Mapping[str, torch.nn.Module]) -> None:
        """Write the generator that measured best so far, as a pipeline folder, with what judges it."""
        with full_disk_in_one_line(self.folder):
            save_pipeline(pipeline, self.folder / "best", discriminators=discriminators)


def kind_of(line: dict[str, Any]) -> str:
    """Return the kind of a line of metrics.jsonl; lines of earlier versions do not say it."""
    return line.get("kind", EVALUATION if "ema_sigma" in line else TRAINING)
