"""What a beginner is told of few covers, once, before anything is learned."""

import sys
from pathlib import Path

import pytest

from tests.helpers.drawn import draw_cover
from tests.helpers.programs import run
from train.train_gan.expectation import what_to_expect


@pytest.mark.parametrize("covers, said", [(5, "collect"), (59, "collect"), (60, "short run"), (999, "short run")])
def test_few_covers_are_told_of(covers: int, said: str):
    line = what_to_expect(covers)
    assert line.startswith(f"{covers} covers") and said in line and "\n" not in line and len(line) < 300
    assert what_to_expect(1).startswith("1 cover is")
    assert ("--start_from" in line) == (covers < 60) and "--start_from" not in what_to_expect(covers, is_started=True)


def test_enough_are_not():
    assert what_to_expect(1000) == what_to_expect(100_000) == ""


def test_the_program_says_it_once(tmp_path: Path):
    (tmp_path / "covers").mkdir()
    for number in range(20):
        draw_cover(number, 32).save(tmp_path / "covers" / f"{number}.png")
    words = ("--config", "tiny", "--dataset_name", tmp_path / "covers", "--output_dir", tmp_path / "run")
    train = [sys.executable, "-m", "train.train_gan", *words, "--checkpointing_images", 64, "--total_images", 64]
    first, again = run(train), run(train)
    assert first.returncode == again.returncode == 0, first.stderr
    assert "20 covers are so few" in first.stderr and "are so few" not in again.stderr
