"""Show whether the yardsticks see what is wrong with covers: real ones, damaged more and more.

python -m train.benchmark yardstick --dataset_name covers-64 --genres genres-64 --model runs/first/pipeline
"""

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError

from gan.errors import first_line
from gan.nearest import description
from gan.pipeline_folder import PipelineError, load_pipeline
from train.benchmark.piles import draw_cover
from train.cli import UserError
from train.covers import Covers, CoversError, load_covers, load_genres, seeded, to_float, to_uint8
from train.metrics.distances import sliced_wasserstein
from train.metrics.evaluation import draw
from train.metrics.faults import blur, checkerboard, gradients, jpeg, noise, pale, shuffled, textures
from train.metrics.features import BATCH, FEWEST, SIDE, WEIGHTS, CoverDistances, load_features, scaled


DRAWS = 4  # of real covers, to tell how much chance there is in a distance
SLICED = 256  # covers of each kind for the sliced Wasserstein distance, as many as while training
CLUSTERS = 20
CLUSTERED = 6_000  # training covers that are put into clusters
SHARES = (0.1, 0.3, 0.5)
WIDTH = 46  # letters of the first column

Rows = Iterator[tuple[str, str, torch.Tensor]]  # fault, strength, covers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    add = parser.add_argument
    add("--dataset_name", required=True, help="folder written by train.prepare, or a Hub dataset")
    add("--genres", help="a prepared dataset with the column genre: all but one of them are left out")
    add("--genre_images", type=int, default=700, help="covers of a genre; genres with fewer are not measured")
    add("--model", nargs="*", default=[], help="pipelines beside the one that ships, as folders or Hub ids")
    add("--features", type=Path, default=WEIGHTS, help="what train.train_features wrote")
    add("--num_images", type=int, default=2048, help="covers to compare, at most")


def main(args: argparse.Namespace) -> str:
    """Print both distances from held-out covers for real ones, for each fault and strength, and for generators."""
    try:
        network = load_features(args.features)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise UserError(f"--features {args.features}: {first_line(error)}") from error
    try:
        train, validation = (load_covers(args.dataset_name, SIDE, split) for split in ("train", "validation"))
        genres = read_genres(args.genres, args.genre_images) if args.genres else {}
        generators = [(name or "the one that ships", load_pipeline(name).synthesis) for name in [*args.model, None]]
    except (CoversError, PipelineError) as error:
        raise UserError(str(error)) from error
    count = min(args.num_images, len(validation), len(train))
    if count < 10 * FEWEST:
        raise UserError(f"needs at least {10 * FEWEST} covers in train and in validation, or as --num_images")

    real, held_out = train.batch(0, count), validation.batch(0, count)
    table = Table(CoverDistances(network, held_out), held_out[:SLICED])
    draws = max(1, min(DRAWS, len(train) // count))
    table.begin(f"{count:,} real covers", [train.batch(k * count, count) for k in range(draws)])
    for rows in (faults_shown(real), faults_unseen(real), non_covers(real), dropped_modes(train, count)):
        for fault, strength, covers in rows:
            table.row(fault, strength, covers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        untrained = type(generators[-1][1]).from_config(generators[-1][1].config).eval()
    for name, generator in [("not trained", untrained), *generators]:
        drawn = draw(generator, count).split(BATCH)
        table.row("generator", name, torch.cat([to_uint8(scaled(to_float(part))) for part in drawn]))
    if genres:
        mixed, size = torch.cat(list(genres.values())), args.genre_images
        orders = [torch.randperm(len(mixed), generator=seeded(0, k))[:size] for k in range(DRAWS)]
        table.begin(f"{size:,} covers of these genres", [mixed[order] for order in orders])
        for genre, covers in genres.items():
            table.row("one genre", genre, covers)
    return f"against {count:,} held-out covers; sliced Wasserstein: {min(count, SLICED):,} of each"


def faults_shown(real: torch.Tensor) -> Rows:
    """Yield covers with damage of the kinds that the network was shown while it learned."""
    for sigma in (0.5, 1, 2):
        yield "blur", f"{sigma} px", blur(real, sigma)
    for deviation in (5, 15, 40):
        yield "noise", f"{deviation} grey levels", noise(real, deviation, seeded(0, deviation))
    for quality in (50, 20, 5):
        yield "JPEG", f"quality {quality}", jpeg(real, quality)
    for share in SHARES:
        yield "cut in 4x4 and shuffled", f"{share:.0%}", mixed_in(real, shuffled(real, 4, seeded(0, 4)), share)


def faults_unseen(real: torch.Tensor) -> Rows:
    """Yield covers with damage of kinds that the network was never shown."""
    for levels in (3, 8, 20):
        yield "checkerboard", f"{levels} grey levels", checkerboard(real, levels)
    for contrast in (0.8, 0.5, 0.2):
        yield "contrast", f"x {contrast}", pale(real, contrast)
    grey = real.float().mean(3, keepdim=True).round().byte().expand_as(real)
    for share in (*SHARES, 1.0):
        yield "grey", f"{share:.0%}", mixed_in(real, grey, share)


def non_covers(real: torch.Tensor) -> Rows:
    """Yield real covers with pictures among them that are none."""
    count = len(real)
    others = {
        "drawn shapes": torch.stack([torch.from_numpy(np.array(draw_cover(k, SIDE))) for k in range(count)]),
        "gradients": gradients(count, SIDE, seeded(0, 1)),
        "textures": textures(count, SIDE, seeded(0, 2)),
    }
    for name, other in others.items():
        for share in SHARES:
            yield name, f"{share:.0%}", mixed_in(real, other, share)


def dropped_modes(train: Covers, count: int) -> Rows:
    """Yield real covers, but not all kinds of them; the strength is what is left."""
    real = train.batch(0, count)
    for copies in (2, 10, 50):
        yield "each cover repeated", f"{copies} times", real[: -(-count // copies)].repeat(copies, 1, 1, 1)[:count]
    some = train.batch(0, min(CLUSTERED, len(train)))
    cluster = clusters(some)
    for left in (CLUSTERS * 3 // 4, CLUSTERS // 2, CLUSTERS // 4):
        yield "clusters left out", f"{left} of {CLUSTERS} left", some[cluster < left][:count]


def clusters(covers: torch.Tensor) -> torch.Tensor:
    """Return (N,) int64, which of 20 clusters each cover belongs to: k-means on the descriptions of gan/nearest.py.

    Not on the features of the network that is judged, so that it does not judge itself.
    """
    points = torch.from_numpy(np.stack([description(Image.fromarray(cover.numpy())) for cover in covers]))
    centres = points[torch.randperm(len(points), generator=seeded(0, 5))[:CLUSTERS]]
    for _ in range(20):
        nearest = torch.cdist(points, centres).argmin(1)
        members = [points[nearest == k] for k in range(len(centres))]
        centres = torch.stack([m.mean(0) if len(m) else c for m, c in zip(members, centres, strict=True)])
    return nearest


def mixed_in(real: torch.Tensor, others: torch.Tensor, share: float) -> torch.Tensor:
    """Return as many covers as `real`, the last `share` of them taken from `others`."""
    count = round(share * len(real))
    return torch.cat([real[: len(real) - count], others[len(real) - count :]])


def read_genres(name: str, count: int) -> dict[str, torch.Tensor]:
    """Return `count` covers of each genre with as many. Raises UserError: no genre has, or no column `genre`."""
    try:
        names, covers = load_genres(name), load_covers(name, SIDE, labelled=True)
    except CoversError as error:
        raise UserError(f"--genres {name}: {error}") from error
    assert covers.labels is not None
    found = {}
    for number, genre in enumerate(names):
        which = np.flatnonzero(covers.labels.numpy() == number)[:count].tolist()
        if len(which) == count:
            found[genre] = covers[which]
    if not found:
        raise UserError(f"--genres {name}: no genre has {count} covers; lower --genre_images")
    return found


class Table:
    """Print a row for each set of covers.

    Args:
        distances: from the held-out covers.
        held_out: some of them, for the sliced Wasserstein distance.
    """

    def __init__(self, distances: CoverDistances, held_out: torch.Tensor):
        self.distances, self.held_out = distances, held_out
        self.floor = (1.0, 1.0)

    def begin(self, title: str, draws: list[torch.Tensor]) -> None:
        """Print the head, and how far real covers are from held-out ones, drawn several times: the floor."""
        measured = [self._measure(covers) for covers in draws]
        means = [statistics.mean(column) for column in zip(*measured, strict=True)]
        self.floor = means[0], means[3]
        print(f"{'':<{WIDTH}}  fd_covers  x floor  precision  recall   sliced W.  x floor")
        self._print(f"{title}: the floor", *means)
        if len(draws) > 1:
            deviations = [statistics.stdev(column) for column in zip(*measured, strict=True)]
            self._print(f"its deviation in {len(draws)} draws", *deviations)

    def row(self, fault: str, strength: str, covers: torch.Tensor) -> None:
        """Print how far these covers are from the held-out ones."""
        self._print(f"{fault}, {strength}", *self._measure(covers))

    def _measure(self, covers: torch.Tensor) -> tuple[float, float, float, float]:
        found = self.distances(covers)
        count = min(len(covers), len(self.held_out))
        some = torch.linspace(0, len(covers) - 1, count).long()  # from the whole: what is mixed in comes last
        sliced = statistics.mean(sliced_wasserstein(self.held_out[:count], covers[some]).values())
        return found["fd_covers"], found["precision_covers"], found["recall_covers"], sliced

    def _print(self, name: str, fd: float, precision: float, recall: float, sliced: float) -> None:
        floors = fd / self.floor[0], sliced / self.floor[1]
        print(
            f"{name:<{WIDTH}}{fd:>11.2f}{floors[0]:>9.2f}{precision:>11.2f}{recall:>8.2f}"
            f"{sliced:>12.2f}{floors[1]:>9.2f}",
            flush=True,
        )
