"""Measure what the search for copies takes among a million covers, what it finds and what it confuses.

`python -m train.benchmark duplicates` starts this module by itself for each search, so that only the search's own
memory is counted.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Event, Thread

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from gan.fingerprints import alike, contrast_of
from train.benchmark.piles import draw_cover, read_sources
from train.cli import UserError
from train.prepare.clean import Cover, NoCover, decode, prepare_cover
from train.prepare.duplicates import Fingerprints, find_copies, similar_hashes
from train.prepare.items import Item
from train.prepare.parts import judge
from train.prepare.settings import Settings
from train.prepare.tables import table


HASH_DISTANCE = 8  # of train.prepare, where nobody says another
DISTANCES = (2, 4, 6, 8, 10)
DRAWN_SIDE = 300
CLUSTER = 4
DIFFERENT = 600  # covers among which those that are lost are counted
GOAL_SECONDS, GOAL_MB = 60, 2000

Search = Callable[..., Callable[[], float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    add = parser.add_argument
    add("sources", nargs="*", metavar="SOURCE", help="covers to change and to compare; without, they are drawn")
    add("--fingerprints", type=int, default=1_000_000, help="how many to search among")
    add("--hash_distance", type=int, default=8, help="bits of 64 that may differ in that search")
    add("--covers", type=int, default=300, help="covers to change, spread over the sources")
    add("--resolution", type=int, default=128, help="width and height of the prepared covers")


def main(args: argparse.Namespace) -> str:
    """Print what the search takes, which changed covers are found, and how many pairs of a pile are called copies."""
    if args.fingerprints < 100 or args.covers < 2 or args.hash_distance not in range(12):
        raise UserError("--fingerprints must be 100 or more, --covers 2 or more, --hash_distance 0 to 11")
    title = f"{args.fingerprints:,} fingerprints, {args.hash_distance} bits"
    print(f"{title:<36}{'seconds':>10}{'peak MB':>10}{'found %':>10}  (of memory, without files that are mapped)")
    for name in SEARCHES:
        command = [sys.executable, "-m", "train.benchmark.duplicates", name]
        command += [str(args.fingerprints), str(args.hash_distance)]
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"{name} failed: {done.stderr.strip().splitlines()[-1]}", 1)
        seconds, peak, found = json.loads(done.stdout)
        print(f"{name:<36}{seconds:>10.1f}{peak / 1e6:>10.0f}{100 * found:>10.3f}", flush=True)
    print(f"{'goal, for a million':<36}{f'< {GOAL_SECONDS}':>10}{f'< {GOAL_MB}':>10}{100:>10.3f}")

    settings = Settings(args.resolution, 1, 100.0)
    covers, contents = different_covers(args.sources, settings, args.covers)
    heading = "".join(f"{distance:>8}" for distance in DISTANCES)
    print(f"\n{'':<36}{'by hash and colours, bits':>40}{'by hash alone, bits':>40}")
    print(f"{f'% of {len(contents)} changed covers found':<36}{heading}{heading}")
    for name, shares in recall(contents, settings).items():
        print(f"{name:<36}" + "".join(f"{100 * share:>8.1f}" for share in shares), flush=True)
    stay = versions_that_stay(contents, settings)
    print(f"\n{f'{len(contents)} covers, each in {len(VERSIONS) + 1} versions':<36}{'stay':>10}")
    for name, count in (stay | {"all": sum(stay.values())}).items():
        print(f"{name:<36}{count:>10}")
    chosen = spread(len(covers.phash), DIFFERENT)
    print(f"{f'lost of {len(chosen)} different covers':<36}{lost(covers, chosen):>10}", flush=True)
    counts = 1000 * pairs_called_copies(covers) / len(covers.phash)
    print(f"\n{f'pairs in {len(covers.phash):,} covers, per 1,000':<36}{heading}{heading}")
    print(f"{'called copies':<36}" + "".join(f"{count:>8.1f}" for count in counts))
    return "pairs: of covers as they came, no two equal in every pixel; near copies that are true are among them"


def search(name: str, count: int, distance: int) -> tuple[float, int, float]:
    """Search planted clusters; return the seconds, the most bytes of memory held meanwhile, and the share found."""
    covers, planted = plant(count, distance)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        if name.endswith("on_disk"):
            covers = _moved(covers, Path(folder))
        with _watched_memory() as peak:
            begin = time.perf_counter()
            found = SEARCHES[name](covers, planted, distance, Path(folder))
            seconds = time.perf_counter() - begin
        return seconds, max(peak), found()


def _moved(covers: Fingerprints, folder: Path) -> Fingerprints:
    """Return fingerprints of which those that are large lie on the disk, as `train.prepare` holds them."""
    sha256, colours = (table(held.shape, np.uint8, folder) for held in (covers.sha256, covers.colours))
    sha256[:], colours[:] = covers.sha256, covers.colours
    return Fingerprints(sha256, covers.phash, colours, covers.pixels)


@contextmanager
def _watched_memory() -> Iterator[list[int]]:
    """Collect the bytes of memory that this process holds, every 20 ms; where Linux does not tell, 0."""
    held, done = [0], Event()

    def watch() -> None:
        while True:
            held.append(memory_of_process())
            if done.wait(0.02):
                return

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield held
    finally:
        done.set()
        watcher.join()


def memory_of_process() -> int:
    """Return the bytes that this process holds now, without files that it has mapped: those the system may drop."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")), 0)


def plant(count: int, distance: int) -> tuple[Fingerprints, np.ndarray]:
    """Return `count` random fingerprints of which a tenth are in clusters of copies, scattered among the others.

    Returns:
        the fingerprints, and (4, K) int64: in each column the places of an original and of three copies of it, which
        differ from it in 0 to `distance` bits, in some levels of colour, and are smaller.
    """
    random = np.random.default_rng(0)
    phash = random.integers(0, 2**64, count, np.uint64)
    fields = random.integers(0, 256, (count, 192), np.uint8)
    pixels = random.integers(10_000, 20_000, count)
    planted = random.permutation(count)[: CLUSTER * (count // 40)].reshape(CLUSTER, -1)
    pixels[planted[0]] = 30_000
    for copies in planted[1:]:
        flipped = random.permuted(np.arange(64)[None].repeat(len(copies), 0), axis=1)
        flipped[np.arange(64)[None] >= (np.arange(len(copies)) % (distance + 1))[:, None]] = 64  # those are not
        bits = np.where(flipped < 64, np.uint64(1) << flipped.clip(max=63).astype(np.uint64), np.uint64(0))
        phash[copies] = phash[planted[0]] ^ np.bitwise_xor.reduce(bits, axis=1)
        noise = random.integers(-8, 9, (len(copies), 192))
        fields[copies] = (fields[planted[0]] + noise).clip(0, 255)
    return Fingerprints(random.integers(0, 256, (count, 32), np.uint8), phash, fields, pixels), planted


def _search_pairs(
    covers: Fingerprints, planted: np.ndarray, distance: int, folder: Path | None = None
) -> Callable[[], float]:
    hashes = np.unique(covers.phash)
    pairs = similar_hashes(hashes, distance, folder=folder)

    def found() -> float:
        one, other = np.concatenate(
            [planted[list(pair)] for pair in itertools.combinations(range(CLUSTER), 2)], axis=1
        )
        bits = np.bitwise_count(covers.phash[one] ^ covers.phash[other])
        near = (bits > 0) & (bits <= distance)
        places = np.sort(np.searchsorted(hashes, covers.phash[np.stack([one, other])[:, near]]), axis=0)
        known = pairs[:, 0] * len(hashes) + pairs[:, 1]
        return float(np.isin(places[0] * len(hashes) + places[1], known).mean())

    return found


def _search_copies(
    covers: Fingerprints, planted: np.ndarray, distance: int, folder: Path | None = None
) -> Callable[[], float]:
    of = find_copies(covers, distance, folder=folder)
    return lambda: float((of[planted] == planted[0]).mean())


def _in_memory(search: Search) -> Search:
    return lambda covers, planted, distance, folder=None: search(covers, planted, distance)


SEARCHES = {
    "similar_hashes": _in_memory(_search_pairs),
    "similar_hashes_on_disk": _search_pairs,
    "find_copies": _in_memory(_search_copies),
    "find_copies_on_disk": _search_copies,
}


def different_covers(sources: list[str], settings: Settings, changed: int) -> tuple[Fingerprints, list[bytes]]:
    """Return the covers of the sources without equal ones, and the files of `changed` of them, evenly spread."""
    drawn = (Item(str(seed), _bmp(draw_cover(seed, DRAWN_SIDE))) for seed in range(changed))
    kept: dict[bytes, tuple[Item, Cover]] = {}
    for item in read_sources(sources) if sources else drawn:
        cover = judge(item, settings)
        if not isinstance(cover, NoCover):
            kept.setdefault(cover.sha256, (item, cover))
    if len(kept) < 2:
        raise UserError("the sources hold fewer than two covers")
    everything = list(kept.values())
    contents = [everything[number][0].read() for number in spread(len(kept), changed)]
    return _fingerprints([cover for _, cover in kept.values()]), contents


def spread(count: int, wanted: int) -> np.ndarray:
    """Return at most `wanted` of the numbers from 0 to `count` - 1, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(int))


def _fingerprints(covers: list[Cover]) -> Fingerprints:
    return Fingerprints(
        sha256=np.array([[*cover.sha256] for cover in covers], np.uint8),
        phash=np.array([cover.phash for cover in covers], np.uint64),
        colours=np.array([[*cover.colours] for cover in covers], np.uint8),
        pixels=np.array([cover.pixels for cover in covers]),
    )


def recall(contents: list[bytes], settings: Settings) -> dict[str, np.ndarray]:
    """Return by change the (10,) shares of covers found again: with colours at each distance, then without."""
    found: dict[str, list[np.ndarray]] = {}
    following = contents[1:] + contents[:1]
    for content, other in zip(contents, following, strict=True):
        picture = decode(content, Settings(1024, 1, 100.0)).picture
        changed = {name: change(picture) for name, change in CHANGES.items()} | {"another cover": other}
        covers = _fingerprints([prepare_cover(file, settings) for file in (content, *changed.values())])
        others = np.arange(1, len(covers.phash))
        bits = np.bitwise_count(covers.phash[others] ^ covers.phash[0])
        like = alike(covers.colours, contrast_of(covers.colours), 0, others)
        near = bits[:, None] <= np.array(DISTANCES)
        for name, row in zip(changed, np.concatenate([near & like[:, None], near], axis=1), strict=True):
            found.setdefault(name, []).append(row)
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}


def versions_that_stay(contents: list[bytes], settings: Settings) -> dict[str, int]:
    """Prepare covers, each as it is and in the VERSIONS; return by version how many stay beside the one that is kept.

    They are compared as `train.prepare` compares them, at its default distance.
    """
    covers = []
    for content in contents:
        picture = decode(content, Settings(1024, 1, 100.0)).picture
        files = [content, *(change(picture) for change in VERSIONS.values())]
        covers += [prepare_cover(file, settings) for file in files]
    each = len(VERSIONS) + 1
    of = find_copies(_fingerprints(covers), HASH_DISTANCE).reshape(-1, each)
    stay = dict.fromkeys(["as it is", *VERSIONS], 0)
    for number, kept in enumerate(of):
        own = each * number + np.arange(each)
        found, counts = np.unique(kept, return_counts=True)
        main = found[counts.argmax()]
        for name, cover, copy_of in zip(stay, own, kept, strict=True):
            stay[name] += int(copy_of == cover != main)
    return stay


def lost(covers: Fingerprints, chosen: np.ndarray) -> int:
    """Return how many of the `chosen` covers are taken for copies of another, by hash and colours."""
    few = Fingerprints(covers.sha256[chosen], covers.phash[chosen], covers.colours[chosen], covers.pixels[chosen])
    return int((find_copies(few, HASH_DISTANCE) != np.arange(len(chosen))).sum())


def pairs_called_copies(covers: Fingerprints) -> np.ndarray:
    """Return (10,): how many pairs are called copies with colours at each distance, then without."""
    hashes, cell = np.unique(covers.phash, return_inverse=True)
    order = np.argsort(cell, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(cell))[:-1])
    bits, likes = [], []
    contrast = contrast_of(covers.colours)
    for one, others in _neighbours(similar_hashes(hashes, max(DISTANCES)), members):
        bits.append(np.bitwise_count(covers.phash[others] ^ covers.phash[one]))
        likes.append(alike(covers.colours, contrast, one, others))
    near = np.concatenate([np.empty(0, int), *bits])[:, None] <= np.array(DISTANCES)
    sure = np.concatenate([np.empty(0, bool), *likes])[:, None]
    return np.concatenate([(near & sure).sum(0), near.sum(0)])


def _neighbours(pairs: np.ndarray, members: list[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield every cover with those after it whose hash is equal or near; `members` are the covers by hash."""
    ends = np.searchsorted(pairs[:, 0], np.arange(len(members) + 1))
    for cell, own in enumerate(members):
        near = [members[other] for other in pairs[ends[cell] : ends[cell + 1], 1]]
        for place, one in enumerate(own):
            if len(others := np.concatenate([own[place + 1 :], *near])):
                yield one, others


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    stored = BytesIO()
    picture.save(stored, "JPEG", quality=quality)
    return stored.getvalue()


def _bmp(picture: Image.Image) -> bytes:
    stored = BytesIO()
    picture.save(stored, "BMP")
    return stored.getvalue()


def _webp(picture: Image.Image) -> bytes:
    stored = BytesIO()
    picture.save(stored, "WEBP")
    return stored.getvalue()


def _paler(picture: Image.Image, brightness: float, colour: float) -> Image.Image:
    return ImageEnhance.Color(ImageEnhance.Brightness(picture).enhance(brightness)).enhance(colour)


def _scaled(picture: Image.Image, share: float) -> Image.Image:
    return picture.resize([max(1, round(side * share)) for side in picture.size], Image.Resampling.LANCZOS)


def _cropped(picture: Image.Image, share: float) -> bytes:
    width, height = picture.size
    across, down = round(width * share), round(height * share)
    return _bmp(picture.crop((across, down, width - across, height - down)))


def _tinted(picture: Image.Image, red: float, green: float, blue: float) -> bytes:
    return _bmp(Image.fromarray((np.asarray(picture) * (red, green, blue)).clip(0, 255).astype(np.uint8)))


def _gamma(picture: Image.Image, gamma: float) -> bytes:
    return _bmp(picture.point([round(255 * (level / 255) ** gamma) for level in range(256)] * 3))


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG 75": lambda picture: _jpeg(picture, 75),
    "JPEG 30": lambda picture: _jpeg(picture, 30),
    "half size": lambda picture: _bmp(_scaled(picture, 1 / 2)),
    "quarter size, JPEG 50": lambda picture: _jpeg(_scaled(picture, 1 / 4), 50),
    "2% off each side": lambda picture: _cropped(picture, 0.02),
    "4% off each side": lambda picture: _cropped(picture, 0.04),
    "black border of 1 px": lambda picture: _bmp(ImageOps.expand(picture, 1)),
    "tint 1.1, 1.0, 0.85": lambda picture: _tinted(picture, 1.1, 1.0, 0.85),
    "tint 1.25, 0.95, 0.7": lambda picture: _tinted(picture, 1.25, 0.95, 0.7),
    "gamma 0.8": lambda picture: _gamma(picture, 0.8),
    "gamma 1.3": lambda picture: _gamma(picture, 1.3),
    "grey": lambda picture: _bmp(picture.convert("L")),
}

# What people do to a cover before somebody else collects it.
VERSIONS: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG 45": lambda picture: _jpeg(picture, 45),
    "doubled, WebP": lambda picture: _webp(_scaled(picture, 2)),
    "2% off each side": lambda picture: _cropped(picture, 0.02),
    "12% brighter, 15% paler": lambda picture: _bmp(_paler(picture, 1.12, 0.85)),
}


if __name__ == "__main__":
    print(json.dumps(search(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
