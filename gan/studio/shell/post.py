"""Where covers are handed from one part of the page to another."""

import base64
import binascii

import gradio as gr

from gan.studio import checks
from gan.studio.address import HEAD_OF_A_PNG, from_png
from gan.studio.model import Model
from gan.studio.shell.controls import source


def post(model: Model) -> gr.HTML:
    """Build an unseen component that hands covers from one part of the page to another (post.js)."""

    @checks.for_the_page
    def restore(head: object) -> dict:
        """The address in the first bytes of a PNG, which come as base64."""
        if not isinstance(head, str) or len(head) > 2 * HEAD_OF_A_PNG:
            raise checks.Refused("this is not a PNG that can be read", head)
        try:
            data = base64.b64decode(head, validate=True)
        except (binascii.Error, ValueError):
            raise checks.Refused("this is not a PNG that can be read", head) from None
        address = from_png(data)
        model.check(address)
        return {"address": address.query()}

    return gr.HTML(
        html_template="<span></span>",
        js_on_load=source("shell/post.js"),
        server_functions=[restore],
        apply_default_css=False,
        elem_id="post",
    )
