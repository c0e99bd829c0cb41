"""The programs that measure the preparation, really run at tiny size, and their tables read."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import programs
from tests.helpers.drawn import draw_cover, encode, write_files, write_tar
from train.benchmark import __main__ as benchmark
from train.benchmark.duplicates import SEARCHES, pairs_called_copies, plant
from train.benchmark.piles import large_pictures, write_pile
from train.benchmark.prepare import TOOLS
from train.cli import run
from train.prepare.duplicates import Fingerprints


ROOT = Path(__file__).parents[2]


def launch(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "train.benchmark", *map(str, arguments)]
    return programs.run(command, genuine="prepare" in command)  # whose peak of memory is its own


def tables(printed: str, width: int) -> dict[str, dict[str, list[str]]]:
    """Title -> row -> its cells: tables stand apart by empty lines, and the first column is `width` wide."""
    blocks = [block.splitlines() for block in printed.split("\n\n")]
    return {rows[0][:width].strip(): {row[:width].strip(): row[width:].split() for row in rows[1:]} for rows in blocks}


@pytest.fixture(scope="module")
def pile(tmp_path_factory) -> Path:
    """A tar of JPEGs, one of them too small to measure with, and of one file that is none."""
    files = {f"{seed}.jpg": encode(draw_cover(seed, 96), "JPEG") for seed in range(12)}
    folder = tmp_path_factory.mktemp("pile")
    return write_tar(folder / "pile.tar", files | {"small.jpg": encode(draw_cover(99, 40), "JPEG"), "a.jpg": b"none"})


@pytest.mark.slow
def test_prepare_prints_what_every_way_takes():
    done = launch("prepare", "--files", 8, "--side", 80, "--resolution", 32, "--repeats", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("8 JPEGs drawn, 80 px, ")
    found = tables(done.stdout, 44)
    ways = found[""]
    seconds, cpu, speed = map(float, ways["train.prepare, 1 worker"])
    assert speed == pytest.approx(8 / seconds, rel=0.02, abs=0.06) and cpu > 0  # both are rounded
    assert float(ways["dataset_tool's way, one process"][2]) > 0
    tools = [float(row[0]) for name, row in ways.items() if name in TOOLS]
    if len(tools) == len(TOOLS):
        assert float(ways["the four tools together"][0]) == pytest.approx(sum(tools), abs=0.03)
    else:
        assert "not on the PATH" in done.stdout and found["goal"]["times as fast as the tools, 8 files"][-1] == "nan"

    for side in (80, 600):
        costs = found[f"one cover from {side} px, processor time"]
        cells = {stage: (float(cost), float(share[:-1])) for stage, (cost, share) in costs.items()}
        assert cells.pop("all")[1] == 100
        assert len(cells) == 8 and sum(share for _, share in cells.values()) == pytest.approx(100, abs=0.5)
        # a clock of processor time may tick in milliseconds, in which eight small covers are decoded
        assert sum(cost for cost, _ in cells.values()) > 0 and (side < 600 or cells["decode"][0] > 0)
    speed = float(found["goal"]["covers/s a core from 600 px, judging alone"][-1])
    judged = sum(cost for stage, (cost, _) in cells.items() if stage not in ("read", "write the part"))
    assert speed == pytest.approx(1000 / judged, rel=0.01)
    if sys.platform == "linux":
        peaks = found["peak memory, MB"]
        assert set(peaks) == {"8 files", "32 files"}
        assert all(float(cell) > 20 for row in peaks.values() for cell in row)  # a Python with numpy at least


def test_a_mistake_is_one_line(pile, tmp_path, monkeypatch, capsys):
    for program, arguments, complaint in (
        ("prepare", (pile, "--side", 200), "the sources hold no picture of 200 px or more"),
        ("prepare", (tmp_path / "nowhere.tar",), "no such folder or archive"),
        ("prepare", ("--files", 1), "--files must be 4 or more"),
        ("duplicates", ("--hash_distance", 12), "--hash_distance 0 to 11"),
    ):
        monkeypatch.setattr(sys, "argv", ["benchmark", program, *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            run(benchmark.main, "train.benchmark")
        said = capsys.readouterr()
        assert end.value.code == 2 and complaint in said.err and said.err.count("\n") == 1 and not said.out


def test_pictures_of_sources_are_square_and_large_enough(pile):
    found = large_pictures([str(pile)], 80, 48)
    assert [picture.size for picture in found] == [(80, 80)] * 12
    assert len({picture.tobytes() for picture in found}) == 12
    assert len(large_pictures([str(pile)], 32, 48)) == 13
    assert len(large_pictures([str(pile)], 80, 5)) == 5


def test_a_pile_is_the_same_again_and_holds_no_picture_twice(tmp_path):
    pictures = [draw_cover(seed) for seed in range(3)]
    one, other = (sorted(write_pile(tmp_path / name, pictures, 40, 64).rglob("*.jpg")) for name in "ab")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
    assert len({path.read_bytes() for path in one}) == 40
    assert [len(list((tmp_path / "a" / str(quarter)).iterdir())) for quarter in range(4)] == [10] * 4


def test_duplicates_prints_what_is_found_and_what_is_confused(tmp_path):
    files = {f"{seed}.png": encode(draw_cover(seed, 160), "PNG") for seed in range(6)}
    files["again.jpg"] = encode(draw_cover(0, 160), "JPEG", quality=90)
    covers = write_files(tmp_path / "covers", files | {"same.png": files["3.png"], "none.png": b"none"})
    done = launch("duplicates", covers, "--fingerprints", 2000, "--covers", 7, "--resolution", 64)
    assert done.returncode == 0, done.stderr
    found = tables(done.stdout, 36)
    searches = found["2,000 fingerprints, 8 bits"]
    for name in SEARCHES:
        seconds, peak, share = map(float, searches[name])
        assert seconds >= 0 and share == 100 and (peak > 20 or sys.platform != "linux")

    rows = found[""]
    assert rows.pop("% of 7 changed covers found") == 2 * ["2", "4", "6", "8", "10"]
    shares = {name: [float(cell) for cell in row] for name, row in rows.items()}
    assert len(shares) == 13 and all(len(row) == 10 for row in shares.values())
    for row in shares.values():
        colours, alone = row[:5], row[5:]
        assert colours == sorted(colours) and alone == sorted(alone)
        assert all(one <= other for one, other in zip(colours, alone, strict=True))
    assert min(shares["JPEG 75"]) == 100
    assert shares["4% off each side"][0] < 100
    assert shares["tint 1.25, 0.95, 0.7"][4] < 100 == shares["tint 1.25, 0.95, 0.7"][9]
    assert max(shares["another cover"]) < 20  # two of the seven are the same one, but not side by side

    versions = found["7 covers, each in 5 versions"]
    assert versions["as it is"] == versions["doubled, WebP"] == ["0"] and versions["JPEG 45"] == ["0"]
    assert int(versions["all"][0]) == sum(int(versions[name][0]) for name in list(versions)[:5])
    assert versions["lost of 7 different covers"] == ["1"]  # the JPEG of one

    pairs = found["pairs in 7 covers, per 1,000"]["called copies"]
    assert pairs[4] == f"{1000 / 7:.1f}"  # the cover and its JPEG


def test_planted_copies_that_are_not_there_are_missed(tmp_path):
    covers, planted = plant(2000, 8)
    assert planted.shape == (4, 50)
    bits = np.bitwise_count(covers.phash[planted[1:]] ^ covers.phash[planted[0]])
    assert set(bits.ravel().tolist()) == set(range(9))
    far = Fingerprints(covers.sha256, covers.phash.copy(), covers.colours, covers.pixels)
    far.phash[planted[1]] ^= np.uint64(2**64 - 1)
    for name in ("find_copies", "find_copies_on_disk"):
        assert SEARCHES[name](covers, planted, 8, tmp_path)() == 1
        assert SEARCHES[name](far, planted, 8, tmp_path)() == 0.75


def test_pairs_are_counted_among_equal_and_near_hashes():
    phash = np.array([0, 0, 0b111, 2**64 - 1], np.uint64)
    fields = np.random.default_rng(0).integers(0, 256, (2, 192), np.uint8)
    covers = Fingerprints(np.empty((4, 32), np.uint8), phash, fields[[0, 0, 1, 1]], np.ones(4, int))
    # the first two always; from 4 bits on either of them with the third, whose colours are others
    assert pairs_called_copies(covers).tolist() == [1, 1, 1, 1, 1, 1, 3, 3, 3, 3]
