"""What lands in a Space starts, in an environment that has what its requirements.txt says and nothing else."""

import base64
import json
import re
import subprocess
import sys
import urllib.request
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.helpers import programs
from tests.helpers.hub_server import Hub
from tests.helpers.serving import free_port, serving
from tests.helpers.sharing import tiny_run


DOWNLOAD = "import sys; from huggingface_hub import snapshot_download as s; s('user/page', repo_type='space', "
DOWNLOAD += "local_dir=sys.argv[1])"


@pytest.mark.slow
def test_what_a_space_receives_starts_from_its_requirements_alone(tmp_path: Path):
    """It is uploaded, downloaded, opened and asked for a cover."""
    space, environment = tmp_path / "space", tmp_path / "environment"
    with Hub() as hub:
        mine = hub.environment(tmp_path / "sharer")
        for arguments in (
            ["model", tiny_run(tmp_path / "run"), "--repo_id", "user/covers", "--license", "mit"],
            ["space", "--repo_id", "user/page", "--model_id", "user/covers", "--model_revision", "images-20480"],
        ):
            programs.run([sys.executable, "-m", "train.share", *arguments], environment=mine).check_returncode()
        variables = hub.repos["space", "user/page"].variables
        stranger = hub.environment(tmp_path / "stranger", token=None)
        programs.run([sys.executable, "-c", DOWNLOAD, space], environment=stranger).check_returncode()
        assert variables == {"MODEL_ID": "user/covers", "MODEL_REVISION": "images-20480"}

        make_environment(environment, (space / "requirements.txt").read_text().splitlines())
        # first what the variables name, which leaves it in the cache; then the same with no network
        for more in ({}, {"HF_HUB_OFFLINE": "1"}):
            said, seeds = open_page(environment / "bin/python", space, stranger | variables | more)
            assert "showing the generator that ships" not in said
            assert seeds[0] != seeds[1] and all(picture.startswith(b"\x89PNG") for picture in seeds)


def make_environment(folder: Path, requirements: list[str]) -> None:
    """Make a virtual environment of these requirements and of what they need, linked from that of the tests."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (libraries,) = folder.glob("lib/python*/site-packages")
    wanted, there = [Requirement(line) for line in requirements], set()
    while wanted:
        requirement = wanted.pop()
        found = distribution(requirement.name)
        assert requirement.specifier.contains(found.version, prereleases=True), requirement
        for extra in {"", *requirement.extras} - {extra for name, extra in there if name == found.name}:
            there.add((found.name, extra))
            needs = map(Requirement, found.requires or [])
            wanted += [need for need in needs if not need.marker or need.marker.evaluate({"extra": extra})]
        for name in {file.parts[0] for file in found.files} - {"..", "__pycache__"}:
            if not (libraries / name).exists():
                (libraries / name).symlink_to(found.locate_file(name))


def open_page(python: Path, space: Path, environment: dict[str, str]) -> tuple[str, list[bytes]]:
    """Start app.py; returns what it said until it was there, and the covers of seeds 1 and 2 as it gave them."""
    environment = environment | {"GRADIO_SERVER_PORT": free_port()}
    with serving([python, "app.py"], space, environment) as (address, said, _):
        return said, [ask(address.rstrip("/"), seed) for seed in (1, 2)]


def ask(address: str, seed: int) -> bytes:
    """The cover of a seed over HTTP, as the page's own documentation asks with curl."""
    call = f"{address}/gradio_api/call/v2/generate"
    data = json.dumps({"seed": seed}).encode()
    request = urllib.request.Request(call, data, {"Content-Type": "application/json"})
    event = json.load(urllib.request.urlopen(request))["event_id"]
    answer = urllib.request.urlopen(f"{call}/{event}").read().decode()
    assert answer.startswith("event: complete"), answer
    (file,) = json.loads(re.search(r"^data: (.*)$", answer, re.MULTILINE)[1])[:1]
    url = file["url"]
    if url.startswith("data:"):
        return base64.b64decode(url.split(",")[1])
    return urllib.request.urlopen(url).read()
