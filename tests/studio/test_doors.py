"""The page where it is not alone at the door: below a path of a reverse proxy, and behind a login."""

import json
import re
import sys
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from playwright.sync_api import expect

from tests.helpers.proxy import proxied
from tests.helpers.serving import free_port, serving


@pytest.fixture(scope="module")
def below(tiny_pipeline_folder: Path):
    """`app.py --root_path` behind a proxy that shows it below /covers."""
    port = free_port()
    command = [sys.executable, "app.py", "--model", tiny_pipeline_folder, "--port", free_port()]
    with serving([*command, "--root_path", f"http://127.0.0.1:{port}/covers"]) as (address, _, _):
        local = re.search(r"--port', '(\d+)", str(command))[1]
        assert address  # whatever it calls itself
        with proxied(f"http://127.0.0.1:{local}/", port, "/covers") as outside:
            yield outside


def test_below_a_path_everything_works(browser, below: str, tmp_path: Path) -> None:
    page, elsewhere = browser.new_page(), []
    page.on("request", lambda r: None if r.url.startswith((below, "data:", "blob:")) else elsewhere.append(r.url))
    page.goto(f"{below}?seed=7")
    expect(page.locator("#crate .details")).to_contain_text("Seed 7")
    page.fill("#seed", "8")
    expect(page.locator("#crate .details")).to_contain_text("Seed 8")
    assert page.url.startswith(f"{below}?seed=8")
    assert page.locator("#crate .link").evaluate("link => link.href").startswith(f"{below}?seed=8")
    with page.expect_download(timeout=60_000):  # through the queue
        page.click("#crate [data-file=jpeg]")
    page.reload()
    expect(page.locator("#crate .details")).to_contain_text("Seed 8")
    assert elsewhere == []
    page.context.close()


def test_below_a_path_programs_and_previews_find_their_way(below: str) -> None:
    assert Path(Client(below, verbose=False).predict(seed=7, api_name="/generate")).stat().st_size > 100
    head = httpx.get(f"{below}?seed=7", trust_env=False).text
    picture = re.search(r'property="og:image" content="([^"]+)"', head)[1].replace("&amp;", "&")
    assert picture.startswith(f"{below}cover.png?seed=7")
    assert httpx.get(picture, trust_env=False).headers["content-type"] == "image/png"


def test_a_login_is_asked_for_at_every_door(tiny_pipeline_folder: Path) -> None:
    command = [sys.executable, "app.py", "--model", tiny_pipeline_folder, "--port", free_port(), "--auth", "me:pw"]
    with serving(command) as (address, _, _):
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        headers = {"Accept": "application/json, text/event-stream"}
        with httpx.Client(base_url=address, trust_env=False) as stranger:
            answer = stranger.post("gradio_api/mcp/", json=asked, headers=headers)
            assert answer.status_code == 401
            answer = stranger.post("gradio_api/mcp/", json=asked, headers=headers, auth=("me", "pw"))
            assert answer.status_code == 200 and "generate" in answer.text
            assert stranger.get("gradio_api/info").status_code == 401
            assert stranger.get("cover.png?seed=7").headers.get("content-type") != "image/png"
        client = Client(address, auth=("me", "pw"), verbose=False)
        assert json.dumps(client.view_api(return_format="dict", print_info=False)).count("/generate")
        assert Path(client.predict(seed=7, api_name="/generate")).stat().st_size > 100
