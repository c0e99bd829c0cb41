"""The generator that ships: whole, small enough, and what its sheet says it is."""

import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

from gan import load_pipeline
from gan.pipeline_folder import PRETRAINED
from train.sheet import draw_sheet
from train.train_gan.recipes import CONFIGS


ROOT = Path(__file__).parents[2]


def test_its_sheet_shows_its_first_64_seeds() -> None:
    shown = np.asarray(Image.open(PRETRAINED / "sheet.png").convert("RGB")).astype(int)
    gap = np.abs(shown - np.asarray(draw_sheet(load_pipeline().synthesis)).astype(int))
    assert gap.mean() < 0.5 and gap.max() <= 8  # another processor rounds differently


def test_it_tells_how_it_was_trained() -> None:
    config = json.loads((PRETRAINED / "config.json").read_text())
    assert config["covers"] > 30_000 and "/" not in config["dataset_name"]
    lines = [json.loads(line) for line in (PRETRAINED / "metrics.jsonl").read_text().splitlines()]
    images = [line["images"] for line in lines]
    last_batch_at_most = config["total_images"] + config["train_batch_size"]
    assert images == sorted(images) and images[-1] < last_batch_at_most
    assert lines[-1]["fd_covers"] == min(line["fd_covers"] for line in lines if "fd_covers" in line)  # the best ships


def test_a_plain_push_to_a_space_takes_every_file() -> None:
    large = [path for path in (ROOT / "gan").rglob("*") if path.is_file() and path.stat().st_size >= 10_000_000]
    assert not large


def test_every_picture_and_file_that_the_manual_names_is_there() -> None:
    for page, least in ((ROOT / "README.md", 4), (CONFIGS / "README.md", 2), (PRETRAINED / "README.md", 2)):
        links = re.findall(r"\]\(((?!http)[^)#]+)", page.read_text())
        assert len(links) >= least
        assert not [link for link in links if not (page.parent / link).exists()]


def test_the_spaces_gradio_is_the_one_that_is_pinned() -> None:
    version = re.search(r"^sdk_version: (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)[1]
    assert f"gradio=={version}\n" in (ROOT / "requirements.txt").read_text()
