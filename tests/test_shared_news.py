"""News: each piece in every process, in order, once; and whoever may have missed some is told so."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from fastcascade.errors import StoreError
from fastcascade.shared import News, Shared
from redis_server import RedisServer, redis_server
from shared_parts import Ear, a_shared, gate, listening

QUICK: Final = ("--appendonly", "no", "--save", "")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One server for all tests that leave it running."""
    with redis_server(*QUICK) as running:
        yield running


class Reader(Ear):
    """Follows the news of one kind, and notes pieces and gaps."""

    def __init__(self, news: News, kind: str = "k") -> None:
        super().__init__()
        news.on(kind, self.piece)
        news.on_gap(lambda: self.note("gap"))

    def piece(self, place: str, fields: Mapping[bytes, bytes]) -> None:
        """Note it."""
        self.note((place, dict(fields)))

    async def pieces(self, count: int) -> None:
        """Wait until there are so many."""
        await self.until(lambda: len(self.told()) >= count)

    def told(self) -> list[Any]:
        """The pieces alone."""
        return [each for each in self.heard if isinstance(each, tuple)]


def test_all_hear_the_same(server: RedisServer) -> None:
    """Whoever tells, all hear all pieces of the kinds they want, their own too, in one order, each once."""

    async def go() -> None:
        async with a_shared(server.url) as first, a_shared(server.url) as second:
            readers = [Reader(first.news), Reader(second.news), Reader(second.news)]
            other = Reader(first.news, "another kind")
            await listening(first)
            await listening(second)

            async def tell(shared: Shared, name: str) -> list[str]:
                return [await shared.news.tell("k", {"who": name, "n": str(each)}) for each in range(100)]

            asked = await asyncio.gather(tell(first, "a"), tell(second, "b"), tell(first, "c"))
            places = sorted((each for some in asked for each in some), key=lambda at: [*map(int, at.split("-"))])
            for reader in readers:
                await reader.pieces(300)
                assert [place for place, _ in reader.told()] == places
                assert [each for each in reader.told() if each[1][b"who"] == b"b"] == [
                    (place, {b"who": b"b", b"n": b"%d" % number}) for number, place in enumerate(asked[1])
                ]
            assert first.news.last == second.news.last == places[-1]
            assert other.heard == []

    asyncio.run(go())


def test_it_begins_at_the_end(server: RedisServer) -> None:
    """Who begins to listen hears what comes then, and knows the id of what came last before."""

    async def go() -> None:
        async with a_shared(server.url, prefix="end") as first:
            assert first.news.last == "0-0"
            Reader(first.news)
            await listening(first)
            place = await first.news.tell("k", {})
            async with a_shared(server.url, prefix="end") as second:
                reader = Reader(second.news)
                await listening(second)
                assert second.news.last == place
                await first.news.tell("k", {"new": b"\xff"})
                await reader.until(lambda: bool(reader.heard))
                assert [each[1] for each in reader.heard] == [{b"new": b"\xff"}]

    asyncio.run(go())


def test_it_goes_on_from_where_it_was(server: RedisServer) -> None:
    """What is told while the connection is lost is heard after it, once, and nothing was missed."""

    async def go() -> None:
        async with (
            gate(server.port) as line,
            a_shared(f"redis://127.0.0.1:{line.port}/0") as cut,
            a_shared(server.url) as other,
        ):
            reader = Reader(cut.news)
            await listening(cut)
            wanted = [await other.news.tell("k", {"n": "0"})]
            await reader.pieces(1)
            for number in range(3):
                line.drop()
                await listening(cut, holds=False)
                wanted += [await other.news.tell("k", {"n": str(number)}) for _ in range(2)]
                line.heal()
                await reader.pieces(len(wanted))
            assert [place for place, _ in reader.heard] == wanted

    asyncio.run(go())


@pytest.mark.parametrize("how", ["trimmed", "emptied"])
def test_who_missed_some_is_told(server: RedisServer, how: str) -> None:
    """Where pieces are gone before they were heard, all is to be forgotten; what comes then is heard."""

    async def go() -> None:
        async with (
            gate(server.port) as line,
            a_shared(f"redis://127.0.0.1:{line.port}/0") as cut,
            a_shared(server.url) as other,
        ):
            reader = Reader(cut.news)
            await listening(cut)
            await other.news.tell("k", {"n": "0"})
            await reader.pieces(1)
            line.drop()
            await listening(cut, holds=False)
            await other.news.tell("k", {"missed": ""})
            if how == "trimmed":
                await other.call("XTRIM", other.key("news"), "MAXLEN", 0)
            else:
                await other.call("FLUSHALL")
            line.heal()
            await reader.hears("gap")
            place = await other.news.tell("k", {"n": "1"})
            await reader.pieces(2)
            assert reader.told()[-1] == (place, {b"n": b"1"})

    asyncio.run(go())


def test_an_emptied_server_is_noticed_at_once(server: RedisServer) -> None:
    """A server that is emptied while all listen makes all forget."""

    async def go() -> None:
        async with a_shared(server.url) as first, a_shared(server.url) as second:
            reader = Reader(first.news)
            await listening(first)
            await first.news.tell("k", {})
            await reader.pieces(1)
            await second.call("FLUSHALL")
            await reader.hears("gap")
            await second.news.tell("k", {"n": "1"})
            await reader.pieces(2)

    asyncio.run(go())


def test_a_server_that_lost_all_is_noticed() -> None:
    """After a server has come back without what it had, even one whose clock is behind, news are heard."""

    async def go(server: RedisServer) -> None:
        async with a_shared(server.url) as shared:
            reader = Reader(shared.news)
            shared.listen(reader)
            await listening(shared)
            await shared.call("XADD", shared.key("news"), "99999999999999-0", "kind", "k")  # long from now
            await reader.pieces(1)
            server.kill()
            await listening(shared, holds=False)
            with pytest.raises(StoreError):
                await shared.news.tell("k", {})
            server.start()
            await reader.hears("gap")
            await reader.until(lambda: shared.up)
            place = await shared.news.tell("k", {"n": "1"})
            await reader.pieces(2)
            assert shared.news.last == place

    with redis_server(*QUICK) as server:
        asyncio.run(go(server))


def test_it_is_trimmed_by_age(server: RedisServer) -> None:
    """Pieces older than they are kept go with those that come, by the server's clock."""

    async def go() -> None:
        async with a_shared(server.url, prefix="trim") as shared:
            key = shared.key("news")
            for each in range(500):
                await shared.call("XADD", key, f"{each + 1}-0", "kind", "old")
            await shared.news.tell("k", {})
            assert await shared.call("XLEN", key) < 200  # whole nodes of the stream go, of a hundred pieces each

    asyncio.run(go())


def test_a_listener_that_fails_hurts_nobody(server: RedisServer) -> None:
    """Others hear the piece that one could not take, and the next one too."""

    async def go() -> None:
        async with a_shared(server.url) as shared:

            def broken(place: str, fields: Mapping[bytes, bytes]) -> None:
                raise ValueError(place, fields)

            shared.news.on("k", broken)
            reader = Reader(shared.news)
            await listening(shared)
            for _ in range(2):
                await shared.news.tell("k", {})
            await reader.pieces(2)

    asyncio.run(go())


def test_what_cannot_be_read_is_not_asked_for_all_the_time(server: RedisServer) -> None:
    """A stream's key that holds something else makes news fail and nothing else; once it is gone they are heard."""

    async def go() -> None:
        async with a_shared(server.url, prefix="wrong") as shared:
            await shared.call("SET", shared.key("news"), 1)
            reader = Reader(shared.news)
            with pytest.raises(StoreError, match="another prefix"):
                await shared.news.tell("k", {})
            assert not shared.news.up
            await shared.call("DEL", shared.key("news"))
            await listening(shared)
            await shared.news.tell("k", {})
            await reader.pieces(1)

    asyncio.run(go())
