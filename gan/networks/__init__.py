"""Collect the architectures, one self-contained file each for a generator: it travels with a pipeline."""

from gan.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan.networks.latents import LatentDiscriminator
from gan.networks.painter import PainterGenerator
from gan.networks.projected import FeatureDiscriminator
from gan.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from gan.networks.wgan_gp import WGANGPDiscriminator, WGANGPGenerator


# What a recipe's `network:` may say.
NETWORKS = {
    "dcgan": (DCGANGenerator, DCGANDiscriminator),
    "wgan-gp": (WGANGPGenerator, WGANGPDiscriminator),
    "r3gan": (R3GANGenerator, R3GANDiscriminator),
    "painter": (PainterGenerator, LatentDiscriminator),  # which judges latents, not covers
    "projected": (PainterGenerator, FeatureDiscriminator),
}
