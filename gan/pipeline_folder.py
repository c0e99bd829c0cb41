"""Write a pipeline folder that strangers load with diffusers alone, and read theirs without running its code."""

import copy
import functools
import inspect
import io
import json
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import diffusers
import torch
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file

from gan import pipeline as pipeline_file
from gan.errors import explain, first_line, is_hub_id
from gan.latents import config_of
from gan.networks import NETWORKS
from gan.networks.dcgan import DCGANDiscriminator
from gan.networks.denoiser import Denoiser, DenoiserHeads
from gan.networks.latents import LatentDiscriminator, LatentFeatures
from gan.networks.painter import Encoder
from gan.networks.patch import PatchDiscriminator
from gan.networks.projected import ProjectedDiscriminator
from gan.networks.r3gan import R3GANDiscriminator
from gan.networks.wgan_gp import WGANGPDiscriminator
from gan.pipeline import AlbumCoverPipeline, genres_of
from gan.untrusted import (
    LARGEST_WEIGHTS,
    MOST_FILES,
    check_arguments,
    check_genres,
    is_folder,
    named_in_utf8,
    read_json,
    read_shapes,
)


__all__ = ["check_genres", "load_pipeline", "load_with_discriminators", "save_pipeline"]

PRETRAINED = Path(__file__).parent / "pretrained"
GENERATORS = {generator.__name__: generator for generator, _ in NETWORKS.values()}
COVERS_INDEX = "covers.index.safetensors"  # of the training covers (gan/nearest.py), where somebody has made one
SURVEY = "survey.safetensors"  # of the generator's own covers (gan/survey.py), where somebody has made one
INDEX = "model_index.json"  # by which a folder is known as a pipeline
NEW = ".new-"  # begins the name of the folder in which a save writes, or in which a killed process was writing
NOBODYS = (NEW, "lost+found")  # begin the names of what may lie in an empty folder, or on an empty disk
SNAPSHOT = re.compile(r"images-\d{1,15}")  # tag of a run's weights, see `upload_model`
GENERATOR, ENCODER = "synthesis", "encoder"  # the networks of a pipeline, each in a folder of its own
# What judged the generator while it learned, from which another run can begin: each in a folder of its own, too. The
# index does not name them, so neither the page nor diffusers reads them.
DISCRIMINATORS = {
    "discriminator": (DCGANDiscriminator, WGANGPDiscriminator, R3GANDiscriminator, LatentDiscriminator),
    "heads": (ProjectedDiscriminator,),
    "painted_heads": (ProjectedDiscriminator,),
    "student": (LatentFeatures,),
    "patch_critic": (PatchDiscriminator,),
    "denoiser": (Denoiser,),
    "denoiser_heads": (DenoiserHeads,),
}
LARGE_WEIGHT, LARGEST_WEIGHT = 1e3, 1e9  # of a number; what was trained has none above 100, but for its statistics
PARTS = (GENERATOR, ENCODER, *DISCRIMINATORS)


def _files_of(*parts: str) -> list[str]:
    return [f"{part}/{name}" for part in parts for name in ("config.json", "*.safetensors")]


WEIGHTS_AND_CONFIG = [INDEX, COVERS_INDEX, SURVEY, *_files_of(GENERATOR, ENCODER)]

Result = TypeVar("Result")


_exporting = threading.Lock()  # the traced program is one for all threads


class PipelineError(Exception):
    """Tell the user in one line why a folder or Hub repository gives no pipeline of this project."""


def save_pipeline(
    pipeline: AlbumCoverPipeline,
    folder: str | Path,
    for_strangers: bool = True,
    half: bool = False,
    discriminators: Mapping[str, torch.nn.Module] | None = None,
) -> None:
    """Write `pipeline` into a folder. What fails before all of it is written changes nothing there.

    Everything is written inside `folder` first, which may be a mounted disk, or the only place that may be written
    to. Then the files take their places, `model_index.json` as the last one: a process that is killed in between
    leaves no pipeline rather than half of two.

    Args:
        pipeline: what to write.
        folder: where to; an earlier pipeline there is replaced, other files beside it stay.
        for_strangers: also the code that `DiffusionPipeline.from_pretrained(..., trust_remote_code=True)` runs, and
            `generator.pt2`, which `torch.export.load` reads with torch alone.
        half: weights in float16, for `load_pipeline`: half as large, and covers differ by a fraction of a grey level.
        discriminators: networks that judged the generator, by their names in `DISCRIMINATORS`, always in float16:
            another run begins with them (`load_with_discriminators`), and nobody else reads them.

    Raises:
        PipelineError: the folder holds other files and no pipeline, or the generator is one that `load_pipeline`
            would refuse.
        OSError: the folder cannot be written to, or the disk is full.
    """
    folder = Path(folder)
    is_new = not folder.exists()
    if not is_new and not (folder / INDEX).exists() and any(not f.name.startswith(NOBODYS) for f in folder.iterdir()):
        raise PipelineError(f"{folder}: holds other files than a pipeline; name a new folder")
    networks = {GENERATOR: pipeline.synthesis} | ({ENCODER: pipeline.encoder} if pipeline.encoder else {})
    discriminators = discriminators or {}
    try:
        for network in (*networks.values(), *discriminators.values()):
            check_arguments(type(network).__name__, json.loads(network.to_json_string()))
    except ValueError as error:
        raise PipelineError(f"{folder}: such a generator could not be loaded again: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{NEW}*"):
        shutil.rmtree(left, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=NEW, dir=folder))
    try:
        index = {
            # diffusers' save_pretrained writes the class name alone, from which a stranger cannot load it
            "_class_name": ["pipeline", AlbumCoverPipeline.__name__],
            "_diffusers_version": diffusers.__version__,
        }
        for part, network in networks.items():
            _saving(halved(network) if half else network)(new / part, max_shard_size="9MB")
            module = f"album_cover_gan_{type(network).__module__.rsplit('.', 1)[-1]}"
            index[part] = [module, type(network).__name__]
            if for_strangers:
                shutil.copy(inspect.getfile(type(network)), new / part / f"{module}.py")
        for part, network in discriminators.items():
            _saving(halved(network))(new / part, max_shard_size="9MB")
        (new / INDEX).write_text(json.dumps(index, indent=2) + "\n")
        if for_strangers:
            shutil.copy(pipeline_file.__file__, new / "pipeline.py")
            export_generator(pipeline.synthesis, new / "generator.pt2")
        _move_in(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def _move_in(new: Path, folder: Path) -> None:
    """Replace the pipeline in `folder` by the files of `new`, which lies in it: one by one, and the index last."""
    files = [file.relative_to(new) for file in sorted(new.rglob("*")) if file.is_file() and file.name != INDEX]
    (folder / INDEX).unlink(missing_ok=True)
    for file in files:
        (new / file).chmod(0o644)  # diffusers writes weights that nobody else may read
        (folder / file).parent.mkdir(exist_ok=True)
        (new / file).replace(folder / file)
    before = [folder / name for name in ("pipeline.py", "generator.pt2", COVERS_INDEX, SURVEY)]
    for left in [*before, *(file for part in PARTS for file in (folder / part).glob("*"))]:
        if left.relative_to(folder) not in files and not left.is_dir():
            left.unlink(missing_ok=True)
    for part in PARTS:
        if (folder / part).is_dir() and not any((folder / part).iterdir()):
            (folder / part).rmdir()
    (new / INDEX).chmod(0o644)
    (new / INDEX).replace(folder / INDEX)


def halved(network: torch.nn.Module) -> torch.nn.Module:
    """Return a copy whose matrices and kernels are float16.

    Biases, gains and statistics stay float32: they are small, and a variance may be larger than float16 holds.
    """
    network = copy.deepcopy(network)
    for weight in network.parameters():
        if weight.ndim > 1:
            weight.data = weight.data.half()
    return network


def _saving(network: torch.nn.Module) -> Callable[..., None]:
    """Return `save_pretrained` of a network of diffusers' kind."""
    return cast(Callable[..., None], network.save_pretrained)


def export_generator(generator: torch.nn.Module, file: Path) -> None:
    """Write a torch.export program: `torch.export.load(file).module()(latents)` with any number of latents.

    A generator with genres takes `(latents, labels)`, labels (N,) int64, of which the one after the last genre's is
    "any".
    """
    content = io.BytesIO()  # torch ends the whole program where a full disk lets it write half a file
    with _exporting:
        program = _traced(cast(Hashable, type(generator)), json.dumps(dict(config_of(generator)), sort_keys=True))
        with torch.no_grad():
            for name, weight in generator.state_dict().items():
                program.state_dict[name].copy_(weight)
        torch.export.save(program, content)
    file.write_bytes(content.getbuffer())


@functools.lru_cache(maxsize=1)  # a run writes one generator again and again, and to trace it takes seconds
def _traced(network: Any, config: str) -> torch.export.ExportedProgram:
    """Return the program of a network built from `config`, JSON; it holds weights of no meaning."""
    with torch.random.fork_rng(devices=[]):
        generator = network.from_config(json.loads(config)).eval()
    inputs, shapes = export_inputs(generator)
    program = torch.export.export(generator, inputs, dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names folders of the machine that wrote it
    program.example_inputs = None  # would be saved as a pickle
    return program


def export_inputs(generator: torch.nn.Module) -> tuple[tuple[torch.Tensor, ...], tuple[dict[int, Any], ...]]:
    """Return example inputs to export a generator with (latents, and labels where it has genres), and their dynamic
    shapes."""
    latents = torch.zeros(2, config_of(generator).latent_dim)
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
        PipelineError: nothing is there, it is no pipeline of ours, or its weights are missing, strange, or numbers
        that draw no picture.
    """
    name, folder = str(folder_or_id or PRETRAINED), find_pipeline(folder_or_id, revision)
    return _read_whole(folder, name, _read_pipeline)


def load_with_discriminators(
    folder_or_id: str | Path, revision: str | None = None
) -> tuple[AlbumCoverPipeline, dict[str, torch.nn.Module]]:
    """Load a pipeline as `load_pipeline` does, and what judged it while it learned, as far as it was shared.

    Args:
        folder_or_id, revision: as for `load_pipeline`.

    Returns:
        The pipeline, and networks by their names in `DISCRIMINATORS`; none where the owner shared none.

    Raises:
        PipelineError: as `load_pipeline`, of each of these networks.
    """
    name, folder = str(folder_or_id), find_pipeline(folder_or_id, revision, discriminators=True)
    return _read_whole(folder, name, lambda *place: (_read_pipeline(*place), _read_discriminators(*place)))


def _read_whole(folder: Path, name: str, read: Callable[[Path, str], Result]) -> Result:
    """Return what `read(folder, name)` finds, all of it from one pipeline: a training run may replace it meanwhile."""
    for _ in range(3):
        before = _written(folder)
        try:
            found = read(folder, name)
        except PipelineError:
            if _written(folder) == before:
                raise
        else:
            if _written(folder) == before:
                return found
    raise PipelineError(f"{name}: is replaced again and again while it is read")


def _read_pipeline(folder: Path, name: str) -> AlbumCoverPipeline:
    classes = _network_classes(folder, name)
    networks = {part: _read_network(folder, part, network, name) for part, network in classes.items()}
    generator, encoder = networks[GENERATOR], networks.get(ENCODER)
    channels = getattr(config_of(generator), "latent_channels", None)
    if encoder and (made := config_of(encoder).latent_channels) != channels:
        raise PipelineError(
            f"{name}: its encoder makes {made} numbers of each part of a cover, "
            f"and its generator paints from {channels or 'no such numbers'}"
        )
    pipeline = AlbumCoverPipeline(generator, encoder)
    _check_first_cover(pipeline, name)
    return pipeline


def _check_first_cover(pipeline: AlbumCoverPipeline, name: str) -> None:
    """Raise PipelineError where the cover of seed 0 is no picture, because of weights that no training gives.

    What a network draws before it has learned anything, grey or noise, is a picture.
    """
    try:
        latents, asked = pipeline.prepare_latents(0), pipeline.prepare_conditions(1)
        with torch.no_grad():
            cover = pipeline.synthesis(latents, **asked)
            encoded = pipeline.encode(cover.clamp(-1, 1)) if pipeline.encoder else latents
    except Exception as error:
        raise PipelineError(f"{name}: cannot draw a cover: {first_line(error, lines=2)}") from error
    if not torch.isfinite(cover).all() or not torch.isfinite(encoded).all():
        raise PipelineError(f"{name}: its weights are too large: the first cover holds numbers that are not finite")
    if cover.abs().min() >= 1 and any(weight.abs().max() > LARGE_WEIGHT for weight in pipeline.synthesis.parameters()):
        raise PipelineError(f"{name}: its weights are too large: the first cover is black, white and nothing between")


def _read_discriminators(folder: Path, name: str) -> dict[str, torch.nn.Module]:
    discriminators = {}
    for part, classes in DISCRIMINATORS.items():
        if not (folder / part).is_dir():
            continue
        try:
            config = read_json(folder / part / "config.json")
            class_name = config.get("_class_name") if isinstance(config, dict) else None
            network = {network.__name__: network for network in classes}[str(class_name)]
        except (OSError, ValueError, KeyError) as error:
            known = ", ".join(network.__name__ for network in classes)
            raise PipelineError(f"{name}: {part}/config.json names none of {known}") from error
        discriminators[part] = _read_network(folder, part, network, name)
    return discriminators


def _read_network(folder: Path, part: str, network: type[torch.nn.Module], name: str) -> torch.nn.Module:
    try:
        arguments = check_arguments(network.__name__, read_json(folder / part / "config.json"))
        files = sorted((folder / part).glob("*.safetensors"))
        if not files:
            raise ValueError(f"holds no weights ({part}/*.safetensors)")
        found = read_shapes(files)
        with torch.device("meta"):  # which takes no memory
            expected = {key: list(value.shape) for key, value in network(**arguments).state_dict().items()}
        for key in sorted(found.keys() | expected.keys()):
            if found.get(key) != expected.get(key):
                shapes = [shapes.get(key, "missing") for shapes in (found, expected)]
                raise ValueError(f"the weight {key[:80]} is {shapes[0]} in its files and {shapes[1]} by its config")
        made, weights = network(**arguments), dict[str, torch.Tensor]()
        for file in files:
            with named_in_utf8(file) as path:
                weights |= load_file(path)
        made.load_state_dict(weights)  # strict: diffusers' own loader leaves a missing weight on the meta device
    except Exception as error:  # damaged files make libraries raise nearly anything
        what = "generator" if part == GENERATOR else part
        raise PipelineError(f"{name}: cannot load the {what}: {first_line(error, lines=2)}") from error
    for key, value in made.state_dict().items():
        if value.is_floating_point() and not (value.abs() <= LARGEST_WEIGHT).all():  # nor is any if it is no number
            what = "not finite" if not torch.isfinite(value).all() else f"larger than {LARGEST_WEIGHT:,.0f}"
            raise PipelineError(f"{name}: the weight {key} holds numbers that are {what}")
    return made.float().eval().requires_grad_(False)


def _written(folder: Path) -> tuple[int, int] | None:
    """Return what changes whenever a pipeline in this folder is replaced; None where there is none."""
    try:
        status = (folder / INDEX).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def find_pipeline(
    folder_or_id: str | Path | None = None, revision: str | None = None, discriminators: bool = False
) -> Path:
    """Return the folder of a pipeline, named as for `load_pipeline`; of a Hub id it is a copy, with `discriminators`
    or without.

    Raises:
        PipelineError: there is no such folder, or the Hub has none, or one too large.
    """
    wanted = folder_or_id or PRETRAINED
    if is_folder(wanted):
        return Path(wanted)
    return _download(
        str(wanted), revision, WEIGHTS_AND_CONFIG + (_files_of(*DISCRIMINATORS) if discriminators else [])
    )


def find_snapshots(folder_or_id: str | Path | None) -> list[str]:
    """Return the tags `images-<covers shown>` of a model on the Hub, in the order of its training.

    The list is empty for a folder, and where the Hub cannot be asked: nothing depends on it.
    """
    if folder_or_id is None or is_folder(folder_or_id):
        return []
    try:
        tags = [tag.name for tag in HfApi().list_repo_refs(str(folder_or_id)).tags]
    except Exception:  # the client raises its own, httpx's and the operating system's errors
        return []
    return sorted((tag for tag in tags if SNAPSHOT.fullmatch(tag)), key=lambda tag: int(tag.removeprefix("images-")))


def _download(name: str, revision: str | None, files: list[str]) -> Path:
    if not is_hub_id(name):
        raise PipelineError(f"{name[:300]}: no such folder, and not a Hub id such as user/covers")
    _check_sizes(name, revision, files)
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=files))
    except Exception as error:  # the client raises its own, httpx's and the operating system's errors
        reason = explain(error, "model", name).removeprefix(f"{name}: ")
        raise PipelineError(f"{name}: cannot be loaded from the Hub: {reason}") from error


def _check_sizes(name: str, revision: str | None, files: list[str]) -> None:
    """Raise PipelineError where a repository's files are more than a generator has; nothing is downloaded."""
    try:
        there = HfApi().model_info(name, revision=revision, files_metadata=True).siblings or []
    except Exception:  # offline a copy may be there; whatever else it is, the download will say so
        return
    wanted = list(filter_repo_objects(there, allow_patterns=files, key=lambda file: file.rfilename))
    if len(wanted) > MOST_FILES or sum(file.size or 0 for file in wanted) > LARGEST_WEIGHTS:
        most = f"more than {MOST_FILES} files, or {LARGEST_WEIGHTS:,} bytes"
        raise PipelineError(f"{name}: its generator has {most}, which is too much to load")


def _network_classes(folder: Path, name: str) -> dict[str, type[torch.nn.Module]]:
    """Return the class of the generator and, where the folder holds one, of the encoder."""
    try:
        index: Any = read_json(folder / INDEX)
        class_name = index[GENERATOR][1]
    except FileNotFoundError as error:
        inside = next((part for part in ("best", "pipeline") if (folder / part / INDEX).is_file()), None)
        hint = f"; that of a run is {Path(name) / inside}" if inside else ""
        raise PipelineError(f"{name}: holds no {INDEX}, so it is not a pipeline folder{hint}") from error
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise PipelineError(f"{name}: model_index.json names no synthesis network") from error
    if not isinstance(class_name, str) or class_name not in GENERATORS:
        known = ", ".join(GENERATORS)
        raise PipelineError(f"{name}: its network {str(class_name)[:80]!r} is not one of {known}")
    classes, encoder = {GENERATOR: GENERATORS[class_name]}, index.get(ENCODER)
    if encoder not in (None, [None, None]):  # diffusers' own save_pretrained writes two nulls where there is none
        if not isinstance(encoder, list) or encoder[1:] != [Encoder.__name__]:
            raise PipelineError(f"{name}: its encoder {str(encoder)[:80]!r} is not {Encoder.__name__}")
        classes[ENCODER] = Encoder
    return classes
