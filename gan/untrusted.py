"""Check what a stranger's files say against bounds, before time or memory is spent on it.

A generator from the Hub is a configuration and weights. Whoever wrote them may ask for a network of any size, for
files that never end, or for lists in lists in lists; here stands what is let in, and everything else is refused.
"""

import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open


LARGEST_JSON = 1_000_000  # bytes
LARGEST_METRICS, LONGEST_LINE = 200_000_000, 20_000  # bytes of metrics.jsonl, of a run of weeks a tenth; of a line
LARGEST_WEIGHTS = 1_000_000_000  # bytes of all files of a generator
LARGEST_HEADER = 1_000_000  # bytes at the beginning of a safetensors file, which name its tensors
MOST_FILES, MOST_TENSORS = 250, 10_000
MOST_GENRES, LONGEST_GENRE = 1000, 100  # characters
LARGEST_MAP = 2**26  # numbers in a feature map at full size: StyleGAN2 at 1024 pixels has 2**25

# The least and the most of each argument of a network that travels; in a list, all that it may be.
SIDES = (8, 1024)  # pixels
CHANNELS = (1, 2048)
LATENTS = (1, 4096)
LATENT_CHANNELS, CLUSTERS, PALETTE = (1, 64), (0, 1000), (0, 64)
R3GAN = {
    "resolution": SIDES,
    "width": CHANNELS,
    "max_width": CHANNELS,
    "blocks": (1, 16),
    "group_size": (1, 2 * CHANNELS[1]),
}
DENOISER = {"positions": (4, SIDES[1] // 8), "width": CHANNELS, "max_width": CHANNELS}
BOUNDS: dict[str, dict[str, Any]] = {
    "DCGANGenerator": {"resolution": SIDES, "width": CHANNELS, "latent_dim": LATENTS},
    "WGANGPGenerator": {"resolution": SIDES, "width": CHANNELS, "latent_dim": LATENTS},
    "R3GANGenerator": R3GAN | {"latent_dim": LATENTS},
    "PainterGenerator": {
        "resolution": (32, SIDES[1]),
        "width": CHANNELS,
        "composer_width": CHANNELS,
        "composer_max_width": CHANNELS,
        "composer_depth": (1, 8),
        "latent_channels": LATENT_CHANNELS,
        "latent_dim": LATENTS,
        "attention": (0, 64),
        "sketch_width": (0, CHANNELS[1]),
        "reader_depth": (0, 8),
        "clusters": CLUSTERS,
        "palette": PALETTE,
    },
    "Encoder": {"width": (1, 256), "latent_channels": LATENT_CHANNELS, "depth": (1, 8)},
    "DCGANDiscriminator": {
        "resolution": SIDES,
        "width": CHANNELS,
        "normalisation": ["batch", "spectral", "none"],
    },
    "WGANGPDiscriminator": {"resolution": SIDES, "width": CHANNELS},
    "R3GANDiscriminator": R3GAN,
    "LatentDiscriminator": {
        "latent_channels": LATENT_CHANNELS,
        "positions": (4, SIDES[1] // 8),
        "width": CHANNELS,
        "clusters": CLUSTERS,
        "palette": PALETTE,
    },
    "LatentFeatures": {"latent_channels": LATENT_CHANNELS, "positions": (16, SIDES[1] // 8), "width": CHANNELS},
    "ProjectedDiscriminator": {
        "channels": [[40, 112, 320], [24, 40, 112, 320]],  # of EfficientNet-lite0's maps
        "sizes": [[side // 2**k for k in range(maps)] for maps in (3, 4) for side in (16, 32, 64, 128, 256)],
        "width": [0.5, 1, 2],
    },
    "PatchDiscriminator": {"width": (1, 256)},
    "Denoiser": DENOISER | {"latent_channels": LATENT_CHANNELS, "depth": (1, 8)},
    "DenoiserHeads": DENOISER | {"channels": CHANNELS, "clusters": CLUSTERS, "palette": PALETTE},
}
OWN_NOTES = ("_class_name", "_diffusers_version", "_name_or_path")  # diffusers writes them beside the arguments
WEIGHTS = ("F16", "BF16", "F32", "F64", "I64")  # what safetensors calls the kinds of numbers that weights may be


def check_file(file: Path, most: int) -> int:
    """Return the size of `file` in bytes, without opening it: a FIFO would never end.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is a folder, a FIFO or a device, or larger than `most` bytes.
    """
    size = file.stat().st_size
    if not file.is_file():
        raise ValueError(f"{file.name} is no regular file")
    if size > most:
        raise ValueError(f"{file.name} has more than {most:,} bytes")
    return size


def is_folder(name: str | Path) -> bool:
    """Return whether there is a folder of this name, which may be any text."""
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # a name that is too long, or that no file can have
        return False


def own_file(folder: Path, name: str) -> Path | None:
    """Return the file `name` of a folder where it is a regular one that lies there, and no link leads to it.

    What a stranger's folder shares, or a program tells of it, must not be another file of the user's.
    """
    path = folder
    for part in Path(name).parts:
        path /= part
        if path.is_symlink():
            return None
    return path if path.is_file() else None


def read_json(file: Path, most: int = LARGEST_JSON) -> object:
    """Return what a JSON file says. Raises as `check_file`, and ValueError where it is no JSON, or nested deeply."""
    size = check_file(file, most)
    try:
        with open(file, "rb") as opened:
            return json.loads(opened.read(size))  # no more: what Linux shows as a file may have no size, and no end
    except RecursionError as error:
        raise ValueError(f"{file.name} holds lists in lists beyond all measure") from error
    except ValueError as error:
        raise ValueError(f"{file.name} is no JSON: {error}") from error


def read_line(text: str | bytes) -> dict[str, Any] | None:
    """Return what a line of metrics.jsonl says: numbers by name, `images` among them, and its `kind`, if it has one.

    What else stands there, such as NaN, is left out; of what is no such line None is returned.
    """
    if len(text) > LONGEST_LINE:
        return None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not is_number(said.get("images")) or said["images"] < 0:
        return None
    return {name: value for name, value in said.items() if is_number(value) or (name, type(value)) == ("kind", str)}


def is_number(value: object) -> bool:
    """Return whether a value is a number that a run may have measured: finite, of at most 15 digits, and no truth."""
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 and math.isfinite(value)
    )


def check_arguments(network: str, config: object) -> dict[str, object]:
    """Return the arguments of a network that a configuration holds; those that it leaves out keep their defaults.

    Args:
        network: a key of BOUNDS.
        config: what its `config.json` says.

    Raises:
        ValueError: it holds something else than the network's arguments, or a value out of bounds.
    """
    if not isinstance(config, dict):
        raise ValueError("its config is no JSON object")
    arguments = {name: value for name, value in config.items() if name not in OWN_NOTES}
    if unknown := sorted(arguments.keys() - BOUNDS[network].keys() - {"genres"}):
        raise ValueError(f"its config names {unknown[0][:80]!r}, which {network} does not take")
    for name, bounds in BOUNDS[network].items():
        if isinstance(bounds, list):
            if name in arguments and arguments[name] not in bounds:
                raise ValueError(f"{name} in its config is {str(arguments[name])[:80]!r}, which {network} cannot have")
            continue
        least, most = bounds
        value = arguments.get(name, least)
        if type(value) is not int:  # a bool is none
            raise ValueError(f"{name} in its config is no integer, but {str(value)[:80]!r}")
        if not least <= value <= most:
            shown = f"{value:,}" if abs(value) < 10**12 else f"{'-' * (value < 0)}10**12 or more"
            raise ValueError(f"{name} in its config is {shown}, not {least:,} to {most:,}")
    widest = max(arguments.get("width", 64), arguments.get("sketch_width", 0))
    if arguments.get("resolution", 64) ** 2 * widest > LARGEST_MAP:
        raise ValueError(
            f"resolution and width in its config ask for feature maps of more than {LARGEST_MAP:,} values"
        )
    check_genres(arguments.get("genres") or [])
    return arguments


def check_genres(genres: object) -> None:
    """Raise ValueError unless `genres` can be the genres of a generator: a list of different, short names."""
    if not isinstance(genres, list) or len(genres) > MOST_GENRES:
        raise ValueError(f"genres must be a list of at most {MOST_GENRES} names")
    for name in genres:
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_GENRE or not name.isprintable():
            raise ValueError(f"a genre's name has 1 to {LONGEST_GENRE} printable characters, not {str(name)[:80]!r}")
    if len(set(genres)) < len(genres):
        raise ValueError("two genres have the same name")


@contextmanager
def named_in_utf8(file: Path) -> Iterator[Path]:
    """Yield a path to `file` that safetensors opens: for one that is no UTF-8, which it refuses, a link to it."""
    if os.fsencode(file).decode("utf-8", "replace") == str(file):
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "tensors")
        link.symlink_to(file.absolute())
        yield link


def read_shapes(
    files: Iterable[Path], most: int = LARGEST_WEIGHTS, kinds: Sequence[str] = WEIGHTS
) -> dict[str, list[int]]:
    """Return the shape of each tensor in some safetensors files, reading none of the tensors.

    Args:
        files: paths.
        most: bytes that all of them may have together.
        kinds: of numbers that the tensors may hold.

    Raises:
        ValueError: a file is no regular one or too large, names too many tensors, one of another kind, or one that
            another file names, too.
        SafetensorError: a file is damaged.
    """
    shapes: dict[str, list[int]] = {}
    for number, file in enumerate(files):
        if number == MOST_FILES:
            raise ValueError(f"its weights lie in more than {MOST_FILES} files")
        most -= (size := check_file(file, most))
        with open(file, "rb") as opened:
            if int.from_bytes(opened.read(min(size, 8)), "little") > LARGEST_HEADER:
                raise ValueError(f"{file.name} is no safetensors file, or lists more than {LARGEST_HEADER:,} bytes")
        with named_in_utf8(file) as path, safe_open(path, "pt") as weights:
            names = weights.keys()
            if len(shapes) + len(names) > MOST_TENSORS:
                raise ValueError(f"its files hold more than {MOST_TENSORS:,} weights")
            for name in names:
                one = weights.get_slice(name)
                if one.get_dtype() not in kinds:
                    raise ValueError(f"the weight {name[:80]} is of the kind {one.get_dtype()}")
                if name in shapes:
                    raise ValueError(f"the weight {name[:80]} is in two files")
                shapes[name] = one.get_shape()
    return shapes
