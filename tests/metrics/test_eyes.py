"""The yardstick for 128 pixels: each fault worsens the number that is meant to see it."""

import numpy as np
import pytest
import torch

from gan.networks.efficientnet_lite import EfficientNetLite
from tests.helpers.drawn import draw_cover
from train.metrics.eyes import EyeDistances, colour_spread, lattice_db
from train.metrics.faults import blur, noise


@pytest.fixture(scope="module")
def covers() -> torch.Tensor:
    """128 drawn covers of 64 pixels, each another one."""
    return torch.from_numpy(np.stack([np.asarray(draw_cover(seed, 64)) for seed in range(128)]))


@pytest.fixture(scope="module")
def eyes(covers: torch.Tensor) -> EyeDistances:
    """Random features tell covers apart, too; the real ones take minutes here and are measured in the manual."""
    torch.manual_seed(0)
    few = [(32, 24, 32, 3, 2), (24, 40, 48, 3, 2), (40, 112, 80, 3, 2), (112, 320, 112, 3, 2)]
    network = EfficientNetLite(few)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, 0.0, 1.4 / max(1, weight[0].numel()) ** 0.5 if weight.ndim > 1 else 0.1)
    return EyeDistances(covers[:64], network.requires_grad_(False))


def lattice(covers: torch.Tensor, period: int, levels: int) -> torch.Tensor:
    place = (torch.arange(covers.shape[1]) % period == 0).float() * levels
    return (covers + place[:, None, None] + place[None, :, None]).clamp(0, 255).byte()


def test_real_covers_are_nearer_than_damaged_ones(eyes: EyeDistances, covers: torch.Tensor):
    real = eyes(covers[64:])
    for damaged in (blur(covers[64:], 2), noise(covers[64:], 40, torch.Generator().manual_seed(0))):
        found = eyes(damaged)
        assert found["kernel_eyes"] > real["kernel_eyes"]
        assert found["fd_eyes"] > real["fd_eyes"]
    few = eyes(covers[64:66].repeat(32, 1, 1, 1))
    assert few["recall_eyes"] < real["recall_eyes"]
    assert few["colour_spread"] < 0.8 * real["colour_spread"]


def test_the_same_covers_have_no_distance(eyes: EyeDistances, covers: torch.Tensor):
    same = eyes(covers[:64])
    assert same["fd_eyes"] == pytest.approx(0, abs=0.01)
    assert (same["precision_eyes"], same["recall_eyes"]) == (1, 1)


def test_fewer_than_four_covers_are_refused(eyes: EyeDistances, covers: torch.Tensor):
    with pytest.raises(ValueError, match="at least 4 covers"):
        eyes(covers[:3])


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_lattice_is_seen_at_each_period(covers: torch.Tensor, period: int):
    plain = lattice_db(covers)
    assert abs(plain) < 2  # drawn covers have few and sharp edges
    assert lattice_db(lattice(covers, period, 20)) > plain + 1.5
    assert lattice_db(lattice(covers, period, 40)) > lattice_db(lattice(covers, period, 20))


def test_blur_and_noise_are_no_lattice(covers: torch.Tensor):
    plain = lattice_db(covers)
    assert abs(lattice_db(noise(covers, 20, torch.Generator().manual_seed(1))) - plain) < 1
    assert abs(lattice_db(blur(covers, 1)) - plain) < 1


def test_small_covers_have_no_lattice_to_measure(covers: torch.Tensor):
    with pytest.raises(ValueError, match="multiple of 8 from 64 on, not 32"):
        lattice_db(covers[:, :32, :32])


def test_the_spread_of_colours_falls_with_narrower_palettes(covers: torch.Tensor):
    wide = colour_spread(covers)
    grey = covers.float().mean(3, keepdim=True)
    for saturation in (0.7, 0.3, 0.0):
        narrow = colour_spread((grey + saturation * (covers - grey)).round().byte())
        assert narrow < wide
        wide = narrow
    assert wide < 1  # all grey: one direction alone is left
