"""One step of an optimiser, for the phases that learn in latents."""

import torch
from accelerate import Accelerator

from train.train_gan.steps import average_gradients


LARGEST_NORM = 10.0  # of a gradient; beyond it is shortened, which an ordinary step never needs


def update(optimizer: torch.optim.Optimizer, learning_rate: float, accelerator: Accelerator | None = None) -> None:
    """Take Adam's step on the gradient, averaged over all processes, unless it is not finite.

    Args:
        optimizer: its parameters hold their gradients.
        learning_rate: of this step.
        accelerator: the processes that share a batch; None: this one is alone.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if accelerator is not None:
        average_gradients(torch.nn.ParameterList(parameters), accelerator)
    norm = torch.nn.utils.clip_grad_norm_(parameters, LARGEST_NORM)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    if norm.isfinite():
        optimizer.step()
