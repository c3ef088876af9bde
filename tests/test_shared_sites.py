"""More than one node: a cluster and a primary under Sentinel, which lose nodes and go on."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from fastcascade.errors import StoreError
from fastcascade.shared import Script, Shared
from fastcascade.shared.slots import slot_of
from redis_server import RedisServer
from redis_sites import Cluster, Sentinels, redis_cluster, redis_sentinels, says, until
from shared_parts import Ear, a_shared, listening, refused

SOON: Final = 8.0
"""Seconds in which all is well again: half a second until a node counts as lost, then the others agree and vote."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three primaries with a replica each."""
    with redis_cluster(3, replicas=True) as running:
        yield running


@pytest.fixture(scope="module")
def watched() -> Iterator[Sentinels]:
    """A primary, a replica and three sentinels."""
    with redis_sentinels() as running:
        yield running


def spread(shared: Shared, count: int = 60) -> list[bytes]:
    """Keys on all nodes."""
    return [shared.key("spread", str(each)) for each in range(count)]


def owner_of(cluster: Cluster, key: bytes) -> RedisServer:
    """The server that takes a command for a key."""
    asked = ("EXISTS", key.decode())
    return next(each for each in cluster.servers if each.running and each.tell(*asked)[0] == ":")


async def back(shared: Shared, keys: list[bytes]) -> float:
    """Seconds until all keys can be written again."""
    clock = asyncio.get_running_loop().time
    since = clock()
    async with asyncio.timeout(SOON):
        while True:
            try:
                for key in keys:
                    await shared.call("SET", key, 1)
            except StoreError:
                await asyncio.sleep(0)
            else:
                return clock() - since


def test_keys_lie_on_all_nodes(cluster: Cluster) -> None:
    """Commands and scripts go to the node of their key, and each node tells what changed on it."""

    async def go() -> None:
        ear = Ear()
        async with a_shared(cluster.url, ear) as shared, a_shared(cluster.url) as other:
            assert shared.up
            script = Script("return {redis.call('GET', KEYS[1]), redis.call('INCR', KEYS[2])}")
            keys = spread(shared)
            for each, key in enumerate(keys):
                await shared.call("SET", key, each)
            assert [await shared.call("GET", key) for key in keys] == [b"%d" % each for each in range(60)]
            assert all(int(each.tell("DBSIZE")[1:]) for each in cluster.primaries)
            for each in range(20):
                both = [shared.key(name, slot=str(each)) for name in ("a", "b")]
                assert await shared.run(script, both) == [None, 1]
            ear.heard.clear()
            for key in keys:
                await other.call("SET", key, "new")
            for key in keys:
                await ear.hears(key)
            with pytest.raises(StoreError, match="several slots"):
                await shared.run(script, keys[:2])

    asyncio.run(go())


def test_news_in_a_cluster(cluster: Cluster) -> None:
    """News are heard wherever their stream lies."""

    async def go() -> None:
        ear = Ear()
        for prefix in ("a", "b", "c", "d"):
            async with a_shared(cluster.url, prefix=prefix) as shared:
                shared.news.on("k", lambda place, _fields: ear.note(place))
                await listening(shared)
                await ear.hears(await shared.news.tell("k", {}))

    asyncio.run(go())


def test_a_slot_that_moves(cluster: Cluster) -> None:
    """While a slot moves its keys are found on either node (ASK), and after it on the other (MOVED)."""

    async def go() -> None:
        ear = Ear()
        async with a_shared(cluster.url, ear) as shared:
            here, gone = shared.key("here", slot="moving"), shared.key("gone", slot="moving")
            slot = str(slot_of(here))
            for key in (here, gone):
                await shared.call("SET", key, 1)
            source = owner_of(cluster, here)
            target = next(each for each in cluster.primaries if each is not source)
            names = {each: each.tell("CLUSTER", "MYID").split("\r\n")[1] for each in (source, target)}
            target.tell("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
            source.tell("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
            source.tell("MIGRATE", "127.0.0.1", str(target.port), gone.decode(), "0", "1000")
            assert await shared.call("GET", here) == b"1"
            assert await shared.call("GET", gone) == b"1"
            assert await shared.run(Script("return redis.call('GET', KEYS[1])"), [gone]) == b"1"
            with pytest.raises(StoreError, match="moving this key"):
                await shared.run(Script("return redis.call('MGET', unpack(KEYS))"), [here, gone])
            source.tell("MIGRATE", "127.0.0.1", str(target.port), here.decode(), "0", "1000")
            ear.heard.clear()
            for each in (target, source):
                each.tell("CLUSTER", "SETSLOT", slot, "NODE", names[target])
            for key in (here, gone):
                assert await shared.call("GET", key) == b"1"
            assert owner_of(cluster, here) is target

    asyncio.run(go())


ENDS: Final[list[tuple[str, Callable[[RedisServer], None], Callable[[RedisServer], None]]]] = [
    ("killed", RedisServer.kill, RedisServer.start),
    ("frozen", RedisServer.freeze, RedisServer.thaw),
]


@pytest.mark.parametrize(("end", "heal"), [each[1:] for each in ENDS], ids=[each[0] for each in ENDS])
def test_a_cluster_that_loses_a_primary(
    cluster: Cluster, end: Callable[[RedisServer], None], heal: Callable[[RedisServer], None]
) -> None:
    """Keys of the other nodes are served throughout; the lost node's, and the news, after a few seconds."""

    async def go() -> None:
        ear = Ear()
        async with a_shared(cluster.url, ear) as shared:
            shared.news.on("k", lambda place, _fields: ear.note(place))
            keys = spread(shared)
            await back(shared, keys)
            await listening(shared)
            await ear.hears(await shared.news.tell("k", {}))
            lost = owner_of(cluster, shared.key("news"))  # the one that has the news
            owned = {key for key in keys if lost.tell("EXISTS", key.decode())[0] == ":"}
            ear.heard.clear()
            end(lost)
            assert "not known" in (said := await refused(shared, "GET", min(owned))) or "cannot be" in said
            for key in set(keys) - owned:
                await shared.call("GET", key)
            await back(shared, keys)
            await ear.hears("up")
            assert None in ear.heard
            assert ear.heard.index("down") < ear.heard.index("up")
            await asyncio.wait_for(heard_again(shared, ear), SOON)
            heal(lost)
            await asyncio.to_thread(until, says(lost, "INFO", "replication", words="master_link_status:up"))
            await back(shared, keys)

    asyncio.run(go())


async def heard_again(shared: Shared, ear: Ear) -> None:
    """Come back once a piece that was told has been heard."""
    while True:
        try:
            place = await shared.news.tell("k", {})
        except StoreError:
            await asyncio.sleep(0)
            continue
        await listening(shared)
        try:
            async with asyncio.timeout(0.5):
                return await ear.hears(place)
        except TimeoutError:
            continue


def test_one_seed_is_enough(cluster: Cluster) -> None:
    """The rest of a cluster is found from any node, though the others that the URL names are gone."""

    async def go() -> None:
        url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{cluster.replicas[0].port}"
        async with a_shared(url) as shared:
            await back(shared, spread(shared))

    asyncio.run(go())


def test_a_cluster_that_is_not_there() -> None:
    """It is no error at the start; a call says that it cannot be reached."""

    async def go() -> None:
        async with a_shared("redis+cluster://127.0.0.1:1") as shared:
            assert not shared.up
            assert "cannot be reached" in await refused(shared, "GET", b"k")

    asyncio.run(go())


def test_sentinels_may_be_lost(watched: Sentinels) -> None:
    """The primary is found with one sentinel gone and one that is silent; another service is not found."""

    async def go() -> None:
        first, second, _ = watched.sentinels
        first.freeze()
        try:
            async with a_shared(watched.url.replace("//", "//127.0.0.1:1,")) as shared:
                assert await shared.call("SET", b"k", 1) == b"OK"
            async with a_shared(f"redis+sentinel://127.0.0.1:{second.port}/another") as shared:
                assert "no sentinel that can be reached" in await refused(shared, "PING")
        finally:
            first.thaw()

    asyncio.run(go())


def test_a_replica_is_no_primary(watched: Sentinels) -> None:
    """A node that a sentinel names in error, and that is a replica, is not taken for the primary."""

    async def go() -> None:
        replica = next(each for each in watched.servers if each is not watched.primary())

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while b"MASTER" not in await reader.read(65_536):
                writer.write(b"%0\r\n+PONG\r\n")
            words: list[Any] = [b"ip", b"127.0.0.1", b"port", b"%d" % replica.port, b"config-epoch", b"1"]
            writer.write(b"*6\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in words))
            await reader.read()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as liar:
            port = liar.sockets[0].getsockname()[1]
            async with a_shared(f"redis+sentinel://127.0.0.1:{port}/mymaster") as shared:
                assert "no primary now" in await refused(shared, "PING")

    asyncio.run(go())


def test_a_primary_that_is_relieved(watched: Sentinels) -> None:
    """A failover that is asked for is followed, though the old primary is there and would take commands."""

    async def go() -> None:
        ear = Ear()
        async with a_shared(watched.url, ear) as shared:
            await back(shared, [b"k"])
            before = watched.primary()
            ear.heard.clear()
            asking = ("SENTINEL", "FAILOVER", "mymaster")
            await asyncio.to_thread(until, says(watched.sentinels[0], *asking, words="+OK"))
            await ear.hears("up")
            await back(shared, [b"k"])
            assert watched.primary() is not before

    asyncio.run(go())


@pytest.mark.parametrize("end", [each[1] for each in ENDS], ids=[each[0] for each in ENDS])
def test_a_primary_that_is_lost_under_sentinel(end: Callable[[RedisServer], None]) -> None:
    """The sentinels make another one primary, and it is used after a few seconds, without a word to us."""

    async def go(watched: Sentinels) -> None:
        ear = Ear()
        async with a_shared(watched.url, ear) as shared:
            shared.news.on("k", lambda place, _fields: ear.note(place))
            await back(shared, [b"k"])
            lost = watched.primary()
            ear.heard.clear()
            end(lost)
            await back(shared, [b"k"])
            await ear.hears("up")
            assert ear.heard[-3:] == ["down", None, "up"]
            assert watched.primary() is not lost
            await asyncio.wait_for(heard_again(shared, ear), SOON)

    with redis_sentinels() as watched:
        asyncio.run(go(watched))
