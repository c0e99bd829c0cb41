"""Pictures of one's own, in the tab Yours and dropped anywhere on the page, in a real Chromium."""

import base64
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.helpers.drawn import bad_files, draw_cover, encode


DROP = """([bytes, name, type]) => {
  const files = new DataTransfer();
  files.items.add(new File([Uint8Array.from(atob(bytes), letter => letter.charCodeAt(0))], name, {type}));
  const drop = new DragEvent('drop', {dataTransfer: files, bubbles: true, cancelable: true});
  document.querySelector('h1').dispatchEvent(drop);
}"""


@pytest.fixture
def address(page_with_index: str) -> str:
    return page_with_index


def test_a_picture_of_ones_own_is_found_and_bred(visit, tmp_path: Path):
    page = visit("?seed=1")
    page.get_by_role("tab", name="Yours").click()
    draw_cover(3, 200).save(tmp_path / "mine.jpg")
    page.set_input_files("#yours input[type=file]", tmp_path / "mine.jpg")
    expect(page.locator("#yours .state")).to_have_text("The nearest cover", timeout=60_000)
    found = page.locator("#yours .stand").get_attribute("data-address")
    assert found.startswith("latents=")
    page.click("#yours [data-send=breed]")
    page.wait_for_function("document.querySelector('#breed .stand')?.dataset.address?.startsWith('latents=')")
    assert page.locator("#breed .stand").get_attribute("data-address") == found


def test_a_search_is_stopped(visit, tmp_path: Path):
    page = visit("?seed=1")
    page.get_by_role("tab", name="Yours").click()
    draw_cover(3, 200).save(tmp_path / "mine.png")
    page.set_input_files("#yours input[type=file]", tmp_path / "mine.png")
    page.click("#yours .stop")
    expect(page.locator("#yours .search")).to_be_visible()
    page.click("#yours .search")  # it waits until the first one can be stopped
    expect(page.locator("#yours .found img")).to_have_attribute("src", re.compile("^data:image/png"))
    page.click("#yours .stop")
    expect(page.locator("#yours .state")).to_have_text("The nearest so far")


def test_what_is_no_picture_is_told_where_it_was_dropped_and_nothing_else_stays_beside_it(visit, tmp_path: Path):
    page = visit("?seed=1")
    page.get_by_role("tab", name="Yours").click()
    draw_cover(3, 200).save(tmp_path / "mine.png")
    (tmp_path / "mine.svg").write_text("<svg/>")
    (tmp_path / "broken.png").write_bytes(b"broken")
    (tmp_path / "cut.png").write_bytes((tmp_path / "mine.png").read_bytes()[:-100])
    (tmp_path / "moving.webp").write_bytes(bad_files()["moving.webp"][0])  # a browser shows it
    for name, sentence in (
        ("mine.svg", "A picture is a PNG, JPEG or WebP file."),
        ("broken.png", "A picture is a PNG, JPEG or WebP file."),
        ("cut.png", "This picture is damaged and cannot be read."),
        ("moving.webp", "This picture is damaged and cannot be read."),
    ):
        page.set_input_files("#yours input[type=file]", tmp_path / "mine.png")
        expect(page.locator("#yours .stand")).to_have_attribute("data-address", re.compile("latents="))
        page.set_input_files("#yours input[type=file]", tmp_path / name)
        expect(page.locator("#yours .drop .wrong")).to_have_text(sentence)
        assert page.locator("#yours .found img").get_attribute("src") is None
        assert page.locator("#yours .stand").get_attribute("data-address") is None
        expect(page.locator("#yours .actions button:visible")).to_have_count(0)


def test_a_photograph_dropped_anywhere_is_offered_to_yours(visit, tmp_path: Path):
    page = visit("?seed=1")
    draw_cover(3, 200).save(tmp_path / "mine.jpg")
    photograph = base64.b64encode((tmp_path / "mine.jpg").read_bytes()).decode()
    page.evaluate(DROP, [photograph, "mine.jpg", "image/jpeg"])
    page.locator(".toast.shown button").first.click()
    expect(page.get_by_role("tab", name="Yours")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#yours .state")).to_have_text("The nearest cover", timeout=60_000)


@pytest.mark.parametrize(
    ("data", "kind", "sentence"),
    (
        (b"GIF89a", "image/gif", "A picture is a PNG, JPEG or WebP file."),
        (b"no picture", "image/png", "A picture is a PNG, JPEG or WebP file."),
        (encode(draw_cover(3, 200), "PNG")[:-100], "image/png", "This picture is damaged and cannot be read."),
        (encode(draw_cover(3, 200), "JPEG")[:-100], "image/jpeg", "This picture is damaged and cannot be read."),
        (encode(draw_cover(3, 200), "JPEG") + bytes(8_000_000), "image/jpeg", "A picture has at most 8 MB."),
    ),
)
def test_a_broken_file_says_so_where_it_was_dropped_and_offers_nothing(visit, data: bytes, kind: str, sentence: str):
    page = visit("?seed=1")
    page.evaluate(DROP, [base64.b64encode(data).decode(), "mine", kind])
    toast = page.locator(".toast.shown")
    expect(toast.locator("span")).to_have_text(sentence)
    expect(toast.locator("button:visible")).to_have_count(1)  # to close it


def test_is_it_a_copy(visit):
    page = visit("?seed=1")
    page.get_by_role("tab", name="Yours").click()
    page.locator("#yours .mates button").first.click()  # the cover in the crate: seed 1, learned by heart
    expect(page.locator("#yours .verdict")).to_contain_text("It may be a copy")
    expect(page.locator("#yours .copies tr")).to_have_count(6)
    expect(page.locator("#yours .copies code").first).to_have_text("0000000000…")
