"""Covers as files: a PNG that says how to draw it again, a loop as an animated WebP."""

import base64
from io import BytesIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gan.studio.model import Model


FRAME_MILLISECONDS = 50
ANIMATED = REPLACE = 2  # flags of an animated WebP: it is one, and a frame is not blended with the one before


def cover_png(image: Image.Image, model: Model, truncation: float, **how: int | float) -> bytes:
    """`image` as a PNG file. Its text chunks hold `how` it was drawn (e.g. seed), truncation, model and revision."""
    notes = PngInfo()
    for key, value in (how | {"truncation": truncation, "model": model.name}).items():
        notes.add_text(key, str(value))
    notes.add_text("revision", model.revision or "none")
    file = BytesIO()
    image.save(file, "PNG", pnginfo=notes)
    return file.getvalue()


def loop_webp(images: list[Image.Image]) -> bytes:
    """`images` as an animated WebP that repeats for ever, 20 frames a second, without loss.

    The stills are put together here (https://developers.google.com/speed/webp/docs/riff_container): libwebp's own
    animations leave out a frame that equals the one before it, as at the turn of a loop with an odd number of them.
    """
    width, height = images[0].size
    size = _number(width - 1, 3) + _number(height - 1, 3)
    body = b"WEBP"
    body += _chunk(b"VP8X", _number(ANIMATED, 4) + size)
    body += _chunk(b"ANIM", _number(0, 4) + _number(0, 2))  # no background, repeated for ever
    for image in images:
        still = BytesIO()
        image.save(still, "WEBP", lossless=True, method=0)  # 6 saves a tenth and takes many times as long
        place = _number(0, 6) + size + _number(FRAME_MILLISECONDS, 3) + _number(REPLACE, 1)
        body += _chunk(b"ANMF", place + still.getvalue()[12:])  # without the still's own RIFF header
    return _chunk(b"RIFF", body)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + _number(len(data), 4) + data + b"\0" * (len(data) % 2)


def _number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def data_uri(file: bytes, kind: str) -> str:
    """`file` as an address that holds all of it. `kind` is its media type.

    What the page shows travels this way: dragging a slider leaves no files on the server, and a download still works
    when the page was opened hours ago.
    """
    return f"data:{kind};base64,{base64.b64encode(file).decode()}"
