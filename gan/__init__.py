"""Share what training, the page and a stranger's three lines need: networks, losses, pipelines."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any


# OpenMP's threads spin while they wait for each other: beside other programs that makes training ten times slower.
# These spin for some ten microseconds, as long as work takes to come where nothing else computes, and
# then sleep. The settings are read once, when torch is loaded, so they are made before.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # sleep at once, with an OpenMP that does not know the next one
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # GNU's; asleep at once, small networks are half as quick

if TYPE_CHECKING:
    from gan.pipeline import AlbumCoverPipeline
    from gan.pipeline_folder import PipelineError, load_pipeline, save_pipeline

__all__ = ["AlbumCoverPipeline", "PipelineError", "load_pipeline", "save_pipeline"]


def __getattr__(name: str) -> Any:
    # Only now, because torch and diffusers take seconds to import, and the preparation of covers needs neither.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("gan.pipeline" if name == "AlbumCoverPipeline" else "gan.pipeline_folder"), name)
