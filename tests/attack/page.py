"""Attacks on a running page: each is given a folder to work in, and the page's address."""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.attack.odd import PATIENCE, Attack, changed, family, odd, spent


@contextlib.contextmanager
def page(folder: Path) -> Iterator[tuple[str, Path]]:
    """Show the page of a tiny generator; yields its address, and the file in which all that it says stands."""
    import gan
    from tests.helpers.serving import free_port, serving
    from tests.helpers.tiny import tiny_pipeline

    gan.save_pipeline(tiny_pipeline("dcgan"), folder / "shown", for_strangers=False)
    command = [sys.executable, "app.py", "--model", str(folder / "shown"), "--port", free_port()]
    environment = os.environ | {"GRADIO_TEMP_DIR": str(folder / "files")}  # where it counts as what the attack wrote
    with serving(command, environment=environment) as (address, _, process):
        said = folder / "page.log"
        stop = os.fork()
        if not stop:  # else a page that says much would wait for a reader
            with said.open("w", buffering=1) as log:
                shutil.copyfileobj(process.stdout, log, 1)
            os._exit(0)
        try:
            yield address, said
        finally:
            os.kill(stop, signal.SIGTERM)
            os.waitpid(stop, 0)


def requests(folder: Path, address: str) -> Attack:
    """Attack the page: every route, every endpoint, every function of a script."""
    client = httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False)
    config = client.get("config").json()
    endpoints = client.get("gradio_api/info").json()["named_endpoints"]
    routes = (
        "queue/join",
        "component_server",
        "cancel",
        "reset",
        "upload",
        "run/x",
        "mcp/",
        "mcp/schema",
        "deep_link",
    )
    more = ("process_recording", "file=http://127.0.0.1:9/", "file=/etc/passwd", "stream/a", "heartbeat/../x", "info")
    quick = [
        name for name in endpoints if name not in ("/loop", "/film", "/finish", "/finish_loop", "/project", "/large")
    ]

    def body(draws: random.Random) -> object:
        component = draws.choice(config["components"])
        functions = component["props"].get("server_fns") or ["look"]
        said = {
            "data": [odd(draws) for _ in range(draws.randrange(6))] if draws.random() < 0.5 else odd(draws),
            "fn_index": draws.choice((draws.randrange(40), odd(draws))),
            "session_hash": draws.choice(("a", "b", odd(draws))),
            "component_id": draws.choice((component["id"], odd(draws))),
            "fn_name": draws.choice((*functions, odd(draws))),
            "event_data": odd(draws),
            "trigger_id": draws.choice((component["id"], None, odd(draws))),
            "event_id": odd(draws),
        }
        for name in draws.sample(sorted(said), draws.randrange(4)):
            del said[name]
        return said

    def attack(draws: random.Random) -> None:
        if draws.random() < 0.4:
            endpoint = draws.choice(quick)
            names = [one["parameter_name"] for one in endpoints[endpoint]["parameters"]]
            said = {name: draws.choice((7, "seed=7", 0.5, odd(draws))) for name in names}
            call = f"gradio_api/call/v2{endpoint}"
        else:
            said, call = body(draws), f"gradio_api/{draws.choice((*routes, *more))}"
        content = json.dumps(said).encode()
        if draws.random() < 0.2:
            content = changed(content, draws)
        (folder / "input").write_bytes(call.encode() + b"\n" + content)
        headers = {"content-type": draws.choice(("application/json", "text/plain", "multipart/form-data; boundary=a"))}
        method = draws.choice(("POST", "POST", "POST", "GET", "PUT", "DELETE", "OPTIONS", "HEAD"))
        if method == "GET" and "heartbeat" in call:  # answers for as long as one listens
            return
        answer = client.request(method, call, content=content, headers=headers)
        assert answer.status_code < 500 or answer.status_code == 503, (answer.status_code, answer.text)
        if answer.status_code == 200 and "/call/" in call and "event_id" in answer.text:
            client.get(f"{call}/{answer.json()['event_id']}")

    return attack


def load(folder: Path, address: str) -> Attack:
    """Attack the page with many requests at once for what takes long."""
    client = httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False)
    finish = next(
        c for c in client.get("config").json()["components"] if "cards" in (c["props"].get("server_fns") or [])
    )
    many, own = ThreadPoolExecutor(32), family()

    def ask(seed: int) -> None:
        data = {"address": f"seed={seed}", "artist": "a", "title": "b", "layout": "poster"}
        asked = {"component_id": finish["id"], "fn_name": "preview", "session_hash": "a", "data": data}
        answer = client.post("gradio_api/component_server", json=asked)
        assert answer.status_code in (200, 503), (answer.status_code, answer.text)

    def attack(draws: random.Random) -> None:
        (folder / "input").write_bytes(b"previews")
        seeds = [draws.randrange(2**32) for _ in range(32)]
        for one in [many.submit(ask, seed) for seed in seeds]:
            one.result()
        before = spent(own)
        drawn = client.post("gradio_api/call/generate", json={"data": [seeds[0], 1, "", 0, ""]}).json()["event_id"]
        assert "event: complete" in client.get(f"gradio_api/call/generate/{drawn}").text
        assert spent(own) - before < 10

    return attack


def uploads(folder: Path, address: str) -> Attack:
    """Attack the page's disk."""
    client = httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False)

    def attack(draws: random.Random) -> None:
        files = [
            (
                "files",
                (draws.choice(("a.png", "../../a", "x" * 300, "\n", "a.html")), draws.randbytes(draws.choice(sizes))),
            )
            for _ in range(draws.choice((1, 1, 2, 12)))
        ]
        (folder / "input").write_bytes(b"".join(content for _, (_, content) in files)[:1000])
        try:
            answer = client.post("gradio_api/upload", files=files)
        except httpx.WriteError:  # the server hung up before all of it was sent
            return
        assert answer.status_code in (200, 400, 413, 503), (answer.status_code, answer.text)

    sizes = (0, 10, 100_000, 2_000_000, 9_500_000)
    return attack


def tools(folder: Path, address: str) -> Attack:
    """Attack the page as an MCP server."""
    client = httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False)
    headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    names = ("generate", "cover", "plane", "walk", "address", "colours", "more_like", "nothing", "", "x" * 300)

    def attack(draws: random.Random) -> None:
        fields = ("seed", "truncation", "genre", "address", "x", "y", "picture", "seed_a", "position")
        said = {name: odd(draws) for name in draws.sample(fields, draws.randrange(4))}
        called = {"name": draws.choice(names), "arguments": said if draws.random() < 0.9 else odd(draws)}
        method = draws.choice(("tools/call", "tools/call", "tools/list", "initialize", "prompts/get", "x"))
        content = json.dumps(
            {"jsonrpc": "2.0", "id": draws.choice((1, odd(draws))), "method": method, "params": called}
        )
        content = content.encode() if draws.random() < 0.8 else changed(content.encode(), draws)
        (folder / "input").write_bytes(content)
        answer = client.post("gradio_api/mcp/", content=content, headers=headers)
        assert answer.status_code < 500 or answer.status_code == 503, (answer.status_code, answer.text)

    return attack


# What it serves (requests), its load, its disk (uploads), its MCP server (tools).
OF_THE_PAGE: dict[str, Callable[[Path, str], Attack]] = {
    "requests": requests,
    "load": load,
    "uploads": uploads,
    "tools": tools,
}
