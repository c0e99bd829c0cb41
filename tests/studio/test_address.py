"""An address draws its cover again, and a wrong one is told in words."""

import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from gan import load_pipeline
from gan.studio import checks
from gan.studio.address import LONGEST_QUERY, Address, from_png
from gan.studio.checks import Refused
from gan.studio.files import cover_png
from gan.studio.model import Model
from tests.helpers.pictures import same


@pytest.fixture(scope="module")
def model(tiny_pipeline_folder: Path) -> Model:
    return Model(load_pipeline(tiny_pipeline_folder), "user/covers", "v1")


def latents(*numbers: float) -> str:
    """As an address has them: float16, base64url without padding."""
    return base64.urlsafe_b64encode(np.array(numbers, dtype="<f2").tobytes()).decode().rstrip("=")


def test_an_address_draws_its_cover_again_on_another_machine(model: Model, tiny_pipeline_folder: Path):
    elsewhere = Model(load_pipeline(tiny_pipeline_folder), "my/folder")  # the same weights under another name
    torch.manual_seed(0)
    for address in (
        model.address(7, 0.8),
        model.address(2**32 - 1),
        model.address_of(torch.randn(16)),
        model.address_of(torch.randn(1, 16) * 4, 0.123456789),
        model.address_of(torch.full((16,), 1e9)),  # kept within what an address takes
    ):
        assert Address.from_query(address.query()) == address
        read = elsewhere.read(f"https://somewhere.example/page?{address.query()}")
        assert same(model.draw([address])[0], elsewhere.draw([read])[0])


def test_a_seeds_address_is_short_and_names_what_drew_it(model: Model):
    query = model.address(7, 0.8).query()
    assert query == f"seed=7&truncation=0.8&model=user/covers&revision=v1&weights={model.weights}"
    assert model.read("?seed=7") == model.address(7)  # typed by hand: this page's own
    assert len(model.address_of(torch.randn(16)).query()) < 150


def test_what_is_shown_is_what_the_address_says(model: Model):
    # rounded before it is drawn: float32 latents would give pixels that no address could name
    point = torch.randn(16, generator=torch.Generator().manual_seed(1))
    address = model.address_of(point)
    assert torch.equal(model.latents_of(address)[0], point.half().float())
    assert not torch.equal(model.latents_of(address)[0], point)
    assert same(model.draw([address])[0], model.pipeline(latents=point.half().float()[None]).images[0])


def test_every_png_holds_its_address(model: Model):
    for address in (model.address(3, 0.5), model.address_of(torch.randn(16))):
        file = cover_png(model.draw([address])[0], address)
        assert from_png(file) == address
        text = Image.open(io.BytesIO(file)).text
        assert (text["model"], text["revision"], text.get("seed")) == ("user/covers", "v1", address.seed and "3")


@pytest.mark.parametrize(
    ("query", "sentence"),
    (
        ("", "either a seed or latents"),
        ("truncation=1", "either a seed or latents"),
        (f"seed=1&latents={latents(*[0.0] * 16)}", "either a seed or latents"),
        ("seed=-1", "whole number from 0 to 4294967295"),
        ("seed=4294967296", "whole number"),
        ("seed=1.5", "whole number"),
        ("seed=<script>", "whole number"),
        ("seed=" + "9" * 5000, "whole number"),
        ("seed=٣", "whole number"),
        ("seed=1&truncation=nan", "truncation is a number from 0 to 1.5"),
        ("seed=1&truncation=1.51", "truncation is a number"),
        ("seed=1&truncation=x", "truncation is a number"),
        ("latents=%%%", "base64url"),
        ("latents=AAAA", "numbers of two bytes"),
        ("latents=" + latents(*[0.0] * 15, float("nan")), "numbers from -10 to 10"),
        ("latents=" + latents(*[0.0] * 15, float("inf")), "numbers from -10 to 10"),
        ("latents=" + latents(*[0.0] * 15, 10.01), "numbers from -10 to 10"),
        ("latents=" + latents(*[0.0] * 15), "16 latents, not 15"),
        ("seed=1&model=<b>", "letters, digits"),
        ("seed=1&model=other/covers", "drawn by other/covers, and this page shows user/covers"),
        ("seed=1&model=user/covers&revision=v2", "drawn by user/covers at v2, and this page"),
        ("seed=1&model=user/covers&revision=v1&weights=0123456789ab", "drawn by user/covers at v1, and this page"),
        ("seed=1&x=" + "y" * LONGEST_QUERY, "at most 16384 characters"),
        (7, "an address is text"),
        (None, "an address is text"),
        (["seed=1"], "an address is text"),
        ({"seed": ["1"]}, "whole number"),
        ({"latents": 7}, "base64url"),
    ),
)
def test_a_wrong_address_says_what_is_wrong(model: Model, query: object, sentence: str):
    with pytest.raises(Refused, match=sentence):
        model.read(query)


def png(*chunks: tuple[bytes, bytes], size: tuple[int, int] = (1, 1)) -> bytes:
    """A PNG with `chunks` before its pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(b"\0\0\0\0")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


@pytest.mark.parametrize(
    ("file", "sentence"),
    (
        (b"", "not a PNG that can be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG"),
        (b"\x89PNG\r\n\x1a\n", "not a PNG"),
        (png(), "holds no address"),
        (png((b"tEXt", b"address\0seed=1"), size=(60_000, 60_000)), "not a PNG"),  # a bomb
        (png((b"tEXt", b"address\0")), "either a seed or latents"),
        (png((b"tEXt", b"address\0seed=-1")), "whole number"),
        (png((b"tEXt", b"address\0" + b"x" * 50_000)), "at most 16384 characters"),
        (png((b"tEXt", b"address\0\xff\xfe\0seed=1")), "either a seed or latents"),
        # text that unpacks to many times its size
        (png((b"zTXt", b"address\0\0" + zlib.compress(b"x" * 50_000_000)[:60_000])), "not a PNG|no address"),
        (png((b"zTXt", b"address\0\0" + zlib.compress(b"x" * 20_000_000))), "not a PNG|no address"),
        (png((b"iTXt", b"address\0\1\0\0\0" + zlib.compress(b"x" * 20_000_000))), "not a PNG|no address"),
    ),
)
def test_a_poisoned_png_is_refused(file: bytes, sentence: str):
    with pytest.raises(Refused, match=sentence):
        from_png(file)


def test_a_png_of_another_program_is_told():
    notes, file = PngImagePlugin.PngInfo(), io.BytesIO()
    notes.add_text("Software", "another")
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=notes)
    with pytest.raises(Refused, match="not made here"):
        from_png(file.getvalue())


@pytest.mark.parametrize("value", [7.5, -1, 11, float("nan"), float("inf"), True, "7", None])
def test_what_is_no_whole_number_in_range_is_refused(value: object):
    with pytest.raises(Refused, match="a thing is a whole number from 0 to 10"):
        checks.whole(value, "a thing", 0, 10)


def test_a_whole_number_of_a_browser_is_one():
    assert checks.whole(7.0, "a thing", 0, 10) == 7
