"""The card of a generator: the README.md that the Hub shows, and the picture in it."""

import io
import json
import re
from pathlib import Path

from diffusers.utils import make_image_grid
from huggingface_hub import ModelCardData

from gan.networks import NETWORKS
from gan.pipeline import AlbumCoverPipeline


SHOWN_SEEDS = 16
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def model_card(pipeline: AlbumCoverPipeline, repo_id: str, run: Path | None = None) -> str:
    """The card of a generator: what it draws, the lines that load it, and how it was trained where that is known.

    Args:
        pipeline: the generator.
        repo_id: where strangers find it.
        run: run folder, whose config.json and metrics.jsonl tell about the training; another folder tells nothing.
    """
    network = pipeline.synthesis
    facts = _run_facts(run, type(network)) if run else {}
    dataset = str(facts.get("dataset", ""))
    data = ModelCardData(
        library_name="diffusers",
        pipeline_tag="unconditional-image-generation",
        tags=["gan", "album-covers"],
        datasets=[dataset] if HUB_ID.fullmatch(dataset) else None,
    )
    count = sum(p.numel() for p in network.parameters())
    side = pipeline(seeds=0).images[0].width
    rows = "\n".join(f"| {name} | {_cell(value)} |" for name, value in facts.items())
    training = f"## How it was trained\n\n| | |\n|---|---|\n{rows}\n\n" if rows else ""
    return f"""---
{data.to_yaml()}
---

# {repo_id.split("/")[-1]}

Album covers that never were, {side} x {side} pixels, each drawn in one pass of a GAN's generator
(`{type(network).__name__}`, {count:,} parameters). The first {SHOWN_SEEDS} seeds, not chosen:

![The covers of seeds 0 to {SHOWN_SEEDS - 1}](covers.png)

## How to use it

```python
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained("{repo_id}", trust_remote_code=True)
pipe(seeds=[1, 2]).images
```

A seed is a whole number from 0 to 4294967295 and means the same cover on every machine. `trust_remote_code=True` lets
diffusers run the two Python files of this repository. With torch alone (like them, only from people whom you trust):

```python
import torch
from huggingface_hub import hf_hub_download

generator = torch.export.load(hf_hub_download("{repo_id}", "generator.pt2")).module()
covers = generator(torch.randn(4, {network.config.latent_dim}))  # (4, 3, {side}, {side}), about -1 to 1
```

{training}## Rights

It learned from album covers, which are the work of their artists and labels; what it draws may resemble them.
"""


def draw_card_picture(pipeline: AlbumCoverPipeline) -> bytes:
    """The PNG file that the card shows: the covers of the first seeds, in two rows."""
    sheet = io.BytesIO()
    make_image_grid(pipeline(seeds=list(range(SHOWN_SEEDS))).images, 2, SHOWN_SEEDS // 2).save(sheet, "PNG")
    return sheet.getvalue()


def _run_facts(run: Path, network: type) -> dict[str, object]:
    """What a run folder tells about its generator, as the card says it; nothing if it is no run of this network."""
    try:
        config = json.loads((run / "config.json").read_text())
        if NETWORKS[config["network"]][0] is not network:
            return {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    last = _last_metrics(run / "metrics.jsonl")
    dataset = config.get("dataset_name")
    if isinstance(dataset, str) and (Path(dataset).exists() or not HUB_ID.fullmatch(dataset)):
        dataset = Path(dataset).name  # where it lies on somebody's disk is nobody else's business
    facts = {
        "dataset": dataset,
        "covers in it": config.get("covers"),
        "network": config["network"],
        "loss": config.get("loss"),
        "covers shown": last.get("images"),
        "batch size": config.get("train_batch_size"),
        "precision": {"bf16": "bfloat16", "no": "float32"}.get(str(config.get("mixed_precision"))),
        "device": config.get("device"),
        "hours": round(last["seconds"] / 3600, 2) if isinstance(last.get("seconds"), int | float) else None,
        "seed": config.get("seed"),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _last_metrics(file: Path) -> dict[str, object]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, ValueError):
        return {}
    for line in reversed(lines):  # the last one may be half a line
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError):
            continue
    return {}


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return " ".join(text.split()).replace("|", "\\|")
