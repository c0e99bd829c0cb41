"""The page as an MCP server, asked by the protocol's own client."""

import asyncio
import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from gan import load_pipeline
from gan.studio import build_page


pytest.importorskip("mcp")
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from tests.helpers.serving import launched


@pytest.fixture(scope="module")
def address(tiny_pipeline_folder: Path):
    page = build_page(load_pipeline(tiny_pipeline_folder), "user/covers")
    with launched(page) as address:
        yield address


def ask(address: str, tool: str, **arguments: object):
    """The server's tools by name, and its answer to a call."""

    async def talk():
        async with streamable_http_client(f"{address}gradio_api/mcp/") as (read, write, _):
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
    assert tools["generate"].inputSchema["properties"].keys() == {"seed", "truncation", "genre"}
    assert not answer.isError
    (picture,) = (part for part in answer.content if part.type == "image")
    cover = Image.open(io.BytesIO(base64.b64decode(picture.data)))
    expected = load_pipeline(tiny_pipeline_folder)(seeds=[7], truncation=0.8).images[0]
    assert np.array_equal(np.asarray(cover.convert("RGB")), np.asarray(expected))


def test_what_is_refused_is_told_in_words(address: str):
    _, answer = ask(address, "generate", seed=-1)
    assert answer.isError and "A seed is a whole number from 0 to 4294967295." in answer.content[0].text
