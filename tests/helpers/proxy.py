"""A reverse proxy that shows a server below a path, as nginx does with `location /covers/ { proxy_pass ...; }`."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


@contextmanager
def proxied(upstream: str, port: str, path: str) -> Iterator[str]:
    """Show `upstream`, an address that ends with a slash, below `path` at `port`; yields the address there."""
    client = httpx.AsyncClient(trust_env=False, timeout=60)

    async def forward(request: Request) -> Response:
        rest = request.url.path.removeprefix(path).lstrip("/")
        query = f"?{request.url.query}" if request.url.query else ""
        headers = [(name, value) for name, value in request.headers.raw if name != b"accept-encoding"]
        asked = client.build_request(
            request.method, f"{upstream}{rest}{query}", headers=headers, content=await request.body()
        )
        answer = await client.send(asked, stream=True)
        kept = {name: value for name, value in answer.headers.items() if name not in ("content-length", "connection")}
        return StreamingResponse(answer.aiter_raw(), answer.status_code, kept)

    methods = ["GET", "POST", "HEAD", "DELETE"]
    app = Starlette(routes=[Route(f"{path}{{rest:path}}", forward, methods=methods)])
    server = uvicorn.Server(uvicorn.Config(app, port=int(port), log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}{path}/"
    server.should_exit = True
    thread.join()
