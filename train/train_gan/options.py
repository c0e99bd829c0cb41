"""The command line of train.train_gan: imports nothing that takes long, so that mistakes are told at once."""

import argparse
from pathlib import Path

from train.cli import Parser, UserError, check_output_dir
from train.train_gan.recipes import names
from train.train_gan.trackers import TRACKERS


ONE_THING = "--start_from: a run begins with one thing, so not with another run's networks, too"


def options() -> argparse.Namespace:
    """Read the command line; a value that was left out is None where the recipe has it.

    Raises:
        UserError: something is missing, or does not go together.
    """
    parser = Parser(prog="train.train_gan", description="Train a GAN on prepared covers.")

    what = parser.add_argument_group("what is trained, and where it goes")
    what.add_argument("--config", required=True, help=f"a recipe ({', '.join(names())}) or a YAML file")
    what.add_argument("--dataset_name", help="folder written by train.prepare, one of pictures, or a Hub dataset")
    what.add_argument("--dataset_config_name", metavar="NAME", help="which of a Hub dataset's configurations")
    what.add_argument(
        "--streaming", action="store_true", help="read the dataset from the Hub while training, and keep none of it"
    )
    what.add_argument("--output_dir", type=Path, help="folder of the run")
    what.add_argument(
        "--class_conditional",
        action="store_true",
        help="learn the dataset's genres: covers of one can then be asked for",
    )
    what.add_argument(
        "--label_column", metavar="NAME", help="column of the genres; without it genre, label, or the only one"
    )
    what.add_argument(
        "--grow_from", type=Path, help="folder of a run at half the resolution, whose networks this one begins with"
    )
    what.add_argument(
        "--autoencoder",
        type=Path,
        help="folder of a painter's run, whose autoencoder this one takes",
    )
    what.add_argument(
        "--start_from",
        metavar="MODEL",
        help="a generator that others trained, to go on with: pipeline folder or Hub id",
    )
    what.add_argument("--revision", help="branch, tag or commit of that model")
    what.add_argument(
        "--freeze_discriminator",
        type=int,
        default=0,
        metavar="N",
        help="its first N stages, those next to the picture, learn no more",
    )
    what.add_argument("--resume_from_checkpoint", default="latest", help="a checkpoint file, or latest")
    what.add_argument(
        "--dry_run", action="store_true", help="print recipe, parameters and layer shapes, train nothing"
    )

    recipe = parser.add_argument_group("instead of what the recipe says")
    recipe.add_argument("--train_batch_size", type=int, help="covers in a batch, over all processes together")
    recipe.add_argument("--learning_rate", type=float, help="of both networks at the start")
    recipe.add_argument("--total_images", type=int, help="covers to show in all")
    recipe.add_argument("--checkpointing_images", type=int, help="covers shown between two checkpoints")
    recipe.add_argument("--seed", type=int, help="another seed is another run")

    machine = parser.add_argument_group("how it is computed")
    machine.add_argument(
        "--mixed_precision",
        choices=("auto", "no", "bf16"),
        default="auto",
        help="activations in bfloat16; auto: where the device computes in it faster",
    )
    machine.add_argument(
        "--gradient_accumulation_steps",
        type=int,
        default=1,
        help="parts in which each process computes its share of a batch, one after the other: needs less memory",
    )

    measuring = parser.add_argument_group("what is measured and told")
    measuring.add_argument(
        "--evaluation_images", type=int, help="covers shown between two evaluations; default: as checkpoints"
    )
    measuring.add_argument(
        "--inception", help="also measure FID and KID by the weights of Inception: see train/metrics/README.md"
    )
    measuring.add_argument(
        "--report_to", choices=TRACKERS, default="none", help="where the lines of metrics.jsonl are shown, too"
    )

    hub = parser.add_argument_group("the Hugging Face Hub")
    hub.add_argument("--push_to_hub", action="store_true", help="share the generator at every checkpoint")
    hub.add_argument("--hub_model_id", help="user/name on the Hub")
    hub.add_argument("--hub_private_repo", action="store_true", help="visible to its owner alone")
    hub.add_argument(
        "--no_discriminator",
        action="store_true",
        help="leave out of the generator's folders what judged it, with which others could go on",
    )

    args = parser.parse_args()
    _check(args)
    return args


def _check(args: argparse.Namespace) -> None:
    for flag in ("gradient_accumulation_steps", "evaluation_images"):
        value = getattr(args, flag)
        if value is not None and value < 1:
            raise UserError(f"--{flag} must be at least 1, not {value}")
    if args.start_from is None:
        if args.revision or args.freeze_discriminator:
            flag = "revision" if args.revision else "freeze_discriminator"
            raise UserError(f"--{flag} is for --start_from, which is missing")
    elif args.grow_from or args.resume_from_checkpoint != "latest":
        raise UserError(ONE_THING)
    if args.freeze_discriminator < 0:
        raise UserError(f"--freeze_discriminator must be at least 0, not {args.freeze_discriminator}")
    if args.resume_from_checkpoint != "latest" and not Path(args.resume_from_checkpoint).is_file():
        raise UserError(f"--resume_from_checkpoint {args.resume_from_checkpoint}: no such file")
    if args.push_to_hub and args.hub_model_id is None:
        raise UserError("--push_to_hub needs --hub_model_id user/name")
    if (args.hub_model_id or args.hub_private_repo) and not args.push_to_hub:
        raise UserError("--hub_model_id and --hub_private_repo are for --push_to_hub, which is missing")
    for flag in () if args.dry_run else ("dataset_name", "output_dir"):
        if getattr(args, flag) is None:
            raise UserError(f"--{flag} is missing (only --dry_run goes without)")
    if not args.dry_run:  # again when the run begins: to find and decode covers takes hours
        check_output_dir(args.output_dir, "config.json")
