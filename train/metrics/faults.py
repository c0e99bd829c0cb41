"""Damage covers at any strength: to teach a network to see damage, and to test whether a metric sees it."""

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from train.covers import to_float, to_uint8


def blur(covers: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur (N, H, H, 3) uint8 covers by a Gaussian of `sigma` pixels."""
    reach = max(1, round(3 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma).square())
    taps = (taps / taps.sum()).expand(3, 1, 1, -1)
    images = F.pad(to_float(covers), (reach,) * 4, mode="replicate")
    for kernel in (taps, taps.transpose(2, 3)):
        images = F.conv2d(images, kernel, groups=3)
    return to_uint8(images)


def noise(covers: torch.Tensor, deviation: float, generator: torch.Generator) -> torch.Tensor:
    """Add normal noise of `deviation` grey levels to (N, H, H, 3) uint8 covers."""
    grain = torch.randn(covers.shape, generator=generator) * deviation
    return (covers + grain).round().clamp(0, 255).byte()


def jpeg(covers: torch.Tensor, quality: int) -> torch.Tensor:
    """Save (N, H, H, 3) uint8 covers as JPEG files of `quality` and read them back."""
    return torch.stack([torch.from_numpy(_through_jpeg(cover, quality)) for cover in covers.numpy()])


def _through_jpeg(cover: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(cover).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def checkerboard(covers: torch.Tensor, levels: int) -> torch.Tensor:
    """Make pixels of (N, H, H, 3) uint8 covers lighter and darker by `levels` in turn, as transposed convolutions do.

    Odena, Dumoulin and Olah 2016, "Deconvolution and Checkerboard Artifacts".
    """
    pixel = torch.arange(covers.shape[1])
    sign = 1 - 2 * ((pixel[:, None] + pixel) % 2)
    return (covers + levels * sign[..., None]).clamp(0, 255).byte()


def pale(covers: torch.Tensor, contrast: float) -> torch.Tensor:
    """Multiply the contrast of (N, H, H, 3) uint8 covers by `contrast`."""
    means = covers.float().mean((1, 2, 3), keepdim=True)
    return (means + (covers - means) * contrast).round().byte()


def shuffled(covers: torch.Tensor, fields: int, generator: torch.Generator) -> torch.Tensor:
    """Cut (N, H, H, 3) uint8 covers into `fields` x `fields` squares, and put these together in another order."""
    count, side = len(covers), covers.shape[1] // fields
    squares = covers.unflatten(2, (fields, side)).unflatten(1, (fields, side)).transpose(2, 3).flatten(1, 2)
    order = torch.rand(count, fields**2, generator=generator).argsort(1)
    squares = squares[torch.arange(count)[:, None], order].unflatten(1, (fields, fields))
    return squares.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def gradients(count: int, side: int, generator: torch.Generator) -> torch.Tensor:
    """Return (count, side, side, 3) uint8: from one colour to another, in any direction."""
    first, second = torch.rand(2, count, 1, 1, 3, generator=generator) * 255
    turn = 2 * torch.pi * torch.rand(count, 1, 1, generator=generator)
    place = torch.linspace(-0.5, 0.5, side)
    along = (place[:, None] * turn.sin() + place * turn.cos() + 0.5).clamp(0, 1)[..., None]
    return (first + (second - first) * along).round().byte()


def textures(count: int, side: int, generator: torch.Generator) -> torch.Tensor:
    """Return (count, side, side, 3) uint8: noise with as much of each size of detail as photographs have (1/f).

    Field 1987, "Relations between the statistics of natural images and the response properties of cortical cells".
    """
    frequency = torch.fft.fftfreq(side).square()
    amplitude = (frequency[:, None] + frequency).sqrt()
    amplitude[0, 0] = 1.0
    grain = torch.randn(count, 3, side, side, generator=generator)
    images = torch.fft.ifft2(torch.fft.fft2(grain) / amplitude).real
    images = (images - images.mean((1, 2, 3), keepdim=True)) / images.std((1, 2, 3), keepdim=True)
    return to_uint8(0.5 * images)
