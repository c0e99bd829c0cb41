"""A generator as an ONNX file, for programs without PyTorch. Needs onnx, onnxscript and onnxruntime."""

import copy
import importlib.util
import logging
import warnings
from pathlib import Path
from typing import Any

import torch

from gan.errors import HubError
from gan.latents import config_of
from gan.pipeline import genres_of, latents_from_seeds
from gan.pipeline_folder import export_inputs


NEEDS = ("onnx", "onnxscript", "onnxruntime")
INPUTS = ("latents", "labels")
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
        generator: (N, latent_dim) `latents`, and (N,) `labels` where it has genres, to (N, 3, H, W) `covers`; the
            file takes any N.
        file: where to.

    Returns:
        The largest difference of two numbers among the covers of the seeds 0 to 15, drawn 16 and 3 at a time,
        as a share of the largest number, or of 1 where that is larger.

    Raises:
        HubError: packages are missing, or the covers differ by more than TOLERANCE.
    """
    check_onnx_packages()
    # a copy, because training keeps its weights in channels_last, on another device
    generator = copy.deepcopy(generator).eval()
    move: Any = generator.to  # torch's types know no `memory_format` there
    move("cpu", memory_format=torch.contiguous_format)
    inputs, shapes = export_inputs(generator)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # says that torchvision is not there
    with warnings.catch_warnings(action="ignore"):
        program = torch.onnx.export(
            generator,
            inputs,
            input_names=list(INPUTS[: len(inputs)]),
            output_names=["covers"],
            dynamic_shapes=shapes,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    graph: Any = program.model.graph
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

    inputs = [latents_from_seeds(list(range(CHECKED_SEEDS)), config_of(generator).latent_dim)]
    if genres := genres_of(generator):
        inputs.append(torch.arange(CHECKED_SEEDS) % (len(genres) + 1))
    expected = generator(*inputs)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in CHECKED_BATCHES:
        feeds = (
            {name: part.numpy() for name, part in zip(INPUTS, parts, strict=False)}
            for parts in zip(*(tensor.split(batch) for tensor in inputs), strict=True)
        )
        drawn = [torch.from_numpy(session.run(["covers"], feed)[0]) for feed in feeds]
        apart = (torch.cat(drawn) - expected).abs().max()
        worst = max(worst, (apart / expected.abs().max().clamp(min=1)).item())
    return worst
