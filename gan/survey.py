"""Survey a generator before anybody visits it: which colours its first seeds have, and what its faders change.

The page finds covers by colour in it and names its faders; it is made when a generator is shipped, or by
`python -m train.survey`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tqdm import tqdm

from gan.latents import moved, semantic_directions
from gan.palettes import palettes
from gan.pipeline import COLOURS, LARGEST_SEED, AlbumCoverPipeline, latents_from_seeds
from gan.untrusted import named_in_utf8, read_shapes


SEEDS = 16_384
FADERS = 6
FADER_REACH = 2.5  # of a fader's end from its middle; latents of 100 numbers are about 10 long
MEASURED = 256  # seeds, to name the faders
BATCH = 64
CLEAR = 0.5  # deviations by which a fader's two ends differ at least in what it is named by
CONSISTENT = 0.8  # of the seeds, at least, it changes in the same direction
LARGEST_SURVEY = 4_000_000  # bytes
# What a fader may be named by: how it is called at its two ends.
QUALITIES = (
    ("darker", "lighter"), ("cooler", "warmer"), ("emptier", "busier"), ("greyer", "more-colourful"),
    ("softer", "starker"),
)  # fmt: skip


class SurveyError(Exception):
    """Tell the user in one line why a survey cannot be read."""


@dataclass(frozen=True)
class Survey:
    """Hold what is known of a generator's covers.

    Args:
        colours: (N, 12) uint8, shares of `COLOURS` in 255ths, of the covers of seeds 0 to N - 1.
        faders: the words at the two ends of each fader, None for one without a clear name.
        opening: the seed of the cover that the page opens on, None where nobody chose one.
    """

    colours: np.ndarray
    faders: tuple[tuple[str, str] | None, ...] = ()
    opening: int | None = None

    def find(self, names: Sequence[str]) -> np.ndarray:
        """Return all seeds, those first whose covers have most of all the named colours, and little else."""
        shares = self.colours[:, [list(COLOURS).index(name) for name in names]] / 255
        # geometric: a cover that lacks one of them has none of the pair
        return np.argsort(-np.log(shares + 0.01).mean(1), kind="stable")

    def save(self, file: str | Path) -> None:
        """Write the survey as a safetensors file."""
        told = {"colours": ",".join(COLOURS), "faders": json.dumps(self.faders), "opening": json.dumps(self.opening)}
        Path(file).write_bytes(save({"colours": np.ascontiguousarray(self.colours)}, told))


def load_survey(file: str | Path) -> Survey:
    """Read a survey that anybody may have written.

    Raises:
        SurveyError: there is none, it is damaged, of another form or too large.
    """
    file = Path(file)
    try:
        shape = read_shapes([file], LARGEST_SURVEY, ("U8",)).get("colours", [])
        if len(shape) != 2 or shape[0] < 1 or shape[1] != len(COLOURS):
            raise SurveyError(f"{file.name}: is not as a survey is")
        with named_in_utf8(file) as path, safe_open(path, "numpy") as stored:
            told, colours = stored.metadata() or {}, stored.get_tensor("colours")
        faders, opening = json.loads(told.get("faders", "[]")), json.loads(told.get("opening", "null"))
    except FileNotFoundError:
        raise SurveyError(f"{file.name}: not there") from None
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise SurveyError(f"{file.name}: cannot be read ({type(error).__name__})") from error
    if told.get("colours") != ",".join(COLOURS):
        raise SurveyError(f"{file.name}: made by another version; make it anew")
    known = [list(words) for words in QUALITIES] + [list(reversed(words)) for words in QUALITIES]
    if not isinstance(faders, list) or not all(words is None or words in known for words in faders):
        raise SurveyError(f"{file.name}: names faders by other words")
    if not (opening is None or (type(opening) is int and 0 <= opening <= LARGEST_SEED)):
        raise SurveyError(f"{file.name}: opens on no seed")
    return Survey(colours, tuple(words and tuple(words) for words in faders[:FADERS]), opening)


def survey(pipeline: AlbumCoverPipeline, seeds: int = SEEDS, opening: int | None = None) -> Survey:
    """Survey a generator; takes as long as to draw `seeds` and some 3,000 covers more, and shows a bar."""
    batches = [list(range(first, min(first + BATCH, seeds))) for first in range(0, seeds, BATCH)]
    shares = []
    for batch in tqdm(batches, desc="Surveying", unit=f"{BATCH} covers", leave=False):
        drawn = pipeline(seeds=batch, output_type="pt").images.cpu()
        shares.append(palettes((drawn * 255).round().byte().permute(0, 2, 3, 1)) + 1 / len(COLOURS))
    colours = (torch.cat(shares) * 255).round().clamp(0, 255).byte().numpy()
    return Survey(colours, name_faders(pipeline), opening)


@torch.no_grad()
def name_faders(pipeline: AlbumCoverPipeline, seeds: int = MEASURED) -> tuple[tuple[str, str] | None, ...]:
    """Return what each fader of the page changes most, measured at its two ends: see `Survey.faders`.

    A quality names the fader that changes it most, and no other one.
    """
    latent_dim = pipeline.synthesis.config.latent_dim
    points = latents_from_seeds(list(range(seeds)), latent_dim)
    spread = _qualities(pipeline, points).std(0).clamp_min(1e-6)
    of_fader: list[torch.Tensor] = []
    agreed: list[torch.Tensor] = []
    for direction in semantic_directions(pipeline.synthesis, min(FADERS, latent_dim)):
        low, high = (_qualities(pipeline, moved(points, sign * FADER_REACH * direction)) for sign in (-1, 1))
        of_fader.append((high - low).mean(0) / spread)
        agreed.append(((high - low).sign() == of_fader[-1].sign()).float().mean(0))
    effects = torch.stack(of_fader)
    clear = torch.where((effects.abs() >= CLEAR) & (torch.stack(agreed) >= CONSISTENT), effects.abs(), 0)
    names: list[tuple[str, str] | None] = [None] * len(effects)
    while clear.max() > 0:
        fader, quality = divmod(int(clear.argmax()), len(QUALITIES))
        less, more = QUALITIES[quality]
        names[fader] = (less, more) if effects[fader, quality] > 0 else (more, less)
        clear[fader], clear[:, quality] = 0, 0
    return tuple(names)


def _qualities(pipeline: AlbumCoverPipeline, points: torch.Tensor) -> torch.Tensor:
    """Return (N, 5): how much of each of `QUALITIES` the covers of (N, latent_dim) points have."""
    covers = pipeline(latents=points, batch_size=BATCH, output_type="pt").images.cpu()
    grey = (covers * torch.tensor([0.2126, 0.7152, 0.0722])[:, None, None]).sum(1)
    edges = grey.diff(dim=1).abs().mean((1, 2)) + grey.diff(dim=2).abs().mean((1, 2))
    warmth = (covers[:, 0] - covers[:, 2]).mean((1, 2))
    colour = (covers.amax(1) - covers.amin(1)).mean((1, 2))
    return torch.stack((grey.mean((1, 2)), warmth, edges, colour, grey.flatten(1).std(1)), 1)
