"""A picture of one's own: what is taken, and that it is found."""

import base64
import itertools
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan import load_pipeline
from gan.nearest import build_index
from gan.projection import project
from gan.studio import checks
from gan.studio.checks import Refused
from gan.studio.model import Model
from gan.studio.tabs.yours import Yours
from gan.studio.uploads import LARGEST_FILE, read_picture
from tests.helpers.drawn import bad_files, bomb, draw_cover, encode, exif, half_clear
from tests.helpers.tiny import tiny_pipeline


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><script>alert(1)</script></svg>'


@pytest.fixture(scope="module")
def model(tiny_pipeline_folder: Path) -> Model:
    return Model(load_pipeline(tiny_pipeline_folder), "user/covers")


def target_of(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


# ---- the search


def test_a_generated_cover_is_found_again(model: Model) -> None:
    synthesis = model.pipeline.synthesis
    for seed in (3, 4):
        wanted = model.cover(seed, 1.0)
        steps = list(project(synthesis, target_of(wanted), steps=150, seconds=600, seed=1))
        assert len(steps) == 150 and steps[-1].progress == 1
        losses = [step.loss for step in steps]
        assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0] / 3
        found = model.draw([model.address_of(steps[-1].latents)])[0]
        strangers = model.covers(list(range(100, 120)), 1.0)
        gaps = [np.abs(np.asarray(one).astype(int) - np.asarray(wanted)).mean() for one in (found, *strangers)]
        assert gaps[0] < min(gaps[1:]) / 2


def test_the_latents_stay_where_the_generator_draws_covers(model: Model) -> None:
    hard = torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], (3, 32, 32))).float()
    lengths = {}
    for prior in (0.0, 0.1):
        *_, last = project(model.pipeline.synthesis, hard, steps=120, seconds=600, prior=prior)
        lengths[prior] = last.latents.norm().item() / model.latent_dim**0.5
    assert abs(lengths[0.1] - 1) < 0.15 and abs(lengths[0.1] - 1) <= abs(lengths[0.0] - 1)


def test_a_search_ends_in_its_time_and_can_be_stopped(model: Model) -> None:
    target = target_of(draw_cover(1, 32))
    begin = time.monotonic()
    steps = list(project(model.pipeline.synthesis, target, steps=10**9, seconds=1.0))
    assert steps[-1].progress == 1 and time.monotonic() - begin < 30 and len(steps) < 10**6
    search = project(model.pipeline.synthesis, target, steps=10**9, seconds=3600)
    assert len(list(itertools.islice(search, 3))) == 3
    search.close()
    assert next(search, None) is None


def test_a_search_leaves_the_generator_as_it_was(model: Model) -> None:
    before = {key: value.clone() for key, value in model.pipeline.synthesis.state_dict().items()}
    list(project(model.pipeline.synthesis, target_of(draw_cover(1, 32)), steps=3))
    after = model.pipeline.synthesis.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert all(parameter.grad is None for parameter in model.pipeline.synthesis.parameters())


# ---- of a painter


@pytest.fixture(scope="module")
def painter() -> Model:
    return Model(tiny_pipeline("painter", encoder=True), "user/painter")


def test_a_painter_searches_among_composed_latents_first(painter: Model, monkeypatch) -> None:
    synthesis, wanted = painter.pipeline.synthesis, painter.address(3)
    composed = synthesis.compose(painter.points_of([wanted]))
    painted = []
    monkeypatch.setattr(type(synthesis), "paint", count_calls(type(synthesis).paint, painted))
    steps = list(project(synthesis, target_of(painter.draw([wanted])[0]), composed=composed, steps=100, seconds=600))
    assert len(steps) == 200 and steps[-1].progress == 1 and len(painted) == 101  # and once to draw what is wanted
    assert [step.progress for step in steps] == sorted(step.progress for step in steps)
    losses = [step.loss for step in steps]
    for half in (losses[:100], losses[100:]):
        assert half == sorted(half, reverse=True)
    assert losses[99] < losses[0] / 3
    strangers = painter.points_of([painter.address(seed) for seed in range(100, 120)])
    gaps = (synthesis.compose(torch.cat([steps[99].latents, strangers])) - composed).abs().mean((1, 2, 3))
    assert gaps[0] < gaps[1:].min() / 2


def count_calls(function, calls: list):
    def counted(*arguments):
        calls.append(1)
        return function(*arguments)

    return counted


def test_the_picture_comes_back_as_it_is_painted_and_then_the_search_goes_on(painter: Model) -> None:
    picture = draw_cover(3, 32)
    first, second, *_, last = Yours(painter, None).project(
        {"file": base64.b64encode(encode(picture, "PNG")).decode(), "search": 7}
    )
    assert first["painted"].startswith("data:image/webp") and first["search"] == second["search"] == 7
    assert "address" not in first and "painted" not in second and last["progress"] == 1
    pipe = painter.pipeline
    expected = pipe.synthesis.decoder(pipe.encoder(target_of(picture)[None]))[0]
    shown = target_of(Yours(painter, None).painted(picture))
    torch.testing.assert_close(shown, expected.clamp(-1, 1), atol=1 / 127, rtol=0)
    assert Yours(Model(tiny_pipeline("painter"), "x"), None).painted(picture) is None


# ---- the picture


@pytest.mark.parametrize("kind", ("PNG", "JPEG", "WEBP"))
def test_a_picture_is_cropped_to_its_middle(kind: str) -> None:
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    picture = read_picture(encode(wide, kind), 32)
    assert picture.size == (32, 32) and picture.mode == "RGB"
    assert np.abs(np.asarray(picture).mean((0, 1)) - (0, 0, 255)).max() < 8


def test_pictures_of_every_kind_look_as_they_do_elsewhere() -> None:
    plain = np.asarray(draw_cover(3).resize((32, 32), Image.Resampling.LANCZOS)).astype(int)
    turned = draw_cover(3).transpose(Image.Transpose.ROTATE_90)
    grey16 = Image.fromarray(np.asarray(draw_cover(3).convert("L"), dtype=np.uint16) * 257)
    clear, on_white = half_clear(3, "RGBA")
    for data, wanted in (
        (encode(turned, "JPEG", quality=95, exif=exif(6)), plain),
        (encode(grey16, "PNG"), np.asarray(draw_cover(3).convert("L").convert("RGB").resize((32, 32), 1)).astype(int)),
        (encode(clear, "PNG"), np.asarray(on_white.resize((32, 32), Image.Resampling.LANCZOS)).astype(int)),
        (encode(draw_cover(3).convert("CMYK"), "JPEG", quality=95), plain),
    ):
        assert np.abs(np.asarray(read_picture(data, 32)) - wanted).mean() < 6


@pytest.mark.parametrize(
    ("data", "sentence"),
    (
        (b"", "not a PNG, JPEG or WebP"),
        (SVG, "not a PNG, JPEG or WebP"),
        (b"%PDF-1.7", "not a PNG, JPEG or WebP"),
        (encode(draw_cover(1), "GIF"), "not a PNG, JPEG or WebP"),
        (encode(draw_cover(1), "TIFF"), "not a PNG, JPEG or WebP"),
        (bomb(30_000), "at most 40 million pixels"),
        (bomb(11_000), "at most 40 million pixels"),
        (encode(draw_cover(1, 8), "PNG"), "at least 16 pixels"),
        (bad_files()["cut.png"][0], "damaged"),
        (bad_files()["cut.jpg"][0], "damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a PNG, JPEG or WebP|damaged"),
        (bytes(LARGEST_FILE + 1), "at most 8 MB"),
        ("/etc/passwd", "at most 8 MB"),
        (None, "at most 8 MB"),
    ),
)
def test_whatever_is_no_picture_is_refused_in_words(data: object, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        read_picture(data, 32)


# ---- the tab


def test_the_search_as_the_page_sees_it(model: Model) -> None:
    yours = Yours(model, None)
    shown = list(yours.project({"file": base64.b64encode(encode(model.cover(3, 1.0), "PNG")).decode()}))
    assert shown[-1]["progress"] == 1 and [one["progress"] for one in shown] == sorted(
        one["progress"] for one in shown
    )
    assert model.read(shown[-1]["address"]).latents is not None and shown[-1]["src"].startswith("data:image/png")


@pytest.mark.parametrize("file", (None, "", "no base64!", base64.b64encode(SVG).decode(), "A" * 12_000_000))
def test_a_wrong_file_is_told(model: Model, file: object) -> None:
    (answer,) = checks.for_the_page_while(Yours(model, None).project)({"file": file})
    assert answer["refused"] in ("A picture is a file of at most 8 MB.", "This is not a PNG, JPEG or WebP picture.")


def test_copies(model: Model) -> None:
    with pytest.raises(Refused, match="came without an index"):
        Yours(model, None).copies(model.address(1))
    # a generator that learned seed 1's cover by heart, and others
    covers = [*(draw_cover(seed, 32) for seed in range(60)), model.cover(1, 1.0)]
    yours = Yours(model, build_index((cover, f"{number:064x}") for number, cover in enumerate(covers)))
    by_heart, other = yours.copies(model.address(1)), yours.copies(model.address(2))
    assert by_heart["copy"] and by_heart["nearest"][0]["distance"] == 0 and by_heart["covers"] == 61
    assert not other["copy"] and len(other["nearest"]) == 5
    checked = yours.check("seed=1")
    assert checked["copy"] and checked["src"].startswith("data:image/png")
