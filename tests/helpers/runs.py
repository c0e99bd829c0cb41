"""Real trainings, as people start them and as power cuts end them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch


ROOT = Path(__file__).parents[2]
LAUNCHER = ["-m", "accelerate.commands.launch"]


def command(dataset: Path, output: Path, *more: str) -> list[str]:
    program = ["-m", "train.train_gan", "--config", "tiny", "--mixed_precision", "no"]
    return [sys.executable, *program, "--dataset_name", str(dataset), "--output_dir", str(output), *more]


def start(command: list[str], **environment: str) -> subprocess.Popen:
    """The program in a process group of its own, on one core: two threads for tiny networks wait for each other."""
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}),
    )  # fmt: skip


def finish(process: subprocess.Popen) -> subprocess.CompletedProcess:
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def launch(command: list[str], **environment: str) -> subprocess.CompletedProcess:
    return finish(start(command, **environment))


def kill_when(process: subprocess.Popen, ready: Callable[[], bool]) -> None:
    """kill -9 for all of a run, at the moment that `ready` says."""
    while not ready():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.0005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


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
