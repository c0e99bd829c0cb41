"""Text that can be read: contrast measured against the pixels beneath it, and as much scrim as that asks for."""

from dataclasses import dataclass

import numpy as np
from PIL import Image


READABLE = 4.5  # to 1, WCAG 2.2, success criterion 1.4.3
# Contrast is measured on blocks of this share of the side, about a letter's stroke: an eye does not see single grains
# of a print.
BLOCKS = 250
TOUCHED = 12  # of 255: of a block that is less covered by text none is seen
STRENGTHS = [step / 50 for step in range(51)]
SHADOW_BEFORE_FOG = 0.15  # so much stronger may a dark scrim be: a light one looks like fog on a picture
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Readable:
    """Hold pictures on which text of `colour` has `contrast` where it is least; `scrim` 0..1 is what that took."""

    pictures: list[Image.Image]
    colour: Colour
    contrast: float
    scrim: float


def luminance(srgb: np.ndarray) -> np.ndarray:
    """Return the relative luminance (WCAG 2.2) of (..., 3) values of 0..255."""
    share = np.asarray(srgb, dtype=np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray | Colour, other: np.ndarray | Colour) -> np.ndarray:
    """Return the contrast ratio (WCAG 2.2), 1 to 21, of colours (..., 3) of 0..255."""
    a, b = luminance(np.asarray(one)), luminance(np.asarray(other))
    return (np.maximum(a, b) + 0.05) / (np.minimum(a, b) + 0.05)


def contrast_beneath(picture: Image.Image, text: Image.Image, colour: Colour) -> float:
    """Return the least contrast of `colour` with the blocks of `picture` that `text` (mode L, as large) touches."""
    touched = _in_blocks(text) > TOUCHED
    return float(contrast(_in_blocks(picture)[touched], colour).min()) if touched.any() else 21.0


def make_readable(
    pictures: list[Image.Image],
    text: Image.Image,
    scrim: Image.Image,
    light: Colour,
    dark: Colour,
    wanted: Colour | None = None,
) -> Readable:
    """Choose light or dark text, whichever needs clearly less scrim, and lay that scrim over the pictures.

    Args:
        pictures: mode RGB, equally large; one, or the frames of a film, which share text and scrim.
        text: the text's mask, mode L, as large.
        scrim: where a scrim may lie, mode L, as large; it must cover the text.
        light, dark: the two colours. Each is the other's scrim, so that they must contrast with each other.
        wanted: a colour for the text instead, of which the scrim is the one that contrasts more, or black or white.
    """
    small_text, small_scrim = (_in_blocks(mask) for mask in (text, scrim))
    touched = small_text > TOUCHED
    cover = small_scrim[touched][:, None] / 255

    def enough(colour: Colour, ground: Colour, hardest: np.ndarray) -> float:
        beneath = hardest[touched].astype(float)
        for strength in STRENGTHS:
            laid = beneath + (np.array(ground) - beneath) * cover * strength
            # a little more than asked for: the full-size picture rounds and grains otherwise than the small one
            if (contrast(laid, colour) >= READABLE * 1.03).all():
                return strength
        return 1.0

    frames = np.stack([_in_blocks(picture) for picture in pictures])
    if wanted is None:
        for_light = enough(light, dark, frames.max(0))
        for_dark = enough(dark, light, frames.min(0))
        as_light = for_light <= for_dark + SHADOW_BEFORE_FOG
        colour, ground, strength = (light, dark, for_light) if as_light else (dark, light, for_dark)
    else:
        colour, ground = wanted, max((dark, light), key=lambda other: contrast(wanted, other))
        if contrast(colour, ground) < READABLE * 1.03:  # a middle grey: nothing but black or white is far enough
            ground = max(((0, 0, 0), (255, 255, 255)), key=lambda other: contrast(wanted, other))
        hardest = frames.max(0) if luminance(np.asarray(ground)) < luminance(np.asarray(colour)) else frames.min(0)
        strength = enough(colour, ground, hardest)
    covered = [_lay(picture, scrim, ground, strength) for picture in pictures]
    return Readable(covered, colour, min(contrast_beneath(one, text, colour) for one in covered), strength)


def _in_blocks(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.resize((BLOCKS, BLOCKS), Image.Resampling.BOX))


def _lay(picture: Image.Image, scrim: Image.Image, colour: Colour, strength: float) -> Image.Image:
    return Image.composite(Image.new("RGB", picture.size, colour), picture, scrim.point(lambda v: round(v * strength)))
