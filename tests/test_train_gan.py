"""The trainer inside one process: steps, schedules, mistakes."""

import math
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset

from gan import AlbumCoverPipeline, load_pipeline
from gan.covers import Covers, to_uint8
from gan.pipeline import latents_from_seeds
from train import train_gan
from train.cli import UserError, run
from train.device import no_memory_in_one_line
from train.recipes import CONFIGS, Recipe, load_recipe
from train.run_folder import RunFolder
from train.steps import Trainer, ema_exponent
from train.train_gan import build, train
from train.watch import Watch


RECIPES = sorted(p.stem for p in CONFIGS.glob("*.yaml"))


def trainer(recipe: Recipe, bf16: bool = False) -> Trainer:
    accelerator = Accelerator(cpu=True)
    genres = ["rock", "jazz"] if recipe.class_conditional else []
    return Trainer(build(recipe, accelerator.device, genres), recipe, accelerator, bf16)


def plain_covers(colour: tuple[int, int, int], resolution: int, count: int = 32, genres: bool = False) -> Covers:
    labels = torch.arange(count) % 3 if genres else None
    return Covers(Dataset.from_dict({"pixels": [bytes(colour) * resolution**2] * count}), resolution, labels=labels)


def small(name: str, **changes) -> Recipe:
    """A recipe of its name with tiny networks at 16 px."""
    values = vars(load_recipe(name, {})) | {"resolution": 16, "train_batch_size": 8}
    for role in ("generator", "discriminator"):
        width = {"width": 8, "max_width": 16, "group_size": 8} if values["network"] == "r3gan" else {"width": 8}
        values[role] = values[role] | width
    return Recipe(**(values | changes))


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    ("bf16", "genres"), [(False, False), (True, False), (True, True)], ids=["fp32", "bf16", "bf16-genres"]
)
def test_every_recipe_takes_steps_with_finite_losses(name: str, bf16: bool, genres: bool) -> None:
    recipe = small(name, total_images=8 * 10, class_conditional=genres)
    seen = []
    start = trainer(recipe, bf16)
    before = [p.clone() for p in start.gan.generator.parameters()]
    covers = plain_covers((200, 30, 60), 16, genres=genres)
    images = train(start, covers, 0, lambda i, m: seen.append((i, m)) or False)
    assert images == 80 and [i for i, _ in seen] == list(range(8, 88, 8))
    assert all(torch.isfinite(v).all() for _, measured in seen for v in measured.values())
    assert sum("loss_g" in measured for _, measured in seen) == 10 // recipe.discriminator_steps
    assert any(not torch.equal(a, b) for a, b in zip(before, start.gan.generator.parameters(), strict=True))


def test_it_learns_a_colour() -> None:
    """The smallest proof that the whole step points the right way: covers of one colour are learnt."""
    recipe = small("r3gan-64", total_images=8 * 150, learning_rate=2e-3, augmentation=0.0)
    taught = trainer(recipe)
    train(taught, plain_covers((200, 30, 60), 16), 0, lambda *_: False)
    with torch.no_grad():
        drawn = to_uint8(taught.average(0)(latents_from_seeds(list(range(16)), 64))).float()
    gap = (drawn.mean((0, 1, 2)) - torch.tensor([200.0, 30, 60])).abs().max().item()
    assert gap < 25, drawn.mean((0, 1, 2))


@pytest.mark.parametrize("genres", [False, True], ids=["plain", "genres"])
def test_stopping_and_going_on_changes_nothing(genres: bool) -> None:
    recipe = small("r3gan-64", total_images=8 * 12, class_conditional=genres)
    covers = plain_covers((9, 99, 200), 16, genres=genres)
    straight, halves = trainer(recipe), trainer(recipe)
    train(straight, covers, 0, lambda *_: False)
    stopped = train(halves, covers, 0, lambda images, _: images == 40)
    assert stopped == 40
    train(halves, covers, stopped, lambda *_: False)
    for role in ("generator", "discriminator", "ema"):
        pairs = zip(getattr(straight.gan, role).parameters(), getattr(halves.gan, role).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_augmentation_follows_the_held_out_covers_and_is_part_of_a_checkpoint(tmp_path: Path) -> None:
    """Held-out covers as red as the training covers ask for less, grey ones, like the generated ones, for more."""
    folder = RunFolder(tmp_path / "run")
    recipe = small("r3gan-64", total_images=8 * 32, augmentation="auto")
    folder.open(recipe, {})
    step = 16 * 8 / 500_000
    for held_out, sign in ((plain_covers((200, 30, 60), 16), -1), (plain_covers((128, 128, 128), 16), 1)):
        taught = trainer(recipe)
        control = taught.gan.augmentation
        control.probability = 0.3
        taught.gan.generator.to_rgb.weight.data.zero_()  # draws grey
        train(taught, plain_covers((200, 30, 60), 16), 0, lambda images, _: images == 8 * 31, held_out)
        assert control.probability == pytest.approx(0.3 + sign * step)
        assert (control.r_v > 0.6) == (sign > 0)
    folder.save_checkpoint(taught.gan, 8 * 31, 0.0)
    other = trainer(recipe)
    folder.load_checkpoint(other.gan, "latest", torch.device("cpu"))
    assert vars(other.gan.augmentation) == vars(control)


def test_ema_is_the_power_function_average() -> None:
    """Against the average computed from all its terms: weight (i / n) ** gamma for the i-th batch."""
    recipe = small("tiny")
    taught = trainer(recipe)
    total = 200
    weight = next(taught.gan.generator.parameters())
    for step in range(total):
        weight.data.fill_(math.sin(step / 30))
        taught.update_ema(step * recipe.train_batch_size)
    assert recipe.ema_sigma == [0.05, 0.10]
    for sigma, ema in zip(recipe.ema_sigma, taught.gan.ema, strict=True):
        gamma = ema_exponent(sigma)
        shares = [(1 + i) ** (gamma + 1) - i ** (gamma + 1) for i in range(total)]
        expected = sum(s * math.sin(i / 30) for i, s in enumerate(shares)) / sum(shares)
        assert next(ema.parameters()).flatten()[0].item() == pytest.approx(expected, abs=2e-2)


def test_averages_normalise_by_statistics_of_their_own() -> None:
    taught = trainer(small("dcgan-64", total_images=80))
    train(taught, plain_covers((200, 30, 60), 16), 0, lambda *_: False)
    before = {key: value.clone() for key, value in taught.gan.ema.state_dict().items()}
    averages = [taught.average(number) for number in range(2)]
    assert all(torch.equal(value, before[key]) for key, value in taught.gan.ema.state_dict().items())
    latents = torch.randn(512, taught.gan.generator.config.latent_dim)
    for average, ema in zip(averages, taught.gan.ema, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(average.parameters(), ema.parameters(), strict=True))
        assert not average.training and average(latents[:1]).shape == (1, 3, 16, 16)
        # what a large batch of its own covers has is what it normalises by
        seen = average.layers[0](latents[:, :, None, None])
        torch.testing.assert_close(average.layers[1].running_mean, seen.mean((0, 2, 3)), atol=0.01, rtol=0.1)
        torch.testing.assert_close(average.layers[1].running_var, seen.var((0, 2, 3)), atol=0.01, rtol=0.2)
        with torch.no_grad():
            drawn = average(latents)
            average.train()
            torch.testing.assert_close(average(latents), drawn, atol=0.1, rtol=0)
    one, other = (taught.average(0).state_dict() for _ in range(2))  # whenever it is asked for
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    plain = trainer(small("tiny"))
    assert plain.average(1) is plain.gan.ema[1]  # nothing to normalise by


@pytest.mark.parametrize(("sigma", "gamma"), [(0.05, 16.97), (0.10, 6.94)])
def test_ema_exponent_is_the_papers(sigma: float, gamma: float) -> None:
    assert ema_exponent(sigma) == pytest.approx(gamma, abs=0.01)


def test_weights_that_are_no_numbers_never_replace_good_ones(tmp_path: Path) -> None:
    recipe = small("tiny", total_images=800, checkpointing_images=16)
    taught, folder = trainer(recipe), RunFolder(tmp_path / "run")
    folder.open(recipe, {})
    watch = Watch(taught, folder, 0, 0.0)

    def spoil(images: int, measured: dict[str, torch.Tensor]) -> bool:
        if images == 24:
            taught.gan.generator.to_rgb.weight.data.fill_(math.nan)
        return watch(images, measured)

    with pytest.raises(UserError, match="no longer finite; start again in a new --output_dir"):
        train(taught, plain_covers((9, 99, 200), 16), 0, spoil)
    load_pipeline(tmp_path / "run" / "pipeline")  # refuses what is not finite
    assert folder.load_checkpoint(trainer(recipe).gan, "latest", torch.device("cpu"))[0] == 16


def test_each_checkpoint_draws_with_the_average_of_its_moment_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small("dcgan-64")
    taught, folder, made = trainer(recipe), RunFolder(tmp_path / "run"), []
    folder.open(recipe, {})
    average = Trainer.average
    monkeypatch.setattr(Trainer, "average", lambda self, number: made.append(number) or average(self, number))
    watch = Watch(taught, folder, 0, 0.0)
    pixels = []
    for images in (8, 16):
        watch._save(images)
        watch._average(images)
        pixels.append(load_pipeline(tmp_path / "run" / "pipeline")(seeds=[1], output_type="np").images)
        taught.gan.ema[0].layers[-2].weight.data.mul_(-1)
    assert made == [0, 0] and not np.allclose(pixels[0], pixels[1])


def test_two_processes_cannot_train_in_one_folder(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    first.open(small("tiny"), {})
    with pytest.raises(UserError, match="another process is training here"):
        second.open(small("tiny"), {})


def test_a_disk_that_is_full_from_the_beginning(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(UserError, match=r"cannot be written .File too large.; make room") as stop:
            RunFolder(tmp_path / "run").open(small("tiny"), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert stop.value.code == 1


def test_what_is_left_of_metrics_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = RunFolder(tmp_path)
    lines = [b'{"images": 8, "a": 1}', b"\xff garbage", b"[1, 2]", b'{"b": 1}', b'{"images": 16}', b'{"images": 24}']
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join([*lines, b'{"images": 1']))
    run.forget_after(16)
    assert run.lines() == [{"images": 8, "a": 1}, {"images": 16}]
    assert capsys.readouterr().err == f"{tmp_path / 'metrics.jsonl'}: 3 damaged lines left out\n"


def test_folders_that_were_deleted_meanwhile_are_made_again(tmp_path: Path) -> None:
    run, training = RunFolder(tmp_path / "run"), trainer(small("tiny"))
    run.open(training.recipe, {})
    run.samples.rmdir()
    run.checkpoints.rmdir()
    run.save_samples(AlbumCoverPipeline(training.average(0)), 8)
    run.save_checkpoint(training.gan, 8, 1.0)
    assert len(list(run.samples.iterdir())) == len(list(run.checkpoints.iterdir())) == 1


def test_too_little_memory_is_said_in_a_line() -> None:
    with pytest.raises(UserError, match="raise --gradient_accumulation_steps") as stop, no_memory_in_one_line():
        torch.empty(2**60)
    assert stop.value.code == 1
    with pytest.raises(UserError), no_memory_in_one_line():
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(RuntimeError, match="shapes"), no_memory_in_one_line():
        torch.ones(2, 3) @ torch.ones(2, 3)


def test_a_checkpoint_is_not_blamed_for_too_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, training = RunFolder(tmp_path / "run"), trainer(small("tiny"))
    run.open(training.recipe, {})
    run.save_checkpoint(training.gan, 8, 1.0)
    monkeypatch.setattr(torch, "load", lambda *args, **options: torch.empty(2**60))
    with pytest.raises(UserError, match="not enough memory"), no_memory_in_one_line():
        run.load_checkpoint(training.gan, "latest", torch.device("cpu"))


def test_what_a_killed_process_left_is_swept_up(tmp_path: Path) -> None:
    run = tmp_path / "run"
    killed = RunFolder(run)
    killed.open(small("tiny"), {})
    os.close(killed._held)
    (run / ".pipeline-old-x").mkdir()
    (run / "samples" / ".new-x").touch()
    (run / ".git").mkdir()  # somebody's own
    RunFolder(run).open(small("tiny"), {})
    assert [found.name for found in run.rglob(".*")] == [".git"]


def test_schedules_are_cosines_over_their_part_of_the_run() -> None:
    recipe = small("r3gan-64", total_images=1000, learning_rate=[4.0, 2.0], schedule_fraction=0.5)
    assert [recipe.at("learning_rate", i) for i in (0, 250, 500, 999)] == [4.0, pytest.approx(3.0), 2.0, 2.0]
    assert recipe.at("adam_beta2", 0) == 0.9 and small("dcgan-64").at("learning_rate", 5) == 2e-4


def test_a_chosen_learning_rate_falls_as_the_recipes_does() -> None:
    published = load_recipe("r3dcgan-64-cpu", {}).learning_rate
    assert load_recipe("r3dcgan-64-cpu", {"learning_rate": 0.0003}).learning_rate == [
        0.0003,
        pytest.approx(0.0003 * published[1] / published[0]),
    ]
    assert load_recipe("dcgan-64", {"learning_rate": 0.0003}).learning_rate == 0.0003


def failure(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """The line of a mistake: exit code 2, and nothing after it."""
    monkeypatch.setattr("sys.argv", ["train_gan", *arguments])
    with pytest.raises(SystemExit) as stop:
        run(train_gan.main, "train.train_gan")
    out, err = capsys.readouterr()
    line = err.splitlines()[-1]  # above it there may be progress bars
    assert stop.value.code == 2 and not out and "Traceback" not in err and line.startswith("train.train_gan: "), err
    return line


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("network: [", "is not YAML"),
        ("just words", "must hold `key: value` lines"),
        ("network: dcgan\nresolution: 64\nloss: logistic\nlearning-rate: 1", "unknown learning-rate"),
        ("network: dcgan\nresolution: 64", "loss is missing"),
        ("network: vqgan\nresolution: 64\nloss: logistic", "network must be one of dcgan, wgan-gp, r3gan"),
        ("network: dcgan\nresolution: 60\nloss: logistic", "power of two"),
        ("network: dcgan\nresolution: 64\nloss: logistic\ngenerator: {depth: 3}", "depth"),
        ("network: dcgan\nresolution: 64\nloss: logistic\nlearning_rate: 2e-4", "2.0e-4"),
        ("network: dcgan\nresolution: 64\nloss: logistic\nlearning_rate: .nan", "learning_rate cannot be nan"),
        ("network: dcgan\nresolution: 64\nloss: logistic\nadam_beta2: 1.0", "adam_beta2 cannot be 1.0"),
        ("network: dcgan\nresolution: 64\nloss: logistic\nschedule_fraction: half", "schedule_fraction cannot be"),
        ("network: [r3gan]\nresolution: 64\nloss: logistic", "network must be one of"),
        ("network: r3gan\nresolution: 64\nloss: logistic\ngenerator: {group_size: 0}", "generator: "),
        ("network: dcgan\nresolution: 64\nloss: logistic\ngenerator: {width: -8}", "width must be at least 1, not -8"),
        ("network: r3gan\nresolution: 64\nloss: logistic\ngenerator: {blocks: 0}", "blocks must be at least 1, not 0"),
        (
            "network: dcgan\nresolution: 64\nloss: logistic\ngenerator: 5",
            "generator must be {name: value, ...}",
        ),
        ("network: dcgan\nresolution: 64\nloss: logistic\nlearning_rate: [1.0]", "a number, or [start, end], from 0"),
        ("network: dcgan\nresolution: 64\nloss: logistic\ntotal_images: -5", "total_images must be"),
        ("network: dcgan\nresolution: 64\nloss: logistic\ngradient_penalty_every: 4", "zero-centred"),
        (
            "network: r3gan\nresolution: 64\nloss: logistic\ngradient_penalty: zero-centred",
            "needs a gradient_penalty_weight above 0",
        ),
        (
            "network: dcgan\nresolution: 64\nloss: logistic\ngradient_penalty: one-centred\n"
            "gradient_penalty_weight: 10.0",
            "discriminator: {normalisation: none}",
        ),
        (
            "network: r3gan\nresolution: 64\nloss: logistic\n"
            "gradient_penalty: zero-centred\ngradient_penalty_weight: 2\ngradient_penalty_every: 3",
            "must be a multiple of",
        ),
        (
            "network: dcgan\nresolution: 64\nloss: logistic\ndiscriminator: {normalisation: no}",
            "normalisation must be",
        ),
    ],
)
def test_a_recipe_that_makes_no_sense(
    text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert complaint in failure(capsys, monkeypatch, "--config", str(file), "--dry_run")


def test_mistakes_on_the_command_line(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def line(*arguments: str) -> str:
        return failure(capsys, monkeypatch, *arguments)

    out, tiny = str(tmp_path / "out"), ("--config", "tiny")
    assert "--config" in line()
    assert "no such recipe; there are dcgan-128, dcgan-64" in line("--config", "dcgan-63")
    assert "--dataset_name is missing" in line(*tiny, "--output_dir", out)
    assert "--output_dir is missing" in line(*tiny, "--dataset_name", str(tiny_dataset))
    both = (*tiny, "--dataset_name", str(tiny_dataset), "--output_dir", out)
    assert "no such folder" in line(*tiny, "--dataset_name", "./nowhere", "--output_dir", out)
    assert "16x16, the recipe wants 64 px" in line("--config", "dcgan-64", *both[2:])
    assert "train_batch_size must be" in line(*both, "--train_batch_size", "0")
    fourth = tmp_path / "fourth.yaml"
    fourth.write_text((CONFIGS / "tiny.yaml").read_text() + "gradient_penalty_every: 4\n")
    shares = ("--config", str(fourth), *both[2:], "--gradient_accumulation_steps", "4")
    assert "in 4 parts; each share must be a multiple of gradient_penalty_every, 4" in line(*shares)
    assert "learning_rate cannot be" in line(*both, "--learning_rate", "nan")
    assert "seed must be" in line(*both, "--seed", "-1")
    assert "--push_to_hub, which is missing" in line(*both, "--hub_model_id", "user/covers")
    for name in ("covers-65", "", "a/b/c"):
        assert "no such folder; a dataset on the Hub reads user/name" in line(*tiny, "--dataset_name", name, *both[4:])
    assert "no such file" in line(*both, "--resume_from_checkpoint", str(tmp_path / "none.pt"))
    assert not (tmp_path / "out").exists()

    holiday = tmp_path / "holiday"
    holiday.mkdir()
    (holiday / "photo.txt").write_text("mine")
    assert "holds other files" in line(*both[:4], "--output_dir", str(holiday))
    assert [p.name for p in holiday.iterdir()] == ["photo.txt"]
    assert "is a file" in line(*both[:4], "--output_dir", str(holiday / "photo.txt"))

    torn = tmp_path / "out" / "checkpoints" / "images-0000000400.pt"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"torn")
    assert "holds other files" in line(*both)  # no run of ours without its config.json
    torn.unlink()
    torn.parent.rmdir()
    (tmp_path / "out" / "config.json").write_text('{"network": "dcgan", "train_batch_size": 4}')
    torn.parent.mkdir()
    torn.write_bytes(b"torn")
    assert "holds a run with" in line(*both)
    (tmp_path / "out" / "config.json").write_text('{"network": "r3gan", "resolution": 16}')
    assert "gradient_penalty_every 1, not 4" in line("--config", str(fourth), *both[2:])  # from before there was one
    assert "damaged" in line(*both)


def test_dry_run_shows_recipe_parameters_and_shapes(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["train_gan", "--config", "dcgan-64", "--dry_run", "--learning_rate", "0.001"])
    run(train_gan.main, "train.train_gan")
    out = capsys.readouterr().out
    for shown in ("learning_rate: 0.001", "DCGANGenerator, 3,576,707 parameters", "512x4x4", "3x64x64", "64x32x32"):
        assert shown in out
