"""How good the covers are while training: measured now and then on held-out covers, so that the best are kept."""

import math
from collections.abc import Callable
from functools import cached_property
from operator import itemgetter

import numpy as np
import torch
from PIL import Image
from torch import nn
from tqdm.auto import tqdm

from gan.errors import first_line
from gan.fingerprints import colours, perceptual_hash
from gan.pipeline import latents_from_seeds
from train.covers import Covers, to_uint8
from train.metrics.distances import pairwise_distance, sliced_wasserstein
from train.metrics.features import CoverDistances, load_features
from train.prepare.duplicates import alike, contrast_of
from train.train_gan.steps import Trainer


COUNT = 256  # covers of each kind: two seconds of one core, and 64 patches of each are compared
FEATURES = 2048  # covers of each kind whose features are compared: fewer would not show what is rare
AT_ONCE = 1_000  # training covers that are compared with all others
# A copy is what train.prepare takes for one: hashes of which at most so many bits differ, and alike in colour. By the
# hash alone 14 of the first 1,000 covers of the generator that ships would be copies, and none of them is.
# (gan/copies.py, for the page, ranks the training covers nearest to one cover and passes no verdict.)
COPY_BITS = 8


class Evaluation:
    """Compares generated with held-out covers, of the same genres where there are any: without any downloaded network,
    so it is not FID.

    Args:
        train: covers that are trained on.
        held_out: covers that never are; the first 2,048 of its shuffled order are used, or all if there are fewer.
            None: there are none, and those that are trained on take their place, as for FID.
        features: more measurements of a generator, `kid` among them, by which the best is then chosen; they are left
            to the caller, because they may fail where all else succeeds.
        device: where the network of `fd_covers` runs.
    """

    def __init__(
        self,
        train: Covers,
        held_out: Covers | None,
        features: Callable[[nn.Module], dict[str, float]] | None = None,
        device: torch.device | str = "cpu",
    ):
        self.train, self.features, self.device, self.unseen = train, features, device, held_out is not None
        real = train if held_out is None else held_out
        count = min(FEATURES, len(real))
        self.real, self.labels = real.batch(0, count), real.batch_labels(0, count)
        self.few = self.real[:COUNT]
        self.known = train.batch(0, len(self.few)), train.batch_labels(0, len(self.few))

    def __call__(self, generator: nn.Module) -> dict[str, float]:
        """What `metrics.jsonl` shows.

        `sliced_wasserstein` (mean over the sizes of detail, 0 is best), `pairwise_distance` (grey levels; 0 if all
        covers are the same one) and that of real covers, `held_out` (how many of each were compared, 0 where none are
        held out), `fd_covers`, `precision_covers` and `recall_covers` of `feature_covers` of each, `real_fd_covers`
        (of as many training covers: what is to be reached).
        """
        count = len(self.few)
        drawn = draw(generator, len(self.real), self.labels)
        fake = drawn[:count]
        distances = sliced_wasserstein(self.few, fake).values()
        return {
            "sliced_wasserstein": round(sum(distances) / len(distances), 3),
            "pairwise_distance": round(pairwise_distance(fake), 3),
            "real_pairwise_distance": round(pairwise_distance(self.few), 3),
            "held_out": count if self.unseen else 0,
            **self.distances(drawn),
            **({"real_fd_covers": self.real_fd_covers} if self.unseen else {}),
            "feature_covers": len(drawn),
        }

    def held_out_gap(self, mean_logit: Callable[[torch.Tensor, torch.Tensor | None], float]) -> float:
        """How much more real the discriminator takes covers that it learned from than ones that it never saw.

        What grows here without end is known by heart (Karras et al. 2020, section 3.1). In logits, of which only
        differences mean something.

        Args:
            mean_logit: of (N, H, W, 3) uint8 covers and their (N,) labels.
        """
        labels = None if self.labels is None else self.labels[: len(self.few)]
        return round(mean_logit(*self.known) - mean_logit(self.few, labels), 5)

    @cached_property
    def distances(self) -> CoverDistances:
        """Those on features, from the held-out covers; made when first needed, where a failure ends no run."""
        return CoverDistances(load_features().to(self.device), self.real)

    @cached_property
    def real_fd_covers(self) -> float:
        """How far training covers are from held-out ones."""
        return self.distances(self.train.batch(0, len(self.real)))["fd_covers"]

    def copies(self, generator: nn.Module) -> dict[str, int]:
        """Look for each generated cover among all training covers, and for as many held-out ones to compare with.

        Returns:
            `samples` (how many of each were looked for), `nearest_bits` (of 64, in which the perceptual hashes of a
            generated and a training cover differ at least), `found` (how many generated covers have a copy there),
            `held_out_found` (where some are held out), `training_covers`.
        """
        count, labels = len(self.few), None if self.labels is None else self.labels[: len(self.few)]
        some = Prints(torch.cat([draw(generator, count, labels), self.few]))
        nearest, found = np.full(2 * count, 64), np.zeros(2 * count, bool)
        for begin in tqdm(range(0, len(self.train), AT_ONCE), "Looking for copies", unit="part"):
            known = Prints(self.train[range(begin, min(begin + AT_ONCE, len(self.train)))])
            bits = np.bitwise_count(some.hashes[:, None] ^ known.hashes)
            nearest = np.minimum(nearest, bits.min(1))
            found |= some.copies(known, bits <= COPY_BITS)
        return {
            "samples": count,
            "nearest_bits": int(nearest[:count].min()),
            "found": int(found[:count].sum()),
            **({"held_out_found": int(found[count:].sum())} if self.unseen else {}),
            "training_covers": len(self.train),
        }


def best_average(
    trainer: Trainer, evaluation: Evaluation, say: Callable[[str], None]
) -> tuple[dict[str, float], nn.Module]:
    """The average of the generator that measures best.

    Args:
        trainer: of the averages.
        evaluation: measures them.
        say: is told in a line what `evaluation.features` could not measure.

    Returns:
        What was measured of it, a line of `metrics.jsonl`, and the average itself, ready to draw with.
    """
    scores, sigmas = [], trainer.recipe.ema_sigma
    averages = [trainer.average(number) for number in range(len(sigmas))]
    for sigma, average in zip(sigmas, averages, strict=True):
        score = {"ema_sigma": sigma} | evaluation(average)
        if evaluation.features:
            try:
                score |= evaluation.features(average)
            except Exception as error:  # all else is measured
                say(f"--inception: {first_line(error)}")
        scores.append(score)
    line = min(scores, key=itemgetter(measure_of(*scores)))
    if evaluation.unseen:
        line["held_out_gap"] = evaluation.held_out_gap(trainer.mean_logit)
    return line, averages[scores.index(line)]


def measure_of(*scores: dict[str, float]) -> str:
    """By which measure these are compared: KID where all have one, else `fd_covers`."""
    return "kid" if all("kid" in score for score in scores) else "fd_covers"


def is_best(score: dict[str, float], lowest: dict[str, float]) -> bool:
    """Whether an evaluation is better than all before, of which `lowest` holds the lowest value of each measure."""
    by = measure_of(score)
    found = score[by] < lowest.get(by, math.inf)
    for name in {"kid", "fd_covers"} & score.keys():
        lowest[name] = min(score[name], lowest.get(name, math.inf))
    return found


class Prints:
    """Perceptual hashes, (N,) uint64, and mean colours, (N, 192) uint8, of (N, H, W, 3) uint8 covers."""

    def __init__(self, covers: torch.Tensor):
        pictures = [Image.fromarray(cover.numpy()) for cover in covers]
        self.hashes = np.array([perceptual_hash(picture) for picture in pictures], np.uint64)
        self.colours = np.array([np.frombuffer(colours(picture), np.uint8) for picture in pictures])

    def copies(self, known: "Prints", near: np.ndarray) -> np.ndarray:
        """(N,) bool: which of these N covers have colours like one of the M known that are `near`, (N, M) bool."""
        both = np.concatenate([self.colours, known.colours])
        contrast = contrast_of(both)
        found = np.zeros(len(near), bool)
        for one in np.flatnonzero(near.any(1)):
            found[one] = alike(both, contrast, one, len(near) + np.flatnonzero(near[one])).any()
        return found


@torch.no_grad()
def draw(generator: nn.Module, count: int, labels: torch.Tensor | None = None, progress: bool = False) -> torch.Tensor:
    """The covers of seeds 0, 1, 2, ..., of the genres (count,) `labels`: (count, H, W, 3) uint8 on the CPU."""
    device = next(generator.parameters()).device
    latents = latents_from_seeds(list(range(count)), generator.config.latent_dim)
    inputs = [latents] if labels is None else [latents, labels]
    parts = list(zip(*(tensor.to(device).split(64) for tensor in inputs), strict=True))
    bar = tqdm(parts, "Drawing", unit="batch", disable=not progress)
    return torch.cat([to_uint8(generator(*part)) for part in bar])
