"""Compare two generators by eyes that do not know which is which, and count which is preferred.

    python -m train.benchmark blind runs/old/pipeline runs/new/pipeline --output_dir blind
    python -m train.benchmark blind --output_dir blind --answers lrrl rrrl

The first command writes pages, each with 64 covers of one generator on the left and 64 of the other on the right, of
seeds in a row, none left out, and the key in a file of its own: whoever judges does not open it. The second counts
answers, a word for each judge: l or r for each page in turn, whichever side one would rather look at; - for neither.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import nn

from gan.latents import config_of
from gan.pipeline import latents_from_seeds
from gan.pipeline_folder import PipelineError, load_pipeline
from train.cli import UserError, check_output_dir
from train.covers import seeded, to_uint8
from train.files import write_atomically


KEY = "key.json"
COLUMNS = 8
COVERS = COLUMNS**2  # on each side of a page
GAP = 24  # pixels between the two sides
SIDES = {"l": "left", "r": "right"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this program."""
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="two pipelines, as folders or Hub ids; 'ships' is ours"
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="folder of the pages and their key")
    parser.add_argument("--pages", type=int, default=10, help="how many to judge")
    parser.add_argument("--first_seed", type=int, default=0, help="of the first page; each page takes the next 64")
    parser.add_argument("--seed", type=int, help="of the sides; default: another one each time")
    parser.add_argument("--answers", nargs="+", default=[], help="count these instead: l, r or - for each page")


def main(args: argparse.Namespace) -> str:
    """Write pages to judge, or print what was preferred on them."""
    if args.answers:
        return count_answers(args.output_dir, args.answers)
    if len(args.models) != 2:
        raise UserError(f"name two models to compare, not {len(args.models)}; or --answers of who has judged")
    if args.pages < 1 or not 0 <= args.first_seed <= 2**32 - args.pages * COVERS:
        raise UserError("--pages and --first_seed must leave at least one page of seeds from 0 to 4294967295")
    check_output_dir(args.output_dir, KEY)
    device = Accelerator(mixed_precision="no").device
    try:
        generators = [load_pipeline(None if m == "ships" else m).to(device).synthesis for m in args.models]
    except PipelineError as error:
        raise UserError(str(error)) from error
    sides = [generator.config.resolution for generator in generators]
    if sides[0] != sides[1]:
        raise UserError(f"covers of {sides[0]} and of {sides[1]} px cannot be compared blindly: size tells them apart")
    args.output_dir.mkdir(parents=True, exist_ok=True)
    chance = torch.Generator()
    if args.seed is None:
        chance.seed()
    else:
        chance = seeded(args.seed)
    # which model is on the left: each as often as the other, for judges who like one side
    lefts = (torch.randperm(args.pages, generator=chance) % 2).tolist()
    for page, left in enumerate(lefts):
        seeds = range(args.first_seed + page * COVERS, args.first_seed + (page + 1) * COVERS)
        halves = [sheet(generators[which], seeds) for which in (left, 1 - left)]
        gap = np.full((halves[0].shape[0], GAP, 3), 255, np.uint8)
        Image.fromarray(np.hstack([halves[0], gap, halves[1]])).save(args.output_dir / page_name(page))
    key = {"models": args.models, "left": lefts, "first_seed": args.first_seed}
    write_atomically(args.output_dir / KEY, (json.dumps(key, indent=2) + "\n").encode())
    return f"{args.output_dir}: {args.pages} pages of {COVERS} pairs; the key lies in {KEY}, not to be opened before"


def page_name(page: int) -> str:
    """Return the file name of a page, counted from 0."""
    return f"page-{page + 1:02}.png"


@torch.no_grad()
def sheet(generator: nn.Module, seeds: range) -> np.ndarray:
    """Draw the covers of some seeds in rows of eight: (H, W, 3) uint8."""
    latents = latents_from_seeds(list(seeds), config_of(generator).latent_dim)
    covers = to_uint8(generator(latents.to(next(generator.parameters()).device))).numpy()
    rows = [np.hstack(list(covers[k : k + COLUMNS])) for k in range(0, len(covers), COLUMNS)]
    return np.vstack(rows)


def count_answers(folder: Path, answers: list[str]) -> str:
    """Print how often each model was preferred, and by chance how likely so clear a verdict would be.

    Raises:
        UserError: no key there, or answers that do not fit its pages.
    """
    try:
        key = json.loads((folder / KEY).read_text())
        models, lefts = key["models"], key["left"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"--output_dir {folder}: holds no {KEY} of pages written by this program") from error
    preferred = [0, 0]
    for judge, word in enumerate(answers, 1):
        if len(word) != len(lefts) or not set(word) <= {*SIDES, "-"}:
            raise UserError(f"--answers: {word!r} is not l, r or - for each of {len(lefts)} pages")
        votes = [left if side == "l" else 1 - left for side, left in zip(word, lefts, strict=True) if side in SIDES]
        for vote in votes:
            preferred[vote] += 1
        print(f"judge {judge}: " + ", ".join(f"{votes.count(k)} for {models[k]}" for k in (0, 1)))
    total = sum(preferred)
    for model, count in zip(models, preferred, strict=True):
        print(f"{model}: preferred {count} times of {total}")
    return f"{sign_test(max(preferred), total):.2g} is the chance of so clear a verdict between equals (sign test)"


def sign_test(most: int, total: int) -> float:
    """Return the chance that of `total` throws of a coin `most` or more fall on one side, whichever."""
    if 2 * most <= total:
        return 1.0
    tail = sum(math.comb(total, k) for k in range(most, total + 1)) / 2**total
    return min(1.0, 2 * tail)
