"""The whole page by keyboard: every control is reached, in its order, and the focus is never lost."""

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.drawn import draw_cover


TABS = ("crate", "breed", "walk", "finish", "yours")
LESSONS = ("game", "wasserstein", "layers", "normalise", "watch", "critic", "inside", "wrong", "own")
WAIT = 30_000  # milliseconds: a busy machine
# the first press of Tab goes to what is first in the page
FROM_THE_TOP = """() => {
  const start = Object.assign(document.createElement('span'), {tabIndex: -1});
  document.body.prepend(start);
  start.focus();
  start.remove();
  window.reached = new Set();
}"""
# what has the focus: what it is, how far down the page it stands, and whether one sees that it has it
FOCUSED = """() => {
  const focused = document.activeElement;
  if (focused === document.body) return null;
  reached.add(focused);
  const ring = part => part && getComputedStyle(part).outlineStyle !== 'none' && parseFloat(getComputedStyle(part).outlineWidth) > 0;
  const framed = focused.closest('.drop, .file, .button');  // its border
  const box = focused.getBoundingClientRect();
  return {
    name: focused.outerHTML.slice(0, 120), seen: [focused, focused.nextElementSibling, focused.parentElement].some(ring) || Boolean(framed),
    top: box.top + scrollY, inside: box.bottom > 0 && box.top < innerHeight, tab: Boolean(focused.closest('[id^=panel-]')),
  };
}"""  # noqa: E501
# of the controls that one sees those that were not reached; of a group of radio buttons one is
MISSED = """() => {
  const groups = new Set([...reached].filter(one => one.type === 'radio').map(one => one.name));
  return [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
    .filter(one => one.tabIndex >= 0 && !one.disabled && one.checkVisibility({visibilityProperty: true}))
    .filter(one => !reached.has(one) && !(one.type === 'radio' && groups.has(one.name)))
    .map(one => one.outerHTML.slice(0, 120));
}"""
LOST = """() => document.activeElement === document.body ||
  !document.activeElement.checkVisibility({visibilityProperty: true})"""


def walk_by_tab(page: Page, where: str, in_order: bool) -> None:
    page.evaluate(FROM_THE_TOP)
    last = 0
    for _ in range(150):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None:  # the end of the page
            break
        assert focused["seen"] and focused["inside"], (where, focused)
        if in_order and focused["tab"]:
            assert focused["top"] > last - 60, (where, focused, last)  # on one line
            last = focused["top"]
    else:
        raise AssertionError(f"{where}: a trap")
    assert page.evaluate(MISSED) == [], where


@pytest.mark.parametrize("width", (1280, 390))
def test_tab_reaches_every_control_of_every_tab(visit, width: int) -> None:
    page = visit("?seed=1", width=width)
    page.click("#crate .keep")
    for tab in TABS:
        page.click(f"#tab-{tab}")
        if tab == "breed":
            expect(page.locator("#breed .child")).to_have_count(12, timeout=WAIT)
            page.wait_for_function("document.querySelectorAll('.fader img[src]').length === 12")
        if tab == "finish":
            expect(page.locator("#finish .which button")).to_have_count(1, timeout=WAIT)
        walk_by_tab(page, f"{tab} at {width}", in_order=width < 760)
    for lesson in LESSONS:
        page.evaluate(f"move({{tab: 'learn', more: {{learn: '{lesson}'}}}})")
        page.locator(f".stage.{lesson}").wait_for(timeout=WAIT)
        page.wait_for_timeout(500)
        walk_by_tab(page, f"{lesson} at {width}", in_order=width < 760)


def kept(page: Page, selector: str, key: str = "Enter") -> None:
    """Press a key on a control; a while later something that one sees has the focus."""
    page.locator(selector).first.focus()
    page.keyboard.press(key)
    for _ in range(8):
        page.wait_for_timeout(100)
        assert not page.evaluate(LOST), selector


def test_no_press_loses_the_focus(visit, tmp_path) -> None:
    page = visit("?seed=1")
    for selector in ("#crate .keep", "#crate [data-file=jpeg]", "#dice", "#in"):
        kept(page, selector)
    expect(page.locator("#in")).to_be_disabled()
    kept(page, "#crate [data-send=breed]")
    expect(page.locator("#tab-breed")).to_be_focused()
    expect(page.locator("#breed .child")).to_have_count(12, timeout=WAIT)
    for selector in ("#breed .choose", "#breed .keep-child", "#breed .mates button", "#breed .again"):
        kept(page, selector)
    kept(page, "#breed .fader input", "End")
    kept(page, "#breed .fader .middle")
    expect(page.locator("#breed .fader input").first).to_be_focused()
    kept(page, "#breed .family button")
    for _ in range(5):
        kept(page, "#breed .undo")
    expect(page.locator("#breed .undo")).to_be_disabled()
    kept(page, ".shelf .rename")
    page.keyboard.press("Enter")
    for _ in range(2):
        kept(page, ".shelf .remove")
    expect(page.locator(".shelf .import")).to_be_focused()
    kept(page, ".toast button")  # put back
    kept(page, "#breed [data-send=finish]")
    kept(page, "#finish [data-save=jpeg]")
    page.click("#tab-yours")
    draw_cover(3, 200).save(tmp_path / "mine.png")
    page.set_input_files("#yours input[type=file]", tmp_path / "mine.png")
    kept(page, "#yours .stop")
    kept(page, "#yours .search")
    page.click("#tab-learn")
    page.locator(".stage.game").wait_for(timeout=WAIT)
    kept(page, ".onwards .keep")
    expect(page.locator(".lesson h2")).to_be_focused()
