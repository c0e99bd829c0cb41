"""Measure how good a generator's covers are, beside how far apart real covers are from each other.

python -m train.evaluate --model runs/first/pipeline --dataset_name covers-64
"""

import json

import torch
from accelerate import Accelerator
from tqdm.auto import tqdm

from gan.covers import Covers, CoversError, load_covers, to_uint8
from gan.metrics import pairwise_distance, sliced_wasserstein
from gan.pipeline import AlbumCoverPipeline
from gan.pipeline_folder import PipelineError, load_pipeline
from train.cli import Parser, UserError, run


def evaluate(pipeline: AlbumCoverPipeline, train: Covers, validation: Covers, count: int) -> dict:
    """Compare seeds 0, 1, 2, ... with held-out covers, and training covers with held-out covers as the yardstick.

    Args:
        pipeline: the generator.
        train, validation: real covers of the generator's size.
        count: how many of each; no more than `validation` holds.

    Returns:
        `count`, `sliced_wasserstein` and `real_sliced_wasserstein` (side in pixels to distance x 1000, and their
        mean), `pairwise_distance` and `real_pairwise_distance` (grey levels).
    """
    held_out = validation.batch(0, count)
    fake = torch.cat(
        [
            to_uint8(pipeline(seeds=list(range(first, min(first + 64, count))), output_type="pt").images * 2 - 1)
            for first in tqdm(range(0, count, 64), desc="Drawing", unit="batch")
        ]
    )
    scores: dict = {"count": count}
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


def main() -> str:
    """Run the program; returns its last line."""
    parser = Parser(prog="train.evaluate", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--model", help="pipeline folder or Hub id; default: the generator that ships")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub model")
    parser.add_argument("--dataset_name", required=True, help="folder written by train.prepare, or a Hub dataset")
    parser.add_argument("--num_images", type=int, default=2048, help="covers to compare, at most")
    parser.add_argument("--json", action="store_true", help="print the scores as one JSON object")
    args = parser.parse_args()
    if args.num_images < 2:
        raise UserError(f"--num_images must be at least 2, not {args.num_images}")
    try:
        pipeline = load_pipeline(args.model, args.revision).to(Accelerator().device)
        side = pipeline.synthesis.config.resolution
        splits = [load_covers(args.dataset_name, side, split) for split in ("train", "validation")]
    except (PipelineError, CoversError) as error:
        raise UserError(str(error)) from error
    count = min(args.num_images, *map(len, splits))
    if count < 2:
        raise UserError(f"--dataset_name {args.dataset_name}: needs at least 2 covers in train and in validation")
    scores = evaluate(pipeline, *splits, count)
    if args.json:
        return json.dumps(scores)
    print(table(scores))
    return f"{count:,} generated covers against {count:,} held-out ones of {args.dataset_name}"


if __name__ == "__main__":
    run(main, "train.evaluate")
