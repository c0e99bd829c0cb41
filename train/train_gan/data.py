"""Where a run's covers come from, and the batch that each step is computed from."""

import sys
from collections.abc import Callable
from functools import partial

import torch

from gan.augment import Augmentation, draw_augmentation
from gan.latents import config_of
from gan.losses import LOSSES
from gan.pipeline_folder import check_genres
from train.cli import UserError
from train.covers import Covers, CoversError, load_covers, load_genres, seeded, send, to_float
from train.covers_stream import StreamedCovers, first_covers, stream_covers, stream_genres
from train.metrics.features import FEWEST
from train.train_gan.recipes import Recipe
from train.train_gan.steps import Batch, Trainer


RESIDENT_SHARE = 0.25  # of the free memory of a GPU that covers may take; training needs the rest
KEPT = 2048  # covers of a stream to measure against
NOT_HELD_OUT = "{}: covers are measured against those that are trained on, and no augmentation is adapted"
# Independent streams of random numbers, so that none depends on how often another was drawn from.
# (`Covers` has 0 and 1 for its orders, build.py has 2.)
LATENTS, AUGMENTATION, MIX, DROPPED_LABELS = range(3, 7)
ADAPTING_STEPS = 16  # steps between two looks at the held-out covers
# "Any" is learned from covers of all genres: the genre of one cover in ten is left out. Ho and Salimans 2022,
# "Classifier-Free Diffusion Guidance", section 4.2, found so few enough.
DROPPED = 0.1


class Batches:
    """Give the batches of a run: each a pure function of (seed, covers shown so far), so that a run goes on exactly.

    Every process draws the random numbers of the whole batch and takes its share, however many processes there are.

    Args:
        trainer: takes the steps.
        covers: the real covers, with labels where genres are learned.
        held_out: covers that are never trained on, by which the augmentation is adapted where the recipe says `auto`.
    """

    def __init__(self, trainer: Trainer, covers: Covers | StreamedCovers, held_out: Covers | None = None):
        self.recipe, self.gan, self.device = trainer.recipe, trainer.gan, trainer.accelerator.device
        self.covers, self.held_out = to_device_if_it_fits(covers, self.device), held_out
        self.size = self.recipe.train_batch_size // trainer.accelerator.num_processes
        first = trainer.accelerator.process_index * self.size
        self.share = slice(first, first + self.size)

    def at(self, images: int) -> Batch:
        """Return this process's share of the batch that follows `images` covers."""
        recipe, compares = self.recipe, LOSSES[self.recipe.loss].compares
        latent_dim, batch = config_of(self.gan.generator).latent_dim, recipe.train_batch_size
        latents = torch.randn(batch, latent_dim, generator=seeded(recipe.seed, LATENTS, images))
        mix = torch.rand(batch, 1, 1, 1, generator=seeded(recipe.seed, MIX, images))
        return Batch(
            send(latents[self.share], self.device),
            real=self._take(self.covers, images, 0),
            others=self._take(self.covers, images, 1) if compares else None,
            draws=(self._augmentation(images, 0), self._augmentation(images, 1)),
            mix=send(mix[self.share], self.device),
            labels=self._genres(self.covers, images, 0, images),
            other_labels=self._genres(self.covers, images, 1, images) if compares else None,
        )

    def held_out_at(self, images: int) -> tuple[torch.Tensor, torch.Tensor | None] | None:
        """Return as many held-out covers, and their genres, where the augmentation is to be adapted after this step.

        None at the other steps, and in runs whose augmentation is not adapted.
        """
        step = images // self.recipe.train_batch_size
        if self.recipe.augmentation != "auto" or not self.held_out or step % ADAPTING_STEPS != ADAPTING_STEPS - 1:
            return None
        position = images // ADAPTING_STEPS
        return self._take(self.held_out, position, 0), self._genres(self.held_out, position, 0, images)

    def _take(self, covers: Covers | StreamedCovers, position: int, stream: int) -> torch.Tensor:
        pixels = covers.batch(position + self.share.start, self.size, stream)
        return to_float(send(pixels, self.device)).to(memory_format=torch.channels_last)

    def _genres(self, covers: Covers | StreamedCovers, position: int, stream: int, images: int) -> torch.Tensor | None:
        labels = covers.batch_labels(position + self.share.start, self.size, stream)
        if labels is None:
            return None
        generator = seeded(self.recipe.seed, DROPPED_LABELS, images, stream)
        chance = torch.rand(self.recipe.train_batch_size, generator=generator)[self.share]
        return send(with_some_dropped(labels, chance, len(config_of(self.gan.generator).genres)), self.device)

    def _augmentation(self, images: int, network: int) -> Augmentation | None:
        recipe = self.recipe
        if recipe.augmentation == 0:
            return None
        adapts = recipe.augmentation == "auto"
        probability = self.gan.augmentation.probability if adapts else recipe.at("augmentation", images)
        generator = seeded(recipe.seed, AUGMENTATION, images, network)
        drawn = draw_augmentation(recipe.train_batch_size, probability, generator)[self.share]
        return drawn.moved(partial(send, device=self.device))


def with_some_dropped(labels: torch.Tensor, chance: torch.Tensor, any_genre: int) -> torch.Tensor:
    """Replace those of the (N,) `labels` whose `chance` (N, 0..1) is below `DROPPED` by the label of "any"."""
    return torch.where(chance < DROPPED, any_genre, labels)


def open_covers(
    dataset_name: str,
    recipe: Recipe,
    streaming: bool,
    config_name: str | None = None,
    label_column: str | None = None,
) -> tuple[Covers | StreamedCovers, Covers | None]:
    """Open the covers to train on, and those that are never trained on: None where the dataset has too few.

    Raises:
        UserError: no such dataset, or one that this recipe cannot be trained on.
    """
    read: Callable[..., Covers | StreamedCovers] = stream_covers if streaming else load_covers
    load = partial(
        read,
        dataset_name,
        recipe.resolution,
        seed=recipe.seed,
        labelled=recipe.class_conditional,
        config_name=config_name,
        label_column=label_column,
    )
    try:
        covers = load("train")
    except CoversError as error:
        raise UserError(str(error)) from error
    try:
        held_out = load("validation")
        if len(held_out) < FEWEST:
            raise CoversError(f"--dataset_name {dataset_name} holds out too few covers, {len(held_out)}")
    except CoversError as error:
        print(NOT_HELD_OUT.format(error), file=sys.stderr)
        return covers, None
    return covers, in_memory(held_out)


def genres_to_learn(
    dataset_name: str | None, streaming: bool = False, config_name: str | None = None, label_column: str | None = None
) -> list[str]:
    """Return the names of a dataset's genres in the order of their labels; nothing of a streamed one is kept.

    Raises:
        UserError: there is no dataset, or it has no genres, or such as no pipeline would take.
    """
    if dataset_name is None:
        raise UserError("--class_conditional needs --dataset_name, whose genres it learns")
    try:
        genres = (stream_genres if streaming else load_genres)(dataset_name, config_name, label_column)
        check_genres(genres)
    except CoversError as error:
        raise UserError(f"--class_conditional: {error}") from error
    except ValueError as error:
        raise UserError(f"--class_conditional: --dataset_name {dataset_name}: {error}") from error
    return genres


def in_memory(covers: Covers | StreamedCovers) -> Covers:
    """Return covers that can be looked at again and again: all of them, or the first ones of a stream.

    Raises:
        UserError: the stream breaks off.
    """
    if isinstance(covers, Covers):
        return covers
    try:
        return first_covers(covers, KEPT)
    except CoversError as error:
        raise UserError(str(error), 1) from error


def to_device_if_it_fits(covers: Covers | StreamedCovers, device: torch.device) -> Covers | StreamedCovers:
    """Return the covers in the memory of a GPU where they take little of what is free; else as they are."""
    if device.type != "cuda" or not isinstance(covers, Covers):
        return covers
    free, _ = torch.cuda.mem_get_info(device)
    fits = len(covers) * 3 * covers.resolution**2 <= RESIDENT_SHARE * free
    return covers.resident(device) if fits else covers
