"""Cache levels without Redis, for a while or for ever, and what a process knows of the time before it."""

import asyncio
from typing import Any

import pytest

from fastcascade import Clock
from fastcascade.caching.levels import Entry, Levels
from fastcascade.errors import ConfigError
from fastcascade.shared.shared import Shared
from levels_pieces import KEY, gateways, lead_of, run, until
from redis_server import RedisServer


def test_without_redis_memory_goes_on() -> None:
    """While it is away entries are served and made here, a purge is kept, and all of it is told once it is back."""

    async def work(server: RedisServer) -> None:
        async with gateways(server.url) as (one, two):
            await one.put(KEY, b"kept", ttl=60)
            await one.put(b"tagged", b"old", ttl=60, tags=["red"])
            assert isinstance(await two.ask(b"tagged"), Entry)
            server.kill()
            await until(lambda: not one.memory.up and not two.memory.up)
            assert one.peek(KEY) is not None
            await (await lead_of(one, b"made here")).put(b"v", ttl=60)
            assert isinstance(await one.ask(b"made here"), Entry)
            purged = await one.purge(tag="red")
            assert (purged.here, purged.everywhere) == (1, False)
            assert one.peek(b"tagged") is None
            server.start()
            await until(lambda: one.memory.up and two.memory.up and not one.stats().pending)
            await until(lambda: two.peek(b"tagged") is None)
            (await lead_of(two, b"tagged")).give_up()
            assert one.peek(KEY) is None, "it was not looked at again"
            assert isinstance(await one.ask(KEY), Entry)
            assert isinstance(await one.ask(b"made here"), Entry)
            given = await two.ask(b"made here")
            assert isinstance(given, Entry), "Redis was not given what was made while it was away"

    run(work)


def test_alone_bounds_service_without_redis() -> None:
    """With `alone`, an entry is not served for longer while nobody could tell of its purge."""

    async def work(server: RedisServer) -> None:
        clock = Clock()
        async with gateways(server.url, 1, alone=30.0, clock=clock) as (one,):
            await one.put(KEY, b"kept", ttl=600)
            server.kill()
            await until(lambda: not one.memory.up)
            clock.advance(29)
            assert one.peek(KEY) is not None
            clock.advance(2)
            assert one.peek(KEY) is None
            (await lead_of(one)).give_up()

    run(work)


def test_an_emptied_server_makes_what_was_before_invalid() -> None:
    """After FLUSHALL nothing from before is served, from whatever level."""

    async def work(server: RedisServer) -> None:
        async with gateways(server.url) as (one, two):
            await one.put(KEY, b"v", ttl=60)
            await two.ask(KEY)
            server.tell("FLUSHALL")
            await until(lambda: one.peek(KEY) is None and two.peek(KEY) is None)
            lead = await lead_of(one)
            await lead.put(b"w", ttl=60)
            found = await two.ask(KEY)
            assert isinstance(found, Entry)
            assert found.value == b"w"

    run(work)


def test_a_process_that_begins_later_knows_of_the_purge() -> None:
    """What was purged by tag before a process began, and still lies in Redis, is no entry for it."""

    async def work(server: RedisServer) -> None:
        async with gateways(server.url, 1) as (one,):
            await one.put(KEY, b"v", ttl=60, tags=["red"])
            await one.purge(tag="red")
        async with gateways(server.url, 1) as (later,):
            lead = await lead_of(later)
            await lead.put(b"w", ttl=60, tags=["red"])
        async with gateways(server.url, 1) as (last,):
            found = await last.ask(KEY)
            assert isinstance(found, Entry)
            assert found.value == b"w"

    run(work)


def test_memory_alone_needs_no_redis() -> None:
    """Without a `Shared` there is one level, with everything else as it is."""

    async def work() -> None:
        clock = Clock()
        levels = Levels("alone", clock=clock, largest=100)
        lead = await lead_of(levels)
        waits = asyncio.create_task(levels.ask(KEY))
        await until(lambda: levels.flights[KEY].waiters)
        assert await lead.put(b"v", ttl=10, stale=10, tags=["t"])
        with pytest.raises(ValueError, match="has ended"):
            await lead.put(b"v", ttl=10)
        joined = await waits
        assert isinstance(joined, Entry)
        assert joined.level == "joined"
        clock.advance(11)
        assert levels.peek(KEY) is None
        assert levels.peek(KEY, stale=True) is not None
        assert (await levels.purge(tag="t")).here == 1
        assert not await levels.put(KEY, b"v" * 101, ttl=10)
        assert levels.peek(KEY) is None
        stats = levels.stats()
        assert (stats.origin.hits, stats.joined_here, stats.purges, stats.not_kept) == (1, 1, 1, 1)

    asyncio.run(work())


@pytest.mark.parametrize("wrong", [{"name": "a:b"}, {"items": 0}, {"negative": -1.0}, {"lease": float("nan")}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    """Names and numbers that cannot be are errors when the levels are made."""
    with pytest.raises(ConfigError):
        Levels(**{"name": "test", "shared": Shared("redis://127.0.0.1:1"), **wrong})
