"""A visitor's picture: judged by its content before a pixel of it is decoded, and never stored."""

import base64
import binascii
from pathlib import Path

from PIL import Image, ImageOps

from gan.pictures import MAX_PIXELS, PictureError
from gan.pictures import read_picture as decode_picture
from gan.studio.checks import Refused
from gan.studio.pool import NICENESS, Pool


LARGEST_FILE = 8_000_000  # bytes
FEWEST_PIXELS = 16  # a side
FORMATS = ("PNG", "JPEG", "WEBP")
# One at a time: a small file may hold 40 million pixels, take seconds, and half a gigabyte meanwhile.
DECODING = Pool(workers=1, waiting=4, niceness=NICENESS)


def read_sent(value: object) -> bytes:
    """Return what a program has sent to the page, of which `value` says where it lies; the door has looked at that.

    Raises:
        Refused: it is no file, or too large.
    """
    path = value.get("path") if isinstance(value, dict) else None
    if not isinstance(path, str):
        raise Refused("a picture is a PNG, JPEG or WebP file", value)
    with Path(path).open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise Refused("a picture is a file of at most {most} MB", value, most=LARGEST_FILE // 1_000_000)
    return data


def read_picture(data: object, side: int) -> Image.Image:
    """Return the middle square of a picture at `side` x `side` pixels, upright, mode RGB.

    Args:
        data: the file: PNG, JPEG or WebP, whatever it is called.
        side: pixels.

    Raises:
        Refused: it is none of these, too large, or broken, or too many others wait.
    """
    if not isinstance(data, bytes) or len(data) > LARGEST_FILE:
        raise Refused("a picture is a file of at most {most} MB", data, most=LARGEST_FILE // 1_000_000)
    try:
        return DECODING.run(_middle, data, side)
    except PictureError as problem:
        if problem.reason == "too-small":
            raise Refused("a picture has at least {fewest} pixels a side", None, fewest=FEWEST_PIXELS) from None
        if problem.reason == "decompression-bomb":
            raise Refused("a picture has at most {most} million pixels", None, most=MAX_PIXELS // 10**6) from None
        if problem.reason in ("empty-file", "not-an-image", "heic"):
            raise Refused("this is not a PNG, JPEG or WebP picture", None) from None
        raise Refused("this picture is damaged and cannot be read", None) from None


def _middle(data: bytes, side: int) -> Image.Image:
    picture = decode_picture(data, enough=4 * side, fewest=FEWEST_PIXELS, formats=FORMATS)
    return ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)


def from_base64(text: object) -> bytes:
    """Return the file that a script sends as text. Raises Refused where it is none, or too large."""
    if not isinstance(text, str) or len(text) > LARGEST_FILE * 4 // 3 + 4:
        raise Refused("a picture is a file of at most {most} MB", text, most=LARGEST_FILE // 1_000_000)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("this is not a PNG, JPEG or WebP picture", text) from None
