"""Many visitors at once: `python -m tests.load http://127.0.0.1:7860 --clients 50 --seconds 60`, while `app.py` runs.

Half of them move about in the crate, as the page's script does; half are programs that call `/generate`.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time

import httpx


async def visitors(address: str, clients: int, seconds: float) -> tuple[list[float], list[str]]:
    """How long each cover took, in seconds, and what went wrong."""
    took, wrong = [], []
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits, trust_env=False) as http:
        config = (await http.get("/config")).json()
        crate = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "crate")
        end = time.perf_counter() + seconds

        async def one(number: int) -> None:
            draws = random.Random(number)
            while time.perf_counter() < end:
                start = time.perf_counter()
                try:
                    await (generate(http, draws) if number % 2 else look(http, crate, draws, number))
                except Exception as error:
                    wrong.append(f"{type(error).__name__}: {error}"[:200])
                took.append(time.perf_counter() - start)
                await asyncio.sleep(draws.uniform(0, 0.3))  # they look at it

        await asyncio.gather(*(one(number) for number in range(clients)))
    return took, wrong


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
    args = parser.parse_args()
    took, wrong = asyncio.run(visitors(args.address, args.clients, args.seconds))
    print(line(f"one cover, {args.clients} clients at once", took))
    print(f"{len(wrong)} errors", *sorted(set(wrong))[:5], sep="\n  ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
