"""The program that tells whether a genre that was asked for shows, really run on drawn covers."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import gan
from tests.helpers import programs
from tests.helpers.tiny import tiny_pipeline
from train.benchmark import __main__ as benchmark
from train.benchmark.genres import Judge


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 covers of 64 px of each of two genres, one nearly black and one nearly white, and five of a third one."""
    folder = tmp_path_factory.mktemp("genres")
    noise = torch.Generator().manual_seed(0)
    for genre, grey, count in (("dark", 0, 80), ("light", 200, 80), ("rare", 100, 5)):
        (folder / "pile" / genre).mkdir(parents=True)
        for number in range(count):
            pixels = torch.randint(grey, grey + 56, (8, 8, 3), generator=noise, dtype=torch.uint8)
            picture = Image.fromarray(pixels.numpy()).resize((64, 64), Image.Resampling.NEAREST)
            picture.save(folder / "pile" / genre / f"{number}.png")
    command = [sys.executable, "-m", "train.prepare", folder / "pile", "--output_dir", folder / "covers-64"]
    command += ["--resolution", "64", "--labels", "folder", "--validation_fraction", "0.4", "--num_workers", "0"]
    command += ["--keep_duplicates"]
    programs.run(command).check_returncode()
    return folder / "covers-64"


def launch(*arguments: object) -> subprocess.CompletedProcess[str]:
    return programs.call(benchmark.main, "train.benchmark", "genres", *arguments)


def test_genres_that_show_are_told_and_asked_for_ones_are_compared(prepared: Path, tmp_path: Path) -> None:
    pipe = tiny_pipeline("dcgan", genres=["light", "dark"])  # in another order than the dataset's
    labels = pipe.synthesis.genre_embedding.weight.data
    pipe.synthesis.layers[-2].weight.data.abs_()  # whatever was drawn before, a positive last layer follows its sign
    labels[0], labels[1] = 50.0, -50.0
    gan.save_pipeline(pipe, tmp_path / "pipeline", for_strangers=False)
    done = launch("--dataset_name", prepared, "--model", tmp_path / "pipeline", "--num_images", 16)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:-1]}
    assert set(rows) == {"dark", "light", "mean"}  # of the third genre too few are held out
    assert rows["mean"][0] == "100.0%"  # real covers
    assert int(rows["dark"][0]) + int(rows["light"][0]) > 40
    # of covers asked for without a genre each is taken for one or the other
    assert sum(float(rows[genre][3][:-1]) for genre in ("dark", "light")) == pytest.approx(100, abs=1)
    assert done.stdout.splitlines()[-1].startswith("chance: 50.0%; 16 generated covers of each")


def test_every_genre_weighs_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    features = [torch.randn(count, 3, generator=generator) + mean for count, mean in ((1000, 0.0), (20, 1.0))]
    called = Judge(features)(torch.tensor([[0.3, 0.3, 0.3], [0.7, 0.7, 0.7]]))
    assert called.tolist() == [0, 1]  # a judge that goes by frequency calls both of them the first


def test_a_generator_without_genres_is_refused_in_one_line(prepared: Path, tiny_pipeline_folder: Path) -> None:
    done = launch("--dataset_name", prepared, "--model", tiny_pipeline_folder)
    bars = "examples"  # of `datasets`, where this test is the first to open the covers
    (line,) = [line for line in done.stderr.splitlines() if line.strip() and bars not in line]
    assert done.returncode == 2 and "fewer than two genres that the generator knows" in line
