"""What may be wrong with the bytes of a picture file while its pixels are good.

A file carries more than pixels: texts, sizes in inches, previews, profiles, EXIF blocks. Any of these may be broken,
or larger than Pillow allows: `essential` leaves them out. libjpeg warns of some things that do no harm: `harmless` and
`mended` tell these from the others.
"""

import re
import struct
import zlib
from collections.abc import Iterator


PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# tRNS says what is transparent; acTL and the frames' chunks say that it is an animation.
PNG_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", *PNG_ANIMATION, b"IDAT", b"IEND")
WEBP_CHUNKS = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")
WEBP_ALPHA, WEBP_ANIMATION = 0x10, 0x02  # the flags of VP8X whose chunks are among these
DQT, SOS, COMMENT, JFIF, ADOBE = 0xDB, 0xDA, 0xFE, 0xE0, 0xEE
WHOLE_ADOBE = 16  # bytes of Adobe's segment with its head; of a shorter one libjpeg reads nothing, and Pillow fails
FRAMES = (0xC0, 0xC1, 0xC2)  # sequential, extended sequential, progressive
# An AVIF lists its parts; one of another kind than these is left alone (ISO/IEC 14496-12, section 8.11.6).
AVIF_NOTES = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))(?:Exif|mime)", re.DOTALL)
LAST_BYTES = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
MOST_LAST_BYTES = 64


def essential(content: bytes) -> bytes | None:
    """Return a file with nothing but what its pixels need, or None where its format is not taken apart here."""
    try:
        if content.startswith(PNG_SIGNATURE):
            return _essential_png(content)
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _essential_webp(content)
        if content.startswith(b"\xff\xd8"):
            return _essential_jpeg(content)
        if content.startswith(b"\0\0\0\x0cjP  ") and b"jp2c" in content:
            return content[content.index(b"jp2c") + 4 :]  # the codestream without its boxes
        if content[4:8] == b"ftyp":
            return AVIF_NOTES.sub(rb"\1skip", content)
    except (struct.error, IndexError):
        pass
    return None


def _essential_png(content: bytes) -> bytes:
    parts, position = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    # What tells of frames that are not there is no more than a text.
    needed = [kind for kind in PNG_CHUNKS if kind not in PNG_ANIMATION or b"fdAT" in content]
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        kind, end = content[position + 4 : position + 8], position + 12 + length
        if kind in needed:
            parts.append(content[position:end])
            if kind == b"IEND":
                break
        elif end + 12 > len(content) or not content[end + 4 : end + 8].isalpha():  # a wrong length: find the next one
            places = (content.find(kind, position + 8) - 4 for kind in needed)
            end = min((place for place in places if _is_png_chunk(content, place)), default=len(content))
        position = end
    return b"".join(parts)


def _is_png_chunk(content: bytes, position: int) -> bool:
    if position < 0:
        return False
    (length,) = struct.unpack_from(">I", content, position)
    body = content[position + 4 : position + 8 + length]
    return content[position + 8 + length : position + 12 + length] == struct.pack(">I", zlib.crc32(body))


def _essential_webp(content: bytes) -> bytes:
    parts, position = [], 12
    while position + 8 <= len(content):
        kind, length = content[position : position + 4], int.from_bytes(content[position + 4 : position + 8], "little")
        end = position + 8 + length + length % 2
        if kind in WEBP_CHUNKS:
            chunk = bytearray(content[position:end])
            if kind == b"VP8X":
                chunk[8] &= WEBP_ALPHA | (WEBP_ANIMATION if b"ANMF" in content else 0)
            parts.append(bytes(chunk))
        elif end > len(content):
            places = (content.find(kind, position + 8) for kind in WEBP_CHUNKS)
            end = min((place for place in places if place > 0), default=len(content))
        position = end
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _essential_jpeg(content: bytes) -> bytes | None:
    """Return a JPEG without comments and application segments, but for Adobe's, which says what the numbers mean."""
    begin, segments = 2, list(_segments(content, 2))
    if not segments or segments[-1][0] != SOS:  # a wrong length: begin at the largest frame that is whole
        chains = []
        place = 2
        while (place := content.find(bytes((0xFF, DQT)), place)) >= 0:
            chain = list(_segments(content, place))
            sizes = [content[b + 5 : b + 9] for marker, b, _ in chain if marker in FRAMES]
            if sizes and chain[-1][0] == SOS:
                height, width = struct.unpack(">HH", sizes[0])
                chains.append((height * width, -place, chain))
                place = chain[-1][2]
            place += 2
        if not chains:
            return None
        _, begin, segments = max(chains)
        begin = -begin
    parts = [b"\xff\xd8"]
    for marker, start, end in segments:
        short = marker == ADOBE and end - start < WHOLE_ADOBE
        if (JFIF <= marker <= COMMENT and marker != ADOBE) or short:
            parts.append(content[begin:start])
            begin = end
    return b"".join([*parts, content[begin:]])


def _segments(content: bytes, position: int) -> Iterator[tuple[int, int, int]]:
    """Yield the segments of a JPEG from `position` on, up to the header of its first scan: marker, begin and end."""
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        yield marker, position, end
        if marker == SOS:
            return
        position = end


def harmless(warning: str, content: bytes) -> bool:
    """Return whether a JPEG is whole that makes libjpeg warn of this first: there are only bytes before its end.

    They are a few, or padding. Garbage in the middle may end in this warning, too, but leaves more bytes.
    """
    found = LAST_BYTES.search(warning)
    if found is None:
        return False
    count, end = int(found[1]), content.rfind(b"\xff\xd9")
    return count <= MOST_LAST_BYTES or len(set(content[max(0, end - count + 1) : end])) <= 1


def mended(warning: str, content: bytes) -> bytes | None:
    """Return a JPEG without what libjpeg warns of, where that does no harm; None of any other warning."""
    mend = bytearray(content)
    segments = list(_segments(content, 2))
    if "unknown JFIF revision" in warning:
        for marker, begin, end in segments:
            if marker == JFIF and content[begin + 4 : begin + 9] == b"JFIF\0" and end - begin >= 11:
                mend[begin + 9 : begin + 11] = b"\1\1"
    elif "Unknown Adobe color transform code" in warning:
        colours = next((content[begin + 9] for marker, begin, _ in segments if marker in FRAMES), 3)
        for marker, begin, end in segments:
            if marker == ADOBE and content[begin + 4 : begin + 9] == b"Adobe" and end - begin >= WHOLE_ADOBE:
                mend[begin + 15] = 2 if colours == 4 else 1  # as libjpeg takes it after the warning
    elif "Invalid SOS parameters for sequential JPEG" in warning:
        place = 0
        while (place := content.find(bytes((0xFF, SOS)), place)) >= 0 and place + 5 < len(content):
            length, count = int.from_bytes(content[place + 2 : place + 4], "big"), content[place + 4]
            if length == 6 + 2 * count and place + 2 + length <= len(content):
                mend[place + 5 + 2 * count : place + 8 + 2 * count] = b"\0\x3f\0"  # which it ignores
            place += 2
    return bytes(mend) if mend != content else None
