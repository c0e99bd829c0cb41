"""What the server says before any of the page runs: previews of links, and how long its scripts may be kept."""

import json
import re
from html import escape
from io import BytesIO

from gradio.route_utils import get_root_url
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gan.studio.address import Address
from gan.studio.locale import LANGUAGES
from gan.studio.model import Model


PREVIEW_SIZE = 512  # pixels a side
PREVIEW = "/cover.png"  # with a cover's address after it
META = re.compile(r'<meta (?:property="og:|name="twitter:)[^>]*>\s*')  # Gradio's own
ASSET = re.compile(r"/assets/[\w-]+-[\w-]{8,9}\.(css|js)")  # of Gradio; its name changes with its content


class Front:
    """Give addresses previews and scripts a long life, as ASGI middleware before Gradio.

    The page that it stands before has its model as `front_model`.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request, page = Request(scope, receive), scope["app"].get_blocks()
        path, model = scope["path"].removeprefix(scope.get("root_path", "")), getattr(page, "front_model", None)
        if ASSET.fullmatch(path):
            return await self.app(scope, receive, _for_ever(send))
        if model is None or scope["app"].auth is not None:  # a preview would show what only those with a login may see
            return await self.app(scope, receive, send)
        if scope["method"] == "GET" and path == PREVIEW:
            return await (await run_in_threadpool(_picture, model, request.url.query))(scope, receive, send)
        if scope["method"] == "GET" and path in ("", "/"):
            root = get_root_url(request, route_path="/", root_path=scope["app"].root_path)
            send = _Rewriting(send, _tags(model, request.url.query, root)).send
        await self.app(scope, receive, send)


def _for_ever(send: Send) -> Send:
    """Let browsers keep what is sent; Gradio says nothing of that, and they would ask for its 2 MB again and again."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            MutableHeaders(scope=message)["Cache-Control"] = "public, max-age=31536000, immutable"
        await send(message)

    return sending


def _picture(model: Model, query: str) -> Response:
    """Draw the cover of an address, large enough for a preview; one that is wrong has none."""
    address = model.readable(query)
    if address is None:
        return _sentence(404, "There is no such cover.")
    file = BytesIO()
    side = max(PREVIEW_SIZE, model.resolution)
    model.draw([address])[0].resize((side, side), Image.Resampling.LANCZOS).save(file, "PNG", compress_level=3)
    return Response(file.getvalue(), media_type="image/png", headers={"Cache-Control": "public, max-age=3600"})


def _tags(model: Model, query: str, root: str) -> str:
    address = model.readable(query) or model.address(model.opening)
    described = _name(address)
    said = {
        "og:type": "website",
        "og:site_name": "Album Cover GAN",
        "og:title": f"{described} – Album Cover GAN",
        "og:description": LANGUAGES["en"]["tagline"],
        "og:url": f"{root}/?{address.query()}",
        "og:image": f"{root}{PREVIEW}?{address.query()}",
        "og:image:alt": f"Album cover: {described}",
    }
    tags = [f'<meta property="{name}" content="{escape(value)}" />' for name, value in said.items()]
    return "\n".join([*tags, '<meta name="twitter:card" content="summary_large_image" />'])


def _name(address: Address) -> str:
    words = LANGUAGES["en"]
    name = words["between"] if address.seed is None else words["seed-n"].format(seed=address.seed)
    kind = words["kind-n"].format(n=address.kind) if address.kind else ""
    colours = ", ".join(words[f"colour-{colour}"] for colour in address.shares or ())
    return ", ".join(filter(None, (name, address.genre, kind, colours)))


def _sentence(status: int, sentence: str) -> Response:
    body = json.dumps({"detail": sentence, "error": sentence})
    return Response(body, status, media_type="application/json")


class _Rewriting:
    """Put `tags` in the place of Gradio's own into an answer that is HTML."""

    def __init__(self, send: Send, tags: str):
        self._send, self._tags, self._body = send, tags, b""
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = dict(message["headers"])
            if message["status"] == 200 and headers.get(b"content-type", b"").startswith(b"text/html"):
                self._start = message
                return
        if self._start is None:
            return await self._send(message)
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        page = META.sub("", self._body.decode()).replace("</head>", f"{self._tags}\n</head>", 1).encode()
        others = [(name, value) for name, value in self._start["headers"] if name != b"content-length"]
        length = (b"content-length", str(len(page)).encode())
        await self._send({**self._start, "headers": [*others, length]})
        await self._send({"type": "http.response.body", "body": page})
