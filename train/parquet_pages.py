"""What the pages of a Parquet file say that they unpack to, read before anything is unpacked.

Arrow itself reads what a page says in good faith, and ends the whole program where some of the statistics beside a
column are damaged; so the few numbers that matter here are read by themselves (parquet.thrift in parquet-format, in
Thrift's compact protocol).
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO


# Pictures do not shrink when they are packed; what grows more than this on unpacking is no picture.
SMALL_PAGE, GROWTH, LARGEST_PAGE = 8 * 1024**2, 20, 2**30
LARGEST_FOOTER = 64 * 1024**2
HEADER_BYTES = 64 * 1024
# Of parquet.thrift's Encoding: plain values, and numbers of those in a dictionary. The others say how many bytes a
# value shares with the one before it, or how many lengths follow, and a few bytes of these grow to gigabytes.
ENCODINGS = (0, 2, 3, 4, 8)
# Which fields are wanted, by their numbers: None is a number or bytes, [x] is a list of x.
COLUMN = {3: [None], 7: None, 9: None, 11: None}
PATH, PACKED, DATA, DICTIONARY = COLUMN
FOOTER = {4: [{1: [{3: COLUMN}]}]}  # FileMetaData.row_groups, RowGroup.columns, ColumnChunk.meta_data
PAGE = {2: None, 3: None, 5: {2: None}, 7: {2: None}, 8: {4: None}}  # PageHeader: sizes, and encodings
BOOLEANS, BYTE, INTEGERS, DOUBLE, BINARY, LISTS, MAP, STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 11, 12


def check_pages(stream: BinaryIO, columns: Sequence[str]) -> None:
    """Raise ValueError if a page of these columns says that it grows beyond what pictures do, or is damaged."""
    for _ in checked_groups(stream, columns):
        pass


def checked_groups(stream: BinaryIO, columns: Sequence[str]) -> Iterator[int]:
    """Check the pages of one row group after the other, as `check_pages` does.

    Yields:
        Bytes of the largest dictionary of each group, when it is unpacked: as large a value may stand for every row.
    """
    size = stream.seek(0, os.SEEK_END)
    try:
        for group in _groups(stream, size, columns):
            largest = 0
            for position, end in group:
                while position < end:
                    stream.seek(position)
                    header, length = _read(stream.read(HEADER_BYTES), 0, STRUCT, PAGE)
                    position += length + _check_page(header)
                    largest = max(largest, header[2] if 7 in header else 0)
            yield largest
    except (IndexError, KeyError, TypeError, RecursionError, OverflowError):
        raise ValueError("the header of a page, or of a column, is broken") from None


def _check_page(header: dict[int, Any]) -> int:
    """Return a page's size in the file, in bytes."""
    unpacked, packed = header[2], header[3]
    if packed < 0 or unpacked < 0:
        raise ValueError("the header of a page is broken")
    if any(header[kind].get(place, 0) not in ENCODINGS for kind, place in ((5, 2), (7, 2), (8, 4)) if kind in header):
        raise ValueError("a page is encoded in a way that pictures are not")
    if unpacked > LARGEST_PAGE or unpacked > max(SMALL_PAGE, GROWTH * packed):
        raise ValueError(f"a page of {packed:,} bytes says that it grows to {unpacked:,}")
    return packed


def _groups(stream: BinaryIO, size: int, columns: Sequence[str]) -> Iterator[list[tuple[int, int]]]:
    """Begin and end of each part of the file that holds pages of these columns, by row group."""
    stream.seek(max(0, size - 8))
    length = int.from_bytes(stream.read(4), "little")
    if not 0 < length <= min(size - 8, LARGEST_FOOTER):
        raise ValueError("the footer is broken, or too large")
    stream.seek(size - 8 - length)
    footer, _ = _read(stream.read(length), 0, STRUCT, FOOTER)
    for group in footer.get(4, []):
        chunks = []
        for chunk in group[1]:
            column = chunk[3]
            if column[PATH][0].decode("utf-8", "replace") not in columns:
                continue
            begin = min(column[DATA], column.get(DICTIONARY) or column[DATA])
            if not 0 <= begin <= begin + column[PACKED] <= size:
                raise ValueError("a column lies outside of the file")
            chunks.append((begin, begin + column[PACKED]))
        yield chunks


# -- Thrift --


def _read(data: bytes, position: int, kind: int, wanted: Any = None) -> tuple[Any, int]:
    """Read the value of this kind at a position, as far as it is wanted; return it and the position after it."""
    if kind in BOOLEANS:  # it is in the kind
        return None, position
    if kind == BYTE:
        return None, position + 1
    if kind in INTEGERS:
        value, position = _varint(data, position)
        return (value >> 1) ^ -(value & 1), position
    if kind == DOUBLE:
        return None, position + 8
    if kind == BINARY:
        length, position = _varint(data, position)
        return (None if wanted else data[position : position + length]), position + length
    if kind in LISTS:
        return _list(data, position, wanted)
    if kind == STRUCT:
        return _struct(data, position, wanted)
    raise IndexError("a map, which these headers have not")


def _list(data: bytes, position: int, wanted: Any) -> tuple[list[Any] | None, int]:
    count, kind = data[position] >> 4, data[position] & 15
    position += 1
    if count == 15:
        count, position = _varint(data, position)
    found = []
    for _ in range(count):
        data[position]  # or else a thousand million values might lie behind the end
        value, position = _read(data, position, BYTE if kind in BOOLEANS else kind, wanted[0] if wanted else {})
        if wanted:
            found.append(value)
    return found if wanted else None, position


def _struct(data: bytes, position: int, wanted: Any) -> tuple[dict[int, Any], int]:
    found: dict[int, Any] = {}
    number, wanted = 0, wanted or {}
    while data[position]:
        step, kind = data[position] >> 4, data[position] & 15
        position += 1
        if step:
            number += step
        else:
            value, position = _varint(data, position)
            number = (value >> 1) ^ -(value & 1)
        value, position = _read(data, position, kind, wanted.get(number, {}))
        if number in wanted:
            found[number] = value
    return found, position + 1


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        byte = data[position + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, position + place + 1
    raise IndexError("a number of more than 10 bytes")
