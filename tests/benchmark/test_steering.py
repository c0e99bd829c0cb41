"""The program that measures steering, really run on a painter whose kinds are known."""

import subprocess
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import gan
from gan.networks.efficientnet_lite import load_efficientnet_lite
from gan.palettes import palettes
from tests.helpers import programs
from tests.helpers.tiny import tiny_pipeline
from train.benchmark import __main__ as benchmark
from train.benchmark.steering import draw
from train.covers import to_float
from train.train_gan.encoded import Encoded, write


COUNT = 64


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A painter of two kinds that differ, and what its run knows of them: the clusters of what it draws itself."""
    folder = tmp_path_factory.mktemp("run")
    pipe = tiny_pipeline("painter", clusters=2, palette=12)
    pipe.synthesis.cluster_embedding.weight.data[:2] = torch.tensor([[6.0], [-6.0]])
    pipe.synthesis.cluster_embedding.weight.data[2] = 0.0
    pipe.synthesis.palette_embedding.weight.data.zero_()  # of colours it has learned nothing
    gan.save_pipeline(pipe, folder / "pipeline", for_strangers=False)
    covers = torch.cat([draw(pipe, COUNT, clusters=[kind] * COUNT) for kind in (0, 1)])
    seen = load_efficientnet_lite(0).pooled(to_float(covers))
    deviation, mean = torch.std_mean(seen, 0)
    deviation = deviation.clamp_min(1e-6)
    points = F.normalize((seen - mean) / deviation, dim=1)
    nothing = torch.zeros(0)
    encoded = Encoded(
        latents=torch.arange(2 * COUNT).view(-1, 1, 1, 1).expand(-1, 1, 2, 2) % 7,  # as many values in both kinds
        mean=nothing,
        deviation=nothing,
        palettes=palettes(covers),
        clusters=torch.arange(2).repeat_interleave(COUNT),
        centres=F.normalize(torch.stack([part.mean(0) for part in points.split(COUNT)]), dim=1),
        seen_mean=mean,
        seen_deviation=deviation,
        map_means=nothing,
        map_deviations=nothing,
    )
    write(encoded, folder / "encoded.safetensors", "digest")
    return folder


def launch(*arguments: object) -> subprocess.CompletedProcess[str]:
    return programs.call(benchmark.main, "train.benchmark", "steering", *arguments)


def test_kinds_that_differ_are_told_and_colours_that_are_ignored_are_seen(run_folder: Path) -> None:
    done = launch(run_folder, "--num_images", COUNT, "--guesses", 16)
    assert done.returncode == 0, done.stderr
    first, *rows, varied, last = done.stdout.splitlines()
    asked, free = (float(part.split("%")[0].split()[-1]) for part in first.split(";")[:2])
    shares = {row.split()[0]: row.split()[1:] for row in rows}
    assert abs(asked - free) < 0.11  # whatever colours are asked for, it draws the same covers
    assert shares["red"][0] != "100%" and shares["1"][0] == shares["2"][0] == "50.0%"
    drawn, real = (float(part.split("%")[0].split()[-1]) for part in varied.split(";"))
    assert drawn > 0 and 95 <= real <= 105
    assert float(last.split("%")[0]) > 90 and "chance 50.0%" in last


def test_as_few_covers_as_kinds_do_not_show_how_they_vary(run_folder: Path) -> None:
    done = launch(run_folder, "--num_images", 2, "--guesses", 1)
    assert done.returncode == 0, done.stderr
    assert "vary" not in done.stdout and "chance 50.0%" in done.stdout


@pytest.mark.parametrize("missing", ["pipeline", "encoded.safetensors"])
def test_a_folder_of_something_else_is_refused_in_one_line(run_folder: Path, tmp_path: Path, missing: str) -> None:
    for part in {"pipeline", "encoded.safetensors"} - {missing}:
        (tmp_path / part).symlink_to(run_folder / part)
    done = launch(tmp_path)
    assert done.returncode == 2 and "not a painter's run" in done.stderr and done.stderr.count("\n") == 1
