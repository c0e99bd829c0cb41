"""Covers are drawn two at a time; of many that wait, several in one go, where that changes none of their bits."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import torch
from PIL import Image

from gan.pipeline import AlbumCoverPipeline


P = ParamSpec("P")
T = TypeVar("T")
TOGETHER = (16, 8, 4, 2)  # covers in one go


class Drawing:
    """Draw with a pipeline in two threads, since each draws with half of the cores (`gan.studio.model.share_the_cpu`).

    Whoever asks first is served first: a lock would let some visitors wait for seconds.

    A cover in a batch takes half of the time that it takes alone, because the weights are read once for all. But a
    link must draw the very pixels that were shown, and some networks round differently in a batch. That depends on
    sizes and processor, not on values. So the first crowd of each size is drawn both ways, and others of that size
    are drawn together if not one bit of it differed.

    Args:
        pipeline: draws the covers that are asked for one by one.
    """

    def __init__(self, pipeline: AlbumCoverPipeline):
        self._pipeline = pipeline
        self._threads = ThreadPoolExecutor(2, "draw")
        self._waiting: dict[Future[Image.Image], torch.Tensor] = {}  # the points of covers that nobody draws yet
        self._lock = threading.Lock()
        self._differs: dict[int, bool] = {}  # whether a batch of so many draws other bits

    def run(self, work: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
        """Return what `work` returns, when it is its turn."""
        return self._threads.submit(work, *values, **named).result()

    def cover(self, point: torch.Tensor) -> Image.Image:
        """Return the cover of `point`, (1, latent_dim), for which nothing else is asked: the one drawn alone."""
        cover: Future[Image.Image] = Future()
        with self._lock:
            self._waiting[cover] = point
        self._threads.submit(self._draw_with_others, cover)
        return cover.result()

    def _draw_with_others(self, own: Future[Image.Image]) -> None:
        """Draw a cover and those that wait longest, as many as go together.

        Where another's turn has drawn it, this turn is over: if it drew those that came later, rows of covers, which
        wait for a turn of their own, would wait for ever behind them.
        """
        with self._lock:
            if own not in self._waiting:
                return
            most = len(self._waiting)
            size = next((n for n in TOGETHER if n <= most and not self._differs.get(n)), 1)
            others = [cover for cover in self._waiting if cover is not own]
            crowd = [(self._waiting.pop(cover), cover) for cover in [own, *others][:size]]
        self._draw(crowd)

    def _draw(self, crowd: list[tuple[torch.Tensor, Future[Image.Image]]]) -> None:
        """Draw covers in one go, or each alone where that fails: one cover's trouble is not its neighbours'."""
        try:
            images = self._drawn([point for point, _ in crowd])
        except Exception as error:
            if len(crowd) == 1:
                crowd[0][1].set_exception(error)
            else:
                for one in crowd:
                    self._draw([one])
        else:
            for (_, cover), image in zip(crowd, images, strict=True):
                cover.set_result(image)

    def _drawn(self, points: list[torch.Tensor]) -> list[Image.Image]:
        batch, size = self._batch(points), len(points)
        if self._differs.get(size, size > 1):
            alone = torch.cat([self._batch([point]) for point in points])
            self._differs[size] = not torch.equal(batch, alone)
            batch = alone
        processor = self._pipeline.image_processor
        return processor.numpy_to_pil(processor.pt_to_numpy(batch))

    def _batch(self, points: list[torch.Tensor]) -> torch.Tensor:
        return self._pipeline(latents=torch.cat(points), batch_size=len(points), output_type="pt").images
