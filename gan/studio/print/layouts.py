"""Five ways to set artist and title on a cover. A layout gets a title always, an artist perhaps, and `Look`."""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

from gan.studio.print.contrast import Colour, Readable, make_readable
from gan.studio.print.typeset import Line, cap_height, face_for, fit, text_mask, unit_width, wrap


MARGIN = 0.06
SAFE = 0.035  # of the side: no letter is nearer to an edge, where players round corners and printers trim
POSITIONS = ("start", "middle", "end")  # top to bottom, or left to right for what is set along the side
Box = tuple[float, float, float, float]  # left, top, right, bottom of 1


@dataclass(frozen=True)
class Palette:
    """Hold colours of one cover: `paper` and `ink`, its lightest and darkest with a hint of their hue, and `accent`,
    by which it is remembered."""

    paper: Colour
    ink: Colour
    accent: Colour


@dataclass(frozen=True)
class Look:
    """Say what a layout sets its text in: the cover's colours, and a font instead of its own, "" for its own."""

    colours: Palette
    font: str = ""

    def face(self, own: str, text: str) -> str:
        """Return the font for `text`: the chosen one or the layout's `own`, where those have its letters."""
        return face_for(text, self.font or own) or "japanese"

    def leading(self, face: str, own: float) -> float:
        """Return the way from baseline to baseline, of the size: kanji are taller than capitals."""
        return max(own, 1.12) if face == "japanese" else own


@dataclass(frozen=True)
class Design:
    """Say what a layout wants on the cover.

    Args:
        lines: of text.
        plates: boxes of one colour beneath them.
        rules: frames of the text's colour, as boxes.
        fade: where the plates do not, a scrim may cover the cover's "top" or "bottom".
        turned: lines are turned by 90 degrees to the right; boxes are not.
    """

    lines: list[Line]
    plates: list[tuple[Box, Colour]] = field(default_factory=list)
    rules: list[Box] = field(default_factory=list)
    fade: str = ""
    turned: bool = False


def palette(picture: Image.Image) -> Palette:
    """Return the colours of `picture`."""
    few = picture.resize((48, 48), Image.Resampling.BOX).quantize(12, Image.Quantize.MEDIANCUT)
    colours = np.array((few.getpalette() or [])[: 3 * 12], dtype=float).reshape(-1, 3)
    counts = np.bincount(np.asarray(few).ravel(), minlength=len(colours))[: len(colours)]
    colours, counts = colours[counts > 0], counts[counts > 0]
    brightness = colours @ np.array([0.2126, 0.7152, 0.0722])
    vivid = (colours.max(1) - colours.min(1)) * counts**0.35
    return Palette(
        paper=_tinted(colours[brightness.argmax()], 0.95, 0.10),
        ink=_tinted(colours[brightness.argmin()], 0.09, 0.45),
        accent=_colour(colours[vivid.argmax()]),
    )


def _tinted(colour: np.ndarray, value: float, most_saturation: float) -> Colour:
    hue, saturation, _ = colorsys.rgb_to_hsv(*colour / 255)
    tinted = colorsys.hsv_to_rgb(hue, min(saturation, most_saturation), value)
    return _colour(255 * np.array(tinted))


def _colour(channels: np.ndarray) -> Colour:
    red, green, blue = (round(channel) for channel in channels.tolist())
    return red, green, blue


def poster(artist: str, title: str, look: Look) -> Design:
    """Set condensed capitals as large as the cover is wide, at its foot."""
    face = look.face("poster", title.upper())
    tight = look.leading(face, 0.86)
    lines, y = _rising(title.upper(), face, 1 - MARGIN, height=0.46, largest=0.34, leading=tight)
    if artist:
        face = look.face("poster", artist.upper())
        above, _ = _rising(artist.upper(), face, y - 0.045, height=0.14, largest=0.07, leading=1.1, tracking=0.12)
        lines = above + lines
    return Design(lines, fade="bottom")


def corner(artist: str, title: str, look: Look) -> Design:
    """Set the artist over the title in one plain size, top left."""
    lines: list[Line] = []
    y = MARGIN
    parts = [(part, look.face("grotesk", part)) for part in (artist, title) if part]
    fitted = [fit(part, face, 0.74, 0.34 / len(parts), 0.072, leading=1.12) for part, face in parts]
    size = min((size for _, size in fitted), default=0)
    y += cap_height("grotesk") * size
    both = [(_broken(part, face, 0.74, size), face) for part, face in parts]
    # or one could not tell where the title begins
    gap = 0.45 * size if any(len(broken) > 1 for broken, _ in both) else 0
    for broken, face in both:
        lines += [Line(text, face, size, MARGIN, y + 1.12 * size * n) for n, text in enumerate(broken)]
        y += 1.12 * size * len(broken) + gap
    return Design(lines, fade="top")


def plate(artist: str, title: str, look: Look) -> Design:
    """Set a paper label with a fine frame, in a book's letters: for quiet music."""
    lines: list[Line] = []
    y = 0.0
    if artist:
        face = look.face("classic", artist.upper())
        broken, size = fit(artist.upper(), face, 0.54, 0.12, 0.036, leading=1.35, tracking=0.14)
        lines, y = _centred(broken, face, size, y, leading=1.35, tracking=0.14)
        y += 0.036
    face = look.face("classic-italic", title)
    leading = look.leading(face, 1.02)
    broken, size = fit(title, face, 0.6, 0.26, 0.088, leading=leading)
    more, y = _centred(broken, face, size, y, leading=leading)
    lines += more
    y += 0.02  # for what hangs below the last line
    height, half = y + 0.13, 0.06 + max(0.2, *(line.width / 2 for line in lines))
    top = 0.5 - height / 2 if height > 0.4 else 0.14
    box = (0.5 - half, top, 0.5 + half, top + height)
    lines = [replace(line, y=line.y + top + 0.065) for line in lines]
    inner = (box[0] + 0.014, box[1] + 0.014, box[2] - 0.014, box[3] - 0.014)
    return Design(lines, plates=[(box, look.colours.paper)], rules=[inner])


def spine(artist: str, title: str, look: Look) -> Design:
    """Draw a strip of the cover's own colour down its left side, as round records from Japan; text runs downwards."""
    width, lines = 0.19, []
    room = 1 - 2 * MARGIN
    largest_title, largest_artist, gap = 0.085, 0.05, 0.05
    if artist:
        title_wants = largest_title * unit_width(title.upper(), look.face("geometric", title.upper()), 0.04)
        artist_wants = largest_artist * unit_width(artist.upper(), look.face("geometric", artist.upper()), 0.04)
        title_room = (room - gap) * min(0.72, max(0.4, title_wants / (title_wants + artist_wants)))
        texts = [(title, title_room, largest_title), (artist, room - gap - title_room, largest_artist)]
    else:
        texts = [(title, room, largest_title)]
    for text, length, largest in texts:
        face = look.face("geometric", text.upper())
        broken, size = fit(text.upper(), face, length, 0.12, largest, leading=1.08, tracking=0.04)
        block = cap_height(face) * size + 1.08 * size * (len(broken) - 1)
        y = 1 - width / 2 - block / 2 + cap_height(face) * size
        for number, part in enumerate(broken):
            # the title begins at the top, the artist ends at the foot
            x = MARGIN if largest == largest_title else 1 - MARGIN - unit_width(part, face, 0.04) * size
            lines.append(Line(part, face, size, x, y + 1.08 * size * number, 0.04 * size))
    return Design(lines, plates=[((0, 0, width, 1), look.colours.accent)], turned=True)


def strips(artist: str, title: str, look: Look) -> Design:
    """Draw a typewriter's lines, each on a strip glued to the foot of the cover: for demo tapes."""
    lines: list[Line] = []
    plates: list[tuple[Box, Colour]] = []
    y = 1 - MARGIN
    for text, largest in ((artist, 0.046), (title, 0.066)):
        if not text:
            continue
        face = look.face("typewriter", text)
        broken, size = fit(text, face, 0.8, 0.26, largest, leading=1.45)
        for part in reversed(broken):
            line = Line(part, face, size, MARGIN + 0.35 * size, y - 0.42 * size)
            plates.insert(0, ((MARGIN, y - 1.36 * size, MARGIN + line.width + 0.7 * size, y), look.colours.ink))
            lines.insert(0, line)
            y -= 1.45 * size
        y -= 0.012
    return Design(lines, plates=plates)


def _placed(design: Design, position: str) -> Design:
    """Move a design to one of `POSITIONS`, "" where it is, and in any case away from the edges."""
    boxes = [line.bounds for line in design.lines] + ([] if design.turned else [box for box, _ in design.plates])
    low, high = min(box[1] for box in boxes), max(box[3] for box in boxes)
    if design.turned:  # across the cover a turned line's baseline counts from the right
        (strip, _) = design.plates[0]
        wanted = {"start": 0.0, "middle": 0.5 - strip[2] / 2, "end": 1 - strip[2]}.get(position, 0.0)
        lines = [replace(line, y=line.y - wanted) for line in design.lines]
        plates = [((box[0] + wanted, box[1], box[2] + wanted, box[3]), colour) for box, colour in design.plates]
        return replace(design, lines=lines, plates=plates)
    step = {"start": MARGIN - low, "middle": 0.5 - (low + high) / 2, "end": 1 - MARGIN - high}.get(position, 0.0)
    step += max(0.0, SAFE - low - step) - max(0.0, high + step - (1 - SAFE))

    def moved(box: Box) -> Box:
        return box[0], box[1] + step, box[2], box[3] + step

    return replace(
        design,
        lines=[replace(line, y=line.y + step) for line in design.lines],
        plates=[(moved(box), colour) for box, colour in design.plates],
        rules=[moved(box) for box in design.rules],
        fade={"start": "top", "middle": "middle", "end": "bottom"}.get(position, design.fade),
    )


LAYOUTS: dict[str, Callable[[str, str, Look], Design]] = {
    layout.__name__: layout for layout in (poster, corner, plate, spine, strips)
}


INKS = ("light", "dark", "accent")  # of the cover's own colours


def set_on(
    pictures: list[Image.Image],
    layout: str,
    artist: str,
    title: str,
    font: str = "",
    ink: str | Colour = "",
    position: str = "",
) -> Readable:
    """Return the pictures with artist and title on them, readable.

    Args:
        pictures: mode RGB, square, equally large; one, or the frames of a film, which are all set like the first.
        layout: a key of LAYOUTS.
        artist, title: cleaned (see `typeset.clean`), all of letters that the fonts have; either or both may be empty.
        font: one of `typeset.FACES`, "" for the layout's own. What it lacks is set in another one.
        ink: one of `INKS`, or a colour, "" for whichever of light and dark takes less scrim.
        position: one of `POSITIONS`, "" for the layout's own.
    """
    colours, size = palette(pictures[0]), pictures[0].width
    if not artist and not title:
        return Readable(pictures, colours.ink, 21.0, 0.0)
    # a record without a title is called as its artist
    artist, title = (artist, title) if title else ("", artist)
    design = _placed(LAYOUTS[layout](artist, title, Look(colours, font)), position)
    text = text_mask(design.lines, size, design.turned)
    scrim = Image.new("L", (size, size)) if design.plates else _fade(text, design.fade)
    plates = [([round(edge * size) for edge in box], colour) for box, colour in design.plates]
    pictures = [picture.copy() for picture in pictures]
    for (left, top, right, bottom), colour in plates:
        scrim.paste(255, (left, top, right, bottom))
        for picture in pictures:
            picture.paste(colour, (left, top, right, bottom))
    inks = {"": None, "light": colours.paper, "dark": colours.ink, "accent": colours.accent}
    wanted = inks[ink] if isinstance(ink, str) else ink
    done = make_readable(pictures, text, scrim, colours.paper, colours.ink, wanted)
    for picture in done.pictures:
        draw = ImageDraw.Draw(picture)
        for box in design.rules:
            frame = [round(edge * size) for edge in box]
            draw.rectangle(frame, outline=done.colour, width=max(1, round(size * 0.0018)))
        picture.paste(done.colour, mask=text)
    return done


def _broken(text: str, face: str, width: float, size: float) -> list[str]:
    """Break `text` into lines of a size that is given, a word only where it is too long."""
    lines, fitted = fit(text, face, width, 1, size, leading=1.12)
    return lines if fitted == size else wrap(text, face, width / size, 0, may_break=True)


def _rising(
    text: str, font: str, foot: float, *, height: float, largest: float, leading: float, tracking: float = 0.0
) -> tuple[list[Line], float]:
    """Set lines from the left margin, the last on `foot`; return them and where the first one's capitals end."""
    broken, size = fit(text, font, 1 - 2 * MARGIN, height, largest, leading=leading, tracking=tracking)
    first = foot - leading * size * (len(broken) - 1)
    lines = [
        Line(part, font, size, MARGIN, first + leading * size * number, tracking * size)
        for number, part in enumerate(broken)
    ]
    return lines, first - cap_height(font) * size


def _centred(
    broken: list[str], font: str, size: float, top: float, *, leading: float, tracking: float = 0.0
) -> tuple[list[Line], float]:
    """Set lines about the middle, the first one's capitals from `top` on; return them and the last one's baseline."""
    first = top + cap_height(font) * size
    lines = []
    for number, part in enumerate(broken):
        left = 0.5 - unit_width(part, font, tracking) * size / 2
        lines.append(Line(part, font, size, left, first + leading * size * number, tracking * size))
    return lines, lines[-1].y


def _fade(text: Image.Image, side: str) -> Image.Image:
    """Return a scrim over all of the text, from the "top" or "bottom" or in the "middle", fading out beyond it."""
    size = text.width
    box = text.getbbox()
    assert box is not None  # there is text
    _, top, _, bottom = box
    y = np.arange(size) / size
    above, below = top / size - y, y - bottom / size
    distance = {"top": below, "bottom": above, "middle": np.maximum(above, below)}[side]
    distance = np.clip(distance, 0, None) / 0.28
    strength = np.clip(1 - distance, 0, 1) ** 2 * (3 - 2 * np.clip(1 - distance, 0, 1))
    return Image.fromarray(np.broadcast_to((255 * strength)[:, None], (size, size)).round().astype(np.uint8))
