"""Work that is heavy, a few pieces at a time: whoever comes when too many wait is told so at once.

One visitor has half of the places at most, as of everything else (shell/shares.py).
"""

import contextvars
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from gan.studio.checks import Refused
from gan.studio.shell.shares import ANSWERED, half


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
        self._places, self._taken, self._lock = workers + waiting, Counter[str](), threading.Lock()
        self._niceness = niceness
        self._within = threading.local()

    def run(self, work: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
        """Return what `work` returns, when it is its turn. Raises Refused when too many wait, or too many of one
        visitor."""
        if getattr(self._within, "here", False):  # a part of such work
            return work(*values, **named)
        with self._place(ANSWERED.get()):
            # with what is known of the visitor: a Space lends its GPU to whoever asks
            context = contextvars.copy_context()
            return self._threads.submit(lambda: context.run(work, *values, **named)).result()

    @contextmanager
    def _place(self, who: str) -> Iterator[None]:
        with self._lock:
            # the queue, which is "", has its own limits
            if self._taken.total() >= self._places or (who and self._taken[who] >= half(self._places)):
                raise Refused("too many visitors at once; try again in a moment", None)
            self._taken[who] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[who] -= 1
                self._taken += Counter()  # without those who have left

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
