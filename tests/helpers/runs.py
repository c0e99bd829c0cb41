"""Real trainings, as people start them and as power cuts end them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

import torch

from tests.helpers import programs
from tests.helpers.programs import Program
from tests.helpers.serving import free_port


LAUNCHER = ["-m", "accelerate.commands.launch"]


def command(dataset: Path, output: Path, *more: str) -> list[str]:
    program = ["-m", "train.train_gan", "--config", "tiny", "--mixed_precision", "no"]
    return [sys.executable, *program, "--dataset_name", str(dataset), "--output_dir", str(output), *more]


def start(command: list[str], genuine: bool = False, **environment: str) -> Program:
    """The program in a process group of its own."""
    return programs.start(command, environment=os.environ | environment, genuine=genuine)


def finish(process: Program) -> subprocess.CompletedProcess:
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def launch(command: list[str], genuine: bool = False, **environment: str) -> subprocess.CompletedProcess:
    return finish(start(command, genuine, **environment))


def launch_two(command: list[str], genuine: bool = False) -> subprocess.CompletedProcess:
    """Run the program as two processes that know of each other, as `accelerate launch` starts them, or by it."""
    if genuine:
        python, *program = command
        # `--cpu --num_processes 2` silently starts one process; this starts two
        both = [python, *LAUNCHER, "--multi_gpu", "--num_processes", "2", "--main_process_port", "0", *program]
        return launch(both, genuine=True, ACCELERATE_USE_CPU="true")
    group = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    group |= {"ACCELERATE_USE_CPU": "true"}
    processes = [start(command, RANK=rank, LOCAL_RANK=rank, **group) for rank in "01"]
    with ThreadPoolExecutor() as readers:  # both at once: one that waits for its reader holds up the other
        first, second = readers.map(finish, processes)
    code = first.returncode or second.returncode
    return subprocess.CompletedProcess(command, code, first.stdout + second.stdout, first.stderr + second.stderr)


def kill_when(process: Program, ready: Callable[[], bool]) -> None:
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
    assert lines[0] == lines[1], [pair for pair in zip_longest(*lines) if pair[0] != pair[1]]
