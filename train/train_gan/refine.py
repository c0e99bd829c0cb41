"""Refine, after composing: the composer goes on against a judge that has learned to take noise off covers.

Both real and composed latents get noise of the same strength, the frozen denoiser looks at both, and small
discriminators on what it sees learn to tell them apart (Sauer et al. 2024, "Fast High-Resolution Image Synthesis with
Latent Adversarial Diffusion Distillation", section 3). With much noise only grounds and masses are left to judge, with
little of it lines and letters; and noise keeps any judge from being too sure (Wang et al. 2023, "Diffusion-GAN",
section 3). Of some covers they are told the kind, the colours or the genre; the composer learns to give what is asked,
and kinds and colours are looked at in what is painted, too (asked.py): a judge of covers hardly looks at them.

Steering, the phase that follows, takes the same steps, and of the generator only what follows from what is asked
learns: that needs longer, and covers of which nothing is asked grew no better meanwhile (train/configs/README.md).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator

from gan.losses import hinge_discriminator_loss
from gan.networks.denoiser import Denoiser, DenoiserHeads
from gan.networks.painter import PainterGenerator
from train.train_gan.asked import AskedLoss
from train.train_gan.compose import Conditions
from train.train_gan.denoise import noisy
from train.train_gan.updates import falling, update


ALONE = 9_600  # covers at the beginning, at most, for which the heads learn alone: they are new
LARGEST_STEP = 5.0  # norm of the gradient beyond which it is shortened


@dataclass
class Refining:
    """Hold everything that this phase changes, and change it step by step.

    Args:
        generator: its composer learns, and the vectors of what is asked for; what of it requires no gradient rests.
        denoiser: of the phase before; frozen.
        heads: judge what it sees.
        optimizer, heads_optimizer: of what learns in the generator, of the heads.
        autocast: the context in which networks compute.
        accelerator: the processes that share a batch.
        asked: looks for what was asked for in painted covers.
        learning_rate: of the composer's weights at the start; a twentieth of it at the end, along a cosine. Some
            of the generator learns `FASTER` times as fast, see painter.py.
        heads_learning_rate: of the heads, always.
        shift_weight: of the mean square of what is added to latents, so that covers that were asked for still differ.
        waits: whether the composer learns nothing yet.
    """

    generator: PainterGenerator
    denoiser: Denoiser
    heads: DenoiserHeads
    optimizer: torch.optim.Optimizer
    heads_optimizer: torch.optim.Optimizer
    autocast: Callable[..., Any]
    accelerator: Accelerator
    asked: AskedLoss
    learning_rate: float = 5e-5
    heads_learning_rate: float = 4e-4
    shift_weight: float = 0.04
    waits: bool = False

    def step(
        self,
        latents: torch.Tensor,
        real: torch.Tensor,
        noise: torch.Tensor,
        time: torch.Tensor,
        conditions: Conditions,
        done: float,
    ) -> dict[str, torch.Tensor]:
        """Teach the heads, then the composer.

        Args:
            latents: (N, latent_dim) normal numbers.
            real: (N, latent_channels, positions, positions) latents of covers, of unit variance.
            noise: (2, N, latent_channels, positions, positions) normal numbers, for real and composed ones.
            time: (N,) how strong that noise is, 0..1; the same for both.
            conditions: those of the real covers, which the composed ones share.
            done: share of the phase that is over, 0..1.

        Returns:
            What `metrics.jsonl` shows: the losses, the share of pairs told apart, and what `AskedLoss.missed` shows.
        """
        with torch.no_grad(), self.autocast():
            real_maps = self.denoiser.see(noisy(real, noise[0], time), time)
        with torch.set_grad_enabled(not self.waits), self.autocast():
            shift = self.generator.asked(latents, **conditions)
            composed = self.generator.composer(latents, shift).float()
            maps = self.denoiser.see(noisy(composed, noise[1], time), time)
        shown = self._teach_heads(real_maps, [found.detach() for found in maps], time, conditions)
        if not self.waits:
            shown |= self._teach_composer(composed, shift, maps, time, conditions, done)
        return shown

    def _teach_heads(
        self,
        real_maps: Sequence[torch.Tensor],
        maps: Sequence[torch.Tensor],
        time: torch.Tensor,
        conditions: Conditions,
    ) -> dict[str, torch.Tensor]:
        with self.autocast():
            judged = (self.heads(seen, time, **conditions) for seen in (real_maps, maps))
            pairs = list(zip(*judged, strict=True))
        loss = torch.stack([hinge_discriminator_loss(real, fake) for real, fake in pairs]).mean()
        self.heads_optimizer.zero_grad()
        loss.backward()
        update(self.heads_optimizer, self.heads_learning_rate, self.accelerator)
        told = torch.stack([(real.mean(1) > fake.mean(1)).float().mean() for real, fake in pairs]).mean()
        return {"loss_heads": loss.detach(), "pair_accuracy": told}

    def _teach_composer(
        self,
        composed: torch.Tensor,
        shift: torch.Tensor,
        maps: Sequence[torch.Tensor],
        time: torch.Tensor,
        conditions: Conditions,
        done: float,
    ) -> dict[str, torch.Tensor]:
        self.heads.requires_grad_(False)  # gradients pass through them; their own are not computed
        with self.autocast():
            judged = -torch.stack([logits.mean() for logits in self.heads(maps, time, **conditions)]).mean()
        loss, shown = judged + self.shift_weight * shift.square().mean(), {"loss_g_heads": judged.detach()}
        if self.asked.looks(conditions):
            with self.autocast():
                covers = self.generator.paint(composed)
            missed, measured = self.asked.missed(covers.float().clamp(-1, 1), conditions)
            loss, shown = loss + missed, shown | measured
        self.optimizer.zero_grad()
        loss.backward()
        self.heads.requires_grad_(True)
        norm = update(self.optimizer, falling(self.learning_rate, done), self.accelerator, LARGEST_STEP)
        return shown | {"gradient_norm_g": norm}
