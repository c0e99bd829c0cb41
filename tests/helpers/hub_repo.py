"""What the tests' own Hub keeps: repositories with their commits, and how it lists and hands out files."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


LARGE = (".parquet", ".safetensors", ".pt2", ".png")  # kept apart from git, as the Hub does by name and size
LICENSES = ("mit", "apache-2.0", "cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0", "openrail", "other")
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")


@dataclass
class Repo:
    """One repository: files by commit, commits by branch and by tag."""

    private: bool = False
    sdk: str | None = None
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], message: str, branch: str = "main") -> str:
        """Add a commit to a branch and return its id."""
        sha = hashlib.sha1(f"{len(self.commits)} {message} {sorted(files)}".encode()).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        self.messages.append(message)
        return sha

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch, a tag or a commit id means."""
        return (self.branches | self.tags | {sha: sha for sha in self.commits}).get(revision)

    @property
    def files(self) -> dict[str, bytes]:
        """The newest files on main, but for the one that the Hub adds to every repository."""
        return {n: c for n, c in self.commits[self.branches["main"]].items() if n != ".gitattributes"}


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str = "", message: str = ""):
        super().__init__(message)
        headers = {"X-Error-Code": code} if code else {}
        headers |= {"X-Error-Message": message} if message else {}
        self.response = JSONResponse({"error": message or code}, status_code=status, headers=headers)


def entry(path: str, content: bytes) -> dict:
    """A file as the Hub lists it."""
    entry = {"type": "file", "oid": git_hash(content), "size": len(content), "path": path}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


def git_hash(content: bytes) -> str:
    """The id that git gives to a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entries(files: dict[str, bytes]) -> dict[str, dict]:
    """All files and folders by their path."""
    found = {path: entry(path, content) for path, content in files.items()}
    for path in files:
        for parent in list(Path(path).parents)[:-1]:
            name = parent.as_posix()
            found[name] = {"type": "directory", "oid": git_hash(name.encode()), "size": 0, "path": name}
    return found


def content_response(request: Request, content: bytes, headers: dict[str, str]) -> Response:
    """A file, or the part of it that a `Range` header asks for."""
    headers = headers | {"Accept-Ranges": "bytes"}
    status, length = 200, len(content)
    asked = request.headers.get("range", "").removeprefix("bytes=")
    if asked:
        first, _, last = asked.partition("-")
        start, end = (int(first), int(last or length - 1)) if first else (length - int(last), length - 1)
        if start >= length:
            return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{length}"})
        content, status = content[start : end + 1], 206
        headers |= {"Content-Range": f"bytes {start}-{start + len(content) - 1}/{length}"}
    if request.method == "HEAD":
        headers["Content-Length"] = str(len(content))
        content = b""
    return Response(content, status, headers, "application/octet-stream")


def mistakes_in_card(content: str, kind: str) -> list[str]:
    """What the Hub has against a README.md's front matter, as far as its rules are known."""
    try:
        data = yaml.safe_load(content.split("---")[1]) if content.startswith("---") else {}
    except yaml.YAMLError as error:
        return [str(error)]
    if kind == "model":
        mistakes = ['"license" must be one of [...]'] if data.get("license", LICENSES[0]) not in LICENSES else []
        types = [result["dataset"]["type"] for model in data.get("model-index", []) for result in model["results"]]
        return mistakes + [
            f"dataset.type with value {t} is not valid" for t in types if not re.fullmatch(r"[\w./-]+", t)
        ]
    if kind != "space":
        return []
    mistakes = [f"{key} is missing" for key in ("title", "sdk", "emoji") if key not in data]
    mistakes += [f"{key} is no colour" for key in ("colorFrom", "colorTo") if data.get(key) not in COLOURS]
    return mistakes + ["short_description is too long"] * (len(data.get("short_description", "")) > 60)
