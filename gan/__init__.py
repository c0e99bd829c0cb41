"""Album Cover GAN: networks, losses and pipeline, shared by training, the page and strangers."""

from gan.pipeline import AlbumCoverPipeline
from gan.pipeline_folder import PipelineError, load_pipeline, save_pipeline


__all__ = ["AlbumCoverPipeline", "PipelineError", "load_pipeline", "save_pipeline"]
