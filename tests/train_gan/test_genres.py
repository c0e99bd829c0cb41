"""Genres in training: learned from a dataset's labels, whatever interrupts it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import ClassLabel, Dataset, Features, Image, load_dataset

import gan
from gan.pipeline import latents_from_seeds
from tests.helpers import programs
from tests.helpers.drawn import draw_cover, draw_dataset
from tests.helpers.once import once
from tests.helpers.pictures import drawn
from tests.helpers.runs import assert_same_run, command, kill_when, launch, launch_two, start, weights
from tests.helpers.tiny import tiny_pipeline
from tests.helpers.trainers import small, train
from train.covers import Covers, CoversError, load_covers, load_genres, to_uint8
from train.metrics.evaluation import Evaluation
from train.sheet import draw_sheet
from train.train_gan.averages import with_standing_statistics
from train.train_gan.data import DROPPED, with_some_dropped
from train.train_gan.state import build
from train.train_gan.steps import Trainer


ROOT = Path(__file__).parents[2]
DRY_RUN = [sys.executable, "-m", "train.train_gan", "--config", "tiny", "--dry_run"]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Covers of 16 px in two genres, and some in none, prepared by the real program.

    `datasets` takes two folders of one name for the same, so this one is called otherwise than `tiny_dataset`.
    """

    def make(folder: Path) -> None:
        draw_dataset(folder / "pile", 100, 32)
        for seed, path in enumerate(sorted((folder / "pile").iterdir())):
            if seed % 5 < 4:
                (folder / "pile" / ("jazz", "rock")[seed % 2]).mkdir(exist_ok=True)
                path.rename(path.parent / ("jazz", "rock")[seed % 2] / path.name)
        more = ["--labels", "folder", "--resolution", "16", "--validation_fraction", "0.25", "--num_workers", "0"]
        output = ["--output_dir", folder / "covers-genres"]
        programs.run([sys.executable, "-m", "train.prepare", folder / "pile", *output, *more]).check_returncode()

    return once(tmp_path_factory, "labelled", make) / "covers-genres"


# ---- the labels of covers


def test_labels_come_in_the_order_of_the_covers(labelled: Path) -> None:
    assert load_genres(str(labelled)) == ["jazz", "rock"]
    covers = load_covers(str(labelled), 16, labelled=True)
    rows = load_dataset(str(labelled), split="train")
    genre_of = {row["image"].convert("RGB").tobytes(): row["genre"] for row in rows}
    assert set(genre_of.values()) == {0, 1, None}
    for stream in (0, 1):
        pixels, labels = covers.batch(50, 60, stream), covers.batch_labels(50, 60, stream)
        expected = [genre_of[cover.numpy().tobytes()] for cover in pixels]
        assert labels.tolist() == [2 if genre is None else genre for genre in expected]
    rock = covers.of_genre(1)
    assert {genre_of[cover.numpy().tobytes()] for cover in rock.batch(0, len(rock))} == {1}
    assert len(rock) == list(genre_of.values()).count(1)


def test_who_asks_for_no_labels_has_none_and_all_share_the_raw_pixels(labelled: Path) -> None:
    plain = load_covers(str(labelled), 16)
    assert plain.labels is None and plain.batch_labels(0, 8) is None
    with_genres = load_covers(str(labelled), 16, labelled=True)
    assert with_genres.pixels.cache_files == plain.pixels.cache_files != []


def test_a_dataset_without_genres_is_refused(tmp_path: Path) -> None:
    for features in ({}, {"genre": ClassLabel(names=["jazz"])}):
        rows = {"image": [draw_cover(0, 16)] * 2} | ({"genre": [0, -1]} if features else {})
        folder = tmp_path / str(len(features))
        dataset = Dataset.from_dict(rows, features=Features({"image": Image()} | features))
        folder.mkdir()
        dataset.to_parquet(folder / "train-00000-of-00001.parquet")
    with pytest.raises(CoversError, match="has no column `genre` of class labels: prepare it with --labels folder"):
        load_covers(str(tmp_path / "0"), 16, labelled=True)
    assert load_covers(str(tmp_path / "1"), 16, labelled=True).labels.tolist() == [0, 1]  # -1: as others write none


# ---- training


def test_one_label_in_ten_is_dropped() -> None:
    labels, chance = torch.arange(1000) % 3, torch.arange(1000) / 1000
    assert torch.equal(with_some_dropped(labels, chance, 7), torch.cat((torch.full((100,), 7), labels[100:])))
    assert DROPPED == 0.1


def test_labels_are_dropped_anew_in_each_batch_as_images_say() -> None:
    recipe = small("r3gan-64", total_images=8 * 40, learning_rate=0.0, class_conditional=True)
    covers = Covers(Dataset.from_dict({"pixels": [bytes(768)] * 32}), 16, labels=torch.zeros(32, dtype=torch.int64))
    heard = []
    for first in (0, 8 * 20):  # the second goes on where the first was half way
        trainer = Trainer(build(recipe, torch.device("cpu"), ["jazz"]), recipe, Accelerator(cpu=True), False)
        said = []
        trainer.gan.generator.register_forward_pre_hook(lambda _, inputs, said=said: said.append(inputs[1]))
        train(trainer, covers, first, lambda *_: False)
        heard.append(torch.stack(said))
    assert torch.equal(heard[0][len(heard[1]) :], heard[1])
    assert 0.05 < heard[0].float().mean() < 0.2 and len({tuple(batch.tolist()) for batch in heard[0]}) > 10


@pytest.mark.parametrize(("name", "rate"), [("tiny", 3e-3), ("dcgan-64", 1e-3), ("wgan-gp-64", 1e-3)])
def test_it_learns_which_genre_is_which(name: str, rate: float) -> None:
    """Red covers and blue ones: what is asked for is drawn, and "any" is both."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(128) % 2
    colours = torch.tensor([[178.0, 110, 78], [78, 110, 178]])[labels] + 30 * torch.randn(128, 3, generator=random)
    pixels = [bytes(colour) * 16**2 for colour in colours.clamp(0, 255).to(torch.uint8).tolist()]
    changes = {"learning_rate": rate, "augmentation": 0.0, "discriminator_steps": 1, "class_conditional": True}
    recipe = small(name, total_images=8 * 120, **changes)
    taught = Trainer(build(recipe, torch.device("cpu"), ["red", "blue"]), recipe, Accelerator(cpu=True), False)
    train(taught, Covers(Dataset.from_dict({"pixels": pixels}), 16, labels=labels), 0, lambda *_: False)
    latents = latents_from_seeds(list(range(32)), recipe.generator["latent_dim"])
    with torch.no_grad():
        average = with_standing_statistics(taught.gan.ema[0])
        drawn = [to_uint8(average(latents, torch.full((32,), label))).float() for label in range(3)]
    red, blue, both = (float(covers[..., 0].mean() - covers[..., 2].mean()) for covers in drawn)
    assert red - blue > 50 and blue < both < red


@pytest.fixture(scope="module")
def straight(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 160 covers with genres that nothing interrupted."""

    def make(folder: Path) -> None:
        done = launch(program(labelled, folder / "run"))
        assert done.returncode == 0, done.stderr

    return once(tmp_path_factory, "with-genres", make) / "run"


def program(dataset: Path, run: Path) -> list[str]:
    return command(dataset, run, "--class_conditional", "--total_images", "160", "--checkpointing_images", "80")


def test_a_run_with_genres_leaves_a_generator_that_knows_them(straight: Path) -> None:
    told = json.loads((straight / "config.json").read_text())
    assert told["class_conditional"] is True and told["genres"] == ["jazz", "rock"]
    pipe = gan.load_pipeline(straight / "pipeline")
    assert pipe.genres == gan.load_pipeline(straight / "best").genres == ["jazz", "rock"]


def test_genres_take_turns_on_a_sheet() -> None:
    pipe = tiny_pipeline("r3gan", genres=["jazz", "rock", "pop"])
    sheet = np.asarray(draw_sheet(pipe.synthesis)).astype(int)
    covers = drawn(pipe, seeds=list(range(64)), genres=[pipe.genres[seed % 3] for seed in range(64)])
    expected = covers.reshape(8, 8, 16, 16, 3).swapaxes(1, 2).reshape(128, 128, 3)
    assert np.abs(sheet - expected).max() <= 1


def test_killed_and_started_again_it_is_the_same_run(labelled: Path, straight: Path, tmp_path: Path) -> None:
    run = tmp_path / "killed"
    kill_when(start(program(labelled, run)), lambda: any((run / "checkpoints").glob("images-0000000080.pt")))
    done = launch(program(labelled, run))
    assert done.returncode == 0, done.stderr
    assert_same_run(straight, run)


def test_a_stream_teaches_them_and_goes_on_where_it_was_cut_off(labelled: Path, tmp_path: Path) -> None:
    whole, cut = (program(labelled, tmp_path / name) for name in ("whole", "cut"))
    assert launch([*whole, "--streaming"]).returncode == 0
    checkpoint = tmp_path / "cut" / "checkpoints" / "images-0000000080.pt"
    kill_when(start([*cut, "--streaming"]), checkpoint.exists)
    done = launch([*cut, "--streaming"])
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    assert gan.load_pipeline(tmp_path / "cut" / "pipeline").genres == ["jazz", "rock"]


def test_two_processes_do_what_one_does(labelled: Path, straight: Path, tmp_path: Path) -> None:
    done = launch_two(program(labelled, tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "two" / "config.json").read_text())["processes"] == 2
    one, two = weights(straight), weights(tmp_path / "two")
    assert one.keys() == two.keys() and any("genre_embedding" in key for key in one)
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, atol=1e-4, rtol=1e-4, msg=key)


def test_a_run_keeps_its_genres(labelled: Path, straight: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    plain = [argument for argument in program(labelled, straight) if argument != "--class_conditional"]
    for arguments, complaint in (
        (plain, "holds a run with class_conditional True, not False: name a new folder"),
        (program(tiny_dataset, tmp_path / "run"), "--class_conditional: --dataset_name"),
        ([*DRY_RUN, "--class_conditional"], "--class_conditional needs --dataset_name"),
    ):
        done = launch(arguments)
        assert done.returncode == 2 and complaint in done.stderr.splitlines()[-1], done.stderr
    assert not (tmp_path / "run").exists()
    shown = launch([*DRY_RUN, "--class_conditional", "--dataset_name", str(labelled)]).stdout
    assert "class_conditional: True" in shown and shown.count("GenreEmbedding") == 2


def test_held_out_covers_are_compared_with_generated_ones_of_their_genres() -> None:
    held_out = Covers(Dataset.from_dict({"pixels": [bytes(768)] * 6}), 16, labels=torch.tensor([0, 1, 2, 2, 1, 0]))
    generator, heard = tiny_pipeline("r3gan", genres=["jazz", "rock"]).synthesis, []
    generator.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[1]))
    evaluation = Evaluation(held_out, held_out)
    evaluation(generator)
    evaluation.copies(generator)
    assert len(heard) == 2 and all(torch.equal(labels, held_out.batch_labels(0, 6)) for labels in heard)


def test_covers_are_judged_with_their_own_genres() -> None:
    pixels = Dataset.from_dict({"pixels": [bytes([number]) * 768 for number in range(60)]})
    train = Covers(pixels, 16, labels=torch.arange(60) % 3)
    held_out, asked = Covers(pixels.select(range(40)), 16, labels=torch.arange(40) % 3), []
    Evaluation(train, held_out).held_out_gap(lambda covers, labels: asked.append((covers, labels)) or 0.0)
    for covers, labels in asked:
        assert torch.equal(covers[:, 0, 0, 0] % 3, labels)
    assert [len(covers) for covers, _ in asked] == [40, 40]


def test_evaluate_measures_any_genre_or_one(labelled: Path, tmp_path: Path) -> None:
    gan.save_pipeline(tiny_pipeline("dcgan", genres=["rock", "pop"]), tmp_path / "pipeline", for_strangers=False)
    evaluate = [sys.executable, "-m", "train.evaluate", "--model", str(tmp_path / "pipeline")]
    evaluate += ["--dataset_name", str(labelled), "--json"]
    any_, rock = (json.loads(launch([*evaluate, *more]).stdout) for more in ([], ["--genre", "rock"]))
    counts = [load_covers(str(labelled), 16, "validation", labelled=True).labels.eq(1).sum().item()]
    assert any_["count"] > rock["count"] == counts[0] and any_["filter"].endswith("none left out")
    assert rock["filter"] == f"seeds 0 to {counts[0] - 1}, all rock" and rock["pairwise_distance"] > 0
    for genre, complaint in (("jazz", "of the generator are rock, pop"), ("pop", "covers-genres are jazz, rock")):
        done = launch([*evaluate, "--genre", genre])
        assert done.returncode == 2 and f"--genre {genre}: the genres" in done.stderr and complaint in done.stderr
