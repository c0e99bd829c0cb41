"""The tab "Crate": an endless plane of covers to drag through. What is under its middle is the cover."""

import math

import gradio as gr

from gan.latents import blend
from gan.pipeline import LARGEST_SEED
from gan.studio import checks
from gan.studio.address import Address
from gan.studio.files import cover_uri, script
from gan.studio.model import FIRST_SEED, Model
from gan.studio.pictures import SLEEVE
from gan.studio.words import word


SIDE = 65_536  # seeds along each side of the plane before it begins again: 2**32 in all
MOST_TILES = 32  # in one answer
FARTHEST = 2.0**40  # from here on a browser's numbers are too coarse for a place between seeds

CRATE = (
    """
<div class="desk">
  <div class="stand">"""
    + SLEEVE
    + """</div>
  <div class="bin">
    <div class="plane">
      <canvas tabindex="0" role="application" aria-label="${word('plane')}" aria-describedby="plane-help"></canvas>
      <p id="plane-help" class="unseen">${word('plane-help')}</p>
      <p class="where unseen" role="status"></p>
    </div>
    <div class="tools">
      <label class="seed">${word('seed')}
        <input id="seed" type="text" inputmode="numeric" autocomplete="off" maxlength="12"></label>
      <button type="button" id="dice">${word('dice')}</button>
      <button type="button" id="snap" aria-pressed="true" title="${word('snap-help')}">${word('snap')}</button>
      <button type="button" id="drift" aria-pressed="false" title="${word('drift-help')}">${word('drift')}</button>
      <span class="zoom">
        <button type="button" id="out" aria-label="${word('zoom-out')}" title="${word('zoom-out')}">−</button>
        <button type="button" id="in" aria-label="${word('zoom-in')}" title="${word('zoom-in')}">+</button>
      </span>
      <label class="truncation" title="${word('truncation-help')}">${word('truncation')}
        <input id="truncation" type="range" min="0" max="1.5" step="0.01" value="1">
        <output>1</output></label>
      [genre]
    </div>
    <p class="note" id="mistake" role="alert"></p>
  </div>
</div>
"""
)
GENRE = """<label class="genre">${word('genre')}
        <select id="genre"><option value="">${word('any-genre')}</option></select></label>"""


def seed_at(x: int, y: int) -> int:
    """The seed at a whole place of the plane; within 65536 x 65536 places each seed has exactly one."""
    return x % SIDE + SIDE * (y % SIDE)


def address_at(model: Model, x: float, y: float, truncation: float, genre: str = "") -> Address:
    """The cover at any place: a seed, or between seeds the blend of the four around."""
    left, top = math.floor(x), math.floor(y)
    if x == left and y == top:
        return model.address(seed_at(left, top), truncation, genre)
    corners = [model.address(seed_at(left + right, top + below)) for below in (0, 1) for right in (0, 1)]
    return model.address_of(blend(model.points_of(corners), x - left, y - top), truncation, genre)


class Crate:
    """What the tab's script asks for (crate.js, crate_controls.js)."""

    def __init__(self, model: Model):
        self.model = model

    def look(self, payload: object) -> dict:
        """The cover at a place, and tiles around it.

        Args:
            payload: `{"x": 1.5, "y": 0, "truncation": 1, "genre": "", "tiles": [seed, ...]}`; without x and y only
                tiles.

        Returns:
            `{"cover": {"src": data address, "address": query}, "tiles": [data address, ...]}`.
        """
        asked = payload if isinstance(payload, dict) else {}
        truncation, genre = checks.truncation(asked.get("truncation")), self.model.genre(asked.get("genre"))
        tiles = asked.get("tiles", [])
        if not isinstance(tiles, list) or len(tiles) > MOST_TILES:
            raise checks.Refused("at most {most} covers are drawn at once", tiles, most=MOST_TILES)
        addresses = [self.model.address(checks.seed(seed), truncation, genre) for seed in tiles]
        answer = {}
        if "x" in asked:
            x, y = (checks.number(asked.get(axis), "a place", -FARTHEST, FARTHEST) for axis in "xy")
            answer["cover"] = self.show(address_at(self.model, x, y, truncation, genre))
        if addresses:
            images = self.model.draw(addresses)
            answer["tiles"] = [cover_uri(image, address) for image, address in zip(images, addresses, strict=True)]
        return answer

    def open(self, payload: object) -> dict:
        """The cover of an address, as a link or another tab gives it."""
        return {"cover": self.show(self.model.read(payload))}

    def show(self, address: Address) -> dict:
        """A cover alone in its batch, so that its pixels are always the same."""
        return {"src": cover_uri(self.model.draw([address])[0], address), "address": address.query()}


def crate_tab(model: Model) -> None:
    """Build the tab."""
    crate = Crate(model)
    with gr.Tab(word("crate"), id="crate"):
        gr.HTML(
            crate.show(model.address(FIRST_SEED)),  # travels with the page: something is there at once
            html_template=CRATE.replace("[genre]", GENRE if model.genres else ""),
            js_on_load=script("crate.js") + script("crate_controls.js"),
            server_functions=[checks.for_the_page(crate.look), checks.for_the_page(crate.open)],
            apply_default_css=False,
            elem_id="crate",
            side=SIDE,
            most_tiles=MOST_TILES,
            largest_seed=LARGEST_SEED,
            genres=model.genres,
        )
