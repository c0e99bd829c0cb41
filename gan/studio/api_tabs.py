"""What programs may call of the tabs Breed, Walk, Finish and Yours."""

from pathlib import Path

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from gan.studio import checks
from gan.studio.print.layouts import LAYOUTS
from gan.studio.tabs.breed import DIFFERENCE, Breed, as_amounts, as_difference
from gan.studio.tabs.finish import Finish
from gan.studio.tabs.training import Training
from gan.studio.tabs.yours import Yours
from gan.studio.uploads import LARGEST_FILE, read_picture


def add_tab_endpoints(breed: Breed, finish: Finish, yours: Yours, training: Training) -> None:
    """Add the endpoints to the page that is being built, with nothing to be seen of them.

    Args:
        breed, finish, yours, training: what the tabs do.
    """
    model = breed.model
    with gr.Column(visible=False):
        file = gr.File(label="File")
        address = gr.Textbox(label="Address")
        artist, title = gr.Textbox("", label="Artist"), gr.Textbox("", label="Title")
        layout = gr.Radio(list(LAYOUTS), value="poster", label="Layout")
        picture = gr.File(label="Picture")
        found = gr.Textbox(label="Address")
        call = gr.Button()

    def save(data: bytes, name: str) -> str:
        return save_bytes_to_cache(data, name, file.GRADIO_CACHE)

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
    def copies(address: str) -> dict:
        """The training covers nearest to an album cover, to see whether it is a copy.

        Args:
            address: of the cover, such as seed=7.

        Returns:
            copy: whether the nearest is as near as a cover cropped or badly saved; covers: how many were compared;
            percentile: of 100 training covers so many have another one as near; nearest: five of them, each with the
            beginning of its sha256, its distance, its percentile, and in how many of 64 bits its hash differs.
        """
        return yours.copies(model.read(address))

    @checks.in_words
    def finished(address: str, artist: str = "", title: str = "", layout: str = "poster") -> str:
        """Set artist and title on an album cover, readable, for the print.

        Args:
            address: of the cover, such as seed=7.
            artist: at most 80 letters; may be empty.
            title: at most 120 letters; may be empty.
            layout: poster, corner, plate, spine or strips.

        Returns:
            A PNG file of 3000 x 3000 pixels with the cover's address inside.
        """
        order = finish.read({"address": address, "artist": artist, "title": title, "layout": layout})
        return save(finish.print(order), f"album-cover-{order.cover.name}-3000.png")

    @checks.in_words
    def finished_loop(address: str, artist: str = "", title: str = "", layout: str = "poster") -> str:
        """Set artist and title on an album cover that breathes: an animation without a seam.

        Args:
            address: of the cover, such as seed=7.
            artist: at most 80 letters; may be empty.
            title: at most 120 letters; may be empty.
            layout: poster, corner, plate, spine or strips.

        Returns:
            An animated WebP file of 512 x 512 pixels.
        """
        order = finish.read({"address": address, "artist": artist, "title": title, "layout": layout})
        return save(finish.loop(order), f"album-cover-{order.cover.name}-loop.webp")

    @checks.in_words
    def project(picture: str) -> str:
        """Search the generator for the album cover most like a picture; takes up to 20 seconds.

        Args:
            picture: a PNG, JPEG or WebP file of at most 8 MB.

        Returns:
            The address of the cover, for /cover.
        """
        with Path(picture).open("rb") if isinstance(picture, str) else _no_file(picture) as stored:
            image = read_picture(stored.read(LARGEST_FILE + 1), model.resolution)
        *_, (found, _) = yours.search(image)
        return found.query()

    @checks.in_words
    def training_film(address: str) -> str:
        """Draw an album cover as each snapshot of the generator's training does, from the same latents.

        Args:
            address: of the cover, such as seed=7.

        Returns:
            An animated WebP file in the generator's own resolution, without loss; it ends with the last snapshot.
        """
        cover = model.read(address)
        return save(training.film(cover), f"album-cover-{cover.name}-training.webp")

    for endpoint, name in ((children, "breed"), (cross, "cross"), (fade, "fade"), (copies, "copies")):
        endpoint.__name__ = name  # what an MCP tool is called after
        gr.api(endpoint, api_name=name, concurrency_limit=2)
    # the raw values (`preprocess=False`), so that everything wrong is refused in the same words
    for endpoint, name in ((finished, "finish"), (finished_loop, "finish_loop")):
        endpoint.__name__ = name
        call.click(
            endpoint, [address, artist, title, layout], file, api_name=name, preprocess=False, show_progress="hidden",
            concurrency_id="print", concurrency_limit=1,
        )  # fmt: skip
    call.click(
        training_film, address, file, api_name="training_film", preprocess=False, show_progress="hidden",
        concurrency_id="training", concurrency_limit=1,
    )  # fmt: skip
    # Gradio itself makes sure that the path is one of a file that was sent to it
    call.click(
        project, picture, found, api_name="project", show_progress="hidden", concurrency_id="search",
        concurrency_limit=1,
    )  # fmt: skip


def _no_file(value: object):
    raise checks.Refused("a picture is a PNG, JPEG or WebP file", value)
