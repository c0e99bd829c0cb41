"""Share a generator, a prepared dataset or the page through the Hugging Face Hub.

    python -m train.share model runs/first/pipeline --repo_id user/covers
    python -m train.share dataset covers-64 --repo_id user/covers-64
    python -m train.share space --repo_id user/album-covers --model_id user/covers

The token is the one of `hf auth login`, or HF_TOKEN.
"""

import argparse
from pathlib import Path
from typing import Any

from gan.errors import HubError
from train.cli import Parser, UserError, run


HINTS = {
    "model": 'load it with gan.load_pipeline("{repo_id}")',
    "dataset": 'load it with datasets.load_dataset("{repo_id}")',
    "space": "it takes some minutes to start",
}


def main() -> str:
    """Share what the command line names, and return the line that sums it up."""
    arguments = vars(parse_arguments())
    # Here and not above: --help and a mistake in the arguments do not wait for torch.
    from gan import PipelineError
    from train.share.hub import upload_dataset, upload_model, upload_space

    kind = arguments.pop("kind")
    upload: Any = {"model": upload_model, "dataset": upload_dataset, "space": upload_space}[kind]
    try:
        sent = upload(**arguments)
    except (HubError, PipelineError) as error:
        raise UserError(str(error)) from error
    total = ", ".join([f"{len(sent.sizes)} files", _bytes(sum(sent.sizes.values())), *sent.notes])
    if not arguments["dry_run"]:
        return f"{sent.url}: sent {total}; {HINTS[kind].format(**arguments)}"
    for name, size in sent.sizes.items():
        print(f"{_bytes(size):>10}  {name}")
    return f"{sent.url}: would send {total}; nothing was sent"


def parse_arguments() -> argparse.Namespace:
    """Read the command line; `kind` is model, dataset or space, the rest are the arguments of its upload."""
    from huggingface_hub import SpaceHardware

    parser = Parser(prog="train.share", description=__doc__.strip().splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", metavar="model|dataset|space", required=True)
    model = kinds.add_parser("model", help="a generator", description="Share a generator.")
    model.add_argument("folder", type=Path, help="pipeline folder, e.g. runs/first/pipeline")
    model.add_argument("--license", help="licence that the card names, e.g. cc-by-nc-4.0; without it, what it named")
    model.add_argument("--tag", help="name of this snapshot; without it images-<covers shown>, where the run says it")
    model.add_argument(
        "--onnx", action="store_true", help="send an ONNX file too; needs the packages onnx onnxscript onnxruntime"
    )
    model.add_argument(
        "--no_discriminator", action="store_true", help="leave out what judged it, with which others could go on"
    )
    dataset = kinds.add_parser("dataset", help="prepared covers", description="Share covers that train.prepare wrote.")
    dataset.add_argument("folder", type=Path, help="dataset folder, e.g. covers-64")
    dataset.add_argument("--license", help="licence that the card names, e.g. cc-by-nc-4.0; without it, what it named")
    space = kinds.add_parser("space", help="the page", description="Share the page as a Space.")
    space.add_argument("--model_id", help="model on the Hub that it shows; without it, what it showed before")
    space.add_argument("--model_revision", default="main", help="branch, tag or commit of that model")
    hardware = [hardware.value for hardware in SpaceHardware]
    space.add_argument(
        "--suggested_hardware",
        default="cpu-basic",
        choices=hardware,
        metavar="HARDWARE",
        help="what the Hub proposes to people who duplicate it, e.g. zero-a10g",
    )
    messages = ((model, "Share the generator"), (dataset, "Share the covers"), (space, "Share the page"))
    for kind, message in messages:
        # no default to show: --repo_id must be given
        kind.add_argument("--repo_id", required=True, default=argparse.SUPPRESS, help="user/name on the Hub")
        kind.add_argument("--private", action="store_true", help="visible to its owner alone")
        kind.add_argument("--commit_message", default=message, help="first line of the commit")
        kind.add_argument("--force", action="store_true", help="write into a repository that holds something else")
        kind.add_argument("--dry_run", action="store_true", help="list the files and their sizes, send nothing")
    return parser.parse_args()


def _bytes(number: float) -> str:
    units = ["B", "kB", "MB", "GB", "TB"]
    while number >= 999.95 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.0f} B" if units[0] == "B" else f"{number:.1f} {units[0]}"


if __name__ == "__main__":
    run(main, "train.share")
