"""The four phases of a painter in one run: which is at work after so many covers, and on what.

paint -> latents of all covers -> distil -> compose -> tune. Whatever a step is computed from is a function of (seed,
covers shown), and whatever it changes is in `Painter`, so a run goes on exactly where it stopped, in any phase.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from accelerate import Accelerator
from torch import nn

from gan.networks.efficientnet_lite import EfficientNetLite
from gan.networks.latents import LatentDiscriminator, LatentFeatures
from gan.networks.painter import SCALE, Encoder, PainterGenerator
from gan.networks.patch import PatchDiscriminator
from gan.networks.projected import ProjectedDiscriminator
from train.covers import Covers, mixed_seed, seeded, to_float
from train.train_gan.compose import Composing
from train.train_gan.distil import Distilling, disturbed
from train.train_gan.paint import Painting
from train.train_gan.tune import Tuning


PHASES = ("paint", "distil", "compose", "tune")
PART = 64  # pixels a side of what the autoencoder learns from
SHIFT = 2  # positions by which what the heads see is moved, at most
ENCODED_AT_ONCE = 128
# streams of random numbers, beside those of data.py and state.py
LATENTS, PARTS, NOISE, DISTURBANCES, SHIFTS, NETWORKS, ORDER = range(10, 17)


@dataclass(frozen=True)
class Schedule:
    """How many covers each phase is shown."""

    paint: int
    distil: int
    compose: int
    tune: int

    @property
    def total(self) -> int:
        """Covers shown in all phases."""
        return sum(getattr(self, phase) for phase in PHASES)

    def at(self, images: int) -> tuple[str, int, float]:
        """Return the phase after so many covers, how many of them it was shown, and the share of it that is over."""
        for phase in PHASES:
            length = getattr(self, phase)
            if images < length:
                return phase, images, images / length
            images -= length
        return PHASES[-1], self.tune, 1.0


@dataclass
class Painter:
    """Everything that a run changes: what a checkpoint holds, beside the number of covers shown.

    Args:
        ema: copies of the generator; the decoder of each is the generator's until it is tuned.
    """

    generator: PainterGenerator
    encoder: Encoder
    patch_critic: PatchDiscriminator
    student: LatentFeatures
    discriminator: LatentDiscriminator
    heads: ProjectedDiscriminator
    ema: nn.ModuleList
    painting_optimizer: torch.optim.Optimizer
    patch_optimizer: torch.optim.Optimizer
    student_optimizer: torch.optim.Optimizer
    composing_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    heads_optimizer: torch.optim.Optimizer
    tuning_optimizer: torch.optim.Optimizer


def build_painter(seed: int, averages: int, device: torch.device, **sizes: int) -> Painter:
    """Build new networks and optimisers; the same seed builds the same ones.

    Args:
        seed: of the weights.
        averages: how many of the generator are kept.
        device: where all is.
        sizes: arguments of `PainterGenerator`, and `critic_width`, `student_width`.
    """
    widths = {"width": sizes.pop("critic_width", 96)}, {"width": sizes.pop("student_width", 80)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed_seed(seed, NETWORKS))
        generator = PainterGenerator(**sizes)
        config = generator.config
        latents = {"latent_channels": config.latent_channels, "positions": config.resolution // SCALE}
        networks = {
            "generator": generator,
            "encoder": Encoder(latent_channels=config.latent_channels),
            "patch_critic": PatchDiscriminator(),
            "student": LatentFeatures(**latents, **widths[1]),
            "discriminator": LatentDiscriminator(**latents, **widths[0], clusters=config.clusters),
            "heads": ProjectedDiscriminator(sizes=[latents["positions"] // 2**k for k in range(3)]),
        }
    networks = {name: n.to(device, memory_format=torch.channels_last) for name, n in networks.items()}
    smooth, still = (0.9, 0.95), (0.0, 0.99)
    composer = [weight for name, weight in generator.named_parameters() if not name.startswith("decoder.")]
    heads = [weight for weight in networks["heads"].parameters() if weight.requires_grad]
    return Painter(
        **networks,
        ema=nn.ModuleList(copy.deepcopy(generator) for _ in range(averages)).eval().requires_grad_(False),
        painting_optimizer=torch.optim.Adam(
            [*networks["encoder"].parameters(), *generator.decoder.parameters()], betas=smooth
        ),
        patch_optimizer=torch.optim.Adam(networks["patch_critic"].parameters(), betas=(0.0, 0.95)),
        student_optimizer=torch.optim.Adam(networks["student"].parameters(), betas=(0.9, 0.98)),
        composing_optimizer=torch.optim.Adam(composer, betas=still),
        discriminator_optimizer=torch.optim.Adam(networks["discriminator"].parameters(), betas=still),
        heads_optimizer=torch.optim.Adam(heads, betas=still),
        tuning_optimizer=torch.optim.Adam(generator.decoder.parameters(), betas=smooth),
    )


def phases(painter: Painter, features: EfficientNetLite, autocast: Callable) -> dict[str, object]:
    """Return each phase by its name, ready to take steps with `step(**PhaseBatches.at(images))`.

    Args:
        painter: what they change.
        features: EfficientNet-lite0, frozen.
        autocast: the context in which networks compute.
    """
    p = painter
    return {
        "paint": Painting(
            p.encoder, p.generator.decoder, p.patch_critic, features, p.painting_optimizer, p.patch_optimizer, autocast
        ),
        "distil": Distilling(p.student, features, p.generator.paint, p.student_optimizer, autocast),
        "compose": Composing(
            p.generator,
            p.discriminator,
            p.student,
            p.heads,
            p.composing_optimizer,
            p.discriminator_optimizer,
            p.heads_optimizer,
            autocast,
        ),
        "tune": Tuning(
            p.generator, p.patch_critic, features, None, p.tuning_optimizer, p.patch_optimizer, None, autocast
        ),
    }


def order(count: int, seed: int, position: int, size: int) -> torch.Tensor:
    """Return (size,) int64, which of `count` covers follow the first `position` of an endless shuffled stream."""
    parts, end = [], position + size
    while position < end:  # a batch may span epochs
        epoch, offset = divmod(position, count)
        parts.append(_shuffled(count, seed, epoch)[offset : offset + end - position])
        position += len(parts[-1])
    return torch.cat(parts)


@lru_cache(maxsize=2)
def _shuffled(count: int, seed: int, epoch: int) -> torch.Tensor:
    return torch.randperm(count, generator=seeded(seed, ORDER, epoch))


@torch.no_grad()
def encode_all(painter: Painter, covers: Covers, autocast: Callable) -> torch.Tensor:
    """Encode all covers, and tell the generator the latents' means and deviations.

    Returns:
        (N, latent_channels, positions, positions) float16 of unit variance, in the order of the dataset: 4 KB a cover.
    """
    device, parts = painter.generator.latent_mean.device, []
    for first in range(0, len(covers), ENCODED_AT_ONCE):
        pixels = covers[range(first, min(first + ENCODED_AT_ONCE, len(covers)))]
        with autocast():
            images = to_float(pixels.to(device)).contiguous(memory_format=torch.channels_last)
            parts.append(painter.encoder(images).float().cpu())
    latents = torch.cat(parts)
    deviation, mean = torch.std_mean(latents, (0, 2, 3))
    for generator in (painter.generator, *painter.ema):
        generator.latent_mean.copy_(mean)
        generator.latent_deviation.copy_(deviation)
    return ((latents - mean[:, None, None]) / deviation[:, None, None]).half()


def freeze_what_is_done(painter: Painter, phase: str) -> None:
    """Let only the networks of a phase learn; those of the phases before judge or paint as they are."""
    learning = {
        "paint": ("encoder", "patch_critic"),
        "distil": ("student",),
        "compose": ("generator", "discriminator", "heads"),
        "tune": ("patch_critic",),
    }[phase]
    for name in ("generator", "encoder", "patch_critic", "student", "discriminator", "heads"):
        network = getattr(painter, name)
        network.train(name in learning).requires_grad_(name in learning)
    painter.generator.decoder.requires_grad_(phase in ("paint", "tune"))
    painter.heads.mixing.requires_grad_(False)


class PhaseBatches:
    """What each step is computed from, as the arguments of its phase's `step`.

    Args:
        painter: for the length of its latent vectors.
        schedule: of the run.
        covers: the real covers.
        latents: theirs, see `encode_all`; None while they are not encoded yet.
        batch_size: over all processes together.
        seed: of the run.
        accelerator: whose processes share a batch.
    """

    def __init__(
        self,
        painter: Painter,
        schedule: Schedule,
        covers: Covers,
        latents: torch.Tensor | None,
        batch_size: int,
        seed: int,
        accelerator: Accelerator,
    ):
        self.schedule, self.covers, self.latents = schedule, covers, latents
        self.batch_size, self.seed, self.device = batch_size, seed, accelerator.device
        self.config = painter.generator.config
        size = batch_size // accelerator.num_processes
        self.share = slice(accelerator.process_index * size, (accelerator.process_index + 1) * size)

    def at(self, images: int) -> dict[str, object]:
        """Return this process's share of the arguments of the step that follows `images` covers."""
        phase, _, done = self.schedule.at(images)
        indices = order(len(self.covers), self.seed, images, self.batch_size)[self.share]
        random = partial(seeded, self.seed)
        if phase == "paint":
            return {
                "covers": self._parts(indices, random(PARTS, images)),
                "noise": self._noise(random(NOISE, images)),
                "done": done,
            }
        encoded = self._send(self.latents[indices].float())
        if phase == "distil":
            number = self.share.start // len(indices)  # of this process
            return {
                "latents": self._send(disturbed(encoded.cpu(), random(DISTURBANCES, images, number))),
                "done": done,
            }
        latents = torch.randn(self.batch_size, self.config.latent_dim, generator=random(LATENTS, images))
        latents = self._send(latents[self.share])
        if phase == "compose":
            down, right = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=random(SHIFTS, images)).tolist()
            return {"latents": latents, "real": encoded, "shifts": (down, right), "conditions": {}}
        return {"latents": latents, "covers": self._send(to_float(self.covers[indices])), "encoded": encoded}

    def _parts(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Cut a random part out of each cover."""
        side = self.config.resolution
        part = min(PART, side)
        corners = torch.randint(0, side - part + 1, (self.batch_size, 2), generator=generator)[self.share].tolist()
        covers = self.covers[indices]
        parts = [c[y : y + part, x : x + part] for c, (y, x) in zip(covers, corners, strict=True)]
        return self._send(to_float(torch.stack(parts)))

    def _noise(self, generator: torch.Generator) -> torch.Tensor:
        side = min(PART, self.config.resolution) // SCALE
        noise = torch.randn(self.batch_size, self.config.latent_channels, side, side, generator=generator)
        return self._send(noise[self.share])

    def _send(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim < 4:
            return tensor.to(self.device)
        return tensor.to(self.device).contiguous(memory_format=torch.channels_last)
