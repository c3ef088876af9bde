"""`Direct` beside the SDK backends: the same bytes come to the same replies, pieces and failures, over the loopback."""

import asyncio
import gzip
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trustme

import test_backend_anthropic as its
import test_backend_anthropic_faults as its_faults
import test_backend_openai as ours
from fastcascade.backends.anthropic import Anthropic
from fastcascade.backends.backend import Backend, Streaming
from fastcascade.backends.direct import Direct
from fastcascade.backends.direct_schema import shape
from fastcascade.backends.openai import OpenAI
from fastcascade.errors import BackendError, ConfigError
from fastcascade.messages import Delta, Message, Reply, Request, Text
from wire import anthropic as claude
from wire import openai as gpt
from wire.server import Canned, Seen, WireServer

pytest.importorskip("anthropic")
pytest.importorskip("openai")
try:
    import uvloop
except ImportError:  # there is none for Windows
    uvloop = None  # type: ignore[assignment, unused-ignore]

KEY = "made-up-key-of-no-known-form"
HI = Request.of("Hi")
WORDS = ("anthropic", "openai")
Outcome = tuple[list[Delta], Any]


@pytest.fixture
def server() -> Iterator[WireServer]:
    """A server of this test's own."""
    with WireServer() as running:
        yield running


def direct(server: WireServer, wire: Any, **settings: Any) -> Direct:
    """What is tested. Its connections end with their loop."""
    url = server.url if wire == "anthropic" else f"{server.url}/v1"
    return Direct("small", **{"wire": wire, "base_url": url, "api_key": KEY, **settings})


def sdk(server: WireServer, wire: str, **settings: Any) -> Any:
    """What it is compared with."""
    if wire == "anthropic":
        return Anthropic("small", api_key=KEY, base_url=server.url, **settings)
    return OpenAI("small", api_key=KEY, base_url=f"{server.url}/v1", **settings)


def outcome(model: Any, request: Request, *, stream: bool, relay: bool = False) -> Outcome:
    """All that asking comes to: the pieces, and the reply or the failure. A relay is a stream poured on."""
    pieces: list[Delta] = []

    async def go() -> Any:
        if not stream:
            return await model.complete(request)
        if relay:
            return await model.stream(request).relay(pieces.extend)
        last: Any = None
        async for item in model.stream(request):
            if isinstance(item, Delta):
                pieces.append(item)
            else:
                last = item
        return last

    try:
        return pieces, asyncio.run(go())
    except BackendError as error:
        assert KEY not in f"{error!r} {error.failure}"
        assert error.__context__ is None  # it would hold the request, and with it the key
        return pieces, error.failure


def same(
    server: WireServer,
    wire: str,
    prepare: Callable[[], None],
    request: Request = HI,
    *,
    stream: bool,
    words: bool = False,
    **settings: Any,
) -> Any:
    """Ask both, ours by both its ways to stream; they come to the same. `words`: the messages of failures too."""
    results = []
    for make, relay in ((sdk, False), (direct, False), (direct, True)):
        server.clear()
        prepare()
        results.append(outcome(make(server, wire, **settings), request, stream=stream, relay=relay))
        assert len(server.seen) <= 1
    (pieces, was), (again, now), relayed = results
    assert again == pieces
    assert relayed[0] == again
    if isinstance(now, Reply):
        assert relayed[1] == now
    else:
        assert (relayed[1].kind, relayed[1].status, relayed[1].message) == (now.kind, now.status, now.message)
    if isinstance(was, Reply):
        assert now == was
    else:
        assert not isinstance(now, Reply), now
        seen = ("kind", "status", "retry_after", "request_id", *(["message"] if words else []))
        assert [getattr(now, name) for name in seen] == [getattr(was, name) for name in seen], (was, now)
        assert now.message
    return now


REQUESTS: list[Request] = [
    HI,
    Request.of("Hi", max_tokens=9, stop=("END",), temperature=0.5, top_p=0.5, seed=3, thinking=2000),
    Request.of("Hi", system="Be brief", tools=its.SENT[5][1]["tools"], tool_choice="any"),
    Request.of("Hi é 漢", schema=its.OBJECT),
    Request.of("Hi", schema={"type": "object", "additionalProperties": {"type": "string"}}),
    Request.of("Hi", logprobs=3, options={"openai": {"service_tier": "flex", "metadata": {"a": None}}}),
    Request.of("Hi", options={"anthropic": {"service_tier": "auto", "extra_headers": {"anthropic-beta": "new"}}}),
    Request.of("Hi", options={"anthropic": {"extra_headers": {"Anthropic-Version": "2024-01-01"}}}),
    Request((Message("user", (Text("\ud83d\ude00"),)), Message("user", (Text("?"),)))),
    *(Request((Message("user", (block,)),)) for block, _ in its.UNSAYABLE),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WORDS)
@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_the_same_is_sent(server: WireServer, wire: str, number: int, stream: bool) -> None:
    """What the server sees of a request is what it sees from the SDK: path, body, key and headers that matter."""
    seen = []
    for make in (sdk, direct):
        server.clear()
        if stream:
            server.stream(claude.frames(claude.message([])) if wire == "anthropic" else gpt.frames(gpt.completion("x")))
        else:
            server.reply(body=claude.message([]) if wire == "anthropic" else gpt.completion("x"))
        _, came = outcome(make(server, wire), REQUESTS[number], stream=stream)
        named = ("authorization", "anthropic-version", "anthropic-beta", "content-type")
        wired = [(each.path, each.body, [each.headers.get(name) for name in named]) for each in server.seen]
        seen.append((wired, came if isinstance(came, Reply) else came.kind))
    assert seen[1] == seen[0]


SCHEMAS: list[dict[str, Any]] = [
    its.OBJECT,
    {"$ref": "#/$defs/A", "$defs": {"A": {"type": "integer", "minimum": 1, "description": "One", "title": "A"}}},
    {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "odd"}]},
    {"oneOf": [{"type": "null"}, {"enum": [1, "a", None]}]},
    {"allOf": [{"const": 7}], "description": "Seven"},
    {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 3},
    {"type": "array", "minItems": 2},
    {"type": "string", "enum": ["a", "b"], "x": 1},
    {"enum": [[1]], "type": "array"},
    {"not": {"type": "string"}},
    {"type": ["string", "null"]},
    {"type": "odd"},
    {"type": "string", "format": ""},
    {},
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_schemas_are_shaped_as_by_the_sdk(schema: dict[str, Any]) -> None:
    """A schema comes to the very form that the SDK gives it, or is refused as there."""
    import anthropic  # noqa: PLC0415 - for this test alone

    try:
        expected = anthropic.transform_schema(schema)
    except Exception:  # noqa: BLE001 - whatever it raises there
        with pytest.raises((ValueError, TypeError, AttributeError)):
            shape(schema)
    else:
        assert shape(schema) == expected


WHOLE = claude.message(
    [
        claude.thinking("Let me see", "sig"),
        claude.redacted("opaque"),
        claude.text("It is so: é 漢 😀", citations=[{"type": "char_location", "cited_text": "so"}]),
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "so"}},
        claude.tool_use("toolu_1", "find", {"n": 1}, caller={"type": "direct"}),
        claude.tool_use("toolu_2", "list", {}),
    ],
    "tool_use",
    {"cache_creation_input_tokens": 5, "cache_read_input_tokens": 100, "output_tokens_details": {"thinking_tokens": 7}},
)
COMPLETION = gpt.completion(
    "Héllo 漢",
    "tool_calls",
    calls=[gpt.tool_call("c1", "find", '{"n": 1}'), gpt.tool_call("c2", "list", "")],
    tokens=[gpt.token("Héllo", top=[("Hello", -2.0)]), gpt.token(" 漢")],
    reasoning_content="Hm",
)


def by_twos(said: str) -> list[str]:
    """A text in pieces of two characters."""
    return [said[at : at + 2] for at in range(0, len(said), 2)]


@pytest.mark.parametrize("fault", [None, "slow"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WORDS)
def test_replies_are_the_same(server: WireServer, wire: str, stream: bool, fault: Any) -> None:
    """Blocks, pieces, usage, log-probabilities and ids are the SDK backend's, even if each byte comes alone."""
    said: Any = WHOLE if wire == "anthropic" else COMPLETION
    frames = claude.frames(WHOLE, by_twos) if wire == "anthropic" else gpt.frames(COMPLETION, by_twos)
    name = {"request-id": "req_1", "x-request-id": "req_1"}
    for split in (False, True):
        events = [b"".join(frames)] if split else frames

        def prepare(events: list[bytes] = events) -> None:
            server.stream(events, fault, headers=name) if stream else server.reply(body=said, headers=name, fault=fault)

        reply = same(server, wire, prepare, stream=stream)
        assert reply.id.startswith(("req_1", "chatcmpl")) and reply.usage is not None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", its_faults.STATUSES)
def test_refusals_by_anthropic(server: WireServer, case: Any, stream: bool) -> None:
    """Every status comes to the failure that the SDK backend makes of it, word for word."""
    status, kind, headers, *_ = case
    body = claude.error(kind, f"not with {KEY}")
    same(
        server,
        "anthropic",
        lambda: server.reply(status, body, {"request-id": "r", **headers}),
        stream=stream,
        words=True,
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", ours.REFUSED)
def test_refusals_by_openai(server: WireServer, case: Any, stream: bool) -> None:
    """Every status, and every error inside a 200, comes to the failure that the SDK backend makes of it."""
    status, body, headers, wanted = case
    same(server, "openai", lambda: server.reply(status, body, headers), stream=stream, words=wanted[4] is not None)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("code", ["content_filter", "invalid_prompt"])
def test_a_model_that_refuses_has_replied(server: WireServer, code: str, stream: bool) -> None:
    """A refusal of the content is a reply, as with the SDK."""
    body = gpt.error(f"no: {KEY}", "invalid_request_error", code)
    reply = same(server, "openai", lambda: server.reply(400, body, {"x-request-id": "r"}), stream=stream)
    assert reply.stop == "refusal" and KEY not in repr(reply)


BODIES: list[Any] = [
    claude.error("overloaded_error"), claude.error("api_error"), {"type": "error"}, b"<html>down</html>", b"",
    b"\xff\xfe{", b"[" * 100_000, [], {"type": "message"}, claude.message(["x"]),  # type: ignore[list-item]
    claude.message([{"type": "text"}]), claude.message([], None), claude.message([], usage={"input_tokens": "12"}),
]  # fmt: skip
UNREADABLE = [*(("openai", body) for body in ours.UNREADABLE), *(("anthropic", body) for body in BODIES)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("wire", "body"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_cannot_be_read(server: WireServer, wire: str, body: Any, stream: bool) -> None:
    """A body that makes no sense is the failure that the SDK backend makes of it."""
    same(server, wire, lambda: server.reply(body=body), stream=stream)


SENSELESS: list[tuple[str, Sequence[bytes], Any, int]] = [
    *(("anthropic", [each if isinstance(each, bytes) else claude.event(each) for each in events], None, 0)
      for events, _ in its_faults.MALFORMED),
    *(("anthropic", its_faults.HELLO, fault, at) for fault in ("cut", "reset", "drop_end", "garble") for at in (0, 3)),
    *(("openai", events, fault, at) for _, events, fault, at, *_ in ours.STREAMS),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "events", "fault", "at"), SENSELESS, ids=range(len(SENSELESS)))
def test_broken_streams(server: WireServer, wire: str, events: Sequence[bytes], fault: Any, at: int) -> None:
    """However a stream breaks, the pieces before the break and the failure are the SDK backend's."""
    headers = {"request-id": "r", "x-request-id": "r"}
    same(server, wire, lambda: server.stream(events, fault, at, headers), stream=True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WORDS)
@pytest.mark.parametrize("fault", ["cut", "reset", "stall"])
def test_broken_bodies(server: WireServer, wire: str, fault: Any, stream: bool) -> None:
    """A body that breaks off, or does not come in time, is the failure that the SDK backend makes of it."""
    same(server, wire, lambda: server.reply(body=claude.message([]), fault=fault), stream=stream, timeout=0.2)


@pytest.mark.parametrize("wire", WORDS)
def test_no_one_there(wire: Any) -> None:
    """Where nothing listens, or no such name is known, the failure is one of connection."""
    with WireServer() as gone:
        url = gone.url
    for where in (url, "http://nobody.invalid"):
        for stream in (False, True):
            _, failure = outcome(Direct("m", wire=wire, base_url=where, api_key=KEY), HI, stream=stream)
            assert failure.kind == "connection" and failure.message


@pytest.mark.parametrize("wire", WORDS)
@pytest.mark.parametrize("way", ["whole", "stream", "within", "leave"])
def test_to_give_up_hangs_up(server: WireServer, wire: str, way: str) -> None:
    """A call that is cancelled before or within its answer, and a stream that is left, are seen by the server."""
    asked = Event()
    events = claude.frames(claude.message([claude.text("Hi")])) if wire == "anthropic" else ours.HELLO
    canned = Canned.streamed(events, "stall", 4 if wire == "anthropic" else 2)

    def stall(_: Seen) -> Canned:
        asked.set()
        return Canned.plain(fault="stall") if way in ("whole", "stream") else canned

    async def go() -> None:
        server.handler = stall
        model = direct(server, wire)
        stream: Any = model.stream(HI)
        if way in ("within", "leave"):
            assert (await anext(stream)).text
        if way == "leave":
            await stream.aclose()
        else:
            task = asyncio.ensure_future(model.complete(HI) if way == "whole" else anext(stream))
            await asyncio.to_thread(asked.wait, 10)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await asyncio.to_thread(server.gone.wait, 10)

    asyncio.run(go())


@pytest.mark.parametrize("wire", WORDS)
def test_connections_are_kept(server: WireServer, wire: str) -> None:
    """Calls of one loop share a connection, streams and refusals too; another loop has its own."""
    model = direct(server, wire)
    said: Any = claude.message([]) if wire == "anthropic" else gpt.completion("x")
    frames = claude.frames(said) if wire == "anthropic" else gpt.frames(said)

    async def calls() -> None:
        for _ in range(2):
            server.reply(body=said)
            await model.complete(HI)
            server.stream(frames)
            assert [item async for item in model.stream(HI)]
            server.reply(429, {"error": {"message": "slow down"}})
            with pytest.raises(BackendError, match="slow down"):
                await model.complete(HI)

    async def closed() -> None:
        await calls()
        await model.aclose()
        await calls()

    asyncio.run(calls())
    assert server.connections == 1
    asyncio.run(closed())
    assert server.connections == 3


@asynccontextmanager
async def raw(answer: Callable[[bytes], bytes], *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that answers each request with raw bytes, and then hangs up where these end with no length."""
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                said = answer(head + await reader.readexactly(size))
                writer.write(said)
                if b"close" in said[:200] or b"content-length" not in said[:200]:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}"
    finally:
        listening.close()
        for writer in writers:
            writer.transport.abort()
        await listening.wait_closed()


def response(body: bytes, *more: str) -> bytes:
    """A response with a body of that length."""
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", "content-type: application/json", *more, "", ""]
    return "\r\n".join(lines).encode() + body


OK = b'{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}],"model":"m"}'
ODD: list[tuple[bytes, str]] = [
    (response(OK), ""),
    (response(OK, "connection: close"), ""),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + response(OK), ""),
    (b"HTTP/1.0 200 OK\r\n\r\n" + OK, ""),
    (b"HTTP/1.1 200 OK\r\n\r\n" + OK, ""),
    (b"HTTP/1.1 200 OK\n\n" + OK, ""),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x;x=y\r\n%s\r\n0\r\na: b\r\n\r\n" % (len(OK), OK), ""),
    (response(gzip.compress(OK), "content-encoding: gzip"), ""),
    (response(gzip.compress(OK)[:-3], "content-encoding: gzip"), "connection"),
    (response(OK, "content-encoding: gzip"), "connection"),
    (response(OK, "content-encoding: br"), "connection"),
    (response(OK, f"content-length: {len(OK)}"), ""),
    (response(OK, "content-length: 1"), "connection"),
    (response(OK, "transfer-encoding: gzip, chunked"), "connection"),
    (response(OK, "bad header"), "connection"),
    (response(OK, "bad : header"), "connection"),
    (response(OK, "a: b\r\n folded"), "connection"),
    (response(OK, "x: " + "y" * 70_000), "connection"),
    (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "connection"),
    (b"\x15\x03\x01\x00\x02\x02\x50", "connection"),
    (b"HTTP/1.1 101 Switching\r\n\r\n", "connection"),
    (b"", "connection"),
    (b"HTTP/1.1 200 OK\r\ncontent-", "connection"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n", "connection"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxx\r\n", "connection"),
    (b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", "server"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", "malformed"),
]


@pytest.mark.parametrize(("said", "kind"), ODD, ids=range(len(ODD)))
def test_odd_servers(said: bytes, kind: str) -> None:
    """All that HTTP/1.1 allows is read, and what it does not is a failure, not a guess."""

    async def go() -> Any:
        async with raw(lambda _: said) as url:
            model = Direct("m", wire="openai", base_url=url, api_key=KEY)
            try:
                return (await model.complete(HI)).text
            except BackendError as error:
                return error.failure
            finally:
                await model.aclose()

    result = asyncio.run(go())
    assert result == "ok" if not kind else result.kind == kind, result


def test_what_nobody_asked_for_is_nobodys_answer() -> None:
    """Bytes behind a response end its connection, so that they are never taken for the next response."""
    other = OK.replace(b'"ok"', b'"another\'s"')

    async def go() -> None:
        async with raw(lambda _: response(OK) + response(other)) as url:
            model = Direct("m", wire="openai", base_url=url, api_key=KEY)
            assert [(await model.complete(HI)).text for _ in range(3)] == ["ok"] * 3
            await model.aclose()

    asyncio.run(go())


def test_servers_that_do_not_keep_connections() -> None:
    """A server that hangs up after each answer is asked on a new connection each time."""

    async def go() -> None:
        async with raw(lambda _: b"HTTP/1.1 200 OK\r\n\r\n" + OK) as url:
            model = Direct("m", wire="openai", base_url=url, api_key=KEY)
            assert [(await model.complete(HI)).text for _ in range(5)] == ["ok"] * 5
            await model.aclose()

    asyncio.run(go())


def test_many_at_once_within_the_limit(server: WireServer) -> None:
    """Two hundred calls at once each get their own answer, on no more connections than were allowed."""
    server.handler = lambda seen: Canned.plain(body=gpt.completion(seen.body["messages"][0]["content"]))

    async def go() -> list[str]:
        model = direct(server, "openai", connections=20)
        replies = await asyncio.gather(*(model.complete(Request.of(f"number {number}")) for number in range(200)))
        return [reply.text for reply in replies]

    assert asyncio.run(go()) == [f"number {number}" for number in range(200)]
    assert server.connections <= 20


def test_no_place_is_a_failure_of_its_own(server: WireServer) -> None:
    """Who finds no connection in time is told that all were in use, and a place that is given up goes to the next."""
    server.reply(fault="stall")

    async def go() -> None:
        model = direct(server, "openai", connections=1, timeout=0.2)
        first, second = (asyncio.ensure_future(model.complete(HI)) for _ in range(2))
        failures = await asyncio.gather(first, second, return_exceptions=True)
        assert sorted(each.failure.kind for each in failures if isinstance(each, BackendError)) == ["full", "timeout"]
        server.reply(body=gpt.completion("ok"))
        assert (await model.complete(HI)).text == "ok"

    asyncio.run(go())


def test_a_slow_drip_ends_at_the_deadline() -> None:
    """A stream that drips is not ended by the wait for each read, and is by whoever has a deadline."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        while not writer.is_closing():
            writer.write(b":\n")
            await asyncio.sleep(0.01)
        left.set()

    left = asyncio.Event()

    async def go() -> None:
        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        model = Direct("m", wire="openai", base_url=url, api_key=KEY, timeout=0.1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(model.stream(HI))
        await left.wait()
        listening.close()
        await model.aclose()

    asyncio.run(go())


@pytest.mark.parametrize("stream", [False, True])
def test_lines_of_a_megabyte(server: WireServer, stream: bool) -> None:
    """An answer whose text is one line of a megabyte comes whole."""
    said = gpt.completion("x" * 1_000_000)
    reply = same(
        server, "openai", lambda: server.stream(gpt.frames(said)) if stream else server.reply(body=said), stream=stream
    )
    assert len(reply.text) == 1_000_000


LOOPS: list[Any] = [asyncio.run, *(getattr(uvloop, name) for name in ("run",) if hasattr(uvloop, name))]


@pytest.mark.parametrize("run", LOOPS)
def test_every_event_loop(server: WireServer, run: Any) -> None:
    """Whole, streamed and given up, it does on the gateway's own loop what it does on asyncio's."""

    async def go() -> None:
        model = direct(server, "openai")
        for _ in range(2):
            server.reply(body=gpt.completion("ok"))
            assert (await model.complete(HI)).text == "ok"
            server.stream(gpt.frames(gpt.completion("ok")))
            assert [item async for item in model.stream(HI)][-1].text == "ok"
        assert server.connections == 1
        server.reply(fault="stall")
        task = asyncio.ensure_future(model.complete(HI))
        while len(server.seen) < 5:  # noqa: ASYNC110 - it is seen in another thread
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.gone.wait, 10)
        await model.aclose()

    run(go())


@pytest.mark.parametrize("run", LOOPS)
def test_tls(tmp_path: Path, run: Any) -> None:
    """A certificate that is trusted is; one that is not, or is another's, is a failed connection."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))

    async def go() -> None:
        async with raw(lambda _: response(OK), tls=context) as url:
            model = Direct("m", wire="openai", base_url=url, api_key=KEY, ca=trusted)
            assert [(await model.complete(HI)).text for _ in range(2)] == ["ok", "ok"]
            await model.aclose()
            for where, ca in ((url, None), (url.replace("localhost", "127.0.0.1"), trusted)):
                other = Direct("m", wire="openai", base_url=where, api_key=KEY, ca=ca)
                with pytest.raises(BackendError, match=r"(?i)certificate") as caught:
                    await other.complete(HI)
                assert caught.value.failure.kind == "connection"

    run(go())


def test_probing(server: WireServer) -> None:
    """Any answer short of the server's own failure is a sign of life."""
    for wire in WORDS:
        model = direct(server, wire)
        for status in (200, 401, 404):
            server.reply(status, {})
            asyncio.run(model.probe())
        server.reply(503, {"error": {"message": "down"}})
        with pytest.raises(BackendError, match="down"):
            asyncio.run(model.probe())
        assert server.seen[-1].method == "GET" and server.seen[-1].body is None


SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "name"),
    ({"wire": "soap"}, "soap"),
    ({"timeout": 0}, "timeout"),
    ({"connections": 0}, "connections"),
    ({"max_tokens": 5}, "max_tokens"),
    ({"classic": True}, "classic"),
    ({"wire": "anthropic", "logprobs": True}, "logprobs"),
    ({"api_key": f"{KEY}\n"}, "api_key"),
    ({"api_key": None}, "OPENAI_API_KEY"),
    ({"base_url": "ftp://x"}, "base_url"),
    ({"base_url": "http://x/a b"}, "base_url"),
    ({"headers": {"content-length": "5"}}, "content-length"),
    ({"headers": {"x": f"{KEY}\r\ny: z"}}, "'x'"),
    ({"ca": "no such file"}, "no such file"),
]


@pytest.mark.parametrize(("settings", "named"), SETTINGS, ids=[each for _, each in SETTINGS])
def test_bad_settings(monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], named: str) -> None:
    """Settings that cannot work are found when it is built, by name, and the key is not repeated."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=named) as caught:
        Direct(**{"model": "m", "wire": "openai", "api_key": KEY, **settings})
    assert KEY not in str(caught.value)


def test_the_key_goes_where_it_belongs(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's key is not sent to other endpoints, headers are, and a repr shows neither."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    server.reply(body=gpt.completion("ok"))
    model = direct(server, "openai", api_key=None, headers={"X-Token": "swordfish"}, organization="org-1")
    assert isinstance(outcome(model, HI, stream=False)[1], Reply)
    told = server.seen[-1].headers
    assert "authorization" not in told
    assert (told["x-token"], told["openai-organization"]) == ("swordfish", "org-1")
    server.reply(403, gpt.error("bad word: swordfish"))
    assert outcome(model, HI, stream=False)[1].message == "403: bad word: [removed]"
    assert "swordfish" not in repr(model) and "environment" not in repr(Direct("m", wire="openai"))


def test_a_header_of_a_request_cannot_make_another(server: WireServer) -> None:
    """A header that would end its line, or frame the body anew, is refused before anything is sent."""
    for name, value in (("x", "a\r\n\r\nGET / HTTP/1.1"), ("content-length", "0"), ("x y", "z")):
        request = Request.of("Hi", options={"anthropic": {"extra_headers": {name: value}}})
        assert outcome(direct(server, "anthropic"), request, stream=False)[1].kind == "unsupported"
    assert server.seen == []


def test_it_is_a_backend_without_an_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has what a cascade asks of a backend, and it needs neither SDK."""
    for name in ("anthropic", "openai", "httpx2"):
        monkeypatch.setitem(sys.modules, name, None)
    model: Backend = Direct("m", wire="anthropic", api_key=KEY)
    assert isinstance(model, Streaming)
    assert (model.name, model.gives) == ("m", frozenset())
    assert Direct("m", wire="openai", api_key=KEY).gives == {"logprobs"}
