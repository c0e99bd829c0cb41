"""Work that is heavy, a few pieces at a time: whoever comes when too many wait is told so at once."""

import contextvars
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import ParamSpec, TypeVar

from gan.studio.checks import Refused


P = ParamSpec("P")
T = TypeVar("T")
NICENESS = 10  # of heavy work: the processor is first for covers, which somebody waits for


class Pool:
    """Share work among threads, which take it in turn.

    Args:
        workers: pieces of work at a time.
        waiting: how many more may wait.
        niceness: as `nice` has it.
    """

    def __init__(self, workers: int, waiting: int, niceness: int = 0):
        self._threads = ThreadPoolExecutor(workers, "pool", self._begin)
        self._places = threading.BoundedSemaphore(workers + waiting)
        self._niceness = niceness
        self._within = threading.local()

    def run(self, work: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
        """Return what `work` returns, when it is its turn. Raises Refused when too many wait."""
        if getattr(self._within, "here", False):  # a part of such work
            return work(*values, **named)
        if not self._places.acquire(blocking=False):
            raise Refused("too many visitors at once; try again in a moment", None)
        try:
            # with what is known of the visitor: a Space lends its GPU to whoever asks
            context = contextvars.copy_context()
            return self._threads.submit(lambda: context.run(work, *values, **named)).result()
        finally:
            self._places.release()

    def _begin(self) -> None:
        self._within.here = True
        if self._niceness and sys.platform == "linux":  # elsewhere it would be the whole process's
            os.setpriority(os.PRIO_PROCESS, 0, self._niceness)


HEAVY = Pool(workers=2, waiting=8, niceness=NICENESS)


def heavy(work: Callable[P, T]) -> Callable[P, T]:
    """Make a function whose work is done in `HEAVY`. It raises Refused when too many wait."""

    @wraps(work)
    def in_turn(*values: P.args, **named: P.kwargs) -> T:
        return HEAVY.run(work, *values, **named)

    return in_turn
