"""Choose pictures evenly from many, and write them as an MP4 film."""

import tempfile
from pathlib import Path
from typing import TypeVar

from PIL import Image


SMALLEST_FILM = 512  # pixels; players show a smaller one as a stamp

T = TypeVar("T")


def evenly(values: list[T], most: int) -> list[T]:
    """Return at most `most` of `values`, evenly from the first to the last; for a `most` below 2, the last alone."""
    if len(values) <= most:
        return values
    if most < 2:
        return values[-1:]
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def mp4(images: list[Image.Image], frames_per_second: int) -> bytes:
    """Return `images` as an H.264 film of at least 512 pixels, which every player takes.

    The encoder comes with the package av, which holds FFmpeg.
    """
    import av  # only now: few visitors ask for a film

    side = max(SMALLEST_FILM, images[0].width + images[0].width % 2)  # an even number, as the format asks for
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"  # a file and not memory: its head is written last, and moved to the front
        with av.open(str(file), "w", options={"movflags": "+faststart"}) as film:
            stream = film.add_stream("libx264", rate=frames_per_second, options={"crf": "16", "preset": "veryfast"})
            stream.width = stream.height = side
            stream.pix_fmt = "yuv420p"
            for image in images:
                frame = av.VideoFrame.from_image(image.resize((side, side), Image.Resampling.LANCZOS))
                film.mux(stream.encode(frame))
            film.mux(stream.encode())
        return file.read_bytes()
