"""Text on covers, and covers for the print."""

import base64
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from gan import load_pipeline
from gan.studio.address import from_png
from gan.studio.checks import Refused
from gan.studio.model import Model
from gan.studio.print import upscale
from gan.studio.print.contrast import READABLE, Readable, contrast, contrast_beneath, make_readable
from gan.studio.print.layouts import LAYOUTS, POSITIONS, SAFE, set_on
from gan.studio.print.typeset import (
    FACES,
    FONTS,
    REFERENCE,
    Line,
    clean,
    face_for,
    fit,
    font,
    text_mask,
    unit_width,
    unknown_letters,
)
from gan.studio.print.upscale import enlarge
from gan.studio.tabs import finish as tab
from gan.studio.tabs.finish import LONGEST_TITLE, PREVIEW_SIZE, Finish, Order
from tests.helpers.drawn import draw_cover


LONG = "A Very Long Title About the Weather, the Sea and Everything That Came After It, Part 2"


@pytest.fixture(scope="module")
def finish(tiny_pipeline_folder: Path) -> Finish:
    return Finish(Model(load_pipeline(tiny_pipeline_folder), "user/covers", "v1"))


def order(finish: Finish, **values: object) -> Order:
    return finish.read({"address": "seed=7", "artist": "Mara", "title": "Tide", "layout": "poster"} | values)


# ---- fonts


def test_every_font_has_its_letters_and_may_be_shipped() -> None:
    files = sorted(FONTS.glob("*.?tf"))
    licence = (FONTS / "OFL.txt").read_text()
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence and all(file.name in licence for file in files)
    assert {file.stem for file in files} == set(FACES)
    assert sum(file.stat().st_size for file in files) < 1_500_000
    for file in files:
        face = ImageFont.truetype(file, 60)
        missing = bytes(face.getmask("\u2603"))  # a snowman: the sign for what a font does not have
        letters = {letter for letter in FACES[file.stem] if letter.strip() and letter not in "\u0301\u0308"}
        assert not [letter for letter in letters if bytes(face.getmask(letter)) == missing]
        # layouts set capitals
        assert {upper for letter in FACES[file.stem] for upper in letter.upper()} <= FACES[file.stem]


def test_text_is_cleaned_and_what_cannot_be_set_is_named() -> None:
    assert clean("  Cafe\u0301 \n del  Mar ") == "Café del Mar"
    assert unknown_letters(clean("Ærø – “Łódź” Guðmundsson’s")) == []
    for text in ("Привет", "Ελλάδα ΐ", "Українська ґ", "東京の夜", "Đường về", "カバー Nights"):
        assert unknown_letters(clean(text)) == []
    assert unknown_letters("Привет☃ سلام") == sorted("☃سلام")
    assert unknown_letters("東京 Ђ") == ["Ђ"]  # no font has both


def test_what_a_font_lacks_is_set_in_another() -> None:
    assert [face_for(text, "poster") for text in ("Tide", "Прилив", "東京", "سلام")] == [
        "poster",
        "wide",
        "japanese",
        None,
    ]


# ---- fitting


@pytest.mark.parametrize("text", ("Tide", LONG, "W" * LONGEST_TITLE, "Donaudampfschiffskapitänsmützenfabrik", "a b"))
def test_text_fits_its_box(text: str) -> None:
    for name in ("poster", "classic-italic", "typewriter"):
        lines, size = fit(text, name, 0.88, 0.4, 0.3, leading=1.0)
        assert " ".join(lines).replace(" ", "") == text.replace(" ", "")  # nothing is left out
        assert max(unit_width(line, name) * size for line in lines) <= 0.88 + 1e-6
        assert len(lines) * size <= 0.4 + size and size <= 0.3


def test_words_stay_whole_and_lines_are_about_equally_long() -> None:
    lines, _ = fit(LONG, "poster", 0.88, 0.46, 0.34, leading=0.86)
    assert " ".join(lines) == LONG and len(lines) > 1
    widths = [unit_width(line, "poster") for line in lines]
    assert min(widths) > max(widths) / 3
    assert fit("Tide", "poster", 0.88, 0.46, 0.34, leading=0.86) == (["Tide"], 0.34)


def test_tracked_text_is_as_wide_as_it_says() -> None:
    line = Line("AVATAR", "poster", 0.1, 0.05, 0.5, tracking=0.02)
    left, _, right, _ = text_mask([line], REFERENCE).getbbox()
    assert (right - left) / REFERENCE == pytest.approx(line.width, abs=0.012)
    assert font("poster", 100).getlength("AVATAR") / REFERENCE + 5 * 0.02 == pytest.approx(line.width, abs=1e-3)


# ---- contrast


def test_contrast_as_wcag_has_it() -> None:
    assert contrast((255, 255, 255), (0, 0, 0)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.478, abs=1e-3)  # WebAIM's checker: 4.48
    assert contrast((0, 0, 255), (255, 255, 255)) == contrast((255, 255, 255), (0, 0, 255))


def test_the_least_contrast_counts() -> None:
    half = Image.new("RGB", (500, 500), "white")
    half.paste("black", (0, 0, 250, 500))
    beside = text_mask([Line("M", "grotesk", 0.2, 0.1, 0.5)], 500)
    across = text_mask([Line("MMMMMM", "grotesk", 0.2, 0.0, 0.5)], 500)
    assert contrast_beneath(half, beside, (255, 255, 255)) == pytest.approx(21)
    assert contrast_beneath(half, across, (255, 255, 255)) == pytest.approx(1)


def test_as_much_scrim_as_it_takes_and_no_more() -> None:
    text, scrim = text_mask([Line("MMMMMM", "grotesk", 0.2, 0.0, 0.5)], 500), Image.new("L", (500, 500), 255)
    none = make_readable([Image.new("RGB", (500, 500), "black")], text, scrim, (250, 250, 250), (10, 10, 10))
    assert (none.scrim, none.colour) == (0, (250, 250, 250))
    some = make_readable([Image.new("RGB", (500, 500), (120, 120, 120))], text, scrim, (250, 250, 250), (10, 10, 10))
    assert 0 < some.scrim < 0.5 and READABLE <= some.contrast < READABLE * 1.2


def covers() -> list[Image.Image]:
    """Drawn ones and the hardest: white, black, grey, and checks of both."""
    checks = np.indices((240, 240)).sum(0) // 15 % 2 * 255
    plain = [Image.new("RGB", (240, 240), colour) for colour in ("white", "black", (118, 118, 118), "red", "yellow")]
    return [
        *(draw_cover(seed, 240) for seed in range(4)),
        *plain,
        Image.fromarray(checks.astype(np.uint8)).convert("RGB"),
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_readable_on_every_cover(layout: str) -> None:
    for cover in covers():
        for artist, title in (("The Quiet Machines", "Nobody Was Ever Here"), ("", LONG), ("Mara", "")):
            before = cover.tobytes()
            done = set_on([cover], layout, artist, title)
            assert done.contrast >= READABLE and done.pictures[0].size == cover.size
            assert cover.tobytes() == before != done.pictures[0].tobytes()
        assert set_on([cover], layout, "", "").pictures[0].tobytes() == before


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("font", ("", "classic-italic", "wide"))
def test_text_keeps_its_distance_from_the_edges(layout: str, font: str) -> None:
    cover, texts = (
        Image.new("RGB", (400, 400), (90, 90, 90)),
        (("Gjqy, Åsa", LONG), ("", "W" * 60), ("東京の夜", "夜の東京と海")),
    )
    for artist, title in texts:
        for position in ("", *POSITIONS):
            done = set_on([cover], layout, artist, title, font, (255, 0, 255), position).pictures[0]
            pink = (np.asarray(done).astype(int) - (255, 0, 255)).__abs__().max(2) < 60
            rows, columns = np.nonzero(pink)
            assert min(rows.min(), columns.min()) >= 400 * SAFE - 2
            assert max(rows.max(), columns.max()) <= 400 * (1 - SAFE) + 2


def test_text_goes_where_it_is_asked_to() -> None:
    cover = Image.new("RGB", (400, 400), (90, 90, 90))
    for layout in LAYOUTS:
        middles = []
        for position in POSITIONS:
            done = set_on([cover], layout, "Mara", "Tide", "", (255, 0, 255), position).pictures[0]
            inked = np.nonzero((np.asarray(done).astype(int) - (255, 0, 255)).__abs__().max(2) < 60)
            middles.append(inked[1 if layout == "spine" else 0].mean())
        assert middles[0] < 150 < middles[1] < 250 < middles[2]


@pytest.mark.parametrize("ink", ("light", "dark", "accent", (128, 128, 128), (0, 0, 0), (255, 240, 0)))
def test_text_of_any_colour_is_readable(ink: str | tuple[int, int, int]) -> None:
    for cover in covers():
        done = set_on([cover], "poster", "Mara", "Tide", "", ink)
        assert done.contrast >= READABLE and (isinstance(ink, str) or done.colour == ink)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_preview_and_print_are_set_alike(layout: str) -> None:
    cover = draw_cover(5, 1200)
    large = set_on([cover], layout, "The Quiet Machines", LONG).pictures[0]
    small = set_on([cover.resize((300, 300))], layout, "The Quiet Machines", LONG).pictures[0]
    gap = np.asarray(large.resize((60, 60), Image.Resampling.BOX)).astype(int)
    gap -= np.asarray(small.resize((60, 60), Image.Resampling.BOX))
    assert np.abs(gap).mean() < 4


def test_the_frames_of_a_film_share_one_text() -> None:
    frames = [Image.new("RGB", (240, 240), (shade, shade, shade)) for shade in (40, 90, 140, 200)]
    done = set_on(frames, "poster", "Mara", "Tide")
    assert done.contrast >= READABLE and len(done.pictures) == 4
    inside = text_mask([Line("M", "poster", 0.1, 0, 1)], 240)
    assert inside.getbbox()
    shown = [np.asarray(picture)[::, ::].reshape(-1, 3) for picture in done.pictures]
    same = np.all([np.abs(one.astype(int) - done.colour).max(1) < 3 for one in shown], axis=0)
    assert same.sum() > 1000  # the letters


# ---- enlarging


def test_enlarging_keeps_colours_and_sharpens_edges() -> None:
    cover = draw_cover(3, 32)
    large = enlarge(cover, 320)
    assert large.size == (320, 320) and enlarge(cover, 320).tobytes() == large.tobytes()
    back = np.asarray(large.resize((8, 8), Image.Resampling.BOX)).astype(int)
    assert np.abs(back - np.asarray(cover.resize((8, 8), Image.Resampling.BOX))).mean() < 10
    edge = Image.new("RGB", (32, 32), (200, 200, 200))
    edge.paste((40, 40, 40), (0, 0, 16, 32))
    steepest = [
        np.abs(np.diff(np.asarray(picture.convert("L")).astype(float).mean(0))).max()
        for picture in (enlarge(edge, 320), edge.resize((320, 320), Image.Resampling.LANCZOS))
    ]
    assert steepest[0] > 1.3 * steepest[1]


@pytest.mark.parametrize("angle", (0.1, 0.3))
def test_a_slanted_edge_is_straight(angle: float) -> None:
    """As a cover has one, each pixel the share of it that is dark, it would be a row of beads."""
    y, x = np.mgrid[0:512, 0:512] / 16 - 16
    dark = (x * np.cos(angle) + y * np.sin(angle) > 0).reshape(32, 16, 32, 16).mean((1, 3))
    edge = Image.fromarray((200 - 160 * dark).round().astype(np.uint8)).convert("RGB")
    rows = np.asarray(enlarge(edge, 256).convert("L")).astype(float)[80:176]
    crossings = []
    for row in rows:
        left = np.nonzero((row[:-1] >= 120) & (row[1:] < 120))[0][0]
        crossings.append(left + (row[left] - 120) / (row[left] - row[left + 1]))
    slope, start = np.polyfit(range(96), crossings, 1)
    away = np.abs(crossings - (slope * np.arange(96) + start)).mean() / 8  # in the cover's own pixels
    assert away < 0.06


def test_checkerboards_of_a_pixel_are_taken_out_and_edges_are_not() -> None:
    checks = (np.indices((32, 32)).sum(0) % 2) * 16.0 + 100
    checks[:, 16:] += 90
    noisy = torch.from_numpy(np.stack([checks] * 3)).float() / 255
    smooth = upscale.without_noise(noisy, 0.1)
    for part in (slice(2, 14), slice(18, 30)):
        assert smooth[:, 2:30, part].std() < noisy[:, 2:30, part].std() / 4
    assert (smooth[:, :, 20:].mean() - smooth[:, :, :12].mean()) > 0.8 * 90 / 255


def test_light_is_added_as_light() -> None:
    torch.testing.assert_close(upscale.to_srgb(upscale.to_linear(torch.linspace(0, 1, 99))), torch.linspace(0, 1, 99))
    assert upscale.to_srgb(torch.tensor(0.5)).item() == pytest.approx(188 / 255, abs=0.002)


# ---- orders


def test_a_print_is_3000_pixels_and_opens_again(finish: Finish) -> None:
    data = finish.print(order(finish))
    picture = Image.open(io.BytesIO(data))
    assert (picture.format, picture.size) == ("PNG", (3000, 3000))
    assert from_png(data) == order(finish).cover  # its address, from the head of the file


def test_a_loop_has_the_text_and_no_seam(finish: Finish) -> None:
    loop = Image.open(io.BytesIO(finish.loop(order(finish))))
    assert (loop.n_frames, loop.size, loop.info["loop"]) == (60, (512, 512), 0)
    shown = []
    for number in range(loop.n_frames):
        loop.seek(number)
        shown.append(np.asarray(loop.convert("RGB")).astype(int))
    steps = [np.abs(one - other).mean() for one, other in zip(shown, [*shown[1:], shown[0]], strict=True)]
    assert 0 < steps[-1] <= 1.5 * max(steps[:-1])


def in_data(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_a_preview_tells_its_contrast(finish: Finish) -> None:
    asked = {"address": "seed=7", "artist": "Mara", "title": "", "layout": "corner"}
    preview = finish.preview(asked)
    assert preview["contrast"] >= READABLE
    assert in_data(preview["src"]).size == (720, 720)
    assert finish.preview(asked | {"artist": " "})["contrast"] is None


def test_cards_show_each_layout_with_the_text_that_there_is(finish: Finish) -> None:
    asked = {"address": "seed=7", "artist": "", "title": "", "layout": "corner", "instead": ["Artist", "Title"]}
    cards = dict(finish.cards(asked)["cards"])
    assert list(cards) == list(LAYOUTS) and len(set(cards.values())) == len(LAYOUTS)
    assert {in_data(card).size for card in cards.values()} == {(400, 400)}
    assert finish.cards(asked | {"artist": "Artist", "title": "Title"})["cards"] == finish.cards(asked)["cards"]
    assert finish.cards(asked | {"title": "Tide"})["cards"] != finish.cards(asked)["cards"]
    for wrong in (None, ["Artist"], [1, 2], ["x" * 99, "Title"]):
        with pytest.raises(Refused):
            finish.cards(asked | {"instead": wrong})


def test_a_quick_preview_waits_for_no_cards(finish: Finish, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(pictures: list[Image.Image], *what: str) -> Readable:
        if pictures[0].width < PREVIEW_SIZE:
            begun.set()
            assert go_on.wait(60)
        return set_on(pictures, *what)

    monkeypatch.setattr(tab, "set_on", slowly)
    asked = {"address": "seed=7", "artist": "Mara", "title": "Tide", "layout": "corner", "instead": ["", ""]}
    with ThreadPoolExecutor(2) as visitors:
        cards = visitors.submit(finish.cards, asked)
        assert begun.wait(60)
        try:
            assert visitors.submit(finish.preview, asked | {"quick": True}).result(timeout=30)["src"]
            assert not cards.done()
        finally:
            go_on.set()
        assert len(cards.result()["cards"]) == len(LAYOUTS)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    (
        ({"layout": "../poster"}, "a layout is one of poster, corner"),
        ({"layout": None}, "a layout is one of"),
        ({"title": "x" * 121}, "the title is text of at most 120 letters"),
        ({"title": "x" * 10**7}, "the title is text of at most 120 letters"),
        ({"artist": "سلام"}, "the fonts have no ا, س, ل, م: they know Latin, Greek, Cyrillic and Japanese letters"),
        ({"font": "../classic"}, "a font is one of poster, "),
        ({"ink": "#12345"}, "a colour is one of light, dark, accent, #rrggbb, or none"),
        ({"ink": "#rrggbb"}, "a colour is one of"),
        ({"position": 1}, "a position is one of start, middle, end, or none"),
        ({"artist": "a\u202eb"}, "the fonts have no U\\+202E"),
        ({"artist": ["a"]}, "the artist is text"),
        ({"address": "seed=x"}, "a seed is a whole number"),
        ({"address": None}, "an address is text"),
    ),
)
def test_a_wrong_order_is_refused(finish: Finish, wrong: dict, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        order(finish, **wrong)


def test_enlarging_takes_one_thread_and_leaves_torch_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, lanczos = [], upscale.lanczos
    monkeypatch.setattr(
        upscale, "lanczos", lambda *values: (inside.append(torch.get_num_threads()), lanczos(*values))[1]
    )
    torch.set_num_threads(3)
    try:
        with upscale.one_thread():
            assert torch.get_num_threads() == 1
            with upscale.one_thread():  # a second visitor's
                pass
        seen = []
        threads = [threading.Thread(target=enlarge, args=(draw_cover(1, 32), 320)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # as a thread that comes later has it
        late = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        late.start()
        late.join()
        assert set(inside) == {1} and seen == [3] and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
