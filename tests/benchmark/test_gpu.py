"""The plan for a GPU, rehearsed on the CPU at tiny size."""

import json
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest
import yaml

from gan.errors import Parser
from tests.helpers import programs
from tests.helpers.drawn import draw_cover
from train.benchmark import gpu
from train.benchmark.gpu import Leg, add_arguments, is_done, main, plan, rates_of, run, sized
from train.cli import UserError
from train.train_gan.recipes import Recipe, load_recipe


def arguments(*words: object):
    parser = Parser()
    add_arguments(parser)
    return parser.parse_args(list(map(str, words)))


def leg(folder: Path, name: str, code: str, seconds: float = 60) -> Leg:
    """A program of this test's own."""
    (folder / f"own_{name}.py").write_text(code)
    return Leg(name, f"own_{name}", [], seconds)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the programs find each other's modules, as `python -m` does where it is started."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_done_is_not_done_again(own: Path):
    first = leg(own, "first", "print(open('count', 'a').write('x'))")
    assert run(first, own).startswith("done") and is_done(first, own)
    assert run(first, own) == "is there already"
    assert (own / "count").read_text() == "x" and (own / "first.txt").read_text() == "1\n"


def test_a_failure_is_told_and_taken_up_again(own: Path):
    broken = leg(own, "broken", "print('found', flush=True); raise SystemExit('no memory')")
    assert run(broken, own).endswith("no memory") and not is_done(broken, own)
    assert (own / "broken.part").read_text() == "found\n"
    assert run(leg(own, "broken", "print('found more')"), own).startswith("done")
    assert (own / "broken.txt").read_text() == "found more\n" and not (own / "broken.part").exists()


SAVES = """
import time
try:
    print("begun", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("saved")
"""


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_part_is_stopped_when_its_time_is_over(own: Path, stubborn: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu, "PATIENCE", 1 if stubborn else 20)
    deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" if stubborn else ""
    endless, began = leg(own, "endless", deaf + SAVES, seconds=2), time.monotonic()
    assert "stopped after its" in run(endless, own) and time.monotonic() - began < 30
    assert not is_done(endless, own)
    assert (own / "endless.part").read_text().splitlines() == (["begun"] if stubborn else ["begun", "saved"])


# covers a second, such as a GPU may show
RATES = {
    "paint": 8000, "distil": 2000, "denoise": 3000, "compose": 3000, "refine": 700, "steer": 500, "finish": 4000
}  # fmt: skip


def test_a_painters_phases_share_the_minutes():
    painter = load_recipe("painter-128", {})
    table = "painter-128, paint, fp32         256    1000.0\npainter-128, compose, fp32       256       9.0\n"
    for phase, rate in RATES.items():
        table += f"{f'painter-128, {phase}, bf16':<30}{256:>6}{rate:>10.1f}\n"
    rates = rates_of(table)
    assert rates == RATES and {*RATES} == {*painter.phases, "compose"}
    made = sized(painter, rates, 24)
    lengths = made.phases | {"compose": made.total_images - sum(made.phases.values())}
    seconds = {phase: length / rates[phase] for phase, length in lengths.items()}
    assert all(length % 256 == 0 for length in lengths.values())
    assert 0.7 * 24 * 60 < sum(seconds.values()) < 0.9 * 24 * 60
    assert max(seconds, key=seconds.get) == "compose"
    assert sized(painter, {"paint": 1, "distil": 1, "compose": 1}, 0.1).phases == {"paint": 512, "distil": 512}


def test_the_plan_takes_half_an_hour(tmp_path: Path):
    args = arguments("--dataset_name", "covers", "--output_dir", tmp_path, "--r3gan", tmp_path)
    painter = load_recipe("painter-128", {})
    assert [part.name for part in plan(args, painter)][1] == "speed-dcgan-64"  # speeds unknown: no painter yet
    rows = [f"painter-128, {phase}, bf16   256   1000.0" for phase in RATES]
    (tmp_path / "phases.txt").write_text("\n".join(rows))
    parts = list(plan(args, painter))
    assert sum(part.seconds for part in parts) <= 30 * 60
    assert [part.name for part in parts][:3] == ["phases", "painter", "speed-dcgan-64"] and parts[-1].name == "race"
    assert parts[1].seconds >= 24 * 60


def test_what_makes_no_sense_is_refused(tmp_path: Path):
    for words, complaint in (
        (("--painter", "dcgan-64"), "has no phases"),
        (("--minutes", 0), "--minutes must be above 0"),
        (("--steps", 0), "--steps at least 1"),
    ):
        with pytest.raises(UserError, match=complaint):
            main(arguments("--dataset_name", "covers", "--output_dir", tmp_path / "out", *words))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_rehearsal_at_tiny_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(gpu, "LIMITS", dict.fromkeys(gpu.LIMITS, 300))
    monkeypatch.setattr(gpu, "CHECKPOINTS", 3)  # with their sheets and pipelines most of the time is theirs
    monkeypatch.setattr(gpu, "EVALUATIONS", 2)

    def start(command: list[str], env: dict[str, str], stdout: IO[str], stderr: IO[str]) -> programs.Program:
        return programs.start(command, environment=env, stdout=stdout.fileno(), stderr=stderr.fileno())

    forking = SimpleNamespace(Popen=start, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(gpu, "subprocess", forking)  # the other tests start Python itself
    covers, out = tmp_path / "covers", tmp_path / "out"
    covers.mkdir()
    for number in range(12):
        draw_cover(number, 128).save(covers / f"{number}.png")
    words = ("--dataset_name", covers, "--output_dir", out, "--steps", 1, "--config", "tiny")
    small = ("--painter", "painter-tiny", "--minutes", 0.01)
    with pytest.raises(UserError, match="missing race; the same command"):
        main(arguments(*words, *small, "--r3gan", tmp_path, "--race_config", "tiny"))
    assert "holds no R3GAN/Trainer.py" in capsys.readouterr().out
    assert main(arguments(*words, *small)).endswith("all is there")
    assert capsys.readouterr().out.count("is there already") == 4
    recipe = Recipe(**yaml.safe_load((out / "painter.yaml").read_text()))
    assert (out / "painter/pipeline/model_index.json").is_file() and recipe.phases["tune"] and recipe.phases["finish"]
    lines = [json.loads(line) for line in (out / "painter/metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["images"] <= recipe.total_images
    assert "convolutions and products" in (out / "profile-tiny.txt").read_text()
