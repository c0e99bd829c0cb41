"""Pictures of the page, from a real Chromium: `python -m tests.helpers.photographs` takes the manual's anew.

With a folder, every tab and every lesson is taken into it instead, used as a visitor would, to be looked at:
`python -m tests.helpers.photographs looks --widths 1280 390 --schemes light dark --language de`.

The page starts with the generator that ships, and every cover on it is a generated one; the page of a run shows the
run that made it. With `--run runs/first` the page of another run is taken.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from itertools import product
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright

from gan.studio.tabs.learn.learn import film
from tests.helpers.serving import ROOT, free_port, serving


MANUAL = ROOT / "gan/studio"
# of each tab what is there when it has been opened
TABS = {
    "crate": "#crate canvas", "breed": "#breed .child img[src]", "walk": "#walk .details:not(:empty)",
    "finish": "#finish .layouts img[src]", "yours": "#yours .mates img[src]",
}  # fmt: skip
# and of each lesson
LESSONS = {
    "game": ".plane", "wasserstein": ".two-lines", "layers": ".layer", "normalise": ".strip img",
    "watch": ".sheet[src]", "critic": ".judged img", "inside": ".channels img", "wrong": ".sheet[src]",
    "own": ".commands",
}  # fmt: skip
SHELF = (6, 0, 18, 30)  # seeds, the opening one first
WAIT = 60_000  # milliseconds: a busy machine
ALL_SHOWN = """() => [...document.images]
    .every(image => !image.getAttribute('src') || !image.checkVisibility() || image.naturalWidth)"""


def open_tab(page: Page, name: str) -> None:
    """Open a tab, and wait until what it shows first is there."""
    page.click(f"#tab-{name}")
    page.locator(TABS[name]).first.wait_for(timeout=WAIT)


def keep(page: Page) -> None:
    """Put the covers of `SHELF` on the shelf, and come back to the first."""
    for seed in (*SHELF[1:], SHELF[0]):
        page.fill("#seed", str(seed))
        page.locator(f"#crate .stand[data-address^='seed={seed}&']").wait_for()
        page.click("#crate .keep")
        page.locator("#crate .keep[data-kept=yes]").wait_for()


def crate(page: Page) -> None:
    """The crate, with the opening cover kept."""
    for key, seed in (("ArrowRight", SHELF[0] + 1), ("ArrowLeft", SHELF[0])):  # the hint goes
        page.locator("#crate canvas").press(key)
        page.locator(f"#crate .stand[data-address^='seed={seed}&']").wait_for()
    page.click("#crate .keep")


def breed(page: Page) -> None:
    """A child, its own children, and a shelf."""
    keep(page)
    open_tab(page, "breed")
    page.locator("#breed .choose").nth(3).click()
    page.locator("#breed .family button").nth(1).wait_for()


def walk(page: Page) -> None:
    """The film through the shelf beside straight lines, and how the generator learned."""
    keep(page)
    open_tab(page, "walk")
    page.check("#compare")
    page.click("#learned .draw")
    page.locator("#learned .scrub input").wait_for()
    page.locator("#learned .moment").fill("34")
    page.locator("#walk .straight canvas").wait_for()
    page.wait_for_timeout(2000)
    page.locator("#walk .frame").fill("30")


def finish(page: Page) -> None:
    """Artist and title on the opening cover, enlarged."""
    open_tab(page, "finish")
    page.fill("#finish .artist", "The Quiet Machines")
    page.fill("#finish .title", "Nobody Was Ever Here")
    page.wait_for_timeout(6000)  # the enlarged picture


def draw_evening(size: int) -> Image.Image:
    """A sun above hills: what anybody recognises again in the cover that is found."""
    across, down = Image.linear_gradient("L").resize((size, size)), size // 100
    sky = Image.composite(Image.new("RGB", (size, size), "#f2a03d"), Image.new("RGB", (size, size), "#b3263a"), across)
    pen = ImageDraw.Draw(sky)
    pen.ellipse((34 * down, 22 * down, 66 * down, 54 * down), fill="#ffe9a8")
    pen.ellipse((-60 * down, 58 * down, 70 * down, 160 * down), fill="#3a1d2e")
    pen.ellipse((30 * down, 66 * down, 170 * down, 180 * down), fill="#170d18")
    return sky


def yours(page: Page) -> None:
    """A drawn picture, what was found, and whether the opening cover is a copy."""
    open_tab(page, "yours")
    with tempfile.TemporaryDirectory() as folder:
        draw_evening(500).save(Path(folder) / "mine.png")
        page.set_input_files("#yours input[type=file]", Path(folder) / "mine.png")
        page.locator("#yours .found img[src]").wait_for(timeout=WAIT)
        page.locator("#yours .stop").wait_for(state="hidden", timeout=WAIT)
    page.locator(".copy-part .mates button").first.click()
    page.locator(".copies tr").first.wait_for(timeout=WAIT)


def game(page: Page) -> None:
    """The toy, played for a moment."""
    page.click("[data-do=play]")
    page.wait_for_timeout(3000)
    page.click("[data-do=play]")


def critic(page: Page) -> None:
    """The critic's answers, and where it looks in one picture."""
    page.click("[data-do=ask]")
    page.locator(".judged button").nth(3).click()
    page.locator(".critic-detail img").first.wait_for(timeout=WAIT)


def inside(page: Page) -> None:
    """One channel muted."""
    page.locator(".channels button").nth(3).click()


# what is done before a tab, or a lesson, is taken
ACTS: dict[str, Callable[[Page], None]] = {
    "crate": crate, "breed": breed, "walk": walk, "finish": finish, "yours": yours,
    "game": game, "critic": critic, "inside": inside,
}  # fmt: skip
# of the manual: a file, its tab, and whether all of the page is on it
PICTURES = {
    "page": ("crate", False),
    "page-breed": ("breed", True),
    "page-walk": ("walk", True),
    "page-finish": ("finish", True),
    "page-yours": ("yours", True),
}
RUN = "page-run"  # one more, which is no tab


def shipped_run(run: Path) -> Path:
    """Write the folder of the run that made the shipped generator, as far as that ships, and return it.

    The sheets of its checkpoints are pictures of its film, which begins with those of a run before it.
    """
    (run / "samples").mkdir(parents=True)
    for name in ("config.json", "metrics.jsonl", "film.webp"):
        shutil.copy(ROOT / "gan/pretrained" / name, run)
    told = film()
    with Image.open(run / "film.webp") as pictures:
        for place, images in enumerate(told["images"], told["frames"] - len(told["images"])):
            pictures.seek(place)
            pictures.convert("RGB").save(run / "samples" / f"images-{images:010d}.png")
    return run


def take_run(run: Path, visitor: dict[str, object], file: Path) -> None:
    """Take the page of a run, as it opens, as a WebP: a sheet of covers makes a large PNG."""
    program = [sys.executable, "app.py", "--port", free_port(), "--run", run]
    with serving(program) as (address, _, _), sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = chromium.new_page(**visitor)
        page.goto(address)
        page.wait_for_selector("body[data-shown]", timeout=WAIT)
        page.wait_for_function(ALL_SHOWN, timeout=WAIT)
        Image.open(BytesIO(page.screenshot())).save(file, quality=85, method=6)
        chromium.close()
    print(file, flush=True)


def viewport(width: int) -> dict[str, int]:
    """A window of that width, or a phone's."""
    return {"width": width, "height": 844 if width < 600 else 900}


def main() -> int:
    """Run the program. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", nargs="?", type=Path, help="for every tab and lesson; without it the manual's are taken"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="such as page-breed, or a tab, or a lesson")
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="take the page of this run instead")
    parser.add_argument("--widths", nargs="+", type=int, default=[1280], help="pixels, 1280 without it")
    parser.add_argument("--schemes", nargs="+", choices=("light", "dark"), default=["light"])
    parser.add_argument("--language", choices=("en", "de"), default="en")
    args = parser.parse_args()
    names = [*TABS, *LESSONS] if args.folder else [*PICTURES, RUN]
    if unknown := set(args.only or ()) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}: there are {', '.join(names)}")
    # a phone has no pointer that could rest on something
    visitor = {"locale": args.language} | ({"has_touch": True, "is_mobile": True} if max(args.widths) < 600 else {})
    if args.folder:
        args.folder.mkdir(parents=True, exist_ok=True)
    wanted = args.only or names
    opened = visitor | {"viewport": viewport(args.widths[0]), "color_scheme": args.schemes[0]}
    if args.run:
        take_run(args.run, opened, (args.folder or MANUAL) / f"{RUN}.webp")
        return 0
    if RUN in wanted:
        with tempfile.TemporaryDirectory() as folder:
            take_run(shipped_run(Path(folder) / "covers-128"), opened, MANUAL / f"{RUN}.webp")
    with (
        serving([sys.executable, "app.py", "--port", free_port()]) as (address, _, _),
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in (name for name in wanted if name != RUN):
            page = chromium.new_page(viewport=viewport(args.widths[0]), **visitor)
            page.set_default_timeout(WAIT)
            page.goto(address + (f"?learn={name}" if name in LESSONS else ""))
            if name in LESSONS:
                page.locator(f".stage.{name} {LESSONS[name]}").first.wait_for(timeout=WAIT)
            else:
                page.wait_for_function("performance.getEntriesByName('first-cover').length", timeout=WAIT)
            what, whole = PICTURES.get(name, (name, True))
            ACTS.get(what, lambda page: None)(page)
            for width, scheme in product(args.widths, args.schemes):
                page.set_viewport_size(viewport(width))
                page.emulate_media(color_scheme=scheme)
                page.mouse.move(1, 1)  # pointer and focus are on nothing
                page.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
                page.wait_for_timeout(1500)
                page.wait_for_function(ALL_SHOWN, timeout=WAIT)
                file = args.folder / f"{name}-{width}-{scheme}.png" if args.folder else MANUAL / f"{name}.png"
                page.screenshot(path=file, full_page=whole)
                print(file, flush=True)
            page.close()
        chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
