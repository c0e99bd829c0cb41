"""Every architecture at a tiny size: shapes, stored slices, second derivatives, what its paper promises."""

import pytest
import torch
import torch.nn.functional as F

from gan.networks import NETWORKS
from gan.networks.r3gan import Downsample, ResidualBlock, Upsample


# those whose discriminators judge covers; of a painter see test_painter.py
TINY = {
    "dcgan": ({"width": 4, "latent_dim": 16}, {"width": 4}),
    "wgan-gp": ({"width": 4, "latent_dim": 16}, {"width": 4}),
    "r3gan": (
        {"width": 8, "max_width": 16, "blocks": 1, "group_size": 8, "latent_dim": 16},
        {"width": 8, "max_width": 16, "blocks": 1, "group_size": 8},
    ),
}


def build(name: str, resolution: int = 16, **more: list[str]) -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    return tuple(
        network(resolution=resolution, **tiny, **more)
        for network, tiny in zip(NETWORKS[name], TINY[name], strict=True)
    )


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("resolution", [16, 32, 64])
def test_shapes(name: str, resolution: int) -> None:
    generator, discriminator = build(name, resolution)
    covers = generator(torch.randn(2, 16))
    assert covers.shape == (2, 3, resolution, resolution)
    assert discriminator(covers).shape == (2,)


@pytest.mark.parametrize(
    ("name", "covers", "logits"),
    [
        ("dcgan", [-0.0725, 0.0825, -0.155, 0.018], [0.0382, 0.0188]),
        ("wgan-gp", [0.9997, 0.9994, 0.9951, 0.9818], [-0.9081, -1.7304]),
        ("r3gan", [0.2559, 0.3723, 0.4418, 0.4641], [0.2161, 0.1158]),
    ],
)
def test_stored_slice(name: str, covers: list[float], logits: list[float]) -> None:
    generator, discriminator = build(name)
    latents = torch.linspace(-2, 2, 32).view(2, 16)
    drawn = generator(latents)
    torch.testing.assert_close(drawn[0, 0, 7, 4:8], torch.tensor(covers), atol=1e-3, rtol=0)
    torch.testing.assert_close(discriminator(drawn), torch.tensor(logits), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", TINY)
def test_a_penalty_reaches_every_weight_of_the_discriminator(name: str) -> None:
    """The penalty's own gradient, through second derivatives; biases and the like may have none."""
    _, discriminator = build(name, genres=["rock", "jazz"])
    if name == "r3gan":  # starts as the identity: give the last convolutions something to do
        for block in discriminator.modules():
            if isinstance(block, ResidualBlock):
                torch.nn.init.normal_(block.shrink.weight, 0, 0.3)
    covers = torch.randn(4, 3, 16, 16, requires_grad=True)
    logits = discriminator(covers, torch.tensor([0, 0, 1, 2]))
    (gradient,) = torch.autograd.grad(logits.sum(), covers, create_graph=True)
    gradient.square().sum().backward()
    for key, weight in discriminator.named_parameters():
        if weight.ndim > 1:
            assert weight.grad is not None and weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", ["r3gan", "wgan-gp"])
def test_a_logit_does_not_depend_on_the_rest_of_the_batch(name: str) -> None:
    _, discriminator = build(name)
    covers = torch.randn(6, 3, 16, 16)
    torch.testing.assert_close(discriminator(covers)[:2], discriminator(covers[:2]))


def test_r3gan_residual_block_starts_as_the_identity() -> None:
    x = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(ResidualBlock(8, 8, 2)(x), x)


def test_r3gan_resampling_is_the_papers_filter_to_the_edges() -> None:
    x = torch.randn(2, 3, 16, 16)
    up, down = Upsample(3, 3, 16)(x), Downsample(3, 3, 16)(x)
    torch.testing.assert_close(up, F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = (taps[:, None] * taps).expand(3, 1, 4, 4)
    torch.testing.assert_close(down, F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, stride=2, groups=3))


@pytest.mark.parametrize("kind", [Upsample, Downsample])
def test_r3gan_resampling_keeps_the_layout_in_memory(kind: type[torch.nn.Module]) -> None:
    x = torch.randn(2, 8, 16, 16).to(memory_format=torch.channels_last).requires_grad_()
    y = kind(8, 8, 16)(x)
    (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    assert all(t.is_contiguous(memory_format=torch.channels_last) for t in (y, first, second))


@pytest.mark.parametrize("genres", [[], ["rock"]], ids=["plain", "genres"])
def test_r3gan_computes_in_one_precision(genres: list[str]) -> None:
    generator, _ = build("r3gan", genres=genres)
    seen = []
    for block in generator.modules():
        if isinstance(block, ResidualBlock):
            block.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0].dtype, output.dtype)))
    with torch.autocast("cpu", torch.bfloat16):
        generator(torch.randn(2, 16))
    assert len(seen) == 3 and {dtype for pair in seen for dtype in pair} == {torch.bfloat16}


@pytest.mark.parametrize("name", TINY)
def test_logits_are_not_rounded(name: str) -> None:
    """Only their differences count, and these are small."""
    _, discriminator = build(name, genres=["rock"])
    discriminator = discriminator.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        assert discriminator(torch.randn(2, 3, 16, 16), torch.tensor([0, 1])).dtype == torch.float32


def test_a_spectral_discriminator_stretches_by_one_at_most_and_judges_each_cover_alone() -> None:
    discriminator = NETWORKS["dcgan"][1](resolution=16, width=4, normalisation="spectral")
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in discriminator.modules())
    covers = torch.randn(6, 3, 16, 16)
    for _ in range(100):  # each pass comes nearer to the largest singular value
        discriminator(covers)
    discriminator.eval()
    kernels = [layer.weight for layer in discriminator.layers if isinstance(layer, torch.nn.Conv2d)]
    assert len(kernels) == 3
    for kernel in kernels:
        assert torch.linalg.matrix_norm(kernel.flatten(1), 2).item() == pytest.approx(1, abs=0.01)
    torch.testing.assert_close(discriminator(covers)[:2], discriminator(covers[:2]))


def test_a_discriminator_without_normalisation_judges_each_cover_alone() -> None:
    discriminator = NETWORKS["dcgan"][1](resolution=16, width=4, normalisation="none")
    assert {type(layer) for layer in discriminator.layers} == {torch.nn.Conv2d, torch.nn.LeakyReLU}
    covers = torch.randn(6, 3, 16, 16)
    torch.testing.assert_close(discriminator(covers)[:2], discriminator(covers[:2]))
    with pytest.raises(ValueError, match="normalisation must be one of batch, spectral, none, not 'layer'"):
        NETWORKS["dcgan"][1](resolution=16, width=4, normalisation="layer")


def test_dcgan_64_is_the_published_size() -> None:
    generator, discriminator = (network() for network in NETWORKS["dcgan"])
    assert sum(p.numel() for p in generator.parameters()) == 3_576_707
    assert sum(p.numel() for p in discriminator.parameters()) == 2_765_633


@pytest.mark.parametrize("network", [n for name in TINY for n in NETWORKS[name]])
@pytest.mark.parametrize("resolution", [0, 4, 48, 65])
def test_a_resolution_that_cannot_be_halved_is_refused(network: type, resolution: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        network(resolution=resolution)


@pytest.mark.parametrize("name", TINY)
def test_with_genres_it_starts_as_without(name: str) -> None:
    """To the last bit, whatever is asked for: embeddings that start at zero change neither network."""
    latents, labels = torch.randn(4, 16), torch.tensor([0, 1, 2, 2])
    (plain, judge), (generator, discriminator) = build(name), build(name, genres=["rock", "jazz"])
    covers = plain(latents)
    assert torch.equal(generator(latents, labels), covers) and torch.equal(generator(latents), covers)
    assert torch.equal(discriminator(covers, labels), judge(covers))
    for one, other in ((plain, generator), (judge, discriminator)):
        assert other.state_dict().keys() - one.state_dict().keys() == {"genre_embedding.weight"}
        assert all(torch.equal(other.get_parameter(key), value) for key, value in one.named_parameters())


@pytest.mark.parametrize("name", TINY)
def test_each_genre_has_covers_and_logits_of_its_own(name: str) -> None:
    inputs = torch.randn(1, 16).expand(4, -1), torch.randn(1, 3, 16, 16).expand(4, -1, -1, -1)
    for network, same in zip(build(name, genres=["rock", "jazz"]), inputs, strict=True):
        network.eval()
        torch.nn.init.normal_(network.genre_embedding.weight)
        rock, jazz, any_, rock_again = network(same, torch.tensor([0, 1, 2, 0])).detach()
        torch.testing.assert_close(rock, rock_again)
        torch.testing.assert_close(any_, network(same)[0].detach())
        gaps = [(a - b).abs().max() for a, b in ((rock, jazz), (rock, any_), (jazz, any_))]
        assert min(gaps) > 0.01
        for wrong in (-1, 3):
            with pytest.raises(IndexError):
                network(same, torch.full((4,), wrong))
