"""Choose pictures evenly from many, and write them as an MP4 film."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image


FFMPEG = shutil.which("ffmpeg")  # None: no MP4 can be made here
SMALLEST_FILM = 512  # pixels; players show a smaller one as a stamp


def evenly(values: list, most: int) -> list:
    """Return at most `most` of `values`, evenly from the first to the last; for a `most` below 2, the last alone."""
    if len(values) <= most:
        return values
    if most < 2:
        return values[-1:]
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def mp4(images: list[Image.Image], frames_per_second: int) -> bytes:
    """Return `images` as an H.264 film of at least 512 pixels, which every player takes. It needs `FFMPEG`.

    Raises:
        subprocess.SubprocessError: ffmpeg refuses, or takes more than two minutes.
    """
    width, height = images[0].size
    side = max(SMALLEST_FILM, width + width % 2)  # an even number, as the format asks for
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"  # no pipe, because the head of the file is written last
        pictures = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(frames_per_second)]
        h264 = ["-vf", f"scale={side}:{side}:flags=lanczos", "-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p"]
        command = [FFMPEG, "-v", "error", *pictures, "-i", "-", *h264, "-movflags", "+faststart", str(film)]
        subprocess.run(command, input=b"".join(image.tobytes() for image in images), check=True, timeout=120)
        return film.read_bytes()
