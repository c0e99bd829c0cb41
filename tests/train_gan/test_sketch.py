"""A painter that begins with what a DCGAN draws, read by its encoder and painted anew."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from gan import save_pipeline
from gan.networks.dcgan import DCGANGenerator
from gan.networks.painter import Encoder, PainterGenerator, SketchedComposer
from gan.pipeline import AlbumCoverPipeline
from tests.helpers.painters import RECIPE, new_trainer, recipe_file, run, same, train
from train.train_gan.averages import with_standing_statistics
from train.train_gan.checkpoints import Checkpoints
from train.train_gan.phases import GENTLY
from train.train_gan.recipes import Recipe


SKETCHED: Recipe = replace(
    RECIPE,
    generator=RECIPE.generator | {"sketch_width": 2, "latent_dim": 16},
    phases={"paint": 24, "distil": 16},
    total_images=104,
)


def learned(**changes: object) -> DCGANGenerator:
    """A small generator whose statistics are those of its weights."""
    torch.manual_seed(3)
    made = DCGANGenerator(**({"resolution": 128, "width": 2, "latent_dim": 16} | changes)).train()  # type: ignore[arg-type]
    with torch.no_grad():
        for layer in made.layers:
            if isinstance(layer, nn.ConvTranspose2d):
                layer.weight.mul_(10)
        for _ in range(10):
            made(torch.randn(16, made.config.latent_dim))
    return made.eval()


@torch.no_grad()
@pytest.mark.parametrize("resolution", [32, 128])
def test_it_sketches_exactly_what_the_dcgan_draws_and_reads_it_as_the_encoder(resolution: int):
    theirs, latents = learned(resolution=resolution), torch.randn(5, 16)
    composer, encoder = SketchedComposer(resolution, 2, 16, 4, 2).eval(), Encoder(latent_channels=4, depth=2).eval()
    composer.sketch_as(theirs.layers)
    covers = theirs(latents)
    sketch = composer.draw(latents, torch.zeros_like(latents))
    assert covers.std() > 0.1 and torch.allclose(sketch, covers, atol=1e-5)
    mean, deviation = torch.randn(4), torch.rand(4) + 0.5
    composer.read_as(encoder, mean, deviation)
    wanted = (encoder(covers) - mean[:, None, None]) / deviation[:, None, None]
    assert torch.allclose(composer(latents, torch.zeros_like(latents)), wanted, atol=1e-4)
    assert not any(isinstance(layer, nn.ConvTranspose2d) for layer in composer.modules())


@torch.no_grad()
def test_while_it_learns_it_draws_as_the_dcgan_did_whoever_is_beside_a_cover():
    composer = SketchedComposer(128, 2, 16, 4, 0)
    composer.sketch_as(learned(resolution=128).layers)
    latents = torch.randn(4, 16)
    alone = composer.eval()(latents[:1], torch.zeros(1, 16))
    assert torch.allclose(composer.train()(latents, torch.zeros_like(latents))[:1], alone, atol=1e-5)
    assert with_standing_statistics(composer) is composer  # none are measured anew: it has learned with these


@torch.no_grad()
@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_a_painter_that_sketches_first(resolution: int):
    sizes = {"width": 4, "latent_channels": 4, "latent_dim": 6, "sketch_width": 2, "clusters": 3}
    generator = PainterGenerator(resolution, **sizes).eval()
    latents = torch.randn(3, 6)
    covers = generator(latents)
    assert covers.shape == (3, 3, resolution, resolution)
    assert torch.allclose(covers[1:2], generator(latents[1:2]), atol=1e-5)


def with_sketch() -> tuple[object, DCGANGenerator]:
    trainer, theirs = new_trainer(SKETCHED), learned()
    trainer.gan.generator.composer.sketch_as(theirs.layers)
    trainer.warm_up = 16
    return trainer, theirs


def test_it_composes_what_the_dcgan_draws_while_only_the_discriminators_learn_then_all_do(tmp_path: Path):
    trainer, theirs = with_sketch()
    assert all(getattr(trainer.phases["compose"], name) == value for name, value in GENTLY.items())
    train(trainer, 0, 40)
    gan, moves = trainer.gan, []
    composer, encoder = gan.generator.composer, gan.encoder
    for images in range(40, 72, 8):
        before = {name: copy.deepcopy(getattr(gan, name).state_dict()) for name in ("discriminator", "heads")}
        sketched = [*map(torch.clone, composer.parameters())]
        train(trainer, images, images + 8)
        if images == 40:
            latents = torch.randn(4, 16)
            for painter in (gan.generator, *gan.ema):
                with torch.no_grad():
                    wanted = painter.decoder(encoder(theirs(latents)))
                    assert torch.allclose(copy.deepcopy(painter).eval()(latents), wanted, atol=0.1)
        else:
            moves.append(not all(map(torch.equal, sketched, composer.parameters())))
        for name, old in before.items():
            assert any(not torch.equal(old[key], value) for key, value in getattr(gan, name).state_dict().items())
    assert moves == [False, True, True]


def test_stopped_when_it_has_not_yet_read_its_sketch_it_goes_on_exactly(tmp_path: Path):
    whole, _ = with_sketch()
    train(whole, 0, 72)
    stopped, _ = with_sketch()
    train(stopped, 0, 40)
    Checkpoints(tmp_path).save(stopped.gan, 40, 1.0)
    resumed = new_trainer(SKETCHED)
    resumed.warm_up = 16
    Checkpoints(tmp_path).load(resumed.gan, "latest", torch.device("cpu"))
    train(resumed, 40, 72)
    assert same(whole.gan, resumed.gan, "generator", "discriminator", "heads", "ema")


def with_light_reader(read: int = 320) -> tuple[object, DCGANGenerator]:
    phases = {"paint": 24, "distil": 16, "read": read}
    trainer, theirs = new_trainer(replace(SKETCHED, phases=phases, total_images=104 + read)), learned()
    trainer.gan.generator.composer.sketch_as(theirs.layers)
    return trainer, theirs


def test_a_light_reader_learns_to_see_what_the_encoder_sees_and_nothing_else_changes(tmp_path: Path):
    trainer, theirs = with_light_reader()
    gan, latents = trainer.gan, torch.randn(64, 16)
    composer = gan.generator.composer
    assert sum(p.numel() for p in composer.reader.parameters()) < sum(p.numel() for p in gan.encoder.parameters()) / 2

    @torch.no_grad()
    def missed() -> float:
        wanted = gan.generator.normalise(gan.encoder(theirs(latents)))
        return ((composer(latents, torch.zeros_like(latents)) - wanted).square().mean() / wanted.var()).item()

    train(trainer, 0, 48)
    before, others = missed(), copy.deepcopy([gan.encoder, composer.sketch, gan.generator.decoder])
    train(trainer, 48, 360)
    assert missed() < before / 3
    for now, then in zip([gan.encoder, composer.sketch, gan.generator.decoder], others, strict=True):
        assert all(torch.equal(now.state_dict()[name], value) for name, value in then.state_dict().items())
    for average in gan.ema:
        assert all(torch.equal(average.state_dict()[n], value) for n, value in gan.generator.state_dict().items())


@pytest.mark.parametrize("stop", [56, 72])
def test_stopped_while_it_learns_to_read_and_after_it_goes_on_exactly(stop: int, tmp_path: Path):
    whole, _ = with_light_reader(32)
    assert train(whole, 0, 96)[5:] == ["read"] * 4 + ["compose"] * 3
    stopped, _ = with_light_reader(32)
    train(stopped, 0, stop)
    Checkpoints(tmp_path).save(stopped.gan, stop, 1.0)
    resumed, _ = with_light_reader(32)
    Checkpoints(tmp_path).load(resumed.gan, "latest", torch.device("cpu"))
    train(resumed, stop, 96)
    assert same(whole.gan, resumed.gan, "generator", "encoder", "ema")


def published(folder: Path, **changes: object) -> Path:
    save_pipeline(AlbumCoverPipeline(learned(**changes)), folder, for_strangers=False)
    return folder


def sketched_file(folder: Path, **changes: object) -> str:
    return recipe_file(
        folder, **({"generator": SKETCHED.generator, "phases": SKETCHED.phases, "total_images": 104} | changes)
    )


def test_the_program_goes_on_without_the_model_and_takes_another_runs_autoencoder(drawn: Path, tmp_path: Path):
    mine, model = sketched_file(tmp_path), published(tmp_path / "theirs", genres=["jazz"])
    whole = run(drawn, tmp_path / "whole", "--start_from", str(model), config=mine)
    assert whole.returncode == 0, whole.stderr
    line = "composes what theirs draws; its genres are no more asked for; new discriminators learn to judge it"
    assert line in whole.stderr
    told = json.loads((tmp_path / "whole/config.json").read_text())["started_from"]
    assert told == {"model": "theirs", "revision": None, "discriminator": False, "sketch": True, "warm_up_images": 64}
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    (tmp_path / "parts/checkpoints/images-0000000104.pt").unlink()
    shutil.rmtree(model)
    part = run(drawn, tmp_path / "parts", "--start_from", str(model), config=mine)
    assert part.returncode == 0 and "done after 104 covers" in part.stdout, part.stderr
    a, b = (
        torch.load(tmp_path / name / "checkpoints/images-0000000104.pt", weights_only=True)
        for name in ("whole", "parts")
    )
    for network in ("generator", "discriminator", "heads", "ema"):
        assert all(torch.equal(a[network][name], b[network][name]) for name in a[network]), network
    # again with the autoencoder of that run, and from its own generator, which has one already
    mine, model = sketched_file(tmp_path, phases={"paint": 0, "distil": 16}), published(tmp_path / "theirs")
    painted = ("--autoencoder", str(tmp_path / "whole"), "--total_images", "24")
    given = run(drawn, tmp_path / "given", "--start_from", str(model), *painted, config=mine)
    assert given.returncode == 0, given.stderr
    twice = run(drawn, tmp_path / "twice", "--start_from", str(tmp_path / "whole/pipeline"), *painted, config=mine)
    assert twice.returncode == 2 and "a run begins with one thing" in twice.stderr.splitlines()[-1]
    further = ("--start_from", str(tmp_path / "whole/pipeline"), "--total_images", "8")
    on = run(drawn, tmp_path / "on", *further, config=mine)
    assert on.returncode == 0 and "its generator and discriminator" in on.stderr, on.stderr
    light = sketched_file(tmp_path, phases={"paint": 0, "distil": 16, "read": 8})
    other = run(drawn, tmp_path / "other", *further, config=light)
    line = "its generator has reader_depth 2, not 0; in a copy of the recipe, leave phases.read out"
    assert other.returncode == 2 and line in other.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        ({"latent_dim": 9}, "it has latent_dim 9, the recipe's latent_dim is 16"),
        ({"resolution": 64}, "it has resolution 64, the recipe's resolution is 128"),
        ({"width": 3}, "it has width 3, the recipe's sketch_width is 2"),
    ],
)
def test_what_cannot_be_sketched_is_refused_in_a_line(sizes: dict[str, int], line: str, drawn: Path, tmp_path: Path):
    model = published(tmp_path / "theirs", **sizes)
    ended = run(drawn, tmp_path / "run", "--start_from", str(model), config=sketched_file(tmp_path))
    assert ended.returncode == 2 and line in ended.stderr.splitlines()[-1], ended.stderr
    assert not (tmp_path / "run").exists()


def test_without_an_autoencoder_it_cannot_begin(drawn: Path, tmp_path: Path):
    model = published(tmp_path / "theirs")
    mine = sketched_file(tmp_path, phases={"paint": 0, "distil": 16})
    ended = run(drawn, tmp_path / "run", "--start_from", str(model), config=mine)
    assert ended.returncode == 2 and "it cannot paint; phases.paint is 0, so name --autoencoder" in ended.stderr


def test_without_a_dcgan_there_is_nothing_to_sketch(drawn: Path, tmp_path: Path):
    ended = run(drawn, tmp_path / "run", config=sketched_file(tmp_path))
    assert ended.returncode == 2 and "there is nothing to sketch; name --start_from" in ended.stderr
    assert not (tmp_path / "run").exists()
