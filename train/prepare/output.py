"""The output folder: what may be replaced there, where work in progress lies, and how the dataset gets its place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from train.cli import UserError
from train.files import lock
from train.prepare.assemble import NothingLeft
from train.prepare.report import is_report


def check_earlier(output_dir: Path, overwrite: bool) -> None:
    """Refuse to replace anything but an earlier dataset of this program, and that only where it is asked for.

    Raises:
        UserError: the folder holds a dataset and `overwrite` is false, or a report of something else.
    """
    if not (output_dir / "report.json").exists():
        return
    if not is_report(output_dir / "report.json"):
        raise UserError(f"--output_dir {output_dir} holds the report of another program; name a new folder")
    if not overwrite:
        raise UserError(f"--output_dir {output_dir} holds a dataset already; name a new folder or add --overwrite")


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target` for what is not ready yet; it stays where the run is interrupted.

    Raises:
        UserError: another process is using it.
    """
    work = target.with_name(f"{target.name}.unfinished")
    work.mkdir(parents=True, exist_ok=True)
    held = os.open(work, os.O_RDONLY)  # freed by the system, however the process ends
    if not lock(held):
        os.close(held)
        raise UserError(f"another process is preparing {target.name}; wait for it")
    try:
        shutil.rmtree(work / "dataset", ignore_errors=True)
        for name in ("foreign", "parts", "dataset"):
            (work / name).mkdir(exist_ok=True)
        yield work
    except NothingLeft as nothing:
        shutil.rmtree(work, ignore_errors=True)
        raise UserError(str(nothing)) from None
    except BaseException:
        if not any(work.glob("*/*.parquet")):  # nothing to go on with
            shutil.rmtree(work, ignore_errors=True)
        raise
    finally:
        os.close(held)
    shutil.rmtree(work, ignore_errors=True)


def move_into_place(dataset: Path, target: Path) -> None:
    """Make `dataset` the output folder, in place of an earlier dataset there; other files in it stay."""
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    if not target.exists():
        dataset.rename(target)
        return
    # The report comes last: it marks the folder as this program's, should the process be killed in between.
    for name in ("data", "report.html", "README.md", "report.json"):
        earlier = target / name
        if earlier.is_dir():
            shutil.rmtree(earlier)
        (dataset / name).replace(earlier)
