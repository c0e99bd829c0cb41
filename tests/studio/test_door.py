"""What a stranger asks the page for that it does not show: over plain HTTP, as strangers do."""

import base64
import http.client
import os
import resource
import shutil
import socket
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from gradio.utils import get_upload_folder
from PIL import Image

from gan.pipeline import AlbumCoverPipeline
from gan.studio import build_page
from gan.studio.shell import housekeeping
from gan.studio.shell.door import SMALL
from gan.studio.shell.shares import Places, Shut
from tests.helpers.asking import files, functions, outcome
from tests.helpers.drawn import encode
from tests.helpers.serving import launched


UNKNOWN = (
    ("GET", "gradio_api/deep_link?session_hash=a"),
    ("POST", "gradio_api/process_recording"),
    ("GET", "gradio_api/proxy=https://example.hf.space/x"),
    ("POST", "gradio_api/stream/a"),
    ("POST", "gradio_api/stream/a/close"),
    ("GET", "gradio_api/stream/a/b/1/playlist.m3u8"),
    ("GET", "gradio_api/stream/a/b/1/playlist-file"),
    ("GET", "gradio_api/file/etc/passwd"),
    ("GET", "gradio_api/custom_component/a/client/component/index.js"),
    ("GET", "gradio_api/dev/reload"),
    ("GET", "gradio_api/upload_progress?upload_id=a"),
    ("GET", "gradio_api/runs"),
    ("GET", "gradio_api/run-history/records"),
    ("POST", "gradio_api/run-history/connect"),
    ("POST", "gradio_api/vibe-edit/"),
    ("GET", "gradio_api/vibe-code/"),
    ("GET", "gradio_api/profiling/traces"),
    ("GET", "monitoring"),
    ("GET", "monitoring/summary"),
    ("GET", "pwa_icon/512"),
    ("PUT", "gradio_api/upload"),
    ("DELETE", ""),
    ("TRACE", ""),
    ("GET", "gradio_api/queue/join"),
    ("POST", "gradio_api/api/generate"),
    ("GET", "static/../../../../etc/passwd"),
    ("GET", "nothing"),
)


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
def test_what_the_page_does_not_show_is_not_there(visitor: httpx.Client, capfd, method: str, path: str):
    before = files()
    answer = visitor.request(method, path)
    assert (answer.status_code, answer.json()["error"]) == (404, "There is nothing here.")
    assert files() == before and "Traceback" not in "".join(capfd.readouterr())


def test_no_file_but_the_pages_own_is_served(visitor: httpx.Client, tmp_path: Path, elsewhere):
    address, asked = elsewhere
    secret = tmp_path / "secret"
    secret.write_text("diary")
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "link-of-a-test"
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    wanted = (
        f"{address}/huge",
        secret,
        f"{folder}/../{secret}",
        f"{folder}/..%2f..{secret}",
        link,
        folder,
        "/dev/zero",
    )
    for path in (*wanted, "app.py", "~/.netrc", "", "a\0b", "x" * 400, f"//{address}", "ftp://a/b", "data:,x"):
        answer = visitor.get(f"gradio_api/file={path}".replace("\0", "%00"))
        assert answer.status_code == 404 and "diary" not in answer.text, path
    assert not asked
    link.unlink()


def test_an_answer_that_there_is_not_is_told_in_words(visitor: httpx.Client, caplog, capfd):
    for path in ("call/v2/cover", "call/v2/cover/x", f"call/cover/{'0' * 32}"):
        answer = visitor.get(f"gradio_api/{path}")
        assert answer.status_code == 404 and "There is no such event" in answer.json()["error"], path
    with caplog.at_level("ERROR", "gan.studio"):
        visitor.post("gradio_api/mcp/", json={"fn_index": [1], "data": None, "trigger_id": {}})
        assert "not_found" in visitor.get("gradio_api/queue/data?session_hash=nobody").text
    assert "Traceback" not in "".join(capfd.readouterr())


def test_large_bodies_go_where_pictures_go(page, visitor: httpx.Client):
    large = "x" * (SMALL + 1)
    for call in ("call/generate", "call/v2/generate", "run/x", "cancel", "component_server"):
        status, said = outcome(
            visitor, call, {"data": [1, 1, large], "component_id": 1, "fn_name": "look", "session_hash": "a"}
        )
        assert status == 413 and "can be sent here" in said, call
    functions = {function.api_name: index for index, function in page.fns.items()}
    event = {"session_hash": "a", "data": [], "event_data": {"file": large}}
    assert visitor.post("gradio_api/queue/join", json=event | {"fn_index": functions["film"]}).status_code == 413
    assert (
        visitor.post("gradio_api/queue/join", json=event | {"fn_index": functions["project_here"]}).status_code == 200
    )
    many = event | {"fn_index": functions["project_here"], "event_data": [[] for _ in range(100_000)]}
    assert visitor.post("gradio_api/queue/join", json=many).status_code == 413


def test_a_body_that_never_ends_is_cut_off(visitor: httpx.Client):
    address = urlsplit(str(visitor.base_url))
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
    connection.putrequest("POST", "/gradio_api/call/generate")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    assert connection.getresponse().status == 413


def test_uploads_have_a_limit_in_sum(visitor: httpx.Client, monkeypatch):
    from gan.studio.shell import door

    monkeypatch.setattr(door, "UPLOADS_A_MINUTE", 1_000_000)
    said = [visitor.post("gradio_api/upload", files={"files": ("a.bin", os.urandom(400_000))}) for _ in range(6)]
    statuses = [answer.status_code for answer in said]
    assert statuses[0] == 200 and statuses[-1] == 503 and statuses.count(200) <= 3
    assert "try again in a minute" in said[-1].json()["error"]


def test_no_visitor_takes_all_places_from_the_others(visitor: httpx.Client):
    """Uploads that never end hold half of the places for their address, and none that another address needs."""
    address = urlsplit(str(visitor.base_url))
    dripping = []
    for _ in range(12):
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        connection.putrequest("POST", "/gradio_api/upload")
        connection.putheader("Content-Type", "multipart/form-data; boundary=x")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders(b"--x")
        dripping.append(connection)
    time.sleep(0.5)
    try:
        own = visitor.post("gradio_api/upload", files={"files": ("a.bin", b"x")})
        assert own.status_code == 503
        there = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(base_url=visitor.base_url, timeout=30, trust_env=False, transport=there) as other:
            assert other.post("gradio_api/upload", files={"files": ("a.bin", b"x")}).status_code == 200
    finally:
        for connection in dripping:
            connection.close()
    time.sleep(0.5)
    assert visitor.post("gradio_api/upload", files={"files": ("a.bin", b"x")}).status_code == 200


def test_a_place_is_free_again_after_its_request():
    places, sentence = Places(), "too many"
    with places.place("a", 4, sentence), places.place("a", 4, sentence), pytest.raises(Shut):
        with places.place("a", 4, sentence):
            pass
    with places.place("a", 4, sentence), places.place("b", 2, sentence), pytest.raises(Shut):
        with places.place("c", 2, sentence):
            pass
    assert not places.taken


def test_passwords_cannot_be_tried_without_end(pipeline: AlbumCoverPipeline):
    there = httpx.HTTPTransport(local_address="127.0.0.2")
    with launched(build_page(pipeline, "user/covers"), auth=[("me", "pw")]) as address:
        with httpx.Client(base_url=address, trust_env=False) as stranger:
            tries = [stranger.post("login", data={"username": "me", "password": f"{n}"}).status_code for n in range(9)]
            assert set(tries) == {400}
            tries = [stranger.get("gradio_api/info", auth=("me", f"{n}")).status_code for n in range(4)]
            assert tries == [401, 429, 429, 429]
            answer = stranger.post("login", data={"username": "me", "password": "pw"})
            assert answer.status_code == 429 and "Too many wrong passwords" in answer.json()["error"]
        with httpx.Client(base_url=address, trust_env=False, transport=there) as other:
            assert other.post("login", data={"username": "me", "password": "pw"}).status_code == 200


def test_nothing_is_kept_of_what_an_upload_calls_itself(visitor: httpx.Client):
    """Gradio keeps the progress of each upload that names itself, of any length, until somebody asks for it."""
    from gradio.route_utils import FileUploadProgressNotTrackedError
    from gradio.routes import file_upload_statuses

    for name in ("short", "x" * 50_000):
        sent = visitor.post(f"gradio_api/upload?upload_id={name}", files={"files": ("a.bin", b"x")})
        assert sent.status_code == 200
        assert visitor.get(f"gradio_api/upload_progress?upload_id={name}").status_code == 404
        with pytest.raises(FileUploadProgressNotTrackedError):
            file_upload_statuses.is_done(name)


def test_an_upload_is_of_a_few_files(visitor: httpx.Client):
    """Gradio opens each file of an upload at its beginning: thousands would be more than a process may have open."""
    before = files()
    many = visitor.post("gradio_api/upload", files=[("files", (f"{n}.png", b"x")) for n in range(900)])
    assert many.status_code == 413 and "files can be sent here at once" in many.json()["error"]
    assert files() == before
    few = visitor.post("gradio_api/upload", files=[("files", (f"{n}.png", b"x")) for n in range(2)])
    assert few.status_code == 200 and len(few.json()) == 2


def test_pictures_are_decoded_one_at_a_time_and_few_wait(page, visitor: httpx.Client):
    """A small file of many pixels: each takes a second, and a hundred megabytes meanwhile."""
    crate = next(block for block in page.blocks.values() if block.elem_id == "crate")
    picture = base64.b64encode(encode(Image.new("L", (5000, 4000)), "PNG")).decode()
    asked = {"component_id": crate._id, "fn_name": "colours", "session_hash": "a", "data": {"file": picture}}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ThreadPoolExecutor(16) as visitors:
        said = [visitors.submit(visitor.post, "gradio_api/component_server", json=asked) for _ in range(16)]
        answers = [answer.result() for answer in said]
    refused = [answer for answer in answers if "too many visitors at once" in answer.text.lower()]
    assert {answer.status_code for answer in answers} == {200} and len(refused) >= 16 - 8
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000
    assert outcome(visitor, "call/generate", {"data": [7, 1, "", 0, ""]})[1].count("event: complete") == 1


def test_no_visitor_takes_all_previews_of_finish_from_the_others(page, visitor: httpx.Client):
    """Enlarged ones, which take a second each: who asks for many at once leaves room for whoever asks for one."""
    finish = next(block for block in page.blocks.values() if "cards" in functions(block))
    there = httpx.HTTPTransport(local_address="127.0.0.2")

    def preview(who: httpx.Client, seed: int) -> bool:
        data = {"address": f"seed={seed}", "artist": "Mara", "title": "Tide", "layout": "poster"}
        asked = {"component_id": finish._id, "fn_name": "preview", "session_hash": "a", "data": data}
        answer = who.post("gradio_api/component_server", json=asked)
        assert answer.status_code == 200, answer.text
        return "src" in answer.json()

    with (
        httpx.Client(base_url=visitor.base_url, timeout=60, trust_env=False, transport=there) as other,
        ThreadPoolExecutor(20) as many,
    ):
        said = [many.submit(preview, visitor, 1000 + seed) for seed in range(20)]
        refused = next(one for one in as_completed(said) if not one.result())
        assert refused and not all(one.done() for one in said)
        assert preview(other, 7)
        answers = [one.result() for one in said]
    assert 1 <= answers.count(True) <= 7 + 3 and answers.count(False) >= 10


def test_files_do_not_wait_behind_covers(pipeline: AlbumCoverPipeline):
    """Whoever waits for a cover holds a thread; with 40 of them, as Gradio has, everybody else waits for one, too."""
    go = threading.Event()
    go.set()

    class Waiting:
        def __getattr__(self, name: str) -> object:
            return getattr(pipeline, name)

        def __call__(self, **asked: object) -> object:
            go.wait(120)
            return pipeline(**asked)

    page = build_page(Waiting(), "user/covers")
    crate = next(block for block in page.blocks.values() if block.elem_id == "crate")
    place = {"x": 1, "y": 0, "truncation": 1}
    asked = {"component_id": crate._id, "fn_name": "look", "session_hash": "a", "data": place}
    with (
        launched(page) as address,
        httpx.Client(base_url=address, timeout=120, trust_env=False) as visitor,
        ThreadPoolExecutor(60) as many,
    ):
        file = visitor.post("gradio_api/upload", files={"files": ("a.bin", b"x")}).json()[0]
        go.clear()
        waiting = [many.submit(visitor.post, "gradio_api/component_server", json=asked) for _ in range(60)]
        time.sleep(2)
        try:
            assert visitor.get(f"gradio_api/file={file}", timeout=30).content == b"x"
            assert not any(one.done() for one in waiting)
        finally:
            go.set()
        assert all("cover" in one.result().json() for one in waiting)


def test_previews_of_links_have_a_limit(visitor: httpx.Client, monkeypatch):
    from gan.studio.shell import door

    assert visitor.get("cover.png?seed=1").status_code == 200
    monkeypatch.setattr(door, "CALLS_AT_ONCE", 0)
    assert visitor.get("cover.png?seed=1").status_code == 503
    assert outcome(visitor, "call/generate", {"data": [7, 1, "", 0, ""]})[1].count("event: complete") == 1


def test_another_sites_scripts_never_have_a_visitors_login(visitor: httpx.Client):
    for origin in ("https://evil.example", "null", str(visitor.base_url)):
        for method, path in (("GET", "config"), ("OPTIONS", "gradio_api/queue/join"), ("GET", "nothing")):
            headers = {"origin": origin, "access-control-request-method": "POST", "host": "covers.example"}
            answer = visitor.request(method, path, headers=headers)
            assert "access-control-allow-credentials" not in answer.headers


def test_a_request_may_come_from_anywhere_and_name_no_host(visitor: httpx.Client, caplog):
    odd = (
        "",
        "http://",
        "http://[::1",
        "javascript:x",
        "https://a:99999",
        "x" * 3000,
        "http://localhost@evil",
        "file://",
    )
    for origin in (*odd, "http://127.0.0.1.evil", "http://a, http://b", b"http://\xfcber.example"):
        for method, path in (("GET", "config"), ("OPTIONS", "gradio_api/queue/join")):
            headers = {"origin": origin, "access-control-request-method": "POST"}
            answer = visitor.request(method, path, headers=headers)
            assert answer.status_code == 200 and "access-control-allow-credentials" not in answer.headers, origin
    there = urlsplit(str(visitor.base_url))
    with socket.create_connection((there.hostname, there.port), timeout=20) as connection:
        connection.sendall(b"GET /config HTTP/1.0\r\nOrigin: null\r\n\r\n")
        assert b" 200 OK" in connection.recv(100)
    assert not caplog.messages


def test_the_folder_is_nobody_elses_also_when_it_was_removed(pipeline: AlbumCoverPipeline, monkeypatch):
    """As what clears /tmp does: Gradio makes it anew as everybody's."""
    monkeypatch.setattr(housekeeping, "EVERY", 0.2)
    folder = Path(get_upload_folder())
    with launched(build_page(pipeline, "user/covers")) as address:
        with httpx.Client(base_url=address, timeout=30, trust_env=False) as visitor:
            for _ in range(2):
                assert visitor.post("gradio_api/upload", files={"files": ("a.bin", b"x")}).status_code == 200
                time.sleep(2)
                assert stat.S_IMODE(folder.stat().st_mode) == 0o700
                shutil.rmtree(folder)


def test_as_many_as_may_wait_do(page, visitor: httpx.Client, monkeypatch):
    from gan.studio.shell import door

    monkeypatch.setitem(door.MOST_WAITING, "film", 2)
    film = {"data": [["seed=1", "seed=2"], 120, False, 20, "webp"]}
    said = [visitor.post("gradio_api/call/film", json=film) for _ in range(6)]
    assert [answer.status_code for answer in said].count(503) >= 3
    assert "Too many others wait for this" in said[-1].json()["error"]
    # who asks for a cover does not wait for films
    assert outcome(visitor, "call/generate", {"data": [7, 1, "", 0, ""]})[1].count("event: complete") == 1
    for answer in said[:3]:
        visitor.get(f"gradio_api/call/film/{answer.json()['event_id']}") if answer.status_code == 200 else None


def test_no_session_is_kept(page, visitor: httpx.Client):
    for number in range(20):
        body = {"data": [f"seed={number}"], "session_hash": f"session{number}"}
        assert "event: complete" in outcome(visitor, "call/cover", body)[1]
    assert len(page.state_holder.session_data) == 0


def test_answers_that_nobody_fetches_are_dropped(pipeline: AlbumCoverPipeline, monkeypatch):
    monkeypatch.setattr(housekeeping, "EVERY", 0.2)
    monkeypatch.setattr(housekeeping, "UNREAD", 0.5)
    with launched(build_page(pipeline, "user/covers")) as address:
        with httpx.Client(base_url=address, timeout=30, trust_env=False) as visitor:
            asked = visitor.post("gradio_api/call/generate", json={"data": [7, 1, "", 0, ""]}).json()["event_id"]
            time.sleep(6)
            answer = visitor.get(f"gradio_api/call/generate/{asked}")
            assert answer.status_code == 404 and "There is no such event" in answer.json()["error"]
            assert "event: complete" in outcome(visitor, "call/generate", {"data": [7, 1, "", 0, ""]})[1]
