"""A bound on the processor time that one stranger's file may take."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


TIME_LIMIT = 30.0  # seconds of processor time for a file; 40 megapixels take 2 to 4


class TooSlow(BaseException):
    """Say that the time is over. Not an Exception, so that no reader of pictures takes it for one of its own."""


@contextmanager
def time_limit(seconds: float, ends_process: bool = False) -> Iterator[None]:
    """Bound the processor time that the block may take, in the main thread; in others, and on Windows, nothing is.

    Args:
        seconds: of the processor, of all threads together.
        ends_process: the system ends the process, even in the middle of libjpeg: for workers, which are replaced. A
            process that goes on notices between two calls of a library, or within Python's own code.

    Raises:
        TooSlow: more was taken.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = None if ends_process else signal.signal(signal.SIGPROF, _too_slow)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if not ends_process:
            signal.signal(signal.SIGPROF, before)


def _too_slow(*_: object) -> None:
    raise TooSlow
