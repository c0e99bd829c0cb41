"""Genres from folders and tables that were written on other systems."""

import json
import unicodedata
import zipfile
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Image

from tests.helpers.drawn import draw_cover, encode, write_files
from tests.helpers.preparing import program


OPTIONS = ("--resolution", 32, "--validation_fraction", 0)


def prepare(folder: Path, source: Path, labels: object, *more: object) -> tuple[dict, str]:
    code, line = program(source, "--output_dir", folder, *OPTIONS, "--labels", labels, *more)
    assert code == 0, line
    return json.loads((folder / "report.json").read_text()), line


def pile(folder: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(draw_cover(seed), "PNG"))
    return folder


@pytest.mark.parametrize(
    "row",
    [
        "Beyonc\u00e9/Album 1.png",
        "pile/Beyonc\u00e9/Album 1.png",
        "pile\\Beyonce\u0301\\Album 1.png",
        "./Beyonce\u0301/Album 1.png",
        "C:\\Music\\pile\\Beyonc\u00e9\\Album 1.png",
        "/home/me/pile/Beyonc\u00e9/Album 1.png",
        "BEYONC\u00c9/album 1.PNG",
        "Album 1.png",
    ],
)
def test_a_table_from_another_system_names_the_same_file(tmp_path: Path, row: str) -> None:
    for form in ("NFC", "NFD"):
        source = pile(tmp_path / form / "pile", unicodedata.normalize(form, "Beyonc\u00e9/Album 1.png"), "other.png")
        table = tmp_path / f"{form}.csv"
        table.write_text(f"File;Genre\n{row};soul\nnowhere.png;pop\n", encoding="utf-8-sig")
        report, line = prepare(tmp_path / f"out-{form}", source, table)
        assert report["genres"] == {"soul": 1}
        assert f"1 of 2 covers have a genre, 1 of 2 rows of {form}.csv matched" in line
        assert report["labels"]["rows_that_match_nothing"] == ["nowhere.png"]
        assert report["labels"]["covers_without"] == 1


def test_rows_that_contradict_or_fit_several_files_are_named(tmp_path: Path) -> None:
    source = pile(tmp_path / "pile", "a/cover.png", "b/cover.png", "c.png")
    table = tmp_path / "t.csv"
    table.write_text("file,genre\ncover.png,rock\nc.png,jazz\nc.png,pop\nc.png,jazz\n")
    report, line = prepare(tmp_path / "out", source, table)
    assert report["labels"]["rows_that_match_several_files"] == {"cover.png": 2}
    assert report["labels"]["rows_that_contradict_others"] == ["c.png"]
    assert report["genres"] == {"jazz": 1, "rock": 2} and "1 of them several files, 1 contradict others" in line


def test_the_row_that_names_most_of_a_path_counts(tmp_path: Path) -> None:
    source = pile(tmp_path / "pile", "A.png", "sub/a.png")
    table = tmp_path / "t.csv"
    table.write_text("file,genre\na.png,any\nA.png,upper\n/x/pile/sub/a.png,deep\n")
    assert prepare(tmp_path / "out", source, table)[0]["genres"] == {"deep": 1, "upper": 1}


def test_a_flat_pile_that_lay_elsewhere_is_known_by_its_names(tmp_path: Path) -> None:
    source = pile(tmp_path / "pile", "a.png", "b.png", "sub/c.png")
    table = tmp_path / "t.csv"
    rows = ("/mnt/old/covers/a.png,rock", "D:\\x\\b.png,jazz", "/mnt/y/b.png,pop", "/mnt/old/covers/c.png,soul")
    table.write_text("\n".join(("file,genre", *rows)))
    report, _ = prepare(tmp_path / "out", source, table)
    assert report["genres"] == {"rock": 1}  # two rows are called b.png, and c.png lies in another folder
    assert report["labels"]["rows_that_match_nothing"] == ["D:\\x\\b.png", "/mnt/y/b.png", "/mnt/old/covers/c.png"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le", "utf-32"])
def test_a_table_in_another_encoding_is_told_in_one_line(tmp_path: Path, encoding: str) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes("file,genre\na.png,Caf\u00e9\n".encode(encoding))
    code, line = program(
        pile(tmp_path / "pile", "a.png"), "--output_dir", tmp_path / "out", *OPTIONS, "--labels", table
    )
    said = "has no columns `file` and `genre`" if encoding == "utf-32" else "is not in UTF-8"
    assert code == 2 and said in line and line.isprintable() and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "table",
    [
        b'file,genre\r12" mix.png,rock\r"a, b.png",jazz\r',
        b'\n \nfile|genre\n12" mix.png|rock\na, b.png|jazz\n',
        b'sep=;\r\nfile;genre\r\n12" mix.png;rock\r\na, b.png;jazz\r\n',
        b'"note, note, note";"Genre";"File"\n;rock;"12"" mix.png"\n;jazz;a, b.png\n',
        b',file_name,label,label\n0,12" mix.png,rock,x\n1,"a, b.png",jazz\n',
        b'\xef\xbb\xbf\xef\xbb\xbffilename\tgenre\n12" mix.png\trock\na, b.png\tjazz\n',
        'path\tgenre\r\n12" mix.png\trock\r\na, b.png\tjazz\r\n'.encode("utf-16"),
    ],
)
def test_tables_of_many_programs_are_read(tmp_path: Path, table: bytes) -> None:
    (tmp_path / "t.txt").write_bytes(table)
    report, _ = prepare(tmp_path / "out", pile(tmp_path / "pile", '12" mix.png', "a, b.png"), tmp_path / "t.txt")
    assert report["genres"] == {"jazz": 1, "rock": 1}
    assert report["labels"]["rows"] == report["labels"]["rows_matched"] == 2


def test_quotation_marks_in_titles_swallow_no_row(tmp_path: Path) -> None:
    source = pile(tmp_path / "pile", '"Heroes".png', "b.png", "c, d.png")
    table = tmp_path / "t.tsv"
    table.write_text('file\tgenre\n"Heroes".png\trock\nb.png\tjazz\n')
    assert prepare(tmp_path / "tsv", source, table)[0]["genres"] == {"jazz": 1, "rock": 1}
    table.write_text('file,genre\n"nowhere.png,rock\nb.png,jazz\n')
    report, _ = prepare(tmp_path / "open", source, table)
    assert report["genres"] == {"jazz": 1} and report["labels"]["rows_that_match_nothing"] == ['"nowhere.png']
    table.write_text('file,genre\n"c, d.png",rock\n"b.png,jazz\n')
    code, line = program(source, "--output_dir", tmp_path / "no", *OPTIONS, "--labels", table)
    assert code == 2 and "a quotation mark is missing" in line


def test_covers_without_a_genre_are_named(tmp_path: Path) -> None:
    source = pile(tmp_path / "pile", "rock/a.png", "b.png", "\u200b/c.png")
    report, _ = prepare(tmp_path / "out", source, "folder")
    assert report["labels"] == {
        "covers_with_a_genre": 1,
        "covers_without": 2,
        "names_without": ["pile/b.png", "pile/\u200b/c.png"],
    }


def test_a_zip_from_windows_has_folders(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "win.zip", "w") as archive:
        for seed, genre in enumerate(("rock", "jazz")):
            info = zipfile.ZipInfo("x")
            info.filename = f"{genre}\\{seed}.png"
            archive.writestr(info, encode(draw_cover(seed), "PNG"))
    report, line = prepare(tmp_path / "out", tmp_path / "win.zip", "folder")
    assert report["genres"] == {"jazz": 1, "rock": 1} and "2 of 2 covers have a genre" in line


def test_of_nested_folders_one_is_the_genre(tmp_path: Path) -> None:
    source = pile(tmp_path / "pile", "Rock/1980s/a.png", "Rock/1990s/b.png", "Jazz/c.png", "d.png")
    report, line = prepare(tmp_path / "a", source, "folder")
    assert report["genres"] == {"1980s": 1, "1990s": 1, "Jazz": 1} and "--label_level 1 takes the outermost" in line
    report, line = prepare(tmp_path / "b", source, "folder", "--label_level", 1)
    assert report["genres"] == {"Jazz": 1, "Rock": 2} and "3 of 4 covers have a genre" in line
    assert prepare(tmp_path / "c", source, "folder", "--label_level", 2)[0]["genres"] == {"1980s": 1, "1990s": 1}


def test_genres_that_no_generator_takes_are_told_before_their_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.prepare.parts.PART_FILES", 1)
    monkeypatch.setattr("train.prepare.labels.MOST_GENRES", 3)
    source = pile(tmp_path / "pile", *(f"{genre}/{genre}.png" for genre in "abcde"))
    code, line = program(source, "--output_dir", tmp_path / "out", *OPTIONS, "--labels", "folder")
    assert code == 2 and "--labels: more than 3 genres; " in line
    parts = tmp_path / "out" / ".prepare-unfinished" / "parts"
    assert len(list(parts.iterdir())) == 3
    features = Features({"image": Image(), "label": ClassLabel(names=["x" * 101])})
    rows = {"image": [{"bytes": encode(draw_cover(1), "PNG"), "path": None}], "label": [0]}
    (tmp_path / "hub").mkdir()
    Dataset.from_dict(rows, features).to_parquet(tmp_path / "hub" / "a.parquet")
    code, line = program(tmp_path / "hub", "--output_dir", tmp_path / "no", *OPTIONS)
    assert code == 2 and line.endswith("; name another column by --label_column") and not (tmp_path / "no").exists()
    # of what is left out alone nobody asks
    assert program(source / "a", "--exclude", tmp_path / "hub", "--output_dir", tmp_path / "yes", *OPTIONS)[0] == 0


def test_stylegans_table_is_read(tmp_path: Path) -> None:
    source = pile(tmp_path / "pile", "00000/img00000000.png", "00000/img00000001.png")
    table = tmp_path / "dataset.json"
    table.write_text(json.dumps({"labels": [["00000/img00000000.png", 6], ["00000/img00000001.png", 0]]}))
    assert prepare(tmp_path / "out", source, table)[0]["genres"] == {"0": 1, "6": 1}
    for wrong in ("[1", "{}", '{"labels": [1]}', "[" * 100_000):
        table.write_text(wrong)
        code, line = program(source, "--output_dir", tmp_path / "no", *OPTIONS, "--labels", table)
        assert code == 2 and "dataset.json" in line, line


def test_what_is_prepared_can_be_trained_on(tmp_path: Path) -> None:
    from train.covers import load_covers, load_genres

    source = pile(tmp_path / "pile", "a.png", "b.png", "c.png", "d.png")
    table = tmp_path / "t.csv"
    table.write_text(
        'file,genre\na.png,   \nb.png,"hip\thop \u00ad"\nc.png,jazz\nd.png,Musique\u0301\n', encoding="utf-8"
    )
    prepare(tmp_path / "out", source, table)
    assert load_genres(str(tmp_path / "out")) == ["Musiqu\u00e9", "hip hop", "jazz"]
    assert load_covers(str(tmp_path / "out"), 32, labelled=True).labels.tolist() == [3, 1, 2, 0]
    table.write_text(f"file,genre\na.png,{'x' * 101}\n")
    code, line = program(source, "--output_dir", tmp_path / "no", *OPTIONS, "--labels", table)
    assert code == 2 and "1 to 100 printable characters" in line
    write_files(tmp_path / "long" / ("y" * 101), {"a.png": encode(draw_cover(1), "PNG")})
    code, line = program(tmp_path / "long", "--output_dir", tmp_path / "no", *OPTIONS, "--labels", "folder")
    assert code == 2 and "1 to 100 printable characters" in line
