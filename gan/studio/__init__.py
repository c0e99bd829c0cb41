"""The page: its tabs, the shelf under them, and all of it for programs."""

import json
import os
from collections.abc import Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.routing import Mount

from gan.nearest import Index
from gan.pipeline import AlbumCoverPipeline
from gan.request_head import bound_heads
from gan.run_page.runs import Runs
from gan.run_page.server import run_page
from gan.studio.api import add_endpoints
from gan.studio.locale import I18N
from gan.studio.model import Model
from gan.studio.shell.controls import LIVE, STUDIO, TABS, part, source, text
from gan.studio.shell.door import RUN
from gan.studio.shell.front import Front
from gan.studio.shell.housekeeping import housekeeping
from gan.studio.shell.post import post
from gan.studio.shell.shelf import kept, shelf
from gan.studio.tabs.breed import Breed, breed_tab
from gan.studio.tabs.crate import Crate, crate_tab
from gan.studio.tabs.finish import Finish, finish_tab
from gan.studio.tabs.learn.learn import Learn, learn_tab, lesson_files
from gan.studio.tabs.learned import Learned
from gan.studio.tabs.training import Training
from gan.studio.tabs.walk import Walk, walk_tab
from gan.studio.tabs.yours import Yours, yours_tab
from gan.studio.uploads import LARGEST_FILE
from gan.survey import Survey


# All but a few of them wait for their turn to draw. With fewer, those who wait for a cover would be in the way of all
# else that takes a thread: files, logins, and the last step of covers that are drawn.
MOST_THREADS = 256
# a Space's page is a frame inside another page, whose address is the one to share
SPACE = f"https://huggingface.co/spaces/{os.environ['SPACE_ID']}" if "SPACE_ID" in os.environ else ""


def launch_options(runs: Runs | None = None) -> dict[str, Any]:
    """Return what Gradio takes when a page is launched, not built; anew each time, as Gradio writes into it.

    Args:
        runs: what a page of its own shows of the generator's training, None where nothing is known of it.
    """
    bound_heads()
    run = [Mount(f"/{RUN}", run_page(runs), name=RUN)] if runs else []
    return {
        # fonts that every computer has: the page asks no other host for anything
        "theme": gr.themes.Base(
            primary_hue="orange",
            neutral_hue="stone",
            font=["ui-sans-serif", "system-ui", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
        ).set(
            # no cards: boxes and sliders stand on the page itself, in line with the pictures
            block_background_fill="transparent",
            block_background_fill_dark="transparent",
            block_border_width="0px",
            block_border_width_dark="0px",
            block_shadow="none",
            block_padding="0px",
            # grey enough to be read: the theme's own are paler than WCAG's 4.5 to 1
            body_text_color_subdued="*neutral_600",
            body_text_color_subdued_dark="*neutral_400",
            block_info_text_color="*neutral_600",
            block_info_text_color_dark="*neutral_400",
            button_primary_background_fill="*primary_700",
            button_primary_background_fill_hover="*primary_800",
            button_primary_background_fill_dark="*primary_700",
            button_primary_background_fill_hover_dark="*primary_600",
        ),
        "css_paths": STUDIO / "shell/style.css",
        "head": f"<script>window.SPACE = {json.dumps(SPACE)}; window.TABS = {json.dumps(TABS)};\n"
        f"window.LARGEST_FILE = {LARGEST_FILE};\n"
        f"{source('shell/page.js')}{source('shell/queue.js')}</script>",
        "favicon_path": STUDIO / "shell/record.svg",
        "footer_links": ["api"],
        "i18n": I18N,
        "max_file_size": "8mb",
        "app_kwargs": {"middleware": [Middleware(Front)], "routes": [lesson_files(), *run], "lifespan": housekeeping},
        "mcp_server": find_spec("mcp") is not None,
        "run_history": False,  # the covers that a visitor keeps are on the shelf
        "max_threads": MOST_THREADS,
        "ssr_mode": False,  # needs Node, and the page has nothing that it would make quicker
    }


def build_page(
    pipeline: AlbumCoverPipeline,
    model_name: str,
    revision: str | None = None,
    notice: str | None = None,
    index: Index | None = None,
    snapshots: Sequence[str] = (),
    survey: Survey | None = None,
    folder: Path | None = None,
    has_run: bool = False,
) -> gr.Blocks:
    """Build the page; launch it with `launch_options`.

    Args:
        pipeline: draws the covers.
        model_name: what the page calls it and what is written into every cover.
        revision: branch, tag or commit of a Hub repository, None for a folder.
        notice: a sentence for the top of the page, e.g. that another model could not be loaded.
        index: of the covers that the generator learned from, None where it came without.
        snapshots: the tags of its training on the Hub, in order.
        survey: what is known of its covers, None where it came without.
        folder: where the film and the log of its run lie, None where they do not.
        has_run: whether `launch_options` is given its runs, so that there is a page to link.
    """
    model = Model(pipeline, model_name, revision, survey)
    with gr.Blocks(title="Album Cover GAN", analytics_enabled=False) as page:
        text("shell/header.html")
        if notice:
            gr.HTML(f'<p class="notice" role="alert">{escape(notice)}</p>', js_on_load=None, elem_id="notice")
        breed, training = Breed(model), Training(model, list(snapshots))
        finish, yours = Finish(model), Yours(model, index)
        crate = Crate(model)
        add_endpoints(model, crate, breed, training, finish, yours)
        post(model)
        part("shell/tabs")
        crate_tab(crate)
        breed_tab(breed)
        walk_tab(Walk(model), training, Learned(folder))
        finish_tab(finish)
        yours_tab(yours)
        learn_tab(Learn(model, training))
        memory, shown = shelf(model)
        text("shell/footer.html", about(model) | {"run": has_run})
        page.front_model = model  # whom Front asks
        page.load(kept, memory, shown, **LIVE)
    # how many may wait for what is the door's to say; outside the queue is nothing that it is there for
    return page.queue(max_size=None, default_concurrency_limit=2, api_open=False)


def about(model: Model) -> dict[str, Any]:
    """Return what the foot of the page tells of the generator."""
    revision = f" at {model.revision}" if model.revision else ""
    return {
        "name": f"{model.name}{revision}",
        "resolution": model.resolution,
        "parameters": f"{model.parameters / 1e6:.1f}",
    }
