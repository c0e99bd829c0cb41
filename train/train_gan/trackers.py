"""The lines of metrics.jsonl for TensorBoard, Trackio or Weights & Biases too, through accelerate."""

from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers

from train.cli import UserError, first_line


TRACKERS = ("none", "tensorboard", "trackio", "wandb")
PROJECT = "album-cover-gan"


def tracker_options(name: str, run: Path | None) -> dict:
    """What `Accelerator` is to be told of a tracker.

    Args:
        name: one of TRACKERS.
        run: the run's folder; TensorBoard's files go into its logs/. None: nothing is reported.

    Raises:
        UserError: the tracker's package is not installed.
    """
    if name == "none" or run is None:
        return {}
    if name not in map(str, get_available_trackers()):
        raise UserError(f"--report_to {name}: its package is not installed; pip install {name}")
    return {"log_with": name, "project_dir": run / "logs"}


def start_tracker(accelerator: Accelerator, run: Path, config: dict) -> None:
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


def report(accelerator: Accelerator, values: dict[str, float], say: Callable[[str], None]) -> None:
    """Report a line of metrics.jsonl. A tracker that fails is left alone from then on: no run ends because of it."""
    numbers = {name: value for name, value in values.items() if name != "images"}
    try:
        accelerator.log(numbers, step=values["images"])
    except Exception as error:
        accelerator.trackers.clear()
        say(f"reporting failed, training goes on without it: {first_line(error)}")


def end_tracker(accelerator: Accelerator, say: Callable[[str], None]) -> None:
    """Let the tracker send what it still holds."""
    try:
        accelerator.end_training()
    except Exception as error:
        say(f"the end of the run was not reported: {first_line(error)}")
