"""Make piles to measure with: drawn ones, or of the pictures of somebody's own covers."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from train.cli import UserError
from train.prepare.clean import NoCover, decode, make_square
from train.prepare.items import Item
from train.prepare.settings import Settings
from train.prepare.sources import check_source, expand, read_source


def draw_cover(seed: int, side: int) -> Image.Image:
    """Draw one cover, mode RGB: shapes on a ground, with a grain that makes its JPEG as large as a real cover's."""
    random = np.random.default_rng(seed)
    few = Image.fromarray(random.integers(0, 256, (5, 5, 3), np.uint8))
    ground = few.resize((side, side), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(ground)
    for colour in random.integers(0, 256, (6, 3)):
        left, top, width, height = random.uniform([0, 0, 0.05, 0.02], [0.8, 0.8, 0.5, 0.5]) * side
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape((left, top, left + width, top + height), fill=tuple(colour.tolist()))
    # 4 levels, half as fine as the pixels: 65 kB at 600 px and quality 90, where real ones have 59.
    grain = Image.fromarray(random.normal(0, 4, (side // 2, side // 2)).astype(np.float32)).resize((side, side))
    noisy = np.asarray(ground, np.float32) + np.asarray(grain)[..., None]
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def read_sources(sources: list[str]) -> Iterator[Item]:
    """Iterate over every file of the sources. Raises UserError at once where a source cannot be read."""
    sources = expand(sources)
    for source in sources:
        check_source(source, Path("nowhere"))
    return chain.from_iterable(map(read_source, sources))


def large_pictures(sources: list[str], side: int, count: int) -> list[Image.Image]:
    """Return the first `count` pictures of the sources that are at least `side` pixels high and wide, cut square.

    Raises:
        UserError: there is none.
    """
    settings = Settings(side, side, 2.0)

    def pictures() -> Iterator[Image.Image]:
        for item in read_sources(sources):
            try:
                yield make_square(decode(item.read(), settings).picture, side)
            except NoCover:
                continue

    found = list(islice(pictures(), count))
    if not found:
        raise UserError(f"the sources hold no picture of {side} px or more; name a smaller --side")
    return found


def write_pile(folder: Path, pictures: list[Image.Image], count: int, side: int) -> Path:
    """Write `count` different JPEGs of quality 90, a quarter of them into each of the folders 0 to 3.

    Each is one of `pictures`, mirrored or not, and shifted around the edges: another one, but of the same texture.
    """
    random = np.random.default_rng(0)
    scaled = [np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC)) for picture in pictures]
    for number in range(count):
        quarter = folder / str(number * 4 // count)
        quarter.mkdir(parents=True, exist_ok=True)
        pixels = np.roll(scaled[number % len(scaled)], random.integers(0, side, 2), (0, 1))
        Image.fromarray(pixels[:, :: random.choice((1, -1))]).save(quarter / f"{number:07d}.jpg", quality=90)
    return folder
