"""What one Redis does for gateways that share it: processor time, bytes and memory, by request and by gateway.

    python benches/scale_shared.py [--quick] [--json FILE] [costs] [memory] [idle] [news]

costs     a request's part: hits, misses, limits, budgets; one at a time, and 32 at once on one connection
memory    an entry of 2 KB, and a key that is tracked for one client and for ten
idle      a gateway's worker that is asked nothing: connections, commands, bytes
news      one piece of news to 1, 10, 100 and 500 followers: when the last has heard it, and what it costs the server

The server's processor time is the kernel's (/proc/PID/task/*/schedstat: user and system), beside what INFO commandstats
says a command itself takes; bytes are the server's own counts. Followers share the machine with the server, so when the
last has heard is their processor's time more than the network's. docs/scale.md has the table.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parent / "rivals"))

from fastcascade import Quota
from fastcascade.caching.levels import Lead, Levels
from fastcascade.gateway.account import Used, nanos
from fastcascade.shared.budgets import SharedBudgets, Stay
from fastcascade.shared.limits import SharedLimiter
from fastcascade.shared.members import Members
from fastcascade.shared.shared import Shared
from redis_server import redis_server
from report import save
from scale_server import Server, Worker

PARTS: Final = ("costs", "memory", "idle", "news")
VALUE: Final = os.urandom(2048)
FOLLOWERS: Final = (1, 10, 100, 500)
PROCESSES: Final = 4
Work = Callable[[int], Awaitable[Any]]


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which: {', '.join(PARTS)}; all by default")
    parser.add_argument("--json", metavar="FILE", help="also write every row to this file")
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that all run, not to quote")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no part is called {min(unknown)!r}: {', '.join(PARTS)}")
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    tables = {}
    for name in chosen.parts or PARTS:
        with redis_server("--save", "", "--appendonly", "no") as server:
            tables[name] = asyncio.run(globals()[name](Server(server), quick=chosen.quick))
    print(f"\nload {os.getloadavg()[0]:.1f}")
    save(tables, chosen.json)
    return 0


async def costs(server: Server, *, quick: bool) -> list[dict[str, Any]]:
    """What a request's parts take of the server."""
    count, rounds = (200, 1) if quick else (2_000, 5)
    rows = []
    async with Worker(server) as one, Worker(server) as two:
        for at_once in (1, 32):
            for name, make in (
                ("a shared hit, 2 KB", _hits), ("a miss, kept with 2 KB", _misses),
                ("a limit (SharedLimiter.admit)", _admits), ("a key with a limit", _limited),
                ("a key with a limit and a hard budget", _purses),
            ):  # fmt: skip
                found = []
                for number in range(rounds):
                    work = await make(one, two, f"{at_once}-{number}", count)
                    row: dict[str, Any] = {}
                    with server.watched(row, count):
                        await _done(work, count, at_once)
                        await two.settled()
                    found.append(row)
                middle = {each: statistics.median(row[each] for row in found) for each in found[0]}
                rows.append({"name": name, "at once": at_once, **middle})
    print(f"\n## what a request takes of the server ({server.version}), medians of {rounds} rounds of {count:,}\n")
    print(f"{'':<40}{'at once':>8}{'commands':>10}{'CPU us':>9}{'script us':>11}{'bytes in':>10}{'out':>8}")
    for row in rows:
        print(f"{row['name']:<40}{row['at once']:>8}{row['commands']:>10.2f}{row['us']:>9.1f}{row['us command']:>11.1f}"
              f"{row['in']:>10,.0f}{row['out']:>8,.0f}")  # fmt: skip
    return rows


async def _done(work: Work, count: int, at_once: int) -> None:
    for first in range(0, count, at_once):
        await asyncio.gather(*(work(number) for number in range(first, min(count, first + at_once))))


def _key(name: str, number: int) -> bytes:
    return f"{name}:{number:08}".encode()


async def _make(levels: Levels, key: bytes) -> None:
    lead = await levels.ask(key)
    assert isinstance(lead, Lead)
    await lead.put(VALUE, ttl=3600)


async def _hits(one: Worker, two: Worker, name: str, count: int) -> Work:
    await _done(lambda number: _make(one.levels, _key(f"hit {name}", number)), count, 32)
    return lambda number: two.levels.ask(_key(f"hit {name}", number))


async def _misses(_one: Worker, two: Worker, name: str, _count: int) -> Work:
    return lambda number: _make(two.levels, _key(f"miss {name}", number))


async def _admits(_one: Worker, two: Worker, _name: str, _count: int) -> Work:
    await two.limiter.admit("first")
    return lambda number: two.limiter.admit(f"client {number % 1000}")


async def _limited(_one: Worker, two: Worker, _name: str, _count: int) -> Work:
    return _through(two, "limited", 100, requests=Quota(1e9, per="second", burst=1e9))


async def _purses(_one: Worker, two: Worker, _name: str, _count: int) -> Work:
    return _through(two, "hard", 100, requests=Quota(1e9, per="second", burst=1e9), day=nanos(1e6))


def _through(two: Worker, kind: str, keys: int, **bounds: Any) -> Work:
    purses = [two.budgets.purse(f"{kind}-{number}", **bounds) for number in range(keys)]

    async def one(number: int) -> None:
        purse = purses[number % keys]
        stay = await purse.enter()
        assert isinstance(stay, Stay)
        purse.leave(stay, Used(1000, 1, 700))

    return one


async def memory(server: Server, *, quick: bool) -> dict[str, float]:
    """What keys take."""
    count, found = (500 if quick else 10_000), {}
    for name, size in (("an entry of 2 KB", 2048), ("an entry of 200 bytes", 200)):
        async with Worker(server) as one:
            before = server.memory()
            keys = [_key(f"{size}", number) for number in range(count)]

            async def put(number: int, keys: Sequence[bytes] = keys, size: int = size, one: Worker = one) -> None:
                await one.levels.put(keys[number], VALUE[:size], ttl=3600)

            await _done(put, count, 32)
            found[f"{name}, with its tracking for who made it"] = (server.memory() - before) / count
    async with Worker(server) as one:
        limiter = SharedLimiter(Quota(10, per="day"), one.shared, "slow", members=one.budgets.members)
        before = server.memory()
        await _done(lambda number: limiter.admit(f"client {number}"), count, 32)
        found["a client's bucket that is not full"] = (server.memory() - before) / count
        before = server.memory()
        await _done(_through(one, "hard", count, requests=Quota(10, per="day"), day=nanos(1e6)), count, 32)
        await one.settled()
        found["a key with a limit and a hard budget"] = (server.memory() - before) / count
    for clients in (1, 10):
        found[f"tracking, per key of {clients} client{'s' * (clients > 1)}"] = await _tracked(server, clients, count)
    print(f"\n## memory at the server, bytes, means of {count:,}\n")
    for name, each in found.items():
        print(f"{name:<56}{each:>8,.0f}")
    return found


async def _tracked(server: Server, clients: int, count: int) -> float:
    readers = [Shared(server.url, timeout=5.0) for _ in range(clients)]
    for each in readers:
        await each.start()
    names = [f"fastcascade:tracked:{clients}:{'x' * 40}:{number}" for number in range(count)]
    await _done(lambda number: readers[0].call("SET", names[number], "v"), count, 32)
    before = server.memory()
    for each in readers:
        await _done(lambda number, each=each: each.call("GET", names[number]), count, 32)
    taken = server.memory() - before
    for each in readers:
        await each.aclose()
    return taken / count


async def idle(server: Server, *, quick: bool) -> dict[str, float]:
    """What a worker takes that is asked nothing."""
    count, seconds = (5, 2.0) if quick else (50, 10.0)
    before = float(server.info("clients")["connected_clients"])
    workers = []
    memory_before = server.memory()
    for _ in range(count):
        shared = Shared(server.url, timeout=5.0)
        levels = Levels("answers", shared)
        budgets = SharedBudgets(shared, members=Members.of(shared, "keys"))
        await shared.start()
        await levels.start()
        await budgets.start()
        workers.append((shared, levels, budgets))
    await asyncio.sleep(1.0)
    found = {
        "connections": (float(server.info("clients")["connected_clients"]) - before) / count,
        "bytes of memory": (server.memory() - memory_before) / count,
    }
    row: dict[str, Any] = {}
    commands = float(server.info("stats")["total_commands_processed"])
    began = time.monotonic()
    with server.watched(row, count):
        await asyncio.sleep(seconds)
    took = time.monotonic() - began
    commands = float(server.info("stats")["total_commands_processed"]) - commands
    found |= {
        "commands a second": commands / count / took,
        "CPU us a second": row["us"] / took,
        "bytes in a second": row["in"] / took,
        "bytes out a second": row["out"] / took,
    }
    for shared, levels, budgets in workers:
        await levels.aclose()
        await budgets.aclose()
        await budgets.members.aclose()
        await shared.aclose()
    print(f"\n## a worker that is asked nothing, means of {count} over {seconds:g} s\n")
    for name, each in found.items():
        print(f"{name:<56}{each:>8,.1f}")
    return found


async def news(server: Server, *, quick: bool) -> list[dict[str, Any]]:
    """One piece after the other to so many followers."""
    counts = FOLLOWERS[:2] if quick else FOLLOWERS
    rows = [await _told(server, count, 10 if quick else 50) for count in counts]
    print("\n## one piece of news, from before it is told until a follower has heard it\n")
    print(f"{'followers':>10}{'pieces':>8}{'p50 ms':>9}{'the last: p50':>15}{'p99':>9}{'CPU us':>9}{'bytes out':>11}")
    for row in rows:
        print(f"{row['followers']:>10}{row['pieces']:>8}{row['p50']:>9.2f}{row['last p50']:>15.2f}"
              f"{row['last p99']:>9.2f}{row['us']:>9.0f}{row['out']:>11,.0f}")  # fmt: skip
    return rows


def _follower(script: str, url: str, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, script, url, str(count)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def _told(server: Server, count: int, pieces: int) -> dict[str, Any]:
    parts = [count // PROCESSES + (place < count % PROCESSES) for place in range(PROCESSES)]
    script = str(Path(__file__).with_name("scale_followers.py"))
    followers = [_follower(script, server.url, each) for each in parts if each]
    for each in followers:
        assert each.stdout is not None
        each.stdout.readline()
    shared, at = Shared(server.url, timeout=5.0), []
    await shared.start()
    await asyncio.sleep(1.0)
    row: dict[str, Any] = {"followers": count, "pieces": pieces}
    with server.watched(row, pieces):
        for number in range(pieces):
            at.append(time.monotonic())
            await shared.news.tell("told", {"number": str(number)})
            await asyncio.sleep(0.05 + count / 5000)  # all have heard, and read again
    await shared.aclose()
    heard: dict[str, list[float]] = {}
    for each in followers:
        said, _ = each.communicate()
        for number, times in json.loads(said).items():
            heard.setdefault(number, []).extend(times)
    delays = [sorted((time_ - at[int(number)]) * 1e3 for time_ in times) for number, times in heard.items()]
    if {len(each) for each in delays} != {count} or len(delays) != pieces:
        raise SystemExit("a follower has missed a piece, or has heard it twice")
    last = sorted(each[-1] for each in delays)
    everyone = sorted(each for times in delays for each in times)
    return {
        **row, "p50": everyone[len(everyone) // 2], "last p50": last[len(last) // 2],
        "last p99": last[min(len(last) - 1, int(0.99 * len(last)))],
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
