"""One step of each network: the algorithm of a GAN on one screen."""

from dataclasses import dataclass
from functools import partial

import torch
from accelerate import Accelerator

from gan.augment import Augmentation, augment
from gan.losses import LOSSES, one_centred_penalty, zero_centred_penalty
from train.covers import to_float
from train.device import half_precision
from train.train_gan.averages import update_averages
from train.train_gan.double_backward import FastDoubleBackward
from train.train_gan.recipes import Recipe
from train.train_gan.state import GAN
from train.train_gan.updates import update


LOOKED_AT = 64  # covers that are judged at once where nothing is learned


@dataclass(frozen=True)
class Batch:
    """Hold what one step is computed from.

    Args:
        latents: (N, latent_dim) normal numbers.
        real: (N, 3, H, W) covers in -1..1 for the discriminator's step.
        others: as many other ones for the generator's, where the loss compares with real covers; else None.
        draws: how to augment in the discriminator's step and in the generator's; None: not at all.
        mix: (N, 1, 1, 1) in 0..1, where between real and generated covers WGAN-GP's penalty is taken.
        labels: (N,) int64, the genres of `real`, which the covers generated beside them share.
        other_labels: those of `others`; both are None without genres.
    """

    latents: torch.Tensor
    real: torch.Tensor
    others: torch.Tensor | None
    draws: tuple[Augmentation | None, Augmentation | None]
    mix: torch.Tensor
    labels: torch.Tensor | None = None
    other_labels: torch.Tensor | None = None

    def split(self, parts: int) -> list["Batch"]:
        """Return `parts` equal parts of the batch, one after the other."""
        size = len(self.latents) // parts
        return [self._rows(slice(i * size, (i + 1) * size)) for i in range(parts)]

    def _rows(self, rows: slice) -> "Batch":
        draw, other_draw = (draw and draw[rows] for draw in self.draws)
        others, labels, other_labels = (
            None if tensor is None else tensor[rows] for tensor in (self.others, self.labels, self.other_labels)
        )
        return Batch(
            self.latents[rows], self.real[rows], others, (draw, other_draw), self.mix[rows], labels, other_labels
        )


@dataclass(frozen=True)
class Trainer:
    """Take the steps of a recipe.

    Args:
        gan: networks and optimisers, on the accelerator's device.
        recipe: what to compute.
        accelerator: the processes that share a batch.
        bf16: activations in bfloat16; weights, losses and penalties stay float32, so nothing needs scaling.
        micro_batches: in how many parts each process computes its share, to need less memory. By hand, because
            accelerate's `accumulate()` counts for one network alone: of two, one would never be updated.
        warm_up: covers at the beginning for which only the discriminator learns, see start.py.
    """

    gan: GAN
    recipe: Recipe
    accelerator: Accelerator
    bf16: bool
    micro_batches: int = 1
    warm_up: int = 0

    def step(self, batch: Batch, images: int) -> dict[str, torch.Tensor]:
        """Teach the discriminator and, once in `discriminator_steps`, the generator.

        Args:
            batch: this process's share.
            images: real covers shown so far, for the schedules.

        Returns:
            What `metrics.jsonl` shows: losses, penalty, gradient norms, the share of pairs told apart.
        """
        recipe, gan, parts = self.recipe, self.gan, batch.split(self.micro_batches)
        every = recipe.discriminator_steps
        generator_too = (images // recipe.train_batch_size) % every == every - 1 and images >= self.warm_up
        # Covers drawn once serve both steps. The graphs of several parts would need the memory of the whole batch, and
        # beside other real covers generated ones have other genres.
        draw_once = generator_too and len(parts) == 1 and batch.other_labels is None

        measured_parts = []
        gan.discriminator_optimizer.zero_grad()
        for part in parts:
            with torch.set_grad_enabled(draw_once):
                fake = self.generate(part.latents, part.labels)
            loss, values = self.discriminator_loss(part, fake.detach(), images)
            (loss / len(parts)).backward()
            measured_parts.append(values)
        norm = self._update(gan.discriminator_optimizer, images)
        measured = _mean(measured_parts) | {"gradient_norm_d": norm}
        if not generator_too:
            return measured

        measured_parts = []
        gan.generator_optimizer.zero_grad()
        gan.discriminator.requires_grad_(False)  # gradients pass through it; its own are not computed
        for part in parts:
            labels = part.labels if part.other_labels is None else part.other_labels
            fake = fake if draw_once else self.generate(part.latents, labels)
            loss = self.generator_loss(part.others, fake, part.draws[1], labels)
            (loss / len(parts)).backward()
            measured_parts.append({"loss_g": loss.detach()})
        gan.discriminator.requires_grad_(True)
        norm = self._update(gan.generator_optimizer, images)
        update_averages(gan.ema, gan.generator, recipe, images)
        return measured | _mean(measured_parts) | {"gradient_norm_g": norm}

    def discriminator_loss(
        self, batch: Batch, fake: torch.Tensor, images: int
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return how badly real covers are told from generated ones, with the penalty, and what was measured.

        Args:
            batch: this process's share, or a part of it.
            fake: (N, 3, H, W) generated covers, detached: their graph is not needed.
            images: real covers shown so far, for the schedules.
        """
        recipe, real, labels, draw = self.recipe, batch.real, batch.labels, batch.draws[0]
        if draw is not None:
            real, fake = augment(real, draw), augment(fake, draw)
        if recipe.gradient_penalty == "zero-centred":
            real_logits, r1 = self.discriminate_and_penalise(real, labels)
            fake_logits, r2 = self.discriminate_and_penalise(fake, labels)
            penalty = r1 + r2
        else:
            real_logits, fake_logits = self.discriminate(real, labels), self.discriminate(fake, labels)
        loss = LOSSES[recipe.loss].discriminator(real_logits, fake_logits)
        shown = {"loss_d": loss.detach(), "pair_accuracy": (real_logits > fake_logits).float().mean()}
        if recipe.gradient_penalty == "one-centred":
            with FastDoubleBackward():
                penalty = one_centred_penalty(partial(self.discriminate, labels=labels), real, fake, batch.mix)
        if recipe.gradient_penalty != "none":
            shown["gradient_penalty"] = penalty.detach()
            loss = loss + recipe.at("gradient_penalty_weight", images) * penalty
        return loss, shown

    def generator_loss(
        self,
        real: torch.Tensor | None,
        fake: torch.Tensor,
        draw: Augmentation | None,
        labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return how far generated covers are from being taken for real.

        Args:
            real: (N, 3, H, W) real covers, which only relativistic losses need.
            fake: (N, 3, H, W) generated covers with their graph.
            draw: how to augment both; None: not at all.
            labels: (N,) int64, the genres of both; None without genres.
        """
        loss, real_logits = LOSSES[self.recipe.loss], None
        if loss.compares:
            assert real is not None
            with torch.no_grad():
                real_logits = self.discriminate(real if draw is None else augment(real, draw), labels)
        fake_logits = self.discriminate(fake if draw is None else augment(fake, draw), labels)
        return loss.generator(real_logits, fake_logits)

    def discriminate(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Map (N, 3, H, W) covers, and (N,) int64 genres, to (N,) logits in float32."""
        with self.autocast():
            return self.gan.discriminator(images, labels).float()

    def discriminate_and_penalise(
        self, images: torch.Tensor, labels: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (N, 3, H, W) covers, and (N,) int64 genres, to (N,) logits and the zero-centred penalty, a scalar.

        The penalty is taken at one of `gradient_penalty_every` images: the same ones however a batch is shared, as
        long as N is a multiple of that number (RuntimeError otherwise). Their logits come first.
        """
        every = self.recipe.gradient_penalty_every
        rows = images.detach().unflatten(0, (-1, every))
        genres = None if labels is None else labels.unflatten(0, (-1, every))
        # taken at the images that the discriminator sees, so augmentation needs no second derivative
        first = rows[:, 0].requires_grad_()
        with FastDoubleBackward():
            logits = self.discriminate(first, None if genres is None else genres[:, 0])
        penalty = zero_centred_penalty(logits, first)
        if every > 1:
            others = self.discriminate(rows[:, 1:].flatten(0, 1), None if genres is None else genres[:, 1:].flatten())
            logits = torch.cat((logits, others))
        return logits, penalty

    @torch.no_grad()
    def mean_logit(self, covers: torch.Tensor, labels: torch.Tensor | None = None) -> float:
        """Return the mean logit of (N, H, W, 3) uint8 covers, of (N,) int64 genres. Nothing is learned from them."""
        device, found = self.accelerator.device, []
        self.gan.discriminator.eval()
        try:
            for start in range(0, len(covers), LOOKED_AT):
                rows = slice(start, start + LOOKED_AT)
                genres = None if labels is None else labels[rows].to(device)
                found.append(self.discriminate(to_float(covers[rows].to(device)), genres))
        finally:
            self.gan.discriminator.train()
        return torch.cat(found).mean().item()

    def generate(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Map (N, latent_dim) latents, and (N,) int64 genres, to (N, 3, H, W) covers in float32."""
        with self.autocast():
            return self.gan.generator(latents, labels).float()

    def autocast(self) -> torch.autocast:
        """Return the context in which the networks run: bfloat16 where the run computes in it."""
        return half_precision(self.accelerator.device, self.bf16)

    def _update(self, optimizer: torch.optim.Optimizer, images: int) -> torch.Tensor:
        """Take Adam's step at this moment of the schedules. Returns the gradient's norm."""
        for group in optimizer.param_groups:
            group["betas"] = (self.recipe.adam_beta1, self.recipe.at("adam_beta2", images))
        return update(optimizer, self.recipe.at("learning_rate", images), self.accelerator)

    @torch.no_grad()
    def adapt_augmentation(
        self, batch: Batch, held_out: torch.Tensor, held_out_labels: torch.Tensor | None, images: int
    ) -> None:
        """Make augmentation more or less probable, by the logits of training, held-out and generated covers.

        See `AdaptiveProbability`; none of the covers is augmented here.

        Args:
            batch: of the step before. Where it holds other covers for the generator's step, those are looked at: the
                discriminator has not just learned from them.
            held_out: (N, 3, H, W) in -1..1, never trained on.
            held_out_labels: (N,) int64, the genres of `held_out`; None without genres.
            images: real covers shown since the last time.
        """
        seen = (batch.real, batch.labels) if batch.others is None else (batch.others, batch.other_labels)
        generated = self.generate(batch.latents, batch.labels)
        kinds = (seen, (held_out, held_out_labels), (generated, batch.labels))
        logits = torch.stack([self.discriminate(*kind).mean() for kind in kinds])
        train, unseen, drawn = self.accelerator.reduce(logits, "mean").tolist()
        self.gan.augmentation.update(train, unseen, drawn, images)


def _mean(parts: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the mean of each value over the parts of a batch."""
    return {name: torch.stack([values[name] for values in parts]).mean() for name in parts[0]}
