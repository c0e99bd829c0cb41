"""The comparison of two revisions, really run for some steps against the last commit."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import programs
from train.benchmark import __main__ as benchmark
from train.benchmark import losses
from train.cli import UserError


def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *arguments: object) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["train.benchmark", "losses", *map(str, arguments)])
    last = benchmark.main()
    return [*capsys.readouterr().out.splitlines(), last]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of the project as it is now, with one commit."""
    folder = tmp_path / "clone"
    losses.copy_files(folder, None)
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "before"]):
        git(folder, *command)
    monkeypatch.setattr(losses, "ROOT", folder)
    return folder


def git(folder: Path, *command: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *command], cwd=folder, check=True)


def test_a_change_of_what_is_computed_is_seen_at_its_step(clone, tiny_dataset, monkeypatch, capsys):
    arguments = ("--against", "HEAD", "--steps", 3, "--dataset_name", tiny_dataset)
    same = lines(monkeypatch, capsys, *arguments)
    assert same[-1] == "HEAD: the same losses, to five digits, at all of 3 steps until 3"
    assert [row.split()[0] for row in same[1:-1]] == ["1", "2", "3"]
    for row in same[1:-1]:
        discriminator, same_d, generator, same_g, difference = map(float, row.split()[1:])
        assert discriminator == same_d > 0 and generator == same_g > 0 and difference == 0

    recipe = clone / "train" / "configs" / "tiny.yaml"
    text, found = re.subn(r"adam_beta2: .*", "adam_beta2: 0.5", recipe.read_text())
    recipe.write_text(text if found else text + "adam_beta2: 0.5\n")  # not committed
    # the first update follows the gradient's sign alone, so it is the same for every beta
    assert lines(monkeypatch, capsys, *arguments)[-1] in (
        "HEAD: losses part at step 3, the same until step 2",
        "HEAD: losses part at step 2, the same until step 1",
    )


def test_a_file_that_git_does_not_know_yet_is_part_of_the_working_tree(clone, tiny_dataset, monkeypatch, capsys):
    (clone / "train" / "train_gan" / "novelty.py").write_text("LOUD = 1\n")
    (clone / "train" / "train_gan" / "loop.py").open("a").write("\nfrom train.train_gan import novelty\n")
    arguments = ("--against", "HEAD", "--steps", 1, "--dataset_name", tiny_dataset)
    assert (
        lines(monkeypatch, capsys, *arguments)[-1]
        == "HEAD: the same losses, to five digits, at all of 1 steps until 1"
    )


def test_interrupted_it_leaves_neither_a_copy_nor_a_training(tiny_dataset, tmp_path):
    command = [sys.executable, "-m", "train.benchmark", "losses", "--against", "HEAD"]
    command += ["--dataset_name", str(tiny_dataset)]
    started = programs.start(command, environment=os.environ | {"TMPDIR": str(tmp_path)}, genuine=True)
    while not list(tmp_path.glob("benchmark-*/here/log")) and started.poll() is None:
        time.sleep(0.01)
    started.send_signal(signal.SIGTERM)
    out, errors = started.communicate(timeout=60)
    assert (started.returncode, errors, out) == (130, "train.benchmark: interrupted\n", "")
    assert not list(tmp_path.glob("benchmark-*"))
    assert str(tmp_path) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_mistakes_are_one_line(monkeypatch, capsys, tmp_path):
    for arguments, complaint in (
        (("--against", "no-such-branch"), "--against no-such-branch: "),
        (("--against", "--output=/tmp/x"), "expected one argument"),
        (("--against", "HEAD", "--steps", 0), "--steps must be 1 to 100"),
        (("--against", "HEAD", "--config", "none"), "no such recipe"),
    ):
        with pytest.raises((UserError, SystemExit)) as raised:
            lines(monkeypatch, capsys, *arguments)
        said = str(raised.value) if raised.type is UserError else capsys.readouterr().err
        assert complaint in said and said.strip().count("\n") == 0
    monkeypatch.setattr(losses, "ROOT", tmp_path)
    with pytest.raises(UserError, match="not a git repository"):
        lines(monkeypatch, capsys, "--against", "HEAD")


def test_a_revision_without_the_recipe_is_told_before_anything_is_trained(clone, tiny_dataset, monkeypatch, capsys):
    git(clone, "rm", "-q", "train/configs/tiny.yaml")
    git(clone, "commit", "-q", "-m", "without")
    monkeypatch.setattr(losses, "losses_of", None)
    with pytest.raises(UserError, match=r"^--against HEAD: has no recipe tiny; it has dcgan-64, ") as told:
        lines(monkeypatch, capsys, "--against", "HEAD", "--steps", 3, "--dataset_name", tiny_dataset)
    assert told.value.code == 2


def test_a_revision_that_cannot_train_is_named(clone, tiny_dataset, monkeypatch, capsys):
    (clone / "train" / "train_gan" / "__main__.py").write_text("raise SystemExit('nothing works')")
    with pytest.raises(UserError, match="the working tree: training ended early: nothing works"):
        lines(monkeypatch, capsys, "--against", "HEAD", "--steps", 3, "--dataset_name", tiny_dataset)
