"""What the later phases of a painter read in place of covers: their latents, and what can be asked for.

Computed once, when the autoencoder has learned, and kept in the run's folder: a run that goes on finds it there.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from tqdm.auto import tqdm

from gan.networks.efficientnet_lite import EfficientNetLite
from gan.palettes import palettes
from gan.untrusted import named_in_utf8
from train.cli import full_disk_in_one_line
from train.covers import Covers, seeded, to_float
from train.files import write_atomically
from train.train_gan.conditions import Kinds, find_clusters
from train.train_gan.painter import Painter


AT_ONCE = 128  # covers
SCALES = slice(1, 4)  # of EfficientNet-lite0's maps, those at strides 8, 16 and 32
CLUSTERS = 16  # stream of random numbers, see data.py


@dataclass
class Encoded:
    """Hold what is known of N covers, in the order of the dataset.

    Args:
        latents: (N, latent_channels, positions, positions) float16 of unit variance: 4 KB for a cover of 128 pixels.
        mean, deviation: (latent_channels,) of the latents before.
        palettes: (N, 12), see `gan.palettes`; (0, 12) where nobody asks for colours.
        clusters: (N,) int64, see `conditions.find_clusters`; (0,) where nobody asks for kinds.
        centres: (clusters, 1280) of unit length, in features less `seen_mean` over `seen_deviation`.
        seen_mean, seen_deviation: (1280,) of the covers' features.
        map_means, map_deviations: (channels,) of each map that the student learns, one after the other.
    """

    latents: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor
    palettes: torch.Tensor
    clusters: torch.Tensor
    centres: torch.Tensor
    seen_mean: torch.Tensor
    seen_deviation: torch.Tensor
    map_means: torch.Tensor
    map_deviations: torch.Tensor

    def tell(self, painter: Painter) -> None:
        """Tell the networks of the later phases in what scale they compose and see; averages paint as is learned."""
        for generator in (painter.generator, *painter.ema):
            generator.latent_mean.copy_(self.mean)
            generator.latent_deviation.copy_(self.deviation)
        if len(self.map_means):
            painter.student.set_scales(self.map_means, self.map_deviations)

    def kinds(self, device: torch.device) -> Kinds:
        """Return what tells which cluster a cover falls into."""
        return Kinds(*(tensor.to(device) for tensor in (self.centres, self.seen_mean, self.seen_deviation)))


@torch.no_grad()
def encode(
    painter: Painter,
    covers: Covers,
    features: EfficientNetLite | None,
    autocast: Callable[..., Any],
    scale: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> Encoded:
    """Encode all covers, and look at each once with the frozen network.

    Args:
        painter: its encoder has learned; its generator's config says what can be asked for.
        covers: N real ones.
        features: EfficientNet-lite0; None does without clusters.
        autocast: the context in which networks compute.
        scale: (latent_channels,) mean and deviation that latents are given in, of a composer that has learned with
            these; None: their own.
    """
    config, device = painter.generator.config, painter.generator.latent_mean.device
    parts, seen, colours, count = [], [], [], 0
    sums = squares = torch.zeros(())
    for first in tqdm(range(0, len(covers), AT_ONCE), "Encoding", unit=f"{AT_ONCE} covers", leave=False):
        pixels = covers[range(first, min(first + AT_ONCE, len(covers)))]
        images = to_float(pixels.to(device)).contiguous(memory_format=torch.channels_last)
        with autocast():
            parts.append(painter.encoder(images).float().cpu())
            maps = features(images)[SCALES] if features else []
            if features and config.clusters:
                seen.append(features.pool(maps[-1]).cpu())
        if config.palette:
            colours.append(palettes(pixels.cpu()))
        if maps:  # every map counts alike for each cover, however many positions it has
            flat = [found.double().flatten(2) for found in maps]
            sums = sums + torch.cat([found.mean(2).sum(0) for found in flat]).cpu()
            squares = squares + torch.cat([found.square().mean(2).sum(0) for found in flat]).cpu()
            count += len(pixels)
    latents = torch.cat(parts)
    deviation, mean = torch.std_mean(latents, (0, 2, 3))
    if scale is not None:
        mean, deviation = scale
    map_means = sums / count if count else torch.zeros(0)
    map_deviations = (squares / count - map_means.square()).clamp_min(1e-8).sqrt() if count else torch.zeros(0)
    clusters, centres = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    seen_mean = seen_deviation = torch.zeros(0)
    if seen:
        all_seen = torch.cat(seen)
        clusters, centres = find_clusters(all_seen, config.clusters, seeded(0, CLUSTERS))
        seen_mean, seen_deviation = all_seen.mean(0), all_seen.std(0).clamp_min(1e-6)
    return Encoded(
        ((latents - mean[:, None, None]) / deviation[:, None, None]).half(),
        mean,
        deviation,
        torch.cat(colours) if colours else torch.zeros(0, 12),
        clusters,
        centres,
        seen_mean,
        seen_deviation,
        map_means.float(),
        map_deviations.float(),
    )


def digest_of(painter: Painter, covers: Covers) -> str:
    """Return what tells whether a file holds what this encoder makes of these covers."""
    config = painter.generator.config
    asked = [config.resolution, config.latent_channels, config.clusters, config.palette]
    digest = hashlib.sha256(f"{len(covers)} {covers.digest()} {asked}".encode())
    for weight in painter.encoder.state_dict().values():
        digest.update(weight.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write(encoded: Encoded, file: Path, digest: str) -> None:
    """Write a safetensors file, with the SHA-256 of its contents. Raises UserError where the disk is full."""
    tensors = {field.name: getattr(encoded, field.name).contiguous() for field in fields(Encoded)}
    contents = save(tensors, {"covers": digest, "contents": _contents(tensors)})
    with full_disk_in_one_line(file):
        write_atomically(file, contents)


def read(file: Path, digest: str) -> Encoded | None:
    """Return what `write` wrote; None where there is none, or it is damaged, or of other covers or weights."""
    try:
        with named_in_utf8(file) as path, safe_open(path, "pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            known = opened.metadata() or {}
        if known.get("covers") == digest and known.get("contents") == _contents(tensors):
            return Encoded(**tensors)
    except (OSError, SafetensorError, TypeError):
        pass
    return None


def _contents(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
