"""The Anthropic backend when something goes wrong: refusals, broken streams, streams that make no sense, hang-ups."""

import asyncio
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any

import pytest

from fastcascade.backends.anthropic import Anthropic
from fastcascade.messages import Delta, Opaque, Reply, Request, ToolCall
from wire.anthropic import MODEL, error, event, frames, message, text, tool_use
from wire.claude import KEY, Asked, backend, failed, streamed, whole
from wire.server import Canned, Seen, WireServer

pytest.importorskip("anthropic")

HELLO = frames(message([text("Hello, world")]), lambda said: [said[:5], said[5:]])
OPEN = {"type": "content_block_start", "index": 0, "content_block": text("")}
SAID = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}


@pytest.fixture
def server() -> Iterator[WireServer]:
    """A server of this test's own."""
    with WireServer() as running:
        yield running


STATUSES: list[tuple[int, str, dict[str, str], str, float | None]] = [
    (400, "invalid_request_error", {}, "bad_request", None),
    (401, "authentication_error", {}, "auth", None),
    (402, "billing_error", {}, "billing", None),
    (403, "permission_error", {}, "auth", None),
    (403, "billing_error", {}, "billing", None),
    (404, "not_found_error", {}, "not_found", None),
    (408, "timeout_error", {}, "timeout", None),
    (409, "conflict_error", {}, "conflict", None),
    (410, "not_found_error", {}, "not_found", None),
    (413, "request_too_large", {}, "bad_request", None),
    (429, "rate_limit_error", {"retry-after": "7"}, "rate_limited", 7.0),
    (500, "api_error", {"x-should-retry": "true"}, "server", None),
    (500, "overloaded_error", {}, "overloaded", None),
    (503, "api_error", {"retry-after-ms": "1500"}, "overloaded", 1.5),
    (504, "timeout_error", {}, "server", None),
    (529, "overloaded_error", {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, "overloaded", 0.0),
]


@pytest.mark.parametrize("ask", [whole, streamed])
@pytest.mark.parametrize("case", STATUSES)
def test_refusals(server: WireServer, ask: Asked, case: tuple[int, str, dict[str, str], str, float | None]) -> None:
    """A status comes to a failure that says what it means and how long to wait, after a single try."""
    status, kind, headers, expected, wait = case
    server.reply(status, error(kind, f"not with {KEY}"), {"request-id": "req_9", **headers})
    failure = failed(ask(backend(server), Request.of("Hi")))
    assert (failure.kind, failure.status, failure.retry_after) == (expected, status, wait)
    assert failure.request_id == "req_9" and failure.message.startswith("not with")
    assert len(server.seen) == 1


@pytest.mark.parametrize("ask", [whole, streamed])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (error("overloaded_error"), "overloaded"),
        (error("api_error"), "server"),
        (error("rate_limit_error"), "rate_limited"),
        ({"type": "error"}, "server"),
        (b"<html>down for maintenance</html>", "malformed"),
        (b"\xff\xfe{", "malformed"),
        (b"[" * 100_000, "malformed"),
        ([], "malformed"),
        ({"type": "message"}, "malformed"),
        (message(["text"]), "malformed"),  # type: ignore[list-item] # which is the point
        (message([{"type": "text"}]), "malformed"),
        (message([], None), "malformed"),
        (message([], usage={"input_tokens": "12"}), "malformed"),
    ],
)
def test_errors_inside_a_success(server: WireServer, ask: Asked, body: Any, expected: str) -> None:
    """A 200 that holds an error, or what cannot be read, is a failure, and never an empty reply."""
    server.reply(body=body)
    failure = failed(ask(backend(server), Request.of("Hi")))
    streaming_a_whole_message = ask is streamed and isinstance(body, dict) and body["type"] == "message"
    assert failure.kind == ("malformed" if streaming_a_whole_message else expected)


@pytest.mark.parametrize("at", [0, 3, len(HELLO) - 1])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [("cut", "cut"), ("reset", "cut"), ("drop_end", "cut"), ("garble", "malformed"), ("stall", "timeout")],
)
def test_broken_streams(server: WireServer, fault: Any, expected: str, at: int) -> None:
    """However a stream breaks off, what was said is given, then the failure, and no reply."""
    server.stream(HELLO, fault, at, {"request-id": "req_2"})
    items: list[object] = []

    async def read() -> None:
        async for item in backend(server, timeout=0.2).stream(Request.of("Hi")):
            items.append(item)  # noqa: PERF401 # what came before the failure is wanted too

    failure = failed(read())
    assert (failure.kind, failure.request_id) == (expected, "req_2")
    assert "".join(item.text for item in items if isinstance(item, Delta)) == ["", "", "Hello, world"][at // 3]
    assert not any(isinstance(item, Reply) for item in items)


@pytest.mark.parametrize(("fault", "expected"), [("cut", "cut"), ("reset", "cut"), ("stall", "timeout")])
def test_broken_bodies(server: WireServer, fault: Any, expected: str) -> None:
    """A reply whose body breaks off is a failure."""
    server.reply(body=message([text("Hello")]), fault=fault)
    assert failed(backend(server, timeout=0.2).complete(Request.of("Hi"))).kind == expected


def test_no_one_there() -> None:
    """Where nothing listens, the failure is one of connection, and names the reason."""
    with WireServer() as gone:
        url = gone.url
    for ask in (whole, streamed):
        failure = failed(ask(Anthropic(MODEL, api_key=KEY, base_url=url), Request.of("Hi")))
        assert failure.kind == "connection" and failure.message


MALFORMED: list[tuple[Sequence[Any], str]] = [
    ([b"event: message_start\ndata: {oops\n\n"], "malformed"),
    ([b'event: message_start\ndata: "\xff"\n\n'], "malformed"),
    ([b"event: message_start\ndata: []\n\n"], "malformed"),
    ([OPEN], "malformed"),
    ([HELLO[0], HELLO[0]], "malformed"),
    ([HELLO[0], SAID], "malformed"),
    ([HELLO[0], OPEN, OPEN], "malformed"),
    ([HELLO[0], OPEN, {**SAID, "index": 1}], "malformed"),
    ([HELLO[0], OPEN, {**SAID, "delta": {"type": "text_delta"}}], "malformed"),
    ([HELLO[0], OPEN, {**SAID, "delta": {"type": "thinking_delta", "thinking": "hm"}}], "malformed"),
    ([HELLO[0], OPEN, SAID, HELLO[-2], HELLO[-1]], "malformed"),
    ([HELLO[0], OPEN, HELLO[-3], HELLO[-1]], "malformed"),
    ([HELLO[0], OPEN, SAID, error("overloaded_error")], "overloaded"),
    ([HELLO[0], OPEN, SAID, error("api_error", KEY)], "server"),
    ([HELLO[0], event(error("overloaded_error"), "message_delta")], "overloaded"),
    ([b"event: error\ndata: it is all over\n\n"], "server"),
    ([], "cut"),
]


@pytest.mark.parametrize(("events", "expected"), MALFORMED)
def test_streams_that_make_no_sense(server: WireServer, events: Sequence[Any], expected: str) -> None:
    """A stream that breaks the API's rules, or says that it failed, is a failure of its own kind."""
    server.stream([each if isinstance(each, bytes) else event(each) for each in events])
    assert failed(streamed(backend(server), Request.of("Hi"))).kind == expected
    assert len(server.seen) == 1


def test_what_is_newer_than_this_is_carried(server: WireServer) -> None:
    """Events, blocks and deltas of kinds not known yet neither break a reply nor get lost."""
    new = {"type": "content_block_start", "index": 0, "content_block": {"type": "new", "said": None, "text": "a"}}
    more = {"type": "content_block_delta", "index": 0}
    grown = [
        {**more, "delta": {"type": "new_delta", "said": "x"}},
        {**more, "delta": {"type": "text_delta", "text": "b"}},
    ]
    ended = {"type": "content_block_stop", "index": 0}
    server.stream([HELLO[0], event({"type": "weather"}), *map(event, (new, *grown, ended)), *HELLO[-2:]])
    deltas, reply = asyncio.run(streamed(backend(server), Request.of("Hi")))
    assert [delta.block for delta in deltas] == list(reply.content)
    assert reply.content == (Opaque("anthropic", {"type": "new", "said": "x", "text": "ab"}),)


def test_arguments_that_were_cut_short_stay_so(server: WireServer) -> None:
    """A tool call that ran out of tokens comes back as far as the model wrote it, marked as cut short."""
    said = frames(message([tool_use("toolu_1", "find", {"n": 1})], "max_tokens"), lambda given: [given[:5]])
    server.stream(said)
    _, reply = asyncio.run(streamed(backend(server), Request.of("Hi")))
    assert (reply.stop, reply.content) == ("length", (ToolCall("toolu_1", "find", '{"n":'),))


@pytest.mark.parametrize("ask", [whole, streamed])
@pytest.mark.parametrize("canned", [Canned.plain(fault="stall"), Canned.streamed(HELLO, "stall", 3)])
def test_cancelling_ends_the_call(server: WireServer, ask: Asked, canned: Canned) -> None:
    """To cancel a call hangs up on the server, whichever way it was asked, and whether it has begun to answer."""
    asked = Event()

    def stall(_: Seen) -> Canned:
        asked.set()
        return canned

    async def cancel() -> None:
        server.handler = stall
        task = asyncio.create_task(ask(backend(server), Request.of("Hi")))
        assert await asyncio.to_thread(asked.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.gone.wait, 10)

    asyncio.run(cancel())


def test_leaving_a_stream_ends_the_call(server: WireServer) -> None:
    """To close a stream early hangs up on the server; what came before had come at once."""
    server.stream(HELLO, "stall", 4)

    async def leave() -> None:
        stream = backend(server).stream(Request.of("Hi"))
        assert await anext(stream) == Delta("text", "Hello")
        await stream.aclose()  # type: ignore[attr-defined] # a generator
        assert await asyncio.to_thread(server.gone.wait, 10)

    asyncio.run(leave())
