"""Draw covers from seeds: the pipeline that a stranger loads with diffusers alone.

This file travels beside the weights, so it imports nothing of this project.
"""

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from diffusers.image_processor import VaeImageProcessor


LARGEST_SEED = 2**32 - 1


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
        `latent_dim`, and `genres` where it takes (N,) labels of genres, too.

    Example:
        >>> pipe = DiffusionPipeline.from_pretrained("user/covers", trust_remote_code=True)
        >>> pipe(seeds=[1, 2]).images[0].save("cover.png")
    """

    model_cpu_offload_seq = "synthesis"

    def __init__(self, synthesis: torch.nn.Module):
        super().__init__()
        self.register_modules(synthesis=synthesis)
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
    ) -> ImagePipelineOutput | tuple:
        """Draw one cover for each seed, or for each latent vector.

        Args:
            seeds: integers from 0 to 4294967295; the same seed is the same cover for ever.
            truncation: 0..2, shrinks the latents towards their mean: below 1 safer and more alike, above 1 wilder.
            latents: (N, latent_dim), instead of seeds.
            batch_size: how many covers go through the network at a time; changes them by rounding at most.
            output_type: "pil", "np" ((N, H, W, 3) float in 0..1) or "pt" ((N, 3, H, W) float in 0..1).
            return_dict: False returns `(images,)`.
            genres: names of `self.genres`, one for each cover or one for all; None is any.

        Raises:
            ValueError: neither or both of seeds and latents, a seed out of range, latents of a wrong shape or not
            finite, an unknown genre, or not one for each cover.
        """
        latents = self.prepare_latents(seeds, latents, truncation)
        labels = self.prepare_labels(genres, len(latents))
        inputs = [latents.to(self.device, self.dtype)] + ([] if labels is None else [labels.to(self.device)])
        batches = zip(*(tensor.split(batch_size) for tensor in inputs), strict=True)
        covers = torch.cat([self.synthesis(*batch) for batch in batches]).float().clamp(-1, 1)
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
            latents = latents_from_seeds([seeds] if isinstance(seeds, int) else list(seeds), latent_dim)
        if latents.ndim != 2 or latents.shape[0] == 0 or latents.shape[1] != latent_dim:
            raise ValueError(f"latents must be (N, {latent_dim}) with N of at least 1, not {tuple(latents.shape)}")
        if not torch.isfinite(latents).all():
            raise ValueError("latents must be finite numbers")
        return latents * truncation

    def prepare_labels(self, genres: list[str | None] | str | None, count: int) -> torch.Tensor | None:
        """Return the (count,) int64 labels that such a call feeds to the network; None where it takes none.

        Raises:
            ValueError: an unknown genre, not one for each of `count` covers, or a generator that knows none.
        """
        names = self.genres
        if not names:
            if genres is not None:
                raise ValueError("this generator knows no genres: leave them out")
            return None
        wanted = [genres] * count if genres is None or isinstance(genres, str) else list(genres)
        if len(wanted) != count:
            raise ValueError(f"give one genre, or one for each of the {count} covers, not {len(wanted)}")
        for name in wanted:
            if name is not None and name not in names:
                raise ValueError(f"there is no genre {name!r}; there are {', '.join(names)}, and None for any")
        return torch.tensor([len(names) if name is None else names.index(name) for name in wanted])
