"""Asks a discriminator what it takes for real, and where its verdict hangs.

The generator of the page comes without the discriminator that trained it. So a small pair ships with the lessons: both
networks of the run that lesson 8 shows as going well (lessons/runs/well), 32 pixels, this project's own trainer.
"""

import base64
import binascii
import json
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from gan.networks import NETWORKS
from gan.pipeline import latents_from_seeds
from gan.studio import checks
from gan.studio.files import data_uri, still_webp
from gan.studio.model import Model


PAIR = Path(__file__).parent / "pair"
SIDE = 32  # pixels that the pair knows
PIXELS = SIDE * SIDE * 3  # bytes of a picture
EACH = 8  # covers of each generator
MOST_OWN = 8  # pictures of a visitor
FOLLOWED = 12  # steps along the gradient, each of STRIDE grey levels a pixel on average
STRIDE = 2.0


class Critic:
    """Answer what lesson 6 asks of the discriminator. All that comes in is bounded here."""

    def __init__(self, model: Model, folder: Path = PAIR):
        self.model = model
        self.folder = folder
        self._loading = threading.Lock()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Return what was measured of the pair when it was put here, see train/benchmark/lessons.py."""
        return json.loads((self.folder / "pair.json").read_text())

    @cached_property
    def _pair(self) -> tuple[nn.Module, nn.Module]:
        networks = []
        for role, sizes, kind in zip(
            ("generator", "discriminator"), self.facts["sizes"], NETWORKS["dcgan"], strict=True
        ):
            with torch.random.fork_rng(devices=[]):
                network = kind(resolution=SIDE, **sizes).eval().requires_grad_(False)
            weights = load_file(self.folder / f"{role}.safetensors")
            network.load_state_dict({name: weight.float() for name, weight in weights.items()})
            networks.append(network)
        return tuple(networks)

    def _networks(self) -> tuple[nn.Module, nn.Module]:
        with self._loading:
            return self._pair

    def judged(self, payload: object) -> dict[str, Any]:
        """Let the discriminator judge covers of its own opponent, of the page's generator, and a visitor's pictures.

        Args:
            payload: `{"seed", "own": [base64 of SIDE x SIDE RGB pixels, ...]}`.

        Returns:
            `{"pictures": [{"whose": opponent, page or own, "pixels": base64, "src", "says": 0..1}, ...], "facts"}`;
            `says` is the sigmoid of the logit: how probably the picture is real.
        """
        asked = payload if isinstance(payload, dict) else {}
        seed = checks.whole(asked.get("seed"), "a seed", 0, 2**32 - 1 - EACH)
        own = asked.get("own")
        if not isinstance(own, list) or len(own) > MOST_OWN:
            raise checks.Refused("at most {most} pictures are judged at once", own, most=MOST_OWN)
        own = [_pixels(one) for one in own]
        generator, discriminator = self._networks()
        seeds = list(range(seed, seed + EACH))
        with torch.no_grad():
            opponents = _bytes(generator(latents_from_seeds(seeds, self.facts["sizes"][0]["latent_dim"])))
        pages = [np.asarray(_small(cover)) for cover in self.model.covers(seeds, 1.0)]
        pictures = [*opponents, *pages, *own]
        whose = ["opponent"] * EACH + ["page"] * EACH + ["own"] * len(own)
        with torch.no_grad():
            says = discriminator(_covers(np.stack(pictures))).sigmoid().tolist()
        return {
            "pictures": [
                {"whose": one, "pixels": _base64(picture), "src": _uri(picture), "says": round(verdict, 4)}
                for one, picture, verdict in zip(whose, pictures, says, strict=True)
            ],
            "facts": {name: value for name, value in self.facts.items() if name != "sizes"},
        }

    def seen(self, payload: object) -> dict[str, Any]:
        """Show where in a picture the verdict hangs, and what the picture becomes when it follows the gradient.

        Args:
            payload: base64 of SIDE x SIDE RGB pixels.

        Returns:
            `{"map": address, bright where a pixel moves the logit most, "after": address, "says": [0..1 before and
            after each step], "moved": grey levels a pixel on average}`.
        """
        _, discriminator = self._networks()
        before = _covers(_pixels(payload)[None])
        cover, says, first = before.clone(), [], None
        for _ in range(FOLLOWED + 1):
            cover.requires_grad_(True)
            logit = discriminator(cover)
            (gradient,) = torch.autograd.grad(logit.sum(), cover)
            first = gradient if first is None else first
            says.append(round(logit.sigmoid().item(), 4))
            cover = cover.detach()
            if len(says) <= FOLLOWED:
                step = gradient / gradient.abs().mean().clamp_min(1e-12) * (STRIDE / 127.5)
                cover = (cover + step).clamp(-1, 1)
        assert first is not None
        lengths = first[0].norm(dim=0)
        bright = (lengths / lengths.max().clamp_min(1e-12) * 255).round().byte().numpy()
        return {
            "map": _uri(np.repeat(bright[..., None], 3, axis=2)),
            "after": _uri(_bytes(cover)[0]),
            "says": says,
            "moved": round((cover - before).abs().mean().item() * 127.5, 1),
        }


def _pixels(text: object) -> np.ndarray:
    """Return a picture's bytes as (SIDE, SIDE, 3). Raises Refused unless they are exactly so many."""
    if isinstance(text, str) and len(text) == -(-PIXELS // 3) * 4:
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            data = b""
        if len(data) == PIXELS:
            return np.frombuffer(data, np.uint8).reshape(SIDE, SIDE, 3)
    raise checks.Refused("a picture here has {side} x {side} pixels", text, side=SIDE)


def _small(cover: Image.Image) -> Image.Image:
    return cover.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _covers(pictures: np.ndarray) -> torch.Tensor:
    """Return (N, H, W, 3) bytes as (N, 3, H, W) in -1..1."""
    return torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1


def _bytes(covers: torch.Tensor) -> np.ndarray:
    return ((covers.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def _base64(picture: np.ndarray) -> str:
    return base64.b64encode(picture.tobytes()).decode()


def _uri(picture: np.ndarray) -> str:
    return data_uri(still_webp(Image.fromarray(picture)), "image/webp")
