"""What a run reports beside metrics.jsonl."""

import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from accelerate import Accelerator
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

from tests.helpers.runs import command, launch
from train.cli import UserError
from train.train_gan.trackers import (
    PROJECT,
    end_tracker,
    report,
    report_sheet,
    report_warning,
    start_tracker,
    tracker_options,
)


def shown_by_tensorboard(logs: Path) -> tuple[dict[tuple[str, int], float], dict[tuple[str, int], bytes]]:
    """Numbers and PNG files by name and step. (A record: length, its checksum, event, its checksum.)"""
    numbers, pictures = {}, {}
    for file in logs.glob("*/events.out.tfevents.*"):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event, content = Event.FromString(content[12 : 12 + length]), content[16 + length :]
            for value in event.summary.value:
                if value.HasField("image"):
                    pictures[value.tag, event.step] = value.image.encoded_image_string
                else:
                    numbers[value.tag, event.step] = value.simple_value
    return numbers, pictures


def assert_same_picture(one: Path | io.BytesIO, other: Path) -> None:
    assert np.array_equal(np.asarray(Image.open(one).convert("RGB")), np.asarray(Image.open(other).convert("RGB")))


def test_tensorboard_gets_every_line_of_the_metrics(tiny_dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    short = ("--total_images", "400", "--checkpointing_images", "200")
    done = launch(command(tiny_dataset, run, "--report_to", "tensorboard", *short))
    assert done.returncode == 0, done.stderr
    shown, pictures = shown_by_tensorboard(run / "logs")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    measured = [(line["images"], name, value) for line in lines for name, value in line.items()]
    expected = {(name, images): value for images, name, value in measured if name not in ("images", "kind")}
    assert {("loss_g", 400), ("sliced_wasserstein", 200), ("seconds", 200)} <= expected.keys() == shown.keys()
    assert all(shown[key] == pytest.approx(value, rel=1e-6) for key, value in expected.items())
    assert {step for _, step in pictures} == {200, 400}
    for (_, step), picture in pictures.items():
        assert_same_picture(io.BytesIO(picture), run / f"samples/images-{step:010d}.png")


def test_trackio_gets_lines_sheets_and_warnings_as_alerts(tiny_dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("trackio")  # tests/requirements.txt has it
    run, environment = tmp_path / "run", {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    short = ("--report_to", "trackio", "--total_images", "400", "--checkpointing_images", "200")
    # covers that never differ enough, so that there is something to warn of
    alike = "import runpy, gan.health; gan.health.FEW_DIFFERENCES = 1e9; "
    alike += "runpy.run_module('train.train_gan', run_name='__main__', alter_sys=True)"
    done = launch([sys.executable, "-c", alike, *command(tiny_dataset, run, *short)[3:]], **environment)
    assert done.returncode == 0, done.stderr
    ask = "import json, trackio; from trackio.sqlite_storage import SQLiteStorage as storage; project = sys.argv[1]; "
    ask += "told = storage.get_logs(project, 'run'), trackio.Api().alerts(project); print(json.dumps(told))"
    asked = [sys.executable, "-c", f"import sys; {ask}", PROJECT]
    told = subprocess.run(asked, env=os.environ | environment, capture_output=True, text=True, check=True)
    logged, (alert,) = json.loads(told.stdout.splitlines()[-1])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    numbers = [({"images": one.pop("step")} | one) for one in logged if "samples" not in one]
    assert [{k: v for k, v in one.items() if k != "timestamp"} for one in numbers] == [
        {k: v for k, v in line.items() if k != "kind"} for line in lines
    ]
    sheets = {one["step"]: one["samples"]["file_path"] for one in logged if "samples" in one}
    assert sheets.keys() == {200, 400}
    for step, file in sheets.items():
        assert_same_picture(tmp_path / "trackio/media" / file, run / f"samples/images-{step:010d}.png")
    assert alert["title"] == "generated covers differ from each other less than half as much as real ones do"
    assert "if it lasts, raise gradient_penalty_weight" in alert["text"] and alert["level"] == "warn"
    assert done.stdout.count("warning: generated covers differ") == 1 and "TRACKIO WARN" not in done.stdout


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
    assert shown_by_tensorboard(tmp_path / "run" / "logs") == ({("loss_d", 8): 1.0}, {})


def test_a_sheet_that_cannot_be_reported_does_not_end_the_run(tmp_path: Path) -> None:
    accelerator, said = Accelerator(cpu=True, **tracker_options("tensorboard", tmp_path / "run")), []
    start_tracker(accelerator, tmp_path / "run", {})
    (tracker,) = accelerator.trackers
    tracker.writer.add_images = None
    report_warning(accelerator, "no alert there", said.append)
    report_sheet(accelerator, 8, Image.new("RGB", (16, 16)), said.append)
    report_sheet(accelerator, 16, Image.new("RGB", (16, 16)), said.append)
    tracker.finish()
    assert said == ["reporting failed, training goes on without it: 'NoneType' object is not callable"]


def test_a_tracker_that_cannot_start_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file, where a folder is needed")
    accelerator = Accelerator(cpu=True, **tracker_options("tensorboard", tmp_path))
    with pytest.raises(UserError, match=r"^--report_to tensorboard: .*logs"):
        start_tracker(accelerator, tmp_path, {})
