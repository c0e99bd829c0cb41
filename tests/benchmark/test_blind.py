"""The blind comparison: pages, their key, and what is counted."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan import save_pipeline
from gan.errors import Parser
from tests.helpers.tiny import tiny_pipeline
from train.benchmark.blind import GAP, add_arguments, main, sheet, sign_test
from train.cli import UserError


def run(*words: object) -> str:
    parser = Parser()
    add_arguments(parser)
    return main(parser.parse_args(list(map(str, words))))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    for number, size in enumerate((16, 16, 32)):
        save_pipeline(tiny_pipeline("dcgan", seed=number, resolution=size), folder / str(number), for_strangers=False)
    return [folder / "0", folder / "1", folder / "2"]


def test_the_key_tells_which_side_is_whose(tmp_path: Path, models: list[Path]):
    pages = tmp_path / "blind"
    line = run(*models[:2], "--output_dir", pages, "--pages", 3, "--first_seed", 64, "--seed", 1)
    assert "3 pages of 64 pairs" in line
    key = json.loads((pages / "key.json").read_text())
    assert len(key["left"]) == 3 and sum(key["left"]) == 1  # as evenly as three can be
    generators = [tiny_pipeline("dcgan", seed=number).synthesis for number in (0, 1)]
    for page, left in enumerate(key["left"]):
        picture = np.asarray(Image.open(pages / f"page-{page + 1:02}.png"))
        assert picture.shape == (128, 256 + GAP, 3)
        seeds = range(64 * (page + 1), 64 * (page + 2))
        for which, half in ((left, picture[:, :128]), (1 - left, picture[:, 128 + GAP :])):
            assert np.abs(half.astype(int) - sheet(generators[which], seeds)).max() <= 1


def test_answers_are_counted_by_the_key(tmp_path: Path, models: list[Path], capsys: pytest.CaptureFixture[str]):
    run(*models[:2], "--output_dir", tmp_path, "--pages", 4, "--seed", 0)
    lefts = json.loads((tmp_path / "key.json").read_text())["left"]
    always_second = "".join("r" if left == 0 else "l" for left in lefts)
    undecided = always_second[:3] + "-"
    line = run("--output_dir", tmp_path, "--answers", always_second, undecided)
    told = capsys.readouterr().out
    assert f"judge 1: 0 for {models[0]}, 4 for {models[1]}" in told
    assert f"{models[1]}: preferred 7 times of 7" in told
    assert line.startswith("0.016 ")


def test_the_sign_test_is_a_coins():
    assert sign_test(9, 10) == pytest.approx(22 / 1024)
    assert sign_test(5, 10) == sign_test(0, 0) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0"], "name two models to compare, not 1"),
        (["0", "2"], "covers of 16 and of 32 px"),
        (["0", "missing"], "no such folder"),
        (["0", "1", "--pages", "0"], "at least one page"),
        (["--answers", "lr"], "holds no key.json"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path: Path, models: list[Path], words: list[str], message: str):
    named = [models[0].parent / word if word in ("0", "1", "2", "missing") else word for word in words]
    if "--pages" in words:
        named[-1] = words[-1]
    with pytest.raises(UserError, match=message) as mistake:
        run(*named, "--output_dir", tmp_path / "blind")
    assert "\n" not in str(mistake.value)


def test_answers_for_other_pages_are_refused(tmp_path: Path, models: list[Path]):
    run(*models[:2], "--output_dir", tmp_path, "--pages", 2)
    for word in ("l", "lrl", "lx"):
        with pytest.raises(UserError, match="not l, r or - for each of 2 pages"):
            run("--output_dir", tmp_path, "--answers", word)
