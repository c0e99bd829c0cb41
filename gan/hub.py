"""Sharing through the Hugging Face Hub: the upload of a generator, of a dataset, of the page as a Space."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import yaml
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    RepoCard,
    constants,
    get_token,
)
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from gan.card import draw_card_picture, model_card
from gan.pipeline_folder import COVERS_INDEX, load_pipeline, save_pipeline


PROJECT = Path(__file__).parent.parent
# What an upload consists of. Files of an earlier upload that match and are not sent again are deleted: a Parquet or
# weight file left behind would be read together with the new ones.
MODEL_FILES = (
    "README.md",
    COVERS_INDEX,
    "covers.png",
    "generator.pt2",
    "model_index.json",
    "pipeline.py",
    "synthesis/*.json",
    "synthesis/*.py",
    "synthesis/*.safetensors",
)
DATASET_FILES = ("README.md", "report.html", "report.json", "*.parquet", "data/*.parquet")
SPACE_FILES = ("README.md", "app.py", "requirements.txt", "gan/*")

Files = dict[str, Path | bytes]


class HubError(Exception):
    """Why something cannot be shared, in one line for the user. It never holds the token."""


@dataclass(frozen=True)
class Upload:
    """What was sent, or with `dry_run` would be: where to, and the size of each file by its path there, in bytes."""

    url: str
    sizes: dict[str, int]


def upload_model(
    folder: str | Path,
    repo_id: str,
    private: bool = False,
    commit_message: str = "Share the generator",
    dry_run: bool = False,
) -> Upload:
    """Send a generator to the Hub so that strangers load it with diffusers, or with torch alone.

    Args:
        folder: a pipeline folder. A README.md in it is sent as the card; without one a card is written.
        repo_id: "user/name"; made if it is not there.
        private: make it visible to its owner alone.
        commit_message: first line of the commit.
        dry_run: prepare everything, send nothing.

    Raises:
        HubError: the folder is not there, the id is none, or the Hub cannot be reached or refuses.
        PipelineError: the folder holds no sound pipeline.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise HubError(f"{folder}: no such folder")
    _check_id(repo_id)  # before the export, which takes seconds
    pipeline = load_pipeline(folder)
    with tempfile.TemporaryDirectory() as temporary:
        complete = folder
        if not _is_complete(folder):
            complete = Path(temporary) / "pipeline"
            save_pipeline(pipeline, complete)
        files = _matching(complete, MODEL_FILES)
        files["covers.png"] = draw_card_picture(pipeline)
        if (folder / COVERS_INDEX).is_file():
            files[COVERS_INDEX] = folder / COVERS_INDEX
        if (folder / "README.md").is_file():
            files["README.md"] = folder / "README.md"
        else:
            files["README.md"] = model_card(pipeline, repo_id, folder.resolve().parent).encode()
        return _upload("model", repo_id, files, MODEL_FILES, private, commit_message, dry_run)


def upload_dataset(
    folder: str | Path,
    repo_id: str,
    private: bool = False,
    commit_message: str = "Share the covers",
    dry_run: bool = False,
) -> Upload:
    """Send a prepared dataset to the Hub: its Parquet shards, card and report.

    Args, Raises: as `upload_model`, but there is no PipelineError; a HubError where the folder holds no Parquet.
    """
    files = _matching(Path(folder), DATASET_FILES)
    if not any(name.endswith(".parquet") for name in files):
        raise HubError(f"{folder}: holds no prepared dataset (train.prepare writes one)")
    return _upload("dataset", repo_id, files, DATASET_FILES, private, commit_message, dry_run)


def upload_space(
    repo_id: str,
    model_id: str | None = None,
    model_revision: str = "main",
    private: bool = False,
    commit_message: str = "Share the page",
    dry_run: bool = False,
    project: Path = PROJECT,
) -> Upload:
    """Send the page to the Hub as a Space.

    Args:
        model_id: the model on the Hub that the Space shows (its variable MODEL_ID); without one it shows the generator
            that ships with the project, or what an earlier upload named.
        model_revision: branch, tag or commit of that model (the variable MODEL_REVISION).
        project: where app.py, gan/, requirements.txt and README.md lie.
        repo_id, private, commit_message, dry_run: as in `upload_model`.

    Raises:
        HubError: as `upload_model`; a file of the page is missing, README.md describes no Space, no such model.
    """
    files = _space_files(project, model_id)
    if model_id is None:
        return _upload("space", repo_id, files, SPACE_FILES, private, commit_message, dry_run)
    _check_id(model_id)
    if not dry_run:
        with _errors_in_one_line("model", model_id):
            HfApi().model_info(model_id, revision=model_revision)
    upload = _upload("space", repo_id, files, SPACE_FILES, private, commit_message, dry_run)
    if not dry_run:
        with _errors_in_one_line("space", repo_id):
            HfApi().add_space_variable(repo_id, "MODEL_ID", model_id)
            HfApi().add_space_variable(repo_id, "MODEL_REVISION", model_revision)
    return upload


def _is_complete(folder: Path) -> bool:
    """Whether strangers can load the folder as it is; one that diffusers itself wrote lacks the code."""
    index = json.loads((folder / "model_index.json").read_text())
    needed = ("pipeline.py", "generator.pt2", f"synthesis/{index['synthesis'][0]}.py")
    return isinstance(index.get("_class_name"), list) and all((folder / name).is_file() for name in needed)


def _matching(folder: Path, patterns: tuple[str, ...]) -> Files:
    found = (path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


def _space_files(project: Path, model_id: str | None) -> Files:
    files: Files = {name: project / name for name in ("README.md", "app.py", "requirements.txt")}
    for path in sorted((project / "gan").rglob("*")):
        name = path.relative_to(project)
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in name.parts):
            files[name.as_posix()] = path
    for needed in ("README.md", "app.py", "requirements.txt", "gan/__init__.py"):
        if needed not in files or not (project / needed).is_file():
            raise HubError(f"{project / needed}: missing, and a Space needs it")
    files["README.md"] = _space_readme(project / "README.md", model_id)
    return files


def _space_readme(file: Path, model_id: str | None) -> bytes:
    """The project's README, whose front matter is the Space's settings; the Hub links the model that it names."""
    content = file.read_bytes()
    try:
        # the client warns of a missing block, and makes an empty one
        card = RepoCard(content.decode()) if content.startswith(b"---") else None
    except (ValueError, yaml.YAMLError) as error:
        raise HubError(f"{file}: its front matter is not YAML") from error
    if card is None or card.data.get("sdk") != "gradio":
        raise HubError(f"{file}: must begin with a Space's front matter that says `sdk: gradio`")
    if model_id is None:
        return content
    card.data["models"] = [model_id]
    return str(card).encode()


def _check_id(repo_id: str) -> None:
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise HubError(f"{repo_id!r} is no Hub id; those read user/name, of letters, digits, - _ and .") from error
    if repo_id.count("/") != 1:
        raise HubError(f"{repo_id!r} is no full Hub id; name its owner too: user/{repo_id}")


def _upload(
    kind: str, repo_id: str, files: Files, ours: tuple[str, ...], private: bool, message: str, dry_run: bool
) -> Upload:
    """Send `files` in one commit, so that nobody ever sees half of them, and drop what else matches `ours`."""
    _check_id(repo_id)
    sizes = {n: len(f) if isinstance(f, bytes) else f.stat().st_size for n, f in sorted(files.items())}
    upload = Upload(f"{constants.ENDPOINT}/{constants.REPO_TYPES_URL_PREFIXES.get(kind, '')}{repo_id}", sizes)
    if dry_run:
        return upload
    with _errors_in_one_line(kind, repo_id):
        api = HfApi()
        sdk = "gradio" if kind == "space" else None
        # None and not False: an organisation may have settled on private
        api.create_repo(repo_id, repo_type=kind, private=private or None, exist_ok=True, space_sdk=sdk)
        info = api.repo_info(repo_id, repo_type=kind)
        if private and not info.private:
            raise HubError(f"{repo_id} is there and public; make it private on its settings page, or name another")
        there = (file.rfilename for file in info.siblings or ())
        stale = [name for name in there if name not in files and any(fnmatch(name, pattern) for pattern in ours)]
        operations = [CommitOperationAdd(name, files[name]) for name in sizes]
        operations += [CommitOperationDelete(name) for name in stale]
        api.create_commit(repo_id, operations, repo_type=kind, commit_message=message)
    return upload


@contextmanager
def _errors_in_one_line(kind: str, repo_id: str) -> Iterator[None]:
    token = get_token()
    if token is None:
        raise HubError("there is no Hub token; log in with `hf auth login`, or set HF_TOKEN")
    if not (token.isascii() and token.isprintable()) or " " in token:
        # the client would show all of it in its error
        raise HubError("the Hub token holds characters that no token has; set HF_TOKEN anew")
    try:
        yield
    except HubError:
        raise
    except Exception as error:  # the client raises its own, its HTTP library's and the operating system's errors
        raise HubError(_explain(error, kind, repo_id).replace(token, "***")) from error


def _explain(error: BaseException, kind: str, repo_id: str) -> str:
    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # how the client wraps a failed file
        error = error.__cause__
    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is on (HF_HUB_OFFLINE); unset it to share"
    if not isinstance(error, HfHubHTTPError):
        reached = "cannot be reached: " if isinstance(error, HTTPError) else ""
        return f"{constants.ENDPOINT}: {reached}{_first_line(str(error)) or type(error).__name__}"
    status = error.response.status_code
    said = _first_line(error.server_message or str(error))
    if isinstance(error, RevisionNotFoundError):
        return f"{repo_id}: the {kind} has no such revision"
    meaning = {
        401: "the Hub does not know the token; log in anew with `hf auth login`, or set HF_TOKEN",
        402: f"{said}; a {kind} made on the Hub's website can be updated from here",
        403: f"the token may not write to it ({said}); use one with the right to write, or name another --repo_id",
        404: f"there is no {kind} of this name, or the token may not see it, or the name is taken by something else",
        429: "the Hub asks to wait: too many requests; try again in a few minutes",
    }
    return f"{repo_id}: {meaning.get(status, f'the Hub answered {status}: {said}')}"


def _first_line(text: str) -> str:
    return next((line.strip()[:300] for line in text.splitlines() if line.strip()), "")
