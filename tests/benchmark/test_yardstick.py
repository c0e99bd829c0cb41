"""The program that tests the yardstick, really run at a small size, and its table read."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers import programs
from tests.helpers.drawn import draw_cover
from train.benchmark import __main__ as benchmark
from train.benchmark.yardstick import CLUSTERS, WIDTH, clusters, mixed_in


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 drawn covers of 64 px of two genres, and five of a third one."""
    folder = tmp_path_factory.mktemp("yardstick")
    for genre, first, count in (("left", 0, 100), ("right", 100, 100), ("rare", 200, 5)):
        (folder / "pile" / genre).mkdir(parents=True)
        for number in range(count):
            draw_cover(first + number, 64).save(folder / "pile" / genre / f"{number}.png")
    command = [sys.executable, "-m", "train.prepare", folder / "pile", "--output_dir", folder / "covers-64"]
    command += ["--resolution", "64", "--labels", "folder", "--validation_fraction", "0.3", "--num_workers", "0"]
    programs.run(command).check_returncode()
    return folder / "covers-64"


def launch(*arguments: object) -> subprocess.CompletedProcess[str]:
    return programs.call(benchmark.main, "train.benchmark", "yardstick", *arguments)


@pytest.mark.slow
def test_the_table_holds_every_fault_and_the_generator(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.benchmark.yardstick.SLICED", 8)  # most of the time is theirs
    done = launch("--dataset_name", prepared, "--genres", prepared, "--genre_images", 40, "--num_images", 40)
    assert done.returncode == 0, done.stderr
    rows = {line[:WIDTH].strip(): line[WIDTH:].split() for line in done.stdout.splitlines()[:-1]}
    floor = rows["40 real covers: the floor"]
    assert float(floor[1]) == float(floor[5]) == 1 and "its deviation in 3 draws" in rows
    for fault, least, most in (
        ("blur", "0.5 px", "2 px"),
        ("gradients", "10%", "50%"),
        ("contrast", "x 0.8", "x 0.2"),
    ):
        weak, strong = (rows[f"{fault}, {strength}"] for strength in (least, most))
        assert float(strong[0]) > float(weak[0]) and float(strong[1]) > 1.5
        # rounded to two digits
        assert float(strong[1]) == pytest.approx(float(strong[0]) / float(floor[0]), rel=0.01)
    assert float(rows["generator, not trained"][0]) > float(rows["generator, the one that ships"][0])
    assert {name for name in rows if name.startswith("one genre")} == {"one genre, left", "one genre, right"}
    assert done.stdout.splitlines()[-1] == "against 40 held-out covers; sliced Wasserstein: 8 of each"


def test_mistakes_are_one_line(prepared: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    for arguments, complaint in (
        (("--dataset_name", prepared, "--features", tmp_path / "none"), "--features"),
        (("--dataset_name", prepared, "--genres", prepared), "no genre has 700 covers"),
        (("--dataset_name", prepared, "--num_images", 39), "needs at least 40 covers"),
        (("--dataset_name", tiny_dataset), "the recipe wants 64 px"),
    ):
        done = launch(*arguments)
        assert done.returncode == 2 and complaint in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_mixing_replaces_the_share_that_is_said() -> None:
    ones, zeros = torch.ones(10, 2, 2, 3, dtype=torch.uint8), torch.zeros(10, 2, 2, 3, dtype=torch.uint8)
    assert [mixed_in(ones, zeros, share)[:, 0, 0, 0].sum().item() for share in (0.1, 0.3, 1.0)] == [9, 7, 0]


def test_clusters_gather_what_looks_alike() -> None:
    black, white = torch.zeros(60, 64, 64, 3, dtype=torch.uint8), torch.full((60, 64, 64, 3), 255, dtype=torch.uint8)
    found = clusters(torch.cat([black, white]))
    assert len(found) == 120 and found.max() < CLUSTERS
    assert not set(found[:60].tolist()) & set(found[60:].tolist())
