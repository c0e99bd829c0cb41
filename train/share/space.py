"""The page as a Space: which files it needs, and whether the Hub would start them."""

import re
from modulefinder import ModuleFinder
from pathlib import Path

import yaml
from huggingface_hub import RepoCard

from gan.errors import HubError


LARGEST_FILE = 10_000_000  # bytes; above it a Space takes no plain `git push`
OLDEST_PYTHON = (3, 11)
YARDSTICK = "cover_features.safetensors"  # gan/cover_features.py reads it; the page does not measure
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")


def space_files(project: Path, models: list[str], suggested_hardware: str) -> dict[str, Path | bytes]:
    """What a Space receives: the page's program, the modules that it imports, the other files of gan/, the README.

    Args:
        project: where app.py, gan/, requirements.txt and README.md lie.
        models: Hub ids that the Space's page links.
        suggested_hardware: what the Hub proposes to those who duplicate the Space.

    Returns:
        Each file by its path in the Space.

    Raises:
        HubError: a file is missing or too large, or README.md does not begin with a Space's settings.
    """
    readme = project / "README.md"
    for needed in ("README.md", "requirements.txt", "gan/__init__.py"):
        if not (project / needed).is_file():
            raise HubError(f"{project / needed}: missing, and a Space needs it")
    card = _read_card(readme)
    if mistake := _mistake(card.data.to_dict(), project):
        raise HubError(f"{readme}: {mistake}")
    files = {
        path.relative_to(project).as_posix(): path
        for path in [project / "requirements.txt", *_modules(project, card.data["app_file"]), *_others(project)]
    }
    for path in files.values():
        if path.stat().st_size >= LARGEST_FILE:
            raise HubError(f"{path}: {path.stat().st_size / 1e6:.1f} MB; a Space takes files below 10 MB")
    if models:
        card.data["models"] = models
    if "suggested_hardware" not in card.data:
        card.data["suggested_hardware"] = suggested_hardware
    return {"README.md": str(card).encode()} | files


def _modules(project: Path, app_file: str) -> list[Path]:
    """The page's program and what it imports of the project, directly or not, in functions too."""
    finder = ModuleFinder(path=[str(project)])  # nothing else is looked into, so it takes no time
    finder.run_script(str(project / app_file))
    return sorted(Path(module.__file__) for module in finder.modules.values() if module.__file__)


def _others(project: Path) -> list[Path]:
    """Pictures, weights, styles, fonts: all of gan/ that is no Python, and nothing hidden nor for measuring only."""
    found = []
    for path in sorted((project / "gan").rglob("*")):
        parts = path.relative_to(project).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if path.is_file() and path.suffix != ".py" and path.name != YARDSTICK and not hidden:
            found.append(path)
    return found


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


def _mistake(data: dict, project: Path) -> str | None:
    """What the Hub would refuse or trip over in a Space's settings (hub-docs, spaces-config-reference)."""
    pin = re.search(r"^gradio==(\S+)", (project / "requirements.txt").read_text(), re.MULTILINE)
    python = data.get("python_version")
    # a bare 3.10 is the number 3.1 in YAML
    version = re.fullmatch(r"(\d+)\.(\d+)(\.\d+)?", python) if isinstance(python, str) else None
    missing = [key for key in ("title", "emoji", "sdk_version", "app_file") if not data.get(key)]
    if missing:
        return f"its front matter lacks {', '.join(missing)}"
    if version is None or tuple(map(int, version.groups()[:2])) < OLDEST_PYTHON:
        return f'its python_version must be a quoted version from "3.11" on, not {python!r}'
    if pin is None or pin[1] != str(data["sdk_version"]):
        there = f"gradio=={pin[1]}" if pin else "no pin of gradio"
        return f"its sdk_version is {data['sdk_version']}, and requirements.txt has {there}"
    if not (project / str(data["app_file"])).is_file():
        return f"its app_file {data['app_file']} is missing"
    if wrong := [key for key in ("colorFrom", "colorTo") if key in data and data[key] not in COLOURS]:
        return f"its {wrong[0]} must be one of {', '.join(COLOURS)}"
    if len(str(data.get("short_description", ""))) > 60:
        return "its short_description is longer than 60 characters"
    return None
