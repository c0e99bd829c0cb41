"""The habits of every program of `train`: how it reads arguments, its exit codes, its last line."""

import errno
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from gan.errors import Parser, first_line, one_line
from train.files import NO_ROOM, is_empty


__all__ = ["Parser", "UserError", "check_output_dir", "run"]


LAUNCHED = "ACCELERATE_MIXED_PRECISION"  # in the environment of what `accelerate launch` started
# A path that somebody typed, and that no system or no right of theirs allows.
OF_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL)


class UserError(Exception):
    """A mistake that the user can mend: one line that names the file or flag and says what to do.

    Args:
        line: that line.
        code: the program's exit code: 2, or 1 for something that failed with good arguments.
    """

    def __init__(self, line: str, code: int = 2):
        super().__init__(line)
        self.code = code


def run(main: Callable[[], str], program: str) -> None:
    """Run `main`, print the line that it returns, and exit: 0 done, 2 a user's mistake, 1 a failure, 130 interrupted.

    A failure of ours keeps its traceback (Python exits with 1): hiding it would only make it harder to report. Where
    standard output takes no more, the exit code is 1, and one line says so, unless it is a pipe whose reader has left.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this: the next file that is opened would be it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    try:
        line = main()
    except SystemExit as end:  # after --help, or a mistake in the arguments
        if (lost := _why_lost(sys.stdout)) and not end.code:
            sys.exit(_say_lost(program, lost))
        raise
    except UserError as mistake:
        sys.exit(_say(program, str(mistake), mistake.code))
    except OSError as problem:
        if problem.filename is None and (lost := _why_lost(sys.stdout)):
            sys.exit(_say_lost(program, lost))
        name = os.fsdecode(problem.filename) if isinstance(problem.filename, str | bytes) else ""
        name = name if len(name) <= 80 else f"{name[:40]}...{name[-30:]}"
        if problem.errno in NO_ROOM:
            sys.exit(_say(program, f"{name}{': ' * bool(name)}{problem.strerror}; make room, and start it again", 1))
        if problem.errno not in OF_NAMES or not name:
            raise
        sys.exit(_say(program, f"{name}: {problem.strerror}", 2))
    except RuntimeError as problem:
        loop = problem.__context__  # as Python before 3.13 tells of links in a circle
        if not isinstance(loop, OSError) or loop.errno != errno.ELOOP:
            raise
        sys.exit(_say(program, f"{os.fsdecode(loop.filename)}: {loop.strerror}", 2))
    except KeyboardInterrupt:
        sys.exit(_say(program, "interrupted", 130))
    try:
        print(_printable(line), end="\n" * bool(line), flush=True)
    except OSError as lost:
        sys.exit(_say_lost(program, _why_lost(sys.stdout) or lost))


def _say(program: str, line: str, code: int) -> int:
    with suppress(OSError):
        print(one_line(_printable(f"{program}: {line}")), file=sys.stderr, flush=True)
    for stream in (sys.stdout, sys.stderr):
        _why_lost(stream)
    return code


def _say_lost(program: str, lost: OSError) -> int:
    return 1 if isinstance(lost, BrokenPipeError) else _say(program, f"standard output: {lost.strerror}", 1)


def _why_lost(stream: TextIO) -> OSError | None:
    """Return why a stream takes no more, or None where it does; from then on it leads nowhere, so that Python does not
    stumble over what is left in it when it ends."""
    try:
        stream.flush()
        if _has_no_reader(stream):  # what is not buffered is gone already
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    except OSError as problem:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return problem
    return None


def _has_no_reader(stream: TextIO) -> bool:
    try:
        poll = select.poll()  # not on Windows
        poll.register(stream.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # a stream without a file
        return False


def _printable(line: str) -> str:
    """A line in which the name of a file may stand: bytes of it that are no UTF-8 become the replacement sign."""
    return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def check_output_dir(folder: Path, ours: str) -> None:
    """Refuse a folder that holds something else than our own earlier output.

    Args:
        folder: where a program is about to write.
        ours: name of a file that marks a folder as written by this program, e.g. `report.json`.

    Raises:
        UserError: `folder` is a file, or holds files but not `ours`, or cannot be written to.
    """
    if folder.is_dir():
        if not is_empty(folder) and not (folder / ours).exists():
            raise UserError(f"--output_dir {folder} holds other files; name an empty or a new folder")
    elif folder.exists():
        raise UserError(f"--output_dir {folder} is a file; name a folder")
    parent = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not os.access(parent, os.W_OK):
        raise UserError(f"--output_dir {folder} cannot be written: no permission in {parent}")


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
