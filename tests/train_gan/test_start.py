"""Starting from what others trained: it begins where theirs ended, and only what can work is taken."""

import copy
import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from safetensors.torch import load, load_file, save
from torch import nn

from gan import load_pipeline, save_pipeline
from gan.networks import NETWORKS
from gan.pipeline import AlbumCoverPipeline
from gan.pipeline_folder import DISCRIMINATORS, find_pipeline, load_with_discriminators
from tests.helpers import trainers
from tests.helpers.hub_repo import Repo
from tests.helpers.hub_server import Hub
from tests.helpers.runs import assert_same_run, command, kill_when, launch, launch_two, start, weights
from train.cli import UserError
from train.share.hub import upload_model
from train.ship import ship
from train.train_gan.checkpoints import Checkpoints
from train.train_gan.recipes import Recipe, load_recipe
from train.train_gan.start import WARM_UP, Start, begin, discriminators_of, freeze
from train.train_gan.state import GAN, build
from train.train_gan.steps import Trainer


CPU = torch.device("cpu")
GENRES = ["rock", "jazz"]
ROLES = ("generator", "discriminator")
RECIPES = ["dcgan-64", "sngan-64-cpu", "wgan-gp-64", "tiny"]


def learned(recipe: Recipe, genres: list[str] | None = None, seed: int = 1) -> GAN:
    """Networks none of whose weights is what it was built with."""
    gan, random = build(recipe, CPU, genres or []), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for network in (gan.generator, gan.discriminator):
            for weight in network.parameters():
                weight += 0.1 * torch.randn(weight.shape, generator=random)
    gan.ema[0].load_state_dict(gan.generator.state_dict())
    return gan


def published(gan: GAN, recipe: Recipe, judged: bool = True) -> Start:
    """What `find_start` finds of such networks."""
    told = {"model": "a", "revision": None, "discriminator": judged, "warm_up_images": 0 if judged else 16}
    pipeline = AlbumCoverPipeline(copy.deepcopy(gan.ema[0]), getattr(gan, "encoder", None))
    return Start("a", told, pipeline, copy.deepcopy(discriminators_of(gan, recipe)) if judged else {})


def same(one: nn.Module, other: nn.Module, tolerance: float = 0.0) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all((a.double() - b.double()).abs().max() <= tolerance for a, b in pairs)


@pytest.mark.parametrize("name", RECIPES)
def test_it_begins_where_a_published_one_ended(name: str, tmp_path: Path):
    recipe = trainers.small(name)
    theirs, ours = learned(recipe), build(recipe, CPU)
    pipeline = AlbumCoverPipeline(theirs.ema[0])
    save_pipeline(pipeline, tmp_path, False, discriminators=discriminators_of(theirs, recipe))
    told = {"model": "a", "revision": None, "discriminator": True, "warm_up_images": 0}
    begin(ours, recipe, Start("a", told, *load_with_discriminators(tmp_path)))
    assert all(same(network, theirs.ema[0]) for network in (ours.generator, *ours.ema))
    assert same(ours.discriminator, theirs.discriminator, 1e-3)  # in float16
    assert not same(ours.discriminator, theirs.discriminator)
    files = list((tmp_path / "discriminator").glob("*.safetensors"))
    assert {load_file(file)[k].dtype for file in files for k in load_file(file) if "weight" in k} >= {torch.float16}


def test_what_judges_is_written_in_files_below_10_megabytes_and_leaves_with_the_next(tmp_path: Path):
    recipe = load_recipe("r3gan-64", {})
    gan = build(recipe, CPU)
    save_pipeline(AlbumCoverPipeline(gan.ema[0]), tmp_path, False, discriminators=discriminators_of(gan, recipe))
    sizes = [file.stat().st_size for file in (tmp_path / "discriminator").iterdir()]
    assert 14e6 < sum(sizes) < 15e6 and max(sizes) < 10e6
    save_pipeline(load_pipeline(tmp_path), tmp_path, False)
    assert not (tmp_path / "discriminator").exists() and load_with_discriminators(tmp_path)[1] == {}


@torch.no_grad()
def test_genres_of_the_new_covers_replace_the_old_ones():
    recipe = trainers.small("tiny", class_conditional=True)
    theirs, ours = learned(recipe, ["metal", "rock", "jazz"]), build(recipe, CPU, ["jazz", "folk"])
    before, line = build(recipe, CPU, ["jazz", "folk"]), begin(ours, recipe, published(theirs, recipe))
    assert "2 of its genres are no more asked for" in line
    for name in ROLES:
        old, new = getattr(theirs, name).genre_embedding.weight, getattr(ours, name).genre_embedding.weight
        assert torch.equal(new, old[[2, 3, 3]])  # jazz as it was; folk as any, which is the last
    latents = torch.randn(4, recipe.generator["latent_dim"])
    names = torch.tensor([0, 1, 2, 2]), torch.tensor([2, 3, 3, 3])
    torch.testing.assert_close(ours.generator(latents, names[0]), theirs.generator(latents, names[1]))

    plain = build(trainers.small("tiny"), CPU)
    begin(plain, trainers.small("tiny"), published(theirs, recipe))
    assert plain.generator.genre_embedding is None and torch.equal(plain.generator.basis, theirs.generator.basis)
    begin(before, recipe, published(learned(trainers.small("tiny")), recipe))
    assert not before.generator.genre_embedding.weight.any()


@torch.no_grad()
@pytest.mark.parametrize("judged", [True, False])
def test_an_r3gan_is_grown_to_twice_the_resolution(judged: bool):
    small = trainers.small("tiny", class_conditional=True)
    large = replace(small, resolution=32, **{role: dict(getattr(small, role), width=4) for role in ROLES})
    theirs, ours = learned(small, GENRES), build(large, CPU, ["jazz"])
    before = copy.deepcopy(ours.discriminator)
    begin(ours, large, published(theirs, small, judged))
    latents = torch.randn(6, small.generator["latent_dim"])
    drawn = theirs.generator(latents, torch.ones(6, dtype=torch.int64))
    wanted = F.interpolate(drawn, scale_factor=2, mode="bilinear", align_corners=False)
    for network in (ours.generator, *ours.ema):
        found = network(latents, torch.zeros(6, dtype=torch.int64))
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert same(before, ours.discriminator) != judged


def test_what_cannot_work_is_refused_in_a_line():
    tiny = trainers.small("tiny")

    def complaint(recipe: Recipe, theirs: Recipe) -> str:
        with pytest.raises(UserError) as refused:
            begin(build(recipe, CPU), recipe, published(learned(theirs), theirs))
        assert refused.value.code == 2 and "\n" not in str(refused.value)
        return str(refused.value).removeprefix("--start_from a: ")

    assert complaint(tiny, trainers.small("dcgan-64")).startswith("its generator is DCGANGenerator, that of network: ")
    sizes = dict(tiny.generator, latent_dim=11)
    assert complaint(tiny, replace(tiny, generator=sizes)) == (
        "its generator has latent_dim 11, not 16; say so in a copy of the recipe (generator)"
    )
    assert complaint(trainers.small("dcgan-64"), trainers.small("sngan-64-cpu")) == (
        "its discriminator has normalisation spectral, not batch; say so in a copy of the recipe (discriminator)"
    )
    for mine, other in ((16, 64), (32, 16), (16, 32)):
        small = trainers.small("dcgan-64", resolution=mine)
        assert f"it draws {other} pixels, the recipe {mine}" in complaint(small, replace(small, resolution=other))
    start = published(learned(tiny), tiny)
    start.discriminators["discriminator"] = learned(trainers.small("dcgan-64")).discriminator
    with pytest.raises(UserError, match="its discriminator is DCGANDiscriminator, not R3GANDiscriminator"):
        begin(build(tiny, CPU), tiny, start)
    wider = {"width": 32, "max_width": 64, "blocks": 1, "group_size": 8}
    grown = replace(tiny, resolution=32, generator=wider | {"latent_dim": 16}, discriminator=wider)
    assert "these networks differ otherwise" in complaint(grown, tiny)


@pytest.mark.parametrize("name", ["dcgan-64", "wgan-gp-64", "tiny"])
def test_a_new_discriminator_learns_first(name: str):
    recipe = trainers.small(name, total_images=80)
    gan = build(recipe, CPU)
    begin(gan, recipe, published(learned(recipe), recipe, judged=False))
    trainer, before = Trainer(gan, recipe, Accelerator(cpu=True), False, 1, 16), copy.deepcopy(gan)
    stood = {}

    def look(images: int, measured: dict[str, torch.Tensor]) -> bool:
        stood[images] = [same(getattr(before, part), getattr(gan, part)) for part in ROLES]
        parameters = zip(before.generator.parameters(), gan.generator.parameters(), strict=True)
        stood[images][0] = all(torch.equal(a, b) for a, b in parameters)  # statistics of a batch are no weights
        assert ("loss_g" in measured) == (images > 16 and (images // 8) % recipe.discriminator_steps == 0)
        assert images > 16 or same(before.ema, gan.ema)
        return images == 80

    trainers.train(trainer, trainers.plain_covers((9, 99, 200), 16), 0, look)
    assert stood[8] == stood[16] == [True, False] and stood[80] == [False, False]


@pytest.mark.parametrize("name", ["dcgan-64", "wgan-gp-64", "tiny"])
@pytest.mark.parametrize("stop", [8, 16, 24])
def test_stopped_while_a_new_discriminator_learns_it_goes_on_exactly(name: str, stop: int, tmp_path: Path):
    recipe, covers = trainers.small(name, total_images=80), trainers.plain_covers((9, 99, 200), 16)

    def begun() -> Trainer:
        gan = build(recipe, CPU)
        begin(gan, recipe, published(learned(recipe), recipe, judged=False))
        return Trainer(gan, recipe, Accelerator(cpu=True), False, 1, 16)

    whole, stopped = begun(), begun()
    trainers.train(whole, covers, 0, lambda images, _: images == 64)
    trainers.train(stopped, covers, 0, lambda images, _: images == stop)
    Checkpoints(tmp_path).save(stopped.gan, stop, 1.0)
    resumed = Trainer(build(recipe, CPU), recipe, Accelerator(cpu=True), False, 1, 16)  # it needs the model no more
    assert Checkpoints(tmp_path).load(resumed.gan, "latest", CPU) == (stop, 1.0)
    trainers.train(resumed, covers, stop, lambda images, _: images == 64)
    for part in (*ROLES, "ema"):
        assert same(getattr(whole.gan, part), getattr(resumed.gan, part)), part


@pytest.mark.parametrize("name", RECIPES)
def test_frozen_stages_learn_no_more(name: str):
    recipe = trainers.small(name, learning_rate=1e-3)
    gan = build(recipe, CPU)
    begin(gan, recipe, published(learned(recipe), recipe))
    freeze(gan.discriminator, 1)
    before, trainer = copy.deepcopy(gan), Trainer(gan, recipe, Accelerator(cpu=True), False)
    covers = trainers.plain_covers((9, 99, 200), 16)
    trainers.train(trainer, covers, 0, lambda images, _: images == 48)
    held = [
        all(torch.equal(a, b) for a, b in zip(old.parameters(), new.parameters(), strict=True))
        for old, new in zip(before.discriminator.stages, gan.discriminator.stages, strict=True)
    ]
    assert held == [True] + [False] * (len(held) - 1) and not same(before.generator, gan.generator)
    with pytest.raises(UserError, match=f"has {len(held)} stages"):
        freeze(gan.discriminator, len(held) + 1)


def test_every_layer_but_the_last_is_in_a_stage():
    for name in RECIPES:
        network = build(trainers.small(name, resolution=32), CPU).discriminator
        staged = {id(weight) for stage in network.stages for weight in stage.parameters()}
        left = [name for name, weight in network.named_parameters() if id(weight) not in staged]
        last = ("to_logit", "to_score", "basis", f"layers.{len(getattr(network, 'layers', ())) - 1}.")
        assert len(network.stages) in (3, 4) and all(name.startswith(last) for name in left), left


@pytest.fixture(scope="module")
def model(straight: Path) -> Path:
    """A model that somebody trained, with what judged it."""
    return straight / "pipeline"


SHORT = ("--total_images", "160", "--checkpointing_images", "80")


def test_a_run_starts_from_the_hub_and_shares_what_judges_it(
    hub: Hub, model: Path, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    upload_model(model, "user/covers")
    repo: Repo = hub.repos["model", "user/covers"]
    assert {name for name in repo.files if name.startswith("discriminator/")} == {
        "discriminator/config.json",
        "discriminator/diffusion_pytorch_model.safetensors",
    }
    assert "--start_from user/covers" in repo.files["README.md"].decode()
    hub.requests.clear()
    find_pipeline("user/covers")
    assert [asked for asked in hub.requests if "synthesis/" in asked]
    assert not [asked for asked in hub.requests if "discriminator/" in asked]  # the page's own load

    run, environment = tmp_path / "run", hub.environment(tmp_path / "home") | {"HF_HUB_OFFLINE": "0"}
    started = command(tiny_dataset, run, "--start_from", "user/covers", "--revision", "images-800", *SHORT)
    done = launch(started, **environment)
    assert done.returncode == 0 and "starts from user/covers, its generator and discriminator\n" in done.stderr
    assert "done after 160 covers" in done.stdout
    told = json.loads((run / "config.json").read_text())["started_from"]
    assert told == {"model": "user/covers", "revision": "images-800", "discriminator": True, "warm_up_images": 0}
    sheets = sorted(sheet.name for sheet in (run / "samples").iterdir())
    assert sheets == [f"images-{images:010d}.png" for images in (0, 80, 160)]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines if line["kind"] == "evaluation"] == [0, 80, 160]
    assert load_with_discriminators(run / "pipeline")[1].keys() == {"discriminator"}

    missing = launch(command(tiny_dataset, tmp_path / "no", "--start_from", "user/no", *SHORT), **environment)
    assert missing.returncode == 2 and len(missing.stderr.splitlines()) == 1 and not (tmp_path / "no").exists()
    upload_model(model, "user/alone", no_discriminator=True)
    files = hub.repos["model", "user/alone"].files
    assert not [name for name in files if name.startswith("discriminator/")]
    assert "--start_from" not in files["README.md"].decode()
    upload_model(model, "user/covers", no_discriminator=True)  # what was there leaves with it
    assert not [name for name in repo.files if name.startswith("discriminator/")]


def test_it_goes_on_exactly_and_needs_the_model_no_more(model: Path, tiny_dataset: Path, tmp_path: Path):
    theirs = shutil.copytree(model, tmp_path / "theirs" / "pipeline")
    more = ("--start_from", str(theirs), "--freeze_discriminator", "1", *SHORT)
    whole = launch(command(tiny_dataset, tmp_path / "whole", *more))
    assert whole.returncode == 0, whole.stderr
    run = tmp_path / "killed"
    kill_when(start(command(tiny_dataset, run, *more)), lambda: (run / "samples" / "images-0000000000.png").exists())
    kill_when(start(command(tiny_dataset, run, *more)), lambda: list(run.glob("checkpoints/*80.pt")))
    shutil.rmtree(theirs)
    assert launch(command(tiny_dataset, run, *more)).returncode == 0
    assert_same_run(tmp_path / "whole", run)
    assert json.loads((run / "config.json").read_text())["started_from"]["model"] == "theirs"

    for changes, line in (
        (("--start_from", str(model)), "began with theirs; name a new folder"),
        (("--start_from", str(theirs), "--total_images", "240"), "freeze_discriminator 1, not 0"),
    ):
        refused = launch(command(tiny_dataset, run, *changes))
        assert refused.returncode == 2 and line in refused.stderr.splitlines()[-1]


def test_two_processes_start_as_one_does(model: Path, tiny_dataset: Path, tmp_path: Path):
    more = ("--start_from", str(model), *SHORT)
    for run in (launch, launch_two):
        done = run(command(tiny_dataset, tmp_path / run.__name__, *more))
        assert done.returncode == 0, done.stderr
    one, two = (weights(tmp_path / name) for name in ("launch", "launch_two"))
    names = [name for name in one if name.startswith("generator.layers")]
    assert names and all((one[name] - two[name]).abs().max() < 1e-3 for name in names)


def test_without_a_discriminator_a_new_one_warms_up(model: Path, tiny_dataset: Path, tmp_path: Path):
    first = launch(command(tiny_dataset, tmp_path / "first", "--no_discriminator", *SHORT))
    assert first.returncode == 0, first.stderr
    for name in ("pipeline", "best"):
        assert load_with_discriminators(tmp_path / "first" / name)[1] == {}
    more = ("--start_from", str(tmp_path / "first" / "pipeline"), *SHORT)
    done = launch(command(tiny_dataset, tmp_path / "run", *more))
    assert done.returncode == 0, done.stderr
    assert "it brings no discriminator, so for 16 covers only a new one learns" in done.stderr  # a tenth of the run
    assert json.loads((tmp_path / "run/config.json").read_text())["started_from"]["warm_up_images"] == 16 < WARM_UP
    frozen = launch(command(tiny_dataset, tmp_path / "no", *more, "--freeze_discriminator", "1"))
    assert frozen.returncode == 2 and "brings no discriminator" in frozen.stderr.splitlines()[-1]


def test_shipping_takes_it_along_or_not(straight: Path, tmp_path: Path):
    for no_discriminator in (False, True):
        ship(straight, tmp_path / "shipped", 64, no_discriminator)
        there = load_with_discriminators(tmp_path / "shipped")[1].keys()
        assert there == (set() if no_discriminator else {"discriminator"})


def weights_file(folder: Path) -> Path:
    return next((folder / "discriminator").glob("*.safetensors"))


def changed_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = weights_file(folder)
        found = load(file.read_bytes())  # and not the mapped file, which is written anew
        change(found)
        file.write_bytes(save(found))

    return damage


def changed_config(**values: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = folder / "discriminator/config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return damage


def endless_header(folder: Path) -> None:
    weights_file(folder).write_bytes(struct.pack("<Q", 2**62) + b"{" * 100)


def a_pickle(folder: Path) -> None:
    file = weights_file(folder)
    torch.save(load(file.read_bytes()), file)


HOSTILE = {
    "pickle": a_pickle,
    "no-weights": lambda folder: weights_file(folder).unlink(),
    "no-config": lambda folder: (folder / "discriminator/config.json").unlink(),
    "endless": endless_header,
    "nan": changed_weights(lambda found: found["to_logit.weight"].fill_(float("nan"))),
    "other-shape": changed_weights(lambda found: found.update({"to_logit.weight": torch.zeros(1, 3)})),
    "one-more": changed_weights(lambda found: found.update({"evil": torch.zeros(1)})),
    "one-less": changed_weights(lambda found: found.pop("to_logit.weight")),
    "huge": changed_config(width=2**40),
    "unknown": changed_config(code="evil"),
    "other-class": changed_config(_class_name="Evil"),
    "list-for-a-class": changed_config(_class_name=[[]]),
    "other-network": changed_config(_class_name="DCGANDiscriminator"),
    "deep": lambda folder: (folder / "discriminator/config.json").write_text("[" * 100_000),
}


@pytest.mark.parametrize("damage", HOSTILE)
def test_a_hostile_discriminator_is_refused_in_one_line(damage: str, model: Path, tiny_dataset: Path, tmp_path: Path):
    theirs = shutil.copytree(model, tmp_path / "theirs")
    HOSTILE[damage](theirs)
    assert len(load_pipeline(theirs)(seeds=[1]).images) == 1  # which the page shows all the same
    done = launch(command(tiny_dataset, tmp_path / "run", "--start_from", str(theirs), *SHORT))
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith(f"train.train_gan: --start_from {theirs}: ")
    assert not (tmp_path / "run").exists()


def test_two_processes_refuse_in_a_line_each(model: Path, tiny_dataset: Path, tmp_path: Path):
    theirs = shutil.copytree(model, tmp_path / "theirs")
    weights_file(theirs).write_bytes(weights_file(theirs).read_bytes()[:-100])
    done = launch_two(command(tiny_dataset, tmp_path / "run", "--start_from", str(theirs), *SHORT))
    first, second = done.stderr.splitlines()
    assert done.returncode == 2 and first == second and first.startswith(f"train.train_gan: --start_from {theirs}: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--revision", "v1"], "--revision is for --start_from, which is missing"),
        (["--freeze_discriminator", "1"], "--freeze_discriminator is for --start_from, which is missing"),
        (["--freeze_discriminator", "-1", "--start_from", "a/b"], "must be at least 0"),
        (["--start_from", "a/b", "--grow_from", "c"], "a run begins with one thing"),
        (["--start_from", "a/b/c"], "no such folder, and not a Hub id"),
        (["--start_from", ""], "name a pipeline folder"),
        (["--start_from", "README.md"], "name a pipeline folder"),
        (["--start_from", "gan/networks"], "holds no model_index.json"),
        (["--start_from", "gan/pretrained"], "its generator is PainterGenerator"),
        (["--start_from", "gan/pretrained", "--revision", "v1"], "gan/pretrained is a folder"),
    ],
)
def test_a_mistake_is_one_line(flags: list[str], line: str, tiny_dataset: Path, tmp_path: Path):
    done = launch(command(tiny_dataset, tmp_path / "run", *flags))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and line in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_named_instead_of_its_generator_is_told_so(straight: Path, tiny_dataset: Path, tmp_path: Path):
    done = launch(command(tiny_dataset, tmp_path / "run", "--start_from", str(straight)))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert f"that of a run is {straight / 'best'}" in done.stderr and not (tmp_path / "run").exists()


def test_every_discriminator_can_be_shared():
    """But that on a frozen network, whose heads are."""
    known = {kind.__name__ for kinds in DISCRIMINATORS.values() for kind in kinds}
    assert {judge.__name__ for _, judge in NETWORKS.values()} - known == {"FeatureDiscriminator"}
