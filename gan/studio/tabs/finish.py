"""The tab "Finish": artist and title on the cover, the file for the print and a loop for the screen."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from typing import Any

import torch
from PIL import Image

from gan.film import mp4
from gan.latents import child, closed_path
from gan.pipeline import latents_from_seeds
from gan.studio import checks
from gan.studio.address import Address
from gan.studio.files import FRAMES_PER_SECOND, cover_jpeg, cover_png, data_uri, loop_webp
from gan.studio.model import Model
from gan.studio.pool import NICENESS, Pool, heavy
from gan.studio.print.contrast import READABLE, Colour, Readable
from gan.studio.print.layouts import INKS, LAYOUTS, POSITIONS, set_on
from gan.studio.print.typeset import FACES, clean, unknown_letters
from gan.studio.print.upscale import PRINT_SIZE, enlarge
from gan.studio.shell.controls import answer, messenger, part, tab


LONGEST_ARTIST, LONGEST_TITLE = 80, 120  # letters
PREVIEW_SIZE, CARD_SIZE, LOOP_SIZE = 720, 200, 512  # pixels
LOOP_FRAMES = 60
LOOP_REACH = 0.3  # difference of the covers that the loop passes on its round
PREVIEW_QUALITY = 90  # of 100: a preview; what is saved is lossless


@dataclass(frozen=True)
class Order:
    """Say what is to be finished: checked."""

    cover: Address
    artist: str
    title: str
    layout: str
    font: str = ""
    ink: str | Colour = ""
    position: str = ""

    def set_on(self, pictures: list[Image.Image]) -> Readable:
        """Return the pictures with the text on them."""
        return set_on(pictures, self.layout, self.artist, self.title, self.font, self.ink, self.position)


class Finish:
    """Answer what the tab's script (finish.js) and programs (`/finish`, `/finish_loop`) ask for."""

    def __init__(self, model: Model):
        self.model = model
        # the text changes with every key, the picture beneath it does not
        self._resized, self._enlarged = lru_cache(maxsize=32)(self._resize), lru_cache(maxsize=16)(self._enlarge)
        # previews are asked for outside the queue; an enlarged one takes a quarter of a gigabyte while it is made, and
        # a quick one waits neither for it nor for cards
        self._desk, self._enlarger = Pool(workers=1, waiting=12), Pool(workers=1, waiting=12)
        self._card_maker = Pool(workers=1, waiting=12, niceness=NICENESS)

    def read(self, asked: object) -> Order:
        """Return `asked`, a dict of what `Order` holds, as an order. Raises Refused unless all of it is sound."""
        asked = asked if isinstance(asked, dict) else {}
        layout = asked.get("layout")
        if not isinstance(layout, str) or layout not in LAYOUTS:
            raise checks.Refused("a layout is one of {layouts}", layout, layouts=", ".join(LAYOUTS))
        font = checks.one_of(asked.get("font"), "a font", FACES)
        position = checks.one_of(asked.get("position"), "a position", POSITIONS)
        artist = letters(asked.get("artist", ""), "the artist", LONGEST_ARTIST)
        title = letters(asked.get("title", ""), "the title", LONGEST_TITLE)
        return Order(
            self.model.read(asked.get("address")), artist, title, layout, font, _ink(asked.get("ink")), position
        )

    @heavy
    def print(self, order: Order, kind: str = "png") -> bytes:
        """Return the cover for shops and print with its address inside: "jpeg" below 4 MB, or "png" below 10 MB."""
        picture = enlarge(self.model.draw([order.cover])[0], PRINT_SIZE)
        picture = order.set_on([picture]).pictures[0]
        return (cover_jpeg if kind == "jpeg" else cover_png)(picture, order.cover)

    @heavy
    def loop(self, order: Order, kind: str = "webp") -> bytes:
        """Return the cover breathing: a round through two of its children and back, the text at rest.

        Args:
            order: what is to be finished.
            kind: "mp4" or "webp".
        """
        (point,) = self.model.points_of([order.cover])
        noise = latents_from_seeds([1, 2], self.model.latent_dim)
        round_trip = torch.cat([point[None], child(point, noise, LOOP_REACH)])
        frames = self.model.film(closed_path(round_trip, LOOP_FRAMES), [order.cover] * LOOP_FRAMES)
        frames = [frame.resize((LOOP_SIZE, LOOP_SIZE), Image.Resampling.LANCZOS) for frame in frames]
        frames = order.set_on(frames).pictures
        return mp4(frames, FRAMES_PER_SECOND) if kind == "mp4" else loop_webp(frames, quality=PREVIEW_QUALITY)

    # ---- for the script

    def preview(self, payload: object) -> dict[str, Any]:
        """Do as `_preview`, one quick and one enlarged picture at a time. Raises Refused when too many wait."""
        quick = isinstance(payload, dict) and payload.get("quick")
        return (self._desk if quick else self._enlarger).run(self._preview, payload)

    def _preview(self, payload: Any) -> dict[str, Any]:
        """Return the cover with its text at a small size: `{"src", "address", "contrast"}`.

        Args:
            payload: as `read` takes it, and `"quick": True` for a picture at once, which is only resized; the enlarged
                one takes half a second or more.
        """
        order = self.read(payload)
        picture = self._resized(order.cover, PREVIEW_SIZE) if payload.get("quick") else self._enlarged(order.cover)
        done = order.set_on([picture])
        return {"src": _webp(done.pictures[0]), "address": order.cover.query(), "contrast": _contrast(done, order)}

    def cards(self, payload: Any) -> dict[str, Any]:
        """Return a small picture of the cover in each layout: `{"cards": [[layout, src], ...]}`.

        Args:
            payload: as `read` takes it; `"instead": [artist, title]` for where there is no such text yet; and
                `"quick"` as a preview has it, so that a card has the colours of the large picture beside it.

        Raises:
            Refused: it is wrong, or too many wait.
        """
        order, instead = self.read(payload), payload.get("instead")
        if not (isinstance(instead, list) and len(instead) == 2):
            raise checks.Refused("the cards' texts are two", instead)
        artist = order.artist or letters(instead[0], "the artist", LONGEST_ARTIST)
        title = order.title or letters(instead[1], "the title", LONGEST_TITLE)
        return self._card_maker.run(
            self._cards, replace(order, artist=artist, title=title), bool(payload.get("quick"))
        )

    def _cards(self, order: Order, quick: bool) -> dict[str, Any]:
        size = 2 * CARD_SIZE  # sharp where a pixel of the page is two of the screen
        if quick:
            picture = self._resized(order.cover, size)
        else:
            picture = self._enlarged(order.cover).resize((size, size), Image.Resampling.LANCZOS)
        orders = [replace(order, layout=name) for name in LAYOUTS]
        return {"cards": [[one.layout, _webp(one.set_on([picture]).pictures[0])] for one in orders]}

    def _resize(self, cover: Address, size: int) -> Image.Image:
        return self.model.draw([cover])[0].resize((size, size), Image.Resampling.LANCZOS)

    def save(self, asked: Any) -> dict[str, Any]:
        """Make the file that was asked for, `"kind": "jpeg"`, `"print"` (a PNG), `"mp4"` or `"webp"`.

        Returns:
            `{"file": data address, "name", "megabytes"}`.
        """
        order = self.read(asked)
        name, kind = f"album-cover-{order.cover.name}", asked.get("kind")
        if kind in ("mp4", "webp"):
            media = "video/mp4" if kind == "mp4" else "image/webp"
            made, name = self.loop(order, kind), f"{name}-loop.{kind}"
        elif kind == "jpeg":
            made, media, name = self.print(order, "jpeg"), "image/jpeg", f"{name}-{PRINT_SIZE}.jpg"
        else:
            made, media, name = self.print(order), "image/png", f"{name}-{PRINT_SIZE}.png"
        return {"file": data_uri(made, media), "name": name, "megabytes": round(len(made) / 1e6, 1)}

    @heavy
    def _enlarge(self, cover: Address) -> Image.Image:
        return enlarge(self.model.draw([cover])[0], PREVIEW_SIZE)


def letters(text: object, name: str, most: int) -> str:
    """Return `text` cleaned. Raises Refused unless it is text of at most `most` letters that the fonts have."""
    if not isinstance(text, str) or len(text) > 10 * most:
        raise checks.Refused("{name} is text of at most {most} letters", text, name=name, most=most)
    cleaned = clean(text)
    if len(cleaned) > most:
        raise checks.Refused("{name} is text of at most {most} letters", text, name=name, most=most)
    if unknown := unknown_letters(cleaned):
        # a sign that is shown, and nothing that a page would take for HTML: the fonts have those
        names = ", ".join(sign if sign.isprintable() else f"U+{ord(sign):04X}" for sign in unknown[:5])
        sentence = "the fonts have no {names}: they know Latin, Greek, Cyrillic and Japanese letters"
        raise checks.Refused(sentence, text, names=names)
    return cleaned


def _ink(value: object) -> str | Colour:
    """Return `value` as a colour of text. Raises Refused unless it is one of `INKS`, or "" for any."""
    if isinstance(value, str) and (parts := re.fullmatch("#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", value)):
        red, green, blue = (int(part, 16) for part in parts.groups())
        return red, green, blue
    return checks.one_of(value, "a colour", (*INKS, "#rrggbb"))


def _contrast(done: Readable, order: Order) -> float | None:
    """Return the contrast to one digit, never rounded up; None without text."""
    return int(done.contrast * 10) / 10 if order.artist or order.title else None


def _webp(picture: Image.Image) -> str:
    file = BytesIO()
    picture.save(file, "WEBP", quality=PREVIEW_QUALITY, method=0)
    return data_uri(file.getvalue(), "image/webp")


def finish_tab(finish: Finish) -> None:
    """Build the tab."""
    model = finish.model
    with tab("finish"):
        desk = part(
            "tabs/finish",
            functions=[finish.preview, finish.cards, model.portraits],
            readable=READABLE,
            layouts=list(LAYOUTS),
            fonts=list(FACES),
            inks=INKS,
            positions=POSITIONS,
        )
        press = messenger("press")
    # in the queue, one at a time: a print takes seconds and half a gigabyte
    desk.save(
        answer(finish.save), None, press, trigger_mode="once", show_progress="hidden", concurrency_id="print",
        concurrency_limit=1, api_visibility="private",
    )  # fmt: skip
