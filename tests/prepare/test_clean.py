import io

import numpy as np
import pytest
from PIL import Image

from tests.helpers.drawn import draw_cover, encode, exif
from train.prepare.clean import NoCover, decode, make_square
from train.prepare.settings import Settings


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(600, 600), (500, 500), (497, 497), (497, 701), (640, 499), (1501, 1500)])
def test_a_jpeg_scaled_in_decoding_gives_the_same_cover(size, fit):
    # fine enough that an eighth of a pixel more or less at one end would be seen
    content = encode(draw_cover(5, 64).resize(size, Image.Resampling.BICUBIC), "JPEG", quality=95)
    decoded = decode(content, Settings(128, 1, 3.0))
    assert decoded.picture.width < size[0] and decoded.pixels == size[0] * size[1]
    cover = make_square(decoded.picture, 128, fit, decoded.extent)
    expected = make_square(Image.open(io.BytesIO(content)), 128, fit)
    error = np.asarray(cover, float) - np.asarray(expected, float)
    assert 10 * np.log10(255**2 / (error**2).mean()) > 40


@pytest.mark.parametrize(("side", "kept"), [(130, 130), (369, 369), (400, 200), (500, 187.5), (1501, 187.625)])
def test_a_jpeg_keeps_half_as_much_again_as_the_cover_needs(side, kept):
    decoded = decode(encode(draw_cover(1, side), "JPEG"), Settings(128, 1, 2.0))
    assert decoded.extent == (kept, kept)
    turned = decode(encode(draw_cover(1, side), "JPEG", exif=exif(6)), Settings(128, 1, 2.0))
    assert turned.extent == (side, side)


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (64, 128)])
def test_the_limits_of_size_and_shape_are_allowed(size):
    content = encode(draw_cover(1, 64).resize(size), "PNG")
    assert decode(content, Settings(64, 64, 2.0)).pixels == size[0] * size[1]
    with pytest.raises(NoCover) as small:
        decode(content, Settings(64, 65, 2.0))
    assert (small.value.reason, small.value.detail) == ("too-small", f"{size[0]} x {size[1]}")
    with pytest.raises(NoCover) as elongated:
        decode(content, Settings(64, 64, 1.49))
    assert elongated.value.reason == "too-elongated"
