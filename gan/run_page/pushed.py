"""Follow a run that pushes to the Hub while it trains, by what lies in its model's repository."""

import logging
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from threading import Lock, Thread

from gan.errors import explain
from gan.film import evenly
from gan.run_page.runs import (
    CONFIG,
    FILM,
    LARGEST_FILM,
    LARGEST_METRICS,
    LARGEST_SHEET,
    METRICS,
    Run,
    RunsError,
    is_sheet,
)
from gan.untrusted import LARGEST_JSON


PERIOD = 60  # seconds between two looks at the Hub, while somebody looks at the page
MOST_SHEETS = 200  # of which each may be fetched
PATIENCE = 10  # seconds that a sheet waits for the ones before it
TAG = re.compile(r"images-([0-9]{1,15})")  # of a push, at which training/samples.png is the newest sheet
LARGEST = {CONFIG: LARGEST_JSON, METRICS: LARGEST_METRICS, FILM: LARGEST_FILM}  # bytes
SHEET = "training/samples.png"

log = logging.getLogger("gan.run_page")


def follow(model_id: str) -> "PushedRun":
    """Return the run that is pushed to a model of the Hub. Raises RunsError where there is none, or no answer."""
    run = PushedRun(model_id)
    try:
        run.look()
    except Exception as error:  # the client raises its own, its HTTP library's and the operating system's errors
        reason = explain(error, "model", model_id).removeprefix(f"{model_id}: ")
        raise RunsError(f"--run {model_id}: no such folder, and on the Hub: {reason}") from error
    if not run.tags and run.age() is None:
        raise RunsError(f"--run {model_id}: nobody has pushed a run there")
    return run


class PushedRun(Run):
    """Show a run on the Hub. Its files are copied into a folder of the system's, and looked at as any run's.

    Args:
        model_id: "user/covers", to which `--push_to_hub` sends the run.
        revision: branch, tag or commit; None is main.
    """

    def __init__(self, model_id: str, revision: str | None = None):
        self.model_id, self.revision = model_id, revision
        self.tags: dict[int, str] = {}  # commits by covers shown
        self._sheets: dict[str, Path | None] = {}  # by commit
        self._looked = -float(PERIOD)
        self._looking, self._fetching = Lock(), Lock()
        self._copy = tempfile.TemporaryDirectory(prefix="run-", ignore_cleanup_errors=True)
        super().__init__(Path(self._copy.name))

    def stamp(self) -> str:
        """Return as `Run.stamp`; every `PERIOD` seconds the Hub is asked for news, which a later stamp tells of."""
        if time.monotonic() - self._looked >= PERIOD and self._looking.acquire(blocking=False):
            self._looked = time.monotonic()
            Thread(target=self._look, daemon=True).start()
        return f"{super().stamp()} {max(self.tags, default=0)} {self.trouble}"

    def _look(self) -> None:
        try:
            self.look()
        except Exception as error:
            self.trouble = explain(error, "model", self.model_id)
            log.warning("no news of a run: %s", self.trouble)
        finally:
            self._looking.release()

    def look(self) -> None:
        """Ask the Hub for the run's newest files. Raises what its client does."""
        self._looked = time.monotonic()
        from huggingface_hub import HfApi, hf_hub_download

        tags = HfApi().list_repo_refs(self.model_id).tags
        found = {int(match[1]): tag.target_commit for tag in tags if (match := TAG.fullmatch(tag.name))}
        info = HfApi().model_info(self.model_id, revision=self.revision, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        for name, largest in LARGEST.items():
            if not 0 < sizes.get(f"training/{name}", 0) <= largest:
                continue
            there = hf_hub_download(self.model_id, f"training/{name}", revision=info.sha)
            new = self.folder / f".{name}"
            shutil.copyfile(there, new)
            if info.last_modified:  # when the newest line was pushed
                os.utime(new, (info.last_modified.timestamp(),) * 2)
            new.replace(self.folder / name)
        self.tags, self.trouble = found, ""

    def sheets(self) -> list[tuple[int, int]]:
        """Return (covers shown, a number that changes with the sheet) of each push, in order."""
        return [(images, int(commit[:8], 16)) for images, commit in evenly(sorted(self.tags.items()), MOST_SHEETS)]

    def sheet(self, images: int) -> Path | None:
        """Return the sheet of a push, fetched when it is looked at for the first time; None where there is none."""
        commit = self.tags.get(images)
        if commit is None or images not in dict(self.sheets()):
            return None
        if commit not in self._sheets and self._fetching.acquire(timeout=PATIENCE):
            try:
                self._sheets[commit] = self._fetch(commit)
            except Exception as error:  # the next who looks tries again
                log.warning("a sheet is missing: %s", explain(error, "model", self.model_id))
            finally:
                self._fetching.release()
        return self._sheets.get(commit)

    def _fetch(self, commit: str) -> Path | None:
        from huggingface_hub import HfApi, hf_hub_download

        (there,) = HfApi().get_paths_info(self.model_id, [SHEET], revision=commit) or [None]
        if there is None or getattr(there, "size", LARGEST_SHEET + 1) > LARGEST_SHEET:
            return None
        file = Path(hf_hub_download(self.model_id, SHEET, revision=commit)).resolve()
        return file if is_sheet(file) else None
