"""A Hub for the tests: a local server that speaks enough of the Hugging Face Hub's protocol for its real clients.

    with Hub() as hub:
        subprocess.run([...], env=hub.environment(home))

Models, datasets and Spaces with commits, branches, tags, large files and variables, in memory; tokens and rights as on
the Hub. No pull requests, no Xet, no paging.
"""

import asyncio
import base64
import hashlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.helpers.hub_repo import LARGE, Refusal, Repo, content_response, entries, entry, git_hash, mistakes_in_card


KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
CLOSED = "Invalid credentials in Authorization header"


class Hub:
    """The server, in a thread of this process for as long as the `with` block lasts.

    Attributes:
        users: (name, may write) by token.
        repos: `Repo` by (kind, id).
        taken: ids that are something else than a model, a dataset or a Space.
        requests: "METHOD /path" of everything that was asked.
        paid_only: whether making a Space asks for payment, as of free accounts on the Hub.
        full: whether large files are refused.
        hold: requests for a path with this in it wait until it is another.
        cut_after: as soon as so many large files are stored, every connection is cut; None never.
        received: bytes of large files that came in, whether they were stored or not.
    """

    def __init__(self):
        self.users = {"hf_x": ("user", True), "hf_read": ("user", False)}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.taken: set[str] = set()
        self.requests: list[str] = []
        self.paid_only = self.full = False
        self.hold: str | None = None
        self.cut_after: int | None = None
        self.received = 0
        self.large: dict[str, bytes] = {}

    def __enter__(self) -> "Hub":
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.server = uvicorn.Server(
            uvicorn.Config(_application(self), log_level="warning", lifespan="off", timeout_graceful_shutdown=5)
        )
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]}, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_) -> None:
        self.hold, self.server.should_exit = None, True
        self.thread.join()

    def environment(self, home: Path, token: str | None = "hf_x", **more: str) -> dict[str, str]:
        """Environment for a client process: this Hub, caches in `home`, none of the surrounding login."""
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING")) and k != "PYTHONPATH"}
        mine |= {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        return mine | ({"HF_TOKEN": token} if token is not None else {}) | more

    async def body(self, request: Request) -> bytes:
        """What a request brings. Raises ClientDisconnect where the connection is cut in the middle of it."""
        parts = []
        async for part in request.stream():
            parts.append(part)
            self.received += len(part) if request.method == "PUT" else 0
            self.cut()
        return b"".join(parts)

    def cut(self) -> None:
        """Cut every connection, if it is time."""
        if self.cut_after is not None and len(self.large) >= self.cut_after:
            for connection in list(self.server.server_state.connections):
                connection.transport.abort()

    def user(self, request: Request) -> tuple[str, bool] | None:
        """Who asks, None for a stranger. A token that the Hub does not know is refused, whatever is asked for."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if given and given not in self.users:
            raise Refusal(401, message=CLOSED)
        return self.users.get(given)

    def repo(self, request: Request, write: bool = False) -> Repo:
        """The repository of a request's path. What somebody may not see does not exist for him."""
        user, path = self.user(request), request.path_params
        kind = KINDS[path.get("kind", "models")]
        owner = path["owner"]
        repo = self.repos.get((kind, f"{owner}/{path['name']}"))
        if repo is None or (repo.private and (user is None or user[0] != owner)):
            raise Refusal(401 if user is None else 404, "RepoNotFound", "Repository not found")
        if write and user is None:
            raise Refusal(401, message=CLOSED)
        if write and (user[0] != owner or not user[1]):
            raise Refusal(403, message="Forbidden: pass a token with write access to this repository")
        return repo

    def revision(self, request: Request, repo: Repo) -> tuple[str, dict[str, bytes]]:
        """Id and files of the commit of a request's path."""
        sha = repo.resolve(request.path_params.get("revision", "main"))
        if sha is None:
            raise Refusal(404, "RevisionNotFound", "Invalid rev id")
        return sha, repo.commits[sha]


def _application(hub: Hub) -> Starlette:
    def route(path: str, handler, *methods: str) -> Route:
        async def answer(request: Request) -> Response:
            hub.requests.append(f"{request.method} {request.url.path}")
            try:
                body = await hub.body(request)
                while hub.hold and hub.hold in request.url.path:
                    await asyncio.sleep(0.01)
                return handler(hub, request, body)
            except Refusal as refusal:
                return refusal.response
            except ClientDisconnect:
                return Response()  # to nobody

        return Route(path, answer, methods=methods or ["GET"])

    one = "/api/{kind}/{owner}/{name}"
    routes = [
        route("/api/whoami-v2", _whoami),
        route("/api/repos/create", _create, "POST"),
        route("/api/validate-yaml", _validate, "POST"),
        route(f"{one}/revision/{{revision}}", _info),
        route(f"{one}/tree/{{revision}}", _tree),
        route(f"{one}/tree/{{revision}}/{{folder:path}}", _tree),
        route(f"{one}/paths-info/{{revision}}", _paths_info, "POST"),
        route(f"{one}/preupload/{{revision}}", _preupload, "POST"),
        route(f"{one}/commit/{{revision}}", _commit, "POST"),
        route(f"{one}/tag/{{revision}}", _tag, "POST", "DELETE"),
        route(f"{one}/refs", _references),
        route(f"{one}/auth-check/write", _may_write),
        route(f"{one}/variables", _variables, "GET", "POST"),
        route(one, _info),
        route("/large/{oid}", _large, "GET", "HEAD", "PUT"),
    ]
    for prefix in ("/{kind}/{owner}/{name}", "/{owner}/{name}"):
        routes += [route(f"{prefix}.git/info/lfs/objects/batch", _large_batch, "POST")]
        routes += [route(f"{prefix}/resolve/{{revision}}/{{file:path}}", _resolve, "GET", "HEAD")]
    return Starlette(routes=routes)


def _whoami(hub: Hub, request: Request, body: bytes) -> Response:
    user = hub.user(request)
    if user is None:
        raise Refusal(401, message=CLOSED)
    token = {"type": "access_token", "accessToken": {"role": "write" if user[1] else "read"}}
    return JSONResponse({"type": "user", "name": user[0], "orgs": [], "auth": token})


def _create(hub: Hub, request: Request, body: bytes) -> Response:
    user, wanted = hub.user(request), json.loads(body)
    if user is None:
        raise Refusal(401, message=CLOSED)
    kind, owner = wanted.get("type") or "model", wanted.get("organization") or user[0]
    name = f"{owner}/{wanted['name']}"
    if owner != user[0] or not user[1]:
        raise Refusal(403, message=f'You don\'t have the rights to create a {kind} under the namespace "{owner}"')
    url = f"{hub.url}/{'' if kind == 'model' else f'{kind}s/'}{name}"
    if (kind, name) in hub.repos or name in hub.taken:
        return JSONResponse({"error": "You already created this repo", "url": url}, status_code=409)
    if kind == "space" and wanted.get("sdk") not in ("gradio", "docker", "static"):
        raise Refusal(400, message="sdk must be one of gradio, docker, static")
    if kind == "space" and hub.paid_only:
        raise Refusal(402, message="Gradio Spaces require a PRO subscription")
    repo = hub.repos[kind, name] = Repo(wanted.get("visibility") == "private", wanted.get("sdk"))
    repo.commit({".gitattributes": b""}, "initial commit")
    return JSONResponse({"url": url, "name": name, "id": name})


def _validate(hub: Hub, request: Request, body: bytes) -> Response:
    wanted = json.loads(body)
    mistakes = mistakes_in_card(wanted["content"], wanted["repoType"])
    if "text/plain" in request.headers.get("accept", ""):
        return PlainTextResponse("\n".join(mistakes), status_code=400 if mistakes else 200)
    errors = [{"message": mistake} for mistake in mistakes]
    return JSONResponse({"errors": errors, "warnings": []}, status_code=400 if errors else 200)


def _info(hub: Hub, request: Request, body: bytes) -> Response:
    repo = hub.repo(request)
    sha, files = hub.revision(request, repo)
    name = f"{request.path_params['owner']}/{request.path_params['name']}"
    facts = {
        "_id": "0",
        "id": name,
        "sha": sha,
        "private": repo.private,
        "gated": False,
        "disabled": False,
        "tags": [],
    }
    facts |= {"downloads": 0, "likes": 0, "siblings": [_sibling(request, *file) for file in files.items()]}
    return JSONResponse(facts | {"lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z"})


def _sibling(request: Request, path: str, content: bytes) -> dict:
    """A file in a repository's list, with its size where that is asked for."""
    return {"rfilename": path} | ({"size": len(content)} if "blobs" in request.query_params else {})


def _may_write(hub: Hub, request: Request, body: bytes) -> Response:
    hub.repo(request, write=True)
    return Response()


def _tree(hub: Hub, request: Request, body: bytes) -> Response:
    _, files = hub.revision(request, hub.repo(request))
    folder = request.path_params.get("folder", "")
    inside = f"{folder}/" if folder else ""
    found = [e for path, e in entries(files).items() if path.startswith(inside)]
    if folder and not found:
        raise Refusal(404, "EntryNotFound")
    if request.query_params.get("recursive", "").lower() != "true":
        found = [e for e in found if "/" not in e["path"].removeprefix(inside)]
    return JSONResponse(found)


def _paths_info(hub: Hub, request: Request, body: bytes) -> Response:
    _, files = hub.revision(request, hub.repo(request))
    json_body = "json" in request.headers.get("content-type", "")
    wanted = json.loads(body)["paths"] if json_body else parse_qs(body.decode()).get("paths", [])
    found = entries(files)
    return JSONResponse([found[path] for path in wanted if path in found])


def _preupload(hub: Hub, request: Request, body: bytes) -> Response:
    repo = hub.repo(request, write=True)
    _, files = hub.revision(request, repo)
    answer = []
    for path in (file["path"] for file in json.loads(body)["files"]):
        there = entry(path, files[path]) if path in files else {}
        mode = "lfs" if path.endswith(LARGE) else "regular"
        # the id of what is there already, by which the client leaves out what has not changed
        oid = there.get("lfs", there).get("oid")
        answer.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return JSONResponse({"files": answer})


def _large_batch(hub: Hub, request: Request, body: bytes) -> Response:
    hub.repo(request, write=True)
    objects = []
    for wanted in json.loads(body)["objects"]:
        upload = {"actions": {"upload": {"href": f"{hub.url}/large/{wanted['oid']}"}}}
        objects.append(wanted | ({} if wanted["oid"] in hub.large else upload))
    answer = {"transfer": "basic", "objects": objects}
    return Response(json.dumps(answer), media_type="application/vnd.git-lfs+json")


def _large(hub: Hub, request: Request, body: bytes) -> Response:
    oid = request.path_params["oid"]
    if request.method != "PUT":
        return content_response(request, hub.large[oid], {"ETag": f'"{oid}"'})
    if hub.full or hashlib.sha256(body).hexdigest() != oid:
        raise Refusal(403 if hub.full else 400, message="Storage limit reached" if hub.full else "Wrong hash")
    hub.large[oid] = body
    return Response()


def _commit(hub: Hub, request: Request, body: bytes) -> Response:
    repo = hub.repo(request, write=True)
    _, files = hub.revision(request, repo)
    files, message = dict(files), ""
    for line in body.splitlines():
        operation = json.loads(line)
        value = operation["value"]
        match operation["key"]:
            case "header":
                message = value["summary"]
            case "file":
                files[value["path"]] = base64.b64decode(value["content"])
            case "lfsFile":
                files[value["path"]] = hub.large[value["oid"]]
            case "deletedFile" if value["path"] in files:
                del files[value["path"]]
            case other:
                raise Refusal(400, message=f"cannot {other} {value.get('path')}")
    sha = repo.commit(files, message, request.path_params["revision"])
    url = f"{hub.url}{request.url.path.removeprefix('/api').removeprefix('/models').rpartition('/')[0]}/{sha}"
    return JSONResponse({"commitUrl": url, "commitOid": sha, "success": True})


def _tag(hub: Hub, request: Request, body: bytes) -> Response:
    repo = hub.repo(request, write=True)
    if request.method == "DELETE":
        if repo.tags.pop(request.path_params["revision"], None) is None:
            raise Refusal(404, "RevisionNotFound", "Invalid rev id")
        return JSONResponse({})
    tag = json.loads(body)["tag"]
    if tag in repo.tags:
        raise Refusal(409, message=f"Tag reference exists already: {tag}")
    repo.tags[tag] = hub.revision(request, repo)[0]
    return JSONResponse({})


def _references(hub: Hub, request: Request, body: bytes) -> Response:
    repo = hub.repo(request)
    answer = {}
    for kind, there in (("branches", repo.branches), ("tags", repo.tags)):
        prefix = "refs/heads/" if kind == "branches" else "refs/tags/"
        answer[kind] = [{"name": n, "ref": prefix + n, "targetCommit": sha} for n, sha in there.items()]
    return JSONResponse(answer | {"converts": []})


def _variables(hub: Hub, request: Request, body: bytes) -> Response:
    repo = hub.repo(request, write=True)
    if body:
        wanted = json.loads(body)
        repo.variables[wanted["key"]] = wanted["value"]
    return JSONResponse({key: {"key": key, "value": value} for key, value in repo.variables.items()})


def _resolve(hub: Hub, request: Request, body: bytes) -> Response:
    sha, files = hub.revision(request, hub.repo(request))
    path = request.path_params["file"]
    headers = {"X-Repo-Commit": sha}
    if path not in files:
        return Response(status_code=404, headers=headers | {"X-Error-Code": "EntryNotFound"})
    content = files[path]
    if not path.endswith(LARGE):
        return content_response(request, content, headers | {"ETag": f'"{git_hash(content)}"'})
    oid = hashlib.sha256(content).hexdigest()
    hub.large[oid] = content  # a test may have committed it behind the protocol's back
    headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{oid}"'}
    # as another host: the client follows those of the Hub itself before it looks at the headers
    return RedirectResponse(f"{hub.url.replace('127.0.0.1', 'localhost')}/large/{oid}", 302, headers)
