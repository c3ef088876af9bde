"""What holds while the store is there: exact limits, one call for many misses, purges at once, few round trips."""

import asyncio
import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from steady import Steady
from store_load import asked, strayed
from store_site import Site, site, spent

from gateways import Client
from redis_server import RedisServer, redis_server

HAMMERED: Final = {"steady": "100/s burst 100", "slow": "600/min burst 10"}
OVER: Final = 1.5
"""What is asked of a limit, over what it lets in."""
CALLS: Final = re.compile(r"^cmdstat_([^:]+):calls=(\d+)", re.MULTILINE)
BACKGROUND: Final = ("info", "xread", "time")
QUIET: Final = 60


async def measured(folder: Path, *, quick: bool) -> dict[str, Any]:
    """All of it."""
    keys: dict[str, dict[str, Any]] = {"free": {}, **{name: {"limit": told} for name, told in HAMMERED.items()}}
    keys |= {"limit": {"limit": "100000/s"}, "budget": {"limit": "100000/s", "budget_day": 1e6}}
    with redis_server("--save", "", "--appendonly", "no") as redis, site(folder, redis.url, keys) as there:
        return {
            "part": "exact",
            "limits": [await _hammered(there, name, 4.0 if quick else 30.0) for name in HAMMERED],
            "misses": await _misses(there, 200 if quick else 1_000),
            "purges": [await _purged(there, number) for number in range(5 if quick else 50)],
            "trips": await _trips(there, redis),
            "processor": await _processor(there, redis, 0.3 if quick else 4.0),
        }


async def _hammered(there: Site, key: str, seconds: float) -> dict[str, Any]:
    """One key at both gateways, more often than it may."""
    text = HAMMERED[key]
    number, per, burst = re.match(r"(\d+)/(s|min) burst (\d+)", text).groups()  # type: ignore[union-attr]
    rate = int(number) / (60 if per == "min" else 1)
    for place in (0, 1):
        await there.ask(place, key, "why")
    data = asked(there, key, "why")
    loads = [Steady(port, lambda: (data, key), rate * OVER / 2) for port in there.ports]
    await asyncio.gather(*(each.run(seconds) for each in loads))
    done = [each for load in loads for each in load.done]
    if strange := {each.status for each in done} - {200, 429}:
        raise SystemExit(f"a limited key was answered with {strange}")
    at = sorted(each.over for each in done if each.status == 200)
    refused = min(each.over for each in done if each.status == 429)
    late = [each for each in at if each >= refused]  # its burst is used up
    windows = [each for each in (1.0, 5.0, 20.0) if each < seconds]
    strays = [(each, strayed(at, rate, int(burst), each)[0], *strayed(late, rate, 0.0, each)) for each in windows]
    length = late[-1] - late[0]
    return {
        "rate": rate, "burst": int(burst), "asked": rate * OVER, "seconds": seconds, "admitted": len(at),
        "whole": (len(late) - 1) / (rate * length) - 1,
        "windows": [dict(zip(("seconds", "law", "most", "least"), each, strict=True)) for each in strays],
    }  # fmt: skip


async def _misses(there: Site, count: int) -> dict[str, Any]:
    """Many that ask the same, at both, while one is answered."""
    before = (await there.book()).get("free", 0)
    began = time.perf_counter()
    asking = [asyncio.ensure_future(there.ask(number % 2, "free", "slow why")) for number in range(count)]
    while not (await there.book()).get("free waiting"):  # noqa: ASYNC110 - a process tells of no event
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)  # so that all have come in, and would have called
    await there.go()
    answers = await asyncio.gather(*asking)
    texts = {each.json()["choices"][0]["message"]["content"] for each in answers if each.status == 200}
    statuses = {each.status for each in answers}
    if statuses != {200}:
        raise SystemExit(f"a miss was answered with {statuses}")
    calls = (await there.book())["free"] - before
    return {"asked": count, "calls": calls, "texts": len(texts), "seconds": time.perf_counter() - began}


async def _purged(there: Site, number: int) -> float:
    """Milliseconds from when one is asked to forget until the other gives it no more."""
    one, other = Client(there.ports[number % 2]), Client(there.ports[1 - number % 2])

    async def said() -> str:
        text: str = (await there.ask(1 - number % 2, "free", "what is purged", other)).json()["choices"][0]["message"][
            "content"
        ]
        return text

    text = await said()
    assert await said() == text
    await one.open()
    began = time.perf_counter()
    purging = asyncio.ensure_future(there.purge(number % 2))
    while await said() == text:
        pass
    seconds = time.perf_counter() - began
    assert await purging
    await one.close()
    await other.close()
    return seconds * 1e3


async def _trips(there: Site, redis: RedisServer) -> dict[str, dict[str, float]]:
    """Commands for each request: a miss, a hit of what the other made, a hit in memory; without what runs anyway."""
    client = [Client(port) for port in there.ports]

    async def each(place: int, key: str, name: str) -> None:
        for number in range(QUIET):
            said = await there.ask(place, key, f"{name} {number}", client[place])
            assert said.status == 200

    found = {}
    for title, place, key in (
        ("a miss: looked for, leased, kept", 0, "free"),
        ("a hit of what the other has made", 1, "free"),
        ("a hit in memory", 1, "free"),
    ):
        found[title] = await _counted(redis, lambda place=place, key=key: each(place, key, "trips"))
    for one in client:
        await one.close()
    return found


async def _processor(there: Site, redis: RedisServer, seconds: float) -> dict[str, dict[str, float]]:
    """Microseconds of processor time for each request, 32 at once, at a gateway and at the server."""
    found = {}
    pid = int(redis.tell("INFO", "server").split("process_id:")[1].split("\r\n")[0])
    for title, key, text in (
        ("a hit in memory, a key that nothing bounds", "free", "again"),
        ("a hit in memory, a key with a limit", "limit", "again"),
        ("a hit in memory, a limit and a hard budget", "budget", "again"),
        ("a call, a key that nothing bounds", "free", "called {}"),
        ("a call, a limit and a hard budget", "budget", "called {}"),
    ):
        numbers = itertools.count()

        def make(key: str = key, text: str = text, numbers: Iterator[int] = numbers) -> tuple[bytes, str]:
            return asked(there, key, text.format(next(numbers))), ""

        load = Steady(there.ports[0], make, None, most=32)
        before = there.spent(0), spent(pid)
        await load.run(seconds)
        after = there.spent(0), spent(pid)
        if strange := {each.status for each in load.done} - {200}:
            raise SystemExit(f"a request was answered with {strange}")
        count = len(load.done)
        gateway, server = ((now - then) * 1e6 / count for then, now in zip(before, after, strict=True))
        found[title] = {"gateway": gateway, "server": server, "rate": count / seconds}
    return found


async def _counted(redis: RedisServer, work: Callable[[], Any]) -> dict[str, float]:
    """Commands that clients sent while this went on. What scripts call inside is counted by Redis too, and left out."""
    await asyncio.sleep(0.5)
    idle = {}
    before, began = _calls(redis), time.perf_counter()
    await asyncio.sleep(2.0)
    for name, count in _calls(redis).items():
        idle[name] = (count - before.get(name, 0)) / (time.perf_counter() - began)
    before, began = _calls(redis), time.perf_counter()
    await work()
    took = time.perf_counter() - began
    await asyncio.sleep(0.5)
    took += 0.5
    found = {
        name: round(max(0.0, count - before.get(name, 0) - idle.get(name, 0) * took) / QUIET, 1)
        for name, count in _calls(redis).items()
        if name in ("evalsha", "eval", "get", "set")
    }
    return {name: count for name, count in found.items() if name in ("evalsha", "eval") and count}


def _calls(redis: RedisServer) -> dict[str, int]:
    said = redis.tell("INFO", "commandstats")
    return {name: int(count) for name, count in CALLS.findall(said.replace("\r", ""))}
