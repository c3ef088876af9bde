"""What several processes share, on one real server: commands, what changed, and what holds while it is away."""

import asyncio
import gc
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import pytest
import uvloop

from fastcascade.errors import StoreError
from fastcascade.shared import Script, Shared
from redis_server import RedisServer, redis_server
from shared_parts import Ear, a_shared, gate, listening, refused

QUICK: Final = ("--appendonly", "no", "--save", "")
PASSWORD: Final = "open-sesame"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One server for all tests that leave it as it was."""
    with redis_server(*QUICK) as running:
        yield running


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server to be killed."""
    with redis_server(*QUICK) as running:
        yield running


REPLIES: Final[list[tuple[tuple[Any, ...], Any]]] = [
    (("SET", b"k", "v"), b"OK"),
    (("GET", b"k"), b"v"),
    (("GET", b"none"), None),
    (("INCRBY", b"n", 41), 41),
    (("RPUSH", b"l", "a", b"b", 1.5), 3),
    (("LRANGE", b"l", 0, -1), [b"a", b"b", b"1.5"]),
    (("HSET", b"h", "f", 1), 1),
    (("HGETALL", b"h"), {b"f": b"1"}),
    (("ZADD", b"z", 1.25, "m"), 1),
    (("ZSCORE", b"z", "m"), 1.25),
    (("SADD", b"s", "m"), 1),
    (("SMEMBERS", b"s"), [b"m"]),
    (("PING",), b"PONG"),
]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_replies(server: RedisServer, run: Any) -> None:
    """Each command has its reply as bytes, int, float, list, dict or None, on either event loop."""

    async def go() -> None:
        async with a_shared(server.url) as shared:
            assert await shared.call("FLUSHALL") == b"OK"
            for command, reply in REPLIES:
                assert await shared.call(*command) == reply

    run(go())


def test_what_was_read_is_told_when_it_changes(server: RedisServer) -> None:
    """A key that was read is told of when it is changed, deleted or has expired; one that was not, is not."""

    async def go() -> None:
        ear = Ear()
        script = Script("return redis.call('GET', KEYS[1])")
        async with a_shared(server.url, ear) as shared, a_shared(server.url) as other:
            keys = [shared.key(each) for each in ("set", "deleted", "expired", "in a script", "own", "unread")]
            for key in keys:
                await other.call("SET", key, 1)
            for key in keys[:3]:
                await shared.call("GET", key)
            await shared.run(script, [keys[3]])
            await shared.call("GET", keys[4])
            ear.heard.clear()
            await other.call("SET", keys[5], 2)
            await other.call("SET", keys[0], 2)
            await other.call("DEL", keys[1])
            await other.call("PEXPIRE", keys[2], 1)
            await other.call("SET", keys[3], 2)
            await shared.call("SET", keys[4], 2)
            for key in keys[:5]:
                await ear.hears(key)
            assert keys[5] not in ear.heard
            await other.call("FLUSHALL")
            await ear.hears(None)

    asyncio.run(go())


class Keeper:
    """Keeps copies of what it reads, and drops those that are told to have changed."""

    def __init__(self, shared: Shared, keys: list[bytes]) -> None:
        self.copies: dict[bytes, bytes] = {}
        self.done = False
        self._shared = shared
        self._keys = keys
        shared.listen(self)

    def changed(self, keys: Sequence[bytes] | None) -> None:
        """See `Listener`."""
        for key in tuple(self.copies) if keys is None else keys:
            self.copies.pop(key, None)

    async def read(self, key: bytes) -> None:
        """Read again and again, whatever happens."""
        while not self.done:
            with suppress(StoreError):
                value = await self._shared.call("GET", key)
                if value is not None:
                    self.copies[key] = value
            await asyncio.sleep(0)


@pytest.mark.parametrize("drops", [0, 5])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_no_copy_outlives_a_change(server: RedisServer, run: Any, drops: int) -> None:
    """Copies dropped when they are told to have changed are in the end what the server has, also over lost lines."""

    async def write(other: Shared, keys: list[bytes], number: int) -> None:
        for each in range(200):
            await other.call("SET", keys[(number + each) % len(keys)], f"{number} {each}")

    async def go() -> None:
        ear = Ear()
        async with (
            gate(server.port) as line,
            a_shared(f"redis://127.0.0.1:{line.port}", ear) as shared,
            a_shared(server.url) as other,
        ):
            keys = [shared.key("copy", str(each)) for each in range(4)]
            keeper = Keeper(shared, keys)
            readers = [asyncio.ensure_future(keeper.read(keys[each % 4])) for each in range(8)]
            writers = [asyncio.ensure_future(write(other, keys, each)) for each in range(4)]
            for each in range(drops):
                await ear.hears("up", each + 1)
                line.drop()
                line.heal()
                await ear.hears("down", each + 1)
            await asyncio.gather(*writers)
            await ear.hears("up", drops + 1)
            keeper.done = True
            await asyncio.gather(*readers)
            await shared.call("PING")
            await asyncio.sleep(0)  # what came before the reply has been told
            for key, copy in tuple(keeper.copies.items()):
                assert await other.call("GET", key) == copy

    run(go())


def test_scripts(server: RedisServer) -> None:
    """A script runs by its hash, and by its text once the server has forgotten it; arguments come as they are."""

    async def go() -> None:
        async with a_shared(server.url) as shared:
            script = Script("return {KEYS[1], ARGV[1], ARGV[2], ARGV[3], 7}")
            for _ in range(2):
                found = await shared.run(script, [b"k"], ["\ud800", 1, b"\xff"])
                assert found == [b"k", b"\xed\xa0\x80", b"1", b"\xff", 7]
            await shared.call("SCRIPT", "FLUSH")
            assert await shared.run(script, [b"k"], [1, 2, 3]) == [b"k", b"1", b"2", b"3", 7]
            with pytest.raises(StoreError, match="refused a command"):
                await shared.run(Script("return redis.error_reply('ERR my secret')"), [b"k"])
            with pytest.raises(StoreError, match="another prefix"):
                await shared.run(Script("redis.call('SET', KEYS[1], 1) return redis.call('LPUSH', KEYS[1], 1)"), [b"k"])

    asyncio.run(go())


def test_refusals_are_in_our_words(server: RedisServer) -> None:
    """What a server refuses is said without a word of its own, which might hold what was sent."""

    async def go() -> None:
        async with a_shared(server.url) as shared:
            await shared.call("RPUSH", b"alist", 1)
            assert "another prefix" in await refused(shared, "GET", b"alist")
            said = await refused(shared, "NOSUCH", PASSWORD)
            assert "refused a command" in said
            assert PASSWORD not in said
            assert f"127.0.0.1:{server.port}/0" in said

    asyncio.run(go())


def test_killed_and_back(own: RedisServer) -> None:
    """While the server is away commands fail at once; once it is back, all that was read may have changed."""

    async def go() -> None:
        ear = Ear()
        async with a_shared(own.url, ear) as shared:
            assert ear.heard == [None, "up"]
            own.kill()
            await ear.hears("down")
            assert not shared.up
            clock = asyncio.get_running_loop().time
            since = clock()
            for _ in range(100):
                assert "cannot be reached" in await refused(shared, "GET", b"k")
            assert clock() - since < 1
            own.start()
            since = clock()
            await ear.hears("up", 2)
            assert clock() - since < 5
            assert ear.heard == [None, "up", "down", None, "up"]
            assert await shared.call("GET", b"k") is None

    asyncio.run(go())


def test_what_was_under_way_is_not_known(own: RedisServer) -> None:
    """A command whose server dies before it replies says that nobody knows whether it was carried out."""

    async def go() -> None:
        async with gate(own.port) as line, a_shared(f"redis://127.0.0.1:{line.port}", timeout=5) as shared:
            line.cut()
            asked = asyncio.ensure_future(refused(shared, "SET", b"k", 1))
            await asyncio.sleep(0)  # it is asked
            await asyncio.sleep(0)  # it has left
            own.kill()
            assert "whether it was carried out is not known" in await asked

    asyncio.run(go())


def test_not_there_at_first(own: RedisServer) -> None:
    """A server that is away at the start is no error; it is used as soon as it is there."""

    async def go() -> None:
        own.kill()
        ear = Ear()
        async with a_shared(own.url, ear) as shared:
            assert not shared.up
            assert "cannot be reached" in await refused(shared, "PING")
            own.start()
            await ear.hears("up")
            assert await shared.call("PING") == b"PONG"

    asyncio.run(go())


def test_frozen_and_thawed(own: RedisServer) -> None:
    """A server that does not reply costs one command's time; if that is soon over it has forgotten nothing."""

    async def go() -> None:
        ear = Ear()
        async with a_shared(own.url, ear) as shared, a_shared(own.url) as other:
            key = shared.key("k")
            await shared.call("GET", key)
            own.freeze()
            assert "has not replied within 0.25 s" in await refused(shared, "GET", key)
            await ear.hears("down")
            assert "does not reply" in await refused(shared, "GET", key)
            own.thaw()
            await ear.hears("up", 2)
            assert ear.heard == [None, "up", "down", "up"]
            await other.call("PING")
            await other.call("SET", key, 1)
            await ear.hears(key)

    asyncio.run(go())


def test_frozen_for_long(own: RedisServer) -> None:
    """A connection on which nothing comes for long is given up, and what was read may have changed after it."""

    async def go() -> None:
        ear = Ear()
        async with a_shared(own.url, ear, timeout=0.05) as shared:
            own.freeze()
            assert "has not replied" in await refused(shared, "PING")
            waiting = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(1.5, waiting.set_result, None)
            await waiting
            own.thaw()
            await ear.hears("up", 2)
            assert ear.heard == [None, "up", "down", None, "up"]

    asyncio.run(go())


def test_partitioned(server: RedisServer) -> None:
    """A server that is cut off is found out without any traffic, and found again once the line is healed."""

    async def go() -> None:
        ear = Ear()
        async with gate(server.port) as line, a_shared(f"redis://127.0.0.1:{line.port}", ear) as shared:
            line.cut()
            await ear.hears("down")
            line.heal()
            await ear.hears("up", 2)
            assert await shared.call("PING") == b"PONG"

    asyncio.run(go())


def test_who_gives_up_disturbs_nobody(server: RedisServer) -> None:
    """A caller that is cancelled leaves the replies of others where they belong."""

    async def go() -> None:
        async with a_shared(server.url) as shared:
            calls = [asyncio.ensure_future(shared.call("ECHO", str(each))) for each in range(20)]
            await asyncio.sleep(0)
            for each in calls[::3]:
                each.cancel()
            found: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
            for place, reply in enumerate(found):
                assert isinstance(reply, asyncio.CancelledError) if place % 3 == 0 else reply == b"%d" % place

    asyncio.run(go())


def test_errors_wait_for_no_collector(server: RedisServer) -> None:
    """The error of a call is gone as soon as whoever caught it has let it go."""

    async def go() -> None:
        async with a_shared(server.url) as shared:

            async def fails(*command: Any) -> "weakref.ref[StoreError]":
                try:
                    await shared.call(*command)
                except StoreError as error:
                    return weakref.ref(error)
                raise AssertionError

            gc.disable()
            try:
                assert (await fails("NOSUCH"))() is None
                shared._link.drop()  # type: ignore[union-attr] # noqa: SLF001
                assert (await fails("GET", b"k"))() is None
            finally:
                gc.enable()

    asyncio.run(go())


def test_closed_and_begun_again(server: RedisServer) -> None:
    """What was closed can be used again, and a call begins it by itself."""
    ear = Ear()
    shared = Shared(server.url, prefix="again")
    shared.listen(ear)
    shared.news.on("k", lambda place, _fields: ear.note(place))

    async def go() -> None:
        assert await shared.call("PING") == b"PONG"
        await listening(shared)
        place = await shared.news.tell("k", {})
        await ear.until(lambda: place in ear.heard)
        await shared.aclose()
        assert not shared.up
        assert "down" not in ear.heard  # it was meant
        await shared.aclose()

    for _ in range(2):  # in another event loop, too
        asyncio.run(go())


def test_listeners_do_not_hurt_each_other(server: RedisServer) -> None:
    """A listener that fails, or lacks a method, takes nothing from the others."""

    class Broken:
        def changed(self, keys: Any) -> None:
            raise ValueError(keys)

    async def go() -> None:
        shared = Shared(server.url)
        ear = Ear()
        for each in (Broken(), object(), ear):
            shared.listen(each)
        await shared.start()
        assert ear.heard == [None, "up"]
        await shared.aclose()

    asyncio.run(go())
