"""Describe the colours of covers by shares of twelve named ones.

After Mino and Spanakis 2018, "LoGAN", section 3, which asks for one of twelve.
"""

import re

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from gan.pipeline import COLOURS


SOFTNESS = 30.0  # grey levels: two colours no farther apart than so share a pixel nearly evenly
SIDE = 16  # pixels: small enough to be quick, large enough that a tenth of a cover still counts
LARGEST_SHARE = 100
LEAST_SHARE = 3  # hundredths: below it a colour of a picture is not named
SHARE = re.compile(r"([a-z]{1,20})([0-9]{0,3})")


def palettes(covers: torch.Tensor) -> torch.Tensor:
    """Describe (N, H, W, 3) uint8 covers by the shares of the named colours, less an even share: (N, 12).

    Each row sums to 0, and zeros mean "any colours", as where nothing is asked.
    """
    return colour_shares(covers.permute(0, 3, 1, 2).float())


def colour_shares(covers: torch.Tensor) -> torch.Tensor:
    """Do what `palettes` does of (N, 3, H, W) covers in 0..255, whose gradients pass."""
    small = F.interpolate(covers, SIDE, mode="area").flatten(2).transpose(1, 2)
    named = torch.tensor(list(COLOURS.values()), device=covers.device).float()
    # not torch.cdist, whose gradient at a distance of 0 is none
    apart = (small[:, :, None] - named).square().sum(3)
    return torch.softmax(-apart / SOFTNESS**2, 2).mean(1) - 1 / len(COLOURS)


def colours_of(picture: Image.Image) -> str:
    """Return the colours of a picture as `read_colours` reads them, the rarest left out."""
    (shares,) = palettes(torch.from_numpy(np.array(picture.convert("RGB")))[None]) + 1 / len(COLOURS)
    hundredths = zip(COLOURS, (100 * shares).round().int().tolist(), strict=True)
    return write_colours({name: share for name, share in hundredths if share >= LEAST_SHARE})


def read_colours(text: str) -> dict[str, int]:
    """Read shares of colours as an address has them, such as "black10-red30"; "red" alone is "red1".

    Raises:
        ValueError: it names a colour that there is not, or one twice, or its share is not a number from 1 to 100.
    """
    shares = {}
    for part in text.split("-"):
        found = SHARE.fullmatch(part)
        if not found or found[1] not in COLOURS or found[1] in shares:
            raise ValueError(f"there is no colour {part!r}, or it is named twice")
        shares[found[1]] = int(found[2] or 1)
        if not 1 <= shares[found[1]] <= LARGEST_SHARE:
            raise ValueError(f"the share of a colour is a number from 1 to {LARGEST_SHARE}")
    return shares


def write_colours(shares: dict[str, int]) -> str:
    """Return what `read_colours` reads, in the order of COLOURS."""
    return "-".join(f"{name}{shares[name]}" for name in COLOURS if shares.get(name))
