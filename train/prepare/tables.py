"""Hold large tables in memory or, where they would take too much of it, on the disk."""

import math
import os
import tempfile
from pathlib import Path

import numpy as np


LARGEST_SHARE = 1 / 4  # of the memory, for tables that are held there


def fits(size: int) -> bool:
    """Return whether so many bytes are a small enough share of the memory that this process may use."""
    return size <= LARGEST_SHARE * memory()


def memory(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> float:
    """Return the bytes of memory that the machine has, or that a container may use; infinity where neither is told."""
    least = math.inf
    if hasattr(os, "sysconf") and {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= os.sysconf_names.keys():
        least = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(least, int(limit.read_text()))
    except (OSError, ValueError):  # none, or "max"
        return least


def table(shape: tuple[int, ...], kind: type[np.generic], folder: Path | None) -> np.ndarray:
    """Return an array to be filled.

    Args:
        shape: of the array.
        kind: of its numbers.
        folder: on the disk where it is held, in a file without a name, which goes with the array; None: in memory.

    Raises:
        OSError: the disk is full.
    """
    size = math.prod(shape) * np.dtype(kind).itemsize
    if folder is None or not size:
        return np.empty(shape, kind)
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):  # now: where a disk is full later, the system ends the process
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.memmap(file, kind, "r+", shape=shape).view(np.ndarray)
