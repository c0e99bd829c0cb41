"""Show whether a genre that was asked for can be told from the covers drawn.

    python -m train.benchmark genres --dataset_name covers-genres --model runs/genres/pipeline

The judge is a logistic regression on the features of train/metrics/features.py, trained on real covers alone. Genres
are hard to tell from a small picture, so its success on held-out real covers stands beside that on generated ones.
"""

import argparse

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn

from gan.pipeline import genres_of
from gan.pipeline_folder import PipelineError, load_pipeline
from train.cli import UserError
from train.covers import Covers, CoversError, load_covers, load_genres
from train.metrics.evaluation import draw
from train.metrics.features import load_features


FEWEST = 20  # held-out covers of a genre, below which its share of hits says little
DECAY = 1e-2  # of the weights: chosen on held-out covers among 1e-4 to 3e-2, which differ by a hundredth
ITERATIONS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the program's flags."""
    parser.add_argument(
        "--dataset_name", required=True, help="folder written by train.prepare --labels, or such on the Hub"
    )
    parser.add_argument("--model", help="pipeline folder or Hub id; default: the generator that ships")
    parser.add_argument("--num_images", type=int, default=256, help="generated covers of each genre")


def main(args: argparse.Namespace) -> str:
    """Print how often the judge is right about real and generated covers of each genre."""
    if args.num_images < 1:
        raise UserError(f"--num_images must be at least 1, not {args.num_images}")
    device = Accelerator(mixed_precision="no").device
    try:
        generator = load_pipeline(args.model).to(device).synthesis
        names = load_genres(args.dataset_name)
        splits = [load_covers(args.dataset_name, 64, split, labelled=True) for split in ("train", "validation")]
    except (PipelineError, CoversError) as error:
        raise UserError(str(error)) from error
    held_out, known = [len(splits[1].of_genre(label)) for label in range(len(names))], genres_of(generator)
    judged = [label for label, count in enumerate(held_out) if count >= FEWEST and names[label] in known]
    if len(judged) < 2:
        raise UserError(
            f"--dataset_name {args.dataset_name}: fewer than two genres that the generator knows have {FEWEST} covers "
            "in validation"
        )
    network = load_features().to(device)
    real = [[network.means_of(of_genre(covers, label)) for label in judged] for covers in splits]
    judge = Judge(real[0])
    generated = []
    for label in judged:
        labels = torch.full((args.num_images,), known.index(names[label]))
        generated.append(network.means_of(draw(generator, args.num_images, labels)))
    any_genre = network.means_of(draw(generator, args.num_images))

    print(f"{'genre':<16}{'held-out covers':>16}{'told right':>12}{'generated, told right':>24}{'asked for any':>16}")
    hits = []
    for row, label in enumerate(judged):
        three = (real[1][row], generated[row], any_genre)
        hits.append([(judge(covers) == row).double().mean().item() for covers in three])
        told = "".join(f"{share:>{width}.0%}" for share, width in zip(hits[-1], (12, 24, 16), strict=True))
        print(f"{names[label]:<16}{held_out[label]:>16,}{told}")
    mean = torch.tensor(hits).mean(0).tolist()
    print(f"{'mean':<16}{'':>16}{mean[0]:>12.1%}{mean[1]:>24.1%}{mean[2]:>16.1%}")
    return (
        f"chance: {1 / len(judged):.1%}; {args.num_images:,} generated covers of each, seeds 0 and on, none left out"
    )


def of_genre(covers: Covers, label: int) -> torch.Tensor:
    """Return all covers of a genre, (N, H, H, 3) uint8."""
    chosen = covers.of_genre(label)
    return chosen[range(len(chosen))]


class Judge:
    """Tell genres by logistic regression in which every genre weighs the same, however many covers it has.

    Args:
        features: (N, D) of each genre.
    """

    def __init__(self, features: list[torch.Tensor]):
        inputs, counts = torch.cat(features), torch.tensor([*map(len, features)])
        truth = torch.arange(len(features)).repeat_interleave(counts)
        self.deviation, self.mean = torch.std_mean(inputs, 0)
        inputs = self._normalised(inputs)
        self.linear = nn.Linear(inputs.shape[1], len(features))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        optimizer = torch.optim.LBFGS(self.linear.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(self.linear(inputs), truth, 1 / counts) + DECAY * self.linear.weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)

    @torch.no_grad()
    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Return (N,) int64, the genre that each cover looks like most, for (N, D) features."""
        return self.linear(self._normalised(features)).argmax(1)

    def _normalised(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.mean) / self.deviation.clamp_min(1e-8)
