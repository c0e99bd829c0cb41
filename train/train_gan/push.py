"""A run's generator goes to the Hub while it is trained, beside the training and never in its way."""

import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from huggingface_hub.utils import disable_progress_bars

from gan.errors import first_line
from train.cli import UserError
from train.metrics.run_facts import FILMS
from train.share.hub import HubError, claim, upload_model


TOLD = ("config.json", "metrics.jsonl", "scores.json", "copies.json", *FILMS)  # what an upload tells about the run


class Push:
    """Send `pipeline/` of a run folder in a thread, each time as the tag `images-<covers shown>`.

    Args:
        folder: of the run.
        repo_id: "user/name" on the Hub; made if it is not there.
        private: make it visible to its owner alone.
        say: takes a line for the user.

    Raises:
        UserError: the Hub would not take it.
    """

    def __init__(self, folder: Path, repo_id: str, private: bool, say: Callable[[str], None]):
        self.folder, self.repo_id, self.private, self.say = folder, repo_id, private, say
        self.thread: Thread | None = None
        disable_progress_bars()  # of the client, which would write across the run's own
        try:
            claim("model", repo_id, private)
        except HubError as error:
            raise UserError(f"--push_to_hub: {error}") from error

    def start(self, images: int) -> None:
        """Send what the run folder holds now, unless the push before is still going: the next one will carry it.

        Args:
            images: covers shown to the weights in `pipeline/`.
        """
        if self.thread is not None and self.thread.is_alive():
            return
        try:
            copy = self._copy()
        except OSError as error:
            self.say(f"not pushed after {images:,} covers: {first_line(error)}")
            return
        # a daemon: Python itself must not wait for it, the run does so, and can be told not to
        self.thread = Thread(target=self._send, args=(copy, images), daemon=True)
        self.thread.start()

    def last(self, images: int) -> None:
        """Send the newest, after the push that may be going, and wait until it is there."""
        if self.wait():
            self.start(images)
            self.wait()

    def wait(self) -> bool:
        """Wait for the push that is going, if one is. Returns False if Ctrl+C ended the waiting."""
        if self.thread is None or not self.thread.is_alive():
            return True
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self.say(f"waiting for the push to {self.repo_id}; Ctrl+C leaves without it")
            self.thread.join()
        except KeyboardInterrupt:
            again = f"python -m train.share model {self.folder / 'pipeline'} --repo_id {self.repo_id}"
            self.say(f"left before it was there; share it with: {again}")
            self.thread = None  # nobody waits for it any more
            return False
        finally:
            signal.signal(signal.SIGINT, before)
        return True

    def _copy(self) -> "tempfile.TemporaryDirectory[str]":
        """Copy what is sent: the next checkpoint replaces it in the run folder while it is on its way."""
        # in the run folder, which has room, and sweeps up what a killed process left there
        copy = tempfile.TemporaryDirectory(prefix=".push-", dir=self.folder, ignore_cleanup_errors=True)
        shutil.copytree(self.folder / "pipeline", Path(copy.name, "pipeline"))
        sheets = sorted(self.folder.glob("samples/images-*.png"))[-1:]
        for file in [*(self.folder / name for name in TOLD), *sheets]:
            if file.is_file():
                there = Path(copy.name) / file.relative_to(self.folder)
                there.parent.mkdir(exist_ok=True)
                shutil.copy(file, there)
        return copy

    def _send(self, copy: "tempfile.TemporaryDirectory[str]", images: int) -> None:
        with copy:
            try:
                sent = upload_model(
                    Path(copy.name, "pipeline"),
                    self.repo_id,
                    self.private,
                    commit_message=f"After {images:,} covers",
                    tag=f"images-{images}",
                    move_tag=True,  # a run that goes on from an earlier checkpoint comes past the same numbers again
                )
            except Exception as error:  # a run of days must not end because of the Hub
                self.say(f"not pushed after {images:,} covers: {first_line(error)}")
            else:
                self.say(f"pushed after {images:,} covers: {sent.url}")
