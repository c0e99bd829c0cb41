"""Genres as programs ask for them and as a visitor chooses one: the real program in a real Chromium."""

import shutil
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from gan.pipeline import AlbumCoverPipeline
from gan.studio.files import cover_png
from gan.studio.model import Model
from tests.helpers.pictures import same
from tests.helpers.tiny import GENRES
from tests.helpers.visiting import CUT_OFF, NAMELESS, PAINTED, details, shown


seen = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")


@pytest.fixture(scope="module")
def folder(genres_folder: Path) -> Path:
    return genres_folder


# ---- for programs


def test_programs_ask_for_a_genre(client: Client, pipeline: AlbumCoverPipeline, model: Model):
    cover = client.predict(7, 0.8, "R&B", api_name="/generate")
    assert same(cover, pipeline(7, 0.8, genres="R&B").images[0]) and Image.open(cover).text["genre"] == "R&B"
    address = client.predict(handle_file(cover), api_name="/address")
    assert address == model.address(7, 0.8, "R&B").query()
    assert same(client.predict(address, api_name="/cover"), cover)
    for old in (client.predict(7, 0.8, api_name="/generate"), client.predict(7, 0, 0.8, api_name="/plane")):
        assert same(old, pipeline(7, 0.8).images[0]) and "genre" not in Image.open(old).text
    place = client.predict(7, 0, 0.8, genre="rock", api_name="/plane")
    assert same(place, pipeline(7, 0.8, genres="rock").images[0])
    film = Image.open(client.predict([address, "seed=8"], 12, api_name="/film"))
    for genre, frame in (("R&B", 0), (None, 6)):
        film.seek(frame)
        assert same(film, pipeline(7 + (frame > 0), 0.8 if genre else 1.0, genres=genre).images[0])
    for endpoint, values in (("/generate", [7, 1, "polka"]), ("/plane", [7, 0, 1, 3]), ("/cover", ["seed=7&genre=x"])):
        with pytest.raises(AppError, match="A genre is one of rock, R&B, música, or none for any"):
            client.predict(*values, api_name=endpoint)


# ---- the page


@seen
def test_a_visitor_chooses_a_genre(visit, model: Model):
    from playwright.sync_api import expect

    page = visit("?seed=7")
    details(page, "Seed 7, daring 1")
    assert page.locator("#genre option").all_inner_texts() == ["any", *GENRES]
    tile = page.evaluate(PAINTED, [1, 0, 3])
    page.get_by_label("Genre").select_option("R&B")
    details(page, "Seed 7, R&B, daring 1")
    address = model.address(7, 1, "R&B")
    assert shown(page) == cover_png(model.draw([address])[0], address)
    assert not same(model.draw([address])[0], model.cover(7, 1.0))
    page.wait_for_url(f"**/?{address.query()}")  # genre= among it
    assert page.locator("#crate .link").get_attribute("href") == f"?{address.query()}"
    page.wait_for_function(f"([at, before]) => ({PAINTED})(at) !== before", arg=[[1, 0, 3], tile])  # the whole plane

    page.reload()
    details(page, "Seed 7, R&B, daring 1")
    expect(page.get_by_label("Genre")).to_have_value("R&B")
    page.locator("#crate .keep").click()
    page.locator("#crate [data-send=breed]").click()
    page.locator("#breed .child .choose").first.click()
    expect(page.locator("#breed .details")).to_have_text("Generation 1")
    assert "genre=R%26B" in page.locator("#breed .stand").get_attribute("data-address")

    page.locator("#breed .keep").first.click()
    page.locator("#shelf .open").nth(1).click()  # a guest on the plane, in another genre then
    details(page, "A cover between seeds, R&B, daring 1")
    page.get_by_label("Genre").select_option("any")
    details(page, "A cover between seeds, daring 1")
    page.get_by_label("Genre").select_option("música")
    details(page, "A cover between seeds, música, daring 1")
    page.locator("#crate canvas").focus()
    page.keyboard.press("ArrowRight")
    details(page, "Seed 8, música, daring 1")
    page.locator("#shelf .open").first.click()
    details(page, "Seed 7, R&B, daring 1")
    expect(page.get_by_label("Genre")).to_have_value("R&B")


@seen
def test_a_link_to_a_genre_that_is_not_there_is_told(visit, context, address: str):
    from playwright.sync_api import expect

    page = visit("?seed=7&genre=polka", width=390, height=844)
    expect(page.locator(".toast span")).to_contain_text("A genre is one of rock, R&B, música, or none for any.")
    details(page, "Seed 1, daring 1")
    assert page.evaluate(CUT_OFF.replace("input", "input, select")) == []
    assert page.evaluate(NAMELESS.replace("input", "input, select")) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@seen
def test_a_generator_without_genres_asks_for_none(browser, running_app: tuple[str, str]):
    page = browser.new_page(locale="de-DE")
    page.goto(f"{running_app[0]}?seed=1&genre=rock")
    page.wait_for_selector(".toast span:text-is('Dieser Generator kennt keine Genres: lass es weg.')")
    assert page.locator("#genre").is_hidden()
    page.close()
