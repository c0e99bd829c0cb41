"""How the generator learned, in the tab "Walk": the film of its run, scrubbed by hand under the run's scores."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from gan.film import evenly
from gan.studio.files import data_uri, still_webp
from gan.studio.shell.controls import part
from gan.untrusted import check_file, own_file


FILM_SIDE, FILM_QUALITY = 384, 75  # pixels; of 100: some 30 kB a frame
MOST_FRAMES, MOST_POINTS = 120, 200
LARGEST_FILM, LARGEST_LOG = 8_000_000, 20_000_000  # bytes
LARGEST_NUMBER = 2**53  # that a browser knows exactly; NaN is not below it
# What is drawn of metrics.jsonl, the first that a run measured; less is better in each.
SCORES = ("kernel_eyes", "kid", "fd_covers", "sliced_wasserstein")


class Learned:
    """Answer what the part's script (learned.js) asks for.

    Args:
        folder: of a pipeline, with film.webp and metrics.jsonl beside it, or None.
    """

    def __init__(self, folder: Path | None):
        # The folder may be a stranger's: what a link names is not shown.
        self.film = own_file(folder, "film.webp") if folder else None
        log = own_file(folder, "metrics.jsonl") if folder else None
        self.score, self.scores = read_scores(log) if log else ("", [])
        self.frames = cache(self._frames)

    @property
    def there(self) -> bool:
        """Return whether there is a film and something to draw under it."""
        return bool(self.film and self.film.stat().st_size <= LARGEST_FILM and self.scores)

    def show(self, payload: object) -> dict[str, Any]:
        """Return every frame of the film, `{"frames": [src, ...]}`; none where it cannot be read."""
        return {"frames": self.frames()}

    def _frames(self) -> list[str]:
        frames = []
        try:
            assert self.film
            with Image.open(self.film, formats=["WEBP"]) as film:
                for place in evenly(list(range(getattr(film, "n_frames", 1))), MOST_FRAMES):
                    film.seek(place)
                    frame = film.convert("RGB").resize((FILM_SIDE, FILM_SIDE), Image.Resampling.BOX)
                    frames.append(data_uri(still_webp(frame, FILM_QUALITY), "image/webp"))
        except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
            return []
        return frames


def read_scores(file: Path) -> tuple[str, list[tuple[int, float]]]:
    """Return the first of `SCORES` that a run's log has, and it after so many covers: [(covers, score), ...]."""
    try:
        check_file(file, LARGEST_LOG)
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, RecursionError):
        return "", []
    for name in SCORES:
        has = [line for line in lines if isinstance(line, dict) and isinstance(line.get(name), int | float)]
        scores = [(line["images"], line[name]) for line in has if isinstance(line.get("images"), int)]
        if len(scores) > 1 and all(abs(number) < LARGEST_NUMBER for point in scores for number in point):
            return name, [(images, float(score)) for images, score in evenly(scores, MOST_POINTS)]
    return "", []


def learned_part(learned: Learned) -> None:
    """Build the part of the tab; without a film there is nothing to be seen of it."""
    if learned.there:
        part("tabs/learned", functions=[learned.show], scores=learned.scores, score=learned.score)
