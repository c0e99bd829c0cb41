"""The lessons' mathematics in a real browser, without the page around it."""

import http.server
import threading
from functools import partial
from pathlib import Path

import pytest


LESSONS = Path(__file__).parents[3] / "gan/studio/tabs/learn/lessons"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def compute(browser):
    """`compute(module, script, value)`: what a script gives that has a lesson as `m`, the value as `v`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(LESSONS)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/words/")

    def run(module: str, script: str, value: object = None):
        return page.evaluate(f"async v => {{ const m = await import('/{module}'); {script} }}", value)

    yield run
    page.close()
    server.shutdown()
