"""The page of runs as people have it: the real program in a real Chromium, beside a real training."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from gan.health import Health
from tests.helpers.drawn_run import EVERY, append, draw_run, evaluation, line
from tests.helpers.runs import command, start
from tests.helpers.serving import ROOT, free_port, serving
from tests.helpers.visiting import NAMELESS


WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
COLOURS = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
SHOWN = "performance.getEntriesByName('runs-shown')[0].startTime"
LATE = 20_000  # ms until a page that asks every four seconds must have heard of something


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs in a folder; tests change none of them."""
    place = tmp_path_factory.mktemp("runs of mine")
    draw_run(place / "first", lines=60, sheets=6)
    draw_run(place / "zweiter Lauf ü & <b>", lines=40, sheets=4, learning_rate=0.001, augmentation="auto")
    lost = draw_run(place / "lost", lines=30, sheets=0)
    append(lost, *(line(number, pair_accuracy=1.0, skipped_updates=2) for number in range(31, 60)))
    return place


@contextmanager
def open_program(*folders: Path, login: str = "") -> Iterator[str]:
    more = ["--auth", login] if login else []
    program = [sys.executable, "app.py", "--port", free_port(), *more, "--run", *folders]
    with serving(program) as (address, said, process):
        assert said.count("\n") == 1
        yield address
    assert process.returncode == 0


@pytest.fixture(scope="module")
def address(folders: Path) -> Iterator[str]:
    with open_program(folders) as address:
        yield address


@pytest.fixture
def look(visitors) -> Iterator[Callable[..., Page]]:
    """`look(address, width=..., **context)`: opens a page of runs, and at the end looks whether all was well."""
    wrong = []

    def open_page(address: str, width: int = 1280, height: int = 900, **options: object) -> Page:
        page = visitors.arrive(**({"locale": "en-US"} | options)).new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        ours = address.rstrip("/")
        page.on("request", lambda request: None if request.url.startswith(ours) else wrong.append(request.url))
        page.goto(address)
        page.wait_for_selector("body[data-shown]")
        return page

    yield open_page
    assert not wrong


def chart(page: Page, measure: str):
    return page.locator(f"figure[data-measure='{measure}']")


def sheet_of(page: Page, run: str) -> str:
    return page.locator(f".sheets figure[data-run='{run}'] img").get_attribute("alt")


def test_runs_beside_each_other(look, address: str):
    page = look(address)
    expect(page.locator(".card")).to_have_count(3)
    expect(page.locator("h1")).to_have_text("3 runs")
    first = page.locator(".card[data-run=first]")
    expect(first).to_contain_text("96,000 of 384,000 covers shown, in 1 h 40 min, 16 covers a second, about 5 h 0 min")
    assert chart(page, "loss_g").locator("polyline:not(.raw)").count() == 3
    assert chart(page, "fd_covers").locator("polyline.real").count() == 3
    assert chart(page, "real_fd_covers").count() == 0
    expect(chart(page, "fd_covers").locator("em")).to_have_text([re.compile(r"^0\.833"), "1.67", "1.25"])
    rows = page.locator("table.differs tbody th").all_inner_texts()
    assert sorted(rows) == ["augmentation", "learning_rate", "total_images"]
    expect(page.locator("table.differs tbody tr", has_text="learning_rate").locator("td")).to_have_text(
        ["0.0003", "0.0003", "0.001"]
    )
    page.get_by_text("What is the same").click()
    expect(page.get_by_role("row", name="generator.width")).to_be_visible()


def test_a_run_that_is_not_ticked_is_not_drawn(look, address: str):
    page = look(address)
    page.get_by_label("Show first").uncheck()
    expect(page.locator(".sheets figure")).to_have_count(1)
    assert chart(page, "loss_g").locator("polyline:not(.raw)").count() == 2
    page.get_by_label("Show lost").uncheck()
    expect(page.locator("table.differs")).to_have_count(0)
    assert page.locator("#recipe summary").inner_text() == "The recipe"


def test_sheets_follow_the_cursor(look, address: str):
    page = look(address)
    assert "after 96,000 covers" in sheet_of(page, "first")
    plot = chart(page, "loss_g").locator(".plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 20)
    assert "after 32,000 covers" in sheet_of(page, "first")
    assert "after 32,000 covers" in sheet_of(page, "zweiter Lauf ü & <b>")
    page.locator(".place input").fill("20000")
    assert "after 16,000 covers" in sheet_of(page, "first")
    expect(page.locator("output")).to_have_text("20,000")
    assert page.locator(".sheets img").first.evaluate("img => img.decode().then(() => img.naturalWidth)") == 256


def test_arrow_keys_go_along_a_curve_and_say_its_numbers(look, address: str):
    page = look(address)
    slider = page.get_by_role("slider", name="Distance to real covers (fd_covers)")
    slider.focus()
    page.keyboard.press("Home")
    said = slider.get_attribute("aria-valuetext")
    assert said.startswith("16,000 covers shown; first: 5; first, real: 1.6; ") and slider.evaluate(
        "slider => slider === document.activeElement"
    )
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext").startswith("32,000 covers shown; first: 2.5; ")
    assert slider.get_attribute("aria-valuenow") == "32000" and "after 32,000" in sheet_of(page, "first")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuenow") == "16000"
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuenow") == "96000"
    page.locator(".place input").fill("40000")  # between two of them
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuenow") == "32000"
    assert page.evaluate(NAMELESS) == []


def test_warnings_in_words(look, address: str):
    page = look(address)
    warnings = page.locator(".card[data-run=lost] .warnings li")
    expect(warnings).to_have_count(2)
    expect(warnings.first).to_contain_text("the discriminator tells all pairs apart, so the generator learns little")
    expect(warnings.last).to_have_text("After 94,400 covers: 2 updates had no finite gradient and were skipped")
    warnings.first.get_by_role("button").click()
    expect(page.locator("output")).to_have_text(f"{50 * EVERY:,}")
    expect(page.locator(".card[data-run=first] .warnings li")).to_have_count(0)


def test_german(look, address: str):
    page = look(address, locale="de-DE")
    expect(page.locator("h1")).to_have_text("3 Trainings")
    expect(page.locator(".card[data-run=first]")).to_contain_text("96.000 von 384.000 Hüllen gezeigt")
    warnings = page.locator(".card[data-run=lost] .warnings li")
    expect(warnings.first).to_contain_text("der Diskriminator unterscheidet alle Paare")
    expect(warnings.last).to_contain_text("2 Schritte hatten keinen endlichen Gradienten")
    assert page.evaluate("document.documentElement.lang") == "de"


def test_every_word_is_there_in_both_languages():
    english, german = (json.loads((ROOT / f"gan/run_page/{name}.json").read_text()) for name in ("en", "de"))
    warnings = {key for key in german if key.startswith("warning: ")}
    assert english.keys() == german.keys() - warnings
    script = (ROOT / "gan/run_page/page.js").read_text()
    assert set(re.findall(r"word\('([\w-]+)'", script)) <= english.keys()
    said = {f"warning: {sentence}" for sentence in all_complaints()}
    assert said == warnings


def all_complaints() -> set[str]:
    """Everything that a run is ever told."""
    said = set()
    calm = {"loss_g": 1.0, "pair_accuracy": 1.0, "gradient_norm_d": 1.0}
    for penalised in (True, False):
        health = Health(penalised)
        wild = [calm | {"loss_g": 500.0, "gradient_norm_d": 500.0}] * 5
        for one in [calm] * 25 + wild + [{"pairwise_distance": 1.0, "real_pairwise_distance": 100.0}]:
            said |= set(health.replay(one))
    return said | {re.sub(r"^\d+", "{n}", sentence) for sentence in health.replay({"skipped_updates": 3.0})}


def test_films_and_sheets_play(look, address: str):
    page = look(address)
    page.get_by_role("button", name="Play the film of first").click()
    film = page.locator("#films img")
    assert film.evaluate("img => img.decode().then(() => img.naturalWidth)") == 32
    page.get_by_role("button", name="Play the sheets").click()
    expect(page.locator(".play")).to_have_text("Stop")
    expect(page.locator(".play")).to_have_text("Play the sheets", timeout=LATE)
    assert "after 96,000 covers" in sheet_of(page, "first")


@pytest.mark.parametrize("width", [390, 1280, 1440])
def test_nothing_is_wider_than_the_window(look, address: str, width: int):
    page = look(address, width)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate("scrollTo(0, 0)")
        assert page.evaluate(WIDER) == 0, scheme
        body = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert (body[0] == "rgb(28, 25, 23)") == (scheme == "dark") == (body[1] == "rgb(245, 245, 244)"), scheme
        page.evaluate("scrollTo(0, 1500)")
        expect(page.locator(".sheets")).to_be_in_viewport()  # beside, or above, the curves that one looks at


def test_long_names_and_a_run_of_which_no_recipe_is_known(look, tmp_path: Path):
    runs = [
        draw_run(tmp_path / ("n" * 250)),
        draw_run(tmp_path / "second", learning_rate=0.1),
        draw_run(tmp_path / "old"),
    ]
    (runs[2] / "config.json").unlink()
    with open_program(tmp_path) as address:
        page = look(address, width=390)
        expect(page.get_by_role("button", name="Play the film of nnn")).to_be_visible()
        assert page.evaluate(WIDER) == 0
        assert page.locator("table.differs tbody th").all_inner_texts() == ["learning_rate"]
        expect(page.locator("table.differs thead th")).to_have_count(2)
        expect(chart(page, "fd_covers").locator("figcaption em")).to_have_count(3)
        expect(chart(page, "fd_covers").locator("figcaption > span small")).to_have_text(
            ["(real 1.6)"]
        )  # of all three


def test_it_opens_at_once_with_a_thousand_lines_and_a_hundred_sheets(look, tmp_path: Path):
    """In two seconds on a quiet machine. What makes it slow is read here too: it loads no sheet but the one shown."""
    run = draw_run(tmp_path / "long", lines=910, sheets=0, tile=128)
    sheet = draw_run(tmp_path / "one", lines=1, sheets=1, tile=128) / f"samples/images-{EVERY:010d}.png"
    for number in range(1, 101):
        shutil.copy(sheet, run / f"samples/images-{9 * EVERY * number:010d}.png")
    assert len((run / "metrics.jsonl").read_text().splitlines()) >= 1000
    asked: list[str] = []
    with open_program(run) as address:
        page = look(address)
        page.on("request", lambda request: asked.append(request.url))
        page.reload()
        page.wait_for_selector("body[data-shown]")
        page.locator(".sheets img").evaluate("img => img.decode()")
        print(f"a page of 1,000 lines and 100 sheets is there after {page.evaluate(SHOWN):.0f} ms")
        assert page.evaluate(SHOWN) < 10_000  # of a busy machine
        assert len([url for url in asked if "/sheet" in url]) == 1 and len(asked) < 12


def test_it_grows_while_a_run_trains(look, tiny_dataset: Path, tmp_path: Path):
    run = tmp_path / "run"
    training = start(command(tiny_dataset, run, "--total_images", "1600", "--checkpointing_images", "200"))
    try:
        while not (run / "metrics.jsonl").exists():
            assert training.poll() is None, training.communicate()
            time.sleep(0.05)
        with open_program(run) as address:
            page = look(address)
            expect(chart(page, "loss_g")).to_be_visible(timeout=LATE)
            plot = chart(page, "loss_g").locator(".plot")
            plot.focus()
            expect(page.locator(".card small")).to_have_text("done", timeout=120_000)
            expect(page.locator("output")).to_have_text("1,600")
            sheet = page.locator(".sheets img")
            expect(sheet).to_have_attribute("alt", "Seeds 0 to 63 of run after 1,600 covers", timeout=LATE)
            assert plot.evaluate("plot => plot === document.activeElement")  # what has the keyboard keeps it
            lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
            measured = {name for one in lines for name in one} - {
                "kind",
                "images",
                "seconds",
                "count",
                "patch_covers",
                "held_out",
            }
            drawn = {one.get_attribute("data-measure") for one in page.locator("figure.chart").all()}
            assert {name.removeprefix("real_") for name in measured} == drawn
            losses = sum("loss_g" in one for one in lines)
            assert len(plot.locator("polyline").first.get_attribute("points").split()) == losses
    finally:
        training.kill()
        training.communicate()


def test_news_arrive_by_themselves(look, tmp_path: Path):
    runs = tmp_path / "runs"
    run = draw_run(runs / "a", lines=3, sheets=0)
    with open_program(runs) as address:
        page = look(address)
        expect(page.locator(".sheets")).to_contain_text("There is no sheet yet")
        append(run, *(line(number) for number in range(4, 10)), evaluation(9))
        expect(page.locator("output")).to_have_text(f"{9 * EVERY:,}", timeout=LATE)
        expect(chart(page, "fd_covers")).to_be_visible()
        draw_run(runs / "b", lines=20, sheets=1)
        expect(page.locator(".card")).to_have_count(2, timeout=LATE)
        expect(page.locator(".sheets figure")).to_have_count(1)
        shutil.rmtree(runs / "a")
        expect(page.locator(".card")).to_have_count(1, timeout=LATE)
        expect(page.locator("h1")).to_have_text("b")


def test_only_what_the_page_needs_is_answered(address: str, folders: Path):
    with httpx.Client(base_url=address, trust_env=False) as client:
        for path in ("/../app.py", "/page.html", "/runs.py", "/docs", "/config.json", "/metrics.jsonl"):
            assert client.get(path).status_code == 404, path
        assert {client.request(method, "/runs").status_code for method in ("POST", "PUT", "DELETE", "PATCH")} == {405}
        names = [run["name"] for run in client.get("/runs").json()]
        assert names == ["first", "lost", "zweiter Lauf ü & <b>"]
        for run in ("nobody", "../first", str(folders / "first"), "", "x" * 10_000):
            for what in ("run", "sheet", "film"):
                assert client.get(f"/{what}", params={"run": run, "images": 16000}).status_code == 404
        for images in ("", "-1", "1e3", "16000/../x", "9" * 400, "١٦٠٠٠", "1"):
            assert client.get("/sheet", params={"run": "first", "images": images}).status_code == 404, images
        good = client.get("/sheet", params={"run": "first", "images": "16000"})
        assert good.status_code == 200 and good.headers["content-type"] == "image/png"
        for answer in (good, client.get("/"), client.get("/runs"), client.get("/run", params={"run": "first"})):
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
        told = client.get("/run", params={"run": "first", "generation": "x", "count": "-5"}).json()
        assert len(told["lines"]) == told["count"]
        assert str(folders) not in client.get("/runs").text + json.dumps(told)


def test_a_login(folders: Path):
    with open_program(folders, login="me:a:b") as address:
        with httpx.Client(base_url=address, trust_env=False) as client:
            for path in ("/", "/runs", "/page.js", "/sheet?run=first&images=16000"):
                refused = client.get(path)
                assert refused.status_code == 401 and refused.headers["www-authenticate"].startswith("Basic")
                assert client.get(path, auth=("me", "wrong")).status_code == 401
                assert client.get(path, auth=("me", "a:b")).status_code == 200


def test_a_run_is_watched_without_torch_and_gradio(folders: Path):
    """They take seconds to load, and nothing here needs them."""
    hidden = "import sys; sys.modules |= dict.fromkeys(('torch', 'gradio', 'diffusers', 'train')); import app; "
    hidden += f"from gan.run_page import runs, server; runs.Runs([runs.Path({str(folders)!r})]).list()"
    done = subprocess.run([sys.executable, "-c", hidden], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
