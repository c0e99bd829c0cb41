"""One step of an optimiser on the gradient of all processes."""

import math
from collections.abc import Iterable

import torch
from accelerate import Accelerator


LARGEST_NORM = 10.0  # of a phase's gradient; beyond it is shortened, which an ordinary step never needs


def update(
    optimizer: torch.optim.Optimizer, learning_rate: float, accelerator: Accelerator, largest_norm: float | None = None
) -> torch.Tensor:
    """Take Adam's step on the mean gradient of all processes, unless it is not finite.

    Args:
        optimizer: a fused one; its parameters hold their gradients.
        learning_rate: of this step; a group of parameters that has `times` learns so many times as fast.
        accelerator: the processes that share a batch.
        largest_norm: longer gradients are shortened to it; None: none are.

    Returns:
        The norm of the gradient, a scalar, before it was shortened.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    average_gradients(parameters, accelerator)
    norm = torch.nn.utils.get_total_norm(p.grad for p in parameters)
    if largest_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, largest_norm, norm)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("times", 1)
    # how torch's GradScaler makes a fused optimiser skip a step: decided on the device, nobody waits for it
    vars(optimizer)["found_inf"] = (~norm.isfinite()).float()
    optimizer.step()
    return norm


def falling(learning_rate: float, done: float) -> float:
    """Return a rate that falls to a twentieth along a cosine, when a share `done` of its phase is over."""
    return learning_rate * (0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2)


def average_gradients(parameters: Iterable[torch.nn.Parameter], accelerator: Accelerator) -> None:
    """Make every process hold the mean gradient, in one exchange for all parameters.

    Done by hand because a GAN asks more of a wrapper than DDP gives without care: two networks, several passes for
    each update, second derivatives, one network's gradients passing through the other.
    """
    if accelerator.num_processes == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = accelerator.reduce(torch.cat([g.flatten() for g in gradients]), "mean")
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
