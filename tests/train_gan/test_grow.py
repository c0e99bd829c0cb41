"""Growing to twice the resolution: at first nothing changes, and the run goes on from there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml
from PIL import Image

from gan.networks.r3gan import Downsample
from tests.helpers import programs, trainers
from train.cli import UserError
from train.train_gan.grow import (
    COLOURS,
    grow,
    grow_r3gan_discriminator,
    grow_r3gan_generator,
    keep_sheets,
)
from train.train_gan.recipes import Recipe, load_recipe
from train.train_gan.run_config import RunConfig
from train.train_gan.run_folder import RunFolder
from train.train_gan.state import GAN, build


GENRES = ["rock", "jazz"]
CPU = torch.device("cpu")


def r3gan(resolution: int, width: int, max_width: int = 32, blocks: int = 1, **changes) -> Recipe:
    sizes = {"width": width, "max_width": max_width, "blocks": blocks, "group_size": 8}
    networks = {"generator": sizes | {"latent_dim": 10}, "discriminator": sizes}
    return load_recipe("tiny", {"resolution": resolution} | networks | changes)


def with_something_learned(gan: GAN) -> GAN:
    """As they are built, biases are zero and logits are nearly so."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for network in (gan.generator, gan.discriminator):
            for parameter in network.parameters():
                parameter += torch.randn(parameter.shape, generator=random) * 0.1
    return gan


def ended_run(folder: Path, recipe: Recipe, genres: list[str] | None = None) -> Path:
    """What a run leaves that `grow` reads."""
    written = RunFolder(folder)
    written.open(RunConfig(recipe, genres=genres or []))
    sheet = Image.new("RGB", (8 * recipe.resolution,) * 2, (200, 30, 60))
    sheet.save(written.samples / "images-0000000640.png")
    gan = with_something_learned(build(recipe, CPU, genres or []))
    written.checkpoints.save(build(recipe, CPU, genres or []), 320, 0.5)
    written.checkpoints.save(gan, 640, 1.0)
    return folder


R3GANS = pytest.mark.parametrize(
    ("before", "after"),
    [((16, 16), (32, 8)), ((16, 16, 16), (32, 16, 16)), ((16, 16, 32, 2), (32, 8, 32, 2))],
    ids=["narrower", "as-wide", "two-blocks"],
)


@R3GANS
@pytest.mark.parametrize("genres", [[], GENRES], ids=["plain", "genres"])
@torch.no_grad()
def test_an_r3gan_draws_the_same_covers_scaled_up(before: tuple, after: tuple, genres: list[str]) -> None:
    small = with_something_learned(build(r3gan(*before), CPU, genres)).generator
    large = build(r3gan(*after), CPU, genres).generator
    grow_r3gan_generator(small, large)
    latents, names = torch.randn(12, 10), (torch.arange(12) % 3,) if genres else ()
    drawn = small(latents, *names)
    assert drawn.std() > 0.1
    wanted = F.interpolate(drawn, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(large(latents, *names), wanted, atol=1e-4, rtol=1e-4)


@R3GANS
@pytest.mark.parametrize("genres", [[], GENRES], ids=["plain", "genres"])
@torch.no_grad()
def test_an_r3gan_judges_a_cover_as_at_half_its_size(before: tuple, after: tuple, genres: list[str]) -> None:
    small = with_something_learned(build(r3gan(*before), CPU, genres)).discriminator
    large = build(r3gan(*after), CPU, genres).discriminator
    grow_r3gan_discriminator(small, large)
    covers, names = F.interpolate(torch.randn(12, 3, 8, 8), 32), (torch.arange(12) % 3,) if genres else ()
    half = Downsample(COLOURS, COLOURS, 32)(covers)
    logits = small(half, *names)
    assert logits.std() > 0.1
    torch.testing.assert_close(large(covers, *names), logits, atol=1e-4, rtol=1e-4)


def test_the_new_weights_of_an_r3gan_learn() -> None:
    small, gan = with_something_learned(build(r3gan(16, 16), CPU)), build(r3gan(32, 8), CPU)
    grow_r3gan_generator(small.generator, gan.generator)
    grow_r3gan_discriminator(small.discriminator, gan.discriminator)
    gan.discriminator(gan.generator(torch.randn(8, 10))).sum().backward()
    blocks = gan.generator.layers[-1], gan.discriminator.layers[0]
    assert all(block.shrink.weight.grad.abs().sum((1, 2, 3)).all() for block in blocks)  # the others follow it
    for colours in (gan.generator.to_rgb.weight, gan.discriminator.from_rgb.weight):
        assert (colours.abs().flatten(1).sum() > 0) and colours.grad.abs().flatten().all()
        share = colours.square().mean((2, 3)).sum(0 if len(colours) == COLOURS else 1)
        assert share.max() < 0.9 * share.sum()  # in no channel alone


def test_a_run_begins_where_a_smaller_one_ended_and_goes_on_by_itself(tiny_dataset: Path, tmp_path: Path) -> None:
    small, out, config = ended_run(tmp_path / "small", r3gan(8, 16)), tmp_path / "large", tmp_path / "large.yaml"
    schedule = {"total_images": 128, "checkpointing_images": 64, "learning_rate": 0.0002}
    config.write_text(yaml.safe_dump(vars(r3gan(16, 8, **schedule))))

    def trained(*more: str) -> subprocess.CompletedProcess:
        program = [sys.executable, "-m", "train.train_gan", "--config", config, "--dataset_name", tiny_dataset]
        command = [*program, "--output_dir", out, "--mixed_precision", "no", *more]
        return programs.run(command)

    grown = ("--grow_from", str(small))
    ended = trained(*grown, "--total_images", "64")
    assert not ended.returncode, ended.stderr
    grown_from = json.loads((out / "config.json").read_text())["grown_from"]
    assert grown_from == {"resolution": 8, "images": 640, "seconds": 1.0}
    with Image.open(out / "film.webp") as film:
        assert film.n_frames == 2 and film.size == (64, 64)
        assert film.convert("RGB").getpixel((63, 63)) == pytest.approx((200, 30, 60), abs=12)  # before it was grown
    weights = torch.load(out / "checkpoints" / "images-0000000064.pt", weights_only=True)["discriminator"]
    of_small = torch.load(small / "checkpoints" / "images-0000000640.pt", weights_only=True)["discriminator"]
    changed = (weights["layers.2.expand.weight"] - of_small["layers.0.expand.weight"]).abs().mean()  # by eight steps
    assert 0 < changed < 0.01

    shutil.rmtree(small)  # which is not needed any more
    ended = trained(*grown)
    assert not ended.returncode and "done after 128 covers" in ended.stdout, ended.stderr


def test_a_run_without_sheets_grows_too(tmp_path: Path) -> None:
    small, large = ended_run(tmp_path / "small", r3gan(16, 16)), RunFolder(tmp_path / "large")
    large.open(RunConfig(r3gan(32, 8)))
    keep_sheets(small, large)
    assert (large.samples / "before" / "images-0000000640.png").is_file()
    shutil.rmtree(small / "samples")
    keep_sheets(small, large)


def test_what_cannot_be_grown_is_refused_in_a_line(tmp_path: Path) -> None:
    def complaint(folder: Path, gan: GAN) -> str:
        with pytest.raises(UserError) as refused:
            grow(gan, folder)
        return str(refused.value)

    large = build(r3gan(32, 8), CPU)
    assert "not the folder of a run" in complaint(tmp_path / "nowhere", large)
    (tmp_path / "config.json").write_text("{}")
    assert "not the folder of a run" in complaint(tmp_path, large)
    for name, other, genres in (
        ("width", r3gan(16, 8), []),
        ("resolution", r3gan(32, 8), []),
        ("latents", r3gan(16, 16, generator=dict(r3gan(16, 16).generator, latent_dim=11)), []),
        ("genres", r3gan(16, 16), GENRES),
        ("dcgan", trainers.small("dcgan-64"), []),
    ):
        assert "these networks differ" in complaint(ended_run(tmp_path / name, other, genres), large), name
    for name, other in (
        ("twice", r3gan(8, 16, 16)),  # and as wide, so all its layers would fit
        ("wider", r3gan(16, 32)),
        ("blocks", r3gan(16, 16, blocks=2)),
        ("groups", r3gan(16, 16, generator={"width": 16, "max_width": 32, "blocks": 1, "group_size": 4})),
    ):
        run = ended_run(tmp_path / f"r3gan-{name}", other)
        assert "these networks differ" in complaint(run, build(r3gan(32, 16, 16), CPU)), name
        assert "these networks differ" in complaint(run, build(r3gan(32, 8), CPU)), name
    wgan = load_recipe("wgan-gp-64", {"resolution": 16, "generator": {"width": 4}, "discriminator": {"width": 4}})
    assert "these networks differ" in complaint(ended_run(tmp_path / "wgan", wgan), large)
    good = ended_run(tmp_path / "good", r3gan(16, 16))
    assert "these networks differ" in complaint(good, build(load_recipe("tiny", {}), CPU))
    assert "these networks differ" in complaint(good, build(r3gan(32, 8), CPU, GENRES))
    file = max((good / "checkpoints").iterdir())
    file.write_bytes(file.read_bytes()[:-100])
    assert "damaged" in complaint(good, large)
