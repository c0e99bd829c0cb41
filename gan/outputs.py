"""What a program prints, also where standard output is full, closed, or has no reader any more."""

import errno
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from gan.errors import OutputLost, one_line, printable


def exit_code(program: str, work: Callable[[], int]) -> int:
    """Do a program's work, and return its exit code: 1 where standard output takes no more, and else its own.

    One line on standard error says so, unless standard output is a pipe whose reader has left. An output that was
    closed before the program began leads nowhere, and is no mistake.

    Raises:
        SystemExit: as `work` raises it, after --help say, where nothing is lost.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this: the next file that is opened would be it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    try:
        code = work()
    except SystemExit as end:  # after --help, or a mistake in the arguments
        lost = why_lost(sys.stdout)
        if lost and not end.code:
            return _say_lost(program, lost)
        why_lost(sys.stderr)
        raise
    except KeyboardInterrupt:
        code = complain(program, "interrupted", 130)
    except OutputLost as end:
        return _say_lost(program, why_lost(sys.stdout) or end.problem)
    lost = why_lost(sys.stdout)
    why_lost(sys.stderr)
    return _say_lost(program, lost) if lost and not code else code


def complain(program: str, line: str, code: int) -> int:
    """Print a line on standard error, where it takes one, and return `code`."""
    with suppress(OSError):
        print(one_line(printable(f"{program}: {line}")), file=sys.stderr, flush=True)
    return code


def why_lost(stream: TextIO) -> OSError | None:
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


def _say_lost(program: str, lost: OSError) -> int:
    code = 1 if isinstance(lost, BrokenPipeError) else complain(program, f"standard output: {lost.strerror}", 1)
    why_lost(sys.stderr)
    return code


def _has_no_reader(stream: TextIO) -> bool:
    try:
        poll = select.poll()  # not on Windows
        poll.register(stream.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # a stream without a file
        return False
