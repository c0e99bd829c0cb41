"""Kinds and colours as programs ask for them and as a visitor chooses them: the real page in a real Chromium."""

import base64
import re
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import gan
from gan.palettes import colours_of
from gan.pipeline import COLOURS, AlbumCoverPipeline
from gan.studio.checks import Refused
from gan.studio.files import cover_png
from gan.studio.model import Model
from gan.studio.tabs.breed import Breed
from gan.studio.tabs.crate import IN_A_ROW, ROW_SIDE, Crate
from gan.studio.tabs.walk import Order
from tests.helpers.pictures import same
from tests.helpers.tiny import tiny_pipeline
from tests.helpers.visiting import CUT_OFF, NAMELESS, PAINTED, details, shown


seen = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
RED = {"red": 30, "black": 10}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("painter") / "pipeline"
    pipe = tiny_pipeline("painter", encoder=True, genres=["rock"], clusters=3, palette=12)
    gan.save_pipeline(pipe, folder, for_strangers=False)
    return folder


# ---- addresses


def test_an_address_carries_kind_and_colours(model: Model, pipeline: AlbumCoverPipeline):
    asked = model.address(7, 0.8, "rock", 2, "red30-black10")
    assert "genre=rock&kind=2&colours=black10-red30" in asked.query() and model.read(asked.query()) == asked
    expected = pipeline(7, 0.8, genres="rock", clusters=1, colours=RED).images[0]
    assert same(model.draw([asked])[0], expected) and not same(expected, pipeline(7, 0.8, genres="rock").images[0])
    mixed = model.draw([model.address(7), model.address(7, kind=1), model.address(7, colours="blue")])
    for cover, more in zip(mixed, ({}, {"clusters": 0}, {"colours": {"blue": 1}}), strict=True):
        assert same(cover, pipeline(7, **more).images[0])


def test_children_films_and_places_keep_them(model: Model):
    parent = model.address(7, kind=2, colours="red")
    assert all((one.kind, one.colours) == (2, "red1") for one in Breed(model).children(parent, 0.3, 1))
    order = Order(model, {"addresses": [parent.query(), "seed=8"], "frames": 12})
    film = model.film(order.path(False), order.like)
    assert same(film[0], model.draw([parent])[0]) and same(film[6], model.cover(8, 1.0))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("seed=1&kind=4", "a kind of cover is a whole number from 0 to 3"),
        ("seed=1&kind=-1", "a kind of cover is a whole number"),
        ("seed=1&kind=x", "a kind of cover is a whole number"),
        ("seed=1&colours=beige", "colours are names with their shares"),
        ("seed=1&colours=red0", "colours are names with their shares"),
        ("seed=1&colours=red-red", "colours are names with their shares"),
        ("seed=1&colours=" + "red1-" * 1000, "colours are names with their shares"),
    ],
)
def test_what_there_is_not_is_refused_in_words(model: Model, query: str, words: str):
    with pytest.raises(Refused, match=words):
        model.read(query)


@pytest.mark.parametrize(("query", "words"), [("kind=1", "no kinds of covers"), ("colours=red", "no colours")])
def test_a_generator_without_says_so(query: str, words: str):
    with pytest.raises(Refused, match=f"this generator knows {words}: leave them out"):
        Model(tiny_pipeline("painter"), "user/plain").read(f"seed=1&{query}")


# ---- kinds and colours of a cover


def test_the_likely_kind_is_the_one_whose_covers_are_most_like_it(model: Model):
    assert model.likely_kind(model.address(7, kind=3)) == 3
    pipe = tiny_pipeline("painter", clusters=3)
    weights = pipe.synthesis.cluster_embedding.weight
    weights.data[:3] = 10 * torch.randn(3, weights.shape[1], generator=torch.Generator().manual_seed(0))
    for kind in range(3):
        weights.data[3] = weights.data[kind]  # what is drawn of any kind is of this one
        seen = Model(pipe, "x")
        likely = [seen.likely_kind(seen.address(seed)) for seed in range(20, 32)]
        assert likely.count(kind + 1) > 8, likely


def test_each_kind_has_a_row_of_seeds_that_nobody_chose(model: Model):
    answer = Crate(model).kinds("seed=7&kind=2")
    assert answer["likely"] == 2 and len(answer["rows"]) == 3 and len(set(answer["rows"])) == 3
    row = Image.open(BytesIO(base64.b64decode(answer["rows"][1].partition(",")[2])))
    assert row.size == (IN_A_ROW * ROW_SIDE, ROW_SIDE)


# ---- for programs


def test_programs_steer(client: Client, pipeline: AlbumCoverPipeline, model: Model, tmp_path: Path):
    cover = client.predict(7, 0.8, "", 2, "red30-black10", api_name="/generate")
    assert same(cover, pipeline(7, 0.8, clusters=1, colours=RED).images[0])
    assert Image.open(cover).text["kind"] == "2" and Image.open(cover).text["colours"] == "black10-red30"
    address = client.predict(handle_file(cover), api_name="/address")
    assert address == model.address(7, 0.8, kind=2, colours="black10-red30").query()
    assert same(client.predict(address, api_name="/cover"), cover)
    assert client.predict(address, api_name="/more_like") == 2
    assert client.predict("seed=7", api_name="/more_like") == model.likely_kind(model.address(7))
    place = client.predict(7, 0, kind=1, colours="blue", api_name="/plane")
    assert same(place, pipeline(7, clusters=0, colours={"blue": 1}).images[0])
    assert same(client.predict(7, api_name="/generate"), pipeline(7).images[0])
    picture = Image.new("RGB", (64, 64), COLOURS["blue"])
    picture.save(tmp_path / "blue.png")
    assert client.predict(handle_file(tmp_path / "blue.png"), api_name="/colours") == colours_of(picture)
    for values, words in (([7, 1, "", 9, ""], "A kind of cover is"), ([7, 1, "", 0, "beige"], "Colours are names")):
        with pytest.raises(AppError, match=words):
            client.predict(*values, api_name="/generate")


# ---- the page


@seen
def test_a_visitor_steers_by_kind(visit, model: Model):
    from playwright.sync_api import expect

    page = visit("?seed=7")
    details(page, "Seed 7, daring 1")
    tile = page.evaluate(PAINTED, [1, 0, 3])
    likely = model.likely_kind(model.address(7))
    page.get_by_role("button", name="More like this").click()
    details(page, f"Seed 7, kind {likely}, daring 1")
    address = model.address(7, kind=likely)
    assert shown(page) == cover_png(model.draw([address])[0], address)
    page.wait_for_url(f"**/?{address.query()}")
    page.wait_for_function(f"([at, before]) => ({PAINTED})(at) !== before", arg=[[1, 0, 3], tile])  # the whole plane
    rows = page.locator("#kinds .row")
    expect(rows).to_have_count(3)
    other = likely % 3
    rows.nth(other).focus()
    page.keyboard.press("Enter")
    details(page, f"Seed 7, kind {other + 1}, daring 1")
    expect(rows.nth(other)).to_have_attribute("aria-pressed", "true")
    page.reload()
    details(page, f"Seed 7, kind {other + 1}, daring 1")
    page.get_by_role("button", name="More like this").click()  # its own kind stays
    expect(rows.nth(other)).to_have_attribute("aria-pressed", "true")
    page.locator("#crate .keep").click()
    page.get_by_role("button", name="Any kind").click()
    details(page, "Seed 7, daring 1")
    page.keyboard.press("Escape")
    expect(page.locator("#kinds")).to_be_hidden()
    expect(page.locator("#kind")).to_be_focused()
    page.locator("#shelf .open").first.click()
    details(page, f"Seed 7, kind {other + 1}, daring 1")


@seen
def test_a_visitor_steers_by_colours(visit, model: Model, tmp_path: Path):
    from playwright.sync_api import expect

    page = visit("?seed=7")
    page.get_by_role("button", name="In these colours").click()
    page.get_by_role("button", name="red", exact=True).click()
    details(page, "Seed 7, red, daring 1")
    page.get_by_role("button", name="black", exact=True).click()
    details(page, "Seed 7, black, red, daring 1")
    address = model.address(7, colours="black1-red1")
    assert shown(page) == cover_png(model.draw([address])[0], address)
    page.get_by_role("button", name="red", exact=True).click()
    details(page, "Seed 7, black, daring 1")
    loud = np.random.default_rng(0).integers(0, 40, (300, 300, 3)) + np.array((0, 0, 200))  # 200 kB, mostly blue
    Image.fromarray(loud.clip(0, 255).astype(np.uint8)).save(tmp_path / "blue.png")
    assert (tmp_path / "blue.png").stat().st_size > 150_000
    page.locator("#colours input[type=file]").set_input_files(tmp_path / "blue.png")
    details(page, "Seed 7, blue, daring 1")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    page.locator("#colours input[type=file]").set_input_files(tmp_path / "bad.png")
    expect(page.locator(".toast span")).to_contain_text("A picture is a PNG, JPEG or WebP file.")
    page.get_by_role("button", name="Any colours").click()
    details(page, "Seed 7, daring 1")
    page.get_by_role("button", name="This cover's colours").click()
    wanted = colours_of(model.cover(7, 1.0))
    page.wait_for_url(f"**/?{model.address(7, colours=wanted).query()}")


@seen
def test_on_a_phone_all_of_it_has_room_and_a_name(visit):
    from playwright.sync_api import expect

    page = visit("?seed=7&kind=2&colours=red1", width=390, height=844)
    details(page, "Seed 7, kind 2, red, daring 1")
    page.get_by_role("button", name="More like this").click()
    expect(page.locator("#kinds .row")).to_have_count(3)
    page.get_by_role("button", name="In these colours").click()
    assert page.evaluate(CUT_OFF.replace("input", "input, select")) == []
    assert page.evaluate(NAMELESS.replace("input", "input, select")) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@seen
def test_ones_own_picture_is_painted_before_it_is_searched(visit, model: Model, tmp_path: Path):
    from playwright.sync_api import expect

    model.cover(3, 1.0).save(tmp_path / "mine.png")
    page = visit("?tab=yours&seed=7")
    page.locator("#yours input[type=file]").set_input_files(tmp_path / "mine.png")
    expect(page.locator("#yours .painted img")).to_have_attribute("src", re.compile("^data:image/webp"))
    expect(page.locator("#yours .found img")).to_have_attribute("src", re.compile("^data:image/png"))


@seen
def test_a_generator_without_shows_none_of_it(browser, running_app: tuple[str, str]):
    page = browser.new_page(locale="de-DE")
    page.goto(f"{running_app[0]}?seed=1&kind=1")
    page.wait_for_selector(".toast span:text-is('Dieser Generator kennt keine Arten von Hüllen: lass sie weg.')")
    for control in ("#kind", "#colour", "#kinds", "#colours", ".painted"):
        assert page.locator(control).is_hidden()
    page.close()
