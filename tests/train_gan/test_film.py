"""The film of a run, from sheets of which each cover is known."""

import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from gan.film import SMALLEST_FILM
from tests.helpers.drawn import draw_cover
from train.train_gan import film
from train.train_gan.film import has_film, make_film


def draw_sheet(run: Path, images: int, side: int = 16) -> list[Image.Image]:
    """A sheet of 64 covers, as a checkpoint leaves it; returns the covers."""
    covers = [draw_cover(1000 * images + seed, side) for seed in range(64)]
    sheet = Image.new("RGB", (8 * side, 8 * side))
    for seed, cover in enumerate(covers):
        sheet.paste(cover, (seed % 8 * side, seed // 8 * side))
    (run / "samples").mkdir(exist_ok=True)
    sheet.save(run / "samples" / f"images-{images:010d}.png")
    return covers


def frames(file: Path) -> tuple[list[np.ndarray], list[int]]:
    """The frames of a film, and how many milliseconds each stays."""
    with Image.open(file) as picture:
        shown = []
        for number in range(picture.n_frames):
            picture.seek(number)
            shown.append((np.asarray(picture.convert("RGB"), dtype=float), picture.info["duration"]))
    return [frame for frame, _ in shown], [stay for _, stay in shown]


def test_a_film_without_the_newest_sheet_is_none(tmp_path: Path) -> None:
    draw_sheet(tmp_path, 400)
    assert not has_film(tmp_path)
    make_film(tmp_path)
    assert has_film(tmp_path)
    draw_sheet(tmp_path, 800)
    later = (tmp_path / "film.webp").stat().st_mtime + 1
    os.utime(tmp_path / "samples" / "images-0000000800.png", (later, later))
    assert not has_film(tmp_path)


def test_each_sheet_is_a_frame_of_its_first_covers_and_the_last_stays(tmp_path: Path) -> None:
    sheets = [draw_sheet(tmp_path, images) for images in (400, 800, 12_000)]
    make_film(tmp_path)
    shown, stays = frames(tmp_path / "film.webp")
    assert stays == [100, 100, 2000]
    for frame, covers in zip(shown, sheets, strict=True):
        assert frame.shape == (64, 64, 3)
        for seed in range(16):
            row, column = divmod(seed, 4)
            there = frame[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
            gaps = [np.abs(there - np.asarray(cover)).mean() for cover in covers]
            assert np.argmin(gaps) == seed and gaps[seed] < 30, (seed, gaps[seed])


def test_of_many_sheets_some_are_taken_from_the_first_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "LONGEST", 5)
    for images in range(9):
        draw_sheet(tmp_path, images)
    make_film(tmp_path)
    shown, _ = frames(tmp_path / "film.webp")
    for frame, images in zip(shown, (0, 2, 4, 6, 8), strict=True):
        cover = np.asarray(draw_cover(1000 * images, 16))
        assert np.abs(frame[:16, :16] - cover).mean() < 30


def test_a_film_is_not_too_large_for_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for images in range(8):
        draw_sheet(tmp_path, images)
    make_film(tmp_path)
    whole = (tmp_path / "film.webp").stat().st_size
    for largest in (whole // 2, 1):
        monkeypatch.setattr(film, "LARGEST", largest)
        make_film(tmp_path)
        shown, _ = frames(tmp_path / "film.webp")
        assert np.abs(shown[-1][:16, :16] - np.asarray(draw_cover(7000, 16))).mean() < 30
        if largest > 1:
            assert 2 <= len(shown) < 8 and (tmp_path / "film.webp").stat().st_size <= largest
    assert len(shown) == 1  # nothing is smaller than one frame


def test_an_mp4_is_made_too(tmp_path: Path) -> None:
    for images in range(3):
        draw_sheet(tmp_path, images)
    make_film(tmp_path)
    mp4 = tmp_path / "film.mp4"
    with av.open(str(mp4)) as film:
        shown = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert {frame.shape for frame in shown} == {(SMALLEST_FILM, SMALLEST_FILM, 3)}
    assert len(shown) == 2 + 2 * 10  # the last one stays for two seconds
    quarter = SMALLEST_FILM // 4
    covers = [Image.fromarray(frame[:quarter, :quarter]).resize((16, 16), Image.Resampling.BOX) for frame in shown]
    for place, cover in enumerate(covers):
        gaps = [np.abs(np.asarray(cover, int) - np.asarray(draw_cover(1000 * n, 16), int)).mean() for n in range(3)]
        assert np.argmin(gaps) == min(place, 2) and min(gaps) < 30, (place, gaps)


def test_a_run_without_sheets_gets_no_film(tmp_path: Path) -> None:
    make_film(tmp_path)
    assert not list(tmp_path.iterdir())
