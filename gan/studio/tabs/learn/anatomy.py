"""What a network of this project is made of: its layers with their shapes, weights, cost and reach."""

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from gan.latents import config_of
from gan.networks import NETWORKS
from gan.networks.painter import SCALE
from gan.studio import checks


# without "projected": its generator is the painter's, and its discriminator stands on a network for training alone
SHOWN = tuple(name for name in NETWORKS if name != "projected")
ROLES = ("generator", "discriminator")
RESOLUTIONS = (16, 32, 64, 128, 256)
WIDTHS = (8, 16, 32, 64, 128, 192)
DRAWN = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d, nn.GroupNorm)
PROXY_WIDTH = 4


def layers(payload: object) -> dict[str, Any]:
    """Describe a network layer by layer.

    Args:
        payload: `{"network": one of SHOWN, "role": generator or discriminator, "resolution": one of RESOLUTIONS,
            "width": one of WIDTHS}`.

    Returns:
        `{"layers": [...], "parameters": of all, "cost": of all}`; see `_describe` for a layer.

    Raises:
        Refused: something else is asked for, or such a network cannot be built.
    """
    asked = payload if isinstance(payload, dict) else {}
    network, role = asked.get("network"), asked.get("role")
    if not isinstance(network, str) or network not in SHOWN or role not in ROLES:
        raise checks.Refused("there is no such network", network)
    resolution = checks.whole(asked.get("resolution"), "the resolution", RESOLUTIONS[0], RESOLUTIONS[-1])
    width = checks.whole(asked.get("width"), "the width", WIDTHS[0], WIDTHS[-1])
    if resolution not in RESOLUTIONS or width not in WIDTHS:
        raise checks.Refused("there is no such network", (resolution, width))
    return _layers(network, ROLES.index(role), resolution, width)


@lru_cache(maxsize=256)
def _layers(network: str, role: int, resolution: int, width: int) -> dict[str, Any]:
    kind, found = NETWORKS[network][role], []

    def see(name: str, layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        found.append(_describe(name, layer, x, y))

    try:
        with FakeTensorMode():  # shapes without numbers: a network of any size costs nothing
            module = kind(**_sizes(network, role, resolution, width)).eval()
            with torch.no_grad():
                _watched(module, _example(module, role), see)
        reach = _reach(kind(**_sizes(network, role, resolution, PROXY_WIDTH)), role)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise checks.Refused("there is no such network", (network, resolution, width)) from error
    for layer in found:
        layer["reach"] = reach.get(layer["name"])
    return {
        "layers": found,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "cost": sum(layer["cost"] for layer in found),
    }


def _sizes(network: str, role: int, resolution: int, width: int) -> dict[str, Any]:
    if network == "painter":  # whose discriminator judges latents
        if role == 1:
            return {"positions": resolution // SCALE, "width": width}
        return {"resolution": resolution, "composer_width": width, "composer_max_width": 4 * width}
    sizes = {"resolution": resolution, "width": width}
    if network == "r3gan":
        sizes |= {"max_width": max(width, min(768, 4 * width)), "blocks": 1, "group_size": min(width, 32)}
    return sizes


def _example(module: nn.Module, role: int, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return one input of the network: a latent vector, a cover, or a painter's latents of a cover."""
    config = config_of(module)
    shape: tuple[int, ...]
    if role == 0:
        shape = (1, config.latent_dim)
    elif "positions" in config:
        shape = (1, config.latent_channels, config.positions, config.positions)
    else:
        shape = (1, 3, config.resolution, config.resolution)
    return torch.ones(shape, dtype=dtype)


def _watched(module: nn.Module, example: torch.Tensor, see: Callable[..., Any]) -> torch.Tensor:
    """Return the network's output; `see(name, layer, input, output)` is told of each layer, and may change it."""
    hooks = []
    for name, layer in module.named_modules():
        if isinstance(layer, DRAWN):
            hooks.append(layer.register_forward_hook(lambda layer, x, y, name=name: see(name, layer, x[0], y)))
    try:
        return module(example)
    finally:
        for hook in hooks:
            hook.remove()


def _describe(name: str, layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
    """Describe a layer: kind, (C, H, W) before and after, weights, multiply-adds of one cover, how it is moved."""
    told = {
        "name": name,
        "kind": type(layer).__name__,
        "before": list(x.shape[1:]),
        "after": list(y.shape[1:]),
        "parameters": sum(parameter.numel() for parameter in layer.parameters()),
        "cost": 0,
    }
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        each = layer.in_channels * layer.out_channels * layer.kernel_size[0] ** 2 // layer.groups
        places = x if isinstance(layer, nn.ConvTranspose2d) else y
        told |= {
            "kernel": layer.kernel_size[0], "stride": layer.stride[0], "padding": layer.padding[0],
            "dilation": layer.dilation[0], "groups": layer.groups, "cost": each * places.shape[2] * places.shape[3],
        }  # fmt: skip
    if isinstance(layer, nn.Linear):
        told["cost"] = layer.in_features * layer.out_features
    return told


def _reach(module: nn.Module, role: int) -> dict[str, int]:
    """Return how many pixels of the cover in a row have to do with one place in the middle of each layer's output.

    Found by trying, on a narrow copy whose weights are all positive, so that nothing cancels out, and without
    normalisation, which looks at a whole picture. Of a discriminator: the pixels that the place sees, where the
    gradient is not zero; of a generator: the pixels that it paints, those which change with it.
    """
    for layer in list(module.modules()):
        for name, child in layer.named_children():
            if isinstance(child, nn.BatchNorm2d | nn.GroupNorm):
                setattr(layer, name, nn.Identity())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(0.5, 1.0).div_(max(1, parameter[0].numel()) if parameter.dim() > 1 else 4)
    module.eval()
    reach = {}
    if role == 1:
        example = _example(module, role).requires_grad_()
        seen: dict[str, torch.Tensor] = {}
        _watched(module, example, lambda name, layer, x, y: seen.__setitem__(name, y))
        for name, y in seen.items():
            place = y if y.dim() == 2 else y[:, :, y.shape[2] // 2, y.shape[3] // 2]
            (gradient,) = torch.autograd.grad(place.sum(), example, retain_graph=True)
            reach[name] = _width(gradient) * (SCALE if "positions" in config_of(module) else 1)
        return reach
    module.double()  # far from its middle a change is small beside what it is added to
    with torch.no_grad():
        example, names = _example(module, role, torch.float64), []
        plain = _watched(module, example, lambda name, layer, x, y: names.append(name))
        for wanted in names:

            def push(name: str, layer: nn.Module, x: torch.Tensor, y: torch.Tensor, wanted: str = wanted) -> Any:
                if name != wanted:
                    return None
                y = y.clone()
                (y if y.dim() == 2 else y[:, :, y.shape[2] // 2, y.shape[3] // 2]).add_(0.5)
                return y

            reach[wanted] = _width(_watched(module, example, push) - plain)
    return reach


def _width(difference: torch.Tensor) -> int:
    """Return how many pixels lie between the first column that is not zero and the last, both included."""
    columns = difference.abs().amax((0, 1, 2)).nonzero().flatten()
    return int(columns[-1] - columns[0]) + 1 if len(columns) else 0


def copy_of(module: nn.Module) -> nn.Module:
    """Return a copy that can be hooked and changed while other visitors draw with the original."""
    return copy.deepcopy(module).eval().requires_grad_(False)
