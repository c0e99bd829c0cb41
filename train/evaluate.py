"""Measure how good a generator's covers are, beside how far apart real covers are from each other.

python -m train.evaluate --model runs/first/pipeline --dataset_name covers-64
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from gan.pipeline import AlbumCoverPipeline, genres_of
from gan.pipeline_folder import PRETRAINED, PipelineError, load_pipeline
from train.cli import Parser, UserError, run
from train.covers import Covers, CoversError, load_covers, load_genres
from train.metrics.distances import pairwise_distance, sliced_wasserstein
from train.metrics.evaluation import draw
from train.metrics.features import FEWEST, CoverDistances, load_features
from train.metrics.inception import HELP, FeatureDistances, load_inception
from train.share.run_facts import read_run


ROWS = {
    "fd_covers": "fd_covers (not FID)",
    "precision_covers": "precision, on the same features",
    "recall_covers": "recall",
    "pairwise_distance": "difference of two covers (0..255)",
}


def evaluate(
    generator: nn.Module,
    train: Covers,
    validation: Covers,
    count: int,
    features: Callable[[nn.Module], dict[str, float]] | None = None,
    genre: str | None = None,
) -> dict:
    """Compare seeds 0, 1, 2, ... with held-out covers, and training covers with held-out covers as the yardstick.

    Args:
        generator: on the device where it runs, in evaluation mode.
        train, validation: real covers of the generator's size.
        count: how many of each; no more than `validation` holds.
        features: measures more of a generator, as `FeatureDistances` does.
        genre: what to draw; None is any.

    Returns:
        `count`, `filter` (which covers these are, in words), `sliced_wasserstein` and `real_sliced_wasserstein` (side
        in pixels to distance x 1000, and their mean), `pairwise_distance` and `real_pairwise_distance` (grey levels),
        `fd_covers`, `precision_covers` and `recall_covers` (see `CoverDistances`), these three with `real_` before
        them, and what `features` measures.
    """
    held_out = validation.batch(0, count)
    labels = None if genre is None else torch.full((count,), genres_of(generator).index(genre))
    fake = draw(generator, count, labels, progress=True)
    device = next(generator.parameters()).device
    distances_from_held_out = CoverDistances(load_features().to(device), held_out)
    drawn = "none left out" if genre is None else f"all {genre}"
    scores: dict = {"count": count, "filter": f"seeds 0 to {count - 1:,}, {drawn}"}
    for prefix, covers in (("", fake), ("real_", train.batch(0, count))):
        distances = sliced_wasserstein(held_out, covers)
        named = {str(side): round(value, 2) for side, value in distances.items()}
        mean = round(sum(distances.values()) / len(distances), 2)
        scores[f"{prefix}sliced_wasserstein"] = named | {"mean": mean}
        scores |= {f"{prefix}{name}": value for name, value in distances_from_held_out(covers).items()}
        scores[f"{prefix}pairwise_distance"] = round(pairwise_distance(covers), 2)
    return scores | (features(generator) if features else {})


def shown_images(model: str | None, revision: str | None, network: type) -> int | None:
    """How many covers a generator was shown, where its run or the name of its snapshot tells."""
    folder = Path(model or PRETRAINED)
    if folder.is_dir():
        return read_run(folder, network).images
    number = (revision or "").removeprefix("images-")
    return int(number) if number.isdecimal() else None


def table(scores: dict) -> str:
    """The scores for people: the generator beside real covers."""
    generated, real = scores["sliced_wasserstein"], scores["real_sliced_wasserstein"]
    lines = [f"{'':<34}{'generated':>12}{'real':>12}"]
    for side in generated:
        unit = "" if side == "mean" else " px"
        lines.append(f"{'sliced Wasserstein x1000, ' + side + unit:<34}{generated[side]:>12.2f}{real[side]:>12.2f}")
    for key, name in ROWS.items():
        lines.append(f"{name:<34}{scores[key]:>12.2f}{scores[f'real_{key}']:>12.2f}")
    if "fid" in scores:
        lines.append(f"by Inception, {scores['inception_covers']:,} generated against as many training covers:")
        lines += [f"{name:<34}{scores[name]:>12.4f}" for name in ("fid", "kid", "precision", "recall")]
    return "\n".join(lines)


def label_of(genre: str, pipeline: AlbumCoverPipeline, dataset_name: str) -> int:
    """The label of a genre in a dataset. Raises UserError where the generator or the dataset does not know it."""
    for whose, names in ((" of the generator", pipeline.genres), (f" of {dataset_name}", load_genres(dataset_name))):
        if genre not in names:
            raise UserError(f"--genre {genre}: the genres{whose} are {', '.join(names) or 'none'}")
    return names.index(genre)


def main() -> str:
    """Run the program; returns its last line."""
    parser = Parser(prog="train.evaluate", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--model", help="pipeline folder or Hub id; default: the generator that ships")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub model")
    parser.add_argument("--dataset_name", required=True, help="folder written by train.prepare, or a Hub dataset")
    parser.add_argument("--genre", help="draw covers of one genre, and compare them with those of the dataset")
    parser.add_argument("--num_images", type=int, default=2048, help="covers to compare, at most")
    parser.add_argument("--inception", help=HELP)
    parser.add_argument("--json", action="store_true", help="print the scores as one JSON object")
    args = parser.parse_args()
    if args.num_images < FEWEST:
        raise UserError(f"--num_images must be at least {FEWEST}, not {args.num_images}")
    network = load_inception(args.inception) if args.inception else None
    try:
        pipeline = load_pipeline(args.model, args.revision).to(Accelerator().device)
        side = pipeline.synthesis.config.resolution
        label = None if args.genre is None else label_of(args.genre, pipeline, args.dataset_name)
        splits = [
            load_covers(args.dataset_name, side, split, labelled=label is not None)
            for split in ("train", "validation")
        ]
    except (PipelineError, CoversError) as error:
        raise UserError(str(error)) from error
    if label is not None:
        splits = [covers.of_genre(label) for covers in splits]
    kind = "" if args.genre is None else f" {args.genre}"
    count = min(args.num_images, *map(len, splits))
    if count < FEWEST:
        raise UserError(f"--dataset_name {args.dataset_name}: needs {FEWEST}{kind} covers in train and in validation")
    generator, features = pipeline.synthesis, None
    if network is not None:
        features = partial(FeatureDistances(network, splits[0], pipeline.device), progress=True)
    name = Path(args.dataset_name).name if Path(args.dataset_name).is_dir() else args.dataset_name
    scores = {"dataset_name": name, "images": shown_images(args.model, args.revision, type(generator))}
    scores |= evaluate(generator, *splits, count, features, args.genre)
    if args.json:
        return json.dumps(scores)
    print(table(scores))
    return f"{count:,} generated{kind} covers against {count:,} held-out ones of {args.dataset_name}"


if __name__ == "__main__":
    run(main, "train.evaluate")
