"""The tab "Crate": an endless plane of covers to drag through. What is under its middle is the cover."""

import math

from gan.latents import blend
from gan.pipeline import LARGEST_SEED
from gan.studio import checks
from gan.studio.address import Address
from gan.studio.model import FIRST_SEED, Model
from gan.studio.shell.controls import part, tab


SIDE = 65_536  # seeds along each side of the plane before it begins again: 2**32 in all
MOST_TILES = 32  # in one answer
FARTHEST = 2.0**40  # from here on a browser's numbers are too coarse for a place between seeds


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
    """What the tab's script asks for (crate.js)."""

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
            answer["cover"] = self.model.show([address_at(self.model, x, y, truncation, genre)])[0]
        if addresses:
            answer["tiles"] = [tile["src"] for tile in self.model.show(addresses)]
        return answer

    def open(self, payload: object) -> dict:
        """The cover of an address, as a link or another tab gives it."""
        return {"cover": self.model.show([self.model.read(payload)])[0]}


def crate_tab(crate: Crate) -> None:
    """Build the tab."""
    model = crate.model
    with tab("crate"):
        part(
            "tabs/crate",
            model.show([model.address(FIRST_SEED)])[0],  # travels with the page: something is there at once
            [crate.look, crate.open],
            side=SIDE,
            most_tiles=MOST_TILES,
            largest_seed=LARGEST_SEED,
            genres=model.genres,
        )
