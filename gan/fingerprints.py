"""Compute fingerprints of covers: equal ones for equal pixels, or similar ones for pictures that look alike."""

import hashlib
from functools import lru_cache

import numpy as np
from PIL import Image


COLOURS_SIDE = 8


def pixel_hash(picture: Image.Image) -> bytes:
    """Return the SHA-256 of the size and the RGB pixels: the same for equal pictures in any file format."""
    return hashlib.sha256(b"%dx%d\n" % picture.size + picture.tobytes()).digest()


def perceptual_hash(picture: Image.Image) -> int:
    """Return a 64-bit hash of which few bits differ between two pictures that look alike.

    It is the usual `phash`: the picture in 32 x 32 greys, its 8 x 8 lowest frequencies by a discrete cosine transform,
    one bit for each that is above their median. The lowest frequency is the highest bit.
    """
    grey = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
    basis = _dct_basis()
    # Rounded, because the flat parts of a picture leave noise whose sign differs from machine to machine.
    low = np.round(basis @ grey @ basis.T, 6)
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


@lru_cache(maxsize=1)
def _dct_basis() -> np.ndarray:
    frequency, position = np.arange(8)[:, None], np.arange(32)[None, :]
    return 2 * np.cos(np.pi * frequency * (2 * position + 1) / 64)


def colours(picture: Image.Image) -> bytes:
    """Return the mean colours of 8 x 8 fields, 192 bytes: they tell apart what the grey `perceptual_hash` cannot."""
    return picture.resize((COLOURS_SIDE, COLOURS_SIDE), Image.Resampling.BOX).tobytes()
