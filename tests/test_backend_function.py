"""Functions as backends: whatever a function may be and return."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.backends.backend import Backend, Instant, Streaming
from fastcascade.backends.function import Function
from fastcascade.errors import BackendError, ConfigError
from fastcascade.messages import Delta, Reply, Request, Text, Thinking, Token, ToolCall, Usage
from fastcascade.prices import Price

ASKED = Request.of("hello")
WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


def plain(request: Request) -> str:
    """A plain function."""
    return request.text.upper()


async def waits(request: Request) -> str:
    """An async function."""
    await asyncio.sleep(0)
    return request.text.upper()


def pieces(request: Request) -> Iterator[str]:
    """A generator."""
    yield "HEL"
    yield ""
    yield "LO"


async def flows(request: Request) -> AsyncIterator[str]:
    """An async generator."""
    for piece in ("HEL", "LO"):
        await asyncio.sleep(0)
        yield piece


class Thing:
    """An object that is called."""

    def __call__(self, request: Request) -> str:
        """Answer."""
        return request.text.upper()


class Patient:
    """An object that is called and waited for."""

    async def __call__(self, request: Request) -> str:
        """Answer."""
        return request.text.upper()

    async def method(self, request: Request) -> str:
        """Answer too."""
        return request.text.upper()


def hands_over(request: Request) -> Awaitable[str]:
    """A plain function that returns something to wait for."""
    return waits(request)


KINDS: list[tuple[str, Callable[[Request], Any]]] = [
    ("plain", plain),
    ("waits", waits),
    ("pieces", pieces),
    ("flows", flows),
    ("Thing", Thing()),
    ("Patient", Patient()),
    ("method", Patient().method),
    ("partial", partial(lambda end, request: request.text.upper()[:end], 5)),
    ("<lambda>", lambda _: ["HEL", "LO"]),
    ("<lambda>", lambda _: ("HELLO",)),
    ("<lambda>", lambda _: Reply("HELLO")),
    ("hands_over", hands_over),
]


def ask(backend: Function, request: Request = ASKED) -> Reply | None:
    """The whole reply."""
    return asyncio.run(backend.complete(request))


def stream(backend: Function, request: Request = ASKED) -> list[Delta | Reply | None]:
    """The reply piece by piece."""

    async def all_of_it() -> list[Delta | Reply | None]:
        return [each async for each in backend.stream(request)]

    return asyncio.run(all_of_it())


@pytest.mark.parametrize(("name", "function"), KINDS)
def test_any_function_will_do(name: str, function: Callable[[Request], Any]) -> None:
    """Plain, async, generators, objects: each answers whole and in pieces, under its own name."""
    backend = Function(function)
    assert backend.name == name
    reply = ask(backend)
    assert reply == Reply("HELLO", model=name)
    *deltas, last = stream(backend)
    assert last == reply
    assert "".join(delta.text for delta in deltas if isinstance(delta, Delta)) == "HELLO"
    assert len(deltas) == len([delta for delta in deltas if isinstance(delta, Delta) and delta.text])


@pytest.mark.parametrize("function", [lambda _: None, lambda _: asyncio.sleep(0)])
def test_no_answer_is_none(function: Callable[..., Any]) -> None:
    """None is no answer, not an empty one; as a stream it is None alone."""
    assert ask(Function(function)) is None
    assert stream(Function(function)) == [None]
    assert ask(Function(lambda _: "")) == Reply("", model="<lambda>")


@given(st.lists(st.text(max_size=5), max_size=6), st.booleans())
def test_a_stream_is_made_of_its_pieces(said: list[str], threaded: bool) -> None:
    """What is streamed joins to the whole reply, character for character, in order."""
    backend = Function(lambda _: iter(said), threaded=threaded)
    *deltas, reply = stream(backend)
    assert [delta.text for delta in deltas if isinstance(delta, Delta)] == [piece for piece in said if piece]
    assert reply == ask(backend) == Reply("".join(said), model="<lambda>")


WHOLE = Reply(
    (Thinking("hm"), Text("so"), ToolCall("1", "look", '{"a": 1}'), Text("then")),
    model="mine",
    logprobs=(Token("so", -0.1), Token("1", -0.2, tool=True)),
)


def test_a_reply_comes_through_whole() -> None:
    """A `Reply` is passed on as it is; its stream has a piece for each block, with its tokens."""
    backend = Function(lambda _: WHOLE, gives=frozenset({"logprobs"}))
    assert ask(backend) is WHOLE
    assert backend.gives == {"logprobs"}
    assert stream(backend) == [
        Delta("thinking", "hm", 0),
        Delta("text", "so", 1, tokens=(Token("so", -0.1),)),
        Delta("tool", '{"a": 1}', 2, "1", "look", (Token("1", -0.2, tool=True),)),
        Delta("text", "then", 3),
        WHOLE,
    ]


USED = Reply("x", model="m", usage=Usage(10, 10))
COSTS: list[tuple[str, Any, dict[str, Any], float | None]] = [
    ("a text", "x", {}, None),
    ("a text for nothing", "x", {"free": True}, 0.0),
    ("a reply", USED, {}, None),
    ("a reply for nothing", USED, {"free": True}, 0.0),
    ("a reply that says", Reply("x", cost_usd=0.5), {}, 0.5),
    ("a reply that says, for nothing", Reply("x", cost_usd=0.5), {"free": True}, 0.5),
    ("a reply with a price", USED, {"price": Price(1, 2)}, None),
]


@pytest.mark.parametrize(("why", "value", "settings", "cost"), COSTS, ids=[case[0] for case in COSTS])
def test_an_unsaid_cost_is_not_known(why: str, value: Any, settings: dict[str, Any], cost: float | None) -> None:
    """A function's cost is unknown unless it, or its reply, states it; a price is for the cascade to apply."""
    reply = ask(Function(lambda _: value, "f", **settings))
    assert reply is not None
    assert reply.cost_usd == cost


def test_what_it_is_said_to_cost() -> None:
    """Free is a price of zero; a price is kept; both at once make no sense."""
    assert Function(plain).price is None and not Function(plain).free
    assert Function(plain, free=True).price == Price(0, 0)
    assert Function(plain, price=Price(1, 2)).price == Price(1, 2)
    with pytest.raises(ConfigError, match="'plain' is free or has a price, not both"):
        Function(plain, price=Price(1, 2), free=True)


def where(request: Request) -> str:
    """Say where this runs, and for whom."""
    here = "here" if threading.current_thread() is threading.main_thread() else "thread"
    return f"{here} {WHO.get()}"


def where_in_pieces(request: Request) -> Iterator[str]:
    """Say it piece by piece."""
    yield where(request)


def test_a_plain_function_runs_in_a_thread_with_its_context() -> None:
    """It cannot hold up the loop, and finds the caller's context variables."""

    async def asked(function: Callable[[Request], Any], *, threaded: bool) -> str:
        WHO.set("ann")
        backend = Function(function, threaded=threaded)
        reply = await backend.complete(ASKED)
        *_, last = [each async for each in backend.stream(ASKED)]
        assert reply is not None and last == reply
        return reply.text

    for function in (where, where_in_pieces):
        assert asyncio.run(asked(function, threaded=True)) == "thread ann"
        assert asyncio.run(asked(function, threaded=False)) == "here ann"


def test_only_one_that_is_not_threaded_is_instant() -> None:
    """An instant backend answers with no loop; the others do not pass for one."""
    assert not isinstance(Function(plain), Instant)
    assert not isinstance(Function(waits), Instant)
    backend: Backend = Function(plain, threaded=False)
    assert isinstance(backend, Instant) and isinstance(backend, Streaming)
    assert backend.answer(ASKED) == Reply("HELLO", model="plain")
    assert Function(pieces, threaded=False).answer(ASKED) == Reply("HELLO", model="pieces")
    assert Function(lambda _: None, threaded=False).answer(ASKED) is None


def throws(error: Exception) -> list[Callable[[Request], Any]]:
    """Functions of every kind that raise, the generators after a piece."""

    def at_once(_request: Request) -> str:
        raise error

    async def late(_request: Request) -> str:
        await asyncio.sleep(0)
        raise error

    def between(_request: Request) -> Iterator[str]:
        yield "a"
        raise error

    async def adrift(_request: Request) -> AsyncIterator[str]:
        yield "a"
        raise error

    return [at_once, late, between, adrift]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize(
    ("error", "failure", "message"),
    [
        (ValueError("no such thing"), "bug", "ValueError: no such thing"),
        (TimeoutError(), "timeout", "TimeoutError: "),
        (BackendError("rate_limited", "later", retry_after=3.0), "rate_limited", "later"),
    ],
)
def test_what_it_raises_is_the_backends_failure(kind: int, error: Exception, failure: str, message: str) -> None:
    """A `BackendError` passes; anything else becomes one of kind bug that names it."""
    backend = Function(throws(error)[kind])
    for way in (ask, stream):
        with pytest.raises(BackendError) as caught:
            way(backend)
        assert (caught.value.failure.kind, caught.value.failure.message) == (failure, message)
        assert (caught.value is error) is isinstance(error, BackendError)


@pytest.mark.parametrize("threaded", [True, False])
def test_a_stop_iteration_does_not_hang(threaded: bool) -> None:
    """Even an exception that a loop cannot carry comes out as a failure."""
    backend = Function(throws(StopIteration(1))[0], threaded=threaded)
    with pytest.raises(BackendError, match="StopIteration: 1"):
        ask(backend)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: 3, "'f' returned int, not a text, a Reply, texts or None"),
        (lambda: {"text": "x"}, "'f' returned dict"),
        (lambda: b"x", "'f' returned bytes"),
        (lambda: {"x"}, "'f' returned set"),
        (lambda: ["x", 3], "'f' gave a piece of int, not a text"),
        (lambda: iter(["x", b"y"]), "'f' gave a piece of bytes"),
    ],
)
@pytest.mark.parametrize("threaded", [True, False])
def test_what_is_no_answer_is_said_to_be_none(value: Callable[[], Any], message: str, threaded: bool) -> None:
    """A value that is not an answer is a bug by name, never guessed at."""
    backend = Function(lambda _: value(), "f", threaded=threaded)
    ways: list[Callable[[Function], Any]] = [ask, stream]
    if not threaded:
        ways.append(lambda backend: backend.answer(ASKED))
    for way in ways:
        with pytest.raises(BackendError, match=message) as caught:
            way(backend)
        assert caught.value.failure.kind == "bug"


def test_an_instant_function_cannot_wait() -> None:
    """What would have to be waited for is refused: when built if it shows, else when it is asked."""
    for function in (waits, flows, Patient(), Patient().method, partial(waits)):
        with pytest.raises(ConfigError, match=r"is async and never runs in a thread; leave out threaded=False"):
            Function(function, threaded=False)
    with pytest.raises(BackendError, match="returned an awaitable, which threaded=False cannot wait for"):
        Function(hands_over, threaded=False).answer(ASKED)


def test_a_stream_given_up_ends_the_generator() -> None:
    """Whoever stops reading has the function's own clean-up run."""
    ended: list[str] = []

    def slow(_request: Request) -> Iterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            ended.append("plain")

    async def flow(_request: Request) -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            ended.append("async")

    async def read_one(function: Callable[[Request], Any]) -> None:
        replies = Function(function).stream(ASKED)
        async for _ in replies:
            break
        await replies.aclose()  # type: ignore[attr-defined] # it is a generator

    asyncio.run(read_one(slow))
    asyncio.run(read_one(flow))
    assert ended == ["plain", "async"]


def test_a_cancelled_call_is_given_up() -> None:
    """Cancelling ends the wait at once, in an async function and for a thread that goes on unheard."""
    release = threading.Event()

    def stuck(_request: Request) -> str:
        release.wait()
        return "late"

    async def stalls(_request: Request) -> str:
        await asyncio.Event().wait()
        return "never"

    async def give_up(function: Callable[[Request], Any]) -> bool:
        task = asyncio.create_task(Function(function).complete(ASKED))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        release.set()
        return task.cancelled()

    assert asyncio.run(give_up(stalls))
    assert asyncio.run(give_up(stuck))


def test_settings_that_cannot_work() -> None:
    """What cannot be called is no function; a name may be given."""
    with pytest.raises(ConfigError, match="needs a function of the request, not str"):
        Function("model")  # type: ignore[arg-type]
    assert Function(plain, "mine").name == "mine"
    assert repr(Function(plain, "mine")) == "Function('mine', price=None, threaded=True, free=False)"
