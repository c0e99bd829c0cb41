"""Train a GAN on prepared covers.

    accelerate launch -m train.train_gan --config dcgan-64 --dataset_name covers-64 --output_dir runs/first

The same command goes on where an interrupted run stopped.
"""

import copy
import logging
import platform
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, gather_object
from torch import nn
from tqdm.auto import tqdm

from gan.augment import AdaptiveProbability, Augmentation, draw_augmentation, initial_probability
from gan.losses import LOSSES
from train.cli import UserError, run
from train.covers import Covers, CoversError, mixed_seed, seeded, send, to_float
from train.metrics.evaluation import Evaluation
from train.metrics.inception import features
from train.train_gan.data import known, near, open_covers
from train.train_gan.describe import describe
from train.train_gan.device import can_bf16, no_memory_in_one_line, use_whole_device
from train.train_gan.genres import dropped, genres_to_learn
from train.train_gan.grow import grow, keep_sheets
from train.train_gan.options import options
from train.train_gan.push import Push
from train.train_gan.recipes import Recipe, load_recipe
from train.train_gan.run_folder import RunFolder
from train.train_gan.steps import GAN, Batch, Trainer
from train.train_gan.stop import launcher
from train.train_gan.sync_batch_norm import equal_in_parts, synchronise
from train.train_gan.trackers import end_tracker, start_tracker, tracker_options
from train.train_gan.watch import Watch


# Independent streams of random numbers, so that none depends on how often another was drawn from.
# (`Covers` has 0 and 1 for its orders.)
INITIALISATION, LATENTS, AUGMENTATION, MIX, DROPPED_LABELS = range(2, 7)
IN_PARTS = "--gradient_accumulation_steps: normalised part by part, so not quite what the whole batch would give"
ADAPTING_STEPS = 16  # steps between two looks at the held-out covers


def train(
    trainer: Trainer,
    covers: Covers,
    start: int,
    on_step: Callable[[int, dict[str, torch.Tensor]], bool],
    held_out: Covers | None = None,
) -> int:
    """The training loop. Everything random is a function of (seed, images), so a run goes on exactly where it stopped.

    Args:
        trainer: takes the steps.
        covers: the real covers, with labels where genres are learned.
        start: covers shown so far.
        on_step: called after each step with the covers shown and what was measured; True stops.
        held_out: covers that are never trained on, to adapt the augmentation by, where the recipe leaves it to them.

    Returns:
        The covers shown in all.
    """
    recipe, gan, device = trainer.recipe, trainer.gan, trainer.accelerator.device
    batch, latent_dim = recipe.train_batch_size, gan.generator.config.latent_dim
    adapts = recipe.augmentation == "auto"
    # each process draws the random numbers of the whole batch and takes its share, however many there are
    share = batch // trainer.accelerator.num_processes
    mine = slice(trainer.accelerator.process_index * share, (trainer.accelerator.process_index + 1) * share)

    def take(covers: Covers, images: int, stream: int) -> torch.Tensor:
        pixels = covers.batch(images + mine.start, share, stream)
        return to_float(send(pixels, device)).to(memory_format=torch.channels_last)

    def genres(covers: Covers, position: int, stream: int, images: int) -> torch.Tensor | None:
        labels = covers.batch_labels(position + mine.start, share, stream)
        if labels is None:
            return None
        chance = torch.rand(batch, generator=seeded(recipe.seed, DROPPED_LABELS, images, stream))[mine]
        return send(dropped(labels, chance, len(gan.generator.config.genres)), device)

    def augmentation(images: int, step: int) -> Augmentation | None:
        if recipe.augmentation == 0:
            return None
        probability = gan.augmentation.probability if adapts else recipe.at("augmentation", images)
        drawn = draw_augmentation(batch, probability, seeded(recipe.seed, AUGMENTATION, images, step))[mine]
        return drawn.moved(partial(send, device=device))

    covers, images = near(covers, device), start
    while images < recipe.total_images:
        latents = torch.randn(batch, latent_dim, generator=seeded(recipe.seed, LATENTS, images))[mine]
        mix = torch.rand(batch, 1, 1, 1, generator=seeded(recipe.seed, MIX, images))[mine]
        compares = LOSSES[recipe.loss].compares
        drawn = Batch(
            send(latents, device),
            real=take(covers, images, stream=0),
            others=take(covers, images, stream=1) if compares else None,
            draws=(augmentation(images, 0), augmentation(images, 1)),
            mix=send(mix, device),
            labels=genres(covers, images, 0, images),
            other_labels=genres(covers, images, 1, images) if compares else None,
        )
        measured = trainer.step(drawn, images)
        step = images // batch
        if adapts and held_out and step % ADAPTING_STEPS == ADAPTING_STEPS - 1:
            position = images // ADAPTING_STEPS
            unseen, unseen_labels = take(held_out, position, stream=0), genres(held_out, position, 0, images)
            trainer.adapt_augmentation(drawn, unseen, ADAPTING_STEPS * batch, unseen_labels)
        images += batch
        if on_step(images, measured):
            break
    return images


def build(recipe: Recipe, device: torch.device, genres: Sequence[str] = ()) -> GAN:
    """New networks and optimisers; the same seed builds the same ones. Raises UserError as `Recipe.build` does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed_seed(recipe.seed, INITIALISATION))
        generator, discriminator = recipe.build(list(genres))
    networks = [n.to(device, memory_format=torch.channels_last).train() for n in (generator, discriminator)]
    ema = nn.ModuleList(copy.deepcopy(generator) for _ in recipe.ema_sigma).eval().requires_grad_(False)
    optimizers = [torch.optim.Adam(network.parameters(), fused=True) for network in networks]
    return GAN(generator, discriminator, ema, *optimizers, AdaptiveProbability())


def check_shares(recipe: Recipe, processes: int, parts: int) -> None:
    """Raises UserError where a batch cannot be shared equally by so many processes, each in so many parts."""
    every = recipe.gradient_penalty_every
    if recipe.train_batch_size % (processes * parts * every):
        raise UserError(
            f"--train_batch_size {recipe.train_batch_size} cannot be shared by {processes} processes"
            + (f" in {parts} parts" if parts > 1 else "")
            + (f"; each share must be a multiple of gradient_penalty_every, {every}" if every > 1 else "")
        )


@no_memory_in_one_line()
def main() -> str:
    """Run the program; returns its last line."""
    started_by = launcher()  # before anything takes long
    args = options()
    overrides = ("train_batch_size", "learning_rate", "total_images", "checkpointing_images", "seed")
    chosen = {name: getattr(args, name) for name in overrides}
    recipe = load_recipe(args.config, chosen | {"class_conditional": args.class_conditional or None})
    # precision is the trainer's: no autocast around whole forwards. One process may decode a large dataset for hours.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=12))
    reported = tracker_options(args.report_to, args.output_dir)
    accelerator = Accelerator(mixed_precision="no", kwargs_handlers=[patience], **reported)
    device, parts = accelerator.device, args.gradient_accumulation_steps
    check_shares(recipe, accelerator.num_processes, parts)
    use_whole_device(device)

    with accelerator.local_main_process_first():
        genres = genres_to_learn(args.dataset_name, args.streaming) if recipe.class_conditional else []
    gan = build(recipe, device, genres)
    if parts > 1 and accelerator.is_main_process and not equal_in_parts(gan.generator, gan.discriminator):
        print(IN_PARTS, file=sys.stderr)
    before = RunFolder(args.output_dir).before() if args.output_dir else {}
    grown_from = before.get("grown_from")  # a run that goes on needs the smaller one no more
    grows = bool(args.grow_from and not grown_from)
    if grows:
        grown_from = grow(gan, args.grow_from)
    if args.dry_run:
        return describe(gan, recipe) if accelerator.is_main_process else ""

    say = partial(tqdm.write, file=sys.stderr)  # above the progress bar
    push = None
    if args.push_to_hub and accelerator.is_main_process:  # first, because a large dataset takes hours to decode
        push = Push(args.output_dir, args.hub_model_id, args.hub_private_repo, say)
    with accelerator.local_main_process_first():
        covers, held_out = open_covers(args.dataset_name, recipe, args.streaming)
    gan.augmentation.probability = initial_probability(len(covers))
    precision = args.mixed_precision
    if precision == "auto":  # on another device a run goes on as it began
        precision = before.get("mixed_precision", "bf16" if can_bf16(device) else "no")
    facts = {
        # a folder's name alone: the file travels with the generator, and whose disk it was is nobody's business
        "dataset_name": Path(args.dataset_name).name if Path(args.dataset_name).is_dir() else args.dataset_name,
        "covers": len(covers),
        "held_out": len(held_out or ()),
        "streaming": args.streaming,
        "genres": genres,
        "grown_from": grown_from,
        "mixed_precision": precision,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device} ({platform.machine()})",
        "processes": accelerator.num_processes,
        "gradient_accumulation_steps": parts,
        "torch": torch.__version__,
    } | ({"digest": covers.digest()} if isinstance(covers, Covers) else {})

    folder = RunFolder(args.output_dir)
    if accelerator.is_main_process:
        folder.open(recipe, facts)
        if grows:
            keep_sheets(args.grow_from, folder)
    accelerator.wait_for_everyone()
    alone = not (args.output_dir / "config.json").exists()
    with accelerator.main_process_first():  # which puts a damaged checkpoint aside
        start, seconds = folder.checkpoints.load(gan, args.resume_from_checkpoint, device)
    if len(set(gather_object([start]))) > 1 or any(gather_object([alone])):
        raise UserError(f"--output_dir {args.output_dir} must be on a disk that all machines share")
    if accelerator.is_main_process and start < recipe.total_images:
        folder.tell(recipe, facts)

    if accelerator.num_processes > 1:
        synchronise(gan.generator)
        synchronise(gan.discriminator)
    trainer = Trainer(gan, recipe, accelerator, precision == "bf16", parts)
    evaluation = None
    if accelerator.is_main_process:
        training = known(covers)
        evaluation = Evaluation(training, held_out, features(args.inception, training, device), device)
    every = args.evaluation_images or recipe.checkpointing_images
    start_tracker(accelerator, args.output_dir, vars(recipe) | facts)
    watch = Watch(trainer, folder, start, seconds, evaluation, every, push, started_by)
    try:
        with watch.bar:  # closed before the last line, whatever that says
            watch.catch_up()
            line = watch.finish(train(trainer, covers, start, watch, held_out))
        end_tracker(accelerator, say)
        return line
    except CoversError as error:  # of a stream
        watch.rescue()
        raise UserError(str(error), 1) from error
    finally:
        if push:
            push.wait()


if __name__ == "__main__":
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    run(main, "train.train_gan")
