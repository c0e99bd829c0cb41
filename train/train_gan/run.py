"""A training in progress: what the loop goes through, and what is measured and drawn of it now and then."""

from dataclasses import dataclass

from train.metrics.evaluation import Evaluation
from train.train_gan.averages import Averages
from train.train_gan.data import Batches
from train.train_gan.monitor import Monitor
from train.train_gan.phases import PhaseBatches, PhaseTrainer
from train.train_gan.push import Push
from train.train_gan.run_folder import EVALUATION, RunFolder, kind_of
from train.train_gan.steps import Trainer
from train.train_gan.stop import Stop


@dataclass
class Run:
    """Hold everything that a training needs, in place; see setup.py.

    Args:
        trainer: takes the steps.
        batches: what the steps are computed from.
        folder: where checkpoints, metrics, samples and pipelines go.
        monitor: shows how it goes.
        averages: of the generator's weights.
        stop: what asks the run to stop.
        evaluation: measures covers; None in all processes but the main one.
        evaluation_images: covers shown between two evaluations.
        push: sends the generator to the Hub; None where nobody asked for it.
        images: covers shown so far.
        draws_at_start: whether the generator had learned to draw before the run began.
        shares_discriminator: whether what judges the generator lies beside it in pipeline/ and best/.
    """

    trainer: Trainer | PhaseTrainer
    batches: Batches | PhaseBatches
    folder: RunFolder
    monitor: Monitor
    averages: Averages
    stop: Stop
    evaluation: Evaluation | None = None
    evaluation_images: int = 50_000
    push: Push | None = None
    images: int = 0
    draws_at_start: bool = False
    shares_discriminator: bool = True

    def __post_init__(self) -> None:
        self.start = self.saved = self.images  # covers shown at the start, and when the last checkpoint was written
        self.measured = -1  # covers shown when the covers were last measured
        self.evaluations: list[dict[str, float]] = []  # all so far
        self.is_main = self.trainer.accelerator.is_main_process
        if self.is_main:
            self.folder.forget_after(self.start)
            for line in self.folder.lines():
                if kind_of(line) != EVALUATION or "fd_covers" not in line:  # which was no number
                    continue
                if line.get("ema_sigma") in self.averages.sigmas:
                    self.measured = line["images"]
                    self.averages.choose(line["ema_sigma"])
                    self.evaluations.append(line)
        # after how many covers, and with which average, the newest sheet and pipeline were drawn
        drawn = self.is_main and self.folder.has_samples(self.start)
        self.drawn = (self.start, self.averages.chosen) if drawn else None

    @property
    def draws(self) -> bool:
        """Return whether the generator draws covers of its own by now."""
        return self.trainer.recipe.draws(self.images) or (self.images == 0 and self.draws_at_start)
