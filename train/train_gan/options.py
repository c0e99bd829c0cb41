"""The command line of train.train_gan."""

import argparse
from pathlib import Path

from train.cli import Parser, UserError
from train.metrics.inception import HELP
from train.train_gan.recipes import CONFIGS
from train.train_gan.trackers import TRACKERS


def options() -> argparse.Namespace:
    """What was asked for; what is left out is as the recipe says.

    Raises:
        UserError: something is missing, or does not go together.
    """
    parser = Parser(prog="train.train_gan", description="Train a GAN on prepared covers.")
    recipes = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.yaml")))
    parser.add_argument("--config", required=True, help=f"a recipe ({recipes}) or a YAML file")
    parser.add_argument("--dataset_name", help="folder written by train.prepare, or a Hub dataset")
    parser.add_argument(
        "--streaming", action="store_true", help="read the dataset from the Hub while training, and keep none of it"
    )
    parser.add_argument("--output_dir", type=Path, help="folder of the run")
    parser.add_argument("--train_batch_size", type=int, help="over all processes together; default: the recipe's")
    parser.add_argument(
        "--gradient_accumulation_steps",
        type=int,
        default=1,
        help="parts in which each process computes its share of a batch, one after the other: needs less memory",
    )
    parser.add_argument(
        "--class_conditional",
        action="store_true",
        help="learn the dataset's genres: covers of one can then be asked for",
    )
    parser.add_argument("--learning_rate", type=float, help="of both networks at the start; default: the recipe's")
    parser.add_argument("--total_images", type=int, help="covers to show in all; default: the recipe's")
    parser.add_argument("--checkpointing_images", type=int, help="covers between checkpoints; default: the recipe's")
    parser.add_argument("--evaluation_images", type=int, help="covers between evaluations; default: as checkpoints")
    parser.add_argument("--inception", help=HELP)
    parser.add_argument("--seed", type=int, help="another seed is another run; default: the recipe's")
    parser.add_argument(
        "--mixed_precision",
        choices=("auto", "no", "bf16"),
        default="auto",
        help="activations in bfloat16; auto: where the device computes in it faster",
    )
    parser.add_argument("--resume_from_checkpoint", default="latest", help="a checkpoint file, or latest")
    parser.add_argument(
        "--grow_from", type=Path, help="folder of a run at half the resolution, whose networks this one begins with"
    )
    parser.add_argument(
        "--report_to", choices=TRACKERS, default="none", help="where the lines of metrics.jsonl are shown, too"
    )
    parser.add_argument(
        "--push_to_hub", action="store_true", help="share the generator through the Hub at every checkpoint"
    )
    parser.add_argument("--hub_model_id", help="user/name on the Hub")
    parser.add_argument("--hub_private_repo", action="store_true", help="visible to its owner alone")
    parser.add_argument(
        "--dry_run", action="store_true", help="print recipe, parameters and layer shapes, train nothing"
    )
    args = parser.parse_args()
    _check(args)
    return args


def _check(args: argparse.Namespace) -> None:
    for flag in ("gradient_accumulation_steps", "evaluation_images"):
        value = getattr(args, flag)
        if value is not None and value < 1:
            raise UserError(f"--{flag} must be at least 1, not {value}")
    if args.resume_from_checkpoint != "latest" and not Path(args.resume_from_checkpoint).is_file():
        raise UserError(f"--resume_from_checkpoint {args.resume_from_checkpoint}: no such file")
    if args.push_to_hub and args.hub_model_id is None:
        raise UserError("--push_to_hub needs --hub_model_id user/name")
    if (args.hub_model_id or args.hub_private_repo) and not args.push_to_hub:
        raise UserError("--hub_model_id and --hub_private_repo are for --push_to_hub, which is missing")
    for flag in () if args.dry_run else ("dataset_name", "output_dir"):
        if getattr(args, flag) is None:
            raise UserError(f"--{flag} is missing (only --dry_run goes without)")
