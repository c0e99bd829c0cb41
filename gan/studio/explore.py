"""The tab "Explore": seeds to covers."""

import os
from urllib.parse import urlencode

import gradio as gr
from PIL import Image

from gan.pipeline import LARGEST_SEED
from gan.studio import checks
from gan.studio.controls import LIVE, any_seed, dice, note, seed_box
from gan.studio.files import cover_png, data_uri
from gan.studio.model import Model
from gan.studio.pictures import crate, heading, in_crate, in_sleeve, sleeve


FIRST_SEED = 1
LARGEST_SWEEP = 9999  # a slider over all seeds would be too fine for any hand
CRATE_SIZE = 24
LAST_START = LARGEST_SEED + 1 - CRATE_SIZE


class Explore:
    """What the tab's controls do. Each handler returns the new values of the components it names."""

    def __init__(self, model: Model):
        self.model = model

    def show(self, seed: object, truncation: object) -> tuple:
        """Cover and note. An empty box, as between two numbers being typed, changes nothing."""
        if seed is None:
            return gr.skip(), ""
        try:
            seed, truncation = checks.seed(seed), checks.truncation(truncation)
        except checks.Refused as refusal:
            return gr.skip(), f"{refusal}."
        return in_sleeve(
            self._address(self.model.cover(seed, truncation), seed, truncation),
            alt=f"Album cover of seed {seed}",
            details=f"Seed {seed}, truncation {truncation:g}",
            file=f"album-cover-{seed}.png",
            action="Download PNG",
            seed=seed,
            link=link_to(seed, truncation),
        ), ""

    def typed(self, seed: object, truncation: object) -> tuple:
        """Cover, note and sweep slider."""
        cover, mistake = self.show(seed, truncation)
        return cover, mistake, gr.skip() if seed is None or mistake else min(seed, LARGEST_SWEEP)

    def show_again(self, start: object, seed: object, truncation: object) -> tuple:
        """Cover and note; nothing before the page's opening, when the browser may send 0 for the empty seed box."""
        return (gr.skip(), gr.skip()) if start is None else self.show(seed, truncation)

    def swept(self, start: object, seed: object, truncation: object) -> tuple:
        """Cover, note and seed box."""
        cover, mistake = self.show_again(start, seed, truncation)
        if start is None:
            return cover, mistake, gr.skip()
        return cover, mistake, gr.skip() if mistake else seed

    def surprise(self, truncation: object) -> tuple:
        """Cover, note, sweep slider and seed box: any seed."""
        seed = any_seed()
        return *self.typed(seed, truncation), seed

    def chosen(self, truncation: object, event: gr.EventData) -> tuple:
        """Cover, note, sweep slider and seed box: the cover that was clicked in the crate."""
        cover, mistake, sweep = self.typed(event.seed, truncation)
        return cover, mistake, sweep, gr.skip() if mistake else event.seed

    @checks.in_words
    def fill(self, start: object, truncation: object) -> tuple:
        """Crate and its heading: covers of the seeds from `start` on. Before the page's opening nothing changes."""
        if start is None:
            return gr.skip(), gr.skip()
        start, truncation = min(checks.seed(start), LAST_START), checks.truncation(truncation)
        seeds = list(range(start, start + CRATE_SIZE))
        covers = self.model.covers(seeds, truncation)
        pictures = [self._address(cover, seed, truncation) for cover, seed in zip(covers, seeds, strict=True)]
        return in_crate(seeds, pictures), f"Seeds {start} to {seeds[-1]}"

    @checks.in_words
    def back(self, start: object, truncation: object) -> tuple:
        """Crate, its heading and its start: the seeds before."""
        start = max(checks.seed(start) - CRATE_SIZE, 0)
        return *self.fill(start, truncation), start

    @checks.in_words
    def ahead(self, start: object, truncation: object) -> tuple:
        """Crate, its heading and its start: the seeds after."""
        start = min(checks.seed(start) + CRATE_SIZE, LAST_START)
        return *self.fill(start, truncation), start

    def elsewhere(self, truncation: object) -> tuple:
        """Crate, its heading and its start: any seeds."""
        start = min(any_seed(), LAST_START)
        return *self.fill(start, truncation), start

    def opened(self, request: gr.Request) -> tuple:
        """Cover, note, sweep slider, seed box, both truncation sliders and the crate's start, as the link says."""
        seed, truncation = from_link(dict(request.query_params))
        return *self.typed(seed, truncation), seed, truncation, truncation, seed - seed % CRATE_SIZE

    def _address(self, cover: Image.Image, seed: int, truncation: float) -> str:
        return data_uri(cover_png(cover, self.model, truncation, seed=seed), "image/png")


def from_link(query: dict[str, str]) -> tuple[int, float]:
    """Seed and truncation of a link such as `?seed=123&truncation=0.8`; one that is wrong is told, and not used."""
    values = {"seed": FIRST_SEED, "truncation": 1.0}
    for name, read, check in (("seed", int, checks.seed), ("truncation", float, checks.truncation)):
        if name in query:
            try:
                values[name] = check(read(query[name]))
            except ValueError:
                gr.Warning(f"The link's {name} is none that can be shown, so this is {name} {values[name]:g}.")
    return values["seed"], values["truncation"]


def link_to(seed: int, truncation: float) -> str:
    """The address that opens this cover."""
    # a Space's page is a frame inside another page, whose address is the one to share
    space = os.environ.get("SPACE_ID")
    page = f"https://huggingface.co/spaces/{space}" if space else ""
    return f"{page}?{urlencode({'seed': seed, 'truncation': f'{truncation:g}'})}"


def explore_tab(model: Model, truncation: gr.Slider, other_truncation: gr.Slider, page: gr.Blocks) -> None:
    """Build the tab.

    Args:
        model: draws the covers.
        truncation: this tab's slider, rendered here.
        other_truncation: the other tab's, which a link sets too.
        page: whose opening draws the first cover.
    """
    explore = Explore(model)
    with gr.Tab("Explore", id="explore") as tab, gr.Row(elem_classes="desk"):
        with gr.Column(min_width=300, elem_classes="stand"):
            cover = sleeve("cover", "Download PNG")
        with gr.Column(min_width=300, elem_classes="shelf"):
            with gr.Row(elem_classes="together"):
                seed = seed_box("Seed", None, "seed")
                surprise = dice("surprise")
            mistake = note("mistake")
            sweep = gr.Slider(
                *(0, LARGEST_SWEEP),
                step=1,
                label="Sweep through seeds",
                buttons=[],
                elem_id="sweep",
                elem_classes="bare",
            )
            truncation.render()
            title = heading("Seeds 0 to 23", "crate-heading")
            covers = crate(list(range(CRATE_SIZE)), "crate")
            with gr.Row(elem_classes="together"):
                back = gr.Button("Previous", min_width=80, elem_id="back")
                ahead = gr.Button("Next", min_width=80, elem_id="ahead")
                elsewhere = gr.Button("Elsewhere", min_width=80, elem_id="elsewhere")
            start = gr.Number(None, precision=0, visible=False)

    # A tab is also "selected" before `opened` has read the link: box and start are empty until then and draw nothing.
    drawn, filled = [cover, mistake], [covers, title]
    seed.input(explore.typed, [seed, truncation], [*drawn, sweep], **LIVE)
    sweep.input(explore.swept, [start, sweep, truncation], [*drawn, seed], **LIVE)
    gr.on([truncation.input, tab.select], explore.show_again, [start, seed, truncation], drawn, **LIVE)
    surprise.click(explore.surprise, truncation, [*drawn, sweep, seed], **LIVE)
    covers.choose(explore.chosen, truncation, [*drawn, sweep, seed], **LIVE)

    covers.stale(explore.fill, [start, truncation], filled, **LIVE)
    tab.select(explore.fill, [start, truncation], filled, **LIVE)
    back.click(explore.back, [start, truncation], [*filled, start], **LIVE)
    ahead.click(explore.ahead, [start, truncation], [*filled, start], **LIVE)
    elsewhere.click(explore.elsewhere, truncation, [*filled, start], **LIVE)

    opened = page.load(
        explore.opened,
        None,
        [*drawn, sweep, seed, truncation, other_truncation, start],
        show_progress="hidden",
        api_visibility="private",
    )
    opened.then(explore.fill, [start, truncation], filled, **LIVE)
