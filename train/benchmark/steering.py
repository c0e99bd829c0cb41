"""Show whether kinds and colours that were asked for are what is drawn.

    python -m train.benchmark steering runs/covers

Colours: the palettes of real covers are asked for, one each, and what is drawn is described in the same way. Kinds:
which cluster a drawn cover falls into is decided as it was for real ones, by the frozen network that found the
clusters, so that network judges its own pupil. Beside both stand covers of the same seeds of which nothing was asked,
and how much covers of one kind still differ, beside what real ones do.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from gan.networks.efficientnet_lite import load_efficientnet_lite
from gan.palettes import palettes
from gan.pipeline import COLOURS, AlbumCoverPipeline
from gan.pipeline_folder import PipelineError, load_pipeline
from gan.studio.model import Model
from train.cli import UserError
from train.covers import to_float, to_uint8
from train.train_gan.conditions import Kinds


AT_ONCE = 64  # covers
MOST_REAL = 8192  # covers among which the variety of real ones is measured
SCALE = ("centres", "seen_mean", "seen_deviation")  # of encoded.safetensors, see train_gan/encoded.py


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    parser.add_argument("run", type=Path, help="folder of a painter's run: its encoded.safetensors knows the clusters")
    parser.add_argument("--model", help="pipeline folder or Hub id; default: the run's pipeline/")
    parser.add_argument("--num_images", type=int, default=256, help="covers for colours, and for all kinds together")
    parser.add_argument("--guesses", type=int, default=128, help="covers of any kind whose kind the page would guess")


def main(args: argparse.Namespace) -> str:
    """Print palettes asked for beside those got, the share of covers that are of the kind asked for, how they vary."""
    if args.num_images < 1 or args.guesses < 1:
        raise UserError("--num_images and --guesses must be at least 1")
    try:
        pipeline = load_pipeline(args.model or args.run / "pipeline")
        with safe_open(args.run / "encoded.safetensors", "pt") as encoded:
            kinds = Kinds(*(encoded.get_tensor(name) for name in SCALE))
            known = encoded.get_tensor("palettes")
            clusters = encoded.get_tensor("clusters")
            real = encoded.get_tensor("latents") if pipeline.clusters else clusters
    except (PipelineError, OSError, SafetensorError) as error:
        raise UserError(f"{args.run}: not a painter's run with a pipeline and its latents ({error})") from error
    if not pipeline.clusters and not pipeline.colours:
        raise UserError(f"{args.run}: its generator can be asked for neither kinds nor colours")
    if len(known):
        for line in colours_in_lines(pipeline, known, args.num_images):
            print(line)
    if not pipeline.clusters:
        return f"{args.num_images:,} covers, seeds 0 and on, none left out"
    try:
        features = load_efficientnet_lite(0)
    except ModuleNotFoundError as error:
        raise UserError(str(error)) from error

    def kinds_of(covers: torch.Tensor) -> torch.Tensor:
        seen = torch.cat([features.pooled(to_float(part)) for part in covers.split(AT_ONCE)])
        return kinds.likeness(seen).argmax(1)

    count = len(kinds.centres)
    sizes = torch.bincount(clusters, minlength=count)
    asked = torch.arange(max(args.num_images, count)) % count
    got = kinds_of(draw(pipeline, len(asked), clusters=asked.tolist()))
    free = kinds_of(draw(pipeline, len(asked)))
    print(f"{'kind':>5}{'real covers':>13}{'asked for, got':>16}{'asked for any':>15}")
    for kind in range(count):
        hit = (got[asked == kind] == kind).double().mean().item()
        shares = (sizes[kind] / sizes.sum(), hit, (free == kind).double().mean().item())
        print(f"{kind + 1:>5}{shares[0]:>13.1%}{shares[1]:>16.0%}{shares[2]:>15.1%}")
    if len(asked) >= 2 * count and len(real) >= 2 * count:
        free_variance = compose(pipeline, len(asked)).var(0).mean().item()
        drawn = spread(compose(pipeline, len(asked), clusters=asked.tolist()), asked) / free_variance
        some = torch.linspace(0, len(real) - 1, MOST_REAL).long()
        of_real = spread(real[some].float(), clusters[some]) / real[some].float().var(0).mean().item()
        print(f"latents vary within a kind {drawn:.0%} as much as unasked; those of real covers {of_real:.0%}")
    model = Model(pipeline, "steering")
    guesses = torch.tensor([model.likely_kind(model.address(seed)) - 1 for seed in range(args.guesses)])
    right = (guesses == kinds_of(draw(pipeline, args.guesses))).double().mean().item()
    return (
        f"{(got == asked).double().mean().item():.1%} of {len(asked):,} covers are of the kind asked for (chance "
        f"{1 / count:.1%}); of {args.guesses:,} covers of any, {right:.1%} are of the kind that the page guesses"
    )


def colours_in_lines(pipeline: AlbumCoverPipeline, known: torch.Tensor, count: int) -> list[str]:
    """Compare palettes asked for with those got, and each colour asked for alone.

    Args:
        pipeline: draws.
        known: (N, 12) palettes of real covers, of which `count` are asked for, evenly chosen.
        count: covers.
    """
    even, names = 1 / len(COLOURS), list(COLOURS)
    asked = known[torch.linspace(0, len(known) - 1, count).long()]
    wanted = [dict(zip(names, (shares + even).clamp_min(0).tolist(), strict=True)) for shares in asked]
    got, free = palettes(draw(pipeline, count, colours=wanted)), palettes(draw(pipeline, count))

    def apart(one: torch.Tensor, other: torch.Tensor) -> float:
        """Return how much of a cover would have to change its colour, on average."""
        return (one - other).abs().sum(1).mean().item() / 2

    lines = [
        f"of a cover {apart(asked, got):.1%} has another colour than asked for; {apart(asked, free):.1%} where "
        f"nothing was asked, {apart(asked, asked.roll(1, 0)):.1%} between two real covers",
        f"{'colour':<8}{'asked for alone':>16}{'asked for any':>15}",
    ]
    few = max(1, count // len(names))
    for number, name in enumerate(names):
        alone = palettes(draw(pipeline, few, colours=[{name: 1.0}] * few))[:, number].mean().item() + even
        lines.append(f"{name:<8}{alone:>16.0%}{free[:, number].mean().item() + even:>15.0%}")
    return lines


def spread(latents: torch.Tensor, kinds: torch.Tensor) -> float:
    """Return the variance of (N, ...) latents within each of (N,) kinds, those with one cover left out."""
    sizes = torch.bincount(kinds)
    several = (sizes > 1).nonzero().flatten()
    within = torch.stack([latents[kinds == kind].var(0).mean() for kind in several])
    return (within * sizes[several]).sum().item() / sizes[several].sum().item()


@torch.no_grad()
def compose(pipeline: AlbumCoverPipeline, count: int, **asked: Any) -> torch.Tensor:
    """Return what is composed for seeds 0 and on, as `draw` draws it: (count, channels, positions, positions)."""
    points, conditions = pipeline.prepare_latents(list(range(count))), pipeline.prepare_conditions(count, **asked)
    parts = [slice(first, first + AT_ONCE) for first in range(0, count, AT_ONCE)]
    composed = [
        pipeline.synthesis.compose(points[part], **{name: value[part] for name, value in conditions.items()})
        for part in parts
    ]
    return torch.cat(composed)


@torch.no_grad()
def draw(pipeline: AlbumCoverPipeline, count: int, **asked: Any) -> torch.Tensor:
    """Return the covers of seeds 0 and on, (count, H, W, 3) uint8."""
    covers = pipeline(seeds=list(range(count)), output_type="pt", batch_size=AT_ONCE, **asked).images
    return to_uint8(covers * 2 - 1)
