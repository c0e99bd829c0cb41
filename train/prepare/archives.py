"""Tars and zips, packed or not, read member by member and never unpacked to disk.

Whatever is wrong with an archive ends as one refusal in its name, and what came before is used. Its headers are read
within limits, as its members are: they come from strangers, too.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from tqdm import tqdm

from gan.pictures import without_quotes
from train.files import is_junk
from train.prepare.items import MAX_BYTES, Item, Place, text, too_large


TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".cbt")
ZIP_SUFFIXES = (".zip", ".cbz")
ARCHIVE_SUFFIXES = (*TAR_SUFFIXES, *ZIP_SUFFIXES)
USTAR = b"ustar"  # at byte 257
GZIP, BZIP2, XZ, ZSTANDARD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
PACKED = (GZIP, BZIP2, XZ, ZSTANDARD)
ZIP = (b"PK\3\4", b"PK\5\6")  # `zipfile.is_zipfile` looks at the end, and takes a tar that ends with a zip for one
LARGEST_HEADER = 1024**2  # of a tar's member, its long name and PAX records included
LARGEST_PADDING = 16 * 1024**2  # of zeros behind the end of a tar
LARGEST_SKIP = 16 * 1024**3  # of a member that is passed over in a packed tar, where all of it must be unpacked
# Covers do not shrink when they are packed. What grows more than so many times, and to more than 4 GiB, holds none; a
# megabyte of Zstandard may say that it is a hundred gigabytes.
GROWTH, ALWAYS_UNPACKED = 100, 4 * 1024**3
# Of a zip: its list of members. Each becomes an object of up to 20 times as many bytes; of an archive in a packed one
# even the list may come from next to nothing.
LARGEST_LIST, LARGEST_INNER_LIST = 256 * 1024**2, 16 * 1024**2
LZMA_MEMORY = 256 * 1024**2  # `xz -9` asks for 65 MiB
BROKEN_HEADERS = (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError)  # type: ignore[attr-defined]
ENCRYPTED, UTF8_NAME = 0x1, 0x800  # flags of a zip's member
CODE_PAGE = "cp437"  # of names that do not say theirs, by the standard (APPNOTE.TXT, appendix D)
UNICODE_PATH = 0x7075  # the field of a zip's member in which Info-ZIP writes its name in UTF-8


class _Unpacking:
    """Count the bytes that may still be unpacked of an archive on the disk, those of archives in it included."""

    def __init__(self, size: int):
        self.left = max(ALWAYS_UNPACKED, GROWTH * size)

    def spend(self, size: int) -> None:
        """Raise ReadError when it is more than any pile of pictures unpacks to."""
        self.left -= size
        if self.left < 0:
            raise tarfile.ReadError("it grows beyond all measure when it is unpacked")


@dataclass(frozen=True)
class _Archive:
    """Hold an opened archive.

    Args:
        stream: where it lies, with `seek`.
        size: in bytes.
        name: what its members' names begin with.
        place: where it lies open on the disk; None inside a packed archive.
        unpacking: what may be unpacked of it.
        encoding: of names in zips that do not say theirs.
        is_inner: it lies in another archive.
    """

    stream: BinaryIO
    size: int
    name: str
    place: Place | None
    unpacking: _Unpacking
    encoding: str | None = None
    is_inner: bool = False


def read_archive(path: Path, name: str, encoding: str | None = None) -> Iterator[Item]:
    """Read all of an archive that can be read, and refuse it by its own name where it breaks off.

    Args:
        path: the archive.
        name: what its members' names begin with.
        encoding: of names in zips that do not say theirs; None takes UTF-8 where they can be that, or else cp437.
    """
    try:
        facts = path.stat()
        with open(path, "rb") as stream:
            place = Place(str(path), 0, facts.st_size, facts.st_mtime_ns)
            yield from _read(_Archive(stream, facts.st_size, name, place, _Unpacking(facts.st_size), encoding))
    except Exception as problem:  # zipfile and tarfile raise every kind that Python has
        yield Item(name, None, "damaged-archive", without_quotes(problem))


def is_archive(path: Path) -> bool:
    """Tell by name or by the first bytes, so that an archive without a suffix is one, and a broken one is told."""
    if path.name.lower().endswith(ARCHIVE_SUFFIXES):
        return True
    with open(path, "rb") as file:
        magic = file.read(512)
    return magic.startswith((*ZIP, *PACKED)) or magic[257:262] == USTAR


def why_unreadable(path: Path) -> str | None:
    """Return why nothing at all can be read of an archive; None where something can."""
    first = next(read_archive(path, path.name), None)
    if first is None:
        return "the archive holds no files"
    if first.reason == "damaged-archive" and first.name == path.name:
        return f"cannot be opened as a tar or zip ({first.detail})"
    return None


def _read(archive: _Archive) -> Iterator[Item]:
    magic = archive.stream.read(512)
    archive.stream.seek(0)
    is_tar = magic.startswith(PACKED) or magic[257:262] == USTAR
    # A zip that unpacks itself begins with a program.
    is_zip = magic.startswith(ZIP) or (not is_tar and archive.name.lower().endswith(ZIP_SUFFIXES))
    yield from (_read_zip if is_zip else _read_tar)(archive, magic)


def _member(archive: _Archive, name: str, content: bytes | Place) -> Iterator[Item]:
    """Yield a member, or what is in it: archives in archives are read, but only one level of them."""
    if not name.lower().endswith(ARCHIVE_SUFFIXES):
        yield Item(name, content)
    elif archive.is_inner:
        yield Item(name, None, "nested-archive")
    else:
        inner = replace(archive, name=name, is_inner=True)
        try:
            if isinstance(content, Place):
                with open(content.path, "rb") as file:
                    window = cast(BinaryIO, io.BufferedReader(_Window(file, content.offset, content.size)))
                    yield from _read(replace(inner, stream=window, size=content.size, place=content))
            else:
                yield from _read(replace(inner, stream=io.BytesIO(content), size=len(content), place=None))
        except Exception as problem:
            yield Item(name, None, "damaged-archive", without_quotes(problem))


class _Window(io.RawIOBase):
    """Read a part of a file as a file."""

    def __init__(self, file: BinaryIO, offset: int, size: int):
        self.file, self.offset, self.size, self.position = file, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        self.position = position + (0, self.position, self.size)[whence]
        return self.position

    def readinto(self, buffer: Any) -> int:
        self.file.seek(self.offset + self.position)
        data = self.file.read(max(0, min(len(buffer), self.size - self.position)))
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)


# -- tars --


class _Header(tarfile.TarInfo):
    """Read a tar's header. The module itself takes one that is garbage, or cut off, for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except BROKEN_HEADERS:
            raise tarfile.ReadError("bad header inside the archive") from None


class _Stream:
    """Give the module what it reads headers from: no header may take more than LARGEST_HEADER bytes.

    A packed archive is unpacked as it is read, and can only be passed over forwards.
    """

    def __init__(self, stream: BinaryIO, packed: bool, unpacking: _Unpacking):
        self.stream, self.packed, self.left, self.unpacking = stream, packed, LARGEST_HEADER, unpacking
        self.position = 0
        self.ahead = b""  # of a packed archive: was read already

    def tell(self) -> int:
        return self.position if self.packed else self.stream.tell()

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self.left:
            raise tarfile.ReadError("a header of more than 1 MiB")
        self.left -= size
        return self._take(size)

    def seek(self, position: int) -> None:
        if not self.packed:
            self.stream.seek(position)
            return
        if not 0 <= position - self.position <= LARGEST_SKIP:
            raise tarfile.ReadError("a member of an impossible size")
        while self.position < position:
            if not self._take(min(position - self.position, LARGEST_HEADER)):
                raise tarfile.ReadError("unexpected end of data")

    def content(self, size: int) -> bytes:
        """Return the next `size` bytes, those of a member."""
        data = self._take(size)
        if len(data) < size:
            raise tarfile.ReadError("unexpected end of data")
        return data

    def begins_again(self) -> bool:
        """Go on to a tar behind the end of another one, as `cat a.tar b.tar` makes them; False where there is none."""
        self.left = LARGEST_HEADER
        for _ in range(0, LARGEST_PADDING, tarfile.BLOCKSIZE):
            try:
                block = self._take(tarfile.BLOCKSIZE)
            except Exception:  # the archive has ended, and what follows is not packed as it was
                return False
            if block.strip(b"\0"):
                if self.packed:
                    self.ahead, self.position = block, self.position - len(block)
                else:
                    self.stream.seek(-len(block), io.SEEK_CUR)
                return block[257:262] == USTAR
            if not block:
                return False
        return False

    def _take(self, size: int) -> bytes:
        data, self.ahead = self.ahead[:size], self.ahead[size:]
        if len(data) < size:
            more = self.stream.read(size - len(data))
            if self.packed:
                self.unpacking.spend(len(more))
            data = data + more if data else more
        self.position += len(data)
        return data


class _Xz(io.RawIOBase):
    """Unpack an .xz file with a limit on memory, which its header could otherwise choose."""

    def __init__(self, stream: BinaryIO):
        self.stream, self.unpacker = stream, lzma.LZMADecompressor(lzma.FORMAT_XZ, LZMA_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self.unpacker.eof:
                rest = self.unpacker.unused_data.lstrip(b"\0") or self.stream.read(65536).lstrip(b"\0")
                if not rest:
                    return 0
                self.unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, LZMA_MEMORY)  # of the next stream
            else:
                rest = self.stream.read(65536) if self.unpacker.needs_input else b""
                if not rest and self.unpacker.needs_input:
                    raise EOFError("the archive breaks off")
            data = self.unpacker.decompress(rest, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)


def _unpacked(stream: BinaryIO, magic: bytes) -> Any:
    if magic.startswith(ZSTANDARD):
        import pyarrow  # which has Zstandard; Python itself learned it in 3.14

        return pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, "r"), "zstd")
    if magic.startswith(XZ):
        return io.BufferedReader(_Xz(stream))
    return gzip.GzipFile(fileobj=stream) if magic.startswith(GZIP) else bz2.BZ2File(stream)


def _read_tar(archive: _Archive, magic: bytes) -> Iterator[Item]:
    """Yield the members of a tar, and of those that were written behind its end."""
    packed = magic.startswith(PACKED)
    stream = _Stream(_unpacked(archive.stream, magic) if packed else archive.stream, packed, archive.unpacking)
    yield from _read_members(archive, stream, packed)
    while stream.begins_again():
        yield from _read_members(archive, stream, packed)


def _read_members(archive: _Archive, stream: _Stream, packed: bool) -> Iterator[Item]:
    tar: Any = tarfile.TarFile(
        fileobj=cast(Any, stream), mode="r", tarinfo=_Header, encoding="utf-8", errors="surrogateescape"
    )
    end = -1
    while (member := tar.next()) is not None:
        tar.members.clear()  # the module keeps them all, a gigabyte for a million covers
        if tar.offset <= end or member.size < 0:
            raise tarfile.ReadError("a member of a negative size")
        end = tar.offset
        name = text(f"{archive.name}/{_clean_path(member.name)}")
        inside = packed or member.issparse() or member.offset_data + member.size <= archive.size
        if member.isreg() and not inside:
            raise tarfile.ReadError("unexpected end of data")
        stream.left = LARGEST_HEADER
        if member.isdir():
            continue
        if not member.isreg():
            yield Item(name, None, "skipped", "a link or a device inside an archive")
        elif is_junk(member.name):
            yield Item(name, None, "skipped", "left by a system or a program")
        elif member.issparse():
            if member.size > MAX_BYTES:
                yield too_large(name, member.size)
                continue
            stream.left = 2 * MAX_BYTES
            yield from _member(archive, name, tar.extractfile(member).read())
            stream.left = LARGEST_HEADER
        elif archive.place is not None and not packed:
            place = archive.place
            where = Place(place.path, place.offset + member.offset_data, member.size, place.stamp)
            inner = name.lower().endswith(ARCHIVE_SUFFIXES)
            yield from (
                [too_large(name, member.size)]
                if member.size > MAX_BYTES and not inner
                else _member(archive, name, where)
            )
        elif member.size > MAX_BYTES:
            yield too_large(name, member.size)
        else:
            if not packed:
                stream.seek(member.offset_data)
            yield from _member(archive, name, stream.content(member.size))


# -- zips --


class _Listed:
    """Show the module a zip: `most` bytes at once, which are those of its list of members."""

    def __init__(self, stream: BinaryIO, most: int):
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable
        self.stream, self.most = stream, most

    def read(self, size: int = -1) -> bytes:
        if size > self.most:
            raise zipfile.BadZipFile(f"a list of members of more than {self.most // 1024**2} MiB")
        return self.stream.read(size)


def _read_zip(archive: _Archive, magic: bytes) -> Iterator[Item]:
    listed = _Listed(archive.stream, LARGEST_INNER_LIST if archive.is_inner else LARGEST_LIST)
    with zipfile.ZipFile(cast(Any, listed)) as members:
        listed.most = sys.maxsize  # a member is limited by itself
        guessed = 0
        for member in members.infolist():
            path, is_guess = _zip_name(member, archive.encoding)
            guessed += is_guess
            name = text(f"{archive.name}/{_clean_path(path)}")
            if path.endswith("/"):
                continue
            if is_junk(path):
                yield Item(name, None, "skipped", "left by a system or a program")
            elif member.file_size > MAX_BYTES:
                yield too_large(name, member.file_size)
            elif member.flag_bits & ENCRYPTED:
                yield Item(name, None, "unreadable", "encrypted; unpack it first")
            else:
                try:
                    with members.open(member) as file:
                        content = file.read(MAX_BYTES + 1)
                except Exception as problem:  # packed in an unknown way, or damaged: the others may be good
                    yield Item(name, None, "unreadable", without_quotes(problem))
                    continue
                archive.unpacking.spend(len(content))
                yield from _member(archive, name, content)
    if guessed:
        told = f"{guessed:,} names are in a code page that it does not tell, and read as {CODE_PAGE}"
        tqdm.write(f"{archive.name}: {told}; --zip_encoding names another, e.g. cp932 or gbk", file=sys.stderr)


def _zip_name(member: zipfile.ZipInfo, encoding: str | None) -> tuple[str, bool]:
    """Return a member's path, and whether that is guessed: UTF-8 where it can be, whatever its flag says.

    Windows writes backslashes.
    """
    name, is_guess = member.filename, False
    if not member.flag_bits & UTF8_NAME:
        raw = member.orig_filename.encode("cp437", "replace")
        if beside := _unicode_path(member.extra, raw):
            name = beside
        else:
            for likely in ("utf-8", encoding or CODE_PAGE):
                with contextlib.suppress(UnicodeError):
                    name, is_guess = raw.decode(likely), likely == CODE_PAGE != encoding
                    break
    return name.replace("\\", "/"), is_guess


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """Return the name in UTF-8 beside `raw`, as Info-ZIP writes it (APPNOTE.TXT, section 4.6.9)."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == UNICODE_PATH and len(field) > 5 and struct.unpack_from("<I", field, 1)[0] == zlib.crc32(raw):
            with contextlib.suppress(UnicodeDecodeError):
                return field[5:].decode("utf-8")
    return None


def _clean_path(path: str) -> str:
    return path.removeprefix("./").lstrip("/")
