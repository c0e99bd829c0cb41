"""A page whose generator takes genres, kinds or colours: each file of tests says which `folder` it is."""

from pathlib import Path

import pytest
from gradio_client import Client

import app
from gan import load_pipeline
from gan.pipeline import AlbumCoverPipeline
from gan.studio import build_page
from gan.studio.model import Model
from tests.helpers.serving import launched


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return Model(load_pipeline(folder), "/".join(folder.parts[-2:]))


@pytest.fixture(scope="module")
def pipeline(model: Model) -> AlbumCoverPipeline:
    return model.pipeline


@pytest.fixture(scope="module")
def served(folder: Path):
    """The address of the page that `app.py --model <folder>` shows."""
    with launched(build_page(**app.choose_model(str(folder), None))) as address:
        yield address


@pytest.fixture
def address(served: str) -> str:
    """Where `visit` goes."""
    return served


@pytest.fixture
def client(served: str, tmp_path: Path) -> Client:
    return Client(served, verbose=False, download_files=tmp_path)
