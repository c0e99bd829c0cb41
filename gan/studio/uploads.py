"""A visitor's picture: judged by its content before a pixel of it is decoded, and never stored."""

import struct
import warnings
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from gan.studio.checks import Refused


LARGEST_FILE = 8_000_000  # bytes
MOST_PIXELS = 40_000_000  # of a photograph; more is a bomb or a scan
FEWEST_PIXELS = 16  # a side
FORMATS = ("PNG", "JPEG", "WEBP")


def read_picture(data: object, side: int) -> Image.Image:
    """The middle square of a picture at `side` x `side` pixels, upright, mode RGB.

    Args:
        data: the file: PNG, JPEG or WebP, whatever it is called.
        side: pixels.

    Raises:
        Refused: it is none of these, too large, or broken.
    """
    if not isinstance(data, bytes) or len(data) > LARGEST_FILE:
        raise Refused("a picture is a file of at most {most} MB", data, most=LARGEST_FILE // 1_000_000)
    head = data[:16]  # for the log
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of this and that block of a photograph's, which does no harm
            picture = Image.open(BytesIO(data), formats=FORMATS)
            _check_size(picture.size, head)
            picture.draft("RGB", (4 * side, 4 * side))  # a large JPEG is decoded at a fraction of its size
            picture.load()
            picture = _flat(ImageOps.exif_transpose(picture))
    except Refused:
        raise
    except Image.DecompressionBombError:
        raise _too_many_pixels(head) from None
    except Image.UnidentifiedImageError:
        raise Refused("this is not a PNG, JPEG or WebP picture", head) from None
    except (OSError, SyntaxError, ValueError, MemoryError, struct.error, IndexError, KeyError, TypeError):
        # whatever Pillow's readers meet in broken bytes
        raise Refused("this picture is damaged and cannot be read", head) from None
    return ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)


def _check_size(size: tuple[int, int], head: bytes) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise _too_many_pixels(head)
    if min(size) < FEWEST_PIXELS:
        raise Refused("a picture has at least {fewest} pixels a side", head, fewest=FEWEST_PIXELS)


def _too_many_pixels(head: bytes) -> Refused:
    return Refused("a picture has at most {most} million pixels", head, most=MOST_PIXELS // 1_000_000)


def _flat(picture: Image.Image) -> Image.Image:
    """Mode RGB: transparency onto white, 16 bits scaled where Pillow would clip them."""
    if picture.mode.startswith("I"):
        values = np.asarray(picture, dtype=np.float64)
        picture = Image.fromarray(np.rint(np.clip(values / 257, 0, 255)).astype(np.uint8))
    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return picture.convert("RGB")
