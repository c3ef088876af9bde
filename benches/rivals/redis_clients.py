"""Clients of Redis on asyncio: what one GET of 2 KB costs this process, one by one and 64 at once.

The server is a real one on loopback, the same for all. Contenders take turns; a figure is the median of the rounds. CPU
is of this process alone, with what the kernel does for it. The limit is a blocking socket and no client at all; its 64
at once are one write of 64 commands and as many reads as it takes.
Not identical: ours packs what is asked in one turn of the loop into one write, on one connection that also hears what
changed; redis-py takes a connection from its pool for each command, and batches only where it is told to (`pipeline`).
"""

import asyncio
import resource
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from redis_server import RedisServer, redis_server
from report import options, save

KEY, VALUE = b"bench:key", b"x" * 2048
ROUNDS, CALLS = 7, 12_800
AT_ONCE = (1, 64)
Get = Callable[[], Awaitable[Any]]


def cpu() -> float:
    """Seconds of CPU that this process has had."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def timed(get: Get, at_once: int, calls: int) -> tuple[float, float]:
    """Microseconds of CPU and of the clock for one call."""

    async def worker() -> None:
        for _ in range(calls // at_once):
            await get()

    since, used = time.perf_counter(), cpu()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return (cpu() - used) / calls * 1e6, (time.perf_counter() - since) / calls * 1e6


def by_hand(port: int, at_once: int, calls: int) -> tuple[float, float]:
    """The limit: one blocking socket."""
    command = b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(KEY), KEY) * at_once
    size = len(b"$2048\r\n\r\n") + len(VALUE)
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        since, used = time.perf_counter(), cpu()
        for _ in range(calls // at_once):
            line.sendall(command)
            left = size * at_once
            while left:
                left -= len(line.recv(65_536))
        return (cpu() - used) / calls * 1e6, (time.perf_counter() - since) / calls * 1e6


async def clients(server: RedisServer) -> dict[str, tuple[Get, Callable[[], Awaitable[Any]]]]:
    """Each that is installed: how it gets, and how it is closed."""
    from fastcascade.shared import Shared

    shared = Shared(server.url, timeout=5)
    await shared.start()
    await shared.call("SET", KEY, VALUE)
    found: dict[str, tuple[Get, Callable[[], Awaitable[Any]]]] = {
        "fastcascade.shared": (lambda: shared.call("GET", KEY), shared.aclose)
    }
    try:
        import redis.asyncio

        theirs = redis.asyncio.Redis.from_url(server.url)
        found["redis-py + hiredis"] = (lambda: theirs.get(KEY), theirs.aclose)
    except ModuleNotFoundError:
        print("not here: redis")
    try:
        from coredis import Redis

        other = Redis.from_url(server.url)
        found["coredis"] = (lambda: other.get(KEY), lambda: asyncio.sleep(0))
    except ModuleNotFoundError:
        print("not here: coredis")
    return found


async def measured(server: RedisServer, rounds: int, calls: int) -> dict[str, list[list[tuple[float, float]]]]:
    """All figures, by contender and by how many at once."""
    found = await clients(server)
    figures: dict[str, list[list[tuple[float, float]]]] = {
        name: [[] for _ in AT_ONCE] for name in ("a socket by hand (limit)", *found)
    }
    for get, _ in found.values():
        assert await get() == VALUE
        await timed(get, 64, calls // 4)
    for _ in range(rounds):
        for place, at_once in enumerate(AT_ONCE):
            figures["a socket by hand (limit)"][place].append(by_hand(server.port, at_once, calls))
            for name, (get, _) in found.items():
                figures[name][place].append(await timed(get, at_once, calls))
    for _, close in found.values():
        await close()
    return figures


def main() -> None:
    """Measure on asyncio's own loop and on uvloop, and print a table of each."""
    chosen = options(__doc__ or "")
    rounds, calls = (2, CALLS // 4) if chosen.quick else (ROUNDS, CALLS)
    loops: dict[str, Callable[..., Any]] = {"asyncio": asyncio.run}
    try:
        import uvloop

        loops["uvloop"] = uvloop.run
    except ModuleNotFoundError:
        print("not here: uvloop")
    told: dict[str, Any] = {}
    with redis_server("--save", "", "--appendonly", "no") as server:
        for loop, run in loops.items():
            figures = run(measured(server, rounds, calls))
            told[loop] = table = {
                name: [[statistics.median(kind) for kind in zip(*some, strict=True)] for some in both]
                for name, both in figures.items()
            }
            print(f"\n## {loop}: us for one GET of 2 KB, median of {rounds} rounds\n")
            print("| client | CPU, one by one | wall | CPU, 64 at once | wall | CPU to redis-py's, one by one / 64 |")
            print("|---|---|---|---|---|---|")
            theirs = table.get("redis-py + hiredis")
            for name, ((cpu_one, wall_one), (cpu_many, wall_many)) in table.items():
                ratio = f"{cpu_one / theirs[0][0]:.2f} / {cpu_many / theirs[1][0]:.2f}" if theirs else ""
                print(f"| {name} | {cpu_one:.1f} | {wall_one:.1f} | {cpu_many:.1f} | {wall_many:.1f} | {ratio} |")
    save(told, chosen.json)


if __name__ == "__main__":
    main()
