"""How the parts of the page are built, and how their events are handled."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from gan.studio import checks


STUDIO = Path(__file__).parent.parent
TABS = ("crate", "breed", "walk", "finish", "yours", "learn")  # in the order in which they stand on the page
# Answered at once, without a place in the queue; while one is under way only the newest of the others is kept. Values
# come as the browser sent them (`preprocess=False`), the handlers check them.
LIVE = {
    "queue": False,
    "preprocess": False,
    "show_progress": "hidden",
    "trigger_mode": "always_last",
    "api_visibility": "private",
}


def source(name: str) -> str:
    """Return the text of a file of the page, e.g. `tabs/crate.js`."""
    return (STUDIO / name).read_text(encoding="utf-8")


def template(name: str) -> str:
    """Return a template of the page.

    Where it says `<!-- sleeve -->` one cover is shown large (shell/sleeve.html), where `<!-- actions -->` is what
    can be done with that cover (shell/actions.html).
    """
    whole = source(name)
    for part_of_it in ("sleeve", "actions"):
        whole = whole.replace(f"<!-- {part_of_it} -->", source(f"shell/{part_of_it}.html"))
    return whole


def part(
    name: str, value: object = "", functions: Sequence[Callable[[object], dict[str, Any]]] = (), **props: Any
) -> gr.HTML:
    """Build a tab's own part of the page, of a template and a script.

    Args:
        name: of the files, `tabs/crate` for tabs/crate.html and tabs/crate.js; its last word is the part's `elem_id`.
        value: what the template shows as `value`.
        functions: what the script may ask the server for, as `server.<name>(payload)`. Each answers a wrong payload
            with a refusal (`checks.for_the_page`).
        props: what the script finds in `props`.
    """
    return gr.HTML(
        value,
        html_template=template(f"{name}.html"),
        js_on_load=source("shell/asker.js") + source(f"{name}.js"),
        server_functions=[checks.for_the_page(function) for function in functions],
        apply_default_css=False,
        elem_id=name.rpartition("/")[2],
        **props,
    )


def tab(name: str) -> gr.Column:
    """Build what a tab of `TABS` holds, within `with`; shell/tabs.js makes its button and shell/page.js shows it."""
    return gr.Column(elem_id=f"panel-{name}")


def text(name: str, value: dict[str, Any] | None = None) -> gr.HTML:
    """Build a part of the page that only says something, of the template `name`."""
    return gr.HTML(value, html_template=template(name), js_on_load=None, apply_default_css=False)


def answer(function: Callable[[object], dict[str, Any]]) -> Callable[..., Any]:
    """Make the handler of an event that a script triggers with a payload; a messenger takes its answer back."""

    def handler(event: gr.EventData) -> dict[str, Any]:
        return checks.for_the_page(function)(event._data) | {"number": time.monotonic_ns()}  # each is news

    return handler


def answers(function: Callable[[object], Iterator[dict[str, Any]]]) -> Callable[..., Any]:
    """Do as `answer` for a function that gives its answer bit by bit."""

    def handler(event: gr.EventData) -> Iterator[dict[str, Any]]:
        for part in checks.for_the_page_while(function)(event._data):
            yield part | {"number": time.monotonic_ns()}

    return handler


def messenger(name: str) -> gr.HTML:
    """Build an unseen component: what is put into it, each time something else, scripts hear as event `name`.

    What a queue brings goes this way, so that a script's own part of the page is never drawn anew.
    """
    return gr.HTML(
        html_template="<span></span>",
        js_on_load=f"watch('value', () => say('{name}', props.value));",
        apply_default_css=False,
        elem_id=name,
        elem_classes="messenger",
    )
