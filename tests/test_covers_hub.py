"""A dataset on the Hub whose card names files that are not its own."""

import gzip
import io
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from tests.helpers import programs
from tests.helpers.drawn import draw_cover, encode, write_tar, write_zip
from tests.helpers.hub_repo import Repo
from tests.helpers.hub_server import Hub


# Each way in which programs open such a dataset; prints what it says, or how many covers it has.
PROGRAM = """
import sys
from train.covers import CoversError, load_covers
from train.covers_stream import stream_covers
from train.cli import UserError
from train.prepare.sources import read_source

for name in sys.argv[1:]:
    streamed, prepared = lambda: stream_covers(name, 16).batch(0, 3), lambda: list(read_source(name))
    for read in (lambda: load_covers(name, 16), streamed, prepared):
        try:
            print(name, len(read()))
        except (CoversError, UserError) as error:
            print(error)
"""


def table(seeds: range, columns: dict | None = None, more: tuple | list = (), **options) -> bytes:
    """A Parquet file of covers, with `more` bytes as pictures behind them, and more `columns`."""
    file = io.BytesIO()
    pictures = [*(encode(draw_cover(seed, 16), "PNG") for seed in seeds), *more]
    cells = [{"bytes": picture, "path": None} for picture in pictures]
    info = '{"info": {"features": {"image": {"_type": "Image"}}}}'
    covers = pyarrow.table({"image": cells, **(columns or {})}).replace_schema_metadata({"huggingface": info})
    parquet.write_table(covers, file, **options)
    return file.getvalue()


def card(*files: str) -> bytes:
    names = "\n".join(f"  - {file}" for file in files)
    told = "dataset_info:\n  features:\n  - name: image\n    dtype: image\n"
    told += "  splits:\n  - name: train\n    num_examples: 3\n"
    return f"---\nconfigs:\n- config_name: default\n  data_files:\n{names}\n{told}---\n".encode()


def reading(hub: Hub, home: Path, *names: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, *names]
    ended = programs.run(command, environment=hub.environment(home))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.slow
def test_a_dataset_of_loose_pictures_is_read(hub: Hub, tmp_path: Path) -> None:
    repo = hub.repos["dataset", "other/loose"] = Repo()
    files = {f"{genre}/{seed}.png": encode(draw_cover(seed, 16), "PNG") for seed, genre in enumerate(("rock", "jazz"))}
    told = "---\ndataset_info:\n  splits:\n  - name: train\n    num_examples: 2\n---\n"
    repo.commit(files | {"README.md": told.encode()}, "theirs")
    plain = io.BytesIO()
    contents = [b"broken", *files.values()]
    parquet.write_table(pyarrow.table({"text": [b"no picture"] * 3, "jpg": contents}), plain)
    hub.repos["dataset", "other/bytes"] = Repo()
    hub.repos["dataset", "other/bytes"].commit({"a.parquet": plain.getvalue()}, "theirs")
    program = """
from train.covers import load_covers
from train.covers_stream import stream_covers
from train.prepare.sources import read_source
print(len([item for item in read_source("other/bytes") if item.read()[1:4] == b"PNG"]))
items = list(read_source("other/loose"))
print(sorted((item.name, item.read()[1:4], item.genre) for item in items))
print(sorted(load_covers("other/loose", 16).batch(0, 2).sum((1, 2, 3)).tolist()))
print(sorted(stream_covers("other/loose", 16).batch(0, 2).sum((1, 2, 3)).tolist()))
"""
    command = [sys.executable, "-c", program]
    ended = programs.run(command, environment=hub.environment(tmp_path / "home"))
    assert ended.returncode == 0, ended.stderr
    plain_pictures, listed, *sums = ended.stdout.splitlines()
    assert plain_pictures == "2"
    names = [("other/loose/train/0.png", b"PNG", "rock"), ("other/loose/train/1.png", b"PNG", "jazz")]
    assert listed == str(names)
    assert sums == [str(sorted(int(np.asarray(draw_cover(seed, 16)).sum()) for seed in range(2)))] * 2


@pytest.mark.slow
def test_only_files_of_the_repository_itself_are_read(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "diary.parquet").write_bytes(table(range(7, 9)))
    draw_cover(7, 16).save(tmp_path / "private" / "photograph.png")
    private = hub.repos["dataset", "user/private"] = Repo()
    private.private = True
    private.commit({"train.parquet": table(range(9, 12))}, "mine")
    cards = {
        "other/fine": card("data/*.parquet"),
        "other/disk": card("data/*.parquet", f"{tmp_path}/private/*.parquet"),
        "other/pictures": card(f"{tmp_path}/private/*.png"),
        "other/hub": card("hf://datasets/user/private/train.parquet"),
    }
    for name, content in cards.items():
        hub.repos["dataset", name] = Repo()
        hub.repos["dataset", name].commit({"README.md": content, "data/train.parquet": table(range(3))}, "theirs")
    lines = reading(hub, tmp_path / "home", *cards)
    fine, others = lines[:3], lines[3:]
    assert fine == ["other/fine 3"] * 3, lines
    assert len(others) == 9 and all("Data files don't belong to other/" in line for line in others), others


@pytest.mark.slow
def test_other_kinds_of_files_are_refused_in_one_line(hub: Hub, tmp_path: Path) -> None:
    """The library would unpack them without any bounds."""
    pictures = {f"{seed}.png": encode(draw_cover(seed, 16), "PNG") for seed in range(3)}
    zipped, tarred = write_zip(tmp_path / "a.zip", pictures), write_tar(tmp_path / "a.tar", pictures)
    rows = b'{"image": "iVBORw0KGgo="}\n'
    repos = {
        "other/tar": ({"train.tar": tarred.read_bytes()}, "webdataset files"),
        "other/zip": ({"train.zip": zipped.read_bytes()}, "train.zip"),
        "other/beside": ({"more.zip": zipped.read_bytes()} | pictures, "more.zip"),
        "other/gzip": ({"0.png.gz": gzip.compress(pictures["0.png"])}, "0.png.gz"),
        "other/packed": ({"train.parquet.gz": gzip.compress(table(range(3)))}, "train.parquet.gz"),
        "other/json": ({"train.jsonl": rows}, "json files"),
        "other/csv": ({"train.csv": b"image\na.png\n"}, "csv files"),
    }
    for name, (files, _) in repos.items():
        hub.repos["dataset", name] = Repo()
        hub.repos["dataset", name].commit(files, "theirs")
    lines = reading(hub, tmp_path / "home", *repos)
    expected = [(name, what) for name, (_, what) in repos.items() for _ in range(3)]
    assert len(lines) == len(expected), lines
    for line, (name, what) in zip(lines, expected, strict=True):
        assert name in line and what in line and f"hf download {name} --repo-type dataset" in line, line
        assert "give FOLDER to train.prepare, which reads archives, too" in line


@pytest.mark.slow
def test_a_page_that_grows_beyond_measure_is_refused_before_it_is_unpacked(hub: Hub, tmp_path: Path) -> None:
    """Of a file there as of one here; columns of lists, which nobody asked for, are not unpacked at all."""
    lists = pyarrow.array([["x"] * 100_000] * 3)
    bomb = encode(draw_cover(0, 16), "PNG") + bytes(100_000_000)
    tables = {
        "other/lists": table(range(3), {"more": lists}),
        "other/pages": table(range(2), more=[bomb], compression="zstd"),
        "other/delta": table(range(3), use_dictionary=False, column_encoding={"image.bytes": "DELTA_BYTE_ARRAY"}),
    }
    for name, content in tables.items():
        assert len(content) < 100_000
        hub.repos["dataset", name] = Repo()
        hub.repos["dataset", name].commit({"README.md": card("data/*.parquet"), "data/train.parquet": content}, "it")
    lines = reading(hub, tmp_path / "home", *tables)
    assert lines[:3] == ["other/lists 3"] * 3, lines
    told = ["says that it grows to 100,0"] * 3 + ["encoded in a way that pictures are not"] * 3
    assert len(lines) == 9 and all(what in line for what, line in zip(told, lines[3:], strict=True)), lines
