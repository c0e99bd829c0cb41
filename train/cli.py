"""The habits of every program of `train`: how it reads arguments, its exit codes, its last line."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gan.errors import OutputLost, Parser, first_line, tell
from gan.outputs import complain, exit_code, why_lost
from train.files import NO_ROOM, is_empty


__all__ = ["Parser", "UserError", "check_output_dir", "run"]


LAUNCHED = "ACCELERATE_MIXED_PRECISION"  # in the environment of what `accelerate launch` started
# A path that somebody typed, and that no system or no right of theirs allows.
OF_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL)


class UserError(Exception):
    """Tell the user of a mistake that can be mended: one line that names the file or flag and says what to do.

    Args:
        line: that line.
        code: the program's exit code: 2, or 1 for something that failed with good arguments.
    """

    def __init__(self, line: str, code: int = 2):
        super().__init__(line)
        self.code = code


def run(main: Callable[[], str], program: str) -> None:
    """Run `main`, print the line that it returns, and exit: 0 done, 2 a user's mistake, 1 a failure, 130 interrupted.

    A failure of ours keeps its traceback (Python exits with 1): hiding it would only make it harder to report. See
    `gan.outputs.exit_code` for outputs that are full or closed.
    """
    if code := exit_code(program, lambda: _run(main, program)):
        sys.exit(code)


def _run(main: Callable[[], str], program: str) -> int:
    try:
        tell(main())
    except UserError as mistake:
        return complain(program, str(mistake), mistake.code)
    except OSError as problem:
        if problem.filename is None and (lost := why_lost(sys.stdout)):
            raise OutputLost(lost) from problem
        name = os.fsdecode(problem.filename) if isinstance(problem.filename, str | bytes) else ""
        name = name if len(name) <= 80 else f"{name[:40]}...{name[-30:]}"
        if problem.errno in NO_ROOM:
            return complain(program, f"{name}{': ' * bool(name)}{problem.strerror}; make room, and start it again", 1)
        if problem.errno not in OF_NAMES or not name:
            raise
        return complain(program, f"{name}: {problem.strerror}", 2)
    except RuntimeError as problem:
        loop = problem.__context__  # as Python before 3.13 tells of links in a circle
        if not isinstance(loop, OSError) or loop.errno != errno.ELOOP:
            raise
        return complain(program, f"{os.fsdecode(loop.filename)}: {loop.strerror}", 2)
    return 0


def check_output_dir(folder: Path, ours: str) -> None:
    """Refuse a folder that holds something else than our own earlier output.

    Args:
        folder: where a program is about to write.
        ours: name of a file that marks a folder as written by this program, e.g. `report.json`.

    Raises:
        UserError: `folder` is a file, or holds files but not `ours`, or cannot be made or written to.
    """
    if folder.is_dir():
        if not is_empty(folder) and not (folder / ours).exists():
            raise UserError(f"--output_dir {folder} holds other files; name an empty or a new folder")
    elif folder.exists():
        raise UserError(f"--output_dir {folder} is a file; name a folder")
    parent = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not os.access(parent, os.W_OK):
        raise UserError(f"--output_dir {folder} cannot be written: no permission in {parent}")
    longest = os.pathconf(parent, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    new = folder.absolute().parts[len(parent.absolute().parts) :]
    if any(len(os.fsencode(name)) > longest for name in new):
        raise UserError(f"--output_dir {folder.name[:40]}...: a name may have {longest} bytes")


@contextmanager
def full_disk_in_one_line(folder: Path) -> Iterator[None]:
    """Turn what goes wrong while `folder` is written (a full disk, a quota) into a UserError with exit code 1."""
    try:
        yield
    except Exception as error:
        reason: BaseException = error
        while reason.__context__ is not None and not isinstance(reason, OSError):
            reason = reason.__context__  # torch hides the system's error behind one of its own
        if not isinstance(reason, OSError) and type(reason).__name__ != "SafetensorError":
            raise
        why = getattr(reason, "strerror", None) or first_line(reason)
        mend = "make room" if getattr(reason, "errno", None) in NO_ROOM else "mend that"
        raise UserError(
            f"--output_dir {folder} cannot be written ({why}); {mend}, and the same command goes on from the last "
            "checkpoint",
            1,
        ) from error
