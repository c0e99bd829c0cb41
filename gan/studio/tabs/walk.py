"""The tab "Walk": the covers of the shelf as a film without a seam."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from gan.film import SMALLEST_FILM, mp4
from gan.latents import closed_path
from gan.studio import checks
from gan.studio.address import Address
from gan.studio.files import (
    FRAMES_PER_SECOND,
    data_uri,
    loop_gif,
    loop_webp,
    still_webp,
)
from gan.studio.model import Model
from gan.studio.pool import heavy
from gan.studio.shell.controls import answer, messenger, part, tab
from gan.studio.shell.shelf import MOST_KEPT
from gan.studio.tabs.learned import Learned, learned_part
from gan.studio.tabs.training import Training, training_part


FRAMES = 60
FILM_QUALITY = 90  # of 100, of a WebP, and of the frames that are shown
FRAMES_A_COVER = 20  # of a film through the shelf, unless the visitor chooses its length
MOST_FRAMES = 8 * MOST_KEPT  # a full shelf has eight frames for each cover
KINDS: dict[str, tuple[Callable[..., bytes], str]] = {
    "webp": (partial(loop_webp, quality=FILM_QUALITY, smallest=SMALLEST_FILM), "image/webp"),
    "mp4": (mp4, "video/mp4"),
    "gif": (partial(loop_gif, smallest=SMALLEST_FILM), "image/gif"),
}


class Walk:
    """Answer what the tab's script (walk.js) asks for."""

    def __init__(self, model: Model):
        self.model = model

    @heavy
    def film(self, asked: object) -> dict[str, Any]:
        """Return every frame of the film as a still, along the round path and, to compare, along straight lines."""
        order = Order(self.model, asked)
        paths = [order.path(straight) for straight in ((False, True) if order.compare else (False,))]
        images = self.model.film(torch.cat(paths), order.like * len(paths))
        stills = [data_uri(still_webp(image, FILM_QUALITY), "image/webp") for image in images]
        return {"round": stills[: order.frames], "straight": stills[order.frames :]}

    @heavy
    def save(self, asked: object) -> dict[str, Any]:
        """Make the film as a file of at least `SMALLEST_FILM` pixels a side, `{"file": data address, "name"}`."""
        order = Order(self.model, asked)
        images = self.model.film(order.path(order.straight), order.like)
        make, media = KINDS[order.kind]
        name = f"film-{len(order.addresses)}-covers-{order.frames}-frames.{order.kind}"
        return {"file": data_uri(make(images, order.speed), media), "name": name}

    def frame(self, payload: Any) -> dict[str, Any]:
        """Return one frame as a cover of its own."""
        order = Order(self.model, payload)
        place = checks.whole(payload.get("frame"), "a frame", 0, order.frames - 1)
        address = self.model.address_of(order.path(order.straight)[place], **order.like[place].asked)
        return self.model.show([address])[0]


class Order:
    """Say which film, checked. Raises Refused unless `asked` is a dict of sound values, see `/film`."""

    def __init__(self, model: Model, asked: object):
        asked = asked if isinstance(asked, dict) else {}
        queries = asked.get("addresses")
        if not isinstance(queries, list) or not 2 <= len(queries) <= MOST_KEPT:
            raise checks.Refused("a film goes through 2 to {most} covers", queries, most=MOST_KEPT)
        self.addresses: list[Address] = [model.read(query) for query in queries]
        self.frames = checks.frames(asked.get("frames", FRAMES), MOST_FRAMES)
        if self.frames < len(queries):
            raise checks.Refused("a film has at least as many frames as covers", self.frames)
        self.speed = checks.whole(asked.get("speed", FRAMES_PER_SECOND), "frames a second", 1, 50)
        self.kind = asked.get("kind", "webp")
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            raise checks.Refused("films are made as webp, mp4 or gif", self.kind)
        self.straight = bool(asked.get("straight"))
        self.compare = bool(asked.get("compare"))
        self._points = model.points_of(self.addresses)
        # of each frame that of the nearest cover, half way of the next one
        places = [(2 * n * len(queries) + self.frames) // (2 * self.frames) for n in range(self.frames)]
        self.like = [self.addresses[place % len(queries)] for place in places]

    def path(self, straight: bool) -> torch.Tensor:
        """Return (frames, latent_dim): what the network is given."""
        return closed_path(self._points, self.frames, straight)


def walk_tab(walk: Walk, training: Training, learned: Learned) -> None:
    """Build the tab."""
    with tab("walk"):
        desk = part(
            "tabs/walk",
            functions=[walk.frame],
            fewest=checks.FEWEST_FRAMES,
            most=MOST_FRAMES,
            frames=FRAMES,
            a_cover=FRAMES_A_COVER,
            speed=FRAMES_PER_SECOND,
        )
        reel = messenger("reel")
        training_part(training)
        learned_part(learned)
    # in the queue, where a Space lends its GPU, one film at a time
    drawn = {"show_progress": "hidden", "concurrency_id": "film", "concurrency_limit": 1, "api_visibility": "private"}
    desk.film(answer(walk.film), None, reel, trigger_mode="multiple", **drawn)
    desk.save(answer(walk.save), None, reel, trigger_mode="multiple", **drawn)
