"""Pages in levels: their bytes, who waits for whom, what is kept apart, and what forgets them."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caching_site import FRESH, TAGGED, Pairs, pairs
from fastcascade import Cache, Clock
from fastcascade.caching import Found, HttpCache, Levels, Stored
from fastcascade.caching.http_bytes import read, read_names, written, written_names
from fastcascade.caching.http_levels import chosen, digest
from fastcascade.errors import ConfigError
from fastcascade.wsgi import WsgiMiddleware

VARIED = pairs(cache_control="max-age=60", vary="accept-language")

lines = st.binary(max_size=12).filter(lambda text: not set(text) & {10, 13, 0})
counts = st.floats(0, 1e9)
answers = st.builds(
    Stored,
    status=st.integers(200, 599),
    headers=st.lists(st.tuples(lines, lines), max_size=4).map(tuple),
    body=st.binary(max_size=20),
    stored_at=st.floats(-1e6, 1000),
    fresh_for=counts,
    born=st.floats(-1e6, 1000),
    vary=st.lists(st.tuples(lines, st.none() | lines), max_size=3).map(tuple),
    behind=counts,
    on_error=counts,
    strict=st.booleans(),
    immutable=st.booleans(),
    tags=st.lists(lines.map(lambda text: text.decode("latin-1")), max_size=3).map(tuple),
    etag=lines,
    modified=lines,
)


@given(answers, st.floats(0, 1e6), st.floats(0, 1e6))
def test_what_is_written_reads_back_on_another_clock(stored: Stored, elapsed: float, now: float) -> None:
    """All of it, older by what has passed; of what is cut short nothing is made."""
    meta = written(stored, 1000.0)
    again = read(meta, stored.body, elapsed, now)
    assert again is not None
    assert now - again.born == pytest.approx(1000.0 - stored.born + elapsed, abs=1e-6)
    assert now - again.stored_at == pytest.approx(1000.0 - stored.stored_at + elapsed, abs=1e-6)
    for name in ("status", "headers", "body", "fresh_for", "vary", "behind", "on_error", "strict", "immutable"):
        assert getattr(again, name) == getattr(stored, name)
    assert (again.tags, again.etag, again.modified) == (stored.tags, stored.etag, stored.modified)
    assert read_names(meta) is None
    for end in range(0, len(meta), 7):
        assert read(meta[:end], b"", 0, 0) is None
    assert read(meta + b"x", b"", 0, 0) is None


@given(answers, st.data())
def test_hostile_bytes_make_no_answer_or_a_harmless_one(stored: Stored, data: st.DataObject) -> None:
    """Bytes that were changed raise nothing, and never bring a line break into a header."""
    meta = bytearray(written(stored, 1000.0))
    for _ in range(data.draw(st.integers(1, 4))):
        meta[data.draw(st.integers(0, len(meta) - 1))] = data.draw(st.integers(0, 255))
    found = read(bytes(meta), b"", 0, 0)
    if found is not None:
        texts = [text for pair in found.headers for text in pair]
        assert not any(mark in text for mark in (b"\r", b"\n", b"\0") for text in texts)
        assert 200 <= found.status <= 599
    junk = data.draw(st.binary(max_size=80))
    read(junk, b"", 0, 0)
    read_names(junk)


texts = st.text(max_size=4) | st.binary(max_size=4)
keys = st.tuples(texts, st.text(max_size=3), texts, st.text(max_size=4))


def bytes_of(key: tuple[str | bytes, ...]) -> list[bytes]:
    """Its parts as bytes."""
    return [each if isinstance(each, bytes) else each.encode("utf-8", "surrogatepass") for each in key]


@given(keys, keys)
def test_two_pages_never_have_one_name(one: tuple[str | bytes, ...], two: tuple[str | bytes, ...]) -> None:
    """Scope, scheme, host and target tell pages apart wherever one ends and the next begins."""
    assert (digest(one) == digest(two)) == (bytes_of(one) == bytes_of(two))


values = st.dictionaries(st.sampled_from([b"a", b"b"]), st.sampled_from([b"", b"1", b"1:b", b"-"]))


@given(values, values)
def test_two_variants_never_have_one_name(one: dict[bytes, bytes], two: dict[bytes, bytes]) -> None:
    """What a request says and what it does not say are told apart; and names are read as they were written."""
    names = (b"a", b"b")
    assert (chosen(b"", names, [*one.items()]) == chosen(b"", names, [*two.items()])) == (one == two)
    assert read_names(written_names(names)) == names


# One cache in one loop.


@dataclass
class Shop:
    """A cache with levels and an app that answers when it is let, with a body that counts."""

    said: Pairs = field(default_factory=lambda: FRESH)
    clock: Clock = field(default_factory=lambda: Clock(1_000_000.0))
    status: int = 200
    asked: int = 0
    free: asyncio.Event = field(default_factory=asyncio.Event)
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.cache = HttpCache(levels=Levels("test", clock=self.clock), clock=self.clock, **self.settings)

    async def get(self, headers: Pairs | None = None, *, method: str = "GET", within: float = 5.0, **more: Any) -> Any:
        """One request: its body, what is said of it, and the status."""
        cache = self.cache
        found = cache.find(method, more.pop("path", "/"), headers or [], **more)
        if found.kind != "hit":
            found = await cache.further(found, within=within)
        if found.response is not None and (found.kind != "stale" or not cache.lead(found.token)):
            return found.response.body, said_of(found), found.response.status
        try:
            return await self._fetched(found)
        finally:
            cache.release(found.token)

    async def _fetched(self, found: Found) -> Any:
        cache = self.cache
        self.asked += 1
        mine = b"%d" % self.asked
        await self.free.wait()
        if self.status == 304:
            served = cache.freshened(found.token, self.said)
            return served.body, "validated", served.status
        if self.status >= 500 and (stand_in := cache.failed(found.token, self.status)) is not None:
            return stand_in.body, "stood in", stand_in.status
        _, wanted = cache.passed(found.token, self.status, self.said)
        if wanted:
            cache.store(found.token, self.status, self.said, mine)
        return mine, "asked", self.status

    async def many(self, count: int, *headers: Pairs, **more: Any) -> list[Any]:
        """So many at once, and the app free once all have come as far as they can."""
        self.free.clear()
        tasks = [asyncio.ensure_future(self.get([*each], **more)) for each in (headers or ([],)) for _ in range(count)]
        await turns()
        self.free.set()
        return await asyncio.gather(*tasks)


def said_of(found: Found) -> str:
    """What Cache-Status says."""
    assert found.response is not None
    return dict(found.response.headers)[b"cache-status"].decode()


async def turns() -> None:
    """Let what was begun come as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """In a loop, within a time."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work()

    asyncio.run(bounded())


def test_a_thousand_misses_are_one_call() -> None:
    """All others are given what the first brings, and told so; who comes later has it from memory."""

    async def work() -> None:
        shop = Shop()
        found = await shop.many(1_000)
        assert shop.asked == 1
        assert [each[1] for each in found].count("fastcascade; fwd=uri-miss; collapsed") == 999
        assert await shop.get() == (b"1", "fastcascade; hit; ttl=60", 200)

    run(work)


def test_each_variant_is_asked_for_once() -> None:
    """Those that a page differs for wait for their own answer, and are given no other."""

    async def work() -> None:
        shop = Shop(said=VARIED)
        german, french = pairs(accept_language="de"), pairs(accept_language="fr")
        shop.free.set()
        assert (await shop.get(german))[0] == b"1"
        await turns()
        found = await shop.many(50, german, french, [])
        assert shop.asked == 3
        bodies = [each[0] for each in found]
        assert [len(set(bodies[at : at + 50])) for at in (0, 50, 100)] == [1, 1, 1]
        assert len(set(bodies)) == 3

    run(work)


def test_what_a_page_differs_for_is_learned_while_others_wait() -> None:
    """Of those that came before that was known, each is given what was chosen for it."""

    async def work() -> None:
        shop = Shop(said=VARIED)
        found = await shop.many(20, pairs(accept_language="de"), pairs(accept_language="fr"))
        assert shop.asked == 2
        bodies = [each[0] for each in found]
        assert len(set(bodies[:20])) == len(set(bodies[20:])) == 1
        assert bodies[0] != bodies[20]

    run(work)


@pytest.mark.parametrize("said", [pairs(cache_control="no-store"), pairs(cache_control="max-age=9", set_cookie="a=b")])
def test_what_is_not_kept_makes_nobody_wait_twice(said: Pairs) -> None:
    """All that waited ask by themselves at once; for a while nobody waits there; and what can be kept then is."""

    async def work() -> None:
        shop = Shop(said=said)
        waiting = asyncio.ensure_future(shop.many(10))
        assert len({each[0] for each in await waiting}) == 10
        again = await shop.many(10)
        assert shop.asked == 20
        assert {each[1] for each in again} == {"asked"}
        shop.said = FRESH
        assert (await shop.get())[1] == "asked"
        await turns()
        assert (await shop.get())[1] == "fastcascade; hit; ttl=60"

    run(work)


def test_a_failure_lets_all_go_and_leaves_what_may_stand_in() -> None:
    """A page past its life stands in for all who waited; and after the window nothing does."""

    async def work() -> None:
        shop = Shop(said=pairs(cache_control="max-age=10, stale-if-error=60", etag='"1"'))
        await shop.many(1)
        await turns()
        shop.clock.advance(20)
        shop.status = 503
        assert {each[:2] for each in await shop.many(10)} == {(b"1", "stood in")}
        shop.clock.advance(60)
        assert {each[2] for each in await shop.many(2)} == {503}

    run(work)


def test_a_page_past_its_life_is_validated_once_for_all() -> None:
    """One asks whether it still holds; those that wait are given what that says, and count as collapsed."""

    async def work() -> None:
        shop = Shop(said=TAGGED)
        await shop.many(1)
        await turns()
        shop.clock.advance(70)
        shop.status = 304
        found = await shop.many(50)
        assert shop.asked == 2
        assert {each[0] for each in found} == {b"1"}
        assert [each[1] for each in found].count("validated") == 1

    run(work)


def test_what_holds_for_no_time_is_validated_by_each_alone() -> None:
    """A page with no-cache is everybody's own question: nobody waits for another's."""

    async def work() -> None:
        shop = Shop(said=pairs(cache_control="no-cache", etag='"1"'))
        await shop.many(1)
        await turns()
        shop.status = 304
        assert {each[1] for each in await shop.many(10)} == {"validated"}
        assert shop.asked == 11

    run(work)


def test_while_one_fetches_anew_others_are_sent_what_is_stale() -> None:
    """Within stale-while-revalidate one request goes on, and none waits."""

    async def work() -> None:
        shop = Shop(said=pairs(cache_control="max-age=10, stale-while-revalidate=60"))
        await shop.many(1)
        await turns()
        shop.clock.advance(20)
        found = await shop.many(10)
        assert shop.asked == 2
        assert sorted(each[0] for each in found) == [b"1"] * 9 + [b"2"]

    run(work)


def test_who_waits_too_long_asks_for_oneself() -> None:
    """The bound is the request's own; the one that leads goes on, and keeps what it brings."""

    async def work() -> None:
        shop = Shop()
        first = asyncio.ensure_future(shop.get())
        await turns()
        second = asyncio.ensure_future(shop.get(within=0.01))
        while shop.asked < 2:  # noqa: ASYNC110 - it happens in a task that tells nobody
            await asyncio.sleep(0.001)
        shop.free.set()
        assert {(await first)[0], (await second)[0]} == {b"1", b"2"}

    run(work)


def test_who_drops_out_is_replaced() -> None:
    """A leader whose client goes away hands on to one that waits."""

    async def work() -> None:
        shop = Shop()
        tasks = [asyncio.ensure_future(shop.get()) for _ in range(5)]
        await turns()
        tasks[0].cancel()
        while shop.asked < 2:
            await turns()
        shop.free.set()
        assert {(await each)[0] for each in tasks[1:]} == {b"2"}

    run(work)


def test_credentials_and_scopes_are_kept_apart() -> None:
    """Who has credentials and no scope waits for nobody and leaves nothing; scopes have answers of their own."""

    async def work() -> None:
        shop = Shop()
        found = await shop.many(5, pairs(authorization="Basic x"))
        assert len({each[0] for each in found}) == 5
        assert (await shop.get(scope="anna"))[1] == "asked"
        await turns()
        assert (await shop.get(scope="anna"))[1].startswith("fastcascade; hit")
        assert (await shop.get(scope="bert"))[1] == "asked"
        assert (await shop.get())[1] == "asked"

    run(work)


def test_only_if_cached_is_never_a_call() -> None:
    """Without an answer it is 504, wherever one was looked for; a HEAD waits for nobody."""

    async def work() -> None:
        shop = Shop()
        assert (await shop.get(pairs(cache_control="only-if-cached")))[2] == 504
        shop.free.set()
        assert (await shop.get(method="HEAD"))[1] == "asked"
        await shop.get()
        await turns()
        assert (await shop.get(pairs(cache_control="only-if-cached")))[2] == 200
        assert (await shop.get(method="HEAD"))[0] == b""
        assert shop.asked == 2

    run(work)


@pytest.mark.parametrize(
    ("negative", "said", "kept"),
    [(None, [], True), (0.0, [], False), (5.0, [], True), (0.0, FRESH, True)],
)
def test_what_is_not_there_is_kept_where_somebody_says_so(negative: float | None, said: Pairs, kept: bool) -> None:
    """The app by its own word, the operator by `negative`; `ttl` alone speaks for pages that are there."""

    async def work() -> None:
        shop = Shop(said=said, status=404, settings={"ttl": 60.0, "negative": negative})
        shop.free.set()
        await shop.get()
        await turns()
        assert ("hit" in (await shop.get())[1]) is kept
        shop.clock.advance(6)
        assert ("hit" in (await shop.get())[1]) is (kept and negative != 5.0)

    run(work)


def test_purges_and_writes_forget() -> None:
    """By path, by tag, all of it, and by an unsafe method; also of what is under way then."""

    async def work() -> None:
        shop = Shop(said=pairs(cache_control="max-age=60", cache_tag="red"))
        cache = shop.cache
        for forget in (
            lambda: cache.purged("/a"),
            lambda: cache.purged(tag="red"),
            cache.purged,
            lambda: told(cache, "/a?x=1"),
        ):
            await shop.many(1, path="/a?x=1")
            await turns()
            before = shop.asked
            assert "hit" in (await shop.get(path="/a?x=1"))[1]
            await forget()
            shop.free.clear()
            late = asyncio.ensure_future(shop.get(path="/a?x=1"))
            while shop.asked == before:
                await turns()
            await forget()
            shop.free.set()
            await late
            await turns()
            assert shop.asked == before + 1
            await shop.many(1, path="/a?x=1")
            assert shop.asked == before + 2
        with pytest.raises(ValueError, match="purged"):
            cache.purge("/a")
        with pytest.raises(ValueError, match="one, then the other"):
            await cache.purged("/a", tag="red")
        plain = HttpCache()
        assert await plain.purged()
        await plain.told()

    async def told(cache: HttpCache, target: str) -> None:
        cache.invalidated("PUT", target, 200, [])
        assert cache.telling
        await cache.told()
        assert not cache.telling

    run(work)


def test_what_cannot_work_is_refused() -> None:
    """Two places to keep answers in, WSGI, and a second event loop."""
    with pytest.raises(ConfigError, match="levels"):
        HttpCache(Cache(1), levels=Levels("test"))
    with pytest.raises(ConfigError, match="ASGI"):
        WsgiMiddleware(lambda _environ, _start: [], cache=HttpCache(levels=Levels("test")))
    cache = HttpCache(levels=Levels("test"))

    async def work() -> None:
        found = await cache.further(cache.find("GET", "/", []))
        cache.release(found.token)

    run(work)
    with pytest.raises(ConfigError, match="event loop"):
        run(work)
