"""The program: its arguments, what it says, and what it does when the model cannot be loaded."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client
from PIL import Image

import app
from gan import load_pipeline, pipeline_folder


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
    args = app.parse(["--model", "other/covers", "--revision", "v2", "--auth", "me:a:b"])
    assert (args.model, args.revision, args.auth) == ("other/covers", "v2", ("me", "a:b"))


MISTAKES = (["--port", "0"], ["--port", "x"], ["--wrong"], ["--model"], ["--auth", "me"], ["--auth", "me:"])


@pytest.mark.parametrize("arguments", MISTAKES)
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
    pipelines = (chosen["pipeline"], load_pipeline(tiny_pipeline_folder))
    shown, shipped = (np.asarray(pipeline(seeds=[1]).images[0]) for pipeline in pipelines)
    assert np.array_equal(shown, shipped)


def test_the_page_works_without_the_model_asked_for(running_app: tuple[str, str], tmp_path: Path):
    address, said = running_app
    assert said.startswith("app.py: nobody/nothing: cannot be loaded from the Hub")
    lines = [line for line in said.splitlines() if line and "MCP" not in line and "/mcp" not in line]  # Gradio's own
    assert len(lines) == 2 and lines[1].startswith("Album Cover GAN is at")
    config = json.loads(urllib.request.urlopen(f"{address}config").read())
    (notice,) = (c["props"]["value"] for c in config["components"] if c["props"].get("elem_id") == "notice")
    assert 'role="alert"' in notice and "nobody/nothing" in notice and "ships with the project" in notice
    client = Client(address, verbose=False, download_files=tmp_path)
    cover = Image.open(client.predict(1, 1.0, api_name="/generate"))
    assert cover.text["model"] == "gan/pretrained" and cover.text["revision"] == "none"


def test_browsers_keep_the_scripts_of_gradio_and_no_page(running_app: tuple[str, str]):
    with httpx.Client(base_url=running_app[0], trust_env=False) as client:
        page = client.get("/")
        scripts = re.findall(r"assets/[\w-]+\.(?:js|css)", page.text)
        assert len(scripts) > 1
        for script in scripts:
            answer = client.get(script)
            assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        for other in (page, client.get("config"), client.get("assets/nothing-12345678.js")):
            assert "cache-control" not in other.headers, other.url


def test_a_proxy_does_not_stand_between_the_page_and_itself(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    environment = {k: v for k, v in os.environ.items() if k.lower() != "no_proxy"} | proxies
    command = [sys.executable, "app.py", "--port", str(port)]
    with (tmp_path / "said").open("w") as said:
        page = subprocess.Popen(command, cwd=Path(app.__file__).parent, env=environment, stdout=said, stderr=said)
    try:
        for _ in range(600):
            if page.poll() is not None or "Ctrl+C" in (tmp_path / "said").read_text():
                break
            time.sleep(0.1)
        said = (tmp_path / "said").read_text()
        assert "Album Cover GAN is at " in said and "Traceback" not in said, said
        with httpx.Client(trust_env=False, timeout=60) as visitor:
            assert visitor.head(f"http://127.0.0.1:{port}/").status_code == 200
            assert "Album Cover GAN" in visitor.get(f"http://127.0.0.1:{port}/").text
    finally:
        page.terminate()
        page.wait(30)
