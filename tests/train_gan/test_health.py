"""What is said, and when, about a run that goes wrong."""

import dataclasses
import json
import math
import re
import time
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from gan.health import LINES, Health
from tests.helpers.trainers import finish_at, in_two_processes, plain_covers, run_of, small, train, trainer
from train.cli import UserError
from train.train_gan.loop import after_step, is_due, loop, save_checkpoint
from train.train_gan.monitor import FIRST_WORD
from train.train_gan.run import Run
from train.train_gan.run_config import RunConfig
from train.train_gan.run_folder import RunFolder
from train.train_gan.steps import Batch, Trainer


def lines(health: Health, values: list[dict[str, float]]) -> list[str]:
    return [complaint for line in values for complaint in health.look({"gradient_norm_d": 1.0} | line)]


def test_a_healthy_run_hears_nothing() -> None:
    assert lines(Health(), [{"pair_accuracy": 0.9, "loss_g": 0.5 + i % 3} for i in range(100)]) == []


def test_a_discriminator_that_wins_for_long_is_told_once() -> None:
    health, won = Health(), {"pair_accuracy": 1.0, "loss_g": 9.0}
    said = lines(health, [won] * 100)
    assert len(said) == 1 and "tells all pairs apart" in said[0] and "--learning_rate" in said[0]
    assert (
        lines(health, [{"pair_accuracy": 0.8, "loss_g": 2.0}] + [won] * (LINES + 1)) == said
    )  # and when it comes again


def test_a_critic_is_to_tell_all_pairs_apart() -> None:
    assert lines(Health(critic=True), [{"pair_accuracy": 1.0, "loss_g": 9.0}] * 100) == []


def test_advice_fits_the_recipe() -> None:
    won = [{"pair_accuracy": 1.0, "loss_g": 9.0}] * (LINES + 1)
    for health, penalty in ((Health(penalised=True), True), (Health(penalised=False), False)):
        said = [*lines(health, won), *health.look_at_covers(40.0, 100.0)]
        assert len(said) == 2 and all(("raise gradient_penalty_weight" in line) == penalty for line in said)


def test_a_loss_that_diverges() -> None:
    usual = [{"pair_accuracy": 0.9, "loss_g": 2.0}] * LINES
    (said,) = lines(Health(), [*usual, {"pair_accuracy": 0.9, "loss_g": 41.0}])
    assert "20 times what it was" in said
    assert lines(Health(), [*usual, {"pair_accuracy": 0.9, "loss_g": 39.0}]) == []


def test_a_loss_that_was_never_near() -> None:
    far = [{"pair_accuracy": 0.6, "loss_g": 240_499.0 / number} for number in range(1, 9)]
    assert lines(Health(), far[:3]) == []  # a beginning may be wild
    (said,) = lines(Health(), far)
    assert "above 100" in said and "--learning_rate" in said
    assert lines(Health(critic=True), [line | {"loss_g": -200.0} for line in far]) == []  # a critic has no scale


def test_a_gradient_that_explodes_after_a_calm_beginning() -> None:
    calm = [{"pair_accuracy": 0.7, "loss_g": 0.8, "gradient_norm_d": norm} for norm in (0.5, 0.3, 0.7, 0.4)]
    (said,) = lines(Health(), [*calm, calm[0] | {"gradient_norm_d": 50.0}])
    assert "gradient is 100 times what it was" in said
    assert lines(Health(), [*calm, calm[0] | {"gradient_norm_d": 40.0}]) == []
    assert lines(Health(), [*calm[1:], calm[0] | {"gradient_norm_d": 50.0}]) == []  # a beginning may be wild


def test_covers_that_are_all_alike() -> None:
    health = Health()
    assert health.look_at_covers(60.0, 100.0) == []
    (said,) = health.look_at_covers(40.0, 100.0)
    assert "collapses" in said and health.look_at_covers(40.0, 100.0) == []


def watched(folder: Path, **changes) -> Run:
    recipe = small("tiny", total_images=8 * 100, checkpointing_images=8 * 100, **changes)
    run = RunFolder(folder)
    run.open(RunConfig(recipe))
    return run_of(trainer(recipe), run)


def norms(value: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name in ("gradient_norm_d", "gradient_norm_g", "loss_g", "pair_accuracy")}


def test_skipped_updates_are_counted_and_too_many_in_a_row_end_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    watch = watched(tmp_path / "run")
    for step in range(1, 26):
        after_step(watch, 8 * step, norms(math.nan if step % 9 == 0 else 1.0))
    assert "warning: 2 of the last 25 updates had no finite gradient and were skipped\n" in capsys.readouterr().out
    (line,) = watch.folder.lines()
    assert line["skipped_updates"] == 2 and line["gradient_norm_d"] == 1.0
    for step in range(26, 50):
        after_step(watch, 8 * step, norms(math.inf if 30 < step <= 40 else 1.0))  # and good ones after them
    with pytest.raises(UserError, match=r"10 updates in a row had no finite gradient.*--learning_rate") as stop:
        after_step(watch, 8 * 50, norms(1.0))
    assert stop.value.code == 1


def test_a_run_that_learned_nothing_is_not_called_done(tmp_path: Path) -> None:
    watch = watched(tmp_path / "run")
    for step in range(1, 13):
        after_step(watch, 8 * step, norms(math.nan))
    with pytest.raises(UserError, match="12 updates in a row"):
        finish_at(watch, 8 * 12)
    assert not list(watch.folder.checkpoints.folder.iterdir())
    assert watch.folder.lines() == [{"kind": "training", "images": 96, "skipped_updates": 12}]


def test_a_batch_of_nan_spoils_no_later_one(tmp_path: Path) -> None:
    """Batch normalisation remembers it, although its update is skipped."""
    recipe, folder = small("dcgan-64", total_images=80, checkpointing_images=80), RunFolder(tmp_path / "run")
    folder.open(RunConfig(recipe))
    watch = run_of(trainer(recipe), folder)

    def step_with_nan(self: Trainer, batch: Batch, images: int) -> dict[str, torch.Tensor]:
        return step(self, dataclasses.replace(batch, real=batch.real * math.nan) if images == 16 else batch, images)

    step = Trainer.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", step_with_nan)
        loop(watch)
    assert watch.monitor.skipped.count == 1 and len(folder.checkpoints.files()) == 1
    assert all(value.isfinite().all() for value in watch.trainer.gan.discriminator.state_dict().values())


def test_a_discriminator_that_is_not_finite_replaces_no_checkpoint(tmp_path: Path) -> None:
    watch = watched(tmp_path / "run")
    next(watch.trainer.gan.discriminator.parameters()).data.fill_(math.nan)
    with pytest.raises(UserError, match="no longer finite"):
        save_checkpoint(watch)


def test_intervals_need_not_be_multiples_of_the_batch() -> None:
    assert [images for images in range(8, 81, 8) if is_due(images, 8, 20)] == [24, 40, 64, 80]


def test_what_is_wrong_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    watch = watched(tmp_path / "run")
    for step in range(1, 25 * (LINES + 5)):
        after_step(watch, 8 * step, norms(1.0))
    assert capsys.readouterr().out.count("tells all pairs apart") == 1


def test_the_recipe_says_whether_it_is_a_critic(tmp_path: Path) -> None:
    assert watched(tmp_path / "critic", loss="wasserstein").monitor.health.critic
    assert not watched(tmp_path / "run").monitor.health.critic


def test_lines_count_from_the_beginning_and_from_the_last_line(tmp_path: Path) -> None:
    watch = watched(tmp_path / "run")
    watch.monitor.seconds_before = 1000.0
    for step in range(1, 51):
        if step % 25 == 0:
            watch.monitor.lap_began = time.monotonic() - 10
        after_step(watch, 8 * step, norms(math.nan if step == 9 else 1.0))
    one, two = watch.folder.lines()
    assert one["skipped_updates"] == 1 and "skipped_updates" not in two
    assert two["seconds"] >= one["seconds"] >= 1000
    assert two["images_per_second"] == pytest.approx(8 * 25 / 10, rel=0.05)
    watch.images = 400
    save_checkpoint(watch)
    assert watch.folder.checkpoints.load(watch.trainer.gan, "latest", torch.device("cpu"))[1] >= 1000


def test_metrics_hold_numbers_only(tmp_path: Path) -> None:
    watch = watched(tmp_path / "run")
    watch.monitor.write("training", 8, loss_g=1.0, held_out_gap=math.nan)
    assert watch.folder.lines() == [{"kind": "training", "images": 8, "loss_g": 1.0}]


def test_a_real_nan_ends_the_run(tmp_path: Path) -> None:
    watch = watched(tmp_path / "run", augmentation=0.0)

    def spoil(images: int, measured: dict[str, torch.Tensor]) -> bool:
        if images == 80:
            watch.trainer.gan.generator.to_rgb.weight.data.fill_(math.nan)
        return after_step(watch, images, measured)

    with pytest.raises(UserError, match="15 updates in a row had no finite gradient and were skipped; start again in"):
        train(watch.trainer, plain_covers((9, 99, 200), 16), 0, spoil)


def _two_that_stop(folder: str) -> None:
    """Each process writes after which steps it was stopped: in a run of quick steps, and in one of slow ones."""
    accelerator, stopped = Accelerator(cpu=True), []
    assert accelerator.num_processes == 2
    for seconds in (0.0, 50.0):
        watch = watched(Path(folder) / f"run-{accelerator.process_index}-{seconds}")
        watch.stop.asked = lambda: False
        for step in range(1, 100):
            if step == 25:
                watch.monitor.lap_began -= seconds  # as long as it would have taken
            if step == 28 and accelerator.process_index == 1:
                watch.stop.asked = lambda: True
            if after_step(watch, 8 * step, norms(1.0)):
                stopped.append(step)
                break
    (Path(folder) / f"{accelerator.process_index}.json").write_text(json.dumps(stopped))


def test_two_processes_stop_together_a_second_after_one_is_told(tmp_path: Path) -> None:
    """Their launcher waits for 30 seconds only."""
    in_two_processes(_two_that_stop, tmp_path)
    assert [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)] == [[50, 28], [50, 28]]


def test_speed_time_left_and_memory_are_told_once(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    watch = watched(tmp_path / "run")
    after_step(watch, 8, norms(1.0))
    assert not capsys.readouterr().out
    watch.monitor.began -= FIRST_WORD
    after_step(watch, 16, norms(1.0))
    after_step(watch, 24, norms(1.0))
    said = capsys.readouterr().out
    pattern = r"0\.5 covers a second, 0:2\d:\d\d of training left, at most \d+\.\d GB of memory\n"
    assert re.fullmatch(pattern, said), said
