"""Read from a run folder how its generator was trained, how good it is, and which files travel with it to the Hub."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan.errors import is_hub_id
from gan.networks import NETWORKS
from gan.pipeline_folder import PRETRAINED
from gan.run_page import runs
from gan.untrusted import LARGEST_METRICS, check_file, own_file, read_json, read_line
from train.metrics.schema import Copies, Scores


FILMS = ("film.webp", "film.mp4")


@dataclass(frozen=True)
class Run:
    """Hold what is known about the training of a generator; the fields are empty where nothing is known.

    Args:
        config: content of the run's config.json, without paths of the machine that trained.
        images: covers shown in training until the weights of the pipeline folder were saved.
        seconds: length of the training until then.
        scores: what train.evaluate measured on these weights.
        copies: what a search for copies found with these weights.
        files: further files to upload, by their path in the repository.
    """

    config: dict[str, Any] = field(default_factory=dict)
    images: int | None = None
    seconds: float | None = None
    scores: Scores = field(default_factory=Scores)
    copies: Copies = field(default_factory=Copies)
    files: dict[str, Path | bytes] = field(default_factory=dict)

    @property
    def dataset(self) -> str:
        """Return the name of the dataset or its Hub id, "" where it is not known."""
        return str(self.config.get("dataset_name") or "")

    @property
    def dataset_id(self) -> str | None:
        """Return the Hub id of the dataset, if it has one."""
        return self.dataset if is_hub_id(self.dataset) else None


def read_run(pipeline: Path, network: type, images: int | None = None) -> Run:
    """Return what is known about the run that made a pipeline folder; an empty Run where nothing is.

    The run's files lie beside the pipeline folder, or in it, as in gan/pretrained.

    Args:
        pipeline: the pipeline folder.
        network: class of its generator. A config.json that names another network belongs to other weights.
        images: covers shown until these weights were saved; None reads the number from the name of the newest sheet
            of samples, which is drawn with them, or else from the last line of metrics.jsonl, some steps earlier.
    """
    pipeline = pipeline.resolve()
    folder = next((f for f in (pipeline.parent, pipeline) if own_file(f, "config.json")), None)
    if folder is None:
        return Run()
    config = _read(folder, "config.json")
    try:
        if NETWORKS[config["network"]][0] is not network:
            return Run()
    except (KeyError, TypeError):
        return Run()
    # sheets, film and metrics follow `pipeline/`; another folder of the run, such as its best, is older
    newest = folder == pipeline or pipeline.name == "pipeline"
    names = sorted(file.name for file in (folder / "samples").glob("images-*.png")) if newest else []
    sheets = [sheet for name in names if (sheet := own_file(folder, f"samples/{name}"))]
    metrics = _metrics(own_file(folder, "metrics.jsonl"))
    if images is None and sheets:
        images = int(re.sub(r"\D", "", sheets[-1].stem) or 0) or None
    if images is None and newest and metrics:
        images = metrics[-1]["images"]
    seconds = [line.get("seconds") for line in metrics if images and line["images"] <= images]
    config = {key: _public(value) for key, value in config.items()}
    files: dict[str, Path | bytes] = {"training/config.json": (json.dumps(config, indent=2) + "\n").encode()}
    if newest and metrics:
        files["training/metrics.jsonl"] = runs.Run(folder).numbers()
    if sheets and images and sheets[-1].stem.endswith(f"{images:010d}"):
        files["training/samples.png"] = sheets[-1]
    files |= {f"training/{name}": film for name in FILMS if (film := own_file(folder, name))}
    scores = Scores.read(folder / "scores.json") if own_file(folder, "scores.json") else Scores()
    copies = Copies.read(folder / "copies.json") if own_file(folder, "copies.json") else Copies()
    return Run(
        config=config,
        images=images,
        seconds=seconds[-1] if seconds and isinstance(seconds[-1], int | float) else None,
        # measured on weights that have learned more, or less
        scores=scores if scores.images in (None, images) else Scores(),
        copies=copies if copies.images in (None, images) else Copies(),
        files=files,
    )


def shown_images(model: str | None, revision: str | None, network: type) -> int | None:
    """Return how many covers a generator was shown, where its run or the name of its snapshot tells."""
    folder = Path(model or PRETRAINED)
    if folder.is_dir():
        return read_run(folder, network).images
    number = (revision or "").removeprefix("images-")
    return int(number) if number.isdecimal() else None


def _public(value: object) -> object:
    """Return a value of the configuration, shortened to its last part where it is a path of this machine."""
    if isinstance(value, str) and ("\\" in value or value.startswith(("/", "~", ".")) or value.count("/") > 1):
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    if isinstance(value, str) and is_hub_id(value) and Path(value).exists():
        return Path(value).name
    return value


def _read(folder: Path, name: str) -> dict[str, Any]:
    """Return the JSON object in a file of a folder, or {} where there is none."""
    try:
        content = read_json(folder / name)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _metrics(file: Path | None) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl that have a number of covers; a killed run leaves half a line at the end."""
    try:
        if file is None or check_file(file, LARGEST_METRICS) == 0:
            return []
        lines = file.read_bytes().splitlines()
    except (OSError, ValueError):
        return []
    return [values for line in lines if (values := read_line(line)) and isinstance(values["images"], int)]
