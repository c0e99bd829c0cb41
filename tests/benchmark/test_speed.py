"""The programs that time training, really run at tiny size."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers import programs
from train.benchmark import __main__ as benchmark
from train.benchmark import speed
from train.benchmark.gpu import rates_of
from train.benchmark.speed import WAYS, flops_of_a_cover, others_computing, rounds, sprint_speeds
from train.cli import UserError
from train.train_gan.recipes import PHASES, Recipe, load_recipe


SMALL = {"generator": {"width": 4, "latent_dim": 4}, "discriminator": {"width": 4}}


def test_it_prints_the_loop_beside_the_mathematics_and_the_sprint(tmp_path, monkeypatch):
    monkeypatch.setitem(speed.MATRIX, "cpu", 256)
    config = tmp_path / "small.yaml"
    config.write_text(
        "{network: dcgan, resolution: 16, loss: logistic, train_batch_size: 4, "
        "generator: {width: 4, latent_dim: 4}, discriminator: {width: 4}}"
    )
    listeners = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    ended = programs.call(benchmark.main, "train.benchmark", "speed", "--steps", 2, "--config", config)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == listeners
    assert not ended.returncode, ended.stderr
    assert "cover/s" not in ended.stderr  # the run's own progress bar
    rows = re.findall(r"^(.{30,}?) +4 +([\d.]+) +[\d.]+", ended.stdout, re.M)
    assert any(name.endswith("fp32") for name, _ in rows)
    assert all(float(rate) > 0 for _, rate in rows)  # the ratio beside it may be 0.0 on a busy machine
    assert "the sprint's way, 1 thread" in ended.stdout


def test_it_prints_what_reading_costs(monkeypatch):
    monkeypatch.setattr(speed, "MANY", 10_000)  # covers to read one of: a million are three gigabytes
    ended = programs.call(benchmark.main, "train.benchmark", "speed", "--reading")
    assert not ended.returncode and "us of 5,000 covers" in ended.stdout and "of 10,000" in ended.stdout


def test_it_prints_how_fast_each_phase_of_a_painter_is(monkeypatch):
    monkeypatch.setitem(speed.MATRIX, "cpu", 256)
    monkeypatch.setattr(speed, "PICTURES", 16)
    ended = programs.call(benchmark.main, "train.benchmark", "speed", "--steps", 1, "--config", "painter-tiny")
    assert not ended.returncode, ended.stderr
    rates = rates_of(ended.stdout)
    phases = load_recipe("painter-tiny", {}).phases
    assert list(rates) == [phase for phase in PHASES if phase == "compose" or phase in phases] and all(rates.values())


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
    penalty = {"gradient_penalty": "zero-centred", "gradient_penalty_weight": 1.0, "gradient_penalty_every": every}
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


def test_busy_shows_how_threads_wait_alone_and_beside_others(monkeypatch, capsys):
    monkeypatch.setattr(speed, "LOAD", 1)
    monkeypatch.setattr(speed, "WAYS", {"one thread": WAYS["one thread"]})  # each takes a program

    def run(command: list[str], env: dict[str, str], **_: bool) -> subprocess.CompletedProcess[str]:
        return programs.run(command, environment=env)  # or the others would compute while torch is imported

    monkeypatch.setattr(speed, "subprocess", SimpleNamespace(run=run, Popen=subprocess.Popen))
    monkeypatch.setattr(sys, "argv", ["train.benchmark", "speed", "--busy", "--steps", "1", "--config", "tiny"])
    assert "OMP_WAIT_POLICY choose" in benchmark.main()
    heading, *rows = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"covers/s +alone +beside [2-9]\d* others +slower", heading)
    assert [row.split("  ")[0] for row in rows] == ["tiny, one thread"]
    for row in rows:
        alone, beside, slower = row[40:].replace("x", "").split()
        assert float(alone) > 0 and float(beside) > 0
        assert float(slower) == pytest.approx(float(alone) / float(beside), abs=0.06, rel=0.05)


def test_other_programs_end_with_the_measurement():
    with pytest.raises(KeyboardInterrupt), others_computing(2) as processes:
        assert [process.poll() for process in processes] == [None, None]
        raise KeyboardInterrupt
    assert all(process.returncode is not None for process in processes)


def test_other_programs_do_not_outlive_one_that_is_killed():
    code = "import time\nfrom train.benchmark.speed import others_computing\nwith others_computing(1) as (other,):\n"
    program = programs.start([sys.executable, "-c", f"{code}    print(other.pid, flush=True)\n    time.sleep(60)"])
    other = Path("/proc", program.stdout.readline().strip(), "stat")

    def computes() -> bool:
        return other.exists() and other.read_text().split()[2] != "Z"

    assert computes()
    program.kill()
    deadline = time.monotonic() + 30
    while computes() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not computes()


def test_every_file_with_a_main_is_a_program(monkeypatch, capsys):
    files = {file.stem for file in Path(speed.__file__).parent.glob("*.py") if "\ndef main(" in file.read_text()}
    found = benchmark.programs()
    assert found.keys() == files - {"__main__"} and {"speed", "losses", "generate"} <= found.keys()
    monkeypatch.setattr(sys, "argv", ["train.benchmark", "--help"])
    with pytest.raises(SystemExit) as end:
        benchmark.main()
    said = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0 and all(line in said for line in found.values())


def test_the_manual_names_every_program_and_no_other():
    manual = (Path(speed.__file__).parent / "README.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", manual.split("\n## ")[0], re.M)) == benchmark.programs().keys()
    assert set(re.findall(r"train\.benchmark (\w+)", manual)) <= benchmark.programs().keys()


def test_the_old_name_of_speed_is_understood(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.benchmark", "train", "--steps", "0"])
    with pytest.raises(UserError, match="--steps must be at least 1"):
        benchmark.main()


def test_a_cover_is_timed(monkeypatch, capsys, tiny_pipeline_folder):
    monkeypatch.setattr(sys, "argv", ["train.benchmark", "generate", "--model", str(tiny_pipeline_folder)])
    assert "seeds to pictures" in benchmark.main()
    rows = capsys.readouterr().out.splitlines()
    assert [int(row.split()[0]) for row in rows] == [1, 16, 64] and all(float(row.split()[4]) > 0 for row in rows)
