"""Children, crosses and faders, as numbers and as the page's functions give them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gan import load_pipeline
from gan.latents import child, cross, semantic_directions
from gan.studio.checks import Refused
from gan.studio.model import Model
from gan.studio.tabs.breed import CHILDREN, Breed
from tests.helpers.tiny import TINY, tiny_pipeline


@pytest.fixture(scope="module")
def breed(tiny_pipeline_folder: Path) -> Breed:
    return Breed(Model(load_pipeline(tiny_pipeline_folder), "user/covers"))


def test_a_child_keeps_its_parents_length_and_is_as_different_as_asked_for() -> None:
    parent = torch.randn(64, generator=torch.Generator().manual_seed(0)) * 0.7
    noise = torch.randn(12, 64, generator=torch.Generator().manual_seed(1)) * 3
    torch.testing.assert_close(child(parent, noise, 0.0), parent.expand(12, -1))
    likeness = []
    for difference in (0.1, 0.4, 0.9):
        children = child(parent, noise, difference)
        torch.testing.assert_close(children.norm(dim=1), parent.norm().expand(12))
        likeness.append(torch.cosine_similarity(children, parent[None]).mean().item())
    assert likeness == sorted(likeness, reverse=True) and likeness[0] > 0.95
    nothing_left = child(parent, noise, 1.0)
    torch.testing.assert_close(torch.cosine_similarity(nothing_left, noise), torch.ones(12))


def test_a_cross_has_each_number_from_one_parent() -> None:
    a, b = torch.zeros(6), torch.ones(6)
    take_b = torch.tensor([[True, False] * 3, [False] * 6])
    torch.testing.assert_close(cross(a, b, take_b), take_b.float())


@pytest.mark.parametrize("name", sorted(TINY))
def test_the_first_direction_moves_the_first_layer_more_than_any_other(name: str) -> None:
    synthesis = tiny_pipeline(name).synthesis
    dim = synthesis.config.latent_dim
    directions = semantic_directions(synthesis, dim)
    torch.testing.assert_close(directions @ directions.T, torch.eye(dim), atol=1e-5, rtol=0)
    first_layer = next(m for m in synthesis.modules() if isinstance(m, torch.nn.Linear | torch.nn.ConvTranspose2d))

    def change(direction: torch.Tensor) -> float:
        bias, first_layer.bias = first_layer.bias, None  # what is added whatever the latents are
        x = direction[None, :, None, None] if isinstance(first_layer, torch.nn.ConvTranspose2d) else direction[None]
        moved = first_layer(x).norm().item()
        first_layer.bias = bias
        return moved

    with torch.no_grad():
        changes = [change(direction) for direction in directions]
        assert changes == sorted(changes, reverse=True) and changes[0] > 1.2 * changes[-1]
        other = torch.randn(50, dim, generator=torch.Generator().manual_seed(0))
        assert changes[0] >= max(change(o / o.norm()) for o in other)
    with pytest.raises(ValueError, match=f"1 to {dim}"):
        semantic_directions(synthesis, dim + 1)


def test_twelve_children_that_are_the_same_for_ever(breed: Breed) -> None:
    asked = {"parent": "seed=3&truncation=0.8", "mate": None, "difference": 0.3, "seed": 5}
    litter = breed.litter(asked)
    addresses = [one["address"] for one in litter["children"]]
    assert len(set(addresses)) == CHILDREN and litter["parent"]["address"].startswith("seed=3&")
    assert [one["address"] for one in breed.litter(asked)["children"]] == addresses
    assert addresses != [one["address"] for one in breed.litter(asked | {"seed": 6})["children"]]
    # near to the parent, and the address is all that is needed
    parent = breed.model.points_of([breed.model.read(asked["parent"])])
    for address in addresses:
        point = breed.model.points_of([breed.model.read(address)])
        assert 0.75 < torch.cosine_similarity(point, parent).item() < 0.99


def test_crosses_lie_between_both_parents(breed: Breed) -> None:
    litter = breed.litter({"parent": "seed=3", "mate": "seed=9", "difference": 0.3, "seed": 5})
    a, b = breed.model.points_of([breed.model.address(3), breed.model.address(9)])
    points = [breed.model.points_of([breed.model.read(one["address"])])[0] for one in litter["children"]]
    to_b = [torch.cosine_similarity(point, b, 0).item() for point in points[: CHILDREN // 2]]
    assert to_b == sorted(to_b)
    for point in points[CHILDREN // 2 :]:
        from_a, from_b = (torch.isclose(point, parent, atol=2e-3) for parent in (a, b))
        assert (from_a | from_b).all() and from_a.any() and from_b.any()


def test_faders(breed: Breed) -> None:
    still = breed.fade({"cover": "seed=3", "amounts": [0, 0, 0, 0, 0, 0]})
    assert still["cover"]["address"].startswith("seed=3&") and "ends" not in still  # a fader at rest changes nothing
    moved = breed.fade({"cover": "seed=3", "amounts": [0.5, 0, 0, 0, 0, 0], "ends": True})
    assert moved["cover"]["address"].startswith("latents=") and len(moved["ends"]) == 12
    there = breed.model.points_of([breed.model.read(moved["cover"]["address"])])[0]
    start, direction = breed.model.points_of([breed.model.address(3)])[0], breed.directions[0]
    assert there.norm().item() == pytest.approx(start.norm().item(), rel=2e-3)  # where covers stay covers
    assert there @ direction > start @ direction + 0.5
    aside = [one - (one @ direction) * direction for one in (start, there)]
    assert torch.cosine_similarity(*aside, 0) > 0.999  # nothing else changes


def test_the_shown_picture_is_the_addresss(breed: Breed) -> None:
    from tests.helpers.pictures import pixels

    cover = breed.fade({"cover": "seed=3", "amounts": [0.5]})["cover"]
    drawn = breed.model.draw([breed.model.read(cover["address"])])[0]
    assert np.array_equal(pixels(cover["src"]), np.asarray(drawn))


@pytest.mark.parametrize(
    "asked",
    (
        None,
        {},
        {"parent": "seed=-1", "difference": 0.3, "seed": 1},
        {"parent": "seed=1", "difference": float("nan"), "seed": 1},
        {"parent": "seed=1", "difference": 1.5, "seed": 1},
        {"parent": "seed=1", "difference": 0.3, "seed": "1"},
        {"parent": "seed=1", "mate": ["seed=2"], "difference": 0.3, "seed": 1},
        {"parent": "seed=1&model=other/model", "difference": 0.3, "seed": 1},
    ),
)
def test_a_wrong_litter_is_refused(breed: Breed, asked: object) -> None:
    with pytest.raises(Refused):
        breed.litter(asked)


@pytest.mark.parametrize("amounts", (None, [], [2.0], [float("nan")], [0.0] * 7, ["a"], "0"))
def test_wrong_faders_are_refused(breed: Breed, amounts: object) -> None:
    with pytest.raises(Refused):
        breed.fade({"cover": "seed=1", "amounts": amounts})
