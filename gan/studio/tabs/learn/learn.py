"""The tab "Learn": short lessons on what a GAN is, one thing to do and one thing to see in each.

What a browser can compute it computes itself (lessons/, fetched when the tab is first opened). What needs the networks
is answered here.
"""

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageSequence
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from gan.networks import NETWORKS
from gan.studio import checks
from gan.studio.files import data_uri, still_webp
from gan.studio.model import Model
from gan.studio.shell.controls import part, tab
from gan.studio.tabs.learn import anatomy
from gan.studio.tabs.learn.inside import Inside


HERE = Path(__file__).parent
SHIPPED = HERE.parents[2] / "pretrained"
FILM, METRICS = SHIPPED / "film.webp", SHIPPED / "metrics.jsonl"
FILM_QUALITY = 80
CURVES = ("loss_d", "loss_g", "fd_covers", "recall_covers", "precision_covers")


def lesson_files() -> Mount:
    """Where the page finds the lessons: scripts, words, pictures, a notebook; nothing of it is secret."""
    return Mount("/learn", StaticFiles(directory=HERE / "lessons"), name="learn")


class Learn:
    """What the lessons ask the server for."""

    def __init__(self, model: Model):
        self.model = model
        self.inside = Inside(model)

    def functions(self) -> list[Callable]:
        """What the lessons call, by these names."""
        inside = self.inside
        questions = [self.layers, self.channels, inside.truncated, inside.ways, inside.directions, inside.normalised]
        return [*questions, self.film, self.frame]

    def props(self) -> dict:
        """What the lessons know of the page's model from the start."""
        return {
            "networks": list(NETWORKS),
            "resolutions": list(anatomy.RESOLUTIONS),
            "widths": list(anatomy.WIDTHS),
            "model": self.model.name,
            "resolution": self.model.resolution,
            "latents": self.model.latent_dim,
        }

    def layers(self, payload: object) -> dict:
        """A network layer by layer, see `anatomy.layers`."""
        return anatomy.layers(payload)

    def channels(self, payload: object) -> dict:
        """A layer's channels, see `Inside.channels`, and how many such layers there are."""
        return self.inside.channels(payload) | {"layers": len(self.inside.layers) - 1}

    def film(self, payload: object) -> dict:
        """The training of the generator that ships: how many pictures its film has, and its curves."""
        return film()

    def frame(self, payload: object) -> dict:
        """One picture of the film, by its number."""
        frames = _frames()
        return {"src": frames[checks.whole(payload, "a picture", 0, len(frames) - 1)]}


def learn_tab(learn: Learn) -> None:
    """Build the tab: empty until it is first opened."""
    with tab("learn"):
        part("tabs/learn/learn", functions=learn.functions(), **learn.props())


@lru_cache(maxsize=1)
def film() -> dict:
    """`{"frames": how many, "curves": {name: [[covers shown, value], ...]}}` of the shipped training.

    The film shows both runs, its last `checkpoints` pictures are those of metrics.jsonl.
    """
    lines = [json.loads(line) for line in METRICS.read_text().splitlines()]
    curves = {name: [[line["images"], line[name]] for line in lines if name in line] for name in CURVES}
    with Image.open(FILM) as pictures:
        frames = pictures.n_frames
    return {
        "frames": frames,
        "checkpoints": [line["images"] for line in lines if "fd_covers" in line],
        "curves": curves,
    }


@lru_cache(maxsize=1)
def _frames() -> list[str]:
    """The pictures of the film as addresses, small enough to slide through."""
    with Image.open(FILM) as pictures:
        stills = (still_webp(picture.convert("RGB"), FILM_QUALITY) for picture in ImageSequence.Iterator(pictures))
        return [data_uri(still, "image/webp") for still in stills]
