"""What happens beside the training loop: progress bar, metrics, checkpoints, samples, a clean stop."""

import math
import signal
import time

import torch
from tqdm.auto import tqdm

from gan.pipeline import AlbumCoverPipeline
from train.cli import UserError
from train.run_folder import RunFolder
from train.steps import Trainer


LOG_STEPS = 25
NOT_FINITE = "the losses are no longer finite; start again in a new --output_dir with a lower --learning_rate"


class Watch:
    """Called by the loop after each step.

    Args:
        trainer: whose run it is.
        folder: where metrics, samples and checkpoints go.
        start: covers shown so far.
        seconds: trained so far.
    """

    def __init__(self, trainer: Trainer, folder: RunFolder, start: int, seconds: float):
        self.trainer, self.folder, self.start, self.before = trainer, folder, start, seconds
        self.main = trainer.accelerator.is_main_process
        self.began = self.lap = time.monotonic()
        self.saved = self.lap_images = start
        self.stop = False
        self.latest: dict[str, torch.Tensor] = {}
        self.bar = tqdm(
            total=trainer.recipe.total_images, initial=start, unit="cover", unit_scale=True, disable=not self.main
        )
        if self.main:
            folder.forget_after(start)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, *_) -> None:
        self.stop = True

    def __call__(self, images: int, measured: dict[str, torch.Tensor]) -> bool:
        """After each step. Returns whether to stop."""
        recipe, accelerator = self.trainer.recipe, self.trainer.accelerator
        self.bar.update(recipe.train_batch_size)
        self.latest |= measured  # the generator's loss is not measured at every step of every recipe
        stop = self.stop and accelerator.num_processes == 1
        if (images // recipe.train_batch_size) % LOG_STEPS == 0:
            self._log(images)
            # several processes must leave at the same step; to ask each other at every one would cost too much
            stop = accelerator.reduce(torch.tensor(float(self.stop), device=accelerator.device), "sum").item() > 0
        if images // recipe.checkpointing_images > (images - recipe.train_batch_size) // recipe.checkpointing_images:
            self._save(images)
        return stop

    def _measured(self) -> dict[str, float]:
        """The latest losses, averaged over all processes. Raises UserError if one is not finite."""
        names = sorted(self.latest)
        stacked = torch.stack([self.latest[name].float() for name in names])
        values = self.trainer.accelerator.reduce(stacked, "mean").tolist()
        if not all(map(math.isfinite, values)):
            raise UserError(NOT_FINITE, 1)
        return dict(zip(names, (round(v, 5) for v in values), strict=True))

    def _log(self, images: int) -> None:
        shown = self._measured()
        now = time.monotonic()
        rate = (images - self.lap_images) / (now - self.lap)
        self.lap, self.lap_images = now, images
        if self.main:
            seconds = round(self.before + now - self.began, 1)
            self.folder.log(images=images, **shown, images_per_second=round(rate, 2), seconds=seconds)
            self.bar.set_postfix({k: f"{v:.2f}" for k, v in shown.items() if k.startswith("loss")})

    def _save(self, images: int) -> None:
        self._measured()  # weights that are no longer numbers must not replace good ones
        began = time.monotonic()
        if self.main:
            # the checkpoint last: a run killed before it draws the same samples again, one killed after it has them
            self.folder.save_samples(AlbumCoverPipeline(self.trainer.gan.ema), images)
            self.folder.save_checkpoint(self.trainer.gan, images, self.before + time.monotonic() - self.began)
        self.trainer.accelerator.wait_for_everyone()
        self.saved = images
        self.lap += time.monotonic() - began  # covers a second are those of training alone

    def finish(self, images: int) -> str:
        """Save what is not saved yet; returns the program's last line."""
        if self.saved != images:
            self._save(images)
        self.bar.close()
        seconds = time.monotonic() - self.began
        rate = (images - self.start) / seconds
        how = "stopped" if images < self.trainer.recipe.total_images else "done"
        if not self.main:
            return ""
        return (
            f"{self.folder.folder}: {how} after {images:,} covers, {rate:.0f} a second; "
            f"play with it: python app.py --model {self.folder.folder / 'pipeline'}"
        )
