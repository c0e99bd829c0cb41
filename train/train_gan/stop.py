"""Who asks a run to stop: a signal, a terminal that is closed, a launcher that has ended."""

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager


LAUNCHED = "ACCELERATE_MIXED_PRECISION"  # in the environment of what `accelerate launch` started


def launcher() -> int | None:
    """The process of `accelerate launch` that started this one; None where something else did."""
    return os.getppid() if LAUNCHED in os.environ else None


class Stop:
    """From when it is made on, listens instead of letting the system end the program.

    Args:
        started_by: see `launcher`; it passes no signal on.
    """

    def __init__(self, started_by: int | None = None):
        self.started_by, self.told, self.raises = started_by, False, False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)
        self.outputs = [output for output in (1, 2) if _ends_with_terminal(output)]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
            signal.signal(signal.SIGHUP, self._hang_up)

    def asked(self) -> bool:
        """Whether the run should be saved and end."""
        return self.told or self.started_by not in (None, os.getppid())

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While it is entered a signal raises KeyboardInterrupt, besides what it does else: for what can be left."""
        self.raises = True
        try:
            yield
        finally:
            self.raises = False

    def _tell(self, *_) -> None:
        self.told = True
        if self.raises:
            self.raises = False  # once: what comes then is saving
            raise KeyboardInterrupt

    def _hang_up(self, *_) -> None:
        """The terminal was closed: nothing can be written to it any more, and the run is still to be saved."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for output in self.outputs:
            os.dup2(nowhere, output)
        self._tell()


def _ends_with_terminal(output: int) -> bool:
    """Whether nobody reads it any more when the terminal is closed: it is one, or a pipe to a program there."""
    try:
        return os.isatty(output) or stat.S_ISFIFO(os.fstat(output).st_mode)
    except OSError:  # closed
        return False
