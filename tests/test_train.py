"""The trainer as people run it: real processes, killed, resumed, two at a time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from gan import load_pipeline


ROOT = Path(__file__).parent.parent
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch"]


def command(dataset: Path, output: Path, *more: str) -> list[str]:
    program = [
        "-m",
        "train.train_gan",
        "--config",
        "tiny",
        "--dataset_name",
        str(dataset),
        "--output_dir",
        str(output),
    ]
    return [*LAUNCH, *program, "--mixed_precision", "no", *more]


def launch(command: list[str], **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False
    )


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All numbers of a run's last checkpoint, optimisers included."""
    state = torch.load(sorted((run / "checkpoints").glob("*.pt"))[-1], weights_only=True)
    flat = {"images": torch.tensor(state["images"])}
    for part in ("generator", "discriminator", "ema"):
        flat |= {f"{part}.{key}": value for key, value in state[part].items()}
        for index, slots in state.get(f"{part}_optimizer", {"state": {}})["state"].items():
            flat |= {f"{part}.{index}.{key}": value for key, value in slots.items()}
    return flat


def assert_same_run(a: Path, b: Path) -> None:
    one, other = weights(a), weights(b)
    assert one.keys() == other.keys()
    different = [key for key in one if not torch.equal(one[key], other[key])]
    assert not different
    lines = [
        [{k: v for k, v in json.loads(line).items() if "second" not in k} for line in metrics.read_text().splitlines()]
        for metrics in (a / "metrics.jsonl", b / "metrics.jsonl")
    ]
    assert lines[0] == lines[1]


@pytest.fixture(scope="module")
def straight(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 800 covers that nothing interrupted."""
    run = tmp_path_factory.mktemp("runs") / "straight"
    done = launch(command(tiny_dataset, run))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"{run}: done after 800 covers, ")
    assert "800/800" in done.stderr  # the progress bar
    return run


def test_a_run_leaves_what_the_manual_says(straight: Path) -> None:
    assert sorted(p.name for p in straight.iterdir()) == [
        "checkpoints", "config.json", "metrics.jsonl", "pipeline", "samples",
    ]  # fmt: skip
    lines = [json.loads(line) for line in (straight / "metrics.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [200, 400, 600, 800]
    assert {"loss_g", "loss_d", "images_per_second", "seconds"} <= lines[-1].keys()
    assert json.loads((straight / "config.json").read_text())["network"] == "r3gan"
    sheets = sorted((straight / "samples").iterdir())
    assert [p.name for p in sheets] == ["images-0000000400.png", "images-0000000800.png"]
    assert Image.open(sheets[-1]).size == (128, 128)
    assert len(load_pipeline(straight / "pipeline")(seeds=[1, 2]).images) == 2


def test_the_sheet_shows_the_covers_of_the_pipeline(straight: Path) -> None:
    sheet = Image.open(straight / "samples" / "images-0000000800.png")
    cover = load_pipeline(straight / "pipeline")(seeds=[9]).images[0]
    ours = sheet.crop((16, 16, 32, 32))
    assert max(abs(a - b) for a, b in zip(ours.tobytes(), cover.tobytes(), strict=True)) <= 1


def test_killed_twice_and_started_again_it_is_the_same_run(tiny_dataset: Path, straight: Path, tmp_path: Path) -> None:
    run = tmp_path / "killed"
    for lines in (1, 3):  # before and after the first checkpoint
        process = subprocess.Popen(
            command(tiny_dataset, run), cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        metrics = run / "metrics.jsonl"
        deadline = time.monotonic() + 120
        while not (metrics.exists() and len(metrics.read_text().splitlines()) >= lines):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (run / "checkpoints" / ".left").write_bytes(b"half a checkpoint")
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"images": 7')  # what a process killed while writing leaves
    done = launch(command(tiny_dataset, run))
    assert done.returncode == 0, done.stderr
    assert_same_run(straight, run)
    assert not list((run / "checkpoints").glob(".*"))


def test_sigterm_saves_and_the_same_command_goes_on(tiny_dataset: Path, straight: Path, tmp_path: Path) -> None:
    run = tmp_path / "stopped"
    process = subprocess.Popen(
        command(tiny_dataset, run), cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    while not (run / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGTERM)
    last_line = process.communicate(timeout=60)[0].splitlines()[-1]
    assert f"{run}: stopped after " in last_line
    assert weights(run)["images"] % 8 == 0
    done = launch(command(tiny_dataset, run))
    assert done.returncode == 0, done.stderr
    assert_same_run(straight, run)


def test_a_finished_run_says_so(tiny_dataset: Path, straight: Path) -> None:
    done = launch(command(tiny_dataset, straight))
    assert done.returncode == 0
    assert "already shown 800 covers; raise --total_images" in done.stdout
    other = launch(command(tiny_dataset, straight, "--train_batch_size", "4"))
    assert "holds a run with train_batch_size 8, not 4" in other.stderr


def test_an_earlier_checkpoint_goes_on_in_another_folder_only(
    tiny_dataset: Path, straight: Path, tmp_path: Path
) -> None:
    earlier = ("--resume_from_checkpoint", str(straight / "checkpoints" / "images-0000000400.pt"))
    refused = launch(command(tiny_dataset, straight, *earlier))
    assert "went further already" in refused.stderr and weights(straight)["images"] == 800
    done = launch(command(tiny_dataset, tmp_path / "branch", *earlier))
    assert done.returncode == 0, done.stderr
    one, other = weights(straight), weights(tmp_path / "branch")
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_two_processes_through_the_real_launcher_do_what_one_does(tiny_dataset: Path, tmp_path: Path) -> None:
    short = ("--total_images", "80")
    one, two = tmp_path / "one", tmp_path / "two"
    assert launch(command(tiny_dataset, one, *short)).returncode == 0
    both = command(tiny_dataset, two, *short)
    # `--cpu --num_processes 2` silently starts one process; this starts two
    both[3:3] = ["--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
    done = launch(both, ACCELERATE_USE_CPU="true")
    assert done.returncode == 0, done.stderr
    assert json.loads((two / "config.json").read_text())["processes"] == 2
    assert done.stdout.count("done after 80 covers") == 1
    a, b = weights(one), weights(two)
    assert a.keys() == b.keys()
    for key, value in a.items():
        torch.testing.assert_close(b[key], value, atol=1e-4, rtol=1e-4, msg=key)
