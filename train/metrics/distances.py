"""Distances between two sets of covers: between their patches, and between features that a network gives of them."""

import torch
import torch.nn.functional as F

from train.covers import seeded, to_float


PATCH = 7  # pixels a side
PATCHES_PER_IMAGE = 64
DIRECTIONS = 512
SMALLEST_LEVEL = 16  # pixels


def laplacian_pyramid(images: torch.Tensor) -> dict[int, torch.Tensor]:
    """Split images into bands of detail (Burt and Adelson 1983): each level is what the next smaller one cannot show.

    Args:
        images: (N, 3, H, H).

    Returns:
        Side in pixels to (N, 3, side, side), from H down to 16; the last one holds the small image itself.
    """
    levels = {}
    while images.shape[-1] > SMALLEST_LEVEL:
        smaller = F.interpolate(images, scale_factor=0.5, mode="bilinear", antialias=True)
        levels[images.shape[-1]] = images - F.interpolate(smaller, scale_factor=2.0, mode="bilinear")
        images = smaller
    levels[images.shape[-1]] = images
    return levels


def sliced_wasserstein(real: torch.Tensor, fake: torch.Tensor, seed: int = 0) -> dict[int, float]:
    """Return the distance between the small patches of two sets of covers, for each size of detail.

    Karras et al. 2018, "Progressive Growing of GANs", section 5: 7x7 patches of each level of a Laplacian pyramid,
    normalised for each colour, compared by the sliced Wasserstein distance (Rabin et al. 2011). Ours takes 64 patches
    of an image where the paper takes 128. Large sides tell of edges and grain, small ones of layout and colour.

    Args:
        real, fake: (N, H, H, 3) uint8, equally many, H a power of two of at least 16.
        seed: of the patches and of the directions.

    Returns:
        Side in pixels to distance, times 1000 as in the paper; 0 is best.

    Raises:
        ValueError: different or too few covers.
    """
    if real.shape != fake.shape or real.ndim != 4 or len(real) < 2:
        raise ValueError(f"need two equally large sets of at least 2 covers, not {len(real)} and {len(fake)}")
    distances = {}
    bands = [_bands(images) for images in (real, fake)]
    for level, (side, band) in enumerate(bands[0].items()):
        of_real, of_fake = (
            _descriptors(b, seeded(seed, level, which)) for which, b in enumerate((band, bands[1][side]))
        )
        distances[side] = 1000 * _sliced_distance(of_real, of_fake, seeded(seed, level, 2))
    return distances


def _bands(images: torch.Tensor) -> dict[int, torch.Tensor]:
    parts = [laplacian_pyramid(to_float(part)) for part in images.split(256)]
    return {side: torch.cat([part[side] for part in parts]) for side in parts[0]}


def _descriptors(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return (N * 64, 147) random patches, each colour with mean 0 and deviation 1 over all of them."""
    count, _, side, _ = images.shape
    corners = torch.randint(0, side - PATCH + 1, (2, count * PATCHES_PER_IMAGE), generator=generator)
    image = torch.arange(count).repeat_interleave(PATCHES_PER_IMAGE)
    offsets = torch.arange(PATCH)
    y, x = corners[0][:, None, None] + offsets[:, None], corners[1][:, None, None] + offsets
    patches = images.permute(0, 2, 3, 1)[image[:, None, None], y, x]  # (N * 64, 7, 7, 3)
    deviation, mean = torch.std_mean(patches, dim=(0, 1, 2))
    return ((patches - mean) / deviation.clamp_min(1e-8)).flatten(1)


def _sliced_distance(a: torch.Tensor, b: torch.Tensor, generator: torch.Generator) -> float:
    total = 0.0
    directions = torch.randn(a.shape[1], DIRECTIONS, generator=generator)
    directions = directions / directions.norm(dim=0)
    for part in directions.split(64, dim=1):  # sorting all directions at once would take gigabytes
        gaps = (a @ part).sort(dim=0).values - (b @ part).sort(dim=0).values
        total += gaps.abs().mean(0).sum().item()
    return total / DIRECTIONS


def pairwise_distance(covers: torch.Tensor) -> float:
    """Return how different covers are: the mean RMS difference of neighbours in the list, in grey levels of 0..255.

    A generator that draws the same cover for every seed scores 0, whatever that cover looks like.

    Args:
        covers: (N, H, W, 3) uint8, in no particular order, at least 2.
    """
    gaps = covers.float() - covers.roll(1, 0).float()
    return gaps.square().mean((1, 2, 3)).sqrt().mean().item()


def frechet_distance(real: torch.Tensor, fake: torch.Tensor) -> float:
    """Return the Fréchet distance of two sets of features (Heusel et al. 2017, equation 6); 0 is best.

    With Inception's features it is FID. It falls with the number of covers: compare only what was measured on as many.

    Args:
        real, fake: (N, D) and (M, D) features.
    """
    means = [features.double().mean(0) for features in (real, fake)]
    roots = [_covariance_root(features.double() - mean) for features, mean in zip((real, fake), means, strict=True)]
    # A'A and B'B are the covariances; their product has the eigenvalues of AB'(AB')', which is symmetric, and zeros
    product = roots[0] @ roots[1].T
    shared = torch.linalg.eigvalsh(product @ product.T).clamp_min(0).sqrt().sum()
    gap = (means[0] - means[1]).square().sum()
    return (gap + sum(root.square().sum() for root in roots) - 2 * shared).item()


def _covariance_root(centred: torch.Tensor) -> torch.Tensor:
    """Return R with R'R the covariance of (N, D) features around 0: (min(N, D), D), so that few covers are quick."""
    return torch.linalg.qr(centred, mode="r").R / (len(centred) - 1) ** 0.5


def kernel_distance(real: torch.Tensor, fake: torch.Tensor) -> float:
    """Return the kernel distance of two sets of features (Bińkowski et al. 2018, section 4).

    With Inception's features it is KID. 0 is best; it is the same on average for any number of covers, and may come
    out a little below 0.

    Args:
        real, fake: (N, D) and (M, D) features, N and M at least 2.
    """
    real, fake = real.double(), fake.double()

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(a: torch.Tensor) -> torch.Tensor:
        all_pairs = kernel(a, a)
        return (all_pairs.sum() - all_pairs.trace()) / (len(a) * (len(a) - 1))

    return (within(real) + within(fake) - 2 * kernel(real, fake).mean()).item()


def precision_recall(real: torch.Tensor, fake: torch.Tensor, neighbours: int = 3) -> tuple[float, float]:
    """Return the share of generated covers that could be real, and of real ones that could be generated.

    A cover could be of the other kind where one of that kind is at least as near to it as to its own third nearest
    neighbour (Kynkäänniemi et al. 2019, equations 1 and 2).

    Args:
        real, fake: (N, D) and (M, D) features, more than `neighbours` of each.
    """
    gaps = torch.cdist(real, fake)
    radii = [
        torch.cdist(f, f).kthvalue(neighbours + 1).values for f in (real, fake)
    ]  # the nearest is the cover itself
    precision = (gaps <= radii[0][:, None]).any(0).double().mean()
    recall = (gaps <= radii[1]).any(1).double().mean()
    return precision.item(), recall.item()
