"""The head of a request, bounded before anybody sees it: httptools takes any number of bytes, for any time."""

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from uvicorn.config import HTTP_PROTOCOLS


if TYPE_CHECKING or find_spec("httptools"):
    import httptools
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
else:  # uvicorn takes h11 then, which bounds heads itself, to 64 kB as well
    httptools, HttpToolsProtocol = None, object


LARGEST_HEAD = 65_536  # bytes
PATIENCE = 60  # seconds for a head to arrive in


def bound_heads() -> None:
    """Let every server of this process that starts from now on hang up on heads that are too large or too slow."""
    if httptools is not None:
        HTTP_PROTOCOLS["auto"] = f"{__name__}:{Bounded.__name__}"


class Bounded(HttpToolsProtocol):
    """Bound the heads of a connection's requests: at most LARGEST_HEAD bytes, each there within PATIENCE."""

    _head: int | None = 0  # bytes of the head that has not ended, None within a request
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, unless they make the head too large."""
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > LARGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("The head of this request is too large.")

    def on_headers_complete(self) -> None:
        """Hand the request on, if its head is not too large."""
        if sum(len(name) + len(value) for name, value in self.headers) > LARGEST_HEAD:
            raise httptools.HttpParserError("the head of this request is too large")
        self._head_is_here()
        super().on_headers_complete()

    def on_message_begin(self) -> None:
        """Wait for the head of another request."""
        super().on_message_begin()
        self._await_head()

    def _await_head(self) -> None:
        self._head = 0
        if self._late is None:
            self._late = asyncio.get_running_loop().call_later(PATIENCE, self.transport.close)

    def _head_is_here(self) -> None:
        self._head = None
        if self._late is not None:
            self._late.cancel()
            self._late = None
