"""The shelf under all tabs: the covers that a visitor keeps, remembered by the browser alone."""

from typing import Any

import gradio as gr

from gan.studio.model import Model
from gan.studio.shell.controls import part


MOST_KEPT = 60
MOST_PARENTS = 2


def shelf(model: Model) -> tuple[gr.BrowserState, gr.HTML]:
    """Build the shelf.

    Returns:
        What an earlier version of the page left in the browser, a list of `{"address": query, "parents": [query,
        ...]}` (pass it through `kept`: a visitor can write anything into it), and the component that takes it over.
    """
    memory = gr.BrowserState([], storage_key="album-covers", secret="album-covers")
    return memory, part("shell/shelf", [], [model.portraits], most=MOST_KEPT)


def kept(memory: object) -> list[dict[str, Any]]:
    """Return what `memory` holds of sound entries, in order; whatever else it holds is left out."""
    covers = []
    for cover in memory if isinstance(memory, list) else []:
        address = cover.get("address") if isinstance(cover, dict) else None
        parents = cover.get("parents") if isinstance(cover, dict) else None
        if isinstance(address, str):
            parents = [parent for parent in parents if isinstance(parent, str)] if isinstance(parents, list) else []
            covers.append({"address": address, "parents": parents[:MOST_PARENTS]})
    return covers[:MOST_KEPT]
