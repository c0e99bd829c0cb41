"""A cover of a few dozen pixels as one for print: flat areas stay soft, edges become edges, and a fine grain holds it
together. Nothing is invented; it looks like gouache or a screen print, where plain enlargement looks like blur."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image


PRINT_SIZE = 3000  # pixels a side, what shops ask for
SMOOTHING = 6.0  # of noise as fine as a pixel, for a cover of one pixel; less for larger ones, whose pixels show more
SHARPENING = 8  # steps
ROUNDING = 0.6  # of a cover's own pixels: without it a slanted edge is a row of beads, one for each of its pixels
ROWS = 32  # of a picture at a time
GRAIN = 0.016  # standard deviation in mid grey, of 1

_lock, _inside, _threads_outside = threading.Lock(), 0, 0  # of `one_thread`


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch from splitting its operations among threads while this context is entered.

    What is done here is many small operations, and after each of them threads wait for the slowest: on two cores that
    have other things to do as well it takes six times as long with two threads as with one.
    """
    global _inside, _threads_outside
    with _lock:
        if not _inside:  # else the number is that of another enlargement
            _threads_outside = torch.get_num_threads()
        _inside += 1
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(_threads_outside)
        with _lock:
            _inside -= 1


@one_thread()
def enlarge(cover: Image.Image, size: int = PRINT_SIZE) -> Image.Image:
    """Return `cover` at `size` x `size` pixels, the same for ever.

    Three steps: total variation takes the noise out that a generator leaves from pixel to pixel (checkerboards) and
    keeps edges; a shock filter draws the edges that Lanczos' filter in linear light has softened; grain. From the
    middle size on 8 bits do: the grain is coarser than their steps.

    Args:
        cover: mode RGB, square.
        size: pixels a side.
    """
    resolution = cover.width
    colours = torch.from_numpy(np.array(cover)).permute(2, 0, 1).float() / 255
    colours = without_noise(colours, SMOOTHING / resolution)
    middle = min(8 * resolution, 1024)
    colours = to_srgb(lanczos(to_linear(colours.clamp(0, 1)), middle))
    colours = blur(colours, ROUNDING * middle / resolution)
    colours = blur(sharpen_edges(colours, 0.5 * middle / resolution), 1.0)
    bytes_ = (colours.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    large = Image.fromarray(bytes_.numpy()).resize((size, size), Image.Resampling.LANCZOS)
    return with_grain(large)


def without_noise(colours: torch.Tensor, weight: float, steps: int = 60) -> torch.Tensor:
    """The picture nearest to `colours` of little total variation (Rudin, Osher, Fatemi 1992), by the iteration of
    Chambolle 2004, "An Algorithm for Total Variation Minimization", section 3. The three colours share their edges.

    Args:
        colours: (3, H, W) in 0..1.
        weight: how much noise; 0.1 is much.
        steps: of the iteration.
    """
    field = torch.zeros(2, *colours.shape)  # across, down
    for _ in range(steps):
        slope = _differences(_divergence(field) - colours / weight)
        field = (field + slope / 8) / (1 + slope.square().sum((0, 1)).sqrt() / 8)
    return colours - weight * _divergence(field)


def sharpen_edges(colours: torch.Tensor, scale: float, steps: int = SHARPENING) -> torch.Tensor:
    """Let each side of an edge grow until they meet: the shock filter of Osher and Rudin 1990, with the edge's place
    from a smoothed picture (Alvarez and Mazorra 1994), so that noise draws none.

    Args:
        colours: (3, H, W) in 0..1.
        scale: pixels that the smoothing spans.
        steps: edges sharpen over half a pixel in each.
    """
    for step in range(steps):
        if step % 2 == 0:  # an edge's place changes less than a pixel in two steps, and `scale` spans several
            side = _side_of_edge(blur(colours.mean(0, keepdim=True), scale))
        colours = colours - side * _steepness(colours)
    return colours


def with_grain(picture: Image.Image) -> Image.Image:
    """Lay grain over a square picture, less of it where a colour is nearly black or white."""
    size = picture.width
    colours, noise = torch.from_numpy(np.array(picture)), grain(size) * 255
    for top in range(0, size, ROWS):  # what the processor's cache holds: as one piece it takes several times as long
        rows = colours[top : top + ROWS].float()
        rows += (noise[top : top + ROWS] * (0.35 + 2.6 * (rows * (255 - rows)).mean(2) / 255**2))[..., None]
        colours[top : top + ROWS] = rows.round_().clamp_(0, 255).to(torch.uint8)
    return Image.fromarray(colours.numpy())


@lru_cache(maxsize=2)  # of the preview and of the print: 38 MB, and a fifth of a print's time
def grain(size: int) -> torch.Tensor:
    """Return (size, size) of grain as in a print: seeded, as fine as the eye sees at arm's length."""
    noise = torch.randn(size, size, generator=torch.Generator().manual_seed(0))
    noise = blur(noise[None], max(size / PRINT_SIZE, 0.4))[0]
    return GRAIN * noise / noise.std()


def lanczos(channels: torch.Tensor, size: int) -> torch.Tensor:
    """Resample (C, H, W) to (C, size, size), within 0..1."""
    resized = [Image.fromarray(c.numpy()).resize((size, size), Image.Resampling.LANCZOS) for c in channels]
    return torch.from_numpy(np.stack([np.asarray(channel) for channel in resized])).clamp(0, 1)


def blur(channels: torch.Tensor, deviation: float) -> torch.Tensor:
    """Blur (C, H, W) by a Gaussian of `deviation` pixels.

    The shifted pictures are added up: torch's convolution of a single channel takes two to four times as long.
    """
    reach = int(3 * deviation + 1)
    weights = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * deviation**2))
    taps: list[float] = (weights / weights.sum()).tolist()
    for along, border in ((2, (reach, reach, 0, 0)), (1, (0, 0, reach, reach))):
        padded, length = F.pad(channels[None], border, mode="reflect")[0], channels.shape[along]
        channels = padded.narrow(along, reach, length) * taps[reach]
        for step in range(reach):  # one to the left and its mirror image
            pair = padded.narrow(along, step, length) + padded.narrow(along, 2 * reach - step, length)
            channels.add_(pair, alpha=taps[step])
    return channels


def to_linear(srgb: torch.Tensor) -> torch.Tensor:
    """Return values of sRGB in 0..1 as amounts of light (IEC 61966-2-1)."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: torch.Tensor) -> torch.Tensor:
    """Return amounts of light in 0..1 as values of sRGB."""
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp_min(1e-8) ** (1 / 2.4) - 0.055)


def _differences(picture: torch.Tensor) -> torch.Tensor:
    """Return (2, C, H, W), the steps to the neighbour on the right and below; 0 at the border."""
    across = F.pad(picture[..., 1:] - picture[..., :-1], (0, 1))
    down = F.pad(picture[..., 1:, :] - picture[..., :-1, :], (0, 0, 0, 1))
    return torch.stack((across, down))


def _divergence(field: torch.Tensor) -> torch.Tensor:
    """Return (C, H, W): minus the adjoint of `_differences`."""
    across, down = field[0][..., :-1], field[1][..., :-1, :]
    return F.pad(across, (0, 1)) - F.pad(across, (1, 0)) + F.pad(down, (0, 0, 0, 1)) - F.pad(down, (0, 0, 1, 0))


def _side_of_edge(smooth: torch.Tensor) -> torch.Tensor:
    """Return (1, H, W): half a pixel's step, below zero on the bright side of an edge, which grows."""
    across, down = _slopes(smooth)
    bend_across, bend_both = _slopes(across)
    bend_down = _slopes(down)[1]
    bend = across**2 * bend_across + 2 * across * down * bend_both + down**2 * bend_down
    return 0.5 * torch.tanh(4000 * bend / (across**2 + down**2 + 1e-10))


def _slopes(channels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the central differences across and down, each (C, H, W)."""
    padded = F.pad(channels, (1, 1, 1, 1), mode="replicate")
    return (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2, (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2


def _steepness(channels: torch.Tensor) -> torch.Tensor:
    """Return the length of the slope, 0 at tops and bottoms (minmod), so that sharpening adds no new extremes."""
    padded = F.pad(channels, (1, 1, 1, 1), mode="replicate")
    right, below = padded[:, 1:-1].diff(dim=2), padded[:, :, 1:-1].diff(dim=1)
    across = _minmod(right[..., 1:], right[..., :-1])
    down = _minmod(below[:, 1:], below[:, :-1])
    return across.square_().add_(down.square_()).sqrt_()


def _minmod(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the smaller of two slopes where both go the same way, else 0."""
    return torch.minimum(a, b).clamp_min_(0).add_(torch.maximum(a, b).clamp_max_(0))
