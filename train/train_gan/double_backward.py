"""Second derivatives of convolutions and LeakyReLU that are as quick as first ones: for gradient penalties.

A penalty on a gradient needs, for each convolution, how its weights change a gradient. PyTorch computes that as
another convolution, whose kernel is a whole feature map, one group of channels after the other. But it equals the
weights' gradient of an ordinary convolution, for which every machine has a quick routine. (StyleGAN2-ADA's code makes
the same detour on GPUs, Karras et al. 2020.) The second derivative of LeakyReLU is zero: PyTorch fills a tensor with
zeros and adds it, here it is left out.

On processors with AMX it is also the one that is right: in bfloat16 torch 2.13 misses half of the weights' gradient of
a 3x3 convolution's gradient there.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode


Settings = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], bool, tuple[int, ...], int]


class FastDoubleBackward(TorchFunctionMode):
    """Differentiate `F.conv2d` and `F.leaky_relu` twice in this quicker way while the context is entered.

    A first derivative that is to be differentiated again (`create_graph=True`) is that of the input alone: a penalty
    asks for no other, and that of the weights would double the work.
    """

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace the two functions; every other function of torch passes through unchanged."""
        if function is F.conv2d:
            return _conv2d(*args, **(kwargs or {}))
        if function is F.leaky_relu:
            return _leaky_relu(*args, **(kwargs or {}))
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
        ctx: Any, images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, settings: Settings
    ) -> torch.Tensor:
        ctx.save_for_backward(images, weight)
        ctx.settings, ctx.bias_sizes = settings, None if bias is None else list(bias.shape)
        return torch.convolution(images, weight, bias, *settings)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _InputGradient.apply(gradient, images, weight, ctx.settings), None, None, None
        wanted = ctx.needs_input_grad[:3]
        return *_backward(gradient, images, weight, ctx.bias_sizes, *ctx.settings, wanted), None


class _InputGradient(torch.autograd.Function):
    """Compute a convolution's gradient with respect to its input: linear in `gradient` and in `weight`."""

    @staticmethod
    def forward(
        ctx: Any, gradient: torch.Tensor, images: torch.Tensor, weight: torch.Tensor, settings: Settings
    ) -> torch.Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.settings = settings
        return _backward(gradient, images, weight, None, *settings, (True, False, False))[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, twice: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradient, weight = ctx.saved_tensors
        of_gradient = torch.convolution(twice, weight, None, *ctx.settings) if ctx.needs_input_grad[0] else None
        of_weight = None
        if ctx.needs_input_grad[2]:
            of_weight = _backward(gradient, twice, weight, None, *ctx.settings, (False, True, False))[1]
        return of_gradient, None, of_weight, None


_backward = torch.ops.aten.convolution_backward.default


def _leaky_relu(x: torch.Tensor, negative_slope: float = 0.01, inplace: bool = False) -> torch.Tensor:
    return _LeakyReLU.apply(x, negative_slope, inplace)


class _LeakyReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, slope: float, inplace: bool) -> torch.Tensor:
        out = F.leaky_relu(x, slope, inplace)
        if inplace:
            ctx.mark_dirty(x)
        ctx.save_for_backward(out)  # whose sign is that of x
        ctx.slope = slope
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return _LeakyReLUGradient.apply(gradient, *ctx.saved_tensors, ctx.slope), None, None


class _LeakyReLUGradient(torch.autograd.Function):
    """Compute the gradient of LeakyReLU: linear in `gradient`, with a slope that depends on the input's sign alone."""

    @staticmethod
    def forward(ctx: Any, gradient: torch.Tensor, out: torch.Tensor, slope: float) -> torch.Tensor:
        ctx.save_for_backward(out)
        ctx.slope = slope
        return torch.ops.aten.leaky_relu_backward(gradient, out, slope, True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, twice: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (out,) = ctx.saved_tensors
        return torch.ops.aten.leaky_relu_backward(twice, out, ctx.slope, True), None, None
