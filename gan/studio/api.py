"""What programs may call: the same covers as on the page, as files."""

import gradio as gr
from gradio.blocks import BlockFunction
from gradio.processing_utils import save_bytes_to_cache
from gradio.state_holder import SessionState

from gan.film import mp4
from gan.studio import checks
from gan.studio.address import HEAD_OF_A_PNG, Address, from_png
from gan.studio.crate import FARTHEST, address_at
from gan.studio.files import FRAMES_PER_SECOND, cover_png, loop_webp
from gan.studio.model import Model
from gan.studio.walk import FRAMES, Order


class Page(gr.Blocks):
    """A page whose endpoints go on taking what they took before they had another input."""

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list, state: SessionState | None, explicit_call: bool = False
    ) -> list:
        """Gradio's own; what a plain HTTP call leaves out at its end is what Gradio's clients send then."""
        inputs = [*inputs, *(block.value for block in block_fn.inputs[len(inputs) :])]
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)


def add_endpoints(model: Model) -> None:
    """Add the endpoints to the page that is being built, with nothing to be seen of them.

    The page's own controls show pictures that no file stands behind; a program gets files.
    """
    with gr.Column(visible=False):
        file = gr.Image(type="filepath", format="png", label="Cover")
        film_file = gr.File(label="Film")
        query = gr.Textbox(label="Address")
        seed, seed_a, seed_b = gr.Number(label="Seed"), gr.Number(1, label="Seed a"), gr.Number(2, label="Seed b")
        x, y = gr.Number(label="x"), gr.Number(label="y")
        position = gr.Number(0.5, label="Position")
        frames = gr.Number(FRAMES, label="Frames", precision=0)
        truncation = gr.Number(1.0, label="Truncation")
        genre = gr.Textbox("", label="Genre")
        addresses = gr.JSON(label="Addresses")
        straight = gr.Checkbox(False, label="Straight lines")
        speed = gr.Number(FRAMES_PER_SECOND, label="Frames a second")
        kind = gr.Radio(["webp", "mp4"], value="webp", label="Kind of file")
        png = gr.File(label="PNG", type="binary")
        call = gr.Button()

    def save(data: bytes, name: str) -> str:
        return save_bytes_to_cache(data, name, file.GRADIO_CACHE)

    def save_cover(address: Address) -> str:
        return save(cover_png(model.draw([address])[0], address), f"album-cover-{address.name}.png")

    @checks.in_words
    def generate(seed: int, truncation: float = 1.0, genre: str = "") -> str:
        """Draw one album cover. The same seed is the same cover for ever.

        Args:
            seed: a whole number from 0 to 4294967295.
            truncation: 0 to 1.5; lower is safer and more alike, higher is wilder.
            genre: one that the generator knows, empty for any.

        Returns:
            A PNG file in the generator's own resolution; its text chunks hold the cover's address.
        """
        return save_cover(model.address(checks.seed(seed), checks.truncation(truncation), genre))

    @checks.in_words
    def cover(address: str) -> str:
        """Draw the album cover of an address, as the page's links and every PNG made here have it.

        Args:
            address: such as seed=7&truncation=0.8, or a whole link; for covers between seeds latents=...

        Returns:
            A PNG file in the generator's own resolution; its text chunks hold the cover's address.
        """
        return save_cover(model.read(address))

    @checks.in_words
    def address(png: bytes) -> str:
        """Read the address of a cover from a PNG that was made here.

        Args:
            png: the file.

        Returns:
            The address, for /cover, /film or a link's question mark.
        """
        return model.read(from_png(png[:HEAD_OF_A_PNG] if isinstance(png, bytes) else b"").query()).query()

    @checks.in_words
    def plane(x: float, y: float, truncation: float = 1.0, genre: str = "") -> str:
        """Draw the album cover at a place of the crate's endless plane.

        Args:
            x: whole places are seeds: x modulo 65536, plus 65536 times y modulo 65536. Between them covers blend.
            y: the same downwards.
            truncation: 0 to 1.5; lower is safer and more alike, higher is wilder.
            genre: one that the generator knows, empty for any.

        Returns:
            A PNG file in the generator's own resolution; its text chunks hold the cover's address.
        """
        x, y = (checks.number(value, "a place", -FARTHEST, FARTHEST) for value in (x, y))
        return save_cover(address_at(model, x, y, checks.truncation(truncation), genre))

    @checks.in_words
    def walk(seed_a: int, seed_b: int, position: float = 0.5, truncation: float = 1.0) -> str:
        """Draw one album cover on the way from one seed's cover to another's.

        Args:
            seed_a: where the way begins, a whole number from 0 to 4294967295.
            seed_b: where it ends.
            position: 0 is the cover of seed a, 1 that of seed b.
            truncation: 0 to 1.5; lower is safer and more alike, higher is wilder.

        Returns:
            A PNG file in the generator's own resolution; its text chunks hold the cover's address.
        """
        seed_a, seed_b = checks.seed(seed_a), checks.seed(seed_b)
        return save_cover(model.between(seed_a, seed_b, checks.position(position), checks.truncation(truncation)))

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
        images = model.loop(seed_a, seed_b, frames, truncation)
        return save(loop_webp(images), f"album-cover-loop-{seed_a}-{seed_b}.webp")

    @checks.in_words
    def film(
        addresses: list[str], frames: int = FRAMES, straight: bool = False, speed: int = FRAMES_PER_SECOND,
        kind: str = "webp",
    ) -> str:  # fmt: skip
        """Draw a film without a seam through album covers, in order and back to the first.

        Args:
            addresses: of 2 to 60 covers; a frame is of the genre of the nearer one.
            frames: 12 to 120, and at least as many as covers.
            straight: along straight lines instead of the round path.
            speed: frames a second, 1 to 50.
            kind: webp, without loss in the generator's own resolution, or mp4, where the server has ffmpeg.

        Returns:
            The film as a file.
        """
        asked = {"addresses": addresses, "frames": frames, "straight": straight, "speed": speed, "kind": kind}
        order = Order(model, asked)
        images = model.film(order.path(order.straight), order.genres)
        return save((mp4 if order.kind == "mp4" else loop_webp)(images, order.speed), f"covers.{order.kind}")

    # the raw values (`preprocess=False`), so that everything wrong is refused in the same words
    raw = {"preprocess": False, "show_progress": "hidden"}
    for endpoint, inputs in (
        (generate, [seed, truncation, genre]),
        (cover, query),
        (plane, [x, y, truncation, genre]),
        (walk, [seed_a, seed_b, position, truncation]),
    ):
        # any number at once: in the model they take turns with the visitors of the page
        call.click(endpoint, inputs, file, api_name=endpoint.__name__, concurrency_limit=None, **raw)
    call.click(address, png, query, api_name="address", concurrency_limit=None, show_progress="hidden")
    for endpoint, inputs, output in (
        (loop, [seed_a, seed_b, frames, truncation], file),
        (film, [addresses, frames, straight, speed, kind], film_file),
    ):
        call.click(
            endpoint, inputs, output, api_name=endpoint.__name__, concurrency_id="film", concurrency_limit=1, **raw
        )
