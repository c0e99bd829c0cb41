"""Attack what takes strangers' files and requests, for a while: `python -m tests.attack --minutes 60`.

Good files and requests are changed at random, and whatever takes them must refuse them in the words of its own error,
in bounded time. What does not is written to a folder, with the seed that makes it again. The tests of each reader hold
what was once found.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil


SECONDS = 40  # that one attack may take on a busy machine
SIZES = (0, 1, -1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
ODD = (
    None,
    True,
    -1,
    0,
    1e308,
    2**70,
    "",
    "\0",
    "x" * 300,
    "../../etc/passwd",
    "http://127.0.0.1:9/a.png",
    [],
    {},
    [[]],
)
META = {"meta": {"_type": "gradio.FileData"}}

Attack = Callable[[random.Random], None]


def changed(content: bytes, draws: random.Random) -> bytes:
    """Change some bytes: single ones, runs, and numbers of two to eight bytes to the ends of their range."""
    new = bytearray(content)
    for _ in range(draws.choice((1, 1, 2, 4, 16))):
        place = draws.randrange(len(new) + 1)
        # half of them near the beginning or the end, where formats keep their tables
        if draws.random() < 0.5:
            place = min(len(new), draws.choice((draws.randrange(256), max(0, len(new) - draws.randrange(256)))))
        kind = draws.randrange(6)
        if kind == 0:
            new[place : place + 1] = bytes([draws.randrange(256)])
        elif kind == 1:
            new[place:place] = draws.randbytes(draws.randrange(1, 40))
        elif kind == 2:
            del new[place : place + draws.choice((1, 4, 40, 4000))]
        elif kind == 3:
            size = draws.choice((2, 4, 8))
            number = draws.choice(SIZES) % 2 ** (8 * size)
            new[place : place + size] = number.to_bytes(size, draws.choice(("little", "big")))
        elif kind == 4:
            other = draws.randrange(len(new) + 1)
            new[place:place] = new[other : other + draws.randrange(1, 400)]
        elif new:
            new[place : place + 1] = bytes([new[min(place, len(new) - 1)] ^ 1 << draws.randrange(8)])
    return bytes(new)


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


def requests(folder: Path, address: str) -> Attack:
    """Attack the page: every route, every endpoint, every function of a script."""
    client = httpx.Client(base_url=address, timeout=SECONDS, trust_env=False)
    config = client.get("config").json()
    endpoints = client.get("gradio_api/info").json()["named_endpoints"]
    routes = (
        "queue/join",
        "component_server",
        "cancel",
        "reset",
        "upload",
        "run/x",
        "mcp/",
        "mcp/schema",
        "deep_link",
    )
    more = ("process_recording", "file=http://127.0.0.1:9/", "file=/etc/passwd", "stream/a", "heartbeat/../x", "info")
    quick = [
        name for name in endpoints if name not in ("/loop", "/film", "/finish", "/finish_loop", "/project", "/large")
    ]

    def body(draws: random.Random) -> object:
        component = draws.choice(config["components"])
        functions = component["props"].get("server_fns") or ["look"]
        said = {
            "data": [odd(draws) for _ in range(draws.randrange(6))] if draws.random() < 0.5 else odd(draws),
            "fn_index": draws.choice((draws.randrange(40), odd(draws))),
            "session_hash": draws.choice(("a", "b", odd(draws))),
            "component_id": draws.choice((component["id"], odd(draws))),
            "fn_name": draws.choice((*functions, odd(draws))),
            "event_data": odd(draws),
            "trigger_id": draws.choice((component["id"], None, odd(draws))),
            "event_id": odd(draws),
        }
        for name in draws.sample(sorted(said), draws.randrange(4)):
            del said[name]
        return said

    def attack(draws: random.Random) -> None:
        if draws.random() < 0.4:
            endpoint = draws.choice(quick)
            names = [one["parameter_name"] for one in endpoints[endpoint]["parameters"]]
            said = {name: draws.choice((7, "seed=7", 0.5, odd(draws))) for name in names}
            call = f"gradio_api/call/v2{endpoint}"
        else:
            said, call = body(draws), f"gradio_api/{draws.choice((*routes, *more))}"
        content = json.dumps(said).encode()
        if draws.random() < 0.2:
            content = changed(content, draws)
        (folder / "input").write_bytes(call.encode() + b"\n" + content)
        headers = {"content-type": draws.choice(("application/json", "text/plain", "multipart/form-data; boundary=a"))}
        method = draws.choice(("POST", "POST", "POST", "GET", "PUT", "DELETE", "OPTIONS", "HEAD"))
        if method == "GET" and "heartbeat" in call:  # answers for as long as one listens
            return
        answer = client.request(method, call, content=content, headers=headers)
        assert answer.status_code < 500 or answer.status_code == 503, (answer.status_code, answer.text)
        if answer.status_code == 200 and "/call/" in call and "event_id" in answer.text:
            client.get(f"{call}/{answer.json()['event_id']}")

    return attack


def odd(draws: random.Random, deepest: int = 3) -> object:
    """Draw a value that nobody expects."""
    if deepest and draws.random() < 0.3:
        if draws.random() < 0.5:
            return [odd(draws, deepest - 1) for _ in range(draws.randrange(4))]
        names = (
            "path",
            "url",
            "meta",
            "a",
            "address",
            "layout",
            "cards",
            "seed",
            "file",
            "tiles",
            "x",
            "y",
            "truncation",
        )
        return {draws.choice(names): odd(draws, deepest - 1) for _ in range(draws.randrange(4))}
    if draws.random() < 0.1:
        return {"path": draws.choice(ODD), "url": draws.choice(ODD), **META}
    return draws.choice((*ODD, draws.random(), draws.randrange(-5, 2**33), "seed=7", "a" * draws.randrange(3000)))


@contextlib.contextmanager
def page(folder: Path) -> Iterator[tuple[str, Path]]:
    """Show the page of a tiny generator; yields its address, and the file in which all that it says stands."""
    import gan
    from tests.helpers.serving import free_port, serving
    from tests.helpers.tiny import tiny_pipeline

    gan.save_pipeline(tiny_pipeline("dcgan"), folder / "shown", for_strangers=False)
    command = [sys.executable, "app.py", "--model", str(folder / "shown"), "--port", free_port()]
    with serving(command) as (address, _, process):
        said = folder / "page.log"
        stop = os.fork()
        if not stop:  # else a page that says much would wait for a reader
            with said.open("w", buffering=1) as log:
                shutil.copyfileobj(process.stdout, log, 1)
            os._exit(0)
        try:
            yield address, said
        finally:
            os.kill(stop, signal.SIGTERM)
            os.waitpid(stop, 0)


def attack_all(kinds: dict[str, Attack], seed: int, seconds: float, found: Path) -> dict[str, list[int]]:
    """Attack in turn until the time is over.

    Args:
        kinds: by name.
        seed: of the first attack; each next one has the next number.
        seconds: how long.
        found: folder for what went wrong.

    Returns:
        Of each kind how many attacks there were, and how many went wrong.
    """
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    slowest: dict[str, float] = collections.defaultdict(float)
    grown: dict[str, float] = collections.defaultdict(float)
    memory_before, disk_before = memory(), disk(found)
    end, number = time.monotonic() + seconds, seed

    def too_slow(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} seconds")

    signal.signal(signal.SIGALRM, too_slow)
    while time.monotonic() < end:
        for name, attack in kinds.items():
            number += 1
            counts[name][0] += 1
            begin, held = time.monotonic(), memory()
            signal.alarm(SECONDS)
            try:
                attack(random.Random(f"{name} {number}"))
            except Exception:
                counts[name][1] += 1
                (found / f"{name}-{number}.txt").write_text(traceback.format_exc())
                newest = max((found / name).glob("input*"), key=lambda path: path.stat().st_mtime)
                keep = shutil.copytree if newest.is_dir() else shutil.copy
                keep(newest, found / f"{name}-{number}.{newest.name}")
                print(f"{name} {number}: {traceback.format_exc().splitlines()[-1][:200]}", flush=True)
            finally:
                signal.alarm(0)
            slowest[name] = max(slowest[name], time.monotonic() - begin)
            grown[name] += memory() - held
    print(f"{'':<12}{'attacks':>10}{'went wrong':>12}{'slowest, s':>12}{'memory, MB':>12}")
    for name, (count, wrong) in counts.items():
        print(f"{name:<12}{count:>10,}{wrong:>12}{slowest[name]:>12.1f}{grown[name]:>+12.0f}")
    print(f"memory {memory_before:.0f} MB before, {memory():.0f} after; disk {disk_before:.1f} MB before, ", end="")
    print(f"{disk(found):.1f} after")
    return counts


def memory() -> float:
    """Return how many MB this process and those that it started hold, the page among them."""
    total = 0
    for process in (own := psutil.Process(), *own.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / 1e6


def disk(folder: Path) -> float:
    """Return how many MB lie in a folder, and in the page's cache."""
    places = (folder, Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir(), "gradio")))
    files = (Path(parent, name) for place in places for parent, _, names in os.walk(place) for name in names)
    total = 0
    for file in files:
        with contextlib.suppress(OSError):
            total += file.lstat().st_size
    return total / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="how long")
    parser.add_argument("--seed", type=int, help="of the first attack; without it another one each time")
    parser.add_argument("--kinds", nargs="+", default=["pictures", "archives", "tables", "models", "requests"])
    args = parser.parse_args()
    seed = random.randrange(2**32) if args.seed is None else args.seed
    found = Path(tempfile.mkdtemp(prefix="attack-"))
    print(f"seed {seed}; what goes wrong is written to {found}", flush=True)
    with contextlib.ExitStack() as stack:
        makers: dict[str, Callable[..., Attack]] = {
            "pictures": pictures, "archives": archives, "tables": tables, "models": models,
        }  # fmt: skip
        kinds, log = {}, None
        for name in args.kinds:
            folder = found / name
            folder.mkdir()
            if name == "requests":
                address, log = stack.enter_context(page(folder))
                kinds[name] = requests(folder, address)
            else:
                kinds[name] = makers[name](folder)
        counts = attack_all(kinds, seed, 60 * args.minutes, found)
        time.sleep(1)
        said = log.read_text(errors="replace") if log else ""
    tracebacks = said.count("Traceback")
    if log:
        print(f"the page said {said.count('Traceback')} tracebacks, and of errors {said.count('failed: ')} lines")
    return 1 if tracebacks or any(wrong for _, wrong in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
