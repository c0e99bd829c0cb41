"""Hashes of covers, and what makes two of them alike.

Two covers are near copies where few bits of their perceptual hashes differ and their mean colours are alike as well:
the hash sees greys only, so that by itself it takes all records of a label for one whose covers differ in colour and
lettering.
"""

import hashlib
from functools import lru_cache

import numpy as np
from PIL import Image


COLOURS_SIDE = 8
# How far apart the colours of two fields may be on average (root mean square), as a share of the covers' own contrast.
# The second number, in levels of 255, is what a recompression may add where there is no contrast at all.
ALIKE_SHARE, ALIKE_NOISE = 0.5, 4.0
# How much brighter one of the two may be; of flat covers, below this variance, brightness is all that there is.
BRIGHTER, FLAT = 1.18, 100.0
ROWS_AT_ONCE = 50_000


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


def alike(
    colours: np.ndarray, contrast: np.ndarray, one: int, others: np.ndarray, share: float | np.ndarray = ALIKE_SHARE
) -> np.ndarray:
    """Return which covers have colours like those of one cover, up to a common factor of at most BRIGHTER.

    Args:
        colours: (N, 192) uint8, of all covers.
        contrast: (N,) of all covers, see `contrast_of`.
        one: index of the cover.
        others: (M,) indices of the covers to compare with it.
        share: how far apart the colours may be, as a share of the covers' contrast; one for all, or (M,).

    Returns:
        (M,) bool.
    """
    mine, theirs = colours[one].astype(np.float64), colours[others].astype(np.float64)
    # The factor that brings them nearest to each other, by least squares.
    factor = np.clip(theirs @ mine / np.maximum((theirs**2).sum(1), 1), 1 / BRIGHTER, BRIGHTER)
    factor[np.minimum(contrast[others], contrast[one]) < FLAT] = 1
    error = np.sqrt(((theirs * factor[:, None] - mine) ** 2).mean(1))
    return error <= share * (np.sqrt((contrast[others] + contrast[one]) / 2) + ALIKE_NOISE)


def contrast_of(colours: np.ndarray) -> np.ndarray:
    """Return the contrast of each cover: how its fields vary around their mean colour.

    Args:
        colours: (N, 192) uint8.

    Returns:
        (N,) variances, averaged over red, green and blue.
    """
    size = colours.shape[1] // 3
    contrast = np.empty(len(colours))
    for begin in range(0, len(colours), ROWS_AT_ONCE):
        fields = colours[begin : begin + ROWS_AT_ONCE].reshape(-1, size, 3).astype(np.int32)
        contrast[begin : begin + ROWS_AT_ONCE] = (size * (fields**2).sum(1) - fields.sum(1) ** 2).mean(1) / size**2
    return contrast
