"""Text fitted into a box, in units of a cover's side, so that a preview and the print break their lines alike."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont


FONTS = Path(__file__).parent / "fonts"
REFERENCE = 1000  # pixels a side at which text is measured
# What every font in the folder has: Latin with the letters of Europe's languages, and a typesetter's signs.
LETTERS = frozenset(
    chr(code) for low, high in ((0x20, 0x7E), (0xA0, 0x17F), (0x218, 0x21B)) for code in range(low, high + 1)
) - set("\u00ad\u00b5\u0132\u0133\u0138\u0149\u014a\u014b\u017f") | set("–—‘’‚“”„†•…‹›€™−")  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A line of text: left end `x` and baseline `y`, `size` of the font and `tracking` between letters, all of 1."""

    text: str
    font: str
    size: float
    x: float
    y: float
    tracking: float = 0.0

    @property
    def width(self) -> float:
        """Of 1."""
        return self.size * unit_width(self.text, self.font, self.tracking / self.size)


@lru_cache(maxsize=64)
def font(name: str, pixels: float) -> ImageFont.FreeTypeFont:
    """The font `name`.otf of this project at a size."""
    return ImageFont.truetype(FONTS / f"{name}.otf", pixels)


def clean(text: str) -> str:
    """`text` on one line, composed (NFC), with single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def unknown_letters(text: str) -> list[str]:
    """What of a cleaned `text` the fonts cannot set, each once."""
    return sorted(set(text) - LETTERS)


def unit_width(text: str, name: str, tracking: float = 0.0) -> float:
    """Width of `text` in a font of size 1."""
    return font(name, REFERENCE).getlength(text) / REFERENCE + tracking * max(len(text) - 1, 0)


def cap_height(name: str) -> float:
    """Height of a capital in a font of size 1."""
    return -font(name, REFERENCE).getbbox("H", anchor="ls")[1] / REFERENCE


def fit(
    text: str, name: str, width: float, height: float, largest: float, *, leading: float, tracking: float = 0.0
) -> tuple[list[str], float]:
    """Break `text` into lines and find the largest size at which they fit.

    Args:
        text: cleaned, not empty.
        name: of the font.
        width, height: of the box.
        largest: size of the font.
        leading: from baseline to baseline, of the size.
        tracking: between letters, of the size.

    Returns:
        The lines, about equally long, and the size. A word is broken only where it would not fit at half of `largest`.
    """
    size = largest
    while True:
        lines = wrap(text, name, width / size, tracking, may_break=size < largest / 2)
        if lines and cap_height(name) * size + (len(lines) - 1) * leading * size <= height:
            return _balanced(text, lines, name, width / size, tracking), size
        size *= 0.96


def wrap(text: str, name: str, width: float, tracking: float, may_break: bool = False) -> list[str]:
    """Lines of at most `width` (in sizes of the font), filled from the first on; none if a word is too long."""
    lines = [""]
    for word in text.split(" "):
        for part in _parts(word, name, width, tracking) if may_break else (word,):
            longer = f"{lines[-1]} {part}".strip()
            if unit_width(longer, name, tracking) <= width:
                lines[-1] = longer
            elif unit_width(part, name, tracking) <= width:
                lines.append(part)
            else:
                return []
    return [line for line in lines if line]


def _parts(word: str, name: str, width: float, tracking: float) -> Iterator[str]:
    while word:
        count = len(word)
        while count > 1 and unit_width(word[:count], name, tracking) > width:
            count -= 1
        yield word[:count]
        word = word[count:]


def _balanced(text: str, lines: list[str], name: str, width: float, tracking: float) -> list[str]:
    """As many lines, the longest as short as can be: no single word is left over at the end."""
    for share in range(40, 100, 2):
        shorter = wrap(text, name, width * share / 100, tracking)
        if shorter and len(shorter) == len(lines):
            return shorter
    return lines


def text_mask(lines: list[Line], size: int, turned: bool = False) -> Image.Image:
    """The lines in white on black, mode L, `size` x `size` pixels.

    Args:
        lines: what to draw.
        size: pixels a side.
        turned: turn all by 90 degrees to the right.
    """
    mask = Image.new("L", (size, size))
    draw = ImageDraw.Draw(mask)
    for line in lines:
        face = font(line.font, line.size * size)
        if not line.tracking:
            draw.text((line.x * size, line.y * size), line.text, 255, face, anchor="ls")
            continue
        for number, letter in enumerate(line.text):  # each where kerning puts it, and so much further
            before = unit_width(line.text[: number + 1], line.font) - unit_width(letter, line.font)
            x = line.x + before * line.size + number * line.tracking
            draw.text((x * size, line.y * size), letter, 255, face, anchor="ls")
    return mask.transpose(Image.Transpose.ROTATE_270) if turned else mask
