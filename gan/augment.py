"""Augment covers before the discriminator sees them, differentiably: "Training Generative Adversarial Networks with
Limited Data" (Karras et al. 2020, https://arxiv.org/abs/2006.06676, appendix B), of which what suits covers is taken.

The discriminator sees only augmented covers, real and generated ones alike, so it cannot learn a small dataset by
heart; as long as each transformation is left out often enough, the generator still learns the covers themselves
(section 2.2).
No mirroring and no turning by 90 degrees: covers carry text.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Augmentation:
    """Hold the transformations drawn for a batch: both members of a real/generated pair get the same ones.

    Args:
        geometry: (N, 2, 3) affine maps from output to input coordinates, as `F.affine_grid` takes them.
        colour: (N, 3, 4) affine maps of RGB in -1..1.
        cutout: (N, 3) centre x, centre y in -1..1 and half the side (0: nothing is cut out).
    """

    geometry: torch.Tensor
    colour: torch.Tensor
    cutout: torch.Tensor

    def __getitem__(self, part: slice | torch.Tensor) -> "Augmentation":
        return Augmentation(self.geometry[part], self.colour[part], self.cutout[part])

    def moved(self, send: Callable[[torch.Tensor], torch.Tensor]) -> "Augmentation":
        """Return the same transformations with each tensor passed through `send`, which moves it to a device."""
        return Augmentation(send(self.geometry), send(self.colour), send(self.cutout))


def initial_probability(covers: int) -> float:
    """Return the probability to begin with: 0.29 for 5,000 covers, 0.15 for 50,000, none from 100,000 on.

    The rule of thumb of lightweight-gan (Phil Wang, 2020), from its author's trials.
    """
    return max(0.0, min(0.5, (100_000 - covers) * 3e-6))


class AdaptiveProbability:
    """Adapt how often covers are augmented to how well held-out ones are recognised (Karras et al. 2020, section 3.1).

    A discriminator that learns its training covers by heart takes held-out ones for generated ones. The paper's r_v
    measures that: 0 where held-out covers get the logits of training covers, 1 where they get those of generated ones.
    It compares logits only with each other, so it suits relativistic losses, whose logits have no zero.

    Args:
        probability: to begin with.
    """

    TARGET = 0.6  # section 3.1
    IMAGES = 500_000  # section 3.1: from 0 to 1 while as many are shown
    MOST = 0.8  # section 3.2: beyond, what the augmentation does begins to show in the generated covers

    def __init__(self, probability: float = 0.0):
        self.probability = probability
        self.r_v = 0.0

    def update(self, train: float, held_out: float, generated: float, images: int) -> None:
        """Follow the mean logits of training, held-out and generated covers, `images` covers after the last call."""
        # a discriminator that does not tell training covers from generated ones has learnt nothing by heart
        self.r_v = (train - held_out) / (train - generated) if train > generated else 0.0
        step = images / self.IMAGES if self.r_v > self.TARGET else -images / self.IMAGES
        self.probability = min(self.MOST, max(0.0, self.probability + step))

    def state_dict(self) -> dict[str, float]:
        """Return what a checkpoint holds."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take what `state_dict` returned."""
        vars(self).update(state)


def draw_augmentation(count: int, probability: float, generator: torch.Generator) -> Augmentation:
    """Draw the transformations of `count` covers, each applied with `probability`.

    Strengths are the paper's, table 1, but for turning: by 22.5 degrees at most, because covers carry text.
    """

    def where_chosen(changed: torch.Tensor, neutral: float) -> torch.Tensor:
        chosen = torch.rand(count, generator=generator) < probability
        return torch.where(chosen, changed, torch.full_like(changed, neutral))

    def normal() -> torch.Tensor:
        return torch.randn(count, generator=generator)

    def uniform() -> torch.Tensor:
        return torch.rand(count, generator=generator) * 2 - 1

    zoom, stretch = where_chosen(2 ** (0.2 * normal()), 1), where_chosen(2 ** (0.2 * normal()), 1)
    angle = where_chosen(uniform() * math.pi / 8, 0)
    shift_x, shift_y = where_chosen(uniform() * 0.25, 0), where_chosen(uniform() * 0.25, 0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    wide, high = zoom * stretch, zoom / stretch
    geometry = torch.stack([cos * wide, -sin * high, shift_x, sin * wide, cos * high, shift_y], 1).view(count, 2, 3)

    brightness = where_chosen(0.2 * normal(), 0)
    contrast, saturation = where_chosen(2 ** (0.5 * normal()), 1), where_chosen(2 ** normal(), 1)
    grey = torch.full((3, 3), 1 / 3)
    mix = contrast[:, None, None] * (grey + saturation[:, None, None] * (torch.eye(3) - grey))
    colour = torch.cat([mix, brightness[:, None, None].expand(-1, 3, 1)], 2)

    cutout = torch.stack([uniform(), uniform(), where_chosen(torch.full((count,), 0.5), 0)], 1)
    return Augmentation(geometry, colour, cutout)


def augment(images: torch.Tensor, augmentation: Augmentation) -> torch.Tensor:
    """Apply a draw to (N, 3, H, W) images in -1..1 on the same device; differentiable with respect to the images."""
    colour, cutout = augmentation.colour, augmentation.cutout
    grid = F.affine_grid(augmentation.geometry, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    images = torch.einsum("nij,njhw->nihw", colour[:, :, :3], images) + colour[:, :, 3, None, None]
    height, width = images.shape[2:]
    y = torch.linspace(-1, 1, height, device=images.device)[None, :, None]
    x = torch.linspace(-1, 1, width, device=images.device)[None, None, :]
    centre_x, centre_y, half = (cutout[:, i, None, None] for i in range(3))
    inside = ((x - centre_x).abs() < half) & ((y - centre_y).abs() < half)
    return images * ~inside[:, None]
