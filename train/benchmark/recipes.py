"""Find which recipe gives the best covers in the same time, on the same covers and the same machine.

    python -m train.benchmark recipes --dataset_name covers-64 --output_dir runs/compare --minutes 10 \\
        --recipe dcgan-64 r3gan-cpu "r3gan-cpu {gradient_penalty_weight: [2.0, 0.2]}"

The time is that of training alone. On a CPU it is processor time: another program delays the end, and changes nothing.
"""

import argparse
import dataclasses
import json
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator
from tqdm.auto import tqdm

from gan.augment import initial_probability
from train.cli import UserError, check_output_dir
from train.covers import Covers
from train.covers_stream import StreamedCovers
from train.device import can_bf16, choose_threads, device_name, use_whole_device
from train.metrics.evaluation import Evaluation
from train.sheet import draw_sheet
from train.train_gan.averages import Averages
from train.train_gan.data import Batches, genres_to_learn, in_memory, open_covers
from train.train_gan.loop import steps
from train.train_gan.recipes import Recipe, load_recipe
from train.train_gan.state import build
from train.train_gan.steps import Trainer


WARM, TIMED = 2, 6  # steps, of which the second number tells how many covers will be shown
SLOW = 30  # seconds after which fewer must do
LONGEST = 1.2  # of the time, where the machine became slower than it was in the beginning


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    parser.add_argument("--recipe", nargs="+", required=True, help='names, or "name {key: value, ...}" to change some')
    parser.add_argument("--dataset_name", required=True, help="folder written by train.prepare, or a Hub dataset")
    parser.add_argument("--minutes", type=float, default=10, help="of training, for each recipe")
    parser.add_argument("--output_dir", type=Path, required=True, help="for scores and sheets; goes on where it was")


def main(args: argparse.Namespace) -> str:
    """Train each recipe for as long, and print a table of how good their covers are."""
    if args.minutes <= 0:
        raise UserError(f"--minutes must be more than 0, not {args.minutes:g}")
    check_output_dir(args.output_dir, "recipes.jsonl")
    args.output_dir.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision="no")
    use_whole_device(accelerator.device)
    recipes = {text: read(text) for text in args.recipe}
    file = args.output_dir / "recipes.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    done = {line["recipe"]: line for line in lines if line["minutes"] == args.minutes}
    for text, recipe in recipes.items():
        if text not in done:
            done[text] = trained(text, recipe, args, accelerator)
            with open(file, "a") as opened:
                opened.write(json.dumps(done[text]) + "\n")
    print(table([done[text] for text in recipes]))
    return f"{args.minutes:g} minutes each on {device_name(accelerator.device)}, {torch.get_num_threads()} threads"


def read(text: str) -> Recipe:
    """Read a recipe as the command line names it: its name, and what differs from it as YAML.

    Raises:
        UserError: no such recipe, or what follows is no `{key: value}`.
    """
    name, _, rest = text.partition(" ")
    try:
        changed = yaml.safe_load(rest) if rest else {}
    except yaml.YAMLError as error:
        raise UserError(f"--recipe {text!r}: what follows the name is not YAML") from error
    fields = {field.name for field in dataclasses.fields(Recipe)}
    if not isinstance(changed, dict) or not changed.keys() <= fields:
        raise UserError(
            f"--recipe {text!r}: after the name comes {{key: value}}, with keys {', '.join(sorted(fields))}"
        )
    return load_recipe(name, changed)


def trained(text: str, recipe: Recipe, args: argparse.Namespace, accelerator: Accelerator) -> dict[str, Any]:
    """Train one recipe until the time is over, and measure its covers."""
    device, seconds = accelerator.device, 60 * args.minutes
    covers, held_out = open_covers(args.dataset_name, recipe, streaming=False)
    if held_out is None:
        raise UserError(f"--dataset_name {args.dataset_name}: has no validation split to score on")
    genres = genres_to_learn(args.dataset_name) if recipe.class_conditional else []

    def new_trainer(recipe: Recipe) -> Trainer:
        gan = build(recipe, device, genres)
        choose_threads(gan.learning)
        gan.augmentation.probability = initial_probability(len(covers))
        return Trainer(gan, recipe, accelerator, bf16=can_bf16(device))

    # schedules end with the time, so each recipe is to show as many covers as it can
    rate = speed(new_trainer(recipe), covers, held_out)
    recipe = dataclasses.replace(recipe, total_images=max(recipe.train_batch_size, round(rate * seconds)))
    trainer, latest, images = new_trainer(recipe), {}, 0
    bar, stopwatch = tqdm(total=round(seconds), desc=text[:40], unit="s"), Stopwatch(device)

    for shown, measured in steps(trainer, Batches(trainer, covers, held_out), 0):
        images = shown
        latest.update(measured)
        bar.update(min(round(stopwatch.seconds), round(seconds)) - round(bar.n))
        if stopwatch.seconds >= LONGEST * seconds:
            break
    line = {"recipe": text, "minutes": args.minutes, "seconds": round(stopwatch.seconds, 1), "images": images}
    bar.close()
    line |= {name: round(value.item(), 4) for name, value in latest.items()}
    evaluation = Evaluation(in_memory(covers), held_out, device=device)
    averages = Averages(trainer.gan.ema, recipe.ema_sigma).all_ready()
    scores = [evaluation(average) for average in averages]
    best = min(range(len(scores)), key=lambda i: scores[i]["fd_covers"])
    sheet = f"{sum(1 for _ in args.output_dir.glob('*.png')):02d}-{Path(text.split()[0]).stem}.png"
    draw_sheet(averages[best]).save(args.output_dir / sheet)
    return line | {"ema_sigma": recipe.ema_sigma[best], "sheet": sheet} | scores[best]


class Stopwatch:
    """Count the seconds of training: on the clock for a GPU, of the processor for each thread of a CPU."""

    def __init__(self, device: torch.device):
        threads = torch.get_num_threads()
        self._clock = time.monotonic if device.type == "cuda" else lambda: time.process_time() / threads
        self._began = self._clock()

    @property
    def seconds(self) -> float:
        """Return the seconds since the beginning."""
        return self._clock() - self._began


def speed(trainer: Trainer, covers: Covers | StreamedCovers, held_out: Covers) -> float:
    """Return the covers a second of the first steps."""
    stopwatch, laps = Stopwatch(trainer.accelerator.device), []
    batch, every = trainer.recipe.train_batch_size, trainer.recipe.discriminator_steps

    for _, measured in steps(trainer, Batches(trainer, covers, held_out), 0):
        measured["loss_d"].item()  # waits for the device
        laps.append(stopwatch.seconds)
        late = stopwatch.seconds > SLOW and len(laps) > every
        if late or len(laps) > (WARM + TIMED) * every:
            break
    rounds = laps[::every] if len(laps) <= (WARM + 1) * every else laps[WARM * every :: every]
    return batch * every / statistics.median(b - a for a, b in pairwise(rounds))


def table(scores: list[dict[str, Any]]) -> str:
    """Return a Markdown table of the scores, the best first."""
    columns = ("recipe", "covers shown", "seconds", "fd_covers", "precision", "recall", "SWD")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for line in sorted(scores, key=lambda line: line["fd_covers"]):
        lines.append(
            f"| {line['recipe']} | {line['images']:,} | {line['seconds']:.0f} | {line['fd_covers']:.1f} "
            f"| {line['precision_covers']:.2f} | {line['recall_covers']:.2f} | {line['sliced_wasserstein']:.1f} |"
        )
    return "\n".join(lines)
