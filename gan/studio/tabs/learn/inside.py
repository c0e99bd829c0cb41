"""Looks inside the page's generator: its layers' pictures, muted channels, normalisation, ways through the latents."""

import threading
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from gan.latents import semantic_directions, slerp
from gan.networks import NETWORKS
from gan.pipeline import latents_from_seeds
from gan.studio import checks
from gan.studio.files import data_uri, still_webp
from gan.studio.model import Model
from gan.studio.tabs.learn.anatomy import copy_of


MOST_CHANNELS = 32  # pictures of one layer
BATCHES = (1, 2, 4, 16)
WAYS = ("straight", "round")
STEPS = 7  # covers of a way, both ends included
MOST_DIRECTIONS = 6


class Inside:
    """Answer what the lessons 4 and 7 ask of the generator. All that comes in is bounded here."""

    def __init__(self, model: Model):
        self.model = model
        self._one_at_a_time = threading.Lock()  # hooks are on the copy for as long as one visitor's covers are drawn

    @cached_property
    def network(self) -> nn.Module:
        return copy_of(self.model.pipeline.synthesis)

    @cached_property
    def layers(self) -> list[str]:
        """Return the names of the layers that give pictures, from the latents to the cover."""
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        return [name for name, layer in self.network.named_modules() if isinstance(layer, kinds)]

    def channels(self, payload: object) -> dict[str, Any]:
        """Return the pictures of one layer's channels, and the cover with some of them muted.

        Args:
            payload: `{"seed", "layer": its number, "muted": [numbers of channels]}`.

        Returns:
            `{"cover", "plain", "tiles": [...], "of": how many channels, "name", "size"}`, pictures as addresses.
        """
        asked = _dict(payload)
        seed = checks.seed(asked.get("seed"))
        number = checks.whole(asked.get("layer"), "a layer", 0, len(self.layers) - 2)
        muted = asked.get("muted")
        if not isinstance(muted, list) or len(muted) > MOST_CHANNELS:
            raise checks.Refused("at most {most} channels are muted", muted, most=MOST_CHANNELS)
        muted = [checks.whole(channel, "a channel", 0, MOST_CHANNELS - 1) for channel in muted]
        latents, kept = self._latents([seed]), {}
        layer = self.network.get_submodule(self.layers[number])

        def mute(_: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
            kept["maps"] = output[0].clone()
            output = output.clone()
            # its own average instead of nothing: what follows is used to that
            for channel in muted:
                if channel < output.shape[1]:
                    output[:, channel] = output[:, channel].mean()
            return output

        with self._one_at_a_time, torch.no_grad():
            plain = self.network(latents)
            hook = layer.register_forward_hook(mute)
            try:
                cover = self.network(latents)
            finally:
                hook.remove()
        maps = kept["maps"]
        return {
            "cover": _uri(cover[0]),
            "plain": _uri(plain[0]),
            "tiles": [_uri(_grey(one)) for one in maps[:MOST_CHANNELS]],
            "of": len(maps),
            "size": maps.shape[-1],
            "name": self.layers[number],
            "changed": round((cover - plain).abs().mean().item() * 127.5, 2),
        }

    def truncated(self, payload: object) -> dict[str, Any]:
        """Return covers of some seeds, drawn in toward the mean cover or away from it: `{"truncation", "seed"}`."""
        asked = _dict(payload)
        seed, truncation = (
            checks.whole(asked.get("seed"), "a seed", 0, 2**32 - 9),
            checks.truncation(asked.get("truncation")),
        )
        covers = self._draw(self._latents(range(seed, seed + 8)) * truncation)
        return {"covers": [_uri(cover) for cover in covers]} | _spread(covers)

    def ways(self, payload: object) -> dict[str, Any]:
        """Return two ways from one seed to another, along a straight line and along the sphere: `{"from", "to"}`."""
        asked = _dict(payload)
        a, b = self._latents([checks.seed(asked.get("from")), checks.seed(asked.get("to"))])
        places = torch.linspace(0, 1, STEPS)[:, None]
        paths = {
            "straight": torch.lerp(a.expand(STEPS, -1), b, places),
            "round": slerp(a.expand(STEPS, -1), b.expand(STEPS, -1), places),
        }
        return {
            way: {
                "covers": [_uri(cover) for cover in self._draw(path)],
                "lengths": [round(x, 2) for x in path.norm(dim=1).tolist()],
            }
            for way, path in paths.items()
        }

    def directions(self, payload: object) -> dict[str, Any]:
        """Return a cover pushed along one of the directions that change it most (SeFa): `{"seed", "direction"}`."""
        asked = _dict(payload)
        seed = checks.seed(asked.get("seed"))
        direction = checks.whole(asked.get("direction"), "a direction", 0, MOST_DIRECTIONS - 1)
        vector = semantic_directions(self.network, MOST_DIRECTIONS)[direction]
        amounts = torch.linspace(-1, 1, STEPS)[:, None] * vector * 0.5 * self.model.latent_dim**0.5
        return {"covers": [_uri(cover) for cover in self._draw(self._latents([seed]) + amounts)]}

    def normalised(self, payload: object) -> dict[str, Any]:
        """Return one seed's cover with batch normalisation by what was learned, and by batches of 1, 2, 4 and 16.

        Args:
            payload: `{"seed", "layer": number of the normalisation, "channel"}`.

        Returns:
            `{"covers": [[batch or 0 for what was learned, address], ...], "layers", "before": [values of the channel],
            "after", "mean", "variance", "learned": [mean, variance], "by_batch": [[batch, mean, variance], ...]}`;
            only `{"layers": 0}` where the generator has none.
        """
        asked = _dict(payload)
        seed = checks.whole(asked.get("seed"), "a seed", 0, 2**32 - 17)
        norms = [layer for layer in self.network.modules() if isinstance(layer, nn.BatchNorm2d)]
        if not norms:
            return {"layers": 0}
        norm = norms[checks.whole(asked.get("layer"), "a layer", 0, len(norms) - 1)]
        channel = checks.whole(asked.get("channel"), "a channel", 0, norm.num_features - 1)
        covers, by_batch, told = [], [], {}
        means, variances = norm.running_mean, norm.running_var
        assert means is not None and variances is not None
        with self._one_at_a_time, torch.no_grad():
            for batch in (0, *BATCHES):
                latents = self._latents(range(seed, seed + max(1, batch)))
                kept: dict[str, torch.Tensor] = {}
                hooks = [one.register_forward_hook(_by_the_batch) for one in norms if batch]
                hooks.append(norm.register_forward_hook(lambda _, x, y, kept=kept: kept.update(x=x[0])))
                try:
                    covers.append([batch, _uri(self.network(latents)[0])])
                finally:
                    for hook in hooks:
                        hook.remove()
                x = kept["x"][:, channel]
                if batch:
                    by_batch.append([batch, *_rounded(x.mean(), x.var(unbiased=False))])
                    told = {
                        "before": _values(x),
                        "after": _values((x - x.mean()) / (x.var(unbiased=False) + norm.eps).sqrt()),
                    }
        return told | {
            "covers": covers,
            "layers": len(norms),
            "channels": norm.num_features,
            "learned": _rounded(means[channel], variances[channel]),
            "by_batch": by_batch,
            "leak": leak(),
        }

    def _latents(self, seeds: Iterable[int]) -> torch.Tensor:
        return latents_from_seeds(list(seeds), self.model.latent_dim)

    def _draw(self, latents: torch.Tensor) -> torch.Tensor:
        with self._one_at_a_time, torch.no_grad():
            return self.network(latents)


@lru_cache(maxsize=1)
def leak() -> dict[str, float]:
    """Return how much a cover's verdict depends on the other covers of its batch, relative to its own pixels.

    The length of the gradient of the first logit at the second cover, divided by that at the first one, in DCGAN's
    discriminator with batch normalisation and without: 0 means that each cover is judged alone.
    """
    found = {}
    for normalisation in ("batch", "none"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            discriminator = NETWORKS["dcgan"][1](resolution=16, width=8, normalisation=normalisation).train()
            covers = torch.randn(4, 3, 16, 16, requires_grad=True)
            (gradient,) = torch.autograd.grad(discriminator(covers)[0], covers)
        found[normalisation] = round((gradient[1].norm() / gradient[0].norm()).item(), 4)
    return found


def _by_the_batch(norm: nn.BatchNorm2d, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
    return F.batch_norm(inputs[0], None, None, norm.weight, norm.bias, training=True, eps=norm.eps)


def _dict(payload: object) -> dict[str, Any]:
    return payload if isinstance(payload, dict) else {}


def _rounded(*numbers: torch.Tensor) -> list[float]:
    return [round(number.item(), 4) for number in numbers]


def _values(x: torch.Tensor, most: int = 400) -> list[float]:
    flat = x.flatten()
    return [round(value, 3) for value in flat[:: max(1, len(flat) // most)][:most].tolist()]


def _spread(covers: torch.Tensor) -> dict[str, float]:
    """Return how much the covers differ from one another: the mean distance of two, in grey levels."""
    flat = covers.flatten(1)
    pairs = torch.pdist(flat) / flat.shape[1] ** 0.5
    return {"spread": round(pairs.mean().item() * 127.5, 1)}


def _uri(cover: torch.Tensor) -> str:
    """Return (3, H, W) or (1, H, W) in -1..1 as the address of a picture."""
    pixels = ((cover.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).expand(-1, -1, 3).numpy()
    return data_uri(still_webp(Image.fromarray(pixels)), "image/webp")


def _grey(one: torch.Tensor) -> torch.Tensor:
    """Return a channel's values as a picture of their own lightest and darkest."""
    low, high = one.min(), one.max()
    return ((one - low) / (high - low).clamp_min(1e-6) * 2 - 1)[None]
