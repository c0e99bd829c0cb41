import re
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers import programs
from train.benchmark import __main__ as benchmark
from train.benchmark import speed
from train.benchmark.speed import flops_of_a_cover, sprint_speeds
from train.benchmark.start import draw_dataset, start_again_and_again
from train.benchmark.steps import rounds
from train.cli import UserError, run
from train.train_gan.recipes import Recipe


SMALL = {"generator": {"width": 4, "latent_dim": 4}, "discriminator": {"width": 4}}


def test_it_prints_the_loop_beside_the_mathematics_and_the_sprint(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "MANY", 10_000)  # covers to read one of: a million are three gigabytes
    monkeypatch.setitem(speed.MATRIX, "cpu", 256)
    config = tmp_path / "small.yaml"
    config.write_text(
        "{network: dcgan, resolution: 16, loss: logistic, train_batch_size: 4, "
        "generator: {width: 4, latent_dim: 4}, discriminator: {width: 4}}"
    )
    ended = programs.call(benchmark.main, "train.benchmark", "train", "--steps", 2, "--config", config)
    assert not ended.returncode, ended.stderr
    assert "cover/s" not in ended.stderr  # the run's own progress bar
    rows = re.findall(r"^(.{30,}?) +4 +([\d.]+) +[\d.]+", ended.stdout, re.M)
    assert any(name.endswith("fp32") for name, _ in rows)
    assert all(float(rate) > 0 for _, rate in rows)  # the ratio beside it may be 0.0 on a busy machine
    assert "the sprint's way, 1 thread" in ended.stdout and "of 10,000" in ended.stdout


def forward_flops(recipe: Recipe) -> list[int]:
    flops, examples = [], (torch.zeros(1, 4), torch.zeros(1, 3, 16, 16))
    for network, example in zip(recipe.build([]), examples, strict=True):
        with FlopCounterMode(display=False) as counter:
            network.eval()(example)
        flops.append(counter.get_total_flops())
    return flops


def test_the_work_of_a_cover_is_counted():
    # one step draws a cover once and passes it through the discriminator twice, a real one once; a pass back through
    # inputs and weights costs two more, through one of them one more; first layers need less
    recipe = Recipe("dcgan", 16, "logistic", train_batch_size=4, **SMALL)
    generator, discriminator = forward_flops(recipe)
    assert flops_of_a_cover(recipe) == pytest.approx(3 * generator + 8 * discriminator, rel=0.15)


@pytest.mark.parametrize(("every", "passes"), [(1, 15), (4, 9 + 6 / 4)])
def test_the_work_of_second_derivatives_is_counted(every: int, passes: float):
    # a penalty costs a pass back to the images, and that pass and its weights' share on the way back: 3 of 6 passes,
    # for a real and a generated cover; the generator's step adds 3
    sizes = {"width": 8, "max_width": 16, "blocks": 2, "group_size": 8}
    networks = {"generator": sizes | {"latent_dim": 4}, "discriminator": sizes}
    penalty = {"gradient_penalty": "zero-centred", "gradient_penalty_every": every}
    recipe = Recipe("r3gan", 16, "relativistic", train_batch_size=4, **networks, **penalty)
    generator, discriminator = forward_flops(recipe)
    assert flops_of_a_cover(recipe) == pytest.approx(3 * generator + passes * discriminator, rel=0.05)


def test_the_sprints_way_learns():
    recipe = Recipe("dcgan", 16, "logistic", train_batch_size=4, **SMALL)
    before = torch.get_num_threads()
    assert len(list(sprint_speeds(recipe, 3, torch.device("cpu"), 1))) == 3
    assert torch.get_num_threads() == before


def test_rounds_are_sums_of_laps():
    assert rounds([1, 2, 3, 4], 2) == [3, 5, 7]


def test_starts_are_timed_by_starting(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.benchmark", "start", "--covers", "70", "--repeats", "1"])
    run(benchmark.main, "train.benchmark")
    heading, row, last = capsys.readouterr().out.splitlines()
    assert heading.split()[:2] == ["covers", "first"] and last.endswith("1 later starts, medians")
    covers, first, later = map(float, row.split())
    assert covers == 70 and min(first, later) > 0


def test_a_start_that_fails_is_told(tmp_path: Path) -> None:
    draw_dataset(tmp_path / "covers", 70)
    (tmp_path / "run-0").write_text("a file")
    with pytest.raises(UserError, match=r"training failed: .*is a file; name a folder"):
        next(start_again_and_again(tmp_path, 0))
