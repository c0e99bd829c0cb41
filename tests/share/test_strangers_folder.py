"""Sharing somebody else's folder: nothing of theirs that runs is sent, and nothing of the user's that a link names."""

import os
from pathlib import Path

import pytest

import gan
from gan.pipeline_folder import COVERS_INDEX
from tests.helpers.hub_server import Hub
from tests.helpers.sharing import tiny_run
from train.share.hub import HubError, upload_model


EVIL = b"import os; os.system('evil')\n"
SECRET = b"---\nlicense: mit\n---\ndiary: a secret\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a whole pipeline in it."""
    return tiny_run(tmp_path / "run").parent


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "diary"
    file.write_bytes(SECRET)
    return file


def sent(hub: Hub) -> dict[str, bytes]:
    return hub.repos["model", "user/covers"].files


def test_code_is_written_anew_and_unknown_files_stay(hub: Hub, run: Path):
    folder = run / "pipeline"
    for code in (folder / "pipeline.py", *(folder / "synthesis").glob("*.py"), folder / "generator.pt2"):
        code.write_bytes(EVIL)
    for name in ("synthesis/more.py", "synthesis/more.json", "setup.py", "notes.txt", "generator.onnx", "covers.png"):
        (folder / name).write_bytes(EVIL)
    upload_model(folder, "user/covers")
    assert [name for name, content in sent(hub).items() if b"evil" in content] == []
    assert sent(hub)["pipeline.py"] == Path(gan.pipeline.__file__).read_bytes()
    assert (
        not {"synthesis/more.py", "synthesis/more.json", "setup.py", "notes.txt", "generator.onnx"} & sent(hub).keys()
    )


LINKED = (
    "pipeline/README.md",
    f"pipeline/{COVERS_INDEX}",
    "pipeline/covers.png",
    "pipeline/generator.onnx",
    "pipeline/pipeline.py",
    "pipeline/generator.pt2",
    "film.webp",
    "film.mp4",
    "metrics.jsonl",
    "scores.json",
    "copies.json",
    "samples/images-0000000999.png",
)


def link(name: Path, secret: Path) -> None:
    name.unlink(missing_ok=True)
    name.symlink_to(secret)


def test_no_link_is_followed(hub: Hub, run: Path, secret: Path):
    for name in LINKED:
        link(run / name, secret)
    upload_model(run / "pipeline", "user/covers")
    assert [file for file, content in sent(hub).items() if b"diary" in content] == []
    link(run / "config.json", secret)
    upload_model(run / "pipeline", "user/covers")
    assert [file for file, content in sent(hub).items() if b"diary" in content] == []


def test_no_link_to_a_folder_is_followed(hub: Hub, run: Path, secret: Path):
    private = secret.parent / "private"
    private.mkdir()
    (private / "images-0000000999.png").write_bytes(SECRET)
    (run / "samples").rename(run / "before")
    (run / "samples").symlink_to(private)
    upload_model(run / "pipeline", "user/covers")
    assert [file for file, content in sent(hub).items() if b"diary" in content] == []


def test_an_index_that_is_none_is_refused_and_a_fifo_is_not_opened(hub: Hub, run: Path):
    index = run / "pipeline" / COVERS_INDEX
    index.write_bytes(SECRET)
    with pytest.raises(HubError, match="cannot be read"):
        upload_model(run / "pipeline", "user/covers")
    index.unlink()
    for name in (f"pipeline/{COVERS_INDEX}", "pipeline/README.md", "film.webp", "metrics.jsonl", "scores.json"):
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)
    upload_model(run / "pipeline", "user/covers")


def test_lists_in_lists_are_no_facts(hub: Hub, run: Path):
    for name in ("metrics.jsonl", "scores.json", "copies.json", "config.json"):
        (run / name).write_text('{"a": ' * 100_000 + "1" + "}" * 100_000)
        if name in ("copies.json", "config.json"):
            upload_model(run / "pipeline", "user/covers")
            assert "pipeline.py" in sent(hub)
