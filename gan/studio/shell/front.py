"""What the server says before any of the page runs: the page, previews of links, how long its scripts may be kept."""

import json
import re
import zlib
from dataclasses import dataclass
from html import escape
from io import BytesIO

from anyio import to_thread
from gradio.route_utils import get_root_url
from PIL import Image
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gan.studio.address import Address
from gan.studio.locale import LANGUAGES
from gan.studio.model import Model


PREVIEW_SIZE = 512  # pixels a side
PREVIEW = "/cover.png"  # with a cover's address after it
PAGES = {"": "/", "/": "/", "/config": "/config", "/config/": "/config"}  # what Gradio calls them
MOST_KEPT, LONGEST_ROOT = 16, 200  # a visitor may say any address
META = re.compile(rb'<meta (?:property="og:|name="twitter:)[^>]*>\s*')  # Gradio's own
ASSET = re.compile(r"/assets/[\w-]+-[\w-]{8,9}\.(css|js)")  # of Gradio; its name changes with its content


@dataclass(frozen=True)
class _Answer:
    """Hold what Gradio answered: the start of it, and the body."""

    start: Message
    body: bytes


class Front:
    """Give addresses previews and scripts a long life, as ASGI middleware before Gradio.

    The page that it stands before has its model as `front_model`. Where nobody logs in it is the same for everybody,
    but for the address that it is reached at, and Gradio would build it anew for each visitor.
    """

    def __init__(self, app: ASGIApp):
        self.app = app
        self._kept: dict[tuple[str, str], _Answer] = {}  # by path and address

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
            picture = await to_thread.run_sync(_picture, model, request.url.query, limiter=page.limiter)
            return await picture(scope, receive, send)
        if scope["method"] == "HEAD" and path in PAGES:
            # Gradio would build the whole page, and itself asks so whether the page is there: on a busy machine that
            # took longer than the three seconds that it waits, and no page started
            there = Response(media_type="text/html")
            del there.headers["Content-Length"]  # the page has another
            return await there(scope, receive, send)
        if scope["method"] != "GET" or path not in PAGES:
            return await self.app(scope, receive, send)
        root = get_root_url(request, PAGES[path], scope["app"].root_path or scope.get("root_path"))
        answer = self._kept.get((path, root)) or await self._ask(scope, receive, path, root)
        body = answer.body
        if PAGES[path] == "/" and answer.start["status"] == 200:
            tags = _tags(model, request.url.query, root)
            body = body.replace(b"</head>", f"{tags}\n</head>".encode(), 1)
        others = [(name, value) for name, value in answer.start["headers"] if name != b"content-length"]
        await send({**answer.start, "headers": [*others, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})

    async def _ask(self, scope: Scope, receive: Receive, path: str, root: str) -> _Answer:
        """Ask Gradio for a page, and keep it. What stands in a link is for this page's scripts, and not Gradio's."""
        said: list[Message] = []

        async def hear(message: Message) -> None:
            said.append(message)

        await self.app({**scope, "query_string": b""}, receive, hear)
        start, body = said[0], b"".join(message.get("body", b"") for message in said[1:])
        if PAGES[path] == "/":
            body = META.sub(b"", body)
        answer = _Answer(start, body)
        if start["status"] == 200 and len(root) <= LONGEST_ROOT:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[path, root] = answer
        return answer


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
    model.draw([address])[0].resize((side, side), Image.Resampling.LANCZOS).save(
        file,
        "PNG",
        compress_level=1,
        compress_type=zlib.Z_RLE,  # of what is smooth smaller than 3, in half the time
    )
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
