"""Requests that are far too large are refused before they are read."""

import json
import logging
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send


LARGEST_BODY = 12 * 2**20  # bytes: a picture of 8 MB as text, and what stands around it

log = logging.getLogger("gan.studio")


class BodyLimit:
    """ASGI middleware: a body of more than `LARGEST_BODY` bytes is answered by 413 and a sentence, and not kept."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            return await _refuse(send)
        received, begun = 0, False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY:
                raise _TooLarge
            return message

        async def sent(message: Message) -> None:
            nonlocal begun
            if received <= LARGEST_BODY:  # else the application only says that it could not read the rest
                begun = True
                await send(message)

        with suppress(_TooLarge):
            await self.app(scope, counted, sent)
        if received > LARGEST_BODY and not begun:
            await _refuse(send)


class _TooLarge(Exception):
    """More bytes came than the request said."""


async def _refuse(send: Send) -> None:
    log.warning("refused a request of more than %d MB", LARGEST_BODY // 2**20)
    sentence = f"At most {LARGEST_BODY // 2**20} MB can be sent, and pictures of at most 8 MB."
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": sentence, "error": sentence}).encode()})
