"""A run through all phases: what learns when, and that it goes on exactly where it stopped."""

import copy
from dataclasses import fields, replace
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import PartialState

import gan
from gan.pipeline import AlbumCoverPipeline
from tests.helpers.painters import (
    ENDS,
    NETWORKS,
    RECIPE,
    covers,
    frozen,
    new_trainer,
    same,
    train,
)
from tests.helpers.trainers import in_two_processes
from train.cli import UserError
from train.train_gan.checkpoints import Checkpoints
from train.train_gan.encoded import digest_of, encode, read, write
from train.train_gan.painter import Painter, build_painter
from train.train_gan.phases import PhaseBatches
from train.train_gan.recipes import PHASES
from train.train_gan.start import Start, begin, discriminators_of, find_start, freeze


@pytest.fixture(scope="module")
def whole() -> Painter:
    trainer = new_trainer()
    assert train(trainer, 0, 112) == [
        *["paint"] * 3,
        *["distil"] * 2,
        "denoise",
        *["compose"] * 2,
        "tune",
        *["refine"] * 2,
        *["steer"] * 2,
        "finish",
    ]
    return trainer.gan


def test_the_phases_follow_each_other():
    assert [RECIPE.phase(images).name for images in (0, 23, 24, 40, 48, 64, 72, 88, 104, 112)] == [
        "paint",
        *(name for name in PHASES if name in RECIPE.phases or name == "compose"),
        "finish",
    ]
    assert RECIPE.phase(32) == ("distil", 8, 0.5)
    assert [RECIPE.draws(images) for images in (0, 48, 49)] == [False, False, True]


@pytest.mark.parametrize("stop", [16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104])
def test_a_run_goes_on_exactly_in_every_phase(whole: Painter, stop: int, tmp_path: Path):
    """From a checkpoint, with the latents in the run's folder or, from 32 on, computed again."""
    stopped, cache = new_trainer(), tmp_path / "encoded.safetensors"
    train(stopped, 0, stop, cache)
    Checkpoints(tmp_path).save(stopped.gan, stop, 1.0)
    resumed = new_trainer()
    assert Checkpoints(tmp_path).load(resumed.gan, "latest", torch.device("cpu")) == (stop, 1.0)
    train(resumed, stop, 112, cache if stop == 32 else None)
    assert same(whole, resumed.gan, *NETWORKS)


def test_a_generator_is_tuned_in_a_run_of_its_own(whole: Painter, tmp_path: Path):
    """From the last checkpoint of a run without that phase."""
    first = new_trainer(replace(RECIPE, phases=RECIPE.phases | {"tune": 0}, total_images=104))
    train(first, 0, 64)
    Checkpoints(tmp_path / "first").run.mkdir()
    Checkpoints(tmp_path / "first").save(first.gan, 64, 1.0)
    (file,) = Checkpoints(tmp_path / "first").files()
    tuned = new_trainer()
    assert Checkpoints(tmp_path / "tuned").load(tuned.gan, str(file), torch.device("cpu")) == (64, 1.0)
    assert train(tuned, 64, 112) == ["tune", *["refine"] * 2, *["steer"] * 2, "finish"]
    assert same(whole, tuned.gan, *NETWORKS)


def test_each_network_learns_in_its_phase_alone():
    trainer, learnt, begin = new_trainer(), {}, 0
    for phase, end in ENDS.items():
        before = copy.deepcopy(trainer.gan)
        train(trainer, begin, end)
        begin = end
        changed = {name for name in NETWORKS if name not in ("generator", "ema")}
        changed = {
            name
            for name in changed
            if any(
                not torch.equal(a, b)
                for a, b in zip(
                    getattr(before, name).parameters(), getattr(trainer.gan, name).parameters(), strict=True
                )
            )
        }
        for part in ("composer", "decoder"):
            if not same(before.generator, trainer.gan.generator, part):
                changed.add(part)
        learnt[phase] = changed
    assert learnt == {
        "paint": {"encoder", "decoder", "patch_critic"},
        "distil": {"student"},
        "denoise": {"denoiser"},
        "compose": {"composer", "discriminator", "heads"},
        "tune": {"composer", "discriminator", "heads", "painted_heads"},
        "refine": {"composer", "denoiser_heads"},
        "steer": {"denoiser_heads"},  # and the vectors of what is asked for, see test_refine.py
        "finish": {"decoder", "patch_critic"},
    }


def published(painter: Painter, folder: Path, *parts: str) -> SimpleNamespace:
    """Save what somebody shares of a painter; return the arguments of a run that starts from it."""
    judged = discriminators_of(painter, RECIPE)
    pipeline = AlbumCoverPipeline(painter.ema[0], painter.encoder)
    gan.save_pipeline(pipeline, folder, False, discriminators={part: judged[part] for part in parts or judged})
    flags = {"start_from": str(folder), "revision": None, "autoencoder": None, "total_images": None}
    return SimpleNamespace(**flags, output_dir=folder.parent / "run")


def test_a_painter_that_starts_from_another_only_composes(whole: Painter, tmp_path: Path):
    """It has generator, encoder and what judges them; its latents keep the scale in which they were learned."""
    start, recipe = find_start(published(whole, tmp_path / "theirs"), RECIPE, {})
    assert recipe.phases == RECIPE.phases | dict.fromkeys(("paint", "distil", "denoise"), 0)
    assert recipe.total_images == 64 and start.warm_up == 0
    trainer = new_trainer(recipe)
    trainer.started = True
    begin(trainer.gan, recipe, start)
    assert same(trainer.gan, whole, "encoder") and same(trainer.gan.generator, whole.ema[0], "composer", "decoder")
    for name in ("discriminator", "generator"):
        embeddings = getattr(trainer.gan, name)
        assert not embeddings.cluster_embedding.weight.any() and embeddings.palette_embedding.weight.any()
    for part in ("discriminator", "student", "heads", "patch_critic", "denoiser", "denoiser_heads"):
        theirs = getattr(whole, part).state_dict()
        for name, weight in getattr(trainer.gan, part).named_parameters():
            assert "cluster" in name or (weight - theirs[name]).abs().max() < 1e-3, (part, name)
    freeze(trainer.gan.discriminator, 1)
    before = copy.deepcopy(trainer.gan)
    assert train(trainer, 0, 16) == ["compose"] * 2
    assert same(before, trainer.gan, "encoder", "patch_critic") and same(
        before.generator, trainer.gan.generator, "decoder"
    )
    assert torch.equal(trainer.gan.generator.latent_mean, whole.generator.latent_mean)
    parts = zip(before.discriminator.stages, trainer.gan.discriminator.stages, strict=True)
    held = [all(map(torch.equal, old.parameters(), new.parameters())) for old, new in parts]
    assert held == [True, False, False] and not same(before.generator, trainer.gan.generator, "composer")


def test_a_painter_without_what_judged_it_distils_and_warms_up(whole: Painter, tmp_path: Path):
    args = published(whole, tmp_path / "theirs", "patch_critic")
    start, recipe = find_start(args, replace(RECIPE, total_images=312), {})
    assert recipe.phases == RECIPE.phases | {"paint": 0} and recipe.total_images == 288
    assert start.warm_up == 21 and not start.told["discriminator"]
    trainer = new_trainer(recipe)
    trainer.started, trainer.warm_up = True, 16
    begin(trainer.gan, recipe, start)
    before = copy.deepcopy(trainer.gan)
    assert train(trainer, 0, 40) == ["distil"] * 2 + ["denoise"] + ["compose"] * 2
    composers = [painter.generator.composer for painter in (before, trainer.gan)]
    assert all(map(torch.equal, *(list(composer.parameters()) for composer in composers)))
    assert not same(before, trainer.gan, "discriminator") and not same(before, trainer.gan, "heads")
    train(trainer, 40, 48)
    assert not all(map(torch.equal, *(list(composer.parameters()) for composer in composers)))

    alone = Start("a", start.told, AlbumCoverPipeline(whole.ema[0]))
    with pytest.raises(UserError, match="without its encoder"):
        begin(trainer.gan, recipe, alone)


def test_averages_paint_as_was_learned_and_follow_the_composer():
    trainer = new_trainer()
    train(trainer, 0, 64)
    gan = trainer.gan
    for average in gan.ema:
        assert torch.equal(average.latent_mean, gan.generator.latent_mean)
        assert same(average, gan.generator, "decoder")
        assert not same(average, gan.generator, "composer")


def test_kinds_and_colours_are_learned():
    trainer = new_trainer()
    train(trainer, 0, 64)
    for network in (trainer.gan.generator, trainer.gan.discriminator):
        assert network.cluster_embedding.weight[:-1].abs().max() > 0
        assert network.cluster_embedding.weight[-1].abs().max() == 0
        assert network.palette_embedding.weight.abs().max() > 0


def test_genres_are_learned_where_asked_for():
    recipe = replace(RECIPE, class_conditional=True)
    trainer, chosen = new_trainer(recipe), covers()
    trainer.gan = build_painter(recipe, torch.device("cpu"), ["rock", "jazz"])
    trainer.__post_init__()
    chosen.labels = torch.arange(6) % 2
    batches = PhaseBatches(trainer, chosen)
    for images in range(0, 112, 8):
        trainer.step(batches.at(images), images)
    for images in (56, 80):
        assert batches.at(images).arguments["conditions"]["labels"].max() <= 2
    for network in (trainer.gan.generator, trainer.gan.discriminator, trainer.gan.denoiser_heads):
        assert network.genre_embedding.weight[:-1].abs().max() > 0 and not network.genre_embedding.weight[-1].any()


def test_without_features_nothing_is_distilled():
    recipe = replace(
        RECIPE,
        features="none",
        phases={"paint": 24, "distil": 0},
        generator={name: size for name, size in RECIPE.generator.items() if name != "clusters"},
        total_images=40,
    )
    trainer = new_trainer(recipe)
    before = copy.deepcopy(trainer.gan)
    assert train(trainer, 0, 40) == ["paint"] * 3 + ["compose"] * 2
    assert same(before, trainer.gan, "student") and same(before.heads, trainer.gan.heads, "heads")
    assert not same(before.generator, trainer.gan.generator, "composer")


def test_two_processes_share_a_batch():
    trainer = new_trainer()
    encoded = encode(trainer.gan, covers(), frozen(), trainer.autocast)
    for images in (0, 24, 40, 56, 64, 72, 88, 104):
        found = []
        for share in (slice(0, 8), slice(0, 4), slice(4, 8)):
            batches = PhaseBatches(trainer, covers())
            batches.share, batches.encoded = share, encoded
            found.append(batches.at(images).arguments)
        whole, *halves = found
        for name, value in whole.items():
            if isinstance(value, torch.Tensor):
                covers_at = 1 if value.ndim == 5 else 0  # two sets of noise
                assert torch.equal(value, torch.cat([half[name] for half in halves], covers_at)), name
            elif name == "conditions":
                assert value.keys() == {"clusters", "palette"}
                for kind, tensor in value.items():
                    assert torch.equal(tensor, torch.cat([half[name][kind] for half in halves]))
            elif name == "draw":
                for key, drawn in vars(value).items():
                    assert torch.equal(drawn, torch.cat([vars(half[name])[key] for half in halves])), key
            else:
                assert halves[0][name] == halves[1][name] == value


def trained_by_two(folder: str) -> None:
    """Train in each of two processes; the first writes what it ends with."""
    trainer = new_trainer()
    from train.train_gan.sync_batch_norm import synchronise

    for network in trainer.gan.learning:
        synchronise(network)
    train(trainer, 0, 112, Path(folder) / "encoded.safetensors")
    if PartialState().is_main_process:
        Checkpoints(Path(folder)).save(trainer.gan, 112, 1.0)


def test_two_processes_learn_what_one_does(whole: Painter, tmp_path: Path):
    in_two_processes(trained_by_two, tmp_path)
    shared = new_trainer()
    Checkpoints(tmp_path).load(shared.gan, "latest", torch.device("cpu"))
    begun = new_trainer().gan
    for name in (
        "encoder",
        "student",
        "discriminator",
        "heads",
        "denoiser.to_direction",
        "denoiser_heads",
        "generator",
    ):
        one, two, start = (
            torch.cat([weight.detach().flatten() for weight in attrgetter(name)(painter).parameters()])
            for painter in (whole, shared.gan, begun)
        )
        moved = (one - start).abs().median()
        # Adam turns the rounding of a gradient near zero into whole steps; most weights agree to a share of their way
        assert moved > 0 and (one - two).abs().median() < 0.01 * moved, name


def test_encoded_covers_have_unit_variance_and_are_kept(tmp_path: Path):
    trainer = new_trainer()
    encoded = encode(trainer.gan, covers(), frozen(), trainer.autocast)
    deviation, mean = torch.std_mean(encoded.latents.float(), (0, 2, 3))
    assert encoded.latents.shape == (6, 4, 16, 16)
    assert torch.allclose(deviation, torch.ones(4), atol=0.01) and mean.abs().max() < 0.01
    assert encoded.clusters.shape == (6,) and encoded.palettes.shape == (6, 12)
    assert encoded.map_means.shape == (40 + 112 + 320,)
    encoded.tell(trainer.gan)
    assert torch.equal(trainer.gan.student.mean1, encoded.map_means[40:152])

    file, digest = tmp_path / "encoded.safetensors", digest_of(trainer.gan, covers())
    assert read(file, digest) is None
    write(encoded, file, digest)
    for part in fields(encoded):
        assert torch.equal(getattr(read(file, digest), part.name), getattr(encoded, part.name))
    assert read(file, "another") is None
    assert digest_of(new_trainer().gan, covers()) == digest  # of networks built anew, too: in another process
    damaged = bytearray(file.read_bytes())
    damaged[-5] ^= 1
    file.write_bytes(damaged)
    assert read(file, digest) is None
    file.write_bytes(damaged[:100])
    assert read(file, digest) is None
