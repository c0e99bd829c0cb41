"""The page without a browser: its handlers, its endpoints, the program's arguments."""

import base64
import io
import json
import logging
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

import app
from gan import load_pipeline, pipeline_folder
from gan.latents import slerp, walk
from gan.pipeline import LARGEST_SEED, AlbumCoverPipeline
from gan.studio import LAUNCH_OPTIONS, build_page
from gan.studio import model as model_file
from gan.studio.explore import CRATE_SIZE, FIRST_SEED, Explore, from_link, link_to
from gan.studio.model import Model
from gan.studio.walk import Walk


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline_folder: Path) -> AlbumCoverPipeline:
    return load_pipeline(tiny_pipeline_folder)


@pytest.fixture(scope="module")
def model(pipeline: AlbumCoverPipeline) -> Model:
    return Model(pipeline, "user/covers", "v1")


@pytest.fixture(scope="module")
def client(pipeline: AlbumCoverPipeline, tmp_path_factory: pytest.TempPathFactory):
    page = build_page(pipeline, "user/covers", "v1")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    _, address, _ = page.launch(server_port=port, prevent_thread_lock=True, quiet=True, **LAUNCH_OPTIONS)
    yield Client(address, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))
    page.close()


def pixels(image: Image.Image | str | Path) -> np.ndarray:
    """The pixels of an image, of a file, or of what the page shows as a data address."""
    if isinstance(image, str) and image.startswith("data:"):
        image = Image.open(io.BytesIO(base64.b64decode(image.partition(",")[2])))
    elif not isinstance(image, Image.Image):
        image = Image.open(image)
    return np.asarray(image.convert("RGB"))


def same(one: Image.Image | str | Path, other: Image.Image | str | Path) -> bool:
    return np.array_equal(pixels(one), pixels(other))


# ---- for programs


def test_the_endpoints_are_documented(client: Client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {name: [p["parameter_name"] for p in about["parameters"]] for name, about in endpoints.items()} == {
        "/generate": ["seed", "truncation"],
        "/walk": ["seed_a", "seed_b", "position", "truncation"],
        "/loop": ["seed_a", "seed_b", "frames", "truncation"],
    }
    assert next(iter(endpoints)) == "/generate"  # what a client finds first
    about = json.loads(urllib.request.urlopen(f"{client.src}gradio_api/info").read())["named_endpoints"]
    assert "same seed is the same cover" in about["/generate"]["description"]


def test_generate_gives_the_pipelines_pixels(client: Client, pipeline: AlbumCoverPipeline):
    for seed, truncation in ((0, 1.0), (7, 0.7), (LARGEST_SEED, 1.5)):
        file = client.predict(seed, truncation, api_name="/generate")
        assert same(file, pipeline(seeds=[seed], truncation=truncation).images[0])
    assert not same(client.predict(0, 1.0, api_name="/generate"), client.predict(1, 1.0, api_name="/generate"))


def test_a_downloaded_cover_says_how_to_draw_it_again(client: Client):
    file = client.predict(seed=123, truncation=0.8, api_name="/generate")
    cover = Image.open(file)
    assert (Path(file).name, cover.format, cover.size) == ("album-cover-123.png", "PNG", (32, 32))
    assert cover.text == {"seed": "123", "truncation": "0.8", "model": "user/covers", "revision": "v1"}


def test_the_ends_of_a_walk_are_the_two_covers(client: Client, pipeline: AlbumCoverPipeline):
    a, b = pipeline(seeds=[3, 8], batch_size=1, truncation=0.9).images
    assert same(client.predict(3, 8, 0, 0.9, api_name="/walk"), a)
    assert same(client.predict(3, 8, 1, 0.9, api_name="/walk"), b)
    latents = pipeline.prepare_latents([3, 8])
    between = pipeline(latents=slerp(latents[:1], latents[1:], 0.25), truncation=0.9).images[0]
    assert same(client.predict(3, 8, 0.25, 0.9, api_name="/walk"), between)


@pytest.mark.parametrize(("seed_b", "frames"), ((8, 12), (8, 31), (3, 12)))
def test_a_loop_has_no_seam(client: Client, pipeline: AlbumCoverPipeline, seed_b: int, frames: int):
    file = client.predict(3, seed_b, frames, api_name="/loop")
    loop = Image.open(file)
    assert (Path(file).name, loop.format) == (f"album-cover-loop-3-{seed_b}.webp", "WEBP")
    assert (loop.is_animated, loop.n_frames, loop.info["loop"]) == (True, frames, 0)
    expected = pipeline(latents=walk(*pipeline.prepare_latents([3, seed_b]), frames)).images
    shown = []
    for number, cover in enumerate(expected):
        loop.seek(number)
        shown.append(pixels(loop).astype(int))
        assert np.array_equal(shown[-1], pixels(cover)) and loop.info["duration"] == 50
    # the way from the last frame back to the first is not longer than any other step
    steps = [np.abs(one - other).mean() for one, other in zip(shown, [*shown[1:], shown[0]], strict=True)]
    assert steps[-1] <= max(steps[:-1])


@pytest.mark.parametrize(
    ("endpoint", "values", "sentence"),
    (
        ("/generate", [-1, 1], "A seed is a whole number from 0 to 4294967295."),
        ("/generate", [LARGEST_SEED + 1, 1], "A seed is a whole number"),
        ("/generate", [1.5, 1], "A seed is a whole number"),
        ("/generate", ["/etc/passwd", 1], "A seed is a whole number"),
        ("/generate", [None, 1], "A seed is a whole number"),
        ("/generate", [True, 1], "A seed is a whole number"),
        ("/generate", [10**400, 1], "A seed is a whole number"),
        ("/generate", [1, 1.51], "Truncation is a number from 0 to 1.5."),
        ("/generate", [1, -0.1], "Truncation is a number"),
        ("/walk", [1, 2, 1.01, 1], "The position is a number from 0 to 1."),
        ("/walk", [1, {"a": 1}, 0.5, 1], "A seed is a whole number"),
        ("/loop", [1, 2, 10_000, 1], "The number of frames is a whole number from 12 to 120."),
        ("/loop", [1, 2, 11, 1], "The number of frames"),
    ),
)
def test_bad_values_are_refused_in_words(client: Client, caplog, capfd, endpoint: str, values: list, sentence: str):
    with pytest.raises(AppError, match=sentence), caplog.at_level(logging.WARNING, "gan.studio"):
        client.predict(*values, api_name=endpoint)
    (line,) = caplog.messages
    assert line.startswith(f"{endpoint[1:]} refused ") and "\n" not in line
    assert "Traceback" not in "".join(capfd.readouterr())


def test_not_a_number_is_refused(client: Client):
    # the Python client does not send NaN, others do
    call = f"{client.src}gradio_api/call/generate"
    request = urllib.request.Request(call, b'{"data": [1, NaN]}', {"Content-Type": "application/json"})
    event = json.loads(urllib.request.urlopen(request).read())["event_id"]
    answer = urllib.request.urlopen(f"{call}/{event}").read().decode()
    assert "event: error" in answer and "Truncation is a number" in answer and str(Path.cwd()) not in answer


# ---- the tabs' handlers


def test_the_page_shows_what_the_endpoint_gives(client: Client, model: Model):
    cover, mistake = Explore(model).show(5, 0.6)
    assert mistake == "" and cover["file"] == "album-cover-5.png"
    downloaded = Path(client.predict(5, 0.6, api_name="/generate")).read_bytes()
    assert base64.b64decode(cover["src"].partition(",")[2]) == downloaded


def test_a_bad_seed_is_told_beside_its_box(model: Model):
    cover, mistake = Explore(model).show(2**32, 1)
    assert "whole number from 0 to 4294967295" in mistake and cover == gr.skip()
    assert Explore(model).show(None, 1) == (gr.skip(), "")
    assert "whole number" in Walk(model).show_all(1, -5, 0.5, 1)[1]


def test_the_crate_holds_consecutive_seeds(model: Model, pipeline: AlbumCoverPipeline):
    explore = Explore(model)
    covers, heading = explore.fill(48, 1)
    assert [cover["seed"] for cover in covers] == list(range(48, 48 + CRATE_SIZE)) and heading == "Seeds 48 to 71"
    expected = pipeline(seeds=list(range(48, 48 + CRATE_SIZE))).images
    assert all(same(cover["src"], image) for cover, image in zip(covers, expected, strict=True))
    assert [explore.back(start, 1)[2] for start in (48, 10, 0)] == [24, 0, 0]
    assert explore.ahead(0, 1)[2] == 24
    last, _, start = explore.ahead(LARGEST_SEED, 1)
    assert last[-1]["seed"] == LARGEST_SEED == start + CRATE_SIZE - 1


def test_links(monkeypatch: pytest.MonkeyPatch):
    warnings = []
    monkeypatch.setattr(gr, "Warning", warnings.append)
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert link_to(123, 0.8) == "?seed=123&truncation=0.8"
    assert from_link({"seed": "123", "truncation": "0.8"}) == (123, 0.8)
    assert from_link({}) == (FIRST_SEED, 1.0)
    assert not warnings
    monkeypatch.setenv("SPACE_ID", "user/page")
    assert link_to(1, 1.0) == "https://huggingface.co/spaces/user/page?seed=1&truncation=1"
    wrong = {"seed": ["-1", "4294967296", "<script>", "1.5", "", "9" * 5000], "truncation": ["nan", "2", "x", "inf"]}
    for name, values in wrong.items():
        for value in values:
            assert from_link({name: value}) == (FIRST_SEED, 1.0)
            assert name in warnings[-1] and "<" not in warnings[-1]
    assert len(warnings) == 10


def test_a_space_lends_its_gpu_to_the_loop_only(pipeline: AlbumCoverPipeline, monkeypatch: pytest.MonkeyPatch):
    lent = []

    def gpu(duration: int):
        return lambda function: lambda *values: (lent.append(duration), function(*values))[1]

    monkeypatch.setattr(model_file, "spaces", SimpleNamespace(GPU=gpu))
    model = Model(pipeline, "user/covers")
    model.cover(1, 1.0)
    model.between(1, 2, 0.5, 1.0)
    assert not lent
    assert len(model.loop(1, 2, 12, 1.0)) == 12 and len(lent) == 1


# ---- the program


def test_arguments_win_over_variables(monkeypatch: pytest.MonkeyPatch):
    for name in ("MODEL_ID", "MODEL_REVISION", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    plain = app.parse([])
    assert (plain.model, plain.revision, plain.host, plain.port) == (None, None, "127.0.0.1", 7860)
    monkeypatch.setenv("MODEL_ID", "user/covers")
    monkeypatch.setenv("MODEL_REVISION", "v1")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")  # as in a Space
    args = app.parse([])
    assert (args.model, args.revision, args.host) == ("user/covers", "v1", "0.0.0.0")
    args = app.parse(["--model", "other/covers", "--revision", "v2"])
    assert (args.model, args.revision) == ("other/covers", "v2")


@pytest.mark.parametrize("arguments", (["--port", "0"], ["--port", "x"], ["--wrong"], ["--model"]))
def test_a_mistake_is_one_line(arguments: list[str], capsys):
    with pytest.raises(SystemExit) as stop:
        app.main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_port_in_use_is_told_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "app.py", "--port", port]
        done = subprocess.run(command, cwd=Path(app.__file__).parent, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"app.py: port {port} is in use; choose another with --port\n"


def test_nothing_to_show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    monkeypatch.setattr(pipeline_folder, "PRETRAINED", tmp_path / "pretrained")
    monkeypatch.setattr(app, "why_not_listen", lambda host, port: None)
    assert app.main(["--model", "nobody/nothing"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "nobody/nothing" in first and "pretrained" in second


@pytest.mark.parametrize("damage", ("missing", "empty", "no config", "broken weights", "other config"))
def test_whatever_cannot_be_loaded_is_told_on_the_page(
    tiny_pipeline_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, capsys
):
    monkeypatch.setattr(pipeline_folder, "PRETRAINED", tiny_pipeline_folder)
    folder = tmp_path / "mine" / "pipeline"
    if damage == "empty":
        folder.mkdir(parents=True)
    elif damage != "missing":
        shutil.copytree(tiny_pipeline_folder, folder)
    config = folder / "synthesis" / "config.json"
    if damage == "no config":
        config.unlink()
    elif damage == "broken weights":
        next((folder / "synthesis").glob("*.safetensors")).write_bytes(b"broken")
    elif damage == "other config":
        config.write_text(config.read_text().replace("32", "64"))
    chosen = app.choose_model(str(folder), None)
    assert chosen["model_name"] == "gan/pretrained"
    assert "mine/pipeline: " in chosen["notice"] and str(tmp_path) not in chosen["notice"]
    assert capsys.readouterr().err.count("\n") == 1
    assert same(chosen["pipeline"](seeds=[1]).images[0], load_pipeline(tiny_pipeline_folder)(seeds=[1]).images[0])


def test_the_page_works_without_the_model_asked_for(running_app: tuple[str, str], tmp_path: Path):
    address, said = running_app
    assert said.count("\n") == 2 and said.startswith("app.py: nobody/nothing: cannot be loaded from the Hub")
    config = json.loads(urllib.request.urlopen(f"{address}config").read())
    (notice,) = (c["props"]["value"] for c in config["components"] if c["props"].get("elem_id") == "notice")
    assert 'role="alert"' in notice and "nobody/nothing" in notice and "ships with the project" in notice
    client = Client(address, verbose=False, download_files=tmp_path)
    cover = Image.open(client.predict(1, 1.0, api_name="/generate"))
    assert cover.text["model"] == "gan/pretrained" and cover.text["revision"] == "none"
