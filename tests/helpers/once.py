"""What is made once for a whole test session, whichever of its workers needs it first."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder of that name which `make(folder)` has filled; tests read it and change nothing there.

    Args:
        factory: pytest's.
        name: one for each thing that is made.
        make: called with an empty folder, in one worker while the others that need it wait.
    """
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker's folder is in the session's
        folder = folder.parent
    folder = folder / "once" / name
    folder.parent.mkdir(exist_ok=True)
    made = folder.with_name(f"{name}.made")
    with FileLock(folder.with_name(f"{name}.lock")):
        if not made.exists():
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
