"""Attack what takes strangers' files and requests, for a while: `python -m tests.attack --minutes 60`.

Good files and requests are changed at random, and whatever takes them must refuse them in the words of its own error,
in bounded time. What does not is written to a folder, with the seed that makes it again. The tests of each reader hold
what was once found. The kinds take their turns one after the other, so that each has its memory and disk before and
after.
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
from concurrent.futures import ThreadPoolExecutor
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
        with contextlib.suppress(UserError), contextlib.redirect_stderr(None):
            RunFolder(place).forget_after(draws.randrange(400))
        assert all(line["images"] < 400 for line in RunFolder(place).lines())

    return attack


def load(folder: Path, address: str) -> Attack:
    """Attack the page with many requests at once for what takes long."""
    client = httpx.Client(base_url=address, timeout=SECONDS, trust_env=False)
    finish = next(
        c for c in client.get("config").json()["components"] if "cards" in (c["props"].get("server_fns") or [])
    )
    many = ThreadPoolExecutor(32)

    def ask(seed: int) -> None:
        data = {"address": f"seed={seed}", "artist": "a", "title": "b", "layout": "poster"}
        asked = {"component_id": finish["id"], "fn_name": "preview", "session_hash": "a", "data": data}
        answer = client.post("gradio_api/component_server", json=asked)
        assert answer.status_code in (200, 503), (answer.status_code, answer.text)

    def attack(draws: random.Random) -> None:
        (folder / "input").write_bytes(b"previews")
        seeds = [draws.randrange(2**32) for _ in range(32)]
        for one in [many.submit(ask, seed) for seed in seeds]:
            one.result()
        begin = time.monotonic()
        drawn = client.post("gradio_api/call/generate", json={"data": [seeds[0], 1, "", 0, ""]}).json()["event_id"]
        assert "event: complete" in client.get(f"gradio_api/call/generate/{drawn}").text
        assert time.monotonic() - begin < 10

    return attack


def uploads(folder: Path, address: str) -> Attack:
    """Attack the page's disk."""
    client = httpx.Client(base_url=address, timeout=SECONDS, trust_env=False)

    def attack(draws: random.Random) -> None:
        files = [
            (
                "files",
                (draws.choice(("a.png", "../../a", "x" * 300, "\n", "a.html")), draws.randbytes(draws.choice(sizes))),
            )
            for _ in range(draws.choice((1, 1, 2, 12)))
        ]
        (folder / "input").write_bytes(b"".join(content for _, (_, content) in files)[:1000])
        try:
            answer = client.post("gradio_api/upload", files=files)
        except httpx.WriteError:  # the server hung up before all of it was sent
            return
        assert answer.status_code in (200, 400, 413, 503), (answer.status_code, answer.text)

    sizes = (0, 10, 100_000, 2_000_000, 9_500_000)
    return attack


def tools(folder: Path, address: str) -> Attack:
    """Attack the page as an MCP server."""
    client = httpx.Client(base_url=address, timeout=SECONDS, trust_env=False)
    headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    names = ("generate", "cover", "plane", "walk", "address", "colours", "more_like", "nothing", "", "x" * 300)

    def attack(draws: random.Random) -> None:
        fields = ("seed", "truncation", "genre", "address", "x", "y", "picture", "seed_a", "position")
        said = {name: odd(draws) for name in draws.sample(fields, draws.randrange(4))}
        called = {"name": draws.choice(names), "arguments": said if draws.random() < 0.9 else odd(draws)}
        method = draws.choice(("tools/call", "tools/call", "tools/list", "initialize", "prompts/get", "x"))
        content = json.dumps(
            {"jsonrpc": "2.0", "id": draws.choice((1, odd(draws))), "method": method, "params": called}
        )
        content = content.encode() if draws.random() < 0.8 else changed(content.encode(), draws)
        (folder / "input").write_bytes(content)
        answer = client.post("gradio_api/mcp/", content=content, headers=headers)
        assert answer.status_code < 500 or answer.status_code == 503, (answer.status_code, answer.text)

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
    """Attack until the time is over, of which each kind has the same part.

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
    held: dict[str, list[float]] = {}  # memory before and after, disk before and after
    number = seed

    def too_slow(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} seconds")

    signal.signal(signal.SIGALRM, too_slow)
    for name, attack in kinds.items():
        held[name] = [memory(), disk(found)]
        end = time.monotonic() + seconds / len(kinds)
        while time.monotonic() < end:
            number += 1
            counts[name][0] += 1
            begin = time.monotonic()
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
        held[name] += [memory(), disk(found)]
    print(f"{'':<12}{'attacks':>10}{'went wrong':>12}{'slowest, s':>12}{'memory, MB':>22}{'disk, MB':>22}")
    for name, (count, wrong) in counts.items():
        memories, disks = (f"{held[name][n]:,.1f} -> {held[name][n + 2]:,.1f}" for n in (0, 1))
        print(f"{name:<12}{count:>10,}{wrong:>12}{slowest[name]:>12.1f}{memories:>22}{disks:>22}")
    return counts


# What is attacked: nothing leaves (sources), bounded work (pictures, tables), archives, models, runs; and of the page
# what it serves (requests), its load, its disk (uploads) and its MCP server (tools).
OF_FILES: dict[str, Callable[[Path], Attack]] = {
    "sources": sources,
    "pictures": pictures,
    "tables": tables,
    "archives": archives,
    "models": models,
    "runs": runs,
}
OF_THE_PAGE: dict[str, Callable[[Path, str], Attack]] = {
    "requests": requests,
    "load": load,
    "uploads": uploads,
    "tools": tools,
}


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
    parser.add_argument("--kinds", nargs="+", default=[*OF_FILES, *OF_THE_PAGE], choices=[*OF_FILES, *OF_THE_PAGE])
    args = parser.parse_args()
    seed = random.randrange(2**32) if args.seed is None else args.seed
    found = Path(tempfile.mkdtemp(prefix="attack-"))
    print(f"seed {seed}; what goes wrong is written to {found}", flush=True)
    with contextlib.ExitStack() as stack:
        kinds, log, address = {}, None, ""
        for name in args.kinds:
            folder = found / name
            folder.mkdir()
            if name in OF_FILES:
                kinds[name] = OF_FILES[name](folder)
                continue
            if not address:
                address, log = stack.enter_context(page(folder))
            kinds[name] = OF_THE_PAGE[name](folder, address)
        counts = attack_all(kinds, seed, 60 * args.minutes, found)
        time.sleep(1)
        said = log.read_text(errors="replace") if log else ""
    tracebacks = said.count("Traceback")
    if log:
        print(f"the page said {said.count('Traceback')} tracebacks, and of errors {said.count('failed: ')} lines")
    return 1 if tracebacks or any(wrong for _, wrong in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
