"""The generator that the page shows: what it draws, and what it is called."""

import copy

import torch
from PIL import Image

from gan.latents import slerp, walk
from gan.pipeline import AlbumCoverPipeline


try:
    import spaces  # there on a Hugging Face Space only; it must come before anything uses CUDA
except ImportError:
    spaces = None


class Model:
    """A pipeline and where it came from.

    Covers are drawn on the CPU: one pass of a small network is quicker than the way to a GPU and back, and the pixels
    are those that the pipeline gives by itself. Only a loop goes to the GPU of a Space.

    Args:
        pipeline: draws the covers.
        name: what to call it, e.g. a Hub id; it is written on the page and into every cover.
        revision: branch, tag or commit of a Hub repository, None for a folder.
    """

    def __init__(self, pipeline: AlbumCoverPipeline, name: str, revision: str | None = None):
        self.pipeline = pipeline
        self.name = name
        self.revision = revision
        if spaces:
            # A Space with a lent GPU stops when no function asks for one; anywhere else this changes nothing.
            self._draw_many = spaces.GPU(duration=10)(self._draw_many)

    @property
    def resolution(self) -> int:
        """Height and width of a cover in pixels."""
        return self.pipeline.synthesis.config.resolution

    @property
    def parameters(self) -> int:
        """How many numbers the generator learned."""
        return sum(parameter.numel() for parameter in self.pipeline.synthesis.parameters())

    def covers(self, seeds: list[int], truncation: float) -> list[Image.Image]:
        """One cover for each seed. Raises ValueError as the pipeline does."""
        return self.pipeline(seeds=seeds, truncation=truncation).images

    def cover(self, seed: int, truncation: float) -> Image.Image:
        """The cover of one seed. Raises ValueError as the pipeline does."""
        return self.covers([seed], truncation)[0]

    def between(self, seed_a: int, seed_b: int, position: float, truncation: float) -> Image.Image:
        """The cover at `position` (0..1) of the walk from seed a to seed b. Raises ValueError as the pipeline does."""
        if position in (0, 1):  # slerp's rounding could change a pixel: the ends are the two covers themselves
            return self.cover(seed_b if position else seed_a, truncation)
        ends = self.pipeline.prepare_latents([seed_a, seed_b])
        return self.pipeline(latents=slerp(ends[:1], ends[1:], position), truncation=truncation).images[0]

    def loop(self, seed_a: int, seed_b: int, frames: int, truncation: float) -> list[Image.Image]:
        """The walk from seed a to seed b and back, as `frames` covers. Raises ValueError as the pipeline does."""
        return self._draw_many(walk(*self.pipeline.prepare_latents([seed_a, seed_b]), frames), truncation)

    def _draw_many(self, latents: torch.Tensor, truncation: float) -> list[Image.Image]:
        pipeline = self.pipeline
        if spaces and torch.cuda.is_available():
            # a copy: other visitors are drawing with the original meanwhile
            pipeline = AlbumCoverPipeline(copy.deepcopy(pipeline.synthesis)).to("cuda")
        return pipeline(latents=latents, truncation=truncation).images
