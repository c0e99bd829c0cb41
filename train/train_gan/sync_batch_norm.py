"""Batch normalisation over the batch of all processes, so that several compute what one would with all of it.

torch's own SyncBatchNorm runs on GPUs only; this one also runs where the tests do.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.utils.parametrize import is_parametrized


def synchronise(network: nn.Module) -> None:
    """Let every BatchNorm2d of `network` normalise over all processes, in place.

    Weights, buffers and their names stay as they are, and with them the checkpoints.
    """
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncBatchNorm2d


def equal_in_parts(*networks: nn.Module) -> bool:
    """Return whether a batch that is computed part by part gives what the whole batch does.

    Batch normalisation sees a part at a time; spectral normalisation comes nearer to the largest singular value with
    each part.
    """
    modules = (module for network in networks for module in network.modules())
    return not any(isinstance(module, nn.BatchNorm2d) or is_parametrized(module) for module in modules)


class SyncBatchNorm2d(nn.BatchNorm2d):
    """Normalise over a batch that several processes share equally (Ioffe and Szegedy 2015, algorithm 1)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (N, C, H, W); all processes must take part. In evaluation mode as `BatchNorm2d`."""
        if not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):  # like torch's own, statistics in float32
            full = x.float()
            mean = _MeanOverProcesses.apply(full.mean((0, 2, 3)))
            centred = full - mean[:, None, None]
            # two exchanges: the mean of squares less the square of the mean would lose digits
            variance = _MeanOverProcesses.apply(centred.square().mean((0, 2, 3)))
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None and self.momentum is not None
            with torch.no_grad():
                count = dist.get_world_size() * x.numel() / x.shape[1]
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
                self.num_batches_tracked += 1
            scale = (variance + self.eps).rsqrt()
            if not self.affine:
                return (centred * scale[:, None, None]).to(x.dtype)
            scale = scale * self.weight
            return torch.addcmul(self.bias[:, None, None], centred, scale[:, None, None]).to(x.dtype)


class _MeanOverProcesses(torch.autograd.Function):
    """Average over processes, gradients too: the loss of every process depends on the numbers of every process."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        mean = x.clone()
        dist.all_reduce(mean)
        return mean / dist.get_world_size()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _MeanOverProcesses.apply(gradient.contiguous())
