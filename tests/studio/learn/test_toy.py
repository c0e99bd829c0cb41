"""The toy of lesson 1, in JavaScript, beside gan/losses.py and torch: the same numbers."""

import pytest
import torch

from gan.losses import LOSSES, one_centred_penalty, zero_centred_penalty


PENALTIES = {"none": 0.0, "zero-centred": 0.3, "one-centred": 2.0}
START = """
const settings = {shape: 'ring', drawn: [], rate: 0.003, beta1: 0.5, beta2: 0.9, discriminatorSteps: 2, seed: 5, ...v};
const game = m.newGame(settings);
const plain = network => network.map(
  ({weight, bias, inputs, outputs}) => ({weight: [...weight], bias: [...bias], inputs, outputs}));
const lists = batch => Object.fromEntries(Object.entries(batch).map(([key, value]) => [key, [...value]]));
"""
ONE_STEP = (
    START
    + """
const before = {generator: plain(game.generator), discriminator: plain(game.discriminator)};
const batch = m.nextBatch(game);
const {forward} = await import('/math/network.js');
const d = m.discriminatorSlopes(game, batch, forward(game.generator, batch.latents, m.BATCH).output);
const g = m.generatorSlopes(game, batch);
return {before, batch: lists(batch), d: {loss: d.loss, penalty: d.penalty, pairs: d.pairs, slopes: plain(d.slopes)},
  g: {loss: g.loss, slopes: plain(g.slopes), atPoints: [...g.atPoints], points: [...g.points]}};
"""
)
TRAINING = (
    START
    + """
const before = {generator: plain(game.generator), discriminator: plain(game.discriminator)}, told = [], batches = [];
const other = m.newGame(settings);
for (let n = 0; n < 2 * 12; n++) batches.push(lists(m.nextBatch(other)));
for (let n = 0; n < 12; n++) told.push(m.bothSteps(game));
return {before, batches, told, after: {generator: plain(game.generator), discriminator: plain(game.discriminator)}};
"""
)


def network(layers: list[dict]) -> torch.nn.Sequential:
    """The same network in torch, in float64 as JavaScript computes."""
    made = []
    for layer in layers:
        linear = torch.nn.Linear(layer["inputs"], layer["outputs"]).double()
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(layer["weight"], dtype=torch.float64).view_as(linear.weight))
            linear.bias.copy_(torch.tensor(layer["bias"], dtype=torch.float64))
        made += [linear, torch.nn.Tanh()]
    return torch.nn.Sequential(*made[:-1])


def pictures(numbers: list[float]) -> torch.Tensor:
    """(N, 2, 1, 1), as gan/losses.py takes pictures."""
    return torch.tensor(numbers, dtype=torch.float64).view(-1, 2, 1, 1)


def judge(discriminator: torch.nn.Module, points: torch.Tensor) -> torch.Tensor:
    return discriminator(points.flatten(1)).flatten()


def discriminator_loss(kind: dict, networks: tuple, batch: dict) -> tuple[torch.Tensor, torch.Tensor]:
    generator, discriminator = networks
    with torch.no_grad():
        fake = generator(pictures(batch["latents"]).flatten(1))[:, :, None, None]
    real, fake = pictures(batch["real"]).requires_grad_(), fake.requires_grad_()
    at_real, at_fake = judge(discriminator, real), judge(discriminator, fake)
    penalty = torch.zeros(())
    if kind["penalty"] == "zero-centred":
        penalty = zero_centred_penalty(at_real, real) + zero_centred_penalty(at_fake, fake)
    if kind["penalty"] == "one-centred":
        mix = torch.tensor(batch["mix"], dtype=torch.float64).view(-1, 1, 1, 1)
        penalty = one_centred_penalty(lambda x: judge(discriminator, x), real.detach(), fake.detach(), mix)
    return LOSSES[kind["loss"]].discriminator(at_real, at_fake), penalty


def generator_loss(kind: dict, networks: tuple, batch: dict) -> tuple[torch.Tensor, torch.Tensor]:
    generator, discriminator = networks
    points = generator(pictures(batch["latents"]).flatten(1))
    points.retain_grad()
    with torch.no_grad():
        at_real = judge(discriminator, pictures(batch["others"]))
    return LOSSES[kind["loss"]].generator(at_real, discriminator(points).flatten()), points


def assert_slopes(module: torch.nn.Module, slopes: list[dict]) -> None:
    found = [number for layer in slopes for name in ("weight", "bias") for number in layer[name]]
    expected = torch.cat([parameter.grad.flatten() for parameter in module.parameters()])
    torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_penalties_and_slopes_are_those_of_torch(compute, loss: str, penalty: str):
    kind = {"loss": loss, "penalty": penalty, "weight": PENALTIES[penalty]}
    js = compute("math/toy.js", ONE_STEP, kind)
    networks = network(js["before"]["generator"]), network(js["before"]["discriminator"])

    value, punished = discriminator_loss(kind, networks, js["batch"])
    (value + kind["weight"] * punished).backward()
    assert js["d"]["loss"] == pytest.approx(value.item(), abs=1e-5)
    assert js["d"]["penalty"] == pytest.approx(punished.item(), abs=1e-5)
    assert penalty == "none" or punished > 1e-3
    assert_slopes(networks[1], js["d"]["slopes"])

    value, points = generator_loss(kind, networks, js["batch"])
    value.backward()
    assert js["g"]["loss"] == pytest.approx(value.item(), abs=1e-5)
    assert_slopes(networks[0], js["g"]["slopes"])
    assert js["g"]["atPoints"] == pytest.approx(points.grad.flatten().tolist(), abs=1e-9)  # the arrows


@pytest.mark.parametrize(
    "kind",
    ({"loss": "relativistic", "penalty": "zero-centred"}, {"loss": "wasserstein", "penalty": "one-centred"}),
    ids=str,
)
def test_a_training_of_twelve_steps_ends_with_the_weights_that_torchs_adam_gives(compute, kind: dict):
    kind = kind | {"weight": PENALTIES[kind["penalty"]]}
    js = compute("math/toy.js", TRAINING, kind)
    networks = network(js["before"]["generator"]), network(js["before"]["discriminator"])
    adams = [torch.optim.Adam(one.parameters(), lr=0.003, betas=(0.5, 0.9)) for one in networks]
    for step in range(12):
        for batch in js["batches"][2 * step : 2 * step + 2]:
            adams[1].zero_grad()
            value, punished = discriminator_loss(kind, networks, batch)
            (value + kind["weight"] * punished).backward()
            adams[1].step()
        assert js["told"][step]["lossD"] == pytest.approx(value.item(), abs=1e-5)
        adams[0].zero_grad()
        value, _ = generator_loss(kind, networks, batch)
        value.backward()
        adams[0].step()
        assert js["told"][step]["lossG"] == pytest.approx(value.item(), abs=1e-5)
    for name, module in zip(("generator", "discriminator"), networks, strict=True):
        expected = network(js["after"][name])
        for mine, torchs in zip(expected.parameters(), module.parameters(), strict=True):
            torch.testing.assert_close(mine, torchs, rtol=1e-5, atol=1e-7)


def test_a_seed_is_a_game_for_ever_and_another_seed_another(compute):
    script = START + "for (let n = 0; n < 5; n++) m.bothSteps(game); return [...game.generator[0].weight];"
    kind = {"loss": "logistic", "penalty": "none", "weight": 0}
    one = compute("math/toy.js", script, kind)
    assert one == compute("math/toy.js", script, kind)
    assert one != compute("math/toy.js", script, kind | {"seed": 6})


def test_the_ring_is_learned(compute):
    """What lesson 1 promises: after a few hundred steps most of the ring is found."""
    script = (
        START
        + """for (let n = 0; n < 700; n++) m.bothSteps(game);
    const {randomFrom} = await import('/math/random.js'); return m.measure(game, randomFrom(9));"""
    )
    kind = {
        "loss": "relativistic",
        "penalty": "zero-centred",
        "weight": 0.1,
        "seed": 1,
        "beta1": 0,
        "discriminatorSteps": 1,
    }
    found = compute("math/toy.js", script, kind)
    assert found["recall"] > 0.7 and found["precision"] > 0.3


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_copied_recipe_is_one_that_the_trainer_takes(compute, tmp_path, loss: str, penalty: str):
    from train.train_gan.recipes import load_recipe

    settings = {
        "loss": loss,
        "penalty": penalty,
        "weight": 0.05,
        "rate": 0.00001,
        "beta1": 0.5,
        "beta2": 0.9,
        "steps": 3,
    }
    (tmp_path / "my-recipe.yaml").write_text(compute("recipe.js", "return m.recipeOf(v)", settings))
    recipe = load_recipe(str(tmp_path / "my-recipe.yaml"), {})
    assert (recipe.loss, recipe.gradient_penalty, recipe.discriminator_steps) == (loss, penalty, 3)
    assert recipe.learning_rate == 0.000001 and recipe.adam_beta1 == 0.5
    assert (recipe.gradient_penalty_weight > 0) == (penalty != "none")
    recipe.build([])


def test_drawn_points_travel_in_a_link(compute):
    points = [[-1.3, 1.3], [0.02, -0.4], [1.3, 0]]
    found = compute("game.js", "return m.pointsOf(m.textOf(v))", points)
    for one, other in zip(found, points, strict=True):
        assert one == pytest.approx(other, abs=0.03)
    assert compute("game.js", "return m.pointsOf('<b>!')", None) == []
