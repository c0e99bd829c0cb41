"""Survey a generator for the page: the colours of its first seeds, the names of its faders, the cover it opens on.

    python -m train.survey --model runs/first/pipeline --opening 18

The file goes into the pipeline folder, where the page finds it and `train.share model` takes it along.
"""

from pathlib import Path

from gan.pipeline import LARGEST_SEED
from gan.pipeline_folder import PRETRAINED, SURVEY, PipelineError, load_pipeline
from gan.survey import SEEDS, survey
from train.cli import Parser, UserError, run
from train.files import replacing


def write_survey(folder: Path, seeds: int = SEEDS, opening: int | None = None) -> str:
    """Write the survey of the generator in a pipeline folder into it; return what was written, for people.

    Raises:
        UserError: it is no pipeline folder on this disk.
    """
    if not (folder / "model_index.json").is_file():
        raise UserError(f"--model {folder} is not a pipeline folder on this disk")
    try:
        done = survey(load_pipeline(folder), seeds, opening)
    except PipelineError as error:
        raise UserError(str(error)) from error
    with replacing(folder / SURVEY) as file:
        done.save(file.name)
    named = [" to ".join(words) for words in done.faders if words]
    size = (folder / SURVEY).stat().st_size / 1e3
    return f"{folder / SURVEY}: {seeds:,} seeds, {size:.0f} kB; faders: {', '.join(named) or 'none has a clear name'}"


def main() -> str:
    """Run the program; return its last line."""
    parser = Parser(prog="train.survey", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--model", type=Path, default=PRETRAINED, help="pipeline folder")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many to know the colours of, from 0 on")
    parser.add_argument("--opening", type=int, help="seed of the cover that the page opens on")
    args = parser.parse_args()
    if not 1 <= args.seeds <= 250_000:
        raise UserError(f"--seeds is a number from 1 to 250000, not {args.seeds}")
    if args.opening is not None and not 0 <= args.opening <= LARGEST_SEED:
        raise UserError(f"--opening is a seed, a number from 0 to {LARGEST_SEED}, not {args.opening}")
    return write_survey(args.model, args.seeds, args.opening)


if __name__ == "__main__":
    run(main, "train.survey")
