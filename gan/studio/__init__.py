"""The page: a tab to explore covers, a tab to walk between two of them, and both for programs."""

from html import escape
from pathlib import Path

import gradio as gr

from gan.pipeline import AlbumCoverPipeline
from gan.studio.api import add_endpoints
from gan.studio.controls import truncation_slider
from gan.studio.explore import explore_tab
from gan.studio.model import Model
from gan.studio.walk import walk_tab


HERE = Path(__file__).parent
HOUR = 3600  # seconds

# What Gradio takes when the page is launched, not when it is built.
LAUNCH_OPTIONS = {
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
    "css_paths": HERE / "style.css",
    "favicon_path": HERE / "record.svg",
    "footer_links": ["api"],
    "ssr_mode": False,  # needs Node, and the page has nothing that it would make quicker
}

HEADER = """
<header class="headline">
<h1>Album Cover GAN</h1>
<p>Covers of records that were never made. Every number is one of them.</p>
</header>
"""
FOOTER = """
<footer class="colophon">
<p>Generator: <strong>{name}</strong>{revision}, {resolution} × {resolution} pixels, {parameters:.1f} million
parameters.</p>
<p>A GAN is two networks in a contest: one draws covers out of random numbers, the other learns to tell them from real
ones. When the contest is over only the first is needed, and a seed is where its random numbers begin.</p>
</footer>
"""


def build_page(
    pipeline: AlbumCoverPipeline, model_name: str, revision: str | None = None, notice: str | None = None
) -> gr.Blocks:
    """Build the page; launch it with LAUNCH_OPTIONS.

    Args:
        pipeline: draws the covers.
        model_name: what the page calls it and what is written into every cover.
        revision: branch, tag or commit of a Hub repository, None for a folder.
        notice: a sentence for the top of the page, e.g. that another model could not be loaded.
    """
    model = Model(pipeline, model_name, revision)
    with gr.Blocks(title="Album Cover GAN", analytics_enabled=False, delete_cache=(HOUR, HOUR)) as page:
        gr.HTML(HEADER, js_on_load=None, apply_default_css=False)
        if notice:
            gr.HTML(f'<p class="notice" role="alert">{escape(notice)}</p>', js_on_load=None, elem_id="notice")
        add_endpoints(model)
        truncations = [truncation_slider("truncation"), truncation_slider("walk-truncation")]
        with gr.Tabs():
            explore_tab(model, *truncations, page)
            walk_tab(model, truncations[1])
        for one, other in (truncations, truncations[::-1]):
            one.input(None, one, other, js="value => value", api_visibility="private")
        gr.HTML(
            FOOTER.format(
                name=escape(model.name),
                revision=f" at {escape(revision)}" if revision else "",
                resolution=model.resolution,
                parameters=model.parameters / 1e6,
            ),
            js_on_load=None,
            apply_default_css=False,
        )
    return page.queue(max_size=64, default_concurrency_limit=2)
