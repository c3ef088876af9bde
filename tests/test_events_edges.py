"""Events where it is easy to tell twice, too late, or in another's name."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from asgi_strict import ask
from fastcascade import Cascade, CascadeMiddleware, Clock, Tier, WsgiMiddleware, dropin_heard, heard
from fastcascade.backends import Recorded
from fastcascade.caching.http import HttpCache
from fastcascade.fallbacks import Stale
from fastcascade.messages import Reply, Request, Text, Usage
from fastcascade.prices import Price
from fastcascade.telemetry import Decision, Event, Events, subscribe
from fastcascade.testing import ScriptedBackend, Slow

ENVIRON = {"REQUEST_METHOD": "GET", "PATH_INFO": "/x", "REMOTE_ADDR": "192.0.2.1", "wsgi.url_scheme": "http"}


@pytest.fixture
def told() -> Iterator[list[Decision]]:
    """What everybody in this process hears."""
    found: list[Decision] = []

    def hear(event: Event) -> None:
        if type(event) is Decision:
            found.append(event)

    end = subscribe(hear)
    yield found
    end()


def cascade(**more: Any) -> Cascade:
    """One tier that answers one question."""
    backend = Recorded({"q": Reply((Text("a secret answer"),), usage=Usage(10, 2))}, name="only")
    return Cascade(Tier(backend, price=Price(1, 5)), name="inner", **more)


async def asks(scope: Any, _receive: Any, send: Any) -> None:
    """An app that asks a cascade."""
    del scope
    await cascade().run("q")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def plain(scope: Any, _receive: Any, send: Any) -> None:
    """One that asks nobody."""
    del scope
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize(("app", "layer"), [(asks, "dispatch"), (plain, "match")])
def test_of_two_middlewares_the_outer_one_tells(app: Any, layer: str, told: list[Decision]) -> None:
    """A request that passes two of them is one request, whether its app asks a cascade or not."""
    asyncio.run(ask(CascadeMiddleware(CascadeMiddleware(app)), "/x"))
    assert [(each.layer, each.status) for each in told] == [(layer, 200)]


@pytest.mark.parametrize("asking", [True, False])
def test_of_two_wsgi_middlewares_the_outer_one_tells(asking: bool, told: list[Decision]) -> None:
    """Likewise, one request after the other in the same thread."""

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        if asking:
            cascade().run_sync("q")
        start_response("200 OK", [])
        return [b"ok"]

    outer = WsgiMiddleware(WsgiMiddleware(app))
    for _ in range(2):
        result: Any = outer(dict(ENVIRON), lambda *_: lambda _: None)
        assert b"".join(result) == b"ok"
        result.close()
    assert [(each.layer, each.status) for each in told] == [("dispatch" if asking else "match", 200)] * 2


def test_a_request_that_is_over_keeps_nothing_of_what_was_said(told: list[Decision]) -> None:
    """A pool's thread and a task that goes on keep their context: no prompt and no answer stays with it."""
    held: list[dropin_heard.Outer] = []
    gc.collect()
    before = {id(each) for each in gc.get_objects() if type(each) is Decision}  # of other tests

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        outer = dropin_heard.current()
        assert outer is not None
        held.append(outer)
        cascade().run_sync("q")
        start_response("200 OK", [])
        return [b"ok"]

    result: Any = WsgiMiddleware(app)(dict(ENVIRON), lambda *_: lambda _: None)
    assert b"".join(result) == b"ok"
    result.close()
    assert told and held[0].over and not held[0].decisions
    told.clear()
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is Decision and id(each) not in before]


def test_what_is_decided_while_a_request_ends_is_told_once(told: list[Decision]) -> None:
    """Threads that decide as the middleware tells: each decision is told, before or after, and none twice."""
    outer = dropin_heard.Outer()
    events = [Decision("match", str(place), 0.0, None) for place in range(400)]
    start = threading.Barrier(5)

    def decide(mine: list[Decision]) -> None:
        start.wait()
        for each in mine:
            dropin_heard.tell_within(outer, each)

    class Over:
        match, gone, status, method, template = None, False, 200, "GET", ""

        def header(self, _name: str) -> str:
            return ""

        cache = request_id = path = ""
        degraded = broken = went_on = False
        identity = None

    threads = [threading.Thread(target=decide, args=(events[at::4],)) for at in range(4)]
    for each in threads:
        each.start()
    start.wait()
    outer.end(Over())  # type: ignore[arg-type] # as much of a call as is looked at
    for each in threads:
        each.join()
    by = [each.by for each in told if each.by != "app"]
    assert sorted(by, key=int) == [str(place) for place in range(400)]


def test_a_stream_that_the_collector_ends_is_told_in_its_own_name(told: list[Decision]) -> None:
    """It is ended in the context of whoever runs then: that request is not told of it in its place."""

    async def main() -> None:
        theirs = dropin_heard.Outer()
        pieces = heard.stream(cascade(), Request.of("q"))
        await anext(pieces)
        mine = dropin_heard.Outer()
        await pieces.aclose()
        assert not mine.decisions and len(theirs.decisions) == 1

    asyncio.run(main())
    assert not told  # neither request is over


def test_a_stale_answer_fetched_anew_is_nobodys_request(told: list[Decision]) -> None:
    """The request is told as what it was, an answer from the cache; what the refresh asks for is told beside it."""
    clock, done = Clock(), asyncio.Event()

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        del scope
        await cascade().run("q")
        head = [(b"cache-control", b"public, max-age=1, stale-while-revalidate=60"), (b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"ok"})
        done.set()

    async def main() -> None:
        there = CascadeMiddleware(app, cache=HttpCache(clock=clock))
        await ask(there, "/x")
        done.clear()
        clock.advance(5)
        await ask(there, "/x")
        await done.wait()

    asyncio.run(main())
    first, *others = told
    assert (first.layer, first.status) == ("dispatch", 200)
    assert sorted((each.layer, each.by, each.status) for each in others) == [
        ("cache", "stale", 200),
        ("dispatch", "only", 0),
    ]


def test_whoever_joins_another_pays_nothing(told: list[Decision]) -> None:
    """Three who ask the same at once are three decisions, and one call is paid for."""

    async def main() -> None:
        backend = ScriptedBackend(Slow(0.01, "yes"))
        there = Cascade(Tier(backend, price=Price(1, 5)), fallbacks=[Stale()])
        await asyncio.gather(*(there.run("q") for _ in range(3)))
        assert len(backend.seen) == 1

    asyncio.run(main())
    assert sorted(each.layer for each in told) == ["cache", "cache", "dispatch"]
    assert sum(len(each.answer.calls) for each in told if each.answer is not None) == 1


def test_one_that_listens_twice_ends_once_at_a_time() -> None:
    """Each subscription is ended by its own end; ending again changes nothing."""
    events = Events()
    found: list[Event] = []
    first, second = events.subscribe(found.append), events.subscribe(found.append)
    event = Decision("match", "x", 0.0, None)
    events.tell(event)
    first()
    first()
    events.tell(event)
    second()
    events.tell(event)
    assert len(found) == 3
