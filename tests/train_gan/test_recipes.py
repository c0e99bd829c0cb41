"""Recipes and the command line: schedules, what may be changed, mistakes in one line."""

from pathlib import Path

import pytest

from tests.helpers.trainers import small
from train.cli import run
from train.train_gan import __main__ as train_gan
from train.train_gan.recipes import CONFIGS, load_recipe


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
        (
            "network: vqgan\nresolution: 64\nloss: logistic",
            "network: should be 'dcgan', 'wgan-gp', 'r3gan', 'painter' or 'projected', not 'vqgan'",
        ),
        ("network: dcgan\nresolution: 60\nloss: logistic", "power of two"),
        ("network: dcgan\nresolution: 64\nloss: logistic\ngenerator: {depth: 3}", "depth"),
        ("network: dcgan\nresolution: 64\nloss: logistic\nlearning_rate: 2e-4", "2.0e-4"),
        (
            "network: dcgan\nresolution: 64\nloss: logistic\nlearning_rate: .nan",
            "learning_rate: should be a finite number, not nan",
        ),
        (
            "network: dcgan\nresolution: 64\nloss: logistic\nadam_beta2: 1.0",
            "adam_beta2: should be less than 1, not 1.0",
        ),
        (
            "network: dcgan\nresolution: 64\nloss: logistic\nschedule_fraction: half",
            "schedule_fraction: should be a valid number",
        ),
        ("network: [r3gan]\nresolution: 64\nloss: logistic", "network: should be"),
        ("network: r3gan\nresolution: 64\nloss: logistic\ngenerator: {group_size: 0}", "generator.group_size: "),
        (
            "network: dcgan\nresolution: 64\nloss: logistic\ngenerator: {width: -8}",
            "generator.width: should be greater than or equal to 1, not -8",
        ),
        (
            "network: r3gan\nresolution: 64\nloss: logistic\ngenerator: {blocks: 0}",
            "generator.blocks: should be greater than or equal to 1, not 0",
        ),
        (
            "network: r3gan\nresolution: 64\nloss: logistic\ngenerator: {width: abc}",
            "generator.width: should be a valid integer",
        ),
        (
            "network: r3gan\nresolution: 64\nloss: logistic\ngenerator: {width: 8.5}",
            "generator.width: should be a valid integer, not 8.5",
        ),
        ("network: dcgan\nresolution: 64\nloss: logistic\ngradient_penalty_weight: 1.0", "which is none"),
        (
            "network: dcgan\nresolution: 64\nloss: logistic\ngenerator: 5",
            "generator: should be {name: value, ...}, not 5",
        ),
        (
            "network: dcgan\nresolution: 64\nloss: logistic\nlearning_rate: [1.0]",
            "learning_rate: should be a number, or [start, end], not [1.0]",
        ),
        (
            "network: dcgan\nresolution: 64\nloss: logistic\ntotal_images: -5",
            "total_images: should be greater than or equal to 1, not -5",
        ),
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
            "discriminator.normalisation: should be",
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
    assert "no such recipe; there are dcgan-64, dcgan-64-cpu" in line("--config", "dcgan-63", "--dry_run")
    assert "--dataset_name is missing" in line(*tiny, "--output_dir", out)
    assert "--output_dir is missing" in line(*tiny, "--dataset_name", str(tiny_dataset))
    both = (*tiny, "--dataset_name", str(tiny_dataset), "--output_dir", out)
    assert "no such folder" in line(*tiny, "--dataset_name", "./nowhere", "--output_dir", out)
    assert "16x16, the recipe wants 64 px" in line("--config", "dcgan-64", *both[2:])
    assert "train_batch_size: should be" in line(*both, "--train_batch_size", "0")
    fourth = tmp_path / "fourth.yaml"
    fourth.write_text((CONFIGS / "tiny.yaml").read_text() + "gradient_penalty_every: 4\n")
    shares = ("--config", str(fourth), *both[2:], "--gradient_accumulation_steps", "4")
    assert "in 4 parts; each share must be a multiple of gradient_penalty_every, 4" in line(*shares)
    assert "learning_rate: should be" in line(*both, "--learning_rate", "nan")
    assert "seed: should be" in line(*both, "--seed", "-1")
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
    assert "damaged" in line(*both)


def test_dry_run_shows_recipe_parameters_and_shapes(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["train_gan", "--config", "dcgan-64", "--dry_run", "--learning_rate", "0.001"])
    run(train_gan.main, "train.train_gan")
    out = capsys.readouterr().out
    for shown in ("learning_rate: 0.001", "DCGANGenerator, 3,576,707 parameters", "512x4x4", "3x64x64", "64x32x32"):
        assert shown in out
