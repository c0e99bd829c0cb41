"""What strangers ask of the page over plain HTTP, and what lies in its folder afterwards."""

import json
import os
from pathlib import Path

import httpx
from gradio.blocks import Block
from gradio.utils import get_upload_folder


def files() -> dict[str, int]:
    """All that lies in the page's cache, and its size."""
    found = (Path(place) / name for place, _, names in os.walk(get_upload_folder()) for name in names)
    return {str(file): file.stat().st_size for file in found}


def outcome(visitor: httpx.Client, call: str, body: object) -> tuple[int, str]:
    """The status of a call, and what the call or, where it was taken, its answer says."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = visitor.post(f"gradio_api/{call}", content=content, headers={"content-type": "application/json"})
    if asked.status_code != 200 or "event_id" not in asked.json():
        return asked.status_code, asked.text
    with visitor.stream("GET", f"gradio_api/{call}/{asked.json()['event_id']}") as answer:
        return 200, "".join(answer.iter_text())


def functions(block: Block) -> list[str]:
    """The names of what a script may call of a block of the page."""
    return [function.__name__ for function in getattr(block, "server_fns", ())]
