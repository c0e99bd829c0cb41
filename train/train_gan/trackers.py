"""The lines of metrics.jsonl for TensorBoard, Trackio or Weights & Biases too, with sheets and warnings."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from gan.errors import first_line
from train.cli import UserError


if TYPE_CHECKING:  # takes seconds to import, and --help needs the names alone
    from accelerate import Accelerator

TRACKERS = ("none", "tensorboard", "trackio", "wandb")
PROJECT = "album-cover-gan"


def tracker_options(name: str, run: Path | None) -> dict[str, Any]:
    """Return the arguments of `Accelerator` that make it report to a tracker.

    Args:
        name: one of TRACKERS.
        run: the run's folder; TensorBoard's files go into its logs/. None: nothing is reported.

    Raises:
        UserError: the tracker's package is not installed.
    """
    if name == "none" or run is None:
        return {}
    from accelerate.tracking import get_available_trackers

    if name not in map(str, get_available_trackers()):
        raise UserError(f"--report_to {name}: its package is not installed; pip install {name}")
    return {"log_with": name, "project_dir": run / "logs"}


def start_tracker(accelerator: "Accelerator", run: Path, config: dict[str, Any]) -> None:
    """Begin to report, where the accelerator was made with `log_with`.

    Args:
        accelerator: of the run.
        run: its folder, after which it is called there.
        config: what config.json holds.

    Raises:
        UserError: the tracker cannot start, for example because nobody is logged in.
    """
    plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in config.items()}
    names = {"wandb": {"name": run.name}, "trackio": {"name": run.name}}
    try:
        accelerator.init_trackers(PROJECT, plain, names)
    except Exception as error:  # each raises its own
        raise UserError(f"--report_to {accelerator.log_with[0]}: {first_line(error)}") from error


def report(accelerator: "Accelerator", images: int, values: dict[str, float], say: Callable[[str], None]) -> None:
    """Report what was measured after `images` covers."""
    with _left_alone_when_it_fails(accelerator, say):
        accelerator.log(values, step=images)


def report_sheet(accelerator: "Accelerator", images: int, sheet: Image.Image, say: Callable[[str], None]) -> None:
    """Report the sheet of samples after `images` covers, as a picture."""
    with _left_alone_when_it_fails(accelerator, say):
        for tracker in accelerator.trackers:
            if tracker.name == "tensorboard":
                tracker.log_images({"samples": np.asarray(sheet)[None]}, step=images, dataformats="NHWC")
            elif tracker.name == "trackio":
                import trackio  # which takes seconds

                tracker.log({"samples": trackio.Image(sheet)}, step=images)
            else:
                tracker.log_images({"samples": [sheet]}, step=images)


def report_warning(accelerator: "Accelerator", complaint: str, say: Callable[[str], None]) -> None:
    """Report a complaint of `Health` as an alert, where the tracker has such; only Trackio has."""
    with _left_alone_when_it_fails(accelerator, say):
        for tracker in accelerator.trackers:
            if tracker.name == "trackio":
                seen, _, advice = complaint.partition(": ")
                with redirect_stdout(io.StringIO()):  # it would print across the progress bar what was just said there
                    tracker.tracker.alert(title=seen, text=advice or None)


@contextmanager
def _left_alone_when_it_fails(accelerator: "Accelerator", say: Callable[[str], None]) -> Iterator[None]:
    """Report no more from the first failure on: no run ends because of a tracker."""
    try:
        yield
    except Exception as error:
        accelerator.trackers.clear()
        say(f"reporting failed, training goes on without it: {first_line(error)}")


def end_tracker(accelerator: "Accelerator", say: Callable[[str], None]) -> None:
    """Wait until the tracker has sent what it still holds."""
    try:
        accelerator.end_training()
    except Exception as error:
        say(f"the end of the run was not reported: {first_line(error)}")
