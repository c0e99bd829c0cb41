"""Attacks on what reads strangers' files: each is given a folder to work in."""

import contextlib
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.attack.odd import Attack, changed, odd


def pictures(folder: Path) -> Attack:
    """Attack the door of all pictures, and the page's."""
    from gan.pictures import PictureError, read_picture
    from gan.studio import uploads
    from gan.studio.checks import Refused
    from tests.prepare.test_any_bytes import FILES

    def attack(draws: random.Random) -> None:
        content = changed(FILES[draws.choice(sorted(FILES))], draws)
        (folder / "input").write_bytes(content)
        with contextlib.suppress(PictureError):
            read_picture(content)
        with contextlib.suppress(Refused):
            uploads.read_picture(content, 64)

    return attack


def archives(folder: Path) -> Attack:
    """Attack the reader of archives."""
    from tests.prepare.test_archives import archives as good
    from train.prepare.archives import read_archive

    (folder / "good").mkdir()
    contents = {path.name: path.read_bytes() for path in good(folder / "good").values()}

    def attack(draws: random.Random) -> None:
        name = draws.choice(sorted(contents))
        file = folder / f"input.{name}"
        file.write_bytes(changed(contents[name], draws))
        for item in read_archive(file, name):
            if item.content is not None:
                with contextlib.suppress(OSError):
                    item.read()

    return attack


def tables(folder: Path) -> Attack:
    """Attack the reader of Parquet files."""
    import pyarrow
    from pyarrow import parquet

    from tests.prepare.test_any_bytes import FILES
    from train.cli import UserError
    from train.prepare.sources import read_source

    rows = [{"image": {"bytes": FILES["a.jpg"], "path": f"{n}.jpg"}, "label": n % 3} for n in range(20)]
    contents = []
    for compression in ("none", "snappy", "zstd", "gzip"):
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "good.parquet", compression=compression)
        contents.append((folder / "good.parquet").read_bytes())

    def attack(draws: random.Random) -> None:
        file = folder / "input.parquet"
        file.write_bytes(changed(draws.choice(contents), draws))
        with contextlib.suppress(UserError):
            for item in read_source(str(file)):
                if item.content is not None:
                    with contextlib.suppress(OSError):
                        item.read()

    return attack


def models(folder: Path) -> Attack:
    """Attack the loader of pipelines, and of the index beside them."""
    import gan
    from gan.nearest import CopiesError, load_index
    from tests.helpers.tiny import tiny_pipeline

    good = folder / "good"
    gan.save_pipeline(tiny_pipeline("r3gan"), good, for_strangers=False)
    files = sorted(path.relative_to(good) for path in good.rglob("*") if path.is_file())

    def attack(draws: random.Random) -> None:
        place = folder / "input"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(good, place)
        name = draws.choice(files)
        content = (good / name).read_bytes()
        if name.suffix == ".json" and draws.random() < 0.7:
            said = json.loads(content)
            said[draws.choice(sorted(said))] = odd(draws)
            content = json.dumps(said).encode()
        else:
            content = changed(content, draws)
        (place / name).write_bytes(content)
        with contextlib.suppress(gan.PipelineError):
            gan.load_pipeline(place)
        if name.suffix == ".safetensors":
            with contextlib.suppress(CopiesError):
                load_index(place / name)

    return attack


def sources(folder: Path) -> Attack:
    """Attack folders of covers: links, pipes and paths in cells, to what is the user's and no part of the folder."""
    import pyarrow
    from pyarrow import parquet

    from tests.prepare.test_any_bytes import FILES
    from train.cli import UserError
    from train.covers_folder import CoversError, open_folder
    from train.prepare.sources import read_source

    (folder / "private").mkdir()
    private = [folder / "private" / name for name in ("photograph.jpg", "covers.parquet", "token")]
    secret = b"a photograph of the user's: " + FILES["a.jpg"]
    parquet.write_table(pyarrow.table({"image": [{"bytes": secret, "path": None}]}), private[1])
    for path in (private[0], private[2]):
        path.write_bytes(secret)

    def attack(draws: random.Random) -> None:
        place = folder / "input"
        shutil.rmtree(place, ignore_errors=True)
        (place / "rock").mkdir(parents=True)
        (place / "rock" / "a.jpg").write_bytes(FILES["a.jpg"])
        for number in range(draws.randrange(1, 5)):
            to = draws.choice((*private, folder / "private", Path("/dev/zero"), Path("gone"), place))
            new = place / draws.choice(("", "rock")) / f"{number}{draws.choice(('.jpg', '.parquet', '.tar', ''))}"
            kind = draws.randrange(3)
            if kind == 0:
                new.symlink_to(os.path.relpath(to, new.parent) if draws.random() < 0.5 else to)
            elif kind == 1:
                os.mkfifo(new)
            else:
                path = draws.choice((str(to), f"file://{to}", os.path.relpath(to, place), f"zip://a::{to}", "\0"))
                cells = [{"bytes": draws.choice((None, b"", FILES["a.jpg"])), "path": path}]
                parquet.write_table(pyarrow.table({"image": cells}), new)
        with contextlib.suppress(UserError):
            for item in read_source(str(place)):
                with contextlib.suppress(OSError):
                    assert item.content is None or secret not in item.read(), item.name
                assert "photograph of" not in f"{item.name} {item.detail}"
        with contextlib.suppress(CoversError):
            inside = place.resolve()
            assert all(path.resolve().is_relative_to(inside) for path in open_folder(str(place), "train").paths)

    return attack


def runs(folder: Path) -> Attack:
    """Attack what reads the folder of a run: its page, the trainer that goes on in it, and the card."""
    from gan.networks.dcgan import DCGANGenerator
    from gan.run_page.runs import Run
    from train.cli import UserError
    from train.metrics.run_facts import read_run
    from train.train_gan.run_config import read_config
    from train.train_gan.run_folder import RunFolder

    config = json.dumps({"network": "dcgan", "loss": "logistic", "total_images": 1000, "genres": ["rock"]}).encode()
    good = b"".join(b'{"kind": "training", "images": %d, "loss_g": 0.5}\n' % (8 * n) for n in range(1, 40))

    def attack(draws: random.Random) -> None:
        place = folder / "input"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        depth = draws.choice((1, 900, 100_000))
        said = json.dumps({"images": odd(draws), "a": odd(draws)}).encode()
        strange = draws.choice((said, b"[" * depth, b"x" * draws.choice((10, 30_000, 5_000_000))))
        lines = [*changed(good, draws).splitlines(), strange]
        draws.shuffle(lines)
        (place / "metrics.jsonl").write_bytes(b"\n".join(lines))
        (place / "config.json").write_bytes(changed(config, draws) if draws.random() < 0.7 else b"[" * depth)
        json.dumps(Run(place).tell(), allow_nan=False)
        read_run(place / "pipeline", DCGANGenerator)
        read_config(place / "config.json")
        with open(os.devnull, "w") as nowhere, contextlib.suppress(UserError), contextlib.redirect_stderr(nowhere):
            RunFolder(place).forget_after(draws.randrange(400))
        assert all(line["images"] < 400 for line in RunFolder(place).lines())

    return attack


# What leaves (sources), bounded work (pictures, tables), archives, models, runs.
OF_FILES: dict[str, Callable[[Path], Attack]] = {
    "sources": sources,
    "pictures": pictures,
    "tables": tables,
    "archives": archives,
    "models": models,
    "runs": runs,
}
