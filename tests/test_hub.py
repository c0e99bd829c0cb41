"""Cards and uploads, in this process: what is sent, and what is said where the Hub refuses."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import Hub
from huggingface_hub import HfApi, RepoCard, constants
from huggingface_hub.errors import HfHubHTTPError
from tiny import tiny_pipeline

import gan
from gan.card import model_card
from gan.hub import PROJECT, HubError, upload_dataset, upload_model, upload_space
from train import cli, share


README = "---\ntitle: Covers\nemoji: 💿\ncolorFrom: indigo\ncolorTo: pink\nsdk: gradio\n---\n\n# Covers\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


@pytest.fixture
def hub(server: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """An empty Hub that the client in this process talks to; the tests' own settings keep it offline."""
    server.repos.clear()
    server.requests.clear()
    server.taken.clear()
    server.paid_only = server.full = False
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    return server


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole pipeline folder, in the folder of a run."""
    run = tmp_path_factory.mktemp("run")
    gan.save_pipeline(tiny_pipeline("dcgan"), run / "pipeline")
    config = {"network": "dcgan", "dataset_name": "/home/alice/secret/covers-8", "loss": "logistic", "seed": 7}
    (run / "config.json").write_text(json.dumps(config))
    (run / "metrics.jsonl").write_text('{"images": 64, "seconds": 1}\n{"images": 20480, "seconds": 5400}\n{"ima')
    return run / "pipeline"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The smallest project that is a page, among what must stay at home."""
    files = {"README.md": README, "app.py": "", "requirements.txt": "", "gan/__init__.py": "", "gan/studio/tab.py": ""}
    files |= {"gan/pretrained/model_index.json": "{}", "gan/__pycache__/x.pyc": "", "gan/.notes": "", ".env": "KEY=1"}
    files |= {"train/share.py": "", "runs/a/config.json": "", "tests/test.py": ""}
    for name, text in files.items():
        (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / name).write_text(text)
    return tmp_path / "project"


PAGE = {"README.md", "app.py", "requirements.txt", "gan/__init__.py", "gan/studio/tab.py"}
PAGE |= {"gan/pretrained/model_index.json"}


def program(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr("sys.argv", ["share", *map(str, arguments)])
    try:
        cli.run(share.main, "train.share")
    except SystemExit as end:
        return end.code
    return 0


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
    for file in filter(Path.is_file, generator.rglob("*")):
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


def test_dry_run_asks_nothing_of_the_hub(hub: Hub, generator: Path, project: Path, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    assert program(monkeypatch, "model", generator, "--repo_id", "user/covers", "--dry_run") == 0
    output = capsys.readouterr().out
    assert all(str(p.name) in output for p in generator.rglob("*") if p.is_file())
    assert output.splitlines()[-1].endswith("; nothing was sent")
    upload_space("user/page", model_id="user/covers", project=project, dry_run=True)
    assert hub.requests == []


def test_the_card_tells_what_the_run_tells_and_no_path(generator: Path):
    card = RepoCard(model_card(gan.load_pipeline(generator), "user/covers", generator.parent))
    assert card.data.library_name == "diffusers" and card.data.get("datasets") is None
    for told in (
        "16 x 16 pixels",
        "| dataset | covers-8 |",
        "| covers shown | 20,480 |",
        "| hours | 1.5 |",
        "(4, 10)",
    ):
        assert told in card.text
    assert "alice" not in card.content
    assert 'DiffusionPipeline.from_pretrained("user/covers", trust_remote_code=True)' in card.text


def test_the_card_links_a_dataset_of_the_hub(generator: Path, tmp_path: Path):
    (tmp_path / "config.json").write_text('{"network": "dcgan", "dataset_name": "user/covers-8"}')
    card = RepoCard(model_card(gan.load_pipeline(generator), "user/covers", tmp_path))
    assert card.data.datasets == ["user/covers-8"]


@pytest.mark.parametrize("config", ["[1]", "{", '{"network": "r3gan"}', '{"network": ["dcgan"]}'])
def test_the_card_is_silent_about_any_other_run(generator: Path, tmp_path: Path, config: str):
    (tmp_path / "config.json").write_text(config)
    assert "How it was trained" not in model_card(gan.load_pipeline(generator), "user/covers", tmp_path)


def test_a_card_of_ones_own_is_sent(hub: Hub, generator: Path, tmp_path: Path):
    folder = shutil.copytree(generator, tmp_path / "pipeline")
    (folder / "README.md").write_text("mine")
    upload_model(folder, "user/covers")
    assert hub.repos["model", "user/covers"].files["README.md"] == b"mine"


def test_a_space_holds_the_page_and_nothing_else(hub: Hub, project: Path, generator: Path):
    upload_model(generator, "user/covers")
    upload = upload_space("user/page", model_id="user/covers", project=project)
    repo = hub.repos["space", "user/page"]
    assert set(repo.files) == PAGE and repo.sdk == "gradio"
    assert repo.variables == {"MODEL_ID": "user/covers", "MODEL_REVISION": "main"}
    assert upload.url == f"{hub.url}/spaces/user/page"
    card = RepoCard(repo.files["README.md"].decode())
    assert card.data["models"] == ["user/covers"] and card.text == RepoCard(README).text

    (project / "gan/studio/tab.py").rename(project / "gan/studio/tab2.py")
    upload_space("user/page", project=project)
    assert set(repo.files) == PAGE - {"gan/studio/tab.py"} | {"gan/studio/tab2.py"}
    assert repo.files["README.md"].decode() == README and repo.variables["MODEL_ID"] == "user/covers"


def test_our_own_page_makes_a_space(hub: Hub):
    upload_space("user/page")
    files = hub.repos["space", "user/page"].files
    needed = {"README.md", "app.py", "requirements.txt", "gan/pipeline_folder.py", "gan/pretrained/model_index.json"}
    assert needed <= set(files) and any(name.startswith("gan/studio/") for name in files)
    assert {name.split("/")[0] for name in files} == {"README.md", "app.py", "requirements.txt", "gan"}
    data = RepoCard((PROJECT / "README.md").read_text()).data
    assert (data["sdk"], data["app_file"], data["python_version"]) == ("gradio", "app.py", "3.12")
    assert f"gradio=={data['sdk_version']}" in files["requirements.txt"].decode().split()
    assert max(map(len, files.values())) < 10_000_000


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
    yield "no owner", {}, [*model, "covers"], "'covers' is no full Hub id; name its owner too: user/covers"
    yield "no id", {}, [*model, "user/a b"], "'user/a b' is no Hub id"
    yield "no folder", {}, ["model", "/nowhere", "--repo_id", "user/a"], "/nowhere: no such folder"
    yield "no pipeline", {}, ["model", "EMPTY", "--repo_id", "user/a"], "EMPTY: holds no model_index.json"
    yield "no dataset", {}, ["dataset", "EMPTY", "--repo_id", "user/a"], "EMPTY: holds no prepared dataset"


@pytest.mark.parametrize(("environment", "arguments", "line"), [pytest.param(*r[1:], id=r[0]) for r in refusals()])
def test_a_refusal_is_one_line(
    hub: Hub, generator: Path, project: Path, tmp_path: Path, monkeypatch, capsys, environment, arguments, line
):
    monkeypatch.setattr("train.share.upload_space", lambda **given: upload_space(**given, project=project))
    upload_model(generator, "user/there")
    capsys.readouterr()
    hub.taken.add("user/taken")
    before = {name: list(repo.commits) for name, repo in hub.repos.items()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "empty").mkdir()
    places = {"GENERATOR": str(generator), "EMPTY": str(tmp_path / "empty")}
    assert program(monkeypatch, *(places.get(a, a) for a in arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith(f"train.share: {line.replace('EMPTY', places['EMPTY'])}")
    assert not environment.get("HF_TOKEN") or environment["HF_TOKEN"] not in captured.err
    assert {name: list(repo.commits) for name, repo in hub.repos.items()} == before


def test_a_space_that_must_be_paid_for_can_still_be_updated(hub: Hub, project: Path):
    hub.paid_only = True
    with pytest.raises(HubError, match=r"^user/page: Gradio Spaces require a PRO subscription; .* website"):
        upload_space("user/page", project=project)
    hub.paid_only = False
    upload_space("user/page", project=project)
    hub.paid_only = True
    (project / "app.py").write_text("new")
    upload_space("user/page", project=project)
    assert hub.repos["space", "user/page"].files["app.py"] == b"new"


def test_offline_and_unreachable_are_one_line(hub: Hub, tiny_dataset: Path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match=r"^offline mode is on \(HF_HUB_OFFLINE\)"):
        upload_dataset(tiny_dataset, "user/covers-16")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"^http://127\.0\.0\.1:9: cannot be reached: [^\n]+$"):
        upload_dataset(tiny_dataset, "user/covers-16")


@pytest.mark.parametrize("readme", ["# Covers\n", "---\nsdk: docker\n---\n", "---\n[: x\n---\n", "---\n- a\n---\n"])
def test_a_readme_that_describes_no_space_is_refused(hub: Hub, project: Path, readme: str):
    (project / "README.md").write_text(readme)
    with pytest.raises(HubError, match=r"README\.md: "):
        upload_space("user/page", project=project)
    assert hub.requests == []


def test_a_page_with_a_file_missing_is_refused(hub: Hub, project: Path):
    (project / "app.py").unlink()
    with pytest.raises(HubError, match=r"app\.py: missing"):
        upload_space("user/page", project=project)
