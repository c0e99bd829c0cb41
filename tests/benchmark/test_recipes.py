"""The program that compares recipes, really run for some seconds each."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import programs
from train.benchmark.recipes import read, table
from train.cli import UserError


ROOT = Path(__file__).parents[2]
STRONGER = "tiny {gradient_penalty_weight: [5.0, 0.5]}"


def launch(*arguments: object) -> subprocess.CompletedProcess[str]:
    # a process of its own, because it counts its processor time
    return programs.run([sys.executable, "-m", "train.benchmark", "recipes", *arguments])


@pytest.mark.slow
def test_each_recipe_trains_as_long_and_none_twice(tiny_dataset: Path, tmp_path: Path) -> None:
    arguments = ("--dataset_name", tiny_dataset, "--minutes", 0.05, "--output_dir", tmp_path / "compare", "--recipe")
    done = launch(*arguments, "tiny")
    assert done.returncode == 0, done.stderr
    (line,) = map(json.loads, (tmp_path / "compare" / "recipes.jsonl").read_text().splitlines())
    assert line["recipe"] == "tiny" and line["images"] > 0
    # three seconds; how exactly they are kept depends on what else runs here
    assert 1 < line["seconds"] < 3 * 1.2 + 1
    assert Image.open(tmp_path / "compare" / line["sheet"]).size == (128, 128)

    again = launch(*arguments, STRONGER, "tiny")
    assert again.returncode == 0, again.stderr
    rows = [line.split(" | ") for line in again.stdout.splitlines()[2:-1]]
    assert {row[0].removeprefix("| ") for row in rows} == {"tiny", STRONGER}
    assert f" {line['images']:,} " in again.stdout  # `tiny` was not trained again
    lines = [json.loads(line) for line in (tmp_path / "compare" / "recipes.jsonl").read_text().splitlines()]
    assert len(lines) == 2 and len({line["sheet"] for line in lines}) == 2
    assert [float(row[3]) for row in rows] == sorted(float(row[3]) for row in rows)


def test_what_follows_a_name_changes_the_recipe() -> None:
    assert read("tiny").gradient_penalty_weight == [0.05, 0.005]
    assert read(STRONGER).gradient_penalty_weight == [5.0, 0.5]
    for text, complaint in (
        ("none", "no such recipe"),
        ("tiny {a: [}", "is not YAML"),
        ("tiny {gamma: 2.0}", "with keys"),
        ("tiny 3", "with keys"),
        ("tiny {loss: best}", "loss: should be"),
    ):
        with pytest.raises(UserError, match=complaint):
            read(text)


def test_the_best_comes_first() -> None:
    line = {"images": 64, "seconds": 9.6, "precision_covers": 0.5, "recall_covers": 0.25, "sliced_wasserstein": 20.0}
    rows = table([line | {"recipe": name, "fd_covers": far} for name, far in (("worse", 9.0), ("good", 2.0))])
    assert rows.splitlines()[2] == "| good | 64 | 10 | 2.0 | 0.50 | 0.25 | 20.0 |"
    assert rows.splitlines()[3].startswith("| worse |")
