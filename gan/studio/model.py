"""The generator that the page shows: what it draws, and what it is called."""

import copy
import hashlib
import re
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from PIL import Image

from gan.latents import slerp, walk
from gan.pipeline import AlbumCoverPipeline, latents_from_seeds
from gan.studio import checks
from gan.studio.address import LARGEST_LATENT, Address
from gan.studio.checks import Refused
from gan.studio.drawing import Drawing
from gan.studio.files import cover_uri
from gan.studio.kinds import KindLooks
from gan.survey import Survey


try:
    import spaces  # there on a Hugging Face Space only; it must come before anything uses CUDA
except ImportError:
    spaces = None

MOST_PORTRAITS = 64  # in one answer
MOST_AT_ONCE = 16  # covers that are drawn in one go
MOST_NAMED = 20  # genres in a sentence
FIRST_SEED = 1  # of the opening cover, where nobody chose one for its looks
UNNAMED = re.compile(r"[^\w ./@+-]")  # what an address does not take in a name: a folder may be called anything


def share_the_cpu() -> None:
    """Let each cover be drawn with half of the cores, since two visitors' covers are drawn at a time.

    Threads that wait for each other spin: with all cores for each, many visitors at once take ten times as long.
    """
    torch.set_num_threads(max(1, torch.get_num_threads() // 2))


class Model:
    """Draw covers with a pipeline, and know where that came from.

    Covers are drawn on the CPU: one pass of a small network is quicker than the way to a GPU and back, and the pixels
    are those that the pipeline gives by itself. Only what is drawn in large numbers goes to the GPU of a Space.

    Args:
        pipeline: draws the covers.
        name: what to call it, e.g. a Hub id; it is written on the page and into every cover.
        revision: branch, tag or commit of a Hub repository, None for a folder.
        survey: what is known of its covers, where somebody has made one.
    """

    def __init__(
        self, pipeline: AlbumCoverPipeline, name: str, revision: str | None = None, survey: Survey | None = None
    ):
        self.pipeline = pipeline
        self.survey = survey
        self.name = name
        self.revision = revision
        self._drawing = Drawing(pipeline)
        if spaces:
            # A Space with a lent GPU stops when no function asks for one; anywhere else this changes nothing.
            vars(self)["_draw_many"] = spaces.GPU(duration=10)(self._draw_many)

    @property
    def opening(self) -> int:
        """Return the seed of the cover that is there before a visitor has chosen one."""
        return FIRST_SEED if self.survey is None or self.survey.opening is None else self.survey.opening

    @property
    def resolution(self) -> int:
        """Return the height and width of a cover in pixels."""
        return self.pipeline.synthesis.config.resolution

    @property
    def latent_dim(self) -> int:
        """Return how many numbers make a cover."""
        return self.pipeline.synthesis.config.latent_dim

    @property
    def parameters(self) -> int:
        """Return how many numbers the generator learned."""
        return sum(parameter.numel() for parameter in self.pipeline.synthesis.parameters())

    @property
    def genres(self) -> list[str]:
        """Return the genres that can be asked for; empty where none can."""
        return self.pipeline.genres

    @property
    def kinds(self) -> int:
        """Return how many kinds of covers can be asked for; 0 where none can."""
        return self.pipeline.clusters

    @property
    def colours(self) -> list[str]:
        """Return the names of the colours that can be asked for; empty where none can."""
        return self.pipeline.colours

    @cached_property
    def weights(self) -> str:
        """Return the generator's fingerprint, 12 hexadecimal digits: those of the weights, wherever they lie."""
        digest = hashlib.sha256()
        for key, value in sorted(self.pipeline.synthesis.state_dict().items()):
            digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.contiguous().cpu().numpy().tobytes())
        return digest.hexdigest()[:12]

    # ---- addresses

    def address(
        self, seed: int, truncation: float = 1.0, genre: str = "", kind: int = 0, colours: str = ""
    ) -> Address:
        """Return the address of a seed's cover. Raises Refused as `Address` does, or if the generator knows less."""
        asked = self.asked(genre, kind, colours)
        return Address(seed=seed, truncation=truncation, **asked, **self._names())

    def address_of(
        self, latents: torch.Tensor, truncation: float = 1.0, genre: str = "", kind: int = 0, colours: str = ""
    ) -> Address:
        """Return the address of any cover. `latents` has `latent_dim` numbers; they are rounded to float16."""
        rounded = latents.detach().reshape(-1).cpu().clamp(-LARGEST_LATENT, LARGEST_LATENT).half()
        numbers = rounded.numpy().astype("<f2").tobytes()
        asked = self.asked(genre, kind, colours)
        return Address(latents=numbers, truncation=truncation, **asked, **self._names())

    def asked(self, genre: object = "", kind: object = 0, colours: object = "") -> dict[str, Any]:
        """Return what an address asks for. Raises Refused unless the generator knows such genre, kind and colours."""
        return {"genre": self.genre(genre), "kind": self.kind(kind), "colours": self.in_colours(colours)}

    def read(self, query: object) -> Address:
        """Return the address that a link or a program gives.

        Raises:
            Refused: it is wrong, of another generator than this one, or of a genre that this one does not know.
        """
        address = Address.from_query(query)
        self.check(address)
        return replace(address, **self._names())

    def readable(self, query: object) -> Address | None:
        """Return what `read` gives, or None where it refuses."""
        try:
            return self.read(query)
        except Refused:
            return None

    def check(self, address: Address) -> None:
        """Raise Refused, in words, when another generator is needed to draw `address`, or another genre."""
        if address.weights:
            same = address.weights == self.weights
        else:
            same = address.model in ("", self._names()["model"]) and address.revision in (None, self.revision)
        if not same:
            wanted = " at ".join(filter(None, (address.model or "another generator", address.revision)))
            sentence = "this cover was drawn by {wanted}, and this page shows {shown}"
            raise Refused(sentence, address.query(), wanted=wanted, shown=self.name)
        if address.latents is not None and len(address.latents) != 2 * self.latent_dim:
            count = len(address.latents) // 2
            sentence = "this generator draws from {wanted} latents, not {count}"
            raise Refused(sentence, address.query(), wanted=self.latent_dim, count=count)
        self.asked(**address.asked)

    def genre(self, name: object) -> str:
        """Return `name` as a genre, empty for any. Raises Refused unless the generator knows one of that name."""
        if name in ("", None):
            return ""
        if not self.genres:
            raise Refused("this generator knows no genres: leave it out", name)
        if name not in self.genres:
            some = self.genres[:MOST_NAMED] + ["…"] * (len(self.genres) > MOST_NAMED)
            raise Refused("a genre is one of {genres}, or none for any", name, genres=", ".join(some))
        return name

    def kind(self, number: object) -> int:
        """Return `number` as a kind of cover, 0 for any. Raises Refused unless the generator knows so many."""
        if not self.kinds:
            if number in (0, "", None):
                return 0
            raise Refused("this generator knows no kinds of covers: leave them out", number)
        return checks.whole(number or 0, "a kind of cover", 0, self.kinds)

    def in_colours(self, colours: object) -> str:
        """Return `colours` as given, "" for any. Raises Refused where the generator knows none, or it is no text."""
        if colours in ("", None):
            return ""
        if not self.colours or not isinstance(colours, str):
            raise Refused("this generator knows no colours: leave them out", colours)
        return colours

    def _names(self) -> dict[str, Any]:
        names = {"model": self.name, "revision": self.revision, "weights": self.weights}
        return {key: name and UNNAMED.sub("_", name)[:200] for key, name in names.items()}

    # ---- covers

    def latents_of(self, address: Address) -> torch.Tensor:
        """Return (1, latent_dim) float32, as the address has them: not yet multiplied by its truncation."""
        if address.seed is not None:
            return latents_from_seeds([address.seed], self.latent_dim)
        assert address.latents is not None  # one of the two there is
        return torch.frombuffer(bytearray(address.latents), dtype=torch.float16).float()[None]

    def points_of(self, addresses: list[Address]) -> torch.Tensor:
        """Return (N, latent_dim): what the network is given for each of `addresses`, truncation included."""
        return torch.cat([self.latents_of(address) * address.truncation for address in addresses])

    def draw(self, addresses: list[Address]) -> list[Image.Image]:
        """Return one cover for each of `addresses`, in one batch; they must have passed `check`."""
        if len(addresses) == 1 and not _wanted(addresses):
            return [self._drawing.cover(self.points_of(addresses))]
        return self.draw_with(self.pipeline, addresses)

    def draw_with(self, pipeline: AlbumCoverPipeline, addresses: list[Address]) -> list[Image.Image]:
        """Draw by another pipeline, which has as many latents and can be asked for the same."""
        images: list[Image.Image] = []
        for start in range(0, len(addresses), MOST_AT_ONCE):  # others come in between
            some = addresses[start : start + MOST_AT_ONCE]
            points, wanted = self.points_of(some), _wanted(some)
            images += self._drawing.run(_drawn, pipeline, points, batch_size=len(some), **wanted)
        return images

    def likely_kind(self, cover: Address) -> int:
        """Return the kind that a cover is of: the one asked for, or else the one whose covers are most like it.

        Raises:
            Refused: the generator knows no kinds.
        """
        if not self.kinds:
            raise Refused("this generator knows no kinds of covers: leave them out", cover.query())
        if cover.kind:
            return cover.kind
        with torch.no_grad():
            asked = self.pipeline.prepare_conditions(1, **_wanted([cover]))
            composed = self.pipeline.synthesis.compose(self.points_of([cover]), **asked)
        return 1 + self._looks_of_kinds.nearest(composed)

    @cached_property
    def _looks_of_kinds(self) -> KindLooks:
        return KindLooks(self.pipeline.synthesis)

    def show(self, addresses: list[Address]) -> list[dict[str, str]]:
        """Draw covers, in one batch, as scripts take them: each `{"src": data address of a PNG, "address": query}`.

        A cover that is shown large is asked for alone, so that its pixels are always the same.
        """
        images = self.draw(addresses) if addresses else []
        pairs = zip(images, addresses, strict=True)
        return [{"src": cover_uri(image, address), "address": address.query()} for image, address in pairs]

    def portraits(self, payload: object) -> dict[str, list[str | None]]:
        """Draw covers for a script that shows several to choose from.

        Args:
            payload: queries, at most `MOST_PORTRAITS`.

        Returns:
            `{"pictures": [...]}`, for each query the data address of a PNG, None where it is none of this generator's.

        Raises:
            Refused: it is no list, or too long.
        """
        if not isinstance(payload, list) or len(payload) > MOST_PORTRAITS:
            raise Refused("at most {most} covers are drawn at once", payload, most=MOST_PORTRAITS)
        readable = {q: address for q in payload if isinstance(q, str) and (address := self.readable(q))}
        shown = zip(readable, self.show(list(readable.values())), strict=True)
        pictures = {query: cover["src"] for query, cover in shown}
        return {"pictures": [pictures.get(query) if isinstance(query, str) else None for query in payload]}

    def film(self, points: torch.Tensor, like: list[Address]) -> list[Image.Image]:
        """Return one cover for each of `points`, (N, latent_dim), on the GPU of a Space if it lends one.

        Args:
            like: N covers; what is asked of each is asked of its point, too.
        """
        return self._draw_many(points, 1.0, **_wanted(like))

    def covers(self, seeds: list[int], truncation: float) -> list[Image.Image]:
        """Return one cover for each seed. Raises Refused as `Address` does."""
        return self.draw([self.address(seed, truncation) for seed in seeds])

    def cover(self, seed: int, truncation: float) -> Image.Image:
        """Return the cover of one seed. Raises Refused as `Address` does."""
        return self.covers([seed], truncation)[0]

    def between(self, seed_a: int, seed_b: int, position: float, truncation: float) -> Address:
        """Return the cover at `position` (0..1) of the walk from seed a to seed b."""
        if position in (0, 1):  # rounding could change a pixel: the ends are the two covers themselves
            return self.address(seed_b if position else seed_a, truncation)
        ends = latents_from_seeds([seed_a, seed_b], self.latent_dim)
        return self.address_of(slerp(ends[0], ends[1], position), truncation)

    def loop(self, seed_a: int, seed_b: int, frames: int, truncation: float) -> list[Image.Image]:
        """Return a walk from seed a to seed b and back as `frames` covers. Raises ValueError as the pipeline does."""
        ends = self.pipeline.prepare_latents([seed_a, seed_b])
        return self._draw_many(walk(ends[0], ends[1], frames), truncation)

    def _draw_many(self, latents: torch.Tensor, truncation: float, **wanted: list[Any]) -> list[Image.Image]:
        pipeline = self.pipeline
        if spaces and torch.cuda.is_available():
            # a copy: other visitors are drawing with the original meanwhile
            pipeline = AlbumCoverPipeline(copy.deepcopy(pipeline.synthesis)).to("cuda")
        return _drawn(pipeline, latents, truncation=truncation, **wanted)


def _drawn(pipeline: AlbumCoverPipeline, latents: torch.Tensor, **asked: Any) -> list[Image.Image]:
    return pipeline(latents=latents, **asked).images


def _wanted(addresses: list[Address]) -> dict[str, list[Any]]:
    """Return what the pipeline is asked for: of each address what stands there; what none names is left out."""
    wanted: dict[str, list[Any]] = {
        "genres": [address.genre or None for address in addresses],
        "clusters": [address.kind - 1 if address.kind else None for address in addresses],
        "colours": [address.shares for address in addresses],
    }
    return {name: each for name, each in wanted.items() if any(one is not None for one in each)}
