"""Draw covers from seeds: the pipeline that a stranger loads with diffusers alone.

This file travels beside the weights, so it imports nothing of this project.
"""

from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from diffusers.image_processor import VaeImageProcessor


LARGEST_SEED = 2**32 - 1
# What a generator with a palette can be asked for, in the order of its shares; grey levels of red, green and blue.
COLOURS = {
    "black": (15, 15, 15), "white": (245, 245, 245), "grey": (128, 128, 128), "brown": (110, 70, 40),
    "red": (205, 30, 35), "orange": (240, 140, 30), "yellow": (245, 220, 60), "green": (60, 150, 70),
    "cyan": (70, 190, 200), "blue": (40, 80, 170), "purple": (115, 55, 140), "pink": (235, 145, 175),
}  # fmt: skip


def latents_from_seeds(seeds: list[int], latent_dim: int) -> torch.Tensor:
    """Return the latent vector of each seed: for ever the same, on any machine and in any batch.

    Args:
        seeds: N integers from 0 to 4294967295.
        latent_dim: length of a vector.

    Returns:
        (N, latent_dim) float32 on the CPU, independent normal numbers.

    Raises:
        ValueError: a seed is not an integer in that range.
    """
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= LARGEST_SEED:
            raise ValueError(f"a seed is an integer from 0 to {LARGEST_SEED}, not {seed!r}")
    # drawn on the CPU, one generator for each seed: a GPU's generator gives other numbers, a shared one depends on
    # order
    draws = [torch.randn(latent_dim, generator=torch.Generator("cpu").manual_seed(seed)) for seed in seeds]
    return torch.stack(draws) if draws else torch.empty(0, latent_dim)


def genres_of(synthesis: torch.nn.Module) -> list[str]:
    """Return the genres that a generator can be asked for, in the order of their labels; the label after is "any"."""
    return list(getattr(synthesis.config, "genres", None) or [])


class AlbumCoverPipeline(DiffusionPipeline):
    """Draw album covers with a GAN's generator: one pass of one network.

    Args:
        synthesis: the generator, (N, latent_dim) latents to (N, 3, H, W) covers in -1..1; its config names
        `latent_dim`, and what else it takes: `genres`, `clusters`, `palette`.
        encoder: of a painter, (N, 3, H, W) covers in -1..1 to the latents that its decoder paints; None without.

    Example:
        >>> pipe = DiffusionPipeline.from_pretrained("user/covers", trust_remote_code=True)
        >>> pipe(seeds=[1, 2]).images[0].save("cover.png")
    """

    model_cpu_offload_seq = "encoder->synthesis"
    _optional_components: ClassVar = ["encoder"]

    def __init__(self, synthesis: torch.nn.Module, encoder: torch.nn.Module | None = None):
        super().__init__()
        self.register_modules(synthesis=synthesis, encoder=encoder)
        move: Any = synthesis.to  # torch's types know no `memory_format` there
        move(memory_format=torch.channels_last)  # a fifth less time a cover on a CPU, the same covers
        self.image_processor = VaeImageProcessor(vae_scale_factor=1)

    @property
    def genres(self) -> list[str]:
        """Return the names of the genres that can be asked for; none where the generator was trained without."""
        return genres_of(self.synthesis)

    @torch.no_grad()
    def __call__(
        self,
        seeds: list[int] | int | None = None,
        truncation: float = 1.0,
        latents: torch.Tensor | None = None,
        batch_size: int = 16,
        output_type: str = "pil",
        return_dict: bool = True,
        genres: list[str | None] | str | None = None,
        clusters: list[int | None] | int | None = None,
        colours: list[dict[str, float] | None] | dict[str, float] | None = None,
    ) -> Any:
        """Draw one cover for each seed, or for each latent vector.

        Args:
            seeds: integers from 0 to 4294967295; the same seed is the same cover for ever.
            truncation: 0..2, shrinks the latents towards their mean: below 1 safer and more alike, above 1 wilder.
            latents: (N, latent_dim), instead of seeds.
            batch_size: how many covers go through the network at a time; changes them by rounding at most.
            output_type: "pil", "np" ((N, H, W, 3) float in 0..1) or "pt" ((N, 3, H, W) float in 0..1).
            return_dict: False returns `(images,)`.
            genres: names of `self.genres`, one for each cover or one for all; None is any.
            clusters: kinds of covers, found without anybody's labels: 0 to `self.clusters` - 1, one for each cover or
                one for all; None is any.
            colours: shares of the colours of `COLOURS`, such as `{"red": 3, "black": 1}`, whose sum is of no matter:
                one for each cover or one for all; None is any.

        Raises:
            ValueError: neither or both of seeds and latents, a seed out of range, latents of a wrong shape or not
            finite; a genre, kind or colour that there is not, or not one for each cover.
        """
        latents = self.prepare_latents(seeds, latents, truncation)
        conditions = self.prepare_conditions(len(latents), genres, clusters, colours)
        drawn, device, dtype = [], self.synthesis.device, self.synthesis.dtype
        for first in range(0, len(latents), batch_size):
            rows = slice(first, first + batch_size)
            asked = {
                name: tensor[rows].to(device, dtype if tensor.is_floating_point() else None)
                for name, tensor in conditions.items()
            }
            drawn.append(self.synthesis(latents[rows].to(device, dtype), **asked))
        covers = torch.cat(drawn).float().clamp(-1, 1)
        images = self.image_processor.postprocess(covers, output_type=output_type)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def prepare_latents(
        self, seeds: list[int] | int | None, latents: torch.Tensor | None = None, truncation: float = 1.0
    ) -> torch.Tensor:
        """Return the (N, latent_dim) latents that such a call feeds to the network. Raises as the call does."""
        if (seeds is None) == (latents is None):
            raise ValueError("give either seeds or latents")
        if not 0 <= truncation <= 2:
            raise ValueError(f"truncation is a number from 0 to 2, not {truncation!r}")
        latent_dim = self.synthesis.config.latent_dim
        if latents is None:
            assert seeds is not None
            latents = latents_from_seeds([seeds] if isinstance(seeds, int) else list(seeds), latent_dim)
        if latents.ndim != 2 or latents.shape[0] == 0 or latents.shape[1] != latent_dim:
            raise ValueError(f"latents must be (N, {latent_dim}) with N of at least 1, not {tuple(latents.shape)}")
        if not torch.isfinite(latents).all():
            raise ValueError("latents must be finite numbers")
        return latents * truncation

    @torch.no_grad()
    def encode(self, covers: torch.Tensor) -> torch.Tensor:
        """Return the latents with which a painter paints pictures as well as it can: `synthesis.paint` does.

        Args:
            covers: (N, 3, H, W) in -1..1, of the generator's own resolution.

        Returns:
            (N, latent_channels, positions, positions), in the scale of what `synthesis.compose` gives.

        Raises:
            ValueError: the pipeline came without an encoder.
        """
        if self.encoder is None:
            raise ValueError("this generator came without an encoder")
        return self.synthesis.normalise(self.encoder(covers.to(self.device, self.dtype)))

    @property
    def clusters(self) -> int:
        """Return how many kinds of covers can be asked for."""
        return getattr(self.synthesis.config, "clusters", None) or 0

    @property
    def colours(self) -> list[str]:
        """Return the names of the colours that can be asked for; none where the generator was trained without."""
        return list(COLOURS) if getattr(self.synthesis.config, "palette", None) == len(COLOURS) else []

    def prepare_conditions(
        self,
        count: int,
        genres: list[str | None] | str | None = None,
        clusters: list[int | None] | int | None = None,
        colours: list[dict[str, float] | None] | dict[str, float] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return what such a call for `count` covers feeds to the network beside latents, by name.

        Returns:
            `labels` and `clusters`, (count,) int64, and `palette`, (count, 12) shares less an even one: those that the
            generator takes.

        Raises:
            ValueError: a genre, kind or colour that there is not, or not one for each cover.
        """
        conditions, names, kinds = {}, self.genres, list(range(self.clusters))
        if wanted := _for_each(genres, names, count, "genre", str):
            conditions["labels"] = torch.tensor([len(names) if name is None else names.index(name) for name in wanted])
        if wanted := _for_each(clusters, kinds, count, "cluster", int):
            conditions["clusters"] = torch.tensor([len(kinds) if kind is None else kind for kind in wanted])
        if wanted := _for_each(colours, self.colours, count, "colour", dict):
            conditions["palette"] = torch.stack([_shares(shares) for shares in wanted])
        return conditions


def _for_each(asked: Any, known: list[Any], count: int, what: str, one: type) -> list[Any]:
    """Return what is asked of each of `count` covers, None for any; [] where the generator knows none of it."""
    if not known:
        if asked is not None:
            raise ValueError(f"this generator knows no {what}s: leave them out")
        return []
    wanted = [asked] * count if asked is None or isinstance(asked, one) else list(asked)
    if len(wanted) != count:
        raise ValueError(f"give one {what}, or one for each of the {count} covers, not {len(wanted)}")
    for value in wanted:
        for name in value if isinstance(value, dict) else [value]:
            if name is not None and (name not in known or isinstance(name, bool)):
                some = f"{known[0]} to {known[-1]}" if one is int else ", ".join(known)
                raise ValueError(f"there is no {what} {name!r}; there are {some}, and None for any")
    return wanted


def _shares(colours: dict[str, float] | None) -> torch.Tensor:
    """Return (12,) shares that sum to 0, as `gan.palettes` gives them; zeros for any."""
    if colours is None:
        return torch.zeros(len(COLOURS))
    shares = torch.tensor([float(colours.get(name, 0)) for name in COLOURS])
    if not torch.isfinite(shares).all() or shares.min() < 0 or not 0 < shares.sum() < float("inf"):
        raise ValueError(f"shares of colours are numbers from 0 on, and not all 0, not {colours!r}")
    return shares / shares.sum() - 1 / len(COLOURS)
