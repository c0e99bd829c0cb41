"""The card of a generator: what it tells about the run, and what it does not."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

import gan
from gan.networks import DCGANGenerator, PainterGenerator
from tests.helpers.sharing import IMAGES, tiny_run
from train.metrics.run_facts import Run, read_run
from train.share.model_card import model_card


SCORES = {
    "count": 1835,
    "dataset_name": "covers 8",
    "sliced_wasserstein": {"64": 31.87, "mean": 29.09},
    "real_sliced_wasserstein": {"64": 8.31, "mean": 9.51},
    "pairwise_distance": 109.01,
    "real_pairwise_distance": float("nan"),
    "precision": float("inf"),
    "unknown": 1.0,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("run")).parent


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run folder to change."""
    return shutil.copytree(finished, tmp_path / "run")


def card_of(run: Path, **more) -> ModelCard:
    pipeline = gan.load_pipeline(run / "pipeline")
    facts = read_run(run / "pipeline", type(pipeline.synthesis))
    return ModelCard(model_card(pipeline, "user/covers", facts, **more))


def test_the_card_tells_what_the_run_tells_and_no_path(run: Path):
    card = card_of(run, license="cc-by-nc-4.0")
    data = card.data.to_dict()
    assert data == {
        "library_name": "diffusers",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["gan", "album-covers"],
        "license": "cc-by-nc-4.0",
    }
    for told in (
        "16 x 16 pixels",
        "| dataset | covers-8 |",
        "| covers shown | 20,480 |",
        "| hours | 1.5 |",
        "(4, 10)",
        "[training/samples.png]",
        "It cannot be asked for anything in words",
        "the work of their artists and labels",
    ):
        assert told in card.text, told
    assert "alice" not in card.content and "film" not in card.content
    assert "How good" not in card.text and "Is it a copy" not in card.text and "onnx" not in card.content
    assert 'DiffusionPipeline.from_pretrained("user/covers", trust_remote_code=True)' in card.text


def test_scores_become_a_table_and_a_model_index(run: Path):
    (run / "scores.json").write_text(json.dumps(SCORES))
    card = card_of(run)
    counted = "1,835 covers (seeds 0 to 1,834, none left out) against 1,835 held-out ones"
    assert f"| {counted} | generated | real |" in card.text
    assert "| sliced Wasserstein distance x1000, lower is better | 29.09 | 9.51 |" in card.text
    assert "| difference of two covers (0..255), nearer to that of real ones is better | 109.01 |  |" in card.text
    assert "unknown" not in card.text and "precision, higher" not in card.text
    results = {result.metric_type: result for result in card.data.eval_results}
    assert {name: result.metric_value for name, result in results.items()} == {
        "sliced_wasserstein": 29.09,
        "pairwise_distance": 109.01,
    }
    one = results["sliced_wasserstein"]
    assert (one.dataset_type, one.dataset_name, one.dataset_split) == ("covers-8", "covers 8", "validation")
    assert one.metric_name == f"sliced Wasserstein distance x1000; {counted}"
    assert card.data.model_name == "covers"


def test_how_covers_were_chosen_is_told(run: Path):
    (run / "scores.json").write_text(json.dumps(SCORES | {"filter": "the best of three"}))
    assert "1,835 covers (the best of three) against" in card_of(run).text


def test_what_inception_measured_says_on_how_many_covers(run: Path):
    (run / "scores.json").write_text(json.dumps(SCORES | {"fid": 12.5, "kid": 0.01, "inception_covers": 5000}))
    card = card_of(run)
    counted = "5,000 covers against as many training covers"
    assert f"| FID, lower is better ({counted}) | 12.5 |  |" in card.text
    assert "| sliced Wasserstein distance x1000, lower is better | 29.09 |" in card.text
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["fid"].metric_name == f"FID; {counted}" and results["fid"].dataset_split == "train"
    assert results["sliced_wasserstein"].dataset_split == "validation"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            0,
            "1,000 of its covers were compared with all that it learned from, by perceptual hash\nand colours: none",
        ),
        (1, "1 was near enough"),
        (23, "23 were near enough to be one; the nearest hashes differ in 6 of 64 bits."),
    ],
)
def test_the_search_for_copies_is_told(run: Path, found: int, told: str):
    (run / "copies.json").write_text(json.dumps({"samples": 1000, "nearest_bits": 6, "found": found}))
    assert told in card_of(run).text


@pytest.mark.parametrize("name", ["scores.json", "copies.json"])
@pytest.mark.parametrize("content", ["{", "[1]", '{"samples": "<b>", "nearest_bits": 1, "found": 1, "fid": "x"}'])
def test_a_damaged_file_tells_nothing(run: Path, name: str, content: str):
    before = card_of(run).content
    (run / name).write_text(content)
    assert card_of(run).content == before


def test_what_was_measured_on_other_weights_is_left_out(run: Path):
    (run / "scores.json").write_text(json.dumps(SCORES | {"images": IMAGES}))
    (run / "copies.json").write_text(json.dumps({"samples": 9, "nearest_bits": 6, "found": 0, "images": 64}))
    card = card_of(run)
    assert "How good" in card.text and "Is it a copy" not in card.text


@pytest.mark.parametrize("film", ["film.webp", "film.mp4"])
def test_the_film_travels(run: Path, film: str):
    (run / film).write_bytes(b"film")
    assert read_run(run / "pipeline", DCGANGenerator).files[f"training/{film}"] == run / film
    assert f"[Training as a film](training/{film})" in card_of(run).text


def test_the_configuration_that_travels_names_no_folder(run: Path):
    config = json.loads((run / "config.json").read_text())
    places = {"a": "/mnt/alice/x", "b": "C:\\alice\\x", "c": "../alice/x", "d": "~/alice/x", "e": "alice/covers/x/"}
    (run / "config.json").write_text(json.dumps(config | places))
    sent = json.loads(read_run(run / "pipeline", DCGANGenerator).files["training/config.json"])
    assert sent == config | dict.fromkeys(places, "x") | {"dataset_name": "covers-8"}


def test_how_far_the_weights_are(run: Path):
    def shown(folder: str = "pipeline", **more: int) -> int | None:
        return read_run(run / folder, DCGANGenerator, **more).images

    assert shown() == IMAGES  # the newest sheet
    assert shown(images=64) == 64
    assert read_run(run / "pipeline", DCGANGenerator, 64).seconds == 1
    shutil.copytree(run / "pipeline", run / "best")
    assert shown("best") is None and "training/samples.png" not in read_run(run / "best", DCGANGenerator).files
    shutil.rmtree(run / "samples")
    assert shown() == 20000  # the last whole line of the metrics
    (run / "metrics.jsonl").unlink()
    assert shown() is None


def test_the_sheet_that_travels_is_that_of_these_weights(run: Path):
    sheets = sorted((run / "samples").iterdir())
    assert read_run(run / "pipeline", DCGANGenerator).files["training/samples.png"] == sheets[-1]
    assert "training/samples.png" not in read_run(run / "pipeline", DCGANGenerator, 128).files


def test_the_generator_that_ships_has_its_run_beside_it():
    run = read_run(Path(gan.__file__).parent / "pretrained", PainterGenerator)
    last = json.loads((Path(gan.__file__).parent / "pretrained" / "metrics.jsonl").read_text().splitlines()[-1])
    assert run.images == last["images"] > 50_000 and run.dataset == "genres-128"


def test_the_card_tells_of_the_smaller_run_that_was_grown(run: Path):
    config = json.loads((run / "config.json").read_text())
    smaller = {"resolution": 8, "images": 10_240, "seconds": 5400.0}
    for told, row in ((smaller, True), (smaller | {"seconds": "long"}, False), ({"images": 3}, False), (None, False)):
        (run / "config.json").write_text(json.dumps(config | {"grown_from": told}))
        assert ("| before that | 10,240 at 8 pixels, in 1.50 hours |" in card_of(run).content) == row
        assert ("before that" in card_of(run).content) == row


def test_the_card_links_a_dataset_of_the_hub(run: Path):
    (run / "config.json").write_text('{"network": "dcgan", "dataset_name": "user/covers-8"}')
    card = card_of(run)
    assert card.data.datasets == ["user/covers-8"]
    assert "| dataset | [user/covers-8](https://huggingface.co/datasets/user/covers-8) |" in card.text


@pytest.mark.parametrize("config", ["[1]", "{", '{"network": "r3gan"}', '{"network": ["dcgan"]}'])
def test_the_card_is_silent_about_any_other_run(run: Path, config: str):
    (run / "config.json").write_text(config)
    assert read_run(run / "pipeline", DCGANGenerator) == Run()
    assert "How it was trained" not in card_of(run).text


def test_the_picture_is_that_of_the_first_seeds(run: Path):
    from train.share.model_card import draw_card_picture

    pipeline = gan.load_pipeline(run / "pipeline")
    (run / "card.png").write_bytes(draw_card_picture(pipeline))
    with Image.open(run / "card.png") as sheet:
        assert sheet.size == (8 * 16, 2 * 16)
        assert sheet.crop((0, 16, 16, 32)).tobytes() == pipeline(seeds=8).images[0].tobytes()
