"""How a run goes, for people and programs: progress bar, metrics.jsonl, trackers, warnings in words."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from PIL import Image
from tqdm.auto import tqdm

from gan.errors import first_line
from gan.health import Health
from train.cli import UserError
from train.device import peak_memory
from train.train_gan.phases import PhaseTrainer
from train.train_gan.run_folder import EVALUATION, TRAINING, RunFolder
from train.train_gan.skipped import SkippedUpdates
from train.train_gan.steps import Trainer
from train.train_gan.stop import Stop
from train.train_gan.trackers import report, report_sheet, report_warning


LOG_STEPS = 25
FIRST_WORD = 30  # seconds until speed, time left and memory are said

Result = TypeVar("Result")


class Monitor:
    """Measure and show a run's progress. What is collective (`log`) must be called in all processes.

    Args:
        trainer: takes the steps.
        folder: where metrics.jsonl lies.
        images: covers shown so far.
        seconds: trained so far.
        stop: what asks the run to stop, and whom work that can be made up for is left for.
    """

    def __init__(self, trainer: Trainer | PhaseTrainer, folder: RunFolder, images: int, seconds: float, stop: Stop):
        self.trainer, self.folder, self.start, self.stop = trainer, folder, images, stop
        self.is_main = trainer.accelerator.is_main_process
        self.seconds_before = seconds
        self.began = self.lap_began = time.monotonic()
        self.lap_images = images
        self.speed_said = False
        recipe = trainer.recipe
        self.health = Health(recipe.gradient_penalty != "none", recipe.loss == "wasserstein")
        self.skipped = SkippedUpdates(trainer.accelerator.device)
        self.phase = ""  # of recipes that have several: others are measured in each
        self.latest: dict[str, torch.Tensor] = {}
        last = math.ceil(recipe.total_images / recipe.train_batch_size) * recipe.train_batch_size
        self.bar = tqdm(total=last, initial=images, unit="cover", unit_scale=True, disable=not self.is_main)

    @property
    def seconds(self) -> float:
        """Return the seconds trained so far, those before an interruption included."""
        return self.seconds_before + time.monotonic() - self.began

    def step(self, images: int, measured: dict[str, torch.Tensor]) -> None:
        """Take note of a step, after which `images` covers are shown, and of what it measured."""
        recipe = self.trainer.recipe
        self.bar.update(recipe.train_batch_size)
        if (phase := recipe.phase(images - recipe.train_batch_size).name) != self.phase:
            self.phase, self.latest = phase, {}
            self.bar.set_description(phase)
        self.latest |= measured  # the generator's loss is not measured at every step of every recipe
        self.skipped.take(measured)
        if not self.speed_said and time.monotonic() - self.began > FIRST_WORD:
            self._say_speed(images)
        if (images // recipe.train_batch_size) % LOG_STEPS == 0:
            self._log(images)

    def evaluated(self, images: int, scores: dict[str, float]) -> None:
        """Write the line of an evaluation, and warn where covers are too much alike."""
        self.write(EVALUATION, images, **scores, seconds=round(self.seconds, 1))
        self.warn(self.health.look_at_covers(scores["pairwise_distance"], scores["real_pairwise_distance"]))

    def check_updates(self, images: int) -> None:
        """Raise UserError where so many updates in a row were skipped that the run learns no more."""
        try:
            self.skipped.check()
        except UserError:
            # so that the last line tells what ended the run
            self.write(TRAINING, images, skipped_updates=self.skipped.pop_count())
            raise

    def attempt(self, what: str, work: Callable[[], Result]) -> Result | None:
        """Return the result of work that no run must fail for, nor wait for when it is told to end; None then.

        What goes wrong is said in one line. What is left out is done when the run goes on.
        """
        try:
            return self.stop.in_time(work)
        except UserError:
            raise
        except Exception as error:
            self.say(f"{what} failed: {first_line(error)}")
            return None

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave the time inside out of covers a second, which is the speed of training alone."""
        began = time.monotonic()
        yield
        self.lap_began += time.monotonic() - began

    def write(self, kind: str, images: int, **values: float) -> None:
        """Write a line of metrics.jsonl, and the same for the trackers. NaN is left out, as JSON has none."""
        if not self.is_main:
            return
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        self.folder.log(kind, images, **values)
        report(self.trainer.accelerator, images, values, self.say)

    def say(self, line: str) -> None:
        """Print a line above the progress bar."""
        self.bar.write(line)

    def warn(self, complaints: list[str]) -> None:
        """Print complaints, each as a warning, and tell the trackers."""
        if self.is_main:
            for complaint in complaints:
                self.say(f"warning: {complaint}")
                report_warning(self.trainer.accelerator, complaint, self.say)

    def drawn(self, images: int, sheet: Image.Image) -> None:
        """Show the trackers a sheet of samples."""
        report_sheet(self.trainer.accelerator, images, sheet, self.say)

    def _say_speed(self, images: int) -> None:
        self.speed_said = True
        rate = (images - self.start) / (time.monotonic() - self.began)
        left = timedelta(seconds=round((self.trainer.recipe.total_images - images) / rate))
        if self.is_main:
            memory = peak_memory(self.trainer.accelerator.device)
            speed = f"{rate:.1f} covers a second, {left} of training left"
            self.say(f"{speed}, at most {memory / 1e9:.1f} GB of memory")

    def _log(self, images: int) -> None:
        self.check_updates(images)
        values = self._means()
        if values.keys() >= {"loss_g", "pair_accuracy", "gradient_norm_d"}:
            self.warn(self.health.look(values))
        if skipped := self.skipped.pop_count():
            self.warn([f"{skipped} of the last {LOG_STEPS} updates had no finite gradient and were skipped"])
            values["skipped_updates"] = skipped
        if isinstance(self.trainer, Trainer) and self.trainer.recipe.augmentation == "auto":
            control = self.trainer.gan.augmentation
            values |= {"augmentation": round(control.probability, 5), "r_v": round(control.r_v, 5)}
        now = time.monotonic()
        rate, accelerator = (images - self.lap_images) / (now - self.lap_began), self.trainer.accelerator
        self.lap_began, self.lap_images = now, images
        if accelerator.num_processes > 1:
            steps = torch.tensor(rate / self.trainer.recipe.train_batch_size, device=accelerator.device)  # a second
            self.stop.ask_steps = max(1, min(LOG_STEPS, int(accelerator.reduce(steps, "mean"))))
        self.write(TRAINING, images, **values, images_per_second=round(rate, 2), seconds=round(self.seconds, 1))
        if self.is_main:
            self.bar.set_postfix({name: f"{value:.2f}" for name, value in values.items() if name.startswith("loss")})

    def _means(self) -> dict[str, float]:
        """Return the latest losses and norms, averaged over all processes, without those that are no numbers."""
        names = sorted(self.latest)
        stacked = torch.stack([self.latest[name].float() for name in names])
        values = zip(names, self.trainer.accelerator.reduce(stacked, "mean").tolist(), strict=True)
        return {name: round(value, 5) for name, value in values if math.isfinite(value)}
