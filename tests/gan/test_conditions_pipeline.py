"""Kinds and colours that a painter can be asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch

import gan
from gan.palettes import palettes
from gan.pipeline import COLOURS, AlbumCoverPipeline
from tests.helpers.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def pipe() -> AlbumCoverPipeline:
    return tiny_pipeline("painter", clusters=3, palette=12)


def drawn(pipe: AlbumCoverPipeline, **asked) -> np.ndarray:
    return pipe(seeds=[1, 2, 3], output_type="np", **asked).images


def test_kinds_and_colours_are_asked_for_each_cover_or_for_all(pipe: AlbumCoverPipeline):
    assert pipe.clusters == 3 and pipe.colours == list(COLOURS)
    free = drawn(pipe)
    assert np.array_equal(free, drawn(pipe, clusters=None, colours=[None] * 3))
    each = drawn(pipe, clusters=[0, None, 2])
    assert np.array_equal(each[1], free[1])
    assert np.allclose(each[0], drawn(pipe, clusters=0)[0], atol=1e-5) and not np.allclose(each[0], free[0])
    red = drawn(pipe, colours={"red": 3, "black": 1})
    assert np.allclose(red, drawn(pipe, colours=[{"red": 0.75, "black": 0.25}] * 3), atol=1e-5)
    assert not np.allclose(red, drawn(pipe, colours={"red": 1}))


def test_shares_are_those_that_it_learned_from(pipe: AlbumCoverPipeline):
    plain = torch.tensor(COLOURS["red"]).expand(1, 16, 16, 3).byte()
    asked = pipe.prepare_conditions(1, colours={"red": 1})["palette"]
    assert torch.allclose(asked, palettes(plain), atol=0.02)
    assert torch.equal(pipe.prepare_conditions(1)["palette"], torch.zeros(1, 12))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"clusters": 3}, "there is no cluster 3; there are 0 to 2"),
        ({"clusters": -1}, "there is no cluster -1"),
        ({"clusters": True}, "there is no cluster True"),
        ({"clusters": [1, 2]}, "give one cluster, or one for each of the 3 covers, not 2"),
        ({"colours": {"beige": 1}}, "there is no colour 'beige'; there are black, white"),
        ({"colours": {"red": 0}}, "not all 0"),
        ({"colours": {"red": -1, "blue": 2}}, "numbers from 0 on"),
        ({"colours": {"red": float("nan")}}, "numbers from 0 on"),
        ({"colours": {"red": float("inf")}}, "numbers from 0 on"),
        ({"colours": [{"red": 1}]}, "give one colour"),
        ({"genres": "rock"}, "knows no genres"),
    ],
)
def test_what_there_is_not_is_refused(pipe: AlbumCoverPipeline, asked: dict, words: str):
    with pytest.raises(ValueError, match=words):
        drawn(pipe, **asked)


@pytest.mark.parametrize("asked", [{"clusters": 1}, {"colours": {"red": 1}}])
def test_generators_without_say_so(asked: dict):
    for name in ("dcgan", "painter"):
        with pytest.raises(ValueError, match="leave them out"):
            tiny_pipeline(name)(seeds=1, **asked)


def test_they_travel_with_the_pipeline(pipe: AlbumCoverPipeline, tmp_path: Path):
    gan.save_pipeline(pipe, tmp_path / "pipeline")
    loaded = gan.load_pipeline(tmp_path / "pipeline")
    assert np.array_equal(drawn(loaded, clusters=1, colours={"blue": 1}), drawn(pipe, clusters=1, colours={"blue": 1}))
    covers = torch.export.load(tmp_path / "pipeline/generator.pt2").module()(torch.randn(2, 10))
    assert covers.shape == (2, 3, 32, 32)
