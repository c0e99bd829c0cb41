"""A recipe: everything that decides what a run computes, read from a short YAML file."""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from torch import nn

from gan.losses import LOSSES
from gan.networks import NETWORKS
from train.cli import UserError


CONFIGS = Path(__file__).parents[1] / "configs"
Schedule = float | list[float]
SCHEDULES = ("gradient_penalty_weight", "learning_rate", "adam_beta2", "augmentation")


@dataclass(frozen=True)
class Recipe:
    """What a run computes.

    A `Schedule` is a number, or [start, end] of a cosine over the first `schedule_fraction` of the run.
    """

    network: str  # dcgan, wgan-gp or r3gan: a file of gan/networks
    resolution: int  # height and width of a cover, in pixels
    loss: str  # logistic, wasserstein or relativistic: see gan/losses.py
    generator: dict = field(default_factory=dict)  # arguments of the network's classes beside the resolution
    discriminator: dict = field(default_factory=dict)
    gradient_penalty: str = "none"  # none, zero-centred (R1 + R2) or one-centred (WGAN-GP)
    gradient_penalty_weight: Schedule = 0.0
    # zero-centred: taken at one cover in so many of each batch (not at one step in so many), which is right on
    # average and saves second derivatives, for discriminators that judge each cover alone
    gradient_penalty_every: int = 1
    discriminator_steps: int = 1  # steps of the discriminator for one of the generator
    train_batch_size: int = 64  # over all processes together
    learning_rate: Schedule = 2e-4
    adam_beta1: float = 0.0
    adam_beta2: Schedule = 0.99
    augmentation: Schedule | str = 0.0  # probability of each transformation; auto: found out on held-out covers
    schedule_fraction: float = 1.0  # share of the run over which schedules go from start to end
    # widths of the averages of the generator's weights, relative to the run so far (Karras et al. 2024, section 3)
    ema_sigma: list[float] = field(default_factory=lambda: [0.05, 0.10])
    total_images: int = 1_000_000  # real covers shown to the discriminator
    checkpointing_images: int = 50_000
    seed: int = 0
    class_conditional: bool = False  # learn the genres of the dataset, so that covers of one can be asked for

    def at(self, name: str, images: int) -> float:
        """The value of the schedule `name` after `images` covers."""
        value = getattr(self, name)
        if not isinstance(value, list):
            return value
        done = min(1.0, images / (self.schedule_fraction * self.total_images))
        start, end = value
        return end + (start - end) * (1 + math.cos(math.pi * done)) / 2

    def build(self, genres: list[str]) -> tuple[nn.Module, nn.Module]:
        """A new generator and discriminator. Raises UserError where the recipe's arguments do not fit the network."""
        networks = []
        for role, network in zip(("generator", "discriminator"), NETWORKS[self.network], strict=True):
            try:
                networks.append(network(resolution=self.resolution, genres=genres, **getattr(self, role)))
            except (TypeError, ValueError, ZeroDivisionError, IndexError, RuntimeError) as error:
                raise UserError(f"recipe: {role}: {error}") from error
        return networks[0], networks[1]


def load_recipe(config: str, overrides: dict) -> Recipe:
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
        known = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.yaml")))
        raise UserError(f"--config {config}: no such recipe; there are {known}, or name a .yaml file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"--config {config}: is not YAML") from error
    if not isinstance(values, dict):
        raise UserError(f"--config {config}: must hold `key: value` lines")
    fields = {f.name: f for f in dataclasses.fields(Recipe)}
    if unknown := sorted(map(str, values.keys() - fields.keys())):
        raise UserError(f"--config {config}: unknown {', '.join(unknown)}; known are {', '.join(fields)}")
    if missing := [name for name in ("network", "resolution", "loss") if name not in values]:
        raise UserError(f"--config {config}: {', '.join(missing)} is missing")
    recipe = Recipe(**values)
    _check(recipe, config)
    chosen = {name: value for name, value in overrides.items() if value is not None}
    if "learning_rate" in chosen and isinstance(recipe.learning_rate, list) and recipe.learning_rate[0]:
        start, end = recipe.learning_rate
        chosen["learning_rate"] = [chosen["learning_rate"], chosen["learning_rate"] * end / start]
    recipe = dataclasses.replace(recipe, **chosen)
    _check(recipe, config)
    return recipe


def _check(recipe: Recipe, config: str) -> None:
    for role in ("generator", "discriminator"):
        sizes = getattr(recipe, role)
        if not isinstance(sizes, dict):
            raise UserError(f"{role} must be {{name: value, ...}}, not {sizes!r}")
        for name, size in sizes.items():
            if name != "normalisation" and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
                raise UserError(f"{role}: {name} must be a whole number of at least 1, not {size!r}")
    choices = {
        "network": NETWORKS,
        "loss": LOSSES,
        "gradient_penalty": ("none", "zero-centred", "one-centred"),
    }
    for name, allowed in choices.items():
        if str(getattr(recipe, name)) not in allowed:
            raise UserError(f"--config {config}: {name} must be one of {', '.join(allowed)}")
    for name in (
        "resolution",
        "gradient_penalty_every",
        "discriminator_steps",
        "train_batch_size",
        "total_images",
        "checkpointing_images",
    ):
        value = getattr(recipe, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{name} must be a whole number of at least 1, not {value!r}")
    every = recipe.gradient_penalty_every
    if every > 1 and recipe.gradient_penalty != "zero-centred":
        raise UserError("gradient_penalty_every goes with gradient_penalty: zero-centred")
    if recipe.train_batch_size % every:
        raise UserError(f"train_batch_size must be a multiple of gradient_penalty_every, {every}")
    if not isinstance(recipe.seed, int) or not 0 <= recipe.seed < 2**32:
        raise UserError(f"seed must be a whole number from 0 to {2**32 - 1}, not {recipe.seed!r}")
    below = math.inf
    for name, low, high in (
        ("gradient_penalty_weight", 0, below),
        ("learning_rate", 0, below),
        ("adam_beta1", 0, 1),
        ("adam_beta2", 0, 1),
        *([("augmentation", 0, 1.01)] if recipe.augmentation != "auto" else []),
        ("schedule_fraction", 1e-6, 1.01),
    ):
        value = getattr(recipe, name)
        is_schedule = isinstance(value, list) and len(value) == 2 and name in SCHEDULES
        if not all(_is_number(v) and low <= v < high for v in (value if is_schedule else [value])):
            hint = " (YAML takes 2.0e-4, not 2e-4, for a number)" if isinstance(value, str) else ""
            may = "a number, or [start, end]" if name in SCHEDULES else "a number"
            raise UserError(f"{name} cannot be {value!r}: it is {may}, from {low:g} to below {high:g}{hint}")
    if recipe.gradient_penalty == "none":
        if recipe.gradient_penalty_weight:
            raise UserError("gradient_penalty_weight goes with a gradient_penalty, which is none")
    else:
        if not recipe.gradient_penalty_weight:
            raise UserError(f"gradient_penalty: {recipe.gradient_penalty} needs a gradient_penalty_weight above 0")
        if recipe.network == "dcgan" and recipe.discriminator.get("normalisation", "batch") == "batch":
            # Gulrajani et al. 2017, section 4
            raise UserError(
                "gradient_penalty is of each cover alone, and batch normalisation mixes them: it goes with "
                "discriminator: {normalisation: none}"
            )
    if not isinstance(recipe.class_conditional, bool):
        raise UserError(f"class_conditional must be true or false, not {recipe.class_conditional!r}")
    sigmas = recipe.ema_sigma
    if not isinstance(sigmas, list) or not sigmas or not all(_is_number(v) and 1e-3 <= v < 0.28 for v in sigmas):
        raise UserError(f"ema_sigma must be a list of numbers from 0.001 to 0.28, not {sigmas!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
