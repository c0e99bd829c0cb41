"""What visitors of the page see, read from a real browser."""

import base64
import json
import re
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Error, Page, expect


# what is painted at a place of the plane, in tiles from its middle; null while nothing is
PAINTED = """([i, j, across]) => {
  const canvas = document.querySelector('#crate canvas'), scale = canvas.width / canvas.clientWidth;
  const size = Math.min(canvas.clientWidth, canvas.clientHeight) / across * scale;
  const at = [canvas.width / 2 + i * size, canvas.height / 2 + j * size];
  return [...canvas.getContext('2d').getImageData(at[0] - size / 4, at[1] - size / 4, size / 2, size / 2).data]
    .reduce((sum, value, n) => sum + value * (n % 97), 0);
}"""
# the middle of a tile as it is painted: its side in pixels, and their red, green, blue and opacity, row by row
TILE = """([i, j, across]) => {
  const canvas = document.querySelector('#crate canvas'), scale = canvas.width / canvas.clientWidth;
  const size = Math.min(canvas.clientWidth, canvas.clientHeight) / across * scale, side = Math.floor(size / 2);
  const [left, top] = [canvas.width / 2 + i * size, canvas.height / 2 + j * size].map(n => Math.round(n - side / 2));
  return [side, [...canvas.getContext('2d').getImageData(left, top, side, side).data]];
}"""
CUT_OFF = """[...document.querySelectorAll('button, input, canvas, .sleeve img, .details')]
  .filter(element => element.offsetParent && !element.closest('.shelf'))  // a shelf is scrolled along
  .filter(element => element.getBoundingClientRect().right > innerWidth)
  .map(element => element.outerHTML.slice(0, 200))"""
NAMELESS = """[...document.querySelectorAll('button, input, a, img, canvas')]
  .filter(element => element.offsetParent)
  .filter(element => !(element.getAttribute('aria-label') || element.alt || element.labels?.length ||
                       element.innerText?.trim() || element.querySelector?.('img[alt]:not([alt=""])')))
  .map(element => element.outerHTML.slice(0, 200))"""


# what a finger has to hit and is smaller than 44 px; links in the middle of a text are text
SMALL = """[...document.querySelectorAll('button, a[href], input, select, textarea, summary, canvas[tabindex]')]
  .filter(element => !element.disabled && element.checkVisibility({visibilityProperty: true}))
  .filter(element => !(element.matches('a[href]') && getComputedStyle(element).display === 'inline'))
  .map(element => {
    const behind = ['radio', 'checkbox', 'file'].includes(element.type) && element.closest('label');
    const {width, height} = (behind || element).getBoundingClientRect();
    return width < 43.5 || height < 43.5 ? `${width} x ${height}: ${element.outerHTML.slice(0, 120)}` : '';
  }).filter(Boolean)"""


def details(page: Page, text: str | re.Pattern[str], tab: str = "#crate") -> None:
    """Wait until a tab says this of its cover."""
    expect(page.locator(f"{tab} .details")).to_have_text(text)


def shown(page: Page) -> bytes:
    """The PNG in the sleeve."""
    return base64.b64decode(page.locator("#crate .sleeve img").get_attribute("src").partition(",")[2])


class Visitors:
    """Open contexts of a browser, in each a visitor who was never here, and keep them for the visitors to come.

    In a context of its own every test would fetch Gradio's scripts anew, and compile them. A kept one forgets all of a
    visitor, and keeps what every page of this machine has in common.
    """

    def __init__(self, browser: Browser):
        self._browser = browser
        self._idle: dict[str, list[BrowserContext]] = {}
        self._busy: list[tuple[str, BrowserContext]] = []

    def arrive(self, **options: object) -> BrowserContext:
        """Return a context of these options, without pages, until `leave`."""
        kind = json.dumps(options, sort_keys=True)
        kept = self._idle.setdefault(kind, [])
        context = kept.pop() if kept else self._browser.new_context(**options)
        self._busy.append((kind, context))
        return context

    def leave(self) -> None:
        """Close the pages of all who are here, and forget what they did."""
        while self._busy:
            kind, context = self._busy.pop()
            try:
                forget(context)
            except Error:  # a page that is gone, or hangs
                context.close()
            else:
                self._idle[kind].append(context)


def forget(context: BrowserContext) -> None:
    """Close all pages of a context, and clear what they stored, what they may do, and whether they have a network."""
    context.set_offline(False)
    context.clear_permissions()
    context.clear_cookies()
    origins = {"{0.scheme}://{0.netloc}".format(urlsplit(page.url)) for page in context.pages}
    for page in context.pages:
        page.close()
    page = context.new_page()  # a blank one, to speak to the browser through
    session = context.new_cdp_session(page)
    for origin in origins:
        session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
    page.close()
