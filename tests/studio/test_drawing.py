"""Covers that are drawn together: the same bits as alone, or else not together."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from gan.pipeline import AlbumCoverPipeline
from gan.studio.drawing import Drawing
from tests.helpers.tiny import tiny_pipeline


CROWD = 33


@contextmanager
def counted(pipeline: AlbumCoverPipeline) -> Iterator[list[int]]:
    """The sizes of the batches that a pipeline's network is given."""
    sizes: list[int] = []
    hook = pipeline.synthesis.register_forward_hook(lambda network, given, drawn: sizes.append(len(drawn)))
    yield sizes
    hook.remove()


def crowd(drawing: Drawing, seeds: range, pipeline: AlbumCoverPipeline) -> list:
    """Ask for all of the covers at once, while both threads are busy; a cover's exception stands in its place."""
    begin = threading.Event()
    with ThreadPoolExecutor(len(seeds) + 2) as visitors:
        busy = [visitors.submit(drawing.run, begin.wait) for _ in range(2)]
        points = [pipeline.prepare_latents(seed) for seed in seeds]
        asked = [visitors.submit(drawing.cover, point) for point in points]
        time.sleep(0.2)  # until everybody has asked
        begin.set()
        assert all(one.result() for one in busy)
        return [one.exception() or one.result() for one in asked]


def same(covers: list, pipeline: AlbumCoverPipeline, seeds: range) -> bool:
    alone = [pipeline(seeds=seed).images[0] for seed in seeds]
    return all(np.array_equal(one, other) for one, other in zip(covers, alone, strict=True))


@pytest.mark.parametrize("name", ["dcgan", "r3gan", "painter"])
def test_a_crowd_gets_the_covers_that_each_would_get_alone(name: str):
    pipeline = tiny_pipeline(name)
    drawing = Drawing(pipeline)
    for first in (0, CROWD, 2 * CROWD):
        seeds = range(first, first + CROWD)
        assert same(crowd(drawing, seeds, pipeline), pipeline, seeds)


def test_a_crowd_is_drawn_together():
    pipeline = tiny_pipeline("dcgan")
    # a network that rounds alike on every processor
    pipeline.synthesis.register_forward_hook(lambda network, given, drawn: drawn * 0 + given[0][:, :3, None, None])
    drawing = Drawing(pipeline)
    crowd(drawing, range(CROWD), pipeline)  # the first one is drawn both ways
    with counted(pipeline) as sizes:
        crowd(drawing, range(CROWD), pipeline)
    assert sum(sizes) == CROWD and max(sizes) > 1 and len(sizes) < CROWD / 2


def test_what_rounds_differently_in_a_batch_is_drawn_alone():
    pipeline = tiny_pipeline("dcgan")
    # less than what a pixel shows
    pipeline.synthesis.register_forward_hook(lambda network, given, drawn: drawn * (1 - 1e-6 * (len(drawn) > 1)))
    drawing = Drawing(pipeline)
    for _ in range(4):
        assert same(crowd(drawing, range(CROWD), pipeline), pipeline, range(CROWD))
    with counted(pipeline) as sizes:
        crowd(drawing, range(CROWD), pipeline)
    assert sizes == [1] * CROWD


def test_one_cover_that_cannot_be_drawn_is_nobody_elses_trouble():
    pipeline = tiny_pipeline("dcgan")
    bad = pipeline.prepare_latents(5)

    def fail(network: torch.nn.Module, given: tuple[torch.Tensor], drawn: torch.Tensor) -> None:
        if any(torch.equal(one, bad[0]) for one in given[0]):
            raise MemoryError

    pipeline.synthesis.register_forward_hook(fail)
    covers = crowd(Drawing(pipeline), range(CROWD), pipeline)
    assert isinstance(covers.pop(5), MemoryError)
    assert all(not isinstance(cover, BaseException) for cover in covers)


def test_whoever_comes_later_is_not_drawn_before_a_row_that_waits():
    pipeline = tiny_pipeline("dcgan")
    pipeline.synthesis.register_forward_hook(lambda network, given, drawn: drawn * 0 + given[0][:, :3, None, None])
    drawing = Drawing(pipeline)
    crowd(drawing, range(4), pipeline)  # the first one is drawn both ways
    one, other, rows = threading.Event(), threading.Event(), []
    with ThreadPoolExecutor(20) as visitors, counted(pipeline) as sizes:

        def ask(seeds: range) -> list:
            asked = [visitors.submit(drawing.cover, pipeline.prepare_latents(seed)) for seed in seeds]
            time.sleep(0.2)
            return asked

        busy = [visitors.submit(drawing.run, event.wait) for event in (one, other)]
        asked = ask(range(4))
        row = visitors.submit(drawing.run, lambda: rows.append(sum(sizes)))
        time.sleep(0.2)
        later = []

        def come(network: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
            if not later:
                later.extend(ask(range(4, 8)))

        hook = pipeline.synthesis.register_forward_pre_hook(come)
        one.set()  # from now on a single thread draws
        row.result(30)
        hook.remove()
        other.set()
        assert all(cover.result(30) for cover in [*asked, *later]) and all(turn.result(30) for turn in busy)
    assert rows == [4]
