"""From the bytes of any image file to one square sRGB cover, or to a reason why not. No files, no state."""

import io
import math
import warnings
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image

from gan.errors import first_line
from gan.fingerprints import colours, perceptual_hash, pixel_hash
from gan.picture_bytes import harmless, mended
from gan.pictures import PictureError, decoded, open_picture, orientation, to_srgb
from train.prepare.settings import Settings


REASONS = {
    "not-an-image": "not an image, or of a kind that covers do not come in",
    "wrong-content": "an image by its name, but not by its content: a web page, for example",
    "empty-file": "the file is empty",
    "truncated": "an image that is cut off before its end",
    "damaged-jpeg": "a JPEG with garbage in it: libjpeg reads it only with errors or warnings",
    "cannot-be-decoded": "an image whose data is broken",
    "animated": "an animation, not one picture",
    "heic": "a photograph in HEIC, which not every program reads: convert it to JPEG or PNG first",
    "decompression-bomb": "declares more pixels, or scans over them, than any cover has",
    "too-slow": "takes longer to decode than any cover does",
    "too-large": "the file is larger than any cover",
    "too-small": "the shorter side has too few pixels",
    "too-elongated": "far from square: a banner, a logo, a spine",
    "duplicate": "the same pixels as another cover",
    "near-duplicate": "looks the same as another cover: scaled, recompressed, slightly cropped or tinted",
    "excluded": "the same as, or looks the same as, a cover of the dataset that --exclude names",
    "unreadable": "the file cannot be read from where it lies",
    "damaged-archive": "the archive, or table, breaks off or is damaged; what came before was read",
    "nested-archive": "an archive in an archive in an archive: unpack it, and name it as a source",
    "link-outside": "a link that leads out of the source: name what it leads to as a source of its own",
    "elsewhere": "the table names a file instead of holding it; none is ever opened: name their folder as a source",
    "kills-its-reader": "a program that decodes it dies of it",
}

# Refused, yet there may be something to see.
PICTURED = ("truncated", "damaged-jpeg", "animated", "too-small", "too-elongated")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".jp2", ".avif", ".psd")
# A JPEG is decoded at one to four eighths of its size while its shorter side keeps that many pixels. The same at every
# resolution up to 128, so that a cover's hash, and with it its split, does not depend on the resolution.
# At 1.45 times the cover's side nobody sees the difference to a full decoding (median 46 dB; at 1.0 times 34).
LEAST_SIDE, LEAST_RATIO = 185, 1.45
THUMBNAIL_SIDE = 96


class NoCover(PictureError):
    """Say why a file gives no cover.

    Args:
        reason: a key of `REASONS`.
        detail: says more about this one file.
    """

    thumbnail: bytes | None = None  # what there is to see nevertheless


@dataclass(frozen=True)
class UprightPicture:
    """Hold an upright picture in mode RGB and sRGB.

    Args:
        picture: the whole one, or a JPEG at some eighths of its size.
        extent: its width and height in its own pixels. Of a scaled one they may end within the last column and row.
        pixels: how many the file's picture has.
    """

    picture: Image.Image
    extent: tuple[float, float]
    pixels: int


@dataclass(frozen=True)
class Cover:
    """Hold a prepared cover: lossless WebP bytes, how many pixels the file's picture had, and its fingerprints."""

    image: bytes
    pixels: int
    sha256: bytes
    phash: int
    colours: bytes


def prepare_cover(content: bytes, settings: Settings, name: str = "") -> Cover:
    """Decode, check, convert, make square and scale one file.

    Args:
        content: the whole file.
        settings: size and shape that are asked for.
        name: what the file is called, which tells a web page called .png from a text file.

    Raises:
        NoCover: it is no usable cover.
    """
    try:
        upright = decode(content, settings)
    except NoCover as refused:
        if refused.reason == "not-an-image" and name.lower().endswith(IMAGE_SUFFIXES):
            raise NoCover("wrong-content", refused.detail) from None
        raise
    square = make_square(upright.picture, settings.resolution, settings.fit, upright.extent)
    stored = io.BytesIO()
    # The lightest effort: a quarter smaller than PNG and twice as fast; more effort gains 6% and costs 20x.
    square.save(stored, "WEBP", lossless=True, quality=0, method=0)
    prints = (pixel_hash(upright.picture), perceptual_hash(square), colours(square))
    return Cover(stored.getvalue(), upright.pixels, *prints)


def decode(content: bytes, settings: Settings) -> UprightPicture:
    """Decode a file; a JPEG much larger than needed comes at one to four eighths of its size.

    Raises:
        NoCover: as `prepare_cover`.
    """
    try:
        return decoded(content, lambda content: _decode(content, settings))
    except NoCover:
        raise
    except PictureError as problem:
        raise NoCover(problem.reason, problem.detail) from None


def _decode(content: bytes, settings: Settings) -> UprightPicture:
    image = open_picture(content)
    width, height = image.size
    _check_shape(image.size, settings)
    loaded, eighths = _load(image, content, max(LEAST_SIDE, LEAST_RATIO * settings.resolution))
    picture = to_srgb(loaded)
    turn = orientation(image)
    if turn is not None:
        picture = picture.transpose(turn)
        return UprightPicture(picture, picture.size, width * height)
    return UprightPicture(picture, (width * eighths / 8, height * eighths / 8), width * height)


def make_square(
    picture: Image.Image, resolution: int, fit: str = "crop", extent: tuple[float, float] | None = None
) -> Image.Image:
    """Return `picture` as a square of `resolution` pixels a side, scaled with the bicubic filter.

    Lanczos' costs half as much again, and the eye sees no difference.
    What is more than four times too large is first brought near by a mean over whole pixels (Pillow's `reducing_gap`).
    Of a picture that was scaled in decoding, only its `extent` counts (see `UprightPicture`).
    """
    width, height = extent or picture.size
    size = (resolution, resolution)
    if fit == "crop" and width != height:
        side = min(width, height)
        left, top = int(width - side) // 2, int(height - side) // 2
        picture = picture.crop((left, top, left + math.ceil(side), top + math.ceil(side)))
        width = height = side
    elif fit == "pad":
        scale = resolution / max(width, height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled = picture.resize(size, Image.Resampling.BICUBIC, (0, 0, width, height), reducing_gap=2.0)
    return _pad(scaled, resolution) if fit == "pad" else scaled


def _pad(scaled: Image.Image, resolution: int) -> Image.Image:
    pixels = np.asarray(scaled)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    square = Image.new("RGB", (resolution, resolution), tuple(int(c) for c in np.rint(border.mean(0))))
    square.paste(scaled, ((resolution - scaled.width) // 2, (resolution - scaled.height) // 2))
    return square


def thumbnail(content: bytes) -> bytes | None:
    """Return what can be seen of a refused file, as a small lossy WebP for the report; None where nothing can."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = open_picture(content, frames=True)
            if image.format == "JPEG":  # with whatever errors: the report shows what is wrong with it
                least = min(THUMBNAIL_SIDE, *image.size)
                pixels = simplejpeg.decode_jpeg(content, "RGB", strict=False, min_height=least, min_width=least)
                image = Image.fromarray(pixels)
            image = image.convert("RGB")
            image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            file = io.BytesIO()
            image.save(file, "WEBP", quality=60)
            return file.getvalue()
        except Exception:  # as in `decode`; a file that shows nothing is shown as nothing
            return None


def _check_shape(size: tuple[int, int], settings: Settings) -> None:
    shorter, longer = sorted(size)
    if shorter < settings.min_size:
        raise NoCover("too-small", f"{size[0]} x {size[1]}")
    if longer > settings.max_aspect * shorter:
        raise NoCover("too-elongated", f"{size[0]} x {size[1]}")


def _load(image: Image.Image, content: bytes, enough: float) -> tuple[Image.Image, int]:
    """Decode the pixels, and say at how many eighths of its size the picture is.

    A JPEG is decoded by libjpeg with its warnings as errors, because Pillow shows garbage as a picture. One whose
    shorter side keeps `enough` pixels comes at one to four eighths; all of its data is read and checked just the same.
    CMYK comes whole, as Pillow's own reader of JPEGs knows other scales; so does what is to be turned, as the end of
    its extent would not stay at the right and at the bottom.
    """
    if image.format not in ("JPEG", "MPO"):
        image.load()
        return image, 8
    whole = image.mode == "CMYK" or orientation(image) is not None
    eighths = 8 if whole else next(n for n in (1, 2, 3, 4, 8) if n == 8 or min(image.size) * n >= 8 * enough)
    width, height = (math.ceil(side * eighths / 8) for side in image.size)
    if image.mode == "CMYK":
        # Only checked here: Pillow knows which files hold their inks inverted.
        _decode_jpeg(content, "CMYK")
        image.load()
        return image, 8
    colours = "GRAY" if image.mode == "L" else "RGB"
    pixels = _decode_jpeg(content, colours, min_width=width, min_height=height)
    loaded = Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels)
    loaded.info = dict(image.info)
    return loaded, eighths


def _decode_jpeg(content: bytes, colours: str, **size: int) -> np.ndarray:
    """Decode a JPEG to (H, W, C) uint8; libjpeg's warnings are errors, but for those that do no harm."""
    for _ in range(4):  # one of each kind that can be mended, and the rest
        try:
            return simplejpeg.decode_jpeg(content, colours, strict=True, **size)
        except ValueError as problem:
            line = first_line(problem)
        if harmless(line, content):
            return simplejpeg.decode_jpeg(content, colours, strict=False, **size)
        if (mend := mended(line, content)) is None:
            break
        content = mend
    raise PictureError("truncated" if "end of JPEG file" in line else "damaged-jpeg", line) from None
