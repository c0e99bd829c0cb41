"""Put everything in place that a training needs: device, networks, covers, folder, the last checkpoint."""

import argparse
import os
import sys
from datetime import timedelta
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, gather_object
from tqdm.auto import tqdm

from gan.augment import initial_probability
from train.cli import UserError
from train.covers import Covers
from train.device import can_bf16, choose_threads, use_whole_device
from train.metrics.evaluation import EYE_SIDE, Evaluation
from train.metrics.eyes import load_eyes
from train.metrics.inception import features
from train.train_gan.autoencoder import take_autoencoder
from train.train_gan.averages import Averages
from train.train_gan.data import Batches, genres_to_learn, in_memory, open_covers
from train.train_gan.expectation import what_to_expect
from train.train_gan.grow import grow, keep_sheets
from train.train_gan.monitor import Monitor
from train.train_gan.painter import Painter, build_painter
from train.train_gan.phases import PhaseBatches, PhaseTrainer, load_features
from train.train_gan.push import Push
from train.train_gan.recipes import Recipe
from train.train_gan.run import Run
from train.train_gan.run_config import RunConfig, name_of, public_dataset_name
from train.train_gan.run_folder import RunFolder
from train.train_gan.start import Start, begin, find_start, freeze
from train.train_gan.state import GAN, build
from train.train_gan.steps import Trainer
from train.train_gan.stop import Stop
from train.train_gan.sync_batch_norm import equal_in_parts, synchronise
from train.train_gan.together import one_goes_first, together
from train.train_gan.trackers import start_tracker, tracker_options


IN_PARTS = "--gradient_accumulation_steps: normalised part by part, so not quite what the whole batch would give"

say = partial(tqdm.write, file=sys.stderr)  # above the progress bar


def start(args: argparse.Namespace, recipe: Recipe) -> Accelerator:
    """Join the other processes, and make the device compute as fast as it can.

    Raises:
        UserError: the batch cannot be shared equally, or the tracker's package is not installed.
    """
    # precision is the trainer's: no autocast around whole forwards. One process may decode a large dataset for hours.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=12))
    tracker = tracker_options(args.report_to, args.output_dir)
    accelerator = Accelerator(mixed_precision="no", kwargs_handlers=[patience], **tracker)
    check_shares(recipe, accelerator.num_processes, args.gradient_accumulation_steps)
    if accelerator.is_main_process and (line := launchers_precision(args.mixed_precision)):
        say(line)
    check_phases(args, recipe)
    use_whole_device(accelerator.device)
    return accelerator


def open_start(args: argparse.Namespace, recipe: Recipe, accelerator: Accelerator) -> tuple[Start | None, Recipe]:
    """Return the model that the run begins with, None for none, and the recipe without what that has learned.

    Raises:
        UserError: as `find_start`; or there is no discriminator whose layers could be frozen.
    """
    before = RunFolder(args.output_dir).previous_config() if args.output_dir else {}
    with one_goes_first(accelerator, accelerator.is_local_main_process):  # which downloads it
        start, recipe = find_start(args, recipe, before)
    if args.freeze_discriminator and not (start and start.told["discriminator"]):
        raise UserError(f"--freeze_discriminator: {args.start_from} brings no discriminator")
    return start, recipe


def build_networks(
    args: argparse.Namespace, recipe: Recipe, accelerator: Accelerator, start: Start | None = None
) -> tuple[GAN | Painter, list[str], dict[str, float] | None]:
    """Build new networks, with the weights of others, of a smaller run, or of another's autoencoder, where asked for.

    Returns:
        The networks and optimisers, the genres that they learn, and what is known of the smaller run; None without.

    Raises:
        UserError: the dataset has no genres, the networks cannot be built, or the other run's cannot be taken.
    """
    with one_goes_first(accelerator, accelerator.is_local_main_process):
        source = (args.dataset_name, args.streaming, args.dataset_config_name, args.label_column)
        genres = genres_to_learn(*source) if recipe.class_conditional else []
    make = build_painter if recipe.phases else build
    gan = make(recipe, accelerator.device, genres)
    choose_threads(gan.learning)
    in_parts = args.gradient_accumulation_steps > 1
    if in_parts and accelerator.is_main_process and not equal_in_parts(*gan.learning):
        print(IN_PARTS, file=sys.stderr)
    before = RunFolder(args.output_dir).previous_config() if args.output_dir else {}
    grown_from = before.get("grown_from")  # a run that goes on needs the smaller one no more
    with together(accelerator):
        if args.grow_from and not grown_from:
            assert isinstance(gan, GAN)  # see check_phases
            grown_from = grow(gan, args.grow_from)
        if args.autoencoder and not before:
            assert isinstance(gan, Painter)
            take_autoencoder(gan, args.autoencoder)
        taken = begin(gan, recipe, start) if start and start.pipeline else ""
        freeze(gan.discriminator, args.freeze_discriminator)
    if taken and accelerator.is_main_process:
        print(taken, file=sys.stderr)
    return gan, genres, grown_from


def open_run(
    args: argparse.Namespace,
    recipe: Recipe,
    accelerator: Accelerator,
    started_by: int | None,
    start: Start | None = None,
) -> Run:
    """Open covers and run folder, and restore the last checkpoint.

    Args:
        args: the command line, see options.py.
        recipe: what to compute.
        accelerator: see `start`.
        started_by: process id of the launcher, see `Stop`.
        start: the model that the run begins with; None: with none.

    Raises:
        UserError: anything that was asked for is not there, does not fit, or cannot be written.
    """
    gan, genres, grown_from = build_networks(args, recipe, accelerator, start)
    push = None
    with together(accelerator):
        frozen = load_features(recipe, accelerator.device)
        if args.push_to_hub and accelerator.is_main_process:  # first, because a large dataset takes hours to decode
            push = Push(args.output_dir, args.hub_model_id, args.hub_private_repo, say)
    with one_goes_first(accelerator, accelerator.is_local_main_process):
        source = (args.dataset_name, recipe, args.streaming, args.dataset_config_name, args.label_column)
        covers, held_out = open_covers(*source)
    if isinstance(gan, GAN):
        gan.augmentation.probability = initial_probability(len(covers))
    elif len(covers) < (kinds := gan.generator.config.clusters):
        short = f"{len(covers)} covers are fewer than generator.clusters, {kinds}"
        raise UserError(f"--dataset_name {args.dataset_name}: {short}")

    folder = RunFolder(args.output_dir)
    before = folder.previous_config()
    config = RunConfig(
        recipe,
        dataset_name=public_dataset_name(args.dataset_name),
        covers=len(covers),
        held_out=len(held_out or ()),
        streaming=args.streaming,
        genres=genres,
        grown_from=grown_from,
        started_from=start.told if start else None,
        freeze_discriminator=args.freeze_discriminator,
        mixed_precision=precision(args.mixed_precision, before, accelerator.device),
        device=name_of(accelerator.device),
        processes=accelerator.num_processes,
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        digest=covers.digest() if isinstance(covers, Covers) else None,
    )
    with together(accelerator):
        if accelerator.is_main_process:
            folder.open(config)
            if grown_from and not before:
                keep_sheets(args.grow_from, folder)
    images, seconds = restore(args, gan, folder, accelerator)
    begins = accelerator.is_main_process and images < recipe.total_images
    with together(accelerator):
        if begins:
            folder.write_config(config)
    if begins:
        measured = not (images or args.streaming or recipe.phases)  # of painters it was not
        if measured and (line := what_to_expect(len(covers), start is not None)):
            say(line)

    if accelerator.num_processes > 1:
        for network in gan.learning:
            synchronise(network)
    bf16 = config.mixed_precision == "bf16"
    warm_up = start.warm_up if start else 0
    draws = start is not None and not start.sketch  # of a sketch it must still learn the scale of latents
    if start and start.sketch:
        warm_up = recipe.length("compose")  # however long that is by now
    trainer: Trainer | PhaseTrainer
    batches: Batches | PhaseBatches
    if isinstance(gan, Painter):
        assert isinstance(covers, Covers)  # see check_phases
        trainer = PhaseTrainer(gan, recipe, accelerator, bf16, frozen, warm_up, started=draws)
        batches = PhaseBatches(trainer, covers, folder.encoded)
    else:
        parts = args.gradient_accumulation_steps
        trainer = Trainer(gan, recipe, accelerator, bf16, parts, warm_up)
        batches = Batches(trainer, covers, held_out)
    evaluation, device = None, accelerator.device
    with together(accelerator):
        if accelerator.is_main_process:
            training = in_memory(covers)
            eyes = load_eyes(device) if recipe.resolution >= EYE_SIDE else None
            seen = features(args.inception, training, device)
            evaluation = Evaluation(training, held_out, seen, device, eyes=eyes)
        start_tracker(accelerator, args.output_dir, config.as_dict())
    stop = Stop(started_by)
    monitor = Monitor(trainer, folder, images, seconds, stop)
    with together(accelerator):  # what it cuts off of metrics.jsonl may be too large
        try:
            return Run(
                trainer,
                batches,
                folder,
                monitor,
                Averages(gan.ema, recipe.ema_sigma),
                stop,
                evaluation,
                args.evaluation_images or recipe.checkpointing_images,
                push,
                images,
                draws_at_start=draws,
                shares_discriminator=not args.no_discriminator,
            )
        except UserError:
            monitor.bar.close()  # so that the refusal has a line of its own
            raise


def restore(
    args: argparse.Namespace, gan: GAN | Painter, folder: RunFolder, accelerator: Accelerator
) -> tuple[int, float]:
    """Load the checkpoint that was asked for into all processes; return covers shown and seconds trained so far.

    Raises:
        UserError: it cannot be loaded, or the processes do not see the same folder.
    """
    accelerator.wait_for_everyone()
    sees_no_run = not (folder.folder / "config.json").exists()
    with one_goes_first(accelerator, accelerator.is_main_process):  # which puts a damaged checkpoint aside
        images, seconds = folder.checkpoints.load(gan, args.resume_from_checkpoint, accelerator.device)
    if len(set(gather_object([images]))) > 1 or any(gather_object([sees_no_run])):
        raise UserError(f"--output_dir {args.output_dir} must be on a disk that all machines share")
    return images, seconds


def precision(asked: str, before: dict[str, Any], device: torch.device) -> str:
    """Return "bf16" or "no": with "auto" a run goes on as it began, also on another device."""
    if asked != "auto":
        return asked
    return before.get("mixed_precision", "bf16" if can_bf16(device) else "no")


def launchers_precision(asked: str) -> str:
    """Return what to say where `accelerate launch` names another precision than this program is told; "" elsewhere.

    A launcher without one says "no", so its word cannot be followed: nobody may have meant it.
    """
    named = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if named in ("no", asked):
        return ""
    return (
        f"the launcher's mixed_precision {named} is not followed; this program's own --mixed_precision is {asked} "
        "(auto, no or bf16; name it after train.train_gan)"
    )


def check_phases(args: argparse.Namespace, recipe: Recipe) -> None:
    """Raise UserError where something was asked for that a recipe with phases, or one without, does not do."""
    if not recipe.phases:
        if args.autoencoder:
            raise UserError(f"--autoencoder: network: {recipe.network} has none")
        return
    if args.autoencoder and recipe.phases["paint"]:
        raise UserError("--autoencoder: the recipe would learn one of its own; say phases: {paint: 0, ...} in it")
    learned = args.autoencoder or recipe.phases["paint"] or args.resume_from_checkpoint != "latest" or args.start_from
    if not learned and not args.dry_run and not RunFolder(args.output_dir).previous_config():
        raise UserError("phases.paint is 0; name --autoencoder, the folder of a run that has learned to paint")
    begins = args.start_from or args.dry_run
    if recipe.generator.get("sketch_width") and not begins and not RunFolder(args.output_dir).previous_config():
        raise UserError("generator.sketch_width: there is nothing to sketch; name --start_from, a DCGAN of that width")
    asks = recipe.length("compose") + recipe.length("tune") > 0 and recipe.features != "none"  # the student
    if asks and not recipe.phases.get("distil") and not args.start_from:
        raise UserError("phases.distil is 0; name --start_from, a model whose student has learned to see")
    if recipe.refines and not recipe.phases["denoise"] and not args.start_from:
        raise UserError("phases.denoise is 0; name --start_from, a model whose judge has learned to denoise")
    if recipe.length("steer"):
        if not (recipe.class_conditional or {"clusters", "palette"} & recipe.generator.keys()):
            what = "generator.clusters, generator.palette and class_conditional are not there"
            raise UserError(f"phases.steer teaches what can be asked for, and {what}")
        composes = recipe.length("compose") + recipe.length("tune") + recipe.length("refine") > 0
        if not (composes or begins or RunFolder(args.output_dir).previous_config()):
            raise UserError("phases.steer: nothing has learned to compose; name --start_from, or phases.refine")
    for flag, why in {
        "streaming": "looks at all covers at once when it has learned to paint",
        "grow_from": "begins with the autoencoder of its own resolution",
    }.items():
        if getattr(args, flag):
            raise UserError(f"--{flag}: a recipe with phases {why}")
    if args.gradient_accumulation_steps > 1:
        raise UserError("--gradient_accumulation_steps: a recipe with phases normalises over its whole batch")


def check_shares(recipe: Recipe, processes: int, parts: int) -> None:
    """Raise UserError where a batch cannot be shared equally by so many processes, each in so many parts."""
    every = recipe.gradient_penalty_every
    if recipe.train_batch_size % (processes * parts * every):
        raise UserError(
            f"--train_batch_size {recipe.train_batch_size} cannot be shared by {processes} processes"
            + (f" in {parts} parts" if parts > 1 else "")
            + (f"; each share must be a multiple of gradient_penalty_every, {every}" if every > 1 else "")
        )
