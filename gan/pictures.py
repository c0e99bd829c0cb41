"""A picture from a stranger: bounded before work is done for it, then decoded, upright and in sRGB.

Preparation, trainer and page all open pictures here, so they accept the same and see the same pixels.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from gan.errors import first_line
from gan.picture_bytes import essential


# A closed list: Pillow's other readers start programs (EPS), or take any text for an image (TGA).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "PSD", "TIFF", "WEBP")
# Here more than one frame means pages, layers or a second view, and the first is the picture.
STILL_FORMATS = ("MPO", "PSD", "TIFF")
MAX_PIXELS = 40_000_000  # more than a scan of a CD at 1,200 dots an inch; several copies must fit into memory
MAX_SIDE = 65_535  # what JPEG allows: of a BMP with one row 40 million pixels long, two bytes skip 255 such rows
# Pillow reads these in Python, 2 microseconds a pixel: PPM as text, and packed BMP.
SLOW_DECODERS, MAX_SLOW_PIXELS = ("ppm_plain", "bmp_rle"), 2_000_000
# Each scan of a JPEG goes over all of its pixels again, and costs a sender 61 bytes; encoders write 10 or so.
MAX_SCANS = 100
JPEG_SIGNATURE = b"\xff\xd8\xff"
SIGNATURES = (
    (b"\x89PNG\r\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"8BPS", "PSD"),
    (b"\0\0\0\x0cjP  ", "JPEG2000"),
)
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
JPEG_XL = "in JPEG XL; convert it to JPEG or PNG first"
# What people put among covers beside pictures. Reports name the kind and never quote the content.
KINDS = (
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "XML"),
    (b"<svg", "an SVG drawing"),
    (b"%pdf", "a PDF"),
    (b"%!ps", "PostScript"),
    (b"{", "JSON"),
    (b"id3", "an MP3"),
    (b"flac", "a FLAC"),
    (b"rar!", "a RAR archive; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"pk\3\4", "a zip archive; unpack it first"),
    (b"\x1f\x8b", "packed by gzip; unpack it first"),
    (b"bzh", "packed by bzip2; unpack it first"),
    (b"\xfd7zxz\0", "packed by xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd; unpack it first"),
    (b"\0\0\1\0", "an icon"),
    (b"\xff\x0a", JPEG_XL),
    (b"\0\0\0\x0cjxl ", JPEG_XL),
    (b"qoif", "in QOI; convert it to PNG first"),
    (b"dds ", "in DDS; convert it to PNG first"),
    (b"oggs", "an Ogg file"),
)
PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
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

T = TypeVar("T")


class PictureError(Exception):
    """Say why bytes give no picture: a `reason` of a closed list, and a `detail` that never quotes them.

    The reasons: empty-file, not-an-image, heic, truncated, damaged-jpeg, cannot-be-decoded, animated, too-small,
    decompression-bomb.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def read_picture(content: bytes, enough: int = 0, fewest: int = 1, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """Decode a file to an upright picture in mode RGB and sRGB.

    Args:
        content: the whole file.
        enough: pixels a side; a JPEG of twice as many may come at a fraction of its size. 0: it comes whole.
        fewest: pixels that the shorter side must have.
        formats: a part of FORMATS.

    Raises:
        PictureError: it is none, too small, or more work than any picture is worth.
    """

    def decode(content: bytes) -> Image.Image:
        image = open_picture(content, formats)
        if min(image.size) < fewest:
            raise PictureError("too-small", f"{image.width} x {image.height}")
        if enough:
            image.draft(None, (enough, enough))
        image.load()
        return upright(to_srgb(image), image)

    return decoded(content, decode)


def decoded(content: bytes, decode: Callable[[bytes], T]) -> T:
    """Return what `decode` makes of a file, or of its essential parts where it stumbles over the others.

    Raises:
        PictureError: from `decode`, or for anything else that it raises.
    """
    if not content:
        raise PictureError("empty-file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of much that does no harm, such as a bad EXIF block
        try:
            return _decoded(content, decode)
        except PictureError as problem:
            if problem.reason not in ("cannot-be-decoded", "truncated", "damaged-jpeg"):
                raise
            plain = essential(content)
            if plain is None or plain == content:
                raise
            try:
                return _decoded(plain, decode)
            except PictureError:
                raise problem from None


def _decoded(content: bytes, decode: Callable[[bytes], T]) -> T:
    try:
        return decode(content)
    except PictureError:
        raise
    except (Image.DecompressionBombError, MemoryError) as problem:
        raise PictureError("decompression-bomb", without_quotes(problem)) from None
    except Exception as problem:
        # Any exception at all: broken bytes make Pillow's readers raise every kind that Python has.
        line = without_quotes(problem)
        raise PictureError("truncated" if "truncated" in line.lower() else "cannot-be-decoded", line) from None


def without_quotes(problem: object) -> str:
    """Return the first line of an error up to what it quotes: that may be a part of somebody's file."""
    line = first_line(problem)
    said = re.split(r"b?['\"<]", line, maxsplit=1)[0]
    return line if said == line else f"{said.strip() or type(problem).__name__} ..."


def open_picture(content: bytes, formats: tuple[str, ...] = FORMATS, frames: bool = False) -> Image.Image:
    """Open a file without decoding its pixels.

    Args:
        content: the whole file.
        formats: a part of FORMATS.
        frames: accept an animation.

    Raises:
        PictureError: it is of none of these formats, has more than MAX_PIXELS pixels, MAX_SIDE of them a side, or
            MAX_SCANS scans, or is an animation.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        raise _unidentified(content, formats) from None
    if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
        raise PictureError("decompression-bomb", f"{image.width} x {image.height}")
    if image.width * image.height > MAX_SLOW_PIXELS and {part[0] for part in image.tile} & {*SLOW_DECODERS}:
        raise PictureError("decompression-bomb", f"{image.width} x {image.height}, which is too much of this kind")
    if image.format in ("JPEG", "MPO") and (scans := count_scans(content)) > MAX_SCANS:
        raise PictureError("decompression-bomb", f"{scans:,} scans")
    moves = image.format != "PNG" or b"fdAT" in content  # a PNG's chunk may tell of frames that are not there
    if not frames and moves and image.format not in STILL_FORMATS and (count := getattr(image, "n_frames", 1)) > 1:
        raise PictureError("animated", f"{count:,} frames")
    return image


def is_picture(content: bytes) -> bool:
    """Return whether a file opens as a picture, an animation among them; its pixels are not decoded."""
    try:
        decoded(content, lambda content: open_picture(content, frames=True))
    except PictureError:
        return False
    return True


def _unidentified(content: bytes, formats: tuple[str, ...]) -> PictureError:
    if content.startswith(JPEG_SIGNATURE):
        return PictureError("damaged-jpeg", "the header is broken")
    webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    if webp or any(content.startswith(start) and name in formats for start, name in SIGNATURES):
        return PictureError("cannot-be-decoded", "the header is broken")
    if content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS:
        return PictureError("heic", "convert it to JPEG or PNG first")
    if content[4:8] == b"ftyp":
        return PictureError("not-an-image", "a film or a sound")
    if content[257:262] == b"ustar":
        return PictureError("not-an-image", "a tar archive; name it as a source, or let it end in .tar")
    begin = content[:64].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return PictureError("not-an-image", next((kind for start, kind in KINDS if begin.startswith(start)), ""))


def count_scans(content: bytes) -> int:
    """Return how many scans a JPEG has, or a larger number that is still harmless; 2 ms for each megabyte at most."""
    scans = content.count(b"\xff\xda")
    if scans <= MAX_SCANS:  # so many at most: others may stand in a thumbnail or behind the end
        return scans
    scans, position = 0, 2
    while (position := content.find(b"\xff", position)) >= 0 and position + 1 < len(content):
        marker = content[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # an escaped byte, or a marker without a segment
            position += 2
        elif marker == 0xD9:
            break
        else:
            scans += marker == 0xDA
            position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return scans


def orientation(image: Image.Image) -> Image.Transpose | None:
    """Return what makes the picture upright, as its EXIF block says; a bad block turns nothing."""
    try:
        return TRANSPOSE.get(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # Pillow's EXIF reader raises as it pleases, and the pixels are good
        return None


def upright(picture: Image.Image, opened: Image.Image) -> Image.Image:
    """Turn `picture` as the EXIF block of the file that it was `opened` from says."""
    turn = orientation(opened)
    return picture if turn is None else picture.transpose(turn)


# -- to sRGB --


def to_srgb(image: Image.Image) -> Image.Image:
    """Bring a loaded picture of any mode to RGB in sRGB: transparency onto white, 16 bits scaled and not clipped.

    An embedded colour profile is followed where it is sound and fits the mode, and otherwise left aside.
    """
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_grey(image)
    elif image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        image = _on_white(image)
    elif image.mode == "LAB":
        return _applied(image, _transform(None, "LAB"))
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in PROFILE_SPACES:
        image = image.convert("RGB")
    transform = _transform(profile, image.mode) if isinstance(profile, bytes) and profile else None
    if transform:
        with contextlib.suppress(ImageCms.PyCMSError):
            return _applied(image, transform)
    return image if image.mode == "RGB" else image.convert("RGB")


def _applied(image: Image.Image, transform: ImageCms.ImageCmsTransform | None) -> Image.Image:
    assert transform is not None
    done = ImageCms.applyTransform(image, transform)
    assert done is not None  # it is not done in place
    return done


def _to_grey(image: Image.Image) -> Image.Image:
    """Turn the modes I;16, I and F, which Pillow itself would clip at 255, to grey of 8 bits."""
    values = np.nan_to_num(np.array(image, dtype=np.float32), copy=False)
    if image.mode == "F":
        white = 1.0 if values.max() <= 1 else 255.0
    else:
        white = 65535.0 if values.max() <= 65535 else 2.0**31 - 1
    values *= 255 / white
    return Image.fromarray(np.rint(values, out=values).clip(0, 255, out=values).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


@lru_cache(maxsize=64)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way from `profile` to sRGB for pictures of `mode`, or None. LAB needs no profile."""
    srgb = ImageCms.createProfile("sRGB")
    try:
        if profile is None:
            return ImageCms.buildTransform(ImageCms.createProfile("LAB"), srgb, mode, "RGB")
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != PROFILE_SPACES[mode]:
            return None
        # Most profiles are sRGB under one name or another; following them would only add rounding.
        if mode == "RGB" and "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        return ImageCms.buildTransform(source, srgb, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
