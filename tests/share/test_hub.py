"""Uploads, in this process: what is sent, and what is said where the Hub refuses."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError

import gan
from tests.helpers.hub_repo import Repo
from tests.helpers.hub_server import Hub
from tests.helpers.sharing import IMAGES, program, tiny_run
from tests.helpers.tiny import tiny_pipeline
from train.share.hub import HubError, claim, upload_dataset, upload_model
from train.train_gan.push import Push


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole pipeline folder, in the folder of a run."""
    return tiny_run(tmp_path_factory.mktemp("run"))


def test_the_tests_own_hub_is_like_the_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What the clients of the other tests rely on, and would not notice."""
    api = HfApi()
    assert api.whoami()["name"] == "user"
    api.create_repo("user/a", private=True)
    for content in (b"first", b"second"):
        api.upload_file(path_or_fileobj=content, path_in_repo="folder/a.txt", repo_id="user/a")
        if content == b"first":
            api.create_tag("user/a", tag="v1")
    files = [api.hf_hub_download("user/a", "folder/a.txt", revision=r, cache_dir=tmp_path) for r in ("v1", "main")]
    assert [Path(file).read_bytes() for file in files] == [b"first", b"second"]
    assert [entry.path for entry in api.list_repo_tree("user/a")] == [".gitattributes", "folder"]
    with pytest.raises(HfHubHTTPError, match="403"):
        api.create_repo("other/a")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        api.whoami()
    monkeypatch.delenv("HF_TOKEN")
    assert not api.repo_exists("user/a")


def test_a_whole_folder_is_sent_as_it_is(hub: Hub, generator: Path):
    upload = upload_model(generator, "user/covers", private=True, commit_message="First")
    repo = hub.repos["model", "user/covers"]
    assert repo.private and repo.messages[1:] == ["First"]
    assert upload.url == f"{hub.url}/user/covers"
    assert upload.sizes == {name: len(content) for name, content in repo.files.items()}
    files = [file for file in generator.rglob("*") if file.is_file()]
    assert {file.relative_to(generator).as_posix() for file in files} | {
        "README.md",
        "covers.png",
        "training/config.json",
        "training/metrics.jsonl",
        "training/samples.png",
    } == set(repo.files)
    for file in files:
        assert repo.files[file.relative_to(generator).as_posix()] == file.read_bytes()


def test_what_an_earlier_upload_left_is_dropped_and_the_owners_own_files_stay(hub: Hub, generator: Path):
    upload_model(generator, "user/covers")
    repo = hub.repos["model", "user/covers"]
    stale = {"synthesis/diffusion_pytorch_model-00002-of-00002.safetensors": b"old", "synthesis/old.py": b"old"}
    repo.commit(repo.files | stale | {"notes.md": b"mine"}, "by hand")
    upload_model(generator, "user/covers")
    assert "notes.md" in repo.files and not stale.keys() & repo.files.keys()


def test_a_failed_upload_leaves_the_repository_as_it_was(hub: Hub, generator: Path):
    hub.large.clear()
    hub.full = True
    with pytest.raises(HubError, match=r"^user/covers: .*Storage limit reached"):
        upload_model(generator, "user/covers")
    assert hub.repos["model", "user/covers"].files == {}


def test_dry_run_asks_nothing_of_the_hub(hub: Hub, generator: Path, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    assert program(monkeypatch, "model", generator, "--repo_id", "user/covers", "--dry_run") == 0
    output = capsys.readouterr().out
    assert all(str(p.name) in output for p in generator.rglob("*") if p.is_file())
    assert output.splitlines()[-1].endswith("; nothing was sent")
    assert program(monkeypatch, "space", "--repo_id", "user/page", "--model_id", "user/covers", "--dry_run") == 0
    assert hub.requests == []


def test_a_card_of_ones_own_is_sent(hub: Hub, generator: Path, tmp_path: Path):
    folder = shutil.copytree(generator, tmp_path / "pipeline")
    (folder / "README.md").write_text("mine")
    upload_model(folder, "user/covers")
    assert hub.repos["model", "user/covers"].files["README.md"].startswith(b"mine\n")


def test_a_card_of_ones_own_that_the_hub_refuses(hub: Hub, generator: Path, tmp_path: Path):
    folder = shutil.copytree(generator, tmp_path / "pipeline")
    (folder / "README.md").write_text("---\nlicense: my own\n---\nmine")
    with pytest.raises(HubError, match=r"README.md: the Hub refuses this card: .*license"):
        upload_model(folder, "user/covers")
    assert ("model", "user/covers") not in hub.repos


def refusals() -> Iterator[tuple[str, dict, list[str], str]]:
    """Name, changes to the environment, arguments, and the line that is expected."""
    model, space = ["model", "GENERATOR", "--repo_id"], ["space", "--repo_id"]
    yield "no token", {"HF_TOKEN": ""}, [*model, "user/a"], "there is no Hub token; log in with `hf auth login`"
    yield "unknown token", {"HF_TOKEN": "hf_wrong"}, [*model, "user/a"], "user/a: the Hub does not know the token"
    yield "no token at all", {"HF_TOKEN": "hf_\x01z"}, [*model, "user/a"], "the Hub token holds characters that no"
    yield "may read only", {"HF_TOKEN": "hf_read"}, [*model, "user/a"], "user/a: the token may not write to it (You"
    yield (
        "may not update",
        {"HF_TOKEN": "hf_read"},
        [*model, "user/there"],
        "user/there: the token may not write to it",
    )
    yield "another's name", {}, [*model, "other/a"], "other/a: the token may not write to it"
    yield "taken", {}, [*model, "user/taken"], "user/taken: there is no model of this name"
    yield "already public", {}, [*model, "user/there", "--private"], "user/there is there and public"
    yield "no such model", {}, [*space, "user/page", "--model_id", "user/none"], "user/none: there is no model of this"
    no_revision = [*space, "user/page", "--model_id", "user/there", "--model_revision", "no"]
    yield "no such revision", {}, no_revision, "user/there: the model has no such revision"
    yield "no generator", {}, [*space, "user/page", "--model_id", "user/foreign"], "user/foreign: no generator of this"
    yield "another model", {}, [*model, "user/foreign"], "user/foreign is there and holds another model (weights.bin);"
    yield "no licence", {}, [*model, "user/a", "--license", "my own"], "--license my own: the Hub knows no such"
    yield "no owner", {}, [*model, "covers"], "'covers' is no full Hub id; name its owner too: user/covers"
    yield "no id", {}, [*model, "user/a b"], "'user/a b' is no Hub id"
    yield "no folder", {}, ["model", "/nowhere", "--repo_id", "user/a"], "/nowhere: no such folder"
    yield "no pipeline", {}, ["model", "EMPTY", "--repo_id", "user/a"], "EMPTY: holds no model_index.json"
    yield "no dataset", {}, ["dataset", "EMPTY", "--repo_id", "user/a"], "EMPTY: holds no prepared dataset"


@pytest.mark.parametrize(("environment", "arguments", "line"), [pytest.param(*r[1:], id=r[0]) for r in refusals()])
def test_a_refusal_is_one_line(
    hub: Hub, generator: Path, tmp_path: Path, monkeypatch, capsys, environment, arguments, line
):
    upload_model(generator, "user/there")
    capsys.readouterr()
    hub.taken.add("user/taken")
    hub.repos["model", "user/foreign"] = Repo()
    hub.repos["model", "user/foreign"].commit({".gitattributes": b"", "weights.bin": b"x"}, "theirs")
    before = {name: list(repo.commits) for name, repo in hub.repos.items()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "empty").mkdir()
    places = {"GENERATOR": str(generator), "EMPTY": str(tmp_path / "empty")}
    assert program(monkeypatch, *(places.get(a, a) for a in arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    line = line.replace("EMPTY", places["EMPTY"])
    assert captured.err.startswith(f"train.share: {line}")
    assert not environment.get("HF_TOKEN") or environment["HF_TOKEN"] not in captured.err
    assert {name: list(repo.commits) for name, repo in hub.repos.items()} == before


@pytest.mark.parametrize(
    ("token", "repo_id", "line"),
    [
        ("", "user/a", "there is no Hub token; log in with `hf auth login`"),
        ("hf_wrong", "user/a", "user/a: the Hub does not know the token"),
        ("hf_read", "user/a", "user/a: the token may not write to it (You"),
        ("hf_read", "user/there", "user/there: the token may not write to it (Forbidden"),
        ("hf_x", "other/a", "other/a: the token may not write to it"),
        ("hf_x", "covers", "'covers' is no full Hub id; name its owner too: user/covers"),
    ],
)
def test_what_would_be_refused_later_is_refused_at_once(hub: Hub, generator, monkeypatch, token, repo_id, line):
    upload_model(generator, "user/there")
    before = {name: list(repo.commits) for name, repo in hub.repos.items()}
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(HubError) as raised:
        claim("model", repo_id)
    assert str(raised.value).startswith(line)
    assert {name: list(repo.commits) for name, repo in hub.repos.items()} == before
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    claim("model", "user/there")
    claim("model", "user/new", private=True)
    assert hub.repos["model", "user/new"].private and hub.repos["model", "user/new"].files == {}


def test_what_is_pushed_is_what_there_was_when_it_began(hub: Hub, tmp_path: Path):
    """The next checkpoint is written while the one before is still on its way."""
    pipeline, said = tiny_run(tmp_path / "run"), []
    first = {file.relative_to(pipeline).as_posix(): file.read_bytes() for file in pipeline.rglob("*.safetensors")}
    push = Push(tmp_path / "run", "user/covers", private=False, say=said.append)
    hub.hold = "/api/repos/create"
    push.start(IMAGES)
    gan.save_pipeline(tiny_pipeline("dcgan", seed=1), pipeline)
    push.start(30720)  # left out
    hub.hold = None
    assert push.wait()
    repo = hub.repos["model", "user/covers"]
    assert first and {name: repo.files[name] for name in first} == first
    push.last(30720)
    assert list(repo.tags) == [f"images-{IMAGES}", "images-30720"]
    assert all(repo.files[name] == (pipeline / name).read_bytes() != content for name, content in first.items())
    assert [line for line in said if line.startswith("pushed")] == [
        f"pushed after {images:,} covers: {hub.url}/user/covers" for images in (IMAGES, 30720)
    ]


def test_offline_and_unreachable_are_one_line(hub: Hub, tiny_dataset: Path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match=r"^offline mode is on \(HF_HUB_OFFLINE\)"):
        upload_dataset(tiny_dataset, "user/covers-16")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"^http://127\.0\.0\.1:9: cannot be reached: [^\n]+$"):
        upload_dataset(tiny_dataset, "user/covers-16")


def test_loading_what_is_private_or_not_there_is_one_line_without_the_token(hub: Hub, generator: Path, monkeypatch):
    upload_model(generator, "user/secret", private=True)
    for token, line in (
        ("", "there is no model of this name, or it is private: log in with `hf auth login`"),
        ("hf_wrong", "the Hub does not know the token; log in anew with `hf auth login`, or set HF_TOKEN"),
    ):
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(gan.PipelineError) as raised:
            gan.load_pipeline("user/secret")
        assert str(raised.value) == f"user/secret: cannot be loaded from the Hub: {line}"
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    with pytest.raises(gan.PipelineError, match=r"^user/secret: .* the model has no such revision$"):
        gan.load_pipeline("user/secret", "images-1")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        gan.PipelineError, match=r"^user/other: cannot be loaded .*127\.0\.0\.1:9: cannot be reached: "
    ):
        gan.load_pipeline("user/other")
