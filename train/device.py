"""What this machine computes with: precision, threads, memory."""

import ctypes
import math
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from train.cli import LAUNCHED, UserError


try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]  # a module, or none

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h
LARGEST = 2**31 - 1
SMALL = 100_000  # weights; 17,536 learn in `tiny`, a million in the next larger recipe, `r3gan-cpu`


def keep_freed_memory() -> None:
    """Let glibc keep large blocks of memory that are freed, instead of giving them back to the system each time.

    Each step of a training frees and takes the same tensors. On two CPU cores that made `r3gan-cpu` a fifth faster and
    `dcgan-64` a twentieth (`python -m train.benchmark speed`). With another C library nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, LARGEST)


def can_bf16(device: torch.device) -> bool:
    """Return whether the device computes in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def half_precision(device: torch.device, enabled: bool) -> torch.autocast:
    """Return the context in which networks run: bfloat16 where the run computes in it."""
    # no cache: a weight cast while gradients were off would be reused without its graph
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)


def asked_threads() -> int | None:
    """Return how many threads the user's OMP_NUM_THREADS says, None where it says none.

    A 1 there says nothing where a launcher has started the process: all of them set it when nobody else did.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and (int(asked) > 1 or not {LAUNCHED, "LOCAL_WORLD_SIZE"} & os.environ.keys()):
        return max(1, int(asked))
    return None


def cpu_threads() -> int:
    """Return how many threads each process here should use: as OMP_NUM_THREADS says, else its share of the cores."""
    return asked_threads() or share_of_cores()


def share_of_cores() -> int:
    """Return how many of the cores that this machine or container may use each process here has, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, round(min(cores, cpu_quota())) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def cpu_quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> float:
    """Return how many cores a container may use (`docker --cpus`), infinity where nothing limits it."""
    try:
        quota, period = file.read_text().split()
        return math.inf if quota == "max" else max(1.0, int(quota) / int(period))
    except (OSError, ValueError):
        return math.inf


def use_whole_device(device: torch.device) -> None:
    """Make a CPU compute with all its cores, and a GPU with the convolutions that it finds fastest.

    `accelerate launch` gives a single process one core. The fastest convolution is looked for once, as every batch has
    the same shape. Float32 stays float32 on a GPU: TF32 would round what a penalty's second derivatives are made of
    (R3GAN's code does without it, too).
    """
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    if device.type == "cpu":
        torch.set_num_threads(cpu_threads())
        keep_freed_memory()


def choose_threads(networks: Iterable[nn.Module]) -> None:
    """Make a CPU train these networks with one thread where they are small, else with all its cores.

    Several threads would wait for each other longer than they compute: `tiny` is quicker with one on a machine with
    nothing else to do, and several times so beside other programs (`python -m train.benchmark speed --busy`). The
    choice follows from the networks, not from a measurement, because each number of threads rounds in its own way.
    """
    weights = [weight for network in networks for weight in network.parameters()]
    if weights[0].device.type == "cpu":
        small = sum(weight.numel() for weight in weights) < SMALL and not asked_threads()
        torch.set_num_threads(1 if small else cpu_threads())


def device_name(device: torch.device) -> str:
    """Return what a benchmark was measured on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads"


def peak_memory(device: torch.device) -> int:
    """Return the bytes used at most so far: of the GPU, or of this process on a CPU; 0 where they are not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if resource is None:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def is_no_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of a GPU or of a CPU is full."""
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
