"""A generator as an ONNX file, for programs without PyTorch. Needs onnx, onnxscript and onnxruntime."""

import copy
import importlib.util
import logging
import warnings
from pathlib import Path

import torch

from gan.hub_errors import HubError
from gan.pipeline import latents_from_seeds


NEEDS = ("onnx", "onnxscript", "onnxruntime")
CHECKED_SEEDS = 16
CHECKED_BATCHES = (CHECKED_SEEDS, 3)
TOLERANCE = 1e-4  # of a cover's range, which is 2; a step of an 8-bit pixel is 80 times that


def check_onnx_packages() -> None:
    """Raise HubError, which names them, unless the packages are installed."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise HubError(f"--onnx needs packages that are not installed: pip install {' '.join(missing)}")


def export_onnx(generator: torch.nn.Module, file: Path) -> float:
    """Write the generator as one ONNX file, and compare what onnxruntime draws with what PyTorch draws.

    Args:
        generator: (N, latent_dim) `latents` to (N, 3, H, W) `covers`; the file takes any N.
        file: where to.

    Returns:
        The largest difference of two numbers among the covers of the seeds 0 to 15, drawn 16 and 3 at a time,
        as a share of the largest number, or of 1 where that is larger.

    Raises:
        HubError: packages are missing, or the covers differ by more than TOLERANCE.
    """
    check_onnx_packages()
    # a copy, because training keeps its weights in channels_last, on another device
    generator = copy.deepcopy(generator).to("cpu", memory_format=torch.contiguous_format).eval()
    example = torch.zeros(2, generator.config.latent_dim)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # says that torchvision is not there
    with warnings.catch_warnings(action="ignore"):
        program = torch.onnx.export(
            generator,
            (example,),
            input_names=["latents"],
            output_names=["covers"],
            dynamic_shapes=({0: torch.export.Dim("covers", min=1)},),
            dynamo=True,
            verbose=False,
        )
    graph = program.model.graph
    for part in [*graph.all_nodes(), *graph.initializers.values(), *graph.inputs, *graph.outputs]:
        part.metadata_props.clear()  # names folders of the machine that wrote it
    program.save(file, external_data=False)
    difference = _difference(generator, file)
    if not difference <= TOLERANCE:
        raise HubError(f"the ONNX file draws other covers than PyTorch: {difference:.1g} apart, {TOLERANCE} allowed")
    return difference


@torch.no_grad()
def _difference(generator: torch.nn.Module, file: Path) -> float:
    import onnxruntime

    latents = latents_from_seeds(list(range(CHECKED_SEEDS)), generator.config.latent_dim)
    expected = generator(latents)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in CHECKED_BATCHES:
        drawn = [session.run(["covers"], {"latents": part.numpy()})[0] for part in latents.split(batch)]
        apart = (torch.cat([torch.from_numpy(part) for part in drawn]) - expected).abs().max()
        worst = max(worst, (apart / expected.abs().max().clamp(min=1)).item())
    return worst
