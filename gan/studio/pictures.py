"""How covers are shown: one in a record sleeve, and a crate of them to choose from."""

import gradio as gr


BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="  # one clear pixel

SLEEVE = """
<figure class="sleeve" data-seed="{{value.seed}}">
  <img src="{{value.src}}" alt="{{value.alt}}" decoding="sync">
</figure>
<p class="details">{{value.details}}</p>
<p class="actions">
  <a class="keep" href="{{value.src}}" download="{{value.file}}">{{value.action}}</a>
  {{#if value.link}}<a class="link" href="{{value.link}}" target="_top">Link to this cover</a>{{/if}}
</p>
"""
THUMBNAIL = '<img class="thumbnail" src="{{value.src}}" alt="{{value.alt}}" decoding="sync">'
CRATE = """
<div class="crate" role="group" aria-label="Covers to choose from">
  {{#each value}}<button type="button" data-seed="{{seed}}" aria-pressed="false" title="Seed {{seed}}">
    <img src="{{src}}" alt="Cover of seed {{seed}}" decoding="sync">
  </button>{{/each}}
</div>
"""
# Shows in the crate which cover is in the sleeve, whichever of the two was redrawn.
MARK = """
const mark = () => {
  const seed = document.querySelector('#cover .sleeve')?.dataset.seed;
  document.querySelectorAll('#crate button').forEach(b => b.setAttribute('aria-pressed', b.dataset.seed === seed));
};
watch('value', mark);
"""
CHOOSE = """
// the end of a drag and a key alike; Gradio's `release` does not come with keys
document.addEventListener('change', event => { if (event.target.closest('#truncation')) trigger('stale'); });
element.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (button) trigger('choose', {seed: Number(button.dataset.seed)});
});
"""


def sleeve(elem_id: str, action: str) -> gr.HTML:
    """A large picture with a line about it and its download. Its value is what `in_sleeve` returns."""
    empty = in_sleeve(BLANK, alt="", details="", file="", action=action)
    return gr.HTML(empty, html_template=SLEEVE, js_on_load=MARK, apply_default_css=False, elem_id=elem_id)


def in_sleeve(
    src: str, *, alt: str, details: str, file: str, action: str, seed: int | str = "", link: str = ""
) -> dict:
    """The value of a sleeve.

    Args:
        src: address of the picture, also of the download.
        alt: what a screen reader says.
        details: the line below the picture.
        file: name of the download.
        action: what the download is called.
        seed: of the cover, so that the crate can mark it.
        link: address that opens this cover.
    """
    return {
        "src": src, "alt": alt, "details": details, "file": file, "action": action, "seed": seed, "link": link,
    }  # fmt: skip


def thumbnail(elem_id: str) -> gr.HTML:
    """A small picture. Its value has `src` and `alt`."""
    empty = {"src": BLANK, "alt": ""}
    return gr.HTML(empty, html_template=THUMBNAIL, js_on_load=None, apply_default_css=False, elem_id=elem_id)


def heading(text: str, elem_id: str) -> gr.HTML:
    """A line above the crate."""
    template = '<h2 class="heading">{{value}}</h2>'
    return gr.HTML(text, html_template=template, js_on_load=None, apply_default_css=False, elem_id=elem_id)


def crate(seeds: list[int], elem_id: str) -> gr.HTML:
    """Covers as buttons; a click is the event `choose`, with the `seed`. Its value is what `in_crate` returns.

    The event `stale` says that another truncation was chosen.
    """
    empty = in_crate(seeds, [BLANK] * len(seeds))
    return gr.HTML(empty, html_template=CRATE, js_on_load=CHOOSE + MARK, apply_default_css=False, elem_id=elem_id)


def in_crate(seeds: list[int], pictures: list[str]) -> list[dict]:
    """The value of a crate: for each of `seeds` the address of its picture."""
    return [{"seed": seed, "src": picture} for seed, picture in zip(seeds, pictures, strict=True)]
