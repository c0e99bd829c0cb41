"""Covers as files: a PNG that says how to draw it again, a loop as an animated WebP."""

import base64
import zlib
from io import BytesIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gan.studio.address import Address


FRAMES_PER_SECOND = 20
LARGEST_JPEG = 4_000_000  # bytes: what distributors take
LARGEST_PNG = 10_000_000
SMALL = 256  # pixels a side up to which runs of bytes are all that is looked for: quicker, and smaller for raw covers
LIGHTLY = 3  # of zlib's 9: a tenth larger than 6, in half the time
ANIMATED = REPLACE = 2  # flags of an animated WebP: it is one, and a frame is not blended with the one before


def cover_png(image: Image.Image, address: Address) -> bytes:
    """Return `image` as a PNG file of at most `LARGEST_PNG` bytes; its text chunks hold the address that draws it."""
    notes = PngInfo()
    for key, value in address.text_chunks().items():
        notes.add_text(key, value)
    small = {"compress_type": zlib.Z_RLE} if image.width <= SMALL else {}
    for level, colours in ((LIGHTLY, None), (6, None), (6, 256)):  # 9 takes seven times as long as 6, for a tenth less
        file = BytesIO()
        picture = image.quantize(colours) if colours else image
        picture.save(file, "PNG", pnginfo=notes, compress_level=level, **small)
        if file.tell() <= LARGEST_PNG:  # nearly always at once
            break
    return file.getvalue()


def still_webp(image: Image.Image, quality: int | None = None) -> bytes:
    """Return `image` as a WebP file, without loss unless a quality (0 to 100) is given."""
    file = BytesIO()
    # 6 saves a tenth and takes many times as long
    image.save(file, "WEBP", lossless=quality is None, quality=quality or 0, method=0)
    return file.getvalue()


def loop_webp(
    images: list[Image.Image],
    frames_per_second: int = FRAMES_PER_SECOND,
    quality: int | None = None,
    smallest: int = 0,
) -> bytes:
    """Return `images` as an animated WebP that repeats for ever, without loss unless a quality (0 to 100) is given.

    Smaller ones are enlarged to `smallest` pixels a side, one after another, since many together take much memory.

    The stills are put together here (https://developers.google.com/speed/webp/docs/riff_container): libwebp's own
    animations leave out a frame that equals the one before it, as at the turn of a loop with an odd number of them.
    """
    width, height = (max(smallest, side) for side in images[0].size)
    size = _number(width - 1, 3) + _number(height - 1, 3)
    body = b"WEBP"
    body += _chunk(b"VP8X", _number(ANIMATED, 4) + size)
    body += _chunk(b"ANIM", _number(0, 4) + _number(0, 2))  # no background, repeated for ever
    for image in images:
        place = _number(0, 6) + size + _number(1000 // frames_per_second, 3) + _number(REPLACE, 1)
        still = still_webp(_enlarged(image, smallest), quality)
        body += _chunk(b"ANMF", place + still[12:])  # without the still's own RIFF header
    return _chunk(b"RIFF", body)


def loop_gif(images: list[Image.Image], frames_per_second: int, smallest: int = 0) -> bytes:
    """Return `images` as an animated GIF that repeats for ever, of 256 colours and `smallest` pixels at least."""
    file = BytesIO()
    enlarged = (_enlarged(image, smallest) for image in images)
    frames = [image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE) for image in enlarged]
    pause = max(20, round(100 / frames_per_second) * 10)  # ms; the format counts hundredths, players slow down below 2
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=pause, loop=0, disposal=1)
    return file.getvalue()


def _enlarged(image: Image.Image, smallest: int) -> Image.Image:
    size = (max(smallest, image.width), max(smallest, image.height))
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def cover_jpeg(image: Image.Image, address: Address, largest: int = LARGEST_JPEG) -> bytes:
    """Return `image` as a JPEG of at most `largest` bytes, as good as that allows; its comment holds the address."""
    for quality in (95, 92, 88, 80, 70, 50):
        file = BytesIO()
        image.save(file, "JPEG", quality=quality, subsampling=0, comment=address.query().encode())
        if file.tell() <= largest:
            break
    return file.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + _number(len(data), 4) + data + b"\0" * (len(data) % 2)


def _number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def data_uri(file: bytes, kind: str) -> str:
    """Return `file` as an address that holds all of it. `kind` is its media type.

    What the page shows travels this way: dragging a slider leaves no files on the server, and a download still works
    when the page was opened hours ago.
    """
    return f"data:{kind};base64,{base64.b64encode(file).decode()}"


def cover_uri(image: Image.Image, address: Address) -> str:
    """Return `image` as the address of a PNG that holds the cover's own."""
    return data_uri(cover_png(image, address), "image/png")
