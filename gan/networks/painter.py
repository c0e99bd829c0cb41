"""A generator in two parts: one composes a small grid of latents, the other paints it.

The painter is the decoder of an autoencoder (Esser et al. 2021, "Taming Transformers", section 3.1,
https://arxiv.org/abs/2012.09841), so it has learned from covers themselves how they are painted. The composer is the
generator of a GAN whose pictures are that autoencoder's latents (Hyun et al. 2025, "Scalable GANs with Transformers"):
they have a sixty-fourth of the positions, so ten times as many can be shown in the same time.

No layer that paints leaves a lattice: sizes double by bilinear interpolation, which is the [1, 3, 3, 1] filter (Odena
et al. 2016, "Deconvolution and Checkerboard Artifacts"; Zhang 2019, "Making Convolutional Networks Shift-Invariant
Again").
"""

import math
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn


SCALE = 8  # pixels a side for each position of the latents
ENCODER_DEPTH = 2  # of recipes; with 1, reconstructions keep a quarter less of what tells covers apart


def conv(
    channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1, gain: float = math.sqrt(2)
) -> nn.Conv2d:
    """Return a convolution whose output varies `gain` times as much as its input."""
    made = nn.Conv2d(channels_in, channels_out, kernel, stride, padding=(kernel - 1) // 2)
    nn.init.normal_(made.weight, 0.0, gain / math.sqrt(made.weight[0].numel()))
    assert made.bias is not None
    nn.init.zeros_(made.bias)
    return made


class Twice(nn.Module):
    """Double the size by bilinear interpolation; what is constant stays so, and nothing repeats every other pixel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class ResidualBlock(nn.Module):
    """Add what `convolutions` 3x3 convolutions give; the last begins at zero, so a new block changes nothing."""

    def __init__(self, channels: int, convolutions: int = 2):
        super().__init__()
        gains = [math.sqrt(2)] * (convolutions - 1) + [0.0]
        self.convolutions = nn.ModuleList(conv(channels, channels, gain=gain) for gain in gains)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for convolution in self.convolutions:
            y = convolution(F.leaky_relu(y, 0.2))
        return x + y


class Encoder(ModelMixin, ConfigMixin):
    """Map covers to latents.

    Args:
        width: channels at half the size; doubled at each halving.
        latent_channels: numbers for each 8x8 pixels.
        depth: residual blocks at a quarter and at an eighth of the size.
    """

    @register_to_config
    def __init__(self, width: int = 32, latent_channels: int = 8, depth: int = 1):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 4, 2, 1),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            *(ResidualBlock(2 * width) for _ in range(depth)),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1),
            *(ResidualBlock(4 * width) for _ in range(depth)),
            nn.LeakyReLU(0.2, True),
            conv(4 * width, latent_channels, gain=1.0),
        )

    def forward(self, covers: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, H, W) covers in -1..1, sides multiples of 8, to (N, latent_channels, H / 8, W / 8) latents."""
        return self.layers(covers)


class Decoder(nn.Module):
    """Map latents to covers. Most of its work is done at small sizes, where there are few positions.

    Args:
        width: channels at full size; doubled at each halving.
        latent_channels: as in `Encoder`.
    """

    def __init__(self, width: int = 16, latent_channels: int = 8):
        super().__init__()
        layers: list[nn.Module] = [conv(latent_channels, SCALE * width, gain=1.0)]
        for times in (8, 4, 2):
            layers += [ResidualBlock(times * width), conv(times * width, times * width // 2, 1, gain=1.0), Twice()]
        layers += [ResidualBlock(width, convolutions=1), nn.LeakyReLU(0.2, True), conv(width, 3, gain=1.0)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Map (N, latent_channels, h, w) latents to (N, 3, 8 * h, 8 * w) covers, about -1..1 (not clipped)."""
        return self.layers(latents)


class ConditionalNorm(nn.Module):
    """Normalise over the batch, with a gain and a bias that follow from the condition (Brock et al. 2019, "BigGAN",
    section 3.1), so that one number of the condition can change a colour everywhere.
    """

    def __init__(self, channels: int, condition_dim: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.to_gain_and_bias = nn.Linear(condition_dim, 2 * channels)
        nn.init.normal_(self.to_gain_and_bias.weight, 0.0, 0.3 / math.sqrt(condition_dim))
        nn.init.zeros_(self.to_gain_and_bias.bias)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        gain, bias = self.to_gain_and_bias(condition)[:, :, None, None].to(x.dtype).chunk(2, 1)
        return torch.addcmul(bias, self.norm(x), 1 + gain)


class ComposerBlock(nn.Module):
    """Add to the input two conditional normalisations, each before a leaky ReLU and a 3x3 convolution."""

    def __init__(self, channels: int, condition_dim: int):
        super().__init__()
        self.norms = nn.ModuleList(ConditionalNorm(channels, condition_dim) for _ in range(2))
        self.convolutions = nn.ModuleList(conv(channels, channels) for _ in range(2))

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        y = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            y = convolution(F.leaky_relu(norm(y, condition), 0.2))
        return (x + y) * math.sqrt(0.5)


class Attention(nn.Module):
    """Let all positions look at each other (self-attention: Zhang et al. 2019, "SAGAN", section 3), with several heads
    (Vaswani et al. 2017, section 3.2): far parts of a cover agree, such as the two ends of a frame. A new one changes
    nothing yet.
    """

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        self.heads = math.gcd(heads, channels)
        self.norm = nn.GroupNorm(1, channels)
        self.to_query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.to_output = conv(channels, channels, 1, gain=0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count, channels, height, width = x.shape
        parts = self.to_query_key_value(self.norm(x)).view(count, 3, self.heads, -1, height * width)
        query, key, value = (part.transpose(2, 3) for part in parts.unbind(1))  # (N, heads, positions, channels)
        # by hand: on a CPU torch's own takes three times as long for so few positions and so many covers
        attention = (query / math.sqrt(query.shape[3]) @ key.transpose(2, 3)).softmax(3)
        y = attention.to(value.dtype) @ value
        return x + self.to_output(y.transpose(2, 3).reshape(count, channels, height, width))


class Composer(nn.Module):
    """Map points to latents: 4x4 positions first, then twice as many a side until all are there.

    Args:
        positions: of the latents, a side: a power of two from 4 on.
        width: channels at that size; doubled at each halving, up to `max_width`.
        max_width: most channels of any size.
        depth: blocks at each size.
        condition_dim: length of a point.
        latent_channels: as in `Encoder`.
        attention: the largest size, in positions a side, after whose blocks all positions look at each other; they
            do at all smaller ones; 0: nowhere.
    """

    def __init__(
        self,
        positions: int,
        width: int,
        max_width: int,
        depth: int,
        condition_dim: int,
        latent_channels: int,
        attention: int,
    ):
        super().__init__()
        self.sizes = sizes = sizes_up_to(positions)
        widths = [min(max_width, width * positions // size) for size in sizes]
        self.first = nn.Linear(condition_dim, widths[0] * 16)
        nn.init.normal_(self.first.weight, 0.0, 1 / math.sqrt(condition_dim))
        self.depth = depth
        self.blocks = nn.ModuleList(
            ComposerBlock(channels, condition_dim) for channels in widths for _ in range(depth)
        )
        self.narrowings = nn.ModuleList(conv(above, below, 1, gain=1.0) for above, below in pairwise(widths))
        self.attentions = nn.ModuleDict(
            {str(size): Attention(channels) for size, channels in zip(sizes, widths, strict=True) if size <= attention}
        )
        self.twice = Twice()
        self.norm = ConditionalNorm(widths[-1], condition_dim)
        self.to_latents = conv(widths[-1], latent_channels, gain=1.0)

    def forward(self, points: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """Map (N, condition_dim) points, and what is added to each, to (N, latent_channels, positions, positions)
        latents of about unit variance."""
        condition = points + asked
        x = self.first(condition).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        blocks = iter(self.blocks)
        for k, size in enumerate(self.sizes):
            if k:
                x = self.twice(self.narrowings[k - 1](x))
            for block in islice(blocks, self.depth):
                x = block(x, condition)
            if str(size) in self.attentions:
                x = self.attentions[str(size)](x)
        return self.to_latents(F.leaky_relu(self.norm(x, condition), 0.2))


class SubPixel(nn.Module):
    """Double the size, drawing each of four new pixels with 2x2 kernels of its own (sub-pixel convolution: Shi et al.
    2016, "Real-Time Single Image and Video Super-Resolution", section 3.2).

    It can draw whatever a transposed convolution of 4x4 and stride 2 can, its grid of single pixels, too. So it only
    sketches: what looks at the sketch has learned from covers without a grid, and tells nothing of it.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = False):
        super().__init__()
        self.kernels = nn.Conv2d(inputs, 4 * outputs, 2, padding=1, bias=bias)
        nn.init.normal_(self.kernels.weight, 0.0, 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # at each corner between four pixels the kernels draw the four new ones that meet there; outer ones are cut off
        return F.pixel_shuffle(self.kernels(x), 2)[:, :, 1:-1, 1:-1]


class FrozenBatchNorm(nn.Module):
    """Normalise as a batch normalisation does whose statistics stay what they were (Ioffe and Szegedy 2015, section
    3.1), also while its gain and bias learn: a cover never depends on its neighbours. Each cover may have a gain and
    a bias of its own beside those.
    """

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.running_mean: torch.Tensor
        self.running_var: torch.Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))  # for nothing but the same names

    def forward(self, x: torch.Tensor, gain: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Normalise (N, channels, height, width), then multiply by 1 + `gain` and add `bias`, (N, channels) each."""
        # all of it is one multiplication and one addition for each channel of each cover: one pass over x
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = bias + (1 + gain) * (self.bias - self.running_mean * scale)
        scale = (1 + gain) * scale
        return torch.addcmul(shift[:, :, None, None].to(x.dtype), x, scale[:, :, None, None].to(x.dtype))


class SketchedComposer(nn.Module):
    """Map points to latents: sketch a cover as DCGAN's generator does (Radford et al. 2016), and read the sketch
    as the encoder reads covers.

    What is asked for is added to a point, and gives each channel of hidden layers a gain and a bias, as new data do
    in Noguchi and Harada 2019, "Image Generation From Small Datasets via Batch Statistics Adaptation", section 3.2:
    few numbers that change what is drawn, and nothing where nothing is asked.

    It can begin as a DCGAN that has learned and an encoder that has (train/train_gan/start.py): then it composes from
    the first moment what that one draws, to be painted anew. From nothing `Composer` learns better.

    Args:
        resolution: height and width of the sketch in pixels.
        width: channels of the sketch's last hidden layer, at half of that size; doubled at each halving, down to 4x4.
        condition_dim: length of a point.
        latent_channels, depth: as in `Encoder`, of what reads the sketch. With no residual blocks a cover takes a
            quarter less time, but reading must be learned (train/train_gan/read.py).
    """

    def __init__(self, resolution: int, width: int, condition_dim: int, latent_channels: int, depth: int):
        super().__init__()
        stages = resolution.bit_length() - 3
        channels = [width * 2**stage for stage in reversed(range(stages))]
        self.first = nn.Linear(condition_dim, 16 * channels[0], bias=False)
        nn.init.normal_(self.first.weight, 0.0, 0.02)
        layers: list[nn.Module] = []
        for above, below in pairwise([*channels, 3]):
            layers += [FrozenBatchNorm(above), nn.ReLU(True), SubPixel(above, below, bias=below == 3)]
        self.sketch = nn.Sequential(*layers, nn.Tanh())
        self.to_gains_and_biases = nn.Linear(condition_dim, 2 * sum(channels), bias=False)
        nn.init.zeros_(self.to_gains_and_biases.weight)
        self.reader = Encoder(latent_channels=latent_channels, depth=depth)

    def forward(self, points: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """Map (N, condition_dim) points, and what is added to each, to (N, latent_channels, positions, positions)
        latents of about unit variance."""
        return self.reader(self.draw(points, asked))

    def draw(self, points: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """Do the first half of `forward`, to (N, 3, resolution, resolution) sketches in -1..1."""
        x = self.first(points + asked).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        told = self.to_gains_and_biases(asked)
        for layer in self.sketch:
            if isinstance(layer, FrozenBatchNorm):
                gain, bias, told = told.tensor_split((x.shape[1], 2 * x.shape[1]), 1)
                x = layer(x, gain, bias)
            else:
                x = layer(x)
        return x

    @torch.no_grad()
    def sketch_as(self, theirs: nn.Sequential) -> None:
        """Let the sketch be what the layers of a DCGAN of the same resolution, width and latents draw.

        Raises:
            RuntimeError, ValueError: it is of other sizes.
        """
        first, *layers = theirs
        self.first.load_state_dict({"weight": first.state_dict()["weight"].flatten(1).T})
        for ours, layer in zip(self.sketch, layers, strict=True):
            state = layer.state_dict()
            if isinstance(ours, SubPixel):
                # of x[i-1] and x[i] a kernel k makes x[i-1] k[2] + x[i] k[0] at 2i - 1, x[i-1] k[3] + x[i] k[1] at 2i
                kernels = state["weight"].transpose(0, 1)[:, :, [2, 0, 3, 1]][..., [2, 0, 3, 1]]
                kernels = kernels.unflatten(3, (2, 2)).unflatten(2, (2, 2))  # outputs, inputs, row, its, column, its
                state["weight"] = kernels.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
                if "bias" in state:
                    state["bias"] = state["bias"].repeat_interleave(4)
                ours.kernels.load_state_dict(state)
            else:
                ours.load_state_dict(state)

    @torch.no_grad()
    def read_as(self, encoder: Encoder, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Let the sketch be read as an encoder reads covers, whose latents have that mean and deviation: just so by a
        reader of the encoder's depth, roughly by any other."""
        if self.reader.config["depth"] == encoder.config["depth"]:
            self.reader.load_state_dict(encoder.state_dict())
        else:
            plain = ([one for one in each.layers if isinstance(one, nn.Conv2d)] for each in (self.reader, encoder))
            for mine, theirs in zip(*plain, strict=True):
                mine.load_state_dict(theirs.state_dict())
        last = self.reader.layers[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        last.bias.sub_(mean).div_(deviation)
        last.weight.div_(deviation[:, None, None, None])


class PainterGenerator(ModelMixin, ConfigMixin):
    """Map latent vectors to covers, by way of a condition, a composer and a painter.

    Args:
        resolution: height and width of a cover in pixels, a power of two from 32 on.
        width: channels of the decoder at full size.
        composer_width, composer_max_width: channels of the composer at its last size, and at most.
        composer_depth: its blocks at each size.
        latent_channels: of the autoencoder's latents.
        latent_dim: length of a latent vector.
        attention: see `Composer`.
        sketch_width: `width` of a `SketchedComposer`, which then takes the place of a `Composer`; 0: it does not.
        reader_depth: `depth` of what reads its sketch.
        genres: names of what can be asked for, or none.
        clusters: kinds of covers that can be asked for, found without labels (Sage et al. 2018, "Logo Synthesis and
            Manipulation with Clustered Generative Adversarial Networks", section 3).
        palette: how many numbers describe the colours that can be asked for.
    """

    @register_to_config
    def __init__(
        self,
        resolution: int = 128,
        width: int = 16,
        composer_width: int = 128,
        composer_max_width: int = 256,
        composer_depth: int = 1,
        latent_channels: int = 8,
        latent_dim: int = 128,
        attention: int = 0,
        sketch_width: int = 0,
        reader_depth: int = ENCODER_DEPTH,
        genres: Sequence[str] = (),
        clusters: int = 0,
        palette: int = 0,
    ):
        super().__init__()
        if resolution < 4 * SCALE or resolution & (resolution - 1):
            raise ValueError(f"resolution must be a power of two from {4 * SCALE} on, not {resolution}")
        self.composer: Composer | SketchedComposer
        if sketch_width:
            self.composer = SketchedComposer(resolution, sketch_width, latent_dim, latent_channels, reader_depth)
        else:
            widths = composer_width, composer_max_width, composer_depth
            self.composer = Composer(resolution // SCALE, *widths, latent_dim, latent_channels, attention)
        self.decoder = Decoder(width, latent_channels)
        # Where each kind of condition has its vector; all begin at zero, the last of each is "any" and stays there.
        self.genre_embedding = embedding(len(genres), latent_dim) if genres else None
        self.cluster_embedding = embedding(clusters, latent_dim) if clusters else None
        self.palette_embedding = nn.Linear(palette, latent_dim, bias=False) if palette else None
        if self.palette_embedding is not None:
            nn.init.zeros_(self.palette_embedding.weight)
        # the autoencoder's latents have a mean and a deviation for each channel, the composer's 0 and 1
        self.register_buffer("latent_mean", torch.zeros(latent_channels))
        self.register_buffer("latent_deviation", torch.ones(latent_channels))

    def forward(
        self,
        latents: torch.Tensor,
        labels: torch.Tensor | None = None,
        clusters: torch.Tensor | None = None,
        palette: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Map (N, latent_dim) normal latents to (N, 3, resolution, resolution) covers, about -1..1 (not clipped).

        `labels`: (N,) int64 in 0..len(genres), the last one is "any"; None: all of them "any". `clusters`: the same
        of kinds. `palette`: (N, palette) shares of colours (gan/palettes.py); None, or zeros: any.
        """
        return self.paint(self.compose(latents, labels, clusters, palette))

    def compose(
        self,
        latents: torch.Tensor,
        labels: torch.Tensor | None = None,
        clusters: torch.Tensor | None = None,
        palette: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Do the first half of `forward`, to (N, latent_channels, positions, positions) of about unit variance."""
        return self.composer(latents, self.asked(latents, labels, clusters, palette))

    def asked(
        self,
        latents: torch.Tensor,
        labels: torch.Tensor | None = None,
        clusters: torch.Tensor | None = None,
        palette: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the sum of the vectors of what is asked for of N latents, (N, latent_dim); zeros where nothing is."""
        return sum(asked_for(self, labels, clusters, palette), torch.zeros_like(latents))

    def normalise(self, latents: torch.Tensor) -> torch.Tensor:
        """Bring an encoder's (N, latent_channels, positions, positions) latents to the scale that `compose` gives."""
        return (latents - self.latent_mean[:, None, None]) / self.latent_deviation[:, None, None]

    def paint(self, composed: torch.Tensor) -> torch.Tensor:
        """Do the second half of `forward`."""
        deviation, mean = (t[:, None, None].to(composed.dtype) for t in (self.latent_deviation, self.latent_mean))
        return self.decoder(composed * deviation + mean)


def sizes_up_to(positions: int) -> list[int]:
    """Return the sizes through which latents are composed or judged: 4, 8 and so on, up to `positions`.

    Raises:
        ValueError: that is no power of two from 4 on.
    """
    if positions < 4 or positions & (positions - 1):
        raise ValueError(f"positions must be a power of two from 4 on, not {positions}")
    return [4 * 2**k for k in range(positions.bit_length() - 2)]


def asked_for(
    network: Any, labels: torch.Tensor | None, clusters: torch.Tensor | None, palette: torch.Tensor | None
) -> list[torch.Tensor]:
    """Return the vectors that a network has for what is asked, as in `PainterGenerator`: (N, features) each."""
    pairs = (
        (network.genre_embedding, labels),
        (network.cluster_embedding, clusters),
        (network.palette_embedding, palette),
    )
    return [embed(condition) for embed, condition in pairs if embed is not None and condition is not None]


def embedding(kinds: int, features: int) -> nn.Embedding:
    """Return a vector for each kind and one for "any": all begin at zero, the last stays there."""
    return nn.Embedding(kinds + 1, features, padding_idx=kinds, _weight=torch.zeros(kinds + 1, features))
