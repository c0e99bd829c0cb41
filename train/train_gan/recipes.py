"""A recipe: everything that decides what a run computes, read from a short YAML file and checked by pydantic."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from train.cli import UserError


if TYPE_CHECKING:  # torch takes seconds to import, and a mistake in a recipe is told at once
    from torch import nn

CONFIGS = Path(__file__).parents[1] / "configs"

Count = Annotated[int, Field(ge=1)]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
# [start, end] of a schedule
Numbers = Annotated[list[Number], Field(min_length=2, max_length=2)]
Shares = Annotated[list[Share], Field(min_length=2, max_length=2)]
Probabilities = Annotated[list[Probability], Field(min_length=2, max_length=2)]
# of a painter, in this order
PHASES = ("paint", "distil", "denoise", "read", "compose", "tune", "refine", "steer", "finish")
# arguments of a network's class, such as `width: 64` and `normalisation: none`
Sizes = dict[str, Count | Literal["batch", "spectral", "none"]]


class Phase(NamedTuple):
    """Tell where a run is: in which phase, how many covers that was shown, and which share of it is over."""

    name: str
    shown: int
    done: float


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid"))
class Recipe:
    """Say what a run computes.

    A value that is a number, or [start, end], is a schedule: [start, end] is a cosine over the first
    `schedule_fraction` of the run.
    """

    network: Literal["dcgan", "wgan-gp", "r3gan", "painter", "projected"]  # a file of gan/networks
    resolution: Count  # height and width of a cover, in pixels
    loss: Literal["logistic", "wasserstein", "hinge", "relativistic"]  # a pair of functions in gan/losses.py
    generator: Sizes = Field(default_factory=dict)  # arguments of the network's classes beside the resolution
    discriminator: Sizes = Field(default_factory=dict)
    gradient_penalty: Literal["none", "zero-centred", "one-centred"] = "none"  # zero-centred: R1 + R2; one: WGAN-GP
    gradient_penalty_weight: Number | Numbers = 0.0
    # zero-centred: taken at one cover in so many of each batch (not at one step in so many), which is right on
    # average and saves second derivatives, for discriminators that judge each cover alone
    gradient_penalty_every: Count = 1
    discriminator_steps: Count = 1  # steps of the discriminator for one of the generator
    train_batch_size: Count = 64  # over all processes together
    learning_rate: Number | Numbers = 2e-4
    adam_beta1: Share = 0.0
    adam_beta2: Share | Shares = 0.99
    # probability of each transformation; auto: found out on held-out covers
    augmentation: Literal["auto"] | Probability | Probabilities = 0.0
    schedule_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0  # share of the run over which schedules run
    # widths of the averages of the generator's weights, relative to the run so far (Karras et al. 2024, section 3)
    ema_sigma: list[Annotated[float, Field(ge=1e-3, lt=0.28)]] = Field(default_factory=lambda: [0.05, 0.10])
    total_images: Count = 1_000_000  # real covers shown to the discriminator
    checkpointing_images: Count = 50_000
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    # covers shown to a painter in its other phases (phases.py); composing takes the rest of total_images
    phases: dict[
        Literal["paint", "distil", "denoise", "read", "tune", "refine", "steer", "finish"], Annotated[int, Field(ge=0)]
    ] = Field(default_factory=dict)
    # frozen network by whose features a painter learns and is judged, from the package of the same name
    features: Literal["efficientnet-lite0", "none"] = "none"
    class_conditional: bool = False  # learn the genres of the dataset, so that covers of one can be asked for

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        every = self.gradient_penalty_every
        if every > 1 and self.gradient_penalty != "zero-centred":
            raise ValueError("gradient_penalty_every goes with gradient_penalty: zero-centred")
        if self.train_batch_size % every:
            raise ValueError(f"train_batch_size must be a multiple of gradient_penalty_every, {every}")
        if self.gradient_penalty == "none":
            if self.gradient_penalty_weight:
                raise ValueError("gradient_penalty_weight goes with a gradient_penalty, which is none")
        elif not self.gradient_penalty_weight:
            raise ValueError(f"gradient_penalty: {self.gradient_penalty} needs a gradient_penalty_weight above 0")
        elif self.network == "dcgan" and self.discriminator.get("normalisation", "batch") == "batch":
            raise ValueError(  # Gulrajani et al. 2017, section 4
                "gradient_penalty is of each cover alone, and batch normalisation mixes them: it goes with "
                "discriminator: {normalisation: none}"
            )
        if self.network == "projected":
            if self.loss != "hinge" or self.gradient_penalty != "none":
                raise ValueError("network: projected goes with loss: hinge and no gradient_penalty")
            if self.class_conditional:
                raise ValueError("network: projected learns no genres; a painter does")
        return self

    @model_validator(mode="after")
    def _phases_go_together(self) -> Self:
        if self.network != "painter":
            if self.phases or self.features != "none":
                raise ValueError("phases and features go with network: painter")
            return self
        if self.loss != "relativistic" or self.gradient_penalty != "zero-centred" or self.discriminator_steps > 1:
            raise ValueError(
                "network: painter goes with loss: relativistic, gradient_penalty: zero-centred, discriminator_steps: 1"
            )
        if self.augmentation:
            raise ValueError("augmentation is of pixels, which a painter's discriminator never sees")
        if "paint" not in self.phases:
            raise ValueError("network: painter needs phases: {paint: covers, ...}")
        if self.phases.get("denoise") and not self.refines:
            raise ValueError("phases.denoise teaches a judge, and neither phases.refine nor phases.steer asks it")
        if self.refines and "denoise" not in self.phases:
            raise ValueError(
                f"phases.{self.first_refining} asks a judge, and phases.denoise, which teaches it, is not there"
            )
        if "read" in self.phases and not self.generator.get("sketch_width"):
            raise ValueError("phases.read teaches how to read a sketch, and generator.sketch_width is not there")
        begun = not self.phases["paint"] and not self.phases.get("distil")  # by another's networks, see start.py
        composes = self.length("compose") + self.length("tune") > 0
        unseen = self.features != "none" and (begun or not composes)  # nobody who judges needs the student
        if (self.features == "none") != (not self.phases.get("distil")) and not unseen:
            raise ValueError("features and phases.distil go together: the one is what the other teaches")
        if self.phases.get("tune") and self.features == "none":
            raise ValueError("phases.tune is judged by features, which are none")
        if self.generator.get("clusters") and self.features == "none":
            raise ValueError("generator.clusters are found by features, which are none")
        if self.length("compose") < (0 if self.refines else self.train_batch_size):
            raise ValueError(f"total_images, {self.total_images:,}, leaves no covers to compose beside the phases")
        if self.features != "none" and self.resolution < 128:
            raise ValueError("features need a resolution of at least 128")
        return self

    def length(self, phase: str) -> int:
        """Return how many covers are shown in a phase; composing takes the rest."""
        if phase == "compose":
            return self.total_images - sum(self.phases.values())
        return next((length for name, length in self.phases.items() if name == phase), 0)

    def phase(self, images: int) -> Phase:
        """Return the phase after `images` covers; of a recipe without phases, one without a name."""
        if not self.phases:
            return Phase("", images, images / self.total_images)
        for name in PHASES:
            length = self.length(name)
            if images < length:
                return Phase(name, images, images / length)
            images -= length
        last = [name for name in PHASES if self.length(name)][-1]
        return Phase(last, self.length(last), 1.0)

    @property
    def refines(self) -> bool:
        """Return whether a judge that has learned to denoise is asked, see refine.py."""
        return self.first_refining is not None

    @property
    def first_refining(self) -> Literal["refine", "steer"] | None:
        """Return the first phase that asks a judge that has learned to denoise, None where there is none."""
        return next((phase for phase in ("refine", "steer") if self.length(phase)), None)

    @property
    def before_composing(self) -> int:
        """Return how many covers are shown before the generator draws its first."""
        return sum(map(self.length, PHASES[: PHASES.index("compose")]))

    def draws(self, images: int) -> bool:
        """Return whether the generator has begun to draw covers of its own after `images` ones were shown."""
        return images > self.before_composing

    def at(self, name: str, images: int) -> float:
        """Return the value of the schedule `name` after `images` covers."""
        value = getattr(self, name)
        if not isinstance(value, list):
            return value
        done = min(1.0, images / (self.schedule_fraction * self.total_images))
        start, end = value
        return end + (start - end) * (1 + math.cos(math.pi * done)) / 2

    def build(self, genres: list[str]) -> tuple["nn.Module", "nn.Module"]:
        """Return a new generator and a new discriminator; of a painter see `painter.py`.

        Raises:
            UserError: the recipe's arguments do not fit the network.
        """
        from gan.networks import NETWORKS

        networks = []
        for role, network in zip(("generator", "discriminator"), NETWORKS[self.network], strict=True):
            try:
                networks.append(network(resolution=self.resolution, genres=genres, **getattr(self, role)))
            except (TypeError, ValueError, ZeroDivisionError, IndexError, RuntimeError) as error:
                raise UserError(f"recipe: {role}: {error}") from error
            except ModuleNotFoundError as error:  # of a frozen network that judges
                raise UserError(f"recipe: {role}: {error}; r3gan-128 does without") from error
        return networks[0], networks[1]


def load_recipe(config: str, overrides: dict[str, Any]) -> Recipe:
    """Read a recipe and set what the command line says differently.

    Args:
        config: name of a recipe in train/configs, or a YAML file.
        overrides: values by field name; those that are None are left as the recipe has them. A learning rate is the
            one at the start: where the recipe's falls, this one falls in proportion.

    Raises:
        UserError: no such recipe, not YAML, an unknown key, a missing one, or a value that makes no sense.
    """
    path = Path(config) if config.endswith((".yaml", ".yml")) else CONFIGS / f"{config}.yaml"
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(
            f"--config {config}: no such recipe; there are {', '.join(names())}, or name a .yaml file"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"--config {config}: is not YAML") from error
    if not isinstance(values, dict):
        raise UserError(f"--config {config}: must hold `key: value` lines")
    known = {field.name for field in dataclasses.fields(Recipe)}
    if unknown := sorted(map(str, values.keys() - known)):
        raise UserError(f"--config {config}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    if missing := [name for name in ("network", "resolution", "loss") if name not in values]:
        raise UserError(f"--config {config}: {', '.join(missing)} is missing")
    recipe = _checked(config, values)
    if not recipe.ema_sigma:
        raise UserError(f"--config {config}: ema_sigma: name at least one width")
    chosen = {name: value for name, value in overrides.items() if value is not None}
    if "learning_rate" in chosen and isinstance(recipe.learning_rate, list) and recipe.learning_rate[0]:
        start, end = recipe.learning_rate
        chosen["learning_rate"] = [chosen["learning_rate"], chosen["learning_rate"] * end / start]
    return _checked(config, dataclasses.asdict(recipe) | chosen)


def changed(recipe: Recipe, **values: object) -> Recipe:
    """Return a recipe in which some values are others. Raises UserError where that makes no sense."""
    return _checked("", dataclasses.asdict(recipe) | values)


def names() -> list[str]:
    """Return the names of the recipes in train/configs."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def _checked(config: str, values: dict[str, Any]) -> Recipe:
    try:
        return Recipe(**values)
    except ValidationError as error:
        raise UserError(f"{f'--config {config}' if config else 'recipe'}: {_first_mistake(error)}") from error


def _first_mistake(error: ValidationError) -> str:
    """Return what pydantic says of one value; where a value may be of several kinds, of the kind that was meant."""
    mistakes = error.errors(include_url=False)
    meant = next((m for m in mistakes if not m["type"].endswith(("_type", "literal_error"))), mistakes[0])
    if meant["type"] == "value_error":
        return str(meant["ctx"]["error"])
    depth = 2 if meant["loc"][0] in ("generator", "discriminator") else 1
    where = ".".join(map(str, meant["loc"][:depth]))
    in_words = isinstance(meant["input"], str) and any(m["type"].startswith("float") for m in mistakes)
    hint = " (YAML takes 2.0e-4, not 2e-4, for a number)" if in_words else ""
    if meant["type"] in ("too_short", "too_long"):
        should = "a number, or [start, end]"
    elif meant["type"] == "dict_type":
        should = "{name: value, ...}"
    else:
        same = [m["msg"].removeprefix("Input should be ") for m in mistakes if m["type"] == meant["type"]]
        should = " or ".join(dict.fromkeys(same))
    return f"{where}: should be {should}, not {meant['input']!r}{hint}"
