"""The program that trains a painter: its mistakes, its ends, and what it takes from other runs."""

import copy
import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

import gan
from tests.helpers.painters import (
    RECIPE,
    covers,
    new_trainer,
    recipe_file,
    run,
    train,
)
from tests.helpers.trainers import run_of
from train.cli import UserError
from train.train_gan.autoencoder import take_autoencoder
from train.train_gan.checkpoints import Checkpoints
from train.train_gan.loop import loop
from train.train_gan.phases import PhaseBatches
from train.train_gan.recipes import load_recipe
from train.train_gan.run_folder import RunFolder


MISTAKES = {
    "phases: {distil: 32}": "needs phases",
    "phases: {paint: 64, distil: 128}": "leaves no covers to compose",
    "phases: {paint: 64, distil: 0}": "features and phases.distil go together",
    "phases: {paint: 64, draw: 8}": "phases",
    "phases: {paint: -1}": "phases",
    "resolution: 64": "at least 128",
    "features: vgg": "features",
    "augmentation: auto": "never sees",
    "loss: logistic": "goes with loss: relativistic",
    "network: wgan-gp": "go with network: painter",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_in_a_recipe_is_named(line: str, tmp_path: Path):
    values = yaml.safe_load(Path("train/configs/painter-tiny.yaml").read_text()) | yaml.safe_load(line)
    (file := tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=MISTAKES[line]) as error:
        load_recipe(str(file), {})
    assert "\n" not in str(error.value)


def test_the_program_goes_through_all_phases_and_damage_is_mended(drawn: Path, tmp_path: Path):
    first = run(drawn, tmp_path / "run", "--total_images", "168")
    assert first.returncode == 0, first.stderr
    sheets = sorted(sheet.name for sheet in (tmp_path / "run/samples").iterdir())
    assert sheets == [
        "images-0000000120.png",
        "images-0000000160.png",
        "images-0000000168.png",
        "painted-0000000040.png",
        "painted-0000000080.png",
    ]
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines if line["kind"] == "evaluation"] == [120, 160, 168]
    shutil.copytree(tmp_path / "run", tmp_path / "damaged")
    (tmp_path / "damaged/encoded.safetensors").write_bytes(b"damaged")
    for folder in ("run", "damaged"):
        ended = run(drawn, tmp_path / folder)
        assert ended.returncode == 0 and "done after 192 covers" in ended.stdout, ended.stderr
    a, b = (
        torch.load(tmp_path / folder / "checkpoints/images-0000000192.pt", weights_only=True)
        for folder in ("run", "damaged")
    )
    assert all(torch.equal(a["generator"][name], b["generator"][name]) for name in a["generator"])
    for pipeline in ("pipeline", "best"):  # the encoder travels with both
        encoder = gan.load_pipeline(tmp_path / "run" / pipeline).encoder.state_dict()
        assert all(torch.equal(encoder[name], a["encoder"][name]) for name in a["encoder"])

    short = ("--total_images", "48", "--checkpointing_images", "16")  # none of which is composed: 16 are tuned first
    started = run(drawn, tmp_path / "started", "--start_from", str(tmp_path / "run/pipeline"), *short)
    assert started.returncode == 0 and "its generator and discriminator" in started.stderr, started.stderr
    sheets = sorted(sheet.name for sheet in (tmp_path / "started/samples").iterdir())
    assert sheets == [f"images-{images:010d}.png" for images in (0, 16, 32, 48)]


def test_what_phases_do_not_do_is_said_at_once(drawn: Path, tmp_path: Path):
    for flags, words in {
        ("--streaming",): "looks at all covers at once",
        ("--gradient_accumulation_steps", "2"): "normalises over its whole batch",
    }.items():
        ended = run(drawn, tmp_path / "run", *flags)
        assert ended.returncode == 2 and words in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_steering_needs_something_to_ask_for_and_somebody_who_composes(drawn: Path, tmp_path: Path):
    painted = {"paint": 64, "denoise": 16}
    sizes = {"width": 4, "composer_width": 8, "composer_max_width": 16, "latent_channels": 4, "latent_dim": 16}
    for values, words in (
        ({"generator": sizes, "phases": painted | {"refine": 16, "steer": 8}, "total_images": 104}, "are not there"),
        ({"phases": painted | {"steer": 8}, "total_images": 88}, "nothing has learned to compose; name --start_from"),
    ):
        ended = run(drawn, tmp_path / "run", config=recipe_file(tmp_path, **values))
        assert ended.returncode == 2 and words in ended.stderr.splitlines()[-1], ended.stderr
    assert not (tmp_path / "run").exists()
    genres = run(drawn, tmp_path / "run", "--class_conditional", "--dry_run", config=recipe_file(
        tmp_path, generator=sizes, phases=painted | {"refine": 16, "steer": 8}, total_images=104
    ))  # fmt: skip
    assert "are not there" not in genres.stderr


def test_what_steering_teaches_is_in_best(drawn: Path, tmp_path: Path):
    """It changes no cover that is measured, so all evaluations are equal."""
    taught = recipe_file(tmp_path, phases={"paint": 64, "distil": 32, "denoise": 16, "refine": 16}, total_images=144)
    assert run(drawn, tmp_path / "taught", config=taught).returncode == 0
    mine = recipe_file(
        tmp_path, phases={"paint": 0, "denoise": 0, "steer": 24}, total_images=24, checkpointing_images=8
    )
    ended = run(drawn, tmp_path / "run", "--start_from", str(tmp_path / "taught/pipeline"), config=mine)
    assert ended.returncode == 0, ended.stderr
    before, best, last = (
        gan.load_pipeline(tmp_path / name).synthesis.state_dict()
        for name in ("taught/pipeline", "run/best", "run/pipeline")
    )
    asked = {"cluster_embedding.weight", "palette_embedding.weight"}
    assert all(torch.equal(best[name], last[name]) for name in asked)
    assert not torch.equal(best["palette_embedding.weight"], before["palette_embedding.weight"])
    assert all(torch.equal(best[name], before[name]) for name in best.keys() - asked)


def test_whoever_asks_to_stop_does_not_wait_for_the_latents(drawn: Path, tmp_path: Path, monkeypatch):
    """A signal while covers are encoded ends the run with a checkpoint; the same command goes on."""
    recipe = replace(RECIPE, checkpointing_images=1000)
    trainer = new_trainer(recipe)
    run = run_of(trainer, RunFolder(tmp_path / "run"))
    (tmp_path / "run/samples").mkdir(parents=True)
    run.batches = PhaseBatches(trainer, covers())
    run.evaluation = SimpleNamespace(real=covers()[range(6)])

    def signalled(*_) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr("train.train_gan.phases.encode", signalled)
    assert "stopped after 24 covers" in loop(run)
    assert [file.name for file in Checkpoints(tmp_path / "run").files()] == ["images-0000000024.pt"]


def test_another_runs_autoencoder_is_taken(drawn: Path, tmp_path: Path):
    """With another composer; and it goes on without the run that it was taken from."""
    taken, out = tmp_path / "taken", tmp_path / "run"
    trainer = new_trainer()
    train(trainer, 0, 24)
    Checkpoints(taken).run.mkdir()
    Checkpoints(taken).save(trainer.gan, 24, 1.0)
    wider = RECIPE.generator | {"composer_width": 12}
    mine = recipe_file(tmp_path, generator=wider, phases={"paint": 0, "distil": 32}, total_images=48)
    refused = run(drawn, out, config=mine)
    assert refused.returncode == 2 and "name --autoencoder" in refused.stderr.splitlines()[-1]
    ended = run(drawn, out, "--autoencoder", str(taken), config=mine)
    assert ended.returncode == 0, ended.stderr
    state = torch.load(out / "checkpoints/images-0000000048.pt", weights_only=True)
    assert all(
        torch.equal(state["encoder"][name], weight) for name, weight in trainer.gan.encoder.state_dict().items()
    )
    for name, weight in trainer.gan.generator.decoder.state_dict().items():
        assert torch.equal(state["generator"][f"decoder.{name}"], weight)
    shutil.rmtree(taken)
    ended = run(drawn, out, "--autoencoder", str(taken), "--total_images", "56", config=mine)
    assert ended.returncode == 0 and "done after 56 covers" in ended.stdout, ended.stderr


def test_an_autoencoder_that_cannot_be_taken_is_named(tmp_path: Path):
    trainer = new_trainer()
    with pytest.raises(UserError, match="not the folder of a run with a checkpoint"):
        take_autoencoder(trainer.gan, tmp_path)
    Checkpoints(tmp_path).save(trainer.gan, 24, 1.0)
    before = copy.deepcopy(trainer.gan.encoder.state_dict())
    for name, size in {"width": 8, "latent_channels": 8}.items():
        other = new_trainer(replace(RECIPE, generator=RECIPE.generator | {name: size}))
        with pytest.raises(UserError, match="of another size; generator") as error:
            take_autoencoder(other.gan, tmp_path)
        assert "\n" not in str(error.value)
    (file,) = Checkpoints(tmp_path).files()
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged"):
        take_autoencoder(trainer.gan, tmp_path)
    assert all(torch.equal(before[name], weight) for name, weight in trainer.gan.encoder.state_dict().items())


def test_fewer_covers_than_kinds_are_told_before_anything_is_learned(drawn: Path, tmp_path: Path):
    mine = recipe_file(tmp_path, generator=RECIPE.generator | {"clusters": 32})
    ended = run(drawn, tmp_path / "run", config=mine)
    last = ended.stderr.splitlines()[-1]
    assert ended.returncode == 2 and "12 covers are fewer than generator.clusters, 32" in last
    assert not (tmp_path / "run").exists()
