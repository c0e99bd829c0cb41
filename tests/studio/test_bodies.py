"""What a stranger says in the body of a request: no file but what was sent, no value that breaks anything."""

import logging
from pathlib import Path

import httpx
import pytest
from gradio.utils import get_upload_folder
from PIL import Image

from gan.studio.shell.bodies import DEEPEST
from tests.helpers.asking import files, functions, outcome
from tests.helpers.drawn import encode


def test_the_server_fetches_nothing_that_a_file_names(visitor: httpx.Client, elsewhere, tmp_path: Path, capfd):
    address, asked = elsewhere
    (tmp_path / "diary.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    meta, before = {"_type": "gradio.FileData"}, files()
    named = [
        {"path": f"{address}/a.png", "meta": meta},
        {"path": "x", "url": f"{address}/b.png", "meta": meta},
        {"path": "", "url": f"{address}/c.png", "meta": meta, "is_stream": True},
        {"url": f"{address}/d.png"},
        {"path": str(tmp_path / "diary.png"), "meta": meta},
        {"path": f"{get_upload_folder()}/../../../{tmp_path}/diary.png", "meta": meta},
        {"path": None, "url": None, "meta": meta},
        {"path": {"path": f"{address}/e.png", "meta": meta}, "meta": meta},
        {"meta": meta, "a": f"{address}/f.png"},
        {"path": "/dev/zero", "meta": meta},
        {"path": get_upload_folder(), "meta": meta},
        {"path": "a\0b", "meta": meta},
    ]
    for file in named:
        for endpoint in ("project", "address"):
            for call, body in ((f"call/{endpoint}", {"data": [file]}), (f"call/v2/{endpoint}", {"picture": file})):
                status, said = outcome(visitor, call, body)
                assert status == 400 and "is sent to /gradio_api/upload first" in said, (file, said)
        # not where a file is expected, either
        assert outcome(visitor, "call/generate", {"data": [file, 1, "", 0, ""]})[0] == 400
        assert outcome(visitor, "call/film", {"data": [[[file]], 12, False, 20, "webp"]})[0] == 400
        assert outcome(visitor, "queue/join", {"data": [], "fn_index": 0, "event_data": {"a": [file]}})[0] == 400
    assert not asked and files() == before and "Traceback" not in "".join(capfd.readouterr())


def test_a_stream_is_no_picture(visitor: httpx.Client, capfd):
    """What is said to be a stream, or a piece of one, is a file like any other, or refused."""
    sent = visitor.post("gradio_api/upload", files={"files": ("a.png", encode(Image.new("RGB", (8, 8)), "PNG"))})
    whole = {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}
    for more in ({"is_stream": True}, {"is_stream": "yes"}, {"is_stream": [], "size": -1}, {"mime_type": {}}):
        for endpoint in ("address", "colours"):
            status, said = outcome(visitor, f"call/{endpoint}", {"data": [whole | more]})
            assert status == 400 or (status == 200 and "event: " in said), (more, said)
    assert "Traceback" not in "".join(capfd.readouterr())
    # it still draws
    assert outcome(visitor, "call/generate", {"data": [7, 1, "", 0, ""]})[1].count("event: complete") == 1


def test_what_is_no_file_is_refused_in_words(visitor: httpx.Client):
    for value in (None, 7, "https://example.com/a.png", "/etc/passwd", [], {}, [["x"]]):
        for endpoint in ("project", "address"):
            status, said = outcome(visitor, f"call/{endpoint}", {"data": [value]})
            assert status == 400 and "A picture is a file that was sent to" in said, (value, said)


BODIES = (
    b"",
    b"null",
    b"[]",
    b"7",
    b"{",
    b'{"data": [1, 1e400, ""]}',
    b'{"data": 1e400}',
    b'{"data": [' + b"9" * 5000 + b', 1, ""]}',
    b'{"data": [NaN, Infinity, -Infinity]}',
    b'{"data": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b'{"data": ' + b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1) + b"}",
    b'{"data": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    b'{"data": [1, 1, "\xff"]}',
    b'{"data": [1, 1, "\\ud800"]}',
    b'{"data": {"a": 1}}',
    b'{"data": [1], "session_hash": {"a": 1}, "fn_index": []}',
    b'{"data": [], "fn_index": 99999, "session_hash": "a"}',
    b'{"data": [], "fn_index": -1, "session_hash": "a"}',
    b'{"data": [], "fn_index": 1e300, "session_hash": "a"}',
    b'{"data": [], "fn_index": true, "session_hash": "a"}',
    b'{"data": [], "fn_index": 0, "session_hash": "a", "event_data": null, "trigger_id": 99999}',
    b'{"data": [], "fn_index": 0, "session_hash": null}',
    b'{"data": [[[]]], "simple_format": "x", "batched": {}}',
    b'{"component_id": 99999, "fn_name": "look", "session_hash": "a", "data": {}}',
    b'{"component_id": [], "fn_name": [], "session_hash": [], "data": {}}',
    b'{"component_id": 1, "fn_name": "__class__", "session_hash": "a", "data": {}}',
    b'{"component_id": 1, "fn_name": "postprocess", "session_hash": "a", "data": {}}',
    b'{"event_id": {}, "session_hash": 7, "fn_index": "x"}',
    b'{"event_id": "x", "session_hash": "y", "fn_index": 1}',
    b'{"seed": []}',
    b'{"unknown": 1}',
    b'{"seed": 1, "seed": 2, "\xc2\x80": "\\u0000"}',
)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_no_body_ends_in_a_traceback(visitor: httpx.Client, capfd, body: bytes):
    headers = {"content-type": "application/json"}
    for call in ("call/generate", "call/v2/generate", "queue/join", "component_server", "cancel", "reset", "run/x"):
        answer = visitor.post(f"gradio_api/{call}", content=body, headers=headers)
        assert answer.status_code < 500, (call, answer.text)
    # it still draws
    assert outcome(visitor, "call/generate", {"data": [7, 1, "", 0, ""]})[1].count("event: complete") == 1
    assert "Traceback" not in "".join(capfd.readouterr())


ORDER = {"address": "seed=1", "layout": "poster"}
WRONG = (None, 7, "x", [], {}, [[]], {"a": 1}, ["seed=1"] * 2, ORDER | {"instead": 7}, ORDER | {"instead": [1, 2]})


def test_what_scripts_send_wrong_is_refused_in_words(page, visitor: httpx.Client, capfd, caplog):
    asked_for = 0
    with caplog.at_level(logging.ERROR, "gan.studio"):
        for block in page.blocks.values():
            for name in functions(block):
                for data in WRONG:
                    asked = {"component_id": block._id, "fn_name": name, "session_hash": "a", "data": data}
                    answer = visitor.post("gradio_api/component_server", json=asked)
                    assert answer.status_code == 200, (name, data, answer.text)
                    asked_for += 1
    assert asked_for > 50
    assert not caplog.messages and "Traceback" not in "".join(capfd.readouterr())
