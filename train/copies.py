"""Look for copies: for many generated covers the nearest training covers, and the same for held-out covers.

    python -m train.copies --model runs/first/pipeline --dataset_name covers-64 --output_dir copies

It writes copies.json, which the generator's card reads where it lies beside `pipeline/`, and pairs.png, the nearest
pairs to look at. That picture shows real covers: it is not for sharing. With `--index` the pipeline folder gets the
index by which the page tells copies: measurements of the training covers, no pictures.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from datasets import Image as Encoded
from PIL import Image
from tqdm.auto import tqdm

from gan.errors import first_line
from gan.nearest import CopiesError, build_index
from gan.pictures import read_picture
from gan.pipeline_folder import COVERS_INDEX, PRETRAINED, PipelineError, load_pipeline
from train.cli import Parser, UserError, check_output_dir, run
from train.covers import Covers, CoversError, load_covers
from train.covers_folder import open_folder
from train.files import replacing, write_atomically
from train.hub_dataset import load_hub_dataset
from train.metrics.copies import QUANTILES, Nearest, nearest, summary
from train.metrics.evaluation import draw
from train.metrics.features import load_features
from train.metrics.run_facts import shown_images
from train.metrics.schema import Copies
from train.parquet import cell_bytes, read_rows


PAIRS = 32
PAIR_SIDE = 64  # pixels of a cover in the picture of the pairs


def table(found: Copies) -> str:
    """Return the quantiles for people."""
    lines = [f"{'to the nearest training cover':<34}" + "".join(f"{f'{q:.0%}':>8}" for q in QUANTILES)]
    for who, what, values in (
        ("generated", "bits of 64", found.bits),
        ("generated", "features", found.feature_distance),
        ("held-out", "bits of 64", found.held_out_bits),
        ("held-out", "features", found.held_out_feature_distance),
    ):
        numbers = (values or {}).values()  # none where nothing is held out
        lines.append(f"{f'{who}, {what}':<34}" + "".join(f"{value:>8.2f}" for value in numbers))
    return "\n".join(lines)


def draw_pairs(covers: torch.Tensor, train: Covers, found: Nearest) -> Image.Image:
    """Draw the nearest pairs, generated left, training cover right: 16 by features, then 16 by hash, copies first."""
    assert found.distance is not None and found.by_distance is not None
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


def _prepared(dataset_name: str, config_name: str | None) -> Iterator[tuple[Image.Image, str]]:
    """Yield the training covers of a prepared dataset, each with its SHA-256; nothing that a cell names is opened."""
    columns = ["image", "sha256"]
    rows: Iterable[dict[str, Any]]
    if Path(dataset_name).is_dir():
        rows = read_rows(open_folder(dataset_name, "train").paths, columns)
    else:
        train = load_hub_dataset(dataset_name, config_name, split="train", streaming=True)
        rows = train.select_columns(columns).cast_column("image", Encoded(decode=False))
    for row in rows:
        yield read_picture(cell_bytes(row["image"])), row["sha256"]


def write_index(folder: Path, dataset_name: str, config_name: str | None = None) -> str:
    """Write the index of all training covers into a pipeline folder; return what was written, for people.

    Raises:
        UserError: the dataset was not prepared by train.prepare, or holds fewer than 2 covers.
    """
    try:
        index = build_index(tqdm(_prepared(dataset_name, config_name), desc="Describing", unit="cover"))
    except CopiesError as error:
        raise UserError(f"--index: {error}") from error
    except Exception as error:  # datasets raises its own, the Hub client's, pyarrow's and the system's errors
        raise UserError(f"--index: {dataset_name} was not prepared by train.prepare ({first_line(error)})") from error
    with replacing(folder / COVERS_INDEX) as file:
        index.save(file.name)
    return f"{folder / COVERS_INDEX}: {len(index):,} covers, {(folder / COVERS_INDEX).stat().st_size / 1e6:.1f} MB"


def main() -> str:
    """Run the program; return its last line."""
    parser = Parser(prog="train.copies", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--model", help="pipeline folder or Hub id; default: the generator that ships")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub model")
    parser.add_argument("--dataset_name", required=True, help="the prepared dataset that it learned from")
    parser.add_argument("--dataset_config_name", metavar="NAME", help="which of a Hub dataset's configurations")
    parser.add_argument("--num_images", type=int, default=10_000, help="generated covers to look for")
    parser.add_argument("--output_dir", type=Path, required=True, help="where copies.json and pairs.png go")
    parser.add_argument(
        "--index", action="store_true", help=f"also write {COVERS_INDEX} into the pipeline folder, for the page"
    )
    args = parser.parse_args()
    if args.num_images < 1:
        raise UserError(f"--num_images must be at least 1, not {args.num_images}")
    check_output_dir(args.output_dir, "copies.json")
    folder = Path(args.model or PRETRAINED)
    if args.index and not (folder / "model_index.json").is_file():
        raise UserError(f"--index: --model {folder} is not a pipeline folder on this disk")
    device = Accelerator().device
    try:
        generator = load_pipeline(args.model, args.revision).to(device).synthesis
        train, validation = (
            load_covers(args.dataset_name, generator.config.resolution, split, config_name=args.dataset_config_name)
            for split in ("train", "validation")
        )
    except (PipelineError, CoversError) as error:
        raise UserError(str(error)) from error
    drawn = draw(generator, args.num_images, progress=True)
    both = torch.cat([drawn, validation.batch(0, len(validation))])
    near = nearest(both, train, load_features().to(device))
    generated, held_out = near[: len(drawn)], near[len(drawn) :]
    found = summary(generated, held_out, len(train), shown_images(args.model, args.revision, type(generator)))
    args.output_dir.mkdir(parents=True, exist_ok=True)
    with replacing(args.output_dir / "pairs.png") as pairs:
        draw_pairs(drawn, train, generated).save(pairs, "PNG")
    write_atomically(args.output_dir / "copies.json", (json.dumps(found.as_dict(), indent=2) + "\n").encode())
    print(table(found))
    if args.index:
        print(write_index(folder, args.dataset_name, args.dataset_config_name))
    return (
        f"{args.output_dir}: of {len(drawn):,} generated covers {found.found:,} are copies of one of the "
        f"{len(train):,} training covers, of {found.held_out_samples:,} held-out ones {found.held_out_found:,}; "
        "look at pairs.png"
    )


if __name__ == "__main__":
    run(main, "train.copies")
