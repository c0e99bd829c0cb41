"""Runs that are pushed to the Hub, watched from elsewhere: alone, and beside the page of their generator."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gan.run_page.runs import Run
from tests.helpers.drawn_run import EVERY, append, draw_run, line
from tests.helpers.hub_server import Hub
from tests.helpers.runs import command, launch
from tests.helpers.serving import ROOT, free_port, launched, serving


@pytest.fixture(scope="module")
def pushed(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Hub]]:
    """The folder of a run of 400 covers that was pushed twice, and the Hub."""
    run = tmp_path_factory.mktemp("runs") / "pushed"
    with Hub() as hub:
        more = ("--push_to_hub", "--hub_model_id", "user/covers", "--total_images", "400")
        there = hub.environment(Path(os.environ["HF_HOME"])) | {"HF_HUB_OFFLINE": "0"}
        done = launch(command(tiny_dataset, run, *more, "--checkpointing_images", "200"), **there)
        assert done.returncode == 0, done.stderr
        yield run, hub


def stranger(hub: Hub, folder: Path) -> dict[str, str]:
    return hub.environment(folder, token=None) | {"HF_HUB_OFFLINE": "0"}


def check_page(client: httpx.Client, run: Path, place: str = "") -> None:
    """What the page shows of the pushed run is what its folder shows."""
    ((name,),) = [[one["name"] for one in client.get(f"{place}runs").json()]]
    assert name == "user/covers"
    told = client.get(f"{place}run", params={"run": name}).json()
    mine = Run(run).tell()
    assert told["lines"] == mine["lines"] and told["lines"] and told["problems"] == []
    assert told["config"] == mine["config"] and [sheet[0] for sheet in told["sheets"]] == [200, 400]
    for images in (200, 400):
        sheet = client.get(f"{place}sheet", params={"run": name, "images": images})
        assert sheet.content == (run / f"samples/images-{images:010d}.png").read_bytes()
    assert client.get(f"{place}sheet", params={"run": name, "images": 300}).status_code == 404
    assert client.get(f"{place}film", params={"run": name}).content == (run / "film.webp").read_bytes()


def test_a_pushed_run_is_watched_from_elsewhere(pushed: tuple[Path, Hub], tmp_path: Path):
    run, hub = pushed
    program = [sys.executable, "app.py", "--port", free_port(), "--run", "user/covers"]
    with serving(program, environment=stranger(hub, tmp_path)) as (address, _, _):
        with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
            check_page(client, run)
            fetched = [asked for asked in hub.requests if "samples.png" in asked]
            check_page(client, run)
            assert [asked for asked in hub.requests if "samples.png" in asked] == fetched  # once


def test_the_page_of_a_generator_has_its_run(pushed: tuple[Path, Hub], tmp_path: Path):
    """As on a Space, whose variable names the model to which the run is pushed."""
    run, hub = pushed
    space = stranger(hub, tmp_path) | {"MODEL_ID": "user/covers"}
    with serving([sys.executable, "app.py", "--port", free_port()], environment=space) as (address, said, _):
        assert "showing the generator that ships" not in said
        with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
            assert "its-training" in client.get("/config").text
            assert 'src="page.js"' in client.get("/run/").text and client.get("/run/page.js").status_code == 200
            client.get("/run/runs")  # begins to ask the Hub
            for _ in range(200):
                if client.get("/run/run", params={"run": "user/covers"}).json()["sheets"]:
                    break
            check_page(client, run, "/run/")
            for path in ("/run/page.html", "/run/config.json", "/run/runs.py", "/run/../app.py", "/run/x/runs"):
                assert client.get(path).status_code == 404, path


def test_a_login_is_asked_for_there_too(tiny_pipeline_folder: Path, tmp_path: Path):
    from gan import load_pipeline
    from gan.run_page.runs import Runs
    from gan.studio import build_page

    runs = Runs([draw_run(tmp_path / "run")])
    page = build_page(load_pipeline(tiny_pipeline_folder), "mine", has_run=True)
    with launched(page, runs, auth=("me", "a:b")) as address:
        with httpx.Client(base_url=address, trust_env=False) as client:
            for path in ("/run/", "/run/runs", "/run/sheet?run=run&images=16000"):
                assert client.get(path).status_code == 401
                assert client.get(path, auth=("me", "wrong")).status_code == 401
                assert client.get(path, auth=("me", "a:b")).status_code == 200
            logged_in = client.post("/login", data={"username": "me", "password": "a:b"})
            assert logged_in.status_code == 200 and client.get("/run/runs").status_code == 200


@pytest.mark.parametrize("name", ["user/nothing", "user/empty"])
def test_a_model_without_a_run_is_one_line(pushed: tuple[Path, Hub], tmp_path: Path, name: str):
    _, hub = pushed
    there = stranger(hub, tmp_path)
    if name == "user/empty":
        make = "from huggingface_hub import HfApi as api; api().create_repo('user/empty')"
        launch([sys.executable, "-c", make], **hub.environment(tmp_path))
    program = [sys.executable, "app.py", "--port", free_port(), "--run", name]
    done = subprocess.run(program, cwd=ROOT, env=there, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"app.py: --run {name}: ")


def test_what_is_sent_are_numbers(tmp_path: Path):
    run = draw_run(tmp_path / "run", lines=30)
    append(run, line(31, secret="/home/me", deep={"a": 1}) | {"</script>": 1})
    with open(run / "metrics.jsonl", "a") as file:
        file.write("what somebody wrote\n")
    sent = [json.loads(text) for text in Run(run).numbers().splitlines()]
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()[:-2]]
    assert sent == [*lines, line(31)] and sent[-1]["images"] == 31 * EVERY
