"""Convolutions whose second derivatives are as quick as their first ones: for gradient penalties.

What a penalty on a gradient teaches the weights of a convolution PyTorch computes as another one, whose kernel is a
whole feature map, one group of channels after the other. It is nothing else than the weights' gradient of an ordinary
convolution, for which every machine has a routine. (StyleGAN2-ADA's code makes the same detour on GPUs, Karras et al.
2020.)
"""

import torch
import torch.nn.functional as F
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.overrides import TorchFunctionMode


Settings = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], bool, tuple[int, ...], int]


class FastDoubleBackward(TorchFunctionMode):
    """While it is entered, `F.conv2d` is differentiated twice that way.

    The first derivative, where it is to be differentiated again (`create_graph=True`), is that of the input alone:
    a penalty asks for no other, and that of the weights would double the work.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """What every function of torch goes through."""
        if function is F.conv2d:
            return _conv2d(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def _conv2d(
    images: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> torch.Tensor:
    device = images.device.type
    if torch.is_autocast_enabled(device):  # which knows F.conv2d, not what it is replaced by
        precision = torch.get_autocast_dtype(device)
        images, weight = images.to(precision), weight.to(precision)
        bias = None if bias is None else bias.to(precision)
    pairs = ((size, size) if isinstance(size, int) else tuple(size) for size in (stride, padding, dilation))
    return _Convolution.apply(images, weight, bias, (*pairs, False, (0, 0), groups))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, settings: Settings
    ) -> torch.Tensor:
        ctx.save_for_backward(images, weight)
        ctx.settings, ctx.bias_sizes = settings, None if bias is None else list(bias.shape)
        return torch.convolution(images, weight, bias, *settings)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _InputGradient.apply(gradient, images, weight, ctx.settings), None, None, None
        wanted = ctx.needs_input_grad[:3]
        return *_backward(gradient, images, weight, ctx.bias_sizes, *ctx.settings, wanted), None


class _InputGradient(torch.autograd.Function):
    """The gradient of a convolution with respect to its input: linear in `gradient` and in `weight`."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, gradient: torch.Tensor, images: torch.Tensor, weight: torch.Tensor, settings: Settings
    ) -> torch.Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.settings = settings
        return _backward(gradient, images, weight, None, *settings, (True, False, False))[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, twice: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradient, weight = ctx.saved_tensors
        of_weight = _backward(gradient, twice, weight, None, *ctx.settings, (False, True, False))[1]
        return torch.convolution(twice, weight, None, *ctx.settings), None, of_weight, None


_backward = torch.ops.aten.convolution_backward.default
