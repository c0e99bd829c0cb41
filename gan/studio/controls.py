"""The controls that both tabs have."""

import random

import gradio as gr

from gan.pipeline import LARGEST_SEED
from gan.studio.checks import LARGEST_TRUNCATION


# Events of the page itself: answered at once, without a place in the queue; while one is under way only the newest of
# the others is kept. Values come as the browser sent them (`preprocess=False`), the handlers check them.
LIVE = {
    "queue": False,
    "preprocess": False,
    "show_progress": "hidden",
    "trigger_mode": "always_last",
    "api_visibility": "private",
}


def seed_box(label: str, seed: int | None, elem_id: str) -> gr.Number:
    """A box that takes any seed."""
    return gr.Number(
        seed, label=label, precision=0, minimum=0, maximum=LARGEST_SEED, min_width=110, scale=2, elem_id=elem_id
    )


def dice(elem_id: str) -> gr.Button:
    """A button for any seed."""
    return gr.Button("Surprise me", min_width=110, scale=1, elem_id=elem_id)


def any_seed() -> int:
    """Any of all seeds."""
    return random.randrange(LARGEST_SEED + 1)


def truncation_slider(elem_id: str) -> gr.Slider:
    """How far from the average cover; not rendered yet."""
    return gr.Slider(
        0,
        LARGEST_TRUNCATION,
        value=1.0,
        step=0.01,
        label="Truncation: how daring",
        info="1 is as it learned; lower is safer and more alike, higher is wilder. Try 0.7 to 1.",
        buttons=[],
        render=False,
        elem_id=elem_id,
    )


def note(elem_id: str) -> gr.HTML:
    """A line that says what is wrong with a box, empty while nothing is."""
    template = '<p class="note" role="status">{{value}}</p>'
    return gr.HTML("", html_template=template, js_on_load=None, apply_default_css=False, elem_id=elem_id)
