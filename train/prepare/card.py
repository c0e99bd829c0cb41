"""The dataset's card on the Hub: README.md."""

from train.prepare.clean import LEAST_RATIO, LEAST_SIDE, REASONS
from train.prepare.report import Report


SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
FITTED = {
    "crop": "cropped to its centre square",
    "pad": "filled up to a square with the colour of its border",
    "stretch": "stretched to a square",
}


def dataset_card(report: Report, title: str, license_name: str | None) -> str:
    """Write the card as Markdown with the Hub's YAML head."""
    from huggingface_hub import DatasetCardData

    size = next((name for limit, name in SIZES if report.kept < limit), "n>1M")
    splits = [
        {"name": split, "num_bytes": report.picture_bytes[split], "num_examples": count}
        for split, count in report.covers.items()
    ]
    files = [{"split": split, "path": f"data/{split}-*"} for split in report.covers]
    data = DatasetCardData(
        license=license_name,
        pretty_name=title,
        size_categories=[size],
        task_categories=["unconditional-image-generation"],
        tags=["album-covers"],
        configs=[{"config_name": "default", "data_files": files}],
        # what a reader that streams could not know otherwise
        dataset_info={"splits": splits},
    )
    settings = report.settings
    side, distance = settings["resolution"], settings["hash_distance"]
    genre = "\n| `genre` | what the cover is labelled with; empty where it is not |" if report.genres else ""
    refused = _table("refused because", "files", {REASONS[reason]: n for reason, n in report.reasons.items()})
    copies = "All copies were kept." if settings["keep_duplicates"] else "Of copies the one with most pixels was kept."
    return f"""---
{data.to_yaml()}
---

# {title}

{report.kept:,} album covers, {side} x {side} pixels, from {report.files:,} files.

{_table("split", "covers", report.covers)}

| column | |
|---|---|
| `image` | the cover, lossless WebP |
| `source` | where it came from, the path inside an archive included |
| `sha256` | of the size and the pixels of the picture as decoded to sRGB, before it became a square |
| `phash` | 64-bit perceptual hash as 16 hex digits |{genre}

A cover belongs to `train` or `validation` by its `sha256` alone, so it never changes sides when covers are added.
Copies that are kept are on the same side.

{_table("genre", "covers", report.genres) if report.genres else ""}

```python
from datasets import load_dataset

covers = load_dataset("path/or/id/of/this/dataset", split="train")
covers[0]["image"]
```

## How it was made

Sources: {", ".join(f"`{source}`" for source in report.sources)}.

Every picture was turned as its EXIF block says, brought to 8-bit sRGB (embedded colour profiles followed, 16 bits
scaled, transparency laid on white), {FITTED[settings["fit"]]} and scaled with Pillow's bicubic filter, which averages
over all pixels of the original; one more than four times too large was first brought near by the mean of whole pixels.
JPEGs were decoded by libjpeg with every warning taken for an error, because most programs show a JPEG with garbage in
the middle as if it were whole, and at one to four eighths of their size where that leaves {LEAST_SIDE} pixels or
{LEAST_RATIO} times as many as needed. No metadata was kept.
The shorter side had at least {settings["min_size"]} pixels, the longer at most {settings["max_aspect"]} times the
shorter.

Two covers count as copies when their pixels are equal, or when at most {distance} of the 64 bits of their perceptual
hashes differ (a few more where the colours agree closely) and their colours are alike. {copies}

{refused if report.reasons else "No file was refused."}

Every refused file, and every cluster of copies, is named in `report.json`; `report.html` shows some of them.

## Rights

Album covers are the work of their artists and labels, whose permission no program can give: see to it before you share
or use this dataset.
"""


def _table(head: str, other: str, counts: dict[str, int]) -> str:
    rows = "\n".join(f"| {name} | {count:,} |" for name, count in counts.items())
    return f"| {head} | {other} |\n|---|---|\n{rows}"
