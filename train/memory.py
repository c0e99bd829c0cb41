"""What the system's C library does with memory that is freed."""

import ctypes


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h
LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let glibc keep large blocks that are freed, instead of giving them back and taking them again page by page.

    Each step of a training frees and takes the same tensors. On two CPU cores that made `r3gan-cpu` a fifth faster and
    `dcgan-64` a twentieth (`python -m train.benchmark train`). With another C library nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, LARGEST)
