"""Keep what a lesson of the page shows of a small run: its curves, sheets and recipe, and the pair of its networks.

    python -m train.benchmark lessons runs/well --recipe well.yaml --pair covers-32

The lessons are those of the tab "Learn" (gan/studio/tabs/learn). Sheets show generated covers alone: no real
one ships with the project.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from gan.networks import NETWORKS
from gan.pipeline import latents_from_seeds
from gan.pipeline_folder import PipelineError, load_pipeline
from gan.studio.tabs.learn.critic import PAIR, SIDE
from train.cli import UserError
from train.covers import CoversError, load_covers, to_float


RUNS = PAIR.parent / "lessons" / "runs"
CURVES = ("loss_d", "loss_g", "pair_accuracy", "gradient_penalty", "fd_covers")
MOST_POINTS = 200  # of a curve
COVERS = 5  # in each row and column of a sheet that is kept, of the run's eight
JUDGED = 1000  # covers of each kind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    parser.add_argument("run", type=Path, help="folder of a run; its name is that of the lesson's example")
    parser.add_argument("--recipe", type=Path, required=True, help="the recipe that it was trained with")
    parser.add_argument("--pair", metavar="DATASET", help="keep its networks, too, and judge these held-out covers")
    parser.add_argument("--output_dir", type=Path, default=RUNS, help="where to; default: the lessons' own")


def main(args: argparse.Namespace) -> str:
    """Write a run's folder, and say what it weighs."""
    try:
        folder = keep(args.run, args.recipe, args.output_dir)
        told = f"; {keep_pair(args.run, args.pair)}" if args.pair else ""
    except (OSError, ValueError, KeyError, PipelineError, CoversError) as error:
        raise UserError(f"{args.run}: not a finished run with a recipe ({error})") from error
    size = sum(file.stat().st_size for file in folder.iterdir())
    return f"{folder}: {size / 1000:.0f} kB{told}"


def keep(run: Path, recipe: Path, runs: Path) -> Path:
    """Write `runs`/<name of the run>/ with run.json, the sheets and recipe.yaml, and return that folder."""
    folder = runs / run.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(recipe, folder / "recipe.yaml")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    curves = {}
    for name in CURVES:
        points = [[line["images"], round(line[name], 4)] for line in lines if name in line]
        if points:
            curves[name] = points[:: max(1, len(points) // MOST_POINTS)]
    sheets = []
    for sheet in sorted((run / "samples").glob("images-*.png")):
        images = int(sheet.stem.removeprefix("images-"))
        with Image.open(sheet) as picture:
            side = picture.width * COVERS // 8
            picture.convert("RGB").crop((0, 0, side, side)).save(folder / f"{images}.webp", quality=85, method=6)
        sheets.append([images, f"{images}.webp"])
    (folder / "run.json").write_text(json.dumps({"curves": curves, "sheets": sheets}) + "\n")
    return folder


def keep_pair(run: Path, dataset: str, folder: Path = PAIR) -> str:
    """Write both networks of a 32-pixel DCGAN run in float16, and how often the discriminator is right.

    The real covers that it judges were held back from training; the generated ones are of seeds that no sheet shows.
    """
    config = json.loads((run / "config.json").read_text())
    if config["network"] != "dcgan" or config["resolution"] != SIDE or config["genres"]:
        raise ValueError(f"the pair is a dcgan of {SIDE} pixels without genres")
    generator = load_pipeline(run / "pipeline").synthesis
    checkpoint = max((run / "checkpoints").glob("images-*.pt"))
    sizes = [config["generator"], config["discriminator"]]
    discriminator = NETWORKS["dcgan"][1](resolution=SIDE, **sizes[1]).eval()
    discriminator.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["discriminator"])
    held_out = to_float(load_covers(dataset, SIDE, "validation")[range(0, config["held_out"])])
    folder.mkdir(exist_ok=True)
    for role, network in (("generator", generator), ("discriminator", discriminator)):
        weights = {
            name: weight.half() if weight.is_floating_point() else weight
            for name, weight in network.state_dict().items()
        }
        save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / f"{role}.safetensors")
    seeds = list(range(10_000, 10_000 + JUDGED))
    with torch.no_grad():
        fake = generator(latents_from_seeds(seeds, sizes[0]["latent_dim"]))
        right = [(discriminator(held_out) > 0).float().mean().item(), (discriminator(fake) < 0).float().mean().item()]
    facts = {
        "sizes": sizes,
        "run": run.name,
        "images": config["total_images"],
        "real": len(held_out),
        "real_right": round(right[0], 4),
        "generated": JUDGED,
        "generated_right": round(right[1], 4),
    }
    (folder / "pair.json").write_text(json.dumps(facts, indent=1) + "\n")
    return f"right about {right[0]:.0%} of {len(held_out)} held-out covers and {right[1]:.0%} of {JUDGED} generated"
