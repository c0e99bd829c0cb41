"""The yardstick of covers: what its network sees, that it ships whole, and that it can be trained again."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file

from tests.helpers import programs
from tests.helpers.drawn import draw_cover
from train.benchmark.yardstick import mixed_in
from train.covers import Covers, seeded
from train.metrics.faults import blur, checkerboard, gradients, jpeg, noise, pale, shuffled, textures
from train.metrics.features import COMPONENTS, WEIGHTS, CoverDistances, load_features, save_features
from train.train_features import barlow_twins, damage, in_other_colours, train_features, two_views


ROOT = Path(__file__).parents[2]


def drawn(seeds: range, side: int = 64) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(draw_cover(seed, side))) for seed in seeds])


@pytest.fixture(scope="module")
def real() -> torch.Tensor:
    return drawn(range(400))


@pytest.fixture(scope="module")
def distances(real: torch.Tensor) -> CoverDistances:
    return CoverDistances(load_features(), real[:200])


def random() -> torch.Generator:
    return seeded(1)


FAULTS = {
    "blur": [lambda c, s=s: blur(c, s) for s in (0.5, 1, 2)],
    "noise": [lambda c, s=s: noise(c, s, random()) for s in (5, 15, 40)],
    "jpeg": [lambda c, s=s: jpeg(c, s) for s in (50, 20, 5)],
    "checkerboard": [lambda c, s=s: checkerboard(c, s) for s in (3, 8, 20)],
    "contrast": [lambda c, s=s: pale(c, s) for s in (0.8, 0.5, 0.2)],
    "shuffled": [lambda c, s=s: mixed_in(c, shuffled(c, 4, random()), s) for s in (0.3, 0.6, 1)],
    "gradients": [lambda c, s=s: mixed_in(c, gradients(len(c), 64, random()), s) for s in (0.1, 0.3, 0.5)],
    "textures": [lambda c, s=s: mixed_in(c, textures(len(c), 64, random()), s) for s in (0.1, 0.3, 0.5)],
    "repeated": [lambda c, s=s: c[: 200 // s].repeat(s, 1, 1, 1) for s in (5, 10, 50)],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_distance_rises_with_every_fault(real: torch.Tensor, distances: CoverDistances, fault: str) -> None:
    others = real[200:]
    found = [distances(change(others))["fd_covers"] for change in (lambda covers: covers, *FAULTS[fault])]
    assert all(weaker < stronger for weaker, stronger in pairwise(found)) and found[-1] > 1.5 * found[0]


def test_faults_leave_the_covers_they_were_given_alone(real: torch.Tensor) -> None:
    before = real[:8].clone()
    for changes in FAULTS.values():
        for change in changes[:2]:
            assert change(real)[:8].shape == before.shape
    assert torch.equal(real[:8], before)


def test_shuffling_moves_squares_and_changes_none() -> None:
    cover = torch.arange(16).reshape(4, 4, 1).expand(4, 4, 3).byte()[None]
    moved = shuffled(cover, 2, seeded(4))
    squares = {tuple(moved[0, y : y + 2, x : x + 2, 0].flatten().tolist()) for y in (0, 2) for x in (0, 2)}
    assert squares == {(0, 1, 4, 5), (2, 3, 6, 7), (8, 9, 12, 13), (10, 11, 14, 15)}
    assert not torch.equal(moved, cover)


def test_the_same_covers_are_at_no_distance_and_recalled(real: torch.Tensor, distances: CoverDistances) -> None:
    same = distances(real[:200])
    assert same["fd_covers"] == pytest.approx(0, abs=0.01) and same["precision_covers"] == same["recall_covers"] == 1
    with pytest.raises(ValueError, match="at least 4 covers of each kind, not 3"):
        distances(real[:3])


def test_one_yardstick_serves_every_size(distances: CoverDistances) -> None:
    network = distances.network
    small, large = (network.of(drawn(range(40), side)) for side in (64, 160))
    gaps = torch.cdist(large, small)
    assert (gaps.argmin(1) == torch.arange(40)).double().mean() > 0.9
    assert network.of(drawn(range(4), 16)).shape == (4, COMPONENTS)


def test_features_of_a_cover_do_not_depend_on_its_neighbours(real: torch.Tensor, distances: CoverDistances) -> None:
    network = distances.network
    torch.testing.assert_close(network.of(real[:200])[150:153], network.of(real[150:153]), rtol=1e-3, atol=1e-3)


def test_it_ships_small_and_loads_from_its_file_alone(tmp_path: Path, real: torch.Tensor) -> None:
    assert WEIGHTS.stat().st_size < 3_000_000
    weights = load_file(WEIGHTS)
    assert {value.dtype for value in weights.values() if value.ndim == 4} == {torch.float16}
    assert all(value.isfinite().all() for value in weights.values() if value.is_floating_point())

    exact = load_features()
    for parameter in exact.parameters():
        if parameter.ndim == 4:  # weights that float16 cannot hold
            parameter.mul_(1 + 0.001 * torch.randn(parameter.shape, generator=seeded(2)))
    save_features(exact, tmp_path / "rounded.safetensors")
    rounded = load_features(tmp_path / "rounded.safetensors")
    one, other = exact.of(real[:64]), rounded.of(real[:64])
    assert 0 < (one - other).square().mean().sqrt() < 0.01 * one.std()
    both = [CoverDistances(network, real[:200])(real[200:])["fd_covers"] for network in (exact, rounded)]
    assert both[1] == pytest.approx(both[0], rel=0.01)


def test_barlow_twins_by_hand() -> None:
    one = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    # two features that tell nothing of each other; in the sample's deviation each agrees with itself by 3/4
    assert barlow_twins(one, one).item() == pytest.approx(2 * 0.25**2)
    assert barlow_twins(one, -one).item() == pytest.approx(2 * 1.75**2)
    twice = one[:, :1].repeat(1, 2)
    assert barlow_twins(twice, twice).item() == pytest.approx(2 * 0.25**2 + 0.005 * 2 * 0.75**2)


def test_a_quarter_is_damaged_and_a_part_shows_the_same_grain(real: torch.Tensor) -> None:
    covers = real[:64]
    seen = damage(covers, seeded(1))
    changed = (seen != covers).flatten(1).any(1)
    assert seen.shape == covers.shape and not changed[:48].any() and changed[48:].float().mean() > 0.9
    whole, part = two_views(covers, seeded(1))
    assert whole.shape == (64, 3, 64, 64) and part.shape == (64, 3, 40, 40)
    # other colours are linear in the old ones: what is flat stays flat, and an edge stays where it was
    coloured = in_other_colours(torch.ones(8, 3, 4, 4), seeded(1))
    assert coloured.flatten(2).std(2).max() < 1e-6 and coloured.flatten(1).std(0).min() > 0.05


def test_training_is_a_function_of_its_seed_and_learns(real: torch.Tensor) -> None:
    covers = Covers(Dataset.from_dict({"pixels": [cover.numpy().tobytes() for cover in real]}), 64)
    one, same, other = (train_features(covers, 64, 32, seed, torch.device("cpu")) for seed in (0, 0, 1))
    weight = "stages.0.0.weight"
    assert torch.equal(one.state_dict()[weight], same.state_dict()[weight])
    assert not torch.equal(one.state_dict()[weight], other.state_dict()[weight])
    features = one.of(real)
    assert features.mean(0).abs().max() < 0.01 and (features.T.cov() - torch.eye(COMPONENTS)).abs().max() < 0.02


def launch(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "train.train_features", *map(str, arguments)]
    return programs.run(command, genuine="--train_batch_size" in command)


def test_mistakes_are_one_line_and_nothing_is_overwritten(tiny_dataset: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.safetensors"
    there.write_bytes(b"mine")
    for output, more, complaint in (
        (there, (), "is there already"),
        (tmp_path / "no" / "new.safetensors", (), "no such folder"),
        (tmp_path / "new.safetensors", (), "the recipe wants 64 px"),
        (tmp_path / "new.safetensors", ("--train_batch_size", 8), "must be at least 32"),
    ):
        done = launch("--dataset_name", tiny_dataset, "--output_file", output, *more)
        assert done.returncode == 2 and complaint in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert there.read_bytes() == b"mine"
