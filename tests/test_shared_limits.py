"""`SharedLimiter` on a real server: one limit for several processes, and what holds while the server is away."""

import asyncio
import json
import math
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asgi_strict import ask, says
from fastcascade import Clock, ConfigError, KeyRing, Quota, Route
from fastcascade.asgi import CascadeMiddleware
from fastcascade.background import result
from fastcascade.shared import Shared
from fastcascade.shared.apart import Apart
from fastcascade.shared.limits import SharedLimiter
from fastcascade.shared.members import Members
from fastcascade.wsgi import WsgiMiddleware
from redis_server import RedisServer, redis_server
from test_wsgi import ask as ask_plainly
from test_wsgi import says as says_plainly

ANN = "ann-" + "a" * 40
HAMMER = """
import asyncio, json, sys, time
from fastcascade import Quota
from fastcascade.shared import Shared
from fastcascade.shared.limits import SharedLimiter
rate, burst, until = float(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
async def go():
    shared = Shared(sys.argv[1], timeout=5.0)
    limiter = SharedLimiter(Quota(rate, "second", burst), shared)
    seen = []
    async def hammer():
        while (sent := time.monotonic()) < until:
            if not await limiter.admit("all"):
                seen.append((sent, time.monotonic()))
    await asyncio.gather(*(hammer() for _ in range(8)))
    assert not limiter.is_apart
    await limiter.aclose(); await limiter.members.aclose(); await shared.aclose()
    print(json.dumps(seen))
asyncio.run(go())
"""
names = iter(f"limit{number}" for number in range(10**6))


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One server for all that leave it as it was."""
    with redis_server("--save", "") as running:
        yield running


@asynccontextmanager
async def limiter(url: str, quota: Quota, name: str, **more: Any) -> AsyncIterator[SharedLimiter]:
    """A limiter as one process has it."""
    shared = Shared(url)
    made = SharedLimiter(quota, shared, name, **more)
    try:
        yield made
    finally:
        await made.aclose()
        await made.members.aclose()
        await shared.aclose()


async def known(*limiters: SharedLimiter) -> None:
    """Let all know of one another."""
    for each in [*limiters, *limiters]:
        await each.shared.start()
        assert await each.members.beat()


def test_two_processes_have_one_limit(server: RedisServer) -> None:
    """Two that ask as often as they can are let in by the limit to within 1 %, over all windows and on the whole."""
    rate, burst = 1_000.0, 500.0
    until = time.monotonic() + 3.0
    words = [sys.executable, "-c", HAMMER, server.url, str(rate), str(burst), str(until)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(2)]
    seen: list[tuple[float, float]] = [tuple(pair) for each in both for pair in json.loads(each.communicate()[0])]
    assert [each.returncode for each in both] == [0, 0]
    seen.sort(key=lambda pair: pair[1])
    ends = [end for _, end in seen]
    for place in range(0, len(seen), 50):
        begins = seen[place][0]
        inside = sorted(end for begin, end in seen if begin >= begins)
        for last in inside[::25]:
            admitted = bisect_right(inside, last)
            assert admitted <= burst + rate * (last - begins) + 1
    # From when the first was surely in to when the last was asked for: so long at least the bucket was asked for all.
    span = max(begin for begin, _ in seen) - ends[0]
    assert span > 0.3
    assert len(seen) >= 0.99 * (burst + rate * span) - 1
    assert server.tell("EXISTS", "fastcascade:{all}:limit:default").startswith(":")


def test_admit_settle_and_what_is_left(server: RedisServer) -> None:
    """Costs, debts, what is given back and the tokens left are one for all, and known right after each reply."""

    async def go() -> None:
        quota, name = Quota(6, "hour", 6), next(names)
        async with limiter(server.url, quota, name) as one, limiter(server.url, quota, name) as two:
            assert await one.admit("ann", 4.0) == 0.0
            assert await two.admit("ann", 2.0) == 0.0
            assert math.floor(two.available("ann") * 100) == 0
            assert 590 < await one.admit("ann") <= 600
            assert await one.admit("ann", 6.5) == math.inf
            assert await one.admit("bob", 6.0) == 0.0
            one.settle("ann", 4.0, 1.0)
            two.settle("ann", 2.0, 4.0)
            await one.told()
            await two.told()
            assert await one.admit("ann", 1.0) == 0.0
            assert await two.admit("ann", 1.0) > 0.0
            one.settle("ann", 1.0, 30.0)
            await one.told()
            wait = await two.admit("ann", 1.0)
            assert 29 * 600 < wait <= 30 * 600
            assert one.quota == quota
            assert server.url.split("@")[-1].split("/")[2] in repr(one)

    asyncio.run(go())


def test_members_come_and_go(server: RedisServer) -> None:
    """Each counts all, those that take leave are gone at once, those that say nothing any more soon."""

    async def go() -> None:
        async with limiter(server.url, Quota(1), next(names)) as one:
            kind = next(names)
            first = Members(one.shared, kind=kind)
            second, third = Members(one.shared, kind=kind), Members(one.shared, kind=kind, least=4)
            short = Members(one.shared, kind=kind, gone=1e-6)
            counts = []
            for each in (first, second, third, first):
                assert await each.beat()
                counts.append(each.count)
            assert counts == [1, 2, 4, 3]
            await second.aclose()
            await first.beat()
            assert first.count == 2
            await short.beat()
            assert short.count == 1
            assert Members.of(one.shared, f"limit {one.name}") is one.members

    asyncio.run(go())


def test_the_server_dies_and_comes_back() -> None:
    """Nobody fails while it is away; each takes its part, and what was let in stays within the rule that is stated."""

    async def go(own: RedisServer) -> None:
        rate, burst, name = 500.0, 50.0, next(names)
        quota = Quota(rate, "second", burst)
        async with limiter(own.url, quota, name) as one, limiter(own.url, quota, name) as two:
            both, seen, over = (one, two), [0], asyncio.Event()
            await known(*both)
            assert [each.members.count for each in both] == [2, 2]

            async def hammer(each: SharedLimiter) -> None:
                while not over.is_set():
                    seen[0] += not await each.admit("all")
                    await asyncio.sleep(0)

            async def until(holds: Any) -> float:
                async with asyncio.timeout(10):
                    while not holds():  # noqa: ASYNC110 - what holds comes of many things
                        await asyncio.sleep(0)
                return time.monotonic()

            began = time.monotonic()
            tasks = [asyncio.create_task(hammer(each)) for each in both for _ in range(3)]
            await until(lambda: seen[0] > 2 * burst)
            own.kill()
            await until(lambda: one.is_apart and two.is_apart)
            before, away = seen[0], time.monotonic()
            back = await until(lambda: seen[0] > before + 4 * burst)
            assert seen[0] - before <= 2 * burst + rate * (back - away) + 2
            await asyncio.to_thread(own.start)
            started = time.monotonic()
            first = await until(lambda: not (one.is_apart and two.is_apart))
            last = await until(lambda: not (one.is_apart or two.is_apart))
            assert last - started < 5
            await until(lambda: one.untold == two.untold == 0)
            count = seen[0]
            await until(lambda: seen[0] > count + burst)
            over.set()
            await asyncio.gather(*tasks)
            span = time.monotonic() - began
            # A burst each for: the beginning, what none knew of the other, and the server, which has forgotten all.
            assert seen[0] <= 3 * burst + rate * (span + last - first) + 2 * 2

    with redis_server("--save", "") as own:
        asyncio.run(go(own))


def test_away_from_the_beginning() -> None:
    """A server that was never there is no error: the limit holds by this process alone, as the least known says."""

    async def go() -> None:
        shared = Shared("redis://127.0.0.1:1/0")
        clock = Clock()
        limiter = SharedLimiter(Quota(10, "minute"), shared, members=Members.of(shared, least=2), clock=clock)
        admitted = [await limiter.admit("ann") for _ in range(6)]
        assert [each == 0.0 for each in admitted] == [True] * 5 + [False]
        assert limiter.is_apart
        limiter.settle("ann", 1.0, 0.0)
        clock.advance(12)
        assert [await limiter.admit("ann") == 0.0 for _ in range(3)] == [True, True, False]
        await limiter.aclose()
        await limiter.members.aclose()
        await shared.aclose()

    asyncio.run(go())


def test_a_part_begins_with_what_was_known() -> None:
    """Apart, each has an N-th of what was left and of the rate; back again, it tells what it took and nothing else."""
    clock = Clock()
    apart = Apart(Quota(60, "minute", 12), clock=clock)
    apart.learn("ann", 6.0)
    assert apart.available("ann") == 6.0
    assert [apart.admit("ann", 1.0, 3) == 0.0 for _ in range(3)] == [True, True, False]
    assert apart.available("bob") == 12.0
    clock.advance(3)
    assert apart.admit("ann", 1.0, 3) == 0.0
    assert apart.admit("bob", 10.0, 3) == 0.0  # larger than its part: it goes when nothing else has, into debt
    assert apart.available("bob") == pytest.approx(-6.0)
    apart.settle("cat", 0.0, 2.0, 3)
    apart.settle("cat", 2.0, 0.0, 3)
    assert apart.lost("ann") == pytest.approx(3.0)
    assert apart.lost("ann") == pytest.approx(0.0)
    assert apart.admit("bob", 1.0, 3) > 0.0
    apart.settle("ann", 0.0, 1.0, 3)
    assert apart.rejoin("ann") == pytest.approx(1.0)
    assert (apart.is_apart, apart.has("ann"), apart.begun) == (True, False, frozenset({"bob", "cat"}))
    apart.learn("ann", 12.0)
    assert [apart.admit("ann", 1.0, 3) == 0.0 for _ in range(5)] == [True] * 4 + [False]  # a part, from its beginning
    assert apart.rejoin("bob") == pytest.approx(10.0)
    assert (apart.rejoin("cat"), apart.rejoin("cat")) == pytest.approx((0.0, 0.0))
    assert apart.rejoin("ann") == pytest.approx(4.0)
    assert not apart.is_apart
    one = Apart(Quota(10, "second", 2), clock=clock)
    assert [one.admit("all", 1.0, 8) == 0.0 for _ in range(2)] == [True, False]  # one token at least


def test_before_an_asgi_app(server: RedisServer) -> None:
    """Two apps have one limit: by route what it costs, with the fields that tell of it, and 429 beyond."""

    async def go() -> None:
        quota, name = Quota(6, "hour"), next(names)
        keys = KeyRing()
        keys.add(ANN, "ann")
        routes = [Route("/dear", "dear", cost=4.0), Route("/{rest...}", "any"), Route("/never", "never", cost=7.0)]
        bearer = [("authorization", f"Bearer {ANN}")]
        async with limiter(server.url, quota, name) as one, limiter(server.url, quota, name) as two:
            first = CascadeMiddleware(says(b"hello"), limit=one, router=routes, keys=keys, tell_limits=True)
            second = CascadeMiddleware(says(b"hello"), limit=two, router=routes, keys=keys)
            seen = await ask(first, "/dear", headers=bearer)
            assert (seen.status, seen.headers["ratelimit"].split(";")[1]) == (200, "r=2")
            assert (await ask(second, "/x", headers=bearer)).status == 200
            seen = await ask(second, "/dear", headers=bearer)
            assert (seen.status, seen.headers["ratelimit-policy"]) == (429, '"default";q=6;w=3600')
            assert 1_700 < int(seen.headers["retry-after"]) <= 1_800
            assert (await ask(first, "/x", headers=bearer)).status == 200
            assert (await ask(second, "/x", headers=bearer)).status == 429
            seen = await ask(second, "/never", headers=bearer)
            assert (seen.status, "retry-after" in seen.headers) == (429, False)
            cached = CascadeMiddleware(says(b"hello"), limit=two, keys=keys, cache=True)
            assert (await ask(cached, "/x", headers=bearer)).status == 429

    asyncio.run(go())


def test_before_a_wsgi_app(server: RedisServer) -> None:
    """Threads of plain code share it as well: they ask on the loop behind plain code."""
    shared = Shared(server.url)
    limiter = SharedLimiter(Quota(2, "hour"), shared, next(names))
    app = WsgiMiddleware(says_plainly(b"hello"), limit=limiter)
    assert [ask_plainly(app).status for _ in range(3)] == [200, 200, 429]

    async def close() -> None:
        await limiter.aclose()
        await limiter.members.aclose()
        await shared.aclose()

    result(close())


def test_a_url_will_do() -> None:
    """A limiter takes a URL in the place of a `Shared`, and says what is wrong with one without showing it."""
    assert SharedLimiter(Quota(1), "redis://user:secret@127.0.0.1:1/0").shared.where == "127.0.0.1:1/0"
    with pytest.raises(ConfigError) as caught:
        SharedLimiter(Quota(1), "http://user:secret@there")
    assert "secret" not in str(caught.value)
