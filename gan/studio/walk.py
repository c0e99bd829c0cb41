"""The tab "Walk": from one cover to another, and the way as a loop."""

import gradio as gr

from gan.studio import checks
from gan.studio.controls import LIVE, any_seed, dice, note, seed_box
from gan.studio.files import cover_png, data_uri, loop_webp
from gan.studio.model import Model
from gan.studio.pictures import in_sleeve, sleeve, thumbnail


FIRST_SEEDS = (1, 2)
FRAMES = 48


class Walk:
    """What the tab's controls do. Each handler returns the new values of the components it names."""

    def __init__(self, model: Model):
        self.model = model

    def show(self, seed_a: object, seed_b: object, position: object, truncation: object) -> tuple:
        """Picture on the way, and note. An empty box, as between two numbers being typed, changes nothing."""
        if seed_a is None or seed_b is None:
            return gr.skip(), ""
        try:
            seed_a, seed_b = checks.seed(seed_a), checks.seed(seed_b)
            position, truncation = checks.position(position), checks.truncation(truncation)
        except checks.Refused as refusal:
            return gr.skip(), f"{refusal}."
        file = frame_png(self.model, seed_a, seed_b, position, truncation)
        return in_sleeve(
            data_uri(file, "image/png"),
            alt=f"Album cover {position:.0%} of the way from seed {seed_a} to seed {seed_b}",
            details=f"{position:.0%} of the way from {seed_a} to {seed_b}, truncation {truncation:g}",
            file=f"album-cover-{seed_a}-{seed_b}-{position:.2f}.png",
            action="Download PNG",
        ), ""

    def show_all(self, seed_a: object, seed_b: object, position: object, truncation: object) -> tuple:
        """Picture on the way, note, and the pictures of both ends."""
        ends = [self._end(seed, truncation) for seed in (seed_a, seed_b)]
        return *self.show(seed_a, seed_b, position, truncation), *ends

    def surprise_a(self, seed_b: object, position: object, truncation: object) -> tuple:
        """Picture on the way, note, the pictures of both ends and seed a, which is any seed."""
        seed_a = any_seed()
        return *self.show_all(seed_a, seed_b, position, truncation), seed_a

    def surprise_b(self, seed_a: object, position: object, truncation: object) -> tuple:
        """Picture on the way, note, the pictures of both ends and seed b, which is any seed."""
        seed_b = any_seed()
        return *self.show_all(seed_a, seed_b, position, truncation), seed_b

    @checks.in_words
    def loop(self, seed_a: object, seed_b: object, frames: object, truncation: object) -> dict:
        """The loop, in the place of the picture on the way."""
        seed_a, seed_b = checks.seed(seed_a), checks.seed(seed_b)
        frames, truncation = checks.frames(frames), checks.truncation(truncation)
        return in_sleeve(
            data_uri(loop_webp(self.model.loop(seed_a, seed_b, frames, truncation)), "image/webp"),
            alt=f"Animation from the album cover of seed {seed_a} to that of seed {seed_b} and back",
            details=f"A loop of {frames} frames from {seed_a} to {seed_b} and back, truncation {truncation:g}",
            file=loop_name(seed_a, seed_b),
            action="Download the loop",
        )

    def _end(self, seed: object, truncation: object) -> dict:
        try:
            cover = self.model.cover(checks.seed(seed), checks.truncation(truncation))
        except checks.Refused:
            return gr.skip()  # the note already says why
        return {
            "src": data_uri(cover_png(cover, self.model, truncation, seed=seed), "image/png"),
            "alt": f"Album cover of seed {seed}",
        }


def frame_png(model: Model, seed_a: int, seed_b: int, position: float, truncation: float) -> bytes:
    """One cover on the way as a PNG file."""
    cover = model.between(seed_a, seed_b, position, truncation)
    return cover_png(cover, model, truncation, seed_a=seed_a, seed_b=seed_b, position=position)


def loop_name(seed_a: int, seed_b: int) -> str:
    """What the file of a loop is called."""
    return f"album-cover-loop-{seed_a}-{seed_b}.webp"


def walk_tab(model: Model, truncation: gr.Slider) -> None:
    """Build the tab.

    Args:
        model: draws the covers.
        truncation: this tab's slider, rendered here.
    """
    walk = Walk(model)
    with gr.Tab("Walk", id="walk") as tab, gr.Row(elem_classes="desk"):
        with gr.Column(min_width=300, elem_classes="stand"):
            picture = sleeve("frame", "Download PNG")
            position = gr.Slider(
                0, 1, 0.5, step=0.01, label="Where on the walk", buttons=[], elem_id="position", elem_classes="bare"
            )
        with gr.Column(min_width=300, elem_classes="shelf"):
            with gr.Row(elem_classes="end"):
                thumbnail_a = thumbnail("thumbnail-a")
                seed_a = seed_box("From seed", FIRST_SEEDS[0], "seed-a")
                surprise_a = dice("surprise-a")
            with gr.Row(elem_classes="end"):
                thumbnail_b = thumbnail("thumbnail-b")
                seed_b = seed_box("To seed", FIRST_SEEDS[1], "seed-b")
                surprise_b = dice("surprise-b")
            mistake = note("walk-mistake")
            truncation.render()
            frames = gr.Slider(
                checks.FEWEST_FRAMES,
                checks.MOST_FRAMES,
                FRAMES,
                step=1,
                label="Frames of the loop",
                info="20 are shown each second.",
                buttons=[],
                elem_id="frames",
            )
            make = gr.Button("Make the loop", variant="primary", elem_id="make-loop")

    way = [seed_a, seed_b, position, truncation]
    shown = [picture, mistake, thumbnail_a, thumbnail_b]
    position.input(walk.show, way, [picture, mistake], **LIVE)
    gr.on([seed_a.input, seed_b.input, truncation.input, tab.select], walk.show_all, way, shown, **LIVE)
    surprise_a.click(walk.surprise_a, [seed_b, position, truncation], [*shown, seed_a], **LIVE)
    surprise_b.click(walk.surprise_b, [seed_a, position, truncation], [*shown, seed_b], **LIVE)
    make.click(
        walk.loop,
        [seed_a, seed_b, frames, truncation],
        picture,
        preprocess=False,
        show_progress="minimal",
        concurrency_id="loop",
        concurrency_limit=1,
        api_visibility="private",
    )
