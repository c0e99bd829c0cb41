"""Networks for twice the resolution that begin where those of a run ended.

As in progressive growing (Karras et al. 2018, "Progressive Growing of GANs", section 2) a small resolution, where
steps are cheap, teaches layout and colour first. Nothing has to be faded in, because the new layers begin with weights
that change nothing: the idea is Net2Net's (Chen et al. 2016, section 2).
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import torch
from torch import nn

from gan.networks.r3gan import Downsample, R3GANDiscriminator, R3GANGenerator, Upsample
from train.cli import UserError, full_disk_in_one_line
from train.device import is_no_memory
from train.train_gan.checkpoints import Checkpoints
from train.train_gan.recipes import Recipe
from train.train_gan.run_config import read_config
from train.train_gan.run_folder import RunFolder
from train.train_gan.state import GAN


COLOURS = 3


def grow(gan: GAN, run_folder: Path) -> dict[str, float]:
    """Make new networks begin where those of the run in `run_folder` ended; optimisers and averages begin anew.

    Returns:
        `resolution` in pixels, `images` shown and `seconds` of that run.

    Raises:
        UserError: it is not a run with a checkpoint, or its networks are not those of `gan` with one layer less.
    """
    try:
        config = read_config(run_folder / "config.json")
        recipe = Recipe(**{field.name: config[field.name] for field in fields(Recipe) if field.name in config})
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise UserError(f"--grow_from {run_folder}: not the folder of a run with a checkpoint") from error
    file = Checkpoints(run_folder).newest_of_another_run("--grow_from")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        networks = zip(("generator", "discriminator"), recipe.build(config.get("genres", [])), strict=True)
        for (name, small), grown in zip(networks, GROW[recipe.network], strict=True):
            large = getattr(gan, name)
            if large.config.resolution != 2 * recipe.resolution:
                raise ValueError("not twice the resolution")
            small.load_state_dict(state[name])
            grown(small, large)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError, UserError) as error:
        if is_no_memory(error):
            raise
        raise UserError(
            f"--grow_from {run_folder}: an r3gan grows to twice the resolution at the same or half the width, with "
            "the same max_width, blocks, latents and genres; these networks differ otherwise"
        ) from error
    return {"resolution": recipe.resolution, "images": state["images"], "seconds": state["seconds"]}


def keep_sheets(run_folder: Path, folder: RunFolder) -> None:
    """Copy the sheets of the run that was grown, where it has any, to samples/before/: the film begins with them."""
    if (run_folder / "samples").is_dir():
        with full_disk_in_one_line(folder.folder):
            shutil.copytree(run_folder / "samples", folder.samples / "before", dirs_exist_ok=True)


@torch.no_grad()
def grow_r3gan_generator(small: R3GANGenerator, large: R3GANGenerator) -> None:
    """Make `large` draw the covers of `small`, scaled to twice the size.

    Its resampling is linear and its new residual blocks begin as the identity, so only the 1x1 convolutions have to
    be found, and what they do is exact.

    Raises:
        IndexError, RuntimeError, ValueError: `large` is not `small` with one stage more.
    """
    layers = list(large.layers)
    same, new = layers[: len(small.layers)], layers[len(small.layers) :]
    _copy([*small.layers, small.scale, small.genre_embedding], [*same, large.scale, large.genre_embedding])
    large.basis.copy_(small.basis)
    colours = small.to_rgb.weight.flatten(1)
    first = new[0]
    if not isinstance(first, Upsample):
        raise ValueError("not the beginning of a stage")
    fewer = _keep(colours, first.project)
    large.to_rgb.weight.copy_((colours @ fewer.T)[..., None, None])


@torch.no_grad()
def grow_r3gan_discriminator(small: R3GANDiscriminator, large: R3GANDiscriminator) -> None:
    """Make `large` judge a cover as `small` judges it at half its size.

    Raises:
        AttributeError, RuntimeError, ValueError: `large` is not `small` with one stage more.
    """
    layers = list(large.layers)
    more = len(layers) - len(small.layers)
    new, same = layers[:more], layers[more:]
    _copy(
        [*small.layers, small.basis, small.to_logit, small.genre_embedding],
        [*same, large.basis, large.to_logit, large.genre_embedding],
    )
    colours = small.from_rgb.weight.flatten(1)
    last = new[-1]
    if not isinstance(last, Downsample):
        raise ValueError("not the end of a stage")
    fewer = _keep(colours.T, last.project)
    large.from_rgb.weight.copy_((fewer @ colours)[..., None, None])


def _keep(colours: torch.Tensor, project: nn.Module) -> torch.Tensor:
    """Let a 1x1 convolution, from C channels to c fewer ones or back, lose nothing of the colours.

    Args:
        colours: (3, C), what three colours are made of in C channels, or make of them.
        project: its random weights become the map to fewer channels, or that back, which is its transpose.

    Returns:
        (c, C), the map to fewer channels, with orthonormal rows that span `colours`, evenly in all channels.
    """
    if isinstance(project, nn.Identity):
        return torch.eye(colours.shape[1])
    assert isinstance(project, nn.Conv2d)
    weight = project.weight.flatten(1).to(colours.device)  # the larger network may be on a GPU already
    random = weight if weight.shape[1] == colours.shape[1] else weight.T
    rows = torch.cat((colours, random[COLOURS:]))
    turn = torch.linalg.qr(random[:, : len(random)]).Q
    fewer = turn @ torch.linalg.qr(rows.T).Q.T
    project.weight.copy_((fewer if random is weight else fewer.T)[..., None, None])
    return fewer


def _copy(layers: Sequence[nn.Module | None], to: Sequence[nn.Module | None]) -> None:
    for layer, other in zip(layers, to, strict=True):
        if layer is None and other is None:  # there are no genres
            continue
        if layer is None or other is None:
            raise ValueError("one of them has genres")
        other.load_state_dict(layer.state_dict())


# By a recipe's `network:`, the generator's and the discriminator's; where something is normalised there is no such
# beginning.
GROW: dict[str, tuple[Callable[..., None], Callable[..., None]]] = {
    "r3gan": (grow_r3gan_generator, grow_r3gan_discriminator)
}
