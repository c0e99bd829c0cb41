"""Whether a cover is a copy: the index, what it finds, and what it does not hold."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from safetensors.numpy import load_file, save_file

from gan import load_pipeline
from gan.nearest import CopiesError, Index, build_index, load_index
from gan.pipeline_folder import COVERS_INDEX, PRETRAINED
from tests.helpers.drawn import draw_cover


def name(seed: int) -> str:
    return f"{seed:064x}"[::-1]


@pytest.fixture(scope="module")
def index() -> Index:
    return build_index((draw_cover(seed, 64), name(seed)) for seed in range(150))


def jpeg(cover: Image.Image) -> Image.Image:
    file = io.BytesIO()
    cover.save(file, "JPEG", quality=30)
    return Image.open(file)


CHANGES = {
    "the same": lambda cover: cover,
    "larger": lambda cover: cover.resize((200, 200), Image.Resampling.LANCZOS),
    "cropped": lambda cover: cover.crop((2, 2, 62, 62)).resize((64, 64)),
    "saved badly": jpeg,
    "blurred": lambda cover: cover.filter(ImageFilter.GaussianBlur(1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found(index: Index, change: str) -> None:
    found = 0
    for seed in range(0, 150, 10):
        near = index.neighbours(CHANGES[change](draw_cover(seed, 64)))
        assert len(near) == 5 and [one.distance for one in near] == sorted(one.distance for one in near)
        found += near[0].cover == name(seed)[:10] and near[0].distance < near[1].distance
    assert found >= 14


def test_a_cover_of_its_own_is_as_far_as_real_covers_are_from_each_other(index: Index) -> None:
    strangers = [index.neighbours(draw_cover(seed, 64))[0] for seed in range(1000, 1040)]
    assert 25 < np.median([one.percentile for one in strangers]) < 95
    same = index.neighbours(draw_cover(3, 64))[0]
    assert same.distance == 0 and same.bits == 0 and same.percentile <= 1
    assert np.median([one.bits for one in strangers]) > 15


def test_an_index_comes_back_as_it_was(index: Index, tmp_path: Path) -> None:
    index.save(tmp_path / COVERS_INDEX)
    again = load_index(tmp_path / COVERS_INDEX)
    assert len(again) == 150 and again.neighbours(draw_cover(77, 64)) == index.neighbours(draw_cover(77, 64))


def test_an_index_holds_no_pictures(index: Index, tmp_path: Path) -> None:
    index.save(tmp_path / COVERS_INDEX)
    stored = load_file(tmp_path / COVERS_INDEX)
    per_cover = sum(array[0].nbytes for array in stored.values() if len(array) == len(index))
    assert per_cover <= 64  # bytes, of which 40 describe it
    assert set(stored) == {"features", "hashes", "names", "basis", "mean", "scale", "nearest"}


@pytest.mark.parametrize("damage", ("missing", "text", "cut", "shape", "not finite", "other version", "another dtype"))
def test_a_damaged_index_is_told_in_a_line(index: Index, tmp_path: Path, damage: str) -> None:
    file = tmp_path / COVERS_INDEX
    index.save(file)
    arrays, metadata = load_file(file), {"format": "x"}
    if damage == "missing":
        file.unlink()
    elif damage == "text":
        file.write_text("<html>")
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    else:
        from safetensors import safe_open

        with safe_open(file, "numpy") as stored:
            metadata = metadata if damage == "other version" else stored.metadata()
        if damage == "shape":
            arrays["hashes"] = arrays["hashes"][:-1]
        elif damage == "not finite":
            arrays["nearest"][3] = np.nan
        elif damage == "another dtype":
            arrays["features"] = arrays["features"].astype(np.float32)
        save_file(arrays, file, metadata)
    with pytest.raises(CopiesError) as refusal:
        load_index(file)
    assert str(refusal.value).startswith(COVERS_INDEX) and "\n" not in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)


def test_one_cover_makes_no_index() -> None:
    with pytest.raises(CopiesError, match="at least 2"):
        build_index([(draw_cover(1), name(1))])


def test_the_generator_that_ships_has_one() -> None:
    file = PRETRAINED / COVERS_INDEX
    covers = json.loads((PRETRAINED / "config.json").read_text())["covers"]
    assert 50 * covers < file.stat().st_size < 60 * covers  # bytes: of all that it learned from
    index = load_index(file)
    assert len(index) == covers
    nearest = [index.neighbours(cover)[0] for cover in load_pipeline()(seeds=list(range(16))).images]
    assert all(one.distance > 0.1 for one in nearest)
