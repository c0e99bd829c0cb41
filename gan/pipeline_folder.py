"""A pipeline as a folder: written so that strangers load it with diffusers alone, read without running its code."""

import copy
import inspect
import io
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import diffusers
import torch
from huggingface_hub import HfApi, snapshot_download
from safetensors import safe_open
from safetensors.torch import load_file
from torch.overrides import TorchFunctionMode

from gan import pipeline as pipeline_file
from gan.errors import explain, first_line
from gan.networks import NETWORKS
from gan.pipeline import AlbumCoverPipeline, genres_of


PRETRAINED = Path(__file__).parent / "pretrained"
GENERATORS = {generator.__name__: generator for generator, _ in NETWORKS.values()}
LARGEST_RESOLUTION = 1024  # pixels; a stranger's config could otherwise ask for any amount of memory
LARGEST_CONFIG = 1_000_000  # bytes
MOST_GENRES, LONGEST_GENRE = 1000, 100  # characters
COVERS_INDEX = "covers.index.safetensors"  # of the training covers (gan/copies.py), where somebody has made one
SNAPSHOT = re.compile(r"images-\d{1,15}")  # tag of a run's weights, see `upload_model`
WEIGHTS_AND_CONFIG = ["model_index.json", "synthesis/*.json", "synthesis/*.safetensors", COVERS_INDEX]


class PipelineError(Exception):
    """A folder or Hub repository that holds no pipeline of this project, in one line for the user."""


def save_pipeline(
    pipeline: AlbumCoverPipeline, folder: str | Path, for_strangers: bool = True, half: bool = False
) -> None:
    """Write `pipeline` so that either all of the folder is new, or none of it.

    Args:
        pipeline: what to write.
        folder: where to; an earlier pipeline there is replaced, anything else is left alone.
        for_strangers: also the code that `DiffusionPipeline.from_pretrained(..., trust_remote_code=True)` runs, and
            `generator.pt2`, which `torch.export.load` reads with torch alone.
        half: weights in float16, for `load_pipeline`: half as large, and covers differ by a fraction of a grey level.

    Raises:
        PipelineError: the folder holds something else than a pipeline.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / "model_index.json").exists() and any(folder.iterdir()):
        raise PipelineError(f"{folder}: holds other files than a pipeline; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        os.chmod(new, 0o755)
        generator = halved(pipeline.synthesis) if half else pipeline.synthesis
        generator.save_pretrained(new / "synthesis", max_shard_size="9MB")
        for file in (new / "synthesis").iterdir():
            file.chmod(0o644)  # diffusers writes weights that nobody else may read
        network = type(pipeline.synthesis)
        module = f"album_cover_gan_{network.__module__.rsplit('.', 1)[-1]}"
        index = {
            # diffusers' save_pretrained writes the class name alone, from which a stranger cannot load it
            "_class_name": ["pipeline", AlbumCoverPipeline.__name__],
            "_diffusers_version": diffusers.__version__,
            "synthesis": [module, network.__name__],
        }
        (new / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
        if for_strangers:
            shutil.copy(pipeline_file.__file__, new / "pipeline.py")
            shutil.copy(inspect.getsourcefile(network), new / "synthesis" / f"{module}.py")
            export_generator(pipeline.synthesis, new / "generator.pt2")
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            folder.rename(old / folder.name)
            new.rename(folder)
            shutil.rmtree(old)
        else:
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def halved(generator: torch.nn.Module) -> torch.nn.Module:
    """A copy whose matrices and kernels are float16. What is added and scaled by stays float32: it is small, and a
    running variance may be larger than float16 holds."""
    generator = copy.deepcopy(generator)
    for weight in generator.parameters():
        if weight.ndim > 1:
            weight.data = weight.data.half()
    return generator


def export_generator(generator: torch.nn.Module, file: Path) -> None:
    """Write a torch.export program: `torch.export.load(file).module()(latents)` with any number of latents.

    Of a generator with genres it is `(latents, labels)`, (N,) int64; the label after the last genre's is "any".
    """
    # a copy, because training keeps its weights in channels_last, which torch.export.save warns about
    generator = copy.deepcopy(generator).to("cpu", memory_format=torch.contiguous_format).eval()
    inputs, shapes = export_inputs(generator)
    program = torch.export.export(generator, inputs, dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names folders of the machine that wrote it
    program.example_inputs = None  # would be saved as a pickle
    content = io.BytesIO()  # torch ends the whole program where a full disk lets it write half a file
    torch.export.save(program, content)
    file.write_bytes(content.getbuffer())


def export_inputs(generator: torch.nn.Module) -> tuple[tuple[torch.Tensor, ...], tuple[dict, ...]]:
    """Inputs to export a generator with: latents and, where it has genres, labels; and their dynamic shapes."""
    latents = torch.zeros(2, generator.config.latent_dim)
    inputs = (latents, torch.zeros(2, dtype=torch.int64)) if genres_of(generator) else (latents,)
    covers = torch.export.Dim("covers", min=1)
    return inputs, tuple({0: covers} for _ in inputs)


def load_pipeline(folder_or_id: str | Path | None = None, revision: str | None = None) -> AlbumCoverPipeline:
    """Load a pipeline's weights into this project's own classes: no code of the folder or repository is run.

    Args:
        folder_or_id: a folder, or a Hub id such as "user/covers"; None is the generator that ships with the project.
        revision: branch, tag or commit of the Hub repository.

    Returns:
        The pipeline on the CPU, in evaluation mode, in float32.

    Raises:
        PipelineError: nothing is there, it is no pipeline of ours, or its weights are missing, strange or not finite.
    """
    name, folder = str(folder_or_id or PRETRAINED), find_pipeline(folder_or_id, revision)
    network = _generator_class(folder, name)
    files = sorted((folder / "synthesis").glob("*.safetensors"))
    if not files:
        raise PipelineError(f"{name}: holds no weights (synthesis/*.safetensors)")
    try:
        if (folder / "synthesis" / "config.json").stat().st_size > LARGEST_CONFIG:
            raise ValueError(f"its config has more than {LARGEST_CONFIG:,} bytes")
        config = network.load_config(folder / "synthesis")
        config = {k: v for k, v in config.items() if not k.startswith("_")}
        if config.get("resolution", 0) > LARGEST_RESOLUTION:
            raise ValueError(f"covers of {config['resolution']} px are more than {LARGEST_RESOLUTION}")
        check_genres(config.get("genres") or [])
        _check_shapes(network, config, files)
        generator = network.from_config(config)
        weights = {}
        for file in files:
            weights |= load_file(file)
        generator.load_state_dict(weights)  # strict: diffusers' own loader leaves a missing weight on the meta device
    except Exception as error:  # a strange config makes the networks' constructors raise nearly anything
        raise PipelineError(f"{name}: cannot load the generator: {first_line(error, lines=2)}") from error
    for key, value in generator.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise PipelineError(f"{name}: the weight {key} holds numbers that are not finite")
    return AlbumCoverPipeline(generator.float().eval().requires_grad_(False))


def find_pipeline(folder_or_id: str | Path | None = None, revision: str | None = None) -> Path:
    """The folder of a pipeline, named as for `load_pipeline`; of a Hub id a copy. Raises PipelineError: none there."""
    folder = Path(folder_or_id or PRETRAINED)
    return folder if folder.is_dir() else _download(str(folder_or_id or PRETRAINED), revision)


def find_snapshots(folder_or_id: str | Path | None) -> list[str]:
    """The tags `images-<covers shown>` of a model on the Hub, in the order of its training.

    None of a folder, and none where the Hub cannot be asked: nothing depends on them.
    """
    if folder_or_id is None or Path(folder_or_id).is_dir():
        return []
    try:
        tags = [tag.name for tag in HfApi().list_repo_refs(str(folder_or_id)).tags]
    except Exception:  # the client raises its own, httpx's and the operating system's errors
        return []
    return sorted((tag for tag in tags if SNAPSHOT.fullmatch(tag)), key=lambda tag: int(tag.removeprefix("images-")))


def check_genres(genres: object) -> None:
    """Raise ValueError unless `genres` can be the genres of a generator: a list of different, short names."""
    if not isinstance(genres, list) or len(genres) > MOST_GENRES:
        raise ValueError(f"genres must be a list of at most {MOST_GENRES} names")
    for name in genres:
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_GENRE or not name.isprintable():
            raise ValueError(f"a genre's name has 1 to {LONGEST_GENRE} printable characters, not {str(name)[:80]!r}")
    if len(set(genres)) < len(genres):
        raise ValueError("two genres have the same name")


def _check_shapes(network: type, config: dict, files: list[Path]) -> None:
    """Raise ValueError unless the files hold just the weights that the config asks for; allocates none of them."""
    found: dict[str, list[int]] = {}
    for file in files:
        with safe_open(file, "pt") as weights:
            found |= {key: weights.get_slice(key).get_shape() for key in weights.keys()}  # noqa: SIM118, not a dict
    # The networks here need about 10 calls for each weight. Outermost stands what puts gradients back as they were:
    # where the limit is met inside a `no_grad` of torch's own, it also stops the call that would.
    with torch.no_grad(), torch.device("meta"), _CallLimit(100 * len(found)):
        expected = {key: list(value.shape) for key, value in network.from_config(config).state_dict().items()}
    for key in sorted(found.keys() | expected.keys()):
        if found.get(key) != expected.get(key):
            shapes = [shapes.get(key, "missing") for shapes in (found, expected)]
            raise ValueError(f"the weight {key} is {shapes[0]} in its files and {shapes[1]} by its config")


class _CallLimit(TorchFunctionMode):
    """Stops a config that asks for a thousand million layers, which take memory even where their weights take none."""

    def __init__(self, calls: int):
        super().__init__()
        self.calls = calls

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.calls -= 1
        if self.calls < 0:
            raise ValueError("its config asks for many more layers than its files hold")
        return function(*args, **(kwargs or {}))


def _download(name: str, revision: str | None) -> Path:
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise PipelineError(f"{name}: no such folder, and not a Hub id such as user/covers")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=WEIGHTS_AND_CONFIG))
    except Exception as error:  # the client raises its own, httpx's and the operating system's errors
        reason = explain(error, "model", name).removeprefix(f"{name}: ")
        raise PipelineError(f"{name}: cannot be loaded from the Hub: {reason}") from error


def _generator_class(folder: Path, name: str) -> type:
    try:
        index = json.loads((folder / "model_index.json").read_text())
        class_name = index["synthesis"][1]
    except FileNotFoundError as error:
        raise PipelineError(f"{name}: holds no model_index.json, so it is not a pipeline folder") from error
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise PipelineError(f"{name}: model_index.json names no synthesis network") from error
    if not isinstance(class_name, str) or class_name not in GENERATORS:
        known = ", ".join(GENERATORS)
        raise PipelineError(f"{name}: its network {str(class_name)[:80]!r} is not one of {known}")
    return GENERATORS[class_name]
