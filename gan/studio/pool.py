"""Work that is heavy, a few pieces at a time: whoever comes when too many wait is told so at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from gan.studio.checks import Refused


P, T = ParamSpec("P"), TypeVar("T")


class Pool:
    """Threads that take work in turn.

    Args:
        workers: pieces of work at a time.
        waiting: how many more may wait.
    """

    def __init__(self, workers: int, waiting: int):
        self._threads = ThreadPoolExecutor(workers, "pool")
        self._places = threading.BoundedSemaphore(workers + waiting)

    def run(self, work: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
        """Return what `work` returns, when it is its turn. Raises Refused when too many wait."""
        if not self._places.acquire(blocking=False):
            raise Refused("too many visitors at once; try again in a moment", None)
        try:
            return self._threads.submit(work, *values, **named).result()
        finally:
            self._places.release()
