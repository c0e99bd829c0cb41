"""Every generator at a size that costs nothing, with weights that show a mistake."""

import json
from collections.abc import Callable
from pathlib import Path

import torch

from gan import save_pipeline
from gan.networks import NETWORKS
from gan.networks.painter import Encoder
from gan.pipeline import AlbumCoverPipeline


TINY = {
    "dcgan": {"width": 4, "latent_dim": 10},
    "wgan-gp": {"width": 4, "latent_dim": 10},
    "r3gan": {"width": 8, "max_width": 16, "blocks": 1, "group_size": 8, "latent_dim": 10},
    "painter": {
        "resolution": 32,
        "width": 2,
        "composer_width": 4,
        "composer_max_width": 8,
        "latent_channels": 4,
        "latent_dim": 10,
    },
}
GENRES = ["rock", "R&B", "música"]  # names are anything that can be printed


def tiny_pipeline(name: str, seed: int = 0, encoder: bool = False, **config: int | list[str]) -> AlbumCoverPipeline:
    """A pipeline for covers of 16 px, a painter's of 32; `name` is a key of NETWORKS, `config` its arguments.

    A painter may come with an encoder.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = NETWORKS[name][0](**{"resolution": 16} | TINY[name] | config)
        encoding = Encoder(width=2, latent_channels=network.config.latent_channels).eval() if encoder else None
        # as they are built, some weights are zero and the running statistics have no effect
        for key, value in [*network.state_dict().items(), *(encoding.state_dict().items() if encoding else ())]:
            if value.is_floating_point():
                # in a deviation, as in a variance, there are numbers above zero alone
                positive = key.endswith(("running_var", "latent_deviation"))
                value.uniform_(0.5, 1.5) if positive else value.normal_(0.0, 0.3)
    return AlbumCoverPipeline(network.eval(), encoding)


def pipeline_files(pipeline: AlbumCoverPipeline, folder: Path) -> dict[str, bytes]:
    """Save a pipeline and return its files by name, as a repository holds them."""
    save_pipeline(pipeline, folder, for_strangers=False)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def changed_config(**values: object) -> Callable[[Path], None]:
    """Return what changes these values in the configuration of a pipeline folder."""

    def change(folder: Path) -> None:
        file = folder / "synthesis/config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return change
