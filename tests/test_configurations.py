"""Datasets of the Hub with several configurations: one is chosen by name, in every program, or the names are told."""

import json
import os
import sys
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Image

from tests.helpers import programs
from tests.helpers.drawn import draw_cover, draw_dataset, encode
from tests.helpers.hub_repo import Repo
from tests.helpers.hub_server import Hub
from tests.helpers.preparing import rows_of


CARD = """---
configs:
- config_name: seventies
  data_files: [{split: train, path: seventies/train.parquet}, {split: validation, path: seventies/validation.parquet}]
- config_name: eighties
  data_files: [{split: train, path: eighties/train.parquet}]
dataset_info:
- config_name: seventies
  features: [{name: image, dtype: image}, {name: label, dtype: {class_label: {names: {'0': rock, '1': jazz}}}}]
  splits: [{name: train, num_bytes: 1, num_examples: 16}, {name: validation, num_bytes: 1, num_examples: 32}]
  download_size: 1
  dataset_size: 2
- config_name: eighties
  features: [{name: image, dtype: image}, {name: label, dtype: {class_label: {names: {'0': rock, '1': jazz}}}}]
  splits: [{name: train, num_bytes: 1, num_examples: 5}]
  download_size: 1
  dataset_size: 1
---
"""
SEVENTIES, EIGHTIES, HELD_OUT = range(0, 16), range(20, 25), range(30, 62)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("covers")
    features = Features({"image": Image(), "label": ClassLabel(names=["rock", "jazz"])})
    files = {"README.md": CARD.encode()}
    for name, seeds in (
        ("seventies/train", SEVENTIES),
        ("seventies/validation", HELD_OUT),
        ("eighties/train", EIGHTIES),
    ):
        cells = [{"bytes": encode(draw_cover(seed, 64), "PNG"), "path": None} for seed in seeds]
        rows = {"image": cells, "label": [seed % 2 for seed in seeds]}
        Dataset.from_dict(rows, features).to_parquet(folder / "rows.parquet")
        files[f"{name}.parquet"] = (folder / "rows.parquet").read_bytes()
    with Hub() as hub:
        hub.repos["dataset", "user/covers"] = Repo()
        hub.repos["dataset", "user/covers"].commit(files, "all")
        yield hub


def run(hub: Hub, home: Path, module: str, *arguments: object) -> tuple[int, str, str]:
    """Return the exit code, the last line, and all that was said."""
    command = [sys.executable, "-m", module, *arguments]
    ended = programs.run(command, environment=hub.environment(home, HF_HUB_OFFLINE="0"))
    said = ended.stderr + ended.stdout
    return ended.returncode, said.splitlines()[-1], said


def test_preparation_reads_the_one_that_is_named(hub: Hub, tmp_path: Path) -> None:
    options = ("user/covers", "--resolution", 32, "--num_workers", 0, "--validation_fraction", 0)
    for name, count in (("seventies", 48), ("eighties", 5)):
        out = tmp_path / name
        code, line, _ = run(
            hub, tmp_path / "home", "train.prepare", *options, "--output_dir", out, "--dataset_config_name", name
        )
        assert code == 0, line
        assert len(rows_of(out)) == count and set(json.loads((out / "report.json").read_text())["genres"]) == {
            "jazz",
            "rock",
        }
    for more, told in (((), "seventies"), (("--dataset_config_name", "nineties"), "nineties")):
        code, line, said = run(
            hub, tmp_path / "home", "train.prepare", *options, "--output_dir", tmp_path / "no", *more
        )
        assert code == 2 and told in line and "Traceback" not in said, said
        assert more or "choose one with --dataset_config_name" in line
        assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("more", [(), ("--streaming",)])
def test_training_reads_the_one_that_is_named(hub: Hub, tmp_path: Path, more: tuple) -> None:
    recipe = ("--config", "tiny", "--dataset_name", "user/covers", "--class_conditional", "--total_images", 16, *more)
    code, line, said = run(hub, tmp_path / "home", "train.train_gan", *recipe, "--output_dir", tmp_path / "no")
    assert code == 2 and "choose one with --dataset_config_name" in line and "eighties" in line, said
    named = (*recipe, "--dataset_config_name", "seventies", "--output_dir", tmp_path / "run")
    code, line, said = run(hub, tmp_path / "home", "train.train_gan", *named)
    assert code == 0, said
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["covers"] == len(SEVENTIES) and config["genres"] == ["rock", "jazz"]


def test_a_folder_has_no_configurations(tmp_path: Path) -> None:
    pile = draw_dataset(tmp_path / "pile", 2)
    for command in (
        ("train.prepare", pile, "--output_dir", tmp_path / "out"),
        ("train.train_gan", "--config", "tiny", "--dataset_name", pile, "--output_dir", tmp_path / "run"),
    ):
        ended = programs.run(
            [sys.executable, "-m", *command, "--dataset_config_name", "x"], environment=dict(os.environ)
        )
        assert ended.returncode == 2 and "--dataset_config_name is for a dataset on the Hub" in ended.stderr
    assert not (tmp_path / "out").exists() and not (tmp_path / "run").exists()
