"""The tab "Breed": children of a cover, crosses of two, faders, and the family they come from."""

from functools import cached_property
from typing import Any

import torch

from gan.latents import child, cross, moved, semantic_directions, slerp
from gan.pipeline import latents_from_seeds
from gan.studio import checks
from gan.studio.address import Address
from gan.studio.model import Model
from gan.studio.shell.controls import part, tab
from gan.survey import FADER_REACH, FADERS


CHILDREN = 12
DIFFERENCE = 0.35


class Breed:
    """Answer what the tab's script (breed.js) and programs (`/breed`, `/cross`, `/fade`) ask for."""

    def __init__(self, model: Model):
        self.model = model

    @cached_property
    def directions(self) -> torch.Tensor:
        """Return (FADERS, latent_dim) or fewer: the generator's first directions."""
        return semantic_directions(self.model.pipeline.synthesis, min(FADERS, self.model.latent_dim))

    def children(self, parent: Address, difference: float, seed: int) -> list[Address]:
        """Return twelve children of a cover, of its genre, kind and colours; the same seed gives the same ones."""
        noise = latents_from_seeds(_seeds(seed), self.model.latent_dim)
        points = child(self.model.points_of([parent]), noise, difference)
        return [self.model.address_of(point, **parent.asked) for point in points]

    def crosses(self, one: Address, other: Address, seed: int) -> list[Address]:
        """Return six covers between two, and six that have each of their numbers from one of them, by chance.

        All are of the first one's genre, kind and colours.
        """
        a, b = self.model.points_of([one, other])
        half = CHILDREN // 2
        between = torch.stack([slerp(a, b, step / (half + 1)) for step in range(1, half + 1)])
        chance = latents_from_seeds(_seeds(seed)[:half], self.model.latent_dim)
        points = (*between, *cross(a, b, chance > 0))
        return [self.model.address_of(point, **one.asked) for point in points]

    def faded(self, cover: Address, amounts: list[float]) -> Address:
        """Return a cover with each fader at its amount, -1 to 1."""
        if not any(amounts):
            return cover
        step = torch.tensor(amounts) @ self.directions[: len(amounts)] * FADER_REACH
        return self.model.address_of(moved(self.model.points_of([cover])[0], step), **cover.asked)

    # ---- for the script

    def litter(self, payload: object) -> dict[str, Any]:
        """Return a cover and its children, or its crosses with a mate.

        Args:
            payload: `{"parent": query, "mate": query or None, "difference": 0.05 to 1, "seed": any}`.

        Returns:
            `{"parent": cover, "mate": cover or None, "children": [cover, ...]}`, a cover as `{"src", "address"}`.
        """
        asked = payload if isinstance(payload, dict) else {}
        parent, seed = self.model.read(asked.get("parent")), checks.seed(asked.get("seed"))
        if asked.get("mate"):
            mate = self.model.read(asked.get("mate"))
            children = self.crosses(parent, mate, seed)
        else:
            mate, children = None, self.children(parent, as_difference(asked.get("difference")), seed)
        return {
            "parent": self.model.show([parent])[0],
            "mate": mate and self.model.show([mate])[0],
            "children": self.model.show(children),
        }

    def fade(self, payload: object) -> dict[str, Any]:
        """Return a cover with its faders moved, and, if asked for, each fader's picture at both ends.

        Args:
            payload: `{"cover": query, "amounts": [-1 to 1, ...], "ends": True or False}`.
        """
        asked = payload if isinstance(payload, dict) else {}
        cover, amounts = self.model.read(asked.get("cover")), as_amounts(asked.get("amounts"), len(self.directions))
        answer: dict[str, Any] = {"cover": self.model.show([self.faded(cover, amounts)])[0]}
        if asked.get("ends"):
            places = [(n, end) for n in range(len(amounts)) for end in (-1.0, 1.0)]
            ends = [self.faded(cover, [*amounts[:n], end, *amounts[n + 1 :]]) for n, end in places]
            answer["ends"] = [end["src"] for end in self.model.show(ends)]
        return answer


def as_difference(value: object) -> float:
    """Return `value` as the difference between a cover and its children. Raises Refused unless it is 0 to 1."""
    return checks.number(value, "the difference", 0, 1)


def as_amounts(values: object, count: int) -> list[float]:
    """Return `values` as the faders' places. Raises Refused unless they are at most `count` numbers from -1 to 1."""
    if not isinstance(values, list) or not 1 <= len(values) <= count:
        raise checks.Refused("there are 1 to {count} faders", values, count=count)
    return [checks.number(value, "a fader", -1, 1) for value in values]


def _seeds(seed: int) -> list[int]:
    """Return twelve seeds for one: those of neighbouring litters do not overlap."""
    return [(seed * CHILDREN + number) % 2**32 for number in range(CHILDREN)]


def breed_tab(breed: Breed) -> None:
    """Build the tab."""
    model = breed.model
    with tab("breed"):
        part(
            "tabs/breed",
            {"src": "", "difference": DIFFERENCE},
            [breed.litter, breed.fade, model.portraits],
            faders=min(FADERS, model.latent_dim),
            names=list(model.survey.faders) if model.survey else [],
        )
