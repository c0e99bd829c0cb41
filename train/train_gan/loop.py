"""The training loop: step after step, and what is due every so many covers."""

from collections.abc import Iterator
from functools import partial

import torch

from train.cli import UserError
from train.train_gan.averages import mend_statistics
from train.train_gan.data import ADAPTING_STEPS, Batches
from train.train_gan.film import has_film, make_film
from train.train_gan.judge import draw, evaluate, look_for_copies
from train.train_gan.phases import PhaseBatches, PhaseTrainer
from train.train_gan.run import Run
from train.train_gan.steps import Trainer


NOT_FINITE = (
    "the weights are no longer finite; start again in a new --output_dir with a lower --learning_rate, from the "
    "beginning or from a checkpoint (--resume_from_checkpoint)"
)


def steps(
    trainer: Trainer | PhaseTrainer, batches: Batches | PhaseBatches, images: int
) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
    """Take steps until the covers of the recipe are shown.

    Everything random is a function of (seed, images), so a run goes on exactly where it stopped.

    Args:
        trainer: takes the steps.
        batches: what they are computed from.
        images: covers shown so far.

    Yields:
        After each step, the covers shown and what was measured.
    """
    size = trainer.recipe.train_batch_size
    while images < trainer.recipe.total_images:
        measured = _step(trainer, batches, images)
        images += size
        yield images, measured


def _step(trainer: Trainer | PhaseTrainer, batches: Batches | PhaseBatches, images: int) -> dict[str, torch.Tensor]:
    """Take the step that follows `images` covers; trainer and batches are of the same kind of recipe."""
    if isinstance(trainer, PhaseTrainer):
        assert isinstance(batches, PhaseBatches)
        return trainer.step(batches.at(images), images)
    assert isinstance(batches, Batches)
    batch = batches.at(images)
    measured = trainer.step(batch, images)
    if held_out := batches.held_out_at(images):
        trainer.adapt_augmentation(batch, *held_out, images=ADAPTING_STEPS * trainer.recipe.train_batch_size)
    return measured


def loop(run: Run) -> str:
    """Train until all covers are shown or somebody asks to stop; return the program's last line."""
    with run.monitor.bar:  # closed before the last line, whatever that says
        catch_up(run)
        if not prepare(run):
            for images, measured in steps(run.trainer, run.batches, run.images):
                if after_step(run, images, measured) or prepare(run):
                    break
        return finish(run)


def prepare(run: Run) -> bool:
    """Compute what the next step needs and takes minutes, such as the latents of all covers; return whether somebody
    asked to stop meanwhile, so that it was left."""
    batches = run.batches
    if isinstance(batches, Batches) or not batches.lacks(run.images):
        return False
    with run.monitor.pause():
        run.stop.in_time(batches.prepare)
    return batches.lacks(run.images)


def after_step(run: Run, images: int, measured: dict[str, torch.Tensor]) -> bool:
    """Do what is due after the step that showed the cover number `images`; return whether to stop."""
    recipe, size = run.trainer.recipe, run.trainer.recipe.train_batch_size
    run.images = images
    run.monitor.step(images, measured)
    saves = is_due(images, size, recipe.checkpointing_images)
    if saves:  # first, because measuring takes long
        save_checkpoint(run)
    if is_due(images, size, run.evaluation_images):
        evaluate(run)
    if saves:
        draw(run)
    if run.stop.agreed(run.trainer.accelerator, images // size):
        return True
    if (
        saves and run.push and recipe.draws(images) and images < recipe.total_images
    ):  # else `finish` sends it, with all else
        run.push.start(images)
    return False


def is_due(images: int, size: int, interval: int) -> bool:
    """Return whether the step of `size` covers that ended at `images` reached or passed a multiple of `interval`."""
    return images // interval > (images - size) // interval


def catch_up(run: Run) -> None:
    """Measure and draw, before the first step, what a run that was ended in the middle of it still lacks.

    A run that starts from a model begins with a measurement and a sheet of that.
    """
    if not run.is_main or run.start >= run.trainer.recipe.total_images or (not run.start and not run.draws):
        return
    since = run.start // run.evaluation_images - max(run.measured, 0) // run.evaluation_images
    if since or (not run.start and run.measured < 0):
        evaluate(run)
    if run.drawn != (run.start, run.averages.chosen):
        draw(run)


def save_checkpoint(run: Run) -> None:
    """Write all that the run needs to go on exactly.

    Raises:
        UserError: the weights are not finite, or learn no more: such ones must not replace good ones.
    """
    networks = run.trainer.gan.networks
    if not all(weight.isfinite().all() for network in networks for weight in network.parameters()):
        raise UserError(NOT_FINITE, 1)
    run.monitor.check_updates(run.images)
    for network in networks:
        mend_statistics(network)
    with run.monitor.pause():
        if run.is_main:
            run.folder.checkpoints.save(run.trainer.gan, run.images, run.monitor.seconds)
        run.trainer.accelerator.wait_for_everyone()
    run.saved = run.images


def finish(run: Run) -> str:
    """Measure a run that is done and save what is not saved yet; return the program's last line.

    A run that was killed when all covers were shown gets here what is missing.
    """
    folder, done = run.folder.folder, run.images >= run.trainer.recipe.total_images
    run.monitor.bar.set_description("measuring and saving")
    if run.saved != run.images:
        save_checkpoint(run)
    if done and run.measured != run.images:
        evaluate(run)
    if run.images and run.drawn != (run.images, run.averages.chosen):
        draw(run)
    if not run.is_main:
        return ""
    rate = (run.images - run.start) / (run.monitor.seconds - run.monitor.seconds_before)
    if done and run.evaluation and not run.stop.asked() and not run.folder.has_copies(run.images):
        look_for_copies(run)
    if not has_film(folder):
        run.monitor.attempt("the film", partial(make_film, folder))
    if run.push and run.trainer.recipe.draws(run.images):
        run.push.last(run.images)
    if run.images == run.start:
        return f"{folder}: already shown {run.images:,} covers; raise --total_images to go on"
    line = f"{folder}: {'done' if done else 'stopped'} after {run.images:,} covers, {rate:.0f} a second"
    if not run.trainer.recipe.draws(run.images):
        return f"{line}; it has begun to learn how covers are painted, and composes none of its own yet"
    return f"{line}; play with it: python app.py --model {folder / 'pipeline'}"


def rescue(run: Run) -> None:
    """Save what a stream that broke off would lose. Of several processes the others would be waited for."""
    if run.trainer.accelerator.num_processes == 1 and run.saved != run.images:
        save_checkpoint(run)
