"""Where covers are handed from one part of the page to another, and to the visitor as files."""

import base64
import binascii
from typing import Any

import gradio as gr

from gan.studio import checks
from gan.studio.address import HEAD_OF_A_PNG, Address, from_png
from gan.studio.files import cover_jpeg, cover_png, data_uri
from gan.studio.model import Model
from gan.studio.pool import heavy
from gan.studio.print.upscale import enlarge
from gan.studio.shell.controls import answer, messenger, source


LARGE = 1024  # pixels a side of a cover that is saved without text
KINDS = {"png": cover_png, "jpeg": cover_jpeg}


@heavy
def large_file(model: Model, cover: Address, kind: object) -> tuple[bytes, str]:
    """Return a cover enlarged to `LARGE` pixels as a file with its address inside, and what to call it.

    Raises:
        Refused: `kind` is none of `KINDS`.
    """
    kind = checks.one_of(kind, "a file", KINDS) or "png"
    picture = model.draw([cover])[0]
    if picture.width < LARGE:
        picture = enlarge(picture, LARGE)
    return KINDS[kind](picture, cover), f"album-cover-{cover.name}-{picture.width}.{kind.replace('jpeg', 'jpg')}"


def post(model: Model) -> gr.HTML:
    """Build an unseen component that hands covers from one part of the page to another (post.js)."""

    @checks.for_the_page
    def restore(head: object) -> dict[str, Any]:
        """Return the address in the first bytes of a PNG, which come as base64."""
        if not isinstance(head, str) or len(head) > 2 * HEAD_OF_A_PNG:
            raise checks.Refused("this is not a PNG that can be read", head)
        try:
            data = base64.b64decode(head, validate=True)
        except (binascii.Error, ValueError):
            raise checks.Refused("this is not a PNG that can be read", head) from None
        address = from_png(data)
        model.check(address)
        return {"address": address.query()}

    def save(asked: object) -> dict[str, Any]:
        """Return the cover `{"address", "kind"}` as a file, `{"file": data address, "name"}`."""
        asked = asked if isinstance(asked, dict) else {}
        made, name = large_file(model, model.read(asked.get("address")), asked.get("kind"))
        return {"file": data_uri(made, "image/png" if name.endswith("png") else "image/jpeg"), "name": name}

    desk = gr.HTML(
        html_template="<span></span>",
        js_on_load=source("shell/asker.js") + source("shell/post.js"),
        server_functions=[restore],
        apply_default_css=False,
        elem_id="post",
    )
    # in the queue, one at a time, as prints
    desk.save(
        answer(save), None, messenger("saved"), trigger_mode="once", show_progress="hidden", concurrency_id="print",
        concurrency_limit=1, api_visibility="private",
    )  # fmt: skip
    return desk
