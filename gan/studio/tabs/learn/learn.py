"""The tab "Learn": short lessons on what a GAN is, one thing to do and one thing to see in each.

What a browser can compute it computes itself (lessons/, fetched when the tab is first opened). What needs the networks
is answered here.
"""

import json
import logging
import math
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from diffusers.utils import make_image_grid
from huggingface_hub import HfApi, hf_hub_download
from PIL import Image
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from gan.errors import first_line
from gan.film import evenly
from gan.studio import checks
from gan.studio.files import data_uri, still_webp
from gan.studio.model import Model
from gan.studio.shell.controls import part, tab
from gan.studio.tabs.learn import anatomy
from gan.studio.tabs.learn.critic import Critic
from gan.studio.tabs.learn.inside import Inside
from gan.studio.tabs.training import MOST_SNAPSHOTS, Training, images_of


HERE = Path(__file__).parent
# of the DCGAN whose sketches the generator that ships paints anew
FILM, METRICS, CONFIG = (HERE / "training" / name for name in ("film.webp", "metrics.jsonl", "config.json"))
FILM_QUALITY = 80
CURVES = ("loss_d", "loss_g", "fd_covers", "recall_covers", "precision_covers")
FILMS = ("shipped", "hub")
SEEDS, IN_A_ROW = 16, 4  # covers on a picture of a training on the Hub
WIDEST = 512  # pixels of such a picture
LARGEST_METRICS = 20_000_000  # bytes
MOST_POINTS = 400  # of a curve

log = logging.getLogger("gan.studio")


def lesson_files() -> Mount:
    """Return where the page finds the lessons: scripts, words, pictures, a notebook; nothing of it is secret."""
    return Mount("/learn", StaticFiles(directory=HERE / "lessons"), name="learn")


class Learn:
    """Answer what the lessons ask the server for."""

    def __init__(self, model: Model, training: Training):
        self.model = model
        self.training = training
        self.inside = Inside(model)
        self.critic = Critic(model)
        self._sheet = lru_cache(maxsize=MOST_SNAPSHOTS)(self._draw_sheet)

    def functions(self) -> list[Callable[..., Any]]:
        """Return what the lessons call, by these names."""
        inside = self.inside
        questions = [self.layers, self.channels, inside.truncated, inside.ways, inside.directions, inside.normalised]
        return [*questions, self.critic.judged, self.critic.seen, self.film, self.frame]

    def props(self) -> dict[str, Any]:
        """Return what the lessons know of the page's model from the start."""
        return {
            "networks": list(anatomy.SHOWN),
            "resolutions": list(anatomy.RESOLUTIONS),
            "widths": list(anatomy.WIDTHS),
            "model": self.model.name,
            "resolution": self.model.resolution,
            "latents": self.model.latent_dim,
            "snapshots": len(self.training.snapshots),
        }

    def layers(self, payload: object) -> dict[str, Any]:
        """Return a network layer by layer, see `anatomy.layers`."""
        return anatomy.layers(payload)

    def channels(self, payload: object) -> dict[str, Any]:
        """Return a layer's channels, see `Inside.channels`, and how many such layers there are."""
        return self.inside.channels(payload) | {"layers": len(self.inside.layers) - 1}

    def film(self, payload: object) -> dict[str, Any]:
        """Return pictures and curves of a training: `shipped`, in training/, or `hub`, of the page's own model.

        Returns:
            `{"frames": how many pictures, "images": [covers shown at each of the last ones], "curves": {name: [[covers
            shown, value], ...]}}`. The shipped film begins with pictures of a run before it, which have no curves.
        """
        return film() if _film_of(payload) == "shipped" else self._hub_film

    def frame(self, payload: object) -> dict[str, Any]:
        """Return one picture of a film: `{"of": shipped or hub, "number"}`."""
        asked = payload if isinstance(payload, dict) else {}
        if _film_of(asked.get("of")) == "shipped":
            stills = _stills()
            return {"src": stills[checks.whole(asked.get("number"), "a picture", 0, len(stills) - 1)]}
        snapshots = self.training.snapshots
        if not snapshots:
            raise checks.Refused("there are no snapshots of this generator's training", payload)
        return {"src": self._sheet(checks.whole(asked.get("number"), "a picture", 0, len(snapshots) - 1))}

    @cached_property
    def _hub_film(self) -> dict[str, Any]:
        images = [images_of(tag) for tag in self.training.snapshots]
        return {"frames": len(images), "images": images, "curves": _hub_curves(self.model.name) if images else {}}

    def _draw_sheet(self, number: int) -> str:
        pipeline = self.training.pipeline_of(self.training.snapshots[number])
        if pipeline is None:
            raise checks.Refused("this snapshot cannot be loaded", number)
        covers = self.model.draw_with(pipeline, [self.model.address(seed) for seed in range(SEEDS)])
        side = min(self.model.resolution, WIDEST // IN_A_ROW)
        small = [cover.resize((side, side), Image.Resampling.LANCZOS) for cover in covers]
        return data_uri(still_webp(make_image_grid(small, SEEDS // IN_A_ROW, IN_A_ROW), FILM_QUALITY), "image/webp")


def learn_tab(learn: Learn) -> None:
    """Build the tab: empty until it is first opened."""
    with tab("learn"):
        part("tabs/learn/learn", functions=learn.functions(), **learn.props())


@lru_cache(maxsize=1)
def film() -> dict[str, Any]:
    """Return the shipped training as `Learn.film` tells it; the last pictures are those of its own checkpoints."""
    lines = [json.loads(line) for line in METRICS.read_text().splitlines()]
    with Image.open(FILM) as pictures:
        frames = getattr(pictures, "n_frames", 1)
    every = json.loads(CONFIG.read_text())["checkpointing_images"]
    images = evenly(list(range(every, lines[-1]["images"] + 1, every)), frames)
    return {"frames": frames, "images": images, "curves": _curves(lines)}


def _hub_curves(name: str) -> dict[str, Any]:
    """Return the curves that a run put beside its model; none where it did not, or what lies there is strange."""
    try:
        wanted = HfApi().get_paths_info(name, "metrics.jsonl")
        if not wanted or wanted[0].size > LARGEST_METRICS:
            return {}
        lines = [json.loads(line) for line in Path(hf_hub_download(name, "metrics.jsonl")).read_text().splitlines()]
        return _curves(line for line in lines if isinstance(line, dict))
    except Exception as error:  # the client raises its own, httpx's and the operating system's errors
        log.warning("the metrics of %s are left out: %s", name, first_line(error))
        return {}


def _curves(lines: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    curves: dict[str, list[Any]] = {name: [] for name in CURVES}
    for line in lines:
        for name, points in curves.items():
            if _is_number(line.get("images")) and _is_number(line.get(name)):
                points.append([line["images"], line[name]])
    return {name: points[:: max(1, len(points) // MOST_POINTS)] for name, points in curves.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _film_of(name: object) -> str:
    if name not in FILMS:
        raise checks.Refused("there is no such film", name)
    return name


class Stills:
    """Give the pictures of a film addresses of their own; each is made when it is first asked for.

    A picture of an animated WebP is what changed since the one before, so that all before it are decoded first; but to
    encode one takes three times as long as to decode it, and nobody waits for those that nobody looks at.

    Args:
        file: an animated WebP of ours: nothing of it is bounded here.
    """

    def __init__(self, file: Path):
        self._film = Image.open(file)
        self._decoded: list[Image.Image | str] = []  # an address, once somebody has looked
        self._lock = Lock()

    def __len__(self) -> int:
        return getattr(self._film, "n_frames", 1)

    def __getitem__(self, number: int) -> str:
        with self._lock:
            for place in range(len(self._decoded), number + 1):
                self._film.seek(place)
                self._decoded.append(self._film.convert("RGB"))
            picture = self._decoded[number]
        if isinstance(picture, str):
            return picture
        self._decoded[number] = address = data_uri(still_webp(picture, FILM_QUALITY), "image/webp")
        return address


@lru_cache(maxsize=1)
def _stills() -> Stills:
    return Stills(FILM)
