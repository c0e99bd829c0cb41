"""What was kept and what was refused; `report.json`. People read the page (train/report_page.py)."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from train.prepare.clean import PICTURED, REASONS


PROGRAM = "train.prepare"
SHOWN_REFUSED, SHOWN_BLANK = 8, 2  # pictures of each reason, and of files that show none
COPIES = ("duplicate", "near-duplicate", "excluded")
SHOWN_CLUSTERS, SHOWN_COPIES = 60, 5


@dataclass(frozen=True)
class RefusedFile:
    """Describe a file that gave no cover; `reason` is a key of `REASONS`."""

    source: str
    reason: str
    detail: str


@dataclass
class Report:
    """Gather counts and names while a dataset is written.

    Args:
        sources: names of what was read.
        settings: what was asked for.
        versions: of the packages that decode and write.
        covers: how many there are in each split.
        picture_bytes: what their pictures take, in each split.
        genres: how many covers have each genre.
        labels: what --labels found, None where nobody asked.
        skipped: files that were not looked at, such as what a system leaves behind; `detail` says why.
        refused: the files that gave no cover.
        clusters: names of covers that are copies of each other, the one that stays first.
        shown_refused: some refused files of each reason, with a thumbnail where there is something to see.
        shown_clusters: some of the clusters, with pictures.
    """

    sources: list[str]
    settings: dict[str, Any]
    versions: dict[str, str]
    covers: dict[str, int] = field(default_factory=dict)
    picture_bytes: dict[str, int] = field(default_factory=dict)
    genres: dict[str, int] = field(default_factory=dict)
    labels: dict[str, Any] | None = None
    skipped: list[RefusedFile] = field(default_factory=list)
    refused: list[RefusedFile] = field(default_factory=list)
    clusters: list[list[str]] = field(default_factory=list)
    shown_refused: dict[str, list[tuple[RefusedFile, bytes | None]]] = field(default_factory=dict)
    shown_clusters: list[list[tuple[str, bytes]]] = field(default_factory=list)

    def refuse(self, file: RefusedFile, thumbnail: bytes | None = None) -> None:
        """Enter a file that gave no cover."""
        if file.reason == "skipped":
            self.skipped.append(file)
            return
        self.refused.append(file)
        if file.reason in COPIES:
            return
        shown = self.shown_refused.setdefault(file.reason, [])
        room = SHOWN_REFUSED if thumbnail else SHOWN_BLANK if file.reason not in PICTURED else 0
        if len(shown) < room:
            shown.append((file, thumbnail))

    @property
    def kept(self) -> int:
        """Return how many covers there are in all splits."""
        return sum(self.covers.values())

    @property
    def files(self) -> int:
        """Return how many files were judged."""
        return self.kept + len(self.refused)

    @property
    def reasons(self) -> dict[str, int]:
        """Return how many files were refused for each reason, the most frequent first."""
        counts = Counter(file.reason for file in self.refused)
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    def failure(self) -> str:
        """Return why there is no dataset, in one line with the three main reasons."""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in list(self.reasons.items())[:3])
        reasons = reasons or f"{len(self.skipped):,} were skipped"
        what = ""
        if len(self.reasons) == 1:
            details = {file.detail for file in self.refused}
            why = REASONS[next(iter(self.reasons))]
            detail = details.pop() if len(details) == 1 else ""
            what = f". {why}" + f" ({detail})" * (detail not in why)
        return f"no cover is left of {self.files:,} files ({reasons}); nothing was written{what}"

    def summary(self) -> str:
        """Return the counts as a line: `2,701 covers (2,566 train, 135 validation) of 3,091 files; 390 refused`."""
        splits = ", ".join(f"{count:,} {split}" for split, count in self.covers.items())
        return f"{self.kept:,} covers ({splits}) of {self.files:,} files; {len(self.refused):,} refused"


def is_report(path: Path) -> bool:
    """Return whether `path` is a `report.json` that this program wrote."""
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("program") == PROGRAM
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def is_of(path: Path, report: Report) -> bool:
    """Return whether the report at `path` is that of the same sources, settings and versions."""
    asked = json.loads(json.dumps({name: getattr(report, name) for name in ("sources", "settings", "versions")}))
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        return all(written[name] == value for name, value in asked.items())
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def to_json(report: Report) -> str:
    """Return the text of `report.json`; like all that is written it holds nothing that changes from run to run."""
    # In this order, because people look at the beginning of it.
    facts = {
        "program": PROGRAM,
        "files": report.files,
        "covers": report.covers,
        "picture_bytes": report.picture_bytes,
        "reasons": report.reasons,
        "skipped": len(report.skipped),
        "genres": report.genres,
        "labels": report.labels,
        "sources": report.sources,
        "settings": report.settings,
        "versions": report.versions,
        "clusters": report.clusters,
        "refused": [vars(file) for file in report.refused],
        "skipped_files": [{"source": file.source, "detail": file.detail} for file in report.skipped],
    }
    return json.dumps(facts, ensure_ascii=False, indent=1) + "\n"
