"""What the page of runs reads: while somebody writes, of whoever wrote it, and never more than it should."""

import json
import os
import time
from pathlib import Path

import pytest

import app
from gan.health import Health
from gan.run_page import runs
from gan.run_page.runs import MOST_MEASURES, MOST_RUNS, Run, Runs, RunsError
from tests.helpers.drawn_run import EVERY, append, draw_run, line


def read(folder: Path) -> list[dict]:
    return Run(folder).tell()["lines"]


def test_a_run_in_numbers(tmp_path: Path):
    told = Run(draw_run(tmp_path / "run", lines=40)).tell()
    assert len(told["lines"]) == told["count"] == 44 and told["problems"] == told["warnings"] == []
    assert (told["images"], told["total"], told["speed"]) == (40 * EVERY, 160 * EVERY, 16.0)
    assert told["left"] == pytest.approx(120 * EVERY / 16) and told["seconds"] == 40 * EVERY / 16
    assert [images for images, _ in told["sheets"]] == [10 * EVERY, 20 * EVERY, 30 * EVERY, 40 * EVERY]
    assert told["config"]["generator.width"] == "32" and told["config"]["learning_rate"] == "0.0003"
    json.dumps(told, allow_nan=False)


def test_only_what_is_new_is_told(tmp_path: Path):
    run = Run(draw_run(tmp_path / "run", lines=9))
    first = run.tell()
    append(run.folder, line(10), line(11))
    second = run.tell(first["generation"], first["count"])
    assert first["stamp"] != second["stamp"] and second["first"] == 9
    assert [one["images"] for one in second["lines"]] == [10 * EVERY, 11 * EVERY]
    assert run.tell(second["generation"], second["count"])["lines"] == []
    assert len(run.tell(second["generation"] - 1, 5)["lines"]) == 11  # of a page from before
    assert len(run.tell(second["generation"], 99)["lines"]) == 11


def test_a_line_is_read_when_all_of_it_is_written(tmp_path: Path):
    run = Run(draw_run(tmp_path / "run", lines=3))
    whole = json.dumps(line(4)) + "\n"
    for count, part in ((3, whole[:50]), (3, whole[50:-1]), (4, whole[-1:])):
        with open(run.folder / "metrics.jsonl", "a") as file:
            file.write(part)
        told = run.tell()
        assert told["count"] == count and not told["problems"]


def test_a_run_that_goes_on_from_an_earlier_checkpoint_is_read_anew(tmp_path: Path):
    run = Run(draw_run(tmp_path / "run", lines=9))
    before = run.tell()
    file = run.folder / "metrics.jsonl"
    kept = "".join(file.read_text().splitlines(keepends=True)[:5])
    (run.folder / "new").write_text(kept)
    (run.folder / "new").replace(file)
    append(run.folder, *(line(number, loss_g=7.0) for number in range(6, 20)))  # longer than before
    after = run.tell(before["generation"], before["count"])
    assert after["first"] == 0 and after["generation"] != before["generation"]
    assert [one["loss_g"] for one in after["lines"]][5:] == [7.0] * 14
    file.unlink()
    assert run.tell()["lines"] == [] and run.age() is None


@pytest.mark.parametrize(
    "bad",
    [
        b"not JSON",
        b'{"images": NaN}',
        b'{"images": -1}',
        b'{"images": true}',
        b'{"images": 1' + b"0" * 400 + b"}",
        b'{"images": 1' + b"0" * 5000 + b"}",
        b'["images"]',
        b"[" * 9000 + b"]" * 9000,
        b"[" * 100_000,
        b'{"images": 1, "a": "' + b"x" * 9_000_000 + b'"}',
        b'{"images": 1, "a": "' + b"x" * 30_000 + b'"}',
        b"\xff\xfe\x00",
        b'{"loss_g": 1.0}',
    ],
)
def test_what_is_no_line_is_left_out_with_a_word(tmp_path: Path, bad: bytes):
    folder = draw_run(tmp_path / "run", lines=3)
    with open(folder / "metrics.jsonl", "ab") as file:
        file.write(bad + b"\n")
    append(folder, line(4))
    told = Run(folder).tell()
    assert told["count"] == 4 and told["images"] == 4 * EVERY
    assert told["problems"] == ["metrics.jsonl: 1 lines are left out, which are none of a run's"]


def test_only_finite_numbers_with_a_name_are_told(tmp_path: Path):
    folder = draw_run(tmp_path / "run", lines=1)
    strange = {"<script>": 1.0, "a" * 50: 1.0, "text": "x", "list": [1], "yes": True, "huge": 10**300, "fine_1": 2.0}
    append(folder, line(2, loss_g=float("nan"), loss_d=float("inf"), **strange))
    last = read(folder)[-1]
    assert last["fine_1"] == 2.0 and not last.keys() & {"loss_g", "loss_d", *(strange.keys() - {"fine_1"})}


def test_measures_are_counted(tmp_path: Path):
    folder = draw_run(tmp_path / "run", lines=1)
    for number in range(2, 6):
        append(folder, line(number, **{f"m{number}_{place}": 1.0 for place in range(50)}))
    told = read(folder)
    assert len({name for one in told for name in one}) <= MOST_MEASURES and told[-1]["loss_g"]


def test_long_runs_are_thinned_and_no_evaluation_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runs, "MOST_KEPT", 60)
    folder = draw_run(tmp_path / "run", lines=100)
    run = Run(folder)
    told = run.tell()
    assert told["count"] <= 60 + 10 and told["images"] == 100 * EVERY
    assert [one["images"] for one in told["lines"] if one["evaluation"]] == [n * EVERY for n in range(10, 101, 10)]
    append(folder, line(101))
    assert run.tell()["images"] == 101 * EVERY


def test_a_file_without_end_is_read_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runs, "LARGEST_METRICS", 5000)
    monkeypatch.setattr(runs, "LONGEST_LINE", 1000)
    told = Run(draw_run(tmp_path / "run", lines=100)).tell()
    assert 5 < told["count"] < 30 and "beyond 5,000 bytes" in told["problems"][0]


def test_a_line_of_50_megabytes_is_read_once(tmp_path: Path):
    folder = draw_run(tmp_path / "run", lines=3)
    (folder / "metrics.jsonl").write_bytes(b'{"images": 1, "a": "' + b"x" * 50_000_000 + b'"}\n')
    run = Run(folder)
    told = run.tell()
    assert told["lines"] == [] and "beyond 32,000,000 bytes" in str(told["problems"])
    begin = time.process_time()
    run.tell()
    assert time.process_time() - begin < 0.1


@pytest.mark.parametrize("config", ["[" * 100_000, "{", "[]", '{"a": ' + "[" * 900 + "]" * 900 + "}", '"x"', "\0"])
def test_a_config_that_is_none(tmp_path: Path, config: str):
    folder = draw_run(tmp_path / "run", lines=3)
    (folder / "config.json").write_text(config)
    told = Run(folder).tell()
    assert told["count"] == 3 and len(told["problems"]) == (0 if '"a"' in config else 1)
    assert all(len(value) <= 201 for value in told["config"].values())


def test_nothing_is_read_beyond_the_folder(tmp_path: Path):
    secret = tmp_path / "secret"
    draw_run(secret)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text('{"network": "dcgan"}')
    for name in ("metrics.jsonl", "film.webp", "samples"):
        (folder / name).symlink_to(secret / name)
    run = Run(folder)
    told = run.tell()
    assert (told["lines"], told["sheets"], told["film"]) == ([], [], None)
    assert run.sheet(40 * EVERY) is None and run.film() is None
    (folder / "samples").unlink()
    (folder / "samples").mkdir()
    (folder / "samples/images-0000064000.png").symlink_to(secret / "samples/images-0000064000.png")
    assert run.tell()["sheets"] == [] and run.sheet(64000) is None and Run(secret).sheet(64000)


def test_pipes_are_not_opened(tmp_path: Path):
    folder = draw_run(tmp_path / "run", lines=2)
    (folder / "samples").joinpath("images-0000000007.png").unlink(missing_ok=True)
    for name in ("metrics.jsonl", "film.webp", "config.json", "samples/images-0000000007.png"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    run, began = Run(folder), time.monotonic()
    told = run.tell()
    assert told["lines"] == [] and told["film"] is None and run.film() is run.sheet(7) is None
    assert 7 not in dict(told["sheets"]) and time.monotonic() - began < 5
    with pytest.raises(RunsError, match="holds no run"):
        Runs([folder])


def test_sheets_are_pictures_of_a_run_and_no_others(tmp_path: Path):
    folder = draw_run(tmp_path / "run", lines=4, sheets=1)
    png = (folder / f"samples/images-{4 * EVERY:010d}.png").read_bytes()
    samples = folder / "samples"
    (samples / "painted-0000006400.png").write_bytes(png)  # shows real covers
    (samples / "images-0000000001.png").write_bytes(b"<svg onload=alert(1)>")
    (samples / "images-0000000002.png").write_bytes(png[:16] + b"\xff\xff\xff\xff" * 2 + png[24:])
    (samples / "images-0000000003.png").mkdir()
    run = Run(folder)
    assert [images for images, _ in run.tell()["sheets"]] == [1, 2, 4 * EVERY]
    assert run.sheet(4 * EVERY) and run.sheet(1) is run.sheet(2) is run.sheet(3) is None


def test_warnings_are_those_of_the_trainer(tmp_path: Path):
    folder = draw_run(tmp_path / "run", lines=3, gradient_penalty="none")
    won = [line(number, pair_accuracy=1.0, loss_g=9.0) for number in range(4, 40)]
    append(folder, *won, line(40, skipped_updates=3))
    lost, skipped = Run(folder).tell()["warnings"]
    health = Health(penalised=False)
    (expected,) = [said for one in won for said in health.look(one)]
    assert lost == ((3 + 20) * EVERY, expected) and "raise augmentation" in expected
    assert skipped == (40 * EVERY, "3 updates had no finite gradient and were skipped")


def test_a_folder_of_runs_and_runs_by_name(tmp_path: Path):
    draw_run(tmp_path / "runs/größer & 1", lines=1)
    draw_run(tmp_path / "runs/b", lines=1)
    (tmp_path / "runs/c").symlink_to(tmp_path / "runs/b")
    (tmp_path / "runs/notes").mkdir()
    (tmp_path / "runs/notes.txt").write_text("x")
    draw_run(tmp_path / "other/b", lines=1)
    found = Runs([tmp_path / "runs", tmp_path / "other/b", tmp_path / "runs/b"])
    assert list(found.list()) == ["b", "größer & 1", "other/b"]
    same = found.list()["b"]
    draw_run(tmp_path / "runs/a", lines=1)  # begins while the page is open
    assert list(found.list()) == ["a", "b", "größer & 1", "other/b"] and found.list()["b"] is same
    for number in range(MOST_RUNS):
        draw_run(tmp_path / f"runs/new-{number}", lines=0, sheets=0)
    assert len(found.list()) == MOST_RUNS and "a" not in found.list()


@pytest.mark.parametrize("kind", ["none", "file", "empty", "other"])
def test_a_mistake_is_one_line(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture):
    folder = tmp_path / "place"
    if kind == "file":
        folder.write_text("x")
    elif kind != "none":
        folder.mkdir()
    if kind == "other":
        (folder / "notes.txt").write_text("x")
    assert app.main(["--run", str(folder), "--port", "7899"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(folder) in said
    assert ("no such folder" if kind in ("none", "file") else "holds no run") in said


def test_a_run_has_no_public_link(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as stop:
        app.parse(["--run", "runs/first", "--share"])
    assert stop.value.code == 2 and capsys.readouterr().err.count("\n") == 1
