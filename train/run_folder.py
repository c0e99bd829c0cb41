"""What a run leaves on disk: config.json, metrics.jsonl, samples/, checkpoints/, pipeline/."""

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch
from PIL import Image

from gan.covers import to_uint8
from gan.pipeline import AlbumCoverPipeline, latents_from_seeds
from gan.pipeline_folder import save_pipeline
from train.cli import UserError, check_output_dir
from train.recipes import Recipe
from train.steps import GAN


try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

KEPT_CHECKPOINTS = 2
SHEET_SEEDS = 64
# What may differ when a run goes on; anything else would make it another run.
MAY_CHANGE = {"total_images", "checkpointing_images", "device", "processes", "torch"}


class RunFolder:
    """The output of one run. Every file appears whole or not at all."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self.samples = folder / "samples"

    def open(self, recipe: Recipe, facts: dict) -> None:
        """Start a run here, or go on with the one that is here; nobody else may until this process ends.

        Args:
            recipe: what the run computes.
            facts: what else `config.json` should tell (dataset, precision, device, versions).

        Raises:
            UserError: the folder holds something else, a run of another recipe, or a run that is going on.
        """
        check_output_dir(self.folder, "config.json")
        config = self.folder / "config.json"
        new = dataclasses.asdict(recipe) | facts
        if config.exists():
            self._check_same_run(config, new)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock()
        write_atomically(config, (json.dumps(new, indent=2) + "\n").encode())
        for folder in (self.folder, self.checkpoints, self.samples):
            folder.mkdir(exist_ok=True)
            for left in folder.glob(".*"):  # by a process that was killed while it wrote
                shutil.rmtree(left) if left.is_dir() else left.unlink()

    def _check_same_run(self, config: Path, new: dict) -> None:
        try:
            old = json.loads(config.read_text())
        except ValueError as error:
            raise UserError(f"{config} is not JSON; name a new --output_dir") from error
        if not isinstance(old, dict) or "network" not in old:
            raise UserError(f"--output_dir {self.folder} holds another program's config.json; name a new folder")
        if not self._saved():
            return  # nothing was trained that another recipe would contradict
        for name in new.keys() - MAY_CHANGE:
            if name in old and old[name] != new[name]:
                raise UserError(
                    f"--output_dir {self.folder} holds a run with {name} {old[name]}, not {new[name]}: "
                    "name a new folder, or go on with the same recipe"
                )

    def _lock(self) -> None:
        if fcntl is None:
            return
        self._held = os.open(self.folder, os.O_RDONLY)  # freed by the system, however the process ends
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"--output_dir {self.folder}: another process is training here; wait for it") from error
        except OSError:
            pass  # a disk that knows no locks

    def save_checkpoint(self, gan: GAN, images: int, seconds: float) -> None:
        """Write all that a run needs to go on exactly, then drop all but the newest checkpoints."""
        state = {name: getattr(gan, name).state_dict() for name in GAN.__dataclass_fields__}
        with replacing(self._file(images)) as file:
            torch.save(state | {"images": images, "seconds": seconds}, file)
        for old in self._saved()[:-KEPT_CHECKPOINTS]:
            old.unlink()

    def load_checkpoint(self, gan: GAN, name: str, device: torch.device) -> tuple[int, float]:
        """Restore a checkpoint.

        Args:
            gan: networks and optimisers to fill.
            name: "latest", or a file.
            device: where the tensors go.

        Returns:
            Images shown and seconds trained so far; zeros where "latest" finds none.

        Raises:
            UserError: the file is not there or not a checkpoint of this run.
        """
        saved = self._saved()
        if name == "latest" and not saved:
            return 0, 0.0
        file = saved[-1] if name == "latest" else Path(name)
        try:
            state = torch.load(file, map_location=device, weights_only=True)
            for part in GAN.__dataclass_fields__:
                getattr(gan, part).load_state_dict(state[part])
            images, seconds = state["images"], state["seconds"]
        except FileNotFoundError as error:
            raise UserError(f"--resume_from_checkpoint {file}: no such file") from error
        except Exception as error:  # torch raises nearly anything for a damaged file
            raise UserError(
                f"--resume_from_checkpoint {file}: damaged, or of another network; delete it to use the one before"
            ) from error
        if saved and saved[-1].name > self._file(images).name:
            raise UserError(
                f"--resume_from_checkpoint {file}: {self.folder} went further already; "
                "name a new --output_dir, or delete the later checkpoints"
            )
        return images, seconds

    def forget_after(self, images: int) -> None:
        """Drop the lines of metrics.jsonl past `images`: the run was cut off after its last checkpoint."""
        file = self.folder / "metrics.jsonl"
        if not file.exists():
            return
        kept = []
        for line in file.read_text().splitlines():
            try:
                if json.loads(line)["images"] <= images:
                    kept.append(line + "\n")
            except ValueError:
                break  # half a line: the last thing a killed process wrote
        write_atomically(file, "".join(kept).encode())

    def log(self, **values: float) -> None:
        """Append a line to metrics.jsonl."""
        with open(self.folder / "metrics.jsonl", "a") as file:
            file.write(json.dumps(values) + "\n")

    def save_samples(self, pipeline: AlbumCoverPipeline, images: int) -> None:
        """Write the sheet of the first 64 seeds (no choosing) and the pipeline folder."""
        with replacing(self.samples / f"images-{images:010d}.png") as file:
            draw_sheet(pipeline.synthesis).save(file, "PNG")
        save_pipeline(pipeline, self.folder / "pipeline")

    def _file(self, images: int) -> Path:
        return self.checkpoints / f"images-{images:010d}.pt"

    def _saved(self) -> list[Path]:
        return sorted(self.checkpoints.glob("images-*.pt"))


@torch.no_grad()
def draw_sheet(generator: torch.nn.Module, seeds: range = range(SHEET_SEEDS), columns: int = 8) -> Image.Image:
    """One picture of the covers of `seeds`, in rows of `columns`."""
    device = next(generator.parameters()).device
    latents = latents_from_seeds(list(seeds), generator.config.latent_dim).to(device)
    covers = torch.cat([to_uint8(generator(part)) for part in latents.split(16)])
    rows = [torch.cat(list(row), dim=1) for row in covers.split(columns)]
    return Image.fromarray(torch.cat(rows).numpy())


def write_atomically(file: Path, content: bytes) -> None:
    """Replace `file` by `content`; whoever reads it meanwhile sees the old or the new, never a part."""
    with replacing(file) as new:
        new.write(content)


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of `target` once it is whole and on the disk."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise
