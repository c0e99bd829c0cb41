"""What nobody expects: good bytes that are changed at random, and values of any kind."""

import contextlib
import random
from collections.abc import Callable

import psutil


SECONDS = 40  # of processor time that one attack may take: others on the machine do not count
PATIENCE = 10 * SECONDS  # by the clock: what waits for ever takes no processor
SIZES = (0, 1, -1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
ODD = (
    None,
    True,
    -1,
    0,
    1e308,
    2**70,
    "",
    "\0",
    "x" * 300,
    "../../etc/passwd",
    "http://127.0.0.1:9/a.png",
    [],
    {},
    [[]],
)
META = {"meta": {"_type": "gradio.FileData"}}

# It raises whatever went wrong.
Attack = Callable[[random.Random], None]


def family() -> list[psutil.Process]:
    """Return this process and those that it started, the page among them."""
    return [own := psutil.Process(), *own.children(recursive=True)]


def spent(processes: list[psutil.Process]) -> float:
    """Return the seconds of processor time of some processes, and of those of theirs that have ended."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def changed(content: bytes, draws: random.Random) -> bytes:
    """Change some bytes: single ones, runs, and numbers of two to eight bytes to the ends of their range."""
    new = bytearray(content)
    for _ in range(draws.choice((1, 1, 2, 4, 16))):
        place = draws.randrange(len(new) + 1)
        # half of them near the beginning or the end, where formats keep their tables
        if draws.random() < 0.5:
            place = min(len(new), draws.choice((draws.randrange(256), max(0, len(new) - draws.randrange(256)))))
        kind = draws.randrange(6)
        if kind == 0:
            new[place : place + 1] = bytes([draws.randrange(256)])
        elif kind == 1:
            new[place:place] = draws.randbytes(draws.randrange(1, 40))
        elif kind == 2:
            del new[place : place + draws.choice((1, 4, 40, 4000))]
        elif kind == 3:
            size = draws.choice((2, 4, 8))
            number = draws.choice(SIZES) % 2 ** (8 * size)
            new[place : place + size] = number.to_bytes(size, draws.choice(("little", "big")))
        elif kind == 4:
            other = draws.randrange(len(new) + 1)
            new[place:place] = new[other : other + draws.randrange(1, 400)]
        elif new:
            new[place : place + 1] = bytes([new[min(place, len(new) - 1)] ^ 1 << draws.randrange(8)])
    return bytes(new)


def odd(draws: random.Random, deepest: int = 3) -> object:
    """Draw a value that nobody expects."""
    if deepest and draws.random() < 0.3:
        if draws.random() < 0.5:
            return [odd(draws, deepest - 1) for _ in range(draws.randrange(4))]
        names = (
            "path",
            "url",
            "meta",
            "a",
            "address",
            "layout",
            "cards",
            "seed",
            "file",
            "tiles",
            "x",
            "y",
            "truncation",
        )
        return {draws.choice(names): odd(draws, deepest - 1) for _ in range(draws.randrange(4))}
    if draws.random() < 0.1:
        return {"path": draws.choice(ODD), "url": draws.choice(ODD), **META}
    return draws.choice((*ODD, draws.random(), draws.randrange(-5, 2**33), "seed=7", "a" * draws.randrange(3000)))
