"""Measure speed on this machine, and what our other measures are worth.

python -m train.benchmark train
python -m train.benchmark start
python -m train.benchmark profile --config r3gan-cpu
python -m train.benchmark race --r3gan R3GAN --stylegan2 stylegan2-ada-pytorch
python -m train.benchmark generate --model runs/first/pipeline
python -m train.benchmark prepare
python -m train.benchmark duplicates covers/
python -m train.benchmark recipes --dataset_name covers-64 --output_dir runs/compare --recipe dcgan-64 r3gan-cpu
python -m train.benchmark yardstick --dataset_name covers-64
python -m train.benchmark genres --dataset_name covers-genres --model runs/genres/pipeline
"""

import statistics
import time
from collections.abc import Callable

from accelerate import Accelerator

from gan.pipeline_folder import PipelineError, load_pipeline
from train.benchmark import duplicates, genres, prepare, profile, race, recipes, speed, start, yardstick
from train.cli import Parser, UserError, run
from train.train_gan.device import device_name


def generate_speed(draw: Callable[[int], object], batch: int, repeats: int = 9) -> float:
    """Milliseconds for one cover in batches of `batch`: the median of `repeats` after one that warms up."""
    laps = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        draw(batch)
        laps.append(time.perf_counter() - start)
    return 1000 * statistics.median(laps[1:]) / batch


def benchmark_generate(args) -> str:
    """Print milliseconds for a cover, alone and in a batch."""
    try:
        pipeline = load_pipeline(args.model).to(Accelerator().device)
    except PipelineError as error:
        raise UserError(str(error)) from error
    for batch in (1, 16, 64):
        speed = generate_speed(lambda n: pipeline(seeds=list(range(n)), batch_size=n), batch)
        print(f"{batch:>3} at a time: {speed:6.1f} ms a cover")
    return f"on {device_name(pipeline.device)}; seeds to pictures, medians"


def main() -> str:
    """Run the program; returns its last line."""
    parser = Parser(prog="train.benchmark", description=__doc__.strip().splitlines()[0])
    programs = parser.add_subparsers(dest="program", required=True, parser_class=Parser)
    generating = programs.add_parser("generate", help="milliseconds for one cover")
    generating.add_argument("--model", help="pipeline folder or Hub id; default: the generator that ships")
    generating.set_defaults(function=benchmark_generate)
    prepare.add_parser(programs)
    speed.add_parser(programs)
    start.add_parser(programs)
    profile.add_parser(programs)
    race.add_parser(programs)
    recipes.add_parser(programs)
    duplicates.add_parser(programs)
    yardstick.add_parser(programs)
    genres.add_parser(programs)
    args = parser.parse_args()
    return args.function(args)


if __name__ == "__main__":
    run(main, "train.benchmark")
