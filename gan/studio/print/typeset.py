"""Text fitted into a box, in units of a cover's side, so that a preview and the print break their lines alike."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont


FONTS = Path(__file__).parent / "fonts"
REFERENCE = 1000  # pixels a side at which text is measured


def _range(*ends: tuple[int, int]) -> frozenset[str]:
    return frozenset(chr(code) for low, high in ends for code in range(low, high + 1))


def _jis() -> frozenset[str]:
    """Return the signs of JIS X 0208's rows 1 to 8, kana among them, and its first level: 2,965 kanji."""
    rows = [row for row in range(1, 48) if not 8 < row < 16]
    pairs = (bytes([0xA0 + row, 0xA0 + cell]) for row in rows for cell in range(1, 95))
    return frozenset("".join(pair.decode("euc_jp", "ignore") for pair in pairs)) - {"≒"}


# What every font in the folder but the Japanese one has: Latin with the letters of Europe's languages, and a
# typesetter's signs.
LETTERS = _range((0x20, 0x7E), (0xA0, 0x17F), (0x218, 0x21B)) - set(
    "\u00ad\u00b5\u0132\u0133\u0138\u0149\u014a\u014b\u017f"
) | set("–—‘’‚“”„†•…‹›€™−")  # fmt: skip
GREEK = _range((0x384, 0x386), (0x388, 0x38A), (0x38C, 0x38C), (0x38E, 0x3A1), (0x3A3, 0x3CE)) | set("\u0301\u0308")
CYRILLIC = _range((0x400, 0x45F), (0x48A, 0x49D), (0x4A0, 0x4FF)) | {"№"}
VIETNAMESE = _range((0x1A0, 0x1A1), (0x1AF, 0x1B0), (0x1EA0, 0x1EF9))
FACES: dict[str, frozenset[str]] = {
    **dict.fromkeys(("poster", "grotesk", "geometric", "classic", "classic-italic", "typewriter"), LETTERS),
    "wide": LETTERS | GREEK | CYRILLIC | VIETNAMESE,
    "japanese": _range((0x20, 0x7E), (0xC0, 0xFE)) | _jis() | set("–—‘’“”…"),
}
ALL_LETTERS = frozenset().union(*FACES.values())


@dataclass(frozen=True)
class Line:
    """Place a line of text: left end `x`, baseline `y`, `size` of its font, `tracking` between letters, all of 1."""

    text: str
    font: str
    size: float
    x: float
    y: float
    tracking: float = 0.0

    @property
    def width(self) -> float:
        """Return the width, of a font of size 1."""
        return self.size * unit_width(self.text, self.font, self.tracking / self.size)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of what is inked, of a font of size 1."""
        left, top, right, bottom = (
            edge * self.size / REFERENCE for edge in font(self.font, REFERENCE).getbbox(self.text, anchor="ls")
        )
        return self.x + min(left, 0), self.y + top, self.x + max(right, self.width), self.y + bottom


@lru_cache(maxsize=64)
def font(name: str, pixels: float) -> ImageFont.FreeTypeFont:
    """Return one of `FACES` at a size."""
    return ImageFont.truetype(next(FONTS.glob(f"{name}.?tf")), pixels)


def face_for(text: str, wanted: str) -> str | None:
    """Return the font `wanted`, or the first other one of `FACES` that has all letters of `text`; None if none has."""
    return next((name for name in (wanted, "wide", "japanese") if FACES[name].issuperset(text)), None)


def clean(text: str) -> str:
    """Return `text` on one line, composed (NFC), with single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def unknown_letters(text: str) -> list[str]:
    """Return the letters of a cleaned `text` that cannot be set, each once: no font has them, or none has all."""
    if unknown := sorted(set(text) - ALL_LETTERS):
        return unknown
    return [] if face_for(text, "wide") else sorted(set(text) - FACES["japanese"])


def unit_width(text: str, name: str, tracking: float = 0.0) -> float:
    """Return the width of `text` in a font of size 1."""
    return font(name, REFERENCE).getlength(text) / REFERENCE + tracking * max(len(text) - 1, 0)


def cap_height(name: str) -> float:
    """Return the height of a capital in a font of size 1."""
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
    """Return lines of at most `width` (in sizes of the font), filled from the first on; none if a word is too long."""
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
    """Return as many lines, the longest as short as can be: no single word is left over at the end."""
    for share in range(40, 100, 2):
        shorter = wrap(text, name, width * share / 100, tracking)
        if shorter and len(shorter) == len(lines):
            return shorter
    return lines


def text_mask(lines: list[Line], size: int, turned: bool = False) -> Image.Image:
    """Return the lines in white on black, mode L, `size` x `size` pixels.

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
