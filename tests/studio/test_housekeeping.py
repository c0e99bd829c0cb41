"""The page's folder of files: by age and in sum, whatever lies in it."""

import contextlib
import contextvars
import json
import os
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from gan.studio.checks import Refused
from gan.studio.pool import NICENESS, Pool, heavy
from gan.studio.shell.housekeeping import FOLDER, PIECE, sweep
from gan.studio.shell.shares import ANSWERED
from tests.helpers.serving import free_port, serving


def put(folder: Path, name: str, size: int, age: float) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    os.utime(file, (time.time() - age, time.time() - age))
    return file


def test_old_files_and_emptied_folders_go(tmp_path: Path):
    old, new = put(tmp_path, "a/old.png", 10, 4000), put(tmp_path, "b/new.png", 10, 100)
    assert sweep(tmp_path) == PIECE + FOLDER
    assert not old.exists() and not old.parent.exists() and new.exists() and tmp_path.exists()


def test_of_too_many_the_oldest_go_and_the_newest_stay(tmp_path: Path):
    made = [put(tmp_path, f"{age}/cover.png", 100, age) for age in (500, 400, 300, 200, 1)]
    one = PIECE + FOLDER
    assert sweep(tmp_path, largest=5 * one // 2) == 2 * one
    assert [file.exists() for file in made] == [False, False, False, True, True]
    assert sweep(tmp_path, largest=0) == one and made[-1].exists()  # somebody is about to fetch it


def test_small_files_count_for_what_they_take_of_a_disk(tmp_path: Path):
    """A million uploads of one byte each are a megabyte by their sizes, and eight gigabytes of the disk."""
    for number in range(100):
        put(tmp_path, f"{number}/a.bin", number % 2, 60)
    assert sweep(tmp_path, largest=30 * (PIECE + FOLDER)) <= 30 * (PIECE + FOLDER)
    assert 20 <= len([*tmp_path.glob("*/*")]) < 45


def test_half_of_a_small_disk_stays_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of a container's /tmp of 64 MB, say, on which a gigabyte never is."""
    for number in range(100):
        put(tmp_path, f"{number}/a.bin", PIECE, 60)
    one = PIECE + FOLDER
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=20 * one))
    assert sweep(tmp_path) == 60 * one


def test_files_from_the_future_go_as_old_ones_do(tmp_path: Path):
    ahead = put(tmp_path, "a/ahead.png", 10, -90_000)  # the clock has been set back
    sweep(tmp_path)
    assert not ahead.exists()


def test_links_are_removed_and_never_followed(tmp_path: Path):
    outside = put(tmp_path, "outside/diary.txt", 10, 9000)
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "file").symlink_to(outside)
    (folder / "folder").symlink_to(outside.parent)
    os.mkfifo(folder / "fifo")
    (folder / "nowhere").symlink_to("gone")
    sweep(folder, oldest=0, newest=0)
    assert outside.read_bytes() == b"x" * 10 and not any(folder.iterdir())


def test_it_survives_whatever_changes_meanwhile(tmp_path: Path):
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with contextlib.suppress(FileNotFoundError):  # the folder went between making it and writing into it
                put(tmp_path, f"{number % 50}/{number}.png", 100, 50)
            time.sleep(0.001)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for _ in range(20):
        sweep(tmp_path, largest=9000)
    stop.set()
    for writer in writers:
        writer.join()
    assert sweep(tmp_path, largest=9000) <= 9000
    assert sweep(tmp_path / "gone") == 0


def test_who_comes_when_too_many_wait_is_told_so():
    pool, go, inside = Pool(workers=1, waiting=1), threading.Event(), []

    def work() -> int:
        go.wait(10)
        return 7

    waiting = [threading.Thread(target=lambda: inside.append(pool.run(work))) for _ in range(2)]
    for thread in waiting:
        thread.start()
    time.sleep(0.1)
    with pytest.raises(Refused, match="too many visitors"):
        pool.run(work)
    go.set()
    for thread in waiting:
        thread.join()
    assert inside == [7, 7] and pool.run(work) == 7


def test_one_visitor_has_half_of_the_places():
    pool, go = Pool(workers=1, waiting=3), threading.Event()

    def ask(who: str) -> int:
        ANSWERED.set(who)
        return pool.run(lambda: go.wait(10) and 7)

    def asking(who: str) -> Future[int]:
        asked = visitors.submit(contextvars.copy_context().run, ask, who)
        time.sleep(0.1)
        return asked

    with ThreadPoolExecutor(9) as visitors:
        first = [asking("a") for _ in range(4)]
        others = [asking("b"), asking("")]
        late = asking("c")
        go.set()
        refused = [one.exception() is not None for one in [*first, *others, late]]
    assert refused == [False, False, True, True, False, False, True]
    assert contextvars.copy_context().run(ask, "a") == 7


def test_heavy_work_leaves_the_processor_to_covers():
    niceness = heavy(lambda: os.getpriority(os.PRIO_PROCESS, 0))
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert niceness() == before + NICENESS if sys.platform == "linux" else before
    assert heavy(niceness)() == niceness() and os.getpriority(os.PRIO_PROCESS, 0) == before  # no deadlock within
    asked: contextvars.ContextVar[str] = contextvars.ContextVar("asked")
    asked.set("a visitor")
    assert heavy(asked.get)() == "a visitor"


def test_each_page_has_a_folder_of_its_own(tiny_pipeline_folder: Path, tmp_path: Path):
    """Two pages on one machine: when one ends, what the other made is still there; what a killed one left goes."""
    killed = put(tmp_path, "album-covers-0123456789abcdef/a/cover.png", 10, 0).parent.parent
    living = put(tmp_path, "album-covers-0123456789abcde0/a/cover.png", 10, 0)
    others = [put(tmp_path, "album-covers-mine/a.png", 10, 0), put(tmp_path, "pictures/a.png", 10, 0)]
    for folder in (killed, others[0].parent, others[1].parent):
        os.utime(folder, (time.time() - 90000, time.time() - 90000))
    environment = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path)}

    def command() -> list[str | Path]:
        return [sys.executable, "app.py", "--model", tiny_pipeline_folder, "--port", free_port()]

    with serving(command(), environment=environment) as (address, _, _):
        with serving(command(), environment=environment) as (other, _, _):
            kept = generate(address)
            generate(other)
            assert len({*tmp_path.glob("*/*/*.png")} - {living}) == 2
        assert httpx.get(kept, trust_env=False).content.startswith(b"\x89PNG")
    assert [*tmp_path.glob("*/*/*")] == [living] and not killed.exists() and all(file.exists() for file in others)


def generate(address: str) -> str:
    """Where a cover lies that a page was asked for."""
    with httpx.Client(base_url=f"{address}gradio_api/call/v2/generate", timeout=60, trust_env=False) as http:
        event = http.post("", json={"seed": 1}).json()["event_id"]
        return json.loads(http.get(event).text.rpartition("data: ")[2])[0]["url"]
