"""Tars and zips, packed or not, read member by member and never unpacked to disk."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from gan.errors import first_line
from train.prepare.items import MAX_BYTES, Item, Place, is_junk, text, too_large


TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
ARCHIVE_SUFFIXES = (*TAR_SUFFIXES, ".zip")
ZSTANDARD = b"\x28\xb5\x2f\xfd"
PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", ZSTANDARD)
ZIP = (b"PK\3\4", b"PK\5\6")  # `zipfile.is_zipfile` looks at the end, and takes a tar that ends with a zip for one
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, lzma.LZMAError, zlib.error)


def read_archive(path: Path, name: str) -> Iterator[Item]:
    """All that can be read of an archive, and one refusal in the archive's own name where it breaks off."""
    try:
        yield from (_read_zip if _first_bytes(path).startswith(ZIP) else _read_tar)(path, name)
    except DAMAGED as problem:
        yield Item(name, None, "damaged-archive", first_line(problem))


class _Header(tarfile.TarInfo):
    """A tar's header. The module itself takes one that is garbage, or cut off, for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(archive)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError):
            raise tarfile.ReadError("bad header inside the archive") from None


def _open_tar(path: Path) -> tarfile.TarFile:
    magic = _first_bytes(path)
    if magic.startswith(ZSTANDARD):
        import pyarrow  # which has Zstandard; Python itself learned it in 3.14

        return tarfile.open(fileobj=pyarrow.input_stream(str(path), compression="zstd"), mode="r|", tarinfo=_Header)
    return tarfile.open(path, "r|*" if magic.startswith(PACKED) else "r:", tarinfo=_Header)


def _read_tar(path: Path, prefix: str) -> Iterator[Item]:
    facts = path.stat()
    packed = _first_bytes(path).startswith(PACKED)
    with _open_tar(path) as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # the module keeps them all, a gigabyte for a million covers
            name = text(f"{prefix}/{_clean_path(member.name)}")
            if member.isdir():
                continue
            if not member.isreg() or is_junk(member.name):
                yield Item(name, None, "skipped")
            elif member.size > MAX_BYTES:
                yield too_large(name, member.size)
            elif packed or member.issparse():
                yield Item(name, tar.extractfile(member).read())
            elif member.offset_data + member.size > facts.st_size:
                raise tarfile.ReadError("unexpected end of data")
            else:
                yield Item(name, Place(str(path), member.offset_data, member.size, facts.st_mtime_ns))


def _read_zip(path: Path, prefix: str) -> Iterator[Item]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = text(f"{prefix}/{_clean_path(member.filename)}")
            if member.is_dir():
                continue
            if is_junk(member.filename):
                yield Item(name, None, "skipped")
            elif member.file_size > MAX_BYTES:
                yield too_large(name, member.file_size)
            else:
                yield _read_zip_member(archive, member, name)


def _read_zip_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Item:
    try:
        return Item(name, archive.read(member))
    except (*DAMAGED, RuntimeError, NotImplementedError) as problem:  # the last two: encrypted, unknown compression
        return Item(name, None, "unreadable", first_line(problem))


def _first_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(512)


def is_archive(path: Path) -> bool:
    """By name or by the first bytes, so that an archive without a suffix is one, and a broken one is told."""
    if path.name.lower().endswith(ARCHIVE_SUFFIXES):
        return True
    magic = _first_bytes(path)
    return magic.startswith((*ZIP, *PACKED)) or magic[257:262] == b"ustar"


def archive_names(path: Path) -> Iterator[str]:
    """The names of the files inside. Raises one of `DAMAGED`."""
    if _first_bytes(path).startswith(ZIP):
        with zipfile.ZipFile(path) as archive:
            yield from (member.filename for member in archive.infolist() if not member.is_dir())
    else:
        with _open_tar(path) as tar:
            yield from (member.name for member in tar if not member.isdir())


def _clean_path(path: str) -> str:
    return path.removeprefix("./").lstrip("/")
