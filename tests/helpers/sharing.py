"""What the tests of sharing have in common: a finished run, the program, the smallest page."""

import json
from pathlib import Path

import pytest
from PIL import Image

import gan
from tests.helpers.tiny import tiny_pipeline
from train import cli
from train.share import __main__ as share


IMAGES = 20480
README = """---
title: Covers
emoji: 💿
colorFrom: indigo
colorTo: pink
sdk: gradio
sdk_version: 6.31.0
python_version: "3.12"
app_file: app.py
---

# Covers
"""
PAGE = {
    "README.md": README,
    "app.py": "import gan.studio.tab",
    "requirements.txt": "torch==2.13.0\ngradio==6.31.0\n",
    "gan/__init__.py": "",
    "gan/pipeline.py": "class AlbumCoverPipeline(object):\n    pass\n",
    "gan/studio/__init__.py": "",
    "gan/studio/tab.py": "import gan.pipeline\n",
    "gan/studio/style.css": "",
    "gan/pretrained/model_index.json": "{}",
}
STAYS_AT_HOME = ("gan/__pycache__/x.pyc", "gan/.notes", ".env", "train/share/space.py", "tests/test.py")


def tiny_run(folder: Path, seed: int = 0, images: int = IMAGES) -> Path:
    """A run that is over, with its generator for strangers; returns the pipeline folder."""
    gan.save_pipeline(tiny_pipeline("dcgan", seed), folder / "pipeline")
    config = {"network": "dcgan", "dataset_name": "/home/alice/secret/covers-8", "loss": "logistic", "seed": 7}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.jsonl").write_text('{"images": 64, "seconds": 1}\n{"images": 20000, "seconds": 5400}\n{"ima')
    (folder / "samples").mkdir()
    for shown in (64, images):
        Image.new("RGB", (16, 16), (0, 0, shown % 256)).save(folder / "samples" / f"images-{shown:010d}.png")
    return folder / "pipeline"


def smallest_page(folder: Path) -> Path:
    """The smallest project that is a page, among what must stay at home."""
    for name, text in (PAGE | dict.fromkeys(STAYS_AT_HOME, "")).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def program(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run train.share in this process; returns its exit code."""
    monkeypatch.setattr("sys.argv", ["share", *map(str, arguments)])
    try:
        cli.run(share.main, "train.share")
    except SystemExit as end:
        return end.code
    return 0
