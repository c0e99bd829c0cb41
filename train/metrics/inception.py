"""FID's network, from a file that the user names (it is never downloaded unasked), and the distances on its features.

Inception-v3: "Rethinking the Inception Architecture for Computer Vision" (Szegedy et al. 2016,
https://arxiv.org/abs/1512.00567), with the channels of TensorFlow's own code
(https://github.com/tensorflow/models/blob/master/research/slim/nets/inception_v3.py).

FID is defined by one trained graph, TensorFlow's of 2015-12-05. What is odd in that graph is kept, or the numbers
would be others: the last block's pool takes the maximum instead of the average, covers are scaled without half-pixel
centres, pixels become (x - 128) / 128. Only its 1008 logits are left out: what is compared are the features before.
"""

import hashlib
import io
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub import hf_hub_download
from torch import nn

from gan.errors import first_line
from train.cli import UserError
from train.covers import Covers
from train.metrics.distances import frechet_distance, kernel_distance, precision_recall
from train.metrics.evaluation import draw
from train.metrics.features import in_float32


# The weights of 2015 as torch-fidelity took them from TensorFlow. pytorch-fid's pt_inception-2015-12-05-6726825d.pth
# is the same file, by its size and the digits in its name.
NAME = "weights-inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
HELP = (  # of the flag --inception
    f"also measure FID, KID, precision and recall: torch-fidelity's {NAME}, as a file, an address (https://...) or "
    "hf://user/repository/file"
)
COVERS = 5_000  # of each kind, at most

Layer = tuple[int, int, int]  # channels out, height and width of the kernel
Fork = dict[str, Layer]  # layers that see the same, by the letters that end their names
Branch = Sequence[Layer | Fork]

SIDE = 299  # pixels of a cover as the network sees it
DOUBLE: list[Layer] = [(64, 1, 1), (96, 3, 3), (96, 3, 3)]  # two 3x3 see as much as one 5x5
ENDS: Fork = {"a": (384, 1, 3), "b": (384, 3, 1)}


class Conv(nn.Sequential):
    """Convolve, normalise over the batch in place of a bias, apply ReLU; `padding` is TensorFlow's word."""

    def __init__(self, channels_in: int, layer: Layer, stride: int = 1, padding: Literal["same", "valid"] = "same"):
        channels, height, width = layer
        conv = nn.Conv2d(channels_in, channels, (height, width), stride, padding, bias=False)
        norm = nn.BatchNorm2d(channels, eps=0.001)  # TensorFlow's; PyTorch's 1e-5 gives other features
        super().__init__(OrderedDict(conv=conv, bn=norm, relu=nn.ReLU(inplace=True)))


class Mixed(nn.Module):
    """Join the outputs of branches that see the same.

    Args:
        channels_in: channels that every branch sees.
        pool: what `branch_pool`, which may have no layers, sees through.
        halve: each branch's last layer halves height and width, and pads nothing (section 5).
        branches: the layers of each. Their names are torchvision's, since the weights have those: `branch1x1` if it is
            the only one, `branch5x5_1` and `branch5x5_2`, `branch3x3_2a` beside `branch3x3_2b`.
    """

    def __init__(self, channels_in: int, pool: nn.Module, halve: bool = False, **branches: Branch):
        super().__init__()
        self.pool = pool
        self.names: dict[str, list[list[str]]] = {}  # of each branch's layers, step by step
        for branch, steps in branches.items():
            self.names[branch], channels = [], channels_in
            for number, step in enumerate(steps, 1):
                layers = step if isinstance(step, dict) else {"": step}
                names = [f"{branch}_{number}{letter}" if len(steps) > 1 else branch for letter in layers]
                halves = halve and number == len(steps)
                for name, layer in zip(names, layers.values(), strict=True):
                    conv = Conv(channels, layer, 2, "valid") if halves else Conv(channels, layer)
                    self.add_module(name, conv)
                self.names[branch].append(names)
                channels = sum(layer[0] for layer in layers.values())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Turn (N, channels_in, H, W) into (N, channels of all branches, H, W); with `halve`, half of H and W."""
        outputs = []
        for branch, steps in self.names.items():
            y = self.pool(x) if branch == "branch_pool" else x
            for names in steps:
                y = torch.cat([self.get_submodule(name)(y) for name in names], dim=1)
            outputs.append(y)
        return torch.cat(outputs, dim=1)


def _average() -> nn.Module:
    """Average 3x3: TensorFlow divides by how many of the nine are inside, PyTorch by nine unless told so."""
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def _mixed_5(channels_in: int, pooled: int) -> Mixed:
    """Build a module of 35x35 (figure 5, with a 5x5 for its single 3x3), to 224 + `pooled` channels."""
    return Mixed(
        channels_in,
        _average(),
        branch1x1=[(64, 1, 1)],
        branch5x5=[(48, 1, 1), (64, 5, 5)],
        branch3x3dbl=DOUBLE,
        branch_pool=[(pooled, 1, 1)],
    )


def _mixed_6(width: int) -> Mixed:
    """Build a module of 17x17 (figure 6): each 7x7 is a row and a column of `width` channels; 768 channels to 768."""
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
    """Build a module of 8x8 (figure 7): branches that end in a row beside a column; to 2048 channels."""
    return Mixed(
        channels_in,
        pool,
        branch1x1=[(320, 1, 1)],
        branch3x3=[(384, 1, 1), ENDS],
        branch3x3dbl=[(448, 1, 1), (384, 3, 3), ENDS],
        branch_pool=[(192, 1, 1)],
    )


def _halve(channels_in: int, **branches: Branch) -> Mixed:
    """Halve height and width, by convolutions beside a pool (figure 10); the pool adds `channels_in` channels."""
    return Mixed(channels_in, nn.MaxPool2d(3, 2), halve=True, **branches, branch_pool=[])


def scale(covers: torch.Tensor) -> torch.Tensor:
    """Scale (N, C, H, W) float to 299 x 299, bilinear as TensorFlow 1 does and no mode of `F.interpolate`.

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
    """Turn covers into FID's features. Its state dict is torch-fidelity's without `fc.*`, the logits."""

    def __init__(self) -> None:
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

    def forward(self, covers: torch.Tensor) -> torch.Tensor:
        """Return the (N, 2048) features of (N, 3, H, W) uint8 covers of any size."""
        return super().forward((scale(covers.float()) - 128) / 128).mean(dim=(2, 3))


def load_inception(source: str) -> InceptionV3:
    """Return FID's network, in evaluation mode on the CPU.

    Args:
        source: a file, an address (https://...), or hf://user/repository/path/of/the/file. Its SHA-256 must be
            `SHA256`: with other weights it would not be FID.

    Raises:
        UserError: it is not there, cannot be downloaded, or is another file.
    """
    try:
        content = _read(source)
    except Exception as error:  # the system's, urllib's and the Hub client's errors
        raise UserError(f"--inception {source}: {first_line(error)}") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise UserError(f"--inception {source}: not the file {NAME} (its SHA-256 is another one)")
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    with torch.device("meta"):  # no random weights first: a run's random numbers are the same with and without FID
        network = InceptionV3()
    network.load_state_dict({name: part for name, part in state.items() if not name.startswith("fc.")}, assign=True)
    return network.eval().requires_grad_(False)


def _read(source: str) -> bytes:
    if source.startswith("hf://"):
        if source.count("/") < 4:
            raise ValueError("a file on the Hub reads hf://user/repository/file")
        owner, name, path = source.removeprefix("hf://").split("/", 2)
        return Path(hf_hub_download(f"{owner}/{name}", path)).read_bytes()
    if source.startswith(("https://", "http://")):
        with tempfile.TemporaryDirectory() as folder:
            torch.hub.download_url_to_file(source, f"{folder}/file", progress=False)
            return Path(folder, "file").read_bytes()
    return Path(source).read_bytes()


class FeatureDistances:
    """Measure FID, KID, precision and recall of a generator against training covers.

    Args:
        network: see `load_inception`.
        train: covers that are trained on; the first 5,000 of its shuffled order are used, or all if there are fewer.
        device: where the network runs.
    """

    def __init__(self, network: nn.Module, train: Covers, device: torch.device):
        self.network, self.device = network.to(device), device
        count = min(COVERS, len(train))
        self.real, self.labels = self._features(train.batch(0, count)), train.batch_labels(0, count)

    def __call__(self, generator: nn.Module, label: int | None = None, progress: bool = False) -> dict[str, float]:
        """Return `fid`, `kid`, `precision`, `recall`, and `inception_covers`: how many of each kind were compared.

        Args:
            generator: on the device where it runs, in evaluation mode.
            label: the genre to draw, as the generator numbers them; None: those of the training covers.
            progress: whether a bar shows how far the drawing is.
        """
        labels = self.labels if label is None else torch.full((len(self.real),), label)
        fake = self._features(draw(generator, len(self.real), labels, progress))
        precision, recall = precision_recall(self.real, fake)
        return {
            "fid": round(frechet_distance(self.real, fake), 3),
            "kid": round(kernel_distance(self.real, fake), 6),
            "precision": round(precision, 4),
            "recall": round(recall, 4),
            "inception_covers": len(self.real),
        }

    @torch.no_grad()
    def _features(self, covers: torch.Tensor) -> torch.Tensor:
        """Return the (N, D) features of (N, H, W, 3) uint8 covers."""
        parts = (part.permute(0, 3, 1, 2).to(self.device) for part in covers.split(64))
        with in_float32():
            return torch.cat([self.network(part) for part in parts])


def features(inception: str | None, covers: Covers, device: torch.device) -> FeatureDistances | None:
    """Return what measures FID and its like; None, and a line that says why, where it cannot: no run stops for it."""
    if inception is None:
        return None
    try:
        return FeatureDistances(load_inception(inception), covers, device)
    except Exception as error:
        print(f"{first_line(error)}; FID and KID are not measured", file=sys.stderr)
        return None
