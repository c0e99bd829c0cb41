"""The manual's step for datatrove, run as printed by its local executor."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.drawn import draw_dataset
from tests.helpers.preparing import program, written


ROOT = Path(__file__).parents[2]


def test_the_manuals_step_gives_the_bytes_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("datatrove", reason="needs the package datatrove")
    draw_dataset(tmp_path / "my-covers", 6, 128)
    (code,) = re.findall(
        r"```python\n(import subprocess, sys\nfrom datatrove.+?)```", (ROOT / "train/README.md").read_text(), re.S
    )
    (tmp_path / "step.py").write_text(code.replace("tasks=4, workers=4", "tasks=3, workers=2"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    ended = subprocess.run(
        [sys.executable, "step.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    whole = tmp_path / "whole" / "covers-128"
    assert program(tmp_path / "my-covers", "--output_dir", whole)[0] == 0
    assert written(tmp_path / "covers-128") == written(whole)
