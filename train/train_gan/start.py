"""Start from a generator that others trained, with what judged it, where they shared that: then one's own few hundred
covers begin where theirs ended (Wang et al. 2018, "Transferring GANs"; Karras et al. 2020, "Training Generative
Adversarial Networks with Limited Data", section 4.2).
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from torch import nn

from gan.networks.dcgan import DCGANGenerator
from gan.networks.painter import PainterGenerator, SketchedComposer
from gan.networks.projected import FeatureDiscriminator
from gan.pipeline import AlbumCoverPipeline, genres_of
from gan.pipeline_folder import PipelineError, load_with_discriminators
from gan.untrusted import BOUNDS
from train.cli import UserError
from train.device import is_no_memory
from train.train_gan.grow import GROW
from train.train_gan.options import ONE_THING
from train.train_gan.painter import Painter
from train.train_gan.recipes import Recipe, changed
from train.train_gan.state import GAN


# Covers shown to a new discriminator while the generator waits: from one that knows nothing it would only unlearn.
WARM_UP = 4000
# Arguments of a network in which the new one may differ: each stands for weights of what is asked, which begin anew.
CONDITIONS = ("genres", "clusters", "palette")
# Where a recipe says the size of a network; the others follow from these.
IN_RECIPE = {
    "generator": "generator",
    "discriminator": "discriminator",
    "student": "discriminator: student_width",
    "denoiser": "discriminator: denoiser_width",
}


@dataclass(frozen=True)
class Start:
    """Hold what a run begins with.

    Args:
        model: a folder or a Hub id, as the user named it.
        told: what config.json tells of it: `model`, `revision`, whether its `discriminator` was there, and
            `warm_up_images`, covers for which only a new discriminator learns; and where it is only what a painter
            sketches (see `SketchedComposer`) `sketch`.
        pipeline: its generator and, of a painter, encoder; None where the run goes on, which needs it no more.
        discriminators: what judged it, see `load_with_discriminators`.
    """

    model: str
    told: dict[str, Any]
    pipeline: AlbumCoverPipeline | None = None
    discriminators: dict[str, nn.Module] = field(default_factory=dict)

    @property
    def sketch(self) -> bool:
        """Return whether the model is a DCGAN, of which a painter composes."""
        return self.told.get("sketch", False)

    @property
    def warm_up(self) -> int:
        """Return for how many covers only a new discriminator learns."""
        return self.told["warm_up_images"]


def find_start(args: argparse.Namespace, recipe: Recipe, before: dict[str, Any]) -> tuple[Start | None, Recipe]:
    """Load the model that `--start_from` names, unless the run has begun already.

    Args:
        args: the command line, see options.py.
        recipe: what to compute.
        before: `RunFolder.previous_config`.

    Returns:
        What the run begins with, None for nothing; and the recipe without what it need not learn any more.

    Raises:
        UserError: there is no such model, or it cannot be loaded; or the run has begun with another.
    """
    if before or args.start_from is None:
        told = before.get("started_from")
        model = told and told["model"]
        if args.start_from is not None and model not in (args.start_from, _name_of_folder(args.start_from)):
            began = f"began with {model}" if model else "did not start from a model"
            raise UserError(f"--start_from {args.start_from}: the run in {args.output_dir} {began}; name a new folder")
        if not told:
            return None, recipe
        start = Start(told["model"], told)
        return start, _what_is_left(recipe, start, args.total_images)
    if Path(args.start_from).is_file() or not args.start_from.strip():
        raise UserError(f"--start_from {args.start_from}: name a pipeline folder, such as best/ of a run, or a Hub id")
    if args.revision and Path(args.start_from).is_dir():
        raise UserError(f"--revision {args.revision}: of a model on the Hub; {args.start_from} is a folder")
    try:
        pipeline, discriminators = load_with_discriminators(args.start_from, args.revision)
    except PipelineError as error:
        raise UserError(f"--start_from {error}") from error
    sketches = recipe.network == "painter" and bool(recipe.generator.get("sketch_width"))
    sketch = sketches and isinstance(pipeline.synthesis, DCGANGenerator)
    if sketch and not (recipe.phases["paint"] or args.autoencoder):
        raise UserError(f"--start_from {args.start_from}: it cannot paint; phases.paint is 0, so name --autoencoder")
    if args.autoencoder and not sketch:
        raise UserError(ONE_THING)
    judged = not sketch and _needed(recipe) <= discriminators.keys()
    if recipe.refines and not recipe.phases["denoise"] and not judged:
        raise UserError(f"--start_from {args.start_from}: brings no judge that can denoise, and phases.denoise is 0")
    told = {
        "model": _public_name(args.start_from),
        "revision": args.revision,
        "discriminator": judged,
    } | ({"sketch": True} if sketch else {})
    start = Start(args.start_from, told, pipeline, discriminators)
    recipe = _what_is_left(recipe, start, args.total_images)
    composed = recipe.length("compose")
    waits = composed if sketch else min(WARM_UP, composed // 10)  # what a sketch gives was only lost, see configs
    told["warm_up_images"] = 0 if judged else waits
    return start, recipe


def begin(gan: GAN | Painter, recipe: Recipe, start: Start) -> str:
    """Make new networks and averages begin where those of `start` ended; optimisers begin anew.

    What can be asked for is that of the new covers: genres of the same name keep what was learned, new ones begin as
    "any", kinds begin anew.

    Returns:
        What was taken, in one line.

    Raises:
        UserError: the networks are others than the recipe's.
    """
    pipeline, ours = start.pipeline, gan.generator
    assert pipeline is not None  # a run that goes on has begun
    theirs = pipeline.synthesis
    if start.sketch:
        return _begin_with_sketch(gan, start)
    if type(theirs) is not type(ours):
        what = f"its generator is {type(theirs).__name__}, that of network: {recipe.network} is {type(ours).__name__}"
        raise UserError(f"--start_from {start.model}: {what}")
    sides = int(_arguments(theirs)["resolution"]), recipe.resolution
    grows = recipe.network in GROW and 2 * sides[0] == sides[1]
    if sides[0] != sides[1] and not grows:
        raise UserError(
            f"--start_from {start.model}: it draws {sides[0]} pixels, the recipe {sides[1]}; they must be equal, or "
            f"the recipe's twice as many (network: {', '.join(GROW)})"
        )
    if isinstance(gan, Painter) and pipeline.encoder is None:
        raise UserError(f"--start_from {start.model}: a painter without its encoder, which the covers need")
    mine, judged = discriminators_of(gan, recipe), start.told["discriminator"]
    pairs = {"generator": (theirs, ours)}
    brought = start.discriminators.keys() & (mine.keys() if judged else {"patch_critic"})
    pairs |= {part: (start.discriminators[part], mine[part]) for part in mine if part in brought}
    if isinstance(gan, Painter):
        pairs["encoder"] = pipeline.encoder, gan.encoder
    if grows:
        _grow(start, recipe, pairs)
    else:
        for part, pair in pairs.items():
            _check_sizes(start.model, part, *pair)
        for pair in pairs.values():
            _take(*pair)
    for average in gan.ema:
        average.load_state_dict(ours.state_dict())
    taken = f"starts from {start.told['model']}, its generator" + (" and discriminator" if judged else "")
    if not judged:
        alone = f"for {start.warm_up:,} covers only a new one learns" if start.warm_up else "a new one learns first"
        taken += f"; it brings no discriminator, so {alone}"
    if lost := [genre for genre in genres_of(theirs) if genre not in genres_of(ours)]:
        taken += f"; {len(lost)} of its genres are no more asked for"
    return taken


def freeze(discriminator: nn.Module, stages: int) -> None:
    """Let the first layers of a discriminator, those next to the picture, learn no more (Mo et al. 2020, "Freeze the
    Discriminator: a Simple Baseline for Fine-Tuning GANs", section 3).

    Args:
        discriminator: with `stages`, from the picture on.
        stages: how many of them are frozen.

    Raises:
        UserError: it has fewer.
    """
    if not stages:
        return
    layers = getattr(discriminator, "stages", ())
    if stages > len(layers):
        raise UserError(
            f"--freeze_discriminator {stages}: this discriminator has {len(layers)} stages that can be frozen"
        )
    for layer in layers[:stages]:
        for weight in layer.parameters():
            # not requires_grad_(False): behind it torch 2.13 crashes in the backward of GroupNorm (channels_last, CPU)
            weight.register_post_accumulate_grad_hook(_forget)


def _forget(weight: torch.Tensor) -> None:
    weight.grad = None


def discriminators_of(gan: GAN | Painter, recipe: Recipe) -> dict[str, nn.Module]:
    """Return what judges a generator and travels with it, by the names of `gan.pipeline_folder.DISCRIMINATORS`."""
    if isinstance(gan, Painter):
        parts = ["patch_critic", *sorted(_needed(recipe)), *(["painted_heads"] if recipe.phases.get("tune") else [])]
        return {part: getattr(gan, part) for part in parts}
    if isinstance(gan.discriminator, FeatureDiscriminator):
        return {"heads": gan.discriminator.judge}
    return {"discriminator": gan.discriminator}


def _needed(recipe: Recipe) -> set[str]:
    """Return what must be there for a discriminator to go on as it was; a critic of patches joins for a while only."""
    if recipe.network == "projected":
        return {"heads"}
    refines = {"denoiser", "denoiser_heads"} if recipe.refines else set()
    if refines and not recipe.length("compose") and not recipe.phases.get("tune"):
        return refines
    return {"discriminator"} | ({"student", "heads"} if recipe.features != "none" else set()) | refines


def _begin_with_sketch(gan: GAN | Painter, start: Start) -> str:
    """Let a painter's composer sketch what a DCGAN draws; how that is read follows when it has learned to see."""
    ours, pipeline = gan.generator, start.pipeline
    assert isinstance(ours, PainterGenerator) and pipeline is not None
    assert isinstance(ours.composer, SketchedComposer) and isinstance(pipeline.synthesis, DCGANGenerator)
    mine, there = _arguments(ours), _arguments(pipeline.synthesis)
    for name, argument in (("resolution", "resolution"), ("width", "sketch_width"), ("latent_dim", "latent_dim")):
        if there[name] != mine[argument]:
            raise UserError(
                f"--start_from {start.model}: it has {name} {there[name]}, the recipe's {argument} is {mine[argument]}"
            )
    ours.composer.sketch_as(pipeline.synthesis.layers)
    lost = "; its genres are no more asked for" if genres_of(pipeline.synthesis) else ""
    return f"composes what {start.told['model']} draws{lost}; new discriminators learn to judge it"


def _what_is_left(recipe: Recipe, start: Start, total_images: int | None) -> Recipe:
    """Return the recipe without what a painter need not learn again: to paint, to read what it sketches and, with what
    judged it, to see."""
    learned = set() if start.sketch else {"paint", "read"}
    if start.told["discriminator"]:
        learned |= {"distil", "denoise"}
    phases = {name: 0 if name in learned else length for name, length in recipe.phases.items()}
    left_out = sum(recipe.phases.values()) - sum(phases.values())
    if not recipe.length("compose"):
        total_images = None  # its phases alone say how long it is
    return changed(recipe, phases=phases, total_images=total_images or recipe.total_images - left_out)


def _public_name(model: str) -> str:
    """Return a Hub id as it is, of a folder its name alone: whose disk it lies on is nobody's business."""
    return _name_of_folder(model) if Path(model).is_dir() else model


def _name_of_folder(model: str) -> str:
    """Return the name of a folder, which may be gone by now; of a run's pipeline that of the run."""
    folder = Path(model).absolute()
    return folder.parent.name if folder.name in ("pipeline", "best") else folder.name


def _arguments(network: Any) -> dict[str, Any]:
    return {name: network.config[name] for name in BOUNDS[type(network).__name__] if name not in CONDITIONS}


def _check_sizes(model: str, part: str, theirs: ModelMixin, ours: ModelMixin) -> None:
    """Raise UserError where two networks differ in more than in what can be asked of them."""
    if type(theirs) is not type(ours):
        raise UserError(f"--start_from {model}: its {part} is {type(theirs).__name__}, not {type(ours).__name__}")
    wanted, there = (_arguments(network) for network in (ours, theirs))
    different = [name for name in wanted if _plain(wanted[name]) != _plain(there[name])]
    if not different:
        return
    say = ", ".join(f"{name} {there[name]}, not {wanted[name]}" for name in different)
    mend = f"; say so in a copy of the recipe ({IN_RECIPE[part]})" if part in IN_RECIPE else ""
    if different == ["reader_depth"]:
        mend = "; in a copy of the recipe, " + (
            "add phases.read: 0" if not there["reader_depth"] else "leave phases.read out"
        )
    raise UserError(f"--start_from {model}: its {part} has {say}{mend}")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@torch.no_grad()
def _take(theirs: nn.Module, ours: nn.Module) -> None:
    """Copy all weights but those of what the new covers are asked for by other names."""
    before, now = genres_of(theirs), genres_of(ours)
    weights, taken = theirs.state_dict(), ours.state_dict()
    for name in taken:
        if name == "genre_embedding.weight":
            if before:
                rows = [before.index(genre) if genre in before else len(before) for genre in now]
                taken[name] = weights[name][[*rows, len(before)]]
        elif name == "palette_embedding.weight":
            if name in weights and weights[name].shape == taken[name].shape:
                taken[name] = weights[name]
        elif name != "cluster_embedding.weight":  # kinds are found anew
            taken[name] = weights[name]
    ours.load_state_dict(taken)


def _grow(start: Start, recipe: Recipe, pairs: dict[str, tuple[nn.Module, nn.Module]]) -> None:
    """Make networks of twice the resolution begin as those of `start`, see grow.py."""
    try:
        for part, grow in zip(("generator", "discriminator"), GROW[recipe.network], strict=True):
            if part in pairs:
                theirs, large = pairs[part]
                small = type(theirs)(**_arguments(theirs), genres=genres_of(large))
                _take(theirs, small)
                grow(small, large)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if is_no_memory(error):
            raise
        raise UserError(
            f"--start_from {start.model}: to twice the resolution an r3gan grows at the same or half the width, with "
            "the same max_width, blocks and latents; these networks differ otherwise"
        ) from error
