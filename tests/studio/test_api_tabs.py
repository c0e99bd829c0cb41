"""The tabs Breed, Finish and Yours as programs call them, through the real client."""

import logging
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from gan import load_pipeline
from gan.nearest import build_index
from gan.pipeline import AlbumCoverPipeline
from gan.studio import build_page
from gan.studio.address import from_png
from tests.helpers.drawn import bomb, draw_cover
from tests.helpers.serving import launched


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline_folder: Path) -> AlbumCoverPipeline:
    return load_pipeline(tiny_pipeline_folder)


@pytest.fixture(scope="module")
def client(pipeline: AlbumCoverPipeline, tmp_path_factory: pytest.TempPathFactory):
    covers = [*(draw_cover(seed, 32) for seed in range(40)), pipeline(seeds=[1]).images[0]]
    index = build_index((cover, f"{number:064x}"[::-1]) for number, cover in enumerate(covers))
    page = build_page(pipeline, "user/covers", "v1", index=index)
    with launched(page) as address:
        yield Client(address, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


def test_the_endpoints_are_documented(client: Client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    ours = {
        "/breed": ["address", "seed", "difference"],
        "/cross": ["address_a", "address_b", "seed"],
        "/fade": ["address", "amounts"],
        "/copies": ["address"],
        "/large": ["address", "kind"],
        "/finish": ["address", "artist", "title", "layout", "kind", "font", "ink", "position"],
        "/finish_loop": ["address", "artist", "title", "layout", "kind", "font", "ink", "position"],
        "/project": ["picture"],
    }
    parameters = {name: [p["parameter_name"] for p in about["parameters"]] for name, about in endpoints.items()}
    assert ours.items() <= parameters.items()
    assert all(len(endpoints[name]["description"]) > 30 for name in ours)


def test_children_crosses_and_faders_are_addresses(client: Client):
    children = client.predict("seed=3", 7, api_name="/breed")
    assert len(set(children)) == 12 and children == client.predict("seed=3", 7, 0.35, api_name="/breed")
    crosses = client.predict("seed=3", children[0], 7, api_name="/cross")
    assert len(set(crosses)) == 12
    faded = client.predict(crosses[-1], [0.5, -1], api_name="/fade")
    cover = Image.open(client.predict(faded, api_name="/cover"))
    assert cover.text["address"] == faded and cover.size == (32, 32)


def test_a_finished_cover_and_its_loop(client: Client):
    file = Path(client.predict("seed=3", "Mara", "Tide", "spine", api_name="/finish"))
    assert Image.open(file).size == (3000, 3000) and from_png(file.read_bytes()).seed == 3
    loop = Image.open(client.predict("seed=3", title="Tide", api_name="/finish_loop"))
    assert loop.format == "WEBP" and loop.n_frames == 60
    looks = {"kind": "jpeg", "font": "wide", "ink": "#c03a2b", "position": "middle"}
    file = Path(client.predict("seed=3", "Мара", "Прилив", **looks, api_name="/finish"))
    assert Image.open(file).format == "JPEG" and file.stat().st_size < 4_000_000
    file = Path(client.predict("seed=3", "Mara", "Tide", kind="mp4", api_name="/finish_loop"))
    assert file.suffix == ".mp4" and file.read_bytes()[4:8] == b"ftyp"


def test_a_cover_is_enlarged_for_screens(client: Client):
    file = Path(client.predict("seed=3", api_name="/large"))
    assert Image.open(file).size == (1024, 1024) and from_png(file.read_bytes()).seed == 3
    file = Path(client.predict("seed=3", "jpeg", api_name="/large"))
    assert (Image.open(file).format, file.name) == ("JPEG", "album-cover-3-1024.jpg")


def test_a_picture_is_found(client: Client, pipeline: AlbumCoverPipeline, tmp_path: Path):
    wanted = pipeline(seeds=[3]).images[0]
    wanted.save(tmp_path / "mine.png")
    address = client.predict(handle_file(tmp_path / "mine.png"), api_name="/project")
    found = np.asarray(Image.open(client.predict(address, api_name="/cover"))).astype(int)
    strangers = pipeline(seeds=list(range(20, 40))).images
    gaps = [np.abs(np.asarray(stranger).astype(int) - np.asarray(wanted)).mean() for stranger in strangers]
    assert np.abs(found - np.asarray(wanted)).mean() < min(gaps) / 2


def test_a_copy_is_told(client: Client):
    by_heart, other = (client.predict(f"seed={seed}", api_name="/copies") for seed in (1, 2))
    assert by_heart["copy"] and not other["copy"] and by_heart["nearest"][0]["sha256"] == f"{40:064x}"[:-11:-1]


@pytest.mark.parametrize(
    ("endpoint", "values", "sentence"),
    (
        ("/breed", ["seed=-1", 1, 0.3], "A seed is a whole number"),
        ("/breed", ["seed=1", 2**32, 0.3], "A seed is a whole number"),
        ("/breed", ["seed=1", 1, 2], "The difference is a number from 0 to 1."),
        ("/cross", ["seed=1", "../../etc/passwd", 1], "An address has either a seed or latents"),
        ("/fade", ["seed=1", [5]], "A fader is a number from -1 to 1."),
        ("/fade", ["seed=1", [0] * 1000], "There are 1 to 6 faders."),
        ("/copies", ["seed=1&revision=v2"], "This cover was drawn by"),
        ("/finish", ["seed=1", "a", "b", "/etc/passwd"], "A layout is one of"),
        ("/finish", ["seed=1", "x" * 81, "b", "poster"], "The artist is text of at most 80 letters."),
        ("/finish_loop", ["seed=1", "<img src=x>☃", "b", "poster"], "The fonts have no ☃"),
        ("/finish", [None, "a", "b", "poster"], "An address is text"),
        ("/finish", ["seed=1", "a", "b", "poster", "exe"], "A file is one of png, jpeg, or none."),
        ("/large", ["seed=1", "tiff"], "A file is one of png, jpeg, or none."),
    ),
)
def test_bad_values_are_refused_in_words(client: Client, caplog, capfd, endpoint: str, values: list, sentence: str):
    with pytest.raises(AppError, match=sentence), caplog.at_level(logging.WARNING, "gan.studio"):
        client.predict(*values, api_name=endpoint)
    (line,) = caplog.messages
    assert " refused " in line and "\n" not in line and len(line) < 400
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("content", (b"<svg/>", bomb(30_000), b"", b"\x89PNG\r\n\x1a\n"))
def test_files_that_are_no_pictures_are_refused(client: Client, tmp_path: Path, content: bytes):
    (tmp_path / "..%2f..%2fmine.png").write_bytes(content)
    with pytest.raises(AppError, match="picture") as refusal:
        client.predict(handle_file(tmp_path / "..%2f..%2fmine.png"), api_name="/project")
    assert str(Path.cwd()) not in str(refusal.value)


def test_a_path_of_the_server_is_no_picture(client: Client):
    with pytest.raises(Exception) as refusal:
        client.predict({"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, api_name="/project")
    assert "root:" not in str(refusal.value)
