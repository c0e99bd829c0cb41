"""The page as a Space: the files that it consists of."""

import re
from pathlib import Path

import yaml
from huggingface_hub import RepoCard

from gan.errors import HubError


NEEDED = ("README.md", "app.py", "requirements.txt", "gan/__init__.py")


def space_files(project: Path, models: list[str], suggested_hardware: str) -> dict[str, Path | bytes]:
    """Return what a Space receives, each file by its path there: app.py, requirements.txt, the README, all of gan/.

    Args:
        project: where these lie.
        models: Hub ids that the Space's page links.
        suggested_hardware: what the Hub proposes to those who duplicate the Space.

    Raises:
        HubError: a file is missing, README.md does not begin with a Space's settings, or these name another version
            of Gradio than requirements.txt. The Hub itself checks the other settings.
    """
    for needed in NEEDED:
        if not (project / needed).is_file():
            raise HubError(f"{project / needed}: missing, and a Space needs it")
    readme = project / "README.md"
    card = _read_card(readme)
    pin = re.search(r"^gradio==(\S+)", (project / "requirements.txt").read_text(), re.MULTILINE)
    if pin is None or pin[1] != str(card.data.get("sdk_version")):
        there = f"gradio=={pin[1]}" if pin else "no pin of gradio"
        raise HubError(
            f"{readme}: its sdk_version is {card.data.get('sdk_version')}, and requirements.txt has {there}"
        )
    if models:
        card.data["models"] = models
    if "suggested_hardware" not in card.data:
        card.data["suggested_hardware"] = suggested_hardware
    files: dict[str, Path | bytes] = {"README.md": str(card).encode()}
    for path in (project / "app.py", project / "requirements.txt", *sorted((project / "gan").rglob("*"))):
        parts = path.relative_to(project).parts
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts):
            files["/".join(parts)] = path
    return files


def _read_card(file: Path) -> RepoCard:
    content = file.read_bytes()
    try:
        # the client warns of a missing block, and makes an empty one
        card = RepoCard(content.decode()) if content.startswith(b"---") else None
    except (ValueError, yaml.YAMLError) as error:
        raise HubError(f"{file}: its front matter is not YAML") from error
    if card is None or card.data.get("sdk") != "gradio":
        raise HubError(f"{file}: must begin with a Space's front matter that says `sdk: gradio`")
    return card
