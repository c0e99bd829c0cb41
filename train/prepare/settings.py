"""What a cover must be."""

from dataclasses import dataclass


FITS = ("crop", "pad", "stretch")


@dataclass(frozen=True)
class Settings:
    """Say what a cover must be.

    Args:
        resolution: of the cover, in pixels.
        min_size: the fewest pixels that the shorter side of the file's picture may have.
        max_aspect: the largest ratio of its longer side to the shorter.
        fit: how it becomes a square: crop (the middle), pad (with the colour of its border) or stretch.
    """

    resolution: int
    min_size: int
    max_aspect: float
    fit: str = "crop"
