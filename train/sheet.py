"""The sheet of samples: the covers of the first seeds, none of them chosen, as one picture."""

import torch
from PIL import Image

from gan.latents import config_of
from gan.pipeline import genres_of, latents_from_seeds
from train.covers import to_uint8


SHEET_SEEDS, SHEET_COLUMNS = 64, 8


@torch.no_grad()
def draw_sheet(
    generator: torch.nn.Module, seeds: range = range(SHEET_SEEDS), columns: int = SHEET_COLUMNS
) -> Image.Image:
    """Draw the covers of `seeds` as one picture, in rows of `columns`.

    Where there are genres they take turns: seed s is drawn as genre s modulo their number.
    """
    device = next(generator.parameters()).device
    inputs = [latents_from_seeds(list(seeds), config_of(generator).latent_dim)]
    if genres := genres_of(generator):
        inputs.append(torch.tensor(list(seeds)) % len(genres))
    parts = zip(*(tensor.to(device).split(16) for tensor in inputs), strict=True)
    covers = torch.cat([to_uint8(generator(*part)) for part in parts])
    return tiled(covers, columns)


def tiled(covers: torch.Tensor, columns: int) -> Image.Image:
    """Return (N, H, W, 3) uint8 covers as one picture, in full rows of `columns`; the last cell of a short row stays
    black."""
    missing = -len(covers) % columns
    covers = torch.cat((covers, covers.new_zeros(missing, *covers.shape[1:])))
    return Image.fromarray(torch.cat([torch.cat(list(row), dim=1) for row in covers.split(columns)]).numpy())
