"""The preparation of covers, on piles as they are found: every mode and format, damage of every kind, archives."""

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value, load_dataset
from huggingface_hub import DatasetCard
from PIL import Image as PillowImage

from tests.helpers.drawn import (
    bad_files,
    draw_cover,
    draw_dataset,
    encode,
    good_files,
    write_files,
    write_tar,
    write_zip,
)
from tests.helpers.preparing import SIDE, program, refusals, rows_of, start
from train.prepare import parts, shards


@pytest.fixture(scope="module")
def pile(tmp_path_factory) -> tuple[list[Path], Path, str]:
    """A folder, a zip and a tar; what the program, really started, made of them; and what it printed."""
    folder = tmp_path_factory.mktemp("pile")
    good = {name: content for name, (content, _) in good_files().items()}
    covers = write_files(folder / "covers", good | {name: content for name, (content, _) in bad_files().items()})
    copies = {"deep/copy.png": good["plain.png"], "other.jpg": encode(draw_cover(50), "JPEG")}
    junk = {"__MACOSX/deep/._copy.png": b"junk", "deep/.DS_Store": b"junk", "Thumbs.db": b"junk"}
    archive = write_zip(folder / "more.zip", copies | junk)
    rewrapped = encode(draw_cover(1), "WEBP", lossless=True)
    last = write_tar(folder / "last.tar.gz", {"./again.webp": rewrapped, "other.jpg": copies["other.jpg"]}, "w:gz")
    sources = [covers, archive, last]
    ended = start(*sources, "--output_dir", folder / "out", "--resolution", SIDE, "--num_workers", 2, genuine=True)
    assert ended.returncode == 0, ended.stderr
    return sources, folder / "out", ended.stdout


def test_every_good_file_becomes_the_right_square_rgb_cover(pile):
    _, out, _ = pile
    splits = load_dataset(str(out), cache_dir=str(out.parent / "cache"))
    text = Value("string")
    assert splits["train"].features == Features({"image": Image(), "source": text, "sha256": text, "phash": text})
    images = {row["source"]: row["image"] for rows in splits.values() for row in rows}
    assert set(images) == {f"covers/{name}" for name in good_files()} | {"more.zip/other.jpg"}
    for name, (_, picture) in good_files().items():
        image = images[f"covers/{name}"]
        assert (image.size, image.mode) == ((SIDE, SIDE), "RGB"), name
        expected = picture.convert("RGB").resize((SIDE, SIDE), PillowImage.Resampling.BICUBIC)
        error = np.abs(np.asarray(image, dtype=float) - np.asarray(expected, dtype=float)).mean()
        lossy = name.endswith((".jpg", ".jp2", ".tif", ".gif")) or name == "jpeg-inside.png"
        assert error < (2 if lossy else 0.01), f"{name}: {error:.2f}"


def test_every_bad_file_is_refused_for_its_reason(pile):
    _, out, printed = pile
    copies = {"more.zip/deep/copy.png", "last.tar.gz/again.webp", "last.tar.gz/other.jpg"}
    expected = {f"covers/{name}": reason for name, (_, reason) in bad_files().items()}
    assert refusals(out) == expected | dict.fromkeys(copies, "duplicate")
    report = json.loads((out / "report.json").read_text())
    assert report["skipped"] == 3
    assert report["files"] == len(good_files()) + 1 + len(expected) + len(copies)
    assert sum(report["reasons"].values()) == len(report["refused"])
    details = {file["source"]: file["detail"] for file in report["refused"]}
    assert details["last.tar.gz/other.jpg"] == "of more.zip/other.jpg"
    train, validation = report["covers"]["train"], report["covers"]["validation"]
    assert (
        f"{train + validation} covers ({train} train, {validation} validation) of {report['files']} files" in printed
    )


def test_report_and_card_are_sound_and_tell_no_paths_of_this_machine(pile):
    _, out, _ = pile
    page = (out / "report.html").read_text()
    assert "&lt;b&gt;&amp;.png" in page and "<b>&" not in page
    assert [entry["split"] for entry in DatasetCard.load(out / "README.md").data.configs[0]["data_files"]] == [
        "train",
        "validation",
    ]
    for name in ("report.json", "report.html", "README.md"):
        assert str(out.parent) not in (out / name).read_text()


def test_the_bytes_do_not_depend_on_the_number_of_workers(pile, tmp_path, monkeypatch):
    sources, out, _ = pile
    monkeypatch.setattr(parts, "PART_FILES", 3)
    expected = {path.name: path.read_bytes() for path in (out / "data").iterdir()}
    for workers in (1, 3):
        folder = tmp_path / str(workers)
        options = ("--output_dir", folder, "--resolution", SIDE, "--num_workers", workers)
        assert program(*sources, *options)[0] == 0
        assert {path.name: path.read_bytes() for path in (folder / "data").iterdir()} == expected


def test_covers_of_many_parts_lie_in_the_order_of_their_files_and_the_first_of_equals_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_FILES", 3)
    pile = {f"{number:02d}.png": encode(draw_cover(number % 9), "PNG") for number in range(11)}
    covers = write_files(tmp_path / "pile", pile)
    assert program(covers, "--output_dir", tmp_path / "out", "--resolution", 32, "--validation_fraction", 0)[0] == 0
    assert rows_of(tmp_path / "out")["source"] == [f"pile/{number:02d}.png" for number in range(9)]
    assert refusals(tmp_path / "out") == {"pile/09.png": "duplicate", "pile/10.png": "duplicate"}


def test_covers_keep_their_split_when_the_pile_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 3000)
    monkeypatch.setattr(shards, "GROUP_ROWS", 4)
    first, second = draw_dataset(tmp_path / "first", 20, 32), draw_dataset(tmp_path / "second", 60, 32)
    for cover in first.iterdir():
        (second / cover.name).unlink()
    split_of = []
    for count, sources in ((20, [first]), (60, [second, first])):
        out = tmp_path / f"out-{count}"
        options = ("--output_dir", out, "--resolution", 32, "--validation_fraction", 0.3)
        assert program(*sources, *options)[0] == 0
        split_of.append({h: split for split in ("train", "validation") for h in rows_of(out, split)["sha256"]})
    before, after = split_of
    assert len(before) == 20 and len(after) == 60
    assert before.items() <= after.items()
    assert 0.1 < np.mean([split == "validation" for split in after.values()]) < 0.5
    assert len(list((tmp_path / "out-60" / "data").glob("train-*-of-*.parquet"))) >= 4


@pytest.mark.parametrize("fraction", [0.0001, 0.999999])
def test_a_handful_of_covers_all_go_to_train(tmp_path, fraction):
    draw_dataset(tmp_path / "covers", 2)
    options = ("--output_dir", tmp_path / "out", "--resolution", 32, "--validation_fraction", fraction)
    code, line = program(tmp_path / "covers", *options)
    assert code == 0 and "2 covers (2 train) of 2 files" in line and "too few for a validation split" in line
    assert list(load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))) == ["train"]


def test_damaged_archives_give_what_can_be_read(tmp_path):
    def bitmaps(*seeds: int) -> dict[str, bytes]:
        return {f"{seed}.bmp": encode(draw_cover(seed), "BMP") for seed in seeds}

    (tmp_path / "shelf").mkdir()
    cut = write_tar(tmp_path / "shelf" / "cut.tar", bitmaps(0, 1, 2))
    cut.write_bytes(cut.read_bytes()[:70_000])  # each takes 28,672 bytes
    packed = write_tar(tmp_path / "shelf" / "packed.tgz", bitmaps(*range(10, 30)), "w:gz")
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    garbled = write_tar(tmp_path / "garbled.tar", bitmaps(3, 4, 5))
    garbled.write_bytes(garbled.read_bytes().replace(b"4.bmp\0", b"U" * 512, 1))
    bad_member = write_zip(tmp_path / "member.zip", bitmaps(8, 9))
    content = bytearray(bad_member.read_bytes())
    content[1000] ^= 255
    bad_member.write_bytes(content)
    options = ("--output_dir", tmp_path / "out", "--resolution", SIDE, "--validation_fraction", 0)
    code, line = program(tmp_path / "shelf", garbled, bad_member, *options)
    assert code == 0, line
    kept = rows_of(tmp_path / "out")["source"]
    assert {name for name in kept if "packed" not in name} == {
        "shelf/cut.tar/0.bmp",
        "shelf/cut.tar/1.bmp",
        "garbled.tar/3.bmp",
        "member.zip/9.bmp",
    }
    assert "shelf/packed.tgz/10.bmp" in kept and "shelf/packed.tgz/29.bmp" not in kept
    archives = ("shelf/cut.tar", "shelf/packed.tgz", "garbled.tar")
    assert refusals(tmp_path / "out") == dict.fromkeys(archives, "damaged-archive") | {
        "member.zip/8.bmp": "unreadable"
    }


def test_datasets_are_sources_too(tmp_path):
    pictures = [{"bytes": encode(draw_cover(seed), "PNG"), "path": None} for seed in range(6)]
    shelf = Dataset.from_dict({"n": range(6), "front": pictures}, Features({"n": Value("int64"), "front": Image()}))
    (tmp_path / "shelf" / "data").mkdir(parents=True)
    shelf.to_parquet(tmp_path / "shelf" / "data" / "train-00000-of-00001.parquet")
    for source, out in (("shelf", "first"), ("first", "second")):
        options = ("--output_dir", tmp_path / out, "--resolution", SIDE, "--validation_fraction", 0)
        code, line = program(tmp_path / source, *options)
        assert code == 0 and "6 covers" in line
    assert rows_of(tmp_path / "first")["source"][2] == "shelf/train/2"
    assert rows_of(tmp_path / "second")["source"][2] == "first/train/shelf/train/2"
    shelf.remove_columns("front").to_parquet(tmp_path / "shelf" / "data" / "train-00000-of-00001.parquet")
    code, line = program(tmp_path / "shelf", "--output_dir", tmp_path / "third")
    assert code == 2 and "no image column" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing"], "missing: no such folder"),
        (["../missing"], "../missing: no such folder"),
        (["broken.tar"], "broken.tar: cannot be opened"),
        (["none.tar"], "none.tar"),
        (["none.zip"], "none.zip: the archive holds no files"),
        (["hollow"], "hollow: the folder holds no files"),
        (["texts"], "no cover is left of 2 files (2 wrong-content)"),
        (["*.jpg"], "*.jpg: nothing matches"),
        ([], "name a SOURCE, or --archive_letters"),
        (["covers", "--hash_distance", "12"], "--hash_distance 12: must be 0 to 11"),
        (["covers", "--fit", "shrink"], "--fit"),
        (["covers", "--exclude", "gone"], "gone: no such folder"),
        (["covers", "--labels", "genres.csv"], "--labels genres.csv: no such file"),
        (["covers", "--labels", "wrong.csv"], "wrong.csv: has no columns `file` and `genre`"),
        (["covers", "--labels", "none.zip"], "--labels none.zip"),
        (["covers", "--push_to_hub"], "--push_to_hub needs --hub_dataset_id"),
        (["covers", "--resolution", "8"], "--resolution 8: must be 16 to 1024"),
        (["covers", "--resolution", "big"], "--resolution"),
        (["covers", "--num_workers", "-1"], "--num_workers"),
        (["covers", "--output_dir", "covers/out"], "inside covers"),
        (["covers", "--output_dir", "texts"], "texts holds other files"),
        (["covers", "--output_dir", "elsewhere"], "elsewhere holds the report of another program"),
        (["covers", "--output_dir", "broken.tar"], "broken.tar is a file"),
    ],
)
def test_mistakes_are_told_in_one_line_and_leave_nothing(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    draw_dataset(Path("covers"), 2)
    write_files(Path("texts"), {"a.jpg": b"some text", "b.jpg": b"more text"})
    write_files(Path("elsewhere"), {"report.json": b'{"program": "another"}'})
    Path("broken.tar").write_bytes(b"no archive" * 100)
    write_tar(Path("none.tar"), {})
    write_zip(Path("none.zip"), {})
    Path("wrong.csv").write_text("name,label\na,b\n")
    Path("hollow").mkdir()
    before = sorted((path, path.stat().st_mtime_ns) for path in Path().rglob("*"))
    code, line = program("--output_dir", "out", *arguments)
    assert code == 2 and line.startswith("train.prepare: ") and words in line
    assert sorted((path, path.stat().st_mtime_ns) for path in Path().rglob("*")) == before


def test_an_earlier_dataset_is_replaced_only_where_it_is_asked_for(tmp_path):
    covers, out = draw_dataset(tmp_path / "covers", 3), tmp_path / "out"
    assert program(covers, "--output_dir", out)[0] == 0
    (out / "notes.txt").write_text("mine")
    draw_dataset(covers, 5)
    code, line = program(covers, "--output_dir", out)
    assert code == 2 and "--overwrite" in line and "3 album covers" in (out / "README.md").read_text()
    code, line = program(covers, "--output_dir", out, "--overwrite")
    assert code == 0 and "5 covers" in line
    assert sum(len(rows_of(out, split)) for split in json.loads((out / "report.json").read_text())["covers"]) == 5
    assert (out / "notes.txt").read_text() == "mine"


def test_unknown_dataset_without_network_is_one_line(tmp_path):
    ended = start("nobody/nothing", "--output_dir", tmp_path / "out", HF_HUB_OFFLINE="1")
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("train.prepare: nobody/nothing: cannot be loaded as a dataset")
    assert not list(tmp_path.iterdir())
