"""The page as a visitor has it: the real program in a real Chromium."""

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image


sync_api = pytest.importorskip("playwright.sync_api")
sync_api.expect.set_options(timeout=15_000)  # a busy machine's start, not a visitor's patience
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
QUIET = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
PIXELS = """selector => {
  const image = document.querySelector(selector), canvas = document.createElement('canvas');
  canvas.width = canvas.height = image.naturalWidth;
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data).join();
}"""
PLACES = """JSON.stringify(
  [...document.querySelectorAll('#seed, #crate, footer')].map(element => element.getBoundingClientRect()))"""
CUT_OFF = """[...document.querySelectorAll('button, input, .sleeve img, .details')]
  .filter(element => element.offsetParent && element.getBoundingClientRect().right > innerWidth)
  .map(element => element.outerHTML.slice(0, 200))"""
NAMELESS = """[...document.querySelectorAll('button, input, a, img')]
  .filter(element => element.offsetParent)
  .filter(element => !(element.getAttribute('aria-label') || element.alt || element.labels?.length ||
                       element.innerText?.trim() || element.querySelector?.('img[alt]:not([alt=""])')))
  .map(element => element.outerHTML.slice(0, 200))"""


@pytest.fixture
def address(running_app: tuple[str, str]) -> str:
    return running_app[0]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET.split(), "--no-first-run"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser):
    """One for all tests: what the first page has fetched, the others take from the browser's cache."""
    return browser.new_context()


@pytest.fixture
def visit(context, address: str):
    """`visit(query, ...)`: opens the page, and when the test ends looks whether all was well in the browser."""
    pages, wrong = [], []

    def open_page(query: str = "", width: int = 1280, height: int = 900, scheme: str = "light"):
        page = context.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.set_default_timeout(15_000)
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if is_ours(request.url) else wrong.append(request.url))
        page.goto(address + query)
        page.wait_for_function("document.querySelector('#crate img')?.src.startsWith('data:image/png')")
        return page

    def is_ours(url: str) -> bool:
        return url.startswith((address, "data:", "blob:"))

    yield open_page
    for page in pages:
        page.close()
    assert not wrong


def picture(page, frame: str = "#cover") -> str:
    return page.locator(f"{frame} .sleeve img").get_attribute("src")


def wait_for_details(page, text: str, frame: str = "#cover") -> None:
    sync_api.expect(page.locator(f"{frame} .details")).to_have_text(text)


def seed_of(page) -> int:
    return int(page.input_value("#seed input"))


def wait_for_another(page, before: str, frame: str = "#cover") -> None:
    page.wait_for_function(f"before => document.querySelector('{frame} .sleeve img').src !== before", arg=before)


def press(page, selector: str, key: str) -> None:
    page.locator(selector).focus()
    page.keyboard.press(key)


def test_seeds_and_truncation_change_the_cover(visit):
    page = visit()
    wait_for_details(page, "Seed 1, truncation 1")
    assert page.title() == "Album Cover GAN"
    first = picture(page)

    page.fill("#seed input", "123456")
    wait_for_details(page, "Seed 123456, truncation 1")
    assert picture(page) != first
    assert page.input_value("#sweep input[type=range]") == "9999"

    before = page.evaluate(PLACES)
    page.fill("#seed input", "99999999999")
    sync_api.expect(page.locator("#mistake")).to_have_text("a seed is a whole number from 0 to 4294967295.")
    assert page.evaluate(PLACES) == before  # the sentence has its place
    page.fill("#seed input", "1")
    wait_for_details(page, "Seed 1, truncation 1")
    sync_api.expect(page.locator("#mistake")).to_have_text("")
    assert picture(page) == first  # the same seed is the same cover

    press(page, "#sweep input[type=range]", "ArrowRight")
    wait_for_details(page, "Seed 2, truncation 1")
    assert seed_of(page) == 2

    before, crate = picture(page), page.locator("#crate img").first.get_attribute("src")
    press(page, "#truncation input[type=range]", "ArrowLeft")
    wait_for_details(page, "Seed 2, truncation 0.99")
    assert picture(page) != before
    page.wait_for_function("before => document.querySelector('#crate img').src !== before", arg=crate)

    before = picture(page)
    page.click("#surprise")
    wait_for_another(page, before)
    wait_for_details(page, f"Seed {seed_of(page)}, truncation 0.99")


def test_dragging_ends_at_the_cover_under_the_knob(visit):
    page = visit()
    wait_for_details(page, "Seed 1, truncation 1")
    before = page.evaluate(PLACES)
    box = page.locator("#sweep input[type=range]").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 10, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=15)
    page.mouse.up()
    seed = page.input_value("#sweep input[type=range]")
    assert int(seed) > 1000
    wait_for_details(page, f"Seed {seed}, truncation 1")
    sync_api.expect(page.locator("#seed input")).to_have_value(seed)
    assert page.evaluate(PLACES) == before  # nothing moved meanwhile


def test_a_cover_from_the_crate(visit):
    page = visit()
    sync_api.expect(page.locator("#crate button")).to_have_count(24)
    sync_api.expect(page.locator('#crate button[aria-pressed="true"]')).to_have_attribute("data-seed", "1")
    button = page.locator("#crate button").nth(5)
    button.click()
    wait_for_details(page, "Seed 5, truncation 1")
    assert seed_of(page) == 5
    assert button.locator("img").get_attribute("src") == picture(page)
    sync_api.expect(page.locator('#crate button[aria-pressed="true"]')).to_have_attribute("data-seed", "5")

    page.click("#ahead")
    sync_api.expect(page.locator("#crate-heading")).to_have_text("Seeds 24 to 47")
    press(page, "#crate button:nth-of-type(3)", "Enter")
    wait_for_details(page, "Seed 26, truncation 1")
    page.click("#back")
    sync_api.expect(page.locator("#crate-heading")).to_have_text("Seeds 0 to 23")
    page.click("#elsewhere")
    sync_api.expect(page.locator("#crate-heading")).not_to_have_text("Seeds 0 to 23")


def test_a_link_opens_its_cover_which_says_how_to_draw_it_again(visit, tmp_path: Path):
    page = visit("?seed=123&truncation=0.8")
    wait_for_details(page, "Seed 123, truncation 0.8")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").click()
    assert download.value.suggested_filename == "album-cover-123.png"
    download.value.save_as(tmp_path / "cover.png")
    cover = Image.open(tmp_path / "cover.png")
    assert (cover.format, cover.size, cover.text["seed"], cover.text["truncation"]) == ("PNG", (32, 32), "123", "0.8")

    assert seed_of(page) == 123 and page.input_value("#truncation input[type=number]") == "0.8"
    sync_api.expect(page.locator("#crate-heading")).to_have_text("Seeds 120 to 143")
    shown = picture(page)
    page.fill("#seed input", "124")
    wait_for_details(page, "Seed 124, truncation 0.8")
    page.get_by_role("link", name="Link to this cover").click()
    page.wait_for_url("**/?seed=124&truncation=0.8")
    wait_for_details(page, "Seed 124, truncation 0.8")
    assert picture(page) != shown


def test_a_wrong_link_is_told(visit):
    page = visit("?seed=<b>1</b>&truncation=0.8")
    wait_for_details(page, "Seed 1, truncation 0.8")
    sync_api.expect(page.locator(".toast-body")).to_contain_text("The link's seed is none that can be shown")


def test_a_walk_and_its_loop(visit, tmp_path: Path):
    page = visit("?truncation=0.9")
    wait_for_details(page, "Seed 1, truncation 0.9")  # the link is read: both tabs have its truncation
    page.get_by_role("tab", name="Walk").click()
    wait_for_details(page, "50% of the way from 1 to 2, truncation 0.9", "#frame")
    page.fill("#seed-a input", "3")
    page.fill("#seed-b input", "8")
    wait_for_details(page, "50% of the way from 3 to 8, truncation 0.9", "#frame")
    for key, position, thumbnail in (("Home", "0%", "#thumbnail-a"), ("End", "100%", "#thumbnail-b")):
        press(page, "#position input[type=range]", key)
        wait_for_details(page, f"{position} of the way from 3 to 8, truncation 0.9", "#frame")
        shown, end = (page.evaluate(PIXELS, f"{where} img") for where in ("#frame", thumbnail))
        assert shown == end
    before = picture(page, "#frame")
    page.click("#surprise-b")
    wait_for_another(page, before, "#frame")
    assert int(page.input_value("#seed-b input")) != 8

    page.fill("#frames input[type=number]", "12")
    page.click("#make-loop")
    sync_api.expect(page.locator("#frame .details")).to_contain_text("A loop of 12 frames from 3")
    assert page.evaluate("document.querySelector('#frame img').naturalWidth") == 32  # the browser can show it
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the loop").click()
    assert download.value.suggested_filename.endswith(".webp")
    download.value.save_as(tmp_path / "loop.webp")
    assert Image.open(tmp_path / "loop.webp").n_frames == 12

    page.fill("#seed-a input", "-3")
    sync_api.expect(page.locator("#walk-mistake")).to_contain_text("whole number")
    page.click("#make-loop")
    sync_api.expect(page.locator(".toast-body")).to_contain_text("A seed is a whole number from 0 to 4294967295.")

    # the truncation is the same one on both tabs
    press(page, "#walk-truncation input[type=range]", "ArrowLeft")
    page.get_by_role("tab", name="Explore").click()
    wait_for_details(page, "Seed 1, truncation 0.89")


def test_on_a_telephone(visit):
    page = visit(width=390, height=844)
    for tab, scheme in (("Walk", "light"), ("Explore", "dark")):
        page.emulate_media(color_scheme=scheme)
        page.get_by_role("tab", name=tab).click()
        sync_api.expect(page.locator(".sleeve img:visible")).to_have_attribute("alt", re.compile("seed"))
        page.wait_for_function("dark => document.body.classList.contains('dark') === dark", arg=scheme == "dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate(CUT_OFF) == []
        assert page.evaluate(NAMELESS) == []
