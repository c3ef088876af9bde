"""Reviews in a cluster and under Sentinel: named by a URL, kept over the loss of a primary."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import pytest

from fastcascade.errors import ConfigError, StoreError
from fastcascade.messages import Reply, Request
from fastcascade.stores.redis import RedisReviews
from fastcascade.stores.reviews import Review
from redis_server import RedisServer
from redis_sites import Cluster, Sentinels, redis_cluster, redis_sentinels

SOON: Final = 20.0
SECRET: Final = "open-sesame"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three primaries with a replica each."""
    with redis_cluster(3, replicas=True) as running:
        yield running


def review(ticket: str) -> Review:
    """One that waits."""
    return Review(ticket, Request.of("hello"), "failed", 1.0, due=9.0)


async def again(store: RedisReviews, ticket: str) -> Review:
    """Read it as soon as that can be done."""
    async with asyncio.timeout(SOON):
        while True:
            try:
                found = await store.get(ticket)
            except StoreError:
                await asyncio.sleep(0)
                continue
            assert found is not None
            return found


async def one_round(store: RedisReviews, ticket: str) -> None:
    """A review comes in, is told of, claimed and answered."""
    mark = await store.news()
    await store.add(review(ticket))
    assert await store.news(mark, 10.0) != mark
    held = await store.claim("ann", 1.0, 5.0)
    assert held is not None
    assert await store.answer(ticket, held.lease, Reply("yes"), 2.0) == "done"


async def survives(store: RedisReviews, lost: RedisServer) -> None:
    """What was answered is there after the server that had it is gone, and the work goes on."""
    await one_round(store, "one")
    lost.tell("WAIT", "1", "5000")
    lost.kill()
    assert (await again(store, "one")).answer == Reply("yes")
    await one_round(store, "two")
    await store.aclose()


@pytest.mark.parametrize("prefix", ["a", "b", "c"])
def test_in_a_cluster(cluster: Cluster, prefix: str) -> None:
    """A queue is kept on whichever node its prefix lies."""

    async def go() -> None:
        store = RedisReviews(cluster.url, prefix=prefix, durable="trust")
        await one_round(store, "one")
        await store.aclose()
        warned = RedisReviews(cluster.url, prefix=prefix, durable="require")
        with pytest.raises(StoreError, match="appendonly"):
            await warned.get("one")
        await warned.aclose()

    asyncio.run(go())


def test_a_cluster_that_loses_the_queue_s_primary(cluster: Cluster) -> None:
    """Its replica takes over, and no review that it had is lost."""
    lost = next(each for each in cluster.primaries if each.tell("EXISTS", "{lost}:x")[0] == ":")
    asyncio.run(survives(RedisReviews(cluster.url, prefix="lost", durable="trust"), lost))


def test_a_primary_that_is_lost_under_sentinel() -> None:
    """The replica that the sentinels choose takes over."""

    def go(watched: Sentinels) -> Any:
        return survives(RedisReviews(watched.url, durable="trust"), watched.primary())

    with redis_sentinels() as watched:
        asyncio.run(go(watched))


@pytest.mark.parametrize("scheme", ["redis+sentinel", "redis+cluster", "rediss+cluster"])
def test_wrong_urls(scheme: str) -> None:
    """What cannot be used is refused at once, and not shown."""
    with pytest.raises(ConfigError) as caught:
        RedisReviews(f"{scheme}://:{SECRET}@h:x/y")
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(RedisReviews(f"{scheme}://:{SECRET}@h{'/y' if 'sentinel' in scheme else ''}"))
