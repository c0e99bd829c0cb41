"""A film of how the generator learned: the same seeds, one frame for each sheet of samples."""

import io
from pathlib import Path

from PIL import Image

from gan.film import evenly, mp4
from train.files import write_atomically
from train.sheet import SHEET_COLUMNS


COVERS = 4  # in each row and in each column of a frame
LONGEST = 120  # frames
FRAMES_PER_SECOND = 10
LAST_SECONDS = 2  # that the last frame stays
LARGEST = 5_000_000  # bytes, to be looked at on a card


def make_film(folder: Path) -> None:
    """Write film.webp and film.mp4 from samples/ of a run folder.

    A run that was grown begins with the sheets of the smaller one, in samples/before/, their pixels as large squares.

    A frame takes 15 ms for covers of 64 px and 190 ms for covers of 256 px (one core): a hundred of them may take as
    long as a GPU trains between two checkpoints. So a film is made when a run stops, not at each checkpoint.

    Raises:
        OSError: it cannot be written.
    """
    if not (sheets := _sheets(folder)):
        return
    with Image.open(sheets[-1]) as last:
        side = COVERS * last.width // SHEET_COLUMNS
    frames = [_frame(sheet).resize((side, side), Image.Resampling.NEAREST) for sheet in evenly(sheets, LONGEST)]
    film = _webp(frames)
    while len(film) > LARGEST and len(frames) > 1:
        frames = evenly(frames, min(len(frames) - 1, len(frames) * LARGEST // len(film)))
        film = _webp(frames)
    write_atomically(folder / "film.webp", film)
    rest = frames[-1:] * (LAST_SECONDS * FRAMES_PER_SECOND - 1)
    write_atomically(folder / "film.mp4", mp4(frames + rest, FRAMES_PER_SECOND))


def has_film(folder: Path) -> bool:
    """Return whether film.webp shows the newest sheet: a run may have been killed before the film was made."""
    film, sheets = folder / "film.webp", _sheets(folder)
    return film.exists() and bool(sheets) and film.stat().st_mtime_ns >= sheets[-1].stat().st_mtime_ns


def _sheets(folder: Path) -> list[Path]:
    """Return the sheets, the oldest first: those of the smaller run that was grown lie deepest."""
    return sorted((folder / "samples").rglob("images-*.png"), key=lambda sheet: (-len(sheet.parts), sheet.name))


def _frame(sheet: Path) -> Image.Image:
    """Cut the covers of seeds 0 to 15 out of a sheet, in rows of four."""
    with Image.open(sheet) as picture:
        side = picture.width // SHEET_COLUMNS
        frame = Image.new("RGB", (COVERS * side, COVERS * side))
        for seed in range(COVERS * COVERS):
            row, column = divmod(seed, SHEET_COLUMNS)
            cover = picture.crop((column * side, row * side, (column + 1) * side, (row + 1) * side))
            frame.paste(cover, (seed % COVERS * side, seed // COVERS * side))
    return frame


def _webp(frames: list[Image.Image]) -> bytes:
    film = io.BytesIO()
    duration = [1000 // FRAMES_PER_SECOND] * (len(frames) - 1) + [1000 * LAST_SECONDS]
    options = {"duration": duration, "loop": 0, "quality": 85, "method": 2}
    frames[0].save(film, "WEBP", save_all=True, append_images=frames[1:], **options)
    return film.getvalue()
