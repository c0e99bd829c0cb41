"""Everything that a run with phases changes: the painter's networks, those that judge them, their optimisers."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gan.networks.denoiser import Denoiser, DenoiserHeads
from gan.networks.efficientnet_lite import TAPS
from gan.networks.latents import LatentDiscriminator, LatentFeatures
from gan.networks.painter import ENCODER_DEPTH, SCALE, Encoder, PainterGenerator
from gan.networks.patch import PatchDiscriminator
from gan.networks.projected import ProjectedDiscriminator
from train.cli import UserError
from train.covers import mixed_seed
from train.train_gan.recipes import Recipe


STUDENT_WIDTH, DENOISER_WIDTH = 80, 96  # channels of the two, where the recipe does not say
INITIALISATION = 2  # stream of random numbers, see data.py
# Times as fast as other weights these learn while refining and steering. The vector of a kind is asked for in few
# covers; composing with such rates was not tried.
FASTER = {"modulation": 20, "vectors": 200}


@dataclass
class Painter:
    """Hold what a checkpoint does, beside the number of covers shown.

    Args:
        generator: a composer and a decoder, and the vectors of what is asked for.
        encoder: covers to latents.
        patch_critic: judges how covers are painted.
        student: sees in latents what EfficientNet-lite0 sees in covers.
        discriminator: judges composed latents.
        heads: judge what the student sees in them.
        painted_heads: judge, while tuning, what EfficientNet-lite0 sees in covers painted from them.
        denoiser: has learned to take noise off covers' latents.
        denoiser_heads: judge, while refining, what it sees in composed latents.
        ema: copies of the generator, their weights averaged over a shorter and a longer time: one of them is shared.
    """

    generator: PainterGenerator
    encoder: Encoder
    patch_critic: PatchDiscriminator
    student: LatentFeatures
    discriminator: LatentDiscriminator
    heads: ProjectedDiscriminator
    painted_heads: ProjectedDiscriminator
    denoiser: Denoiser
    denoiser_heads: DenoiserHeads
    ema: nn.ModuleList
    painting_optimizer: torch.optim.Optimizer
    patch_optimizer: torch.optim.Optimizer
    student_optimizer: torch.optim.Optimizer
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    heads_optimizer: torch.optim.Optimizer
    painted_optimizer: torch.optim.Optimizer
    denoiser_optimizer: torch.optim.Optimizer
    denoiser_heads_optimizer: torch.optim.Optimizer

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """Return all networks, the averages included."""
        return (*self.learning, self.ema)

    @property
    def learning(self) -> tuple[nn.Module, ...]:
        """Return all networks that learn, each in its phase."""
        judges = self.patch_critic, self.discriminator, self.heads, self.painted_heads
        return self.generator, self.encoder, self.student, *judges, self.denoiser, self.denoiser_heads


def build_painter(recipe: Recipe, device: torch.device, genres: list[str]) -> Painter:
    """Return new networks and optimisers; the same seed builds the same ones.

    Raises:
        UserError: the recipe's arguments do not fit the networks.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed_seed(recipe.seed, INITIALISATION))
        try:
            networks = Networks(recipe, genres)
        except (TypeError, ValueError, ZeroDivisionError, IndexError, RuntimeError) as error:
            raise UserError(f"recipe: {error}") from error
    for network in vars(networks).values():
        move: Any = network.to  # torch's types know no `memory_format` there
        move(device, memory_format=torch.channels_last)
        network.train()
    generator = networks.generator

    def adam(parameters: Iterable[Any], betas: tuple[float, float]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, betas=betas, fused=True)

    smooth, adversarial = (0.9, 0.95), (recipe.adam_beta1, recipe.at("adam_beta2", 0))
    return Painter(
        **vars(networks),
        ema=nn.ModuleList(copy.deepcopy(generator) for _ in recipe.ema_sigma).eval().requires_grad_(False),
        painting_optimizer=adam([*networks.encoder.parameters(), *generator.decoder.parameters()], smooth),
        patch_optimizer=adam(networks.patch_critic.parameters(), (0.0, 0.95)),
        student_optimizer=adam(networks.student.parameters(), (0.9, 0.98)),
        generator_optimizer=adam(composing_groups(generator), adversarial),
        discriminator_optimizer=adam(networks.discriminator.parameters(), adversarial),
        heads_optimizer=adam(networks.heads.heads.parameters(), adversarial),
        painted_optimizer=adam(networks.painted_heads.heads.parameters(), adversarial),
        denoiser_optimizer=adam(networks.denoiser.parameters(), (0.9, 0.99)),
        denoiser_heads_optimizer=adam(networks.denoiser_heads.parameters(), adversarial),
    )


def composing_groups(generator: PainterGenerator) -> list[dict[str, Any]]:
    """Return what learns to compose, in groups for an optimiser: weights; what modulates a sketch; the vectors of what
    is asked for. `times` is how many times as fast as the first a group learns."""
    groups: dict[str, list[nn.Parameter]] = {"weights": [], "modulation": [], "vectors": []}
    for name, weight in generator.named_parameters():
        if "_embedding." in name:
            groups["vectors"].append(weight)
        elif "to_gains_and_biases" in name:
            groups["modulation"].append(weight)
        elif not name.startswith("decoder."):
            groups["weights"].append(weight)
    return [{"params": weights, "name": name, "times": 1} for name, weights in groups.items()]


class Networks:
    """Hold new networks of a recipe, on the CPU, by the names that `Painter` has for them."""

    def __init__(self, recipe: Recipe, genres: list[str]):
        judging: dict[str, Any] = dict(recipe.discriminator)
        student_width = judging.pop("student_width", STUDENT_WIDTH)
        denoiser_width = judging.pop("denoiser_width", DENOISER_WIDTH)
        if not recipe.refines:
            denoiser_width = 1  # nobody asks it
        sizes: dict[str, Any] = dict(recipe.generator)
        if "read" in recipe.phases:
            sizes.setdefault("reader_depth", 0)
        self.generator = PainterGenerator(resolution=recipe.resolution, genres=genres, **sizes)
        config = self.generator.config
        channels, positions = config.latent_channels, config.resolution // SCALE
        # without features neither learns nor judges; small ones keep the checkpoint's shape
        seen = max(16, positions)
        self.encoder = Encoder(latent_channels=channels, depth=ENCODER_DEPTH)
        self.patch_critic = PatchDiscriminator()
        self.student = LatentFeatures(latent_channels=channels, positions=seen, width=student_width)
        self.discriminator = LatentDiscriminator(
            latent_channels=channels,
            positions=positions,
            **judging,
            genres=genres,
            clusters=config.clusters,
            palette=config.palette,
        )
        widths = denoiser_width, min(256, 4 * denoiser_width)
        self.denoiser = Denoiser(channels, positions, *widths)
        self.denoiser_heads = DenoiserHeads(
            positions,
            *widths,
            channels=denoiser_width,
            genres=genres,
            clusters=config.clusters,
            palette=config.palette,
        )
        self.heads = ProjectedDiscriminator(sizes=[seen // 2**k for k in range(3)])
        self.painted_heads = ProjectedDiscriminator(TAPS, [2 * seen // 2**k for k in range(4)])
