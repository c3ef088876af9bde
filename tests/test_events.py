"""What is decided is told once, by whoever is outermost, and costs nothing where nobody listens."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asgi_strict import ask
from fastcascade import (
    Cascade,
    CascadeMiddleware,
    KeyRing,
    Request,
    Tier,
    WsgiMiddleware,
    gates,
    notices,
    record,
    replay,
)
from fastcascade.answers import Answer, Via
from fastcascade.backends import Recorded
from fastcascade.errors import IncompleteAnswer, NoAnswer
from fastcascade.messages import Delta, Reply, Text, Usage
from fastcascade.prices import Price
from fastcascade.telemetry import Decision, Event, Events, Graded, subscribe
from fastcascade.telemetry import events as told
from fastcascade.telemetry.baseline import baseline_usd
from fastcascade.telemetry.events import HUB, layer_of
from fastcascade.wire.endpoint import Endpoint
from gateways import chat, client_of, serving


@pytest.fixture
def heard() -> Iterator[list[Decision]]:
    """What everybody in this process hears."""
    found: list[Decision] = []

    def hear(event: Event) -> None:
        if type(event) is Decision:
            found.append(event)

    end = subscribe(hear)
    yield found
    end()


def ladder(**more: Any) -> Cascade:
    """Two tiers, of which the small one is not sure of all."""
    used = Usage(10, 2)
    unsure, sure = (Reply((Text(said),), usage=used) for said in ("I think so, maybe.", "Yes."))
    small = Recorded({"q": unsure, "easy": sure}, name="small")
    large = Recorded({"q": sure, "easy": sure}, name="large")
    return Cascade(
        Tier(small, gate=gates.Hedging(), accept=0.9, price=Price(1, 5)), Tier(large, price=Price(10, 50)), **more
    )


def run(cascade: Cascade, asked: str) -> Answer:
    """From a loop."""
    return asyncio.run(cascade.run(asked))


def plain(cascade: Cascade, asked: str) -> Answer:
    """From plain code."""
    return cascade.run_sync(asked)


def streamed(cascade: Cascade, asked: str) -> Answer:
    """Piece by piece."""

    async def whole() -> Answer:
        stream = cascade.stream(asked)
        async for _ in stream:
            pass
        assert stream.answer is not None
        return stream.answer

    return asyncio.run(whole())


@pytest.mark.parametrize("way", [run, plain, streamed])
def test_each_way_to_ask_a_cascade_tells_once(way: Callable[[Cascade, str], Answer], heard: list[Decision]) -> None:
    """Whole, from plain code, or piece by piece: one decision, with the answer that the caller has."""
    cascade = ladder(name="chat")
    answer = way(cascade, "q")
    (event,) = heard
    assert event.answer is answer and (event.layer, event.by, event.cascade) == ("dispatch", "large", "chat")
    assert event.ladder is cascade and event.seconds is not None and event.seconds >= 0
    assert (event.failure, event.status) == ("", 0)


@pytest.mark.parametrize("way", [run, plain])
def test_a_run_without_an_answer_is_told(way: Callable[[Cascade, str], Answer], heard: list[Decision]) -> None:
    """What the caller is raised, whoever listens hears too, with every attempt."""
    with pytest.raises(NoAnswer):
        way(ladder(last_resort=None), "unknown to both")
    (event,) = heard
    assert event.failure == "no answer"
    assert event.answer is not None and [each.tier for each in event.answer.attempts] == ["small", "large"]


def test_a_run_that_is_given_up_is_told_with_what_it_cost(heard: list[Decision]) -> None:
    """A caller who goes away leaves calls behind that are paid for; they are in the decision."""

    class Slow:
        name = "slow"
        gives: frozenset[str] = frozenset()

        async def complete(self, request: Request) -> Reply | None:
            await asyncio.Event().wait()
            return None

    async def scenario() -> None:
        task = asyncio.ensure_future(Cascade(Tier(Slow(), price=Price(1, 1))).run("q"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    (event,) = heard
    assert event.failure == "cancelled" and event.answer is not None
    assert [call.label for call in event.answer.calls] == ["slow/answer"]


def test_a_stream_that_breaks_or_is_left_is_told_once(heard: list[Decision]) -> None:
    """A stream is over when it breaks, and when its reader closes it."""

    class Breaking:
        name = "breaking"
        gives: frozenset[str] = frozenset()

        async def complete(self, request: Request) -> Reply | None:
            return None

        async def stream(self, request: Request) -> Any:
            yield Delta("text", "be")
            raise ConnectionResetError

    async def broken() -> None:
        with pytest.raises(IncompleteAnswer):
            async for _ in Cascade(Breaking()).stream("q"):
                pass

    async def left() -> None:
        async with ladder().stream("q") as stream:
            await anext(stream)

    asyncio.run(broken())
    asyncio.run(left())
    first, second = heard
    assert first.failure == "incomplete" and first.answer is not None and first.answer.incomplete
    assert second.failure == "cancelled"


def test_nothing_is_made_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a listener there is no event: to make one would fail here."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an event was made")

    monkeypatch.setattr("fastcascade.heard.Decision", refuse)
    monkeypatch.setattr("fastcascade.dropin_heard.Decision", refuse)
    monkeypatch.setattr("fastcascade.wire.endpoint_turn.Decision", refuse)
    assert not HUB.listeners
    assert run(ladder(), "q").tier == plain(ladder(), "q").tier == streamed(ladder(), "q").tier == "large"
    assert asyncio.run(Endpoint(ladder()).handle("POST", "/v1/chat/completions", {}, chat("q"))).status == 200


def test_replays_and_recordings_are_not_told(heard: list[Decision]) -> None:
    """What would have been decided is no decision."""
    recording = asyncio.run(record(ladder(), Request.of("q")))
    assert replay(ladder(), recording).tier == "large"
    assert heard == []


def test_a_listener_that_fails_harms_nobody(heard: list[Decision], caplog: pytest.LogCaptureFixture) -> None:
    """Its error is logged by name, without its words, and the others hear all the same."""

    def fail(_: Event) -> None:
        raise ValueError("sk-secret")

    events = Events()
    ends = [events.subscribe(fail), events.subscribe(heard.append)]  # type: ignore[arg-type] # decisions alone here
    event = Decision("dispatch", "small", 0.0, 0.1)
    events.tell(event)
    assert heard == [event] and "ValueError" in caplog.text and "sk-secret" not in caplog.text
    for end in (*ends, *ends):  # ending twice is ending once
        end()
    assert events.listeners == ()


def test_the_endpoint_of_an_sdks_client_tells(heard: list[Decision]) -> None:
    """What is asked in process, in a provider's words, is told once, with the name that was asked for."""
    endpoint = Endpoint({"chat": ladder()})
    asyncio.run(endpoint.handle("POST", "/v1/chat/completions", {}, chat("q", model="chat")))
    asyncio.run(endpoint.handle("POST", "/v1/chat/completions", {}, b"{}"))  # nothing was asked
    (event,) = heard
    assert (event.cascade, event.model, event.status, event.by) == ("chat", "chat", 200, "large")


def test_the_gateway_tells_of_every_request_once(heard: list[Decision]) -> None:
    """Answers, mistakes and requests that are turned away alike: one decision each, with its status and its path."""

    async def scenario() -> None:
        async with serving(ladder()) as running, client_of(running.port) as client:
            trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
            await client.ask("POST", "/v1/chat/completions", chat("q"), trace)
            await client.ask("POST", "/v1/chat/completions", b"{}")
            await client.ask("GET", "/made/up/by/the/client")

    asyncio.run(scenario())
    first, second, third = heard
    assert (first.layer, first.by, first.status, first.path) == ("dispatch", "large", 200, "/v1/chat/completions")
    assert first.parent.endswith("-01") and first.method == "POST" and first.id
    assert (second.layer, second.by, second.answer) == ("match", "400", None)
    assert (third.status, third.path, third.target) == (404, "other", "/made/up/by/the/client")


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/ask":
        await ladder(name="inner").run("q")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def test_the_middleware_tells_once_also_where_the_app_asks_a_cascade(heard: list[Decision]) -> None:
    """A cascade's decision within a request is that request's, with its status; else the route that answered is."""
    app = CascadeMiddleware(_app, router={"/ask": 1, "/users/{id}": 2}, keys=KeyRing(), public=["/ask", "/users/*"])

    async def scenario() -> None:
        for path in ("/ask", "/users/7", "/private"):
            await ask(app, path)

    asyncio.run(scenario())
    inner, routed, refused = heard
    assert (inner.layer, inner.by, inner.cascade, inner.status, inner.path) == (
        "dispatch",
        "large",
        "inner",
        200,
        "/ask",
    )
    assert (routed.layer, routed.by, routed.path, routed.target) == ("match", "prefix", "/users/{id}", "/users/7")
    assert (refused.layer, refused.by, refused.path) == ("guard", "401", "")


def test_the_wsgi_twin_tells_alike(heard: list[Decision]) -> None:
    """Plain apps are told of as the others are."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        ladder(name="inner").run_sync("q")
        start_response("200 OK", [])
        return [b"ok"]

    outer = WsgiMiddleware(app)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/x", "REMOTE_ADDR": "1.2.3.4", "wsgi.url_scheme": "http"}
    result = outer(environ, lambda *_: lambda _: None)
    assert b"".join(result) == b"ok"
    close = getattr(result, "close", None)
    if close is not None:
        close()
    (event,) = heard
    assert (event.layer, event.cascade, event.status) == ("dispatch", "inner", 200)


@pytest.mark.parametrize(
    ("via", "ticket", "layer"),
    [
        ("", "", ("dispatch", "small")),
        ("cache", "", ("cache", "kept")),
        ("joined", "", ("cache", "joined")),
        ("semantic", "", ("cache", "semantic")),
        ("region", "", ("fallback", "region")),
        ("stale", "", ("fallback", "stale")),
        ("static", "", ("fallback", "static")),
        ("static", "rv_1", ("fallback", "review")),
    ],
)
def test_every_way_of_an_answer_has_its_layer(via: Via, ticket: str, layer: tuple[str, str]) -> None:
    """L1, L4 and L5 are told apart by how an answer came."""
    answer = Answer(Reply((Text("x"),)), Request.of("q"), "small", via=via, ticket=ticket)
    assert layer_of(answer) == layer


def test_the_baseline_is_what_the_last_tier_alone_costs() -> None:
    """Its own call where it was asked; else its price for the tokens of the answer; nothing where nothing was said."""
    cascade = ladder()
    asked, easy = run(cascade, "q"), run(cascade, "easy")
    assert asked.cost_usd is not None and (baseline_usd(asked, cascade) or 0) < asked.cost_usd  # small was paid too
    assert easy.cost_usd is not None and baseline_usd(easy, cascade) == pytest.approx(10 * easy.cost_usd)
    assert baseline_usd(run(cascade, "unknown to both"), cascade) is None


def test_grades_reach_listeners_too() -> None:
    """A label is an event of its own kind: whoever counts decisions passes over it."""
    found: list[Event] = []
    end = told.subscribe(found.append)
    grade = Graded("small", 1.0, 0.0, propensity=0.1, source="judge")
    HUB.tell(grade)
    end()
    assert found == [grade]


def test_what_is_for_show_is_no_notice() -> None:
    """What fails in a playground is nothing that an operator need hear of; outside of it all is told as before."""
    found: list[notices.Notice] = []
    end = notices.subscribe(found.append)
    with notices.quiet():
        notices.notify("degraded", "the playground", "for show")
    notices.notify("degraded", "the cascade", "in earnest")
    end()
    assert [each.text for each in found] == ["in earnest"]
