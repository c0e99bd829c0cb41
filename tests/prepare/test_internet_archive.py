"""Fetching from the Internet Archive: the real downloader, over real sockets, from a server that fails on demand."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.helpers import programs
from tests.helpers.archive_server import NAME, TAR, Archive
from tests.helpers.programs import Program
from train.cli import UserError
from train.prepare.internet_archive import fetch_letters, lock_part, parse_letters


ROOT = Path(__file__).parents[2]
PROGRAM = """
import signal, sys
from pathlib import Path
from train.cli import run
from train.prepare.internet_archive import fetch_letters, parse_letters
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell switches off for what runs in its background
run(lambda: str(fetch_letters(parse_letters(sys.argv[1]), Path(sys.argv[2]), 0.01)[0]), "fetch")
"""


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    with Archive() as server:
        monkeypatch.setenv("ARCHIVE_ENDPOINT", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


fetch = partial(fetch_letters, pause=0.01)


def refused(folder: Path, letters: str = "x", **more: float) -> tuple[str, int]:
    """What `fetch_letters` says, which is one line, and the exit code."""
    with pytest.raises(UserError) as mistake:
        fetch(letters.split(","), folder, **more)
    assert "\n" not in str(mistake.value)
    return str(mistake.value), mistake.value.code


def start(folder: Path, letters: str = "x") -> Program:
    return programs.start([sys.executable, "-c", PROGRAM, letters, folder])


def end(process: Program) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out.strip(), err.strip()


def wait_for(size: int, part: Path) -> None:
    for _ in range(3000):
        if part.exists() and part.stat().st_size >= size:
            return
        time.sleep(0.01)
    raise AssertionError(f"{part} has no {size} bytes after half a minute")


def only(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


@pytest.mark.parametrize("text, letters", [("x", ["x"]), ("x, Y ,7", ["x", "y", "7"]), ("b,a,b", ["b", "a"])])
def test_letters(text: str, letters: list[str]):
    assert parse_letters(text) == letters


@pytest.mark.parametrize("text", ["", "x,", "x y", "../x", "x/y", ".", "é", "*", "x\n.", "x\0"])
def test_what_is_no_letter(text: str):
    with pytest.raises(UserError, match=r"^--archive_letters .*such as x,y$") as mistake:
        parse_letters(text)
    assert mistake.value.code == 2


def test_files_come_whole_and_in_the_order_asked_for(archive: Archive, tmp_path: Path):
    folder = tmp_path / "new" / "folder"
    assert fetch(["x", "7"], folder) == [folder / NAME, folder / "album_covers_7.tar"]
    assert (folder / NAME).read_bytes() == TAR
    assert (folder / "album_covers_7.tar").read_bytes() == TAR[::-1]
    assert only(folder, NAME, "album_covers_7.tar")
    assert archive.agents == {"album-cover-gan (train.prepare)"}


def test_what_is_there_is_not_fetched_again(archive: Archive, tmp_path: Path):
    fetch(["x"], tmp_path)
    assert fetch(["x"], tmp_path) == [tmp_path / NAME]
    assert archive.sent() == len(TAR)


def test_another_file_of_that_name_stays(archive: Archive, tmp_path: Path):
    (tmp_path / NAME).write_bytes(b"mine")
    line, code = refused(tmp_path)
    assert "300000 bytes; move it away" in line and code == 2
    assert (tmp_path / NAME).read_bytes() == b"mine" and only(tmp_path, NAME)


def test_dropped_connections(archive: Archive, tmp_path: Path):
    archive.script = [f"drop {size}" for size in (100_000, 1, 50_000, 0, 7, 100, 1000, 3, 11, 70_000)]
    fetch(["x"], tmp_path)
    assert (tmp_path / NAME).read_bytes() == TAR
    assert archive.sent() == len(TAR)  # no byte twice, though more tries failed than may fail in a row
    assert [wanted for wanted, _, _ in archive.asked[:4]] == [None, "bytes=100000-", "bytes=100001-", "bytes=150001-"]


def test_a_reset_connection_keeps_what_had_come(archive: Archive, tmp_path: Path):
    archive.script = ["reset 100000"]
    process = start(tmp_path)
    wait_for(90_000, tmp_path / f"{NAME}.part")
    archive.go_on.set()
    assert end(process)[0] == 0
    assert (tmp_path / NAME).read_bytes() == TAR
    assert int(archive.asked[1][0].removeprefix("bytes=").removesuffix("-")) >= 90_000


def test_a_connection_that_falls_silent(archive: Archive, tmp_path: Path):
    archive.script = ["stall 100000", "stall 0"]
    fetch(["x"], tmp_path, timeout=0.3)
    assert (tmp_path / NAME).read_bytes() == TAR and archive.sent() == len(TAR)
    assert not archive.outwaited


def test_a_server_that_ignores_ranges(archive: Archive, tmp_path: Path):
    archive.script = ["drop 100000", "ignore"]
    fetch(["x"], tmp_path)
    assert (tmp_path / NAME).read_bytes() == TAR
    assert [status for _, status, _ in archive.asked] == [200, 200]


def test_a_server_that_never_comes_to_the_end(archive: Archive, tmp_path: Path):
    archive.script = ["ignore 100000"] * 100  # as much comes again and again: that is no progress
    line, code = refused(tmp_path)
    assert line.endswith("the connection ended early; run this again to go on") and code == 1
    assert len(archive.asked) == 8
    assert (tmp_path / f"{NAME}.part").read_bytes() == TAR[:100_000]


@pytest.mark.parametrize("fault", ["page", "shifted"])
def test_an_answer_that_is_something_else_is_not_kept(archive: Archive, tmp_path: Path, fault: str):
    archive.script = ["drop 100000", fault]
    fetch(["x"], tmp_path)
    assert (tmp_path / NAME).read_bytes() == TAR
    assert archive.asked[2][0] == "bytes=100000-"  # what was there already is not lost


@pytest.mark.parametrize("left", [TAR[:1000], TAR, TAR + b"more", b"", bytes(len(TAR) + 1)])
def test_a_part_that_an_earlier_run_left(archive: Archive, tmp_path: Path, capsys, left: bytes):
    (tmp_path / f"{NAME}.part").write_bytes(left)
    fetch(["x"], tmp_path)
    assert (tmp_path / NAME).read_bytes() == TAR and only(tmp_path, NAME)
    assert archive.sent() == (len(TAR) - len(left) if len(left) <= len(TAR) else len(TAR))
    assert "checksum" not in capsys.readouterr().err


def test_a_server_whose_file_is_shorter_than_the_part(archive: Archive, tmp_path: Path):
    (tmp_path / f"{NAME}.part").write_bytes(TAR[:200_000])
    archive.files[NAME], archive.listed[NAME] = TAR[:200_000], {"size": str(len(TAR))}
    line, _ = refused(tmp_path)
    assert "run this again" in line
    assert (archive.asked[0][1], archive.asked[1][0]) == (416, None)


@pytest.mark.parametrize("fault", ["503", "429", "500", "502", "408"])
def test_a_busy_server(archive: Archive, tmp_path: Path, fault: str):
    archive.script = [f"metadata {fault}", fault, fault, "drop 5"]
    fetch(["x"], tmp_path)
    assert (tmp_path / NAME).read_bytes() == TAR


def test_the_pause_that_a_server_asks_for(archive: Archive, tmp_path: Path):
    archive.script = ["503 1", "429 Fri, 01 Jan 2100 00:00:00 GMT"]
    fetch(["x"], tmp_path)
    assert archive.times[1] - archive.times[0] >= 1
    assert len(archive.times) == 3


@pytest.mark.parametrize("fault", ["404", "403"])
def test_a_file_that_is_not_given_out(archive: Archive, tmp_path: Path, fault: str):
    archive.script = [fault]
    line, code = refused(tmp_path)
    assert fault in line and code == 1
    assert len(archive.asked) == 1  # asking again would not help


def test_a_server_that_stays_busy(archive: Archive, tmp_path: Path):
    archive.script = ["drop 1000"] + ["503"] * 100
    line, code = refused(tmp_path)
    assert "503" in line and "run this again to go on" in line and code == 1
    assert len(archive.asked) == 8
    assert (tmp_path / f"{NAME}.part").read_bytes() == TAR[:1000]


@pytest.mark.parametrize("gone", [None, "sha1"])
def test_a_wrong_checksum_once(archive: Archive, tmp_path: Path, capsys, gone: str | None):
    archive.listed[NAME] = {gone: None} if gone else {}
    archive.script = ["corrupt"]
    fetch(["x"], tmp_path)
    assert (tmp_path / NAME).read_bytes() == TAR
    assert f"{NAME}: wrong {'md5' if gone else 'sha1'} checksum" in capsys.readouterr().err


def test_a_wrong_checksum_twice(archive: Archive, tmp_path: Path):
    archive.script = ["corrupt", "corrupt"]
    line, code = refused(tmp_path)
    assert line == f"{NAME}: came twice with a wrong sha1 checksum and was deleted" and code == 1
    assert only(tmp_path)
    assert len(archive.asked) == 2


def test_an_unknown_letter(archive: Archive, tmp_path: Path):
    line, code = refused(tmp_path / "new", "x,q,z")
    assert line == "--archive_letters q,z: the archive has only 7,x" and code == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("letter", ["../x", "x/../../y", "/etc/x"])
def test_no_name_leads_out_of_the_folder(archive: Archive, tmp_path: Path, letter: str):
    archive.files[f"album_covers_{letter}.tar"] = TAR
    line, _ = refused(tmp_path / "in", letter)
    assert line.endswith("the archive has only 7,x")
    assert not (tmp_path / "in").exists() and not archive.asked


@pytest.mark.parametrize("files", [{}, {"readme.txt": b"hello"}])
def test_an_item_without_covers(archive: Archive, tmp_path: Path, files: dict[str, bytes]):
    archive.files = files
    line, code = refused(tmp_path)
    assert line == f"{archive.url}/metadata/audio-covers: lists no album_covers_<letter>.tar" and code == 1


@pytest.mark.parametrize("fault", ["drop", "page"])
def test_a_file_list_that_comes_broken(archive: Archive, tmp_path: Path, fault: str):
    archive.script = [f"metadata {fault}"]
    assert fetch(["x"], tmp_path) == [tmp_path / NAME]


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("ARCHIVE_ENDPOINT", address)
    line, code = refused(tmp_path, pause=0.001)
    assert line.startswith(f"{address}/metadata/audio-covers: ") and "refused" in line and code == 1


@pytest.mark.parametrize("address", ["archive.org", "file:///etc", ""])
def test_an_endpoint_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str):
    monkeypatch.setenv("ARCHIVE_ENDPOINT", address)
    assert refused(tmp_path) == (f"ARCHIVE_ENDPOINT {address}: must begin with https:// or http://", 2)


def test_a_server_that_vanishes(archive: Archive, tmp_path: Path):
    archive.script = ["stall 100000"]
    process = start(tmp_path)
    wait_for(1, tmp_path / f"{NAME}.part")
    archive.shutdown()
    archive.server_close()
    archive.go_on.set()
    code, _, err = end(process)
    assert code == 1 and "refused; run this again to go on" in err.splitlines()[-1] and "Traceback" not in err
    assert TAR.startswith((tmp_path / f"{NAME}.part").read_bytes())


def test_a_folder_that_cannot_be_made(archive: Archive, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "in"):
        line, code = refused(folder)
        assert line.startswith(str(folder)) and "cannot be written" in line and code == 1


def test_too_little_space(archive: Archive, tmp_path: Path):
    archive.listed[NAME] = {"size": str(10**18)}
    line, code = refused(tmp_path)
    assert line.startswith(f"{tmp_path}: too full: 1.00EB are to be fetched, ") and code == 1
    assert not archive.asked and only(tmp_path)


def test_a_disk_that_fills_up(archive: Archive, tmp_path: Path):
    """A limit on file sizes stands for the full disk: to the program both are a write that fails."""
    command = ["bash", "-c", 'ulimit -f 100; exec "$@"', "-", sys.executable, "-c", PROGRAM, "x", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith(f"fetch: {tmp_path}") and "cannot be written" in last, done.stderr
    assert "Traceback" not in done.stderr
    assert fetch(["x"], tmp_path) and (tmp_path / NAME).read_bytes() == TAR
    assert archive.asked[1][0].startswith("bytes=")  # what had been written was kept


@pytest.mark.parametrize("how, code", [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_process_that_is_stopped_in_the_middle(archive: Archive, tmp_path: Path, how: signal.Signals, code: int):
    archive.script = ["stall 200000"]
    process = start(tmp_path)
    part = tmp_path / f"{NAME}.part"
    wait_for(100_000, part)
    process.send_signal(how)
    returned, _, err = end(process)
    assert returned == code and "Traceback" not in err
    kept, requests = part.read_bytes(), len(archive.asked)
    assert TAR.startswith(kept) and len(kept) >= 100_000

    assert end(start(tmp_path))[:2] == (0, str(tmp_path / NAME))
    assert (tmp_path / NAME).read_bytes() == TAR and only(tmp_path, NAME)
    assert archive.asked[requests][0] == f"bytes={len(kept)}-"
    assert archive.sent(since=requests) == len(TAR) - len(kept)


def test_a_file_that_another_process_fetches(archive: Archive, tmp_path: Path):
    archive.script = ["stall 200000"]
    process = start(tmp_path)
    part = tmp_path / f"{NAME}.part"
    wait_for(100_000, part)
    line, code = refused(tmp_path)
    assert line == f"{part}: another process is fetching it; wait for it, then run this again" and code == 1
    assert TAR.startswith(part.read_bytes()) and part.stat().st_size >= 100_000
    archive.go_on.set()
    assert end(process)[0] == 0
    assert (tmp_path / NAME).read_bytes() == TAR and archive.sent() == len(TAR)


@pytest.mark.parametrize("again", [False, True])
def test_a_part_that_became_the_whole_file_before_it_was_locked(tmp_path: Path, again: bool):
    part = tmp_path / f"{NAME}.part"
    with open(part, "a+b") as file:
        part.replace(tmp_path / NAME)
        if again:
            part.touch()
        with pytest.raises(UserError, match="another process is fetching it"):
            lock_part(file, part)


def test_many_processes_at_once(archive: Archive, tmp_path: Path):
    archive.script = ["drop 1000"] * 20
    ended = [end(process) for process in [start(tmp_path) for _ in range(8)]]
    assert any(code == 0 for code, _, _ in ended)
    assert all(code == 0 or err.endswith("run this again") for code, _, err in ended), ended
    assert (tmp_path / NAME).read_bytes() == TAR and only(tmp_path, NAME)


def test_the_bar_begins_where_the_file_does(archive: Archive, tmp_path: Path):
    (tmp_path / f"{NAME}.part").write_bytes(TAR[:150_000])
    _, _, err = end(start(tmp_path))
    assert f"{NAME}:  50%" in err and "150k/300k" in err and "300k/300k" in err
