"""The folder of a run that nobody trained: curves of a formula, sheets of drawn covers."""

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers.drawn import draw_cover


EVERY = 1600  # covers between two lines


def line(number: int, **more: object) -> dict:
    """Return the line `number` (from 1 on) of a run's training."""
    images = EVERY * number
    values = {"loss_g": 1 + math.sin(number / 9), "loss_d": 1 / number, "pair_accuracy": 0.8, "gradient_norm_d": 1.0}
    speed = {"images_per_second": 16.0, "seconds": images / 16}
    return {"kind": "training", "images": images} | values | speed | more


def evaluation(number: int) -> dict:
    """Return the evaluation after the line `number`."""
    values = {"fd_covers": 50 / number, "real_fd_covers": 1.6, "precision_covers": 0.8, "count": 2014}
    distances = {"pairwise_distance": 100.0, "real_pairwise_distance": 110.0, "ema_sigma": 0.05}
    return {"kind": "evaluation", "images": EVERY * number} | values | distances | {"seconds": EVERY * number / 16}


def append(run: Path, *lines: dict) -> None:
    """Append lines to a run's metrics.jsonl."""
    with open(run / "metrics.jsonl", "a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))


def draw_run(run: Path, lines: int = 40, sheets: int = 4, tile: int = 32, **config: object) -> Path:
    """Write a run's folder with so many lines, an evaluation for every ten, and so many sheets; return it.

    Args:
        run: the folder, which is made.
        lines, sheets: how many.
        tile: pixels of a cover on the sheets.
        config: what config.json says beside, or instead of, the rest.
    """
    (run / "samples").mkdir(parents=True)
    recipe = {"network": "dcgan", "resolution": 128, "loss": "relativistic", "generator": {"width": 32}}
    recipe |= {"gradient_penalty": "zero-centred", "learning_rate": 0.0003, "total_images": 4 * EVERY * lines}
    (run / "config.json").write_text(json.dumps(recipe | config))
    for number in range(1, lines + 1):
        append(run, line(number), *([] if number % 10 else [evaluation(number)]))
    covers = [np.asarray(draw_cover(seed, tile)) for seed in range(64)]
    for number in range(1, sheets + 1):
        turned = covers[number:] + covers[:number]  # each sheet is another one
        rows = [np.concatenate(turned[start : start + 8], axis=1) for start in range(0, 64, 8)]
        images = EVERY * lines * number // sheets
        Image.fromarray(np.concatenate(rows)).save(run / "samples" / f"images-{images:010d}.png", compress_level=1)
    frames = [Image.fromarray(np.roll(covers[0], shift, axis=1)) for shift in range(4)]
    frames[0].save(run / "film.webp", save_all=True, append_images=frames[1:])
    return run
