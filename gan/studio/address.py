"""A cover's address: all that is needed to draw it again, as the query of a link and inside every PNG."""

import base64
import binascii
import math
import re
import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

from PIL import Image, UnidentifiedImageError

from gan.palettes import read_colours, write_colours
from gan.pipeline import COLOURS
from gan.studio import checks
from gan.studio.checks import Refused


LARGEST_LATENT = 10  # of a normal number; nothing that was drawn here comes near
LONGEST_QUERY = 16_384  # characters: latents of several thousand numbers
NAME = re.compile(r"[\w ./@+-]{1,200}")  # of a model or revision; nothing that a page could take for HTML or code
MOST_KINDS = 1000
HEAD_OF_A_PNG = 65_536  # bytes; the address stands before the pixels


@dataclass(frozen=True)
class Address:
    """Name one cover: a seed or latents, and the generator that turns them into it.

    Latents travel as float16. A cover between seeds is rounded to it *before* it is drawn, so that what was shown is
    what its address says, however the latents were found.

    Args:
        seed: 0 to 4294967295, or None when there are latents.
        latents: float16, little-endian, one number after the other; None when there is a seed.
        truncation: 0 to 1.5.
        genre: one of those that the generator knows, empty for any.
        kind: of cover, found without anybody's labels: 1 to as many as the generator knows, 0 for any.
        colours: their shares, such as black10-red30 (`gan.palettes`), empty for any.
        model: what the generator is called, e.g. a Hub id.
        revision: branch, tag or commit of a Hub id, where one was asked for.
        weights: the generator's fingerprint (`Model.weights`): the same weights draw the same cover, whatever they
            are called.
    """

    seed: int | None = None
    latents: bytes | None = None
    truncation: float = 1.0
    genre: str = ""
    kind: int = 0
    colours: str = ""
    model: str = ""
    revision: str | None = None
    weights: str | None = None

    def __post_init__(self) -> None:
        if (self.seed is None) == (self.latents is None):
            raise Refused("an address has either a seed or latents", self.latents or self.seed)
        if self.seed is not None:
            checks.seed(self.seed)
        checks.truncation(self.truncation)
        checks.whole(self.kind, "a kind of cover", 0, MOST_KINDS)
        if self.colours:
            object.__setattr__(self, "colours", write_colours(_colours(self.colours)))
        if self.latents is not None:
            _check_latents(self.latents)
        for name in (self.model, self.revision, self.weights):
            if name and not NAME.fullmatch(name):
                raise Refused("an address names model and revision with letters, digits and . / @ + - only", name)

    @classmethod
    def from_query(cls, query: object) -> Self:
        """Read an address as a link has it.

        Args:
            query: `seed=7&truncation=0.8&...`, with or without what stands before a question mark; or its parts.

        Raises:
            Refused: something is wrong with it, in words.
        """
        if isinstance(query, str):
            if len(query) > LONGEST_QUERY:
                raise Refused("an address has at most {most} characters", query, most=LONGEST_QUERY)
            query = dict(parse_qsl(query.strip().rpartition("?")[2]))
        if not isinstance(query, dict):
            raise Refused("an address is text such as seed=7&truncation=0.8", query)
        return cls(
            seed=_seed(query["seed"]) if "seed" in query else None,
            latents=_latents(query["latents"]) if "latents" in query else None,
            truncation=_truncation(query["truncation"]) if "truncation" in query else 1.0,
            kind=_kind(query["kind"]) if "kind" in query else 0,
            **{
                name: str(query[name])
                for name in ("genre", "colours", "model", "revision", "weights")
                if query.get(name)
            },
        )

    def query(self) -> str:
        """Return the address as a link has it after its question mark; equal addresses give equal queries."""
        parts: dict[str, object] = {}
        if self.latents is None:
            parts["seed"] = self.seed
        else:
            parts["latents"] = base64.urlsafe_b64encode(self.latents).decode().rstrip("=")
        parts["truncation"] = short(self.truncation)
        named = self.asked | {"model": self.model, "revision": self.revision, "weights": self.weights}
        return urlencode(parts | {name: value for name, value in named.items() if value}, safe="/")

    def text_chunks(self) -> dict[str, str]:
        """Return what is written into a PNG of the cover: the address, and its parts for those who look at them."""
        chunks = {"address": self.query(), "truncation": short(self.truncation), "model": self.model}
        if self.seed is not None:
            chunks["seed"] = str(self.seed)
        chunks |= {name: str(value) for name, value in self.asked.items() if value}
        return chunks | {"revision": self.revision or "none"}

    @property
    def asked(self) -> dict[str, Any]:
        """Return what is asked of the cover beside its place among the latents; what is empty is any."""
        return {"genre": self.genre, "kind": self.kind, "colours": self.colours}

    @property
    def shares(self) -> dict[str, int] | None:
        """Return the shares of colours as the pipeline is asked for them; None for any."""
        return read_colours(self.colours) if self.colours else None

    @property
    def name(self) -> str:
        """Return a short name for files and labels: the seed, or a few letters that tell latents apart."""
        return str(self.seed) if self.latents is None else f"x{binascii.crc32(self.latents):08x}"


def short(number: float) -> str:
    """Return `number` in as few digits as give it back exactly: 1 for 1.0."""
    return str(number).removesuffix(".0")


def from_png(data: bytes) -> Address:
    """Return the address inside a PNG that was made here.

    Only the head of the file is read, and none of its pixels.

    Raises:
        Refused: it is no PNG, it holds no address, or a wrong one.
    """
    try:
        # Pillow itself refuses a text chunk that unpacks to more than 1 MB, and a picture of too many pixels
        text = Image.open(BytesIO(data[:HEAD_OF_A_PNG]), formats=["PNG"]).info  # `text` would read the pixels
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError):
        raise Refused("this is not a PNG that can be read", data[:16]) from None
    if not isinstance(text.get("address"), str):
        raise Refused(
            "this PNG holds no address: it was not made here, or was saved anew by another program", data[:16]
        )
    return Address.from_query(str(text["address"]))


def _seed(text: Any) -> int:
    return checks.seed(int(text) if re.fullmatch("[0-9]{1,10}", str(text)) else text)


def _kind(text: Any) -> int:
    return int(text) if re.fullmatch("[0-9]{1,4}", str(text)) else checks.whole(text, "a kind of cover", 0, MOST_KINDS)


def _colours(text: Any) -> dict[str, int]:
    try:
        return read_colours(text)
    except (ValueError, AttributeError):
        sentence = "colours are names with their shares, 1 to 100, such as black10-red30; there are {colours}"
        raise Refused(sentence, text, colours=", ".join(COLOURS)) from None


def _truncation(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return checks.truncation(text)  # refuses it


def _latents(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (TypeError, ValueError):
        raise Refused("the latents of an address are base64url", text) from None


def _check_latents(latents: bytes) -> None:
    if not latents or len(latents) % 2:
        raise Refused("the latents of an address are numbers of two bytes each", latents)
    for number in struct.unpack(f"<{len(latents) // 2}e", latents):
        if not math.isfinite(number) or abs(number) > LARGEST_LATENT:
            sentence = "the latents of an address are numbers from -{most} to {most}"
            raise Refused(sentence, latents, most=LARGEST_LATENT)
