"""Look for copies: for many generated covers the nearest training covers, and the same for held-out covers.

    python -m train.copies --model runs/first/pipeline --dataset_name covers-64 --output_dir copies

It writes copies.json, which the generator's card reads where it lies beside `pipeline/`, and pairs.png, the nearest
pairs to look at. That picture shows real covers: it is not for sharing.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from PIL import Image
from tqdm.auto import tqdm

from gan.pipeline_folder import PipelineError, load_pipeline
from train.cli import Parser, UserError, check_output_dir, run
from train.covers import Covers, CoversError, load_covers
from train.metrics.evaluation import COPY_BITS, Prints, draw
from train.metrics.features import CoverFeatures, load_features


QUANTILES = (0.0, 0.01, 0.1, 0.5, 0.9)
PAIRS = 32
PAIR_SIDE = 64  # pixels of a cover in the picture of the pairs


class Described(Prints):
    """What N covers, (N, H, H, 3) uint8, are compared by: as `Prints`, and their features (N, 64)."""

    def __init__(self, covers: torch.Tensor, network: CoverFeatures):
        super().__init__(covers)
        self.features = network.of(covers)


@dataclass
class Nearest:
    """The training covers nearest to each of N covers.

    Args:
        bits: (N,) of 64, in which the perceptual hashes differ.
        by_bits: (N,) which training cover that is.
        distance: (N,) of the features.
        by_distance: (N,) which training cover that is.
        copied: (N,) bool: whether any training cover is a copy, as train.prepare understands it.
    """

    bits: np.ndarray
    by_bits: np.ndarray
    distance: np.ndarray
    by_distance: np.ndarray
    copied: np.ndarray


def nearest(covers: Described, train: Covers, network: CoverFeatures, at_once: int = 1_000) -> Nearest:
    """Compare `covers` with every training cover, `at_once` of these at a time, so that memory stays small."""
    count = len(covers.hashes)
    found = Nearest(
        bits=np.full(count, 65),
        by_bits=np.zeros(count, np.int64),
        distance=np.full(count, np.inf, np.float32),
        by_distance=np.zeros(count, np.int64),
        copied=np.zeros(count, bool),
    )
    for begin in tqdm(range(0, len(train), at_once), desc="Comparing", unit="part"):
        known = Described(train[range(begin, min(begin + at_once, len(train)))], network)
        bits = np.bitwise_count(covers.hashes[:, None] ^ known.hashes).astype(np.int64)
        _keep_nearer(found.bits, found.by_bits, bits, begin)
        _keep_nearer(found.distance, found.by_distance, torch.cdist(covers.features, known.features).numpy(), begin)
        found.copied |= covers.copies(known, bits <= COPY_BITS)
    return found


def _keep_nearer(least: np.ndarray, which: np.ndarray, distances: np.ndarray, begin: int) -> None:
    """Where a row of (N, M) `distances` holds less than `least`, (N,), keep that and whose it is."""
    nearer = distances.min(1) < least
    which[nearer] = begin + distances.argmin(1)[nearer]
    least[nearer] = distances.min(1)[nearer]


def summary(generated: Nearest, held_out: Nearest, train: int) -> dict:
    """What copies.json holds: `samples`, `nearest_bits` and `found`, which the card reads, and what they stand beside.

    Args:
        generated, held_out: the covers nearest to generated and to held-out ones.
        train: how many training covers there are.
    """
    facts: dict = {"training_covers": train}
    for prefix, one in (("", generated), ("held_out_", held_out)):
        facts |= {
            f"{prefix}samples": len(one.bits),
            f"{prefix}nearest_bits": int(one.bits.min()),
            f"{prefix}found": int(one.copied.sum()),
            f"{prefix}bits": _quantiles(one.bits),
            f"{prefix}feature_distance": _quantiles(one.distance),
        }
    for name in ("bits", "distance"):
        values, limit = getattr(generated, name), np.quantile(getattr(held_out, name), 0.01)
        facts[f"nearer_than_1%_of_held_out_by_{name}"] = round(float((values < limit).mean()), 5)
        facts[f"held_out_nearer_than_that_by_{name}"] = round(float((getattr(held_out, name) < limit).mean()), 5)
    return facts


def _quantiles(values: np.ndarray) -> dict[str, float]:
    return {f"{q:.0%}": round(float(np.quantile(values, q)), 3) for q in QUANTILES}


def table(facts: dict) -> str:
    """The same for people."""
    lines = [f"{'to the nearest training cover':<34}" + "".join(f"{f'{q:.0%}':>8}" for q in QUANTILES)]
    for prefix, who in (("", "generated"), ("held_out_", "held-out")):
        for key, what in (("bits", "bits of 64"), ("feature_distance", "features")):
            values = facts[prefix + key].values()
            lines.append(f"{f'{who}, {what}':<34}" + "".join(f"{value:>8.2f}" for value in values))
    return "\n".join(lines)


def draw_pairs(covers: torch.Tensor, train: Covers, found: Nearest) -> Image.Image:
    """The nearest pairs, generated left, training cover right: 16 by features, then 16 by hash, copies first."""
    by_features = np.argsort(found.distance)
    by_hash = np.lexsort((found.distance, found.bits, ~found.copied))
    chosen = [(i, found.by_distance[i]) for i in by_features[: PAIRS // 2]]
    chosen += [(i, found.by_bits[i]) for i in by_hash[: PAIRS // 2]]
    left, right = covers[[int(i) for i, _ in chosen]], train[[int(k) for _, k in chosen]]
    both = torch.cat([left, right], 2).permute(0, 3, 1, 2).float()  # (P, 3, H, 2 H)
    both = F.interpolate(both, (PAIR_SIDE, 2 * PAIR_SIDE), mode="bilinear", antialias=True)
    both = F.pad(both, (0, 8, 0, 8), value=255).round().byte()
    rows = [torch.cat(list(row), 2) for row in both.split(4)]
    return Image.fromarray(torch.cat(rows, 1).permute(1, 2, 0).numpy())


def main() -> str:
    """Run the program; returns its last line."""
    parser = Parser(prog="train.copies", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--model", help="pipeline folder or Hub id; default: the generator that ships")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub model")
    parser.add_argument("--dataset_name", required=True, help="the prepared dataset that it learned from")
    parser.add_argument("--num_images", type=int, default=10_000, help="generated covers to look for")
    parser.add_argument("--output_dir", type=Path, required=True, help="where copies.json and pairs.png go")
    args = parser.parse_args()
    if args.num_images < 1:
        raise UserError(f"--num_images must be at least 1, not {args.num_images}")
    check_output_dir(args.output_dir, "copies.json")
    device = Accelerator().device
    try:
        generator = load_pipeline(args.model, args.revision).to(device).synthesis
        train, validation = (
            load_covers(args.dataset_name, generator.config.resolution, split) for split in ("train", "validation")
        )
    except (PipelineError, CoversError) as error:
        raise UserError(str(error)) from error
    network = load_features().to(device)
    drawn = draw(generator, args.num_images)
    both = torch.cat([drawn, validation.batch(0, len(validation))])
    found = nearest(Described(both, network), train, network)
    parts = (slice(None, len(drawn)), slice(len(drawn), None))
    generated, held_out = (Nearest(**{name: values[part] for name, values in vars(found).items()}) for part in parts)
    facts = summary(generated, held_out, len(train))
    args.output_dir.mkdir(parents=True, exist_ok=True)
    draw_pairs(drawn, train, generated).save(args.output_dir / "pairs.png")
    (args.output_dir / "copies.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(table(facts))
    return (
        f"{args.output_dir}: of {len(drawn):,} generated covers {facts['found']:,} are copies of one of the "
        f"{len(train):,} training covers, of {len(held_out.bits):,} held-out ones {facts['held_out_found']:,}; "
        "look at pairs.png"
    )


if __name__ == "__main__":
    run(main, "train.copies")
