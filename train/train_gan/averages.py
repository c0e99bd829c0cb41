"""The averages of the generator's weights over time, of which one is shown and shared."""

import copy
from functools import cache

import numpy as np
import torch
from torch import nn

from gan.latents import config_of
from gan.pipeline import genres_of
from train.covers import seeded
from train.train_gan.recipes import Recipe


STATISTICS_COVERS, STATISTICS_BATCH = 2048, 128


@torch.no_grad()
def update_averages(averages: nn.ModuleList, generator: nn.Module, recipe: Recipe, images: int) -> None:
    """Average the generator's weights over time (Karras et al. 2024, "EDM2", section 3.1: a power function).

    What counts is relative to the length of the run so far, so it needs no warm-up and fits any run. A function of
    `images`, the real covers shown before this step, alone: there is nothing more to save. The averages of weights
    that rest, and need no gradient, rest, too.
    """
    now = images + recipe.train_batch_size
    since_last = recipe.train_batch_size * recipe.discriminator_steps
    for sigma, average in zip(recipe.ema_sigma, averages, strict=True):
        share = 1 - (1 - since_last / now) ** (ema_exponent(sigma) + 1)
        pairs = zip(average.parameters(), generator.parameters(), strict=True)
        averaged, learning = zip(*((ours, weight) for ours, weight in pairs if weight.requires_grad), strict=True)
        torch._foreach_lerp_(averaged, learning, share)


@cache
def ema_exponent(sigma: float) -> float:
    """Return gamma of the power function whose width is `sigma` times the run's length (Karras et al. 2024, eq. 126).

    The width of t**gamma on 0..1 is sqrt((gamma + 1) / ((gamma + 2)**2 (gamma + 3))): gamma is a cubic's largest root.
    """
    return np.roots([1, 7, 16 - sigma**-2, 12 - sigma**-2]).real.max().item()


class Averages:
    """Hold the averages ready to draw with, and which of them measured best at the last evaluation.

    Args:
        averages: copies of the generator with averaged weights, one for each of `sigmas`.
        sigmas: widths of the averages, as the recipe's `ema_sigma`.
    """

    def __init__(self, averages: nn.ModuleList, sigmas: list[float]):
        self.averages, self.sigmas = averages, sigmas
        self.chosen = 0
        self._ready: tuple[tuple[int, int], nn.Module] | None = None  # (covers shown, which average) and the network

    def choose(self, sigma: float) -> None:
        """Take note that the average of this width measured best."""
        self.chosen = self.sigmas.index(sigma)

    def all_ready(self) -> list[nn.Module]:
        """Return every average with statistics of its own."""
        return [with_standing_statistics(average) for average in self.averages]

    def keep(self, network: nn.Module, images: int) -> None:
        """Keep the chosen average, which an evaluation has made ready after `images` covers."""
        self._ready = (images, self.chosen), network

    def ready(self, images: int) -> nn.Module:
        """Return the chosen average, ready to draw with; made once for each moment of the run."""
        if self._ready is not None and self._ready[0] == (images, self.chosen):
            return self._ready[1]
        network = with_standing_statistics(self.averages[self.chosen])
        self.keep(network, images)
        return network


def mend_statistics(network: nn.Module) -> None:
    """Measure the statistics of batch normalisation anew where a batch of NaN has spoilt them for ever.

    The update of such a batch is skipped, but no later update would mend what it left in the statistics.
    """
    for norm in network.modules():
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
            continue
        if not (norm.running_mean + norm.running_var).isfinite().all():
            norm.reset_running_stats()


@torch.no_grad()
def with_standing_statistics(generator: nn.Module) -> nn.Module:
    """Return a copy of `generator` that normalises by what its own weights make of random latents of all genres.

    "Standing statistics" (Brock et al. 2019, "Large Scale GAN Training", appendix C). An average of weights never met
    a batch, and the average of the statistics that other weights met is not its own: with those, `fd_covers` of a
    DCGAN was a tenth to a sixth higher. A generator without batch normalisation is returned as it is.

    Args:
        generator: (N, latent_dim) latents, and (N,) labels where it has genres, to covers.
    """
    # of a painter the composer alone normalises
    draw = "compose" if hasattr(generator, "compose") else "forward"
    if not any(isinstance(module, nn.BatchNorm2d) for module in generator.modules()):
        return generator
    generator = copy.deepcopy(generator).train()
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
    device = next(generator.parameters()).device
    inputs = [torch.randn(STATISTICS_COVERS, config_of(generator).latent_dim, generator=seeded(0))]
    if genres := genres_of(generator):
        inputs.append(torch.arange(STATISTICS_COVERS) % (len(genres) + 1))
    for part in zip(*(tensor.to(device).split(STATISTICS_BATCH) for tensor in inputs), strict=True):
        getattr(generator, draw)(*part)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return generator.eval()
