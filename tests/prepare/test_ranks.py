"""Several processes prepare one dataset together, some of them die, and it has the bytes that one process gives."""

import time
from pathlib import Path

import pytest

from tests.helpers.drawn import bad_files, draw_cover, draw_dataset, encode, write_files, write_tar
from tests.helpers.preparing import program, start_with_small_parts, written
from tests.helpers.programs import call
from train.prepare import __main__ as prepare


WORK = ".prepare-unfinished"
OPTIONS = ("--resolution", 32, "--num_workers", 0)


@pytest.fixture(scope="module")
def pile(tmp_path_factory) -> list[object]:
    folder = tmp_path_factory.mktemp("pile")
    files = {f"rock/{seed:03d}.png": encode(draw_cover(seed), "PNG") for seed in range(40)}
    files |= {f"copy-{seed}.jpg": encode(draw_cover(seed), "JPEG") for seed in range(0, 40, 7)}
    covers = write_files(folder / "covers", files | {name: content for name, (content, _) in bad_files().items()})
    more = write_tar(folder / "more.tar.gz", {f"{s}.png": encode(draw_cover(s), "PNG") for s in range(35, 60)})
    known = draw_dataset(folder / "known", 4)
    return [covers, more, "--exclude", known, "--labels", "folder"]


@pytest.fixture(scope="module")
def whole(pile, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out"
    ended = start_with_small_parts(*pile, "--output_dir", out, *OPTIONS)
    _, errors = ended.communicate(timeout=120)
    assert ended.returncode == 0, errors
    return written(out)


def start(pile: list[object], out: Path, rank: int, world_size: int = 4, **environment: str):
    numbers = () if environment else ("--rank", rank, "--world_size", world_size)
    return start_with_small_parts(*pile, "--output_dir", out, *OPTIONS, *numbers, **environment)


def end(process) -> tuple[int, str]:
    """Return its exit code, and its last line."""
    out, errors = process.communicate(timeout=120)
    return process.returncode, (out or errors).splitlines()[-1]


def test_four_processes_of_which_one_is_killed_give_the_bytes_of_one(pile, whole, tmp_path):
    out = tmp_path / "out"
    processes = [start(pile, out, rank) for rank in range(4)]
    while not list(out.glob(f"{WORK}/parts/000002-*")) and processes[2].poll() is None:
        time.sleep(0.002)
    processes[2].kill()
    lines = [end(process)[1] for rank, process in enumerate(processes) if rank != 2]
    processes[2].communicate()
    if processes[2].returncode:  # it was not too late
        assert not (out / "report.json").exists() and all("parts are missing" in line for line in lines), lines
        kept = {path.name: path.stat().st_mtime_ns for path in out.glob(f"{WORK}/parts/*.parquet")}
        code, line = end(start(pile, out, 1))  # one that had its share done already
        assert code == 0 and "parts are missing" in line
        assert kept == {path.name: path.stat().st_mtime_ns for path in out.glob(f"{WORK}/parts/*.parquet")}
        code, line = end(start(pile, out, 2))
        assert code == 0 and "covers" in line, line
    assert written(out) == whole
    for rank in (0, 2):
        assert end(start(pile, out, rank)) == (0, f"{out}: is prepared already")
    assert written(out) == whole


def test_ranks_judge_only_their_own_parts_and_one_process_ends_what_they_began(pile, whole, tmp_path):
    out = tmp_path / "out"
    code, line = end(start(pile, out, 1, 3))
    parts = sorted(int(path.name[:6]) for path in out.glob(f"{WORK}/parts/*.parquet"))
    assert code == 0 and parts and all(number % 3 == 1 for number in parts)
    assert "parts are missing" in line
    assert end(start_with_small_parts(*pile, "--output_dir", out, *OPTIONS))[0] == 0
    assert written(out) == whole


@pytest.mark.parametrize("names", [("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")])
def test_a_launcher_says_which_rank_it_is(pile, whole, tmp_path, names):
    out = tmp_path / "out"
    ends = [end(start(pile, out, 0, **dict(zip(names, (str(rank), "2"), strict=True)))) for rank in range(2)]
    assert [code for code, _ in ends] == [0, 0] and "rank 0 is done" in ends[0][1]
    assert written(out) == whole


def test_all_end_together_and_the_dataset_is_made_once(pile, whole, tmp_path):
    out = tmp_path / "out"
    again = [start(pile, out, rank % 2, 2) for rank in range(6)]  # each rank three times, as a scheduler may do
    assert [end(process)[0] for process in again] == [0] * 6
    assert written(out) == whole


def test_files_that_ranks_see_differently_are_told(tmp_path):
    pile, out = draw_dataset(tmp_path / "pile", 6), tmp_path / "out"
    assert end(start([pile], out, 0, 2))[0] == 0
    draw_cover(9).save(pile / "cover-0000.png")
    code, line = end(start([pile], out, 1, 2))
    assert code == 0 and "1 are there, made of other files" in line


def test_ranks_that_were_told_other_things_are_refused_and_change_nothing(tmp_path):
    pile, out = draw_dataset(tmp_path / "pile", 6), tmp_path / "out"
    other = draw_dataset(tmp_path / "other", 2)
    told = (pile, "--output_dir", out, *OPTIONS, "--world_size", 2)
    assert program(*told, "--rank", 1)[0] == 0  # there is one part, which is not this rank's
    before = written(out)
    for more, line in (
        (("--world_size", 4, "--rank", 3), "world_size is 4 here, and 2 where the ranks of this folder began"),
        (("--rank", 0, "--hash_distance", 4), "hash_distance is 4 here, and 8 where"),
        (("--rank", 0, "--resolution", 48), "resolution is 48 here, and 32 where"),
        (("--rank", 0, "--keep_duplicates"), "keep_duplicates is true here, and false where"),
        (("--rank", 0, "--exclude", other), 'exclude is ["other"] here, and [] where'),
        (("--rank", 0, "--labels", "folder"), 'labels is "folder" here, and null where'),
    ):
        code, said = program(*told, *more)
        assert code == 2 and line in said and ".prepare-unfinished/ranks.json" in said, said
    code, said = program(other, *told[1:], "--rank", 0)
    assert code == 2 and 'sources is ["other"] here, and ["pile"] where' in said
    assert written(out) == before
    (tmp_path / "mount").mkdir()
    moved = pile.rename(tmp_path / "mount/pile")
    assert program(moved, *told[1:], "--rank", 0, "--num_workers", 1)[0] == 0  # as another machine sees it
    assert (out / "report.json").is_file() and not (out / WORK).exists()


def test_who_was_killed_as_it_wrote_what_all_are_told_holds_nobody_up(tmp_path):
    pile, out = draw_dataset(tmp_path / "pile", 4), tmp_path / "out"
    (out / WORK).mkdir(parents=True)
    (out / WORK / "ranks.json").write_text('{"sources": ["pi')
    for rank in range(2):
        assert program(pile, "--output_dir", out, *OPTIONS, "--rank", rank, "--world_size", 2)[0] == 0
    assert (out / "report.json").is_file()


@pytest.mark.parametrize(("of", "says"), [("8", True), ("2", False), ("1", False)])
def test_flags_that_a_launcher_contradicts_are_followed_and_a_line_says_so(tmp_path, monkeypatch, of, says):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", of)
    told = (draw_dataset(tmp_path / "pile", 2), "--output_dir", tmp_path / "out", *OPTIONS)
    done = call(prepare.main, "train.prepare", *told, "--rank", 0, "--world_size", 2)
    line = "train.prepare: --rank 0 of 2 is followed, not RANK, WORLD_SIZE, which say 0 of 8"
    assert done.returncode == 0 and (line in done.stderr.splitlines()) == says


def test_a_launcher_that_says_no_processes_are_here_is_not_believed(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "0")
    told = (tmp_path, "--output_dir", tmp_path / "out", "--resolution", 8)
    done = call(prepare.main, "train.prepare", *told)
    assert done.returncode == 2 and "--resolution 8" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--rank", 1), "go together"),
        (("--world_size", 4), "go together"),
        (("--rank", 4, "--world_size", 4), "4 of 4 is impossible"),
        (("--rank", -1, "--world_size", 4), "must be whole numbers"),
        (("--rank", 0, "--world_size", 0), "0 of 0 is impossible"),
        (("--rank", 0, "--world_size", 10**9), "is impossible"),
        (("--rank", 1, "--world_size", 1), "1 of 1 is impossible"),
        (("--rank", 0, "--world_size", 2, "--overwrite"), "--overwrite is for one process"),
    ],
)
def test_impossible_numbers_are_told_in_one_line(tmp_path, arguments, line):
    pile = draw_dataset(tmp_path / "pile", 2)
    code, said = program(pile, "--output_dir", tmp_path / "out", *OPTIONS, *arguments)
    assert code == 2 and line in said and not (tmp_path / "out").exists()


def test_a_launchers_nonsense_is_told_and_one_process_may_be_alone(tmp_path, monkeypatch):
    pile = draw_dataset(tmp_path / "pile", 2)
    monkeypatch.setenv("RANK", "first")
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, said = program(pile, "--output_dir", tmp_path / "out", *OPTIONS)
    assert code == 2 and "RANK, WORLD_SIZE: must be whole numbers" in said
    assert program(pile, "--output_dir", tmp_path / "out", *OPTIONS, "--world_size", 1)[0] == 0


def test_another_dataset_is_never_taken_for_ones_own(tmp_path):
    pile, out = draw_dataset(tmp_path / "pile", 4), tmp_path / "out"
    numbers = ("--rank", 0, "--world_size", 2)
    assert program(pile, "--output_dir", out, *OPTIONS)[0] == 0
    before = written(out)
    assert program(pile, "--output_dir", out, *OPTIONS, *numbers) == (0, f"{out}: is prepared already")
    code, said = program(pile, "--output_dir", out, *OPTIONS, *numbers, "--resolution", 48)
    assert code == 2 and "holds another dataset" in said
    assert written(out) == before
