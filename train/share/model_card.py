"""Write the card of a generator: the README.md that the Hub shows, and the picture in it."""

import io
import json
import math
import re
from typing import Any

from diffusers.utils import make_image_grid
from huggingface_hub import EvalResult, ModelCardData

from gan.errors import is_hub_id
from gan.pipeline import AlbumCoverPipeline
from train.metrics.run_facts import Run
from train.metrics.schema import Copies


SHOWN_SEEDS = 16
TASK = "unconditional-image-generation"
# what train.evaluate measures: its key in scores.json, and its name on the card
METRICS = {
    "sliced_wasserstein": "sliced Wasserstein distance x1000, lower is better",
    "fd_covers": "fd_covers (Frechet distance on features of covers; not FID), lower is better",
    "precision_covers": "precision on the same features, higher is better",
    "recall_covers": "recall on the same features, higher is better",
    "fid": "FID, lower is better",
    "kid": "KID, lower is better",
    "precision": "precision, higher is better",
    "recall": "recall, higher is better",
    "kernel_eyes": "kernel distance x1000 on features of EfficientNet-lite1, lower is better",
    "fd_eyes": "Frechet distance on the same features, lower is better",
    "precision_eyes": "precision on the same features, higher is better",
    "recall_eyes": "recall on the same features, higher is better",
    "lattice_db": "lattice left by upsampling, dB above its neighbours in the spectrum, 0 is none",
    "colour_spread": "spread of colours (0..255), nearer to that of real ones is better",
    "pairwise_distance": "difference of two covers (0..255), nearer to that of real ones is better",
}
INCEPTION = ("fid", "kid", "precision", "recall")  # measured on other covers than the rest
LIMITS = """## What it is for, and what it cannot do

For looking, playing, learning how a GAN works, and as a start for a cover of your own.

- It cannot be asked for anything in words{but}: a seed gives what it gives, most are no masterpieces.
- It knows the covers that it learned from and nothing else: what they lack it cannot draw, what they favour it
  favours.
- Lettering is a texture to it. It writes no names and no titles.
- The covers that it learned from are the work of their artists and labels. What it draws may
  resemble one of them, or a person or a trademark on one: look before you publish, and do not pass it off as theirs.
"""


STARTING = """## Go on with it

What judged the generator lies beside it, in float16. So a training of this project on covers of your own can begin
where this one ended:

```
python -m train.train_gan --start_from {repo_id} --config RECIPE --dataset_name my-covers --output_dir runs/mine
```
"""


def model_card(
    pipeline: AlbumCoverPipeline,
    repo_id: str,
    run: Run | None = None,
    license: str | None = None,
    onnx: bool = False,
    discriminator: bool = False,
) -> str:
    """Return the card of a generator in Markdown: what it draws, the lines that load it, how it was trained if known.

    Args:
        pipeline: the generator.
        repo_id: where strangers find it.
        run: what `read_run` found out about its training; None is nothing.
        license: identifier of the licence that its owner chose, as the Hub spells it.
        onnx: whether generator.onnx lies beside the weights.
        discriminator: whether what judged the generator lies there, too.
    """
    run = run or Run()
    network = pipeline.synthesis
    name, side, latent_dim = repo_id.split("/")[-1], network.config.resolution, network.config.latent_dim
    inputs = f"torch.randn(4, {latent_dim})"
    if pipeline.genres:
        inputs += f", torch.tensor([0, 0, {len(pipeline.genres)}, {len(pipeline.genres)}])"
    scores = {key: value for key in METRICS if (value := run.scores.number(key)) is not None}
    data = ModelCardData(
        library_name="diffusers",
        pipeline_tag=TASK,
        tags=["gan", "album-covers", *(["onnx"] if onnx else [])],
        license=license,
        datasets=[run.dataset_id] if run.dataset_id else None,
        model_name=name if scores else None,
        eval_results=[_eval_result(key, value, run) for key, value in scores.items()] or None,
    )
    parts = [
        f"""# {name}

Album covers that never were, {side} x {side} pixels, each drawn in one pass of a GAN's generator
(`{type(network).__name__}`, {sum(p.numel() for p in network.parameters()):,} parameters). The first {SHOWN_SEEDS} \
seeds, not chosen:

![The covers of seeds 0 to {SHOWN_SEEDS - 1}](covers.png)
""",
        f"""## How to use it

```python
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained("{repo_id}", trust_remote_code=True)
pipe(seeds=[1, 2]).images
```
{_genres(pipeline.genres)}
A seed is a whole number from 0 to 4294967295 and means the same cover on every machine. `trust_remote_code=True` lets
diffusers run the two Python files of this repository. With torch alone (like them, only from people whom you trust):

```python
import torch
from huggingface_hub import hf_hub_download

generator = torch.export.load(hf_hub_download("{repo_id}", "generator.pt2")).module()
covers = generator({inputs})  # (4, 3, {side}, {side}), about -1 to 1
```
""",
        _onnx(repo_id, latent_dim, side, len(pipeline.genres)) if onnx else "",
        _training(run),
        STARTING.format(repo_id=repo_id) if discriminator else "",
        _scores(scores, run),
        LIMITS.format(but=" but a genre" if pipeline.genres else ""),
        _copies(run.copies),
    ]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(part for part in parts if part)


def draw_card_picture(pipeline: AlbumCoverPipeline) -> bytes:
    """Return the PNG file that the card shows: the covers of the first seeds, in two rows."""
    sheet = io.BytesIO()
    make_image_grid(pipeline(seeds=list(range(SHOWN_SEEDS))).images, 2, SHOWN_SEEDS // 2).save(sheet, "PNG")
    return sheet.getvalue()


def _genres(genres: list[str]) -> str:
    """Return the paragraph that tells how to ask for a genre, by name or by label; "" without genres."""
    if not genres:
        return ""
    asked, names = json.dumps(genres[0], ensure_ascii=False), ", ".join(map(_cell, genres))
    return f"""
`pipe(seeds=[1, 2], genres=[{asked}, None]).images` asks for a genre for each cover, `genres={asked}` for one for all;
None is any, as without `genres`. In the order of their labels, from 0: {names}; the label {len(genres)} is any.
"""


def _onnx(repo_id: str, latent_dim: int, side: int, genres: int) -> str:
    """Return the paragraph with the lines that run generator.onnx."""
    labels = f', "labels": numpy.array([0, 0, {genres}, {genres}])' if genres else ""
    return f"""Without PyTorch, where onnxruntime runs:

```python
import numpy
import onnxruntime
from huggingface_hub import hf_hub_download

session = onnxruntime.InferenceSession(hf_hub_download("{repo_id}", "generator.onnx"))
latents = numpy.random.standard_normal((4, {latent_dim})).astype("float32")
(covers,) = session.run(["covers"], {{"latents": latents{labels}}})  # (4, 3, {side}, {side}), about -1 to 1
```
"""


def _training(run: Run) -> str:
    """Return the section that tells how the generator was trained; "" where that is not known."""
    if not run.config:
        return ""
    link = f"[{run.dataset}](https://huggingface.co/datasets/{run.dataset})" if run.dataset_id else run.dataset
    facts = {
        "dataset": link or None,
        "covers in it": run.config.get("covers"),
        "network": run.config["network"],
        "loss": run.config.get("loss"),
        "covers shown": run.images,
        "before that": _grown_from(run.config.get("grown_from")),
        "began with": _started_from(run.config.get("started_from")),
        "batch size": run.config.get("train_batch_size"),
        "precision": {"bf16": "bfloat16", "no": "float32"}.get(str(run.config.get("mixed_precision"))),
        "device": run.config.get("device"),
        "hours": round(run.seconds / 3600, 2) if run.seconds is not None else None,
        "seed": run.config.get("seed"),
    }
    rows = "\n".join(f"| {name} | {_cell(value)} |" for name, value in facts.items() if value is not None)
    more = ["All of it is in [training/config.json](training/config.json)."]
    if "training/samples.png" in run.files:
        more.append("[training/samples.png](training/samples.png) shows more of its seeds, not chosen.")
    film = next((name for name in run.files if "film." in name), None)
    if film:
        picture = "!" if film.endswith(".webp") else ""
        more.append(f"The same seeds while it learned:\n\n{picture}[Training as a film]({film})")
    return f"## How it was trained\n\n| | |\n|---|---|\n{rows}\n\n" + "\n".join(more) + "\n"


def _grown_from(smaller: object) -> str | None:
    """Return a line about the run at a lower resolution whose networks this one grew from, or None."""
    if not isinstance(smaller, dict):
        return None
    told: list[Any] = [smaller.get(key) for key in ("resolution", "images", "seconds")]
    resolution, images, seconds = told
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in told):
        return None
    return f"{images:,} at {resolution} pixels, in {seconds / 3600:.2f} hours"


def _started_from(start: object) -> str | None:
    """Return the model of others that the run began with, or None."""
    model = start.get("model") if isinstance(start, dict) else None
    if not isinstance(model, str) or not model:
        return None
    return f"[{model}](https://huggingface.co/{model})" if is_hub_id(model) else model


def _scores(scores: dict[str, float], run: Run) -> str:
    """Return the section with the table of scores, generated beside real covers; "" without scores."""
    if not scores:
        return ""
    rows = ""
    for key, value in scores.items():
        real = run.scores.number(f"real_{key}")
        rows += f"| {_label(key, run)} | {_cell(value)} | {'' if real is None else _cell(real)} |\n"
    return f"""## How good it is

| {_counted(run)} | generated | real |
|---|---|---|
{rows}
The right column says the same of real covers, as the yardstick. Numbers of other papers were measured otherwise.
"""


def _label(key: str, run: Run) -> str:
    """Return the name of a metric, with the number of covers where it differs from the one above the table."""
    return f"{METRICS[key]} ({_counted(run, key)})" if _by_inception(key, run) else METRICS[key]


def _by_inception(key: str, run: Run) -> bool:
    """Return whether a metric was measured with Inception, on covers counted apart."""
    return key in INCEPTION and run.scores.inception_covers is not None


def _counted(run: Run, key: str = "") -> str:
    """Return how many covers a metric compared, and how they were chosen; key "" is for most metrics."""
    if _by_inception(key, run):
        return f"{run.scores.inception_covers:,} covers against as many training covers"
    count = run.scores.count
    if count is None:
        return "number of covers not noted"
    chosen = run.scores.filter or f"seeds 0 to {count - 1:,}, none left out"
    return f"{count:,} covers ({_cell(chosen)}) against {count:,} held-out ones"


def _eval_result(key: str, value: float, run: Run) -> EvalResult:
    """Return a score in the form in which the Hub reads it from the head of a card."""
    dataset = str(run.scores.dataset_name or run.dataset or "album covers")
    return EvalResult(
        task_type=TASK,
        dataset_name=dataset,
        # the Hub takes letters, digits and - _ . / here
        dataset_type=re.sub(r"[^\w./-]+", "-", dataset),
        dataset_split="train" if _by_inception(key, run) else "validation",
        metric_type=key,
        metric_name=f"{METRICS[key].split(',')[0]}; {_counted(run, key)}",
        metric_value=value,
    )


def _copies(copies: Copies) -> str:
    """Return the paragraph about the search for copies; "" where none was made."""
    samples, bits, found = copies.samples, copies.nearest_bits, copies.found
    if None in (samples, bits, found):
        return ""
    verdict = "none was" if found == 0 else f"{found:,} {'was' if found == 1 else 'were'}"
    return f"""Is it a copy? {samples:,} of its covers were compared with all that it learned from, by perceptual hash
and colours: {verdict} near enough to be one; the nearest hashes differ in {bits} of 64 bits. That finds copies, not
likenesses.
"""


def _cell(value: object) -> str:
    """Return a value as the text of one cell of a Markdown table."""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return " ".join(text.split()).replace("|", "\\|")
