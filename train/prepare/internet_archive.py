"""Fetch One Million Audio Cover Images for Research, the item `audio-covers` of the Internet Archive, as tars.

The metadata API lists an item's files with their sizes and checksums (https://archive.org/developers/md-read.html);
a download is redirected to a machine that holds the file. What arrives is kept in `<name>.part`, and the next try asks
for the rest alone (range requests: RFC 9110, section 14). A file gets its name once its checksum is right.
"""

import hashlib
import json
import os
import re
import shutil
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from gan.errors import first_line
from train.cli import UserError
from train.files import lock


ITEM = "audio-covers"
LETTER = "[a-z0-9]+"  # a part of file names: nothing in it may lead out of a folder
CHUNK_BYTES = 1024**2
TRIES, LONGEST_PAUSE = 8, 60.0  # failures in a row without a new byte, seconds; two minutes in all
LONGEST_ASKED_PAUSE = 600.0  # seconds, where the server asks for a pause
WORTH_A_TRY = {408, 416, 429}  # timeout, range and rate limit: other answers 4xx are final


@dataclass(frozen=True)
class Remote:
    """Hold a file as the archive lists it: its size in bytes, and its checksum by `algorithm`, sha1 or md5."""

    url: str
    name: str
    size: int
    algorithm: str
    digest: str


def parse_letters(text: str) -> list[str]:
    """Return the letters of a list such as `x,y`, in lower case, each once.

    Raises:
        UserError: the text is no list of letters or digits.
    """
    letters = [letter.strip().lower() for letter in text.split(",")]
    if not all(re.fullmatch(LETTER, letter) for letter in letters):
        raise UserError(f"--archive_letters {text!r}: must be letters or digits with commas between them, such as x,y")
    return list(dict.fromkeys(letters))


def fetch_letters(letters: list[str], folder: Path, pause: float = 1.0, timeout: float = 60.0) -> list[Path]:
    """Fetch `album_covers_<letter>.tar` into a folder, going on where an earlier call stopped; return the paths.

    A whole file of the right size is not checked again: it got its name because its checksum was right.

    Args:
        letters: as `parse_letters` returns them.
        folder: where to keep the tars; created if it is missing.
        pause: seconds before the second try; the next pauses are longer.
        timeout: seconds without a byte after which a connection counts as lost.

    Raises:
        UserError: the archive has no such letter, cannot be reached or sends something else than it lists; the folder
            cannot be written, is too full, holds another file of that name, or another process fetches into it.
    """
    remotes = _list_files(pause, timeout)
    if unknown := ",".join(letter for letter in letters if letter not in remotes):
        raise UserError(f"--archive_letters {unknown}: the archive has only {','.join(sorted(remotes))}")
    wanted = [remotes[letter] for letter in letters]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_space(wanted, folder)
        return [_fetch(remote, folder, pause, timeout) for remote in wanted]
    except OSError as problem:  # of the disk: those of the network never come this far
        where = problem.filename or folder
        raise UserError(f"{where}: cannot be written: {problem.strerror or problem}", 1) from None


def _list_files(pause: float, timeout: float) -> dict[str, Remote]:
    """Return the tars that the archive lists, by their letter."""
    server = os.environ.get("ARCHIVE_ENDPOINT", "https://archive.org").rstrip("/")
    if not re.match("https?://", server):
        raise UserError(f"ARCHIVE_ENDPOINT {server}: must begin with https:// or http://")
    patience = _Patience(f"{server}/metadata/{ITEM}", pause)
    while True:
        try:
            with _open(patience.url, timeout) as answer:
                entries = dict(json.load(answer)).get("files", [])  # an item that is not there is {}
                break
        except (OSError, HTTPException, ValueError, TypeError) as problem:
            patience.wait(problem)
    remotes = {}
    for entry in entries:
        name, algorithm = entry["name"], "sha1" if "sha1" in entry else "md5"
        letter = re.fullmatch(rf"album_covers_({LETTER})\.tar", name)
        if letter and "size" in entry and algorithm in entry:
            url = f"{server}/download/{ITEM}/{name}"
            remotes[letter[1]] = Remote(url, name, int(entry["size"]), algorithm, entry[algorithm])
    if not remotes:
        raise UserError(f"{patience.url}: lists no album_covers_<letter>.tar", 1)
    return remotes


def _check_space(wanted: list[Remote], folder: Path) -> None:
    """Raise UserError unless the disk has room for what is missing."""
    missing = [remote for remote in wanted if not (folder / remote.name).exists()]
    parts = [folder / f"{remote.name}.part" for remote in missing]
    needed = sum(remote.size for remote in missing) - sum(part.stat().st_size for part in parts if part.exists())
    if needed > (free := shutil.disk_usage(folder).free):
        wants, has = (tqdm.format_sizeof(size, "B") for size in (needed, free))
        raise UserError(f"{folder}: too full: {wants} are to be fetched, {has} are free", 1)


def _fetch(remote: Remote, folder: Path, pause: float, timeout: float) -> Path:
    """Fetch one tar, check it and give it its name; with a wrong checksum it is fetched once more from its start."""
    whole, part = folder / remote.name, folder / f"{remote.name}.part"
    if whole.exists():
        if whole.stat().st_size != remote.size:
            raise UserError(f"{whole} is not the archive's file of {remote.size} bytes; move it away")
        return whole
    with open(part, "a+b") as file:
        lock_part(file, part)
        for _ in range(2):
            _download(remote, file, pause, timeout)
            file.seek(0)
            right = hashlib.file_digest(file, remote.algorithm).hexdigest() == remote.digest
            if right:
                break
            file.truncate(0)
            _say(f"{remote.name}: wrong {remote.algorithm} checksum")
        if os.name == "nt":  # Windows neither moves nor deletes an open file; elsewhere the lock must last until then
            file.close()
        if not right:
            part.unlink()
            raise UserError(f"{remote.name}: came twice with a wrong {remote.algorithm} checksum and was deleted", 1)
        part.replace(whole)
    return whole


def lock_part(file: BinaryIO, part: Path) -> None:
    """Lock a file that is being fetched, or raise UserError: another process fetches it, or has just finished it."""
    # Between our opening and locking it, another process may have finished: then this is the whole file.
    if not (lock(file) and part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat())):
        raise UserError(f"{part}: another process is fetching it; wait for it, then run this again", 1)


def _download(remote: Remote, file: BinaryIO, pause: float, timeout: float) -> None:
    """Append to a file what it lacks, or write it anew, until it has the right size."""
    begin = file.seek(0, os.SEEK_END)
    begin = begin if begin <= remote.size else 0
    interval = 0.5 if sys.stderr.isatty() else 30
    bar = tqdm(total=remote.size, initial=begin, desc=remote.name, unit="B", unit_scale=True, mininterval=interval)
    with bar:
        for position, chunk in _chunks(remote, begin, _Patience(remote.url, pause), timeout):
            if position == 0:
                file.truncate(0)
            file.write(chunk)
            bar.update(position + len(chunk) - bar.n)


def _chunks(remote: Remote, position: int, patience: "_Patience", timeout: float) -> Iterator[tuple[int, bytes]]:
    """Yield (position, bytes) from a position to the end; a server that ignores ranges starts anew at position 0."""
    furthest = position
    while position < remote.size:
        try:
            with _open(remote.url, timeout, position) as answer:
                position = _check_begin(answer, position, remote.size)
                # read1 gives what has arrived; read would wait for all, and lose it where the connection fails
                while chunk := answer.read1(min(CHUNK_BYTES, remote.size - position)):
                    yield position, chunk
                    position += len(chunk)
                if position < remote.size:
                    raise ConnectionError("the connection ended early")
        except (OSError, HTTPException) as problem:
            if position > furthest:
                furthest, patience.failures = position, 0
            if getattr(problem, "code", None) == 416:  # the server's file ends before ours does
                position = 0
            patience.wait(problem)


def _check_begin(answer: HTTPResponse, position: int, size: int) -> int:
    """Return where an answer begins: at the position asked for, or at 0 from a server that ignores ranges.

    Raises:
        ConnectionError: the answer is no part of the file.
    """
    given = answer.headers["Content-Range"] or ""
    if answer.status == 206 and given.startswith(f"bytes {position}-{size - 1}/"):
        return position
    if answer.status == 200 and answer.headers["Content-Length"] in (None, str(size)):
        return 0
    # a network's login page, say: what is there already must not be lost for it
    raise ConnectionError(f"answer {answer.status} is not the rest of a file of {size} bytes")


def _open(url: str, timeout: float, position: int = 0) -> HTTPResponse:
    headers = {"User-Agent": "album-cover-gan (train.prepare)"}
    if position:
        headers["Range"] = f"bytes={position}-"
    return urlopen(Request(url, headers=headers), timeout=timeout)


class _Patience:
    """Count the failures in a row that brought nothing new, and wait longer after each."""

    def __init__(self, url: str, pause: float):
        self.url, self.pause, self.failures = url, pause, 0

    def wait(self, problem: Exception) -> None:
        """Sleep until the next try, at least as long as the server asks for (Retry-After, in seconds).

        Raises:
            UserError: another try would be of no use, or this was the last one.
        """
        self.failures += 1
        seconds = min(self.pause * 2 ** (self.failures - 1), LONGEST_PAUSE)
        hopeless = False
        if isinstance(problem, HTTPError):
            problem.close()
            if (asked := problem.headers["Retry-After"] or "").isdecimal():
                seconds = max(seconds, min(int(asked), LONGEST_ASKED_PAUSE))
            hopeless = problem.code < 500 and problem.code not in WORTH_A_TRY
        elif isinstance(problem, URLError):
            hopeless = isinstance(problem.reason, ssl.SSLCertVerificationError)
        why = f"{self.url}: {first_line(problem.reason if type(problem) is URLError else problem)}"
        if hopeless:
            raise UserError(why, 1)
        if self.failures == TRIES:
            raise UserError(f"{why}; run this again to go on", 1)
        _say(f"{why}; next try in {seconds:.0f} s")
        time.sleep(seconds)


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)
