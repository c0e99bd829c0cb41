"""Write the index with which the page tells copies of training covers: measurements of them, no pictures.

python -m train.index_covers --model runs/first/pipeline --dataset_name covers-64
"""

from pathlib import Path

from datasets import Dataset, DatasetDict, load_dataset
from tqdm.auto import tqdm

from gan.errors import first_line
from gan.nearest import CopiesError, Index, build_index
from gan.pipeline_folder import COVERS_INDEX
from train.cli import Parser, UserError, run


def index_dataset(covers: Dataset) -> Index:
    """Describe the covers of a prepared dataset's split, by its columns `image` and `sha256`.

    Raises:
        CopiesError: there are fewer than 2.
    """
    rows = tqdm(covers.select_columns(["image", "sha256"]), desc="Describing", unit="cover")
    return build_index((row["image"], row["sha256"]) for row in rows)


def main() -> str:
    """Run the program; returns its last line."""
    parser = Parser(prog="train.index_covers", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--model", required=True, help="pipeline folder that the index is written into")
    parser.add_argument("--dataset_name", required=True, help="the prepared dataset that it learned from")
    args = parser.parse_args()
    folder = Path(args.model)
    if not (folder / "model_index.json").is_file():
        raise UserError(f"--model {folder} is not a pipeline folder: it holds no model_index.json")
    try:
        dataset = load_dataset(args.dataset_name)
    except Exception as error:  # datasets raises its own, the Hub client's, pyarrow's and the system's errors
        raise UserError(f"--dataset_name {args.dataset_name} cannot be read: {first_line(error)}") from error
    if not isinstance(dataset, DatasetDict) or not {"image", "sha256"} <= set(dataset["train"].features):
        raise UserError(f"--dataset_name {args.dataset_name} is not a prepared dataset: prepare it with train.prepare")
    try:
        index = index_dataset(dataset["train"])
    except CopiesError as error:
        raise UserError(f"--dataset_name {args.dataset_name}: {error}") from error
    index.save(folder / COVERS_INDEX)
    return f"{folder / COVERS_INDEX}: {len(index):,} covers, {(folder / COVERS_INDEX).stat().st_size / 1e6:.1f} MB"


if __name__ == "__main__":
    run(main, "train.index_covers")
