"""Which covers are copies of others, exactly or nearly, among a million of them.

What makes two of them alike is in gan/fingerprints.py; here they are found and gathered. `python -m train.benchmark
duplicates` measures what that finds and what it confuses.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan.fingerprints import ALIKE_SHARE, alike, contrast_of
from train.prepare.tables import table


BANDS = 3
LARGEST_DISTANCE = 11
# At the default distance of 8 so many bits more may differ where the colours agree twice as well: cutting a cover a
# little changes its hash more than its colours.
FARTHER = 3
PAIRS_AT_ONCE = 4_000_000
HASHES_AT_ONCE = 4_000_000  # that are sorted in memory on their way to the disk
BYTES_A_COVER = 500  # of memory, to find copies among them


@dataclass(frozen=True)
class Fingerprints:
    """Hold what is known of N covers.

    Args:
        sha256: (N, 32) uint8, of the decoded pixels.
        phash: (N,) uint64.
        colours: (N, 192) uint8.
        pixels: (N,) int64, how many the file's picture had.
    """

    sha256: np.ndarray
    phash: np.ndarray
    colours: np.ndarray
    pixels: np.ndarray


def find_copies(
    covers: Fingerprints, distance: int | None, foreign: int = 0, folder: Path | None = None
) -> np.ndarray:
    """Find of which cover each is a copy.

    Of a cluster the largest stays, of equally large ones the first. A near copy resembles the one that stays, not only
    another copy of it: no chain of small differences joins two covers that look different.

    Args:
        covers: N of them.
        distance: how many of the 64 bits of two perceptual hashes may differ; None finds exact copies only.
        foreign: the first so many are never copies of the others, but the others may be copies of them.
        folder: on the disk where tables are held; None: in memory. What is found is the same.

    Returns:
        (N,) int64: the index of the cover that stays in its place, its own where that is itself.
    """
    count = len(covers.phash)
    of = np.arange(count)
    ranked = np.lexsort((of, -covers.pixels, of >= foreign))
    rank = np.empty(count, np.int64)
    rank[ranked] = np.arange(count)
    suspects, group = _equal(covers.sha256)
    best = np.full(len(suspects), count)
    np.minimum.at(best, group, rank[suspects])
    of[suspects] = ranked[best[group]]
    del ranked
    if distance is not None:
        near = _near_copies(covers, np.flatnonzero(of == np.arange(count)), rank, distance, folder)
        of = near[of]
    return of


def _equal(sha256: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of all rows that equal another, of a few others, and the number of each one's group."""
    heads = sha256[:, :8].copy().view(np.uint64)[:, 0]  # few different rows begin alike
    order = np.argsort(heads)
    same = heads[order[1:]] == heads[order[:-1]]
    suspects = order[np.append(same, False) | np.insert(same, 0, False)] if len(order) else order
    # Trailing zeros do not count in this type, and all are equally long.
    _, group = np.unique(sha256[suspects].view("S32")[:, 0], return_inverse=True)
    return suspects, group


def _near_copies(
    covers: Fingerprints, singles: np.ndarray, rank: np.ndarray, distance: int, folder: Path | None
) -> np.ndarray:
    """Do as `find_copies` among the covers `singles`, of which no two are equal."""
    of = np.arange(len(rank))
    singles = singles[np.argsort(rank[singles])]
    hashes, cell = np.unique(covers.phash[singles], return_inverse=True)
    farther = min(distance + distance * FARTHER // 8, LARGEST_DISTANCE)
    pairs = similar_hashes(hashes, farther, distance // BANDS, folder)
    neighbours = _lists(np.concatenate([pairs, pairs[:, ::-1]]), len(hashes))
    members = _lists(np.stack([cell, singles], 1), len(hashes))
    sizes = np.diff(members[1])
    busy = sizes > 1
    busy[pairs.ravel()] = True
    contrast = contrast_of(covers.colours)
    for cover, own in zip(singles[busy[cell]], cell[busy[cell]], strict=True):
        if of[cover] != cover:
            continue
        cells = [own, *_of(neighbours, own)]
        others = np.concatenate([_of(members, c) for c in cells])
        # Those that stay themselves are not alike, or they would have taken this one: they came before it.
        others = others[of[others] == others]
        bits = np.bitwise_count(covers.phash[others] ^ covers.phash[cover])
        share = np.where(bits <= distance, ALIKE_SHARE, ALIKE_SHARE / 2)
        of[others[alike(covers.colours, contrast, cover, others, share)]] = cover
    return of


def _lists(pairs: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the second members of `pairs` by their first, 0 to `count` - 1, and where each list begins."""
    order = np.argsort(pairs[:, 0], kind="stable")
    begins = np.concatenate([[0], np.cumsum(np.bincount(pairs[:, 0], minlength=count))])
    return pairs[order, 1], begins


def _of(lists: tuple[np.ndarray, np.ndarray], index: int) -> np.ndarray:
    values, begins = lists
    return values[begins[index] : begins[index + 1]]


def similar_hashes(
    hashes: np.ndarray, distance: int, flips: int | None = None, folder: Path | None = None
) -> np.ndarray:
    """Return all pairs of hashes of which at most `distance` bits differ.

    Cut into three bands of bits, two such hashes differ in some band by at most a third of it (the pigeonhole of
    Norouzi et al. 2012, "Fast Search in Hamming Space with Multi-Index Hashing", section 2): looked up are those that
    equal a band, or equal it but for so many bits, and only they are compared.

    Args:
        hashes: (N,) uint64, no two equal.
        distance: 0 to 11.
        flips: bits of a band that are tried; None is as many as find every pair. With one fewer, most pairs
            at 9 to 11 bits are found (65 to 91%), in a sixth of the time.
        folder: on the disk where each band is sorted in its turn; None: in memory.

    Returns:
        (M, 2) int64 indices, the smaller first, in ascending order.
    """
    found = [np.empty(0, np.int64)]
    widths = [64 // BANDS + (band < 64 % BANDS) for band in range(BANDS)]
    shift = 0
    for width in widths:
        begins, order, inside = _sorted(hashes, shift, width, folder)
        shift += width
        for first, second in _candidates(begins, width, distance // BANDS if flips is None else flips):
            close = np.bitwise_count(inside[first] ^ inside[second]) <= distance
            one, other = order[first[close]], order[second[close]]
            found.append(np.minimum(one, other) * len(hashes) + np.maximum(one, other))
    pairs = np.unique(np.concatenate(found))
    return np.stack(np.divmod(pairs, max(1, len(hashes))), 1)


def _sorted(
    hashes: np.ndarray, shift: int, width: int, folder: Path | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort hashes by `width` bits, their key; return where each key begins, the hashes' places, and the hashes."""

    def keys(first: int, last: int) -> np.ndarray:
        return ((hashes[first:last] >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.int64)

    parts = [(first, first + HASHES_AT_ONCE) for first in range(0, len(hashes), HASHES_AT_ONCE)]
    counts = np.zeros(1 << width, np.int64)
    for part in parts:
        counts += np.bincount(keys(*part), minlength=1 << width)
    begins = np.concatenate([[0], np.cumsum(counts)])
    order, inside = (table(hashes.shape, kind, folder) for kind in (np.int64, np.uint64))
    # Neighbouring keys at a time, as many as fill memory once: the file is written from its beginning to its end.
    bounds = np.unique([0, *np.searchsorted(begins, [last for _, last in parts]).clip(max=1 << width), 1 << width])
    for low, high in itertools.pairwise(bounds.tolist()):
        found = [part[0] + np.flatnonzero((low <= (own := keys(*part))) & (own < high)) for part in parts]
        places = np.concatenate([np.empty(0, np.int64), *found])
        chosen = hashes[places]
        sorting = np.argsort((chosen >> np.uint64(shift)) & np.uint64((1 << width) - 1), kind="stable")
        order[begins[low] : begins[high]] = places[sorting]
        inside[begins[low] : begins[high]] = chosen[sorting]
    return begins, order, inside


def _candidates(begins: np.ndarray, width: int, flips: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of places in a band's sorted order whose keys differ by at most `flips` bits; each pair once."""
    present = np.flatnonzero(np.diff(begins))
    for count in range(flips + 1):
        for bits in itertools.combinations(range(width), count):
            other = present ^ sum(1 << bit for bit in bits)
            wanted = (begins[other + 1] > begins[other]) & ((present < other) | (count == 0))
            one, other = present[wanted], other[wanted]
            many, others = begins[one + 1] - begins[one], begins[other + 1] - begins[other]
            ends = np.cumsum(many * others)
            for part in np.split(np.arange(len(one)), np.flatnonzero(np.diff(ends // PAIRS_AT_ONCE)) + 1):
                if not len(part):
                    continue
                pairs = many[part] * others[part]
                which = np.repeat(part, pairs)
                place = np.arange(len(which)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
                row, column = np.divmod(place, others[which])
                first, second = begins[one[which]] + row, begins[other[which]] + column
                if count == 0:
                    first, second = first[first < second], second[first < second]
                yield first, second
