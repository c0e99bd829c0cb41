"""The shelf under all tabs: the covers that a visitor keeps, remembered by the browser alone."""

import gradio as gr

from gan.studio import checks
from gan.studio.files import cover_uri, script
from gan.studio.model import Model


MOST_KEPT = 60
MOST_PARENTS = 2
SHELF = """
<section class="shelf" aria-label="${word('shelf')}">
  <h2>${word('shelf')}</h2>
  <p class="hint">${word('shelf-hint')}</p>
  <ol class="kept"></ol>
</section>
"""


def shelf(model: Model) -> tuple[gr.BrowserState, gr.HTML]:
    """Build the shelf.

    Returns:
        What the browser remembers, a list of `{"address": query, "parents": [query, ...]}` (pass it through `kept`:
        a visitor can write anything into it), and the component that shows it.
    """
    # a secret of its own would make every browser forget its covers when the program starts again
    memory = gr.BrowserState([], storage_key="album-covers", secret="album-covers")

    @checks.for_the_page
    def pictures(queries: object) -> dict:
        """The pictures of covers, for each of `queries` one, or null where it is none of this generator's."""
        if not isinstance(queries, list) or len(queries) > MOST_KEPT:
            raise checks.Refused("a shelf holds at most {most} covers", queries, most=MOST_KEPT)
        readable = {q: address for q in queries if isinstance(q, str) and (address := model.readable(q))}
        images = model.draw(list(readable.values())) if readable else []
        uris = {q: cover_uri(image, readable[q]) for q, image in zip(readable, images, strict=True)}
        return {"pictures": [uris.get(query) if isinstance(query, str) else None for query in queries]}

    shown = gr.HTML(
        [],
        html_template=SHELF,
        js_on_load=script("shelf.js"),
        server_functions=[pictures],
        most=MOST_KEPT,
        apply_default_css=False,
        elem_id="shelf",
    )

    # in the browser alone, so that nothing is lost when the page is left at once
    shown.arrange(None, shown, memory, js="covers => [covers]", api_visibility="private")
    return memory, shown


def kept(memory: object) -> list[dict]:
    """What `memory` holds of sound entries, in order; whatever else it holds is left out."""
    covers = []
    for cover in memory if isinstance(memory, list) else []:
        address = cover.get("address") if isinstance(cover, dict) else None
        parents = cover.get("parents") if isinstance(cover, dict) else None
        if isinstance(address, str):
            parents = [parent for parent in parents if isinstance(parent, str)] if isinstance(parents, list) else []
            covers.append({"address": address, "parents": parents[:MOST_PARENTS]})
    return covers[:MOST_KEPT]
