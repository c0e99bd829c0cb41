"""Serve the page of runs: a list of what can be asked for, and nothing else."""

import base64
import re
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvicorn
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gan.request_head import bound_heads
from gan.run_page.runs import Run, Runs


HERE = Path(__file__).parent
FILES = [HERE / name for name in ("page.css", "page.js", "charts.js", "en.json", "de.json")]
FILES.append(HERE.parent / "studio/shell/record.svg")
ANSWERS = ("runs", "run", "sheet", "film")
HEADERS = {
    # what stands in a stranger's run can neither run nor be sent anywhere
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
FOR_EVER = HEADERS | {"Cache-Control": "private, max-age=31536000, immutable"}  # its address says when it was written
THREADS = 8
NUMBER = re.compile(r"[0-9]{1,15}")


class Login:
    """Let in who says a name and a password, by HTTP's basic authentication (ASGI middleware)."""

    def __init__(self, app: ASGIApp, user: str, password: str):
        self.app = app
        self.said = b"Basic " + base64.b64encode(f"{user}:{password}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            said = dict(scope["headers"]).get(b"authorization", b"")
            if not secrets.compare_digest(said, self.said):
                asking = HEADERS | {"WWW-Authenticate": 'Basic realm="Album Cover GAN"'}
                refused = JSONResponse({"error": "Not authenticated."}, 401, headers=asking)
                return await refused(scope, receive, send)
        await self.app(scope, receive, send)


def serve(
    runs: Runs, host: str, port: int, login: tuple[str, str] | None = None, ready: Callable[[str], None] = print
) -> None:
    """Show the page of some runs until Ctrl+C or SIGTERM.

    Args:
        runs: to be shown.
        host, port: where to listen.
        login: name and password of those who may look; None lets in all.
        ready: takes the page's address as soon as it can be opened.

    Raises:
        OSError: nothing can be served there.
    """
    app = run_page(runs, [Middleware(Login, user=login[0], password=login[1])] if login else [])
    bound_heads()
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        ready(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            return


def run_page(runs: Runs, middleware: Sequence[Middleware] = ()) -> Starlette:
    """Build the page of some runs, an application that answers GET alone.

    Beside the studio it has threads of its own, so that nobody waits for covers because a sheet comes from the Hub.
    """
    threads = CapacityLimiter(THREADS)

    def in_a_thread(answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def asked(request: Request) -> Response:
            return await to_thread.run_sync(answer, request, limiter=threads)

        return asked

    def known(request: Request) -> Run | None:
        return runs.list().get(request.query_params.get("run", ""))

    def list_of(request: Request) -> Response:
        listed = [{"name": name, "stamp": run.stamp(), "age": run.age()} for name, run in runs.list().items()]
        return JSONResponse(listed, headers=HEADERS)

    def tell(request: Request) -> Response:
        run = known(request)
        if run is None:
            return nothing()
        return JSONResponse(run.tell(_number(request, "generation"), _number(request, "count")), headers=HEADERS)

    def sheet(request: Request) -> Response:
        run = known(request)
        return _file(run.sheet(_number(request, "images")) if run else None, "image/png", FOR_EVER)

    def film(request: Request) -> Response:
        run = known(request)
        return _file(run.film() if run else None, "image/webp", FOR_EVER)

    routes = [Route(f"/{file.name}", _source(file)) for file in FILES] + [Route("/", _source(HERE / "page.html"))]
    answers = zip(ANSWERS, (list_of, tell, sheet, film), strict=True)
    routes += [Route(f"/{name}", in_a_thread(answer)) for name, answer in answers]
    return Starlette(routes=routes, middleware=list(middleware))


def _source(file: Path) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return FileResponse(file, headers=HEADERS)

    return answer


def _file(file: Path | None, kind: str, headers: dict[str, str]) -> Response:
    return nothing() if file is None else FileResponse(file, media_type=kind, headers=headers)


def nothing() -> Response:
    """Return the answer where there is nothing, or nothing any more."""
    return JSONResponse({"error": "There is nothing here."}, 404, headers=HEADERS)


def _number(request: Request, name: str) -> int:
    said = request.query_params.get(name, "")
    return int(said) if NUMBER.fullmatch(said) else 0
