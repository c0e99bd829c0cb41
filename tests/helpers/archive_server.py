"""The Internet Archive for the tests: a local server that does what archive.org does, and fails on demand."""

import hashlib
import json
import random
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


TAR = random.Random(0).randbytes(300_000)
NAME = "album_covers_x.tar"


class Archive(ThreadingHTTPServer):
    """What archive.org does for the item `audio-covers`, and a script of what goes wrong.

    Attributes:
        files: content by name.
        listed: what the metadata says otherwise, by name: new values of keys, None for a key that is not there.
        script: for each request for a file (or for the file list, where it begins with "metadata") what goes wrong:
            "drop N", "reset N" (when `go_on` is set) or "stall N" (until then) after N bytes of the answer, "ignore"
            the range, also "ignore N" and drop after N bytes, "corrupt", "page", "shifted", or "status [retry-after]".
        asked: (range asked for, status, bytes sent) of each request for a file; `times` when it came.
        outwaited: whether a client waited for half a minute at a connection that stalled.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files = {NAME: TAR, "album_covers_7.tar": TAR[::-1], "readme.txt": b"hello"}
        self.listed: dict[str, dict[str, str | None]] = {}
        self.script: list[str] = []
        self.asked: list[tuple[str | None, int, int]] = []
        self.times: list[float] = []
        self.agents: set[str] = set()
        self.go_on = threading.Event()
        self.outwaited = False

    def handle_error(self, *_) -> None:
        """Clients that go away are what is tested."""

    def metadata(self) -> dict:
        files = []
        for name, content in self.files.items():
            sums = {kind: hashlib.new(kind, content).hexdigest() for kind in ("md5", "sha1")}
            entry = {"name": name, "source": "original", "size": str(len(content)), **sums} | self.listed.get(name, {})
            files.append({key: value for key, value in entry.items() if value is not None})
        return {"files": files, "files_count": len(files), "server": "ia800000.us.archive.org"} if files else {}

    def sent(self, since: int = 0) -> int:
        return sum(count for _, _, count in self.asked[since:])


class Handler(BaseHTTPRequestHandler):
    """One request to an `Archive`."""

    server: Archive

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        self.server.agents.add(self.headers["User-Agent"])
        if self.path == "/metadata/audio-covers":
            content = json.dumps(self.server.metadata()).encode()
            if not self.server.script or not self.server.script[0].startswith("metadata "):
                self.answer(200, content)
            elif (fault := self.server.script.pop(0).removeprefix("metadata ")) == "drop":
                self.answer(200, content, stop=20)
            else:
                self.answer(200, b"<html>We are down for maintenance</html>") if fault == "page" else self.fail(fault)
        elif self.path.startswith("/download/audio-covers/"):
            self.answer(302, b"", {"Location": f"{self.server.url}/3/items/{self.path.removeprefix('/download/')}"})
        else:
            self.file(self.server.files.get(self.path.removeprefix("/3/items/audio-covers/")))

    def file(self, content: bytes | None) -> None:
        script, wanted = self.server.script, self.headers["Range"]
        fault, _, number = (script.pop(0) if script else "").partition(" ")
        self.server.times.append(time.monotonic())
        if content is None or fault.isdecimal():
            self.server.asked.append((wanted, int(fault or 404), 0))
            return self.fail(f"{fault or 404} {number}".strip())
        if fault == "corrupt":
            content = bytes(len(content))
        if fault == "page":
            content, fault = b"<html>Log in to this network</html>", "ignore"
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and fault != "ignore" else 0
        if begin and begin >= len(content):
            self.server.asked.append((wanted, 416, 0))
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        begin += fault == "shifted"
        headers = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if begin else {}
        stop = int(number) if number else None
        self.answer(206 if begin else 200, content[begin:], headers, stop, fault, wanted)

    def fail(self, how: str) -> None:
        status, _, pause = how.partition(" ")
        self.answer(int(status), b"Slow down", {"Retry-After": pause} if pause else {})

    def answer(self, status, content, headers=None, stop=None, fault="", wanted=None) -> None:
        """Send an answer, or only the first `stop` bytes of what it promises."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if "items" in self.path and status < 300:
            self.server.asked.append((wanted, status, len(content[:stop])))
        self.wfile.write(content[:stop])
        if fault in ("stall", "reset") and not self.server.go_on.wait(30):
            self.server.outwaited = True
        if fault == "reset":  # once the client has read it, for a reset throws away what is on its way
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
