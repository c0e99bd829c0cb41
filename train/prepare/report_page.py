"""`report.html`: one page that shows what was kept, what was refused and why, and which covers are copies."""

import base64
import html
import io

from PIL import Image

from train.prepare.clean import REASONS, THUMBNAIL_SIDE
from train.prepare.report import Report


MAX_ROWS = 2000
BLANK = '<div class="blank">nothing to see</div>'


def report_page(report: Report, title: str) -> str:
    """Return the page with its pictures inside, so that it opens from anywhere and asks no other host for anything."""
    counts = {"files": report.files, "covers": report.kept, **report.covers, "refused": len(report.refused)}
    tiles = "".join(f"<div><b>{count:,}</b>{_escape(name)}</div>" for name, count in counts.items())
    facts = report.settings | report.versions | {"skipped": f"{len(report.skipped):,}"}
    settings = "".join(f"<dt>{_escape(key)}</dt><dd>{_escape(str(value))}</dd>" for key, value in facts.items())
    rows = "".join(
        f"<tr><td>{_escape(file.source)}</td><td>{_escape(file.reason)}</td><td>{_escape(file.detail)}</td></tr>"
        for file in report.refused[:MAX_ROWS]
    )
    hidden = len(report.refused) - MAX_ROWS
    more = f"<p>{hidden:,} more are named in report.json.</p>" if hidden > 0 else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_escape(title)}: report</title><style>{STYLE}</style></head><body>
<h1>{_escape(title)}</h1>
<p>{_escape(", ".join(report.sources))}</p>
<section class="tiles">{tiles}</section>
<h2>Refused, by reason</h2>{_reasons(report)}
{_genres(report)}
{_clusters(report)}
{_skipped(report)}
<h2>Settings</h2><dl>{settings}</dl>
<h2>Refused files</h2><div class="wide"><table class="files">
<thead><tr><th>file</th><th>reason</th><th>more</th></tr></thead><tbody>{rows}</tbody></table></div>{more}
</body></html>
"""


def _reasons(report: Report) -> str:
    if not report.reasons:
        return "<p>Nothing was refused.</p>"
    most = max(report.reasons.values())
    rows = ""
    for reason, count in report.reasons.items():
        pictures = "".join(
            f"<figure>{_picture(thumbnail, file.source) if thumbnail else BLANK}"
            f"<figcaption>{_escape(file.detail or file.source.rpartition('/')[2])}</figcaption></figure>"
            for file, thumbnail in report.shown_refused.get(reason, ())
        )
        rows += (
            f'<section class="reason" id="{_escape(reason)}"><h3>{_escape(reason)} <b>{count:,}</b></h3>'
            f'<p>{_escape(REASONS[reason])}</p><i style="width:{100 * count / most:.1f}%"></i>'
            f'<div class="pictures">{pictures}</div></section>'
        )
    return rows


def _genres(report: Report) -> str:
    if not report.genres and not report.labels:
        return ""
    rows = "".join(f"<dt>{_escape(genre)}</dt><dd>{count:,}</dd>" for genre, count in report.genres.items())
    for name, value in (report.labels or {}).items():
        names = ", ".join(map(str, value)) if isinstance(value, list | dict) else f"{value:,}"
        rows += f"<dt>{_escape(name.replace('_', ' '))}</dt><dd>{_escape(names[:2000] or '0')}</dd>"
    return f"<h2>Genres</h2><dl>{rows}</dl>"


def _skipped(report: Report) -> str:
    if not report.skipped:
        return ""
    rows = "".join(
        f"<tr><td>{_escape(file.source)}</td><td>{_escape(file.detail)}</td></tr>"
        for file in report.skipped[:MAX_ROWS]
    )
    head = "<thead><tr><th>file</th><th>why</th></tr></thead>"
    return f'<h2>Skipped</h2><div class="wide"><table class="files">{head}<tbody>{rows}</tbody></table></div>'


def _clusters(report: Report) -> str:
    """Show copies side by side; beside the first, the one that stays, what it is a copy of can be judged by eye."""
    if not report.clusters:
        return ""
    what = "all were kept" if report.settings["keep_duplicates"] else "the first of each stays"
    shown = ""
    for cluster in report.shown_clusters:
        pictures = "".join(_picture(_small(image), name) for name, image in cluster)
        shown += f'<div class="cluster">{pictures}</div>'
    note = f"<p>{len(report.shown_clusters):,} with near copies are shown.</p>" if shown else ""
    return f'<h2>Copies</h2><p>{len(report.clusters):,} clusters; {what}.</p>{note}<div class="clusters">{shown}</div>'


def _small(image: bytes) -> bytes:
    """Return a cover as a small lossy picture; it may come in any size."""
    picture = Image.open(io.BytesIO(image)).convert("RGB")
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=70)
    return file.getvalue()


def _picture(webp: bytes, name: str) -> str:
    data = base64.b64encode(webp).decode()
    return f'<img src="data:image/webp;base64,{data}" alt="{_escape(name)}" title="{_escape(name)}" loading="lazy">'


def _escape(text: str) -> str:
    return html.escape(text)


STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --bar: #e4572e }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2.5rem auto; padding: 0 1.25rem }
h1 { font-size: 1.7rem; margin: 0 } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem }
h3 { font-size: 1rem; margin: 0 } h3 b { float: right; font-variant-numeric: tabular-nums }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem }
.tiles div { background: var(--soft); border-radius: .6rem; padding: .7rem 1.1rem; min-width: 6rem }
.tiles b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums }
.reason { border-top: 1px solid var(--line); padding: .7rem 0 } .reason p { margin: 0; opacity: .75 }
.reason > i { display: block; height: .5rem; margin: .4rem 0; border-radius: .2rem; background: var(--bar) }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem } figure { margin: 0; width: 96px }
figcaption { font-size: .72rem; line-height: 1.3; opacity: .75; overflow-wrap: anywhere }
.blank { display: grid; place-items: center; height: 64px; font-size: .72rem; border: 1px dashed; opacity: .5 }
img { display: block; max-width: 96px; border-radius: .25rem }
.clusters { display: flex; flex-wrap: wrap; gap: .9rem 1.6rem } .cluster { display: flex; flex-wrap: wrap; gap: 3px }
.cluster img:first-child { outline: 3px solid var(--bar); outline-offset: 1px }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
.files { font-size: .85rem } .files td { overflow-wrap: anywhere; min-width: 6rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem } dt { opacity: .7 } dd { margin: 0 }
"""
