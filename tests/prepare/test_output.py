"""The output folder: a mount, the only place that may be written, one that another run left unfinished."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers import programs
from tests.helpers.drawn import draw_dataset
from tests.helpers.preparing import program, rows_of, written


ROOT = Path(__file__).parents[2]
OPTIONS = ("--resolution", 32, "--validation_fraction", 0)
WORK = ".prepare-unfinished"


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    return draw_dataset(tmp_path / "pile", 3)


@contextmanager
def disk(folder: Path, size: str) -> Iterator[None]:
    """A disk of its own, mounted at a folder; where nothing may be mounted, the test is skipped."""
    folder.mkdir(exist_ok=True)
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if not shutil.which("mount") or subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_mount_is_an_output_folder(pile: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with disk(out, "20m"):
        (out / "lost+found").mkdir()
        code, line = program(pile, "--output_dir", out, *OPTIONS)
        assert code == 0, line
        assert program(pile, "--output_dir", out, *OPTIONS, "--overwrite")[0] == 0
        assert sorted(path.name for path in out.iterdir()) == [
            "README.md",
            "data",
            "lost+found",
            "report.html",
            "report.json",
        ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pile"]


def test_nothing_is_written_beside_the_output_folder(pile: Path, tmp_path: Path) -> None:
    """A container's user may write to /out, and not to /."""
    closed = tmp_path / "closed"
    (closed / "out").mkdir(parents=True)
    closed.chmod(0o555)
    command = [
        sys.executable,
        "-m",
        "train.prepare",
        pile,
        "--output_dir",
        closed / "out",
        *OPTIONS,
        "--num_workers",
        1,
    ]
    if os.getuid() == 0:  # to whom everything is allowed, but for this
        if not shutil.which("setpriv"):
            pytest.skip("root writes everywhere")
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    ended = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert len(rows_of(closed / "out")) == 3


def test_what_cannot_be_written_is_said_before_a_cover_is_read(pile: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out, line in ((tmp_path / "file" / "out", "cannot be written"), (Path("/proc/out"), "cannot be written")):
        code, said = program(pile, "--output_dir", out, *OPTIONS)
        assert code == 2 and line in said, said


def test_a_run_killed_between_its_last_moves_finishes(
    pile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert program(pile, "--output_dir", out, *OPTIONS)[0] == 0
    whole = written(out)
    for moved in range(4):
        again = tmp_path / f"again-{moved}" / "out"
        again.parent.mkdir()
        replace, left = Path.replace, iter(range(100))

        def killed(path: Path, target: Path, replace=replace, left=left, moved=moved) -> Path:
            if path.parent.name == "dataset" and next(left) == moved:
                raise SystemExit(9)
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", killed)
        assert program_ends(pile, again) == 9
        monkeypatch.setattr(Path, "replace", replace)
        assert (again / WORK).exists() and not (again / "report.json").exists()
        assert program(pile, "--output_dir", again, *OPTIONS)[0] == 0
        assert written(again) == whole


def program_ends(pile: Path, out: Path) -> int:
    try:
        return program(pile, "--output_dir", out, *OPTIONS)[0]
    except IndexError:  # it said nothing
        return 9


def test_what_others_put_there_stays(pile: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / WORK).mkdir(parents=True)
    (out / WORK / "mine.txt").write_text("mine")
    (tmp_path / "out.unfinished").mkdir()
    (tmp_path / "out.unfinished" / "mine.txt").write_text("mine")
    assert program(pile, "--output_dir", out, *OPTIONS)[0] == 0
    assert (out / WORK / "mine.txt").read_text() == (tmp_path / "out.unfinished" / "mine.txt").read_text() == "mine"
    assert len(rows_of(out)) == 3
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    code, line = program(pile, "--output_dir", other, *OPTIONS)
    assert code == 2 and "holds other files" in line and [path.name for path in other.iterdir()] == ["notes.txt"]


def test_a_run_killed_after_its_last_move_finishes_when_called_again(pile: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert program(pile, "--output_dir", out, *OPTIONS)[0] == 0
    before = written(out)
    (out / WORK / "parts").mkdir(parents=True)
    assert program(pile, "--output_dir", out, *OPTIONS)[0] == 2  # work on something else: nothing is replaced
    (out / WORK / "placing").touch()  # it was moving the dataset
    code, line = program(pile, "--output_dir", out, *OPTIONS)
    assert code == 0, line
    assert written(out) == before


def test_a_process_killed_after_its_last_move_finishes_when_called_again(pile: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole" / "out"
    whole.parent.mkdir()
    assert program(pile, "--output_dir", whole, *OPTIONS)[0] == 0
    killed = """
import os, signal
from train.cli import run
from train.prepare import __main__ as prepare, output
move = output.move_into_place
output.move_into_place = lambda *places: (move(*places), os.kill(os.getpid(), signal.SIGKILL))
run(prepare.main, "train.prepare")"""
    arguments = [str(pile), "--output_dir", str(out), *map(str, OPTIONS)]
    ended = programs.run([sys.executable, "-c", killed, *arguments])
    assert ended.returncode == -signal.SIGKILL and (out / "report.json").exists() and (out / WORK).exists()
    again = programs.run([sys.executable, "-m", "train.prepare", *arguments])
    assert again.returncode == 0, again.stderr
    assert written(out) == written(whole)


@pytest.mark.parametrize("report", ("[" * 100_000, "[]", "{", "\0", '{"program": NaN}'))
def test_a_report_that_is_none_is_told_in_one_line(report: str, pile: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text(report)
    for more in ((), ("--overwrite",)):
        code, line = program(pile, "--output_dir", tmp_path / "out", *OPTIONS, *more)
        assert code == 2 and "holds the report of another program" in line
    assert (tmp_path / "out" / "report.json").read_text() == report


def test_what_cannot_be_replaced_is_told_before_a_cover_is_read(pile: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert program(pile, "--output_dir", out, *OPTIONS)[0] == 0
    (out / "data").rename(tmp_path / "elsewhere")
    (out / "data").symlink_to(tmp_path / "elsewhere")
    before = written(tmp_path / "elsewhere")
    assert program(pile, "--output_dir", out, *OPTIONS, "--overwrite")[0] == 0
    assert written(tmp_path / "elsewhere") == before and not (out / "data").is_symlink() and len(rows_of(out)) == 3
    with disk(out / "data", "20m"):
        code, line = program(pile, "--output_dir", out, *OPTIONS, "--overwrite")
    assert code == 2 and "data is a disk of its own" in line and not (out / WORK).exists()


def test_links_in_a_circle_are_told_in_one_line(pile: Path, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    code, line = program(pile, "--output_dir", tmp_path / "a", *OPTIONS)
    assert code == 2 and "a: Too many levels of symbolic links" in line
    code, line = program(tmp_path / "a", "--output_dir", tmp_path / "out", *OPTIONS)
    assert code == 2 and f"{tmp_path / 'a'}: " in line and not (tmp_path / "out").exists()


@pytest.mark.parametrize("left", [".DS_Store", "System Volume Information", ".Trash-1000", ".snapshot", "._x"])
def test_what_a_system_puts_on_an_empty_disk_is_nobodys(pile: Path, tmp_path: Path, left: str) -> None:
    (tmp_path / "out" / left).mkdir(parents=True)
    assert program(pile, "--output_dir", tmp_path / "out", *OPTIONS)[0] == 0
    assert (tmp_path / "out" / left).is_dir()


def test_a_full_disk_is_a_failure_in_one_line(pile: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with disk(out, "20k"):
        code, line = program(pile, "--output_dir", out, *OPTIONS)
        assert code == 1 and line.endswith("No space left on device; the same command goes on where it stopped")
        assert not (out / "report.json").exists()
        subprocess.run(["mount", "-o", "remount,size=20m", out], check=True)
        assert program(pile, "--output_dir", out, *OPTIONS)[0] == 0


@pytest.mark.parametrize("length", (256, 300, 5000))
def test_a_name_that_is_too_long_is_told_in_one_line(pile: Path, tmp_path: Path, length: int) -> None:
    for arguments in (
        (pile, "--output_dir", tmp_path / ("x" * length)),
        (tmp_path / ("x" * length), "--output_dir", tmp_path / "a"),
    ):
        code, line = program(*arguments, *OPTIONS)
        assert code == 2 and "too long" in line and len(line) < 200
