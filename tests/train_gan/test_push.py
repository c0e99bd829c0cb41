"""A run that shares its generator while it trains: real processes, the real client, a Hub of the tests' own."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.hub_repo import Repo
from tests.helpers.hub_server import Hub
from tests.helpers.runs import command, finish, launch, start, weights


TOKEN = "hf_x"
TO = ("--push_to_hub", "--hub_model_id", "user/covers")


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


def environment(hub: Hub, token: str = TOKEN) -> dict[str, str]:
    return hub.environment(Path(os.environ["HF_HOME"]), token) | {"HF_HUB_OFFLINE": "0"}


@pytest.fixture(scope="module")
def pushed(hub: Hub, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Repo, str]:
    """A run of 800 covers that was shared: its folder, the repository, what the program said."""
    run = tmp_path_factory.mktemp("runs") / "pushed"
    done = launch(command(tiny_dataset, run, *TO, "--hub_private_repo"), **environment(hub))
    assert done.returncode == 0, done.stderr
    return run, hub.repos["model", "user/covers"], done.stdout + done.stderr


def test_every_checkpoint_is_a_tag(hub: Hub, pushed: tuple[Path, Repo, str]) -> None:
    run, repo, said = pushed
    assert repo.private and list(repo.tags) == ["images-400", "images-800"]
    assert repo.messages == ["initial commit", "After 400 covers", "After 800 covers"]
    for images in (400, 800):
        files = repo.commits[repo.tags[f"images-{images}"]]
        sheet = run / "samples" / f"images-{images:010d}.png"
        assert files["training/samples.png"] == sheet.read_bytes()
        assert f"| covers shown | {images} |" in files["README.md"].decode()
        assert f"pushed after {images} covers: {hub.url}/user/covers\n" in said
    pipeline = {f.relative_to(run / "pipeline").as_posix(): f for f in (run / "pipeline").rglob("*") if f.is_file()}
    assert pipeline and all(files[name] == file.read_bytes() for name, file in pipeline.items())
    assert files["training/film.webp"] == (run / "film.webp").read_bytes()
    assert "Is it a copy? 26 of its covers" in files["README.md"].decode()
    assert TOKEN not in said and not list(run.glob(".*"))


def test_pushing_changes_nothing_of_what_is_learned(pushed: tuple[Path, Repo, str], straight: Path) -> None:
    one, other = weights(straight), weights(pushed[0])
    assert all(one[key].equal(other[key]) for key in one)


def test_a_run_that_goes_on_moves_its_tag(
    hub: Hub, pushed: tuple[Path, Repo, str], tiny_dataset: Path, tmp_path: Path
) -> None:
    run, repo, _ = pushed
    again = shutil.copytree(run, tmp_path / "again")
    (again / "checkpoints" / "images-0000000800.pt").unlink()
    newest, repo.tags["images-800"] = repo.tags["images-800"], repo.tags["images-400"]
    done = launch(command(tiny_dataset, again, *TO), **environment(hub))
    assert done.returncode == 0, done.stderr
    assert list(repo.tags) == ["images-400", "images-800"]
    assert repo.tags["images-800"] == repo.branches["main"]
    name = "synthesis/diffusion_pytorch_model.safetensors"
    assert repo.files[name] == repo.commits[newest][name] != repo.commits[repo.tags["images-400"]][name]


def test_a_push_that_fails_is_one_line_and_the_run_goes_on(hub: Hub, tiny_dataset: Path, tmp_path: Path) -> None:
    hub.large.clear()
    hub.full = True
    to = (*TO[:2], "user/full", "--total_images", "80", "--checkpointing_images", "40")
    done = launch(command(tiny_dataset, tmp_path / "run", *to), **environment(hub))
    hub.full = False
    assert done.returncode == 0 and "Traceback" not in done.stderr
    for images in (40, 80):
        lines = [line for line in done.stderr.splitlines() if f"not pushed after {images} covers: " in line]
        assert len(lines) == 1 and "Storage limit reached" in lines[0]
    assert weights(tmp_path / "run")["images"] == 80 and hub.repos["model", "user/full"].files == {}


def wait_for(process: subprocess.Popen, ready) -> None:
    while not ready():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def commits(hub: Hub, repo_id: str) -> int:
    return hub.requests.count(f"POST /api/models/{repo_id}/commit/main")


def stopped_while_it_pushes(hub: Hub, repo_id: str, dataset: Path, run: Path, stop: signal.Signals):
    """A long run whose first push stays on its way until `hub.hold` ends; it has been told to stop and waits."""
    hub.hold = "/commit/"
    long = ("--total_images", "80000", "--checkpointing_images", "80", *TO[:2], repo_id)
    process = start(command(dataset, run, *long), **environment(hub))
    wait_for(process, lambda: commits(hub, repo_id))
    there = len(list(run.glob("samples/*.png")))
    wait_for(process, lambda: len(list(run.glob("samples/*.png"))) >= there + 3)  # the training does not wait
    os.killpg(process.pid, stop)
    while (line := process.stderr.readline()) and "waiting" not in line:
        pass
    assert f"waiting for the push to {repo_id}; Ctrl+C leaves without it" in line
    assert commits(hub, repo_id) == 1 and process.poll() is None
    return process


def test_a_push_is_not_waited_for_by_the_training_but_by_its_end(hub: Hub, tiny_dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = stopped_while_it_pushes(hub, "user/slow", tiny_dataset, run, signal.SIGTERM)
    hub.hold = None
    done = finish(process)
    assert done.returncode == 0 and f"{run}: stopped after " in done.stdout.splitlines()[-1]
    sheets = sorted(run.glob("samples/*.png"))
    assert len(sheets) >= 4
    # those between were left out, the newest carries all
    first, last = (f"images-{int(sheet.stem.removeprefix('images-'))}" for sheet in (sheets[0], sheets[-1]))
    repo = hub.repos["model", "user/slow"]
    assert list(repo.tags) == [first, last] and repo.files["training/samples.png"] == sheets[-1].read_bytes()


def test_a_second_ctrl_c_leaves_the_push(hub: Hub, tiny_dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = stopped_while_it_pushes(hub, "user/left", tiny_dataset, run, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    done = finish(process)
    hub.hold = None
    assert done.returncode == 0 and f"{run}: stopped after " in done.stdout.splitlines()[-1]
    again = f"python -m train.share model {run / 'pipeline'} --repo_id user/left"
    assert f"left before it was there; share it with: {again}\n" in done.stderr
    assert list(hub.repos["model", "user/left"].tags) == []


@pytest.mark.parametrize(
    ("token", "repo_id", "line"),
    [
        ("hf_read", "user/ours", "user/ours: the token may not write to it (Forbidden"),
        ("hf_x", "user/theirs", "user/theirs is there and holds another model (weights.bin); name another one, or"),
    ],
)
def test_what_the_hub_would_not_take_is_said_before_the_first_step(
    token: str, repo_id: str, line: str, hub: Hub, tiny_dataset: Path, tmp_path: Path
) -> None:
    hub.repos["model", "user/theirs"] = Repo()
    hub.repos["model", "user/theirs"].commit({".gitattributes": b"", "weights.bin": b"x"}, "theirs")
    hub.repos["model", "user/ours"] = Repo()
    hub.repos["model", "user/ours"].commit({"model_index.json": b'["pipeline", "AlbumCoverPipeline"]'}, "ours")
    run = tmp_path / "run"
    to = ("--push_to_hub", "--hub_model_id", repo_id)
    done = launch(command(tiny_dataset, run, *to), **environment(hub, token))
    assert done.returncode == 2 and done.stdout == "" and not run.exists()
    assert done.stderr.startswith(f"train.train_gan: --push_to_hub: {line}") and done.stderr.count("\n") == 1
    assert token not in done.stderr


def test_the_name_on_the_hub_must_be_given(hub: Hub, tiny_dataset: Path, tmp_path: Path) -> None:
    before = list(hub.requests)
    done = launch(command(tiny_dataset, tmp_path / "run", "--push_to_hub"), **environment(hub))
    assert done.returncode == 2 and "--push_to_hub needs --hub_model_id user/name" in done.stderr
    assert hub.requests == before


def test_what_a_killed_run_was_about_to_send_is_swept_up(hub: Hub, tiny_dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = stopped_while_it_pushes(hub, "user/killed", tiny_dataset, run, signal.SIGTERM)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    hub.hold = None
    assert list(run.glob(".push-*"))
    images = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["images"]
    more = ("--total_images", str(images + 400), "--checkpointing_images", "400")
    done = launch(command(tiny_dataset, run, *more, *TO[:2], "user/killed"), **environment(hub))
    assert done.returncode == 0, done.stderr
    assert not list(run.glob(".push-*"))
    assert hub.repos["model", "user/killed"].tags
