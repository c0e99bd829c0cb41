"""What goes wrong while a run is written, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from train.cli import UserError, first_line
from train.covers import NO_ROOM


@contextmanager
def full_disk_in_one_line(folder: Path) -> Iterator[None]:
    """Turn what goes wrong while `folder` is written (a full disk, a quota) into a UserError with exit code 1."""
    try:
        yield
    except Exception as error:
        reason = error
        while reason.__context__ is not None and not isinstance(reason, OSError):
            reason = reason.__context__  # torch hides the system's error behind one of its own
        if not isinstance(reason, OSError | SafetensorError):
            raise
        why = getattr(reason, "strerror", None) or first_line(reason)
        mend = "make room" if getattr(reason, "errno", None) in NO_ROOM else "mend that"
        raise UserError(
            f"--output_dir {folder} cannot be written ({why}); {mend}, and the same command goes on from the last "
            "checkpoint",
            1,
        ) from error
