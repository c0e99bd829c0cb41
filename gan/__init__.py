"""Share what training, the page and a stranger's three lines need: networks, losses, pipelines."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any


# OpenMP's threads spin while they wait for each other: beside other programs that makes training ten times slower.
# Passive ones sleep. The setting is read once, when torch is loaded, so it is made before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from gan.pipeline import AlbumCoverPipeline
    from gan.pipeline_folder import PipelineError, load_pipeline, save_pipeline

__all__ = ["AlbumCoverPipeline", "PipelineError", "load_pipeline", "save_pipeline"]


def __getattr__(name: str) -> Any:
    # Only now, because torch and diffusers take seconds to import, and the preparation of covers needs neither.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("gan.pipeline" if name == "AlbumCoverPipeline" else "gan.pipeline_folder"), name)
