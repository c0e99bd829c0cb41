"""A recipe and its networks for people: what `--dry_run` prints."""

import torch
from torch import nn

from gan.latents import config_of
from train.train_gan.painter import Painter
from train.train_gan.recipes import Recipe
from train.train_gan.state import GAN


def describe(gan: GAN | Painter, recipe: Recipe) -> str:
    """Return in words a recipe, the size of its networks, and the shape of every layer's output for one cover."""
    lines = [f"{name}: {value}" for name, value in vars(recipe).items()]
    covers = torch.zeros(2, 3, recipe.resolution, recipe.resolution)
    inputs = {"generator": torch.zeros(2, config_of(gan.generator).latent_dim), "discriminator": covers}
    if isinstance(gan, Painter):
        config = gan.discriminator.config
        latents = torch.zeros(2, config.latent_channels, config.positions, config.positions)
        inputs |= {"encoder": covers, "discriminator": latents, "patch_critic": covers}
        if recipe.features != "none":
            inputs["student"] = latents
    for role, example in inputs.items():
        network = getattr(gan, role)
        count = sum(p.numel() for p in network.parameters())
        lines += ["", f"{role}: {type(network).__name__}, {count:,} parameters", f"  {'input':<28} {_shape(example)}"]

        def show(module: nn.Module, _: object, output: torch.Tensor, name: str, lines: list[str] = lines) -> None:
            own = sum(p.numel() for p in module.parameters(recurse=False))
            lines.append(f"  {name:<28} {_shape(output):<18} {type(module).__name__:<16} {own:>10,}")

        layers = [(n, m) for n, m in network.named_modules() if n and not isinstance(m, nn.Sequential | nn.Identity)]
        hooks = [m.register_forward_hook(lambda layer, x, y, n=n: show(layer, x, y, n)) for n, m in layers]
        with torch.no_grad():
            network(example.to(next(network.parameters()).device))
        for hook in hooks:
            hook.remove()
    return "\n".join(lines)


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape[1:])) or "1"
