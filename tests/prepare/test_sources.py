"""Piles as they are found: titles with dots, links, tables of every kind, odd names, things that are no files."""

import json
import os
import struct
import zlib
from datetime import datetime
from pathlib import Path

import pyarrow
import pytest
from datasets import ClassLabel, Dataset, Features, Image
from pyarrow import parquet

from tests.helpers.drawn import draw_cover, draw_dataset, encode, write_files, write_tar
from tests.helpers.preparing import program, refusals, rows_of
from train.cli import UserError
from train.prepare.items import LONGEST_NAME
from train.prepare.sources import read_source


OPTIONS = ("--resolution", 32, "--validation_fraction", 0)
PNG = [encode(draw_cover(seed), "PNG") for seed in range(8)]


def prepare(folder: Path, *sources: object, code: int = 0) -> tuple[dict, str]:
    """Prepare sources; returns report.json, and the last line."""
    ended, line = program(*sources, "--output_dir", folder, *OPTIONS)
    assert ended == code, line
    return (json.loads((folder / "report.json").read_text()) if code == 0 else {}), line


def test_titles_may_begin_with_dots_and_what_is_skipped_is_named(tmp_path: Path) -> None:
    pile = tmp_path / "pile"
    for seed, name in enumerate(("...Like A Title.png", "...An Album (1999)/cover.png", ".5 The Number.png")):
        (pile / name).parent.mkdir(parents=True, exist_ok=True)
        (pile / name).write_bytes(PNG[seed])
    junk = (
        "._cover.png",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "__MACOSX/x.png",
        ".git/y.png",
        "a/.thumbnails/z.png",
    )
    for name in junk:
        (pile / name).parent.mkdir(parents=True, exist_ok=True)
        (pile / name).write_bytes(PNG[4])
    report, _ = prepare(tmp_path / "out", pile)
    assert report["covers"] == {"train": 3} and report["reasons"] == {}
    named = {file["source"] for file in report["skipped_files"]}
    assert named == {f"pile/{name}" for name in junk if "/" not in name} | {
        "pile/__MACOSX",
        "pile/.git",
        "pile/a/.thumbnails",
    }
    assert report["skipped"] == len(named)
    assert "pile/.DS_Store" in (tmp_path / "out" / "report.html").read_text()
    archive = write_tar(tmp_path / "a.tar", {"...Title.png": PNG[0], "__MACOSX/._x.png": PNG[1]})
    report, _ = prepare(tmp_path / "tar", archive)
    assert report["covers"] == {"train": 1} and report["skipped_files"][0]["source"] == "a.tar/__MACOSX/._x.png"


def test_links_inside_are_followed_and_those_that_lead_out_are_named(tmp_path: Path) -> None:
    draw_dataset(tmp_path / "pile" / "jazz", 2)
    draw_cover(7).save(tmp_path / "private.png")
    (tmp_path / "disk").mkdir()
    draw_cover(6).save(tmp_path / "disk" / "private.png")
    (tmp_path / "pile" / "loop").symlink_to(tmp_path / "pile")
    (tmp_path / "pile" / "jazz" / "loop").symlink_to("..")
    (tmp_path / "pile" / "rock").symlink_to(tmp_path / "disk")
    (tmp_path / "pile" / "out.png").symlink_to(tmp_path / "private.png")
    (tmp_path / "pile" / "in.png").symlink_to("jazz/cover-0000.png")
    (tmp_path / "pile" / "broken.png").symlink_to("nothing.png")
    (tmp_path / "pile" / "again").symlink_to("jazz")
    report, _ = prepare(tmp_path / "out", tmp_path / "pile")
    assert report["covers"] == {"train": 2}
    found = refusals(tmp_path / "out")
    assert {name for name, reason in found.items() if reason == "link-outside"} == {"pile/rock", "pile/out.png"}
    assert found["pile/broken.png"] == "unreadable"
    assert sum(reason == "duplicate" for reason in found.values()) == 3  # in.png, and both in again/
    assert {file["source"] for file in report["skipped_files"]} == {"pile/loop", "pile/jazz/loop", "pile/again/loop"}
    only = tmp_path / "only"
    only.mkdir()
    (only / "rock").symlink_to(tmp_path / "disk")
    assert "1 link-outside" in prepare(tmp_path / "none", only, code=2)[1]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    deep.mkdir()
    below = os.open(deep, os.O_RDONLY)
    for _ in range(25):  # deeper than a path can say
        os.mkdir("n" * 200, dir_fd=below)
        inner = os.open("n" * 200, os.O_RDONLY, dir_fd=below)
        os.close(below)
        below = inner
    os.close(below)
    assert "cannot be read (File name too long)" in prepare(tmp_path / "none", deep, code=2)[1]
    draw_cover(1).save(deep / "a.png")
    assert prepare(tmp_path / "out", deep)[0]["reasons"] == {"unreadable": 1}


def test_pipes_and_devices_are_never_opened(tmp_path: Path) -> None:
    draw_dataset(tmp_path / "pile", 1)
    os.mkfifo(tmp_path / "pile" / "pipe.png")
    os.mkfifo(tmp_path / "pile" / "pipe.tar")
    os.mkfifo(tmp_path / "pile" / "pipe.parquet")
    (tmp_path / "pile" / "endless.png").symlink_to("/dev/zero")
    report, _ = prepare(tmp_path / "out", tmp_path / "pile")
    assert report["covers"] == {"train": 1} and report["skipped"] == 3
    assert refusals(tmp_path / "out") == {"pile/endless.png": "link-outside"}
    for source in (tmp_path / "pile" / "pipe.png", "/dev/zero"):
        assert "neither a file nor a folder" in prepare(tmp_path / "none", source, code=2)[1]
    code, line = program(
        tmp_path / "pile", "--output_dir", tmp_path / "no", "--labels", tmp_path / "pile" / "pipe.tar"
    )
    assert code == 2 and "no table" in line


# ---- tables


def table(path: Path, columns: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_a_folder_is_judged_by_what_it_holds(tmp_path: Path) -> None:
    """img2dataset's output, Parquet in folders, bytes without metadata, a table beside pictures or archives."""
    downloaded = tmp_path / "downloaded"
    downloaded.mkdir()
    write_tar(downloaded / "00000.tar", {"0.png": PNG[0], "1.png": PNG[1]})
    table(downloaded / "00000.parquet", {"key": ["0", "1"], "status": ["success"] * 2})
    (downloaded / "00000_stats.json").write_text("{}")
    report, _ = prepare(tmp_path / "a", downloaded)
    assert report["covers"] == {"train": 2} and report["skipped_files"][0]["source"] == "downloaded/00000.parquet"

    cells = [{"bytes": content, "path": None} for content in PNG[:3]]
    Dataset.from_dict({"image": cells}, Features({"image": Image()})).to_parquet(
        table(tmp_path / "deep" / "data" / "train" / "0000.parquet", {})
    )
    table(tmp_path / "deep" / "data" / "validation" / "0000.parquet", {"image": [{"bytes": PNG[3], "path": "x.png"}]})
    assert prepare(tmp_path / "b", tmp_path / "deep")[0]["covers"] == {"train": 4}
    assert rows_of(tmp_path / "b")["source"][-1] == "deep/validation/x.png"

    for number, name in enumerate(("jpg", "anything")):
        path = table(tmp_path / f"{name}.parquet", {"text": [b"no picture"] * 4, name: [b"broken", *PNG[:3]]})
        assert prepare(tmp_path / f"c{number}", path)[0]["covers"] == {"train": 3}

    draw_dataset(tmp_path / "mixed" / "rock", 3)
    draw_cover(5).save(tmp_path / "mixed" / "more.png")
    table(tmp_path / "mixed" / "index.parquet", {"key": ["0"]})
    table(tmp_path / "mixed" / "covers.parquet", {"jpg": PNG[6:8]})
    (tmp_path / "mixed" / "bad.parquet").write_bytes(b"PAR1 and then nothing PAR1")
    code, line = program(tmp_path / "mixed", "--output_dir", tmp_path / "d", *OPTIONS, "--labels", "folder")
    assert code == 0, line
    report = json.loads((tmp_path / "d" / "report.json").read_text())
    assert report["covers"] == {"train": 6} and report["genres"] == {"rock": 3}
    assert refusals(tmp_path / "d") == {"mixed/bad.parquet": "damaged-archive"}


def test_nothing_that_a_cell_or_a_card_names_is_opened(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_secrettoken")
    draw_cover(7).save(tmp_path / "private.png")
    paths = [str(tmp_path / "token"), str(tmp_path / "private.png"), "http://127.0.0.1:9/a.png", "../private.png"]
    cells = [{"bytes": None, "path": path} for path in paths] + [{"bytes": PNG[0], "path": str(tmp_path / "token")}]
    table(tmp_path / "set" / "a.parquet", {"image": cells})
    (tmp_path / "set" / "README.md").write_text("---\nconfigs:\n- config_name: x\n  data_files: ../private.png\n---\n")
    report, _ = prepare(tmp_path / "out", tmp_path / "set")
    assert report["covers"] == {"train": 1} and report["reasons"] == {"elsewhere": 4}
    for file in (tmp_path / "out").glob("*.*"):
        assert "secrettoken" not in file.read_text() and str(tmp_path) not in file.read_text()


@pytest.mark.parametrize("path", [5, True, float("nan"), b"\xff/a", datetime(2020, 1, 1)])
def test_what_stands_beside_a_picture_may_be_of_any_type(tmp_path: Path, path: object) -> None:
    table(tmp_path / "a.parquet", {"image": [{"bytes": PNG[0], "path": path}, {"bytes": PNG[1], "path": path}]})
    assert [item.name for item in read_source(str(tmp_path / "a.parquet"))] == [
        "a.parquet/train/0",
        "a.parquet/train/1",
    ]


@pytest.mark.filterwarnings("error")
def test_a_bomb_in_the_first_row_of_a_table_is_one_refusal(tmp_path: Path) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    sizes = (struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0) for side in (60_000, 10))
    text = zlib.compress(bytes(5_000_000))  # more than Pillow reads of a text
    heads = [b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"zTXt", b"a\0\0" + text) for size in sizes]
    bombs = [head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"") for head in heads]
    table(tmp_path / "a.parquet", {"image": [*bombs, PNG[0]]})
    assert [item.read() for item in read_source(str(tmp_path / "a.parquet"))] == [*bombs, PNG[0]]


def test_what_a_table_calls_things_is_told_in_a_line_of_some_length(tmp_path: Path) -> None:
    table(tmp_path / "wide.parquet", {f"column {n} {'y' * 300}": [1] for n in range(3000)})
    with pytest.raises(UserError, match=r"has no image column, only column 0 y+…, .*…, and 2,990 more") as raised:
        list(read_source(str(tmp_path / "wide.parquet")))
    assert len(str(raised.value)) < 1000 + len(str(tmp_path))
    cells = [{"bytes": PNG[0], "path": "a/" + "x" * 300_000 + ".jpg"}]
    table(tmp_path / "long.parquet", {"image": cells})
    (item,) = read_source(str(tmp_path / "long.parquet"))
    assert len(item.name) <= LONGEST_NAME + 1 and item.name.endswith("x.jpg")


def test_a_tables_own_labels_are_taken(tmp_path: Path) -> None:
    features = Features(
        {"image": Image(), "label": ClassLabel(names=["rock", "jazz"]), "mood": ClassLabel(names=["low"])}
    )
    rows = {"image": [{"bytes": c, "path": None} for c in PNG[:4]], "label": [0, 1, 1, -1], "mood": [0, 0, 0, -1]}
    (tmp_path / "hub").mkdir()
    Dataset.from_dict(rows, features).to_parquet(tmp_path / "hub" / "train-00000-of-00001.parquet")
    for number, (more, genres) in enumerate(
        (
            ([], {"jazz": 2, "rock": 1}),
            (["--label_column", "mood"], {"low": 3}),
            (["--labels", "folder"], {"jazz": 2, "rock": 1}),
        )
    ):
        code, line = program(tmp_path / "hub", "--output_dir", tmp_path / f"{number}", *OPTIONS, *more)
        assert code == 0, line
        assert json.loads((tmp_path / f"{number}" / "report.json").read_text())["genres"] == genres
    code, line = program(tmp_path / "hub", "--output_dir", tmp_path / "no", *OPTIONS, "--label_column", "nothing")
    assert code == 2 and "--label_column nothing" in line
    # a number out of range names no genre, and refuses nothing
    meta = parquet.read_schema(tmp_path / "hub" / "train-00000-of-00001.parquet").metadata
    wild = pyarrow.table({"image": rows["image"][:3], "label": [0, 99, None]}).replace_schema_metadata(meta)
    parquet.write_table(wild, tmp_path / "hub" / "train-00000-of-00001.parquet")
    assert prepare(tmp_path / "wild", tmp_path / "hub")[0]["genres"] == {"rock": 1}


# ---- names


@pytest.mark.parametrize("name", ["My Music [FLAC]", "a*b?", "a::b", "caf\udce9", "100% {x}"])
def test_every_folder_on_the_way_may_have_any_name(tmp_path: Path, name: str) -> None:
    pile, out = tmp_path / name / "pile", tmp_path / name / "covers-32"
    draw_dataset(tmp_path / "pile", 3)
    (tmp_path / name).mkdir()
    (tmp_path / "pile").rename(pile)
    prepare(out, pile)
    assert prepare(tmp_path / name / name, out)[0]["covers"] == {"train": 3}
    prepare(tmp_path / "single", pile / "cover-0000.png")


@pytest.mark.parametrize("name", ["My Music [FLAC]", "...And Justice", "a*b?", "caf\udce9"])
def test_patterns_find_titles_with_dots_in_folders_of_any_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"...Title.png": PNG[0], "sub/.5 The Number.png": PNG[1], "._junk.png": b"x", ".git/y.png": PNG[2]}
    write_files(tmp_path / name, files)
    report, _ = prepare(tmp_path / "out", tmp_path / name / "**" / "*.png")
    assert report["covers"] == {"train": 2} and report["reasons"] == {}
    assert prepare(tmp_path / "one", tmp_path / name / "...[Tt]itle*")[0]["covers"] == {"train": 1}
    monkeypatch.chdir(tmp_path / name)
    assert prepare(tmp_path / "here", "*.png")[0]["covers"] == {"train": 1}
    assert "nothing matches" in prepare(tmp_path / "none", tmp_path / name / "*.jpg", code=2)[1]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise ValueError("from the library") from NotADirectoryError(20, "Not a directory", "/dev/null/x/hub/refs")

    monkeypatch.setattr("train.hub_dataset.load_dataset_builder", load)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/dev/null/x/hub")
    line = prepare(tmp_path / "out", "user/covers", code=2)[1]
    assert "the cache /dev/null/x/hub cannot be written (Not a directory)" in line and "HF_HOME" in line


def test_files_may_have_names_that_are_no_utf8(tmp_path: Path) -> None:
    write_files(tmp_path / "pile", {"caf\udce9.png": PNG[0], "\udcff[x].png": PNG[1]})
    prepare(tmp_path / "out", tmp_path / "pile")
    assert sorted(rows_of(tmp_path / "out")["source"]) == ["pile/caf\ufffd.png", "pile/\ufffd[x].png"]
