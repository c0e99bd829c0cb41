"""How covers reach the networks: from a stream, from memory, from the disk."""

import json
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset

from tests.helpers.drawn import draw_cover
from tests.helpers.preparing import program
from tests.helpers.trainers import train
from train import covers_stream
from train.cli import run
from train.covers import Covers, send
from train.train_gan import __main__ as train_gan
from train.train_gan.data import in_memory, open_covers, to_device_if_it_fits
from train.train_gan.recipes import load_recipe
from train.train_gan.state import build
from train.train_gan.steps import Trainer


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "pile").mkdir()
    for seed in range(40):
        draw_cover(seed, 32).save(folder / "pile" / f"{seed}.png")
    arguments = ("--resolution", 16, "--validation_fraction", 0.3, "--keep_duplicates")
    assert program(folder / "pile", "--output_dir", folder / "covers", *arguments)[0] == 0
    return folder / "covers"


def test_a_run_on_a_stream_goes_on_where_it_stopped(dataset: Path) -> None:
    recipe = load_recipe("tiny", {"total_images": 80})
    weights = []
    for stops in ([], [24, 56]):
        trainer = Trainer(build(recipe, torch.device("cpu")), recipe, Accelerator(cpu=True), bf16=False)
        start = 0
        for stop in [*stops, 80]:
            covers, held_out = open_covers(str(dataset), recipe, streaming=True)  # as a program started anew does
            start = train(trainer, covers, start, lambda images, _, stop=stop: images == stop, held_out)
        weights.append(torch.cat([p.flatten() for p in trainer.gan.generator.parameters()]))
    assert torch.equal(*weights)


def test_without_held_out_covers_the_best_is_chosen_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    (tmp_path / "pile").mkdir()
    for seed in range(12):
        draw_cover(seed, 32).save(tmp_path / "pile" / f"{seed}.png")
    pile, out = tmp_path / "pile", tmp_path / "covers"
    more = ("--resolution", 16, "--validation_fraction", 0.1, "--keep_duplicates")
    assert program(pile, "--output_dir", out, *more)[0] == 0
    arguments = ["--config", "tiny", "--dataset_name", str(out), "--output_dir", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["train", *arguments, "--total_images", "40"])
    run(train_gan.main, "train.train_gan")
    said, problems = capsys.readouterr()
    assert "covers are measured against those that are trained on" in problems
    assert "look like one of 1" in said and "held-out" not in said
    assert (tmp_path / "run" / "best" / "model_index.json").is_file()
    assert json.loads((tmp_path / "run" / "copies.json").read_text())["samples"] < 13


def test_a_stream_that_breaks_off_loses_nothing(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    decode = covers_stream.raw_pixels
    left = iter(range(100))

    def broken(*arguments) -> bytes:
        if next(left) == 99:
            raise OSError("Connection reset")
        return decode(*arguments)

    monkeypatch.setattr(covers_stream, "raw_pixels", broken)
    arguments = ["--config", "tiny", "--dataset_name", str(dataset), "--output_dir", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["train", *arguments, "--total_images", "400", "--streaming"])
    with pytest.raises(SystemExit) as stop:
        run(train_gan.main, "train.train_gan")
    assert stop.value.code == 1 and "the stream of covers broke off: Connection reset" in capsys.readouterr().err
    (saved,) = (tmp_path / "run" / "checkpoints").iterdir()
    assert 0 < torch.load(saved, weights_only=True)["images"] < 50


def test_the_program_streams_and_says_so(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    arguments = ["--config", "tiny", "--dataset_name", str(dataset), "--output_dir", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["train", *arguments, "--total_images", "40", "--streaming"])
    run(train_gan.main, "train.train_gan")
    assert "done after 40 covers" in capsys.readouterr().out
    facts = json.loads((tmp_path / "run" / "config.json").read_text())
    assert facts["streaming"] and facts["covers"] < 40  # some are held out
    monkeypatch.setattr(sys, "argv", ["train", *arguments, "--total_images", "80"])  # in another order
    with pytest.raises(SystemExit):
        run(train_gan.main, "train.train_gan")
    assert "holds a run with streaming True, not False" in capsys.readouterr().err


def test_covers_in_memory_are_the_same() -> None:
    pixels = torch.arange(1300 * 12).to(torch.uint8).view(1300, 12)
    covers = Covers(Dataset.from_dict({"pixels": [row.numpy().tobytes() for row in pixels]}), 2)
    resident = covers.resident(torch.device("cpu"))
    assert torch.equal(resident.batch(1200, 300), covers.batch(1200, 300))
    assert to_device_if_it_fits(covers, torch.device("cpu")) is covers and in_memory(covers) is covers
    assert torch.equal(send(pixels, torch.device("cpu")), pixels)
