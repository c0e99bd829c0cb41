"""What the page's tests share that need no browser."""

from pathlib import Path

import pytest

from gan import load_pipeline
from gan.pipeline import AlbumCoverPipeline
from gan.studio.model import Model


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline_folder: Path) -> AlbumCoverPipeline:
    """A pipeline of 32 px, loaded."""
    return load_pipeline(tiny_pipeline_folder)


@pytest.fixture(scope="module")
def model(pipeline: AlbumCoverPipeline) -> Model:
    """What the page makes of it."""
    return Model(pipeline, "user/covers", "v1")
