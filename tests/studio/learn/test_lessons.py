"""Every lesson as a visitor has it: opened by its link, used once, at three widths, by keys, in German, as a talk."""

import re

import pytest


sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
LESSONS = ("game", "wasserstein", "layers", "normalise", "watch", "inside", "own")
WAIT = 60_000  # milliseconds: a busy machine


def lesson(visit, name: str, more: str = "", **size: int):
    page = visit(f"?learn={name}{more}", wait=False, **size)
    page.locator(f".stage.{name}").wait_for(timeout=WAIT)
    return page


def test_the_game_is_stepped_and_its_link_opens_it_again(visit):
    page = lesson(visit, "game", "&learn-data=line&learn-seed=7")
    page.click("[data-do=step-both]")
    expect(page.locator("[data-number=steps]")).to_have_text("Steps 1")
    expect(page.locator("[data-number=loss-d] b")).not_to_have_text("–")
    assert "learn=game" in page.url and "learn-data=line" in page.url and "learn-seed=7" in page.url
    assert page.locator("input[value=line]").is_checked()
    page.locator("input[value=drawn]").focus()
    page.keyboard.press("Space")
    page.locator("canvas.plane").focus()
    for key in ("ArrowRight", "Space", "ArrowUp", "Space"):  # points set without a mouse
        page.keyboard.press(key)
    page.wait_for_url("**learn-points=*")


def test_wasserstein_is_pushed_by_keys(visit):
    page = lesson(visit, "wasserstein")
    page.locator(".two-lines").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-number=w] b")).to_have_text("1.100")
    expect(page.locator("[data-number=js] b")).to_have_text("0.693")
    expect(page.locator("[data-number=js-slope] b")).to_have_text("0")
    expect(page.locator("[data-number=w-slope] b")).to_have_text("1")


def test_a_layer_is_put_on_the_board(visit):
    page = lesson(visit, "layers")
    page.locator("[data-layer='2']").click(timeout=WAIT)
    expect(page.locator(".details-of")).to_contain_text("512 × 4 × 4 → 256 × 8 × 8")
    expect(page.locator(".cells[tabindex]")).to_have_attribute("data-size", "8")  # 4 x 4 becomes 8 x 8


def test_normalisation_channels_film_and_commands(visit):
    page = lesson(visit, "normalise")
    expect(page.locator(".strip img")).to_have_count(5, timeout=WAIT)
    expect(page.locator(".leak [data-number=none] b")).to_have_text("0.000")
    page = lesson(visit, "watch", "&learn-at=3")
    expect(page.locator(".sheet")).to_have_attribute("src", re.compile("data:image/webp"), timeout=WAIT)
    page = lesson(visit, "inside", "&learn-layer=0")
    page.locator("[data-channel='0']").click(timeout=WAIT)
    expect(page.locator("[data-number=changed] b")).not_to_have_text("0", timeout=WAIT)
    page = lesson(visit, "own")
    page.fill("[data-name=folder]", "holiday")
    expect(page.locator(".commands code").first).to_contain_text("train.prepare holiday")


@pytest.mark.parametrize("width", (390, 1280, 1440))
def test_nothing_is_cut_off(visit, width: int):
    for name in LESSONS:
        page = lesson(visit, name, width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        page.close()


def test_the_talk_by_a_clickers_keys(visit):
    page = lesson(visit, "wasserstein", "&talk=1")
    page.locator(".talk-bar").wait_for(timeout=WAIT)
    place = page.locator(".talk-bar .place")
    expect(place).to_have_text("Lesson 2 of 7, 1 of 4")
    page.keyboard.press("PageDown")
    expect(place).to_have_text("Lesson 2 of 7, 2 of 4")
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    expect(place).to_have_text("Lesson 1 of 7, 7 of 7", timeout=WAIT)
    page.keyboard.press("Escape")
    expect(page.locator(".talk-bar")).to_have_count(0)


def test_in_german(browser, address: str):
    context = browser.new_context(locale="de-DE")
    page = context.new_page()
    page.goto(f"{address}?learn=game")
    expect(page.locator(".learn h2")).to_have_text("Zwei Netze und ein Spiel", timeout=WAIT)
    context.close()
