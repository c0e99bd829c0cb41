"""The crate and its addresses as a visitor has them: the real program in a real Chromium."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

from gan import load_pipeline
from gan.studio.files import cover_png
from gan.studio.model import Model
from gan.studio.tabs.crate import SIDE, address_at
from tests.helpers.visiting import CUT_OFF, NAMELESS, PAINTED, TILE, details, shown


DROP = """([bytes, name]) => {
  const files = new DataTransfer();
  files.items.add(new File([Uint8Array.from(atob(bytes), letter => letter.charCodeAt(0))], name));
  const drop = new DragEvent('drop', {dataTransfer: files, bubbles: true, cancelable: true});
  document.querySelector('h1').dispatchEvent(drop);
}"""


@pytest.fixture(scope="module")
def model(tiny_pipeline_folder: Path) -> Model:
    return Model(load_pipeline(tiny_pipeline_folder), "gan/pretrained")


def drag(page, tiles_right: float, tiles_down: float, across: int = 3) -> None:
    """Drag the plane by so many tiles, without letting go."""
    box = page.locator("#crate canvas").bounding_box()
    tile = min(box["width"], box["height"]) / across
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + tiles_right * tile, y + tiles_down * tile, steps=12)


# ---- the crate


def test_seeds_and_truncation_change_the_cover(visit, model: Model):
    page = visit()
    assert page.title() == "Album Cover GAN"
    details(page, "Seed 1, daring 1")
    assert shown(page) == cover_png(model.cover(1, 1.0), model.address(1))

    page.fill("#seed", "123456")
    details(page, "Seed 123456, daring 1")
    assert shown(page) == cover_png(model.cover(123456, 1.0), model.address(123456))

    page.fill("#seed", "99999999999")
    expect(page.locator("#mistake")).to_have_text("A seed is a whole number from 0 to 4294967295.")
    page.fill("#seed", "4294967295")
    expect(page.locator("#mistake")).to_have_text("")
    details(page, "Seed 4294967295, daring 1")

    page.locator("#truncation").focus()
    page.keyboard.press("ArrowLeft")
    details(page, "Seed 4294967295, daring 0.99")
    assert shown(page) == cover_png(model.cover(2**32 - 1, 0.99), model.address(2**32 - 1, 0.99))

    page.click("#dice")
    expect(page.locator("#crate .details")).not_to_have_text("Seed 4294967295, daring 0.99")
    details(page, f"Seed {page.input_value('#seed')}, daring 0.99")


def test_dragging_shows_what_is_under_the_middle_and_snaps_to_a_seed(visit, model: Model):
    page = visit("?seed=10")
    details(page, "Seed 10, daring 1")
    drag(page, -1.75, 0)
    details(page, "A cover between seeds, daring 1")  # while the finger is down
    expect(page.locator("#crate .stand")).to_have_attribute("data-address", address_at(model, 11.75, 0, 1).query())
    page.mouse.up()
    details(page, "Seed 12, daring 1")
    assert shown(page) == cover_png(model.cover(12, 1.0), model.address(12))

    page.click("#snap")
    drag(page, 0.25, 0.5)
    between = address_at(model, 11.75, -0.5, 1)
    expect(page.locator("#crate .stand")).to_have_attribute("data-address", between.query())
    page.mouse.up()  # it lies there already
    page.wait_for_url(f"**/?{between.query()}")
    assert shown(page) == cover_png(model.draw([between])[0], between)
    page.click("#snap")
    details(page, re.compile("Seed (12|4294901772), daring 1"))

    box = page.locator("#crate canvas").bounding_box()  # a click goes to what was clicked
    page.fill("#seed", "100")
    details(page, "Seed 100, daring 1")
    page.mouse.click(box["x"] + box["width"] / 2 + box["height"] / 3, box["y"] + box["height"] / 2)
    details(page, "Seed 101, daring 1")


def test_one_hint_says_that_the_crate_can_be_dragged(visit):
    page = visit("?seed=10")
    hint = page.locator(".drag-hint")
    expect(hint).to_have_count(1)
    expect(hint).to_be_visible()
    expect(hint).to_have_text("Drag me: there is no end")
    plane, box = page.locator("#crate canvas").bounding_box(), hint.bounding_box()
    assert plane["x"] < box["x"] and box["x"] + box["width"] < plane["x"] + plane["width"]
    assert plane["y"] < box["y"] and box["y"] + box["height"] < plane["y"] + plane["height"]
    # on the hint itself: it is in nobody's way
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 200, box["y"], steps=8)
    expect(hint).to_have_count(0)
    page.mouse.up()
    details(page, re.compile(r"Seed 1[1-9], daring 1"))
    page.get_by_role("tab", name="Walk").click()
    page.get_by_role("tab", name="Crate").click()
    expect(hint).to_have_count(0)  # who has dragged knows


def test_a_finger_drags_and_two_zoom(visit, context):
    page = visit("?seed=10")
    details(page, "Seed 10, daring 1")
    box = page.locator("#crate canvas").bounding_box()
    x, y, tile = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["height"] / 3
    session = context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": x + right, "y": y + down, "id": n} for n, (right, down) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (0, 0))
    for step in range(1, 9):
        touch("touchMove", (0, -step * tile / 8))
    touch("touchEnd")
    details(page, f"Seed {10 + 65536}, daring 1")
    touch("touchStart", (-20, 0), (20, 0))
    for step in range(1, 9):
        touch("touchMove", (-20 - step * 10, 0), (20 + step * 10, 0))
    touch("touchEnd")
    expect(page.locator("#in")).to_be_disabled()


def test_the_plane_by_keys(visit):
    page = visit("?seed=0")
    details(page, "Seed 0, daring 1")
    page.locator("#crate canvas").focus()
    for key, seed in (("ArrowRight", 1), ("ArrowDown", 65537), ("ArrowLeft", 65536), ("ArrowUp", 0)):
        page.keyboard.press(key)
        details(page, f"Seed {seed}, daring 1")
    page.keyboard.press("ArrowLeft")
    details(page, "Seed 65535, daring 1")  # the plane has no end
    page.keyboard.press("Shift+ArrowRight")
    details(page, "A cover between seeds, daring 1")
    expect(page.locator("#crate [role=status]")).to_have_text("A cover between seeds, daring 1")
    for _ in range(6):
        page.keyboard.press("-")
    expect(page.locator("#out")).to_be_disabled()


def test_zooming_out_fills_the_plane_with_covers(visit):
    page = visit("?seed=40")
    details(page, "Seed 40, daring 1")
    for _ in range(5):
        page.click("#out")
    expect(page.locator("#out")).to_be_disabled()
    places = [(i, j) for i in range(-5, 6) for j in range(-3, 4) if i or j]
    # each another: before its cover has come, a place is as grey as any
    page.wait_for_function(
        f"places => new Set(places.map(([i, j]) => ({PAINTED})([i, j, 8]))).size === places.length", arg=places
    )


def test_a_tile_shows_the_cover_of_its_seed(visit, model: Model):
    page = visit("?seed=0")
    details(page, "Seed 0, daring 1")
    places = {(1, 0): 1, (0, 1): SIDE, (-1, 0): SIDE - 1, (0, -1): SIDE * (SIDE - 1), (1, -1): SIDE * (SIDE - 1) + 1}
    page.wait_for_function(
        f"places => new Set(places.map(([i, j]) => ({PAINTED})([i, j, 3]))).size === places.length",
        arg=[list(place) for place in places],
    )
    page.wait_for_timeout(500)  # they appear by and by
    covers = {seed: np.asarray(middle_of(model.cover(seed, 1.0)), float) for seed in places.values()}
    for (i, j), seed in places.items():
        side, values = page.evaluate(TILE, [i, j, 3])
        painted = Image.fromarray(np.array(values, np.uint8).reshape(side, side, 4)).convert("RGB").resize((8, 8))
        gaps = {other: np.abs(np.asarray(painted, float) - cover).mean() for other, cover in covers.items()}
        assert min(gaps, key=gaps.get) == seed and gaps[seed] < min(gaps[other] for other in gaps if other != seed) / 2


def middle_of(cover: Image.Image) -> Image.Image:
    quarter = cover.width / 4
    return cover.convert("RGB").resize((8, 8), box=(quarter, quarter, 3 * quarter, 3 * quarter))


def test_drifting_and_who_wants_no_motion(visit):
    page = visit()
    page.click("#drift")
    details(page, "A cover between seeds, daring 1")
    page.click("#drift")
    details(page, re.compile(r"Seed \d+, daring 1"))  # snapped
    page.emulate_media(reduced_motion="reduce")
    expect(page.locator("#drift")).to_be_hidden()


# ---- addresses


def test_a_link_opens_its_cover(visit, model: Model):
    page = visit("?seed=123&truncation=0.8")
    details(page, "Seed 123, daring 0.8")
    assert page.input_value("#seed") == "123" and page.input_value("#truncation") == "0.8"
    link = page.locator("#crate .link").get_attribute("href")
    assert link == f"?{model.address(123, 0.8).query()}"
    child = model.address_of(torch.randn(16, generator=torch.Generator().manual_seed(5)), 0.9)
    page = visit(f"?{child.query()}")
    details(page, "A cover between seeds, daring 0.9")
    assert shown(page) == cover_png(model.draw([child])[0], child)
    page.locator("#crate canvas").focus()
    page.keyboard.press("ArrowRight")
    details(page, "Seed 2, daring 0.9")  # the plane goes on where it was


def test_a_link_holds_while_tabs_are_changed_in_its_first_second(visit):
    page = visit("?seed=123&truncation=0.8", wait=False)
    page.get_by_role("tab", name="Walk").click()
    page.get_by_role("tab", name="Crate").click()
    details(page, "Seed 123, daring 0.8")
    assert page.input_value("#truncation") == "0.8"


def test_the_address_bar_has_the_cover(visit, model: Model):
    page = visit()
    page.fill("#seed", "77")
    details(page, "Seed 77, daring 1")
    page.wait_for_url(f"**/?{model.address(77).query()}")
    page.reload()
    details(page, "Seed 77, daring 1")


@pytest.mark.parametrize(
    ("query", "sentence"),
    (
        ("?seed=<b>1</b>", "A seed is a whole number from 0 to 4294967295."),
        ("?seed=1&truncation=nan", "How daring (truncation) is a number from 0 to 1.5."),
        ("?latents=AAA", "This generator draws from 16 latents, not 1"),
        ("?seed=2&model=user/covers", "This cover was drawn by user/covers, and this page shows gan/pretrained."),
    ),
)
def test_a_wrong_link_is_told(visit, query: str, sentence: str):
    page = visit(query)
    expect(page.locator(".toast span")).to_contain_text(sentence)
    details(page, "Seed 1, daring 1")


def test_a_foreign_links_warning_stays_until_it_is_answered(visit):
    page = visit("?seed=2&model=user/covers")
    warning = page.locator(".toast.shown span")
    expect(warning).to_contain_text("This cover was drawn by user/covers")
    page.get_by_role("tab", name="Walk").click()
    page.get_by_role("tab", name="Crate").click()
    page.wait_for_timeout(8000)  # any other sentence goes after seven seconds
    expect(warning).to_contain_text("This cover was drawn by user/covers")
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".toast.shown")).to_have_count(0)
    page.evaluate(DROP, [base64.b64encode(b"<svg/>").decode(), "other.png"])
    expect(warning).to_contain_text("A picture is a PNG, JPEG or WebP file.")
    expect(page.locator(".toast.shown")).to_have_count(0)


def test_a_downloaded_cover_dropped_on_the_page_opens_again(visit, tmp_path: Path):
    page = visit("?seed=123&truncation=0.8")
    details(page, "Seed 123, daring 0.8")
    with page.expect_download() as download:
        page.get_by_role("link", name="PNG", exact=True).click()
    assert download.value.suggested_filename == "album-cover-123.png"
    download.value.save_as(tmp_path / "cover.png")
    cover = Image.open(tmp_path / "cover.png")
    assert (cover.format, cover.size, cover.text["seed"], cover.text["truncation"]) == ("PNG", (32, 32), "123", "0.8")

    page = visit()
    drop = base64.b64encode((tmp_path / "cover.png").read_bytes()).decode()
    page.get_by_role("tab", name="Walk").click()
    page.evaluate(DROP, [drop, "cover.png"])
    details(page, "Seed 123, daring 0.8")
    expect(page.get_by_role("tab", name="Crate")).to_have_attribute("aria-selected", "true")

    other = io.BytesIO()
    Image.new("RGB", (8, 8)).save(other, "PNG")
    for file, sentence in ((other.getvalue(), "holds no address"), (b"<svg/>", "is a PNG, JPEG or WebP file.")):
        page.evaluate(DROP, [base64.b64encode(file).decode(), "../../other.png"])
        expect(page.locator(".toast span")).to_contain_text(sentence)


# ---- everybody


def test_on_a_telephone(visit):
    page = visit("?seed=4", width=390, height=844)
    page.locator("#crate .keep").click()
    expect(page.locator("#shelf li")).to_have_count(1)
    for tab, scheme in (("Walk", "light"), ("Crate", "dark")):
        page.emulate_media(color_scheme=scheme)
        page.get_by_role("tab", name=tab).click()
        page.wait_for_function("dark => document.body.classList.contains('dark') === dark", arg=scheme == "dark")
        expect(page.locator(f"#{tab.lower()} canvas").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate(CUT_OFF) == []
        assert page.evaluate(NAMELESS) == []
    page.evaluate("document.querySelector('#notice').remove()")  # of another model than was asked for
    page.evaluate("scrollTo(0, 0)")
    dice = page.locator("#dice").bounding_box()
    assert dice["y"] + dice["height"] <= 844 and dice["height"] >= 44  # seen without scrolling, and hit
    # the cover and the plane can be seen at once
    cover, plane = (page.locator(f"#crate {part}").bounding_box() for part in (".sleeve", "canvas"))
    assert plane["y"] + plane["height"] - cover["y"] < 650


@pytest.mark.parametrize(("width", "height"), ((390, 844), (844, 390)))
def test_a_swipe_up_scrolls_past_the_crate(visit, context, width: int, height: int):
    page = visit("?seed=4", width=width, height=height)
    details(page, "Seed 4, daring 1")
    page.locator("#crate canvas").scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    box = page.locator("#crate canvas").bounding_box()
    session, x, y = context.new_cdp_session(page), box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, *points: tuple[float, float]) -> None:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    touch("touchStart", (x, y))
    for step in range(1, 13):
        touch("touchMove", (x, y - 10 * step))
    touch("touchEnd")
    page.wait_for_function("before => scrollY > before + 50", arg=before)
    details(page, "Seed 4, daring 1")


def test_in_german(visitors, address: str):
    page = visitors.arrive(locale="de-DE").new_page()
    for query, sentence in (
        ("?seed=x", "Ein Seed ist eine ganze Zahl von 0 bis 4294967295."),
        ("?seed=1&truncation=9", "Wie gewagt (Truncation) ist eine Zahl von 0 bis 1,5."),
        ("?latents=AAA", "Dieser Generator zeichnet aus 16 Latents, nicht aus 1."),
        ("?seed=2&model=a/b", "Diese Hülle ist von a/b gezeichnet, und diese Seite zeigt gan/pretrained."),
    ):
        page.goto(address + query)
        expect(page.locator(".toast span")).to_have_text(sentence)
    expect(page.get_by_role("tab", name="Kiste")).to_be_visible()
    expect(page.get_by_role("button", name="Behalten")).to_be_visible()
    expect(page.get_by_role("button", name="Überrasch mich")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "de"
