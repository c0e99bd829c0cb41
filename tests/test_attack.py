"""A few of the attacks of `python -m tests.attack`, the same each time."""

import random
import time
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


@pytest.mark.parametrize("waits", (False, True), ids=("computes", "waits"))
def test_what_takes_too_long_is_seen(
    waits: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tests.attack.__main__.SECONDS", 2**30 if waits else 0.5)
    monkeypatch.setattr("tests.attack.__main__.PATIENCE", 1.5 if waits else 2**30)

    def hang(draws: random.Random) -> None:
        (tmp_path / "hang" / "input").write_bytes(b"slow")
        while True:
            time.sleep(0.1 if waits else 0)

    (tmp_path / "hang").mkdir()
    assert attack_all({"hang": hang}, 7, 0.01, tmp_path)["hang"] == [1, 1]
    assert "by the clock" in capsys.readouterr().out


def test_a_busy_machine_is_no_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.attack.__main__.SECONDS", 1)
    (tmp_path / "slow").mkdir()
    assert attack_all({"slow": lambda draws: time.sleep(2.5)}, 7, 0.01, tmp_path)["slow"] == [1, 0]
