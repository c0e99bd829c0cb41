"""Measure `train.prepare` beside what people used before it, all in one run on the same JPEGs.

Two ways were usual. In 2018 a pile went through `identify`, `jhead`, `fdupes` and `mogrify`. Later many used the
`dataset_tool.py` of StyleGAN2-ADA and StyleGAN3, whose way is followed here in a few lines.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from gan.fingerprints import colours, perceptual_hash, pixel_hash
from train.benchmark.piles import draw_cover, large_pictures, write_pile
from train.cli import UserError
from train.prepare import parts
from train.prepare.clean import decode, make_square
from train.prepare.items import Item, Place
from train.prepare.settings import Settings


PICTURES = 48
# What the goal for judging is named for.
JUDGED_SIDE, JUDGED_FILES = 600, 256
# `identify` a file at a time: only so does its exit code say which file is bad. The others take the whole folder.
EACH = "find . -type f -print0 | xargs -0 "
TOOLS = {
    "identify, a file at a time": EACH + "-n 1 identify -regard-warnings",
    "jhead -purejpg, once": EACH + "jhead -purejpg",
    "fdupes -r, once": "fdupes -r -q .",
    "mogrify, once": EACH + "mogrify -resize {0}x{0}^ -gravity center -extent {0}x{0}",
}
TOGETHER, OLD_TOOL = "the four tools together", "dataset_tool's way, one process"
LARGER, WARM = ", four times the files", ", without start-up"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    add = parser.add_argument
    add("sources", nargs="*", metavar="SOURCE", help="where the pictures come from; without, they are drawn")
    add("--files", type=int, default=1024, help="JPEGs to make of them; 512 or more for each core")
    add("--side", type=int, default=500, help="their width and height in pixels")
    add("--resolution", type=int, default=128, help="width and height of the covers in pixels")
    add("--repeats", type=int, default=3, help="rounds to take the median of")


def main(args: argparse.Namespace) -> str:
    """Print what each way takes, what one cover costs, what memory it needs, and how that compares to the goals."""
    if args.files < 4 or args.side < 32 or args.repeats < 1 or not 16 <= args.resolution <= 1024:
        raise UserError("--files must be 4 or more, --side 32 or more, --repeats 1 or more, --resolution 16 to 1024")
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        scratch = Path(folder)
        pictures = (
            large_pictures(args.sources, args.side, PICTURES)
            if args.sources
            else [draw_cover(seed, max(args.side, JUDGED_SIDE)) for seed in range(PICTURES)]
        )
        pile = write_pile(scratch / "pile", pictures, 4 * args.files, args.side)
        kilobytes = sum(file.stat().st_size for file in pile.glob("0/*")) / args.files / 1000
        kind = "of the sources" if args.sources else "drawn"
        print(f"{args.files:,} JPEGs {kind}, {args.side} px, {kilobytes:.0f} kB, to {args.resolution} px; ", end="")
        print(f"{cores} cores, medians of {args.repeats}\n", flush=True)
        speeds = compare(pile, args.resolution, cores, args.repeats, scratch)

        settings = Settings(args.resolution, 1, 2.0)
        larger = write_pile(scratch / "larger", pictures, 4 * min(args.files, JUDGED_FILES), JUDGED_SIDE)
        for side, some in ((args.side, pile), (JUDGED_SIDE, larger)):
            costs = profile(sorted(some.glob("0/*"))[:JUDGED_FILES], settings, args.repeats, scratch)
            print_costs(f"one cover from {side} px, processor time", costs)
        print(f"\n{'peak memory, MB':<52}{'worker':>10}{'program':>10}")
        for folders, count in (([pile / "0"], args.files), (sorted(pile.iterdir()), 4 * args.files)):
            own, largest = peaks(program(folders, args.resolution, max(2, cores), scratch), scratch)
            print(f"{f'{count:,} files':<52}{largest / 1e6:>10.0f}{own / 1e6:>10.0f}", flush=True)

    everywhere, tools = ours(cores), speeds.get(TOGETHER, np.nan)
    judged = 1000 / (sum(costs.values()) - costs["read"] - costs["write the part"])
    print(f"\n{'goal':<52}{'asked':>10}{'measured':>10}")
    for goal, asked, measured in (
        (f"times as fast as the tools, {args.files:,} files", 10, speeds[everywhere] / tools),
        (f"times as fast as the tools, {4 * args.files:,} files", 10, speeds[everywhere + LARGER] / tools),
        ("times as fast as dataset_tool's way", 4, speeds[everywhere + WARM] / speeds[OLD_TOOL]),
        (f"covers/s a core from {JUDGED_SIDE} px, judging alone", 350, judged),
    ):
        print(f"{goal:<52}{f'>= {asked}':>10}{measured:>10.1f}")
    return f"compared: {everywhere}; with start-up to the tools, which have theirs, without it to dataset_tool"


def ours(workers: int) -> str:
    """Return what our program is called in the table."""
    return f"train.prepare, {workers} worker{'s' * (workers > 1)}"


def compare(pile: Path, resolution: int, cores: int, repeats: int, scratch: Path) -> dict[str, float]:
    """Print what our program and its predecessors take for a quarter of the pile; return covers a second by name.

    Ours is measured with the whole pile, too, of which a fourth is given. Without start-up, its own and its workers',
    is a third of what the whole takes more than the quarter. The tools have none: each file costs them the same.
    One round after the other, each with every program, so that a machine that is busy for a while is so for all.
    """
    quarters = sorted(pile.iterdir())
    folder = quarters[0]
    tools = {name: line for name, line in TOOLS.items() if shutil.which(name.split(",")[0].split()[0])}
    laps: dict[str, list[np.ndarray]] = {}
    for _ in range(repeats):
        for workers in sorted({1, cores}):
            once = timed(run_program, program(quarters[:1], resolution, workers, scratch), scratch)
            four_times = timed(run_program, program(quarters, resolution, workers, scratch), scratch)
            laps.setdefault(ours(workers), []).append(once)
            laps.setdefault(ours(workers) + LARGER, []).append(four_times / 4)
            laps.setdefault(ours(workers) + WARM, []).append((four_times - once) / 3)
        laps.setdefault(OLD_TOOL, []).append(timed(dataset_tool, folder, resolution, scratch / "tool.zip"))
        copy = shutil.copytree(folder, scratch / "copy")
        for name, line in tools.items():
            laps.setdefault(name, []).append(timed(run_program, ["sh", "-c", line.format(resolution)], copy))
        shutil.rmtree(copy)
    spent = {name: np.median(rounds, axis=0) for name, rounds in laps.items()}
    if len(tools) == len(TOOLS):
        spent[TOGETHER] = sum(spent[name] for name in tools)
    files = len(list(folder.iterdir()))
    print(f"{'':<52}{'seconds':>10}{'CPU s':>10}{'covers/s':>10}")
    for name, (wall, cpu) in spent.items():
        print(f"{name:<52}{wall:>10.2f}{cpu:>10.2f}{files / wall:>10.1f}")
    for name in TOOLS.keys() - tools.keys():
        print(f"{name}: skipped, it is not on the PATH; without it the tools are not compared")
    sys.stdout.flush()
    return {name: files / wall for name, (wall, _) in spent.items()}


def timed(work: Callable[..., object], *arguments: object) -> np.ndarray:
    """Return (2,): the seconds that `work` takes on the clock and on the processor, programs it starts included."""
    before = np.array([time.perf_counter(), sum(os.times()[:4])])
    work(*arguments)
    return np.array([time.perf_counter(), sum(os.times()[:4])]) - before


def program(folders: list[Path], resolution: int, workers: int, scratch: Path) -> list[str]:
    """Return the command line of the real program, with a new output folder."""
    output_dir = tempfile.mkdtemp(dir=scratch)
    options = ["--output_dir", output_dir, "--resolution", resolution, "--num_workers", workers]
    return [sys.executable, "-m", "train.prepare", *map(str, [*folders, *options])]


def run_program(command: list[str], folder: Path) -> None:
    """Run a program in `folder`. Raises UserError where it fails."""
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True, errors="replace"
    )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [""])[-1]
        raise UserError(f"{' '.join(command[:3])} failed: {last}", 1)


def dataset_tool(folder: Path, resolution: int, archive: Path) -> None:
    """Do what StyleGAN3's dataset_tool.py does with `--transform=center-crop`: one process, PNGs into a zip."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stored:
        for number, path in enumerate(sorted(folder.iterdir())):
            pixels = np.array(Image.open(path).convert("RGB"))
            side = min(pixels.shape[:2])
            top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
            square = Image.fromarray(pixels[top : top + side, left : left + side])
            scaled = np.array(square.resize((resolution, resolution), Image.Resampling.LANCZOS))
            png = BytesIO()
            Image.fromarray(scaled).save(png, "PNG", compress_level=0, optimize=False)
            stored.writestr(f"{number // 1000:05d}/img{number:08d}.png", png.getbuffer())


def profile(files: list[Path], settings: Settings, repeats: int, scratch: Path) -> dict[str, float]:
    """Return the milliseconds of processor time that each stage of one cover costs, without waits for the disk."""
    clock = time.process_time
    items = [Item(file.name, Place(str(file), 0, file.stat().st_size, 0)) for file in files]
    outcomes = [parts.judge(item, settings) for item in items]
    rounds = []
    for _ in range(repeats):
        stages = np.zeros(7)
        for item in items:
            marks = [clock()]
            assert isinstance(item.content, Place)
            content = item.content.read()
            marks.append(clock())
            decoded = decode(content, settings)
            picture = decoded.picture
            marks.append(clock())
            square = make_square(picture, settings.resolution, settings.fit, decoded.extent)
            marks.append(clock())
            pixel_hash(picture)
            marks.append(clock())
            perceptual_hash(square)
            marks.append(clock())
            colours(square)
            marks.append(clock())
            parts.judge(Item(item.name, content), settings)  # all of it but reading; what remains is encoding
            marks.append(clock())
            stages += np.diff(marks)
        begin = clock()
        parts.write_outcomes(scratch / "part.parquet", items, outcomes)
        rounds.append([*stages[:6], stages[6] - stages[1:6].sum(), clock() - begin])
    costs = 1000 * np.median(rounds, axis=0) / len(files)
    names = ("read", "decode", "resize", "pixel hash", "perceptual hash", "mean colours", "encode", "write the part")
    return dict(zip(names, map(float, costs), strict=True))


def print_costs(title: str, costs: dict[str, float]) -> None:
    """Print a table of milliseconds and of each one's share of all."""
    print(f"\n{title:<52}{'ms':>10}{'share':>10}")
    for stage, cost in (costs | {"all": sum(costs.values())}).items():
        print(f"{stage:<52}{cost:>10.3f}{cost / sum(costs.values()):>10.1%}")
    sys.stdout.flush()


def peaks(command: list[str], folder: Path) -> tuple[int, int]:
    """Run a program; return the most bytes of memory that it held itself, and that the largest of its workers held."""
    own = largest = 0
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            own = max(own, peak_of_process(process.pid))
            for children in Path(f"/proc/{process.pid}/task").glob("*/children"):
                try:
                    largest = max(largest, 0, *(peak_of_process(int(child)) for child in children.read_text().split()))
                except OSError:  # the thread has just ended
                    continue
            time.sleep(0.02)
    return own, largest


def peak_of_process(pid: int | str = "self") -> int:
    """Return the most bytes of memory that a process ever held; 0 where it has ended, or where Linux does not tell.

    Not from `getrusage`, which counts for a new program what its parent held.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
