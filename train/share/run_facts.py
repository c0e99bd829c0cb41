"""What a run folder tells about its generator: how it was trained, how good it is, what else may travel with it."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from gan.networks import NETWORKS
from train.metrics.schema import Copies, Scores


HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
FILMS = ("film.webp", "film.mp4")


@dataclass(frozen=True)
class Run:
    """Hold what is known of a generator's training; empty where nothing is.

    Args:
        config: config.json, without paths of the machine that trained.
        images: covers shown to the weights in the pipeline folder.
        seconds: trained until then.
        scores: what train.evaluate measured, of these weights.
        copies: what a search for copies found, of these weights.
        files: what else travels, by its path in the repository.
    """

    config: dict = field(default_factory=dict)
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
        return self.dataset if HUB_ID.fullmatch(self.dataset) else None


def read_run(pipeline: Path, network: type, images: int | None = None) -> Run:
    """Read the folder of a run, or one that holds the run's files beside the weights, as gan/pretrained does.

    Args:
        pipeline: the pipeline folder.
        network: class of its generator; a run of another one tells nothing.
        images: covers shown to these weights, where the caller knows. Otherwise the newest sheet of samples says it,
            which is drawn with them, or else the last line of the metrics, which may be some steps behind.
    """
    pipeline = pipeline.resolve()
    folder = next((f for f in (pipeline.parent, pipeline) if (f / "config.json").is_file()), None)
    config = _read(folder / "config.json") if folder else {}
    try:
        if NETWORKS[config["network"]][0] is not network:
            return Run()
    except (KeyError, TypeError):
        return Run()
    # sheets, film and metrics follow `pipeline/`; another folder of the run, such as its best, is older
    newest = folder == pipeline or pipeline.name == "pipeline"
    sheets = sorted((folder / "samples").glob("images-*.png")) if newest else []
    metrics = _metrics(folder / "metrics.jsonl")
    if images is None and sheets:
        images = int(re.sub(r"\D", "", sheets[-1].stem) or 0) or None
    if images is None and newest and metrics:
        images = metrics[-1]["images"]
    seconds = [line.get("seconds") for line in metrics if images and line["images"] <= images]
    config = {key: _public(value) for key, value in config.items()}
    files: dict[str, Path | bytes] = {"training/config.json": (json.dumps(config, indent=2) + "\n").encode()}
    if sheets and images and sheets[-1].stem.endswith(f"{images:010d}"):
        files["training/samples.png"] = sheets[-1]
    files |= {f"training/{name}": folder / name for name in FILMS if (folder / name).is_file()}
    scores, copies = Scores.read(folder / "scores.json"), Copies.read(folder / "copies.json")
    return Run(
        config=config,
        images=images,
        seconds=seconds[-1] if seconds and isinstance(seconds[-1], int | float) else None,
        # measured on weights that have learned more, or less
        scores=scores if scores.images in (None, images) else Scores(),
        copies=copies if copies.images in (None, images) else Copies(),
        files=files,
    )


def _public(value: object) -> object:
    """A value of the configuration; of a folder its name: where it lies is nobody else's business."""
    if isinstance(value, str) and ("\\" in value or value.startswith(("/", "~", ".")) or value.count("/") > 1):
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    if isinstance(value, str) and HUB_ID.fullmatch(value) and Path(value).exists():
        return Path(value).name
    return value


def _read(file: Path) -> dict:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _metrics(file: Path) -> list[dict]:
    """The lines that tell how far the run was; the last one may be half a line."""
    found = []
    try:
        lines = file.read_text().splitlines()
    except (OSError, ValueError):
        return []
    for line in lines:
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict) and isinstance(values.get("images"), int):
            found.append(values)
    return found
