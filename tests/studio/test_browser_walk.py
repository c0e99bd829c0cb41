"""Shelf and Walk as a visitor has them, in a real Chromium."""

import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect

from tests.helpers.visiting import details


def keep_seeds(page, *seeds: int) -> None:
    for seed in seeds:
        page.fill("#seed", str(seed))
        details(page, f"Seed {seed}, daring 1")
        page.locator("#crate .keep").click()


def kept(page) -> list[str]:
    return [img.get_attribute("alt") for img in page.locator("#shelf li img").all()]


# ---- the shelf


def test_keepers_survive_a_reload_and_can_be_moved_and_taken_away(visit):
    page = visit()
    expect(page.locator("#shelf .hint")).to_be_visible()
    keep_seeds(page, 3, 8, 5)
    page.locator("#crate .keep").click()  # the same cover is kept once
    covers = [f"Album cover: Seed {seed}" for seed in (3, 8, 5)]
    assert kept(page) == covers
    page.wait_for_function("document.querySelectorAll('#shelf li img[src^=\"data:image/png\"]').length === 3")

    page.get_by_role("button", name="Move left: Seed 5").click()
    assert kept(page) == [covers[0], covers[2], covers[1]]
    page.get_by_role("button", name="Take away: Seed 3").click()
    page.reload()
    expect(page.locator("#shelf li")).to_have_count(2)
    assert kept(page) == [covers[2], covers[1]]
    expect(page.locator("#shelf li img").first).to_have_attribute("src", re.compile("^data:image/png"))

    page.locator("#shelf li .open").nth(1).click()
    details(page, "Seed 8, daring 1")
    link = page.get_by_role("link", name="Link: Seed 5").get_attribute("href")
    assert re.match(r"\?seed=5&truncation=1&model=gan/pretrained&weights=\w{12}$", link)


def test_keeping_is_shown_and_told_and_the_page_stays_where_it_is(visit):
    page = visit("?seed=6")
    details(page, "Seed 6, daring 1")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.locator("#crate .keep").scroll_into_view_if_needed()
        before = page.evaluate("scrollY"), page.locator("#crate .sleeve").bounding_box()["y"]
        page.locator("#crate .keep").click()
        expect(page.locator("#crate .keep")).to_have_text("Kept")
        expect(page.locator("#shelf [role=status]")).to_have_text("Kept on your shelf: Seed 6")
        expect(page.locator("#shelf li")).to_have_count(1)
        assert (page.evaluate("scrollY"), page.locator("#crate .sleeve").bounding_box()["y"]) == before
        page.get_by_role("button", name="Take away: Seed 6").click()
        expect(page.locator("#crate .keep")).to_have_text("Keep")


def test_two_tabs_of_a_browser_add_to_one_shelf(visit):
    one, other = visit("?seed=3"), visit("?seed=8")
    details(one, "Seed 3, daring 1")
    one.locator("#crate .keep").click()
    expect(other.locator("#shelf li")).to_have_count(1)
    other.locator("#crate .keep").click()
    for page in (one, other):
        expect(page.locator("#shelf li")).to_have_count(2)
    one.get_by_role("button", name="Take away: Seed 3").click()
    expect(other.locator("#shelf li")).to_have_count(1)
    one.get_by_role("button", name="Put back").click()
    expect(other.locator("#shelf li")).to_have_count(2)
    assert kept(one) == kept(other) == ["Album cover: Seed 3", "Album cover: Seed 8"]


def test_a_click_beside_a_name_that_is_being_written_is_not_lost(visit):
    page = visit()
    keep_seeds(page, 3, 8)
    page.get_by_role("button", name="Rename: Seed 8").click()
    page.keyboard.type("Æon")
    page.get_by_role("button", name="Take away: Seed 3").click(delay=200)  # as long as a finger takes
    expect(page.locator("#shelf li")).to_have_count(1)
    assert kept(page) == ["Album cover: Æon"]


def test_a_cover_gets_a_name_and_the_shelf_goes_elsewhere_as_a_file_or_a_link(visit, visitors, tmp_path: Path):
    page = visit()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    keep_seeds(page, 3, 8)
    page.get_by_role("button", name="Rename: Seed 8").click()
    page.keyboard.type("Æon")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Rename: Æon")).to_be_focused()  # and Enter did not press it
    expect(page.locator("#shelf li input")).to_have_count(0)
    assert kept(page) == ["Album cover: Seed 3", "Album cover: Æon"]
    with page.expect_download() as download:
        page.click("#shelf .export")
    assert download.value.suggested_filename == "album-cover-shelf-2.json"
    download.value.save_as(tmp_path / "shelf.json")
    page.click("#shelf .as-link")
    expect(page.locator(".toast span")).to_have_text("The link is copied.")
    link = page.evaluate("navigator.clipboard.readText()")

    other = visitors.arrive(locale="en-US").new_page()  # a stranger
    other.goto(link)
    other.get_by_role("button", name="Add").click()
    expect(other.locator("#shelf li")).to_have_count(2)
    assert "shelf=" not in other.url
    for _ in range(2):
        other.get_by_role("button", name=re.compile("Take away")).first.click()
    other.set_input_files("#shelf .import", tmp_path / "shelf.json")
    expect(other.locator("#shelf li")).to_have_count(2)
    assert kept(other) == ["Album cover: Seed 3", "Album cover: Æon"]
    (tmp_path / "other.json").write_text('{"covers": [{"address": 7}]}')
    other.set_input_files("#shelf .import", tmp_path / "other.json")
    expect(other.locator(".toast span")).to_have_text("This file holds no shelf.")
    expect(other.locator("#shelf li")).to_have_count(2)


# ---- the walk


def test_a_film_goes_through_the_shelf(visit, tmp_path: Path):
    page = visit()
    page.get_by_role("tab", name="Walk").click()
    details(page, re.compile(r"Frame \d+ of 60, 3.0 seconds"), "#walk")  # two seeds, at once
    expect(page.locator("#walk .ends")).to_be_visible()

    page.get_by_role("tab", name="Crate").click()
    keep_seeds(page, 3, 8, 5)
    page.get_by_role("tab", name="Walk").click()
    expect(page.locator("#walk .way")).to_contain_text("Through the 3 covers of your shelf")
    page.locator("#frames").fill("12")
    details(page, re.compile(r"Frame \d+ of 12, 0.6 seconds"), "#walk")
    page.locator("#speed").fill("6")
    details(page, re.compile(r"Frame \d+ of 12, 2.0 seconds"), "#walk")
    page.locator("#walk .frame").fill("4")  # by hand: it stops
    details(page, "Frame 5 of 12, 2.0 seconds", "#walk")
    expect(page.get_by_role("button", name="Play")).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("button", name="WebP").click()
    assert download.value.suggested_filename == "film-3-covers-12-frames.webp"
    download.value.save_as(tmp_path / "film.webp")
    film = Image.open(tmp_path / "film.webp")
    assert (film.n_frames, film.info["loop"]) == (12, 0)

    page.get_by_role("button", name="Keep this frame").click()  # frame 5 of 12 is the second cover, as latents
    expect(page.locator("#shelf li")).to_have_count(4)
    assert kept(page)[-1] == "Album cover: A cover between seeds"

    page.check("#compare")
    expect(page.locator("#walk canvas:visible")).to_have_count(2)
    films = "[...document.querySelectorAll('#walk canvas')].map(canvas => canvas.toDataURL())"
    page.wait_for_function(f"new Set({films}).size === 2")
    page.reload()  # what is compared is a part of the place
    expect(page.locator("#walk canvas:visible")).to_have_count(2)


def test_sending_a_cover_to_the_walk_keeps_it(visit):
    page = visit("?seed=9")
    details(page, "Seed 9, daring 1")
    page.locator("#crate [data-send=walk]").click()
    expect(page.get_by_role("tab", name="Walk")).to_have_attribute("aria-selected", "true")
    assert kept(page) == ["Album cover: Seed 9"]
    expect(page.locator("#seed-b")).to_be_visible()
    expect(page.locator("#seed-a")).to_be_hidden()
    page.fill("#seed-b", "x")
    expect(page.locator("#seed-b")).to_have_attribute("aria-invalid", "true")


def test_a_film_grows_with_the_shelf(visit):
    """Twenty frames for each cover, 60 at least, until the visitor chooses a length."""
    page = visit()
    keep_seeds(page, 3, 8, 5)
    page.get_by_role("tab", name="Walk").click()
    details(page, re.compile(r"Frame \d+ of 60, 3.0 seconds"), "#walk")
    for seeds, frames, length in (((11,), 80, "4.0"), ((12, 13), 120, "6.0"), ((14,), 140, "7.0")):
        page.get_by_role("tab", name="Crate").click()
        keep_seeds(page, *seeds)
        page.get_by_role("tab", name="Walk").click()
        details(page, re.compile(rf"Frame \d+ of {frames}, {length} seconds"), "#walk")
    expect(page.locator("#walk .way")).to_contain_text("Through the 7 covers of your shelf")
    for seed in (14, 13, 12):
        page.get_by_role("button", name=f"Take away: Seed {seed}").click()
    shorter = re.compile(r"Frame \d+ of 80, 4.0 seconds")  # one film after another is drawn on the way there
    expect(page.locator("#walk .details")).to_have_text(shorter, timeout=60_000)

    page.locator("#frames").fill("24")
    details(page, re.compile(r"Frame \d+ of 24, 1.2 seconds"), "#walk")
    page.get_by_role("button", name="Take away: Seed 11").click()
    expect(page.locator("#walk .way")).to_contain_text("Through the 3 covers of your shelf")
    expect(page.locator("#frames")).to_have_value("24")  # what the visitor chose stays
    details(page, re.compile(r"Frame \d+ of 24, 1.2 seconds"), "#walk")


def test_with_one_cover_the_film_says_what_it_does(visit):
    page = visit()
    page.get_by_role("tab", name="Walk").click()
    expect(page.locator("#walk .way")).to_contain_text("From the cover that you were looking at to another seed")
    expect(page.locator("#seed-a")).to_be_visible()

    page.get_by_role("tab", name="Crate").click()
    keep_seeds(page, 9)
    page.get_by_role("tab", name="Walk").click()
    expect(page.locator("#walk .way")).to_contain_text("From the one cover of your shelf to a seed and back")
    expect(page.locator("#seed-a")).to_be_hidden()  # where it begins is on the shelf
    page.fill("#seed-b", "77")
    details(page, re.compile(r"Frame \d+ of 60, 3.0 seconds"), "#walk")
    page.locator("#walk .frame").fill("30")  # half way, which is the seed itself
    page.get_by_role("button", name="Keep this frame").click()
    expect(page.locator("#shelf li")).to_have_count(2)
    expect(page.locator("#walk .way")).to_contain_text("Through the 2 covers of your shelf")
    expect(page.locator("#walk .ends")).to_be_hidden()
