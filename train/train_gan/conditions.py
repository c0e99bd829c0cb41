"""What covers can be asked for without anybody's labels: their kind and their colours.

Kinds are clusters of what a frozen network sees (Sage et al. 2018, "Logo Synthesis and Manipulation with Clustered
Generative Adversarial Networks", section 3.2); colours are shares of twelve named ones (Mino and Spanakis 2018,
"LoGAN", section 3, which asks for one of twelve).
"""

import torch
import torch.nn.functional as F

from gan.pipeline import COLOURS


SOFTNESS = 30.0  # grey levels: two colours no farther apart than so share a pixel nearly evenly
SIDE = 16  # pixels: small enough to be quick, large enough that a tenth of a cover still counts
ITERATIONS = 30


def palettes(covers: torch.Tensor) -> torch.Tensor:
    """Describe (N, H, W, 3) uint8 covers by the shares of the named colours, less an even share: (N, 12).

    Each row sums to 0, and zeros mean "any colours", as where nothing is asked.
    """
    small = F.interpolate(covers.permute(0, 3, 1, 2).float(), SIDE, mode="area").flatten(2).transpose(1, 2)
    named = torch.tensor(list(COLOURS.values())).float()
    shares = torch.softmax(-(torch.cdist(small, named.expand(len(small), -1, -1)) / SOFTNESS).square(), 2).mean(1)
    return shares - 1 / len(COLOURS)


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
        centres = torch.cat((centres, points[torch.multinomial(gaps, 1, generator=generator)]))
    for _ in range(ITERATIONS):
        nearest = (points @ centres.T).argmax(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        empty = torch.bincount(nearest, minlength=count) == 0
        centres = torch.where(empty[:, None], centres, F.normalize(sums, dim=1))
    nearest = (points @ centres.T).argmax(1)
    order = torch.bincount(nearest, minlength=count).argsort(descending=True)
    return order.argsort()[nearest], centres[order]
