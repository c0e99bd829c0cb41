"""Files that are there whole or not at all, and folders that belong to one process at a time."""

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what the system says of a full disk, a quota, a limit
NEW = ".new-"  # begins the names of files that are being written, or that a killed process was writing
# What systems and programs leave among people's files, in lower case. A closed list, because a title may begin with
# dots: "...And Justice".
JUNK = {
    *(
        ".appledouble",
        ".ds_store",
        ".fseventsd",
        ".spotlight-v100",
        ".temporaryitems",
        ".trashes",
        "__macosx",
        "icon\r",
    ),
    *("$recycle.bin", "desktop.ini", "ehthumbs.db", "system volume information", "thumbs.db"),
    *(".cache", ".directory", ".nomedia", ".picasa.ini", ".thumbnails", ".trash", "#recycle", "@eadir"),
    *(".git", ".gitattributes", ".gitignore", ".gitkeep", ".hg", ".ipynb_checkpoints", ".svn"),
    *(".dropbox", ".dropbox.cache", ".prepare-unfinished", ".snapshot", ".stfolder", ".sync", "lost+found"),
}
JUNK_PATTERN = re.compile(
    r"\._.*|\.trash-.*|\.syncthing\..*|\.new-.*|\.nfs[0-9a-f]+|\.push-.*|\..*\.sw[a-z]|~\$.*", re.DOTALL
)


def is_junk(path: str) -> bool:
    """Return whether a path is, or lies in, what a system or program leaves behind."""
    return any(part in JUNK or JUNK_PATTERN.fullmatch(part) for part in path.lower().split("/"))


def is_empty(folder: Path) -> bool:
    """Return whether a folder, or a disk, holds nothing of anybody's, but perhaps what its system put there."""
    return all(is_junk(path.name) for path in folder.iterdir())


def lock(opened: int | IO[bytes], shared: bool = False) -> bool:
    """Take an open file or folder for this process alone, until it is closed; False where another one has it.

    Where there are no locks (Windows, some disks) everybody gets it. With `shared` all may have it that share it.
    """
    try:
        if fcntl is not None:
            fcntl.flock(opened, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk that knows no locks
        pass
    return True


def write_atomically(file: Path, content: bytes | memoryview) -> None:
    """Replace `file` by `content`; whoever reads it meanwhile sees the old or the new, never a part."""
    with replacing(file) as new:
        new.write(content)


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write to, which takes the place of `target` once it is whole and on the disk."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=NEW, delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise
