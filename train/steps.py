"""One step of each network: the algorithm of a GAN on one screen."""

from dataclasses import dataclass
from itertools import compress

import torch
from accelerate import Accelerator
from torch import nn

from gan.augment import Augmentation, augment
from gan.losses import LOSSES, one_centred_penalty, zero_centred_penalty
from train.recipes import Recipe


@dataclass
class GAN:
    """Everything that training changes: what a checkpoint holds, beside the number of images shown."""

    generator: nn.Module
    discriminator: nn.Module
    ema: nn.Module  # a copy of the generator whose weights are an average over time: the one that is shared
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer


@dataclass(frozen=True)
class Trainer:
    """Takes the steps of a recipe.

    Args:
        gan: networks and optimisers, on the accelerator's device.
        recipe: what to compute.
        accelerator: the processes that share a batch.
        bf16: activations in bfloat16; weights, losses and penalties stay float32, so nothing needs scaling.
    """

    gan: GAN
    recipe: Recipe
    accelerator: Accelerator
    bf16: bool

    def autocast(self) -> torch.autocast:
        """The context in which the networks run."""
        # no cache: a weight cast while gradients were off would be reused without its graph
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.bf16, cache_enabled=False)

    def discriminate(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) to (N,) logits in float32."""
        with self.autocast():
            return self.gan.discriminator(images).float()

    def generate(self, latents: torch.Tensor) -> torch.Tensor:
        """(N, latent_dim) to (N, 3, H, W) in float32."""
        with self.autocast():
            return self.gan.generator(latents).float()

    def discriminator_step(
        self, real: torch.Tensor, fake: torch.Tensor, draw: Augmentation | None, mix: torch.Tensor, images: int
    ) -> dict[str, torch.Tensor]:
        """Teach the discriminator to tell real covers from generated ones.

        Args:
            real, fake: (N, 3, H, W) in -1..1; `fake` without its graph.
            draw: the augmentation of both, or None.
            mix: (N, 1, 1, 1) in 0..1, where between them WGAN-GP's penalty is taken.
            images: real covers shown so far, for the schedules.

        Returns:
            What `metrics.jsonl` shows: the loss, the penalty, the share of pairs told apart.
        """
        recipe, weight = self.recipe, self.recipe.at("gradient_penalty_weight", images)
        if draw is not None:
            real, fake = augment(real, draw), augment(fake, draw)
        zero_centred = recipe.gradient_penalty == "zero-centred"
        # the penalty is taken at the images that the discriminator sees, so augmentation needs no second derivative
        real, fake = real.detach().requires_grad_(zero_centred), fake.detach().requires_grad_(zero_centred)

        real_logits, fake_logits = self.discriminate(real), self.discriminate(fake)
        loss = LOSSES[recipe.loss].discriminator(real_logits, fake_logits)
        measured = {"loss_d": loss.detach(), "pair_accuracy": (real_logits > fake_logits).float().mean()}
        if zero_centred:
            penalty = zero_centred_penalty(real_logits, real) + zero_centred_penalty(fake_logits, fake)
        elif recipe.gradient_penalty == "one-centred":
            penalty = one_centred_penalty(self.discriminate, real, fake, mix)
        if recipe.gradient_penalty != "none":
            measured["gradient_penalty"] = penalty.detach()
            loss = loss + weight * penalty
        self._update(self.gan.discriminator, self.gan.discriminator_optimizer, loss, images)
        return measured

    def generator_step(
        self, real: torch.Tensor | None, fake: torch.Tensor, draw: Augmentation | None, images: int
    ) -> dict[str, torch.Tensor]:
        """Teach the generator to be taken for real.

        `real` is needed by relativistic losses only; `fake` comes with its graph.
        """
        loss = LOSSES[self.recipe.loss]
        self.gan.discriminator.requires_grad_(False)  # gradients pass through it; its own are not computed
        real_logits = None
        if loss.compares:
            with torch.no_grad():
                real_logits = self.discriminate(real if draw is None else augment(real, draw))
        fake_logits = self.discriminate(fake if draw is None else augment(fake, draw))
        value = loss.generator(real_logits, fake_logits)
        self._update(self.gan.generator, self.gan.generator_optimizer, value, images)
        self.gan.discriminator.requires_grad_(True)
        return {"loss_g": value.detach()}

    def _update(self, network: nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor, images: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = self.recipe.at("learning_rate", images)
            group["betas"] = (self.recipe.adam_beta1, self.recipe.at("adam_beta2", images))
        optimizer.zero_grad()
        loss.backward()
        average_gradients(network, self.accelerator)
        optimizer.step()

    @torch.no_grad()
    def update_ema(self, images: int) -> None:
        """Average the generator's weights over time (Karras et al. 2024, "EDM2", section 3.1: a power function).

        What counts is relative to the length of the run so far, so it needs no warm-up and fits any run. A function of
        `images` alone: nothing to save. Batch normalisation's running statistics are averaged alike.
        """
        now = images + self.recipe.train_batch_size
        since_last = self.recipe.train_batch_size * self.recipe.discriminator_steps
        share = 1 - (1 - since_last / now) ** (ema_exponent(self.recipe.ema_sigma) + 1)
        averages, news = (list(n.state_dict().values()) for n in (self.gan.ema, self.gan.generator))
        floating = [tensor.is_floating_point() for tensor in averages]
        torch._foreach_lerp_(list(compress(averages, floating)), list(compress(news, floating)), share)
        for average, new, is_floating in zip(averages, news, floating, strict=True):
            if not is_floating:  # how many batches were seen
                average.copy_(new)


def ema_exponent(sigma: float) -> float:
    """Gamma of the power function whose width is `sigma` times the run's length (Karras et al. 2024, equation 126).

    The width of t**gamma on 0..1 is sqrt((gamma + 1) / ((gamma + 2)**2 (gamma + 3))); its inverse is a cubic's
    largest root.
    """
    low, high = 0.0, 1e4
    for _ in range(100):
        gamma = (low + high) / 2
        wide = (gamma + 1) ** 0.5 / ((gamma + 2) * (gamma + 3) ** 0.5) > sigma
        low, high = (gamma, high) if wide else (low, gamma)
    return low


def average_gradients(network: nn.Module, accelerator: Accelerator) -> None:
    """Make every process hold the mean gradient, in one exchange for the whole network.

    Done by hand because a GAN asks more of a wrapper than DDP gives without care: two networks, several passes for
    each update, second derivatives, one network's gradients passing through the other.
    """
    if accelerator.num_processes == 1:
        return
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = accelerator.reduce(torch.cat([g.flatten() for g in gradients]), "mean")
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
