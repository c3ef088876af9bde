"""The store of reviews in Redis: against a real server, synced at every write."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade.errors import ConfigError, StoreError
from fastcascade.messages import Reply
from fastcascade.stores.redis import RedisReviews
from fastcascade.stores.redis_records import rank, ranked
from fastcascade.stores.reviews import Counts
from redis_server import SAFE, RedisServer, redis_server
from reviews import PROMISES, Make, Promise, kept, machine_for, named, review

prefixes = count()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One server for all of them: each has a prefix of its own."""
    with redis_server() as running:
        yield running


def maker(server: RedisServer, **given: Any) -> Callable[[], RedisReviews]:
    """What makes stores that hold the same reviews, and nobody else's."""
    return partial(RedisReviews, server.url, prefix=f"tests{next(prefixes)}", **given)


def test_the_model(server: RedisServer) -> None:
    """Whatever is done in whatever order by two processes' stores, it is as in a store that cannot go wrong."""

    @contextmanager
    def place() -> Iterator[Make]:
        yield maker(server, connections=2)

    case = machine_for(place).TestCase
    case.settings = settings(max_examples=15, stateful_step_count=30)
    case().runTest()


@pytest.mark.parametrize("promise", PROMISES, ids=named)
def test_promises(server: RedisServer, promise: Promise) -> None:
    """It keeps every promise that any store of reviews makes."""
    asyncio.run(kept(promise, maker(server)))


async def woken(store: RedisReviews, stir: Awaitable[Any]) -> Any:
    """What came of the stir, once it has woken someone who waits; where nobody is woken, the test's time runs out."""
    mark = await store.news()
    waiting = asyncio.ensure_future(store.news(mark, 600.0))
    await asyncio.sleep(0)
    came = await stir
    assert await waiting != mark
    return came


def test_whoever_waits_is_woken(server: RedisServer) -> None:
    """A review that comes in, is given back, is answered or expires wakes who waits in another store."""

    async def run() -> None:
        make = maker(server)
        store, other = make(), make()
        await woken(store, other.add(review("one")))
        held = await other.claim("ann", 0.0, 5.0)
        assert held
        assert await woken(store, other.release("one", held.lease))
        held = await other.claim("ann", 0.0, 5.0)
        assert held
        assert await woken(store, other.answer("one", held.lease, Reply("yes"), 1.0)) == "done"
        await other.add(review("two", due=1.0))
        assert await woken(store, other.expire(2.0))
        for each in (store, other):
            await each.aclose()

    asyncio.run(run())


def test_what_happened_before_one_waits_is_not_missed(server: RedisServer) -> None:
    """News between the mark and the wait ends the wait at once, also for those who wait beside others."""

    async def run() -> None:
        store = maker(server)()
        marks = [await store.news()]
        for number in range(5):
            await store.add(review(f"r{number}"))
            marks.append(await store.news())
        assert len(set(marks)) == 6
        late = asyncio.ensure_future(store.news(marks[-1], 600.0))
        await asyncio.sleep(0)
        assert set(await asyncio.gather(*(store.news(mark, 600.0) for mark in marks[:-1]))) == {marks[-1]}
        await store.add(review("last"))
        assert await late == await store.news()
        await store.aclose()

    asyncio.run(run())


def test_many_wait_on_one_connection(server: RedisServer) -> None:
    """Any number of those who wait in one event loop take one connection, and leave none when they give up."""

    async def run() -> None:
        store = maker(server, connections=2)()
        mark = await store.news()
        waiting = [asyncio.ensure_future(store.news(mark, 600.0)) for _ in range(200)]
        await asyncio.sleep(0)
        for each in waiting[::2]:
            each.cancel()
        await store.add(review("one"))
        assert len(set(await asyncio.gather(*waiting[1::2]))) == 1
        mark = await store.news()
        assert await store.news(mark, 0.01) == mark
        await store.add(review("two"))
        assert await store.news(mark, 600.0) != mark
        await store.aclose()

    asyncio.run(run())


def test_closing_ends_the_wait(server: RedisServer) -> None:
    """Whoever waits for news while the store is closed is told so, and the store can be used again."""

    async def run() -> None:
        store = maker(server)()
        waiting = asyncio.ensure_future(store.news(await store.news(), 600.0))
        await asyncio.sleep(0.01)
        await store.aclose()
        with pytest.raises(StoreError, match="closed"):
            await waiting
        assert await store.get("none") is None
        await store.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("mark", ["yesterday", "1-x", "-", "$", "0xA-1"])
def test_a_mark_that_news_did_not_give_is_refused(server: RedisServer, mark: str) -> None:
    """What is no mark is an error, and disturbs nobody else."""

    async def run() -> None:
        store = maker(server)()
        with pytest.raises(StoreError, match="not a mark"):
            await store.news(mark, 600.0)
        await store.aclose()

    asyncio.run(run())


def test_one_store_serves_many_loops(server: RedisServer) -> None:
    """One store is used by several threads' event loops at once, one after another, and without being closed."""
    store = maker(server, connections=2)()
    errors: list[BaseException] = []

    async def work(name: str) -> None:
        for number in range(20):
            await asyncio.gather(*(store.add(review(f"{name}{number}.{place}")) for place in range(3)))

    def thread(name: str) -> None:
        try:
            asyncio.run(work(name))
            asyncio.run(work(name.upper()))
        except BaseException as error:  # noqa: BLE001 - it is the test's to see
            errors.append(error)

    threads = [threading.Thread(target=thread, args=(name,)) for name in "abc"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []
    assert asyncio.run(store.counts()).waiting == 360


def test_clocks_that_differ_take_no_review_from_its_holder(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a clock that is ahead has found lapsed is still held by one that is behind, and others go on beside it."""
    monkeypatch.setattr("fastcascade.stores.redis.BATCH", 2)

    async def run() -> None:
        store = maker(server)()
        for number in range(5):
            await store.add(review(f"held{number}", due=3.0))
            assert await store.claim("ann", 0.0, 10.0)
        ahead = await store.claim("bob", 20.0, 10.0)
        assert ahead
        assert ahead.id == "held0"
        assert await store.claim("cid", 5.0, 10.0) is None
        for number in range(5):
            await store.add(review(f"free{number}", 1.0, due=3.0))
        assert [each.id for each in await store.expire(5.0)] == [f"free{number}" for number in range(5)]
        assert len(await store.expire(10.0)) == 4
        assert await store.purge(10.0) == 5
        await store.aclose()

    asyncio.run(run())


def test_in_a_cluster_all_keys_are_in_one_slot() -> None:
    """A node of a cluster takes every script, through the client for clusters, which the store is told to make."""
    from redis.asyncio import RedisCluster  # noqa: PLC0415 - loads redis-py

    async def run(server: RedisServer) -> None:
        await up(server)
        store = RedisReviews(server.url, client=lambda: RedisCluster.from_url(server.url, protocol=2))
        mark = await store.news()
        await store.add(review("one", due=5.0))
        held = await store.claim("ann", 1.0, 5.0)
        assert held
        assert await store.news(mark, 600.0) != mark
        assert await store.answer("one", held.lease, Reply("yes"), 2.0) == "done"
        assert [each.answer for each in await store.listed()] == [Reply("yes")]
        assert (await store.expire(9.0), await store.purge(9.0), await store.counts()) == ([], 1, Counts())
        await store.aclose()

    async def up(server: RedisServer) -> None:
        server.tell("CLUSTER", "ADDSLOTS", *map(str, range(16_384)))
        while "cluster_state:ok" not in server.tell("CLUSTER", "INFO"):  # noqa: ASYNC110 - it says so nowhere else
            await asyncio.sleep(0.01)

    with redis_server(*SAFE, "--cluster-enabled", "yes") as server:
        asyncio.run(run(server))


WRONG: Final = [
    ({"url": "http://localhost"}, "not a URL of Redis"),
    ({"url": "redis://:open-sesame@localhost:notaport/0"}, "not a URL of Redis"),
    ({"url": "redis://:open-sesame@localhost/0?no_such=1"}, "not one of redis-py's"),
    ({"url": "redis://localhost/0?socket_timeout=soon"}, "not a URL of Redis"),
    ({"prefix": ""}, "prefix"),
    ({"prefix": "a{b}"}, "prefix"),
    ({"timeout": 0.0}, "timeout above 0"),
    ({"timeout": float("nan")}, "timeout above 0"),
    ({"connections": 1}, "2 connections"),
    ({"durable": "maybe"}, "durable is"),
]


@pytest.mark.parametrize(("given", "says"), WRONG)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any], says: str) -> None:
    """A store is not made from settings that cannot work, and what is said of them holds no password."""
    with pytest.raises(ConfigError, match=says) as caught:
        RedisReviews(**given)
    assert "open-sesame" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


ODD: Final = [
    ({"created": float("nan")}, "created and due"),
    ({"due": float("nan")}, "created and due"),
    ({"state": "claimed"}, "leased_until"),
    ({"state": "answered", "ended": 1.0}, "an answer"),
    ({"state": "expired"}, "ended"),
]


@pytest.mark.parametrize(("fields", "says"), ODD)
def test_a_review_that_would_be_stuck_is_refused(server: RedisServer, fields: dict[str, Any], says: str) -> None:
    """A review that could never be handed out, or never end, is not taken."""
    with pytest.raises(ConfigError, match=says):
        asyncio.run(maker(server)().add(replace(review("one"), **fields)))


STANDING: Final = [
    {"state": "claimed", "leased_until": 5.0, "reviewer": "ann", "claims": 3},
    {"state": "answered", "ended": 5.0, "answer": Reply("yes"), "note": "sure", "callback": "https://example.org"},
    {"state": "answered", "ended": 5.0, "answer": Reply("yes"), "called": True, "callback": "https://example.org"},
    {"state": "expired", "ended": 5.0},
    {"note": "look twice"},
]


@pytest.mark.parametrize("fields", STANDING)
def test_a_review_is_taken_as_it_stands(server: RedisServer, fields: dict[str, Any]) -> None:
    """A review moved here from another store is in the state it was in, and goes on from there."""

    async def run() -> None:
        store = maker(server)()
        moved = replace(review("one"), **fields)
        assert await store.add(moved) == moved
        assert await store.listed(moved.state) == [moved]
        assert not await store.release("one", "")  # whoever moved it may have had no lease to tell of
        wanted = bool(moved.callback) and not moved.called
        assert len(await store.due_callbacks(9.0, 1.0)) == wanted
        held = await store.claim("bob", 9.0, 1.0)
        assert (held is not None) is (moved.state in {"waiting", "claimed"})
        assert await store.purge(5.0) == 0
        assert await store.purge(9.0) == (held is None and not wanted)
        await store.aclose()

    asyncio.run(run())


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_texts_sort_as_the_times_do(one: float, other: float) -> None:
    """The order of two times is that of the texts they are kept as, and each comes back as it was."""
    assert (rank(one) < rank(other), rank(one) == rank(other)) == (one < other, one == other)
    assert ranked(rank(one)) == one
    assert rank(one) <= rank(None)


def test_nothing_is_loaded_before_a_store_is_made() -> None:
    """Importing the store loads neither redis-py nor asyncio; a store without redis-py names the extra."""
    code = """
import sys
from fastcascade.stores.redis import RedisReviews
assert not {"redis", "asyncio", "sqlite3"} & set(sys.modules)
sys.modules["redis"] = None
try:
    RedisReviews()
except Exception as error:
    print(type(error).__name__, error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "ConfigError RedisReviews needs redis-py: pip install 'fastcascade[redis]'\n"
