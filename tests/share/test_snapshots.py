"""Uploads to a repository that is there: tags, other people's repositories, the licence that an owner chose."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import gan
from tests.helpers.hub_repo import Repo
from tests.helpers.hub_server import Hub
from tests.helpers.sharing import IMAGES, program, tiny_run
from train.share.hub import HubError, upload_dataset, upload_model


TAG = f"images-{IMAGES}"


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with other weights, 30720 images."""
    return tiny_run(tmp_path_factory.mktemp("later"), seed=1, images=30720)


def draws(*arguments: str | Path) -> np.ndarray:
    return np.asarray(gan.load_pipeline(*arguments)(seeds=1).images[0])


def test_every_snapshot_is_a_tag_that_loads(hub: Hub, generator: Path, later: Path):
    assert f"tag {TAG}" in upload_model(generator, "user/covers").notes
    upload_model(later, "user/covers")
    assert list(hub.repos["model", "user/covers"].tags) == [TAG, "images-30720"]
    assert not np.array_equal(draws(generator), draws(later))
    for revision, folder in ((TAG, generator), ("images-30720", later), ("main", later)):
        np.testing.assert_array_equal(draws("user/covers", revision), draws(folder))


def test_a_given_tag_says_how_far_the_weights_are(hub: Hub, generator: Path):
    upload_model(generator, "user/covers", tag="images-64")
    repo = hub.repos["model", "user/covers"]
    assert list(repo.tags) == ["images-64"] and "| covers shown | 64 |" in repo.files["README.md"].decode()
    upload_model(generator, "user/covers", tag="v1")
    assert list(repo.tags) == ["images-64", "v1"]


def test_a_generator_of_no_run_gets_no_tag(hub: Hub, generator: Path, tmp_path: Path):
    alone = shutil.copytree(generator, tmp_path / "alone")
    upload_model(alone, "user/covers")
    assert hub.repos["model", "user/covers"].tags == {}


def test_the_same_again_changes_nothing(hub: Hub, generator: Path):
    upload_model(generator, "user/covers")
    repo = hub.repos["model", "user/covers"]
    before = list(repo.commits), dict(repo.tags)
    assert f"tag {TAG}" in upload_model(generator, "user/covers").notes
    assert (list(repo.commits), repo.tags) == before


def test_a_tag_is_moved_with_force_alone(hub: Hub, generator: Path, later: Path, monkeypatch, capsys):
    upload_model(generator, "user/covers")
    repo = hub.repos["model", "user/covers"]
    first = repo.tags[TAG]
    send = ("model", later, "--repo_id", "user/covers", "--tag", TAG)
    assert program(monkeypatch, *send) == 0
    assert f"the tag {TAG} is there and stays where it was (--force moves it)" in capsys.readouterr().out
    assert repo.tags[TAG] == first != repo.branches["main"]
    assert program(monkeypatch, *send, "--force") == 0
    assert repo.tags[TAG] == repo.branches["main"] != first


@pytest.mark.parametrize(
    ("name", "content"),
    [("pytorch_model.bin", b"x"), ("model_index.json", b'{"_class_name": "DDPMPipeline"}')],
)
def test_another_model_is_left_alone(hub: Hub, generator: Path, name: str, content: bytes):
    repo = hub.repos["model", "user/covers"] = Repo()
    repo.commit({".gitattributes": b"", "README.md": b"theirs", name: content}, "theirs")
    with pytest.raises(HubError, match=rf"^user/covers is there and holds another model \({name}\); .* --force$"):
        upload_model(generator, "user/covers")
    assert repo.messages == ["theirs"]
    upload_model(generator, "user/covers", force=True)
    assert name in repo.files and b"AlbumCoverPipeline" in repo.files["model_index.json"]


def test_what_the_hub_puts_into_a_new_repository_is_nobodys(hub: Hub, generator: Path):
    repo = hub.repos["model", "user/covers"] = Repo()
    repo.commit({".gitattributes": b"", "README.md": b"---\nlicense: mit\n---\n"}, "initial commit")
    notes = upload_model(generator, "user/covers").notes
    assert notes == (f"tag {TAG}",) and "license: mit" in repo.files["README.md"].decode()


def test_the_licence_is_kept_changed_and_missed(hub: Hub, generator: Path, monkeypatch, capsys):
    def license() -> list[str]:
        lines = hub.repos["model", "user/covers"].files["README.md"].decode().splitlines()
        return [line.removeprefix("license: ") for line in lines if line.startswith("license: ")]

    send = ("model", generator, "--repo_id", "user/covers")
    assert program(monkeypatch, *send) == 0
    assert license() == [] and "its card names no licence" in capsys.readouterr().out
    for named, there in (("cc-by-nc-4.0", "cc-by-nc-4.0"), (None, "cc-by-nc-4.0"), ("mit", "mit")):
        assert program(monkeypatch, *send, *(["--license", named] if named else [])) == 0
        assert license() == [there] and "names no licence" not in capsys.readouterr().out


def test_a_licence_beside_a_card_of_ones_own_is_refused(hub: Hub, generator: Path, tmp_path: Path):
    folder = shutil.copytree(generator, tmp_path / "pipeline")
    (folder / "README.md").write_text("mine")
    with pytest.raises(HubError, match=r"README\.md is sent as the card; name the licence in it"):
        upload_model(folder, "user/covers", license="mit")
    assert hub.requests == []


def test_another_dataset_is_left_alone(hub: Hub, tiny_dataset: Path):
    repo = hub.repos["dataset", "user/covers-16"] = Repo()
    repo.commit({".gitattributes": b"", "data/train.parquet": b"theirs", "report.json": b"{}"}, "theirs")
    with pytest.raises(HubError, match=r"^user/covers-16 is there and holds another dataset \(data/train\.parquet, "):
        upload_dataset(tiny_dataset, "user/covers-16")
    assert repo.messages == ["theirs"]
    upload_dataset(tiny_dataset, "user/covers-16", force=True)
    assert "data/train.parquet" not in repo.files
    upload_dataset(tiny_dataset, "user/covers-16")  # now it is ours


def test_parquet_that_was_not_prepared_is_not_shared(hub: Hub, tmp_path: Path):
    (tmp_path / "a.parquet").write_bytes(b"x")
    with pytest.raises(HubError, match="holds no prepared dataset"):
        upload_dataset(tmp_path, "user/covers")
    assert hub.requests == []
