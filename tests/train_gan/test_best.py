"""What is shared and kept because of what was measured, and what a run makes up for that it could not measure."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from gan import load_pipeline
from tests.helpers.trainers import finish_at, run_of, small, trainer
from train.metrics.best import best_of, is_best
from train.train_gan.averages import with_standing_statistics
from train.train_gan.loop import after_step, catch_up, save_checkpoint
from train.train_gan.recipes import load_recipe
from train.train_gan.run_config import RunConfig
from train.train_gan.run_folder import RunFolder
from train.train_gan.state import build
from train.train_gan.steps import Trainer


class Told:
    """An evaluation that says what it is told to; an exception is raised."""

    unseen = True

    def __init__(self, *scores: float | Exception, features: Callable | None = None):
        self.scores, self.features = iter(scores), features

    def __call__(self, generator: torch.nn.Module) -> dict[str, float]:
        """The next score."""
        score = next(self.scores)
        if isinstance(score, Exception):
            raise score
        return {"fd_covers": score, "pairwise_distance": 40.0, "real_pairwise_distance": 100.0}

    def held_out_gap(self, mean_logit: object) -> float:
        """That of a discriminator that knows nothing by heart."""
        return 0.0


@pytest.fixture
def watched(tmp_path: Path):
    """A run that never trains; the two averages of its generator differ."""
    recipe = load_recipe("tiny", {"checkpointing_images": 8, "total_images": 80})
    accelerator = Accelerator(cpu=True)
    trainer = Trainer(build(recipe, accelerator.device), recipe, accelerator, bf16=False)
    for number, ema in enumerate(trainer.gan.ema):
        ema.to_rgb.weight.data.fill_(number + 1.0)
    folder = RunFolder(tmp_path / "run")
    folder.open(RunConfig(recipe))
    made = lambda *scores: run_of(trainer, folder, evaluation=Told(*scores), every=8)  # noqa: E731
    return SimpleNamespace(watch=made, folder=folder.folder, trainer=trainer)


def shared(folder: Path) -> float:
    return load_pipeline(folder).synthesis.to_rgb.weight.flatten()[0].item()


def test_the_average_that_measures_better_is_shared_and_the_best_is_kept(
    watched, capsys: pytest.CaptureFixture
) -> None:
    watch = watched.watch(9.0, 8.0, 10.0, 11.0)
    after_step(watch, 8, {"loss_d": torch.tensor(1.0)})
    assert shared(watched.folder / "pipeline") == shared(watched.folder / "best") == 2.0
    after_step(watch, 16, {"loss_d": torch.tensor(1.0)})
    assert shared(watched.folder / "pipeline") == 1.0 and shared(watched.folder / "best") == 2.0
    lines = [json.loads(line) for line in (watched.folder / "metrics.jsonl").read_text().splitlines()]
    assert [(line["images"], line["ema_sigma"], line["fd_covers"]) for line in lines] == [
        (8, 0.1, 8.0), (16, 0.05, 10.0),
    ]  # fmt: skip
    assert capsys.readouterr().out.count("collapses") == 1  # nothing failed, and the warning came once


def test_a_run_that_goes_on_remembers_the_best(watched) -> None:
    first = watched.watch(9.0, 8.0)
    after_step(first, 8, {"loss_d": torch.tensor(1.0)})
    again = run_of(watched.trainer, first.folder, 8, evaluation=Told(8.5, 9.5), every=8)
    assert again.averages.chosen == 1 and [line["fd_covers"] for line in again.evaluations] == [8.0]
    after_step(again, 16, {"loss_d": torch.tensor(1.0)})
    assert [line["fd_covers"] for line in again.evaluations] == [8.0, 8.5] and shared(watched.folder / "best") == 2.0


def test_an_evaluation_that_fails_does_not_stop_the_run(watched, capsys: pytest.CaptureFixture) -> None:
    watch = watched.watch(RuntimeError("no such thing\nand more"))
    assert after_step(watch, 8, {"loss_d": torch.tensor(1.0)}) is False
    assert "evaluation failed: no such thing\n" in capsys.readouterr().out
    assert shared(watched.folder / "pipeline") == 1.0


def test_what_inception_cannot_measure_leaves_all_else(watched, capsys: pytest.CaptureFixture) -> None:
    def features(generator: torch.nn.Module) -> dict[str, float]:
        raise RuntimeError("CUDA out of memory")

    watch = watched.watch(9.0, 8.0)
    watch.evaluation.features = features
    after_step(watch, 8, {"loss_d": torch.tensor(1.0)})
    assert capsys.readouterr().out.count("--inception: CUDA out of memory\n") == 2  # once for each average
    assert watch.folder.lines()[0]["fd_covers"] == 8.0 and shared(watched.folder / "best") == 2.0


def test_the_best_by_kid_and_without_it() -> None:
    lines = [{"fd_covers": 9.0, "kid": 0.5}, {"fd_covers": 8.0, "kid": 0.6}, {"fd_covers": 8.5}, {"fd_covers": 7.0}]
    assert [is_best(line, lines[:number]) for number, line in enumerate(lines)] == [True, False, False, True]
    assert best_of(lines[:2]) == lines[0] and best_of(lines) == lines[3]


class Seen(Told):
    """Keeps the generators that it is shown."""

    def __call__(self, generator: torch.nn.Module) -> dict[str, float]:
        """The next score."""
        self.generators = [*getattr(self, "generators", []), generator]
        return super().__call__(generator)


def test_each_average_is_measured_and_kept_as_it_would_draw(tmp_path: Path) -> None:
    """Its batch normalisation, too."""
    recipe = small("dcgan-64", total_images=80, checkpointing_images=8)
    folder, taught, evaluation = RunFolder(tmp_path / "run"), trainer(recipe), Seen(9.0, 8.0)
    folder.open(RunConfig(recipe))
    taught.gan.ema[1].layers[-2].weight.data.mul_(-1.0)
    after_step(run_of(taught, folder, evaluation=evaluation, every=8), 8, {"loss_d": torch.tensor(1.0)})
    wanted = [with_standing_statistics(taught.gan.ema[number]).state_dict() for number in (0, 1)]
    for generator, average in zip(evaluation.generators, wanted, strict=True):
        assert all(torch.equal(value, average[key]) for key, value in generator.state_dict().items())
    best = load_pipeline(tmp_path / "run" / "best").synthesis.state_dict()
    assert all(torch.equal(value, wanted[1][key]) for key, value in best.items() if value.is_floating_point())


class Terminated(Told):
    """An evaluation in the middle of which the process is told to end."""

    def __call__(self, generator: torch.nn.Module) -> dict[str, float]:
        """Takes a minute, if it is let."""
        self.saved = list(self.folder.rglob("*.pt"))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
        raise AssertionError("waited for")


def test_nobody_waits_for_an_evaluation_and_it_is_made_up_for(watched) -> None:
    first = watched.watch()
    first.evaluation, began = Terminated(), time.monotonic()
    first.evaluation.folder = watched.folder
    assert after_step(first, 8, {"loss_d": torch.tensor(1.0)}) is True
    assert "stopped after 8 covers" in finish_at(first, 8) and time.monotonic() - began < 30
    # before it was measured, for those who kill
    assert [file.name for file in first.evaluation.saved] == ["images-0000000008.pt"]
    assert not first.folder.lines() and not (watched.folder / "best").exists()

    again = run_of(watched.trainer, first.folder, 8, evaluation=Told(9.0, 8.0), every=8)
    catch_up(again)
    catch_up(again)  # nothing is left to be made up for
    assert [(line["images"], line["fd_covers"]) for line in first.folder.lines()] == [(8, 8.0)]
    assert shared(watched.folder / "pipeline") == shared(watched.folder / "best") == 2.0


def test_a_run_killed_between_checkpoint_and_sheet_has_the_sheet_when_it_goes_on(watched) -> None:
    first = watched.watch()
    first.images = 8
    save_checkpoint(first)
    again = run_of(watched.trainer, first.folder, 8, every=80)
    catch_up(again)
    assert first.folder.has_samples(8) and shared(watched.folder / "pipeline") == 1.0


@pytest.mark.parametrize(("images", "done"), [(80, True), (72, False)], ids=["done", "interrupted"])
def test_a_run_shorter_than_its_interval_is_measured_when_it_is_done(watched, images: int, done: bool) -> None:
    watch = watched.watch(9.0, 8.0)
    watch.evaluation_images = 1_000
    finish_at(watch, images)
    assert (watched.folder / "best").exists() is done
    assert shared(watched.folder / "pipeline") == (2.0 if done else 1.0)  # the chosen average


def test_nothing_is_measured_twice_at_the_end(watched, capsys: pytest.CaptureFixture) -> None:
    watch = watched.watch(9.0, 8.0)
    after_step(watch, 80, {"loss_d": torch.tensor(1.0)})
    finish_at(watch, 80)
    assert "evaluation failed" not in capsys.readouterr().out  # there was no third score to be told


def test_what_was_saved_before_it_was_measured_is_saved_again(watched) -> None:
    watch = watched.watch(9.0, 8.0)
    watch.evaluation_images = 1_000
    after_step(watch, 80, {"loss_d": torch.tensor(1.0)})
    assert shared(watched.folder / "pipeline") == 1.0
    finish_at(watch, 80)
    assert shared(watched.folder / "pipeline") == shared(watched.folder / "best") == 2.0


def test_a_run_that_is_done_keeps_its_best_whatever_it_is_asked_later(watched) -> None:
    finish_at(watched.watch(9.0, 8.0), 80)
    later = Told(1.0, 2.0, features=lambda generator: {"kid": 0.1})
    finish_at(run_of(watched.trainer, RunFolder(watched.folder), 80, evaluation=later, every=8), 80)
    assert shared(watched.folder / "best") == 2.0 and next(later.scores) == 1.0  # nobody asked


EYES = {
    "fd_covers": 4.0,
    "kernel_eyes": 60.0,
    "colour_spread": 30.0,
    "real_colour_spread": 30.0,
    "lattice_db": 1.0,
    "real_lattice_db": 0.5,
}


@pytest.mark.parametrize(
    ("change", "better"),
    [
        ({"kernel_eyes": 50.0}, True),
        ({"kernel_eyes": 20.0, "fd_covers": 13.0}, False),  # flattered
        ({"kernel_eyes": 40.0, "colour_spread": 15.0}, False),  # few colours
        ({"kernel_eyes": 50.0, "colour_spread": 45.0}, False),  # far too many
        ({"kernel_eyes": 50.0, "lattice_db": 5.0}, False),
        ({"lattice_db": 0.2}, True),
        ({"fd_covers": 3.0}, True),
    ],
)
def test_no_measure_chooses_alone(change: dict[str, float], better: bool) -> None:
    assert is_best(EYES | change, [EYES]) is better
    assert (best_of([EYES, EYES | change]) != EYES) is better


def test_lines_that_lack_a_measure_are_compared_by_what_all_have() -> None:
    young = {"fd_covers": 3.0}
    assert best_of([EYES, young]) == young
    assert is_best(EYES, [young])  # nothing that decides about it was measured before
