"""Everything that training changes: two networks, averages of the generator, two optimisers."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gan.augment import AdaptiveProbability
from train.covers import mixed_seed
from train.train_gan.recipes import Recipe


INITIALISATION = 2  # stream of random numbers, see data.py


@dataclass
class GAN:
    """Hold what a checkpoint does, beside the number of covers shown.

    Args:
        ema: copies of the generator, their weights averaged over a shorter and a longer time: one of them is shared.
    """

    generator: nn.Module
    discriminator: nn.Module
    ema: nn.ModuleList
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    augmentation: AdaptiveProbability

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """Return all networks, the averages included."""
        return (*self.learning, self.ema)

    @property
    def learning(self) -> tuple[nn.Module, ...]:
        """Return the networks that learn."""
        return self.generator, self.discriminator


def build(recipe: Recipe, device: torch.device, genres: Sequence[str] = ()) -> GAN:
    """Return new networks and optimisers; the same seed builds the same ones. Raises UserError as `Recipe.build`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed_seed(recipe.seed, INITIALISATION))
        generator, discriminator = recipe.build(list(genres))
    networks = (generator, discriminator)
    for network in networks:
        move: Any = network.to  # torch's types know no `memory_format` there
        move(device, memory_format=torch.channels_last)
        network.train()
    ema = nn.ModuleList(copy.deepcopy(generator) for _ in recipe.ema_sigma).eval().requires_grad_(False)
    of_generator, of_discriminator = (torch.optim.Adam(network.parameters(), fused=True) for network in networks)
    return GAN(generator, discriminator, ema, of_generator, of_discriminator, AdaptiveProbability())
