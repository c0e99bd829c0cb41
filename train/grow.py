"""Networks for twice the resolution that begin where those of a run ended.

As in progressive growing (Karras et al. 2018, "Progressive Growing of GANs", section 2) a small resolution, where
steps are cheap, teaches layout and colour first. Nothing has to be faded in, because the new layers begin with weights
that change nothing ("Net2Net", Chen et al. 2016, section 2): a cover is drawn as before, each pixel a square of four,
and judged as before.
"""

import copy
import json
import shutil
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch
from torch import nn

from gan.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from train.cli import UserError
from train.recipes import Recipe
from train.run_folder import RunFolder, is_whole
from train.steps import GAN


COLOURS = 3
SIGNS = 2 * COLOURS  # each colour and its negative, of which a rectifier leaves one
MIDDLE = slice(1, 3)  # of a 4x4 kernel with stride 2: the four pixels below one above
SLOPE = 0.2  # of the discriminator's LeakyReLU
LATENTS = 1024  # whose covers tell the statistics that the generator's new layer begins with


def grow(gan: GAN, run_folder: Path) -> dict[str, float]:
    """Make new networks begin where those of the run in `run_folder` ended; optimisers and averages begin anew.

    Returns:
        What `config.json` tells of that run: its resolution, how many covers it was shown, and in how many seconds.

    Raises:
        UserError: it is not a run with a checkpoint, or its networks are not those of `gan` with one layer less.
    """
    try:
        config = json.loads((run_folder / "config.json").read_text())
        recipe = Recipe(**{field.name: config[field.name] for field in fields(Recipe) if field.name in config})
        file = max((run_folder / "checkpoints").glob("images-*.pt"))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"--grow_from {run_folder}: not the folder of a run with a checkpoint") from error
    if not is_whole(file):
        raise UserError(f"--grow_from {file}: damaged")
    state = torch.load(file, map_location="cpu", weights_only=True)
    small = dict(zip(("generator", "discriminator"), recipe.build(config.get("genres", [])), strict=True))
    try:
        for name, grown in (("generator", grow_generator), ("discriminator", grow_discriminator)):
            small[name].load_state_dict(state[name])
            grown(small[name], getattr(gan, name))
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"--grow_from {run_folder}: a dcgan grows to twice the resolution at half the width, with the same "
            "latents and genres, and with normalisation: none in its discriminator; these networks differ otherwise"
        ) from error
    return {"resolution": recipe.resolution, "images": state["images"], "seconds": state["seconds"]}


def keep_sheets(run_folder: Path, folder: RunFolder) -> None:
    """Copy the sheets of the run that was grown to samples/before/, with which the film begins."""
    shutil.copytree(run_folder / "samples", folder.samples / "before", dirs_exist_ok=True)


@torch.no_grad()
def grow_generator(small: DCGANGenerator, large: DCGANGenerator) -> None:
    """Make `large` draw the covers of `small`, each pixel as a square of four, while both are in training.

    The last layer of `small` is followed by a normalisation, which begins as its own inverse, and by ReLU, after which
    a colour is what is left of it less what is left of its negative.

    Raises:
        AttributeError, RuntimeError, ValueError: `large` is not `small` with one layer more.
    """
    *body, last, _ = small.layers
    *same, widest, norm, _, out, _ = large.layers
    _copy([*body, small.genre_embedding], [*same, large.genre_embedding])
    before_tanh = copy.deepcopy(small).train()
    before_tanh.layers[-1] = nn.Identity()
    latents = torch.randn(LATENTS, small.config.latent_dim, generator=torch.Generator().manual_seed(0))
    deviation, mean = torch.std_mean(before_tanh(latents), (0, 2, 3), correction=0)  # the last layer's bias included
    widest.weight[:, :SIGNS] = torch.cat((last.weight, -last.weight), 1)
    norm.weight[:SIGNS] = deviation.repeat(2)
    norm.bias[:SIGNS] = torch.cat((mean, -mean))
    out.weight.zero_()
    out.bias.zero_()
    _carry_colours(out.weight, 1)


@torch.no_grad()
def grow_discriminator(small: DCGANDiscriminator, large: DCGANDiscriminator) -> None:
    """Make `large` judge a cover as `small` judges it at half its size, the mean of each four pixels.

    LeakyReLU(x) - LeakyReLU(-x) is x times 1 + its slope.

    Raises:
        AttributeError, RuntimeError, ValueError: `large` is not `small` with one layer more, or normalises batches.
    """
    first, *body = small.layers
    new, _, wider, *same = large.layers
    _copy([*body, small.genre_embedding], [*same, large.genre_embedding])
    new.weight[:SIGNS] = 0
    new.bias.zero_()
    _carry_colours(new.weight, 1 / 4)
    wider.weight.zero_()
    wider.weight[:, :SIGNS] = torch.cat((first.weight, -first.weight), 1) / (1 + SLOPE)
    wider.bias.copy_(first.bias)


def _carry_colours(weight: nn.Parameter, share: float) -> None:
    """Let the first channels of (channels, 3, 4, 4) stand for the colours, and the next ones for their negatives."""
    for colour in range(COLOURS):
        weight[colour, colour, MIDDLE, MIDDLE] = share
        weight[COLOURS + colour, colour, MIDDLE, MIDDLE] = -share


def _copy(layers: Sequence[nn.Module | None], to: Sequence[nn.Module | None]) -> None:
    for layer, other in zip(layers, to, strict=True):
        if layer is not other:  # both None where there are no genres
            other.load_state_dict(layer.state_dict())
