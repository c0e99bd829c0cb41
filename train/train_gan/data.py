"""Where a run's covers come from, and how they reach the device."""

import sys

import torch

from train.cli import UserError
from train.covers import Covers, CoversError, load_covers
from train.covers_stream import StreamedCovers, first_covers, stream_covers
from train.metrics.features import FEWEST
from train.train_gan.recipes import Recipe


RESIDENT_SHARE = 0.25  # of the free memory of a GPU that covers may take; training needs the rest
KEPT = 2048  # covers of a stream to measure against
NOT_HELD_OUT = "{}: covers are measured against those that are trained on, and no augmentation is adapted"


def open_covers(dataset_name: str, recipe: Recipe, streaming: bool) -> tuple[Covers | StreamedCovers, Covers | None]:
    """The covers to train on, and those that are never trained on; None where the dataset has too few.

    Raises:
        UserError: no such dataset, or one that this recipe cannot be trained on.
    """
    how = stream_covers if streaming else load_covers

    def opened(split: str) -> Covers | StreamedCovers:
        return how(dataset_name, recipe.resolution, split, recipe.seed, labelled=recipe.class_conditional)

    try:
        covers = opened("train")
    except CoversError as error:
        raise UserError(str(error)) from error
    try:
        held_out = opened("validation")
        if len(held_out) < FEWEST:
            raise CoversError(f"--dataset_name {dataset_name} holds out too few covers, {len(held_out)}")
    except CoversError as error:
        print(NOT_HELD_OUT.format(error), file=sys.stderr)
        return covers, None
    return covers, known(held_out)


def known(covers: Covers | StreamedCovers) -> Covers:
    """Covers to compare with again and again: all, or the first ones of a stream.

    Raises:
        UserError: a stream that breaks off.
    """
    if isinstance(covers, Covers):
        return covers
    try:
        return first_covers(covers, KEPT)
    except CoversError as error:
        raise UserError(str(error), 1) from error


def near(covers: Covers | StreamedCovers, device: torch.device) -> Covers | StreamedCovers:
    """The covers in the memory of a GPU, where they take little of what is free; else as they are."""
    if device.type != "cuda" or not isinstance(covers, Covers):
        return covers
    free, _ = torch.cuda.mem_get_info(device)
    fits = len(covers) * 3 * covers.resolution**2 <= RESIDENT_SHARE * free
    return covers.resident(device) if fits else covers
