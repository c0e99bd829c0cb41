"""The search for copies among many covers: what it finds, what it writes, what the card makes of it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image

from gan import save_pipeline
from gan.nearest import load_index
from gan.pipeline_folder import COVERS_INDEX
from tests.helpers import programs
from tests.helpers.drawn import draw_cover
from tests.helpers.tiny import tiny_pipeline
from train.covers import Covers
from train.metrics.copies import Prints, nearest
from train.metrics.faults import jpeg
from train.metrics.features import CoverFeatures, load_features
from train.metrics.run_facts import Run
from train.metrics.schema import Copies
from train.share.hub import upload_model
from train.share.model_card import model_card


ROOT = Path(__file__).parent.parent


def drawn(seeds: range) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(draw_cover(seed, 64))) for seed in seeds])


@pytest.fixture(scope="module")
def network() -> CoverFeatures:
    return load_features()


def test_copies_are_found_wherever_they_are_and_others_are_not(
    network: CoverFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.metrics.copies.AT_ONCE", 7)  # several rounds, the last not full
    train = Covers(Dataset.from_dict({"pixels": [cover.numpy().tobytes() for cover in drawn(range(60))]}), 64)
    asked = torch.cat([jpeg(drawn(range(50, 60)), 60), drawn(range(100, 110))])
    found = nearest(asked, train, network)
    assert found.by_bits[:10].tolist() == found.by_distance[:10].tolist() == list(range(50, 60))
    assert found.copied.tolist() == [True] * 10 + [False] * 10
    assert found.bits[:10].max() <= 8 < found.bits[10:].min()
    assert found.distance[:10].mean() < 0.7 * found.distance[10:].mean()  # features tell of the JPEG, too
    known = Prints(train[list(range(60))], network)
    gaps = torch.cdist(Prints(asked, network).features, known.features)
    np.testing.assert_allclose(found.distance, gaps.min(1).values, rtol=1e-3)
    assert found.by_distance.tolist() == gaps.argmin(1).tolist()


def test_another_colour_is_no_copy(network: CoverFeatures) -> None:
    covers = drawn(range(20))
    train = Covers(Dataset.from_dict({"pixels": [cover.numpy().tobytes() for cover in covers]}), 64)
    # the same greys, in other colours
    grey = (covers.float() @ torch.tensor([0.299, 0.587, 0.114]))[..., None]
    other = (grey * torch.tensor([0.2, 1.2, 1.1])).clamp(0, 255).byte()
    found = nearest(other, train, network)
    assert (found.bits <= 8).sum() > 15 and found.copied.sum() < (found.bits <= 8).sum() / 2


def test_the_program_writes_what_the_card_reads(tiny_dataset: Path, tmp_path: Path) -> None:
    pipeline = tiny_pipeline("dcgan")
    save_pipeline(pipeline, tmp_path / "pipeline", for_strangers=False)
    command = [sys.executable, "-m", "train.copies", "--model", tmp_path / "pipeline", "--dataset_name", tiny_dataset]
    command += ["--num_images", "70", "--output_dir", tmp_path / "found", "--index"]
    done = programs.run(command, genuine=True)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "found" / "copies.json").read_text())
    assert (
        facts["samples"] == 70 and facts["found"] == 0 and facts["training_covers"] + facts["held_out_samples"] == 120
    )
    assert facts["nearest_bits"] == facts["bits"]["0%"] > 0 and facts["feature_distance"]["0%"] > 0
    assert done.stdout.splitlines()[1].split()[-5:] == [f"{value:.2f}" for value in facts["bits"].values()]
    assert Image.open(tmp_path / "found" / "pairs.png").size == (4 * (128 + 8), 8 * (64 + 8))
    assert "70 of its covers were compared" in model_card(pipeline, "user/covers", Run(copies=Copies.from_dict(facts)))
    assert len(load_index(tmp_path / "pipeline" / COVERS_INDEX)) == facts["training_covers"] == 94
    assert f"{COVERS_INDEX}: 94 covers" in done.stdout
    assert COVERS_INDEX in upload_model(tmp_path / "pipeline", "user/covers", dry_run=True).sizes
    again = programs.run(command)
    assert again.returncode == 0  # its own folder may be written again
    (tmp_path / "found" / "copies.json").unlink()
    refused = programs.run(command)
    assert refused.returncode == 2 and "holds other files" in refused.stderr


def test_an_index_needs_a_pipeline_folder_of_ones_own(tiny_dataset: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "train.copies", "--index", "--model", "user/covers"]
    command += ["--dataset_name", tiny_dataset, "--output_dir", tmp_path / "found"]
    refused = programs.run(command)
    assert refused.returncode == 2 and "--index: --model user/covers is not a pipeline folder" in refused.stderr
    assert not (tmp_path / "found").exists()
