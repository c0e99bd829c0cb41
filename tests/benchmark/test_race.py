"""The race's own side, and the profile. The race itself needs clones of the others' code, which no test has."""

import re
import sys
from pathlib import Path

import pytest
import torch

from train.benchmark import __main__ as benchmark
from train.benchmark.race import CLONES, Contender, importing, laps_in_turn, r3gan_arguments
from train.cli import UserError
from train.train_gan.recipes import load_recipe


def mistake(monkeypatch, *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["train.benchmark", *map(str, arguments)])
    with pytest.raises(UserError) as caught:
        benchmark.main()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def clone(folder: Path, flag: str) -> Path:
    """Everything by which a clone is told, and nothing in it."""
    for file in CLONES[flag][1]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def test_what_cannot_be_raced_is_refused_in_one_line(monkeypatch, tmp_path):
    assert "is missing" in mistake(monkeypatch, "race")
    nowhere = tmp_path / "nowhere"
    for flag, (origin, files) in CLONES.items():
        line = mistake(monkeypatch, "race", "--config", "tiny", flag, nowhere)
        assert flag in line and str(nowhere) in line and origin in line
        folder = clone(tmp_path / flag, flag)
        (folder / files[-1]).unlink()
        assert f"holds no {files[-1]}" in mistake(monkeypatch, "race", "--config", "tiny", flag, folder)
    assert "dcgan is no R3GAN" in mistake(monkeypatch, "race", "--config", "dcgan-64", "--r3gan", nowhere)


def test_a_clone_without_its_classes_is_refused_and_leaves_no_module(tmp_path):
    folder = clone(tmp_path / "clone", "--r3gan")
    paths = list(sys.path)
    with pytest.raises(UserError, match="Generator"), importing("--r3gan", folder):
        from training.networks import Generator  # noqa: F401
    assert sys.path == paths and not {"training", "training.networks"} & set(sys.modules)


def test_two_clones_may_call_their_modules_alike(tmp_path):
    for number in range(2):
        folder = clone(tmp_path / str(number), "--r3gan")
        (folder / "training" / "networks.py").write_text(f"NUMBER = {number}")
        with importing("--r3gan", folder):
            from training.networks import NUMBER
        assert number == NUMBER


@pytest.mark.parametrize(
    "config, widths, groups, blocks",
    [
        ("r3gan-cpu", [128, 128, 128, 64, 32], [8, 8, 8, 4, 2], 1),
        ("r3gan-64", [384, 384, 384, 384, 192], [24, 24, 24, 24, 12], 2),
        ("r3gan-128", [384, 384, 384, 384, 192, 96], [24, 24, 24, 24, 12, 6], 2),
    ],
)
def test_a_recipe_is_theirs_stage_by_stage(config, widths, groups, blocks):
    generator, discriminator = r3gan_arguments(load_recipe(config, {}), bf16=True)
    assert generator.pop("NoiseDimension") == 64
    for network, order in ((generator, 1), (discriminator, -1)):
        assert network["WidthPerStage"] == widths[::order]
        assert network["CardinalityPerStage"] == groups[::order]
        assert network["BlocksPerStage"] == [blocks] * len(widths) and network["ExpansionFactor"] == 2
        # four stages at most, the largest pictures; the generator ends with them, the discriminator begins
        assert network["FP16Stages"] == list(range(len(widths)))[::order][-4:][::order]
    assert r3gan_arguments(load_recipe(config, {}), bf16=False)[0]["FP16Stages"] == []


def test_contenders_take_turns():
    taken = []
    contenders = [Contender(name, lambda n=name: taken.append(n) or len(taken), (1, 1), 1.0) for name in "ab"]
    assert laps_in_turn(contenders, 3) == [[5, 6], [7, 8], [9, 10]]  # the first two rounds only warm
    assert "".join(taken) == "ab" * 5


def test_the_profile_tells_where_all_of_the_time_goes(monkeypatch, capsys):
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["train.benchmark", "profile", "--config", "tiny", "--steps", "2"])
    benchmark.main()
    torch.set_num_threads(threads)
    rows = re.findall(r"^(.+?) {2,}([\d.]+) +(-?[\d.]+)%$", capsys.readouterr().out, re.M)
    shares = {kind: float(share) for kind, _, share in rows}
    assert shares.pop("all") == 100
    matrix = [share for kind, share in shares.items() if kind.startswith(("convolutions,", "matrix products"))]
    assert shares.pop("convolutions and products") == pytest.approx(sum(matrix), abs=0.05 * (len(matrix) + 1))
    assert sum(shares.values()) == pytest.approx(100, abs=0.05 * len(shares))  # each is rounded
    both = {f"{kind}, {way}" for kind in ("convolutions", "resampling") for way in ("forward", "backward")}
    assert both | {"optimisers", "averages of the weights", "reading covers"} <= shares.keys()
    assert all(share >= 0 for share in shares.values())
