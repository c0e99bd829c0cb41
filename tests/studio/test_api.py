"""The endpoints of the page, through the real client."""

import base64
import html
import http.client
import io
import json
import logging
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from gan.film import SMALLEST_FILM
from gan.latents import blend, closed_path, slerp, walk
from gan.pipeline import LARGEST_SEED, AlbumCoverPipeline
from gan.studio import build_page
from gan.studio.model import Model
from gan.studio.shell.door import LARGE
from gan.studio.tabs.crate import SIDE, Crate
from tests.helpers.pictures import pixels, same
from tests.helpers.serving import launched


@pytest.fixture(scope="module")
def client(pipeline: AlbumCoverPipeline, tmp_path_factory: pytest.TempPathFactory):
    page = build_page(pipeline, "user/covers", "v1")
    with launched(page) as address:
        yield Client(address, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


OURS = {
    "/generate": ["seed", "truncation", "genre", "kind", "colours"],
    "/cover": ["address"],
    "/plane": ["x", "y", "truncation", "genre", "kind", "colours"],
    "/more_like": ["address"],
    "/colours": ["picture"],
    "/walk": ["seed_a", "seed_b", "position", "truncation"],
    "/address": ["png"],
    "/loop": ["seed_a", "seed_b", "frames", "truncation"],
    "/film": ["addresses", "frames", "straight", "speed", "kind"],
}


def test_the_endpoints_are_documented(client: Client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    parameters = {name: [p["parameter_name"] for p in about["parameters"]] for name, about in endpoints.items()}
    assert OURS.items() <= parameters.items()
    assert next(iter(endpoints)) == "/generate"  # what a client finds first
    about = json.loads(urllib.request.urlopen(f"{client.src}gradio_api/info").read())["named_endpoints"]
    assert "same seed is the same cover" in about["/generate"]["description"]
    assert all(len(endpoint["description"]) > 30 for endpoint in about.values())


def test_generate_gives_the_pipelines_pixels(client: Client, pipeline: AlbumCoverPipeline):
    for seed, truncation in ((0, 1.0), (7, 0.7), (LARGEST_SEED, 1.5)):
        file = client.predict(seed, truncation, api_name="/generate")
        assert same(file, pipeline(seeds=[seed], truncation=truncation).images[0])
    assert not same(client.predict(0, 1.0, api_name="/generate"), client.predict(1, 1.0, api_name="/generate"))


def test_a_downloaded_cover_says_how_to_draw_it_again(client: Client):
    file = client.predict(seed=123, truncation=0.8, api_name="/generate")
    cover = Image.open(file)
    assert (Path(file).name, cover.format, cover.size) == ("album-cover-123.png", "PNG", (32, 32))
    address = cover.text.pop("address")
    assert cover.text == {"seed": "123", "truncation": "0.8", "model": "user/covers", "revision": "v1"}
    assert client.predict(png=handle_file(file), api_name="/address") == address
    assert same(client.predict(address, api_name="/cover"), cover)


def test_the_ends_of_a_walk_are_the_two_covers(client: Client, pipeline: AlbumCoverPipeline):
    a, b = pipeline(seeds=[3, 8], batch_size=1, truncation=0.9).images
    assert same(client.predict(3, 8, 0, 0.9, api_name="/walk"), a)
    assert same(client.predict(3, 8, 1, 0.9, api_name="/walk"), b)
    latents = pipeline.prepare_latents([3, 8])
    rounded = slerp(latents[:1], latents[1:], 0.25).half().float()  # what the address in the file holds
    file = client.predict(3, 8, 0.25, 0.9, api_name="/walk")
    assert same(file, pipeline(latents=rounded, truncation=0.9).images[0])
    assert same(client.predict(Image.open(file).text["address"], api_name="/cover"), file)


def test_a_place_of_the_plane_blends_the_four_seeds_around_it(client: Client, pipeline: AlbumCoverPipeline):
    assert same(client.predict(5, 0, api_name="/plane"), pipeline(seeds=[5]).images[0])
    assert same(client.predict(-1, -1, api_name="/plane"), pipeline(seeds=[LARGEST_SEED]).images[0])
    corners = pipeline.prepare_latents([5, 6, 5 + SIDE, 6 + SIDE])
    expected = pipeline(latents=blend(corners, 0.5, 0.25)[None].half().float(), truncation=0.7).images[0]
    assert same(client.predict(5.5, 0.25, 0.7, api_name="/plane"), expected)


@pytest.mark.parametrize("straight", (False, True))
def test_a_film_goes_through_its_covers(client: Client, pipeline: AlbumCoverPipeline, straight: bool):
    addresses = ["seed=3", "seed=8&truncation=0.5", "seed=4"]
    film = Image.open(client.predict(addresses, 12, straight, 25, api_name="/film"))
    assert (film.format, film.n_frames, film.info["loop"]) == ("WEBP", 12, 0)
    points = pipeline.prepare_latents([3, 8, 4]) * torch.tensor([[1.0], [0.5], [1.0]])
    expected = pipeline(latents=closed_path(points, 12, straight)).images
    for number, cover in enumerate(expected):
        film.seek(number)
        assert same(film, cover) and film.info["duration"] == 40


def test_a_film_as_mp4(client: Client, pipeline: AlbumCoverPipeline):
    file = client.predict(["seed=3", "seed=8"], 12, False, 25, "mp4", api_name="/film")
    with av.open(file) as film:
        (stream,) = film.streams
        assert (stream.codec_context.name, stream.average_rate, stream.pix_fmt) == ("h264", 25, "yuv420p")
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
    assert {frame.shape for frame in frames} == {(SMALLEST_FILM, SMALLEST_FILM, 3)}
    head = Path(file).read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")  # a player may begin before all of it is there
    expected = pipeline(latents=closed_path(pipeline.prepare_latents([3, 8]), 12)).images
    assert len(frames) == len(expected)
    for place, frame in enumerate(frames):  # with losses, but that cover, or one just like it
        small = np.asarray(Image.fromarray(frame).resize(expected[0].size, Image.Resampling.BOX)).astype(int)
        gaps = [np.abs(small - np.asarray(cover)).mean() for cover in expected]
        assert gaps[place] < 1.2 * min(gaps)


def test_a_film_as_gif(client: Client, pipeline: AlbumCoverPipeline):
    film = Image.open(client.predict(["seed=3", "seed=8"], 12, False, 20, "gif", api_name="/film"))
    assert (film.format, film.n_frames, film.info["loop"], film.info["duration"]) == ("GIF", 12, 0, 50)
    expected = pipeline(latents=closed_path(pipeline.prepare_latents([3, 8]), 12)).images
    for number, cover in enumerate(expected):
        film.seek(number)
        assert np.abs(pixels(film).astype(int) - pixels(cover)).mean() < 12  # of 256 colours


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
        ("/plane", [1e300, 0, 1], "A place is a number"),
        ("/plane", ["x", 0, 1], "A place is a number"),
        ("/cover", ["seed=1&model=other/covers"], "This cover was drawn by other/covers, and this page shows"),
        ("/cover", ["../../etc/passwd"], "An address has either a seed or latents"),
        ("/generate", [1, 1, "rock"], "This generator knows no genres: leave it out."),
        ("/plane", [1.5, 0, 1, ["rock"]], "This generator knows no genres"),
        ("/cover", ["seed=1&genre=rock"], "This generator knows no genres"),
        ("/film", [["seed=1"]], "A film goes through 2 to 60 covers."),
        ("/film", [["seed=1"] * 61], "A film goes through 2 to 60 covers."),
        ("/film", [["seed=1", "seed=-1"]], "A seed is a whole number"),
        ("/film", [["seed=1", "seed=2"], 481], "The number of frames is a whole number from 12 to 480."),
        ("/film", [["seed=1"] * 20, 12], "A film has at least as many frames as covers."),
        ("/film", [["seed=1", "seed=2"], 12, False, 0], "Frames a second is a whole number"),
        ("/film", [["seed=1", "seed=2"], 12, False, 20, "exe"], "Films are made as webp"),
        ("/film", [["seed=1", "seed=2"], 12, False, 20, ["gif"]], "Films are made as webp"),
    ),
)
def test_bad_values_are_refused_in_words(client: Client, caplog, capfd, endpoint: str, values: list, sentence: str):
    with pytest.raises(AppError, match=sentence), caplog.at_level(logging.WARNING, "gan.studio"):
        client.predict(*values, api_name=endpoint)
    (line,) = caplog.messages
    assert line.startswith(f"{endpoint[1:]} refused ") and "\n" not in line
    assert "Traceback" not in "".join(capfd.readouterr())


def plainly(client: Client, call: str, body: bytes) -> str:
    """The answer to `/generate` without a client of Gradio's; `call` is the path of the call."""
    address = f"{client.src}gradio_api/{call}"
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    event = json.loads(urllib.request.urlopen(request).read())["event_id"]
    return urllib.request.urlopen(f"{address}/{event}").read().decode()


def test_not_a_number_is_refused(client: Client):
    # the Python client does not send NaN, others do
    answer = plainly(client, "call/generate", b'{"data": [1, NaN, "", 0, ""]}')
    assert "event: error" in answer and "Truncation is a number" in answer and str(Path.cwd()) not in answer


def test_a_plain_call_by_names_may_leave_out_what_has_a_default(client: Client, pipeline: AlbumCoverPipeline):
    for body, truncation in ((b'{"seed": 7, "truncation": 0.8}', 0.8), (b'{"seed": 7}', 1.0)):
        answer = plainly(client, "call/v2/generate", body)
        cover = json.loads(answer.rpartition("data: ")[2])[0]["url"]
        drawn = Image.open(io.BytesIO(urllib.request.urlopen(cover).read()))
        assert same(drawn, pipeline(seeds=[7], truncation=truncation).images[0])


def test_a_png_that_was_not_made_here_is_refused_in_words(client: Client, tmp_path: Path):
    Image.new("RGB", (8, 8)).save(tmp_path / "other.png")
    (tmp_path / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    for name, sentence in (("other.png", "holds no address"), ("drawing.svg", "not a PNG that can be read")):
        with pytest.raises(AppError, match=sentence):
            client.predict(handle_file(tmp_path / name), api_name="/address")


def test_a_request_that_is_far_too_large_is_not_read(client: Client):
    address = urllib.parse.urlparse(client.src)
    for where in ("gradio_api/upload", "gradio_api/component_server"):
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        connection.putrequest("POST", f"/{where}")
        connection.putheader("Content-Length", "1000000000")
        connection.endheaders()  # and none of the body
        answer = connection.getresponse()
        assert answer.status == 413 and "MB can be sent" in answer.read().decode()
    # without saying how much will come; the server hangs up, at the latest when its answer is there
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
    connection.putrequest("POST", "/gradio_api/component_server")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    megabyte, sent = b"100000\r\n" + b" " * 2**20 + b"\r\n", 0
    with pytest.raises(OSError):
        while sent < 200:
            connection.send(megabyte)
            sent += 1
    assert LARGE / 2**20 < sent < 200


def test_the_page_shows_what_the_endpoint_gives(client: Client, model: Model):
    cover = Crate(model).look({"x": 5, "y": 0, "truncation": 0.6})["cover"]
    downloaded = Path(client.predict(5, 0.6, api_name="/generate")).read_bytes()
    assert base64.b64decode(cover["src"].partition(",")[2]) == downloaded
    assert cover["address"] == model.address(5, 0.6).query()


# ---- what stands before the page


def test_a_link_has_a_preview_of_its_very_cover(client: Client, model: Model):
    child = model.address_of(torch.ones(16) / 2)
    for address, title in ((model.address(7, 0.8), "Seed 7"), (child, "A cover between seeds")):
        page = urllib.request.urlopen(f"{client.src}?{address.query()}&tab=breed").read().decode()
        tags = dict(re.findall(r'<meta property="(og:[\w:]+)" content="([^"]*)"', page))
        assert tags["og:title"] == f"{title} – Album Cover GAN" and "never made" in tags["og:description"]
        assert page.count("og:title") == 1 and "Click to try out" not in page
        picture = Image.open(io.BytesIO(urllib.request.urlopen(html.unescape(tags["og:image"])).read()))
        assert picture.size == (512, 512)
        drawn = model.draw([address])[0]
        assert np.abs(pixels(picture.resize(drawn.size, Image.Resampling.BOX)).astype(int) - pixels(drawn)).mean() < 4
    wrong = urllib.request.urlopen(f'{client.src}?seed="><script>alert(1)</script>').read().decode()
    assert "alert(1)" not in wrong and "og:title" in wrong
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{client.src}cover.png?seed=x")


def test_the_page_is_the_same_for_all_but_for_its_address(client: Client):
    with httpx.Client(base_url=client.src, timeout=60, trust_env=False) as visitor:
        plain = visitor.get("/config").json()
        for host in ("one.example", "two.example", "one.example"):
            config = visitor.get("/config", headers={"host": host}).json()
            assert config["root"] == f"http://{host}" and config | {"root": plain["root"]} == plain
            assert visitor.get("/", headers={"host": host}).text.count(f'"root":"http://{host}"') == 1
        # what a link says is for this page's scripts
        asked = visitor.get("/config?deep_link=a&page=b&seed=7").json()
        assert asked == plain
        seven, eight = (visitor.get(f"/?deep_link=a&seed={seed}").text for seed in (7, 8))
        tags = r'<meta property="og:[^>]*>'
        assert seven != eight and re.sub(tags, "", seven) == re.sub(tags, "", eight)
        for number in range(20):  # whatever visitors say, few are kept
            assert visitor.get("/", headers={"host": f"{number}.example"}).status_code == 200


def test_the_log_holds_no_text_of_visitors(client: Client, caplog):
    secret = "a diary's first line \u2603"
    with caplog.at_level(logging.WARNING, "gan.studio"), pytest.raises(AppError):
        client.predict("seed=1", secret, "", "poster", api_name="/finish")
    (line,) = caplog.messages
    assert line.startswith("finish refused ") and "diary" not in line and "\u2603" not in line
