import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image, Value
from PIL import Image as Pillow

from tests.helpers.drawn import draw_cover, encode, exif
from tests.helpers.preparing import program
from train.covers import Covers, CoversError, load_covers, mixed_seed, raw_pixels, seeded, to_float, to_uint8


def numbered(count: int) -> Covers:
    """Covers of 1x1 pixel whose colour is their number."""
    return Covers(Dataset.from_dict({"pixels": [bytes([i, i, i]) for i in range(count)]}), resolution=1)


def numbers(batch: torch.Tensor) -> list[int]:
    return batch[:, 0, 0, 0].tolist()


def save(folder: Path, images: list, **splits: list) -> str:
    features = Features({"cover": Image(), "name": Value("string")})
    parts = {"train": images} | splits
    for split, part in parts.items():
        dataset = Dataset.from_dict({"cover": part, "name": ["x"] * len(part)}, features=features)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        dataset.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return str(folder)


def test_conversions_are_each_others_inverse() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 16, 16, 3)
    floats = to_float(pixels)
    assert floats.shape == (1, 3, 16, 16) and floats.min() == -1 and floats.max() == 1
    assert torch.equal(to_uint8(floats), pixels)
    assert to_uint8(torch.tensor([-9.0, 0.0, 9.0]).view(1, 3, 1, 1)).flatten().tolist() == [0, 128, 255]


def test_every_cover_is_seen_once_in_each_epoch_in_another_order() -> None:
    covers = numbered(10)
    first, second = numbers(covers.batch(0, 10)), numbers(covers.batch(10, 10))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_a_sideways_photograph_is_set_upright() -> None:
    upright = draw_cover(3, 32)
    turned = upright.transpose(Pillow.Transpose.ROTATE_90)
    image = {"bytes": encode(turned, "JPEG", quality=95, exif=exif(6)), "path": None}
    found = np.frombuffer(raw_pixels(image, 0, 16), np.uint8).reshape(16, 16, 3).astype(int)
    gaps = [np.abs(found - np.asarray(cover.resize((16, 16)))).mean() for cover in (upright, turned)]
    assert gaps[0] < 8 < gaps[1]


def test_the_order_is_a_function_of_seed_stream_and_position() -> None:
    covers = numbered(7)
    straight = numbers(covers.batch(0, 40))
    assert numbers(numbered(7).batch(33, 7)) == straight[33:]  # as after a resume
    assert [numbers(covers.batch(p, 5)) for p in range(0, 40, 5)] == [straight[p : p + 5] for p in range(0, 40, 5)]
    assert numbers(covers.batch(0, 40, stream=1)) != straight
    other = numbered(7)
    other.seed = 1
    assert numbers(other.batch(0, 40)) != straight


def test_two_processes_share_a_batch() -> None:
    covers = numbered(9)
    assert numbers(covers.batch(8, 4)) + numbers(covers.batch(12, 4)) == numbers(covers.batch(8, 8))


def test_seeded_depends_on_every_number() -> None:
    draws = {torch.rand(1, generator=seeded(*n)).item() for n in ((0, 0), (0, 1), (1, 0), (0, 0, 0), (2**32, 5))}
    assert len(draws) >= 4  # trailing zeros are the one thing that SeedSequence does not see
    assert mixed_seed(3, 4) == mixed_seed(3, 4) < 2**63


def test_a_dataset_of_other_sizes_is_cropped_and_scaled(tmp_path: Path) -> None:
    square, wide = draw_cover(0, 16), draw_cover(1, 64).resize((96, 48))
    covers = load_covers(save(tmp_path / "mixed", [square, wide, square.convert("L")]), 16)
    assert len(covers) == 3
    assert bytes(covers[[0]].flatten().tolist()) == square.tobytes()
    assert covers[[1, 2]].shape == (2, 16, 16, 3)


def test_what_cannot_be_trained_on_is_refused_in_one_line(tmp_path: Path) -> None:
    small = save(tmp_path / "small", [draw_cover(0, 16)])
    with pytest.raises(CoversError, match=r"16x16.*32 px.*--resolution 32"):
        load_covers(small, 32)
    with pytest.raises(CoversError, match="split 'validation'"):
        load_covers(small, 16, "validation")
    with pytest.raises(CoversError, match="no such folder"):
        load_covers(str(tmp_path / "nowhere"), 16)
    words = tmp_path / "words"
    words.mkdir()
    (words / "train.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CoversError, match="no column of images, only a, b"):
        load_covers(str(words), 16)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CoversError, match="cannot be read"):
        load_covers(str(empty), 16)


def test_two_prepared_folders_of_one_name_are_two_datasets(tmp_path: Path) -> None:
    # datasets knows a folder by its name and its card, so the card must tell one content from another
    colours = []
    for offset in (0, 50):
        pile, folder = tmp_path / f"pile-{offset}", tmp_path / f"{offset}" / "covers"
        pile.mkdir()
        for seed in range(4):
            draw_cover(offset + seed, 32).save(pile / f"{seed}.png")
        arguments = ("--resolution", 16, "--validation_fraction", 0, "--keep_duplicates")
        assert program(pile, "--output_dir", folder, *arguments)[0] == 0
        colours.append(load_covers(str(folder), 16).batch(0, 4).float().mean())
    assert colours[0] != colours[1]


@pytest.mark.parametrize("step", ["reading", "decoding"])
def test_a_full_cache_is_said_so(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save(tmp_path / "covers", [draw_cover(0, 16)])
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fails(*_, **__) -> None:
        try:
            raise full
        except OSError as error:
            if step == "decoding":
                raise
            raise RuntimeError("An error occurred while generating the dataset") from error  # as datasets does

    if step == "reading":
        monkeypatch.setattr("train.covers.load_dataset", fails)
    else:
        monkeypatch.setattr(Dataset, "map", fails)
    with pytest.raises(CoversError, match=r"No space left on device; make room there.*HF_DATASETS_CACHE"):
        load_covers(folder, 16)
