"""The output folder: what may be replaced there, where work in progress lies, and how the dataset gets its place.

Work in progress lies inside the output folder: that may be a mount, and all that its user may write to.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from train.cli import UserError
from train.files import NEW, is_junk, lock
from train.prepare.assemble import NothingLeft
from train.prepare.ranks import PLAN
from train.prepare.report import is_report


WORK = ".prepare-unfinished"
LOCK = "lock"
PLACING = "placing"  # a file of that name lies there from the dataset's first move to its last
WORK_FOLDERS = ("foreign", "parts", "dataset")
WAIT = 0.5  # seconds between two looks at what another process holds
# In this order they get their place: the report marks the folder as this program's.
OUTPUT = ("data", "report.html", "README.md", "report.json")


def check_output(output_dir: Path, overwrite: bool) -> None:
    """Refuse a folder of something else, an earlier dataset unless it may be replaced, and what cannot be written.

    A folder that another run left unfinished is this program's.

    Raises:
        UserError: as said.
    """
    if output_dir.exists() and not output_dir.is_dir():
        raise UserError(f"--output_dir {output_dir} is a file; name a folder")
    try:
        names = {path.name for path in output_dir.iterdir()} if output_dir.is_dir() else set()
        names = {name for name in names if name == WORK or not is_junk(name)}
        if "report.json" in names:
            if not is_report(output_dir / "report.json"):
                raise UserError(f"--output_dir {output_dir} holds the report of another program; name a new folder")
            # killed between the first move and the end: what began to replace the dataset is finished
            if not overwrite and not (output_dir / WORK / PLACING).is_file():
                raise UserError(
                    f"--output_dir {output_dir} holds a dataset already; name a new folder or add --overwrite"
                )
        elif names - {WORK} and (WORK not in names or names - {WORK, *OUTPUT}):
            raise UserError(f"--output_dir {output_dir} holds other files; name an empty or a new folder")
    except OSError as problem:
        raise UserError(f"--output_dir {output_dir} cannot be read: {problem.strerror}") from None
    parent = next(p for p in (output_dir, *output_dir.absolute().parents) if p.exists())
    if not parent.is_dir():
        raise UserError(f"--output_dir {output_dir} cannot be written: {parent} is a file")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"--output_dir {output_dir} cannot be written: no permission in {parent}")
    for earlier in (output_dir / name for name in OUTPUT):  # which the dataset replaces after all the work
        if earlier.is_mount():
            raise UserError(f"--output_dir {output_dir}: {earlier} is a disk of its own; name that, or a new folder")
        if earlier.is_dir() and not earlier.is_symlink() and not os.access(earlier, os.W_OK | os.X_OK):
            raise UserError(f"--output_dir {output_dir} cannot be written: no permission in {earlier}")


def is_placed(target: Path) -> bool:
    """Return whether a dataset lies in its place, all of it."""
    return (target / "report.json").is_file() and not (target / WORK / PLACING).is_file()


class InUse(UserError):
    """Say that another process is using the work folder."""


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """Make a folder inside `target` for what is not ready yet; it stays where the run is interrupted.

    Raises:
        InUse: another process is using it.
        UserError: what is made there cannot be moved to its place.
    """
    work = target / WORK
    made = not target.exists()
    held = _take(work)
    if held is None:
        raise InUse(f"another process is preparing {target.name}; wait for it")
    try:
        shutil.rmtree(work / "dataset", ignore_errors=True)
        for name in WORK_FOLDERS:
            (work / name).mkdir(exist_ok=True)
        _try_a_move(work, target)
        yield work
        _remove(work)
    except NothingLeft as nothing:
        _remove(work, target if made else None)
        raise UserError(str(nothing)) from None
    except BaseException:
        if not any(work.glob("*/*.parquet")):  # nothing to go on with
            _remove(work, target if made else None)
        raise
    finally:
        os.close(held)


@contextmanager
def shared_work_folder(target: Path) -> Iterator[Path]:
    """Do as `work_folder`, for one of several ranks that fill it together; what they put there stays.

    Where a process has it for itself, which makes the dataset of it, this one waits.
    """
    work = target / WORK
    while (held := _take(work, shared=True)) is None:
        time.sleep(WAIT)
    try:
        for name in WORK_FOLDERS:
            (work / name).mkdir(exist_ok=True)
        _try_a_move(work, target)
        yield work
    finally:
        os.close(held)


def _take(work: Path, shared: bool = False) -> int | None:
    """Lock the work folder, which is made where it is not; None where another process has it.

    What is locked is a file in it, as NFS locks no folders; the system frees it, however the process ends.
    """
    while True:
        work.mkdir(parents=True, exist_ok=True)
        try:
            held = os.open(work / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # another process has just finished, and removed the folder
            continue
        free = lock(held, shared)
        if free and _is_same(held, work / LOCK):
            return held
        os.close(held)
        if not free:
            return None


def _is_same(opened: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened), os.stat(path))
    except FileNotFoundError:
        return False


def _try_a_move(work: Path, target: Path) -> None:
    """Do with a file and a folder what will be done with the dataset, before a cover is read. Raises OSError."""
    mine = f"{NEW}{uuid4().hex}"  # of several processes, too
    file, folder = work / f"{mine}-file", work / f"{mine}-folder"
    try:
        file.write_bytes(b"")
        folder.mkdir(exist_ok=True)
        file.replace(target / file.name)
        folder.rename(target / folder.name)
    finally:
        for place in (work, target):
            (place / file.name).unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                (place / folder.name).rmdir()


def _remove(work: Path, target: Path | None = None) -> None:
    for name in WORK_FOLDERS:
        shutil.rmtree(work / name, ignore_errors=True)
    (work / PLACING).unlink(missing_ok=True)
    (work / PLAN).unlink(missing_ok=True)
    (work / LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # what others put there stays
        work.rmdir()
        if target is not None:
            target.rmdir()


def move_into_place(dataset: Path, target: Path) -> None:
    """Make the files in `dataset` those of the output folder, in place of earlier ones; other files there stay."""
    (dataset.parent / PLACING).touch()
    for name in OUTPUT:
        earlier = target / name
        if earlier.is_symlink():  # what it leads to is somebody's
            earlier.unlink()
        elif earlier.is_dir():
            shutil.rmtree(earlier)
        (dataset / name).replace(earlier)
