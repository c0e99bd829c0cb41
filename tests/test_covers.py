import errno
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as Pillow
from pyarrow import parquet

from tests.helpers.drawn import bad_files, draw_cover, encode, exif, good_files, write_files
from tests.helpers.preparing import program
from tests.prepare.test_time_limit import slow_picture
from train import covers
from train.covers import (
    Covers,
    CoversError,
    load_covers,
    load_genres,
    mixed_seed,
    raw_pixels,
    seeded,
    to_float,
    to_uint8,
)
from train.covers_stream import stream_covers, stream_genres
from train.parquet import TableError, open_table, read_rows


def numbered(count: int) -> Covers:
    """Covers of 1x1 pixel whose colour is their number."""
    return Covers(Dataset.from_dict({"pixels": [bytes([i, i, i]) for i in range(count)]}), resolution=1)


def numbers(batch: torch.Tensor) -> list[int]:
    return batch[:, 0, 0, 0].tolist()


def test_a_picture_that_takes_too_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covers, "TIME_LIMIT", 0.05)
    with pytest.raises(CoversError, match="image 7 of --dataset_name takes more than"):
        raw_pixels({"bytes": slow_picture()}, 7, 64)
    assert len(raw_pixels({"bytes": encode(draw_cover(1, 64), "PNG")}, 8, 64)) == 64 * 64 * 3  # the clock is stopped


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
    with pytest.raises(CoversError, match="neither Parquet files nor pictures"):
        load_covers(str(words), 16)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CoversError, match="cannot be read"):
        load_covers(str(empty), 16)
    table = tmp_path / "table"
    table.mkdir()
    Dataset.from_dict({"a": [1], "b": ["x"]}).to_parquet(table / "train.parquet")
    with pytest.raises(CoversError, match="no column of images, only a, b"):
        load_covers(str(table), 16)


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


@pytest.mark.parametrize("where", ["folder", "Hub"])
def test_a_full_cache_is_said_so(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fails(*_, **__) -> None:
        try:
            raise full
        except OSError as error:
            raise RuntimeError("An error occurred while generating the dataset") from error  # as datasets does

    monkeypatch.setattr(Dataset, "from_generator", fails)
    monkeypatch.setattr("train.hub_dataset.load_dataset_builder", fails)
    name = save(tmp_path / "covers", [draw_cover(0, 16)]) if where == "folder" else "user/covers"
    with pytest.raises(CoversError, match=r"No space left on device; make room there.*HF_DATASETS_CACHE"):
        load_covers(name, 16)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save(tmp_path / "covers", [draw_cover(0, 16)])
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", Path("/dev/null/home"))
    with pytest.raises(CoversError, match=r"^the cache /dev/null/home cannot be written .*HF_HOME"):
        load_covers(folder, 16)


# ---- whatever a dataset holds


@pytest.mark.parametrize("kind", ["pictures", "Parquet", "a stream"])
def test_all_readers_see_the_pixels_that_the_preparation_sees(kind: str, tmp_path: Path) -> None:
    """16 bits, transparency, CMYK, profiles: what is no plain RGB was once white, black or clipped."""
    files = {name: file for name, file in sorted(good_files().items()) if file[1].size == (96, 96)}
    folder = tmp_path / "covers"
    if kind == "pictures":
        write_files(folder, {name: content for name, (content, _) in files.items()})
        (folder / "jpeg-inside.png").rename(folder / "jpeg-inside.jpg")
    else:
        folder.mkdir()
        cells = [{"bytes": content, "path": None} for content, _ in files.values()]
        Dataset.from_dict({"image": cells}, Features({"image": Image()})).to_parquet(folder / "a.parquet")
    if kind == "a stream":
        read = stream_covers(str(folder), 96).batch(0, len(files))
    else:
        read = load_covers(str(folder), 96)[range(len(files))]
    expected = torch.stack([torch.tensor(np.asarray(picture.convert("RGB"))) for _, picture in files.values()]).int()
    gaps = [min((cover.int() - other).abs().float().mean().item() for cover in read) for other in expected]
    assert len(files) > 15 and max(gaps) < 2, dict(zip(files, gaps, strict=True))


def test_an_animation_is_no_cover(tmp_path: Path) -> None:
    write_files(tmp_path / "covers", {"moving.gif": bad_files()["moving.gif"][0]})
    with pytest.raises(CoversError, match="image 0 of --dataset_name is an animation"):
        load_covers(str(tmp_path / "covers"), 16)


def test_what_a_cell_or_a_card_names_is_never_opened(tmp_path: Path) -> None:
    draw_cover(1, 16).save(tmp_path / "secret.png")
    folder, own = tmp_path / "covers", encode(draw_cover(2, 16), "PNG")
    folder.mkdir()
    for path in (str(tmp_path / "secret.png"), "http://127.0.0.1:9/x.png", "secret.png", "../secret.png"):
        cells = [{"bytes": own, "path": None}, {"bytes": None, "path": path}]
        parquet.write_table(pyarrow.table({"image": cells}), folder / "a.parquet")
        for read in (load_covers, stream_covers):
            with pytest.raises(CoversError, match="image 1 of --dataset_name is a path and no picture"):
                read(str(folder), 16).batch(0, 2)
    parquet.write_table(pyarrow.table({"image": cells[:1]}), folder / "a.parquet")
    card = "---\nconfigs:\n- config_name: default\n  data_files: ../secret.png\n---\n"
    (folder / "README.md").write_text(card)
    assert load_covers(str(folder), 16)[[0]].numpy().tobytes() == draw_cover(2, 16).tobytes()
    (folder / "a.parquet").unlink()
    with pytest.raises(CoversError, match="neither Parquet files nor pictures"):
        load_covers(str(folder), 16)


@pytest.mark.parametrize("read", (load_covers, stream_covers))
def test_links_that_lead_out_are_named_and_those_inside_are_followed(tmp_path: Path, read: Callable) -> None:
    draw_cover(1, 16).save(tmp_path / "secret.png")
    parquet.write_table(pyarrow.table({"image": [encode(draw_cover(1, 16), "PNG")]}), tmp_path / "secret.parquet")
    folder = tmp_path / "covers"
    write_files(folder, {"a.png": encode(draw_cover(2, 16), "PNG")})
    (folder / "again.png").symlink_to("a.png")
    assert read(str(folder), 16).batch(0, 2).shape == (2, 16, 16, 3)
    os.mkfifo(folder / "fifo.png")
    os.mkfifo(folder / "fifo.parquet")
    (folder / "device.png").symlink_to("/dev/zero")
    for name in ("secret.png", "secret.parquet"):
        (folder / name).symlink_to(tmp_path / name)
        with pytest.raises(CoversError, match=rf"{name} are links that lead out of it"):
            read(str(folder), 16)
        (folder / name).unlink()
    assert len(read(str(folder), 16)) == 2
    (tmp_path / "disk").mkdir()
    (folder / "rock").symlink_to(tmp_path / "disk")  # which nobody would miss, as it is not looked into
    with pytest.raises(CoversError, match="rock are links that lead out of it"):
        read(str(folder), 16)


@pytest.mark.parametrize("read", (load_covers, stream_covers))
def test_titles_may_begin_with_dots_and_junk_is_left_aside(tmp_path: Path, read: Callable) -> None:
    png = [encode(draw_cover(seed, 16), "PNG") for seed in range(4)]
    loose = {"...Title.png": png[0], "...And Justice/a.png": png[1], "._a.png": b"x", ".thumbnails/a.png": b"x"}
    write_files(tmp_path / "loose", loose)
    assert len(read(str(tmp_path / "loose"), 16)) == 2
    read(str(tmp_path / "loose"), 16).batch(0, 2)
    (tmp_path / "table" / "...And Justice").mkdir(parents=True)
    for name in ("...And Justice/...covers.parquet", "._a.parquet"):
        parquet.write_table(pyarrow.table({"image": png[:3]}), tmp_path / "table" / name)
    assert len(read(str(tmp_path / "table"), 16)) == 3


@pytest.mark.parametrize("name", ["My Music [FLAC]", "a*b?", "a::b", "caf\udce9", "{x}", "100%"])
def test_a_folder_may_have_any_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    made, folder = (
        save(tmp_path / "made", [draw_cover(seed, 16) for seed in range(3)]),
        str(tmp_path / name / "covers"),
    )
    Path(made).rename(folder)
    assert load_covers(folder, 16).batch(0, 3).shape == (3, 16, 16, 3)
    assert stream_covers(folder, 16).batch(0, 3).shape == (3, 16, 16, 3)


def test_labels_are_found_where_others_put_them(tmp_path: Path) -> None:
    names = ["rock", "jazz"]
    features = Features(
        {"image": Image(), "label": ClassLabel(names=names), "mood": ClassLabel(names=["low", "high"])}
    )
    rows = {"image": [draw_cover(seed, 16) for seed in range(4)], "label": [0, 1, 0, 1], "mood": [1, 1, 0, -1]}
    (tmp_path / "covers").mkdir()
    Dataset.from_dict(rows, features).to_parquet(tmp_path / "covers" / "train-00000-of-00001.parquet")
    folder = str(tmp_path / "covers")
    assert load_genres(folder) == stream_genres(folder) == names
    assert load_covers(folder, 16, labelled=True).labels.tolist() == [0, 1, 0, 1]
    assert load_genres(folder, label_column="mood") == ["low", "high"]
    assert load_covers(folder, 16, labelled=True, label_column="mood").labels.tolist() == [1, 1, 0, 2]
    labels = stream_covers(folder, 16, labelled=True, label_column="mood")
    labels.batch(0, 4)
    assert sorted(labels.batch_labels(0, 4).tolist()) == [0, 1, 1, 2]
    with pytest.raises(CoversError, match="--label_column"):
        load_genres(folder, label_column="nothing")


def test_a_folder_of_pictures_has_the_genres_of_its_folders(tmp_path: Path) -> None:
    for seed, genre in enumerate(("rock", "jazz", "rock")):
        write_files(tmp_path / "covers" / genre, {f"{seed}.png": encode(draw_cover(seed, 16), "PNG")})
    covers = load_covers(str(tmp_path / "covers"), 16, labelled=True)
    assert load_genres(str(tmp_path / "covers")) == ["jazz", "rock"] and covers.labels.tolist() == [0, 1, 1]


def test_a_parquet_file_that_grows_beyond_measure_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    table = pyarrow.table({"jpg": [encode(draw_cover(0, 16), "PNG"), bytes(300_000_000)]})
    parquet.write_table(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
    assert (tmp_path / "a.parquet").stat().st_size < 50_000
    code = "from pathlib import Path; from train.parquet import *\n"
    code += "try: list(read_rows([Path('a.parquet')], ['jpg']))\nexcept TableError as error: print(error)\n"
    code += "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    line, memory = ended.stdout.splitlines()
    assert "says that it grows to 300,0" in line and int(memory) < 250_000


BYTES, LISTS = pyarrow.binary(), pyarrow.list_(pyarrow.binary())
BOMBS = {
    # what a few bytes may say of each row: a thousand million equal values, or one as wide as the page
    "lists": pyarrow.array([[b"x"] * 200_000], LISTS),
    "parts that are lists": pyarrow.array(
        [{"bytes": b"x", "more": [b"x"] * 200_000}], pyarrow.struct({"bytes": BYTES, "more": LISTS})
    ),
    "wide values": pyarrow.array([bytes(100_000)] * 32, pyarrow.binary(100_000)),
    "numbers": pyarrow.array([1, 2]),
}


@pytest.mark.parametrize("name", BOMBS)
def test_only_columns_of_bytes_hold_pictures_whatever_a_file_says_of_them(name: str, tmp_path: Path) -> None:
    said = {"info": {"features": {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["a"]}}}}
    rows = len(BOMBS[name])
    columns = {"image": BOMBS[name], "label": pyarrow.array([["x"] * 9] * rows)}
    table = pyarrow.table(columns).replace_schema_metadata({"huggingface": json.dumps(said)})
    parquet.write_table(table, tmp_path / "a.parquet", compression="zstd")
    found = open_table([tmp_path / "a.parquet"])
    assert found.image is None and found.classes == {}
    with pytest.raises(CoversError, match="has no column of images"):
        load_covers(str(tmp_path), 16)


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_pages_are_plain_or_of_a_dictionary(encoding: str, tmp_path: Path) -> None:
    """A value that shares all bytes with the one before it takes none in the file, and all of them in memory."""
    table = pyarrow.table({"jpg": [bytes(200_000)] * 32})
    parquet.write_table(
        table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False, column_encoding={"jpg": encoding}
    )
    with pytest.raises(TableError, match=r"encoded in a way that pictures are not"):
        list(read_rows([tmp_path / "a.parquet"], ["jpg"]))
    parquet.write_table(table.slice(0, 1), tmp_path / "plain.parquet", compression="zstd", use_dictionary=False)
    assert len(list(read_rows([tmp_path / "plain.parquet"], ["jpg"]))) == 1


def test_statistics_that_do_not_fit_end_nothing(tmp_path: Path) -> None:
    """Arrow's library ends the whole process when it is asked where such a column lies."""
    rows = [{"image": {"bytes": encode(draw_cover(seed, 16), "PNG")}, "label": seed} for seed in range(3)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    optional, required = (b"\x15\x04\x25" + kind + b"\x18\x05label" for kind in (b"\2", b"\0"))  # of parquet.thrift
    assert content.count(optional) == 1
    (tmp_path / "a.parquet").write_bytes(content.replace(optional, required))
    code = "from pathlib import Path; from train.parquet import *\n"
    code += (
        "for columns in (['image'], ['label']):\n    try: print(len(list(read_rows([Path('a.parquet')], columns))))\n"
    )
    code += "    except TableError as error: print(error)"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "a.parquet: cannot be read as Parquet" in ended.stdout


def test_groups_of_rows_of_any_size_are_read(tmp_path: Path) -> None:
    """Arrow cannot hand out cells with parts, such as pictures with their paths, across two groups of rows."""
    pictures = [{"bytes": encode(draw_cover(seed, 16), "PNG"), "path": None} for seed in range(70)]
    parquet.write_table(pyarrow.table({"image": pictures}), tmp_path / "train.parquet", row_group_size=40)
    covers = load_covers(str(tmp_path), 16)
    drawn = np.stack([np.asarray(draw_cover(seed, 16)) for seed in range(70)])
    assert np.array_equal(covers[range(70)].numpy(), drawn)


def test_more_scans_than_any_encoder_writes_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    """A JPEG of 2,300 scans would take the trainer minutes."""
    file = io.BytesIO()
    draw_cover(0, 64).resize((1024, 1024)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content.rindex(b"\xff\xda")
    scans = content[:last] + content[last:-2] * 2300 + content[-2:]
    write_files(tmp_path / "covers", {"a.jpg": content, "b.jpg": scans})
    begin = time.process_time()
    with pytest.raises(CoversError, match=r"image 1 .*decompression-bomb"):
        load_covers(str(tmp_path / "covers"), 16)
    assert time.process_time() - begin < 10


def test_rows_with_nothing_in_them_are_bounded(tmp_path: Path) -> None:
    file = tmp_path / "train.parquet"
    begin = time.process_time()
    parquet.write_table(pyarrow.table({"image": pyarrow.nulls(2_000_000, pyarrow.binary())}), file)
    with pytest.raises(TableError, match="2,000,000 rows"):
        open_table([file])
    parquet.write_table(pyarrow.table({"image": pyarrow.nulls(90_000, pyarrow.binary())}), file)
    assert open_table([file]).image is None  # of the first rows none holds a picture
    assert time.process_time() - begin < 3
    cells = [None] * 100 + [encode(draw_cover(1, 32), "PNG")]
    parquet.write_table(pyarrow.table({"image": cells}), file)
    assert open_table([file]).image == "image"
