"""The phases that paint, distil, compose and tune: each learns what it is to learn, and nothing else changes."""

import copy
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from gan.augment import draw_augmentation
from gan.networks.efficientnet_lite import EfficientNetLite
from gan.networks.latents import LatentDiscriminator, LatentFeatures
from gan.networks.painter import Decoder, Encoder, PainterGenerator
from gan.networks.patch import PatchDiscriminator
from gan.networks.projected import ProjectedDiscriminator
from train.train_gan.compose import Composing, shifted
from train.train_gan.conditions import Kinds
from train.train_gan.distil import Distilling, disturbed
from train.train_gan.paint import Painting
from train.train_gan.tune import PaintedJudge
from train.train_gan.updates import update


ALONE = Accelerator(cpu=True)


def adam(*networks: nn.Module, rate: float = 1e-3) -> torch.optim.Adam:
    weights = [weight for network in networks for weight in network.parameters() if weight.requires_grad]
    return torch.optim.Adam(weights, rate, betas=(0.0, 0.99), fused=True)


def freeze(network: nn.Module) -> nn.Module:
    """The same network, which from now on only judges."""
    return network.eval().requires_grad_(False)


def teacher() -> EfficientNetLite:
    """Random features, in the shapes of the real ones."""
    few = [(32, 24, 32, 3, 2), (24, 40, 48, 3, 2), (40, 112, 80, 3, 2), (112, 320, 112, 3, 2)]
    return freeze(EfficientNetLite(few))


def same(before: nn.Module, after: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


@pytest.fixture(autouse=True)
def _chance():
    torch.manual_seed(0)


@pytest.mark.parametrize("features", [teacher, lambda: None], ids=["features", "colours alone"])
def test_an_autoencoder_learns_to_repaint(features):
    encoder, decoder, critic = Encoder(width=8, latent_channels=4), Decoder(8, 4), PatchDiscriminator(width=8)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], fused=True)
    painting = Painting(
        encoder, decoder, critic, features(), optimizer, adam(critic), nullcontext, ALONE, latent_noise=0.0
    )
    covers = torch.rand(4, 3, 1, 1).expand(-1, -1, 32, 32) * 2 - 1
    untouched = copy.deepcopy(critic)
    first = painting.step(covers, torch.randn(4, 4, 4, 4), 0.0)
    for _ in range(20):
        last = painting.step(covers, torch.randn(4, 4, 4, 4), 0.2)
    assert last["l1"] < 0.7 * first["l1"]
    assert same(untouched, critic) and "loss_critic" not in last
    assert "loss_critic" in painting.step(covers, torch.randn(4, 4, 4, 4), 0.6)
    assert not same(untouched, critic)
    assert all(weight.requires_grad for weight in critic.parameters())


def test_a_student_learns_from_latents_what_its_teacher_sees():
    generator = PainterGenerator(128, width=4, composer_width=8, latent_channels=4, latent_dim=6)
    student = LatentFeatures(latent_channels=4, width=8)
    distilling = Distilling(
        student, teacher(), freeze(generator).paint, adam(student, rate=3e-3), nullcontext, ALONE, 3e-3
    )
    latents = torch.randn(4, 4, 16, 16)
    maps = distilling.see(latents)
    student.set_scales(*(torch.cat([of(m, (0, 2, 3)) for m in maps]) for of in (torch.mean, torch.std)))
    first = distilling.step(latents, 0.0)
    for _ in range(30):
        last = distilling.step(latents, 0.0)
    assert first.keys() == {"unexplained_8", "unexplained_16", "unexplained_32", "gradient_norm"}
    assert all(last[name] < 0.9 * first[name] for name in first if name != "gradient_norm")


def test_a_quarter_of_disturbed_latents_is_untouched():
    latents = torch.randn(8, 4, 16, 16)
    found = disturbed(latents, torch.Generator().manual_seed(0))
    assert torch.equal(found[:2], latents[:2])
    assert not any(torch.equal(a, b) for a, b in zip(found[2:4], latents[2:4], strict=True))
    pasted = found[4:6]
    assert torch.isin(pasted, latents[4:6]).all()  # nothing new, but from another cover in places
    assert torch.equal(found, disturbed(latents, torch.Generator().manual_seed(0)))


def compose(heads: bool, **conditions: int) -> Composing:
    generator = PainterGenerator(
        128, width=4, composer_width=8, composer_max_width=16, latent_channels=4, latent_dim=6, **conditions
    )
    generator.decoder.requires_grad_(False)
    critic = LatentDiscriminator(latent_channels=4, width=8, **conditions)
    judges = ProjectedDiscriminator(width=0.1) if heads else None
    return Composing(
        generator,
        critic,
        freeze(LatentFeatures(latent_channels=4, width=4)) if heads else None,
        judges,
        adam(generator),
        adam(critic),
        adam(judges) if heads else None,
        nullcontext,
        ALONE,
        learning_rate=1e-3,
    )


@pytest.mark.parametrize("heads", [True, False])
def test_composing_teaches_the_composer_and_those_who_judge(heads: bool):
    composing = compose(heads, clusters=3, palette=2)
    before = copy.deepcopy(composing)
    conditions = {"clusters": torch.tensor([0, 1, 2, 3] * 2), "palette": torch.rand(8, 2)}
    for _ in range(2):
        shown = composing.step(torch.randn(8, 6), torch.randn(8, 4, 16, 16), (1, -2), conditions)
    assert all(value.isfinite() for value in shown.values())
    assert ("loss_heads" in shown) == heads
    assert same(before.generator.decoder, composing.generator.decoder)
    assert not same(before.generator.composer, composing.generator.composer)
    assert not same(before.critic, composing.critic)
    if heads:
        assert same(before.features, composing.features)
        assert same(before.heads.mixing, composing.heads.mixing)
        assert not same(before.heads.heads, composing.heads.heads)
    assert composing.generator.cluster_embedding.weight[-1].abs().max() == 0  # "any" stays nothing
    assert composing.generator.cluster_embedding.weight[:-1].abs().max() > 0
    assert all(weight.requires_grad for weight in composing.critic.parameters())


def test_the_penalty_pulls_on_the_critic():
    """Of two critics with the same weights, the one with a large penalty has the flatter logits afterwards."""
    steep, flat = compose(False), compose(False)
    for part in ("generator", "critic"):
        getattr(flat, part).load_state_dict(getattr(steep, part).state_dict())
    steep.penalty_weight, flat.penalty_weight = 0.0, 1000.0
    batches = [(torch.randn(8, 6), torch.randn(8, 4, 16, 16)) for _ in range(8)]
    last = [[c.step(z, real, (0, 0), {})["gradient_penalty"] for z, real in batches][-1] for c in (steep, flat)]
    assert last[1] < last[0]


def test_what_is_shifted_repeats_its_edge():
    latents = torch.arange(16.0).view(1, 1, 4, 4)
    moved = shifted(latents, 1, -2)
    assert torch.equal(moved[0, 0, 1:, :2], latents[0, 0, :3, 2:])
    assert torch.equal(moved[0, 0, 0], moved[0, 0, 1])
    assert torch.equal(moved[0, 0, :, 2], moved[0, 0, :, 3])
    assert torch.equal(shifted(latents, 0, 0), latents)


def test_a_gradient_that_is_not_finite_changes_nothing():
    network = nn.Linear(2, 1)
    before, optimizer = copy.deepcopy(network), adam(network)
    (network(torch.ones(1, 2)) * float("inf")).sum().backward()
    update(optimizer, 0.1, ALONE)
    assert same(before, network)


def test_while_tuning_a_third_judges_what_is_painted():
    composing, heads = compose(True), ProjectedDiscriminator((24, 40, 112, 320), (32, 16, 8, 4), width=0.1)
    generator = composing.generator
    judge = PaintedJudge(generator.paint, teacher(), heads, adam(heads), nullcontext, ALONE)
    tuning = replace(composing, painted=judge)
    before, draw = copy.deepcopy(tuning), draw_augmentation(2, 0.5, torch.Generator().manual_seed(0))
    shown = tuning.step(torch.randn(8, 6), torch.randn(8, 4, 16, 16), (0, 0), {}, draw)
    assert all(value.isfinite() for value in shown.values()) and {"loss_painted", "loss_g_painted"} < shown.keys()
    assert same(before.generator.decoder, generator.decoder) and same(before.painted.features, judge.features)
    assert not same(before.painted.heads.heads, heads.heads) and same(before.painted.heads.mixing, heads.mixing)
    assert all(weight.requires_grad for weight in heads.heads.parameters())


def test_its_verdict_alone_can_lead_a_composer():
    """Towards latents that it has learned to take for real."""
    paint = freeze(compose(False).generator).paint
    heads = ProjectedDiscriminator((24, 40, 112, 320), (32, 16, 8, 4), width=0.1)
    judge = PaintedJudge(paint, teacher(), heads, adam(heads), nullcontext, ALONE)
    draw = draw_augmentation(4, 0.5, torch.Generator().manual_seed(0))
    real, fake = torch.randn(4, 4, 16, 16), torch.zeros(4, 4, 16, 16, requires_grad=True)
    maps = judge.look(real, draw), judge.look(fake, draw)
    losses = [judge.teach(*maps, 3e-3)["loss_painted"] for _ in range(20)]
    assert losses[-1] < losses[0] and fake.grad is None
    heads.eval()
    first, optimizer = judge.verdict(judge.look(fake, draw))[0].item(), torch.optim.Adam([fake], 0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (-judge.verdict(judge.look(fake, draw))[0]).backward()
        optimizer.step()
    assert judge.verdict(judge.look(fake, draw))[0] > first


def test_the_kind_asked_for_leads_a_composer_and_any_kind_does_not():
    paint = freeze(compose(False).generator).paint
    heads = ProjectedDiscriminator((24, 40, 112, 320), (32, 16, 8, 4), width=0.1)
    centres = torch.nn.functional.normalize(torch.randn(3, 1280), dim=1)
    judge = PaintedJudge(paint, teacher(), freeze(heads), adam(nn.Linear(1, 1)), nullcontext, ALONE)
    judge.kinds = Kinds(centres, torch.zeros(1280), torch.ones(1280))
    draw = draw_augmentation(4, 0.0, torch.Generator().manual_seed(0))
    fake, asked = torch.randn(4, 4, 16, 16, requires_grad=True), torch.tensor([0, 2, 3, 3])  # 3: any
    optimizer, surprises = torch.optim.Adam([fake], 0.1), []
    for _ in range(6):
        optimizer.zero_grad()
        surprise = judge.verdict(judge.look(fake, draw), asked)[1]
        surprise.backward()
        assert fake.grad is not None and fake.grad[:2].any() and not fake.grad[2:].any()
        surprises.append(surprise.item())
        optimizer.step()
    assert surprises[-1] < surprises[0]
    maps = judge.look(fake, draw)
    assert judge.verdict(maps)[1] == judge.verdict(maps, torch.full((4,), 3))[1] == 0
