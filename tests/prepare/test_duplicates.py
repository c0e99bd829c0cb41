"""Copies among covers, against what comparing every pair finds."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan import fingerprints
from tests.helpers.drawn import draw_cover, draw_dataset, encode, write_files
from tests.helpers.preparing import program, written
from train.prepare import tables
from train.prepare.clean import make_square
from train.prepare.duplicates import Fingerprints, find_copies, similar_hashes
from train.prepare.tables import table


ROOT = Path(__file__).parents[2]


def prints_of(pictures: list[Image.Image]) -> Fingerprints:
    squares = [make_square(picture, 64) for picture in pictures]
    return Fingerprints(
        np.array([np.frombuffer(fingerprints.pixel_hash(picture), np.uint8) for picture in pictures]),
        np.array([fingerprints.perceptual_hash(square) for square in squares], np.uint64),
        np.array([np.frombuffer(fingerprints.colours(square), np.uint8) for square in squares]),
        np.array([picture.width * picture.height for picture in pictures]),
    )


def random_hashes(count: int) -> np.ndarray:
    """Hashes, some of which differ in a few bits from another."""
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, count, dtype=np.uint64)
    for copy in range(0, count, 3):
        flips = random.choice(64, random.integers(1, 13), replace=False)
        hashes[copy] = hashes[copy - 1] ^ sum(np.uint64(1) << np.uint64(bit) for bit in flips)
    return np.unique(hashes)


@pytest.mark.parametrize("distance", [0, 1, 4, 8, 11])
def test_similar_hashes_are_those_that_comparing_all_finds(distance):
    hashes = random_hashes(700)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    expected = np.argwhere(np.triu(apart <= distance, 1))
    assert np.array_equal(similar_hashes(hashes, distance), expected)
    assert len(expected) == 0 if distance == 0 else len(expected) > 5


@pytest.mark.parametrize("at_once", [40, 10**6])
@pytest.mark.parametrize("flips", [None, 2])
def test_on_the_disk_the_same_pairs_are_found(tmp_path, monkeypatch, at_once, flips):
    monkeypatch.setattr("train.prepare.duplicates.HASHES_AT_ONCE", at_once)
    hashes = random_hashes(700)
    hashes = np.unique(np.concatenate([hashes, np.arange(150, dtype=np.uint64)]))  # many alike in two bands
    expected = similar_hashes(hashes, 11, flips)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    assert len(expected) > 100 and (flips or np.array_equal(expected, np.argwhere(np.triu(apart <= 11, 1))))
    assert np.array_equal(similar_hashes(hashes, 11, flips, tmp_path), expected)
    assert not list(tmp_path.iterdir())


def test_many_hashes_with_one_band_alike_are_compared_in_pieces(monkeypatch):
    monkeypatch.setattr("train.prepare.duplicates.PAIRS_AT_ONCE", 100)
    random = np.random.default_rng(1)
    hashes = np.unique(random.integers(0, 2**14, 300, dtype=np.uint64) << np.uint64(43))
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    assert np.array_equal(similar_hashes(hashes, 3), np.argwhere(np.triu(apart <= 3, 1)))


def test_no_hashes_are_no_trouble():
    assert similar_hashes(np.empty(0, np.uint64), 8).shape == (0, 2)
    empty = Fingerprints(
        np.empty((0, 32), np.uint8), np.empty(0, np.uint64), np.empty((0, 192), np.uint8), np.empty(0)
    )
    assert len(find_copies(empty, 8)) == 0


CHANGES = {
    "smaller": lambda cover: cover.resize((90, 90), Image.Resampling.LANCZOS),
    "larger": lambda cover: cover.resize((300, 300), Image.Resampling.BICUBIC),
    "warmer": lambda cover: Image.fromarray((np.asarray(cover) * (1.0, 0.95, 0.88)).astype(np.uint8)),
    "a border of a pixel": lambda cover: _with_border(cover),
}


def _with_border(cover: Image.Image) -> Image.Image:
    framed = Image.new("RGB", cover.size)
    framed.paste(cover.crop((1, 1, cover.width - 1, cover.height - 1)), (1, 1))
    return framed


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_cover_is_a_copy_and_another_cover_is_none(change):
    covers = [draw_cover(seed, 200) for seed in range(12)]
    changed = [CHANGES[change](cover) for cover in covers]
    of = find_copies(prints_of([*covers, *changed]), 8)
    kept = 12 if change == "larger" else 0
    expected = np.tile(np.arange(kept, kept + 12), 2)
    assert (of == expected).mean() > 0.9
    assert all(of[i] % 12 == i % 12 for i in range(24))  # of no other cover
    assert np.array_equal(find_copies(prints_of([*covers, *changed]), None), np.arange(24))


def test_one_drawing_in_other_colours_is_another_cover():
    """As the records of one label are: the grey hashes hardly differ."""
    drawing = np.asarray(draw_cover(1, 128).convert("L"), float)[..., None] / 255
    red, blue = (Image.fromarray((drawing * colour).astype(np.uint8)) for colour in ((255, 90, 60), (60, 90, 255)))
    prints = prints_of([red, blue])
    assert int(prints.phash[0] ^ prints.phash[1]).bit_count() <= 8
    assert np.array_equal(find_copies(prints, 8), [0, 1])


def test_the_largest_stays_then_the_first_and_chains_do_not_join():
    print_of = prints_of([draw_cover(1)])
    steps = [0, 0b1111, 0b11111111, 0b111111111111]  # each 4 bits from the next, the ends 12 apart

    def cluster(pixels: list[int], foreign: int = 0) -> list[int]:
        prints = Fingerprints(
            np.arange(4 * 32, dtype=np.uint8).reshape(4, 32),
            np.array([int(print_of.phash[0]) ^ step for step in steps], np.uint64),
            np.repeat(print_of.colours, 4, axis=0),
            np.array(pixels),
        )
        return find_copies(prints, 4, foreign).tolist()

    assert cluster([9, 9, 9, 9]) == [0, 0, 2, 2]
    assert cluster([1, 9, 1, 1]) == [1, 1, 1, 3]
    assert cluster([1, 1, 1, 9]) == [0, 0, 3, 3]
    assert cluster([1, 9, 1, 1], foreign=1) == [0, 0, 2, 2]
    assert cluster([1, 2, 3, 4], foreign=2) == [1, 1, 1, 3]


def test_a_pile_with_copies_of_both_kinds_is_the_same_on_the_disk(tmp_path):
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (50, 192), np.uint8)[np.arange(300) % 50]
    phash = random.integers(0, 2**64, 50, np.uint64)[np.arange(300) % 50]
    phash ^= np.uint64(1) << random.integers(0, 64, 300).astype(np.uint64)
    sha256 = random.integers(0, 256, (300, 32), np.uint8)
    sha256[100:150] = sha256[:50]  # equal covers
    sha256[150:170, :8] = sha256[0, :8]  # which only begin alike
    covers = Fingerprints(sha256, phash, colours, random.integers(1, 9, 300))
    exact, near = find_copies(covers, None), find_copies(covers, 8)
    assert (exact != np.arange(300)).sum() == 50 and len(np.unique(near)) < 100
    assert all((sha256[cover] == sha256[of]).all() for cover, of in enumerate(exact))
    for foreign in (0, 40):
        assert np.array_equal(find_copies(covers, 8, foreign, tmp_path), find_copies(covers, 8, foreign))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's memory without its mapped files")
def test_a_table_on_the_disk_takes_no_memory_and_leaves_no_file(tmp_path):
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from train.prepare.tables import table
held = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, ((held + 50_000) * 1024,) * 2)
filled = table((1_000_000, 192), np.uint8, Path(sys.argv[1]) if sys.argv[1:] else None)
filled[:] = 7
print(filled[-1, -1])
"""
    told = []
    for folder in ([], [tmp_path]):
        command = [sys.executable, "-c", code, *map(str, folder)]
        told.append(subprocess.run(command, cwd=ROOT, capture_output=True, text=True))
    in_memory, on_disk = told
    assert "MemoryError" in in_memory.stderr
    assert on_disk.stdout == "7\n", on_disk.stderr
    assert not list(tmp_path.iterdir())


def test_what_is_too_large_for_memory_is_prepared_on_the_disk_with_the_same_bytes(tmp_path, monkeypatch):
    files = {f"rock/{seed}.png": encode(draw_cover(seed), "PNG") for seed in range(30)}
    files |= {f"copy-{seed}.jpg": encode(draw_cover(seed), "JPEG") for seed in range(0, 30, 4)}
    pile, known = write_files(tmp_path / "pile", files), draw_dataset(tmp_path / "known", 3)
    options = ("--resolution", 32, "--num_workers", 0, "--labels", "folder", "--exclude", known)
    folders = []
    monkeypatch.setattr("train.prepare.duplicates.table", lambda *asked: folders.append(asked[-1]) or table(*asked))
    for name, share in (("memory", 1), ("disk", 0)):
        monkeypatch.setattr("train.prepare.tables.LARGEST_SHARE", share)
        assert program(pile, "--output_dir", tmp_path / name / "out", *options)[0] == 0
    assert set(folders) == {None, tmp_path / "disk/out/.prepare-unfinished"}
    assert written(tmp_path / "memory/out") == written(tmp_path / "disk/out")


def test_a_container_says_how_much_memory_there_is(tmp_path):
    limit = tmp_path / "memory.max"
    limit.write_text("1000\n")
    assert tables.memory(limit) == 1000
    limit.write_text("max\n")
    assert tables.memory(limit) == tables.memory(tmp_path / "none") > 2**26


def draw_texture(seed: int, size: int = 200) -> Image.Image:
    """Draw fields of three sizes above each other: their hashes change more than those of a few shapes do."""
    random = np.random.default_rng(seed)
    fields = [Image.fromarray(random.integers(0, 256, (n, n, 3), dtype=np.uint8)) for n in (3, 7, 16)]
    layers = [np.asarray(field.resize((size, size), Image.Resampling.NEAREST), np.float64) for field in fields]
    return Image.fromarray(np.mean(layers, 0).astype(np.uint8))


def encoded(cover: Image.Image, kind: str, **options: int) -> Image.Image:
    return Image.open(BytesIO(encode(cover, kind, **options))).convert("RGB")


def brighter_and_paler(cover: Image.Image) -> Image.Image:
    pixels = np.asarray(cover) * 1.12
    grey = pixels.mean(2, keepdims=True)
    return Image.fromarray(np.clip(grey + 0.85 * (pixels - grey), 0, 255).astype(np.uint8))


def test_of_five_versions_of_a_cover_one_stays():
    covers = [draw_texture(seed) for seed in range(30)]
    versions = [
        *covers,
        *(encoded(cover, "JPEG", quality=45) for cover in covers),
        *(encoded(cover.resize((400, 400), Image.Resampling.BICUBIC), "WEBP") for cover in covers),
        *(cover.crop((4, 4, 196, 196)) for cover in covers),
        *(brighter_and_paler(cover) for cover in covers),
    ]
    of = find_copies(prints_of(versions), 8)
    assert np.array_equal(of, np.tile(np.arange(60, 90), 5))  # the largest of the five


def test_colours_may_be_as_far_apart_as_the_contrast_of_both_allows():
    # whichever of the two is asked about
    contrast = np.array([0.0, 400.0], np.float32)  # mean 200
    allowed = int(200**0.5 + fingerprints.ALIKE_NOISE)
    for apart, are_alike in ((allowed, True), (allowed + 1, False)):
        colours = np.stack([np.full(192, 100, np.uint8), np.full(192, 100 + apart, np.uint8)])
        for one, other in ((0, 1), (1, 0)):
            assert fingerprints.alike(colours, contrast, one, np.array([other]), share=1.0).tolist() == [are_alike]
