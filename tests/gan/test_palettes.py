"""Colours as they are named, measured and written."""

import numpy as np
import pytest
from PIL import Image

from gan.palettes import colours_of, read_colours, write_colours
from gan.pipeline import COLOURS


def test_the_colours_of_a_picture_are_named_with_their_shares() -> None:
    picture = Image.new("RGB", (64, 64), COLOURS["red"])
    picture.paste(COLOURS["black"], (0, 0, 64, 16))
    shares = read_colours(colours_of(picture))
    assert list(shares) == ["black", "red"] and abs(shares["black"] - 25) <= 2 and abs(shares["red"] - 75) <= 2
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    assert sum(read_colours(colours_of(noise)).values()) <= 100 + len(COLOURS)


def test_what_is_written_is_read_again() -> None:
    assert read_colours("red30-black10") == {"red": 30, "black": 10} and read_colours("red") == {"red": 1}
    assert write_colours({"red": 30, "black": 10}) == "black10-red30"


@pytest.mark.parametrize(
    "text", ["", "beige", "red0", "red101", "red1000", "red-red", "red-", "Red", "red 1", "red-1"]
)
def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_colours(text)
