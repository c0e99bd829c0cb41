"""Measure how good a generator's covers are, beside how far apart real covers are from each other.

python -m train.evaluate --model runs/first/pipeline --dataset_name covers-64
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from gan.errors import some
from gan.pipeline import AlbumCoverPipeline
from gan.pipeline_folder import PipelineError, load_pipeline
from train.cli import Parser, UserError, run
from train.covers import CoversError, load_covers, load_genres
from train.metrics.evaluation import Evaluation
from train.metrics.eyes import load_eyes
from train.metrics.features import FEWEST
from train.metrics.inception import HELP, FeatureDistances, load_inception
from train.metrics.run_facts import shown_images
from train.metrics.schema import Scores


ROWS = {
    "fd_covers": "fd_covers (not FID)",
    "precision_covers": "precision, on the same features",
    "recall_covers": "recall",
    "pairwise_distance": "difference of two covers (0..255)",
    "kernel_eyes": "kernel distance x1000, by eyes",
    "fd_eyes": "Frechet distance, by eyes",
    "precision_eyes": "precision, by eyes",
    "recall_eyes": "recall, by eyes",
    "lattice_db": "lattice above its neighbours, dB",
    "colour_spread": "spread of colours (0..255)",
}


def table(scores: Scores) -> str:
    """Return the scores for people: the generator beside real covers."""
    generated, real = scores.sliced_wasserstein, scores.real_sliced_wasserstein
    assert isinstance(generated, dict) and isinstance(real, dict)  # as they were measured, not as a line has them
    lines = [f"{'':<34}{'generated':>12}{'real':>12}"]
    for side in generated:
        unit = "" if side == "mean" else " px"
        lines.append(f"{'sliced Wasserstein x1000, ' + side + unit:<34}{generated[side]:>12.2f}{real[side]:>12.2f}")
    for key, name in ROWS.items():
        if getattr(scores, key) is None:
            continue
        lines.append(f"{name:<34}{getattr(scores, key):>12.2f}{getattr(scores, f'real_{key}'):>12.2f}")
    if scores.fid is not None:
        lines.append(f"by Inception, {scores.inception_covers:,} generated against as many training covers:")
        lines += [f"{key:<34}{getattr(scores, key):>12.4f}" for key in ("fid", "kid", "precision", "recall")]
    return "\n".join(lines)


def label_of(genre: str, pipeline: AlbumCoverPipeline, dataset_name: str, *where: str | None) -> int:
    """Return the label of a genre in a dataset.

    Raises:
        UserError: the generator or the dataset does not know it.
    """
    known = load_genres(dataset_name, *where)
    for whose, genres in ((" of the generator", pipeline.genres), (f" of {dataset_name}", known)):
        if genre not in genres:
            raise UserError(f"--genre {genre}: the genres{whose} are {some(genres)}")
    return genres.index(genre)


def main() -> str:
    """Run the program; return its last line."""
    parser = Parser(prog="train.evaluate", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--model", help="pipeline folder or Hub id; default: the generator that ships")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub model")
    parser.add_argument("--dataset_name", required=True, help="folder written by train.prepare, or a Hub dataset")
    parser.add_argument("--dataset_config_name", metavar="NAME", help="which of a Hub dataset's configurations")
    parser.add_argument("--label_column", metavar="NAME", help="where the genres are; without it genre, or label")
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
        where = (args.dataset_config_name, args.label_column)
        label = None if args.genre is None else label_of(args.genre, pipeline, args.dataset_name, *where)
        train, held_out = (
            load_covers(args.dataset_name, side, split, 0, label is not None, *where)
            for split in ("train", "validation")
        )
    except (PipelineError, CoversError) as error:
        raise UserError(str(error)) from error
    if label is not None:
        train, held_out = train.of_genre(label), held_out.of_genre(label)
    kind = "" if args.genre is None else f" {args.genre}"
    count = min(args.num_images, len(train), len(held_out))
    if count < FEWEST:
        raise UserError(f"--dataset_name {args.dataset_name}: needs {FEWEST}{kind} covers in train and in validation")
    generator = pipeline.synthesis
    drawn_label = None if args.genre is None else pipeline.genres.index(args.genre)  # the dataset's may be another
    evaluation = Evaluation(
        train,
        held_out,
        device=pipeline.device,
        count=count,
        patch_covers=count,
        eyes=load_eyes(pipeline.device),
        eye_covers=count,
    )
    name = Path(args.dataset_name).name if Path(args.dataset_name).is_dir() else args.dataset_name
    drawn = "none left out" if args.genre is None else f"all{kind}"
    scores = replace(
        evaluation.measure(generator, drawn_label, progress=True),
        dataset_name=name,
        images=shown_images(args.model, args.revision, type(generator)),
        filter=f"seeds 0 to {count - 1:,}, {drawn}",
    )
    if network is not None:
        measured: dict[str, Any] = FeatureDistances(network, train, pipeline.device)(generator, drawn_label, True)
        scores = replace(scores, **measured)
    if args.json:
        return json.dumps(scores.as_dict())
    print(table(scores))
    return f"{count:,} generated{kind} covers against {count:,} held-out ones of {args.dataset_name}"


if __name__ == "__main__":
    run(main, "train.evaluate")
