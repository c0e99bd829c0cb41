"""What this machine computes with: precision, threads, memory."""

import ctypes
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from train.cli import UserError
from train.train_gan.stop import LAUNCHED


try:
    import resource
except ImportError:  # Windows
    resource = None

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


def can_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def cpu_threads() -> int:
    """How many threads each process of this machine should use: as OMP_NUM_THREADS says, else its share of the cores.

    A 1 there says nothing where a launcher has started the process: all of them set it when nobody else did.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and (int(asked) > 1 or not {LAUNCHED, "LOCAL_WORLD_SIZE"} & os.environ.keys()):
        return max(1, int(asked))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = min(cores, cpu_quota())
    return max(1, round(cores) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def cpu_quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> float:
    """How many cores a container may use (`docker --cpus`), which has more threads than that only to wait for them."""
    try:
        quota, period = file.read_text().split()
        return math.inf if quota == "max" else max(1.0, int(quota) / int(period))
    except (OSError, ValueError):
        return math.inf


def use_whole_device(device: torch.device) -> None:
    """Make a CPU compute with all its cores, of which `accelerate launch` gives a single process one, and a GPU with
    the convolutions that it finds fastest: every batch has the same shape. What is float32 there stays it: TF32 would
    round what a penalty's second derivatives are made of (R3GAN's code does without, too)."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    if device.type == "cpu":
        torch.set_num_threads(cpu_threads())
        keep_freed_memory()


def device_name(device: torch.device) -> str:
    """What a benchmark was measured on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads"


def peak_memory(device: torch.device) -> int:
    """Bytes used at most so far: the GPU's where there is one, else this process's; 0 where no one says."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if resource is None:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def is_no_memory(error: BaseException) -> bool:
    """Whether the memory of a GPU or of a CPU is full: torch has a class of its own for GPUs alone."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


@contextmanager
def no_memory_in_one_line() -> Iterator[None]:
    """Turn the error of a GPU or a CPU whose memory is full into a UserError with exit code 1."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_no_memory(error):
            raise
        raise UserError(
            "not enough memory; raise --gradient_accumulation_steps, or lower --train_batch_size", 1
        ) from error
