"""What the page keeps while it runs, and for how long: files by age and in sum, nothing of a visitor's session.

Gradio's own cleaning follows lists of what it wrote, dies when a list changes under it, and keeps folders. Here the
cache folder itself is looked through, whatever lies in it.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import platform
import shutil
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from gradio import Blocks
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import get_upload_folder

from gan.errors import kind_and_place
from gan.own_folder import own_folders_beside
from gan.studio.shell.door import stand_before


OLDEST = 3600  # seconds
LARGEST = 1_000_000_000  # bytes of all files together
PIECE, FOLDER = 4096, 4096  # bytes of a disk: a file takes a whole number of pieces, and each has a folder of its own
NEWEST = 10  # seconds for which a file is kept even when there are too many: somebody is about to fetch it
EVERY = 5  # seconds
ABANDONED = 86400  # seconds without a sign of life after which a page's folder is taken for one that was killed
UNREAD = 60  # seconds for which an answer waits for whoever asked

log = logging.getLogger("gan.studio")


@contextlib.asynccontextmanager
async def housekeeping(server: App) -> AsyncIterator[None]:
    """Put the door before the page, forget sessions, and keep house while the page runs (a lifespan of Starlette)."""
    _keep_memory_together()
    stand_before(server)
    server.state_holder = _Sessions()
    server.state_holder.set_blocks(server.get_blocks())
    folder = Path(get_upload_folder())
    _keep_private(folder)
    await asyncio.to_thread(_clear_abandoned, folder)
    task = asyncio.create_task(_keep_house(server, folder))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        _clear(folder)


async def _keep_house(server: App, folder: Path) -> None:
    unread: dict[str, float] = {}
    while True:
        await asyncio.sleep(EVERY)
        try:
            _drop_unread(server.get_blocks(), unread)
            await asyncio.to_thread(sweep, folder)
            _keep_private(folder)
            os.utime(folder)  # the sign of life
            await asyncio.to_thread(_return_memory)
        except Exception as error:  # it must go on for as long as the page does
            log.error("cleaning: %s", kind_and_place(error))


def _keep_private(folder: Path) -> None:
    """Make the folder, or what Gradio made anew of it: visitors' pictures are nobody else's on this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def sweep(folder: Path, oldest: float = OLDEST, largest: int = LARGEST, newest: float = NEWEST) -> int:
    """Remove files of more than an age, and then the oldest until the sum is below a limit; emptied folders go too.

    Args:
        folder: all that lies in it; links are removed, never followed.
        oldest: seconds.
        largest: bytes that all files take together, and their folders; half of what there is room for is the most.
        newest: seconds for which a file stays whatever the sum is.

    Returns:
        Bytes that the files take that stay, and their folders.
    """
    now, files, total = time.time(), [], 0
    for place, folders, names in os.walk(folder, topdown=False):
        for name in names + folders:
            path = os.path.join(place, name)
            try:
                seen = os.lstat(path)
            except OSError:  # gone meanwhile
                continue
            if stat.S_ISDIR(seen.st_mode):
                if now - seen.st_mtime > newest or not newest:
                    with contextlib.suppress(OSError):  # it is not empty
                        os.rmdir(path)
                continue
            taken = -(-seen.st_size // PIECE) * PIECE + FOLDER
            files.append((seen.st_mtime, taken, path))
            total += taken
    with contextlib.suppress(OSError):  # no such folder: there is nothing to remove
        largest = min(largest, (total + shutil.disk_usage(folder).free) // 2)  # a small disk is never full
    for made, taken, path in sorted(files):
        age = abs(now - made)  # a clock may have been set back
        if age > oldest or not oldest or (total > largest and age > newest):
            with contextlib.suppress(OSError):
                os.unlink(path)
                total -= taken
            if (parent := os.path.dirname(path)) != str(folder):
                with contextlib.suppress(OSError):
                    os.rmdir(parent)
    return total


def _clear(folder: Path) -> None:
    sweep(folder, oldest=0, largest=0, newest=0)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _clear_abandoned(own: Path) -> None:
    """Remove the folders of pages that were killed: those that have long given no sign of life."""
    for folder in own_folders_beside(own):
        with contextlib.suppress(OSError):
            seen = folder.lstat()
            if stat.S_ISDIR(seen.st_mode) and time.time() - seen.st_mtime > ABANDONED:
                _clear(folder)


def _drop_unread(page: Blocks, since: dict[str, float]) -> None:
    """Drop answers that nobody has fetched for a while; `since` says since when, and is brought up to date."""
    queue, now = page._queue, time.monotonic()
    answers, events = queue.pending_messages_per_session, queue.pending_event_ids_session
    for session in [*answers]:
        under_way = any(event in queue.event_ids_to_events for event in events.get(session, ()))
        if under_way:
            since.pop(session, None)
        elif now - since.setdefault(session, now) > UNREAD:
            answers.pop(session, None)
            events.pop(session, None)
    for session in [session for session in since if session not in answers]:
        del since[session]


class _Session(SessionState):
    """Remember nothing of a session: all that a visitor has is in the browser. One serves for all."""

    def __init__(self, page: Blocks):
        self.blocks_config = page.default_config
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False

    def __setitem__(self, key: int, value: object) -> None:
        """Forget it."""

    def _update_value_in_config(self, key: int, value: object) -> None:
        """Forget it."""


class _Sessions(StateHolder):
    """Give every session the one that stays empty; Gradio keeps each one's values and answers, of thousands."""

    def set_blocks(self, blocks: Blocks) -> None:
        super().set_blocks(blocks)
        self._nobody = _Session(blocks)

    def __getitem__(self, session_id: str) -> SessionState:
        return self._nobody


def _keep_memory_together() -> None:
    """Let all threads take memory from two places instead of eight for each core, and large pieces from the system
    itself: what is freed in many places between what is still used cannot be given back."""
    if platform.libc_ver()[0] == "glibc":
        arena_max, mmap_threshold = -8, -3  # of glibc's malloc.h
        ctypes.CDLL(None).mallopt(arena_max, 2)
        ctypes.CDLL(None).mallopt(mmap_threshold, 1 << 18)


def _return_memory() -> None:
    """Give freed memory back to the system, which glibc keeps: pictures come in large pieces, by many threads."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
