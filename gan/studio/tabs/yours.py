"""The tab "Yours": a picture of one's own found in the generator, and whether a cover is a copy."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image

from gan.nearest import Index
from gan.projection import project
from gan.studio import checks
from gan.studio.address import Address
from gan.studio.files import data_uri, still_webp
from gan.studio.model import Model
from gan.studio.shell.controls import answers, messenger, part, tab
from gan.studio.uploads import from_base64, read_picture


SECONDS = 20.0  # of a search, at most
STEPS = 400
PICTURE_EVERY = 0.25  # seconds
NEIGHBOURS = 5
# As near lies a training cover to itself cropped by a sixteenth or saved as a bad JPEG, in nine of ten cases or more;
# unrelated covers' hashes differ in about 32 bits.
COPY_DISTANCE, COPY_BITS = 0.2, 20


class Yours:
    """Answer what the tab's script (yours.js) and programs (`/project`, `/copies`) ask for."""

    def __init__(self, model: Model, index: Index | None):
        self.model = model
        self.index = index

    def search(self, picture: Image.Image) -> Iterator[tuple[Address, float]]:
        """Yield the cover most like `picture` so far, and how far the search has come, 0 to 1; ends within SECONDS.

        Where the generator has genres, it is one of any.
        """
        pipeline, target = self.model.pipeline, _in_numbers(picture)
        composed = pipeline.encode(target[None]) if pipeline.encoder else None
        for found in project(pipeline.synthesis, target, composed=composed, steps=STEPS, seconds=SECONDS):
            yield self.model.address_of(found.latents), found.progress

    def painted(self, picture: Image.Image) -> Image.Image | None:
        """Return `picture` as the painter paints it from its own latents; None where the generator has no encoder."""
        pipeline = self.model.pipeline
        if pipeline.encoder is None:
            return None
        with torch.no_grad():
            (cover,) = pipeline.synthesis.paint(pipeline.encode(_in_numbers(picture)[None]))
        return pipeline.image_processor.postprocess(cover[None].clamp(-1, 1))[0]

    def project(self, payload: object) -> Iterator[dict[str, Any]]:
        """Yield the search for the picture that the script sends as `{"file": base64, "search": any}`.

        Of a painter the first answer is `{"painted": data address, ...}`, the picture as it paints it.
        """
        asked = payload if isinstance(payload, dict) else {}
        picture, shown = read_picture(from_base64(asked.get("file")), self.model.resolution), 0.0
        if painted := self.painted(picture):
            yield {"painted": data_uri(still_webp(painted), "image/webp"), "search": asked.get("search")}
        for address, progress in self.search(picture):
            if progress == 1 or time.monotonic() - shown >= PICTURE_EVERY:
                shown = time.monotonic()
                yield self.model.show([address])[0] | {"progress": progress, "search": asked.get("search")}

    def copies(self, cover: Address) -> dict[str, Any]:
        """Return the training covers nearest to a cover.

        Raises:
            Refused: the generator came without an index.
        """
        if self.index is None:
            raise checks.Refused("this generator came without an index of its training covers", cover.query())
        near = self.index.neighbours(self.model.draw([cover])[0], NEIGHBOURS)
        return {
            "copy": any(one.distance < COPY_DISTANCE and one.bits <= COPY_BITS for one in near),
            "percentile": round(near[0].percentile, 1),
            "covers": len(self.index),
            "nearest": [
                {
                    "sha256": one.cover,
                    "distance": round(one.distance, 3),
                    "bits": one.bits,
                    "percentile": round(one.percentile, 1),
                }
                for one in near
            ],
        }

    def check(self, payload: object) -> dict[str, Any]:
        """Return `copies` for the script, and the cover's picture."""
        address = self.model.read(payload)
        return self.copies(address) | self.model.show([address])[0]


def _in_numbers(picture: Image.Image) -> torch.Tensor:
    """Return (3, H, W) in -1..1."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1


def yours_tab(yours: Yours) -> None:
    """Build the tab."""
    with tab("yours"):
        desk = part(
            "tabs/yours",
            functions=[yours.check, yours.model.portraits],
            indexed=0 if yours.index is None else len(yours.index),
            paints=yours.model.pipeline.encoder is not None,
        )
        found = messenger("found")
    # in the queue, one at a time: a search keeps the processor busy for seconds
    searching = desk.project(
        answers(yours.project), None, found, trigger_mode="multiple", show_progress="hidden", concurrency_id="search",
        concurrency_limit=1, api_name="project_here", api_visibility="private",
    )  # fmt: skip
    desk.stop(None, None, None, cancels=[searching], api_visibility="private", queue=False)
