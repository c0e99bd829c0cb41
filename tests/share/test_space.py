"""The page as a Space: what is sent, what is checked before, how it is told which generator to show."""

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import RepoCard

from tests.helpers.hub_repo import Repo
from tests.helpers.hub_server import Hub
from tests.helpers.sharing import PAGE, README, smallest_page, tiny_run
from train.share.hub import PROJECT, HubError, upload_model, upload_space


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return smallest_page(tmp_path / "project")


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("run"))


def test_a_space_holds_the_page_and_nothing_else(hub: Hub, project: Path, generator: Path):
    upload_model(generator, "user/covers", license="mit")
    upload = upload_space("user/page", model_id="user/covers", project=project)
    repo = hub.repos["space", "user/page"]
    assert set(repo.files) == set(PAGE) and repo.sdk == "gradio" and upload.notes == ()
    assert repo.variables == {"MODEL_ID": "user/covers", "MODEL_REVISION": "main"}
    assert upload.url == f"{hub.url}/spaces/user/page"
    card = RepoCard(repo.files["README.md"].decode())
    assert card.text == RepoCard(README).text
    there = RepoCard(README).data.to_dict()
    assert card.data.to_dict() == there | {"models": ["user/covers"], "suggested_hardware": "cpu-basic"}


def test_an_update_drops_what_is_gone_and_keeps_the_model_that_was_named(hub: Hub, project: Path, generator: Path):
    upload_model(generator, "user/covers")
    upload_space("user/page", model_id="user/covers", model_revision="images-20480", project=project)
    (project / "gan/studio/tab.py").rename(project / "gan/studio/tab2.py")
    (project / "app.py").write_text("import gan.studio.tab2")
    (project / "README.md").write_text(README.replace("sdk:", "suggested_hardware: zero-a10g\nsdk:"))
    upload_space("user/page", project=project)
    repo = hub.repos["space", "user/page"]
    assert set(repo.files) == set(PAGE) - {"gan/studio/tab.py"} | {"gan/studio/tab2.py"}
    assert repo.variables == {"MODEL_ID": "user/covers", "MODEL_REVISION": "images-20480"}
    data = RepoCard(repo.files["README.md"].decode()).data
    assert data["models"] == ["user/covers"] and data["suggested_hardware"] == "zero-a10g"


def test_a_private_model_needs_a_token_in_the_space(hub: Hub, project: Path, generator: Path):
    upload_model(generator, "user/covers", private=True)
    notes = upload_space("user/page", model_id="user/covers", project=project).notes
    assert notes == ("user/covers is private: give the Space a token as its secret HF_TOKEN",)
    assert "hf_x" not in repr(vars(hub.repos["space", "user/page"]))


def test_our_own_page_makes_a_space(hub: Hub):
    upload_space("user/page")
    files = hub.repos["space", "user/page"].files
    needed = {"README.md", "app.py", "requirements.txt", "gan/pipeline_folder.py", "gan/pretrained/model_index.json"}
    assert needed <= set(files) and any(name.startswith("gan/studio/") for name in files)
    assert {name.split("/")[0] for name in files} == {"README.md", "app.py", "requirements.txt", "gan"}
    assert max(map(len, files.values())) < 10_000_000  # a plain `git push` to a Space takes them


def test_a_space_of_something_else_is_left_alone(hub: Hub, project: Path):
    theirs = {".gitattributes": b"", "README.md": b"", "app.py": b"theirs", "gan/pipeline.py": b"class Pipeline: ..."}
    repo = hub.repos["space", "user/page"] = Repo()
    repo.commit(theirs, "theirs")
    with pytest.raises(HubError, match=r"^user/page is there and holds another space \(app\.py, gan/pipeline\.py\); "):
        upload_space("user/page", project=project)
    assert repo.messages == ["theirs"]
    upload_space("user/page", project=project, force=True)
    assert set(repo.files) == set(PAGE)
    upload_space("user/page", project=project)  # now it is ours


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


def readme(old: str, new: str) -> Callable[[Path], None]:
    return lambda project: (project / "README.md").write_text(README.replace(old, new))


def without(name: str) -> Callable[[Path], None]:
    return lambda project: (project / name).unlink()


MISTAKES = {
    "no front matter": (readme("---\ntitle", "title"), "README.md: must begin with a Space's front matter"),
    "another sdk": (readme("gradio", "docker"), "README.md: must begin with a Space's front matter"),
    "no YAML": (readme("title:", "[: x"), "README.md: its front matter is not YAML"),
    "another gradio": (
        readme("6.31.0", "6.30.0"),
        "README.md: its sdk_version is 6.30.0, and requirements.txt has gradio==6.31.0",
    ),
    "no pin": (lambda p: (p / "requirements.txt").write_text("gradio\n"), "requirements.txt has no pin of gradio"),
    "no program": (without("app.py"), "app.py: missing, and a Space needs it"),
    "no requirements": (without("requirements.txt"), "requirements.txt: missing, and a Space needs it"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_page_that_the_hub_would_not_start_is_not_sent(hub: Hub, project: Path, mistake: str):
    break_it, line = MISTAKES[mistake]
    upload_space("user/page", project=project, dry_run=True)
    break_it(project)
    with pytest.raises(HubError) as raised:
        upload_space("user/page", project=project)
    assert line in str(raised.value) and "\n" not in str(raised.value)
    assert hub.requests == []


def test_the_settings_of_our_own_page_are_those_of_the_design():
    data = RepoCard((PROJECT / "README.md").read_text()).data
    assert (data["sdk"], data["app_file"], data["python_version"]) == ("gradio", "app.py", "3.12")
