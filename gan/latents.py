"""Walking among latents: pure functions on tensors. (Seeds become latents in `gan.pipeline`, which travels alone.)"""

import math

import torch


def slerp(a: torch.Tensor, b: torch.Tensor, t: torch.Tensor | float) -> torch.Tensor:
    """Spherical interpolation (White 2016, "Sampling Generative Networks", section 2.1).

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
    """A loop from a to b and back, eased at both ends so that it can repeat without a jerk.

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
