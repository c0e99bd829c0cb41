"""From the bytes of any image file to one square sRGB cover, or to a reason why not. No files, no state."""

import hashlib
import io
import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import simplejpeg
from PIL import Image, ImageCms

from train.cli import first_line


REASONS = {
    "not-an-image": "not an image, or of a kind that covers do not come in",
    "empty-file": "the file is empty",
    "cannot-be-decoded": "an image whose data is broken or cut off",
    "damaged-jpeg": "a JPEG that libjpeg reads only with errors or warnings: cut off, or garbage in the middle",
    "animated": "an animation, not one picture",
    "decompression-bomb": "declares more pixels than is safe to decode",
    "too-large": "the file is larger than any cover",
    "too-small": "the shorter side has too few pixels",
    "too-elongated": "far from square: a banner, a logo, a spine",
    "duplicate": "the same pixels as an earlier cover",
    "unreadable": "the file cannot be read from where it lies",
    "damaged-archive": "the archive breaks off or is damaged; what came before was read",
}

# A closed list: Pillow's other readers start programs (EPS), or take any text for an image (TGA).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "PSD", "TIFF", "WEBP")
# Here more than one frame means pages, layers or a second view, and the first is the picture.
STILL_FORMATS = ("MPO", "PSD", "TIFF")
SIGNATURES = (b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"8BPS", b"\0\0\0\x0cjP  ")
JPEG_SIGNATURE = b"\xff\xd8\xff"
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
PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


class Refused(Exception):
    """A file that gives no cover: `reason` is a key of `REASONS`, `detail` says more about this one file."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Settings:
    """What a cover must be: `resolution` and `min_size` in pixels, `max_aspect` as longer over shorter side."""

    resolution: int
    min_size: int
    max_aspect: float


@dataclass(frozen=True)
class Cover:
    """A prepared cover: lossless WebP bytes, SHA-256 of all decoded pixels, and a 64-bit perceptual hash (hex)."""

    image: bytes
    sha256: str
    phash: str


def prepare_cover(content: bytes, settings: Settings) -> Cover:
    """Decode, check, convert, crop and scale one file.

    Args:
        content: the whole file.
        settings: size and shape that are asked for.

    Raises:
        Refused: it is no usable cover.
    """
    picture = decode(content, settings)
    square = square_crop(picture, settings.resolution)
    stored = io.BytesIO()
    # The lightest effort: a quarter smaller than PNG and twice as fast; more effort gains 6% and costs 20x.
    square.save(stored, "WEBP", lossless=True, quality=0, method=0)
    return Cover(stored.getvalue(), pixel_hash(picture), perceptual_hash(square))


def decode(content: bytes, settings: Settings) -> Image.Image:
    """The upright picture in a file, whole, in mode RGB and sRGB.

    Raises:
        Refused: as `prepare_cover`.
    """
    if not content:
        raise Refused("empty-file")
    with warnings.catch_warnings():
        # Pillow warns of much that does no harm, such as a bad EXIF block; only a bomb is a reason.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = _open(content)
            _check_shape(image.size, settings)
            return upright(to_srgb(_load(image, content)), image)
        except Refused:
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError, MemoryError) as problem:
            raise Refused("decompression-bomb", first_line(problem)) from None
        except Exception as problem:
            # Any exception at all: broken bytes make Pillow's readers raise every kind that Python has.
            raise Refused("cannot-be-decoded", first_line(problem)) from None


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
        return ImageCms.applyTransform(image, _transform(None, "LAB"))
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in PROFILE_SPACES:
        image = image.convert("RGB")
    transform = _transform(profile, image.mode) if profile else None
    return ImageCms.applyTransform(image, transform) if transform else image.convert("RGB")


def upright(picture: Image.Image, opened: Image.Image) -> Image.Image:
    """Turn `picture` as the EXIF block of the file `opened` says; a bad block turns nothing."""
    try:
        orientation = opened.getexif().get(EXIF_ORIENTATION)
        method = TRANSPOSE.get(orientation)
    except Exception:  # Pillow's EXIF reader raises as it pleases, and the pixels are good
        method = None
    return picture if method is None else picture.transpose(method)


def square_crop(picture: Image.Image, resolution: int) -> Image.Image:
    """The centre square of `picture`, scaled with Lanczos' filter to `resolution` pixels a side."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    return square if side == resolution else square.resize((resolution, resolution), Image.Resampling.LANCZOS)


def pixel_hash(picture: Image.Image) -> str:
    """SHA-256, as 64 hex digits, of the size and the RGB pixels: equal for equal pictures in any file format."""
    return hashlib.sha256(b"%dx%d\n" % picture.size + picture.tobytes()).hexdigest()


def perceptual_hash(picture: Image.Image) -> str:
    """64-bit DCT hash as 16 hex digits; few bits differ between two pictures that look alike.

    The 8 x 8 lowest frequencies of the picture in 32 x 32 greys, each against their median (the usual `phash`).
    """
    grey = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
    basis = _dct_basis()
    # Rounded, because the flat parts of a picture leave noise whose sign differs from machine to machine.
    low = np.round(basis @ grey @ basis.T, 6)
    return np.packbits(low > np.median(low)).tobytes().hex()


@lru_cache(maxsize=1)
def _dct_basis() -> np.ndarray:
    frequency, position = np.arange(8)[:, None], np.arange(32)[None, :]
    return 2 * np.cos(np.pi * frequency * (2 * position + 1) / 64)


def _open(content: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.UnidentifiedImageError:
        if content.startswith(JPEG_SIGNATURE):
            raise Refused("damaged-jpeg", "the header is broken") from None
        webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
        if webp or content.startswith(SIGNATURES):
            raise Refused("cannot-be-decoded", "the header is broken") from None
        raise Refused("not-an-image") from None
    if image.format not in STILL_FORMATS and getattr(image, "n_frames", 1) > 1:
        raise Refused("animated", f"{image.n_frames} frames")
    return image


def _check_shape(size: tuple[int, int], settings: Settings) -> None:
    shorter, longer = sorted(size)
    if shorter < settings.min_size:
        raise Refused("too-small", f"{size[0]} x {size[1]}")
    if longer > settings.max_aspect * shorter:
        raise Refused("too-elongated", f"{size[0]} x {size[1]}")


def _load(image: Image.Image, content: bytes) -> Image.Image:
    """Decode the pixels; a JPEG by libjpeg with its warnings as errors, because Pillow shows garbage as a picture."""
    if image.format not in ("JPEG", "MPO"):
        image.load()
        return image
    try:
        if image.mode == "CMYK":
            # Only checked here: Pillow knows which files hold their inks inverted.
            simplejpeg.decode_jpeg(content, "CMYK", strict=True)
            image.load()
            return image
        pixels = simplejpeg.decode_jpeg(content, "GRAY" if image.mode == "L" else "RGB", strict=True)
    except ValueError as problem:
        raise Refused("damaged-jpeg", first_line(problem)) from None
    loaded = Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels)
    loaded.info = dict(image.info)
    return loaded


def _to_grey(image: Image.Image) -> Image.Image:
    """Modes I;16, I and F, which Pillow itself would clip at 255."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    if image.mode == "F":
        white = 1.0 if values.max() <= 1 else 255.0
    else:
        white = 65535.0 if values.max() <= 65535 else 2.0**31 - 1
    return Image.fromarray(np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


@lru_cache(maxsize=64)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from `profile` to sRGB for pictures of `mode`; None if there is none to follow. LAB needs no profile."""
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
