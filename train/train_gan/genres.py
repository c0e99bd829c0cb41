"""Genres in training: which a dataset has, and how often a cover's is kept from the networks."""

import torch

from gan.pipeline_folder import check_genres
from train.cli import UserError
from train.covers import CoversError, load_genres
from train.covers_stream import stream_genres


# "Any" is learned from covers of all genres: that of one in ten is not told. Ho and Salimans 2022, "Classifier-Free
# Diffusion Guidance", section 4.2, found so few enough.
DROPPED = 0.1


def genres_to_learn(dataset_name: str | None, streaming: bool = False) -> list[str]:
    """The names of a dataset's genres, in the order of their labels; of one that is streamed nothing is kept.

    Raises:
        UserError: there is no dataset, or it has no genres, or such as no pipeline would take.
    """
    if dataset_name is None:
        raise UserError("--class_conditional needs --dataset_name, whose genres it learns")
    try:
        genres = stream_genres(dataset_name) if streaming else load_genres(dataset_name)
        check_genres(genres)
    except CoversError as error:
        raise UserError(f"--class_conditional: {error}") from error
    except ValueError as error:
        raise UserError(f"--class_conditional: --dataset_name {dataset_name}: {error}") from error
    return genres


def dropped(labels: torch.Tensor, chance: torch.Tensor, any_genre: int) -> torch.Tensor:
    """(N,) `labels`, those with a `chance` (N, 0..1) below `DROPPED` replaced by that of "any"."""
    return torch.where(chance < DROPPED, any_genre, labels)
