"""The program that compares recipes, really run for some seconds each."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from train.benchmark_recipes import Stopwatch, read, table
from train.cli import UserError


ROOT = Path(__file__).parent.parent
STRONGER = "tiny {gradient_penalty_weight: [5.0, 0.5]}"


def launch(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "train.benchmark", "recipes", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_each_recipe_trains_as_long_and_none_twice(tiny_dataset: Path, tmp_path: Path) -> None:
    arguments = ("--dataset_name", tiny_dataset, "--minutes", 0.05, "--output_dir", tmp_path / "compare", "--recipe")
    done = launch(*arguments, "tiny")
    assert done.returncode == 0, done.stderr
    looks = [json.loads(line) for line in (tmp_path / "compare" / "recipes.jsonl").read_text().splitlines()]
    assert [look["recipe"] for look in looks] == ["tiny", "tiny"]  # at half of the time, and at its end
    assert 0 < looks[0]["images"] < looks[1]["images"] and 0 < looks[0]["seconds"] < looks[1]["seconds"]
    # three seconds of training, the two looks at the covers not counted; how exactly depends on what else runs here
    assert 1 < looks[1]["seconds"] < 3 * 1.2 + 1
    assert Image.open(tmp_path / "compare" / looks[1]["sheet"]).size == (128, 128)

    again = launch(*arguments, STRONGER, "tiny")
    assert again.returncode == 0, again.stderr
    rows = [line.split(" | ") for line in again.stdout.splitlines()[2:-1]]
    assert {row[0].removeprefix("| ") for row in rows} == {"tiny", STRONGER}
    assert f" {looks[1]['images']:,} " in again.stdout  # `tiny` was not trained again
    looks = [json.loads(line) for line in (tmp_path / "compare" / "recipes.jsonl").read_text().splitlines()]
    assert len(looks) == 4 and len({look["sheet"] for look in looks}) == 2
    assert [float(row[4]) for row in rows] == sorted(float(row[4]) for row in rows)


def test_what_follows_a_name_changes_the_recipe() -> None:
    assert read("tiny").gradient_penalty_weight == [0.05, 0.005]
    assert read(STRONGER).gradient_penalty_weight == [5.0, 0.5]
    for text, complaint in (
        ("none", "no such recipe"),
        ("tiny {a: [}", "is not YAML"),
        ("tiny {gamma: 2.0}", "with keys"),
        ("tiny 3", "with keys"),
        ("tiny {loss: best}", "loss must be one of"),
    ):
        with pytest.raises(UserError, match=complaint):
            read(text)


def test_pauses_do_not_count() -> None:
    stopwatch = Stopwatch(torch.device("cuda"))  # whose clock is that of the wall; no GPU is needed to read it
    with stopwatch.paused():
        time.sleep(0.3)
    assert stopwatch.seconds < 0.2
    time.sleep(0.05)
    assert stopwatch.seconds >= 0.05


def test_the_best_comes_first() -> None:
    last = {"images": 64, "seconds": 9.6, "precision_covers": 0.5, "recall_covers": 0.25, "sliced_wasserstein": 20.0}
    looks = [
        [last | {"recipe": name, "fd_covers": distance}] * 2 for name, distance in (("worse", 9.0), ("good", 2.0))
    ]
    rows = table(looks).splitlines()
    assert rows[2] == "| good | 64 | 10 | 2.0 | 2.0 | 0.50 | 0.25 | 20.0 |" and rows[3].startswith("| worse |")
