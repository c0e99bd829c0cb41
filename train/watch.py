"""What happens beside the training loop: progress bar, metrics, checkpoints, samples, a clean stop."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from operator import itemgetter

import torch
from torch import nn
from tqdm.auto import tqdm

from gan.pipeline import AlbumCoverPipeline
from train.cli import UserError, first_line
from train.device import peak_memory
from train.evaluation import Evaluation
from train.film import has_film, make_film
from train.health import Health
from train.push import Push
from train.run_folder import RunFolder
from train.steps import Trainer
from train.stop import Stop
from train.trackers import report


LOG_STEPS = 25
SKIPPED_IN_A_ROW = 10  # updates, after which no good one is to be expected any more
FIRST_WORD = 30  # seconds until speed, time left and memory are told
NO_GRADIENT = (
    "{} updates in a row had no finite gradient and were skipped; start again in a new --output_dir, or go on there "
    "from a checkpoint from before it went wrong (--resume_from_checkpoint), with a lower --learning_rate or "
    "--mixed_precision no"
)
NOT_FINITE = "the weights are no longer finite; start again in a new --output_dir with a lower --learning_rate"


class Watch:
    """Called by the loop after each step.

    Args:
        trainer: whose run it is.
        folder: where metrics, samples and checkpoints go.
        start: covers shown so far.
        seconds: trained so far.
        evaluation: measures covers against held-out ones; None where there are none.
        every: covers shown between two evaluations.
        push: sends the generator to the Hub; None: nobody asked for it.
        started_by: see train/stop.py's `launcher`.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: RunFolder,
        start: int,
        seconds: float,
        evaluation: Evaluation | None = None,
        every: int = 50_000,
        push: Push | None = None,
        started_by: int | None = None,
    ):
        self.evaluation, self.every, self.push = evaluation, every, push
        self.trainer, self.folder, self.start, self.before = trainer, folder, start, seconds
        self.main = trainer.accelerator.is_main_process
        self.began = self.lap = time.monotonic()
        self.saved = self.lap_images = start
        self.measured = -1  # covers shown when it was last measured
        self.images = start
        self.told = False
        self.ask_steps = 1  # between two questions whether any process was told to stop, about a second
        recipe = trainer.recipe
        self.health = Health(recipe.gradient_penalty != "none", recipe.loss == "wasserstein")
        # counted on the device, so that nobody waits for it: updates skipped since the last line, in a row, at most so
        counts = torch.zeros(3, dtype=torch.int64, device=trainer.accelerator.device)
        self.skipped, self.in_a_row, self.longest = counts
        self.latest: dict[str, torch.Tensor] = {}
        self.drawn: tuple[int, nn.Module] | None = None  # after how many covers, and the average to draw with then
        last = math.ceil(recipe.total_images / recipe.train_batch_size) * recipe.train_batch_size
        self.bar = tqdm(total=last, initial=start, unit="cover", unit_scale=True, disable=not self.main)
        # of the averages of the generator the one that measured best at the last evaluation, and the best score so far
        self.chosen, self.best = 0, math.inf
        if self.main:
            folder.forget_after(start)
            for line in folder.lines():
                if "ema_sigma" in line:
                    self.measured = line["images"]
                if evaluation and evaluation.best_by in line:
                    self._follow(line)
        self.stop = Stop(started_by)

    def __call__(self, images: int, measured: dict[str, torch.Tensor]) -> bool:
        """After each step. Returns whether to stop."""
        recipe, accelerator = self.trainer.recipe, self.trainer.accelerator
        self.bar.update(recipe.train_batch_size)
        self.images = images
        self.latest |= measured  # the generator's loss is not measured at every step of every recipe
        if norms := [norm for name, norm in measured.items() if name.startswith("gradient_norm")]:
            bad = ~torch.stack(norms).isfinite().all()
            self.skipped, self.in_a_row = self.skipped + bad, (self.in_a_row + 1) * bad
            self.longest = torch.maximum(self.longest, self.in_a_row)
        if not self.told and time.monotonic() - self.began > FIRST_WORD:
            self._tell(images)
        stop, step = self.stop.asked(), images // recipe.train_batch_size
        if step % LOG_STEPS == 0:
            self._log(images)
        if accelerator.num_processes > 1:
            # they must leave at the same step; to ask each other at every one would cost too much
            if stop:
                accelerator.set_trigger()
            stop = step % self.ask_steps == 0 and accelerator.check_trigger()
        if self._passed(images, self.every):
            self._evaluate(images)
        if self._passed(images, recipe.checkpointing_images):
            self._save(images)
            if self.push and not stop and images < recipe.total_images:  # else `finish` sends it, with all that is new
                self.push.start(images)
        return stop

    def _warn(self, complaints: list[str]) -> None:
        if self.main:
            for complaint in complaints:
                self.bar.write(f"warning: {complaint}")

    def _passed(self, images: int, interval: int) -> bool:
        return images // interval > (images - self.trainer.recipe.train_batch_size) // interval

    def _tell(self, images: int) -> None:
        """Once, early: what speed, time and memory this run takes."""
        self.told = True
        rate = (images - self.start) / (time.monotonic() - self.began)
        left = timedelta(seconds=round((self.trainer.recipe.total_images - images) / rate))
        if self.main:
            memory = peak_memory(self.trainer.accelerator.device)
            self.bar.write(f"{rate:.1f} covers a second, {left} left, at most {memory / 1e9:.1f} GB of memory")

    def _skipped(self) -> int:
        """How many updates were skipped since the last line; UserError where too many in a row were."""
        skipped, longest = torch.stack([self.skipped, self.longest]).tolist()
        if longest >= SKIPPED_IN_A_ROW:
            raise UserError(NO_GRADIENT.format(longest), 1)
        return skipped

    def _measured(self) -> dict[str, float]:
        """The latest losses and norms, averaged over all processes; those that are no numbers are left out.

        Raises:
            UserError: too many updates in a row were none.
        """
        skipped = self._skipped()
        self.skipped = torch.zeros_like(self.skipped)
        names = sorted(self.latest)
        stacked = torch.stack([self.latest[name].float() for name in names])
        values = zip(names, self.trainer.accelerator.reduce(stacked, "mean").tolist(), strict=True)
        shown = {name: round(value, 5) for name, value in values if math.isfinite(value)}
        return shown | ({"skipped_updates": skipped} if skipped else {})

    def _log(self, images: int) -> None:
        shown = self._measured()
        if shown.keys() >= {"loss_g", "pair_accuracy", "gradient_norm_d"}:
            self._warn(self.health.look(shown))
        if self.trainer.recipe.augmentation == "auto":
            control = self.trainer.gan.augmentation
            values = {"augmentation": control.probability, "r_v": control.r_v, "held_out_gap": control.held_out_gap}
            shown |= {name: round(value, 5) for name, value in values.items()}
        now = time.monotonic()
        rate, accelerator = (images - self.lap_images) / (now - self.lap), self.trainer.accelerator
        self.lap, self.lap_images = now, images
        if accelerator.num_processes > 1:
            steps = torch.tensor(rate / self.trainer.recipe.train_batch_size, device=accelerator.device)  # a second
            self.ask_steps = max(1, min(LOG_STEPS, int(accelerator.reduce(steps, "mean"))))
        if self.main:
            seconds = round(self.before + now - self.began, 1)
            self._write(images=images, **shown, images_per_second=round(rate, 2), seconds=seconds)
            self.bar.set_postfix({k: f"{v:.2f}" for k, v in shown.items() if k.startswith("loss")})

    def _write(self, **values: float) -> None:
        """A line of metrics.jsonl, and the same for the trackers; what is no number is left out, as JSON has none."""
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        self.folder.log(**values)
        report(self.trainer.accelerator, values, self.bar.write)

    def _evaluate(self, images: int) -> None:
        """Measure every average of the generator; keep the best that there ever was in best/."""
        if not self.main or self.evaluation is None:
            return
        began, sigmas = time.monotonic(), self.trainer.recipe.ema_sigma
        self.measured = images
        with self._never_mind("evaluation"):
            averages = [self.trainer.average(number) for number in range(len(sigmas))]
            scores = [{"ema_sigma": s} | self.evaluation(ema) for s, ema in zip(sigmas, averages, strict=True)]
            line = {"images": images} | min(scores, key=itemgetter(self.evaluation.best_by))
            if self.evaluation.unseen:
                line["held_out_gap"] = self.evaluation.held_out_gap(self.trainer.mean_logit)
            if self._follow(line):
                self.folder.save_best(AlbumCoverPipeline(averages[self.chosen]))
            self.drawn = images, averages[self.chosen]
            self._write(**line, seconds=round(self.before + time.monotonic() - self.began, 1))
            self._warn(self.health.look_at_covers(line["pairwise_distance"], line["real_pairwise_distance"]))
        self.lap += time.monotonic() - began

    @contextmanager
    def _never_mind(self, what: str) -> Iterator[None]:
        """Say in one line what could not be measured: a run of days must not end because of a yardstick."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            self.bar.write(f"{what} failed: {first_line(error)}")

    def _follow(self, line: dict) -> bool:
        """Take note of an evaluation. Returns whether it is the best so far."""
        score = line[self.evaluation.best_by]
        self.chosen = self.trainer.recipe.ema_sigma.index(line["ema_sigma"])
        better = score < self.best
        self.best = min(self.best, score)
        return better

    def _save(self, images: int) -> None:
        networks = (self.trainer.gan.generator, self.trainer.gan.discriminator, self.trainer.gan.ema)
        if not all(value.isfinite().all() for network in networks for value in network.state_dict().values()):
            raise UserError(NOT_FINITE, 1)  # they must not replace good ones
        self._skipped()  # nor those that learn no more
        began = time.monotonic()
        if self.main:
            # the checkpoint last: a run killed before it draws the same samples again, one killed after it has them
            self.folder.save_samples(AlbumCoverPipeline(self._average(images)), images)
            seconds = self.before + time.monotonic() - self.began
            self.folder.checkpoints.save(self.trainer.gan, images, seconds)
        self.trainer.accelerator.wait_for_everyone()
        self.saved = images
        self.lap += time.monotonic() - began  # covers a second are those of training alone

    def rescue(self) -> None:
        """Save what a stream that broke off would lose. Of several processes the others would be waited for."""
        if self.trainer.accelerator.num_processes == 1 and self.saved != self.images:
            self._save(self.images)

    def _average(self, images: int) -> nn.Module:
        """The chosen average of the generator, ready to draw with; made once for each moment."""
        if self.drawn is None or self.drawn[0] != images:
            self.drawn = images, self.trainer.average(self.chosen)
        return self.drawn[1]

    def finish(self, images: int) -> str:
        """Measure a run that is done, save what is not saved yet; returns the program's last line.

        A run that was killed when all covers were shown gets here what is missing.
        """
        done = images >= self.trainer.recipe.total_images
        self.bar.set_description("measuring and saving")
        chosen = self.chosen
        if done and self.measured != images:
            self._evaluate(images)
        if self.saved != images:
            self._save(images)
        elif self.main and self.chosen != chosen:  # saved before it was measured
            self.folder.save_samples(AlbumCoverPipeline(self._average(images)), images)
        rate = (images - self.start) / (time.monotonic() - self.began)
        if not self.main:
            return ""
        if self.evaluation and done and not self.folder.has_copies(images):
            with self._never_mind("the look for copies"):
                self._look_for_copies(images)
        if not has_film(self.folder.folder):
            with self._never_mind("the film"):
                make_film(self.folder.folder)
        if self.push:
            self.push.last(images)
        if images == self.start:
            return f"{self.folder.folder}: already shown {images:,} covers; raise --total_images to go on"
        return (
            f"{self.folder.folder}: {'done' if done else 'stopped'} after {images:,} covers, {rate:.0f} a second; "
            f"play with it: python app.py --model {self.folder.folder / 'pipeline'}"
        )

    def _look_for_copies(self, images: int) -> None:
        found = self.evaluation.copies(self._average(images))
        self.folder.save_copies(found, images)
        line = "of {samples} generated covers {found} look like one of {training_covers:,} training covers"
        if self.evaluation.unseen:
            line += "; of as many held-out covers {held_out_found} do"
        self.bar.write(line.format(**found))
