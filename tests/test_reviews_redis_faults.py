"""The Redis store where Redis is down, full, slow, damaged or no Redis at all: a StoreError that says so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

import pytest

from fastcascade.errors import StoreError
from fastcascade.messages import Reply, Request
from fastcascade.notices import Notice, subscribe
from fastcascade.stores.redis import RedisReviews
from fastcascade.stores.redis_scripts import KEYS
from fastcascade.stores.reviews import Review
from redis_server import RedisServer, redis_server

SECRET: Final = "what nobody else may read"
PASSWORD: Final = "open-sesame"
Verb = Callable[[RedisReviews], Awaitable[Any]]
prefixes = count()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One server for all tests that leave it as it was."""
    with redis_server() as running:
        yield running


def a_store(server: RedisServer, **settings: Any) -> RedisReviews:
    """A store nobody else uses."""
    return RedisReviews(server.url, prefix=f"faults{next(prefixes)}", **settings)


def review(ticket: str = "t", **fields: Any) -> Review:
    """One that waits."""
    return Review(ticket, Request.of(SECRET), "failed", 1.0, **{"due": 9.0, "callback": "https://x.test/", **fields})


VERBS: Final[list[tuple[str, Verb]]] = [
    ("add", lambda store: store.add(review("new"))),
    ("get", lambda store: store.get("t")),
    ("claim", lambda store: store.claim("bob", 2.0, 5.0)),
    ("renew", lambda store: store.renew("t", "lease", 9.0)),
    ("release", lambda store: store.release("t", "lease")),
    ("answer", lambda store: store.answer("t", "lease", Reply(SECRET), 2.0, SECRET)),
    ("expire", lambda store: store.expire(99.0)),
    ("listed", lambda store: store.listed()),
    ("counts", lambda store: store.counts()),
    ("due_callbacks", lambda store: store.due_callbacks(2.0, 5.0)),
    ("called_back", lambda store: store.called_back("t", True, None)),
    ("purge", lambda store: store.purge(99.0)),
    ("news", lambda store: store.news()),
]
CHANGES: Final = [each for each in VERBS if each[0] not in {"get", "listed", "counts", "news"}]


async def told(asking: Awaitable[Any]) -> str:
    """What the error says; nothing secret is in it, nor in what led to it."""
    with pytest.raises(StoreError) as caught:
        await asking
    said = str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert SECRET not in said
    assert PASSWORD not in said
    return said


@asynccontextmanager
async def replying(reply: bytes | None) -> AsyncIterator[str]:
    """A server that says the same to everything; None is to hang up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536) and reply is not None:
            writer.write(reply)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()[:2]
    try:
        yield f"redis://ann:{PASSWORD}@{host}:{port}/0"
    finally:
        listening.close()


REPLIES: Final = [
    (b"-LOADING Redis is loading the dataset in memory\r\n", "is loading its data"),
    (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "is full"),
    (b"-READONLY You can't write against a read only replica.\r\n", "read-only replica"),
    (b"-MISCONF Errors writing to the AOF file: No space left on device\r\n", "cannot write to its disk"),
    (b"-ERR Error running script (call to f_1): @user_script:9: -OOM command not allowed\r\n", "is full"),
    (b"-MASTERDOWN Link with MASTER is down\r\n", "has lost its primary"),
    (b"-NOREPLICAS Not enough good replicas to write.\r\n", "too few replicas"),
    (b"-NOAUTH Authentication required.\r\n", "user's name or password"),
    (b"-WRONGPASS invalid username-password pair or user is disabled.\r\n", "user's name or password"),
    (b"-NOPERM User ann has no permissions to run the 'evalsha' command\r\n", "does not let this user"),
    (b"-BUSY Redis is busy running a script.\r\n", "is busy"),
    (b"-MOVED 866 10.0.0.1:6379\r\n", "part of a cluster"),
    (b"-CLUSTERDOWN The cluster is down\r\n", "cluster that is down"),
    (b"-ERR max number of clients reached\r\n", "cannot be reached"),
    (b"-ERR unknown command, with args beginning with: " + SECRET.encode() + b"\r\n", "refused a command"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "cannot be reached"),
    (b"\x00\xff\r\n", "cannot be reached"),
    (b"$5\r\nab", "has not replied within"),
    (b"", "has not replied within"),
    (None, "cannot be reached"),
]


@pytest.mark.parametrize(("reply", "says"), REPLIES)
def test_whatever_a_server_says_becomes_an_error_in_our_words(reply: bytes | None, says: str) -> None:
    """Whatever is at the address and whatever it says, it is a StoreError of our own words within the time."""

    async def run() -> None:
        async with replying(reply) as url:
            for settings in ({"durable": "trust"}, {}):
                store = RedisReviews(url, timeout=0.1, **settings)  # type: ignore[arg-type] # of the table
                assert says in await told(store.add(review()))
                await store.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("name", KEYS)
def test_a_key_of_another_kind_is_an_error_and_nothing_is_done_by_halves(server: RedisServer, name: str) -> None:
    """A key of ours that holds something else makes every operation a StoreError that changes nothing."""

    async def run() -> None:
        store = a_store(server)
        await store.add(review())
        key = f"{{{store.prefix}}}:{name}"
        server.tell("RENAME", key, f"{key}.kept")
        server.tell("LPUSH", key, SECRET)
        for verb, asking in VERBS:
            if verb != "news" or name == "news":
                assert "choose another prefix" in await told(asking(store)), verb
        server.tell("DEL", key)
        server.tell("RENAME", f"{key}.kept", key)
        assert [each.id for each in await store.listed()] == ["t"]
        held = await store.claim("ann", 2.0, 5.0)
        assert held
        assert held.claims == 1
        await store.aclose()

    asyncio.run(run())


GARBAGE: Final = [
    ("states", "\xff\xfe{"),
    ("states", "7"),
    ("states", "{}"),
    ("states", '{"state": "lost", "due": "z", "created": "0"}'),
    ("states", '{"state": "claimed", "due": "z", "created": "0"}'),
    ("reviews", "{"),
    ("reviews", "null"),
    ("reviews", '{"kind:": "Review"}'),
    ("reviews", '{"kind:": "Unheard-of"}'),
    ("reviews", "[" * 100_000),
    ("answers", "[]"),
    ("answers", '[{"kind:": "Reply"}, ""]'),
]


@pytest.mark.parametrize(("name", "garbage"), GARBAGE)
def test_what_cannot_be_read_is_an_error(server: RedisServer, name: str, garbage: str) -> None:
    """A record that is not ours is a StoreError, which shows nothing of it; other reviews can still be had."""

    async def run() -> None:
        store = a_store(server)
        await store.add(review())
        await store.add(review("other"))
        server.tell("HSET", f"{{{store.prefix}}}:{name}", "t", garbage)
        for asking in (store.get("t"), store.add(review()), store.listed()):
            assert "cannot be read" in await told(asking)
        found = await store.get("other")
        assert found is not None
        await store.aclose()

    asyncio.run(run())


def test_a_bad_review_holds_nobody_up(server: RedisServer) -> None:
    """What cannot be read is passed over, with a notice, and stays; the reviews behind it are handed out and end."""
    heard: list[Notice] = []

    async def run() -> None:
        store = a_store(server)
        for ticket in ("newer", "damaged", "gone", "good"):
            await store.add(review(ticket))
        server.tell("HSET", f"{{{store.prefix}}}:reviews", "newer", '{"kind:": "Unheard-of"}')
        server.tell("HSET", f"{{{store.prefix}}}:states", "damaged", SECRET)
        server.tell("HDEL", f"{{{store.prefix}}}:states", "gone")
        mark = await store.news()
        held = await store.claim("ann", 2.0, 5.0)
        assert held
        assert held.id == "good"
        assert await store.claim("bob", 2.0, 5.0) is None
        assert await store.news(mark, 0.01) == mark  # else all who wait would wake one another without end
        assert (await store.counts()).waiting == 3
        assert await store.expire(8.5) == []
        assert [each.id for each in await store.expire(10.0)] == ["good"]
        assert [each.id for each in await store.due_callbacks(99.0, 5.0)] == ["good"]
        server.tell("SET", f"{{{store.prefix}}}:turn", "many")
        assert "none of ours" in await told(store.add(review("late")))
        await store.aclose()

    end = subscribe(heard.append)
    try:
        asyncio.run(run())
    finally:
        end()
    assert heard
    assert not any(SECRET in repr(each) for each in heard)


def test_a_full_server_changes_nothing_and_goes_on_when_there_is_room(server: RedisServer) -> None:
    """A server without memory refuses whole changes, still shows what it has, and takes them once there is room."""

    async def run() -> None:
        store = a_store(server)
        await store.add(review("t"))
        held = await store.claim("ann", 2.0, 5.0)
        assert held
        before = await store.listed()
        server.tell("CONFIG", "SET", "maxmemory", "1")
        try:
            assert "is full" in await told(store.add(review("new")))
            assert "is full" in await told(store.answer("t", held.lease, Reply("yes"), 3.0))
            assert await store.listed() == before
        finally:
            server.tell("CONFIG", "SET", "maxmemory", "0")
        assert await store.answer("t", held.lease, Reply("yes"), 3.0) == "done"
        assert (await store.add(review("new"))).id == "new"
        await store.aclose()

    asyncio.run(run())


def test_a_replica_takes_no_changes(server: RedisServer) -> None:
    """A server that has become a replica says so, and takes changes when it is the primary again."""

    async def run() -> None:
        store = a_store(server)
        await store.add(review())
        server.tell("REPLICAOF", "127.0.0.1", "1")
        try:
            assert "read-only replica" in await told(store.add(review("new")))
            assert await store.get("t") is not None
        finally:
            server.tell("REPLICAOF", "NO", "ONE")
        await store.add(review("new"))
        await store.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("how", ["stop", "kill", "freeze"])
def test_a_store_recovers_by_itself(server: RedisServer, how: str) -> None:
    """While the server is gone or hangs all operations are StoreErrors within the time; afterwards all work again."""

    async def run() -> None:
        store = a_store(server, timeout=0.3, connections=4)
        await asyncio.gather(*(store.add(review(f"t{place}")) for place in range(20)))
        getattr(server, how)()
        verbs = CHANGES[:3] if how == "freeze" else VERBS  # each waits for its time
        for said in await asyncio.gather(*(told(asking(store)) for _, asking in verbs)):
            assert "not known" in said
        if how == "freeze":
            server.thaw()
        else:
            server.start()
        assert len({each.id for each in await store.listed()} - {"new"}) == 20
        await asyncio.gather(*(store.get(f"t{place}") for place in range(20)))
        await store.aclose()

    asyncio.run(run())


def test_a_caller_who_gives_up_leaves_the_connections_in_order(server: RedisServer) -> None:
    """An operation cancelled at any moment leaves no answer behind for the next, and no connection is lost."""

    async def run() -> None:
        store = a_store(server, connections=2)
        await store.add(review())
        for steps in range(60):
            task = asyncio.create_task(store.counts())
            for _ in range(steps % 20):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            found = await store.get("t")
            assert found is not None
        await store.aclose()

    asyncio.run(run())


def test_a_password_is_taken_and_never_shown() -> None:
    """The URL's password opens the server, and is in no error and no repr; a wrong one is said to be wrong."""

    async def run(server: RedisServer) -> None:
        url = server.url.replace("://", f"://:{PASSWORD}@")
        store = RedisReviews(url)
        await store.add(review())
        assert PASSWORD not in repr(store)
        await store.aclose()
        for wrong in (server.url, url.replace(PASSWORD, f"{PASSWORD}2")):
            store = RedisReviews(wrong)
            assert "password" in await told(store.get("t"))
            await store.aclose()

    with redis_server("--requirepass", PASSWORD, "--save", "") as server:
        asyncio.run(run(server))


SAFE: Final = {"appendonly": "yes", "appendfsync": "always", "maxmemory": "0", "maxmemory-policy": "noeviction"}
SETTINGS: Final = [
    ({}, ""),
    ({"appendfsync": "everysec"}, "with appendfsync everysec"),
    ({"appendfsync": "no"}, "with appendfsync no"),
    ({"appendonly": "no"}, "without appendonly yes"),
    ({"maxmemory": "1gb", "maxmemory-policy": "allkeys-lru"}, "with maxmemory-policy allkeys-lru"),
    ({"maxmemory": "1gb", "maxmemory-policy": "volatile-lru"}, ""),
    ({"maxmemory-policy": "allkeys-lru"}, ""),
    ({"": "-config"}, "does not say whether appendfsync is always"),
]


@pytest.mark.parametrize(("settings", "says"), SETTINGS)
def test_a_server_that_may_lose_reviews_is_told_of(server: RedisServer, settings: dict[str, str], says: str) -> None:
    """A server set to lose what it has taken is a notice, once; an error where that is required; else nothing."""

    async def run() -> list[Notice]:
        heard: list[Notice] = []
        user = "--" if settings.get("") else ""
        if user:
            server.tell("ACL", "SETUSER", "meek", "on", ">meek", "~*", "+@all", settings[""])
        for name, value in (SAFE | settings).items():
            if name:
                server.tell("CONFIG", "SET", name, value)
        url = server.url.replace("://", "://meek:meek@") if user else server.url
        end = subscribe(heard.append)
        try:
            for durable in ("trust", "warn"):
                store = RedisReviews(url, prefix="durable", durable=durable)
                await asyncio.gather(*(store.get("t") for _ in range(5)))
                await store.aclose()
            store = RedisReviews(url, prefix="durable", durable="require")
            if says:
                assert says in await told(store.get("t"))
            else:
                await store.get("t")
            await store.aclose()
        finally:
            end()
            for name, value in SAFE.items():
                server.tell("CONFIG", "SET", name, value)
        return heard

    assert [says in each.text for each in asyncio.run(run())] == ([True] if says else [])
