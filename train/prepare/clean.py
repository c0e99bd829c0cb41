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
from train.prepare.settings import Settings
from train.prepare.srgb import to_srgb


REASONS = {
    "not-an-image": "not an image, or of a kind that covers do not come in",
    "wrong-content": "an image by its name, but not by its content: a web page, for example",
    "empty-file": "the file is empty",
    "truncated": "an image that is cut off before its end",
    "damaged-jpeg": "a JPEG with garbage in it: libjpeg reads it only with errors or warnings",
    "cannot-be-decoded": "an image whose data is broken",
    "animated": "an animation, not one picture",
    "decompression-bomb": "declares more pixels than any cover has",
    "too-large": "the file is larger than any cover",
    "too-small": "the shorter side has too few pixels",
    "too-elongated": "far from square: a banner, a logo, a spine",
    "duplicate": "the same pixels as another cover",
    "near-duplicate": "looks the same as another cover: scaled, recompressed, slightly cropped or tinted",
    "excluded": "the same as, or looks the same as, a cover of the dataset that --exclude names",
    "unreadable": "the file cannot be read from where it lies",
    "damaged-archive": "the archive breaks off or is damaged; what came before was read",
    "kills-its-reader": "a program that decodes it dies of it",
}

# Refused, yet there may be something to see.
PICTURED = ("truncated", "damaged-jpeg", "animated", "too-small", "too-elongated")
# A closed list: Pillow's other readers start programs (EPS), or take any text for an image (TGA).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "PSD", "TIFF", "WEBP")
# Here more than one frame means pages, layers or a second view, and the first is the picture.
STILL_FORMATS = ("MPO", "PSD", "TIFF")
SIGNATURES = (b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"8BPS", b"\0\0\0\x0cjP  ")
JPEG_SIGNATURE = b"\xff\xd8\xff"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".jp2", ".avif", ".psd")
MAX_PIXELS = 40_000_000  # more than a scan of a CD at 1,200 dots an inch; several copies must fit into memory
# A JPEG is decoded at one to four eighths of its size while its shorter side keeps that many pixels. The same at every
# resolution up to 128, so that a cover's hash, and with it its split, does not depend on the resolution.
# At 1.45 times the cover's side nobody sees the difference to a full decoding (median 46 dB; at 1.0 times 34).
LEAST_SIDE, LEAST_RATIO = 185, 1.45
THUMBNAIL_SIDE = 96
EXIF_ORIENTATION = 0x0112
TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class NoCover(Exception):
    """A file that gives no cover: `reason` is a key of `REASONS`, `detail` says more about this one file."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class UprightPicture:
    """An upright picture in mode RGB and sRGB.

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
    """A prepared cover: lossless WebP bytes, how many pixels the file's picture had, and its fingerprints."""

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
        decoded = decode(content, settings)
    except NoCover as refused:
        if refused.reason == "not-an-image" and name.lower().endswith(IMAGE_SUFFIXES):
            raise NoCover("wrong-content", refused.detail) from None
        raise
    square = make_square(decoded.picture, settings.resolution, settings.fit, decoded.extent)
    stored = io.BytesIO()
    # The lightest effort: a quarter smaller than PNG and twice as fast; more effort gains 6% and costs 20x.
    square.save(stored, "WEBP", lossless=True, quality=0, method=0)
    prints = (pixel_hash(decoded.picture), perceptual_hash(square), colours(square))
    return Cover(stored.getvalue(), decoded.pixels, *prints)


def decode(content: bytes, settings: Settings) -> UprightPicture:
    """The picture in a file; a JPEG much larger than needed is decoded at one to four eighths of its size.

    Raises:
        NoCover: as `prepare_cover`.
    """
    if not content:
        raise NoCover("empty-file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of much that does no harm, such as a bad EXIF block
        try:
            image = _open(content)
            width, height = image.size
            _check_shape(image.size, settings)
            loaded, eighths = _load(image, content, max(LEAST_SIDE, LEAST_RATIO * settings.resolution))
            picture = to_srgb(loaded)
            turn = _turn(image)
            if turn is not None:
                picture = picture.transpose(turn)
                return UprightPicture(picture, picture.size, width * height)
            return UprightPicture(picture, (width * eighths / 8, height * eighths / 8), width * height)
        except NoCover:
            raise
        except (Image.DecompressionBombError, MemoryError) as problem:
            raise NoCover("decompression-bomb", first_line(problem)) from None
        except Exception as problem:
            # Any exception at all: broken bytes make Pillow's readers raise every kind that Python has.
            line = first_line(problem)
            raise NoCover("truncated" if "truncated" in line.lower() else "cannot-be-decoded", line) from None


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What makes the picture upright, as its EXIF block says; a bad block turns nothing."""
    try:
        return TRANSPOSE.get(image.getexif().get(EXIF_ORIENTATION))
    except Exception:  # Pillow's EXIF reader raises as it pleases, and the pixels are good
        return None


def make_square(
    picture: Image.Image, resolution: int, fit: str = "crop", extent: tuple[float, float] | None = None
) -> Image.Image:
    """`picture` as a square of `resolution` pixels a side, scaled with the bicubic filter.

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
    """What can be seen of a refused file, as a small lossy WebP for the report; None where nothing can."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = _open(content, frames=True)
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


def _open(content: bytes, frames: bool = False) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.UnidentifiedImageError:
        if content.startswith(JPEG_SIGNATURE):
            raise NoCover("damaged-jpeg", "the header is broken") from None
        webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
        if webp or content.startswith(SIGNATURES):
            raise NoCover("cannot-be-decoded", "the header is broken") from None
        raise NoCover("not-an-image", _beginning(content)) from None
    if image.width * image.height > MAX_PIXELS:
        raise NoCover("decompression-bomb", f"{image.width} x {image.height}")
    if not frames and image.format not in STILL_FORMATS and getattr(image, "n_frames", 1) > 1:
        raise NoCover("animated", f"{image.n_frames} frames")
    return image


def _beginning(content: bytes) -> str:
    """What a file that is no image begins with, as far as it can be read."""
    begin = content[:200].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() and c != "\ufffd" else " " for c in begin).split())[:40]


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
    whole = image.mode == "CMYK" or _turn(image) is not None
    eighths = 8 if whole else next(n for n in (1, 2, 3, 4, 8) if n == 8 or min(image.size) * n >= 8 * enough)
    width, height = (math.ceil(side * eighths / 8) for side in image.size)
    try:
        if image.mode == "CMYK":
            # Only checked here: Pillow knows which files hold their inks inverted.
            simplejpeg.decode_jpeg(content, "CMYK", strict=True)
            image.load()
            return image, 8
        colours = "GRAY" if image.mode == "L" else "RGB"
        pixels = simplejpeg.decode_jpeg(content, colours, strict=True, min_width=width, min_height=height)
    except ValueError as problem:
        line = first_line(problem)
        raise NoCover("truncated" if "end of JPEG file" in line else "damaged-jpeg", line) from None
    loaded = Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels)
    loaded.info = dict(image.info)
    return loaded, eighths
