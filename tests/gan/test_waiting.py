"""Threads soon sleep while they wait, in every program here: set before torch is loaded, which reads it once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="another OpenMP")
@pytest.mark.parametrize(
    ("code", "settings", "spins"),
    [
        ("import train, torch", {}, "10000"),
        ("import gan, torch", {}, "10000"),
        ("import app, sys; assert 'torch' not in sys.modules; import gan.pipeline_folder", {}, "10000"),
        ("import torch", {}, "300000"),  # what libgomp does by itself
        ("import train, torch", {"GOMP_SPINCOUNT": "7"}, "7"),
        ("import train, torch", {"OMP_WAIT_POLICY": "PASSIVE"}, "0"),
    ],
)
def test_what_openmp_is_told(code: str, settings: dict[str, str], spins: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    environment = kept | {"OMP_DISPLAY_ENV": "VERBOSE"} | settings
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and f"GOMP_SPINCOUNT = '{spins}'" in done.stderr


def test_what_the_user_says_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import train, os; print(os.environ['OMP_WAIT_POLICY'])"
    command, root = [sys.executable, "-c", code], Path(__file__).parents[2]
    said = subprocess.run(command, cwd=root, env=os.environ | {"OMP_WAIT_POLICY": "ACTIVE"}, capture_output=True)
    assert said.stdout.strip() == b"ACTIVE"
