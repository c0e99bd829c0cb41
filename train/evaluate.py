"""Measure how good a generator's covers are, beside how far apart real covers are from each other.

python -m train.evaluate --model runs/first/pipeline --dataset_name covers-64
"""

import json

import torch
from accelerate import Accelerator
from tqdm.auto import tqdm

from gan.covers import Covers, CoversError, load_covers, load_genres, to_uint8
from gan.metrics import pairwise_distance, sliced_wasserstein
from gan.pipeline import AlbumCoverPipeline
from gan.pipeline_folder import PipelineError, load_pipeline
from train.cli import Parser, UserError, run


def evaluate(
    pipeline: AlbumCoverPipeline, train: Covers, validation: Covers, count: int, genre: str | None = None
) -> dict:
    """Compare seeds 0, 1, 2, ... with held-out covers, and training covers with held-out covers as the yardstick.

    Args:
        pipeline: the generator.
        train, validation: real covers of the generator's size.
        count: how many of each; no more than `validation` holds.
        genre: what to draw; None is any.

    Returns:
        `count`, `sliced_wasserstein` and `real_sliced_wasserstein` (side in pixels to distance x 1000, and their
        mean), `pairwise_distance` and `real_pairwise_distance` (grey levels); `filter` where a genre was asked for.
    """
    held_out = validation.batch(0, count)
    batches = tqdm([range(first, min(first + 64, count)) for first in range(0, count, 64)], "Drawing", unit="batch")
    drawn = (pipeline(seeds=list(seeds), output_type="pt", genres=genre).images for seeds in batches)
    fake = torch.cat([to_uint8(images * 2 - 1) for images in drawn])
    scores: dict = {"count": count} | ({"filter": f"seeds 0 to {count - 1}, all {genre}"} if genre else {})
    for prefix, covers in (("", fake), ("real_", train.batch(0, count))):
        distances = sliced_wasserstein(held_out, covers)
        named = {str(side): round(value, 2) for side, value in distances.items()}
        mean = round(sum(distances.values()) / len(distances), 2)
        scores[f"{prefix}sliced_wasserstein"] = named | {"mean": mean}
        scores[f"{prefix}pairwise_distance"] = round(pairwise_distance(covers), 2)
    return scores


def table(scores: dict) -> str:
    """The scores for people: the generator beside real covers."""
    generated, real = scores["sliced_wasserstein"], scores["real_sliced_wasserstein"]
    lines = [f"{'':<34}{'generated':>12}{'real':>12}"]
    for side in generated:
        unit = "" if side == "mean" else " px"
        lines.append(f"{'sliced Wasserstein x1000, ' + side + unit:<34}{generated[side]:>12.2f}{real[side]:>12.2f}")
    distances = (scores["pairwise_distance"], scores["real_pairwise_distance"])
    lines.append(f"{'difference of two covers (0..255)':<34}{distances[0]:>12.2f}{distances[1]:>12.2f}")
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
    parser.add_argument("--json", action="store_true", help="print the scores as one JSON object")
    args = parser.parse_args()
    if args.num_images < 2:
        raise UserError(f"--num_images must be at least 2, not {args.num_images}")
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
    if count < 2:
        raise UserError(
            f"--dataset_name {args.dataset_name}: needs at least 2{kind} covers in train and in validation"
        )
    scores = evaluate(pipeline, *splits, count, args.genre)
    if args.json:
        return json.dumps(scores)
    print(table(scores))
    return f"{count:,} generated{kind} covers against {count:,} held-out ones of {args.dataset_name}"


if __name__ == "__main__":
    run(main, "train.evaluate")
