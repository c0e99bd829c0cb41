"""The training of a model as a film: its snapshots on a Hub of the tests' own, the real program, a real Chromium."""

import json
import shutil
import sys
import urllib.request
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from gan import load_pipeline
from gan.film import evenly
from gan.pipeline_folder import find_snapshots
from gan.studio.checks import Refused
from gan.studio.model import Model
from gan.studio.tabs.training import HOLD, MOST_SNAPSHOTS, Training
from tests.helpers.hub_repo import Repo
from tests.helpers.hub_server import Hub
from tests.helpers.pictures import pixels
from tests.helpers.serving import free_port, serving
from tests.helpers.tiny import pipeline_files, tiny_pipeline


ROOT = Path(__file__).parents[2]
seen = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
WEIGHTS = "synthesis/diffusion_pytorch_model.safetensors"
# in the order of their training, and of it what the page can show
SNAPSHOTS = {"images-0": 0, "images-512": 1, "images-1000": 2, "images-20480": 3}


def fill(hub: Hub, folder: Path) -> Repo:
    """user/covers: a run with four snapshots, and tags that are none, broken, or of another network."""
    repo = hub.repos["model", "user/covers"] = Repo()

    def tag(name: str, content: dict[str, bytes]) -> None:
        repo.tags[name] = repo.commit(content, name)

    other = pipeline_files(tiny_pipeline("dcgan", 9, latent_dim=12), folder / "other")
    tag("images-3000", other)
    tag("images-4000", other | {WEIGHTS: b"broken"})
    for name in reversed(SNAPSHOTS):
        tag(name, pipeline_files(tiny_pipeline("dcgan", SNAPSHOTS[name]), folder / name))
    newest = repo.commits[repo.tags["images-20480"]]
    tag("v1", newest)
    tag("images-x", newest)
    return repo


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    """`app.py --model user/covers`: its address, and the Hub that it asks."""
    home = tmp_path_factory.mktemp("film")
    with Hub() as hub:
        fill(hub, home)
        environment = hub.environment(home / "hf", token=None) | {"GRADIO_ANALYTICS_ENABLED": "False"}
        command = [sys.executable, "app.py", "--model", "user/covers", "--port", free_port()]
        with serving(command, environment=environment) as (address, _, _):
            yield address, hub


@pytest.fixture
def address(served: tuple[str, Hub]) -> str:
    """Where `visit` goes."""
    return served[0]


# ---- the snapshots


def test_only_a_runs_tags_are_snapshots(hub: Hub, tmp_path: Path):
    repo = fill(hub, tmp_path)
    assert find_snapshots("user/covers") == ["images-0", "images-512", "images-1000", "images-3000", "images-4000",
                                             "images-20480"]  # fmt: skip
    repo.tags.clear()
    assert find_snapshots("user/covers") == find_snapshots("nobody/nothing") == []
    assert find_snapshots(None) == find_snapshots(tmp_path) == []


def test_long_runs_are_shown_in_even_steps():
    values = list(range(1000))
    chosen = evenly(values, MOST_SNAPSHOTS)
    assert len(chosen) == MOST_SNAPSHOTS and (chosen[0], chosen[-1]) == (0, 999)
    assert {b - a for a, b in pairwise(chosen)} <= {43, 44}
    assert evenly(values[:5], MOST_SNAPSHOTS) == values[:5]
    assert evenly(values, 1) == evenly(values, 0) == [999]


def test_a_large_models_weights_are_not_all_kept(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fill(hub, tmp_path)
    model = Model(load_pipeline("user/covers", "images-20480"), "user/covers")
    monkeypatch.setattr("gan.studio.tabs.training.MOST_MEMORY", 2 * 4 * model.parameters)
    loaded = []
    monkeypatch.setattr(
        "gan.studio.tabs.training.load_pipeline", lambda name, tag: loaded.append(tag) or load_pipeline(name, tag)
    )
    training = Training(model, list(SNAPSHOTS))
    for _ in range(2):
        assert [images for images, _ in training.covers(model.address(1))] == [0, 512, 1000, 20480]
    assert loaded == 2 * list(training.snapshots)  # of two that are kept, neither is the first of a round


def test_without_snapshots_there_is_no_film(tiny_pipeline_folder: Path):
    model = Model(load_pipeline(tiny_pipeline_folder), "user/covers")
    with pytest.raises(Refused, match="no snapshots"):
        Training(model, []).film(model.address(1))


# ---- for programs


def test_the_film_is_the_same_latents_in_every_snapshot(served: tuple[str, Hub], tmp_path: Path):
    client = Client(served[0], verbose=False, download_files=tmp_path)
    film = Image.open(client.predict("seed=7&truncation=0.8", api_name="/training_film"))
    expected = [tiny_pipeline("dcgan", seed)(seeds=[7], truncation=0.8).images[0] for seed in SNAPSHOTS.values()]
    expected += [expected[-1]] * HOLD
    assert (film.format, film.n_frames, film.info["loop"]) == ("WEBP", len(expected), 0)
    for number, cover in enumerate(expected):
        film.seek(number)
        assert np.array_equal(pixels(film), pixels(cover))
    with pytest.raises(AppError, match="A file is one of webp, mp4, or none"):
        client.predict("seed=7", "exe", api_name="/training_film")
    with pytest.raises(AppError, match="An address has either a seed or latents"):
        client.predict("../../etc/passwd", api_name="/training_film")
    about = json.loads(urllib.request.urlopen(f"{served[0]}gradio_api/info").read())["named_endpoints"]
    assert "each snapshot" in about["/training_film"]["description"]


# ---- the page


@seen
def test_a_visitor_sees_how_a_cover_came_about(visit, served: tuple[str, Hub], tmp_path: Path):
    from playwright.sync_api import expect

    page = visit("?seed=7")
    page.get_by_role("tab", name="Walk").click()
    page.click("#training .draw")
    expect(page.locator("#training .details")).to_have_text(
        "Seed 7, after 20,480 covers of training"
    )  # played through
    expect(page.locator("#training progress")).to_be_hidden()
    assert page.locator("#training .snapshot").get_attribute("max") == "3"
    shown = []
    for place, covers in enumerate(("0", "512", "1,000", "20,480")):
        page.locator("#training .snapshot").fill(str(place))
        expect(page.locator("#training .details")).to_have_text(f"Seed 7, after {covers} covers of training")
        shown.append(page.locator("#training .screen img").get_attribute("src"))
    assert len(set(shown)) == 4 and all(src.startswith("data:image/webp") for src in shown)

    with page.expect_download(timeout=60_000) as download:
        page.click("#training .save[data-kind=mp4]")
    assert download.value.suggested_filename == "album-cover-7-training.mp4"
    download.value.save_as(tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as film:
        video = film.streams.video[0]
        assert (video.codec_context.name, video.width, video.height) == ("h264", 512, 512)
        assert sum(1 for _ in film.decode(video)) == 4 + HOLD
    with page.expect_download() as download:
        page.click("#training .save[data-kind=webp]")
    assert download.value.suggested_filename == "album-cover-7-training.webp"
    download.value.save_as(tmp_path / "film.webp")
    assert Image.open(tmp_path / "film.webp").n_frames == 4 + HOLD

    page.get_by_role("tab", name="Crate").click()  # another cover
    page.fill("#seed", "8")
    expect(page.locator("#crate .details")).to_have_text("Seed 8, daring 1")
    page.get_by_role("tab", name="Walk").click()
    page.click("#training .draw")
    expect(page.locator("#training .details")).to_have_text("Seed 8, after 20,480 covers of training")
    assert page.locator("#training .screen img").get_attribute("src") not in shown


@seen
def test_a_film_is_stopped(visit):
    from playwright.sync_api import expect

    page = visit("?seed=7")
    page.get_by_role("tab", name="Walk").click()
    page.wait_for_selector("#training .draw")
    page.evaluate("for (const part of ['.draw', '.stop']) document.querySelector(`#training ${part}`).click()")
    expect(page.locator("#training .stop")).to_be_hidden()
    expect(page.locator("#training .details")).to_have_text("")
    page.wait_for_timeout(1500)  # nothing of it comes late
    expect(page.locator("#training .scrub")).to_be_hidden()
    page.click("#training .draw")
    expect(page.locator("#training .details")).to_have_text("Seed 7, after 20,480 covers of training")


@seen
def test_a_page_without_snapshots_says_nothing_of_them(browser, running_app: tuple[str, str]):
    page = browser.new_page()
    page.goto(running_app[0])
    page.get_by_role("tab", name="Walk").click()
    page.wait_for_function("document.querySelector('#walk .details').textContent")
    assert page.locator("#training").count() == 0
    page.close()
