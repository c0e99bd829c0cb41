"""A discriminator of small patches: "Image-to-Image Translation with Conditional Adversarial Networks" (Isola et al.
2017, https://arxiv.org/abs/1611.07004, section 3.2.2), with spectral normalisation (Miyato et al. 2018).

It sees too little to ask what a cover shows, only how it is painted: whether edges and grain are those of covers. So
it finishes an autoencoder, whose other losses leave everything a little soft.
"""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(ModelMixin, ConfigMixin):
    """Map covers, or parts of them, to logits, one for each 4x4 pixels, which sees 30x30 around them.

    Args:
        width: channels of the first layer; twice and four times as many follow.
    """

    @register_to_config
    def __init__(self, width: int = 32):
        super().__init__()
        self.layers = nn.Sequential(
            spectral_norm(nn.Conv2d(3, width, 4, 2, 1)),
            nn.LeakyReLU(0.2, True),
            spectral_norm(nn.Conv2d(width, 2 * width, 4, 2, 1)),
            nn.LeakyReLU(0.2, True),
            spectral_norm(nn.Conv2d(2 * width, 4 * width, 3, 1, 1)),
            nn.LeakyReLU(0.2, True),
            spectral_norm(nn.Conv2d(4 * width, 1, 3, 1, 1)),
        )

    def forward(self, covers: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, H, W) covers in -1..1, sides multiples of 4, to (N, 1, H / 4, W / 4) logits."""
        return self.layers(covers)
