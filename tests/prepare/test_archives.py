"""Archives of strangers: whatever is wrong with one, what came before is used, and it ends as one refusal."""

import bz2
import gzip
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import pyarrow
import pytest

from tests.helpers.drawn import draw_cover, encode, write_tar, write_zip
from tests.helpers.preparing import program, refusals, rows_of
from train.prepare import archives as archives_module
from train.prepare.archives import read_archive
from train.prepare.items import LONGEST_NAME


ROOT = Path(__file__).parents[2]
FILES = {f"rock/{seed}.png": encode(draw_cover(seed, 40), "PNG") for seed in range(4)} | {f"{'x' * 150}.txt": b"abc"}


def zstandard(path: Path, content: bytes) -> Path:
    with pyarrow.output_stream(str(path), compression="zstd") as stream:
        stream.write(content)
    return path


def archives(folder: Path) -> dict[str, Path]:
    """The same files in every kind of archive."""
    modes = {"tar": "w", "tgz": "w:gz", "tbz2": "w:bz2", "txz": "w:xz"}
    made = {suffix: write_tar(folder / f"a.{suffix}", FILES, mode) for suffix, mode in modes.items()}
    made["tar.zst"] = zstandard(folder / "a.tar.zst", made["tar"].read_bytes())
    return made | {suffix: write_zip(folder / f"a.{suffix}", FILES) for suffix in ("zip", "cbz")}


def contents(path: Path) -> dict[str, bytes]:
    return {item.name: item.read() for item in read_archive(path, "a")}


def test_every_kind_gives_the_same_files(tmp_path: Path) -> None:
    for path in archives(tmp_path).values():
        assert contents(path) == {f"a/{name}": content for name, content in FILES.items()}, path


def test_an_archive_in_an_archive_is_read_and_one_in_that_is_named(tmp_path: Path) -> None:
    inner = {path.name: path.read_bytes() for path in archives(tmp_path).values()}
    expected = {f"a/{archive}/{name}": content for archive in inner for name, content in FILES.items()}
    outer = [write_tar(tmp_path / "o.tar", inner), write_tar(tmp_path / "o.tgz", inner, "w:gz")]
    for path in [*outer, write_zip(tmp_path / "o.zip", inner)]:
        assert contents(path) == expected
        deeper = write_tar(tmp_path / "deeper.tar", {path.name: path.read_bytes(), "b.png": b"b"})
        reasons = {item.name: item.reason for item in read_archive(deeper, "a")}
        assert reasons == {f"a/{path.name}/{name}": "nested-archive" for name in inner} | {"a/b.png": None}


def test_archives_in_folders_and_archives_become_covers(tmp_path: Path) -> None:
    (tmp_path / "pile").mkdir()
    inner = write_zip(tmp_path / "in.cbz", {f"{seed}.png": encode(draw_cover(seed), "PNG") for seed in range(2)})
    write_tar(tmp_path / "pile" / "out.tar", {"in.cbz": inner.read_bytes(), "2.png": encode(draw_cover(2), "PNG")})
    options = ("--output_dir", tmp_path / "out", "--resolution", 32, "--validation_fraction", 0)
    assert program(tmp_path / "pile", *options)[0] == 0
    assert rows_of(tmp_path / "out")["source"] == [
        f"pile/out.tar/{name}" for name in ("in.cbz/0.png", "in.cbz/1.png", "2.png")
    ]


def test_names_in_a_zip_are_read_as_they_were_meant(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    names = ["Björk/a.png".encode(), b"Bj?rk/b.png", b"rock\\c.png", "ü/d.png".encode("cp437")]
    path = tmp_path / "names.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, raw in enumerate(names):
            info = zipfile.ZipInfo(f"{number}" * len(raw))
            if number == 1:  # Info-ZIP's field beside what the code page could not say
                field = b"\1" + struct.pack("<I", zlib.crc32(raw)) + "Björk/b.png".encode()
                info.extra = struct.pack("<HH", 0x7075, len(field)) + field
            archive.writestr(info, b"content")
    content = path.read_bytes()
    for number, raw in enumerate(names):
        content = content.replace(b"%d" % number * len(raw), raw)
    path.write_bytes(content)
    assert {"a/Björk/a.png", "a/Björk/b.png", "a/rock/c.png", "a/ü/d.png"} == set(contents(path))
    assert "a: 1 names are in a code page that it does not tell, and read as cp437" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp932", ["ロック/アルバム.png", "ソ/表.png"]),  # whose last bytes are backslashes in cp437
        ("gbk", ["摇滚/封面.png"]),
        ("cp866", ["Рок/обложка.png"]),
        ("euc-kr", ["록/표지.png"]),
    ],
)
def test_names_in_zips_of_other_countries_are_read_with_the_encoding_that_is_given(
    tmp_path: Path, encoding: str, names: list[str]
) -> None:
    path = tmp_path / "names.zip"
    raw = [name.encode(encoding) for name in names]
    marks = [f"{number}" * len(name) for number, name in enumerate(raw)]
    inner = write_zip(path, {mark: encode(draw_cover(seed), "PNG") for seed, mark in enumerate(marks)}).read_bytes()
    for mark, name in zip(marks, raw, strict=True):
        inner = inner.replace(mark.encode(), name)
    write_zip(path, {"in.zip": inner})
    out = tmp_path / "out"
    options = ("--output_dir", out, "--resolution", 32, "--labels", "folder", "--validation_fraction", 0)
    code, line = program(path, *options, "--zip_encoding", encoding)
    assert code == 0, line
    assert sorted(rows_of(out)["source"]) == sorted(f"names.zip/in.zip/{name}" for name in names)
    assert f"{len(names)} of {len(names)} covers have a genre" in line
    code, line = program(path, *options, "--zip_encoding", "hex")
    assert code == 2 and "--zip_encoding hex: no such encoding" in line


def test_what_follows_the_end_of_a_tar_is_read(tmp_path: Path) -> None:
    parts = [write_tar(tmp_path / f"{n}.tar", {f"{n}.txt": b"content"}).read_bytes() for n in range(3)]
    together = b"".join(parts)
    packed = {"tar": together, "tar.gz": b"".join(map(gzip.compress, parts)), "tar.bz2": bz2.compress(together)}
    for suffix, content in packed.items():
        (tmp_path / f"together.{suffix}").write_bytes(content)
        expected = {f"a/{n}.txt": b"content" for n in range(3)}
        assert contents(tmp_path / f"together.{suffix}") == expected, suffix
        (tmp_path / f"behind.{suffix}").write_bytes(content + b"no tar" * 1000)
        assert contents(tmp_path / f"behind.{suffix}") == expected, suffix
        inside = write_tar(tmp_path / f"inside-{suffix}", {f"x.{suffix}": content})
        assert contents(inside) == {f"a/x.{suffix}/{n}.txt": b"content" for n in range(3)}, suffix
    (tmp_path / "broken.tar").write_bytes(parts[0] + parts[1][:515])
    assert [item.reason for item in read_archive(tmp_path / "broken.tar", "a")] == [None, "damaged-archive"]


def test_a_zip_behind_a_program_and_encrypted_members_are_told_apart(tmp_path: Path) -> None:
    plain = write_zip(tmp_path / "a.zip", {"a.txt": b"content", "b.txt": b"content"}).read_bytes()
    (tmp_path / "unpacks-itself.zip").write_bytes(b"MZ" + bytes(700) + plain)
    items = read_archive(tmp_path / "unpacks-itself.zip", "unpacks-itself.zip")
    assert [item.read() for item in items] == [b"content"] * 2
    locked = bytearray(plain)
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        locked[locked.index(mark) + flags] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    first, second = read_archive(tmp_path / "locked.zip", "a")
    assert (first.reason, first.detail, second.read()) == ("unreadable", "encrypted; unpack it first", b"content")


def pax(records: list[tuple[bytes, bytes]], size: int = 3) -> bytes:
    """A tar of one file with such PAX records."""
    lines = [b" " + key + b"=" + value + b"\n" for key, value in records]
    body = b"".join(b"%d" % (len(line) + len(str(len(line) + 3))) + line for line in lines)
    headers = []
    for kind, length in ((b"x", len(body)), (b"0", size)):
        header = tarfile.TarInfo("a.png")
        header.type, header.size = kind, length
        headers.append(header.tobuf(tarfile.GNU_FORMAT))
    return headers[0] + body + bytes(-len(body) % 512) + headers[1] + b"abc" + bytes(509 + 1024)


@pytest.mark.parametrize(
    "record",
    [
        (b"size", b"1180591620717411303424"),
        (b"size", b"-512"),
        (b"size", b"abc"),
        (b"path", b"\xff\xfe"),
        (b"GNU.sparse.map", b"a,b"),
        (b"GNU.sparse.size", b"99999999999999999999"),
        (b"GNU.sparse.major", b"1"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_impossible_records_end_in_a_refusal(tmp_path: Path, record: tuple[bytes, bytes], pack) -> None:
    records = [record, (b"GNU.sparse.minor", b"0")] if record[0] == b"GNU.sparse.major" else [record]
    (tmp_path / "a.tar").write_bytes(pack(pax(records)))
    items = list(read_archive(tmp_path / "a.tar", "a"))
    assert 0 < len(items) < 4 and all(len(item.detail) < 300 for item in items)


def test_a_header_is_limited_like_a_member(tmp_path: Path) -> None:
    """49 kB with a name of gigabytes once took as much memory."""
    header = tarfile.TarInfo("name")
    header.type, header.size = b"L", 2_000_000_000
    path = zstandard(tmp_path / "a.tar.zst", header.tobuf(tarfile.GNU_FORMAT) + bytes(300_000_000))
    code = "import sys; from pathlib import Path; from train.prepare.archives import read_archive\n"
    code += "print([item.reason for item in read_archive(Path(sys.argv[1]), 'a')])\n"
    code += "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    ended = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True)
    reasons, memory = ended.stdout.splitlines()
    assert reasons == "['damaged-archive']" and int(memory) < 250_000


def growing(members: int, size: int) -> bytes:
    """A tar of members of zeros, which Zstandard packs into next to nothing."""
    header = tarfile.TarInfo("zeros.bin")
    header.size = size
    return (header.tobuf(tarfile.GNU_FORMAT) + bytes(size + -size % 512)) * members


def test_what_an_archive_unpacks_to_is_limited_in_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives_module, "ALWAYS_UNPACKED", 5_000_000)
    tar = growing(20, 1_000_000)
    inner = [zstandard(tmp_path / "in.tar.zst", tar), tmp_path / "in.zip"]
    with zipfile.ZipFile(inner[1], "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a", bytes(9_000_000))
    many = {f"{n}/{path.name}": path.read_bytes() for n in range(9) for path in inner}
    for path in (inner[0], write_zip(tmp_path / "o.zip", many), write_tar(tmp_path / "o.tgz", many, "w:gz")):
        items = list(read_archive(path, "a"))
        assert items[-1].reason == "damaged-archive" and "grows beyond all measure" in items[-1].detail, path
        assert sum(item.size for item in items) < 11_000_000
    assert len(list(read_archive(write_tar(tmp_path / "open.tar", {"a": bytes(9_000_000)}), "a"))) == 1


def test_the_list_of_a_zip_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zip_file = write_zip(tmp_path / "a.zip", {f"{n}.txt": b"x" for n in range(3000)})
    outer = write_tar(tmp_path / "o.tgz", {"a.zip": zip_file.read_bytes()}, "w:gz")
    monkeypatch.setattr(archives_module, "LARGEST_INNER_LIST", 100_000)
    assert len(contents(zip_file)) == 3000
    (item,) = read_archive(outer, "o")
    assert (item.name, item.reason) == (
        "o/a.zip",
        "damaged-archive",
    ) and "a list of members of more than" in item.detail
    # a file that only says that it is large
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 9, 9, 2**30, 0, 0)
    with open(tmp_path / "sparse.zip", "wb") as file:
        file.write(b"PK\3\4")
        file.seek(2**30)
        file.write(end)
    (item,) = read_archive(tmp_path / "sparse.zip", "s")
    assert item.reason == "damaged-archive" and "a list of members of more than" in item.detail


def test_no_change_of_an_archive_ends_in_an_exception(tmp_path: Path) -> None:
    chance = random.Random(7)
    whole = [path.read_bytes() for path in archives(tmp_path).values()]
    for _ in range(700):
        content = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(min(len(content), chance.choice([700, len(content)])))
            what = chance.randrange(4)
            if what == 0:
                content[at] = chance.randrange(256)
            elif what == 1:
                content[at : at + 8] = bytes(chance.choice([0, 255, 128, 0x30, 0x37]) for _ in range(8))
            elif what == 2:
                del content[at : at + chance.randrange(600)]
            else:
                del content[max(8, at) :]
            content = content or bytearray(b"x")
        (tmp_path / "changed").write_bytes(content)
        for item in read_archive(tmp_path / "changed", "a"):
            item.read()


def test_one_bad_archive_among_others_ends_nothing(tmp_path: Path) -> None:
    good = write_tar(tmp_path / "good.tar", FILES)
    (tmp_path / "bad.tar").write_bytes(b"no tar at all" * 100)
    options = ("--output_dir", tmp_path / "out", "--resolution", 32, "--validation_fraction", 0)
    assert program(tmp_path / "bad.tar", good, *options)[0] == 0
    assert refusals(tmp_path / "out")["bad.tar"] == "damaged-archive" and len(rows_of(tmp_path / "out")) == 4
    code, line = program(tmp_path / "bad.tar", "--output_dir", tmp_path / "none", "--resolution", 32)
    assert code == 2 and "bad.tar: cannot be opened as a tar or zip" in line


def zip64_end(at: int) -> bytes:
    """The end of a zip that says its list of members has 2**63 of them and lies at the end of the world."""
    end = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 2**63, 2**63, 2**63, 0)
    end += struct.pack("<IIQI", 0x07064B50, 0, at, 1)
    return end + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)


def one_member_many_times(count: int) -> bytes:
    """A zip whose list names the same packed bytes again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(2_000_000)) + packer.flush()
    facts = (8, 0, 0, zlib.crc32(bytes(2_000_000)), len(packed), 2_000_000, 5)
    body = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, *facts, 0) + b"a.png" + packed
    row = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, *facts, 0, 0, 0, 0, 0, 0) + b"a.png"
    return (
        body + row * count + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(row) * count, len(body), 0)
    )


def tar_of(kind: bytes, name: str = "a.png") -> bytes:
    """A tar whose first member is of some kind, before a good one."""
    header = tarfile.TarInfo(name)
    header.type = kind
    good = tarfile.TarInfo("b.png")
    good.size = 3
    return header.tobuf(tarfile.GNU_FORMAT) + good.tobuf(tarfile.GNU_FORMAT) + b"abc" + bytes(509 + 1024)


GOOD_TAR = tar_of(b"0")
ODD: dict[str, tuple[bytes, list[str | None]]] = {
    "a hard link": (tar_of(tarfile.LNKTYPE), ["skipped", None]),
    "a pipe": (tar_of(tarfile.FIFOTYPE), ["skipped", None]),
    "a device": (tar_of(tarfile.CHRTYPE), ["skipped", None]),
    "a volume's label": (tar_of(b"V"), ["skipped", None]),
    "a kind that there is not": (tar_of(b"Z"), ["skipped", None]),
    "no name": (tar_of(b"0", ""), [None, None]),
    "a name upwards": (tar_of(b"0", "../../../etc/passwd"), [None, None]),
    "a number of 4,500 digits": (pax([(b"size", b"9" * 4500)]), [None, "damaged-archive"]),
    "a name with a NUL": (pax([(b"path", b"a\0b.png")]), [None]),
    "a name in no encoding": (pax([(b"hdrcharset", b"BINARY"), (b"path", b"\xff.png")]), [None]),
    "packed twice": (gzip.compress(gzip.compress(GOOD_TAR)), ["damaged-archive"]),
    "thousands of empty streams before it": (gzip.compress(b"") * 3000 + gzip.compress(GOOD_TAR), [None, None]),
    "a gzip's name of a megabyte": (b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 1_000_000, ["damaged-archive"]),
    "a Zstandard window of 3 TB": (b"\x28\xb5\x2f\xfd\x00\xff" + b"x" * 100, ["damaged-archive"]),
    "a frame to pass over": (b"\x50\x2a\x4d\x18" + struct.pack("<I", 2**31), ["damaged-archive"]),
    "nothing but zeros": (gzip.compress(bytes(10**6)), []),
    "an end of a zip alone": (b"PK\5\6" + bytes(18), []),
    "more members than atoms": (b"PK\3\4" + bytes(60) + zip64_end(0), ["damaged-archive"]),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_archive_of_a_strangers_is_read_as_far_as_it_goes(tmp_path: Path, name: str) -> None:
    content, reasons = ODD[name]
    (tmp_path / "odd.tar").write_bytes(content)
    items = list(read_archive(tmp_path / "odd.tar", "a"))
    assert [item.reason for item in items] == reasons
    assert all(len(item.read()) <= 3 and item.name.startswith("a") and len(item.detail) < 300 for item in items)


def test_the_same_bytes_listed_many_times_grow_as_if_they_were_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives_module, "ALWAYS_UNPACKED", 5_000_000)
    (tmp_path / "a.zip").write_bytes(one_member_many_times(100))
    items = list(read_archive(tmp_path / "a.zip", "a"))
    assert [item.reason for item in items] == [None, None, "damaged-archive"]


def test_a_name_longer_than_any_path_is_cut_in_its_middle(tmp_path: Path) -> None:
    """A tar may hold thousands of a million characters each, of which a report would be made."""
    write_tar(tmp_path / "long.tar", {"d/" * 200_000 + "end.png": b"a", "é" * 2000 + ".png": b"b"})
    long, short = read_archive(tmp_path / "long.tar", "a")
    assert len(long.name) <= LONGEST_NAME + 1 and long.name.startswith("a/d/d/") and long.name.endswith("d/end.png")
    assert short.name == "a/" + "é" * 2000 + ".png"
