"""The networks that paint and compose."""

import pytest
import torch

from gan.networks.latents import LatentDiscriminator, LatentFeatures
from gan.networks.painter import Encoder, PainterGenerator
from gan.networks.patch import PatchDiscriminator
from gan.networks.projected import ProjectedDiscriminator


SMALL = {"width": 4, "composer_width": 8, "composer_max_width": 16, "latent_channels": 4, "latent_dim": 6}


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_latents_become_covers_of_the_resolution(resolution: int):
    generator = PainterGenerator(resolution, attention=8, composer_depth=2, **SMALL).eval()
    latents = torch.randn(2, 6)
    covers = generator(latents)
    assert covers.shape == (2, 3, resolution, resolution)
    assert torch.equal(covers, generator.paint(generator.compose(latents)))


@pytest.mark.parametrize("resolution", [16, 96])
def test_other_resolutions_are_refused(resolution: int):
    with pytest.raises(ValueError, match=f"power of two from 32 on, not {resolution}"):
        PainterGenerator(resolution)


def test_a_cover_does_not_depend_on_its_neighbours():
    generator = PainterGenerator(32, **SMALL).eval()
    latents = torch.randn(3, 6)
    assert torch.allclose(generator(latents)[1:2], generator(latents[1:2]), atol=1e-5)


def test_positions_look_at_each_other_up_to_a_size():
    sizes = [[*PainterGenerator(128, attention=size, **SMALL).composer.attentions] for size in (0, 4, 16)]
    assert sizes == [[], ["4"], ["4", "8", "16"]]


@pytest.mark.parametrize("depth", [1, 2])
def test_the_encoder_gives_what_the_decoder_takes(depth: int):
    generator, encoder = PainterGenerator(64, **SMALL), Encoder(width=4, latent_channels=4, depth=depth)
    latents = encoder(torch.randn(2, 3, 64, 64))
    assert latents.shape == generator.compose(torch.randn(2, 6)).shape
    assert generator.decoder(latents).shape == (2, 3, 64, 64)


def test_conditions_begin_as_nothing_and_any_stays_nothing():
    generator = PainterGenerator(32, genres=["jazz"], clusters=3, palette=5, **SMALL).eval()
    latents, ask = torch.randn(2, 6), {"labels": torch.tensor([0, 1]), "clusters": torch.tensor([0, 3])}
    plain = generator(latents)
    assert torch.equal(generator(latents, palette=torch.rand(2, 5), **ask), plain)
    torch.nn.init.ones_(generator.genre_embedding.weight[0])
    torch.nn.init.ones_(generator.cluster_embedding.weight[0])
    asked = generator(latents, **ask)
    assert not torch.allclose(asked[0], plain[0])
    assert torch.allclose(asked[1], plain[1], atol=1e-5)  # the second asks for "any" of both


def test_constant_latents_are_painted_without_a_lattice():
    """Away from the edges one colour: what nearest or transposed doubling breaks."""
    decoder = PainterGenerator(128, **SMALL).decoder
    for convolution in decoder.modules():
        if isinstance(convolution, torch.nn.Conv2d):
            torch.nn.init.normal_(convolution.weight, 0.0, 0.3)
    covers = decoder(torch.randn(1, 4, 1, 1).expand(-1, -1, 16, 16))
    middle = covers[:, :, 56:72, 56:72]
    assert middle.std((2, 3)).max() < 1e-4 * max(1, middle.abs().max())


def test_discriminators_judge_each_cover_by_itself():
    latents = torch.randn(3, 4, 16, 16)
    critic = LatentDiscriminator(latent_channels=4, width=4, clusters=2)
    assert critic(latents, clusters=torch.tensor([0, 1, 2])).shape == (3,)
    assert torch.allclose(critic(latents)[:1], critic(latents[:1]), atol=1e-5)
    assert PatchDiscriminator(width=4)(torch.randn(2, 3, 32, 32)).shape == (2, 1, 8, 8)


def test_latent_features_are_what_the_heads_take():
    student, heads = LatentFeatures(latent_channels=4, width=4), ProjectedDiscriminator(width=0.1)
    maps = student(torch.randn(2, 4, 16, 16))
    assert [tuple(m.shape[1:]) for m in maps] == [(40, 16, 16), (112, 8, 8), (320, 4, 4)]
    assert heads(maps).shape == (2, 3)
    maps = [3 * m + 1 for m in maps]
    student.set_scales(*(torch.cat([of(m, (0, 2, 3)) for m in maps]) for of in (torch.mean, torch.std)))
    for scaled in student.scaled(maps):
        assert scaled.mean((0, 2, 3)).abs().max() < 1e-3
    frozen = [name for name, weight in heads.named_parameters() if not weight.requires_grad]
    assert frozen and all(name.startswith("mixing.") for name in frozen)


def test_too_few_positions_are_refused():
    with pytest.raises(ValueError, match="power of two from 4 on, not 6"):
        LatentDiscriminator(positions=6)
    with pytest.raises(ValueError, match="at least 16, not 8"):
        LatentFeatures(positions=8)
