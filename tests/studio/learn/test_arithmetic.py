"""The board of lesson 3 beside torch, over all of its settings; the distances of lesson 2."""

import json
import math
from itertools import product

import pytest
import torch
from torch.nn import functional as F


ALL = [
    {"transposed": transposed, "size": size, "kernel": kernel, "stride": stride, "padding": padding,
     "dilation": dilation, "outputPadding": more}
    for transposed, size, kernel, stride, padding, dilation, more in product(
        (False, True), range(2, 13), range(1, 8), range(1, 5), range(4), range(1, 4), range(3)
    )
    if transposed or more == 0
]  # fmt: skip
# as one text: Playwright takes half a minute for lists of a million numbers
SIZES = "return JSON.stringify(JSON.parse(v).map(setting => m.outputSize(setting)))"
REACHED = """return JSON.stringify(JSON.parse(v).map(setting => m.outputSize(setting) === null ? null :
  Array.from({length: m.outputSize(setting)}, (_, n) =>
  m.contributors(setting, n).filter(([i]) => i >= 0 && i < setting.size))))"""


def along(setting: dict, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor | None:
    """(N, size) to (N, outputs) by torch, or None where it refuses."""
    moved = {"stride": setting["stride"], "padding": setting["padding"], "dilation": setting["dilation"]}
    try:
        if setting["transposed"]:
            y = F.conv_transpose1d(x[:, None], weights[None, None], output_padding=setting["outputPadding"], **moved)
        else:
            y = F.conv1d(x[:, None], weights[None, None], **moved)
    except RuntimeError:
        return None
    return y[:, 0] if y.shape[-1] else None


def test_every_setting_has_torchs_size_and_torchs_places(compute):
    sizes, reached = (
        json.loads(compute("math/arithmetic.js", script, json.dumps(ALL))) for script in (SIZES, REACHED)
    )
    assert len(ALL) > 14_000
    refused = 0
    for setting, size, places in zip(ALL, sizes, reached, strict=True):
        # each weight another power, each input a row of its own: the output says which weight met which input
        weights = torch.arange(1, setting["kernel"] + 1, dtype=torch.float64)
        y = along(setting, torch.eye(setting["size"], dtype=torch.float64), weights)
        if y is None:
            refused += 1
            assert size is None, setting
            continue
        assert size == y.shape[1], setting
        mine = [[0] * size for _ in range(setting["size"])]
        for output, met in enumerate(places):
            for i, tap in met:
                mine[i][output] += tap + 1
        assert mine == y.tolist(), setting
    assert 500 < refused < 8_000


def test_the_board_computes_what_torch_computes(compute):
    random = torch.Generator().manual_seed(0)
    for setting in ALL[17 :: len(ALL) // 60]:
        x = torch.randn(setting["size"], setting["size"], generator=random, dtype=torch.float64)
        weights = torch.randn(setting["kernel"], setting["kernel"], generator=random, dtype=torch.float64)
        if compute("math/arithmetic.js", "return m.outputSize(v)", setting) is None:
            continue
        moved = {"stride": setting["stride"], "padding": setting["padding"], "dilation": setting["dilation"]}
        if setting["transposed"]:
            y = F.conv_transpose2d(
                x[None, None], weights[None, None], output_padding=setting["outputPadding"], **moved
            )
        else:
            y = F.conv2d(x[None, None], weights[None, None], **moved)
        script = "return [...m.convolve(v.setting, v.x, v.weights)]"
        found = compute(
            "math/arithmetic.js",
            script,
            {"setting": setting, "x": x.flatten().tolist(), "weights": weights.flatten().tolist()},
        )
        assert found == pytest.approx(y.flatten().tolist(), abs=1e-9), setting


def test_checkerboards_are_where_the_kernel_is_not_a_multiple_of_the_stride(compute):
    for kernel, stride, dilation in product(range(1, 8), (1, 2, 3, 4), (1, 2, 3)):
        setting = {
            "transposed": True,
            "size": 40,
            "kernel": kernel,
            "stride": stride,
            "padding": 0,
            "dilation": dilation,
        }
        found = compute("math/arithmetic.js", "return [m.overlaps(v), m.stamps(v)]", setting)
        edge = kernel * dilation
        assert sorted(set(found[0][edge:-edge])) == found[1]
        if dilation == 1:
            assert (len(found[1]) == 1) == (kernel % stride == 0), (kernel, stride)
        assert compute("math/arithmetic.js", "return m.stamps(v)", setting | {"size": 2}) == found[1]


def test_lines_apart_are_log_2_apart_for_jensen_and_shannon_and_as_far_as_they_are_for_wasserstein(compute):
    for theta in (-2, -0.5, 0.02, 1.3):
        found = compute("wasserstein.js", "return m.distances(v, 0)", theta)
        assert found["js"] == pytest.approx(math.log(2), abs=1e-9)
        assert found["w"] == pytest.approx(abs(theta), abs=1e-9)
    assert compute("wasserstein.js", "return m.distances(0, 0)") == {"js": 0, "w": 0}


def test_blurred_heaps_are_as_far_apart_as_torch_says(compute):
    x = torch.linspace(-4, 4, 801, dtype=torch.float64)
    p, q = (
        torch.distributions.Normal(torch.tensor(middle, dtype=torch.float64), 0.3).log_prob(x).exp() * 0.01
        for middle in (0.0, 0.7)
    )
    middle = (p + q) / 2
    js = ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2
    found = compute("wasserstein.js", "return m.distances(0.7, 0.3)")
    assert found["js"] == pytest.approx(js.item(), abs=1e-5)
    assert found["w"] == pytest.approx(0.7, abs=1e-5)
