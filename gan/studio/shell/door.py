"""The door: the first that a request meets. What the page does not need is answered here, and goes no further.

Gradio mounts far more than this page shows (recordings, deep links, proxies, files fetched from any address), and
reads bodies into memory before anybody looks at them. So here is a list of what is let in: routes, sizes, and what a
request may say of files. What goes wrong behind the door becomes one line in the log.
"""

import asyncio
import base64
import binascii
import contextlib
import json
import logging
import re
import secrets
import time
from dataclasses import dataclass

from gradio.block_function import BlockFunction
from gradio.routes import App
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gan.errors import kind_and_place
from gan.run_page.server import ANSWERS, FILES
from gan.studio.shell.bodies import check_data, check_file, check_names, known, read_json
from gan.studio.shell.front import PREVIEW
from gan.studio.shell.shares import ANSWERED, LastMinute, Places, Shut, half, visitor


API = "/gradio_api"
SMALL = 100_000  # bytes of a body that holds no picture
LARGE = 12 * 2**20  # of one that does: 8 MB as text, and what stands around it
LARGEST_UPLOAD = 9_000_000  # a file of 8 MB, and what stands around it
LARGE_AT_ONCE = 4  # bodies above SMALL, which are held in memory
PATIENCE = 60  # seconds that a body may take
UPLOADS_A_MINUTE = 100_000_000  # bytes, of all visitors together
UPLOADS_AT_ONCE, FILES_AT_ONCE = 8, 8
FEW = 64  # separators of a large body: it is one picture, and little else
CALLS_AT_ONCE = 512  # of functions that a script calls outside the queue
STREAMS_AT_ONCE = 4000  # answers that stay open, two for each visitor
WRONG_LOGINS, WRONG_LOGINS_OF_ONE = 300, 10  # a minute
MOST_WAITING = {"film": 8, "print": 8, "search": 6, "training": 4}  # in the queue, by the name of what they wait for
MOST_OTHERS_WAITING = 256
RUN = "run"  # below which the page of the generator's run is
NAME = r"[\w-]{1,64}"
HOST = rb"([\w.-]{1,253}|\[[\da-fA-F:.]{2,45}\])(:\d{1,4}|:[1-5]\d{4})?"
SOUND = {
    b"x-forwarded-host": re.compile(rb"%b(, ?%b){0,4}" % (HOST, HOST)),
    b"x-forwarded-proto": re.compile(rb"https?(, ?https?){0,4}"),
    b"range": re.compile(rb"bytes=(\d{1,15}-\d{0,15}|-\d{1,15})"),
}
MCP = rf"{API}/mcp(/(http/?)?)?"

log = logging.getLogger("gan.studio")


@dataclass(frozen=True)
class Route:
    """Say which requests are let in, and how many bytes their bodies may have."""

    methods: str
    path: str
    largest: int = 0


ROUTES = (
    Route("GET HEAD", rf"/?|/config/?|/theme\.css|/robots\.txt|/favicon\.ico|/manifest\.json|{re.escape(PREVIEW)}"),
    Route("GET HEAD", r"/(static|assets|svelte|learn)/[\w./@+~-]{1,200}"),
    Route("GET", rf"{API}/(info|openapi\.json|startup-events|theme\.css|app_id|user|login_check|token)/?"),
    Route("GET HEAD", rf"/{RUN}/({'|'.join([*ANSWERS, *(re.escape(file.name) for file in FILES)])})?"),
    Route("GET", r"/logout"),
    Route("POST", r"/login/?", 10_000),
    Route("GET", rf"(?P<stream>{API}/heartbeat/{NAME}|{API}/queue/(data|status))"),
    Route("GET", rf"{API}/call/(v2/)?{NAME}/(?P<event>{NAME})"),
    Route("GET HEAD", rf"{API}/file=(?P<file>.{{1,500}})"),
    Route("POST", rf"{API}/call/(v2/)?(?P<call>{NAME})/?", SMALL),
    Route("POST", rf"{API}/queue/join|{API}/component_server/?", LARGE),
    Route("POST", rf"{API}/run/(?P<run>{NAME})/?", SMALL),
    Route("POST", rf"{API}/(cancel|reset)/?", SMALL),
    Route("POST", rf"{API}/upload", LARGEST_UPLOAD),
    Route("GET POST DELETE", MCP, LARGE),
    Route("GET", rf"{API}/mcp/schema"),
)
# What else a body says is left out. A field in brackets may be missing, or null.
FIELDS: dict[str, dict[str, type]] = {
    "call": {"data": list, "(session_hash)": str},
    "queue": {"data": list, "fn_index": int, "session_hash": str, "(trigger_id)": int, "(event_data)": object},
    "run": {"data": list, "fn_index": int, "(session_hash)": str, "(trigger_id)": int, "(event_data)": object},
    "component_server": {"component_id": int, "fn_name": str, "session_hash": str, "data": object},
    "cancel": {"event_id": str, "session_hash": str, "fn_index": int},
    "reset": {"event_id": str},
}
_COMPILED = tuple((route.methods.split(), re.compile(route.path), route.largest) for route in ROUTES)


class Door:
    """Check each request, as ASGI middleware before all others, Gradio's own included; see `stand_before`."""

    def __init__(self, app: ASGIApp, server: App):
        self.app, self.server = app, server
        self.within = secrets.token_urlsafe(32)  # by which the server knows itself when it calls itself for MCP
        self._large, self._uploading, self._calls, self._streams = Places(), Places(), Places(), Places()
        self._uploads, self._wrong_logins = LastMinute(), LastMinute()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # the page speaks no websockets
            return await send({"type": "websocket.close"})
        scope = {**scope, "headers": [pair for pair in scope["headers"] if _is_sound(*pair)]}
        if not any(name == b"host" for name, _ in scope["headers"]):  # of HTTP/1.0: no origin can be compared with it
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"origin"]
        began = False
        held: list[Message] = []

        async def sent(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                message = {**message, "headers": [pair for pair in message.get("headers", ()) if _is_ours(pair)]}
            if held or message.get("status") == 500:  # perhaps an exception follows: then it is said here, in words
                return held.append(message)
            began = True
            await send(message)

        try:
            await self._let_in(scope, receive, sent)
            for message in held:
                await send(message)
        except Shut as shut:
            if shut.status != 404:
                log.warning("refused a request: %s", shut.sentence)
            if not began:
                await _say(send, shut)
        except Exception as error:  # whatever Gradio stumbles over
            log.error("a request failed: %s", kind_and_place(error))
            if not began:
                await _say(send, Shut(500, "This went wrong on the server."))
            else:
                with contextlib.suppress(Exception):  # whoever listens is told at least that this is all
                    await send({"type": "http.response.body", "body": b""})

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        found, largest = _route(scope["method"], path)
        self._know(scope, path)
        if re.fullmatch(MCP, path) and scope["method"] in ("GET", "DELETE"):
            raise Shut(405, "Tools are asked by POST: there are no sessions.", ((b"allow", b"POST"),))
        if found.groupdict().get("file"):
            check_file(found["file"])
        if event := found.groupdict().get("event"):
            self._check_event(event)
        function = self._called(found.groupdict().get("call"), visitor(scope))
        if event or found.groupdict().get("stream"):
            with self._streams.place(visitor(scope), STREAMS_AT_ONCE, "Too many visitors at once."):
                return await self.app(scope, receive, send)
        if path == PREVIEW:  # a picture that is drawn for whoever shows a link
            return await self._call(scope, receive, send)
        if not largest:
            return await self.app(scope, receive, send)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 9 or int(length) > largest:
            raise Shut(413, f"At most {largest / 1e6:.3g} MB can be sent here.", ((b"connection", b"close"),))
        if path.rstrip("/") == f"{API}/upload":
            return await self._upload(scope, receive, send, largest)
        if path.rstrip("/") == "/login":
            return await self._log_in(scope, receive, send, largest)
        if int(length) <= SMALL and b"content-length" in dict(scope["headers"]):
            body = await _body(receive, SMALL)
            return await self._pass(scope, path, function, body, receive, send)
        with self._large.place(
            visitor(scope), LARGE_AT_ONCE, "Too many pictures arrive at once; try again in a minute."
        ):
            body = await _body(receive, largest)
            return await self._pass(scope, path, function, body, receive, send)

    async def _pass(
        self, scope: Scope, path: str, function: BlockFunction | None, body: bytes, receive: Receive, send: Send
    ) -> None:
        """Hand a request with a JSON body on, when all of the body is of the kind that this page takes."""
        if scope["method"] != "POST":
            return await self.app(scope, replay(body, receive), send)
        if len(body) > SMALL and sum(map(body.count, (b",", b"[", b"{"))) > FEW:
            raise Shut(413, f"At most {SMALL // 1000} kB can be sent here, but for pictures.")
        said = read_json(body)
        if not isinstance(said, dict):
            raise Shut(400, "A request is a JSON object.")
        kind = path.removeprefix(API).split("/")[1]
        if path.startswith(f"{API}/call/v2/") and function is not None:
            check_names(function, said)
        elif kind in FIELDS:
            said = known(said, FIELDS[kind])
        if kind in ("queue", "run"):
            function = self.server.get_blocks().fns.get(said["fn_index"])
            if function is None:
                raise Shut(400, "There is no such event.")
            if len(body) > SMALL and function.concurrency_id != "search":
                raise Shut(413, f"At most {SMALL // 1000} kB can be sent here, but for pictures.")
            if kind == "queue":
                self._check_place(function, visitor(scope))
        if function is not None:
            check_data(function, said)
        if kind == "component_server":
            if len(body) > SMALL:
                raise Shut(413, f"At most {SMALL // 1000} kB can be sent here.")
            block = self.server.get_blocks().blocks.get(said["component_id"])
            if said["fn_name"] not in [one.__name__ for one in getattr(block, "server_fns", ())]:
                raise Shut(404, "There is no such function.")
        page = self.server.get_blocks()  # whose own number its `load` is triggered by
        if kind in ("queue", "run") and said.get("trigger_id", -1) not in (None, -1, page._id, *page.blocks):
            raise Shut(400, "There is no such component.")
        content = json.dumps(said).encode()
        headers = [pair for pair in scope["headers"] if pair[0] not in (b"content-length", b"content-type")]
        headers += [(b"content-length", b"%d" % len(content)), (b"content-type", b"application/json")]
        scope = {**scope, "headers": headers}
        answer = self._call if path.startswith(f"{API}/component_server") else self.app
        await answer(scope, replay(content, receive), send)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what is answered outside the queue, unless too many others wait for such an answer."""
        with self._calls.place(visitor(scope), CALLS_AT_ONCE, "Too many visitors at once; try again in a moment."):
            before = ANSWERED.set(visitor(scope))
            try:
                await self.app(scope, receive, send)
            finally:
                ANSWERED.reset(before)

    # ---- the queue

    def _called(self, name: str | None, who: str) -> BlockFunction | None:
        """Return the endpoint of this name. Raises Shut when there is none, or it has no place."""
        if name is None:
            return None
        named = (one for one in self.server.get_blocks().fns.values() if one.api_name == name)
        function = next((one for one in named if one.api_visibility == "public"), None)
        if function is None:
            raise Shut(404, "There is no such endpoint.")
        self._check_place(function, who)
        return function

    def _check_event(self, event: str) -> None:
        """Raise Shut unless somebody has asked for this event, and not yet fetched its answer."""
        queue = self.server.get_blocks()._queue
        waiting = any(event in events for events in queue.pending_event_ids_session.values())
        if not waiting and event not in queue.event_ids_to_events:
            raise Shut(404, "There is no such event, or its answer was fetched.")

    def _check_place(self, function: BlockFunction, who: str) -> None:
        """Raise Shut when as many wait as may; those who wait for something else do not count."""
        queue = self.server.get_blocks()._queue.event_queue_per_concurrency_id.get(function.concurrency_id)
        if queue is None:
            return
        most = MOST_WAITING.get(function.concurrency_id, MOST_OTHERS_WAITING)
        own = sum(event.request is not None and visitor(event.request.scope) == who for event in queue.queue)
        if len(queue.queue) >= most or own >= half(most):
            raise Shut(503, "Too many others wait for this; try again in a minute.")

    # ---- uploads

    async def _upload(self, scope: Scope, receive: Receive, send: Send, largest: int) -> None:
        """Hand an upload on when all of it is there, and of few files: Gradio holds each open from its start."""
        who, sentence = visitor(scope), "Too many files arrive at once; try again in a minute."
        if self._uploads.is_full(who, UPLOADS_A_MINUTE, half(UPLOADS_A_MINUTE)):
            raise Shut(503, sentence)
        with self._uploading.place(who, UPLOADS_AT_ONCE, sentence):
            body = await _body(receive, largest)
            self._uploads.add(who, len(body))
            if len(re.findall(rb"filename", body, re.IGNORECASE)) > FILES_AT_ONCE:
                raise Shut(413, f"At most {FILES_AT_ONCE} files can be sent here at once.")
            try:
                # without an `upload_id`: Gradio keeps each for ever, for a progress that is never asked for here
                await self.app({**scope, "query_string": b""}, replay(body, receive), send)
            except (TypeError, ValueError):  # of parts, and of names
                raise Shut(400, "These files cannot be read.") from None

    # ---- who it is

    def _know(self, scope: Scope, path: str) -> None:
        """Take a name and a password from the request's header as a login, and ask for one where there is none.

        Gradio itself asks on its own routes; those of MCP and of the page of a run it leaves open.
        """
        if self.server.auth is None:
            return
        headers = dict(scope["headers"])
        cookie = headers.get(b"cookie", b"").decode("latin-1")
        is_known = any(part.strip().partition("=")[2] in self.server.tokens for part in cookie.split(";"))
        user = None
        if headers.get(b"authorization", b"")[:6].lower() == b"basic ":
            if not is_known:
                self._check_logins(scope)
            user = self._user(headers[b"authorization"])
            if user is None and not is_known:
                self._wrong_logins.add(visitor(scope))
        if user is not None:
            token = next((token for token, name in self.server.tokens.items() if name == user), None)
            if token is None:
                self.server.tokens[token := secrets.token_urlsafe(16)] = user
            login = f"access-token-unsecure-{self.server.cookie_id}={token}"
            others = [pair for pair in scope["headers"] if pair[0] != b"cookie"]
            scope["headers"] = [*others, (b"cookie", "; ".join(filter(None, (cookie, login))).encode("latin-1"))]
        elif path.startswith((f"{API}/mcp", f"/{RUN}/")) and not is_known:
            raise Shut(401, "Not authenticated.", ((b"www-authenticate", b'Basic realm="Album Cover GAN"'),))
        elif path.startswith(f"{API}/mcp"):
            user = "mcp"
        if user is not None and path.startswith(f"{API}/mcp"):
            self._let_mcp_in()

    async def _log_in(self, scope: Scope, receive: Receive, send: Send, largest: int) -> None:
        """Hand a name and a password on, and count those that are wrong."""
        self._check_logins(scope)

        async def sent(message: Message) -> None:
            if message.get("status", 200) >= 400:
                self._wrong_logins.add(visitor(scope))
            await send(message)

        await self.app(scope, replay(await _body(receive, largest)), sent)

    def _check_logins(self, scope: Scope) -> None:
        if self._wrong_logins.is_full(visitor(scope), WRONG_LOGINS, WRONG_LOGINS_OF_ONE):
            raise Shut(429, "Too many wrong passwords; try again in a minute.", ((b"retry-after", b"60"),))

    def _user(self, authorization: bytes) -> str | None:
        kind, _, text = authorization.partition(b" ")
        if kind.lower() != b"basic" or len(text) > 1000:
            return None
        try:
            user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        if user == "mcp" and secrets.compare_digest(password.encode(), self.within.encode()):
            return user
        known = self.server.auth.get(user) if isinstance(self.server.auth, dict) else None
        return user if known is not None and secrets.compare_digest(password.encode(), known.encode()) else None

    def _let_mcp_in(self) -> None:
        """Give the address of Gradio's MCP server a login: it asks the page itself over HTTP, without one."""
        mcp, page = self.server.get_blocks().mcp_server_obj, self.server.get_blocks()
        if mcp is not None and page.local_url:
            mcp._local_url = page.local_url.replace("://", f"://mcp:{self.within}@", 1)


def stand_before(server: App) -> None:
    """Put the door before a page's server, which has been built and has not yet answered anybody."""
    assert server.middleware_stack is not None
    server.middleware_stack = Door(server.middleware_stack, server)


# ---- routes


def _route(method: str, path: str) -> tuple[re.Match[str], int]:
    for methods, pattern, largest in _COMPILED:
        if (method in methods or method == "OPTIONS") and (found := pattern.fullmatch(path)):
            return found, 0 if method in ("GET", "HEAD", "OPTIONS") else largest
    raise Shut(404, "There is nothing here.")


# ---- bodies and headers


async def _body(receive: Receive, largest: int) -> bytes:
    """Read a body. Raises Shut when it is too large, or takes too long."""
    parts, size, end = [], 0, time.monotonic() + PATIENCE
    while True:
        try:
            message = await asyncio.wait_for(receive(), max(0.0, end - time.monotonic()))
        except TimeoutError:
            raise Shut(408, "The request took too long.") from None
        if message["type"] == "http.disconnect":
            raise Shut(400, "The request ended early.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > largest:
            raise Shut(413, f"At most {largest / 1e6:.3g} MB can be sent here.", ((b"connection", b"close"),))
        if not message.get("more_body"):
            return b"".join(parts)


def replay(body: bytes, receive: Receive | None = None) -> Receive:
    """Return what gives an application `body` as if it came now, and then what `receive` gives."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        if left:
            return left.pop()
        if receive is not None:
            return await receive()
        nothing: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await nothing  # for ever

    return again


def _is_sound(name: bytes, value: bytes) -> bool:
    """Return whether a request's header is one that the page listens to: what a proxy says, and which part of a file.

    Several parts of a file at once, and hosts that are none, are for Gradio nothing but an error.
    """
    pattern = SOUND.get(name.lower())
    return pattern is None or pattern.fullmatch(value) is not None


def _is_ours(header: tuple[bytes, bytes]) -> bool:
    # The page's own scripts need no leave; others must not use a visitor's login.
    return header[0].lower() != b"access-control-allow-credentials"


async def _say(send: Send, shut: Shut) -> None:
    body = json.dumps({"detail": shut.sentence, "error": shut.sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *shut.headers]
    await send({"type": "http.response.start", "status": shut.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
