"""Kinds and colours of covers, found without labels."""

import torch

from gan.palettes import palettes
from gan.pipeline import COLOURS
from train.train_gan.conditions import find_clusters


def test_a_cover_of_one_colour_has_that_palette():
    names = list(COLOURS)
    covers = torch.tensor(list(COLOURS.values()), dtype=torch.uint8)[:, None, None].expand(-1, 32, 32, -1)
    found = palettes(covers)
    assert [names[k] for k in found.argmax(1)] == names
    assert found.sum(1).abs().max() < 1e-5
    assert found.max() < 1


def test_halves_of_two_colours_share_the_palette():
    cover = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    cover[:, :16] = torch.tensor(COLOURS["red"], dtype=torch.uint8)
    cover[:, 16:] = torch.tensor(COLOURS["cyan"], dtype=torch.uint8)
    shares = dict(zip(COLOURS, (palettes(cover)[0] + 1 / 12).tolist(), strict=True))
    assert 0.4 < shares["red"] < 0.51 and 0.4 < shares["cyan"] < 0.51


def test_clusters_are_found_and_the_largest_comes_first():
    chance = torch.Generator().manual_seed(0)
    places = 10 * torch.randn(3, 8, generator=chance)
    kinds = torch.tensor([0] * 20 + [1] * 60 + [2] * 40)
    features = places[kinds] + torch.randn(120, 8, generator=chance)
    found, centres = find_clusters(features, 3, chance)
    assert torch.equal(found, torch.tensor([2, 0, 1])[kinds])
    assert torch.allclose(centres.norm(dim=1), torch.ones(3), atol=1e-5)
