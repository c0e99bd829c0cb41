"""What one more layer begins with, so that a network for twice the resolution draws or judges as a smaller one does.

The idea is Net2Net's (Chen et al. 2016, section 2): new weights that change nothing.
"""

import copy
from collections.abc import Sequence

import torch
from torch import nn

from gan.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan.networks.r3gan import R3GANDiscriminator, R3GANGenerator


COLOURS = 3
SIGNS = 2 * COLOURS  # each colour and its negative, of which a rectifier leaves one
MIDDLE = slice(1, 3)  # of a 4x4 kernel with stride 2: the four pixels below one above
SLOPE = 0.2  # of the discriminator's LeakyReLU
LATENTS = 1024  # whose covers tell the statistics that the generator's new layer begins with


@torch.no_grad()
def grow_dcgan_generator(small: DCGANGenerator, large: DCGANGenerator) -> None:
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
def grow_dcgan_discriminator(small: DCGANDiscriminator, large: DCGANDiscriminator) -> None:
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


@torch.no_grad()
def grow_r3gan_generator(small: R3GANGenerator, large: R3GANGenerator) -> None:
    """Make `large` draw the covers of `small`, scaled to twice the size.

    Its resampling is linear and its new residual blocks begin as the identity, so only the 1x1 convolutions have to
    be found, and what they do is exact.

    Raises:
        IndexError, RuntimeError, ValueError: `large` is not `small` with one stage more.
    """
    same, new = large.layers[: len(small.layers)], large.layers[len(small.layers) :]
    _copy([*small.layers, small.scale, small.genre_embedding], [*same, large.scale, large.genre_embedding])
    large.basis.copy_(small.basis)
    colours = small.to_rgb.weight.flatten(1)
    fewer = _keep(colours, new[0].project)
    large.to_rgb.weight.copy_((colours @ fewer.T)[..., None, None])


@torch.no_grad()
def grow_r3gan_discriminator(small: R3GANDiscriminator, large: R3GANDiscriminator) -> None:
    """Make `large` judge a cover as `small` judges it at half its size.

    Raises:
        AttributeError, RuntimeError, ValueError: `large` is not `small` with one stage more.
    """
    more = len(large.layers) - len(small.layers)
    new, same = large.layers[:more], large.layers[more:]
    _copy(
        [*small.layers, small.basis, small.to_logit, small.genre_embedding],
        [*same, large.basis, large.to_logit, large.genre_embedding],
    )
    colours = small.from_rgb.weight.flatten(1)
    fewer = _keep(colours.T, new[-1].project)
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
    weight = project.weight.flatten(1).to(colours.device)  # the larger network may be on a GPU already
    random = weight if weight.shape[1] == colours.shape[1] else weight.T
    rows = torch.cat((colours, random[COLOURS:]))
    turn = torch.linalg.qr(random[:, : len(random)]).Q
    fewer = turn @ torch.linalg.qr(rows.T).Q.T
    project.weight.copy_((fewer if random is weight else fewer.T)[..., None, None])
    return fewer


def _copy(layers: Sequence[nn.Module | None], to: Sequence[nn.Module | None]) -> None:
    for layer, other in zip(layers, to, strict=True):
        if layer is not other:  # both None where there are no genres
            other.load_state_dict(layer.state_dict())


# By a recipe's `network:`, the generator's and the discriminator's; WGAN-GP's normalisation has no such beginning.
GROW = {
    "dcgan": (grow_dcgan_generator, grow_dcgan_discriminator),
    "r3gan": (grow_r3gan_generator, grow_r3gan_discriminator),
}
