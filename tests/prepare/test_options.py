"""What the preparation does when it is asked to: copies, squares, genres, sources of every kind, sharing."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, Image
from PIL import Image as PillowImage

from tests.helpers import programs
from tests.helpers.drawn import draw_cover, draw_dataset, encode, write_files, write_tar, write_zip
from tests.helpers.hub_server import Hub
from tests.helpers.preparing import SIDE, program, refusals, rows_of, start


def test_the_largest_copy_stays_and_takes_a_genre_along(tmp_path):
    large, other = draw_cover(1, 300), draw_cover(2, 200)
    pile = {
        "rock/small.jpg": encode(large.resize((150, 150)), "JPEG", quality=60),
        "again.png": encode(large, "PNG"),
        "large.png": encode(large, "PNG"),
        "metal/other.png": encode(other, "PNG"),
        "reggae/alone.webp": encode(draw_cover(3, 200), "WEBP"),
    }
    archive = write_tar(tmp_path / "pile.tar", pile)
    options = ("--resolution", SIDE, "--validation_fraction", 0, "--labels", "folder")
    code, line = program(archive, "--output_dir", tmp_path / "out", *options)
    assert code == 0 and "3 covers" in line
    rows = rows_of(tmp_path / "out")
    names = rows.features["genre"].names
    assert names == ["metal", "reggae", "rock"]
    genres = {row["source"]: names[row["genre"]] for row in rows}
    assert genres == {
        "pile.tar/again.png": "rock",
        "pile.tar/metal/other.png": "metal",
        "pile.tar/reggae/alone.webp": "reggae",
    }
    assert refusals(tmp_path / "out") == {
        "pile.tar/rock/small.jpg": "near-duplicate",
        "pile.tar/large.png": "duplicate",
    }
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["clusters"] == [["pile.tar/again.png", "pile.tar/rock/small.jpg", "pile.tar/large.png"]]
    # what is a copy of what another dataset holds is left out, in whatever order and format it comes
    options += ("--output_dir", tmp_path / "rest", "--exclude", tmp_path / "out")
    code, line = program(archive, *options)
    assert code == 2 and "no cover is left of 5 files (5 excluded)" in line
    (tmp_path / "more").mkdir()
    draw_cover(9, 120).save(tmp_path / "more" / "new.png")
    code, line = program(archive, tmp_path / "more", *options)
    assert code == 0 and rows_of(tmp_path / "rest")["source"] == ["more/new.png"]
    assert set(refusals(tmp_path / "rest").values()) == {"excluded"}


def test_copies_that_are_kept_are_on_one_side(tmp_path):
    pile = {}
    for seed in range(30):
        cover = draw_cover(seed, 200)
        pile |= {f"{seed}.png": encode(cover, "PNG"), f"{seed}.jpg": encode(cover.resize((99, 99)), "JPEG")}
    options = ("--resolution", SIDE, "--validation_fraction", 0.4, "--keep_duplicates")
    code, line = program(write_files(tmp_path / "pile", pile), "--output_dir", tmp_path / "out", *options)
    assert code == 0 and "60 covers" in line and "0 refused" in line
    side = {}
    for split in ("train", "validation"):
        side |= {Path(name).stem + Path(name).suffix: split for name in rows_of(tmp_path / "out", split)["source"]}
    assert all(side[f"{seed}.png"] == side[f"{seed}.jpg"] for seed in range(30))
    assert len(json.loads((tmp_path / "out" / "report.json").read_text())["clusters"]) == 30


def test_the_first_bytes_of_its_hash_say_on_which_side_a_cover_is(tmp_path):
    pile = {f"{seed}.png": encode(draw_cover(seed, 80), "PNG") for seed in range(30)}
    options = ("--resolution", SIDE, "--validation_fraction", 0.4)
    assert program(write_files(tmp_path / "pile", pile), "--output_dir", tmp_path / "out", *options)[0] == 0
    train, validation = (
        [int(digest[:8], 16) / 2**32 for digest in rows_of(tmp_path / "out", split)["sha256"]]
        for split in ("train", "validation")
    )
    assert max(validation) < 0.4 <= min(train) and len(train) + len(validation) == 30


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_picture_becomes_a_square_as_asked(tmp_path, fit):
    cover = draw_cover(5, 160)
    pixels = np.zeros((160, 240, 3), np.uint8)
    pixels[:, 40:200] = np.asarray(cover)
    pixels[:, :40] = pixels[:, 200:] = (200, 10, 10)
    write_files(tmp_path / "pile", {"wide.png": encode(PillowImage.fromarray(pixels), "PNG")})
    code, _ = program(tmp_path / "pile", "--output_dir", tmp_path / "out", "--resolution", 48, "--fit", fit)
    assert code == 0
    image = np.asarray(rows_of(tmp_path / "out")[0]["image"]).astype(int)
    expected = {
        "crop": cover.resize((48, 48), PillowImage.Resampling.BICUBIC),
        "pad": PillowImage.fromarray(pixels).resize((48, 32), PillowImage.Resampling.BICUBIC),
        "stretch": PillowImage.fromarray(pixels).resize((48, 48), PillowImage.Resampling.BICUBIC),
    }[fit]
    shown = image[8:40] if fit == "pad" else image
    assert np.abs(shown - np.asarray(expected).astype(int)).mean() < 0.5
    if fit == "pad":  # the colour of the border, which is red but for the middle of its upper and lower edge
        assert (image[:8] == image[0, 0]).all() and image[0, 0, 0] > image[0, 0, 1] + 30


def test_genres_come_from_a_table_and_from_datasets(tmp_path):
    draw_dataset(tmp_path / "pile", 4)
    table = tmp_path / "genres.csv"
    table.write_text("file,genre\ncover-0000.png,rock\npile/cover-0001.png,jazz\nnowhere.png,pop\n", encoding="utf-8")
    options = ("--resolution", 32, "--validation_fraction", 0)
    code, line = program(tmp_path / "pile", "--output_dir", tmp_path / "out", *options, "--labels", table)
    assert code == 0, line
    rows = rows_of(tmp_path / "out")
    assert rows.features["genre"].names == ["jazz", "rock"] and rows["genre"] == [1, 0, None, None]
    assert "| jazz | 1 |" in (tmp_path / "out" / "README.md").read_text()
    code, line = program(tmp_path / "out", "--output_dir", tmp_path / "again", *options, "--labels", "folder")
    assert code == 0 and rows_of(tmp_path / "again")["genre"] == [1, 0, None, None]
    code, line = program(tmp_path / "pile", "--output_dir", tmp_path / "flat", *options, "--labels", "folder")
    assert code == 0 and "genre" not in rows_of(tmp_path / "flat").column_names


def test_a_table_knows_a_file_by_its_whole_name_first(tmp_path):
    draw_dataset(tmp_path / "pile" / "sub", 3)
    rows = "cover-0000.png,rock\npile/sub/cover-0000.png,jazz\ncover-0001.png,rock\nsub/cover-0001.png,pop\n"
    (tmp_path / "genres.csv").write_text(f"file,genre\n{rows}", encoding="utf-8")
    options = ("--resolution", 32, "--validation_fraction", 0)
    labels = ("--labels", tmp_path / "genres.csv")
    assert program(tmp_path / "pile", "--output_dir", tmp_path / "out", *options, *labels)[0] == 0
    found = rows_of(tmp_path / "out")
    assert found.features["genre"].names == ["jazz", "pop"] and found["genre"] == [0, 1, None]
    (tmp_path / "other.csv").write_text("file,genre\nelsewhere.png,rock\n", encoding="utf-8")
    other = ("--labels", tmp_path / "other.csv")  # says nothing of these, which keep their own
    assert program(tmp_path / "out", "--output_dir", tmp_path / "again", *options, *other)[0] == 0
    assert rows_of(tmp_path / "again").features["genre"].names == ["jazz", "pop"]


def test_every_kind_of_source_gives_the_same_covers(tmp_path):
    import pyarrow

    files = {f"{seed}.png": encode(draw_cover(seed), "PNG") for seed in range(5)}
    folder = write_files(tmp_path / "folder", files)
    tar = write_tar(tmp_path / "plain.tar", files)
    packed = tmp_path / "packed.tar.zst"
    with pyarrow.output_stream(str(packed), compression="zstd") as stream:
        stream.write(tar.read_bytes())
    unnamed = tmp_path / "unnamed"  # an archive, whatever it is called
    unnamed.write_bytes(write_tar(tmp_path / "gzip.tgz", files, "w:gz").read_bytes())
    pictures = [{"bytes": content, "path": None} for content in files.values()]
    parquet = tmp_path / "covers.parquet"
    Dataset.from_dict({"front": pictures}, Features({"front": Image()})).to_parquet(parquet)
    sources = [[folder], [tar], [packed], [unnamed], [parquet], [f"{folder}/*.png"], [folder / name for name in files]]
    sources.append([write_zip(tmp_path / "covers.zip", files)])
    expected = None
    for number, source in enumerate(sources):
        out = tmp_path / f"out-{number}"
        code, line = program(*source, "--output_dir", out, "--resolution", 32, "--validation_fraction", 0)
        assert code == 0, line
        hashes = rows_of(out)["sha256"]
        expected = expected or hashes
        assert hashes == expected and len(hashes) == 5, source
    damaged = tmp_path / "damaged.tar.zst"
    damaged.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    code, line = program(damaged, folder, "--output_dir", tmp_path / "last", "--resolution", 32)
    assert (code == 2 and "damaged.tar.zst: cannot be opened" in line) or refusals(tmp_path / "last")


def test_the_dataset_is_shared_when_it_is_ready(tmp_path):
    pile = draw_dataset(tmp_path / "pile", 3)
    options = ("--output_dir", tmp_path / "out", "--resolution", 32, "--validation_fraction", 0)
    options += ("--push_to_hub", "--hub_dataset_id", "user/covers")
    with Hub() as hub:
        ended = start(pile, *options, **hub.environment(tmp_path / "home"), HF_HUB_OFFLINE="0")
        assert ended.returncode == 0, ended.stderr
        assert "shared at" in ended.stdout
        code = "import datasets, sys; sys.exit(len(datasets.load_dataset('user/covers', split='train')) - 3)"
        environment = hub.environment(tmp_path / "stranger", token=None)
        assert programs.run([sys.executable, "-c", code], environment=environment).returncode == 0
    ended = start(pile, *options, "--overwrite", **hub.environment(tmp_path / "home"), HF_HUB_OFFLINE="0")
    assert ended.returncode == 2 and "cannot be reached" in ended.stderr  # before any work
    code, line = program(pile, "--output_dir", tmp_path / "no", "--license", "nobody's")
    assert code == 2 and "--license nobody's: the Hub knows no such licence" in line and not (tmp_path / "no").exists()
    code, line = program(pile, "--output_dir", tmp_path / "yes", "--resolution", 32, "--license", "CC BY 4.0")
    assert code == 0 and "license: cc-by-4.0" in (tmp_path / "yes" / "README.md").read_text()
