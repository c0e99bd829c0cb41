"""The report of a preparation, opened from the disk in a real browser."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.helpers import programs
from tests.helpers.drawn import bad_files, draw_cover, encode, write_files


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    pile = {f"rock/{seed}.png": encode(draw_cover(seed, 200), "PNG") for seed in range(6)}
    pile |= {f"again/{seed}.jpg": encode(draw_cover(seed, 150), "JPEG") for seed in range(4)}
    pile |= {f"bad/{name}": content for name, (content, _) in bad_files().items()}
    for name in ("rock", "again", "bad"):
        (folder / "pile" / name).mkdir(parents=True)
    write_files(folder / "pile", pile)
    command = [sys.executable, "-m", "train.prepare", folder / "pile", "--output_dir", folder / "out"]
    options = ["--resolution", "64", "--labels", "folder", "--num_workers", "1"]
    ended = programs.run([*command, *options])
    assert ended.returncode == 0, ended.stderr
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def page(browser: Browser, report: Path) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.errors = []
    page.requests = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text))
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_load_state("networkidle")
    yield page
    page.close()


def test_every_reason_is_counted_and_shown(page: Page):
    sections = {section.get_attribute("id"): section for section in page.query_selector_all(".reason")}
    assert set(sections) == {reason for _, reason in bad_files().values()} | {"near-duplicate"}
    for reason, section in sections.items():
        count = sum(bad == reason for _, bad in bad_files().values()) or 4
        assert section.query_selector("h3 b").inner_text() == str(count)
        if reason != "near-duplicate":
            assert section.query_selector("figure")
    for reason in ("truncated", "damaged-jpeg", "animated", "too-small", "too-elongated"):
        assert sections[reason].query_selector("img"), reason
    said = sections["wrong-content"].inner_text()
    assert "a web page" in said and "doctype" not in said and "404" not in said  # no content is quoted


def test_copies_are_side_by_side_the_larger_first(page: Page):
    clusters = [
        [picture.get_attribute("alt") for picture in cluster.query_selector_all("img")]
        for cluster in page.query_selector_all(".cluster")
    ]
    assert sorted(clusters) == [[f"pile/rock/{seed}.png", f"pile/again/{seed}.jpg"] for seed in range(4)]
    first, second = page.query_selector_all(".cluster")[0].query_selector_all("img")
    assert first.bounding_box()["y"] == second.bounding_box()["y"]


def test_every_picture_is_whole_and_nothing_is_asked_of_another_host(page: Page, report: Path):
    assert page.evaluate("[...document.images].every(i => (i.loading = 'eager', true))")
    page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.query_selector_all("img")
    assert [url for url in page.requests if not url.startswith("data:")] == [report.as_uri()]
    assert page.errors == []


def test_it_fits_a_phone(page: Page):
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
