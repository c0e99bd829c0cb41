"""The yardsticks: near zero for the same kind of covers, rising with what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ImageFilter

from gan import AlbumCoverPipeline, save_pipeline
from gan.networks import DCGANGenerator
from gan.pipeline_folder import load_pipeline
from tests.helpers import programs
from tests.helpers.drawn import draw_cover
from tests.helpers.sharing import IMAGES, tiny_run
from train.metrics.distances import (
    frechet_distance,
    kernel_distance,
    laplacian_pyramid,
    pairwise_distance,
    precision_recall,
    sliced_wasserstein,
)
from train.metrics.run_facts import shown_images


ROOT = Path(__file__).parents[2]
FLOOR = {32: 25.52, 16: 44.15}  # of drawn covers, x 1000, descriptors of deviation 1: a change of scale shows


def stack(pictures: list) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))


@pytest.fixture(scope="module")
def covers() -> list:
    return [draw_cover(seed, 32) for seed in range(256)]


def test_a_pyramid_adds_up_to_the_image() -> None:
    image = torch.rand(2, 3, 64, 64)
    levels = laplacian_pyramid(image)
    assert {side: band.shape[-1] for side, band in levels.items()} == {64: 64, 32: 32, 16: 16}
    up = torch.nn.functional.interpolate(levels[16], scale_factor=2.0, mode="bilinear")
    up = torch.nn.functional.interpolate(up + levels[32], scale_factor=2.0, mode="bilinear")
    torch.testing.assert_close(up + levels[64], image)


def test_sliced_wasserstein_rises_with_blur_and_noise(covers: list) -> None:
    real, others = stack(covers[:128]), stack(covers[128:])
    floor = sliced_wasserstein(real, others)
    assert floor.keys() == {32, 16} and floor == pytest.approx(
        FLOOR, rel=0.05
    )  # x 1000, of descriptors of deviation 1
    blurred = sliced_wasserstein(real, stack([c.filter(ImageFilter.GaussianBlur(1.5)) for c in covers[128:]]))
    noise = torch.randint(-60, 61, others.shape, generator=torch.Generator().manual_seed(0))
    noisy = sliced_wasserstein(real, (others.int() + noise).clamp(0, 255).byte())
    grey = sliced_wasserstein(real, torch.full_like(others, 128))
    assert blurred[32] > 2 * floor[32] and noisy[32] > 2 * floor[32] and grey[32] > 2 * floor[32]
    assert sliced_wasserstein(real, others) == floor  # drawn from a seed
    assert sliced_wasserstein(real, real.clone())[32] < 2 * floor[32]


def test_sliced_wasserstein_wants_equal_sets(covers: list) -> None:
    with pytest.raises(ValueError, match="not 4 and 3"):
        sliced_wasserstein(stack(covers[:4]), stack(covers[:3]))
    with pytest.raises(ValueError, match="at least 2"):
        sliced_wasserstein(stack(covers[:1]), stack(covers[:1]))


def test_pairwise_distance_is_zero_for_one_cover_drawn_again_and_again(covers: list) -> None:
    assert pairwise_distance(stack([covers[0]] * 8)) == 0
    black_and_white = torch.tensor([0, 255] * 4, dtype=torch.uint8).view(8, 1, 1, 1).expand(8, 4, 4, 3)
    assert pairwise_distance(black_and_white) == 255


def test_frechet_distance_by_hand() -> None:
    # along each of two axes a distance of means and of deviations: |m - n|^2 + |s - t|^2 for features that do not mix
    square = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * 3**0.5 / 2  # sample covariance 1
    real, fake = square * torch.tensor([2.0, 1.0]), square * torch.tensor([5.0, 1.0]) + torch.tensor([0.0, 4.0])
    assert frechet_distance(real, fake) == pytest.approx((5 - 2) ** 2 + 4**2)
    turned = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    assert frechet_distance(real @ turned, fake @ turned) == pytest.approx(25)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-6)
    few = [torch.nn.functional.pad(features, (0, 8)) for features in (real, fake)]  # four covers of ten numbers each
    assert frechet_distance(*few) == pytest.approx(25)


def test_frechet_distance_as_it_is_defined() -> None:
    random = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(count, 20, generator=random) * torch.rand(20, generator=random) for count in (300, 200))
    a, b = real.double().T.cov(), fake.double().T.cov()
    root = torch.linalg.eigvals(a @ b).real.clamp_min(0).sqrt().sum()
    expected = (real.mean(0) - fake.mean(0)).square().sum() + a.trace() + b.trace() - 2 * root
    assert frechet_distance(real, fake) == pytest.approx(expected.item(), rel=1e-4)


def test_kernel_distance_by_hand() -> None:
    real, fake = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])
    # kernel (xy + 1)^3: within 1 and 27; between 1, 1, 8, 27
    assert kernel_distance(real, fake) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)
    random = torch.randn(2, 2000, 4, generator=torch.Generator().manual_seed(0))
    assert abs(kernel_distance(*random)) < 0.01 < kernel_distance(random[0], random[1] + 0.5)


def test_precision_and_recall_by_hand() -> None:
    one, far = torch.arange(8.0)[:, None], torch.arange(8.0)[:, None] + 100
    assert precision_recall(one, one) == (1, 1) and precision_recall(one, far) == (0, 0)
    half = torch.cat([one[:4], far[:4]])  # its 3 is three steps from its neighbours: reaches to 6, not to 7
    assert precision_recall(one, half) == (4 / 8, 7 / 8)
    assert precision_recall(half, one) == (7 / 8, 4 / 8)


def launch(*arguments: str, genuine: bool = False) -> subprocess.CompletedProcess:
    return programs.run([sys.executable, "-m", *arguments], genuine=genuine)


def test_evaluate_compares_generated_with_held_out_covers(tiny_dataset: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = DCGANGenerator(resolution=16, width=8, latent_dim=8)
    save_pipeline(AlbumCoverPipeline(generator.eval()), tmp_path / "pipeline", for_strangers=False)
    command = ("train.evaluate", "--model", str(tmp_path / "pipeline"), "--dataset_name", str(tiny_dataset))
    shown = launch(*command, genuine=True)
    assert shown.returncode == 0, shown.stderr
    assert "sliced Wasserstein x1000, 16 px" in shown.stdout
    assert "generated covers against" in shown.stdout.splitlines()[-1]
    assert "fd_covers (not FID)" in shown.stdout
    scores = json.loads(launch(*command, "--json").stdout)
    assert scores["count"] == 26 and scores["filter"] == "seeds 0 to 25, none left out"
    assert scores["dataset_name"] == "covers-16" and "images" not in scores and "fid" not in scores
    # grey mush is further from covers than covers are, and more alike
    assert scores["sliced_wasserstein"]["mean"] > 2 * scores["real_sliced_wasserstein"]["mean"]
    assert scores["pairwise_distance"] < scores["real_pairwise_distance"] / 2
    assert (
        scores["fd_covers"] > 2 * scores["real_fd_covers"] and scores["recall_covers"] < scores["real_recall_covers"]
    )
    shown_distances = next(line for line in shown.stdout.splitlines() if line.startswith("fd_covers")).split()[-2:]
    assert shown_distances == [f"{scores[key]:.2f}" for key in ("fd_covers", "real_fd_covers")]


def test_evaluate_says_which_covers_it_measured(tmp_path: Path) -> None:
    generator = DCGANGenerator
    run = tiny_run(tmp_path / "run")
    assert shown_images(str(run), None, generator) == IMAGES
    assert shown_images(None, None, type(load_pipeline().synthesis)) > 10_000  # the one that ships
    assert shown_images("user/covers", "images-64", generator) == 64
    assert shown_images("user/covers", "main", generator) is shown_images("user/covers", None, generator) is None


def test_evaluate_mistakes_are_one_line(tiny_dataset: Path, tmp_path: Path) -> None:
    for arguments, complaint in (
        (("--model", str(tmp_path), "--dataset_name", str(tiny_dataset)), "not a pipeline folder"),
        (("--dataset_name", str(tiny_dataset), "--num_images", "3"), "--num_images must be at least 4"),
        (("--dataset_name", str(tiny_dataset), "--inception", "none.pt"), "--inception none.pt: "),
        ((), "--dataset_name"),
    ):
        done = launch("train.evaluate", *arguments)
        assert done.returncode == 2 and complaint in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
