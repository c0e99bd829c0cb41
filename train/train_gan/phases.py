"""The phases of a painter in one run: which is at work after so many covers, and on what.

paint -> latents of all covers -> distil -> denoise -> read -> compose -> tune -> refine -> steer -> finish. Whatever a
step is computed from is a function of (seed, covers shown), and whatever it changes is in `Painter`, so a run goes
on exactly where it stopped, in any phase.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from gan.augment import draw_augmentation
from gan.networks.efficientnet_lite import EfficientNetLite, load_efficientnet_lite
from gan.networks.painter import SCALE, PainterGenerator, SketchedComposer
from train.cli import UserError
from train.covers import Covers, seeded, send, to_float, to_uint8
from train.device import half_precision
from train.train_gan.asked import AskedLoss
from train.train_gan.averages import update_averages
from train.train_gan.compose import Composing, Conditions
from train.train_gan.data import with_some_dropped
from train.train_gan.denoise import Denoising, noisy
from train.train_gan.distil import Distilling, disturbed
from train.train_gan.encoded import Encoded, digest_of, encode, read, write
from train.train_gan.finish import Finishing
from train.train_gan.paint import Painting
from train.train_gan.painter import FASTER, Painter
from train.train_gan.read import Reading
from train.train_gan.recipes import Recipe
from train.train_gan.refine import ALONE, Refining
from train.train_gan.steps import LOOKED_AT
from train.train_gan.tune import PaintedJudge


PART = 64  # pixels a side of what the autoencoder learns from
SEEN_AT = 0.3  # how strong the noise is through which a refining judge is asked about covers
SHIFT = 2  # positions by which what the heads see is moved, at most
# share of covers whose kind, or colours, are told; "any" learns from the rest
TOLD = {
    "compose": {"clusters": 0.5, "palette": 0.3},
    "refine": {"clusters": 0.5, "palette": 0.4},
    "steer": {"clusters": 0.6, "palette": 0.6},
}
LEARNING = {  # in each phase; those of the phases before judge or paint as they are
    "paint": ("encoder", "patch_critic"),
    "distil": ("student",),
    "compose": ("generator", "discriminator", "heads"),
    "tune": ("generator", "discriminator", "heads", "painted_heads"),
    "denoise": ("denoiser",),
    "read": ("generator",),
    "refine": ("generator", "denoiser_heads"),
    "steer": ("generator", "denoiser_heads"),  # of the generator what is asked for alone, see `_let_learn`
    "finish": ("patch_critic",),  # and the decoder, see `_let_learn`
}
# how a composer that began with a sketch goes on, where it does: it has learned already
GENTLY: dict[str, Any] = {"composer_share": 0.2, "heads_weight": 0.05}
AUGMENTATION = 0.5  # probability of each transformation of what is judged by its painting
# Streams of random numbers, beside those of data.py and encoded.py.
LATENTS, PARTS, NOISE, DISTURBANCES, SHIFTS, DROPPED, AUGMENTED, TIMES = range(10, 18)

Step = Painting | Distilling | Denoising | Reading | Composing | Refining | Finishing


@dataclass(frozen=True)
class PhaseBatch:
    """Hold what one step is computed from: the arguments of its phase's `step`."""

    phase: str
    arguments: dict[str, Any]


@dataclass
class PhaseTrainer:
    """Take the steps of a recipe with phases, as `steps.Trainer` does of the others.

    Args:
        gan: networks and optimisers, on the accelerator's device.
        recipe: what to compute.
        accelerator: the processes that share a batch.
        bf16: activations in bfloat16; weights, losses and penalties stay float32.
        features: EfficientNet-lite0, frozen, on the same device; None does without.
        warm_up: composed covers at the beginning for which only the discriminators learn, see start.py.
        started: whether the generator has been told the scale of latents by the run that it comes from.
    """

    gan: Painter
    recipe: Recipe
    accelerator: Accelerator
    bf16: bool
    features: EfficientNetLite | None = None
    warm_up: int = 0
    started: bool = False
    learning: str = field(default="", init=False)  # the phase whose networks may learn
    painted: PaintedJudge | None = field(default=None, init=False)  # judges while tuning

    def __post_init__(self) -> None:
        p, each = self.gan, (self.autocast, self.accelerator)
        sees = self.features is not None
        composing = Composing(
            p.generator,
            p.discriminator,
            p.student if sees else None,
            p.heads if sees else None,
            p.generator_optimizer,
            p.discriminator_optimizer,
            p.heads_optimizer if sees else None,
            *each,
            penalty_every=self.recipe.gradient_penalty_every,
            **(GENTLY if p.generator.config.sketch_width else {}),
        )
        refining = Refining(
            p.generator,
            p.denoiser,
            p.denoiser_heads,
            p.generator_optimizer,
            p.denoiser_heads_optimizer,
            *each,
            AskedLoss(self.autocast, self.features),
        )
        self.phases: dict[str, Step] = {
            "paint": Painting(
                p.encoder,
                p.generator.decoder,
                p.patch_critic,
                self.features,
                p.painting_optimizer,
                p.patch_optimizer,
                *each,
            ),
            "denoise": Denoising(p.denoiser, p.denoiser_optimizer, *each),
            "read": Reading(p.generator, p.encoder, p.generator_optimizer, *each),
            "compose": composing,
            "refine": refining,
            "steer": refining,
            "finish": Finishing(
                p.generator,
                p.encoder,
                p.patch_critic,
                self.features,
                p.painting_optimizer,
                p.patch_optimizer,
                *each,
            ),
        }
        if self.features is not None:
            paint = p.generator.paint
            self.painted = PaintedJudge(paint, self.features, p.painted_heads, p.painted_optimizer, *each)
            self.phases["distil"] = Distilling(p.student, self.features, paint, p.student_optimizer, *each)
            self.phases["tune"] = replace(composing, painted=self.painted)

    def step(self, batch: PhaseBatch, images: int) -> dict[str, torch.Tensor]:
        """Let the networks of a phase learn.

        Args:
            batch: this process's share.
            images: real covers shown so far, for the schedules.

        Returns:
            What `metrics.jsonl` shows.
        """
        recipe = self.recipe
        self._let_learn(batch.phase)
        composed = images - recipe.before_composing
        if 0 <= composed + recipe.length("read") < recipe.train_batch_size and not self.started:
            self._read_sketch()
        for phase in self.phases.values():
            if isinstance(phase, Composing):
                phase.learning_rate = recipe.at("learning_rate", images)
                phase.penalty_weight = recipe.at("gradient_penalty_weight", images)
                phase.waits = composed < self.warm_up
        shown = recipe.phase(images).shown
        if shown < recipe.train_batch_size:  # what moments there are, are those of gradients of another kind
            if batch.phase in ("compose", recipe.first_refining):
                self.gan.generator_optimizer.state.clear()
            if batch.phase == "finish":
                self.gan.painting_optimizer.state.clear()
        refining = self.phases["refine"]
        assert isinstance(refining, Refining)
        refined = shown + (recipe.length("refine") if batch.phase == "steer" else 0)
        refining.waits = refined < min(ALONE, recipe.length(recipe.first_refining or "") // 10)
        measured = self.phases[batch.phase].step(**batch.arguments)
        if batch.phase == "read":
            for average in self.gan.ema:
                average.load_state_dict(self.gan.generator.state_dict())
        if batch.phase in ("compose", "tune") and composed >= self.warm_up:
            update_averages(self.gan.ema, self.gan.generator, recipe, composed)
        if batch.phase in ("refine", "steer") and not refining.waits:
            composes = recipe.length("compose") + recipe.length("tune") > 0
            update_averages(self.gan.ema, self.gan.generator, recipe, composed if composes else refined)
        if batch.phase == "finish":
            self._let_averages_paint()
        return measured

    def _read_sketch(self) -> None:
        """Let a sketch be read as covers are, now that the autoencoder and the scale of its latents are known."""
        p = self.gan
        if isinstance(p.generator.composer, SketchedComposer):
            p.generator.composer.read_as(p.encoder, p.generator.latent_mean, p.generator.latent_deviation)
            for average in p.ema:
                average.load_state_dict(p.generator.state_dict())

    def _let_learn(self, phase: str) -> None:
        if phase == self.learning:
            return
        for network in self.gan.learning:
            network.eval().requires_grad_(False)
        for name in LEARNING[phase]:
            getattr(self.gan, name).train().requires_grad_(True)
        self.gan.generator.decoder.requires_grad_(phase in ("paint", "finish"))
        for group in self.gan.generator_optimizer.param_groups:
            group["times"] = FASTER.get(group["name"], 1) if phase in ("refine", "steer") else 1
            if phase == "steer" and group["name"] == "weights":  # covers of which nothing is asked stay as they are
                for weight in group["params"]:
                    weight.requires_grad_(False)
        if phase == "steer":
            self.gan.generator.eval()  # what batches are normalised by rests, too
        if phase in ("compose", "tune", "refine", "steer", "finish"):
            self._let_averages_paint()
        self.learning = phase

    def _let_averages_paint(self) -> None:
        """Let each average paint as was learned."""
        for average in self.gan.ema:
            assert isinstance(average, PainterGenerator)
            average.decoder.load_state_dict(self.gan.generator.decoder.state_dict())

    @torch.no_grad()
    def mean_logit(self, covers: torch.Tensor, labels: torch.Tensor | None = None) -> float:
        """Return the mean logit of (N, H, W, 3) uint8 covers, of (N,) int64 genres. Nothing is learned from them.

        It is the discriminator's; where nothing is composed, that of the heads with which refining judges.
        """
        judge = self.gan.discriminator if self.recipe.length("compose") else self._refining_logits
        found, inputs = [], [covers] if labels is None else [covers, send(labels, self.accelerator.device)]
        parts: Iterable[tuple[torch.Tensor, ...]] = zip(*(tensor.split(LOOKED_AT) for tensor in inputs), strict=True)
        for pixels, *genres in parts:
            with self.autocast():
                found.append(judge(self._encode(pixels), *genres))
        return torch.cat(found).mean().item()

    def _refining_logits(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Return (N,) logits of N covers' latents, behind a little noise."""
        heads = self.gan.denoiser_heads
        learning = heads.training
        heads.eval()  # or spectral normalisation would go on, here and not in another process
        time = torch.full((len(latents),), SEEN_AT, device=latents.device)
        noise = torch.randn(latents.shape, generator=seeded(0)).to(latents.device)
        try:
            return torch.cat(heads(self.gan.denoiser.see(noisy(latents, noise, time), time), time, labels), 1).mean(1)
        finally:
            heads.train(learning)

    @torch.no_grad()
    def repaint(self, covers: torch.Tensor) -> torch.Tensor:
        """Encode and paint (N, H, W, 3) uint8 covers: what the painter makes of them, of the same shape."""
        with self.autocast():
            return to_uint8(self.gan.generator.decoder(self.gan.encoder(self._to_device(covers))).float())

    def autocast(self) -> torch.autocast:
        """Return the context in which the networks run: bfloat16 where the run computes in it."""
        return half_precision(self.accelerator.device, self.bf16)

    def _to_device(self, covers: torch.Tensor) -> torch.Tensor:
        return to_float(send(covers, self.accelerator.device)).contiguous(memory_format=torch.channels_last)

    def _encode(self, covers: torch.Tensor) -> torch.Tensor:
        with self.autocast():
            latents = self.gan.encoder(self._to_device(covers)).float()
        return self.gan.generator.normalise(latents)


def load_features(recipe: Recipe, device: torch.device) -> EfficientNetLite | None:
    """Return the frozen network that a recipe names. Raises UserError where its package is not installed."""
    if recipe.features == "none":
        return None
    try:
        return load_efficientnet_lite(0).to(device)
    except ModuleNotFoundError as error:
        raise UserError(f"features: {error}; painter-128-plain does without") from error


class PhaseBatches:
    """Give what each step is computed from, as `data.Batches` does for the other recipes.

    Args:
        trainer: takes the steps.
        covers: the real covers, with labels where genres are learned.
        cache: where their latents are kept; None: nowhere.
    """

    def __init__(self, trainer: PhaseTrainer, covers: Covers, cache: Path | None = None):
        self.trainer, self.covers, self.cache = trainer, covers, cache
        self.recipe, self.config = trainer.recipe, trainer.gan.generator.config
        accelerator = trainer.accelerator
        self.device, self.batch_size = accelerator.device, self.recipe.train_batch_size
        size = self.batch_size // accelerator.num_processes
        self.share = slice(accelerator.process_index * size, (accelerator.process_index + 1) * size)
        self.encoded: Encoded | None = None

    def lacks(self, images: int) -> bool:
        """Return whether the step that follows `images` covers reads latents, and they are not here yet."""
        return self.encoded is None and self.recipe.phase(images).name != "paint"

    def at(self, images: int) -> PhaseBatch:
        """Return this process's share of the batch that follows `images` covers."""
        phase, _, done = self.recipe.phase(images)
        indices = self.covers.indices(images, self.batch_size)
        arguments: dict[str, Any] = getattr(self, f"_{phase}")(images, indices)
        return PhaseBatch(phase, arguments | ({"done": done} if phase not in ("compose", "tune") else {}))

    def _paint(self, images: int, indices: torch.Tensor) -> dict[str, object]:
        """Cut a random part out of each cover, and draw noise for its latents."""
        side = self.config.resolution
        part = min(PART, side)
        places = torch.randint(0, side - part + 1, (self.batch_size, 2), generator=self._random(PARTS, images))
        covers, corners = self.covers[indices[self.share]], places[self.share].tolist()
        parts = torch.stack([c[y : y + part, x : x + part] for c, (y, x) in zip(covers, corners, strict=True)])
        shape = (self.batch_size, self.config.latent_channels, part // SCALE, part // SCALE)
        return {
            "covers": self._send(to_float(parts)),
            "noise": self._send(torch.randn(shape, generator=self._random(NOISE, images))[self.share]),
        }

    def _distil(self, images: int, indices: torch.Tensor) -> dict[str, object]:
        latents = self._latents(indices)  # of the whole batch, whose covers mix
        return {"latents": self._send(disturbed(latents, self._random(DISTURBANCES, images))[self.share])}

    def _compose(self, images: int, indices: torch.Tensor) -> dict[str, object]:
        down, right = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=self._random(SHIFTS, images)).tolist()
        return {
            "latents": self._normal(images),
            "real": self._send(self._latents(indices[self.share])),
            "shifts": (down, right),
            "conditions": self._conditions(images, indices, TOLD["compose"]),
        }

    def _denoise(self, images: int, indices: torch.Tensor) -> dict[str, object]:
        real = self._latents(indices[self.share])
        return {"real": self._send(real)} | self._noise(images, 1, 0.0, 1.0)

    def _refine(self, images: int, indices: torch.Tensor, phase: str = "refine") -> dict[str, object]:
        real = self._send(self._latents(indices[self.share]))
        asked = {"latents": self._normal(images), "conditions": self._conditions(images, indices, TOLD[phase])}
        return asked | {"real": real} | self._noise(images, 2, -0.4, 1.2)

    def _steer(self, images: int, indices: torch.Tensor) -> dict[str, object]:
        return self._refine(images, indices, "steer")

    def _noise(self, images: int, sets: int, middle: float, deviation: float) -> dict[str, object]:
        """Draw noise for as many sets of latents, and how strong it is: most often middling, the sigmoid of a normal
        number (Esser et al. 2024, "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis", 3.1)."""
        positions = self.config.resolution // SCALE
        shape = (sets, self.batch_size, self.config.latent_channels, positions, positions)
        noise = torch.randn(shape, generator=self._random(NOISE, images))[:, self.share]
        normal = torch.randn(self.batch_size, generator=self._random(TIMES, images))
        time = (middle + deviation * normal).sigmoid()[self.share]
        return {"noise": self._send(noise if sets > 1 else noise[0]), "time": self._send(time)}

    def _finish(self, images: int, indices: torch.Tensor) -> dict[str, object]:
        parts = self._paint(images, indices)
        positions, seen = (side // SCALE for side in (self.config.resolution, min(PART, self.config.resolution)))
        top, left = torch.randint(0, positions - seen + 1, (2,), generator=self._random(SHIFTS, images)).tolist()
        return parts | {"latents": self._normal(images), "corner": (top, left)}

    def _read(self, images: int, indices: torch.Tensor) -> dict[str, object]:
        return {"latents": self._normal(images)}

    def _tune(self, images: int, indices: torch.Tensor) -> dict[str, object]:
        seen = torch.arange(self.batch_size)[self.share][:: Composing.painted_every]
        draw = draw_augmentation(self.batch_size, AUGMENTATION, self._random(AUGMENTED, images))
        return self._compose(images, indices) | {"draw": draw[seen].moved(self._send)}

    def _conditions(self, images: int, indices: torch.Tensor, kept: dict[str, float]) -> Conditions:
        """Draw what is asked of each cover: its own genre, kind and colours, or any; `kept` says how often its own."""
        config, conditions = self.config, {}
        chance = torch.rand(3, self.batch_size, generator=self._random(DROPPED, images))
        if config.genres:
            assert self.covers.labels is not None
            labels = self.covers.labels[indices]
            conditions["labels"] = with_some_dropped(labels, chance[0], len(config.genres))
        if config.clusters:
            told = chance[1] < kept["clusters"]
            conditions["clusters"] = torch.where(told, self._encoded().clusters[indices], config.clusters)
        if config.palette:
            told = chance[2] < kept["palette"]
            conditions["palette"] = self._encoded().palettes[indices] * told[:, None]
        return {name: self._send(value[self.share]) for name, value in conditions.items()}

    def _normal(self, images: int) -> torch.Tensor:
        shape = (self.batch_size, self.config.latent_dim)
        return self._send(torch.randn(shape, generator=self._random(LATENTS, images))[self.share])

    def _latents(self, indices: torch.Tensor) -> torch.Tensor:
        return self._encoded().latents[indices].float()

    def _encoded(self) -> Encoded:
        if self.encoded is None:
            self.prepare()
        assert self.encoded is not None
        return self.encoded

    def prepare(self) -> None:
        """Read the latents of all covers, or compute them; the main process does so for all of one machine."""
        trainer, digest = self.trainer, digest_of(self.trainer.gan, self.covers)
        with trainer.accelerator.local_main_process_first():
            if self.cache is not None:
                self.encoded = read(self.cache, digest)
            if self.encoded is None:
                told = trainer.gan.generator if trainer.started else None
                scale = told and (told.latent_mean.cpu(), told.latent_deviation.cpu())
                self.encoded = encode(trainer.gan, self.covers, trainer.features, trainer.autocast, scale)
                if self.cache is not None and trainer.accelerator.is_main_process:
                    write(self.encoded, self.cache, digest)
        self.encoded.tell(trainer.gan)
        if trainer.features is not None and self.config.clusters:
            refining = trainer.phases["refine"]
            assert isinstance(refining, Refining) and trainer.painted is not None
            refining.asked.kinds = trainer.painted.kinds = self.encoded.kinds(self.device)

    def _random(self, stream: int, images: int) -> torch.Generator:
        return seeded(self.recipe.seed, stream, images)

    def _send(self, tensor: torch.Tensor) -> torch.Tensor:
        tensor = send(tensor, self.device)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
