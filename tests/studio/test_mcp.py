"""The page as an MCP server, asked by the protocol's own client."""

import asyncio
import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import jsonschema
import numpy as np
import pytest
from PIL import Image

from gan import load_pipeline
from gan.studio import build_page
from gan.studio.shell import door


pytest.importorskip("mcp")
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from tests.helpers.serving import launched


@pytest.fixture(scope="module")
def address(tiny_pipeline_folder: Path):
    page = build_page(load_pipeline(tiny_pipeline_folder), "user/covers")
    with launched(page) as address:
        yield address


def ask(where: str, tool: str, auth: tuple[str, str] | None = None, /, **arguments: object):
    """The server's tools by name, and its answer to a call."""

    async def talk():
        async with httpx.AsyncClient(auth=auth, trust_env=False, timeout=60) as http:
            async with streamable_http_client(f"{where}gradio_api/mcp/", http_client=http) as (read, write, _):
                async with ClientSession(read, write) as session:
                    await session.initialize()
                    tools = {tool.name: tool for tool in (await session.list_tools()).tools}
                    return tools, await session.call_tool(tool, arguments)

    with ThreadPoolExecutor(1) as other:  # in this thread there may be a loop already: the browser's
        return other.submit(asyncio.run, talk()).result()


def test_every_endpoint_is_a_tool_and_generate_draws(address: str, tiny_pipeline_folder: Path):
    tools, answer = ask(address, "generate", seed=7, truncation=0.8)
    endpoints = json.loads(httpx.get(f"{address}gradio_api/info", trust_env=False).text)["named_endpoints"]
    assert {name.removeprefix("/") for name in endpoints} == tools.keys()
    assert "same seed is the same cover" in tools["generate"].description
    assert tools["generate"].inputSchema["properties"].keys() == {"seed", "truncation", "genre", "kind", "colours"}
    assert not answer.isError
    (picture,) = (part for part in answer.content if part.type == "image")
    cover = Image.open(io.BytesIO(base64.b64decode(picture.data)))
    expected = load_pipeline(tiny_pipeline_folder)(seeds=[7], truncation=0.8).images[0]
    assert np.array_equal(np.asarray(cover.convert("RGB")), np.asarray(expected))


def test_what_is_refused_is_told_in_words(address: str):
    _, answer = ask(address, "generate", seed=-1)
    assert answer.isError and "A seed is a whole number from 0 to 4294967295." in answer.content[0].text


COVER = "seed=7"
CALLS = {
    "generate": {"seed": 7},
    "cover": {"address": COVER},
    "plane": {"x": 1.5, "y": 2},
    "walk": {"seed_a": 1, "seed_b": 2},
    "loop": {"seed_a": 1, "seed_b": 2, "frames": 12},
    "film": {"addresses": [COVER, "seed=8"], "frames": 12},
    "breed": {"address": COVER, "seed": 1},
    "cross": {"address_a": COVER, "address_b": "seed=8", "seed": 1},
    "fade": {"address": COVER, "amounts": [0.5]},
    "large": {"address": COVER},
    "finish": {"address": COVER, "artist": "A", "title": "B"},
    "finish_loop": {"address": COVER},
    "project": {"picture": "PICTURE"},
    "address": {"png": "PICTURE"},
    "colours": {"picture": "PICTURE"},
}
# what a page without an index of training covers, or of a model that is not on the Hub, cannot answer
REFUSED = {
    "copies": ({"address": COVER}, "came without an index"),
    "more_like": ({"address": COVER}, "kinds"),
    "find": ({"colours": ["red"]}, "came without an index of colours"),
    "training_film": ({"address": COVER}, "There are no snapshots"),
}


@pytest.fixture(scope="module")
def picture(address: str) -> str:
    """A cover that was made here, as a data address."""
    drawn = httpx.get(f"{address}gradio_api/file={draw(address)}", trust_env=False).content
    return f"data:image/png;base64,{base64.b64encode(drawn).decode()}"


def draw(address: str) -> str:
    """Where the file of a cover lies on the server."""
    call = f"{address}gradio_api/call/v2/generate"
    event = httpx.post(call, json={"seed": 7}, trust_env=False).json()["event_id"]
    answer = httpx.get(f"{call}/{event}", trust_env=False, timeout=30).text
    return json.loads(answer.rpartition("data: ")[2])[0]["path"]


@pytest.mark.parametrize("tool", (*CALLS, *REFUSED))
def test_each_tool_has_a_valid_schema_and_answers(address: str, picture: str, tool: str):
    arguments, refusal = (CALLS[tool], None) if tool in CALLS else REFUSED[tool]
    arguments = {name: picture if value == "PICTURE" else value for name, value in arguments.items()}
    tools, answer = ask(address, tool, **arguments)
    assert tools.keys() == CALLS.keys() | REFUSED.keys()
    schema = tools[tool].inputSchema
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(arguments, schema)
    said = " ".join(getattr(part, "text", "") for part in answer.content)
    assert answer.isError == bool(refusal) and (refusal or "") in said, said


def test_no_tool_makes_the_server_fetch(address: str):
    for name in ("project", "address"):
        for value in ("http://127.0.0.1:9/a.png", "https://example.com/a.png", "/etc/passwd", "file:///etc/passwd"):
            _, answer = ask(address, name, **{"picture" if name == "project" else "png": value})
            said = " ".join(getattr(part, "text", "") for part in answer.content)
            assert answer.isError and "root:" not in said, (name, value, said)


LOGIN = ("alice", "a secret: with a colon")


@pytest.fixture(scope="module")
def closed(tiny_pipeline_folder: Path):
    with launched(build_page(load_pipeline(tiny_pipeline_folder), "user/covers"), auth=[LOGIN]) as address:
        yield address


def test_with_a_login_calls_work(closed: str):
    tools, answer = ask(closed, "generate", LOGIN, seed=7)
    assert "film" in tools and not answer.isError, answer.content


def test_without_a_login_there_is_no_list_and_no_call(closed: str, monkeypatch):
    monkeypatch.setattr(door, "WRONG_LOGINS_OF_ONE", 10**6)
    for auth in (None, ("alice", "wrong"), ("bob", LOGIN[1]), ("mcp", ""), ("mcp", "None"), ("", "")):
        with httpx.Client(base_url=closed, auth=auth, trust_env=False) as client:
            for method, path in (
                ("POST", "mcp/"),
                ("POST", "mcp"),
                ("GET", "mcp/"),
                ("GET", "mcp/schema"),
                ("GET", "info"),
            ):
                answer = client.request(method, f"gradio_api/{path}", json={} if method == "POST" else None)
                assert answer.status_code == 401, (auth, path)
            event = {"data": [1, 1, ""], "fn_index": 1, "session_hash": "a"}
            for path, body in (("call/generate", event), ("call/v2/generate", {"seed": 1}), ("queue/join", event)):
                assert client.post(f"gradio_api/{path}", json=body).status_code in (400, 401), (auth, path)
            assert client.post("gradio_api/call/v2/generate", json={"seed": 1}).status_code == 401
            assert client.post("gradio_api/upload", files={"files": b"a"}).status_code == 401
            assert client.get("cover.png?seed=1").status_code == 404 and client.get("config").status_code == 401
