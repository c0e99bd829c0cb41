"""What training, the page and a stranger's three lines share."""

from importlib import import_module
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from gan.pipeline import AlbumCoverPipeline
    from gan.pipeline_folder import PipelineError, load_pipeline, save_pipeline

__all__ = ["AlbumCoverPipeline", "PipelineError", "load_pipeline", "save_pipeline"]


def __getattr__(name: str) -> Any:
    # Only now, because torch and diffusers take seconds to import, and the preparation of covers needs neither.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("gan.pipeline" if name == "AlbumCoverPipeline" else "gan.pipeline_folder"), name)
