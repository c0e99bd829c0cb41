"""Pictures from strangers: what is refused before it is decoded, and what is wrong without harm."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from gan.pictures import FORMATS, MAX_SCANS, PictureError, count_scans, open_picture, read_picture, without_quotes
from tests.helpers.drawn import bad_files, draw_cover, encode, exif, good_files, swapped_profile
from train.prepare.clean import decode
from train.prepare.settings import Settings


COVER = draw_cover(1, 200)
JPEG = encode(COVER, "JPEG", quality=90)
PNG = encode(COVER, "PNG")
SETTINGS = Settings(32, 16, 2.0)


def gap(one: Image.Image, other: Image.Image) -> float:
    return np.abs(np.asarray(one.convert("RGB"), int) - np.asarray(other.convert("RGB"), int)).mean()


@pytest.mark.parametrize("name", good_files())
def test_every_kind_of_file_becomes_the_same_picture(name: str) -> None:
    content, expected = good_files()[name]
    picture = read_picture(content)
    if name == "wide.webp":
        picture = picture.crop((27, 0, 123, 96))
    assert picture.mode == "RGB" and picture.size == expected.size and gap(picture, expected) < 2


@pytest.mark.parametrize("name", ["empty.jpg", "notes.txt", "cut.jpg", "lone-start.jpg", "cut.png", "scrambled.png"])
def test_what_is_no_picture_is_refused(name: str) -> None:
    content, reason = bad_files()[name]
    with pytest.raises(PictureError) as refused:
        read_picture(content)
    assert refused.value.reason == reason


@pytest.mark.parametrize("name", ["moving.gif", "moving.png", "moving.webp"])
def test_an_animation_is_refused(name: str) -> None:
    with pytest.raises(PictureError, match="animated"):
        read_picture(bad_files()[name][0])


def test_formats_are_a_closed_list() -> None:
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    for content in (page, b"\x00" * 18 + b"TRUEVISION-XFILE.\0", b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
        with pytest.raises(PictureError, match="not-an-image"):
            open_picture(content)
    assert "EPS" not in FORMATS
    with pytest.raises(PictureError, match="not-an-image"):
        read_picture(encode(COVER, "GIF"), formats=("PNG", "JPEG"))


def test_nothing_of_a_file_is_quoted() -> None:
    for content in (b"hf_secrettoken\n", b"P6 hf_secrettoken", b"P3\nhf_secret hf_secret", b"BM" + b"hf_secret" * 9):
        with pytest.raises(PictureError) as refused:
            read_picture(content)
        assert "secret" not in str(refused.value)
    for quoted in ('it\'s "a" secret', 'a "secret" of \'theirs', "<secret", "b'secret"):
        assert "secret" not in without_quotes(ValueError(f"invalid literal: {quoted!r}")), quoted
    assert without_quotes(ValueError("'secret'")) == "ValueError ..."
    assert without_quotes(OSError("broken data stream")) == "broken data stream"


def test_a_heic_is_named() -> None:
    with pytest.raises(PictureError, match=r"heic.*convert it to JPEG or PNG"):
        read_picture(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))


def packed_bmp(width: int, height: int, packed: bytes) -> bytes:
    """A BMP of 8 bits a pixel, packed as runs."""
    begin = 14 + 40 + 4 * 256
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(packed), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", begin + len(packed), 0, 0, begin) + head + bytes(4 * 256) + packed


def test_what_a_few_bytes_skip_is_bounded() -> None:
    skips = b"\0\2\0\xff" * 8  # 255 rows each time: of rows of 40 million pixels 10 GB
    with pytest.raises(PictureError, match=r"decompression-bomb.*40000000 x 1"):
        read_picture(packed_bmp(40_000_000, 1, skips))
    assert read_picture(packed_bmp(64, 64, b"\x40\7\0\0" * 64)).size == (64, 64)


@pytest.mark.parametrize("kind", ("text", "runs"))
def test_what_is_read_pixel_by_pixel_is_small(kind: str) -> None:
    def made(side: int) -> bytes:
        if kind == "text":
            return b"P2\n%d %d\n255\n" % (side, side) + b"7 " * side * side
        return packed_bmp(side, side, b"\1\7\0\0" * side)

    assert read_picture(made(300)).size == (300, 300)
    begin = time.process_time()
    with pytest.raises(PictureError, match="decompression-bomb"):
        read_picture(made(1500))
    assert time.process_time() - begin < 0.5


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    jpeg = encode(COVER, "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * count + b"\xff\xd9"


def test_scans_are_counted_before_they_are_decoded() -> None:
    assert count_scans(many_scans(3)) < MAX_SCANS < count_scans(many_scans(200))
    begin = time.process_time()
    for refuse in (read_picture, lambda content: decode(content, SETTINGS)):
        with pytest.raises(PictureError, match=r"decompression-bomb.*scans"):
            refuse(many_scans(2_000))
    assert time.process_time() - begin < 1
    # what a phone appends to a photograph is no scan
    assert gap(read_picture(JPEG + b"\xff\xda\xff\xda" * 5_000), COVER) < 3


# ---- what is wrong without harm


def with_segment(marker: int, body: bytes, length: int | None = None) -> bytes:
    return JPEG[:2] + struct.pack(">BBH", 0xFF, marker, length or len(body) + 2) + body + JPEG[2:]


def with_scan_parameters() -> bytes:
    scan = JPEG.rindex(b"\xff\xda")
    at = scan + 5 + 2 * JPEG[scan + 4]
    return JPEG[:at] + b"\0\0\0" + JPEG[at + 3 :]


JFIF = JPEG.index(b"JFIF\0") + 5
HARMLESS_JPEGS = {
    "JFIF revision": JPEG[:JFIF] + b"\x05\x09" + JPEG[JFIF + 2 :],
    "SOS parameters": with_scan_parameters(),
    "both": with_scan_parameters()[:JFIF] + b"\x05\x09" + with_scan_parameters()[JFIF + 2 :],
    "a byte before the end": JPEG[:-2] + b"\x07" + JPEG[-2:],
    "bytes before the end": JPEG[:-2] + b"padding" + JPEG[-2:],
    "zeros before the end": JPEG[:-2] + bytes(9_000) + JPEG[-2:],
    "behind the end": JPEG + b"appended" * 1_000,
    "no density": JPEG[:JFIF] + b"\1\1\1\0\0\0\0" + JPEG[JFIF + 7 :],
    "EXIF of nonsense": with_segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "a profile of nonsense": with_segment(0xE2, b"ICC_PROFILE\0\1\1nonsense"),
    "a reserved segment": with_segment(0xF3, b"nonsense"),
    "two views of nonsense": with_segment(0xE2, b"MPF\0nonsense"),
    "Photoshop's nonsense": with_segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\x05\0nonsense"),
    "Adobe's colours": with_segment(0xEE, b"Adobe\0\x64\0\0\0\0\x09"),
    "a piece of Adobe's colours": with_segment(0xEE, b"Adobe"),
    "a wrong length": with_segment(0xE5, b"short", 65_000),
    "a comment": with_segment(0xFE, b"\xff" * 60_000),
}


@pytest.mark.parametrize("name", HARMLESS_JPEGS)
def test_a_sound_jpeg_with_a_strange_appendix_is_a_picture(name: str) -> None:
    content = HARMLESS_JPEGS[name]
    assert gap(decode(content, SETTINGS).picture, decode(JPEG, SETTINGS).picture) == 0
    assert gap(read_picture(content), COVER) < 3


def test_what_is_missing_or_broken_in_the_middle_is_still_seen() -> None:
    scan = JPEG.index(b"\xff\xda")
    broken = {
        "truncated": JPEG[: scan + 2000],
        "damaged-jpeg": JPEG[: scan + 2000] + b"\xff\xd4" + JPEG[scan + 2002 :],
    }
    for reason, content in broken.items():
        with pytest.raises(PictureError, match=reason):
            decode(content, SETTINGS)
    revision = broken["damaged-jpeg"][:JFIF] + b"\x05\x09" + broken["damaged-jpeg"][JFIF + 2 :]
    with pytest.raises(PictureError, match="damaged-jpeg"):  # the harmless warning does not hide the other
        decode(revision, SETTINGS)
    with pytest.raises(PictureError, match="damaged-jpeg"):
        decode(JPEG[:-2] + JPEG[scan + 1000 : scan + 4000].replace(b"\xff", b"") + JPEG[-2:], SETTINGS)


CHUNKS = {
    "text": (b"tEXt", b"a\0b"),
    "a large text": (b"zTXt", b"a\0\0" + zlib.compress(bytes(90_000_000))),
    "text in no language": (b"iTXt", b"a\0\1\0\0\0zzz"),
    "a size": (b"pHYs", b"\0"),
    "a profile of nonsense": (b"iCCP", b"x\0\0nonsense"),
    "a large profile": (b"iCCP", b"a\0\0" + zlib.compress(bytes(90_000_000))),
    "EXIF": (b"eXIf", b"Exif"),
    "gamma": (b"gAMA", b"1"),
    "a date": (b"tIME", b""),
    "intent": (b"sRGB", b""),
    "frames that are not there": (b"acTL", struct.pack(">II", 7, 0)),
    "no frames": (b"acTL", b"\xff"),
}


@pytest.mark.parametrize("fault", ["whole", "checksum", "length", "a little too long", "at the end"])
@pytest.mark.parametrize("name", CHUNKS)
def test_a_sound_png_with_a_strange_chunk_is_a_picture(name: str, fault: str) -> None:
    kind, body = CHUNKS[name]
    length = {"length": 0x7FFFFFFF, "a little too long": len(body) + 9}.get(fault, len(body))
    checksum = b"1234" if fault == "checksum" else struct.pack(">I", zlib.crc32(kind + body))
    chunk = struct.pack(">I", length) + kind + body + checksum
    at = len(PNG) - 12 if fault == "at the end" else 33
    content = PNG[:at] + chunk + PNG[at:]
    assert gap(read_picture(content), COVER) == gap(decode(content, SETTINGS).picture, COVER) == 0


def test_a_sound_webp_with_a_strange_chunk_is_a_picture() -> None:
    webp = encode(COVER, "WEBP", lossless=True, exif=exif(1), icc_profile=swapped_profile())
    for kind in (b"EXIF", b"ICCP"):
        at = webp.index(kind) + 4
        content = webp[:at] + b"\xff\xff\xff\x7f" + webp[at + 4 :]
        assert gap(read_picture(content).convert("L"), COVER.convert("L")) < 60  # with the other profile or without
    assert Image.open(io.BytesIO(webp)).size == COVER.size
    animated = bytearray(encode(COVER, "WEBP", lossless=True, exif=exif(1)))
    animated[20] |= 2  # VP8X says so, and there are no frames
    assert gap(read_picture(bytes(animated)), COVER) == 0


def test_a_sound_avif_with_strange_notes_is_a_picture() -> None:
    head = b"II*\0\x08\0\0\0"
    avif = encode(COVER, "AVIF", quality=95, exif=b"Exif\0\0" + head + bytes(30), xmp=b"<x/>")
    assert avif.count(head) == 1
    assert gap(read_picture(avif.replace(head, b"nonsense")), read_picture(avif)) == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Rar!\x1a\7\1\0", "a RAR archive; unpack it first"),
        (b"\x1f\x8b\x08", "packed by gzip; unpack it first"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "in JPEG XL; convert it to JPEG or PNG first"),
        (b"\0\0\0\x20ftypisom", "a film or a sound"),
        (bytes(257) + b"ustar", "a tar archive"),
    ],
)
def test_what_people_keep_beside_pictures_is_named(content: bytes, said: str) -> None:
    with pytest.raises(PictureError) as refused:
        read_picture(content + bytes(300))
    assert refused.value.reason == "not-an-image" and said in refused.value.detail
