"""What the page's tests share that need no browser."""

import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import gradio_client.client
import httpx
import pytest

from gan import load_pipeline
from gan.nearest import build_index
from gan.pipeline import AlbumCoverPipeline
from gan.studio import build_page
from gan.studio.model import Model
from tests.helpers.drawn import draw_cover
from tests.helpers.serving import launched


@pytest.fixture(scope="session", autouse=True)
def empty_folders_of_the_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep Gradio's client from leaving a folder for each download, empty, in the system's folder for such."""
    folder = str(tmp_path_factory.mktemp("client"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            gradio_client.client, "tempfile", SimpleNamespace(**vars(tempfile) | {"gettempdir": lambda: folder})
        )
        yield


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline_folder: Path) -> AlbumCoverPipeline:
    """A pipeline of 32 px, loaded."""
    return load_pipeline(tiny_pipeline_folder)


@pytest.fixture(scope="module")
def model(pipeline: AlbumCoverPipeline) -> Model:
    """What the page makes of it."""
    return Model(pipeline, "user/covers", "v1")


@pytest.fixture(scope="module")
def page(pipeline: AlbumCoverPipeline):
    """The page, built."""
    return build_page(pipeline, "user/covers", "v1")


@pytest.fixture(scope="module")
def page_with_index(pipeline: AlbumCoverPipeline) -> Iterator[str]:
    """Where a page is that knows what its generator learned from; it knows seed 1 by heart."""
    covers = [*(draw_cover(seed, 32) for seed in range(40)), pipeline(seeds=[1]).images[0]]
    index = build_index((cover, f"{n:064x}") for n, cover in enumerate(covers))
    with launched(build_page(pipeline, "user/covers", index=index)) as address:
        yield address


@pytest.fixture(scope="module")
def visitor(page) -> Iterator[httpx.Client]:
    """A client at the door of the running page."""
    with launched(page) as address, httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def elsewhere():
    """A server of somebody else's: its address, and what was asked of it."""
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 1000)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
