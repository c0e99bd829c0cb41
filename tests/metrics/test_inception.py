"""FID's network: that it is the one that the weights were trained for, and how they are read.

The numbers were computed by torch-fidelity 0.4.0 from the same weights; on one machine both agree in every bit.
"""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError

import pytest
import torch

from train.cli import UserError
from train.covers import seeded
from train.metrics.inception import InceptionV3, load_inception, scale


SHAPES = {  # of a few of the 564 parts, in every kind of block
    "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
    "Mixed_5b.branch_pool.bn.running_var": (32,),
    "Mixed_5d.branch5x5_2.conv.weight": (64, 48, 5, 5),
    "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
    "Mixed_6d.branch7x7dbl_4.conv.weight": (160, 160, 7, 1),
    "Mixed_7a.branch7x7x3_2.conv.weight": (192, 192, 1, 7),
    "Mixed_7b.branch3x3_2a.conv.weight": (384, 384, 1, 3),
    "Mixed_7c.branch3x3dbl_3b.bn.num_batches_tracked": (),
}
# SHA-256 of the sorted `parts` of torch-fidelity's network, without its logits
PARTS = "4a1d3f10730ca19be9ab1679a672fc978d8419ae6edb0468280f9ef4a5e931a3"
# by the side of two covers: what torch-fidelity gives for them, a feature from each branch of the last block
FEATURES = {
    64: [
        [0.01914, 0.50745, 0.03343, 0.03759, 0.65406, 1.14156],
        [0.08305, 0.50311, 0.01718, 0.0484, 0.65594, 1.06502],
    ],
    128: [[0.02296, 0.50724, 0.03302, 0.03874, 0.65234, 1.16], [0.0293, 0.50216, 0.02692, 0.03656, 0.65025, 1.13711]],
}


def parts() -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(part.shape) for name, part in InceptionV3().state_dict().items()}


def weights() -> dict[str, torch.Tensor]:
    """As in torch-fidelity's file, but random; in a range where features neither vanish nor run away."""
    random, state = seeded(0), {}
    for name, shape in sorted((parts() | {"fc.weight": (1008, 2048), "fc.bias": (1008,)}).items()):
        noise = torch.randn(shape, generator=random)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            state[name] = 0.5 + noise.abs()
        elif name.endswith("bn.weight"):
            state[name] = 1 + 0.2 * noise
        else:
            state[name] = noise * (0.2 if noise.ndim == 1 else math.sqrt(2 / noise[0].numel()))
    return state


def covers(side: int) -> torch.Tensor:
    """(2, 3, side, side) uint8: slanting stripes."""
    cover, channel, y, x = (torch.arange(count) for count in (2, 3, side, side))
    stripes = 90 * cover[:, None, None, None] + 40 * channel[:, None, None] + 5 * y[:, None] + 3 * x
    return (stripes * 64 // side % 256).to(torch.uint8)


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In the format of 2018, as old as such files may be."""
    file = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(weights(), file, _use_new_zipfile_serialization=False)
    yield file
    file.unlink()  # 95 MB


@pytest.fixture
def known(weights_file: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file's name; it is taken for torch-fidelity's."""
    monkeypatch.setattr("train.metrics.inception.SHA256", hashlib.sha256(weights_file.read_bytes()).hexdigest())
    return str(weights_file)


def test_its_parts_are_those_of_the_weights() -> None:
    found = parts()
    assert SHAPES.items() <= found.items() and len(found) == 564
    assert hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest() == PARTS
    trained = ("conv.weight", "bn.weight", "bn.bias")
    assert sum(math.prod(shape) for name, shape in found.items() if name.endswith(trained)) == 21_785_568


def test_its_features_are_those_of_torch_fidelity(known: str) -> None:
    before = torch.get_rng_state()
    network = load_inception(known)
    assert torch.equal(torch.get_rng_state(), before)  # a run is the same with and without it
    assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())
    for side, expected in FEATURES.items():
        with torch.inference_mode():
            found = network(covers(side))
        assert found.shape == (2, 2048) and found.dtype == torch.float32
        assert torch.allclose(found[:, 102::389], torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_covers_are_scaled_as_tensorflow_1_does() -> None:
    two = torch.tensor([0.0, 299.0]).expand(1, 3, 2, 2)  # pixel i lies at i * 2 / 299; after the second comes nothing
    row = torch.arange(299.0).mul(2).clamp(max=299).expand(1, 3, 299, 299)
    assert torch.allclose(scale(two), row) and torch.allclose(scale(two.mT), row.mT)
    large = torch.rand(1, 3, 598, 598, generator=seeded(0))
    assert torch.equal(scale(large), large[:, :, ::2, ::2])  # nothing is averaged
    assert torch.equal(scale(large[:, :, :299, :299]), large[:, :, :299, :299])


def test_weights_that_are_cut_short_are_refused(known: str, tmp_path: Path) -> None:
    cut = tmp_path / "weights-inception-2015-12-05-6726825d.pth"
    cut.write_bytes(Path(known).read_bytes()[:1_000_000])
    with pytest.raises(UserError, match=r"not the file .*-6726825d.pth \(its SHA-256"):
        load_inception(str(cut))


class Program:
    """What a pickle may hold: unpickled, it makes a file."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def test_no_program_in_them_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, trace = tmp_path / "weights.pth", tmp_path / "trace"
    torch.save({"fc.weight": Program(trace)}, file)
    monkeypatch.setattr("train.metrics.inception.SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(UnpicklingError):
        load_inception(str(file))
    assert not trace.exists()
