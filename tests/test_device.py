"""How many threads a process takes."""

import math
import os
from pathlib import Path

import pytest
import torch

from tests.helpers import programs
from train import device
from train.cli import LAUNCHED
from train.device import cpu_quota, cpu_threads
from train.train_gan import __main__ as train_gan


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, 8),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "1"}, 1),  # somebody shares the machine with others
        ({"OMP_NUM_THREADS": "1", LAUNCHED: "no"}, 8),  # accelerate launch says so when nobody else did
        ({"OMP_NUM_THREADS": "3", LAUNCHED: "no"}, 3),
        ({"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "4"}, 2),
        ({"OMP_NUM_THREADS": "4,2"}, 8),
    ],
)
def test_threads_are_those_asked_for_or_all(
    environment: dict[str, str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "LOCAL_WORLD_SIZE", LAUNCHED):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(device, "cpu_quota", lambda: math.inf)
    assert cpu_threads() == threads


@pytest.mark.parametrize(
    ("recipe", "asked", "threads"),
    [("tiny", None, 1), ("r3gan-cpu", None, 2), ("tiny", "2", 2), ("r3gan-cpu", "1", 1)],
)
def test_small_networks_are_trained_with_one_thread(
    recipe: str, asked: str | None, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "LOCAL_WORLD_SIZE", LAUNCHED):
        monkeypatch.delenv(name, raising=False)
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    monkeypatch.setattr(device, "cpu_quota", lambda: math.inf)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        command = ["--config", recipe, "--dataset_name", tmp_path, "--output_dir", tmp_path / "run", "--dry_run"]
        assert not programs.call(train_gan.main, "train.train_gan", *command).returncode
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_no_more_threads_than_a_container_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(device, "cpu_quota", lambda: 2.0)
    assert cpu_threads() == 2


def test_a_container_has_the_cores_that_it_was_given(tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    for content, cores in (("max 100000", math.inf), ("250000 100000", 2.5), ("10000 100000", 1.0), ("", math.inf)):
        file.write_text(content + "\n")
        assert cpu_quota(file) == cores
    assert cpu_quota(tmp_path / "none") == math.inf
