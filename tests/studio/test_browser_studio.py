"""The tabs Breed and Finish, and what all tabs owe a visitor, in a real Chromium."""

import re
import threading
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from gan.studio.address import from_png
from gan.studio.files import cover_png
from gan.studio.tabs import finish
from tests.helpers.visiting import SMALL


CUT_OFF = """[...document.querySelectorAll('button, input, .sleeve img, .details, table')]
  .filter(element => element.offsetParent && !element.closest('.mates, .family, table, .shelf, [tabindex="-1"]'))
  .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
  .map(element => element.outerHTML.slice(0, 200))"""
NAMELESS = """[...document.querySelectorAll('button, input, a, img')]
  .filter(element => element.offsetParent && !element.closest('footer'))
  .filter(element => !(element.getAttribute('aria-label') || element.alt || element.labels?.length || element.title ||
                       element.innerText?.trim() || element.querySelector?.('img[alt]:not([alt=""])')))
  .filter(element => !(element.alt === '' && element.closest('button[aria-label], label')))
  .map(element => element.outerHTML.slice(0, 200))"""


@pytest.fixture
def address(page_with_index: str) -> str:
    return page_with_index


@pytest.fixture
def visit(visitors, address: str):
    """`visit(...)`: opens the page, and when the test ends looks whether all was well in the browser."""
    wrong = []

    def open_page(width: int = 1280, height: int = 900, **options):
        page = visitors.arrive(**options).new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.set_default_timeout(15_000)
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if is_ours(request.url) else wrong.append(request.url))
        page.goto(f"{address}?seed=1")
        page.wait_for_selector("#crate .stand[data-address]")
        return page

    def is_ours(url: str) -> bool:
        return url.startswith((address, "data:", "blob:"))

    yield open_page
    assert not wrong


def shown(page, tab: str) -> str:
    return page.locator(f"#{tab} .stand").get_attribute("data-address")


def wait_for_another(page, tab: str, before: str) -> str:
    page.wait_for_function(
        "([tab, before]) => document.querySelector(`#${tab} .stand`).dataset.address !== before", arg=[tab, before]
    )
    return shown(page, tab)


def open_breed(page) -> None:
    page.click("#crate [data-send=breed]")
    expect(page.locator("#breed .child")).to_have_count(12)


def test_children_and_the_way_back(visit):
    page = visit()
    open_breed(page)
    assert shown(page, "breed").startswith("seed=1&")
    first = shown(page, "breed")
    child = page.locator("#breed .child").nth(4)
    address = child.get_attribute("data-address")
    child.locator(".choose").click()
    assert wait_for_another(page, "breed", first) == address
    expect(page.locator("#breed .details")).to_have_text("Generation 1")
    expect(page.locator("#breed .family button")).to_have_count(2)
    page.locator("#breed .family button").first.click()  # the seed
    assert wait_for_another(page, "breed", address) == first
    page.click("#breed .undo")
    assert wait_for_another(page, "breed", first) == address
    page.click("#breed .undo")
    assert wait_for_another(page, "breed", address) == first
    expect(page.locator("#breed .undo")).to_be_disabled()


def test_how_different(visit):
    page = visit()
    open_breed(page)
    before = page.locator("#breed .child").first.get_attribute("data-address")
    page.locator("#breed .difference").focus()
    page.keyboard.press("End")
    expect(page.locator("#breed .difference + output")).to_have_text("100%")
    expect(page.locator("#breed .child").first).not_to_have_attribute("data-address", before)
    before = page.locator("#breed .child").first.get_attribute("data-address")
    page.click("#breed .again")
    expect(page.locator("#breed .child").first).not_to_have_attribute("data-address", before)


def test_two_covers_are_crossed(visit):
    page = visit()
    page.click("#crate [data-send=keep]")
    open_breed(page)
    first = shown(page, "breed")
    page.locator("#breed .choose").first.click()
    second = wait_for_another(page, "breed", first)
    page.locator("#breed .mates button").first.click()
    expect(page.locator("#breed .child").first).to_have_attribute("data-parents", f"{second} {first}")
    ways = page.locator("#breed .child .way").all_inner_texts()
    assert ways == ["blend"] * 6 + ["by chance"] * 6
    page.locator("#breed .choose").nth(3).click()
    wait_for_another(page, "breed", second)
    expect(page.locator("#breed .details")).to_have_text("Generation 2")
    expect(page.locator("#breed .family path")).to_have_count(3)
    page.locator("#breed .keep-child").first.click(force=True)
    expect(page.locator("#shelf .kept li")).to_have_count(2)


def test_keys_choose_children_and_the_focus_stays(visit):
    page = visit()
    open_breed(page)
    first = shown(page, "breed")
    page.locator("#breed .choose").nth(4).focus()
    page.keyboard.press("Enter")
    second = wait_for_another(page, "breed", first)
    expect(page.locator("#breed .child").first).to_have_attribute("data-parents", second)
    expect(page.locator("#breed .choose").nth(4)).to_be_focused()
    third = page.locator("#breed .child").nth(2).get_attribute("data-address")
    page.keyboard.press("3")
    assert wait_for_another(page, "breed", second) == third


def test_a_fader_moves_the_cover_and_undo_brings_it_back(visit):
    page = visit()
    open_breed(page)
    first = shown(page, "breed")
    expect(page.locator("#breed .fader")).to_have_count(6)
    page.wait_for_function(
        "[...document.querySelectorAll('#breed .fader img')].every(image => image.src.startsWith('data:image/png'))"
    )
    fader = page.locator("#breed .fader input").nth(1)
    fader.focus()
    page.keyboard.press("End")
    moved = wait_for_another(page, "breed", first)
    assert moved.startswith("latents=")
    # where the fader is, its own end shows the cover
    end = page.locator("#breed .fader").nth(1).locator("img").nth(1)
    expect(end).to_have_attribute("src", page.locator("#breed .sleeve img").get_attribute("src"))
    expect(page.locator("#breed .child").first).to_have_attribute("data-parents", moved)
    page.click("#breed .undo")
    assert wait_for_another(page, "breed", moved) == first
    expect(fader).to_have_value("0")


def test_a_burst_of_keys_on_a_fader_is_one_step_back(visit):
    page = visit()
    open_breed(page)
    first, before = shown(page, "breed"), page.evaluate("history.length")
    fader, other = page.locator("#breed .fader input").nth(1), page.locator("#breed .fader input").nth(3)
    fader.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(150)
    expect(fader).to_have_value("0.1")
    second = wait_for_another(page, "breed", first)
    page.wait_for_function("address => decodeURIComponent(location.search).includes(address)", arg=second[:40])
    page.wait_for_function("place.cover === document.querySelector('#breed .stand').dataset.address")
    assert page.evaluate("history.length") == before + 1
    second = shown(page, "breed")
    other.press("End")  # another fader is another step
    third = wait_for_another(page, "breed", second)
    page.wait_for_function("address => place.cover === address", arg=third)
    assert page.evaluate("history.length") == before + 2
    page.go_back()
    assert wait_for_another(page, "breed", third) == second
    expect(fader).to_have_value("0.1")
    expect(other).to_have_value("0")
    page.click("#breed .undo")
    assert wait_for_another(page, "breed", second) == first
    expect(fader).to_have_value("0")
    expect(page.locator("#breed .undo")).to_be_disabled()
    fader.press("ArrowRight")  # at once, but after something else: a step of its own
    expect(page.locator("#breed .undo")).to_be_enabled()


def test_a_cover_is_finished_and_opens_again(visit, tmp_path: Path):
    page = visit()
    page.click("#crate [data-send=finish]")
    image = page.locator("#finish .sleeve img")
    expect(image).to_have_attribute("src", re.compile("^data:image/webp"))
    expect(page.locator("#finish .layouts input")).to_have_count(5)
    plain = image.get_attribute("src")
    page.fill("#finish .artist", "<b>Óskar</b> & ${1+1}")
    page.fill("#finish .title", "Veðurfréttir")
    expect(page.locator("#finish .details")).to_contain_text("to 1 where it is least")
    assert image.get_attribute("src") != plain
    page.locator("#finish .layouts label").nth(3).click()
    expect(page.locator("#finish .layouts input").nth(3)).to_be_checked()
    page.fill("#finish .title", "سلام")
    expect(page.locator("#finish .note")).to_contain_text("The fonts have no")
    before = image.get_attribute("src")
    page.fill("#finish .title", "Погода")
    expect(page.locator("#finish .note")).to_have_text("")
    expect(image).not_to_have_attribute("src", before)
    for box, choice in ((".font", "wide"), (".ink", "own"), (".position", "middle")):
        before = image.get_attribute("src")
        page.select_option(f"#finish {box}", choice)
        if choice == "own":
            page.fill("#finish .own", "#ff0000")
        expect(image).not_to_have_attribute("src", before)
    assert "ink=%23ff0000" in page.url and "position=middle" in page.url
    page.reload()
    expect(page.locator("#finish .title")).to_have_value("Погода")
    expect(page.locator("#finish .own")).to_have_value("#ff0000")
    page.fill("#finish .title", "Weather")
    expect(page.locator("#finish .note")).to_have_text("")
    with page.expect_download(timeout=120_000) as download:
        page.click("#finish [data-save=print]")
    download.value.save_as(tmp_path / "print.png")
    assert download.value.suggested_filename == "album-cover-1-3000.png"
    assert Image.open(tmp_path / "print.png").size == (3000, 3000)
    assert from_png((tmp_path / "print.png").read_bytes()).seed == 1
    with page.expect_download(timeout=120_000) as download:
        page.click("#finish [data-save=jpeg]")
    download.value.save_as(tmp_path / "shop.jpg")
    assert download.value.suggested_filename == "album-cover-1-3000.jpg"
    assert Image.open(tmp_path / "shop.jpg").size == (3000, 3000)
    assert (tmp_path / "shop.jpg").stat().st_size < 4_000_000 and (tmp_path / "print.png").stat().st_size < 10_000_000
    expect(page.locator("#finish .details")).to_contain_text(" MB")
    with page.expect_download(timeout=120_000) as download:
        page.click("#finish [data-save=mp4]")
    assert download.value.suggested_filename == "album-cover-1-loop.mp4"


def test_what_is_typed_does_not_wait_for_the_enlarged_picture(visit, monkeypatch: pytest.MonkeyPatch):
    go_on = threading.Event()
    monkeypatch.setattr(finish, "enlarge", lambda cover, size: (go_on.wait(60), cover.resize((size, size)))[1])
    page = visit()
    page.fill("#seed", "77")
    expect(page.locator("#crate .stand")).to_have_attribute("data-address", re.compile("seed=77&"))
    page.click("#crate [data-send=finish]")
    expect(page.locator("#finish .stand")).to_have_attribute("data-shown", re.compile("seed=77&"))
    image = page.locator("#finish .sleeve img")
    plain = image.get_attribute("src")
    page.fill("#finish .title", "Tide")
    expect(page.locator("#finish .details")).to_contain_text("to 1 where it is least")
    typed = image.get_attribute("src")
    assert typed != plain and not go_on.is_set()
    go_on.set()
    expect(image).not_to_have_attribute("src", typed)  # the enlarged one


def test_a_cover_is_saved_large_from_anywhere(visit, tmp_path: Path):
    page = visit()
    for tab in ("crate", "breed"):
        if tab == "breed":
            open_breed(page)
        for kind, name in (("png", "album-cover-1-1024.png"), ("jpeg", "album-cover-1-1024.jpg")):
            with page.expect_download(timeout=60_000) as download:
                page.click(f"#{tab} [data-file={kind}]")
                page.click(f"#{tab} [data-file={kind}]", force=True)  # one file for one press
            assert download.value.suggested_filename == name
            download.value.save_as(tmp_path / name)
            assert Image.open(tmp_path / name).size == (1024, 1024)
            expect(page.locator(f"#{tab} [data-file={kind}]")).to_be_enabled()
    assert from_png((tmp_path / "album-cover-1-1024.png").read_bytes()).seed == 1


def test_on_a_telephone_finish_asks_before_it_offers_files(visit):
    page = visit(width=390, height=844, has_touch=True)
    page.locator("#crate [data-send=finish]").dispatch_event("click")
    page.wait_for_selector("#finish .layouts img[src]")
    top = {
        part: page.locator(f"#finish {part}").bounding_box()["y"]
        for part in (".sleeve", ".artist", ".layouts", ".actions")
    }
    assert sorted(top, key=top.get) == [".sleeve", ".artist", ".layouts", ".actions"]


def test_a_finger_hits_everything_on_a_telephone(visit):
    """Each tab, with covers on the shelf, a family, a message and the names of layouts."""
    page = visit(width=390, height=844, has_touch=True)
    page.click("#crate .keep")
    expect(page.locator(".shelf li")).to_have_count(1)
    for tab, ready in (
        ("crate", "#crate canvas"),
        ("breed", "#breed .child"),
        ("walk", "#walk canvas"),
        ("finish", "#finish .layouts img[src]"),
        ("yours", "#yours .drop"),
    ):
        page.locator(f"#tab-{tab}").click()
        page.wait_for_selector(ready)
        if tab == "breed":
            page.locator("#breed .choose").nth(2).click()
            expect(page.locator("#breed .family button")).to_have_count(2)
        if tab == "finish":
            page.select_option("#finish .ink", "own")
        assert page.evaluate(SMALL) == [], tab
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Take away").click()  # a message with something to press
    expect(page.get_by_role("button", name="Put back")).to_be_visible()
    assert page.evaluate(SMALL) == []


@pytest.mark.parametrize(("locale", "scheme"), (("en-US", "light"), ("de-DE", "dark")))
def test_on_a_telephone(visit, locale: str, scheme: str):
    page = visit(width=390, height=844, locale=locale, color_scheme=scheme, has_touch=True)
    for tab, ready in (("breed", "#breed .child"), ("finish", "#finish .layouts img")):
        page.locator(f"#crate [data-send={tab}]").dispatch_event("click")
        page.wait_for_selector(ready)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate(CUT_OFF) == []
        assert page.evaluate(NAMELESS) == []
    expect(page.locator("#finish h3").first).to_have_text("Gestaltung" if locale.startswith("de") else "Layout")


def test_from_the_opening_to_a_file_by_keys_alone(visit):
    page = visit()
    page.locator("#tab-crate").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#breed .child")).to_have_count(12)
    first = shown(page, "breed")
    page.keyboard.press("3")
    second = wait_for_another(page, "breed", first)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Finish")).to_be_focused()
    expect(page.locator("#finish .stand")).to_have_attribute("data-shown", second)

    def tab_to(selector: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} is not reached")

    tab_to("#finish .artist")
    page.keyboard.type("Mara")
    tab_to("#finish input[name=layout]")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#finish .layouts input").nth(1)).to_be_checked()
    tab_to("#finish .position")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#finish .position")).to_have_value("start")
    tab_to("#finish [data-save=jpeg]")
    with page.expect_download(timeout=120_000) as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith("-3000.jpg")


# of each tab what a screen reader must be told
TOLD = {
    "crate": ('- button "Surprise me"', '- slider "How daring (truncation)', '- button "JPEG, 1024 px"'),
    "breed": ('- button "Other children"', 'group "Children of this cover', '- slider "Fader 1"'),
    "walk": ('- button "Pause"', '- slider "Where in the film"', '- button "Save MP4"'),
    "finish": ('- textbox "Artist"', '- radiogroup "Layout"', '- combobox "Font"', '- button "JPEG for shops"'),
    "yours": ('- button "A picture of yours"', '- heading "Is it a copy?"'),
    "learn": ('- navigation "Lessons"', '- heading "Two networks and a game"', 'img "The plane', '- button "Step G"'),
}  # fmt: skip


def test_a_screen_reader_is_told_what_there_is(visit):
    page, missing = visit(), {}
    for tab, lines in TOLD.items():
        page.locator(f"#tab-{tab}").click()
        selected = f'- tab "{page.locator(f"#tab-{tab}").inner_text()}" [selected]'
        for _ in range(50):  # what comes after the click
            tree = page.locator(f"#panel-{tab}").aria_snapshot() + page.locator("nav").first.aria_snapshot()
            missing[tab] = [line for line in (*lines, selected) if line not in tree]
            if not missing[tab]:
                break
            page.wait_for_timeout(100)
    assert not any(missing.values()), missing


def test_who_waits_is_told_the_place(visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A print that takes long, and two that wait for it."""
    go = threading.Event()
    monkeypatch.setattr(finish, "cover_png", lambda *what: go.wait(90) and cover_png(*what))
    pages = [visit() for _ in range(3)]
    for number, page in enumerate(pages):
        page.click("#crate [data-send=finish]")
        expect(page.locator("#finish .sleeve img")).to_have_attribute("src", re.compile("^data:image/webp"))
        page.click("#finish [data-save=print]")
        if not number:
            page.wait_for_timeout(1500)
            expect(page.locator(".queued")).to_be_hidden()  # it is one's turn
    expect(pages[1].locator(".queued")).to_have_text("Number 1 in the queue")
    expect(pages[2].locator(".queued")).to_be_visible()
    expect(pages[2].locator(".queued")).to_have_text("Number 2 in the queue")
    go.set()
    for page in pages:
        expect(page.locator(".queued")).to_be_hidden()
