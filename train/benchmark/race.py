"""Race our training step against that of R3GAN's own code and of StyleGAN2-ADA's.

Their losses and networks run as they are, imported from clones that the user names; nothing of theirs is kept here.
Their training loops run on CUDA alone, so what those do around a step is left out, and of ours as well: reading,
augmentation, averages of weights, logging. What a CUDA kernel of theirs does, their own reference does on a CPU.
"""

import argparse
import dataclasses
import importlib
import importlib.util
import math
import statistics
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import packaging.version
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gan.errors import first_line
from gan.latents import config_of
from gan.networks.r3gan import R3GANDiscriminator, R3GANGenerator, ResidualBlock
from train.benchmark.speed import random_batch
from train.cli import UserError
from train.device import can_bf16, device_name, use_whole_device
from train.train_gan.recipes import Recipe, load_recipe
from train.train_gan.state import build
from train.train_gan.steps import Batch, Trainer


WARMING = 2  # laps that are not counted
CLONES = {  # by flag: where the code is from, and files that tell it
    "--r3gan": ("https://github.com/brownvc/R3GAN", ("R3GAN/Trainer.py", "training/networks.py")),
    "--stylegan2": (
        "https://github.com/NVlabs/stylegan2-ada-pytorch",
        ("training/loss.py", "training/networks.py", "torch_utils/ops/conv2d_gradfix.py"),
    ),
}
PACKAGES = ("R3GAN", "training", "torch_utils", "dnnlib", "pkg_resources")  # what modules of theirs are called
# StyleGAN2-ADA's phases, and in how many steps each comes once: its penalties are lazy (Karras et al. 2020,
# "Analyzing and Improving the Image Quality of StyleGAN", section 3.1)
PHASES = {"Gmain": 1, "Greg": 4, "Dmain": 1, "Dreg": 16}


@dataclass(frozen=True)
class Contender:
    """Describe one whose steps are timed.

    Args:
        name: for the table.
        lap: takes a step, and returns its seconds.
        parameters: of the generator and of the discriminator.
        macs: multiplications in convolutions and products while one cover is drawn and judged once.
    """

    name: str
    lap: Callable[[], float]
    parameters: Sequence[int]
    macs: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    for flag, (origin, _) in CLONES.items():
        parser.add_argument(flag, type=Path, help=f"a clone of {origin}")
    parser.add_argument("--config", default="r3gan-cpu", help="a recipe of an R3GAN: resolution, widths and batch")
    parser.add_argument("--train_batch_size", type=int, help="default: the recipe's")
    parser.add_argument("--mixed_precision", choices=("no", "bf16"), help="one of them alone; default: what is there")
    parser.add_argument("--steps", type=int, default=10, help="steps of each to take the median of")


def main(args: argparse.Namespace) -> str:
    """Print, for each precision, covers a second of all, and how many times as fast as theirs our step is."""
    recipe = load_recipe(args.config, {"train_batch_size": args.train_batch_size})
    if recipe.network != "r3gan":
        raise UserError(f"--config {args.config}: {recipe.network} is no R3GAN")
    if args.steps < 1 or recipe.train_batch_size < 2:
        raise UserError("--steps must be at least 1, --train_batch_size at least 2")
    clones = {"--r3gan": args.r3gan, "--stylegan2": args.stylegan2}
    if not any(clones.values()):
        raise UserError(f"--r3gan or --stylegan2 is missing: name a clone of {CLONES['--r3gan'][0]}, say")
    for flag, clone in clones.items():
        if clone:
            check_clone(flag, clone)
    accelerator = Accelerator(mixed_precision="no")
    device = accelerator.device
    use_whole_device(device)  # float32 means float32 for all
    print(f"{args.config}: {recipe.resolution} px, {recipe.train_batch_size} covers a step")
    heading = "".join(f"{name:>14}" for name in ("parameters G", "parameters D", "GMAC forward", "covers/s"))
    print(f"{'':<30}{heading}{'ours is':>10}{'middle half':>14}")
    precisions = {"no": False} | ({"bf16": True} if can_bf16(device) else {})
    if args.mixed_precision:
        precisions = {args.mixed_precision: args.mixed_precision == "bf16"}
    for bf16 in precisions.values():
        bare = dataclasses.replace(recipe, ema_sigma=[], gradient_penalty_every=1)  # penalties as theirs
        trainer = Trainer(build(bare, device), bare, accelerator, bf16)
        batch = random_batch(trainer)
        contenders = [ours(trainer, batch)]
        # theirs expect pictures laid out in memory one colour after the other
        others = None if batch.others is None else batch.others.contiguous()
        batch = dataclasses.replace(batch, real=batch.real.contiguous(), others=others)
        if args.r3gan:
            contenders.append(r3gan(args.r3gan, recipe, batch, bf16))
        if args.stylegan2:
            contenders.append(stylegan2(args.stylegan2, recipe, batch, bf16 and device.type == "cuda"))
        show(contenders, laps_in_turn(contenders, args.steps), recipe.train_batch_size)
    return f"on {device_name(device)}; medians of {args.steps} steps of each in turn; steps alone, no loop around them"


def show(contenders: list[Contender], laps: list[list[float]], batch: int) -> None:
    """Print a row for each contender: `laps` are the seconds of each, lap by lap; the first is ours."""
    for number, contender in enumerate(contenders):
        own = [lap[number] for lap in laps]
        sizes = "".join(f"{size:>14,}" for size in contender.parameters)
        print(f"{contender.name:<30}{sizes}{contender.macs / 1e9:>14.3f}", end="")
        print(f"{batch / statistics.median(own):>14.1f}", end="")
        ratios = torch.tensor([lap[number] / lap[0] for lap in laps])
        low, middle, high = ratios.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
        print(f"{f'{middle:.2f}x':>10}{f'{low:.2f}-{high:.2f}':>14}" if number else "", flush=True)


def laps_in_turn(contenders: list[Contender], steps: int) -> list[list[float]]:
    """Return the seconds of `steps` steps of each: one of the first, one of the second, and round again."""
    return [[contender.lap() for contender in contenders] for _ in range(WARMING + steps)][WARMING:]


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that `work` takes, until the device has done it."""
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def check_clone(flag: str, clone: Path) -> None:
    """Raise UserError where `clone` does not hold the code that `flag` asks for."""
    origin, files = CLONES[flag]
    if missing := [file for file in files if not (clone / file).is_file()]:
        raise UserError(f"{flag} {clone}: holds no {missing[0]}; name a clone of {origin}")


@contextmanager
def importing(flag: str, clone: Path) -> Iterator[None]:
    """Import modules from a clone while it is entered; afterwards their names are free: both clones use the same.

    Raises:
        UserError: a module or a class is not there, or does not run here.
    """
    foreign = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in PACKAGES}
    sys.path.insert(0, str(clone.resolve()))
    if importlib.util.find_spec("pkg_resources") is None:
        # R3GAN's code compares versions with it, and newer releases of setuptools are without it
        sys.modules["pkg_resources"] = stand_in = types.ModuleType("pkg_resources")
        stand_in.__dict__["parse_version"] = packaging.version.parse
    try:
        yield
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        raise UserError(f"{flag} {clone}: {first_line(error)}", 1) from error
    finally:
        sys.path.remove(str(clone.resolve()))
        for name in list(sys.modules):
            if name.partition(".")[0] in PACKAGES:
                del sys.modules[name]
        sys.modules.update(foreign)


def contender(
    name: str, networks: Sequence[nn.Module], lap: Callable[[], float], *inputs: tuple[torch.Tensor | None, ...]
) -> Contender:
    """Return a contender with its networks measured; `inputs` are the generator's, then the discriminator's."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for network, arguments in zip(networks, inputs, strict=True):
            network(*arguments)
    parameters = [sum(p.numel() for p in network.parameters()) for network in networks]
    latents = inputs[0][0]
    assert latents is not None
    return Contender(name, lap, parameters, counter.get_total_flops() / 2 / len(latents))


def ours(trainer: Trainer, batch: Batch) -> Contender:
    """Return this project's contender."""
    networks = (trainer.gan.generator, trainer.gan.discriminator)

    def lap() -> float:
        return seconds(lambda: trainer.step(batch, 0), batch.real.device)

    return contender(f"ours, {'bf16' if trainer.bf16 else 'fp32'}", networks, lap, (batch.latents,), (batch.real,))


def r3gan_arguments(recipe: Recipe, bf16: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what R3GAN's own classes take for the networks of a recipe: for the generator, then the discriminator.

    Half precision is in all stages but the smallest, in four at most, as in its published settings.
    """
    with torch.device("meta"):
        networks = recipe.build([])
    arguments = []
    for network in networks:
        assert isinstance(network, R3GANGenerator | R3GANDiscriminator)  # whose code is asked for
        blocks = [layer for layer in network.layers if isinstance(layer, ResidualBlock)]
        stages = blocks[:: network.config.blocks]
        half = min(4, len(stages) - 1) if bf16 else 0
        first = len(stages) - half if network is networks[0] else 0
        arguments.append(
            {
                "WidthPerStage": [stage.shrink.out_channels for stage in stages],
                "CardinalityPerStage": [stage.mix.groups for stage in stages],
                "BlocksPerStage": [network.config.blocks] * len(stages),
                "ExpansionFactor": stages[0].expand.out_channels // stages[0].expand.in_channels,
                "FP16Stages": list(range(first, first + half)),
                "c_dim": 0,
                "img_resolution": recipe.resolution,
            }
        )
    return arguments[0] | {"NoiseDimension": config_of(networks[0]).latent_dim}, arguments[1]


def r3gan(clone: Path, recipe: Recipe, batch: Batch, bf16: bool) -> Contender:
    """Return R3GAN's own code as a contender: its losses and penalties, our recipe's networks as it builds them."""
    device = batch.real.device
    with importing("--r3gan", clone):
        module = importlib.import_module("training.networks")
        kinds, arguments = (module.Generator, module.Discriminator), r3gan_arguments(recipe, bf16)
        networks = [kind(**own).to(device).train() for kind, own in zip(kinds, arguments, strict=True)]
        training = importlib.import_module("R3GAN.Trainer").AdversarialTraining(*networks)
    generator, discriminator = (network.requires_grad_(False) for network in networks)
    gamma = recipe.at("gradient_penalty_weight", 0)
    optimizers = [adam(network, recipe) for network in networks]

    def teach_discriminator() -> None:
        training.AccumulateDiscriminatorGradients(batch.latents, batch.real, None, gamma)

    def teach_generator() -> None:
        training.AccumulateGeneratorGradients(batch.latents, batch.others, None)

    def step() -> None:
        update(discriminator, optimizers[1], teach_discriminator)
        update(generator, optimizers[0], teach_generator)

    name = f"R3GAN's code, {'bf16' if bf16 else 'fp32'}"
    with importing("--r3gan", clone):  # a GPU's kernels are compiled at first use
        inputs = ((batch.latents, None), (batch.real, None))
        return contender(name, networks, lambda: seconds(step, device), *inputs)


def stylegan2(clone: Path, recipe: Recipe, batch: Batch, fp16: bool) -> Contender:
    """Return StyleGAN2-ADA's own code as a contender, with as many channels at each size as our networks have.

    The networks are others, as its `auto` settings make them. A lap is the mean of a round of its lazy penalties.
    """
    size, device, config = recipe.train_batch_size, batch.real.device, config_of(recipe.build([])[0])
    widths = {"channel_base": config.width * recipe.resolution, "channel_max": config.max_width}
    widths |= {"num_fp16_res": 4, "conv_clamp": 256} if fp16 else {}
    shape = {"c_dim": 0, "img_resolution": recipe.resolution, "img_channels": 3}
    synthesis = {"mapping_kwargs": {"num_layers": 2}, "synthesis_kwargs": widths}
    epilogue = {"mbstd_group_size": math.gcd(4, size)}
    gamma = 0.0002 * recipe.resolution**2 / size
    with importing("--stylegan2", clone):
        module = importlib.import_module("training.networks")
        generator = module.Generator(z_dim=512, w_dim=512, **synthesis, **shape)
        discriminator = module.Discriminator(epilogue_kwargs=epilogue, **widths, **shape)
        networks = [network.to(device).train().requires_grad_(False) for network in (generator, discriminator)]
        training = importlib.import_module("training.loss")
        loss = training.StyleGAN2Loss(device, generator.mapping, generator.synthesis, discriminator, r1_gamma=gamma)
        # as its training loop does; with a newer PyTorch it falls back to PyTorch's own, and says so on a GPU
        importlib.import_module("torch_utils.ops.conv2d_gradfix").__dict__["enabled"] = True
    latents, none = torch.randn(size, 512, device=device), torch.zeros(size, 0, device=device)
    taught = {"G": (generator, adam(generator, recipe)), "D": (discriminator, adam(discriminator, recipe))}

    def take(phase: str) -> None:
        def accumulate() -> None:
            loss.accumulate_gradients(phase, batch.real, none, latents, none, True, PHASES[phase])

        update(*taught[phase[0]], accumulate)

    def lap() -> float:
        return sum(seconds(partial(take, phase), device) / every for phase, every in PHASES.items())

    name = f"StyleGAN2-ADA's code, {'fp16' if fp16 else 'fp32'}"
    return contender(name, networks, lap, (latents, none), (batch.real, none))


def adam(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser that both of their training loops make."""
    betas = (recipe.adam_beta1, recipe.at("adam_beta2", 0))
    return torch.optim.Adam(network.parameters(), recipe.at("learning_rate", 0), betas, eps=1e-8)


def update(network: nn.Module, optimizer: torch.optim.Optimizer, accumulate: Callable[[], None]) -> None:
    """Take one network's step: only its own gradients are computed."""
    optimizer.zero_grad()
    network.requires_grad_(True)
    accumulate()
    network.requires_grad_(False)
    optimizer.step()
