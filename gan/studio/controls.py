"""How events of the page itself are handled."""

import time
from collections.abc import Callable, Iterator

import gradio as gr

from gan.studio import checks


# Answered at once, without a place in the queue; while one is under way only the newest of the others is kept. Values
# come as the browser sent them (`preprocess=False`), the handlers check them.
LIVE = {
    "queue": False,
    "preprocess": False,
    "show_progress": "hidden",
    "trigger_mode": "always_last",
    "api_visibility": "private",
}


def answer(function: Callable[[object], dict]) -> Callable:
    """Make the handler of an event that a script triggers with a payload; a messenger takes its answer back."""

    def handler(event: gr.EventData) -> dict:
        return checks.for_the_page(function)(event._data) | {"number": time.monotonic_ns()}  # each is news

    return handler


def answers(function: Callable[[object], Iterator[dict]]) -> Callable:
    """`answer` for a function that gives its answer bit by bit."""

    def handler(event: gr.EventData) -> Iterator[dict]:
        for part in checks.for_the_page_while(function)(event._data):
            yield part | {"number": time.monotonic_ns()}

    return handler


def messenger(name: str) -> gr.HTML:
    """An unseen component: what is put into it, each time something else, the page's scripts hear as event `name`.

    What a queue brings goes this way, so that a script's own part of the page is never drawn anew.
    """
    return gr.HTML(
        html_template="<span></span>",
        js_on_load=f"watch('value', () => say('{name}', props.value));",
        apply_default_css=False,
        elem_id=name,
        elem_classes="messenger",
    )
