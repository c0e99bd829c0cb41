"""What a run reports beside metrics.jsonl."""

import json
import struct
import sys
from pathlib import Path

import pytest
from accelerate import Accelerator
from tensorboardX.proto.event_pb2 import Event

from tests.helpers.runs import command, launch
from train.cli import UserError
from train.train_gan.trackers import end_tracker, report, start_tracker, tracker_options


def scalars(logs: Path) -> dict[tuple[str, int], float]:
    """What TensorBoard would show: value by name and step. (A record: length, its checksum, event, its checksum.)"""
    found = {}
    for file in logs.glob("*/events.out.tfevents.*"):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event, content = Event.FromString(content[12 : 12 + length]), content[16 + length :]
            found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
    return found


def test_tensorboard_gets_every_line_of_the_metrics(tiny_dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    short = ("--total_images", "400", "--checkpointing_images", "200")
    done = launch(command(tiny_dataset, run, "--report_to", "tensorboard", *short))
    assert done.returncode == 0, done.stderr
    shown = scalars(run / "logs")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    measured = [(line["images"], name, value) for line in lines for name, value in line.items()]
    expected = {(name, images): value for images, name, value in measured if name not in ("images", "kind")}
    assert {("loss_g", 400), ("sliced_wasserstein", 200), ("seconds", 200)} <= expected.keys() == shown.keys()
    assert all(shown[key] == pytest.approx(value, rel=1e-6) for key, value in expected.items())


def test_a_missing_package_is_one_line(tiny_dataset: Path, tmp_path: Path) -> None:
    program = command(tiny_dataset, tmp_path / "run", "--report_to", "wandb")
    program = program[3:]  # without `python -m train.train_gan`
    hidden = "import runpy, sys; sys.modules['wandb'] = None; runpy.run_module('train.train_gan', run_name='__main__')"
    done = launch([sys.executable, "-c", hidden, *program])
    line = "train.train_gan: --report_to wandb: its package is not installed; pip install wandb\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line) and not (tmp_path / "run").exists()


def test_nobody_is_told_unless_asked(tmp_path: Path) -> None:
    assert tracker_options("none", tmp_path) == tracker_options("wandb", None) == {}


def test_a_tracker_that_fails_does_not_end_the_run(tmp_path: Path) -> None:
    options = tracker_options("tensorboard", tmp_path / "run")
    accelerator, said = Accelerator(cpu=True, **options), []
    start_tracker(accelerator, tmp_path / "run", {"learning_rate": [2e-4, 5e-5], "seed": 0})
    report(accelerator, 8, {"loss_d": 1.0}, said.append)
    (tracker,) = accelerator.trackers
    tracker.writer.add_scalar = None  # whatever goes wrong in there
    for images in (16, 24):
        report(accelerator, images, {"loss_d": 1.0}, said.append)
    end_tracker(accelerator, said.append)
    tracker.finish()
    assert said == ["reporting failed, training goes on without it: 'NoneType' object is not callable"]
    assert scalars(tmp_path / "run" / "logs") == {("loss_d", 8): 1.0}


def test_a_tracker_that_cannot_start_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file, where a folder is needed")
    accelerator = Accelerator(cpu=True, **tracker_options("tensorboard", tmp_path))
    with pytest.raises(UserError, match=r"^--report_to tensorboard: .*logs"):
        start_tracker(accelerator, tmp_path, {})
