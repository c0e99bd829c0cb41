"""The network of FID, Inception-v3: "Rethinking the Inception Architecture for Computer Vision" (Szegedy et al. 2016,
https://arxiv.org/abs/1512.00567), with the channels of TensorFlow's own code
(https://github.com/tensorflow/models/blob/master/research/slim/nets/inception_v3.py).

FID is defined by one trained graph, TensorFlow's of 2015-12-05. What is odd in that graph is kept, or the numbers
would be others: the last block's pool takes the maximum instead of the average, covers are scaled without half-pixel
centres, pixels become (x - 128) / 128. Only its 1008 logits are left out: what is compared are the features before.
"""

from collections import OrderedDict
from typing import Literal

import torch
from torch import nn


Layer = tuple[int, int, int]  # channels out, height and width of the kernel
Fork = dict[str, Layer]  # layers that see the same, by the letters that end their names

SIDE = 299  # pixels of a cover as the network sees it
DOUBLE: list[Layer] = [(64, 1, 1), (96, 3, 3), (96, 3, 3)]  # two 3x3 see as much as one 5x5
ENDS: Fork = {"a": (384, 1, 3), "b": (384, 3, 1)}


class Conv(nn.Sequential):
    """A convolution, batch normalisation in place of a bias, ReLU; `padding` is TensorFlow's word."""

    def __init__(self, channels_in: int, layer: Layer, stride: int = 1, padding: Literal["same", "valid"] = "same"):
        channels, *kernel = layer
        conv = nn.Conv2d(channels_in, channels, kernel, stride, padding, bias=False)
        norm = nn.BatchNorm2d(channels, eps=0.001)  # TensorFlow's; PyTorch's 1e-5 gives other features
        super().__init__(OrderedDict(conv=conv, bn=norm, relu=nn.ReLU(inplace=True)))


class Mixed(nn.Module):
    """Branches that see the same, their outputs one after another.

    Args:
        channels_in: channels that every branch sees.
        pool: what `branch_pool`, which may have no layers, sees through.
        halve: each branch's last layer halves height and width, and pads nothing (section 5).
        branches: the layers of each. Their names are torchvision's, since the weights have those: `branch1x1` if it is
            the only one, `branch5x5_1` and `branch5x5_2`, `branch3x3_2a` beside `branch3x3_2b`.
    """

    def __init__(self, channels_in: int, pool: nn.Module, halve: bool = False, **branches: list[Layer | Fork]):
        super().__init__()
        self.pool = pool
        self.names: dict[str, list[list[str]]] = {}  # of each branch's layers, step by step
        for branch, steps in branches.items():
            self.names[branch], channels = [], channels_in
            for number, step in enumerate(steps, 1):
                layers = step if isinstance(step, dict) else {"": step}
                names = [f"{branch}_{number}{letter}" if len(steps) > 1 else branch for letter in layers]
                last = {"stride": 2, "padding": "valid"} if halve and number == len(steps) else {}
                for name, layer in zip(names, layers.values(), strict=True):
                    self.add_module(name, Conv(channels, layer, **last))
                self.names[branch].append(names)
                channels = sum(layer[0] for layer in layers.values())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels_in, H, W) to (N, channels of all branches, H, W); with `halve`, half of H and W."""
        outputs = []
        for branch, steps in self.names.items():
            y = self.pool(x) if branch == "branch_pool" else x
            for names in steps:
                y = torch.cat([self.get_submodule(name)(y) for name in names], dim=1)
            outputs.append(y)
        return torch.cat(outputs, dim=1)


def _average() -> nn.Module:
    """The mean of 3x3: TensorFlow divides by how many of the nine are inside, PyTorch by nine unless told so."""
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def _mixed_5(channels_in: int, pooled: int) -> Mixed:
    """35x35 (figure 5, with a 5x5 for its single 3x3), to 224 + `pooled` channels."""
    return Mixed(
        channels_in,
        _average(),
        branch1x1=[(64, 1, 1)],
        branch5x5=[(48, 1, 1), (64, 5, 5)],
        branch3x3dbl=DOUBLE,
        branch_pool=[(pooled, 1, 1)],
    )


def _mixed_6(width: int) -> Mixed:
    """17x17 (figure 6): each 7x7 is a row and a column, with `width` channels between; 768 channels to 768."""
    thin, row, column = (width, 1, 1), (width, 1, 7), (width, 7, 1)
    return Mixed(
        768,
        _average(),
        branch1x1=[(192, 1, 1)],
        branch7x7=[thin, row, (192, 7, 1)],
        branch7x7dbl=[thin, column, row, column, (192, 1, 7)],
        branch_pool=[(192, 1, 1)],
    )


def _mixed_7(channels_in: int, pool: nn.Module) -> Mixed:
    """8x8 (figure 7): branches that end in a row beside a column; to 2048 channels."""
    return Mixed(
        channels_in,
        pool,
        branch1x1=[(320, 1, 1)],
        branch3x3=[(384, 1, 1), ENDS],
        branch3x3dbl=[(448, 1, 1), (384, 3, 3), ENDS],
        branch_pool=[(192, 1, 1)],
    )


def _halve(channels_in: int, **branches: list[Layer]) -> Mixed:
    """Half the height and width, by convolutions beside a pool (figure 10); the pool adds `channels_in` channels."""
    return Mixed(channels_in, nn.MaxPool2d(3, 2), halve=True, **branches, branch_pool=[])


def scale(covers: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) float to (N, C, 299, 299), bilinear as TensorFlow 1 scales, which no mode of `F.interpolate` does.

    Pixel i is taken at i * length / 299: without half pixels, and with nothing averaged where a cover shrinks.
    """
    for dim in (3, 2):  # along rows first: rounded as TensorFlow rounds
        length = covers.shape[dim]
        places = torch.arange(SIDE, device=covers.device) * (length / SIDE)
        low = places.long()
        start, end = (covers.index_select(dim, at) for at in (low, (low + 1).clamp(max=length - 1)))
        covers = start + (end - start) * (places - low).view(-1, *(1,) * (3 - dim))
    return covers


class InceptionV3(nn.Sequential):
    """Covers to FID's features. Its state dict is torch-fidelity's without `fc.*`, the logits."""

    def __init__(self):
        layers = OrderedDict(
            Conv2d_1a_3x3=Conv(3, (32, 3, 3), stride=2, padding="valid"),  # to 149x149
            Conv2d_2a_3x3=Conv(32, (32, 3, 3), padding="valid"),
            Conv2d_2b_3x3=Conv(32, (64, 3, 3)),
            pool_1=nn.MaxPool2d(3, 2),  # to 73x73
            Conv2d_3b_1x1=Conv(64, (80, 1, 1)),
            Conv2d_4a_3x3=Conv(80, (192, 3, 3), padding="valid"),
            pool_2=nn.MaxPool2d(3, 2),  # to 35x35
            Mixed_5b=_mixed_5(192, pooled=32),
            Mixed_5c=_mixed_5(256, pooled=64),
            Mixed_5d=_mixed_5(288, pooled=64),
            Mixed_6a=_halve(288, branch3x3=[(384, 3, 3)], branch3x3dbl=DOUBLE),  # to 17x17
            Mixed_6b=_mixed_6(128),
            Mixed_6c=_mixed_6(160),
            Mixed_6d=_mixed_6(160),
            Mixed_6e=_mixed_6(192),
            Mixed_7a=_halve(  # to 8x8
                768,
                branch3x3=[(192, 1, 1), (320, 3, 3)],
                branch7x7x3=[(192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3)],
            ),
            Mixed_7b=_mixed_7(1280, _average()),
            Mixed_7c=_mixed_7(2048, nn.MaxPool2d(3, stride=1, padding=1)),
        )
        super().__init__(layers)

    def forward(self, covers: torch.Tensor, return_features: Literal[True] = True) -> torch.Tensor:
        """(N, 3, H, W) uint8 to (N, 2048); `return_features` is how NVIDIA's file, which has logits too, is asked."""
        return super().forward((scale(covers.float()) - 128) / 128).mean(dim=(2, 3))
