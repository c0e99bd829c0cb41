"""What was kept and what was refused, for programs (report.json), people (report.html) and the Hub (README.md)."""

import html
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from train.clean import REASONS


PROGRAM = "train.prepare"
MAX_ROWS = 2000
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class RefusedFile:
    """One file that gave no cover; `reason` is a key of `REASONS`."""

    source: str
    reason: str
    detail: str


@dataclass
class Report:
    """Counts and names, gathered while covers are prepared. `seconds` is wall time; `covers` counts by split."""

    sources: list[str]
    settings: dict[str, Any]
    versions: dict[str, str]
    covers: dict[str, int] = field(default_factory=dict)
    skipped: int = 0
    seconds: float = 0.0
    refused: list[RefusedFile] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """How many covers there are in all splits."""
        return sum(self.covers.values())

    @property
    def files(self) -> int:
        """How many files were judged."""
        return self.kept + len(self.refused)

    @property
    def reasons(self) -> dict[str, int]:
        """How many files were refused for each reason, the most frequent first."""
        counts = Counter(file.reason for file in self.refused)
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    def failure(self) -> str:
        """Why there is no dataset, in one line with the three main reasons."""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in list(self.reasons.items())[:3])
        return f"no cover is left of {self.files:,} files ({reasons or 'all were hidden files'}); nothing was written"

    def summary(self) -> str:
        """The counts in one line, e.g. `2,701 covers (2,566 train, 135 validation) of 3,091 files; 390 refused`."""
        splits = ", ".join(f"{count:,} {split}" for split, count in self.covers.items())
        return f"{self.kept:,} covers ({splits}) of {self.files:,} files; {len(self.refused):,} refused"


def write_report(folder: Path, report: Report, title: str, license_name: str | None) -> None:
    """Write `report.json`, `report.html` and the dataset card `README.md` into `folder`."""
    (folder / "report.json").write_text(_json(report), encoding="utf-8")
    (folder / "report.html").write_text(_page(report, title), encoding="utf-8")
    (folder / "README.md").write_text(_card(report, title, license_name), encoding="utf-8")


def is_report(path: Path) -> bool:
    """Whether `path` is a `report.json` that this program wrote."""
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("program") == PROGRAM
    except (OSError, ValueError, AttributeError):
        return False


def _json(report: Report) -> str:
    counts = {"files": report.files, "covers": report.covers, "reasons": report.reasons, "skipped": report.skipped}
    head = {"program": PROGRAM, **counts}
    return json.dumps(head | asdict(report), ensure_ascii=False, indent=1) + "\n"


def _card(report: Report, title: str, license_name: str | None) -> str:
    """The dataset card. It holds nothing that changes from run to run, such as times."""
    from huggingface_hub import DatasetCardData

    size = next((name for limit, name in SIZES if report.kept < limit), "n>1M")
    files = [{"split": split, "path": f"data/{split}-*"} for split in report.covers]
    data = DatasetCardData(
        license=license_name,
        pretty_name=title,
        size_categories=[size],
        task_categories=["unconditional-image-generation"],
        tags=["album-covers"],
        configs=[{"config_name": "default", "data_files": files}],
    )
    side = report.settings["resolution"]
    splits = "\n".join(f"| {split} | {count:,} |" for split, count in report.covers.items())
    rows = "\n".join(f"| {REASONS[reason]} | {count:,} |" for reason, count in report.reasons.items())
    refused = f"| refused because | files |\n|---|---|\n{rows}\n\nEvery refused file is named in `report.json`."
    return f"""---
{data.to_yaml()}
---

# {title}

{report.kept:,} album covers, {side} x {side} pixels, from {report.files:,} files.

| split | covers |
|---|---|
{splits}

| column | |
|---|---|
| `image` | the cover, lossless WebP |
| `source` | where it came from, the path inside an archive included |
| `sha256` | of the size and the pixels of the whole picture as decoded to sRGB, before cropping |
| `phash` | 64-bit perceptual hash as 16 hex digits |

A cover belongs to `train` or `validation` by its `sha256` alone, so it never changes sides when covers are added.

```python
from datasets import load_dataset

covers = load_dataset("path/or/id/of/this/dataset", split="train")
covers[0]["image"]
```

## How it was made

Every picture was decoded whole, turned as its EXIF block says, brought to 8-bit sRGB (embedded colour profiles
followed, transparency laid on white), cropped to its centre square and scaled with Lanczos' filter.
JPEGs were decoded by libjpeg with every warning taken for an error, because most programs show a JPEG with garbage in
the middle as if it were whole. Of equal pictures the first was kept.
The shorter side had at least {report.settings["min_size"]} pixels, the longer at most {report.settings["max_aspect"]}
times the shorter.

{refused if rows else "No file was refused."}

## Rights

Album covers are the work of their artists and labels, whose permission no program can give: see to it before you share
or use this dataset.
"""


def _page(report: Report, title: str) -> str:
    most = max(report.reasons.values(), default=1)
    bars = "".join(
        f"<tr><th scope=row>{_escape(reason)}<small>{_escape(REASONS[reason])}</small></th><td class=n>{count:,}</td>"
        f'<td class=bar><i style="width:{100 * count / most:.1f}%"></i></td></tr>'
        for reason, count in report.reasons.items()
    )
    rows = "".join(
        f"<tr><td>{_escape(file.source)}</td><td>{_escape(file.reason)}</td><td>{_escape(file.detail)}</td></tr>"
        for file in report.refused[:MAX_ROWS]
    )
    hidden = len(report.refused) - MAX_ROWS
    more = f"<p>{hidden:,} more are named in report.json.</p>" if hidden > 0 else ""
    counts = {"files": report.files, "covers": report.kept, **report.covers, "refused": len(report.refused)}
    tiles = "".join(f"<div><b>{count:,}</b>{_escape(name)}</div>" for name, count in counts.items())
    facts = report.settings | report.versions | {"skipped (hidden files and the like)": f"{report.skipped:,}"}
    settings = "".join(f"<dt>{_escape(key)}</dt><dd>{_escape(str(value))}</dd>" for key, value in facts.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_escape(title)}: report</title><style>{STYLE}</style></head><body>
<h1>{_escape(title)}</h1>
<p>{_escape(", ".join(report.sources))}; prepared in {report.seconds:,.1f} s</p>
<section class="tiles">{tiles}</section>
<h2>Refused, by reason</h2><table class="reasons">{bars or "<tr><td>Nothing was refused.</td></tr>"}</table>
<h2>Settings</h2><dl>{settings}</dl>
<h2>Refused files</h2><table class="files"><thead><tr><th>file</th><th>reason</th><th>more</th></tr></thead>
<tbody>{rows}</tbody></table>{more}
</body></html>
"""


def _escape(text: str) -> str:
    return html.escape(text)


STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --bar: #e4572e }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2.5rem auto; padding: 0 1.25rem }
h1 { font-size: 1.7rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem }
.tiles div { background: var(--soft); border-radius: .6rem; padding: .7rem 1.1rem; min-width: 6rem }
.tiles b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
.reasons th { font-weight: 600; width: 50% } .reasons small { display: block; font-weight: 400; opacity: .7 }
.n { text-align: right; font-variant-numeric: tabular-nums } .bar { width: 35% }
.bar i { display: block; height: .8rem; margin-top: .35rem; border-radius: .2rem; background: var(--bar) }
.files { font-size: .85rem } .files td { overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem } dt { opacity: .7 } dd { margin: 0 }
"""
