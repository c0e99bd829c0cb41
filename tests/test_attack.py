"""A few of the attacks of `python -m tests.attack`, the same each time."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack import files
from tests.attack.__main__ import attack_all


@pytest.mark.parametrize(
    ("kind", "times"),
    (
        (files.sources, 60),
        (files.pictures, 200),
        (files.archives, 300),
        (files.tables, 300),
        (files.models, 60),
        (files.runs, 60),
    ),
    ids=("sources", "pictures", "archives", "tables", "models", "runs"),
)
def test_what_is_changed_at_random_is_refused_in_words(kind: Callable, times: int, tmp_path: Path):
    one = kind(tmp_path)
    for number in range(times):
        one(random.Random(number))


def test_what_goes_wrong_is_counted_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def wrong(draws: random.Random) -> None:
        (tmp_path / "wrong" / "input").write_bytes(b"bad")
        if draws.random() < 2:
            raise KeyError("x")

    (tmp_path / "wrong").mkdir()
    counts = attack_all({"wrong": wrong}, 7, 0.01, tmp_path)
    assert counts["wrong"][0] == counts["wrong"][1] > 0
    assert (tmp_path / "wrong-8.input").read_bytes() == b"bad" and "KeyError" in (tmp_path / "wrong-8.txt").read_text()
    assert "went wrong" in capsys.readouterr().out
