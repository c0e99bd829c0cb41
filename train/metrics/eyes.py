"""How good covers of 128 pixels and more are: what a network sees that never taught, lattices, spread of colours.

EfficientNet-lite1 learned from photographs (ImageNet), as lite0 did, which stands under some discriminators here: it
flatters them (Kynkäänniemi et al. 2023, "The Role of ImageNet Classes in Fréchet Inception Distance"). So it never
chooses alone: `fd_covers`, which saw no photograph, the spread of colours, and people's eyes stand beside it.
"""

import math
import sys

import torch
import torch.nn.functional as F

from gan.networks.efficientnet_lite import EfficientNetLite, load_efficientnet_lite
from train.covers import to_float
from train.metrics.distances import frechet_distance, kernel_distance, precision_recall
from train.metrics.features import in_float32


SIDE = 224  # pixels at which the network looks: near the 240 that it learned at
BATCH = 32
FEWEST = 4  # covers of each kind: of fewer none has a third nearest neighbour
PERIODS = (2, 4, 8)  # pixels: of the lattices that three doublings can leave


def load_eyes(device: torch.device | str) -> EfficientNetLite | None:
    """Return EfficientNet-lite1; None where its package is not installed, which one line on stderr then says."""
    try:
        return load_efficientnet_lite(1).to(device)
    except ModuleNotFoundError as error:
        print(f"kernel_eyes and lattice_db are not measured: {error}", file=sys.stderr)
        return None


class EyeDistances:
    """Measure how far covers are from real ones, for eyes that no recipe here trains on.

    Args:
        real: (N, H, H, 3) uint8 held-out covers, at least 4.
        network: EfficientNet-lite1; None loads it from its package.
        device: where it looks.

    Raises:
        ValueError: fewer than 4.
        ModuleNotFoundError: the package is not installed; the message says how to.
    """

    def __init__(
        self, real: torch.Tensor, network: EfficientNetLite | None = None, device: torch.device | str = "cpu"
    ):
        self.network = (network or load_efficientnet_lite(1)).to(device)
        self.device = device
        self.real = self._look(real)

    def __call__(self, covers: torch.Tensor) -> dict[str, float]:
        """Compare (M, H, H, 3) uint8 covers, at least 4, with the real ones.

        Returns:
            `kernel_eyes` (the kernel distance times 1000; 0 is best, however many covers there are), `fd_eyes` (the
            Fréchet distance; it falls with N and M), `precision_eyes`, `recall_eyes`, `lattice_db` (0 is none; of
            covers from 64 px on) and `colour_spread`.
        """
        seen = self._look(covers)
        precision, recall = precision_recall(self.real, seen)
        return {
            "kernel_eyes": round(1000 * kernel_distance(self.real, seen), 2),
            "fd_eyes": round(frechet_distance(self.real, seen), 2),
            "precision_eyes": round(precision, 4),
            "recall_eyes": round(recall, 4),
        } | grain(covers)

    @torch.no_grad()
    def _look(self, covers: torch.Tensor) -> torch.Tensor:
        """Map (N, H, H, 3) uint8 to (N, 1280) features on the CPU."""
        if len(covers) < FEWEST:
            raise ValueError(f"need at least {FEWEST} covers of each kind, not {len(covers)}")
        found = []
        with in_float32():
            for part in covers.split(BATCH):
                images = to_float(part.to(self.device))
                images = F.interpolate(images, SIDE, mode="bilinear", antialias=True)
                found.append(self.network.pooled(images.contiguous(memory_format=torch.channels_last)).cpu())
        return torch.cat(found)


def grain(covers: torch.Tensor) -> dict[str, float]:
    """Return what needs no network: `colour_spread` and, of covers that are large enough for it, `lattice_db`."""
    found, side = {"colour_spread": round(colour_spread(covers), 2)}, covers.shape[1]
    return found | ({"lattice_db": round(lattice_db(covers), 2)} if side >= 64 and side % max(PERIODS) == 0 else {})


def lattice_db(covers: torch.Tensor) -> float:
    """Return by how many decibels a lattice's frequencies stand above their neighbours; about 0 for real covers.

    Layers that double the size repeat what they do every second pixel, and the ones before them every fourth and
    eighth (Odena et al. 2016, "Deconvolution and Checkerboard Artifacts"; Zhang et al. 2019, "Detecting and Simulating
    Artifacts in GAN Fake Images", section 3: peaks in the spectrum). The mean power spectrum of many covers is smooth
    where none of them repeats anything. Each period has frequencies of its own; that of the strongest is returned.

    Args:
        covers: (N, H, H, 3) uint8, H a multiple of 8 of at least 64.

    Raises:
        ValueError: smaller ones, where neighbours would be too few.
    """
    side = covers.shape[1]
    if side < 64 or side % max(PERIODS):
        raise ValueError(f"lattices are looked for in covers whose side is a multiple of 8 from 64 on, not {side}")
    window = torch.hann_window(side, periodic=True)
    power = torch.zeros(side, side)
    for part in covers.split(256):
        grey = part.float().mean(3)
        grey = (grey - grey.mean((1, 2), keepdim=True)) * window[:, None] * window
        power += torch.fft.fft2(grey).abs().square().sum(0)
    level = 10 * power.clamp_min(1e-12).log10()
    known, highest = {(0, 0)}, []
    for period in PERIODS:
        multiples = range(0, side, side // period)
        places = {(u, v) for u in multiples for v in multiples} - known
        known |= places
        heights = [level[u, v] - torch.stack(_neighbours(level, u, v)).mean() for u, v in sorted(places)]
        highest.append(torch.stack(heights).mean().item())
    return max(highest)


def _neighbours(level: torch.Tensor, u: int, v: int) -> list[torch.Tensor]:
    """Return the levels two and three frequencies away, beyond what the window smears.

    On an axis only those along it: frames and horizons make axes stand out in real covers, too.
    """
    side, away = len(level), (-3, -2, 2, 3)
    along_u = [level[(u + d) % side, v] for d in away] if u else []
    along_v = [level[u, (v + d) % side] for d in away] if v else []
    return along_u + along_v


def colour_spread(covers: torch.Tensor) -> float:
    """Return how much the colours of covers differ from one cover to the next, in grey levels of 0..255.

    The square root of the generalised variance of mean colours, (det of their 3x3 covariance) ** (1/6): it falls to 0
    where one hue is left, although light and dark still vary (Wilks 1932).

    Args:
        covers: (N, H, W, 3) uint8, at least 4.
    """
    means = covers.float().mean((1, 2)).double()
    return math.exp(torch.linalg.slogdet(means.T.cov() + 1e-9 * torch.eye(3)).logabsdet.item() / 6)
