"""The preparation as tests run it."""

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from datasets import Dataset, load_dataset

from tests.helpers import programs
from tests.helpers.programs import Program
from train.cli import run
from train.prepare import __main__ as prepare


SIDE = 64
# Parts of three files, so that a small pile has many; as a program of its own, to be killed.
SMALL_PARTS = (
    "import sys, train.prepare.parts as parts, train.prepare.__main__ as prepare, train.cli as cli; "
    "parts.PART_FILES = 3; "
)
SMALL_PARTS_PROGRAM = SMALL_PARTS + "cli.run(prepare.main, 'train.prepare')"


def start(*arguments: object, genuine: bool = False, **environment: str) -> CompletedProcess[str]:
    """Run the program as a process of its own."""
    command = [sys.executable, "-m", "train.prepare", *map(str, arguments)]
    return programs.run(command, environment=os.environ | environment, genuine=genuine)


def start_with_small_parts(*arguments: object, **environment: str) -> Program:
    """Start the program as a process of its own, with parts of three files."""
    command = [sys.executable, "-c", SMALL_PARTS_PROGRAM, *arguments]
    return programs.start(command, environment=os.environ | environment)


def written(folder: Path) -> dict[str, bytes]:
    """All files in a folder, by their path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def program(*arguments: object) -> tuple[int, str]:
    """Run the program in this process, which is quicker: exit code, and its last line on either stream."""
    code, out, err = 0, io.StringIO(), io.StringIO()
    argv = ["prepare", "--num_workers", "0", *map(str, arguments)]
    with patch.object(sys, "argv", argv), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run(prepare.main, "train.prepare")
        except SystemExit as end:
            code = end.code
    return code, (err if code else out).getvalue().splitlines()[-1]


def rows_of(folder: Path, split: str = "train") -> Dataset:
    """The covers of a split."""
    return load_dataset(str(folder), split=split, cache_dir=str(folder.parent / "cache"))


def refusals(folder: Path) -> dict[str, str]:
    """Why files were refused, by name."""
    return {file["source"]: file["reason"] for file in json.loads((folder / "report.json").read_text())["refused"]}
