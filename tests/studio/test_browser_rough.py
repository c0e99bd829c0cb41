"""The page in rough hands: no network for a while, links that somebody made up, files that are none."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Request, expect


ASKED = "/component_server"
WAIT = 30_000  # milliseconds: a busy machine


@pytest.fixture
def opened(browser, address: str) -> Iterator[Callable[..., Page]]:
    """`opened(query, ...)`: a page of a visitor's own, on which an error in a script fails the test."""
    contexts, wrong = [], []

    def open_page(query: str = "", **options) -> Page:
        contexts.append(browser.new_context(locale="en-US", **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address + query)
        page.wait_for_function("performance.getEntriesByName('first-cover').length", timeout=WAIT)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def test_without_a_network_the_page_says_so_and_goes_on_when_it_is_back(opened) -> None:
    page = opened("?seed=5")
    page.click("#crate .keep")
    page.fill("#seed", "9")
    expect(page.locator("#crate .details")).to_contain_text("Seed 9")
    page.context.set_offline(True)
    page.click(".shelf .open")
    expect(page.locator(".toast.shown")).to_contain_text("The server cannot be reached")
    expect(page.locator("#crate .details")).to_contain_text("Seed 9")  # and so does the address
    page.wait_for_url("**seed=9&**")
    page.click("#tab-breed")  # asks again and again until it is answered
    expect(page.locator(".toast.shown")).to_contain_text("trying again")
    page.context.set_offline(False)
    expect(page.locator("#breed .child")).to_have_count(12, timeout=WAIT)
    page.click(".shelf .open")
    expect(page.locator("#crate .details")).to_contain_text("Seed 5")


def test_a_file_that_is_asked_for_without_a_network(opened) -> None:
    page = opened("?seed=5&tab=finish&artist=Mara")
    expect(page.locator("#finish .details")).to_contain_text("contrast", timeout=WAIT)
    page.context.set_offline(True)
    page.click("#finish [data-save=jpeg]")
    expect(page.locator(".toast.shown")).to_contain_text("trying again", timeout=WAIT)
    expect(page.locator("#finish [data-save=jpeg]")).to_be_enabled()
    expect(page.locator("#finish .details")).not_to_contain_text("Printing")
    expect(page.get_by_text("Attempting reconnection")).to_be_hidden()  # Gradio's own sentence, in English
    page.evaluate("window.before = true")
    page.context.set_offline(False)
    page.wait_for_function("!window.before", timeout=WAIT)  # loaded anew, and at the same place
    expect(page.locator("#finish .artist")).to_have_value("Mara", timeout=WAIT)
    expect(page.locator("#finish .details")).to_contain_text("contrast", timeout=WAIT)


def test_a_line_that_nobody_bred_is_left_out_and_asked_for_once(opened) -> None:
    asked: list[Request] = []
    page = opened("?seed=3&tab=breed&line=99999999999~x!!~@*:!")
    expect(page.locator("#breed .child")).to_have_count(12, timeout=WAIT)
    page.wait_for_timeout(1000)
    page.on("request", lambda request: asked.append(request) if ASKED in request.url else None)
    page.wait_for_timeout(1500)
    assert not asked


def test_what_a_link_says_of_finish_is_taken_as_far_as_there_is_such_a_choice(opened) -> None:
    page = opened("?seed=3&tab=finish&layout=nope&font=zzz&ink=%23zz&position=up&artist=Mara")
    expect(page.locator("#finish .layouts input:checked")).to_have_value("poster")
    for box in (".font", ".ink", ".position"):
        expect(page.locator(f"#finish {box}")).to_have_value("")
    expect(page.locator("#finish .details")).to_contain_text("contrast", timeout=WAIT)
    page.fill("#finish .title", "سلام")  # what no font here has: said, and the old picture is not shown as if it were
    expect(page.locator("#finish .note")).to_contain_text("the fonts have no", ignore_case=True)
    expect(page.locator("#finish .stale")).to_have_count(1)
    page.fill("#finish .title", "Ñandú")
    expect(page.locator("#finish .stale")).to_have_count(0)
    expect(page.locator("#finish .note")).to_have_text("")


def test_in_german_numbers_and_the_foot_are_german(browser, address: str) -> None:
    page = browser.new_page(locale="de-DE")
    page.goto(f"{address}?learn=wasserstein")
    expect(page.locator("[data-number=js] b")).to_have_text("0,693", timeout=WAIT)
    foot = page.locator("footer:not(.colophon)")  # Gradio's own
    expect(foot).to_contain_text("API")
    expect(foot).to_have_attribute("aria-label", "Für Programme")  # which only a screen reader says
    expect(foot).not_to_contain_text("Use via")
    page.context.close()


def test_on_a_telephone_show_me_brings_the_figure_back(opened) -> None:
    page = opened("?learn=wasserstein", viewport={"width": 390, "height": 844})
    page.locator(".steps li").nth(3).get_by_role("button").click(timeout=WAIT)
    expect(page.locator(".two-lines")).to_be_in_viewport()


def test_a_figure_is_drawn_anew_when_light_turns_to_dark(opened) -> None:
    page = opened("?learn=wasserstein", color_scheme="light")
    page.locator(".two-lines").wait_for(timeout=WAIT)
    ground = "[...document.querySelector('.two-lines').getContext('2d').getImageData(4, 4, 1, 1).data].join()"
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{ground} !== '{light}'")
