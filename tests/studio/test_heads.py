"""The head of a request, what proxies say in it, and requests of shapes that no browser sends."""

import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from gan import request_head


def said_to(address: str, *parts: bytes) -> bytes:
    """Send bytes as they are, part by part; return the answer, or what there is of it when the server hangs up."""
    where = urlsplit(address)
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
            while more := connection.recv(65_536):
                answer += more
        except ConnectionError:
            pass
        return answer


@pytest.mark.parametrize("name", (b"a" * 200_000, b"b: " + b"c" * 5_000_000, b"d: e\r\n" * 20_000))
def test_a_head_is_bounded(visitor: httpx.Client, name: bytes) -> None:
    address = str(visitor.base_url)
    parts = (name[n : n + 50_000] for n in range(0, len(name), 50_000))
    answer = said_to(address, b"GET / HTTP/1.1\r\nHost: a\r\n", *parts, b"\r\nConnection: close\r\n\r\n")
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    assert b"200 OK" in said_to(address, b"GET / HTTP/1.1\r\nx: " + b"y" * 9000 + b"\r\nConnection: close\r\n\r\n")


def test_a_slow_head_is_waited_for_a_minute_and_many_requests_are_none(
    page, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):  # one after the other on a connection that stays
        assert visitor.get("config").status_code == 200
    monkeypatch.setattr(request_head, "PATIENCE", 0.5)
    begin = time.monotonic()
    assert said_to(str(visitor.base_url), b"GET / HTTP/1.1\r\n") == b""
    assert said_to(str(visitor.base_url), b"") == b""
    assert 0.9 < time.monotonic() - begin < 15
    large = {"data": ["seed=7" + "&a=b" * 20_000]}  # a body is not a head
    assert visitor.post("gradio_api/call/cover", json=large).status_code == 200


def test_what_proxies_say_is_believed_where_it_can_be(visitor: httpx.Client) -> None:
    for host in ('a"><script>b</script>', "zz:yy:xx", "zz:99999", "zz yy", "[::zz", "z" * 300):
        answer = visitor.get("", headers={"x-forwarded-host": host, "x-forwarded-proto": "javascript"})
        assert answer.status_code == 200 and host not in answer.text, host
    for host in ("covers.example", "covers.example:8080", "[::1]:80", "one.example, two.example"):
        answer = visitor.get("config", headers={"x-forwarded-host": host, "x-forwarded-proto": "https"})
        assert answer.json()["root"].startswith(f"https://{host.partition(',')[0].removesuffix(':80')}"), host


def test_requests_of_every_shape_are_answered_in_words(visitor: httpx.Client, caplog) -> None:
    address = str(visitor.base_url)
    (sent,) = visitor.post("gradio_api/upload", files={"files": ("a.png", b"x" * 100)}).json()
    for wanted, size in (("0-0", 1), ("-5", 5), ("90-", 10), ("0-0,2-2", 100), ("--", 100), ("a-b", 100), ("", 100)):
        answer = visitor.get(f"gradio_api/file={sent}", headers={"range": f"bytes={wanted}"})
        assert answer.status_code in (200, 206) and len(answer.content) == size, wanted
    form = {"content-type": "multipart/form-data; boundary=b"}
    for what in (b'filename=""', b"filename*=UTF-8''%00%ff", b"filename=a", b"a"):
        part = b'--b\r\nContent-Disposition: form-data; name="files"; ' + what + b"\r\n\r\nx\r\n--b--\r\n"
        assert visitor.post("gradio_api/upload", content=part, headers=form).status_code < 500, what
    many = b'--b\r\nContent-Disposition: form-data; name="files"; FILENAME="a"\r\n\r\nx\r\n' * 9 + b"--b--\r\n"
    assert visitor.post("gradio_api/upload", content=many, headers=form).status_code == 413
    assert visitor.get(f"static/{'a' * 260}").status_code == 404
    half = b'{"address": "seed=\\ud800"}'
    assert visitor.post("gradio_api/call/v2/cover", content=half).status_code == 400
    pair = b'{"data": ["seed=\\ud83d\\ude00"]}'
    assert visitor.post("gradio_api/call/cover", content=pair).status_code == 200
    tool = (
        b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "tools/call", "params": {"name": "\\ud800", "arguments": {}}}'
    )
    assert visitor.post("gradio_api/mcp/", content=tool).status_code == 400
    assert visitor.get("gradio_api/mcp/", headers={"accept": "text/event-stream"}).status_code == 405
    socket_please = b"GET /gradio_api/queue/join HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    socket_please += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    assert b"403" in said_to(address, socket_please).partition(b"\r\n")[0]
    assert not [line for line in caplog.messages if "failed" in line or "Traceback" in line]
