"""Refusals of one process among several: all end with its line."""

from collections.abc import Iterator
from contextlib import contextmanager

from accelerate import Accelerator
from accelerate.utils import gather_object

from gan.errors import first_line
from train.cli import UserError


@contextmanager
def together(accelerator: Accelerator) -> Iterator[None]:
    """Do something in all processes, or in some; where it fails in one, all end, each with its line.

    Else the others would wait for one that is gone, or show the user their tracebacks. What is done inside must not
    wait for other processes. `accelerator` knows them.

    Raises:
        UserError: another process raised it, or failed otherwise (with exit code 1). This one raises its own error.
    """
    failed = None
    try:
        yield
    except Exception as error:
        failed = error
    _share(accelerator, failed)


@contextmanager
def one_goes_first(accelerator: Accelerator, is_first: bool) -> Iterator[None]:
    """Let one process go first, of each machine or of all, and then the others; where one fails, all end as above."""
    if not is_first:
        _share(accelerator, None)
    with together(accelerator):
        yield
    if is_first:
        _share(accelerator, None)


def _share(accelerator: Accelerator, failed: Exception | None) -> None:
    told = None
    if isinstance(failed, UserError):
        told = (str(failed), failed.code)
    elif failed is not None:
        told = (f"another process failed: {first_line(failed)}", 1)
    lines = [line for line in gather_object([told]) if line] if accelerator.num_processes > 1 else []
    if failed is not None:
        raise failed
    if lines:
        raise UserError(*lines[0])
