"""Many visitors at once: `python -m tests.helpers.load http://127.0.0.1:7860 --clients 50`, while `app.py` runs.

Half of them move about in the crate, as the page's script does; half are programs that call `/generate`. With
`--heavy 0.1` a tenth of what they ask for is heavy instead: a print, a film, a preview of Finish. Who comes when too
many wait for such a thing is told to wait, which is no error.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from dataclasses import dataclass, field

import httpx


@dataclass
class Measured:
    """What a load did: seconds that light and heavy requests took, what went wrong, and how many were told to wait."""

    light: list[float] = field(default_factory=list)
    heavy: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    told_to_wait: int = 0


async def visitors(address: str, clients: int, seconds: float, heavy: float = 0.0) -> Measured:
    """Ask for covers, from so many clients for so many seconds; the share `heavy` of it is heavy."""
    measured = Measured()
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=address, timeout=300, limits=limits, trust_env=False) as http:
        config = (await http.get("/config")).json()
        parts = {c["props"].get("elem_id"): c["id"] for c in config["components"]}
        end = time.perf_counter() + seconds

        async def one(number: int) -> None:
            draws = random.Random(number)
            while time.perf_counter() < end:
                start, is_heavy = time.perf_counter(), draws.random() < heavy
                try:
                    if is_heavy:
                        await ask_much(http, parts["finish"], draws)
                    else:
                        await (generate(http, draws) if number % 2 else look(http, parts["crate"], draws, number))
                except httpx.HTTPStatusError as error:
                    if not is_heavy or error.response.status_code != 503:
                        measured.wrong.append(f"{error}"[:200])
                    measured.told_to_wait += is_heavy
                except Exception as error:
                    measured.wrong.append(f"{type(error).__name__}: {error}"[:200])
                else:
                    (measured.heavy if is_heavy else measured.light).append(time.perf_counter() - start)
                await asyncio.sleep(draws.uniform(0, 0.3))  # they look at it

        await asyncio.gather(*(one(number) for number in range(clients)))
    return measured


async def ask_much(http: httpx.AsyncClient, finish: int, draws: random.Random) -> None:
    """A print, a film or a preview of Finish."""
    cover = f"seed={draws.randrange(2**32)}"
    kind = draws.choice(("preview", "finish", "film"))
    if kind == "preview":
        order = {"address": cover, "artist": "A", "title": "B", "layout": "poster"}
        asked = {"component_id": finish, "fn_name": "preview", "session_hash": "a", "data": order}
        (await http.post("/gradio_api/component_server", json=asked)).raise_for_status()
        return
    much = {"address": cover, "artist": "A"} if kind == "finish" else {"addresses": [cover, "seed=1"], "kind": "mp4"}
    call = f"/gradio_api/call/v2/{kind}"
    event = (await http.post(call, json=much)).raise_for_status().json()["event_id"]
    answer = (await http.get(f"{call}/{event}")).text
    assert "event: complete" in answer, answer[:200]


async def look(http: httpx.AsyncClient, crate: int, draws: random.Random, number: int) -> None:
    place = {"x": draws.uniform(0, 65536), "y": draws.uniform(0, 65536), "truncation": 1}
    tiles = [draws.randrange(2**32) for _ in range(8)] if draws.random() < 0.25 else []  # a row comes into sight
    asked = {"component_id": crate, "fn_name": "look", "session_hash": str(number), "data": place | {"tiles": tiles}}
    answer = (await http.post("/gradio_api/component_server", json=asked)).raise_for_status().json()
    assert len(answer.get("tiles", [])) == len(tiles), answer.keys()
    assert answer["cover"]["src"].startswith("data:image/png")


async def generate(http: httpx.AsyncClient, draws: random.Random) -> None:
    call = "/gradio_api/call/v2/generate"
    event = (await http.post(call, json={"seed": draws.randrange(2**32)})).raise_for_status().json()["event_id"]
    answer = (await http.get(f"{call}/{event}")).text
    assert "event: complete" in answer, answer[:200]
    file = json.loads(answer.rpartition("data: ")[2])[0]["url"]
    assert (await http.get(file)).raise_for_status().content.startswith(b"\x89PNG"), "not a PNG"


def line(name: str, values: list[float], unit: str = "ms", scale: float = 1000) -> str:
    """`name: p50 .. p95 .. slowest ..`"""
    p95 = statistics.quantiles(values, n=20)[18] if len(values) > 1 else values[0]
    shown = (("p50", statistics.median(values)), ("p95", p95), ("slowest", max(values)))
    return (
        f"{name}: " + ", ".join(f"{what} {value * scale:.0f} {unit}" for what, value in shown) + f" of {len(values)}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:7860", help="where the page is")
    parser.add_argument("--clients", type=int, default=50, help="how many at once")
    parser.add_argument("--seconds", type=float, default=60, help="how long")
    parser.add_argument("--heavy", type=float, default=0.0, help="share of what is asked for that is heavy")
    args = parser.parse_args()
    measured = asyncio.run(visitors(args.address, args.clients, args.seconds, args.heavy))
    print(line(f"one cover, {args.clients} clients at once", measured.light))
    if measured.heavy:
        print(line("one print, film or preview", measured.heavy), f"and {measured.told_to_wait} told to wait")
    print(f"{len(measured.wrong)} errors", *sorted(set(measured.wrong))[:5], sep="\n  ")
    return 1 if measured.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
