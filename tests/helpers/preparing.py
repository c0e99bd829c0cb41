"""The preparation as tests run it."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from datasets import Dataset, load_dataset

from train.cli import run
from train.prepare import __main__ as prepare


ROOT = Path(__file__).parents[2]
SIDE = 64


def start(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a process of its own."""
    command = [sys.executable, "-m", "train.prepare", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=120)


def program(*arguments: object) -> tuple[int, str]:
    """Run the program in this process, which is quicker: exit code, and its last line on either stream."""
    code, out, err = 0, io.StringIO(), io.StringIO()
    argv = ["prepare", "--num_workers", "1", *map(str, arguments)]
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
