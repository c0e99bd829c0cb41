"""What programs may call: three endpoints, the same covers as on the page."""

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from gan.studio import checks
from gan.studio.files import cover_png, loop_webp
from gan.studio.model import Model
from gan.studio.walk import FIRST_SEEDS, FRAMES, frame_png, loop_name


def add_endpoints(model: Model) -> None:
    """Add `/generate`, `/walk` and `/loop` to the page that is being built, with nothing to be seen of them.

    The page's own controls show pictures that no file stands behind; a program gets files.
    """
    with gr.Column(visible=False):
        file = gr.Image(type="filepath", format="png", label="Cover")
        seed = gr.Number(label="Seed", precision=0)
        seed_a = gr.Number(FIRST_SEEDS[0], label="Seed a", precision=0)
        seed_b = gr.Number(FIRST_SEEDS[1], label="Seed b", precision=0)
        position = gr.Number(0.5, label="Position")
        frames = gr.Number(FRAMES, label="Frames", precision=0)
        truncation = gr.Number(1.0, label="Truncation")
        call = gr.Button()

    def save(data: bytes, name: str) -> str:
        return save_bytes_to_cache(data, name, file.GRADIO_CACHE)

    @checks.in_words
    def generate(seed: int, truncation: float = 1.0) -> str:
        """Draw one album cover. The same seed is the same cover for ever.

        Args:
            seed: a whole number from 0 to 4294967295.
            truncation: 0 to 1.5; lower is safer and more alike, higher is wilder.

        Returns:
            A PNG file in the generator's own resolution; its text chunks hold seed, truncation, model and revision.
        """
        seed, truncation = checks.seed(seed), checks.truncation(truncation)
        data = cover_png(model.cover(seed, truncation), model, truncation, seed=seed)
        return save(data, f"album-cover-{seed}.png")

    @checks.in_words
    def walk(seed_a: int, seed_b: int, position: float = 0.5, truncation: float = 1.0) -> str:
        """Draw one album cover on the way from one seed's cover to another's.

        Args:
            seed_a: where the way begins, a whole number from 0 to 4294967295.
            seed_b: where it ends.
            position: 0 is the cover of seed a, 1 that of seed b.
            truncation: 0 to 1.5; lower is safer and more alike, higher is wilder.

        Returns:
            A PNG file in the generator's own resolution.
        """
        seed_a, seed_b = checks.seed(seed_a), checks.seed(seed_b)
        position, truncation = checks.position(position), checks.truncation(truncation)
        data = frame_png(model, seed_a, seed_b, position, truncation)
        return save(data, f"album-cover-{seed_a}-{seed_b}.png")

    @checks.in_words
    def loop(seed_a: int, seed_b: int, frames: int = FRAMES, truncation: float = 1.0) -> str:
        """Draw the way from one seed's cover to another's and back, as an animation without a seam.

        Args:
            seed_a: where the loop begins, a whole number from 0 to 4294967295.
            seed_b: where it turns round.
            frames: 12 to 120; 20 are shown each second.
            truncation: 0 to 1.5; lower is safer and more alike, higher is wilder.

        Returns:
            An animated WebP file in the generator's own resolution, without loss.
        """
        seed_a, seed_b = checks.seed(seed_a), checks.seed(seed_b)
        frames, truncation = checks.frames(frames), checks.truncation(truncation)
        return save(loop_webp(model.loop(seed_a, seed_b, frames, truncation)), loop_name(seed_a, seed_b))

    # the raw values (`preprocess=False`), so that everything wrong is refused in the same words
    raw = {"preprocess": False, "show_progress": "hidden"}
    call.click(generate, [seed, truncation], file, api_name="generate", concurrency_limit=2, **raw)
    call.click(walk, [seed_a, seed_b, position, truncation], file, api_name="walk", concurrency_limit=2, **raw)
    call.click(
        loop, [seed_a, seed_b, frames, truncation], file, api_name="loop",
        concurrency_id="loop", concurrency_limit=1, **raw,
    )  # fmt: skip
