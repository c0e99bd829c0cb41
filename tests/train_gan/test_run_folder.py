"""What a run leaves on the disk, inside one process: nothing of the user's is lost or blamed."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from gan import AlbumCoverPipeline
from tests.helpers.runs import command, launch
from tests.helpers.trainers import plain_covers, small, trainer
from train.cli import UserError
from train.device import no_memory_in_one_line
from train.train_gan.averages import with_standing_statistics
from train.train_gan.checkpoints import is_whole
from train.train_gan.run_config import RunConfig
from train.train_gan.run_folder import RunFolder
from train.train_gan.setup import launchers_precision


def test_two_processes_cannot_train_in_one_folder(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    first.open(RunConfig(small("tiny")))
    with pytest.raises(UserError, match="another process is training here"):
        second.open(RunConfig(small("tiny")))


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow: what the system then says is what it says of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_from_the_beginning(tmp_path: Path) -> None:
    with full_disk(), pytest.raises(UserError, match=r"cannot be written .File too large.; make room") as stop:
        RunFolder(tmp_path / "run").open(RunConfig(small("tiny")))
    assert stop.value.code == 1


@pytest.mark.parametrize("written", ["write_config", "forget_after", "log", "save_samples", "save_best", "checkpoint"])
def test_a_disk_that_fills_up_is_told_in_one_line_and_leaves_what_was_there(written: str, tmp_path: Path) -> None:
    run, training = RunFolder(tmp_path / "run"), trainer(small("tiny"))
    run.open(RunConfig(training.recipe))
    run.log("training", 8, loss_g=1.0)
    run.checkpoints.save(training.gan, 8, 1.0)
    pipeline = AlbumCoverPipeline(with_standing_statistics(training.gan.ema[0]))
    write = {
        "write_config": lambda: run.write_config(RunConfig(training.recipe)),
        "forget_after": lambda: run.forget_after(8),
        "log": lambda: run.log("training", 16, loss_g=1.0),
        "save_samples": lambda: run.save_samples(pipeline, {}, 16),
        "save_best": lambda: run.save_best(pipeline, {}),
        "checkpoint": lambda: run.checkpoints.save(training.gan, 16, 2.0),
    }[written]
    before = {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()}
    with full_disk(), pytest.raises(UserError, match=r"cannot be written .*; make room, and the same command") as stop:
        write()
    assert stop.value.code == 1
    assert {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()} == before


def test_a_checkpoint_of_which_one_bit_has_changed_is_damaged(tmp_path: Path) -> None:
    run, training = RunFolder(tmp_path / "run"), trainer(small("tiny"))
    run.open(RunConfig(training.recipe))
    run.checkpoints.save(training.gan, 8, 1.0)
    (file,) = run.checkpoints.folder.iterdir()
    content, random = file.read_bytes(), np.random.default_rng(0)
    assert is_whole(file)
    for place in (0, len(content) - 1, *random.integers(len(content), size=50)):
        changed = bytearray(content)
        changed[place] ^= 1 << random.integers(8)
        file.write_bytes(changed)
        assert not is_whole(file)
    for length in (0, 10, len(content) - 1):
        file.write_bytes(content[:length])
        assert not is_whole(file)


def test_a_run_goes_on_only_with_as_many_held_out_covers(tmp_path: Path) -> None:
    first, training = RunFolder(tmp_path / "run"), trainer(small("tiny"))
    first.open(RunConfig(training.recipe, held_out=144))
    first.checkpoints.save(training.gan, 8, 1.0)
    first.close()
    with pytest.raises(UserError, match="held_out 144, not 0"):  # another augmentation, another best/
        RunFolder(tmp_path / "run").open(RunConfig(training.recipe, held_out=0))


def test_the_newest_two_checkpoints_are_kept(tmp_path: Path) -> None:
    run, training = RunFolder(tmp_path / "run"), trainer(small("tiny"))
    run.open(RunConfig(training.recipe))
    for images in (8, 16, 24):
        run.checkpoints.save(training.gan, images, 1.0)
    assert [file.name for file in run.checkpoints.files()] == ["images-0000000016.pt", "images-0000000024.pt"]


def test_another_recipe_is_another_run(tmp_path: Path) -> None:
    training = trainer(small("tiny"))
    config = RunConfig(training.recipe, dataset_name="covers")
    before = config.as_dict()
    may_change = {
        "total_images",
        "checkpointing_images",
        "device",
        "processes",
        "gradient_accumulation_steps",
        "torch",
    }
    for name in before:
        found = config.difference(before | {name: "another"})
        assert found == (None if name in may_change else (name, "another", before[name]))
    assert config.difference({}) is None  # of a run that knew of nothing yet

    first = RunFolder(tmp_path / "run")
    first.open(config)
    first.checkpoints.save(training.gan, 8, 1.0)
    first.close()
    other = RunConfig(small("tiny", learning_rate=0.5), dataset_name="covers")
    with pytest.raises(UserError, match=r"holds a run with learning_rate .*, not 0.5: name a new folder"):
        RunFolder(tmp_path / "run").open(other)


def test_another_seed_is_called_by_its_name_though_it_holds_out_other_covers(tmp_path: Path) -> None:
    before = RunConfig(small("tiny", seed=0), dataset_name="covers", digest="these").as_dict()
    other = RunConfig(small("tiny", seed=1), dataset_name="covers", digest="those")
    assert other.difference(before) == ("seed", 0, 1)


def test_an_empty_disk_is_an_output_folder(tmp_path: Path) -> None:
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    RunFolder(tmp_path / "disk").open(RunConfig(small("tiny")))
    (tmp_path / "other" / "pictures").mkdir(parents=True)
    with pytest.raises(UserError, match="holds other files"):
        RunFolder(tmp_path / "other").open(RunConfig(small("tiny")))


@pytest.mark.parametrize(
    ("launcher", "asked", "told"), [("fp16", "auto", True), ("bf16", "no", True), ("bf16", "bf16", False)]
)
def test_a_launchers_precision_that_is_not_followed_is_named(
    launcher: str, asked: str, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launcher)
    line = launchers_precision(asked)
    assert (f"mixed_precision {launcher} is not followed" in line) == told and bool(line) == told
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")  # as a launcher says that was told nothing
    assert launchers_precision(asked) == ""


def test_covers_that_are_the_same_may_have_another_name(tmp_path: Path) -> None:
    first, training = RunFolder(tmp_path / "run"), trainer(small("tiny"))
    first.open(RunConfig(training.recipe, dataset_name="covers-64", digest="same"))
    first.checkpoints.save(training.gan, 8, 1.0)
    first.close()
    moved = RunFolder(tmp_path / "run")
    moved.open(RunConfig(training.recipe, dataset_name="you/covers-64", digest="same"))  # pushed to the Hub
    moved.close()
    with pytest.raises(UserError, match="holds a run with dataset_name covers-64, not covers-65"):
        moved.open(RunConfig(training.recipe, dataset_name="covers-65"))  # streamed: nobody knows


@pytest.mark.parametrize("what", ["two sheets", "film"])
def test_a_run_whose_checkpoints_are_gone_is_not_overwritten(what: str, tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "run")
    first.open(RunConfig(small("tiny")))
    first.close()
    (first.samples / "images-0000000008.png").touch()
    RunFolder(tmp_path / "run").open(RunConfig(small("tiny")))  # killed before its first checkpoint
    (first.samples / "images-0000000016.png" if what == "two sheets" else first.folder / "film.webp").touch()
    with pytest.raises(UserError, match="checkpoints are gone; name a new folder"):
        RunFolder(tmp_path / "run").open(RunConfig(small("tiny")))


def test_a_run_that_began_with_anothers_checkpoint_goes_on_with_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other, own, training = RunFolder(tmp_path / "other"), RunFolder(tmp_path / "own"), trainer(small("tiny"))
    for run in (other, own):
        run.open(RunConfig(training.recipe))
    other.checkpoints.save(training.gan, 400, 1.0)
    theirs, cpu = str(other.checkpoints.folder / "images-0000000400.pt"), torch.device("cpu")
    assert own.checkpoints.load(training.gan, theirs, cpu) == (400, 1.0)
    own.checkpoints.save(training.gan, 480, 2.0)
    assert not capsys.readouterr().err
    assert own.checkpoints.load(training.gan, theirs, cpu) == (480, 2.0)
    assert "has begun with it; its own go on" in capsys.readouterr().err


def test_a_run_goes_on_with_its_own_covers_only(tmp_path: Path) -> None:
    covers = [plain_covers((grey, grey, grey), 16) for grey in (0, 1)]
    assert covers[0].digest() == plain_covers((0, 0, 0), 16).digest()
    run, training = RunFolder(tmp_path / "run"), trainer(small("tiny"))
    run.open(RunConfig(training.recipe, covers=32, digest=covers[0].digest()))
    run.checkpoints.save(training.gan, 8, 1.0)
    run.close()
    RunFolder(run.folder).open(RunConfig(training.recipe, covers=32, digest=covers[0].digest()))
    with pytest.raises(UserError, match="holds a run on other covers"):
        RunFolder(run.folder).open(RunConfig(training.recipe, covers=32, digest=covers[1].digest()))


def test_a_run_killed_while_its_first_file_was_written_is_ours(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / ".new-abcd1234").touch()
    RunFolder(run).open(RunConfig(small("tiny")))
    assert not list(run.glob(".new-*"))


def test_what_is_left_of_metrics_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = RunFolder(tmp_path)
    lines = [b'{"images": 8, "a": 1}', b"\xff garbage", b"[1, 2]", b'{"b": 1}', b'{"images": 16}', b'{"images": 24}']
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join([*lines, b'{"images": 1']))
    run.forget_after(16)
    assert run.lines() == [{"images": 8, "a": 1}, {"images": 16}]
    assert capsys.readouterr().err == f"{tmp_path / 'metrics.jsonl'}: 3 damaged lines left out\n"


STRANGE = (
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"images": NaN}',
    b'{"images": 1' + b"0" * 400 + b"}",
    b'{"images": "8"}',
    b'{"images": true}',
    b'{"images": -8}',
    b'{"images": 8, "a": "' + b"x" * 50_000_000 + b'"}',
    b"7",
    b"null",
)


def test_strange_lines_of_metrics_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, sound = RunFolder(tmp_path), b'{"images": 8, "a": 1}'
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join([*STRANGE, sound, b'{"images": 8, "a": NaN, "b": [[]]}', b""]))
    run.forget_after(16)
    assert run.lines() == [{"images": 8, "a": 1}, {"images": 8}]
    assert capsys.readouterr().err == f"{tmp_path / 'metrics.jsonl'}: {len(STRANGE)} damaged lines left out\n"


@pytest.mark.parametrize("copies", ("[" * 100_000, "7", "{}", '{"images": NaN}'))
def test_strange_copies_are_none(copies: str, tmp_path: Path) -> None:
    (tmp_path / "copies.json").write_text(copies)
    assert not RunFolder(tmp_path).has_copies(8)


def test_metrics_that_are_no_file_are_told_in_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(UserError, match=r"metrics\.jsonl is no regular file; name a new --output_dir"):
        RunFolder(tmp_path).forget_after(16)


def test_a_run_goes_on_whatever_its_metrics_say(tiny_dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert launch(command(tiny_dataset, run, "--total_images", "80")).returncode == 0
    strange = [b'{"kind": "evaluation", "images": 8}', b'{"images": 8, "ema_sigma": 99, "fd_covers": 1.0}', *STRANGE]
    strange += [b'{"kind": [], "images": 8, "ema_sigma": [], "fd_covers": {}}']
    with open(run / "metrics.jsonl", "ab") as file:
        file.write(b"\n".join([*strange, b""]))
    done = launch(command(tiny_dataset, run, "--total_images", "160"))
    assert done.returncode == 0 and "done after 160 covers" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr and f"{len(STRANGE)} damaged lines left out" in done.stderr
    assert (run / "metrics.jsonl").stat().st_size < 100_000


def test_folders_that_were_deleted_meanwhile_are_made_again(tmp_path: Path) -> None:
    run, training = RunFolder(tmp_path / "run"), trainer(small("tiny"))
    run.open(RunConfig(training.recipe))
    run.samples.rmdir()
    run.checkpoints.folder.rmdir()
    run.save_samples(AlbumCoverPipeline(with_standing_statistics(training.gan.ema[0])), {}, 8)
    run.checkpoints.save(training.gan, 8, 1.0)
    assert len(list(run.samples.iterdir())) == len(list(run.checkpoints.folder.iterdir())) == 1


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
    run.open(RunConfig(training.recipe))
    run.checkpoints.save(training.gan, 8, 1.0)
    monkeypatch.setattr(torch, "load", lambda *args, **options: torch.empty(2**60))
    with pytest.raises(UserError, match="not enough memory"), no_memory_in_one_line():
        run.checkpoints.load(training.gan, "latest", torch.device("cpu"))


def test_what_a_killed_process_left_is_swept_up(tmp_path: Path) -> None:
    run = tmp_path / "run"
    killed = RunFolder(run)
    killed.open(RunConfig(small("tiny")))
    killed.close()
    (run / ".push-x").mkdir()
    (run / "samples" / ".new-x").touch()
    (run / ".git").mkdir()  # somebody's own
    RunFolder(run).open(RunConfig(small("tiny")))
    assert [found.name for found in run.rglob(".*")] == [".git"]
