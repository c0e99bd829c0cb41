"""Walk among latents: pure functions on tensors. (Seeds become latents in `gan.pipeline`, which travels alone.)"""

import math
from typing import Any

import torch


def slerp(a: torch.Tensor, b: torch.Tensor, t: torch.Tensor | float) -> torch.Tensor:
    """Interpolate along an arc (White 2016, "Sampling Generative Networks", section 2.1).

    Normal latents lie near a sphere; a straight line between two cuts through its inside, where the generator never
    trained. The direction turns at an even speed and the length goes from a's to b's.

    Args:
        a, b: (..., dim) latents.
        t: 0 gives a, 1 gives b; a number or a tensor that broadcasts against (..., 1).
    """
    length_a, length_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    unit_a, unit_b = a / length_a.clamp_min(1e-8), b / length_b.clamp_min(1e-8)
    angle = torch.arccos((unit_a * unit_b).sum(-1, keepdim=True).clamp(-1, 1))
    sine = torch.sin(angle)
    # (nearly) parallel or opposite: no single arc joins them, a straight line does
    direct = sine < 1e-4
    safe = torch.where(direct, torch.ones_like(sine), sine)
    t = torch.as_tensor(t, dtype=a.dtype, device=a.device)
    arc = (torch.sin((1 - t) * angle) * unit_a + torch.sin(t * angle) * unit_b) / safe
    return torch.where(direct, torch.lerp(a, b, t.expand_as(a)), arc * torch.lerp(length_a, length_b, t))


def walk(a: torch.Tensor, b: torch.Tensor, frames: int) -> torch.Tensor:
    """Return a loop from a to b and back, eased at both ends so that it can repeat without a jerk.

    Args:
        a, b: (dim,) latents.
        frames: number of latents, at least 2.

    Returns:
        (frames, dim): frame 0 is a, the middle one (of an even number) is b, and the frame after the last would be a.
    """
    if frames < 2:
        raise ValueError(f"a walk needs at least 2 frames, not {frames}")
    turn = torch.arange(frames, dtype=a.dtype, device=a.device) * (2 * math.pi / frames)
    return slerp(a.expand(frames, -1), b.expand(frames, -1), (1 - torch.cos(turn))[:, None] / 2)


def blend(corners: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """Blend four latents at a place between them: along the upper and the lower edge, then from one to the other.

    Args:
        corners: (4, dim) upper left, upper right, lower left, lower right.
        x, y: 0..1, from left to right and from top to bottom.

    Returns:
        (dim,).
    """
    upper, lower = slerp(corners[0], corners[1], x), slerp(corners[2], corners[3], x)
    return slerp(upper, lower, y)


def closed_path(points: torch.Tensor, frames: int, straight: bool = False) -> torch.Tensor:
    """Return a loop through `points` and back to the first, with as many frames on each stretch.

    The round path is the periodic cubic spline of Catmull and Rom (1974): it passes through every point and turns
    there without a corner. Like `slerp` it keeps out of the middle, where the generator never trained: the lengths
    between are those of the same curve through the points' lengths.

    Args:
        points: (K, dim) with K of at least 2.
        frames: number of latents, at least K.
        straight: whether to join the points by straight lines instead, which leave the sphere between them.

    Returns:
        (frames, dim): frame 0 is the first point, and so would be the frame after the last.
    """
    if len(points) < 2 or frames < len(points):
        raise ValueError(f"a path needs 2 points or more and as many frames, not {len(points)} and {frames}")
    place = torch.arange(frames, dtype=torch.float64) * (len(points) / frames)
    start = place.floor().long()
    t = (place - start)[:, None].to(points.dtype)
    ways = torch.cat((points, points.norm(dim=-1, keepdim=True)), dim=1)  # the lengths go along a curve of their own
    before, a, b, after = (ways[(start + step) % len(points)] for step in (-1, 0, 1, 2))
    if straight:
        return torch.lerp(a, b, t)[:, :-1]
    way = a + t / 2 * (b - before + t * (2 * before - 5 * a + 4 * b - after + t * (3 * (a - b) + after - before)))
    direction, length = way[:, :-1], way[:, -1:]
    return direction / direction.norm(dim=-1, keepdim=True).clamp_min(1e-8) * length


def child(parent: torch.Tensor, noise: torch.Tensor, difference: float) -> torch.Tensor:
    """Step from `parent` towards `noise`, keeping the parent's length.

    Args:
        parent: (dim,) or (N, dim) latents.
        noise: (N, dim) normal latents, one for each child.
        difference: 0 is the parent itself, 1 a cover that has nothing of it.

    Returns:
        (N, dim).
    """
    length = parent.norm(dim=-1, keepdim=True)
    towards = noise / noise.norm(dim=-1, keepdim=True).clamp_min(1e-8) * length
    return slerp(parent.expand_as(noise), towards, difference)


def cross(a: torch.Tensor, b: torch.Tensor, take_b: torch.Tensor) -> torch.Tensor:
    """Cross two parents: a child has each number from one or the other, as genes. Normal numbers stay normal.

    Args:
        a, b: (dim,) latents.
        take_b: (N, dim) booleans, true where a child has b's number.

    Returns:
        (N, dim).
    """
    return torch.where(take_b, b, a)


def moved(points: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Move (N, latent_dim) points by a step, and keep their lengths: at other lengths a generator never trained."""
    there = points + step
    lengths = points.norm(dim=-1, keepdim=True)
    return torch.where(lengths > 0, there * (lengths / there.norm(dim=-1, keepdim=True).clamp_min(1e-6)), there)


def semantic_directions(generator: torch.nn.Module, count: int) -> torch.Tensor:
    """Find the directions of latents that change a generator's first layer most, from its weights alone.

    SeFa (Shen and Zhou 2021, "Closed-Form Factorization of Latent Semantics in GANs", section 3.2): the eigenvectors
    of A^T A with the largest eigenvalues, where A is the weight of the first layer, the one that takes the latents.

    Args:
        generator: whose first layer is the one that takes `config.latent_dim` inputs.
        count: how many, at most `latent_dim`.

    Returns:
        (count, latent_dim) unit vectors, the one that changes most first; of each, the largest number is positive.

    Raises:
        ValueError: no layer takes the latents, or `count` is more than their number.
    """
    latent_dim = config_of(generator).latent_dim
    if not 1 <= count <= latent_dim:
        raise ValueError(f"there are 1 to {latent_dim} directions, not {count}")
    weight = _first_weight(generator, latent_dim).detach().double()
    vectors = torch.linalg.eigh(weight.T @ weight).eigenvectors.flip(1)[:, :count].T  # eigh sorts them upwards
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return (vectors * largest.sign()).float()  # the sign of an eigenvector is anybody's choice


def config_of(network: torch.nn.Module) -> Any:
    """Return the configuration of a network of diffusers' kind, whose names its class alone knows."""
    return network.config


def _first_weight(generator: torch.nn.Module, latent_dim: int) -> torch.Tensor:
    """Return the (outputs, latent_dim) matrix by which the first layer turns latents into features."""
    for layer in generator.modules():
        if isinstance(layer, torch.nn.Linear) and layer.in_features == latent_dim:
            return layer.weight
        if isinstance(layer, torch.nn.ConvTranspose2d) and layer.in_channels == latent_dim:
            return layer.weight.flatten(1).T
    raise ValueError(f"no linear or transposed convolutional layer takes {latent_dim} latents")
