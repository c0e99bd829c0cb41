"""What programs may call: the same covers as on the page, as files."""

from typing import Any

import gradio as gr
from gradio.components.api_component import Api
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image

from gan.film import mp4
from gan.palettes import colours_of
from gan.studio import checks
from gan.studio.address import HEAD_OF_A_PNG, Address, from_png
from gan.studio.files import FRAMES_PER_SECOND, cover_png, loop_gif, loop_webp
from gan.studio.model import Model
from gan.studio.pool import heavy
from gan.studio.print.layouts import LAYOUTS
from gan.studio.shell.post import KINDS, large_file
from gan.studio.tabs.breed import DIFFERENCE, Breed, as_amounts, as_difference
from gan.studio.tabs.crate import FARTHEST, FOUND, Crate, address_at
from gan.studio.tabs.finish import Finish
from gan.studio.tabs.training import Training
from gan.studio.tabs.walk import FRAMES, Order
from gan.studio.tabs.yours import Yours
from gan.studio.uploads import read_picture, read_sent


def add_endpoints(model: Model, crate: Crate, breed: Breed, training: Training, finish: Finish, yours: Yours) -> None:
    """Add the endpoints to the page that is being built, with nothing to be seen of them.

    The page's own controls show pictures that no file stands behind; a program gets files.

    Args:
        model: draws the covers.
        crate, breed, training, finish, yours: what the tabs do.
    """
    with gr.Column(visible=False):
        cover_file = gr.Image(type="filepath", format="png", label="Cover")
        file = gr.File(label="File")
        query = gr.Textbox(label="Address")
        seed, seed_a, seed_b = gr.Number(label="Seed"), gr.Number(1, label="Seed a"), gr.Number(2, label="Seed b")
        x, y = gr.Number(label="x"), gr.Number(label="y")
        position = gr.Number(0.5, label="Position")
        frames = gr.Number(FRAMES, label="Frames", precision=0)
        truncation = gr.Number(1.0, label="Truncation")
        genre = gr.Textbox("", label="Genre")
        kind_of_cover, colours = gr.Number(0, label="Kind of cover", precision=0), gr.Textbox("", label="Colours")
        # its schema says what it is; that of gr.JSON is none that a client of MCP can read
        texts_in_order: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
        addresses = Api([], texts_in_order, "Addresses")
        straight = gr.Checkbox(False, label="Straight lines")
        speed = gr.Number(FRAMES_PER_SECOND, label="Frames a second")
        kind = gr.Radio(["webp", "mp4", "gif"], value="webp", label="Kind of file")
        png = gr.File(label="PNG", type="binary")
        artist, title = gr.Textbox("", label="Artist"), gr.Textbox("", label="Title")
        layout = gr.Radio(list(LAYOUTS), value="poster", label="Layout")
        still = gr.Radio(list(KINDS), value="png", label="Kind of picture")
        clip = gr.Radio(["webp", "mp4"], value="webp", label="Kind of loop")
        font, ink, place = (gr.Textbox("", label=label) for label in ("Font", "Colour", "Position"))
        picture = gr.File(label="Picture")
        call = gr.Button()

    def save(data: bytes, name: str) -> str:
        return save_bytes_to_cache(data, name, file.GRADIO_CACHE)

    def save_cover(address: Address) -> str:
        return save(cover_png(model.draw([address])[0], address), f"album-cover-{address.name}.png")

    def picture_in(file: object) -> Image.Image:
        return read_picture(read_sent(file), model.resolution)

    @checks.in_words
    def generate(seed: int, truncation: float = 1.0, genre: str = "", kind: int = 0, colours: str = "") -> str:
        """Draw one album cover. The same seed is the same cover for ever.

        Args:
            seed: a whole number from 0 to 4294967295.
            truncation: 0 to 1.5; lower is safer and more alike, higher is wilder.
            genre: one that the generator knows, empty for any.
            kind: of cover, as /more_like tells it: 1 to as many as the generator knows, 0 for any.
            colours: names with their shares, such as black10-red30, or as /colours tells them; empty for any.

        Returns:
            A PNG file in the generator's own resolution; its text chunks hold the cover's address.
        """
        return save_cover(model.address(checks.seed(seed), checks.truncation(truncation), genre, kind, colours))

    @checks.in_words
    def more_like(address: str) -> int:
        """Find the kind of an album cover: with it /generate and /plane draw more like it.

        Args:
            address: of the cover, such as seed=7.

        Returns:
            A number from 1 on. Of a cover that was drawn without one it is a guess.
        """
        return model.likely_kind(model.read(address))

    @checks.in_words
    def colours_in(picture: str) -> str:
        """Find the colours of a picture: with them /generate and /plane draw covers in its colours.

        Args:
            picture: a PNG, JPEG or WebP file of at most 8 MB.

        Returns:
            Names with their shares, such as black10-red30.
        """
        return colours_of(picture_in(picture))

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
        return model.read(from_png(read_sent(png)[:HEAD_OF_A_PNG]).query()).query()

    @checks.in_words
    def plane(x: float, y: float, truncation: float = 1.0, genre: str = "", kind: int = 0, colours: str = "") -> str:
        """Draw the album cover at a place of the crate's endless plane.

        Args:
            x: whole places are seeds: x modulo 65536, plus 65536 times y modulo 65536. Between them covers blend.
            y: the same downwards.
            truncation: 0 to 1.5; lower is safer and more alike, higher is wilder.
            genre: one that the generator knows, empty for any.
            kind: as for /generate.
            colours: as for /generate.

        Returns:
            A PNG file in the generator's own resolution; its text chunks hold the cover's address.
        """
        x, y = (checks.number(value, "a place", -FARTHEST, FARTHEST) for value in (x, y))
        return save_cover(address_at(model, x, y, checks.truncation(truncation), genre, kind, colours))

    @checks.in_words
    def find(colours: list[str], count: int = FOUND, first: int = 0) -> list[str]:
        """Find album covers by colour, among the first seeds.

        Args:
            colours: one to three of black, white, grey, brown, red, orange, yellow, green, cyan, blue, purple, pink.
            count: how many covers, 1 to 32.
            first: how many of the best are passed over.

        Returns:
            Their addresses, for /cover, those with most of the colours first.
        """
        return [one.query() for one in crate.find(colours, first, count)]

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
    @heavy
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
    @heavy
    def film(
        addresses: list[str],
        frames: int = FRAMES,
        straight: bool = False,
        speed: int = FRAMES_PER_SECOND,
        kind: str = "webp",
    ) -> str:
        """Draw a film without a seam through album covers, in order and back to the first.

        Args:
            addresses: of 2 to 60 covers; a frame is of the genre, kind and colours of the nearer one.
            frames: 12 to 480, and at least as many as covers.
            straight: along straight lines instead of the round path.
            speed: frames a second, 1 to 50.
            kind: webp, without loss, or gif, both in the generator's own resolution, or mp4, of at least 512 pixels.

        Returns:
            The film as a file.
        """
        asked = {"addresses": addresses, "frames": frames, "straight": straight, "speed": speed, "kind": kind}
        order = Order(model, asked)
        images = model.film(order.path(order.straight), order.like)
        make = {"webp": loop_webp, "mp4": mp4, "gif": loop_gif}[order.kind]
        return save(make(images, order.speed), f"covers.{order.kind}")

    @checks.in_words
    def children(address: str, seed: int, difference: float = DIFFERENCE) -> list[str]:
        """Breed twelve children of an album cover. The same seed gives the same children for ever.

        Args:
            address: of the cover, such as seed=7&truncation=0.8.
            seed: of the children, a whole number from 0 to 4294967295.
            difference: 0 is the cover itself, 1 has nothing of it.

        Returns:
            Twelve addresses, for /cover.
        """
        litter = breed.children(model.read(address), as_difference(difference), checks.seed(seed))
        return [one.query() for one in litter]

    @checks.in_words
    def cross(address_a: str, address_b: str, seed: int) -> list[str]:
        """Cross two album covers: six between them, and six that have each latent from one of them by chance.

        Args:
            address_a: of one cover, such as seed=7; the crosses are of its genre.
            address_b: of the other one.
            seed: of chance, a whole number from 0 to 4294967295.

        Returns:
            Twelve addresses, for /cover.
        """
        return [one.query() for one in breed.crosses(model.read(address_a), model.read(address_b), checks.seed(seed))]

    @checks.in_words
    def fade(address: str, amounts: list[float]) -> str:
        """Move an album cover along the directions that change it most (SeFa).

        Args:
            address: of the cover, such as seed=7.
            amounts: of the first faders, at most six, -1 to 1 each.

        Returns:
            The address of the moved cover, for /cover.
        """
        return breed.faded(model.read(address), as_amounts(amounts, len(breed.directions))).query()

    @checks.in_words
    def copies(address: str) -> dict[str, Any]:
        """Find the training covers nearest to an album cover, to see whether it is a copy.

        Args:
            address: of the cover, such as seed=7.

        Returns:
            copy: whether the nearest is as near as a cover cropped or badly saved; covers: how many were compared;
            percentile: of 100 training covers so many have another one as near; nearest: five of them, each with the
            beginning of its sha256, its distance, its percentile, and in how many of 64 bits its hash differs.
        """
        return yours.copies(model.read(address))

    @checks.in_words
    def large(address: str, kind: str = "png") -> str:
        """Enlarge an album cover for screens.

        Args:
            address: of the cover, such as seed=7.
            kind: png or jpeg.

        Returns:
            A file of 1024 x 1024 pixels with the cover's address inside.
        """
        return save(*large_file(model, model.read(address), kind))

    @checks.in_words
    def finish_cover(
        address: str,
        artist: str = "",
        title: str = "",
        layout: str = "poster",
        kind: str = "png",
        font: str = "",
        ink: str = "",
        position: str = "",
    ) -> str:
        """Set artist and title on an album cover, readable, for shops and the print.

        Args:
            address: of the cover, such as seed=7.
            artist: at most 80 letters; may be empty.
            title: at most 120 letters; may be empty.
            layout: poster, corner, plate, spine or strips.
            kind: png, below 10 MB, or jpeg, below 4 MB.
            font: poster, grotesk, geometric, classic, classic-italic, typewriter, wide or japanese; empty for the
                layout's own. Letters that it lacks are set in another one.
            ink: light, dark, accent or a colour such as #c03a2b; empty for light or dark, whichever can be read.
            position: start, middle or end; empty for the layout's own.

        Returns:
            A file of 3000 x 3000 pixels with the cover's address inside.
        """
        asked = {"artist": artist, "title": title, "layout": layout, "font": font, "ink": ink, "position": position}
        order = finish.read({"address": address} | asked)
        kind = checks.one_of(kind, "a file", KINDS) or "png"
        name = f"album-cover-{order.cover.name}-3000.{kind.replace('jpeg', 'jpg')}"
        return save(finish.print(order, kind), name)

    @checks.in_words
    def finish_loop(
        address: str,
        artist: str = "",
        title: str = "",
        layout: str = "poster",
        kind: str = "webp",
        font: str = "",
        ink: str = "",
        position: str = "",
    ) -> str:
        """Set artist and title on an album cover that breathes: an animation without a seam.

        Args:
            address: of the cover, such as seed=7.
            artist: at most 80 letters; may be empty.
            title: at most 120 letters; may be empty.
            layout: poster, corner, plate, spine or strips.
            kind: webp, animated, or mp4.
            font: as in /finish.
            ink: as in /finish.
            position: as in /finish.

        Returns:
            A film of 512 x 512 pixels.
        """
        asked = {"artist": artist, "title": title, "layout": layout, "font": font, "ink": ink, "position": position}
        order = finish.read({"address": address} | asked)
        kind = checks.one_of(kind, "a file", ("webp", "mp4")) or "webp"
        return save(finish.loop(order, kind), f"album-cover-{order.cover.name}-loop.{kind}")

    @checks.in_words
    def project(picture: str) -> str:
        """Search the generator for the album cover most like a picture; takes up to 20 seconds.

        Args:
            picture: a PNG, JPEG or WebP file of at most 8 MB.

        Returns:
            The address of the cover, for /cover.
        """
        *_, (found, _) = yours.search(picture_in(picture))
        return found.query()

    @checks.in_words
    def training_film(address: str, kind: str = "webp") -> str:
        """Draw an album cover as each snapshot of the generator's training does, from the same latents.

        Args:
            address: of the cover, such as seed=7.
            kind: webp, animated, in the generator's own resolution, without loss, or mp4, of at least 512 pixels.

        Returns:
            The film as a file; it ends with the last snapshot.
        """
        return save(*training.film(model.read(address), kind))

    raw = {"preprocess": False}  # the values as they were sent, so that everything wrong is refused in the same words
    at_once = raw | {"concurrency_limit": None}  # in the model programs take turns with the visitors of the page
    films = raw | {"concurrency_id": "film", "concurrency_limit": 1}
    prints = raw | {"concurrency_id": "print", "concurrency_limit": 1}
    trainings = raw | {"concurrency_id": "training", "concurrency_limit": 1}
    texts, looks = [query, artist, title, layout], [font, ink, place]
    asked_for = [genre, kind_of_cover, colours]
    for name, endpoint, inputs, output, options in (
        ("generate", generate, [seed, truncation, *asked_for], cover_file, at_once),
        ("cover", cover, [query], cover_file, at_once),
        ("plane", plane, [x, y, truncation, *asked_for], cover_file, at_once),
        ("walk", walk, [seed_a, seed_b, position, truncation], cover_file, at_once),
        ("more_like", more_like, [query], kind_of_cover, at_once),
        ("colours", colours_in, [picture], colours, at_once),
        ("address", address, [png], query, at_once),
        ("loop", loop, [seed_a, seed_b, frames, truncation], cover_file, films),
        ("film", film, [addresses, frames, straight, speed, kind], file, films),
        ("large", large, [query, still], file, prints),
        ("finish", finish_cover, [*texts, still, *looks], file, prints),
        ("finish_loop", finish_loop, [*texts, clip, *looks], file, prints),
        ("training_film", training_film, [query, clip], file, trainings),
        ("project", project, [picture], query, raw | {"concurrency_id": "search", "concurrency_limit": 1}),
    ):
        endpoint.__name__ = name  # what an MCP tool is called after
        call.click(endpoint, inputs, output, api_name=name, show_progress="hidden", **options)
    for name, endpoint in (("find", find), ("breed", children), ("cross", cross), ("fade", fade), ("copies", copies)):
        endpoint.__name__ = name
        gr.api(endpoint, api_name=name, concurrency_limit=2)
