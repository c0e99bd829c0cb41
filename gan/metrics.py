"""How good the covers are, measured without any downloaded network."""

import torch
import torch.nn.functional as F

from gan.covers import seeded, to_float


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
    """Distance between the small patches of two sets of covers, for each size of detail.

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
        descriptors = [_descriptors(b, seeded(seed, level, which)) for which, b in enumerate((band, bands[1][side]))]
        distances[side] = 1000 * _sliced_distance(*descriptors, seeded(seed, level, 2))
    return distances


def _bands(images: torch.Tensor) -> dict[int, torch.Tensor]:
    parts = [laplacian_pyramid(to_float(part)) for part in images.split(256)]
    return {side: torch.cat([part[side] for part in parts]) for side in parts[0]}


def _descriptors(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(N * 64, 147) random patches, each colour with mean 0 and deviation 1 over all of them."""
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
    """How different covers are from one another: mean RMS difference of neighbours in the list, in grey levels of
    0..255.

    A generator that draws the same cover for every seed scores 0, whatever that cover looks like.

    Args:
        covers: (N, H, W, 3) uint8, in no particular order, at least 2.
    """
    gaps = covers.float() - covers.roll(1, 0).float()
    return gaps.square().mean((1, 2, 3)).sqrt().mean().item()
