"""A run of the preparation that is interrupted and started again ends with the same bytes."""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from pyarrow import parquet

from tests.helpers import programs
from tests.helpers.drawn import bad_files, draw_cover, draw_dataset, encode, write_files, write_tar
from tests.helpers.preparing import SMALL_PARTS_PROGRAM as PROGRAM
from tests.helpers.preparing import start_with_small_parts as start
from tests.helpers.preparing import written
from train.prepare.items import Item
from train.prepare.parts import make_parts
from train.prepare.settings import Settings


def stamps_of(work: Path) -> dict[str, int]:
    """When each part was written. The run may take a part away meanwhile."""
    stamps = {}
    for path in work.glob("parts/*.parquet"):
        with contextlib.suppress(FileNotFoundError):
            stamps[path.name] = path.stat().st_mtime_ns
    return stamps


@pytest.fixture(scope="module")
def pile(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pile")
    files = {f"{seed:03d}.png": encode(draw_cover(seed), "PNG") for seed in range(60)}
    files |= {f"copy-{seed}.jpg": encode(draw_cover(seed), "JPEG") for seed in range(0, 60, 7)}
    covers = write_files(folder / "covers", files | {name: content for name, (content, _) in bad_files().items()})
    return [
        covers,
        write_tar(folder / "more.tar.gz", {f"{s}.png": encode(draw_cover(s), "PNG") for s in range(55, 90)}),
    ]


@pytest.fixture(scope="module")
def whole(pile, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out"
    ended = start(*pile, "--output_dir", out, "--resolution", 32, "--num_workers", 2)
    _, errors = ended.communicate(timeout=120)
    assert ended.returncode == 0, errors
    return written(out)


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_again_and_again_it_ends_with_the_same_bytes(pile, whole, tmp_path, workers):
    out = tmp_path / "out"
    options = (*pile, "--output_dir", out, "--resolution", 32, "--num_workers", workers)
    work, counts = tmp_path / "out" / ".prepare-unfinished", []
    for target in (1, 8, 20):  # parts that there must be before the next blow
        process = start(*options)
        while len(list(work.glob("parts/*.parquet"))) < target and process.poll() is None:
            time.sleep(0.002)
        process.kill()
        process.communicate()
        counts.append(len(list(work.glob("parts/*.parquet"))))
        assert not (out / "report.json").exists()
    assert 0 < counts[0] <= counts[1] <= counts[2]
    stamps = stamps_of(work)
    half = max(work.glob("parts/*.parquet"))
    half.write_bytes(half.read_bytes()[:100])  # as a power cut may leave it
    process = start(*options)
    seen = {}
    while process.poll() is None:
        seen |= stamps_of(work)
        time.sleep(0.002)
    assert process.returncode == 0, process.stderr.read()
    assert written(out) == whole
    assert not work.exists()
    kept = [name for name in stamps if seen.get(name) == stamps[name]]
    assert set(stamps) - set(kept) <= {half.name}


def test_interrupted_it_says_how_to_go_on(pile, whole, tmp_path):
    for attempt in range(5):  # on a busy machine all may be done before this test gets to interrupt it
        out = tmp_path / str(attempt) / "out"
        process = start(*pile, "--output_dir", out, "--resolution", 32, "--num_workers", 2)
        while not list(out.glob(".prepare-unfinished/parts/*.parquet")) and process.poll() is None:
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl+C does, which reaches the workers, too
        _, errors = process.communicate(timeout=60)
        if process.returncode:
            break
    assert process.returncode == 130 and "Traceback" not in errors
    assert errors.splitlines()[-1] == "train.prepare: interrupted; the same command goes on where it stopped"
    process = start(*pile, "--output_dir", out, "--resolution", 32, "--num_workers", 2)
    process.communicate(timeout=120)
    assert written(out) == whole


def test_workers_of_a_killed_run_end(pile, tmp_path):
    process = start(*pile, "--output_dir", tmp_path / "out", "--resolution", 32, "--num_workers", 2)
    while not list(tmp_path.glob("out/.prepare-unfinished/parts/*.parquet")):
        time.sleep(0.002)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert children
    process.kill()
    process.wait()  # not for the end of its output, which a worker that lives on would hold open
    for _ in range(1000):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            break
        time.sleep(0.01)
    else:
        pytest.fail("a worker outlived the run that started it")


def test_two_runs_do_not_share_an_output(pile, tmp_path):
    options = (*pile, "--output_dir", tmp_path / "out", "--resolution", 32, "--num_workers", 0)
    first = start(*options)
    while not list(tmp_path.glob("out/.prepare-unfinished/parts/*.parquet")):
        time.sleep(0.002)
    first.send_signal(signal.SIGSTOP)
    second = start(*options)
    _, errors = second.communicate(timeout=60)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 2 and "another process is preparing out" in errors
    first.communicate(timeout=60)
    assert first.returncode == 0


def test_another_pile_or_another_size_is_judged_anew(pile, tmp_path):
    covers = draw_dataset(tmp_path / "covers", 4)
    items = [Item(f"covers/{path.name}", path.read_bytes()) for path in sorted(covers.iterdir())]
    names = set()
    for number, (chosen, settings) in enumerate(
        [
            (items, Settings(32, 16, 2.0)),
            (items, Settings(32, 16, 2.0)),
            (items, Settings(48, 16, 2.0)),
            (items, Settings(32, 16, 2.0, "pad")),
            (items[:3], Settings(32, 16, 2.0)),
            ([*items[:3], Item(items[3].name, items[2].content)], Settings(32, 16, 2.0)),
        ]
    ):
        (path,) = make_parts(iter(chosen), settings, tmp_path, 1, lambda _: None)
        assert (path.name in names) == (number == 1)
        names.add(path.name)


class Deadly(bytes):
    """Bytes that kill the process that unpickles them, as the kernel does when memory runs out."""

    def __reduce__(self):
        return signal.raise_signal, (signal.SIGKILL,)


def test_a_file_that_kills_its_reader_is_refused_and_the_others_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("train.prepare.parts.PART_FILES", 4)
    items = [Item(f"{seed}.png", encode(draw_cover(seed), "PNG")) for seed in range(20)]
    items[5] = Item("5.png", Deadly(b"x"))
    items[17] = Item("17.png", Deadly(b"x"))
    done: list[Item] = []
    paths = make_parts(iter(items), Settings(32, 16, 2.0), tmp_path, 2, done.extend)
    rows = [row for path in paths for row in parquet.read_table(path).to_pylist()]
    assert [row["name"] for row in rows] == [f"{seed}.png" for seed in range(20)] == [item.name for item in done]
    reasons = {row["name"]: row["reason"] for row in rows if row["reason"]}
    assert reasons == {"5.png": "kills-its-reader", "17.png": "kills-its-reader"}


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(tmp_path):
    """A limit on the size of files stands for the disk: the part that does not fit is not there, the others are."""
    pile = draw_dataset(tmp_path / "pile", 12)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000)); " + PROGRAM
    limited = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); " + limited
    arguments = [str(pile), "--output_dir", str(tmp_path / "out"), "--resolution", "96", "--num_workers", "1"]
    ended = programs.run([sys.executable, "-c", limited, *arguments])
    assert ended.returncode == 1 and "cannot be written: File too large" in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists() and not list(tmp_path.rglob(".*.parquet*"))
    ended = programs.run([sys.executable, "-c", PROGRAM, *arguments])
    assert ended.returncode == 0 and os.listdir(tmp_path / "out")
