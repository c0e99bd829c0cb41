"""Measure a large GPU in half an hour: a painter in all its phases, recipes' speeds, the race with R3GAN's own code.

Each part is a program of its own with a limit of time, and writes what it finds into a folder as it goes. One that
fails or is stopped leaves the others alone; the same command takes up what is missing.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import yaml

from train.cli import UserError
from train.train_gan.recipes import PHASES, Recipe, load_recipe


MINUTES = 24  # of a painter, in all its phases
LEARNING = 0.82  # share of them in which it learns; the rest is for measuring, sheets and checkpoints
# how much of that each phase has, beside the others that a recipe names
SHARES = {"paint": 5, "distil": 2, "denoise": 5, "compose": 7, "tune": 6, "refine": 5, "steer": 2, "finish": 1}
# seconds of each part, in which a painter's minutes are not counted; with these all of it is half an hour
LIMITS = {"phases": 60, "painter": 30, "speed": 50, "profile": 20, "race": 60}
PATIENCE = 60  # seconds for saving what a part was stopped at
CHECKPOINTS, EVALUATIONS = 12, 4  # of the painter's run; measuring takes long


@dataclass(frozen=True)
class Leg:
    """Describe one part of the plan.

    Args:
        name: of what it writes: `<name>.txt`, and `<name>.log` for progress and mistakes.
        module: the program, as `python -m` takes it.
        arguments: of the program.
        seconds: after which it is asked to stop, as Ctrl+C asks.
    """

    name: str
    module: str
    arguments: list[object]
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    parser.add_argument("--dataset_name", required=True, help="prepared covers for the painter")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/gpu"), help="where results go")
    parser.add_argument("--r3gan", type=Path, help="a clone of R3GAN's code to race with; default: no race")
    parser.add_argument("--painter", default="painter-128", help="a recipe with phases")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of the painter, in all its phases")
    parser.add_argument(
        "--config", nargs="*", default=["dcgan-64", "r3gan-64", "r3gan-128"], help="recipes whose speed is measured"
    )
    parser.add_argument("--race_config", default="r3gan-64", help="a recipe of an R3GAN to race with")
    parser.add_argument("--steps", type=int, default=3, help="steps to take the median of")


def main(args: argparse.Namespace) -> str:
    """Go through the plan; print a line for each part, and return where the results lie.

    Raises:
        UserError: the plan makes no sense, or some parts did not end well.
    """
    painter = load_recipe(args.painter, {})
    if not painter.phases:
        raise UserError(f"--painter {args.painter}: {painter.network} has no phases")
    if args.minutes <= 0 or args.steps < 1:
        raise UserError("--minutes must be above 0, --steps at least 1")
    args.output_dir.mkdir(parents=True, exist_ok=True)
    missing = []
    for leg in plan(args, painter):
        state = run(leg, args.output_dir)
        print(f"{leg.name:<24}{state}", flush=True)
        if not is_done(leg, args.output_dir):
            missing.append(leg.name)
    if args.r3gan is None:
        print(f"{'race':<24}left out: --r3gan names no clone")
    if missing:
        raise UserError(f"{args.output_dir}: missing {', '.join(missing)}; the same command takes that up", 1)
    return f"{args.output_dir}: all is there"


def plan(args: argparse.Namespace, painter: Recipe) -> Iterator[Leg]:
    """Yield the parts, in the order of what is most worth knowing; the painter's once its speed is known."""
    steps = ["--steps", args.steps]
    phases = Leg("phases", "train.benchmark", ["speed", "--config", args.painter, *steps], LIMITS["phases"])
    yield phases
    if is_done(phases, args.output_dir):
        recipe = args.output_dir / "painter.yaml"
        if not recipe.exists():  # else a run goes on
            rates = rates_of((args.output_dir / "phases.txt").read_text())
            recipe.write_text(yaml.safe_dump(asdict(sized(painter, rates, args.minutes)), sort_keys=False))
        where = ["--dataset_name", args.dataset_name, "--output_dir", args.output_dir / "painter"]
        seldom = ["--evaluation_images", load_recipe(str(recipe), {}).total_images // EVALUATIONS]
        yield Leg(
            "painter", "train.train_gan", ["--config", recipe, *where, *seldom], 60 * args.minutes + LIMITS["painter"]
        )
    for config in args.config:
        name = Path(config).stem
        yield Leg(f"speed-{name}", "train.benchmark", ["speed", "--config", config, *steps], LIMITS["speed"])
        yield Leg(f"profile-{name}", "train.benchmark", ["profile", "--config", config, *steps], LIMITS["profile"])
    if args.r3gan is not None:
        arguments = ["race", "--r3gan", args.r3gan, "--config", args.race_config, *steps]
        yield Leg("race", "train.benchmark", arguments, LIMITS["race"])


def rates_of(table: str) -> dict[str, float]:
    """Return the covers a second of each phase, as `speed` printed them: in the last, the quickest precision."""
    rows = re.findall(rf"^.*, ({'|'.join(PHASES)}), \w+ +\d+ +([\d.]+)$", table, re.MULTILINE)
    return {phase: float(rate) for phase, rate in rows}


def sized(painter: Recipe, rates: dict[str, float], minutes: float) -> Recipe:
    """Return a recipe with phases that takes about so many minutes here: each phase has its share.

    A phase that the recipe leaves out stays out.
    """
    size, named = painter.train_batch_size, [phase for phase in SHARES if phase in rates]
    share = 60 * minutes * LEARNING / sum(SHARES[phase] for phase in named)
    shown = {phase: max(2, round(share * SHARES[phase] * rates[phase] / size)) * size for phase in named}
    total = sum(shown.values())
    checkpoints = max(size, total // CHECKPOINTS)
    del shown["compose"]  # it takes the rest
    return replace(painter, phases=cast(Any, shown), total_images=total, checkpointing_images=checkpoints)


def run(leg: Leg, folder: Path) -> str:
    """Let a part of the plan run until it ends or its time is over; return in words how it went."""
    if is_done(leg, folder):
        return "is there already"
    began, unfinished = time.monotonic(), folder / f"{leg.name}.part"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", leg.module, *map(str, leg.arguments)]
    with open(unfinished, "w") as out, open(folder / f"{leg.name}.log", "a") as log:
        program = subprocess.Popen(command, env=environment, stdout=out, stderr=log)
        try:
            code = program.wait(leg.seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end(program)
    spent = f"{time.monotonic() - began:.0f} s"
    if code is None:
        return f"stopped after its {spent}; what it has found so far is in {unfinished.name}"
    if code:
        lines = (folder / f"{leg.name}.log").read_text(errors="replace").strip().splitlines() or [f"exit code {code}"]
        return f"failed after {spent}: {lines[-1]}"
    unfinished.replace(folder / f"{leg.name}.txt")
    return f"done in {spent}"


def end(program: "subprocess.Popen[bytes]") -> None:
    """Ask a program that still runs to stop, as Ctrl+C does; end it where it takes too long."""
    if program.poll() is None:
        program.send_signal(signal.SIGINT)
        try:
            program.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


def is_done(leg: Leg, folder: Path) -> bool:
    """Return whether a part has ended well, now or earlier."""
    return (folder / f"{leg.name}.txt").is_file()
