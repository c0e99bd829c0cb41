"""Make the best generator of a run the one that ships with the project.

    python -m train.ship runs/first

Its weights go to gan/pretrained in float16, with the run's configuration, metrics and film, a sheet of seeds 0 to 63,
and a survey for the page. What was measured of the one before (scores.json, copies.json, the index of its training
covers) is deleted.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from gan.pipeline_folder import (
    COVERS_INDEX,
    PRETRAINED,
    SURVEY,
    PipelineError,
    halved,
    load_with_discriminators,
    save_pipeline,
)
from gan.survey import SEEDS
from gan.untrusted import LARGEST_METRICS, check_file, read_line
from train.cli import Parser, UserError, run
from train.files import replacing, write_atomically
from train.metrics.best import is_best
from train.sheet import draw_sheet
from train.survey import write_survey


OF_THE_ONE_BEFORE = ("scores.json", "copies.json", "film.webp", COVERS_INDEX, SURVEY)


def ship(run_folder: Path, target: Path, seeds: int = SEEDS, no_discriminator: bool = False) -> tuple[int, float]:
    """Replace the generator in `target` by the best one of a run, and survey its first `seeds` for the page.

    What judged it comes with it, unless `no_discriminator`.

    Returns:
        How many covers that one was shown, and by how many grey levels float16 changes its own, on average.

    Raises:
        UserError: it is not the folder of a run, or one that measured nothing.
    """
    try:
        pipeline, discriminators = load_with_discriminators(run_folder / "best")
        check_file(run_folder / "metrics.jsonl", LARGEST_METRICS)
        read = map(read_line, (run_folder / "metrics.jsonl").read_bytes().splitlines())
        lines = [line for line in read if line is not None]
        config = (run_folder / "config.json").read_bytes()
    except (PipelineError, OSError, ValueError) as error:
        raise UserError(f"{run_folder}: not a run folder with a generator in best/ ({error})") from error
    evaluations = [line for line in lines if "fd_covers" in line]
    best = [line["images"] for i, line in enumerate(evaluations) if is_best(line, evaluations[:i])]
    if not best:
        raise UserError(f"{run_folder}: its metrics.jsonl does not tell which covers were best")
    images = best[-1]
    sheets = [draw_sheet(drawn) for drawn in (pipeline.synthesis, halved(pipeline.synthesis).float())]
    gap = float(np.abs(np.subtract(*(np.asarray(sheet, np.int16) for sheet in sheets))).mean())
    discriminators = {} if no_discriminator else discriminators
    save_pipeline(pipeline, target, for_strangers=False, half=True, discriminators=discriminators)
    for name in OF_THE_ONE_BEFORE:
        (target / name).unlink(missing_ok=True)
    write_atomically(target / "config.json", config)
    if (run_folder / "film.webp").is_file():
        shutil.copy(run_folder / "film.webp", target)
    kept = "".join(f"{json.dumps(line)}\n" for line in lines if line["images"] <= images)
    write_atomically(target / "metrics.jsonl", kept.encode())
    with replacing(target / "sheet.png") as sheet:
        sheets[1].save(sheet, "PNG")
    write_survey(target, seeds)
    return images, gap


def main() -> str:
    """Run the program; return its last line."""
    parser = Parser(prog="train.ship", description=__doc__.strip().splitlines()[0])
    parser.add_argument("run_folder", type=Path, help="folder of a run that has ended")
    parser.add_argument(
        "--no_discriminator", action="store_true", help="leave out what judged it, with which others could go on"
    )
    args = parser.parse_args()
    images, gap = ship(args.run_folder, PRETRAINED, no_discriminator=args.no_discriminator)
    size = sum(file.stat().st_size for part in ("synthesis", "encoder") for file in PRETRAINED.glob(f"{part}/*"))
    return (
        f"{PRETRAINED}: the generator after {images:,} covers, {size / 1e6:.1f} MB, "
        f"{gap:.2g} grey levels from float32; measure it again, "
        "and choose the cover that the page opens on: python -m train.survey --opening SEED"
    )


if __name__ == "__main__":
    run(main, "train.ship")
