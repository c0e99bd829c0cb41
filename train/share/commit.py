"""One commit to a repository on the Hub: whose it is, what goes in, what goes out, what it is called."""

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, HfFileSystem, RepoCard, constants

from gan.errors import HubError, check_id, errors_in_one_line
from train.share.card_merge import merge_cards


# By what a repository is known as one that was shared from here: a file, and what stands in it.
MARKS = {
    "model": ("model_index.json", '"AlbumCoverPipeline"'),
    "dataset": ("report.json", '"program": "train.prepare"'),
    "space": ("gan/pipeline.py", "class AlbumCoverPipeline("),
}
# What the Hub puts into a repository that somebody has just made there.
STARTED_WITH = {".gitattributes", "README.md", "LICENSE"}

LARGEST_CARD = 1_000_000  # bytes

Files = dict[str, Path | bytes]


@dataclass(frozen=True)
class Upload:
    """Tell what was sent, or with `dry_run` would be.

    Args:
        url: where to.
        sizes: of each file by its path there, in bytes.
        notes: what the user should know beside that, each a part of a sentence.
    """

    url: str
    sizes: dict[str, int]
    notes: tuple[str, ...] = ()


def is_ours(kind: str, repo_id: str, names: set[str], revision: str | None = None) -> bool:
    """Return whether a repository was shared from here, or holds nothing yet but what the Hub puts into a new one."""
    file, mark = MARKS[kind]
    if file not in names:
        return not names - STARTED_WITH
    path = f"{constants.REPO_TYPES_URL_PREFIXES.get(kind, '')}{repo_id}{f'@{revision}' if revision else ''}/{file}"
    beginning = HfFileSystem(skip_instance_cache=True).cat_file(path, start=0, end=100_000)
    return mark.encode() in beginning


def open_repo(kind: str, repo_id: str, private: bool = False, force: bool = False) -> set[str]:
    """Make a repository, or see whether the one that is there may be written to.

    Args:
        kind: "model", "dataset" or "space".
        repo_id: "user/name".
        private: it must be visible to its owner alone.
        force: even if it holds something else.

    Returns:
        The names of the files in it.

    Raises:
        HubError: the id is none, or it may not.
    """
    check_id(repo_id)
    with errors_in_one_line(kind, repo_id):
        api, sdk = HfApi(), "gradio" if kind == "space" else None
        # None and not False: an organisation may have settled on private
        api.create_repo(repo_id, repo_type=kind, private=private or None, exist_ok=True, space_sdk=sdk)
        info = api.repo_info(repo_id, repo_type=kind)
        if private and not info.private:
            raise HubError(f"{repo_id} is there and public; make it private on its settings page, or name another")
        there = {file.rfilename for file in info.siblings or ()}
        if not force and not is_ours(kind, repo_id, there):
            raise HubError(
                f"{repo_id} is there and holds another {kind} ({_some(there - STARTED_WITH)}); "
                "name another one, or write into it all the same with train.share --force"
            )
    return there


def commit_files(
    kind: str,
    repo_id: str,
    files: Files,
    ours: tuple[str, ...],
    private: bool,
    message: str,
    dry_run: bool,
    force: bool,
    tag: str | None = None,
    move_tag: bool = False,
    decided: tuple[str, ...] = (),
) -> Upload:
    """Send `files` in one commit, so that nobody ever sees half of them, and drop what else matches `ours`.

    The card of a model or a dataset is merged with the one that is there; `decided` are keys of its front matter that
    the user asked for.
    """
    check_id(repo_id)
    sizes = {n: len(f) if isinstance(f, bytes) else f.stat().st_size for n, f in sorted(files.items())}
    url = f"{constants.ENDPOINT}/{constants.REPO_TYPES_URL_PREFIXES.get(kind, '')}{repo_id}"
    if dry_run:
        return Upload(url, sizes, (f"tag {tag}",) if tag else ())
    with errors_in_one_line(kind, repo_id):
        if "README.md" in files:
            _check_card(kind, files["README.md"])  # the client does so too, but only once the repository is made
        there = open_repo(kind, repo_id, private, force)
        if kind != "space" and "README.md" in files:
            card = files["README.md"]
            card = card if isinstance(card, bytes) else card.read_bytes()
            theirs = _card_there(kind, repo_id) if "README.md" in there else None
            merged = merge_cards(card.decode(), theirs, decided).encode()
            files = files | {"README.md": merged}
            sizes["README.md"] = len(merged)
        stale = [name for name in there if name not in files and any(fnmatch(name, pattern) for pattern in ours)]
        operations = [CommitOperationAdd(name, files[name]) for name in sizes]
        operations += [CommitOperationDelete(name) for name in stale]
        api = HfApi()
        commit = api.create_commit(repo_id, operations, repo_type=kind, commit_message=message)
        notes = (_tag(api, repo_id, tag, commit.oid, force or move_tag),) if tag else ()
    return Upload(url, sizes, notes)


def _card_there(kind: str, repo_id: str) -> str:
    path = f"{constants.REPO_TYPES_URL_PREFIXES.get(kind, '')}{repo_id}/README.md"
    return HfFileSystem(skip_instance_cache=True).cat_file(path, start=0, end=LARGEST_CARD).decode("utf-8", "replace")


def _check_card(kind: str, card: Path | bytes) -> None:
    text = (card if isinstance(card, bytes) else card.read_bytes()).decode()
    if not text.startswith("---"):  # a card needs no front matter
        return
    try:
        RepoCard(text).validate(repo_type=kind)
    except ValueError as error:
        raise HubError(f"README.md: the Hub refuses this card: {' '.join(str(error).split())[:300]}") from error


def _tag(api: HfApi, repo_id: str, tag: str, commit: str, move: bool) -> str:
    """Give the commit its name; returns what to tell the user."""
    there = {reference.name: reference.target_commit for reference in api.list_repo_refs(repo_id).tags}
    if there.get(tag) == commit:
        return f"tag {tag}"
    if tag in there:
        if not move:
            return f"the tag {tag} is there and stays where it was (--force moves it)"
        api.delete_tag(repo_id, tag=tag)
    api.create_tag(repo_id, tag=tag, revision=commit)
    return f"tag {tag}"


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
