"""Whatever is done to a file's bytes, it ends as a cover or as a refusal with a reason."""

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from PIL import Image

from tests.helpers.drawn import draw_cover, encode
from train.prepare.clean import REASONS, NoCover, prepare_cover, thumbnail
from train.prepare.items import Item
from train.prepare.parts import judge
from train.prepare.settings import Settings


SETTINGS = Settings(32, 16, 2.0)
COVER = draw_cover(1, 64)
FILES = {
    "a.jpg": encode(COVER, "JPEG", quality=80, exif=Image.Exif()),
    "progressive.jpg": encode(COVER, "JPEG", quality=60, progressive=True),
    "cmyk.jpg": encode(COVER.convert("CMYK"), "JPEG"),
    "grey.jpg": encode(COVER.convert("L"), "JPEG"),
    "a.png": encode(COVER, "PNG"),
    "palette.png": encode(COVER.quantize(16), "PNG", transparency=3),
    "deep.png": encode(COVER.convert("I;16"), "PNG"),
    "a.gif": encode(COVER, "GIF"),
    "a.webp": encode(COVER, "WEBP"),
    "a.bmp": encode(COVER, "BMP"),
    "a.tif": encode(COVER, "TIFF", compression="tiff_lzw"),
    "a.jp2": encode(COVER, "JPEG2000"),
    "a.avif": encode(COVER, "AVIF"),
}
KINDS = ("overwrite", "insert", "cut", "drop")
Change = tuple[str, float, bytes]


def changed(content: bytes, changes: list[Change]) -> bytes:
    for what, where, junk in changes:
        place = int(where * len(content))
        if what == "overwrite":
            content = content[:place] + junk + content[place + len(junk) :]
        elif what == "insert":
            content = content[:place] + junk + content[place:]
        elif what == "cut":
            content = content[:place]
        else:
            content = content[:place] + content[place + len(junk) :]
    return content


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    changes=some.lists(
        some.tuples(
            some.sampled_from(["overwrite", "insert", "cut", "drop"]), some.floats(0, 1), some.binary(max_size=9)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_change_of_a_file_ends_as_a_cover_or_with_a_reason(name, changes):
    content = changed(FILES[name], changes)
    outcome = judge(Item(name, content), SETTINGS)
    if isinstance(outcome, NoCover):
        assert outcome.reason in REASONS
        thumbnail(content)
    else:
        cover = Image.open(io.BytesIO(outcome.image))
        assert cover.size == (32, 32) and len(outcome.sha256) == 32 and 0 <= outcome.phash < 2**64


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_a_cover_as_long_as_nothing_is_changed(name):
    assert prepare_cover(FILES[name], SETTINGS, name).pixels == 64 * 64


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_no_cover(name):
    """Pillow by itself shows some of these, grey from somewhere on. A few last bytes hold no pixels."""
    content = FILES[name]
    for place in range(0, len(content) * 9 // 10, max(1, len(content) // 40)):
        assert isinstance(judge(Item(name, content[:place]), SETTINGS), NoCover), place
