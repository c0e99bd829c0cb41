"""What one visitor may take of the page: of everything at most half, so that nobody takes all of it from the others.

A visitor is an address. Behind a proxy that does not say whom it speaks for all visitors are one.
"""

import contextlib
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextvars import ContextVar

from starlette.types import Scope


# Whom the page answers outside the queue; "" where nobody has asked, or it was the queue's turn.
ANSWERED: ContextVar[str] = ContextVar("answered", default="")


class Shut(Exception):
    """Shut a request out: an HTTP status, and a sentence for its sender."""

    def __init__(self, status: int, sentence: str, headers: tuple[tuple[bytes, bytes], ...] = ()):
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers


def visitor(scope: Scope) -> str:
    """Return the address that a request comes from."""
    return str((scope.get("client") or ("",))[0])


def half(count: int) -> int:
    """Return how much of so much is one visitor's at most."""
    return (count + 1) // 2


class Places:
    """Count the places for requests that are answered at the same time."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()

    @contextlib.contextmanager
    def place(self, who: str, count: int, sentence: str) -> Iterator[None]:
        """Take one of `count` places as long as the block lasts. Raises Shut when there is none."""
        if self.taken.total() >= count or self.taken[who] >= half(count):
            raise Shut(503, sentence)
        self.taken[who] += 1
        try:
            yield
        finally:
            self.taken[who] -= 1
            self.taken += Counter()  # without those who have left


class LastMinute:
    """Count what came within a minute, by whom and how much."""

    def __init__(self) -> None:
        self._came: deque[tuple[float, str, int]] = deque()

    def add(self, who: str, amount: int = 1) -> None:
        """Remember that so much came from one visitor."""
        self._came.append((time.monotonic(), who, amount))

    def is_full(self, who: str, most: int, most_of_one: int) -> bool:
        """Return whether one visitor, or all together, have reached what may come in a minute."""
        while self._came and self._came[0][0] < time.monotonic() - 60:
            self._came.popleft()
        all_of_it = sum(amount for _, _, amount in self._came)
        return all_of_it >= most or sum(amount for _, one, amount in self._came if one == who) >= most_of_one
