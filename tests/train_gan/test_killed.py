"""The trainer as people run it: real processes, killed and resumed."""

import json
import os
import pty
import resource
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from PIL import Image

from gan import load_pipeline
from tests.helpers.programs import keep_to_one_core
from tests.helpers.runs import LAUNCHER, assert_same_run, command, finish, kill_when, launch, start, weights
from tests.helpers.trainers import trainer
from train.train_gan.checkpoints import Checkpoints
from train.train_gan.recipes import load_recipe


def test_a_run_leaves_what_the_manual_says(straight: Path) -> None:
    assert sorted(p.name for p in straight.iterdir()) == [
        "best", "checkpoints", "config.json", "copies.json", "film.mp4", "film.webp", "metrics.jsonl", "pipeline",
        "samples",
    ]  # fmt: skip
    lines = [json.loads(line) for line in (straight / "metrics.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [200, 400, 400, 600, 800, 800]
    shown = {"loss_g", "loss_d", "images_per_second", "seconds", "augmentation", "r_v", "gradient_norm_g"}
    assert shown <= lines[-2].keys()
    measured = {"kind", "images", "ema_sigma", "sliced_wasserstein", "patch_covers", "seconds"}
    measured |= {"pairwise_distance", "real_pairwise_distance", "held_out_gap", "real_fd_covers"}
    measured |= {"fd_covers", "precision_covers", "recall_covers", "count"}
    measured |= {"real_sliced_wasserstein", "real_precision_covers", "real_recall_covers"}
    assert lines[-1].keys() == measured
    best = min((line for line in lines if "fd_covers" in line), key=lambda line: line["fd_covers"])
    assert best["count"] == 26 and len(load_pipeline(straight / "best")(seeds=[1]).images) == 1
    assert json.loads((straight / "config.json").read_text())["network"] == "r3gan"
    copies = json.loads((straight / "copies.json").read_text())
    assert copies["images"] == 800 and copies["samples"] == 26 and copies["found"] == 0 < copies["nearest_bits"]
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
    metrics = run / "metrics.jsonl"
    for lines in (1, 4):  # before and after the first checkpoint, which comes with the third
        kill_when(
            start(command(tiny_dataset, run)),
            lambda n=lines: metrics.exists() and len(metrics.read_text().splitlines()) >= n,
        )
        assert any((run / "checkpoints").glob("images-*.pt")) is (lines == 4)
    (run / "checkpoints" / ".new-left").write_bytes(b"half a checkpoint")
    with open(metrics, "a") as file:
        file.write('{"images": 7')  # what a process killed while writing leaves
    done = launch(command(tiny_dataset, run))
    assert done.returncode == 0, done.stderr
    assert_same_run(straight, run)
    assert not list((run / "checkpoints").glob(".*"))


def test_killed_while_a_checkpoint_is_written_it_is_the_same_run(
    tiny_dataset: Path, straight: Path, tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    checkpoints = run / "checkpoints"
    unfinished = 0
    for attempt in range(10):  # the moment is short: until it was met twice
        # each attempt has another checkpoint before it, and writes them more and more often
        often = ("--checkpointing_images", str(80 - 8 * attempt))
        kill_when(start(command(tiny_dataset, run, *often)), lambda: any(checkpoints.glob(".*")))
        unfinished += bool(list(checkpoints.glob(".*")))
        if unfinished == 2:
            break
    assert unfinished == 2
    done = launch(command(tiny_dataset, run))
    assert done.returncode == 0, done.stderr
    assert_same_run(straight, run)


def damaged_run(straight: Path, folder: Path, damage: str) -> tuple[Path, str]:
    """A copy of a run whose newest checkpoint is damaged, and what is to be said of that."""
    newest = shutil.copytree(straight, folder) / "checkpoints" / "images-0000000800.pt"
    content = newest.read_bytes()
    half = len(content) // 2
    zeroed = content[:half] + bytes(64) + content[half + 64 :]  # torch itself would load it without a word
    newest.write_bytes({"cut": content[:half], "zeroed": zeroed, "empty": b""}[damage])
    return folder, f"{newest}: damaged, kept as images-0000000800.pt.damaged; the one before it is used"


@pytest.mark.parametrize("damage", ["cut", "zeroed", "empty"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    damage: str, straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run, line = damaged_run(straight, tmp_path / "run", damage)
    gan = trainer(load_recipe("tiny", {})).gan
    assert Checkpoints(run).load(gan, "latest", torch.device("cpu"))[0] == 400
    assert line in capsys.readouterr().err
    assert (run / "checkpoints" / "images-0000000800.pt.damaged").exists()
    before = torch.load(run / "checkpoints" / "images-0000000400.pt", weights_only=True)["generator"]
    assert all(torch.equal(value, before[key]) for key, value in gan.generator.state_dict().items())


def test_after_a_damaged_checkpoint_it_is_the_same_run(tiny_dataset: Path, straight: Path, tmp_path: Path) -> None:
    run, line = damaged_run(straight, tmp_path / "run", "zeroed")
    done = launch(command(tiny_dataset, run))
    assert done.returncode == 0 and line in done.stderr, done.stderr
    assert_same_run(straight, run)


def test_when_all_checkpoints_are_damaged_nothing_is_overwritten(
    tiny_dataset: Path, straight: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(straight, run)
    for file in (run / "checkpoints").iterdir():
        file.write_bytes(b"")
    done = launch(command(tiny_dataset, run))
    assert done.returncode and "images-0000000800.pt: damaged, and no other is left; start again" in done.stderr
    assert len(list((run / "checkpoints").glob("*.pt"))) == 2


def test_a_full_disk_stops_the_run_and_leaves_the_last_checkpoint_whole(
    tiny_dataset: Path, straight: Path, tmp_path: Path
) -> None:
    """The system refuses to write more than 64 kB into a file, in the middle of a checkpoint of 200 kB."""
    run = tmp_path / "full"
    process = start(command(tiny_dataset, run))
    while not list(run.glob("checkpoints/images-*.pt")):
        assert process.poll() is None
        time.sleep(0.005)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (65536, 65536))
    done = finish(process)
    line = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert line.startswith(f"train.train_gan: --output_dir {run} cannot be written (File too large); make room")
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["images-0000000400.pt"]
    done = launch(command(tiny_dataset, run))
    assert done.returncode == 0, done.stderr
    assert_same_run(straight, run)


def test_sigterm_saves_and_the_same_command_goes_on(tiny_dataset: Path, straight: Path, tmp_path: Path) -> None:
    run = tmp_path / "stopped"
    process = start(command(tiny_dataset, run))
    while not (run / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGTERM)
    stopped = finish(process)
    assert stopped.returncode == 0 and f"{run}: stopped after " in stopped.stdout.splitlines()[-1]
    assert weights(run)["images"] % 8 == 0
    done = launch(command(tiny_dataset, run))
    assert done.returncode == 0, done.stderr
    assert_same_run(straight, run)


def test_when_the_launcher_is_ended_the_run_saves_and_ends(tiny_dataset: Path, straight: Path, tmp_path: Path) -> None:
    run = tmp_path / "orphaned"
    python, *program = command(tiny_dataset, run)
    process = start([python, *LAUNCHER, *program])  # a fork, which starts the trainer as it would elsewhere
    keep_to_one_core(process.pid)
    while not (run / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.terminate()  # the launcher alone, which passes nothing on
    stopped = finish(process)  # both have ended when their output has
    assert f"{run}: stopped after " in stopped.stdout.splitlines()[-1]
    done = launch(command(tiny_dataset, run))
    assert done.returncode == 0, done.stderr
    assert_same_run(straight, run)


def test_killed_after_the_last_checkpoint_it_gets_what_is_missing(
    tiny_dataset: Path, straight: Path, tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    shutil.copytree(straight, run)
    (run / "film.webp").unlink()
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:-1]))  # without the last evaluation
    copies = json.loads((run / "copies.json").read_text())
    (run / "copies.json").write_text(json.dumps(copies | {"images": 400}))
    done = launch(command(tiny_dataset, run))
    assert done.returncode == 0 and "already shown 800 covers" in done.stdout, done.stderr
    assert_same_run(straight, run)
    assert json.loads((run / "copies.json").read_text()) == copies
    assert (run / "film.webp").read_bytes() == (straight / "film.webp").read_bytes()


def test_when_the_terminal_is_closed_the_run_is_saved(tiny_dataset: Path, straight: Path, tmp_path: Path) -> None:
    run = tmp_path / "hung-up"
    terminal, inside = pty.openpty()
    # The first terminal that the leader of a session opens is its own. These tests may have been started by nohup.
    code = "import os, runpy, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    code += f"mine = os.open({os.ttyname(inside)!r}, os.O_RDWR); [os.dup2(mine, stream) for stream in range(3)]; "
    code += "assert os.tcgetpgrp(0) == os.getpid(); "
    code += "runpy.run_module('train.train_gan', run_name='__main__', alter_sys=True)"
    process = start([sys.executable, "-c", code, *command(tiny_dataset, run)[3:]])
    os.set_blocking(terminal, False)
    shown = b""
    while not (run / "metrics.jsonl").exists():
        assert process.poll() is None, shown
        with suppress(BlockingIOError):
            shown += os.read(terminal, 65536)  # or the program would wait for somebody to read
        time.sleep(0.005)
    os.close(terminal)
    assert process.wait(timeout=300) == 0, shown
    os.close(inside)
    assert 0 < weights(run)["images"] < 800
    done = launch(command(tiny_dataset, run))
    assert done.returncode == 0, done.stderr
    assert_same_run(straight, run)


def test_a_finished_run_says_so(tiny_dataset: Path, straight: Path, tmp_path: Path) -> None:
    run = shutil.copytree(straight, tmp_path / "finished")
    done = launch(command(tiny_dataset, run))
    assert done.returncode == 0
    assert done.stdout == f"{run}: already shown 800 covers; raise --total_images to go on\n"
    told = (run / "config.json").read_bytes()
    assert launch(command(tiny_dataset, run, "--total_images", "400")).returncode == 0
    assert (run / "config.json").read_bytes() == told  # of the run as it was
    other = launch(command(tiny_dataset, run, "--train_batch_size", "4"))
    assert "holds a run with train_batch_size 8, not 4" in other.stderr


def test_an_earlier_checkpoint_goes_on_in_another_folder_only(
    tiny_dataset: Path, straight: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(straight, tmp_path / "run")
    earlier = ("--resume_from_checkpoint", str(run / "checkpoints" / "images-0000000400.pt"))
    refused = launch(command(tiny_dataset, run, *earlier))
    assert "went further already" in refused.stderr and weights(run)["images"] == 800
    done = launch(command(tiny_dataset, tmp_path / "branch", *earlier))
    assert done.returncode == 0, done.stderr
    one, other = weights(straight), weights(tmp_path / "branch")
    assert all(torch.equal(one[key], other[key]) for key in one)
