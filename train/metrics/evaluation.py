"""How good a generator is: its covers compared with real ones, by the trainer now and then and by train.evaluate."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from gan.latents import config_of
from gan.networks.efficientnet_lite import EfficientNetLite
from gan.pipeline import latents_from_seeds
from train.covers import Covers, to_uint8
from train.metrics.copies import nearest, summary
from train.metrics.distances import pairwise_distance, sliced_wasserstein
from train.metrics.eyes import EyeDistances
from train.metrics.features import CoverDistances, load_features
from train.metrics.schema import Scores


COUNT = 2048  # covers of each kind whose features are compared while training: fewer would not show what is rare
EYE_COVERS = 1024  # of them those that a large network looks at: most of a minute of one core
EYE_SIDE = 128  # pixels from which on training asks it: of smaller covers `fd_covers` sees all
PATCH_COVERS = 256  # of them those whose patches are compared, 64 of each: two seconds of one core


class Evaluation:
    """Compare generated with held-out covers, of the same genres where there are any.

    Args:
        train: covers that are trained on.
        held_out: covers that never are. None: there are none, and those that are trained on take their place, as for
            FID.
        features: more measurements of a generator, `kid` among them, by which the best is then chosen; they are left
            to the caller, because they may fail where all else succeeds.
        device: where the network of `fd_covers` runs.
        count: covers of each kind, the first of the shuffled order; all if there are fewer held-out ones.
        patch_covers: of them so many, the first, by their patches and their pairwise distance.
        eyes: see `eyes.py`; None leaves out what it measures.
        eye_covers: of the covers so many, the first, by it.
    """

    def __init__(
        self,
        train: Covers,
        held_out: Covers | None,
        features: Callable[[nn.Module], dict[str, float]] | None = None,
        device: torch.device | str = "cpu",
        count: int = COUNT,
        patch_covers: int = PATCH_COVERS,
        eyes: EfficientNetLite | None = None,
        eye_covers: int = EYE_COVERS,
    ):
        self.train, self.features, self.device, self.unseen = train, features, device, held_out is not None
        real = train if held_out is None else held_out
        count = min(count, len(real))
        self.real, self.labels = real.batch(0, count), real.batch_labels(0, count)
        self.patch_covers, self.eye_covers, self.eyes = min(patch_covers, count), min(eye_covers, count), eyes

    def measure(self, generator: nn.Module, label: int | None = None, progress: bool = False) -> Scores:
        """Measure the covers of seeds 0, 1, 2, ..., and training covers in their place as the yardstick.

        Args:
            generator: on the device where it runs, in evaluation mode.
            label: the genre to draw, as the generator numbers them; None: those of the held-out covers.
            progress: whether a bar shows how far the drawing is.
        """
        labels = self.labels if label is None else torch.full((len(self.real),), label)
        drawn = draw(generator, len(self.real), labels, progress)
        found: dict[str, Any] = {"count": len(drawn), "patch_covers": self.patch_covers, **self._compare(drawn)}
        found |= {f"real_{name}": value for name, value in self._real.items()}
        found |= {"eye_covers": self.eye_covers} if self.eyes else {}
        return Scores(**found)

    def __call__(self, generator: nn.Module) -> dict[str, float]:
        """Measure a generator for a line of metrics.jsonl."""
        return self.measure(generator).as_line()

    def _compare(self, covers: torch.Tensor) -> dict[str, float | dict[str, float]]:
        """Compare as many covers, (count, H, H, 3) uint8, with the held-out ones."""
        few, held_out = covers[: self.patch_covers], self.real[: self.patch_covers]
        sides = {str(side): distance for side, distance in sliced_wasserstein(held_out, few).items()}
        sides["mean"] = sum(sides.values()) / len(sides)
        return {
            "sliced_wasserstein": {side: round(distance, 2) for side, distance in sides.items()},
            **self._distances(covers),
            "pairwise_distance": round(pairwise_distance(few), 2),
            **(self._eyes(covers[: self.eye_covers]) if self.eyes else {}),
        }

    @cached_property
    def _distances(self) -> CoverDistances:
        """Return the distances on features from held-out covers; made when first needed: a failure ends no run."""
        return CoverDistances(load_features().to(self.device), self.real)

    @cached_property
    def _eyes(self) -> EyeDistances:
        """Return the distances from the held-out covers that eyes see."""
        return EyeDistances(self.real[: self.eye_covers], self.eyes, self.device)

    @cached_property
    def _real(self) -> dict[str, float | dict[str, float]]:
        """Return what training covers measure; where none are held out they would be compared with themselves."""
        if self.unseen:
            return self._compare(self.train.batch(0, len(self.real)))
        return {"pairwise_distance": round(pairwise_distance(self.real[: self.patch_covers]), 2)}

    def held_out_gap(self, mean_logit: Callable[[torch.Tensor, torch.Tensor | None], float]) -> float:
        """Return how much more real the discriminator takes covers that it learned from than ones that it never saw.

        What grows here without end is known by heart (Karras et al. 2020, section 3.1). In logits, of which only
        differences mean something.

        Args:
            mean_logit: of (N, H, W, 3) uint8 covers and their (N,) labels.
        """
        count = self.patch_covers
        learned = mean_logit(self.train.batch(0, count), self.train.batch_labels(0, count))
        return round(learned - mean_logit(self.real[:count], self._few_labels), 5)

    def copies(self, generator: nn.Module) -> dict[str, Any]:
        """Look for as many generated and held-out covers among all training covers; return what copies.json holds."""
        count = self.patch_covers
        drawn = draw(generator, count, self._few_labels)
        found = nearest(torch.cat([drawn, self.real[:count]]) if self.unseen else drawn, self.train)
        return summary(found[:count], found[count:] if self.unseen else None, len(self.train)).as_dict()

    @property
    def _few_labels(self) -> torch.Tensor | None:
        return None if self.labels is None else self.labels[: self.patch_covers]


@torch.no_grad()
def draw(generator: nn.Module, count: int, labels: torch.Tensor | None = None, progress: bool = False) -> torch.Tensor:
    """Draw the covers of seeds 0, 1, 2, ..., of the genres (count,) `labels`: (count, H, W, 3) uint8 on the CPU."""
    device = next(generator.parameters()).device
    latents = latents_from_seeds(list(range(count)), config_of(generator).latent_dim)
    inputs = [latents] if labels is None else [latents, labels]
    parts = list(zip(*(tensor.to(device).split(64) for tensor in inputs), strict=True))
    bar = tqdm(parts, "Drawing", unit="batch", disable=not progress)
    return torch.cat([to_uint8(generator(*part)) for part in bar])
