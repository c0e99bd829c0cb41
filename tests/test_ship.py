"""A run's best generator becomes the one that ships."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import gan
from gan.survey import load_survey
from tests.helpers.tiny import tiny_pipeline
from train.cli import UserError
from train.sheet import draw_sheet
from train.ship import ship


WEIGHTS = "synthesis/diffusion_pytorch_model.safetensors"
LINES = [
    {"images": 100, "loss_d": 1.0},
    {"images": 200, "fd_covers": 9.0},
    {"images": 300, "fd_covers": 4.0},
    {"images": 400, "fd_covers": 5.0},
]


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    gan.save_pipeline(tiny_pipeline("r3gan", seed=1), folder / "best", for_strangers=False)
    (folder / "config.json").write_text('{"network": "r3gan"}')
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in LINES))
    (folder / "film.webp").write_bytes(b"film")
    return folder


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """What ships so far: another network, in several files, and what was measured of it."""
    folder = tmp_path / "pretrained"
    gan.save_pipeline(tiny_pipeline("dcgan"), folder, for_strangers=False)
    for name in (
        "scores.json",
        "copies.json",
        "covers.index.safetensors",
        "cover_features.safetensors",
        "film.webp",
        "survey.safetensors",
    ):
        (folder / name).write_bytes(b"old")
    (folder / "synthesis" / "diffusion_pytorch_model-00002-of-00002.safetensors").write_bytes(b"old")
    return folder


def test_the_best_ships_in_half_the_bytes_and_nothing_stays_of_the_one_before(run_folder: Path, shipped: Path):
    before = {file.name for file in run_folder.iterdir()}
    images, gap = ship(run_folder, shipped, 64)
    assert {file.name for file in run_folder.iterdir()} == before
    pipe = gan.load_pipeline(shipped)
    assert type(pipe.synthesis).__name__ == "R3GANGenerator"
    assert {value.dtype for value in load_file(shipped / WEIGHTS).values() if value.ndim > 1} == {torch.float16}
    best = gan.load_pipeline(run_folder / "best")
    drawn = [np.asarray(p(seeds=list(range(64))).images, dtype=int) for p in (pipe, best)]
    assert images == 300 and gap == pytest.approx(np.abs(drawn[0] - drawn[1]).mean()) and 0 < gap < 0.1
    assert np.array_equal(Image.open(shipped / "sheet.png"), draw_sheet(pipe.synthesis))
    assert {file.name for file in shipped.iterdir()} == {
        "config.json", "metrics.jsonl", "model_index.json", "synthesis", "sheet.png", "film.webp",
        "cover_features.safetensors", "survey.safetensors",
    }  # fmt: skip
    assert (shipped / "film.webp").read_bytes() == b"film"
    assert len(load_survey(shipped / "survey.safetensors").colours) == 64  # made anew
    assert (shipped / "cover_features.safetensors").read_bytes() == b"old"  # the yardstick is not the generator's
    lines = [json.loads(line) for line in (shipped / "metrics.jsonl").read_text().splitlines()]
    assert lines == LINES[:3]  # how far the best one was


def test_the_best_is_the_one_that_training_chose(run_folder: Path, shipped: Path):
    kids = [9.0, 5.0, 4.0]
    lines = [line | {"kid": kid} for line, kid in zip(LINES[1:], kids, strict=True)]
    (run_folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert ship(run_folder, shipped, 64)[0] == 400


def test_strange_lines_of_metrics_do_not_ship(run_folder: Path, shipped: Path):
    strange = ("[" * 100_000, "7", "null", '"fd_covers"', '{"images": 1, "fd_covers": NaN}', '{"fd_covers": 0.1}')
    with open(run_folder / "metrics.jsonl", "a") as file:
        file.writelines(f"{line}\n" for line in strange)
    assert ship(run_folder, shipped, 64)[0] == 300
    lines = [json.loads(line) for line in (shipped / "metrics.jsonl").read_text().splitlines()]
    assert lines == [*LINES[:3], {"images": 1}]


@pytest.mark.parametrize("missing", ["best/model_index.json", "metrics.jsonl", "config.json"])
def test_what_is_no_run_leaves_what_ships_alone(run_folder: Path, shipped: Path, missing: str):
    before = {file: file.read_bytes() for file in shipped.rglob("*") if file.is_file()}
    (run_folder / missing).unlink()
    with pytest.raises(UserError, match="not a run folder"):
        ship(run_folder, shipped, 64)
    assert {file: file.read_bytes() for file in shipped.rglob("*") if file.is_file()} == before


def test_a_run_that_measured_nothing_is_refused(run_folder: Path, shipped: Path):
    (run_folder / "metrics.jsonl").write_text(json.dumps(LINES[0]) + "\n")
    with pytest.raises(UserError, match="does not tell which covers were best"):
        ship(run_folder, shipped, 64)
