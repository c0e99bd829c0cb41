"""What asks a run to stop: a signal, a terminal that is closed, a launcher that has ended."""

import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from train.cli import LAUNCHED


if TYPE_CHECKING:
    from accelerate import Accelerator

Result = TypeVar("Result")


def launcher() -> int | None:
    """Return the process id of the `accelerate launch` that started this process, or None."""
    return os.getppid() if LAUNCHED in os.environ else None


class Stop:
    """Listen, from now on, to signals that would otherwise end the program.

    Args:
        started_by: process id of the launcher, which passes no signal on; see `launcher`.
    """

    def __init__(self, started_by: int | None = None):
        self.started_by, self.told, self.raises = started_by, False, False
        self.ask_steps = 1  # steps between two questions whether any process was told to stop: about a second
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)
        self.outputs = [output for output in (1, 2) if _ends_with_terminal(output)]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
            signal.signal(signal.SIGHUP, self._hang_up)

    def asked(self) -> bool:
        """Return whether this process was told to save the run and to end."""
        return self.told or self.started_by not in (None, os.getppid())

    def agreed(self, accelerator: "Accelerator", step: int) -> bool:
        """Return whether all processes stop after this step: they must leave the loop at the same one.

        All must call it after every step. They ask each other about once a second, since to ask at every step would
        cost too much.
        """
        if accelerator.num_processes == 1:
            return self.asked()
        if self.asked():
            accelerator.set_trigger()
        return step % self.ask_steps == 0 and accelerator.check_trigger()

    def in_time(self, work: Callable[[], Result]) -> Result | None:
        """Return the result of `work`, or None where a signal comes first: such work is made up for later."""
        try:
            with self._at_once():
                return work()
        except KeyboardInterrupt:
            return None

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Let a signal raise KeyboardInterrupt too while this context is entered."""
        self.raises = True
        try:
            yield
        finally:
            self.raises = False

    def _tell(self, *_: object) -> None:
        self.told = True
        if self.raises:
            self.raises = False  # once: what comes then is saving
            raise KeyboardInterrupt

    def _hang_up(self, *_: object) -> None:
        """Write to nowhere from now on: the terminal was closed, and the run is still to be saved."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for output in self.outputs:
            os.dup2(nowhere, output)
        self._tell()


def _ends_with_terminal(output: int) -> bool:
    """Return whether an output ends with the terminal: it is one, or a pipe to a program that runs there."""
    try:
        return os.isatty(output) or stat.S_ISFIFO(os.fstat(output).st_mode)
    except OSError:  # closed
        return False
