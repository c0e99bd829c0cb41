"""What several tests share: no network, small caches of their own, a tiny dataset."""

import os
import sys
from pathlib import Path

import pytest

from gan.own_folder import name_own_folder


# before the first import of a library that reads them
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_TEMP_DIR"] = str(name_own_folder())  # each worker's


@pytest.fixture(scope="session", autouse=True)
def _own_caches(tmp_path_factory: pytest.TempPathFactory):
    """Nothing that a test decodes or downloads stays behind, nor comes from an earlier run."""
    import datasets
    import torch

    torch.set_num_threads(1)  # tiny networks: a second thread costs more than it does
    home = tmp_path_factory.mktemp("hf-home")
    os.environ["HF_HOME"] = str(home)  # for the programs that tests start
    datasets.config.HF_DATASETS_CACHE = home / "datasets"
    datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0.05  # seconds at the end of each epoch of a stream: 5 otherwise
    yield


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 drawn covers of 16 px, prepared by the real program."""
    from tests.helpers import programs
    from tests.helpers.drawn import draw_dataset
    from tests.helpers.once import once

    def make(folder: Path) -> None:
        draw_dataset(folder / "pile", 120, 32)
        more = ["--resolution", "16", "--validation_fraction", "0.25", "--num_workers", "1"]
        prepare = [sys.executable, "-m", "train.prepare", folder / "pile", "--output_dir", folder / "covers-16", *more]
        programs.run(prepare).check_returncode()

    return once(tmp_path_factory, "tiny", make) / "covers-16"


@pytest.fixture(scope="session")
def straight(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 800 covers that nothing interrupted, through the real launcher."""
    from tests.helpers.once import once
    from tests.helpers.runs import LAUNCHER, command, launch

    def make(folder: Path) -> None:
        run = folder / "straight"
        python, *program = command(tiny_dataset, run)
        done = launch([python, *LAUNCHER, *program], genuine=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].startswith(f"{run}: done after 800 covers, ")
        assert "800/800" in done.stderr  # the progress bar
        assert "generated covers 0 look like one of 94 training covers; of as many held-out covers 0 do" in done.stdout

    return once(tmp_path_factory, "straight", make) / "straight"


@pytest.fixture(scope="module")
def hub_server():
    """A Hub of the tests' own."""
    from tests.helpers.hub_server import Hub

    with Hub() as hub:
        yield hub


@pytest.fixture
def hub(hub_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty Hub that the client in this process talks to; the tests' own settings keep it offline."""
    from huggingface_hub import constants

    for store in (hub_server.repos, hub_server.requests, hub_server.taken, hub_server.large):
        store.clear()
    hub_server.paid_only = hub_server.full = False
    hub_server.cut_after = hub_server.hold = None
    hub_server.received = 0
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "ENDPOINT", hub_server.url)
    template = hub_server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    return hub_server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """In CI nothing may be missing: there a test that is skipped has failed."""
    return _no_skips_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """The same for a whole file that is skipped."""
    return _no_skips_in_ci((yield))


def _no_skips_in_ci(report: pytest.TestReport | pytest.CollectReport) -> pytest.TestReport | pytest.CollectReport:
    if os.environ.get("CI") and report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def tiny_pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of 32 px that draws in a millisecond; untrained, its covers are different blots of colour."""
    import torch

    from gan import AlbumCoverPipeline, save_pipeline
    from gan.networks import DCGANGenerator
    from tests.helpers.once import once

    def make(folder: Path) -> None:
        torch.manual_seed(0)
        generator = DCGANGenerator(resolution=32, width=8, latent_dim=16).train()
        with torch.no_grad():
            for _ in range(100):  # batch normalisation learns what the layers give; without it all covers are grey
                generator(torch.randn(32, 16))
        save_pipeline(AlbumCoverPipeline(generator.eval()), folder / "pipeline", for_strangers=False)

    return once(tmp_path_factory, "tiny-model", make) / "pipeline"


@pytest.fixture(scope="session")
def genres_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder whose generator knows genres."""
    from gan import save_pipeline
    from tests.helpers.once import once
    from tests.helpers.tiny import GENRES, tiny_pipeline

    def make(folder: Path) -> None:
        save_pipeline(tiny_pipeline("dcgan", genres=GENRES), folder / "genres", for_strangers=False)

    return once(tmp_path_factory, "with", make) / "genres"


@pytest.fixture(scope="session")
def running_app(tiny_pipeline_folder: Path):
    """`app.py` as a program of its own: its address, and what it said until it had one.

    It starts the hard way, and must work all the same: the model asked for is not there, so that it shows the one that
    ships with the project (here the tiny one), and what only training needs is not installed.
    """

    code = f"""
import runpy, sys
sys.modules |= dict.fromkeys(("train", "datasets"))
import gan.pipeline_folder
gan.pipeline_folder.PRETRAINED = {str(tiny_pipeline_folder)!r}
runpy.run_path("app.py", run_name="__main__")"""
    from tests.helpers.serving import free_port, serving

    command = [sys.executable, "-c", code, "--model", "nobody/nothing", "--port", free_port()]
    with serving(command) as (address, said, process):
        yield address, said
    assert process.returncode == 0


@pytest.fixture
def address(running_app: tuple[str, str]) -> str:
    """Where the page of `running_app` is."""
    return running_app[0]


@pytest.fixture(scope="session")
def browser():
    """A real Chromium, where it is installed the one without windows: a window draws its tabs and toolbar, too.

    Playwright keeps an event loop in this thread: what else is asynchronous needs another one.
    """
    import shutil

    from playwright.sync_api import expect, sync_playwright

    if (chromium := shutil.which("chromium-headless-shell") or shutil.which("chromium")) is None:
        pytest.skip("no chromium")
    expect.set_options(timeout=15_000)  # a busy machine's start, not a visitor's patience
    quiet = "--no-sandbox --no-first-run --disable-gpu --disable-sync --disable-background-networking"
    with sync_playwright() as playwright:
        arguments = [*quiet.split(), "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def _visitors(browser):
    from tests.helpers.visiting import Visitors

    return Visitors(browser)


@pytest.fixture
def visitors(_visitors):
    """Whoever visits during a test: `visitors.arrive(...)` is one who was never here before."""
    yield _visitors
    _visitors.leave()


@pytest.fixture
def context(visitors):
    """A visitor who was never here before."""
    return visitors.arrive(locale="en-US", has_touch=True)


@pytest.fixture
def visit(context, address: str):
    """`visit(query, ...)`: opens the page, and when the test ends looks whether all was well in the browser."""
    wrong = []

    def open_page(query: str = "", width: int = 1280, height: int = 900, wait: bool = True):
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.set_default_timeout(15_000)
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if is_ours(request.url) else wrong.append(request.url))
        page.goto(address + query)
        if wait:
            page.wait_for_function("performance.getEntriesByName('first-cover').length")
        return page

    def is_ours(url: str) -> bool:
        return url.startswith((address, "data:", "blob:"))

    yield open_page
    assert not wrong
