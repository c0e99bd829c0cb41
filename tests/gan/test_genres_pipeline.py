"""Genres in a pipeline: asked for by name, and refused where they make no sense."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

import gan
from gan.latents import semantic_directions
from tests.helpers.pictures import drawn
from tests.helpers.tiny import TINY, changed_config, tiny_pipeline
from train.share.model_card import model_card


@pytest.mark.parametrize("name", TINY)
def test_covers_are_asked_for_by_genre(name: str, tmp_path: Path) -> None:
    gan.save_pipeline(tiny_pipeline(name, genres=["rock", "jazz"]), tmp_path / "pipeline", for_strangers=False)
    pipe = gan.load_pipeline(tmp_path / "pipeline")
    assert pipe.genres == ["rock", "jazz"]
    rock, jazz, any_ = (drawn(pipe, seeds=[7, 7, 7], genres=genre) for genre in ("rock", ["jazz"] * 3, None))
    assert (rock[0] == rock).all() and (rock != jazz).any() and (rock != any_).any() and (jazz != any_).any()
    np.testing.assert_array_equal(drawn(pipe, seeds=[7, 7, 7]), any_)
    mixed = drawn(pipe, seeds=[7, 7, 7], genres=["jazz", None, "rock"], batch_size=2)
    for cover, alone in zip(mixed, (jazz, any_, rock), strict=True):
        assert np.abs(cover.astype(int) - alone[0]).max() <= 1
    directions = semantic_directions(pipe.synthesis, 3)  # the page looks for the layer that takes the latents
    assert directions.shape == (3, 10)


def test_genres_that_make_no_sense() -> None:
    pipe, plain = tiny_pipeline("r3gan", genres=["rock", "jazz"]), tiny_pipeline("r3gan")
    with pytest.raises(ValueError, match="no genre 'polka'; there are rock, jazz, and None for any"):
        pipe(seeds=[1, 2], genres=["rock", "polka"])
    with pytest.raises(ValueError, match="one for each of the 3 covers, not 2"):
        pipe(seeds=[1, 2, 3], genres=["rock", "jazz"])
    assert plain.genres == []
    with pytest.raises(ValueError, match="knows no genres"):
        plain(seeds=1, genres="rock")


ABSURD = {
    "10 million": ([str(number) for number in range(10_000_000)], "config.json has more than 1,000,000 bytes"),
    "1,001": ([str(number) for number in range(1001)], "genres must be a list of at most 1000 names"),
    "no list": ("rock", "genres must be a list"),
    "a number": (["rock", 7], "a genre's name has 1 to 100 printable characters, not '7'"),
    "a list": ([["rock"], "jazz"], "a genre's name has 1 to 100"),
    "long": (["rock", "x" * 101], "a genre's name has 1 to 100"),
    "empty": (["rock", ""], "a genre's name has 1 to 100"),
    "two lines": (["rock", "a\nb"], "not 'a\\nb'"),
    "twice": (["rock", "rock"], "two genres have the same name"),
    "one more": (
        ["rock", "jazz", "pop"],
        "genre_embedding.weight is [3, 128] in its files and [4, 128] by its config",
    ),
    "none": ([], "genre_embedding.weight is [3, 128] in its files and missing by its config"),
}


@pytest.mark.parametrize("case", ABSURD)
def test_a_folder_with_absurd_genres_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    gan.save_pipeline(tiny_pipeline("dcgan", genres=["rock", "jazz"]), tmp_path / "pipeline", for_strangers=False)
    genres, line = ABSURD[case]
    changed_config(genres=genres)(tmp_path / "pipeline")
    with pytest.raises(gan.PipelineError, match=re.escape(line)) as raised:
        gan.load_pipeline(tmp_path / "pipeline")
    assert "\n" not in str(raised.value)


def test_a_pipeline_of_before_there_were_genres_loads(tmp_path: Path) -> None:
    gan.save_pipeline(tiny_pipeline("dcgan"), tmp_path / "pipeline", for_strangers=False)
    file = tmp_path / "pipeline" / "synthesis" / "config.json"
    old = {key: value for key, value in json.loads(file.read_text()).items() if key != "genres"}
    file.write_text(json.dumps(old))
    pipe = gan.load_pipeline(tmp_path / "pipeline")
    assert pipe.genres == [] and not any("genre" in key for key in pipe.synthesis.state_dict())
    np.testing.assert_array_equal(drawn(pipe, seeds=[3]), drawn(tiny_pipeline("dcgan"), seeds=[3]))


def test_the_card_says_how_to_ask(tmp_path: Path) -> None:
    card = ModelCard(model_card(tiny_pipeline("dcgan", genres=["hip-hop", "a|b"]), "user/covers", onnx=True)).text
    for told in (
        '`pipe(seeds=[1, 2], genres=["hip-hop", None]).images`',
        "from 0: hip-hop, a\\|b; the label 2 is any.",
        "generator(torch.randn(4, 10), torch.tensor([0, 0, 2, 2]))",
        '{"latents": latents, "labels": numpy.array([0, 0, 2, 2])}',
        "in words but a genre: a seed",
    ):
        assert told in card, told
    plain = model_card(tiny_pipeline("dcgan"), "user/covers", onnx=True)
    assert "genre" not in plain and "labels=" not in plain and "the label" not in plain and "in words: a seed" in plain
