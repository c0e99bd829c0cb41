"""Train a GAN on prepared covers.

    python -m train.train_gan --config dcgan-64 --dataset_name covers-64 --output_dir runs/first
    accelerate launch -m train.train_gan ...      the same in several processes

The same command goes on where an interrupted run stopped.
"""

from train.cli import UserError, run
from train.train_gan.options import options
from train.train_gan.recipes import load_recipe
from train.train_gan.stop import launcher


OVERRIDES = ("train_batch_size", "learning_rate", "total_images", "checkpointing_images", "seed")


def main() -> str:
    """Run the program; return its last line."""
    started_by = launcher()  # before anything takes long
    args = options()
    chosen = {name: getattr(args, name) for name in OVERRIDES}
    if args.start_from:  # decided when it is known what that has learned
        del chosen["total_images"]
    recipe = load_recipe(args.config, chosen | {"class_conditional": args.class_conditional or None})

    # here and not above, because torch takes seconds to import: --help and mistakes are answered at once
    from train.covers import CoversError
    from train.device import no_memory_in_one_line
    from train.train_gan import setup
    from train.train_gan.describe import describe
    from train.train_gan.loop import loop, rescue
    from train.train_gan.trackers import end_tracker

    with no_memory_in_one_line():
        accelerator = setup.start(args, recipe)
        start, recipe = setup.open_start(args, recipe, accelerator)
        if args.dry_run:
            gan, _, _ = setup.build_networks(args, recipe, accelerator, start)
            return describe(gan, recipe) if accelerator.is_main_process else ""
        training = setup.open_run(args, recipe, accelerator, started_by, start)
        try:
            line = loop(training)
            end_tracker(accelerator, setup.say)
            return line
        except CoversError as error:  # of a stream
            rescue(training)
            raise UserError(str(error), 1) from error
        finally:
            if training.push:
                training.push.wait()


if __name__ == "__main__":
    run(main, "train.train_gan")
