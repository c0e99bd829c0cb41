"""Show where the losses of two revisions of this project part: a recipe trained for some steps in both.

    python -m train.benchmark losses --against main~3

Each revision trains in a copy of its own, with its own recipe of that name, the same covers, seed and threads. Where
nothing that training computes was changed, all losses are equal to the last digit that `metrics.jsonl` shows.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

from train.benchmark.piles import draw_cover
from train.cli import UserError
from train.device import cpu_threads
from train.train_gan.recipes import load_recipe


ROOT = Path(__file__).parents[2]
COVERS = 160  # drawn ones, where no dataset is named
LOSSES = ("loss_d", "loss_g")
SHOWN = (1, 2, 5, 10, 20, 50)  # steps of the table, and every hundredth
LOG_EVERY = re.compile(r"^LOG_STEPS = \d+", re.MULTILINE)  # how often the trainer logs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    parser.add_argument("--against", required=True, metavar="REVISION", help="branch, tag or commit to compare with")
    parser.add_argument("--config", default="tiny", help="a recipe that both have, or a file")
    parser.add_argument(
        "--dataset_name", help="folder written by train.prepare, or a Hub dataset; default: drawn covers"
    )
    parser.add_argument("--steps", type=int, default=100, help="of training")
    parser.add_argument("--seed", type=int, default=0, help="of both runs")


def main(args: argparse.Namespace) -> str:
    """Train in both revisions and print their losses side by side; return where they part."""
    recipe = load_recipe(args.config, {"seed": args.seed})
    most = recipe.total_images // recipe.train_batch_size
    if not 1 <= args.steps <= most:
        raise UserError(f"--steps must be 1 to {most:,}, as many as {args.config} has, not {args.steps}")
    commit = find_commit(args.against)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        copy_files(folder / "here", None)
        copy_files(folder / "there", commit)
        if (left := find_recipes(folder / "there")) and not Path(args.config).is_file() and args.config not in left:
            raise UserError(f"--against {args.against}: has no recipe {args.config}; it has {', '.join(left)}")
        covers = args.dataset_name or str(prepare_drawn_covers(folder, recipe.resolution))
        covers = str(Path(covers).absolute()) if Path(covers).is_dir() else covers
        here = losses_of(folder / "here", covers, args, "the working tree")
        there = losses_of(folder / "there", covers, args, args.against)
    return compare(here, there, args.against)


def find_commit(revision: str) -> str:
    """Return the id of a commit. Raises UserError: there is none, or this is no clone."""
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except OSError as error:
        raise UserError("--against needs git, which is not on the PATH") from error
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["no such revision"]
        raise UserError(f"--against {revision}: {reason[0].removeprefix('fatal: ')}")
    return done.stdout.strip()


def copy_files(folder: Path, commit: str | None) -> None:
    """Copy the project's files as they are at a commit, or, for None, as they are now; they log at every step."""
    if commit is None:
        # new files, too, unless they are ignored: what was added to the project may already import them
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "gan", "train"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
            if (ROOT / name).is_file():  # not deleted since the last commit
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes((ROOT / name).read_bytes())
    else:
        archive = subprocess.run(["git", "archive", commit, "gan", "train"], cwd=ROOT, capture_output=True)
        if archive.returncode:
            raise UserError(f"--against {commit[:12]}: {archive.stderr.decode().strip().removeprefix('fatal: ')}")
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
    for file in (folder / "train").rglob("*.py"):
        text = file.read_text()
        if LOG_EVERY.search(text):
            file.write_text(LOG_EVERY.sub("LOG_STEPS = 1", text))


def find_recipes(tree: Path) -> list[str]:
    """Return the names of the recipes that a copy of the project holds, in order."""
    return sorted(file.stem for file in (tree / "train" / "configs").glob("*.yaml"))


def prepare_drawn_covers(folder: Path, resolution: int) -> Path:
    """Draw a pile and prepare it as it is done now; return the dataset's folder."""
    (folder / "pile").mkdir()
    for seed in range(COVERS):
        draw_cover(seed, resolution).save(folder / "pile" / f"{seed}.png")
    command = [sys.executable, "-m", "train.prepare", folder / "pile", "--output_dir", folder / "covers"]
    command += ["--resolution", resolution, "--keep_duplicates", "--num_workers", 1]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"drawn covers cannot be prepared: {done.stderr.strip().splitlines()[-1]}", 1)
    return folder / "covers"


def losses_of(tree: Path, covers: str, args: argparse.Namespace, name: str) -> dict[int, dict[str, float]]:
    """Train for `args.steps` steps in a copy of the project; return the losses after each, by step.

    The run is ended then: its own length stays the recipe's, because schedules depend on it.
    """
    config = str(Path(args.config).absolute()) if Path(args.config).is_file() else args.config
    size = load_recipe(args.config, {}).train_batch_size
    run, log = tree / "run", tree / "log"
    command = [sys.executable, "-m", "train.train_gan", "--config", config, "--dataset_name", covers]
    command += ["--output_dir", str(run), "--seed", str(args.seed), "--mixed_precision", "no"]
    environment = {"HF_DATASETS_CACHE": str(tree / "cache"), "OMP_NUM_THREADS": str(cpu_threads())}
    with open(log, "w") as said:
        process = subprocess.Popen(command, cwd=tree, env=os.environ | environment, stdout=said, stderr=said)
        with process:
            try:
                while process.poll() is None and max(found := read_losses(run, size), default=0) < args.steps:
                    time.sleep(0.1)
            finally:
                process.kill()
    found = read_losses(run, size)
    if max(found, default=0) < args.steps:
        last = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"{name}: training ended early: {last[:300]}", 1)
    return {step: values for step, values in found.items() if step <= args.steps}


def read_losses(run: Path, batch: int) -> dict[int, dict[str, float]]:
    """Return the losses in a run's metrics.jsonl by step; the last line may be half written."""
    found = {}
    try:
        lines = (run / "metrics.jsonl").read_text().splitlines()
    except OSError:
        return {}
    for text in lines:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if "loss_d" in line:
            found[line["images"] // batch] = {name: line[name] for name in LOSSES if name in line}
    return found


def compare(here: dict[int, dict[str, float]], there: dict[int, dict[str, float]], name: str) -> str:
    """Print the losses of both at some steps and where they part; return the last line."""
    steps = sorted(here.keys() & there.keys())
    parted = next((step for step in steps if here[step] != there[step]), None)
    print(f"{'step':>6}" + "".join(f"{loss + ', here':>16}{'there':>12}" for loss in LOSSES) + f"{'difference':>14}")
    for step in steps:
        if step in SHOWN or step % 100 == 0 or step in (parted, steps[-1]):
            pairs = [(here[step].get(loss, float("nan")), there[step].get(loss, float("nan"))) for loss in LOSSES]
            largest = max((abs(a - b) for a, b in pairs if a == a and b == b), default=float("nan"))
            print(f"{step:>6}" + "".join(f"{a:>16.5f}{b:>12.5f}" for a, b in pairs) + f"{largest:>14.5f}")
    if parted is None:
        return f"{name}: the same losses, to five digits, at all of {len(steps)} steps until {steps[-1]}"
    before = max((step for step in steps if step < parted), default=0)
    until = f", the same until step {before}" if before else ""
    return f"{name}: losses part at step {parted}{until}"
