"""Pass-through: bytes as they are, no credential either way, usage on the side; on real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from fastcascade.errors import ConfigError, WireError
from fastcascade.gateway.keys import new_secret
from fastcascade.gateway.passthrough import Passthrough
from fastcascade.gateway.passthrough_headers import query
from fastcascade.gateway.passthrough_usage import once, peek
from fastcascade.messages import Usage
from fastcascade.prices import Price
from fastcascade.wire.endpoint import Caller, Done, Response
from wire import anthropic as claude
from wire import openai as gpt
from wire.server import Fault, WireServer

KEY = "provider-key-of-no-known-form"
CALLERS = "gateway-credential-of-the-caller"
SENT = {
    "host": "gateway.test",
    "authorization": f"Bearer {CALLERS}",
    "x-api-key": CALLERS,
    "api-key": CALLERS,
    "cookie": f"session={CALLERS}",
    "proxy-authorization": CALLERS,
    "x-goog-api-key": CALLERS,
    "x-our-pass": CALLERS,
    "connection": "keep-alive, x-hop",
    "x-hop": "1",
    "te": "trailers",
    "transfer-encoding": "chunked",
    "content-length": "999",
    "accept-encoding": "br",
    "x-forwarded-for": "10.0.0.1",
    "x-cascade-customer": "acme",
    "openai-organization": "theirs",
    "content-type": "application/json",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "new",
    "idempotency-key": "once",
    "x-request-id": "req-7",
    "user-agent": "me/1",
}
PATHS = {"anthropic": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
WHOLE: dict[str, Any] = {
    "anthropic": claude.message([claude.text("Hi")], usage={"cache_read_input_tokens": 8}),
    "chat": gpt.completion("Hi"),
    "responses": {
        "id": "resp_1",
        "model": gpt.MODEL,
        "output": [],
        "usage": {
            "input_tokens": 12,
            "output_tokens": 34,
            "input_tokens_details": {"cached_tokens": 8},
            "output_tokens_details": {"reasoning_tokens": 2},
        },
    },
}
USED = {
    "anthropic": Usage(20, 34, 8),
    "chat": Usage(12, 34),
    "responses": Usage(12, 34, 8, 0, 2),
}


def by_twos(said: str) -> list[str]:
    """A text in pieces."""
    return [said[at : at + 2] for at in range(0, len(said), 2)]


STREAMS: dict[str, list[bytes]] = {
    "anthropic": claude.frames(WHOLE["anthropic"], by_twos),
    "chat": gpt.frames(WHOLE["chat"], by_twos),
    "responses": [
        claude.event({"type": "response.created", "response": {"id": "resp_1", "model": gpt.MODEL, "usage": None}}),
        claude.event({"type": "response.output_text.delta", "delta": "Hi"}),
        claude.event({"type": "response.completed", "response": WHOLE["responses"]}),
    ],
}


@pytest.fixture
def server() -> Iterator[WireServer]:
    """A provider of this test's own."""
    with WireServer() as running:
        yield running


@pytest.fixture
def told() -> list[Done]:
    """What was told of requests."""
    return []


def made(server: WireServer, words: str, told: list[Done], **settings: Any) -> Passthrough:
    """What is tested."""
    wire: Any = "anthropic" if words == "anthropic" else "openai"
    url = server.url if words == "anthropic" else f"{server.url}/v1"
    settings = {"on_done": told.append, "price": Price(1.0, 2.0), "credentials": ("X-Our-Pass",), **settings}
    return Passthrough(url, KEY, wire, **settings)


def body_of(model: str = "m", **more: Any) -> bytes:
    """A body, with bytes that would not survive being read and written again."""
    return (
        b'{ "model":'
        + json.dumps(model).encode()
        + b', "x": 1.00,  "y":"\\u00e9", '
        + json.dumps({**more, "z": 1}).encode()[1:]
    )


async def all_of(response: Response) -> bytes:
    """All that is answered."""
    if response.body is not None:
        return response.body
    pieces: AsyncIterator[bytes] | None = response.pieces
    assert pieces is not None
    return b"".join([piece async for piece in pieces])


def asked(
    through: Passthrough, words: str, body: bytes, headers: dict[str, str] | None = None, **more: Any
) -> tuple[Response, bytes]:
    """Ask once."""

    async def go() -> tuple[Response, bytes]:
        path = more.pop("path", PATHS[words])
        response = await through.handle(
            more.pop("method", "POST"), path, SENT if headers is None else headers, body, **more
        )
        return response, await all_of(response)

    return asyncio.run(go())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("words", PATHS)
def test_bytes_go_through(server: WireServer, told: list[Done], words: str, stream: bool) -> None:
    """The body goes on and the answer comes back byte by byte, and what it used and cost is told once."""
    headers = {"x-request-id": "theirs", "retry-after": "1", "anthropic-ratelimit-requests-limit": "5"}
    seen: list[bytes] = []
    if stream:
        server.stream(STREAMS[words], headers=headers)
        expected = b"".join(STREAMS[words])
    else:
        server.reply(body=WHOLE[words], headers=headers)
        expected = json.dumps(WHOLE[words], ensure_ascii=False).encode()
    body = body_of(stream=stream, input="Hi")
    response, came = asked(made(server, words, told), words, body)
    seen.append(came)
    assert (response.status, came) == (200, expected)
    assert server.seen[0].path == PATHS[words]
    assert server.seen[0].headers["content-length"] == str(len(body))
    assert dict(response.headers) | headers == dict(response.headers)
    (done,) = told
    assert (done.status, done.failure, done.asked.stream, done.asked.model) == (200, "", stream, "m")
    assert done.answer is not None and done.answer.usage == USED[words]
    assert done.answer.cost_usd == pytest.approx(Price(1.0, 2.0).cost(USED[words]))
    assert (done.asked.request.customer, done.asked.request.id) == ("acme", "req-7")


@pytest.mark.parametrize("headers", [{}, {"request-id": "theirs"}, {"x-request-id": "theirs"}])
@pytest.mark.parametrize("words", PATHS)
def test_an_answer_has_the_ids_that_sdks_look_for(
    server: WireServer, told: list[Done], words: str, headers: dict[str, str]
) -> None:
    """Those that the provider has given, and the request's own where it has given none."""
    server.reply(body=WHOLE[words], headers=headers)
    response, _ = asked(made(server, words, told), words, body_of())
    ours = {name: "req-7" for name in ("request-id", "x-request-id") if words == "anthropic" or name[0] == "x"}
    assert {name: value for name, value in response.headers if name.endswith("request-id")} == ours | headers
    assert len(response.headers) == len(dict(response.headers))


def test_the_body_is_not_changed_by_a_byte(server: WireServer, told: list[Done]) -> None:
    """Not even what a parser would write otherwise: it is sent as it came."""
    raw = b'{"model":"m","z":1e2,   "a":"\\u00e9\\/"}  \n'
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        got.append(await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    async def go() -> None:
        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        through = Passthrough(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", KEY, "anthropic")
        assert (await through.handle("POST", "/v1/messages", {}, raw)).body == b"{}"
        await through.aclose()
        listening.close()

    asyncio.run(go())
    assert got == [raw] and told == [] and server.seen == []


@pytest.mark.parametrize("words", PATHS)
def test_no_credential_goes_up(server: WireServer, told: list[Done], words: str) -> None:
    """The caller's credential is sent on in no header and no parameter, and hop-by-hop headers are not sent on."""
    server.reply(body=WHOLE[words])
    asked(
        made(server, words, told),
        words,
        body_of(),
        path=f"{PATHS[words]}?beta=true&api_key={CALLERS}&x%5Ftoken={CALLERS}",
    )
    (seen,) = server.seen
    assert CALLERS not in repr(seen)
    assert seen.path == f"{PATHS[words]}?beta=true"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    kept = {"content-type", "anthropic-version", "anthropic-beta", "idempotency-key", "x-request-id", "user-agent"}
    assert set(seen.headers) == kept | {"authorization", "host", "content-length", "accept-encoding"}
    assert all(seen.headers[name] == SENT[name] for name in kept)


def test_a_key_of_ours_goes_up_nowhere(server: WireServer, told: list[Done]) -> None:
    """Not in a header of any name, nor in an address that a browser or a client tells of, nor in a parameter."""
    key = new_secret()
    server.reply(body=WHOLE["chat"])
    odd = {"referer": "http://app/?user=ann", "origin": "http://app", "x-custom": f"id={key}", "x-fine": "yes"}
    path = f"{PATHS['chat']}?a=1&note=x{key}&%66ck=%66ck_{key[4:]}"
    asked(made(server, "chat", told), "chat", body_of(), {**SENT, **odd}, path=path)
    (seen,) = server.seen
    assert key[4:] not in repr(seen) and seen.path == f"{PATHS['chat']}?a=1"
    assert seen.headers["x-fine"] == "yes" and not {"referer", "origin", "x-custom"} & seen.headers.keys()


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("end", ["", "\n"])
def test_no_key_comes_back_in_an_answer(server: WireServer, told: list[Done], size: int, end: str) -> None:
    """A provider that repeats its key when all seemed well repeats it to nobody, however the bytes fall."""
    said = f"died with {KEY}, not {KEY[:9]}, {KEY}{KEY}{KEY[:3]}".encode()
    frames = [said[at : at + size] + end.encode() for at in range(0, len(said), size)]
    server.stream(frames)
    _, came = asked(made(server, "chat", told), "chat", body_of(stream=True))
    assert came == b"".join(frames).replace(KEY.encode(), b"[removed]")
    server.stream(frames, "cut", len(frames) - 1)
    _, came = asked(made(server, "chat", told), "chat", body_of(stream=True))
    assert KEY.encode() not in came and b"broke off" in came
    server.stream([KEY[:-1].encode()])
    assert asked(made(server, "chat", told), "chat", body_of(stream=True))[1] == b"[removed]"
    server.reply(body={**WHOLE["chat"], "note": KEY})
    _, came = asked(made(server, "chat", told), "chat", body_of())
    assert KEY.encode() not in came and json.loads(came)["note"] == "[removed]"


def test_no_key_comes_back(server: WireServer, told: list[Done]) -> None:
    """The provider's key, its cookies and whose account it is stay here, in headers and in errors."""
    leaks = {"set-cookie": "a=b", "openai-organization": "acme-org", "openai-project": "p", "x-echo": f"got {KEY}",
             "anthropic-organization-id": "o", "www-authenticate": "Bearer", "connection": "x-hop", "x-hop": "1",
             "x-fine": "yes"}  # fmt: skip
    for status in (200, 400, 401, 403, 500):
        server.reply(status, gpt.error(f"wrong key {KEY}") if status != 200 else WHOLE["chat"], leaks)
        response, came = asked(made(server, "chat", told), "chat", body_of())
        assert KEY not in repr(response) and KEY.encode() not in came
        names = {name for name, _ in response.headers}
        assert names & (leaks.keys() - {"x-fine"}) == set()
        assert response.status == (502 if status in (401, 403) else status)
        assert status in (401, 403) or "x-fine" in names
    assert [done.status for done in told] == [200, 400, 502, 502, 500]


def test_a_client_that_goes_hangs_up(server: WireServer, told: list[Done]) -> None:
    """To close the pieces, or to cancel before there are any, is seen by the provider and told of as 499."""

    async def go() -> None:
        server.stream(STREAMS["anthropic"], "stall", 4)
        through = made(server, "anthropic", told)
        response = await through.handle("POST", "/v1/messages", SENT, body_of(stream=True))
        pieces: Any = response.pieces
        assert b"message_start" in await anext(pieces)
        await pieces.aclose()
        assert await asyncio.to_thread(server.gone.wait, 10)
        server.gone.clear()
        server.reply(fault="stall")
        task = asyncio.ensure_future(through.handle("POST", "/v1/messages", SENT, body_of()))
        while len(server.seen) < 2 and not task.done():  # noqa: ASYNC110 - it is seen in another thread
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.gone.wait, 10)

    asyncio.run(go())
    assert [(done.status, done.failure) for done in told] == [(499, "cancelled")] * 2
    first, second = told[0].answer, told[1].answer
    assert first is not None and first.usage.input == 20 and first.cost_usd
    assert second is not None and second.usage.input > 0 and second.attempts[0].calls[0].estimated


@pytest.mark.parametrize("fault", ["cut", "reset", "drop_end"])
@pytest.mark.parametrize("words", PATHS)
def test_a_stream_that_breaks_is_told_of(server: WireServer, told: list[Done], words: str, fault: Any) -> None:
    """What came before the break is passed on; a break is an error event, and the record says incomplete."""
    server.stream(STREAMS[words], fault, 2)
    response, came = asked(made(server, words, told), words, body_of(stream=True))
    assert response.status == 200 and came.startswith(b"".join(STREAMS[words][:2]))
    assert (b"event: error" in came) is (fault != "drop_end")
    (done,) = told
    assert done.failure == "incomplete" and done.answer is not None and done.answer.cost_usd


def test_what_was_not_counted_is_estimated(server: WireServer, told: list[Done]) -> None:
    """A stream that tells no usage is not taken for free: its record has an estimate, marked as one."""
    server.stream(gpt.frames(gpt.completion("Hello there", usage=None), by_twos))
    asked(made(server, "chat", told), "chat", body_of(stream=True))
    answer = told[0].answer
    assert answer is not None and answer.usage.output >= 6 and answer.usage.input > 0
    assert answer.attempts[0].calls[0].estimated


@pytest.mark.parametrize("words", PATHS)
def test_a_provider_that_is_not_there(server: WireServer, told: list[Done], words: str) -> None:
    """No connection, no answer in time and a broken body are gateway errors in the format's words."""
    faults: list[tuple[Fault, int]] = [("stall", 504), ("cut", 502)]
    for fault, status in faults:
        server.reply(body=WHOLE[words], fault=fault)
        response, came = asked(made(server, words, told, timeout=0.1), words, body_of())
        assert response.status == status and "error" in json.loads(came)
    through = Passthrough("http://127.0.0.1:9/v1", KEY, "anthropic" if words == "anthropic" else "openai")
    assert asked(through, words, body_of())[0].status == 502
    assert [done.status for done in told] == [504, 502]
    assert all(
        done.answer is not None and done.answer.usage.input > 0 for done in told
    )  # it may be billed all the same


REFUSED: list[tuple[dict[str, Any], bytes, int]] = [
    ({"path": "/v1/files"}, body_of(), 404),
    ({"path": "/v1/chat/completions/../files"}, body_of(), 404),
    ({"path": "/v1/messages"}, body_of(), 404),
    ({"method": "DELETE"}, body_of(), 404),
    ({}, b"no JSON", 400),
    ({}, b'{"messages": []}', 400),
    ({}, b'{"model": 7}', 400),
    ({}, b"[" * 100_000, 400),
    ({}, b'{"model": "dear", "model": "cheap"}', 400),
    ({}, b'{"model": "dear", "mod\\u0065l": "cheap"}', 400),
    ({}, b'{"Model": "dear", "model": "cheap"}', 400),
    ({}, b'{"\\u004dodel": "dear", "model": "cheap"}', 400),
    ({}, body_of("dear"), 404),
    ({"caller": Caller("me", models=frozenset({"other"}))}, body_of("cheap"), 404),
    ({"headers": {"x-cascade-budget-usd": "much"}}, body_of("cheap"), 400),
    ({"headers": {"x-a": "é"}}, body_of("cheap"), 400),
    ({"headers": {"x-a": "b\r\nc: d"}}, body_of("cheap"), 400),
]


@pytest.mark.parametrize(("more", "body", "status"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_not_passed_on(
    server: WireServer, told: list[Done], more: dict[str, Any], body: bytes, status: int
) -> None:
    """Other paths, other models, and bodies that could mean two models reach nobody."""
    response, _ = asked(made(server, "chat", told, models={"cheap"}), "chat", body, **more)
    assert response.status == status and server.seen == [] and told == []


def test_the_model_is_read_wherever_else_the_word_stands() -> None:
    """The word in a text or in a tool's schema, escapes and all, does not stop a body that is clear."""
    for text in ('the "model"', "caf\\u00e9", "\\u0061", '{"model": "x"}'):
        body = b'{"model": "m", "messages": ["' + text.replace('"', '\\"').encode() + b'"], "t": {"model": {}}}'
        assert peek(body).model == "m"
        once(body)
    with pytest.raises(WireError, match="twice"):
        once(b'{"model": "a", "model": "a"}')


def test_settings_and_what_is_shown() -> None:
    """Settings that cannot work are found at once; nothing that is shown holds the key."""
    builds: list[Callable[[], Passthrough]] = [
        lambda: Passthrough(None, KEY, "soap"),  # type: ignore[arg-type]
        lambda: Passthrough("ftp://x", KEY, "openai"),
        lambda: Passthrough(None, f"{KEY}\n", "openai"),
        lambda: Passthrough(None, KEY, "openai", timeout=0),
    ]
    for build in builds:
        with pytest.raises(ConfigError) as caught:
            build()
        assert KEY not in str(caught.value)
    assert KEY not in repr(Passthrough(f"https://me:{KEY}@x.test", KEY, "anthropic"))
    assert query("a=1&Token=2&b c=3") == ""
    assert query("a=1&Token=2&b=3") == "a=1&b=3"
