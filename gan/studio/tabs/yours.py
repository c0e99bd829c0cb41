"""The tab "Yours": a picture of one's own found in the generator, and whether a cover is a copy."""

import base64
import binascii
import time
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image

from gan.nearest import Index
from gan.projection import project
from gan.studio import checks
from gan.studio.address import Address
from gan.studio.model import Model
from gan.studio.shell.controls import answers, messenger, part, tab
from gan.studio.uploads import LARGEST_FILE, read_picture


SECONDS = 20.0  # of a search, at most
STEPS = 400
PICTURE_EVERY = 0.25  # seconds
NEIGHBOURS = 5
# As near lies a training cover to itself cropped by a sixteenth or saved as a bad JPEG, in nine of ten cases or more;
# unrelated covers' hashes differ in about 32 bits.
COPY_DISTANCE, COPY_BITS = 0.2, 20


class Yours:
    """What the tab's script (yours.js) and programs (`/project`, `/copies`) ask for."""

    def __init__(self, model: Model, index: Index | None):
        self.model = model
        self.index = index

    def search(self, picture: Image.Image) -> Iterator[tuple[Address, float]]:
        """The cover most like `picture` so far, and how far the search has come, 0 to 1; ends within SECONDS.

        Where the generator has genres, it is one of any.
        """
        target = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1
        synthesis = self.model.pipeline.synthesis
        for found in project(synthesis, target.to(synthesis.device), steps=STEPS, seconds=SECONDS):
            yield self.model.address_of(found.latents), found.progress

    def project(self, payload: object) -> Iterator[dict]:
        """The search for the picture that the script sends as `{"file": base64, "search": any}`."""
        asked = payload if isinstance(payload, dict) else {}
        picture, shown = read_picture(_bytes(asked.get("file")), self.model.resolution), 0.0
        for address, progress in self.search(picture):
            if progress == 1 or time.monotonic() - shown >= PICTURE_EVERY:
                shown = time.monotonic()
                yield self.model.show([address])[0] | {"progress": progress, "search": asked.get("search")}

    def copies(self, cover: Address) -> dict:
        """The training covers nearest to a cover.

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

    def check(self, payload: object) -> dict:
        """`copies` for the script, and the cover's picture."""
        address = self.model.read(payload)
        return self.copies(address) | self.model.show([address])[0]


def _bytes(text: object) -> bytes:
    if not isinstance(text, str) or len(text) > LARGEST_FILE * 4 // 3 + 4:
        raise checks.Refused("a picture is a file of at most {most} MB", text, most=LARGEST_FILE // 1_000_000)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise checks.Refused("this is not a PNG, JPEG or WebP picture", text) from None


def yours_tab(yours: Yours) -> None:
    """Build the tab."""
    with tab("yours"):
        desk = part(
            "tabs/yours",
            functions=[yours.check, yours.model.portraits],
            indexed=0 if yours.index is None else len(yours.index),
            largest=LARGEST_FILE,
        )
        found = messenger("found")
    # in the queue, one at a time: a search keeps the processor busy for seconds
    searching = desk.project(
        answers(yours.project), None, found, trigger_mode="multiple", show_progress="hidden", concurrency_id="search",
        concurrency_limit=1, api_name="project_here", api_visibility="private",
    )  # fmt: skip
    desk.stop(None, None, None, cancels=[searching], api_visibility="private", queue=False)
