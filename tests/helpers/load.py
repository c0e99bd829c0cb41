"""Many visitors at once: `python -m tests.helpers.load --clients 200 --seconds 60 --heavy 0.1`.

It starts the page with the generator that ships and watches its memory; with an address, such as
http://127.0.0.1:7860, it visits a page that runs. Half of the visitors move about in the crate, as the page's script
does; half are programs that ask for covers. A share `--heavy` of what they ask for is heavy instead: a print, a film,
a preview of Finish, a search for a picture. Whoever comes when too many wait for such a thing is told to wait, which
is no error. On Linux each visitor of a page on this machine has an address of its own.

It prints a line every few seconds, and at its end a table and what was wanted: no errors, p95 of light requests below
3 s, and after a minute at most no more than 10% more memory than before.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from tests.helpers.drawn import draw_cover, encode
from tests.helpers.serving import free_port, serving


WANTED_P95, WANTED_MEMORY, SETTLING = 3.0, 1.1, 60
API = "/gradio_api"


@dataclass
class Measured:
    """What a load did: seconds that each kind of request took, what went wrong, and who was told to wait."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    told_to_wait: Counter[str] = field(default_factory=Counter)
    places: int = 0  # that were shown to those who waited

    def of(self, kinds: "dict[str, Kind]") -> list[float]:
        """Seconds of all requests of these kinds."""
        return [value for kind in kinds for value in self.seconds.get(kind, ())]


class Busy(Exception):
    """Too many wait for such a thing."""


class Visitor:
    """One who asks a page for things: with an address of its own where that is possible."""

    def __init__(self, address: str, number: int, parts: dict[str, int], events: dict[str, int]):
        self.number, self.parts, self.events, self.draws = number, parts, events, random.Random(number)
        own = sys.platform == "linux" and httpx.URL(address).host == "127.0.0.1"
        source = f"127.0.{1 + number // 250}.{1 + number % 250}" if own else None
        there = httpx.AsyncHTTPTransport(local_address=source, verify=False)
        self.http = httpx.AsyncClient(base_url=address, timeout=300, transport=there, trust_env=False)
        self.places = 0

    async def get(self, path: str) -> httpx.Response:
        return (await self.http.get(path)).raise_for_status()

    async def call_part(self, part: str, function: str, data: object) -> dict:
        """What a tab's script asks for."""
        asked = {"component_id": self.parts[part], "fn_name": function, "session_hash": f"s{self.number}"}
        answer = await self.http.post(f"{API}/component_server", json=asked | {"data": data})
        said = answer.raise_for_status().json()
        if isinstance(said, dict) and "too many visitors" in str(said.get("error", said)).lower():
            raise Busy
        return said

    async def call(self, name: str, arguments: dict) -> list:
        """What a program asks for: one answer of an endpoint."""
        path = f"{API}/call/v2/{name}"
        event = (await self.http.post(path, json=arguments)).raise_for_status().json()["event_id"]
        return self._result((await self.get(f"{path}/{event}")).text)

    async def queue(self, name: str, data: list) -> list:
        """What the page's own script asks for: it is told its place while it waits."""
        session = f"{self.number}x{self.draws.randrange(2**40)}"
        asked = {"fn_index": self.events[name], "data": data, "session_hash": session}
        (await self.http.post(f"{API}/queue/join", json=asked)).raise_for_status()
        async with self.http.stream("GET", f"{API}/queue/data?session_hash={session}") as stream:
            async for text in stream.aiter_lines():
                said = json.loads(text[5:]) if text.startswith("data:") else {}
                self.places += said.get("msg") == "estimation" and said.get("rank") is not None
                if said.get("msg") == "process_completed":
                    return self._output(said)
        raise AssertionError(f"{name}: the stream ended without an answer")

    @staticmethod
    def _result(text: str) -> list:
        if "event: complete" in text:
            return json.loads(text.rpartition("data: ")[2])
        if "too many visitors" in text.lower():
            raise Busy
        raise AssertionError(text[:200])

    @staticmethod
    def _output(said: dict) -> list:
        if said["success"]:
            return said["output"]["data"]
        if "too many visitors" in str(said).lower():
            raise Busy
        raise AssertionError(str(said)[:200])

    # ---- light

    async def look(self) -> None:
        place = {"x": self.draws.uniform(0, 65536), "y": self.draws.uniform(0, 65536), "truncation": 1}
        asked = [place]
        if self.draws.random() < 0.25:  # a row comes into sight: the script asks for it aside
            asked.append({"truncation": 1, "tiles": [self.draws.randrange(2**32) for _ in range(8)]})
        cover, *aside = await asyncio.gather(*(self.call_part("crate", "look", one) for one in asked))
        assert cover["cover"]["src"].startswith("data:image/png")
        assert all(len(row["tiles"]) == 8 for row in aside)

    async def generate(self) -> None:
        file = (await self.call("generate", {"seed": self.draws.randrange(2**32)}))[0]["url"]
        assert (await self.get(file)).content.startswith(b"\x89PNG"), "not a PNG"

    async def cover(self) -> None:
        await self.call("cover", {"address": self.seed()})

    async def walk(self) -> None:
        await self.call("walk", {"seed_a": self.draws.randrange(99), "seed_b": 5, "position": self.draws.random()})

    async def front(self) -> None:
        assert "Album Cover GAN" in (await self.get("/")).text
        await self.get("/config")

    async def link(self) -> None:
        assert (await self.get(f"/cover.png?{self.seed()}")).content.startswith(b"\x89PNG")

    # ---- heavy

    async def preview(self) -> None:
        await self.call_part(
            "finish", "preview", {"address": self.seed(), "artist": "A", "title": "B", "layout": "poster"}
        )

    async def print(self) -> None:
        await self.call("finish", {"address": self.seed(), "artist": "A"})

    async def film(self) -> None:
        await self.queue("film", [[self.seed(), "seed=1"], 60, False, 20, "mp4"])

    async def search(self) -> None:
        picture = encode(draw_cover(self.draws.randrange(9), 64), "PNG")
        sent = await self.http.post(f"{API}/upload", files={"files": ("a.png", picture)})
        file = {"path": sent.raise_for_status().json()[0], "meta": {"_type": "gradio.FileData"}}
        await self.call("project", {"picture": file})

    def seed(self) -> str:
        return f"seed={self.draws.randrange(2**32)}"


Kind = Callable[[Visitor], Awaitable[None]]
CRATE: dict[str, Kind] = {"look": Visitor.look, "front page": Visitor.front}
PROGRAMS: dict[str, Kind] = {
    "generate": Visitor.generate,
    "cover": Visitor.cover,
    "walk": Visitor.walk,
    "link's picture": Visitor.link,
}
LIGHT = CRATE | PROGRAMS
HEAVY: dict[str, Kind] = {
    "preview": Visitor.preview,
    "print": Visitor.print,
    "film": Visitor.film,
    "search": Visitor.search,
}


async def one_of_each(address: str, measured: Measured) -> None:
    """Ask for one thing of each kind: the first of everything takes memory that stays."""
    visitor = Visitor(address, 0, *await names(address))
    for name, kind in (LIGHT | HEAVY).items():
        begin = time.perf_counter()
        await ask(visitor, name, kind, measured, is_heavy=name in HEAVY)
        print(f"  {name}: {time.perf_counter() - begin:.1f} s", flush=True)
    await visitor.http.aclose()


async def costs(address: str, processor: Callable[[], float], times: int) -> dict[str, float]:
    """Ask for each light kind of thing so many times, one after the other; return the page's processor time for one of
    each, in seconds. It hardly depends on what else the machine does."""
    visitor, measured = Visitor(address, 0, *await names(address)), Measured()
    found = {}
    for name, kind in LIGHT.items():
        await ask(visitor, name, kind, measured, is_heavy=False)
        before = processor()
        for _ in range(times):
            await ask(visitor, name, kind, measured, is_heavy=False)
        found[name] = (processor() - before) / times
        print(f"  {name}: {1000 * found[name]:.1f} ms of the page's processor time", flush=True)
    await visitor.http.aclose()
    print(f"{len(measured.wrong)} errors", *measured.wrong[:3])
    return found


async def names(address: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return the numbers of the page's components and of its events, by their names."""
    async with httpx.AsyncClient(base_url=address, timeout=60, trust_env=False) as http:
        config = (await http.get("/config")).json()
    parts = {c["props"].get("elem_id"): c["id"] for c in config["components"]}
    return parts, {event["api_name"]: event["id"] for event in config["dependencies"]}


async def visitors(address: str, clients: int, seconds: float, heavy: float, measured: Measured) -> None:
    """Ask for covers, from so many clients for so many seconds; the share `heavy` of it is heavy."""
    parts, events = await names(address)
    end = time.perf_counter() + seconds

    async def one(number: int) -> None:
        visitor = Visitor(address, number, parts, events)
        try:
            while time.perf_counter() < end:
                kinds = HEAVY if visitor.draws.random() < heavy else PROGRAMS if number % 2 else CRATE
                name = visitor.draws.choices(list(kinds), [4] + [1] * (len(kinds) - 1))[0]
                await ask(visitor, name, kinds[name], measured, is_heavy=kinds is HEAVY)
                await asyncio.sleep(visitor.draws.uniform(0, 0.3))  # they look at it
        finally:
            measured.places += visitor.places
            await visitor.http.aclose()

    await asyncio.gather(*(one(number) for number in range(clients)))


async def ask(visitor: Visitor, name: str, kind: Kind, measured: Measured, is_heavy: bool) -> None:
    """Ask for one thing, and note how long it took, or what went wrong."""
    start = time.perf_counter()
    try:
        await kind(visitor)
    except Exception as error:
        status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else 0
        if is_heavy and (isinstance(error, Busy) or status == 503):
            measured.told_to_wait[name] += 1
            return
        said = error.response.text if isinstance(error, httpx.HTTPStatusError) and status != 200 else ""
        measured.wrong.append(f"{name}: {type(error).__name__} {error} {said}"[:200])
    else:
        measured.seconds.setdefault(name, []).append(time.perf_counter() - start)


async def tell(measured: Measured, memory: Callable[[], float], every: float = 5) -> None:
    """Print how far it is, until it is cancelled."""
    begin = time.perf_counter()
    while True:
        await asyncio.sleep(every)
        light, heavy = measured.of(LIGHT), measured.of(HEAVY)
        print(
            f"{time.perf_counter() - begin:4.0f} s: {len(light)} light, p95 {p95(light):.2f} s, {len(heavy)} heavy, "
            f"{measured.told_to_wait.total()} told to wait, {len(measured.wrong)} errors, {memory():.0f} MB",
            flush=True,
        )


def p95(values: list[float]) -> float:
    """Return what all but 5% of the values stay below."""
    return statistics.quantiles(values, n=20)[18] if len(values) > 1 else sum(values)


def line(name: str, values: list[float], unit: str = "ms", scale: float = 1000) -> str:
    """`name: p50 .. p95 .. slowest ..`"""
    shown = (("p50", statistics.median(values)), ("p95", p95(values)), ("slowest", max(values)))
    return (
        f"{name}: " + ", ".join(f"{what} {value * scale:.0f} {unit}" for what, value in shown) + f" of {len(values)}"
    )


def table(measured: Measured) -> str:
    """One row for each kind of request."""
    lines = [f"{'':<16}{'answered':>9}{'p50, s':>9}{'p95, s':>9}{'slowest':>9}{'told to wait':>14}"]
    for title, kinds in (("light", LIGHT), ("heavy", HEAVY)):
        waiting = sum(measured.told_to_wait[kind] for kind in kinds)
        rows = [(title, measured.of(kinds), waiting)]
        rows += [(f"  {kind}", measured.seconds.get(kind, []), measured.told_to_wait[kind]) for kind in kinds]
        for name, values, told in rows:
            numbers = (statistics.median(values), p95(values), max(values)) if values else (0.0, 0.0, 0.0)
            lines.append(f"{name:<16}{len(values):>9}" + "".join(f"{n:>9.2f}" for n in numbers) + f"{told:>14}")
    return "\n".join(lines)


async def visit(address: str, memory: Callable[[], float] | None, args: argparse.Namespace) -> int:
    """Visit a page and print what came of it. Returns 1 where something was not as it is wanted."""
    measured, memory_now = Measured(), memory or (lambda: 0.0)
    if memory:
        print(f"the page is at {address}; first one of everything, one after the other", flush=True)
        await one_of_each(address, measured)
        measured.seconds.clear()
    before = memory_now()
    print(f"{args.clients} clients for {args.seconds:.0f} s", flush=True)
    telling = asyncio.create_task(tell(measured, memory_now))
    await visitors(address, args.clients, args.seconds, args.heavy, measured)
    telling.cancel()
    print(table(measured))
    light = measured.of(LIGHT)
    well = not measured.wrong and p95(light) < WANTED_P95
    print(f"{len(measured.wrong)} errors", *sorted(set(measured.wrong))[:5], sep="\n  ")
    print(line(f"light, {args.clients} clients at once", light) + f" (wanted: p95 below {WANTED_P95:.0f} s)")
    print(f"{measured.places} times a place in the queue was shown")
    if memory:
        peak, begin = memory(), time.perf_counter()
        while memory() > WANTED_MEMORY * before and time.perf_counter() - begin < SETTLING:
            await asyncio.sleep(1)
        took, after = time.perf_counter() - begin, memory()
        print(
            f"memory {before:.0f} MB before, {peak:.0f} at the end, {after:.0f} MB {took:.0f} s later (wanted: +10%)"
        )
        well = well and after <= WANTED_MEMORY * before
    return 0 if well else 1


def main() -> int:
    """Run the program. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", nargs="?", help="of a page that runs; without it one is started")
    parser.add_argument("--clients", type=int, default=50, help="how many at once, 50 without it")
    parser.add_argument("--seconds", type=float, default=60, help="how long, 60 without it")
    parser.add_argument("--heavy", type=float, default=0.0, help="share of what is asked for that is heavy")
    parser.add_argument("--each", type=int, help="only measure the processor time of so many requests of each kind")
    args = parser.parse_args()
    if args.address:
        return asyncio.run(visit(args.address, None, args))
    command: list[str | Path] = [sys.executable, "app.py", "--port", free_port()]
    with serving(command) as (address, _, process):
        page = psutil.Process(process.pid)

        def memory() -> float:
            family = [page, *page.children(recursive=True)]
            return sum(one.memory_info().rss for one in family if one.is_running()) / 1e6

        if args.each:
            asyncio.run(costs(address, lambda: sum(page.cpu_times()[:2]), args.each))
            return 0
        return asyncio.run(visit(address, memory, args))


if __name__ == "__main__":
    sys.exit(main())
