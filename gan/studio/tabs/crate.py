"""The tab "Crate": an endless plane of covers to drag through. What is under its middle is the cover."""

import math
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from diffusers.utils import make_image_grid
from PIL import Image

from gan.latents import blend
from gan.palettes import colours_of
from gan.pipeline import COLOURS, LARGEST_SEED
from gan.studio import checks
from gan.studio.address import Address
from gan.studio.files import data_uri, still_webp
from gan.studio.model import Model
from gan.studio.shell.controls import part, tab
from gan.studio.uploads import from_base64, read_picture


SIDE = 65_536  # seeds along each side of the plane before it begins again: 2**32 in all
IN_A_ROW, ROW_SIDE = 6, 64  # covers that show a kind, and pixels a side of each
MOST_TILES = 32  # in one answer
MOST_COLOURS = 3  # to find a cover by
FOUND = 12  # covers of a colour in one answer
FARTHEST = 2.0**40  # from here on a browser's numbers are too coarse for a place between seeds


def seed_at(x: int, y: int) -> int:
    """Return the seed at a whole place of the plane; within 65536 x 65536 places each seed has exactly one."""
    return x % SIDE + SIDE * (y % SIDE)


def address_at(
    model: Model, x: float, y: float, truncation: float, genre: str = "", kind: int = 0, colours: str = ""
) -> Address:
    """Return the cover at any place: a seed, or between seeds the blend of the four around."""
    left, top = math.floor(x), math.floor(y)
    if x == left and y == top:
        return model.address(seed_at(left, top), truncation, genre, kind, colours)
    corners = [model.address(seed_at(left + right, top + below)) for below in (0, 1) for right in (0, 1)]
    return model.address_of(blend(model.points_of(corners), x - left, y - top), truncation, genre, kind, colours)


class Crate:
    """Answer what the tab's script (crate.js) asks for."""

    def __init__(self, model: Model):
        self.model = model
        # all 298 choices of at most three colours fit: 128 kB each
        self._ranked = lru_cache(maxsize=512)(self._rank)

    def _rank(self, colours: tuple[str, ...]) -> np.ndarray:
        assert self.model.survey is not None
        return self.model.survey.find(colours)

    def look(self, payload: object) -> dict[str, Any]:
        """Return the cover at a place, and tiles around it.

        Args:
            payload: `{"x": 1.5, "y": 0, "truncation": 1, "genre": "", "kind": 0, "colours": "", "tiles": [seed,
                ...]}`; without x and y only tiles.

        Returns:
            `{"cover": {"src": data address, "address": query}, "tiles": [data address, ...]}`.
        """
        asked = payload if isinstance(payload, dict) else {}
        truncation = checks.truncation(asked.get("truncation"))
        wanted = self.model.asked(asked.get("genre"), asked.get("kind"), asked.get("colours"))
        tiles = asked.get("tiles", [])
        if not isinstance(tiles, list) or len(tiles) > MOST_TILES:
            raise checks.Refused("at most {most} covers are drawn at once", tiles, most=MOST_TILES)
        addresses = [self.model.address(checks.seed(seed), truncation, **wanted) for seed in tiles]
        answer: dict[str, Any] = {}
        if "x" in asked:
            x, y = (checks.number(asked.get(axis), "a place", -FARTHEST, FARTHEST) for axis in "xy")
            answer["cover"] = self.model.show([address_at(self.model, x, y, truncation, **wanted)])[0]
        if addresses:
            # without loss, in a fifth of the time that a PNG takes: nobody saves a tile
            tiles_drawn = self.model.draw(addresses)
            answer["tiles"] = [data_uri(still_webp(tile), "image/webp") for tile in tiles_drawn]
        return answer

    def find(self, colours: Any, first: object = 0, count: object = FOUND) -> list[Address]:
        """Return the covers that have most of 1 to 3 colours, best first; `first` of them are passed over."""
        if self.model.survey is None:
            raise checks.Refused("this generator came without an index of colours", colours)
        known = isinstance(colours, list) and all(isinstance(name, str) and name in COLOURS for name in colours)
        if not known or not 1 <= len(colours) <= MOST_COLOURS or len(set(colours)) < len(colours):
            sentence = "give 1 to {most} different colours of {names}"
            raise checks.Refused(sentence, colours, most=MOST_COLOURS, names=", ".join(COLOURS))
        seeds = self._ranked(tuple(sorted(colours)))
        first = checks.whole(first, "the first cover", 0, len(seeds))
        count = checks.whole(count, "the number of covers", 1, MOST_TILES)
        return [self.model.address(int(seed)) for seed in seeds[first : first + count]]

    def of_colours(self, payload: object) -> dict[str, Any]:
        """Return covers of `{"colours": [name, ...], "first": how many to pass over}`: `{"covers": [cover, ...]}`."""
        asked = payload if isinstance(payload, dict) else {}
        return {"covers": self.model.show(self.find(asked.get("colours"), asked.get("first", 0)))}

    def open(self, payload: object) -> dict[str, Any]:
        """Return the cover of an address, as a link or another tab gives it."""
        return {"cover": self.model.show([self.model.read(payload)])[0]}

    def kinds(self, payload: object) -> dict[str, Any]:
        """Return a row of covers for each kind, seeds 0 and on, none of them chosen, and the kind of a cover.

        Args:
            payload: the query of the cover.

        Returns:
            `{"likely": number, "rows": [data address of a picture, ...]}`, the row of kind 1 first.
        """
        return {"likely": self.model.likely_kind(self.model.read(payload)), "rows": self._rows}

    @cached_property
    def _rows(self) -> list[str]:
        rows = []
        for kind in range(1, self.model.kinds + 1):
            covers = self.model.draw([self.model.address(seed, kind=kind) for seed in range(IN_A_ROW)])
            small = [cover.resize((ROW_SIDE, ROW_SIDE), Image.Resampling.LANCZOS) for cover in covers]
            rows.append(data_uri(still_webp(make_image_grid(small, 1, IN_A_ROW)), "image/webp"))
        return rows

    def colours(self, payload: object) -> dict[str, Any]:
        """Return colours of a cover, `{"cover": query}`, or of a picture, `{"file": base64}`: `{"colours": text}`."""
        asked = payload if isinstance(payload, dict) else {}
        if "file" in asked:
            picture = read_picture(from_base64(asked["file"]), self.model.resolution)
        else:
            picture = self.model.draw([self.model.read(asked.get("cover"))])[0]
        return {"colours": colours_of(picture)}


def crate_tab(crate: Crate) -> None:
    """Build the tab."""
    model = crate.model
    with tab("crate"):
        part(
            "tabs/crate",
            model.show([model.address(model.opening)])[0],  # travels with the page: something is there at once
            [crate.look, crate.open, crate.kinds, crate.colours],
            side=SIDE,
            most_tiles=MOST_TILES,
            largest_seed=LARGEST_SEED,
            genres=model.genres,
            kinds=model.kinds,
            colours={name: COLOURS[name] for name in model.colours},
        )
        if model.survey is not None:
            swatches = {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in COLOURS.items()}
            part("tabs/by_colour", functions=[crate.of_colours], colours=swatches, most=MOST_COLOURS)
