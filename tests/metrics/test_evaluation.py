"""What is measured while training."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset

from gan.networks.efficientnet_lite import EfficientNetLite
from tests.helpers.drawn import draw_cover
from train.covers import Covers, to_float
from train.evaluate import table
from train.metrics.best import is_best
from train.metrics.evaluation import Evaluation
from train.metrics.inception import FeatureDistances, features
from train.metrics.schema import Copies


def drawn(seeds: range) -> Covers:
    return Covers(Dataset.from_dict({"pixels": [draw_cover(seed, 16).tobytes() for seed in seeds]}), 16)


class Copyist(torch.nn.Module):
    """A generator that learnt its covers by heart."""

    def __init__(self, covers: torch.Tensor):
        super().__init__()
        self.covers = torch.nn.Parameter(to_float(covers))
        self.config = SimpleNamespace(latent_dim=4)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """As many covers as there are latents."""
        return self.covers[: len(latents)]


def test_all_held_out_covers_serve_the_features_and_256_the_patches() -> None:
    train, held_out = drawn(range(300)), drawn(range(300, 600))
    scores = Evaluation(train, held_out)(Copyist(train.batch(0, 300)))
    assert (scores["patch_covers"], scores["count"]) == (256, 300)


def test_real_covers_measure_better_than_grey_ones_and_copies_are_counted() -> None:
    train, held_out = drawn(range(60)), drawn(range(100, 160))
    evaluation = Evaluation(train, held_out)
    copyist, grey = Copyist(train.batch(0, 60)), Copyist(torch.full((60, 16, 16, 3), 128, dtype=torch.uint8))
    good, bad = evaluation(copyist), evaluation(grey)
    assert good["patch_covers"] == good["count"] == 60
    assert good["sliced_wasserstein"] < bad["sliced_wasserstein"] / 2
    assert good["fd_covers"] < bad["fd_covers"] / 2 and good["recall_covers"] > bad["recall_covers"] == 0
    assert good["pairwise_distance"] > 50 and bad["pairwise_distance"] == 0
    assert good["real_pairwise_distance"] == bad["real_pairwise_distance"] > 50
    assert bad["real_fd_covers"] == good["real_fd_covers"] == pytest.approx(good["fd_covers"], rel=0.02)
    gap = evaluation.held_out_gap(lambda covers, labels: 1.0 if torch.equal(covers, train.batch(0, 60)) else -0.5)
    assert gap == 1.5
    copies = Copies.from_dict(evaluation.copies(copyist))
    assert (copies.samples, copies.nearest_bits, copies.found, copies.training_covers) == (60, 0, 60, 60)
    assert set(copies.bits.values()) == {0} and copies.feature_distance is None
    assert copies.held_out_samples == 60 and copies.held_out_found < 10 and copies.held_out_bits["50%"] > 0


def test_where_none_are_held_out_the_training_covers_serve() -> None:
    train = drawn(range(60))
    evaluation = Evaluation(train, None)
    scores = evaluation(Copyist(train.batch(0, 60)))
    assert scores["fd_covers"] == pytest.approx(0, abs=0.01)
    assert scores["real_pairwise_distance"] == scores["pairwise_distance"] and "real_fd_covers" not in scores
    copies = evaluation.copies(Copyist(train.batch(0, 60)))
    assert copies["found"] == 60 and not [name for name in copies if name.startswith("held_out")]


def test_a_copy_is_alike_in_colour_too_and_found_among_all_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.metrics.copies.AT_ONCE", 7)  # several parts, the last a short one
    train = drawn(range(60))
    evaluation = Evaluation(train, drawn(range(100, 160)))
    some = train[[3, 57]]
    luma = (some.float() @ torch.tensor([0.299, 0.587, 0.114])).unsqueeze(3)
    tinted = (luma + (luma - some) / 3).clamp(0, 255).round().to(torch.uint8)  # as light everywhere, in other colours
    copies = evaluation.copies(Copyist(torch.cat([some, tinted, torch.full((56, 16, 16, 3), 128, dtype=torch.uint8)])))
    assert (copies["found"], copies["nearest_bits"], copies["samples"]) == (2, 0, 60)
    grey = torch.full((60, 16, 16, 3), 128, dtype=torch.uint8)
    alone = evaluation.copies(Copyist(torch.cat([tinted, grey[2:]])))
    assert alone["found"] == 0 and alone["nearest_bits"] <= 8  # the hash alone would take them for copies


class Means(torch.nn.Module):
    """In place of Inception: the mean colours of three parts of a cover."""

    def forward(self, covers: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) uint8 to (N, 9)."""
        return covers.float().unflatten(2, (-1, 4)).mean(dim=(3, 4))[:, :, :3].flatten(1) / 255


def test_a_copyist_has_the_features_of_its_covers() -> None:
    train = drawn(range(60))
    distances = FeatureDistances(Means(), train, torch.device("cpu"))
    copyist, others = (distances(Copyist(covers.batch(0, 60))) for covers in (train, drawn(range(100, 160))))
    assert copyist["fid"] == pytest.approx(0, abs=1e-3) and copyist["precision"] == copyist["recall"] == 1
    assert others["fid"] > 0.01 and others["kid"] > copyist["kid"] and others["inception_covers"] == 60
    evaluation = Evaluation(train, drawn(range(100, 160)), distances)
    assert evaluation.features(Copyist(train.batch(0, 60)))["fid"] == copyist["fid"]


def test_the_trainer_and_train_evaluate_measure_the_same() -> None:
    train, held_out = drawn(range(60)), drawn(range(100, 130))
    copyist = Copyist(train.batch(0, 60))
    scores = Evaluation(train, held_out, count=30, patch_covers=30).measure(copyist)
    line = Evaluation(train, held_out)(copyist)
    assert line == scores.as_line() and line.keys() == scores.as_dict().keys()
    assert line["sliced_wasserstein"] == scores.sliced_wasserstein["mean"] > 0
    assert scores.sliced_wasserstein.keys() == {"16", "mean"} == scores.real_sliced_wasserstein.keys()
    assert scores.count == 30 and "Inception" not in table(scores)


def test_the_table_shows_what_inception_measured() -> None:
    train, held_out = drawn(range(60)), drawn(range(100, 130))
    copyist = Copyist(train.batch(0, 60))
    found = FeatureDistances(Means(), train, torch.device("cpu"))(copyist)
    assert found.keys() == {"fid", "kid", "precision", "recall", "inception_covers"}
    scores = replace(Evaluation(train, held_out).measure(copyist), **found)
    assert "by Inception, 60 generated against as many training covers:" in table(scores)
    assert [line.split() for line in table(scores).splitlines() if line.startswith("precision  ")] == [
        ["precision", "1.0000"]
    ]


def test_only_the_known_file_is_read(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    other = tmp_path / "other.pt"
    other.write_bytes(b"other weights")
    for source, complaint in (
        (str(other), "not the file weights-inception-2015-12-05-6726825d.pth"),
        (str(other) + "x", "No such file"),
        ("hf://user", "a file on the Hub reads hf://user/repository/file"),
    ):
        assert features(source, drawn(range(8)), torch.device("cpu")) is None
        line = capsys.readouterr().err
        assert line.startswith(f"--inception {source}: ") and complaint in line and line.count("\n") == 1


def test_eyes_are_measured_where_there_are_some() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        few = [(32, 24, 32, 3, 2), (24, 40, 48, 3, 2), (40, 112, 80, 3, 2), (112, 320, 112, 3, 2)]
        eyes = EfficientNetLite(few).eval().requires_grad_(False)
    train, held_out = drawn(range(60)), drawn(range(100, 130))
    scores = Evaluation(train, held_out, eyes=eyes, eye_covers=20)(Copyist(train.batch(0, 60)))
    assert scores["eye_covers"] == 20
    measured = {"kernel_eyes", "fd_eyes", "precision_eyes", "recall_eyes", "colour_spread"}
    assert scores.keys() >= measured | {f"real_{name}" for name in measured}
    assert ("lattice_db" in scores) is (train.resolution >= 64)
    assert scores["colour_spread"] == scores["real_colour_spread"]  # the same covers
    assert is_best(scores, [])
