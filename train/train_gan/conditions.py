"""Kinds of covers, which can be asked for without anybody's labels.

They are clusters of what a frozen network sees (Sage et al. 2018, "Logo Synthesis and Manipulation with Clustered
Generative Adversarial Networks", section 3.2).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


ITERATIONS = 30
SHARPNESS = 10.0  # of the softmax over likenesses: two covers of one cluster have about 0.5, any two about 0


@dataclass(frozen=True)
class Kinds:
    """Hold what tells which cluster a cover falls into.

    Args:
        centres: (K, D) of unit length, see `find_clusters`.
        mean, deviation: (D,) of the features of the covers that the clusters were found in.
    """

    centres: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor

    def likeness(self, features: torch.Tensor) -> torch.Tensor:
        """Map (N, D) features of covers to (N, K), the cosine of the angle to each centre; the largest decides."""
        return F.normalize((features - self.mean) / self.deviation, dim=1) @ self.centres.T

    def surprise(self, features: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """Return (N,) cross-entropies of the kinds that N covers show, for those asked for.

        Args:
            features: (N, D) of covers.
            asked: (N,) int64; K asks for any kind, and is never surprised.
        """
        any_kind = len(self.centres)
        logits = SHARPNESS * self.likeness(features)
        return F.cross_entropy(logits, asked, ignore_index=any_kind, reduction="none")


def find_clusters(features: torch.Tensor, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Find clusters by k-means (Lloyd 1982) on features scaled to mean 0 and deviation 1, then to length 1.

    The length is dropped because busy covers have more of everything: without that one cluster is "busy".

    Args:
        features: (N, D), at least `count` different ones.
        count: how many clusters.
        generator: of the first centres (k-means++, Arthur and Vassilvitskii 2007).

    Returns:
        (N,) int64, the cluster of each; the largest is 0; and (count, D) centres, of unit length.
    """
    points = F.normalize((features - features.mean(0)) / features.std(0).clamp_min(1e-6), dim=1)
    centres = points[torch.randint(len(points), (1,), generator=generator)]
    while len(centres) < count:
        gaps = torch.cdist(points, centres).min(1).values.square()
        gaps += not gaps.any()  # only copies of centres are left
        centres = torch.cat((centres, points[torch.multinomial(gaps, 1, generator=generator)]))
    for _ in range(ITERATIONS):
        nearest = (points @ centres.T).argmax(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        empty = torch.bincount(nearest, minlength=count) == 0
        centres = torch.where(empty[:, None], centres, F.normalize(sums, dim=1))
    nearest = (points @ centres.T).argmax(1)
    order = torch.bincount(nearest, minlength=count).argsort(descending=True)
    return order.argsort()[nearest], centres[order]
