"""Covers as numbers, to compare them."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from gan.pipeline import AlbumCoverPipeline


def pixels(image: Image.Image | str | Path) -> np.ndarray:
    """Return the pixels of an image, of a file, or of what the page shows as a data address: (H, W, 3) uint8."""
    if isinstance(image, str) and image.startswith("data:"):
        image = Image.open(io.BytesIO(base64.b64decode(image.partition(",")[2])))
    elif not isinstance(image, Image.Image):
        image = Image.open(image)
    return np.asarray(image.convert("RGB"))


def same(one: Image.Image | str | Path, other: Image.Image | str | Path) -> bool:
    """Return whether two pictures have the same pixels."""
    return np.array_equal(pixels(one), pixels(other))


def drawn(pipeline: AlbumCoverPipeline, **call: object) -> np.ndarray:
    """Return the covers of a call: (N, H, W, 3) uint8."""
    return np.stack([np.asarray(image) for image in pipeline(**call).images])
