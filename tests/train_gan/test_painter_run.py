"""A run through all phases: what learns when, and that it goes on exactly where it stopped."""

import copy
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from gan.networks.efficientnet_lite import EfficientNetLite
from train.train_gan.phases import (
    PHASES,
    Painter,
    PhaseBatches,
    Schedule,
    build_painter,
    encode_all,
    freeze_what_is_done,
    order,
    phases,
)


SCHEDULE = Schedule(paint=12, distil=8, compose=8, tune=4)  # in the last of three steps a critic joins to paint
ALONE = SimpleNamespace(num_processes=1, process_index=0, device=torch.device("cpu"))
NETWORKS = ("encoder", "patch_critic", "student", "discriminator", "heads")


class DrawnCovers:
    """Six covers of 128 pixels, as `Covers` gives them."""

    def __init__(self):
        chance = torch.Generator().manual_seed(0)
        self.pixels = torch.randint(0, 256, (6, 128, 128, 3), generator=chance, dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, indices) -> torch.Tensor:
        return self.pixels[torch.as_tensor(indices)]


def new_painter() -> Painter:
    return build_painter(
        0,
        1,
        torch.device("cpu"),
        width=4,
        composer_width=8,
        composer_max_width=16,
        latent_channels=4,
        latent_dim=6,
        critic_width=8,
        student_width=8,
    )


def train(painter: Painter, images: int, until: int) -> list[str]:
    """Take the steps from `images` on; return the phases that took them."""
    torch.manual_seed(1)
    few = [(32, 24, 32, 3, 2), (24, 40, 48, 3, 2), (40, 112, 80, 3, 2), (112, 320, 112, 3, 2)]
    features = EfficientNetLite(few).eval().requires_grad_(False)
    covers, found = DrawnCovers(), phases(painter, features, nullcontext)
    latents = encode_all(painter, covers, nullcontext) if images >= SCHEDULE.paint else None
    batches, taken = PhaseBatches(painter, SCHEDULE, covers, latents, 4, 0, ALONE), []
    while images < until:
        phase, shown, _ = SCHEDULE.at(images)
        if shown == 0 and phase == "distil":
            batches.latents = encode_all(painter, covers, nullcontext)
        freeze_what_is_done(painter, phase)
        found[phase].step(**batches.at(images))
        taken.append(phase)
        images += 4
    return taken


@pytest.fixture(scope="module")
def whole() -> Painter:
    painter = new_painter()
    assert train(painter, 0, SCHEDULE.total) == ["paint"] * 3 + ["distil"] * 2 + ["compose"] * 2 + ["tune"]
    return painter


def test_the_phases_follow_each_other():
    assert SCHEDULE.total == 32
    assert [SCHEDULE.at(images)[0] for images in (0, 11, 12, 20, 28, 32)] == ["paint", *PHASES, "tune"]
    assert SCHEDULE.at(16) == ("distil", 4, 0.5)


@pytest.mark.parametrize("stop", [8, 12, 16, 24, 28])
def test_a_run_goes_on_exactly_in_every_phase(whole: Painter, stop: int):
    stopped = new_painter()
    train(stopped, 0, stop)
    resumed = new_painter()
    for name in Painter.__dataclass_fields__:
        getattr(resumed, name).load_state_dict(copy.deepcopy(getattr(stopped, name).state_dict()))
    train(resumed, stop, SCHEDULE.total)
    for name in ("generator", *NETWORKS):
        expected, found = (getattr(p, name).state_dict() for p in (whole, resumed))
        assert all(torch.equal(expected[key], found[key]) for key in expected), name


def test_each_network_learns_in_its_phase_alone():
    painter, learnt = new_painter(), {}
    for begin, end, phase in ((0, 12, "paint"), (12, 20, "distil"), (20, 28, "compose"), (28, 32, "tune")):
        before = copy.deepcopy(painter)
        train(painter, begin, end)
        changed = {
            name
            for name in NETWORKS
            if any(
                not torch.equal(a, b)
                for a, b in zip(getattr(before, name).parameters(), getattr(painter, name).parameters(), strict=True)
            )
        }
        for part in ("composer", "decoder"):
            weights = (getattr(p.generator, part).parameters() for p in (before, painter))
            changed |= {part} if any(not torch.equal(a, b) for a, b in zip(*weights, strict=True)) else set()
        learnt[phase] = changed
    assert learnt == {
        "paint": {"encoder", "decoder", "patch_critic"},
        "distil": {"student"},
        "compose": {"composer", "discriminator", "heads"},
        "tune": {"decoder", "patch_critic"},
    }


def test_two_processes_share_a_batch():
    painter, covers = new_painter(), DrawnCovers()
    latents = encode_all(painter, covers, nullcontext)
    for images in (0, 20, 28):
        whole = PhaseBatches(painter, SCHEDULE, covers, latents, 4, 0, ALONE).at(images)
        halves = []
        for rank in (0, 1):
            process = SimpleNamespace(num_processes=2, process_index=rank, device=ALONE.device)
            halves.append(PhaseBatches(painter, SCHEDULE, covers, latents, 4, 0, process).at(images))
        for name, value in whole.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, torch.cat([half[name] for half in halves]))
            else:
                assert halves[0][name] == halves[1][name] == value


def test_every_cover_is_shown_once_in_each_epoch():
    shown = order(6, 0, 0, 12)
    assert sorted(shown[:6].tolist()) == sorted(shown[6:].tolist()) == list(range(6))
    assert torch.equal(order(6, 0, 4, 5), shown[4:9])
    assert not torch.equal(order(6, 1, 0, 12), shown)


def test_encoded_covers_have_unit_variance():
    painter = new_painter()
    latents = encode_all(painter, DrawnCovers(), nullcontext).float()
    assert latents.shape == (6, 4, 16, 16)
    deviation, mean = torch.std_mean(latents, (0, 2, 3))
    assert torch.allclose(deviation, torch.ones(4), atol=0.01) and mean.abs().max() < 0.01
    assert torch.equal(painter.ema[0].latent_mean, painter.generator.latent_mean)
