"""Lesson 6: what the discriminator says of pictures, and the gradient of its verdict, are those of torch."""

import base64
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from gan import load_pipeline
from gan.networks import NETWORKS
from gan.studio import checks
from gan.studio.model import Model
from gan.studio.tabs.learn.critic import EACH, FOLLOWED, MOST_OWN, PAIR, PIXELS, SIDE, Critic


@pytest.fixture(scope="module")
def critic(tiny_pipeline_folder: Path) -> Critic:
    return Critic(Model(load_pipeline(tiny_pipeline_folder), "tiny"))


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    sizes = json.loads((PAIR / "pair.json").read_text())["sizes"][1]
    discriminator = NETWORKS["dcgan"][1](resolution=SIDE, **sizes).eval()
    weights = load_file(PAIR / "discriminator.safetensors")
    discriminator.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return discriminator


def tensor(pixels: str) -> torch.Tensor:
    picture = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(1, SIDE, SIDE, 3).copy()
    return torch.from_numpy(picture).permute(0, 3, 1, 2) / 127.5 - 1


def picture(address: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB"))


def test_the_verdicts_are_the_networks_own(critic: Critic, network: torch.nn.Module):
    own = base64.b64encode(bytes(range(256)) * 12).decode()
    told = critic.judged({"seed": 5, "own": [own]})["pictures"]
    assert [one["whose"] for one in told] == ["opponent"] * EACH + ["page"] * EACH + ["own"]
    assert told[-1]["pixels"] == own
    for one in told:
        assert one["says"] == pytest.approx(network(tensor(one["pixels"])).sigmoid().item(), abs=1e-3)
        assert np.array_equal(
            picture(one["src"]), np.frombuffer(base64.b64decode(one["pixels"]), np.uint8).reshape(SIDE, SIDE, 3)
        )
    assert len({one["pixels"] for one in told}) == len(told)
    again = critic.judged({"seed": 5, "own": []})["pictures"]
    assert [one["pixels"] for one in again] == [one["pixels"] for one in told[:-1]]


def test_the_map_is_the_gradient_and_following_it_convinces(critic: Critic, network: torch.nn.Module):
    doubted = min(critic.judged({"seed": 5, "own": []})["pictures"], key=lambda one: one["says"])
    told = critic.seen(doubted["pixels"])
    cover = tensor(doubted["pixels"]).requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(cover).sum(), cover)
    lengths = gradient[0].norm(dim=0)
    assert np.abs(picture(told["map"])[..., 0] - (lengths / lengths.max() * 255).numpy()).max() <= 1
    assert len(told["says"]) == FOLLOWED + 1
    assert told["says"][0] == pytest.approx(doubted["says"], abs=1e-3)
    assert told["says"][-1] > told["says"][0]
    assert 0 < told["moved"] < 30


def test_what_a_stranger_sends_is_bounded(critic: Critic):
    good = base64.b64encode(bytes(PIXELS)).decode()
    wrong_pictures = [None, 7, "", good[:-4], good + "AAAA", "!" * len(good), good[:-1] + "=", [good]]
    for wrong in wrong_pictures:
        with pytest.raises(checks.Refused, match="32 x 32 pixels"):
            critic.seen(wrong)
        with pytest.raises(checks.Refused):
            critic.judged({"seed": 1, "own": [wrong]})
    for wrong in (
        None,
        {"seed": -1, "own": []},
        {"seed": 1},
        {"seed": 1, "own": good},
        {"seed": 1, "own": [good] * (MOST_OWN + 1)},
    ):
        with pytest.raises(checks.Refused):
            critic.judged(wrong)


def test_the_pair_knows_real_from_generated():
    facts = json.loads((PAIR / "pair.json").read_text())
    assert facts["real"] >= 200 and (facts["real_right"] + facts["generated_right"]) / 2 > 0.6  # chance: 0.5
    assert sum(file.stat().st_size for file in PAIR.iterdir()) < 2_000_000
