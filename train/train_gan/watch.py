"""What happens beside the training loop: progress bar, metrics, checkpoints, samples, a clean stop."""

import math
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

import torch
from torch import nn
from tqdm.auto import tqdm

from gan.pipeline import AlbumCoverPipeline
from train.cli import UserError, first_line
from train.metrics.evaluation import Evaluation, best_average, is_best
from train.train_gan.device import peak_memory
from train.train_gan.film import has_film, make_film
from train.train_gan.health import Health
from train.train_gan.push import Push
from train.train_gan.run_folder import RunFolder
from train.train_gan.skipped import SkippedUpdates
from train.train_gan.standing import mend_statistics
from train.train_gan.steps import Trainer
from train.train_gan.stop import Stop
from train.train_gan.trackers import report


LOG_STEPS = 25
FIRST_WORD = 30  # seconds until speed, time left and memory are told
NOT_FINITE = (
    "the weights are no longer finite; start again in a new --output_dir with a lower --learning_rate, from the "
    "beginning or from a checkpoint (--resume_from_checkpoint)"
)

Found = TypeVar("Found")


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
        self.skipped = SkippedUpdates(trainer.accelerator.device)
        self.latest: dict[str, torch.Tensor] = {}
        self.drawn: tuple[int, nn.Module] | None = None  # after how many covers, and the average to draw with then
        last = math.ceil(recipe.total_images / recipe.train_batch_size) * recipe.train_batch_size
        self.bar = tqdm(total=last, initial=start, unit="cover", unit_scale=True, disable=not self.main)
        # the average of the generator that measured best at the last evaluation, and the best scores so far
        self.chosen, self.best = 0, {}
        if self.main:
            folder.forget_after(start)
            for line in folder.lines():
                if "ema_sigma" in line:
                    self.measured = line["images"]
                    self._follow(line)
        # after how many covers, and with which average, the newest sheet and pipeline were drawn
        self.shown = (start, self.chosen) if self.main and folder.has_samples(start) else None
        self.stop = Stop(started_by)

    def catch_up(self) -> None:
        """Before the first step: measure and draw what a run that was ended in the middle of it still lacks."""
        if not self.main or not 0 < self.start < self.trainer.recipe.total_images:
            return
        if self.start // self.every > max(self.measured, 0) // self.every:
            self._evaluate(self.start)
        if self.shown != (self.start, self.chosen):
            self._draw(self.start)

    def __call__(self, images: int, measured: dict[str, torch.Tensor]) -> bool:
        """After each step. Returns whether to stop."""
        recipe, accelerator = self.trainer.recipe, self.trainer.accelerator
        self.bar.update(recipe.train_batch_size)
        self.images = images
        self.latest |= measured  # the generator's loss is not measured at every step of every recipe
        self.skipped.take(measured)
        if not self.told and time.monotonic() - self.began > FIRST_WORD:
            self._tell(images)
        step, saves = images // recipe.train_batch_size, self._passed(images, recipe.checkpointing_images)
        if step % LOG_STEPS == 0:
            self._log(images)
        if saves:  # first, because measuring takes long
            self._save(images)
        if self._passed(images, self.every):
            self._evaluate(images)
        if saves:
            self._draw(images)
        stop = self.stop.asked()
        if accelerator.num_processes > 1:
            # they must leave at the same step; to ask each other at every one would cost too much
            if stop:
                accelerator.set_trigger()
            stop = step % self.ask_steps == 0 and accelerator.check_trigger()
        if self.push and saves and not stop and images < recipe.total_images:  # else `finish` sends it, with all else
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
            speed = f"{rate:.1f} covers a second, {left} of training left"
            self.bar.write(f"{speed}, at most {memory / 1e9:.1f} GB of memory")

    def _check_skipped(self) -> None:
        try:
            self.skipped.check()
        except UserError:
            if self.main:  # so that the last line tells what ended the run
                self._write(images=self.images, skipped_updates=self.skipped.forget())
            raise

    def _measured(self) -> dict[str, float]:
        """The latest losses and norms, averaged over all processes; those that are no numbers are left out."""
        names = sorted(self.latest)
        stacked = torch.stack([self.latest[name].float() for name in names])
        values = zip(names, self.trainer.accelerator.reduce(stacked, "mean").tolist(), strict=True)
        return {name: round(value, 5) for name, value in values if math.isfinite(value)}

    def _log(self, images: int) -> None:
        self._check_skipped()
        shown = self._measured()
        if shown.keys() >= {"loss_g", "pair_accuracy", "gradient_norm_d"}:
            self._warn(self.health.look(shown))
        if skipped := self.skipped.forget():
            self._warn([f"{skipped} of the last {LOG_STEPS} updates had no finite gradient and were skipped"])
            shown["skipped_updates"] = skipped
        if self.trainer.recipe.augmentation == "auto":
            control = self.trainer.gan.augmentation
            shown |= {"augmentation": round(control.probability, 5), "r_v": round(control.r_v, 5)}
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
        if not self.main or self.evaluation is None or self.stop.asked():
            return
        began, self.measured = time.monotonic(), images
        evaluate = partial(best_average, self.trainer, self.evaluation, self.bar.write)
        if found := self._in_time("evaluation", evaluate):
            line, average = {"images": images} | found[0], found[1]
            if self._follow(line):
                self.folder.save_best(AlbumCoverPipeline(average))
            self.drawn = images, average
            self._write(**line, seconds=round(self.before + time.monotonic() - self.began, 1))
            self._warn(self.health.look_at_covers(line["pairwise_distance"], line["real_pairwise_distance"]))
        self.lap += time.monotonic() - began

    def _in_time(self, what: str, work: Callable[[], Found]) -> Found | None:
        """The result of work that no run must fail for, nor wait for when it is told to end; None then.

        What goes wrong is said in one line. What is left out is done when the run goes on.
        """
        try:
            with self.stop.at_once():
                return work()
        except KeyboardInterrupt:
            return None
        except UserError:
            raise
        except Exception as error:
            self.bar.write(f"{what} failed: {first_line(error)}")
            return None

    def _follow(self, line: dict) -> bool:
        """Take note of an evaluation. Returns whether it is the best so far."""
        self.chosen = self.trainer.recipe.ema_sigma.index(line["ema_sigma"])
        return is_best(line, self.best)

    def _save(self, images: int) -> None:
        networks = (self.trainer.gan.generator, self.trainer.gan.discriminator, self.trainer.gan.ema)
        if not all(weight.isfinite().all() for network in networks for weight in network.parameters()):
            raise UserError(NOT_FINITE, 1)  # they must not replace good ones
        self._check_skipped()  # nor those that learn no more
        for network in networks:
            mend_statistics(network)
        began = time.monotonic()
        if self.main:
            seconds = self.before + time.monotonic() - self.began
            self.folder.checkpoints.save(self.trainer.gan, images, seconds)
        self.trainer.accelerator.wait_for_everyone()
        self.saved = images
        self.lap += time.monotonic() - began  # covers a second are those of training alone

    def _draw(self, images: int) -> None:
        """The sheet of samples, and the pipeline."""
        if not self.main:
            return
        began = time.monotonic()
        self.folder.save_samples(AlbumCoverPipeline(self._average(images)), images)
        self.shown = images, self.chosen
        self.lap += time.monotonic() - began

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
        if self.saved != images:
            self._save(images)
        if done and self.measured != images:
            self._evaluate(images)
        if images and self.shown != (images, self.chosen):
            self._draw(images)
        rate = (images - self.start) / (time.monotonic() - self.began)
        if not self.main:
            return ""
        if self.evaluation and done and not self.stop.asked() and not self.folder.has_copies(images):
            self._look_for_copies(images)
        if not has_film(self.folder.folder):
            self._in_time("the film", partial(make_film, self.folder.folder))
        if self.push:
            self.push.last(images)
        if images == self.start:
            return f"{self.folder.folder}: already shown {images:,} covers; raise --total_images to go on"
        return (
            f"{self.folder.folder}: {'done' if done else 'stopped'} after {images:,} covers, {rate:.0f} a second; "
            f"play with it: python app.py --model {self.folder.folder / 'pipeline'}"
        )

    def _look_for_copies(self, images: int) -> None:
        average = self._average(images)
        if not (found := self._in_time("the look for copies", lambda: self.evaluation.copies(average))):
            return
        self.folder.save_copies(found, images)
        line = "of {samples} generated covers {found} look like one of {training_covers:,} training covers"
        if self.evaluation.unseen:
            line += "; of as many held-out covers {held_out_found} do"
        self.bar.write(line.format(**found))
