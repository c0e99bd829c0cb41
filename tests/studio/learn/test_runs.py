"""Lesson 8: the runs that lie beside it are whole, and kept as the program keeps them."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from gan.studio.tabs.learn.learn import HERE
from train.benchmark.lessons import CURVES, keep
from train.train_gan.recipes import load_recipe


RUNS = HERE / "lessons/runs"
SHOWN = re.search(r"RUNS = \[(.+?)\]", (HERE / "lessons/wrong.js").read_text())[1].replace("'", "").split(", ")


@pytest.mark.parametrize("name", [*SHOWN, "wgan"])
def test_every_run_has_its_curves_sheets_and_recipe(name: str):
    run = json.loads((RUNS / name / "run.json").read_text())
    recipe = load_recipe(str(RUNS / name / "recipe.yaml"), {})
    assert recipe.resolution == 32
    last = run["sheets"][-1][0]
    assert 0 <= last - recipe.total_images < recipe.train_batch_size  # the last step is a whole batch
    assert 0 <= last - run["curves"]["loss_d"][-1][0] < 1000  # of steps that are not all logged
    for _, file in run["sheets"]:
        with Image.open(RUNS / name / file) as sheet:
            assert sheet.width == sheet.height
    for language in ("en", "de"):
        words = json.loads((HERE / f"lessons/words/{language}.json").read_text())["lessons"]["wrong"]["words"]
        assert name == "wgan" or {name, f"{name}-says"} <= set(words)


def test_the_lesson_shows_all_that_is_there():
    assert {folder.name for folder in RUNS.iterdir()} == {*SHOWN, "wgan"}


def test_a_finished_run_is_kept(straight: Path, tmp_path: Path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("network: r3gan\n")
    folder = keep(straight, recipe, tmp_path / "runs")
    run = json.loads((folder / "run.json").read_text())
    lines = [json.loads(line) for line in (straight / "metrics.jsonl").read_text().splitlines()]
    for name in CURVES:
        assert run["curves"].get(name, []) == [
            [line["images"], round(line[name], 4)] for line in lines if name in line
        ]
    assert [images for images, _ in run["sheets"]] == [400, 800]
    assert all((folder / file).is_file() for _, file in run["sheets"])
    assert (folder / "recipe.yaml").read_text() == recipe.read_text()
