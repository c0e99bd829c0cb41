"""Covers found by colour, faders with names, the opening cover, and how the generator learned: page and programs."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import expect

from gan import load_pipeline
from gan.pipeline import AlbumCoverPipeline
from gan.studio import build_page
from gan.studio.checks import Refused
from gan.studio.model import Model
from gan.studio.tabs.crate import Crate
from gan.studio.tabs.learned import Learned, read_scores
from gan.survey import Survey, survey
from tests.helpers.drawn import draw_cover
from tests.helpers.serving import launched


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline_folder: Path) -> AlbumCoverPipeline:
    return load_pipeline(tiny_pipeline_folder)


@pytest.fixture(scope="module")
def known(pipeline: AlbumCoverPipeline) -> Survey:
    faders = (("darker", "lighter"), None, ("warmer", "cooler"))
    return Survey(survey(pipeline, 64).colours, faders, opening=18)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film and the log of a run."""
    folder = tmp_path_factory.mktemp("run")
    frames = [draw_cover(seed, 64) for seed in range(5)]
    frames[0].save(folder / "film.webp", save_all=True, append_images=frames[1:], lossless=True)
    lines = [
        {"images": n, "loss_g": 1.0} | ({"fd_covers": 9 - n / 100} if n % 200 == 0 else {}) for n in (0, 100, 200, 400)
    ]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def address(pipeline: AlbumCoverPipeline, known: Survey, run: Path):
    with launched(build_page(pipeline, "user/covers", survey=known, folder=run)) as address:
        yield address


def test_covers_are_found_by_colour(pipeline: AlbumCoverPipeline, known: Survey) -> None:
    crate = Crate(Model(pipeline, "user/covers", survey=known))
    first, rest = crate.find(["red", "blue"]), crate.find(["blue", "red"], 12, 5)
    assert len(first) == 12 and len(rest) == 5
    assert [one.seed for one in [*first, *rest]] == known.find(["blue", "red"])[:17].tolist()
    assert crate.find(["red"], 64) == []


@pytest.mark.parametrize(
    "colours", ([], ["red"] * 2, ["red", "blue", "green", "pink"], ["mauve"], "red", None, [["red"]])
)
def test_strange_colours_are_refused(pipeline: AlbumCoverPipeline, known: Survey, colours: object) -> None:
    with pytest.raises(Refused, match="give 1 to 3 different colours of black, white"):
        Crate(Model(pipeline, "user/covers", survey=known)).find(colours)
    with pytest.raises(Refused, match="came without an index of colours"):
        Crate(Model(pipeline, "user/covers")).find(["red"])


def test_programs_find_covers_by_colour(address: str, known: Survey) -> None:
    client = Client(address, verbose=False)
    found = client.predict(["red"], 3, api_name="/find")
    assert [int(re.match(r"seed=(\d+)&", one)[1]) for one in found] == known.find(["red"])[:3].tolist()
    with pytest.raises(AppError, match="Give 1 to 3 different colours"):
        client.predict(["mauve"], api_name="/find")


def test_the_page_opens_on_the_chosen_cover_and_finds_others_by_colour(visitors, address: str, known: Survey) -> None:
    page = visitors.arrive().new_page()
    page.goto(address)
    expect(page.locator("#crate .details")).to_contain_text("Seed 18")
    page.get_by_role("button", name="red", exact=True).click()
    found = page.locator("#by_colour .of-colours button")
    expect(found).to_have_count(12)
    page.get_by_role("button", name="blue", exact=True).click()
    best = known.find(["red", "blue"])
    expect(found.first).to_have_attribute("title", f"Seed {best[0]}")
    page.click("#by_colour .more")
    expect(found).to_have_count(24)
    found.nth(1).click()
    expect(page.locator("#crate .details")).to_contain_text(f"Seed {best[1]}")
    expect(found.nth(1)).to_have_attribute("aria-pressed", "true")


def test_what_was_found_by_colour_is_in_the_address(visitors, address: str, known: Survey) -> None:
    page = visitors.arrive().new_page()
    page.goto(f"{address}?seed=1&find=red-nope-red-blue")
    found, pressed = (
        page.locator("#by_colour .of-colours button"),
        page.locator("#by_colour .swatches [aria-pressed=true]"),
    )
    expect(found).to_have_count(12)
    expect(pressed).to_have_count(2)
    page.click("#by_colour .more")
    expect(found).to_have_count(24)
    seeds = [one.get_attribute("title") for one in found.all()]
    assert seeds == [f"Seed {seed}" for seed in known.find(["red", "blue"])[:24]]
    found.nth(20).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#crate .details")).to_contain_text(seeds[20])
    expect(found.nth(20)).to_be_focused()
    page.reload()
    expect(found).to_have_count(24)
    expect(found.nth(20)).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(page.locator("#crate .details")).to_contain_text("Seed 1,")
    page.get_by_role("button", name="red", exact=True).click()
    expect(found.first).to_have_attribute("title", f"Seed {known.find(['blue'])[0]}")
    page.wait_for_url("**find=blue")
    page.go_back()
    expect(found.first).to_have_attribute("title", seeds[0])
    expect(pressed).to_have_count(2)


def test_faders_have_names(visitors, address: str) -> None:
    page = visitors.arrive().new_page()
    page.goto(f"{address}?seed=1&tab=breed")
    expect(page.locator("#breed .fader .called")).to_have_text(
        ["darker – lighter", "Fader 2", "warmer – cooler", "Fader 4", "Fader 5", "Fader 6"]
    )
    page.get_by_role("slider", name="From darker to lighter").focus()
    page.keyboard.press("End")
    expect(page.locator("#breed .stand")).to_have_attribute("data-address", re.compile("latents="))


def test_how_it_learned_is_scrubbed_under_its_scores(visitors, address: str) -> None:
    page = visitors.arrive(reduced_motion="reduce").new_page()
    page.goto(f"{address}?seed=1&tab=walk")
    page.click("#learned .draw")
    details, picture = page.locator("#learned .details"), page.locator("#learned img")
    expect(details).to_have_text("After about 400 covers: distance to real covers 5.00")
    last = picture.get_attribute("src")
    page.keyboard.press("Home")  # the slider has the focus
    expect(details).to_have_text("After about 0 covers: distance to real covers 9.00")
    assert picture.get_attribute("src") != last
    page.locator("#learned .moment").fill("2")
    expect(details).to_have_text("After about 200 covers: distance to real covers 7.00")


def test_without_them_nothing_is_shown(visitors, pipeline: AlbumCoverPipeline) -> None:
    with launched(build_page(pipeline, "user/covers")) as address:
        page = visitors.arrive().new_page()
        page.goto(address)
        expect(page.locator("#crate .details")).to_contain_text("Seed 1")
        assert page.locator("#by_colour, #learned").count() == 0


def test_a_damaged_film_or_log_is_left_out(run: Path, tmp_path: Path) -> None:
    assert not Learned(None).there and not Learned(tmp_path).there
    for content in (
        "",
        "[]\n7\n",
        "{",
        '{"images": 1, "fd_covers": NaN}\n' * 3,
        '{"images": "1", "fd_covers": 1}\n' * 3,
        '{"images": 1, "fd_covers": 1' + "0" * 400 + "}\n" * 3,
        '{"images": 1' + "0" * 400 + ', "fd_covers": 1}\n' * 3,
        "[" * 100_000,
    ):
        (tmp_path / "metrics.jsonl").write_text(content)
        assert read_scores(tmp_path / "metrics.jsonl") == ("", [])
    # a folder may be a stranger's: nothing that never ends is read, and no link is followed
    (tmp_path / "metrics.jsonl").unlink()
    os.mkfifo(tmp_path / "metrics.jsonl")
    assert not Learned(tmp_path).there and read_scores(tmp_path / "metrics.jsonl") == ("", [])
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").symlink_to("/dev/zero")
    assert read_scores(tmp_path / "metrics.jsonl") == ("", [])
    for name in ("film.webp", "metrics.jsonl"):
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).symlink_to(run / name)
    assert Learned(run).there and not Learned(tmp_path).there
    for name in ("film.webp", "metrics.jsonl"):
        (tmp_path / name).unlink()
    (tmp_path / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes())
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "film.webp", "PNG")
    assert Learned(tmp_path).show("") == {"frames": []}
