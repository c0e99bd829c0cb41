"""The training of a model from the Hub, in the tab "Walk": one cover as each snapshot of the run draws it."""

import logging
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from PIL import Image

from gan.film import evenly, mp4
from gan.pipeline import AlbumCoverPipeline
from gan.pipeline_folder import PipelineError, load_pipeline
from gan.studio import checks
from gan.studio.address import Address
from gan.studio.files import data_uri, loop_webp, still_webp
from gan.studio.model import Model
from gan.studio.shell.controls import answer, answers, messenger, part


MOST_SNAPSHOTS = 24
MOST_MEMORY = 500_000_000  # bytes of weights that are kept for the next film
SNAPSHOTS_PER_SECOND = 5
HOLD = 5  # frames that the film rests on its last one

KINDS: dict[str, tuple[Callable[..., bytes], str]] = {"webp": (loop_webp, "image/webp"), "mp4": (mp4, "video/mp4")}

log = logging.getLogger("gan.studio")


class Training:
    """Answer what the tab's script (training.js) and programs (`/training_film`) ask for.

    Args:
        model: the one that the page shows.
        snapshots: the tags of its run on the Hub, in order; at most `MOST_SNAPSHOTS` of them are shown.
    """

    def __init__(self, model: Model, snapshots: list[str]):
        self.model = model
        self.snapshots = evenly(snapshots, MOST_SNAPSHOTS)
        kept = MOST_MEMORY // (4 * model.parameters)  # four bytes each
        self._load = lru_cache(maxsize=max(1, kept))(lambda tag: load_pipeline(model.name, tag))

    def covers(self, address: Address) -> Iterator[tuple[int, Image.Image]]:
        """Yield how many covers had been shown at each snapshot, and how it draws the cover; what cannot is left out.

        Raises:
            Refused: there are no two snapshots that draw it.
        """
        drawn = 0
        for tag in self.snapshots:
            pipeline = self.pipeline_of(tag)
            if pipeline is not None:
                drawn += 1
                yield images_of(tag), self.model.draw_with(pipeline, [address])[0]
        if drawn < 2:
            raise checks.Refused("there are no snapshots of this generator's training", address.query())

    def film(self, address: Address, kind: object = "webp") -> tuple[bytes, str]:
        """Return the cover's training as a film, and what to call it.

        Args:
            address: of the cover.
            kind: one of `KINDS`: an animated WebP without loss, or an MP4 of at least 512 pixels.

        Raises:
            Refused: as `covers` does, or the kind is another one.
        """
        kind = checks.one_of(kind, "a file", KINDS) or "webp"
        images = [image for _, image in self.covers(address)]
        made = KINDS[kind][0]([*images, *[images[-1]] * HOLD], SNAPSHOTS_PER_SECOND)
        return made, f"album-cover-{address.name}-training.{kind}"

    def pipeline_of(self, tag: str) -> AlbumCoverPipeline | None:
        """Return a snapshot's pipeline, or None where it cannot be loaded or is the run of another network."""
        try:
            pipeline = self._load(tag)
        except PipelineError as error:
            log.warning("the snapshot %s is left out: %s", tag, error)
            return None
        return pipeline if _shape(pipeline) == _shape(self.model.pipeline) else None

    # ---- for the script

    def show(self, payload: object) -> Iterator[dict[str, Any]]:
        """Show each snapshot's cover as it comes, and at the end all of them.

        Args:
            payload: `{"address": query, "film": any}`, the latter to know the answer by.

        Yields:
            `{"film", "src", "progress": 0 to 1}`, and at the end
            `{"film", "address", "frames": [[covers shown, src], ...]}`.
        """
        asked = payload if isinstance(payload, dict) else {}
        address, frames = self.model.read(asked.get("address")), []
        for images, cover in self.covers(address):
            frames.append([images, data_uri(still_webp(cover), "image/webp")])
            yield {"film": asked.get("film"), "src": frames[-1][1], "progress": len(frames) / len(self.snapshots)}
        yield {"film": asked.get("film"), "address": address.query(), "frames": frames}

    def save(self, payload: object) -> dict[str, Any]:
        """Return the film of `{"address": query, "kind": "webp" or "mp4"}` as a file."""
        asked = payload if isinstance(payload, dict) else {}
        made, name = self.film(self.model.read(asked.get("address")), asked.get("kind"))
        return {"file": data_uri(made, KINDS[name.rpartition(".")[2]][1]), "name": name}


def images_of(tag: str) -> int:
    """Return how many covers a run had been shown at the snapshot `tag`, images-<covers shown>."""
    return int(tag.rpartition("-")[2])


def _shape(pipeline: AlbumCoverPipeline) -> tuple[int, int, list[str], int, list[str]]:
    config = pipeline.synthesis.config
    return config.latent_dim, config.resolution, pipeline.genres, pipeline.clusters, pipeline.colours


def training_part(training: Training) -> None:
    """Build the part of the tab; without snapshots there is nothing to be seen of it."""
    if len(training.snapshots) < 2:
        return
    desk = part("tabs/training", snapshots=len(training.snapshots), speed=SNAPSHOTS_PER_SECOND)
    projector = messenger("snapshots")
    # in the queue, one at a time: each snapshot's weights are loaded, the first time from the Hub
    drawn = {"show_progress": "hidden", "concurrency_id": "training", "concurrency_limit": 1}
    drawing = desk.draw(
        answers(training.show), None, projector, trigger_mode="multiple", api_visibility="private", **drawn
    )
    desk.save(answer(training.save), None, projector, trigger_mode="once", api_visibility="private", **drawn)
    desk.stop(None, None, None, cancels=[drawing], api_visibility="private", queue=False)
