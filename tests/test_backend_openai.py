"""The OpenAI backend, through the real SDK: how it is built, and what it makes of every way a call can fail."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from fastcascade.backends.backend import Backend, Streaming
from fastcascade.backends.openai import OpenAI
from fastcascade.errors import ConfigError
from fastcascade.messages import Delta, Reply, Request, Text
from fastcascade.prices import Price
from wire.asking import KEY, Answers, ask, asking, failed, streamed, whole
from wire.openai import DONE, completion, error, event, frames
from wire.server import Fault, WireServer

openai = pytest.importorskip("openai")

HI = Request.of("hi")
HELLO = frames(completion("Hello, world"), lambda said: [said[:5], said[5:]])
FINISH = next(number for number, frame in enumerate(HELLO) if b'"finish_reason": "stop"' in frame)


@pytest.fixture
def server() -> Iterator[WireServer]:
    """A server of this test's own."""
    with WireServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what the machine's own environment says of keys and addresses."""
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


# Building.

MISBUILT: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "a model needs a name"),
    ({}, "no key for OpenAI: give api_key, set OPENAI_API_KEY"),
    ({"api_key": ""}, "no key for OpenAI"),
    ({"api_key": "sk-1\n"}, "api_key has a character that no header can carry"),
    ({"api_key": "ключ"}, "api_key has a character"),
    ({"base_url": "127.0.0.1:8000"}, "base_url must be like https://host/v1"),
    ({"api_key": "k", "max_tokens_field": "tokens"}, "max_tokens_field must be"),
    ({"api_key": "k", "timeout": 0}, "timeout must be above zero"),
    ({"client": object()}, "client must be an openai.AsyncOpenAI, not object"),
    ({"client": object(), "api_key": "k"}, "a client brings its own"),
]


@pytest.mark.parametrize(("settings", "said"), MISBUILT, ids=[case[1] for case in MISBUILT])
def test_settings_that_cannot_work_are_found_when_it_is_built(settings: dict[str, Any], said: str) -> None:
    """A bad setting is an error that names it, before any request, and never repeats a secret."""
    with pytest.raises(ConfigError, match="(?s)^" + said.replace("(", r"\(").replace(".", r"\.")) as caught:
        OpenAI(**{"model": "m", **settings})
    assert "sk-1" not in str(caught.value) and "ключ" not in str(caught.value)


def test_the_key_goes_where_it_belongs_and_is_never_shown(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key given is sent; the environment's is not sent to other endpoints; neither stands in the repr."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    headers = {"x-team": "blue"}
    for given, seen in ((KEY, KEY), (None, "none")):
        server.reply(body=completion("ok"))
        ask(server, api_key=given, headers=headers, organization="org-1")
        told = server.seen[-1].headers
        assert told["authorization"] == f"Bearer {seen}"
        assert (told["x-team"], told["openai-organization"]) == ("blue", "org-1")
        assert server.seen[-1].path == "/v1/chat/completions"
    assert repr(OpenAI("m", api_key=KEY)) == "OpenAI('m')"
    url = "http://me:hidden@127.0.0.1:1/v1"
    assert repr(OpenAI("m", base_url=url, logprobs=False)).endswith("@127.0.0.1:1/v1', logprobs=False)")
    assert "hidden" not in repr(OpenAI("m", base_url=url))


def test_a_secret_header_is_not_repeated(server: WireServer) -> None:
    """A header that is named like a secret is kept out of what is told of a failure."""
    server.reply(403, error("bad proxy word: swordfish"))
    failure = failed(server, whole, headers={"x-proxy-token": "swordfish"})
    assert failure.message == "403: bad proxy word: [removed]"


def test_it_says_what_it_gives() -> None:
    """It streams, it gives log-probabilities unless told that it does not, and its price is the one it was told."""
    model: Backend = OpenAI("m", api_key=KEY)
    assert isinstance(model, Streaming)
    assert (model.name, model.gives) == ("m", frozenset({"logprobs"}))
    assert OpenAI("m", api_key=KEY, price=Price(1, 2)).price == Price(1, 2)
    assert OpenAI("m", api_key=KEY, logprobs=False).gives == frozenset()


def test_without_the_sdk_it_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the SDK is missing, the error says which extra brings it."""
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r"pip install 'fastcascade\[openai\]'"):
        OpenAI("m", api_key=KEY)


def test_the_module_loads_no_sdk() -> None:
    """The SDK is loaded when a backend is built, not when its module is imported."""
    code = (
        "import sys, fastcascade.backends.openai, fastcascade.backends.litellm;"
        "print(sorted({'openai', 'httpx', 'httpx2', 'asyncio', 'litellm', 'pydantic'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_client_of_ones_own_never_retries(server: WireServer) -> None:
    """A client that was given asks once, whatever it was told of retries, and stays open."""

    async def go() -> None:
        async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{server.url}/v1", max_retries=5) as client:
            model = OpenAI("m", client=client)
            server.reply(500, error("down"))
            with pytest.raises(Exception, match="500: down"):
                await model.complete(HI)
            await model.aclose()
            server.reply(body=completion("up"))
            assert (await model.complete(HI)).text == "up"

    asyncio.run(go())
    assert len(server.seen) == 2


def test_one_backend_serves_one_loop_after_another(server: WireServer) -> None:
    """A backend outlives an event loop, and a loop that ends takes its connections with it."""
    model = OpenAI("m", base_url=f"{server.url}/v1")
    for _ in range(2):
        server.reply(body=completion("ok"))
        assert asyncio.run(model.complete(HI)).text == "ok"
    assert server.connections == 2


def test_a_stream_gives_its_connection_back(server: WireServer) -> None:
    """What was streamed to its end leaves a connection that the next request can use."""

    async def go() -> None:
        async with asking(server) as model:
            for _ in range(3):
                server.stream(HELLO)
                await streamed(model, HI)

    asyncio.run(go())
    assert server.connections == 1


# Failing.

LATER = {"retry-after": "7", "x-request-id": "req_9"}
REFUSED: list[tuple[int, Any, dict[str, str], tuple[Any, ...]]] = [
    (400, error("too long", "invalid_request_error"), {}, ("bad_request", 400, None, "", "400: too long")),
    (
        401,
        error(f"wrong key: {KEY}", "invalid_request_error"),
        {},
        ("auth", 401, None, "", "401: wrong key: [removed]"),
    ),
    (403, error("not you"), {}, ("auth", 403, None, "", "403: not you")),
    (404, error("no such model"), {}, ("not_found", 404, None, "", "404: no such model")),
    (402, error("pay"), {}, ("billing", 402, None, "", "402: pay")),
    (409, error("conflict"), {}, ("conflict", 409, None, "", "409: conflict")),
    (410, error("gone"), {}, ("not_found", 410, None, "", "410: gone")),
    (400, error("gone", "x", "model_decommissioned"), {}, ("not_found", 400, None, "", "400: gone")),
    (403, error("none", "x", "model_not_found"), {}, ("not_found", 403, None, "", "403: none")),
    (429, error("broke", "insufficient_quota", "x"), LATER, ("billing", 429, 7.0, "req_9", "429: broke")),
    (500, error("odd", ["x"], {"y": 1}), {}, ("server", 500, None, "", "500: odd")),  # type: ignore[arg-type]
    (422, error("shape"), {}, ("bad_request", 422, None, "", "422: shape")),
    (429, error("slow down"), LATER, ("rate_limited", 429, 7.0, "req_9", "429: slow down")),
    (429, error("slow"), {"retry-after-ms": "250"}, ("rate_limited", 429, 0.25, "", "429: slow")),
    (500, error("oops"), {}, ("server", 500, None, "", "500: oops")),
    (503, error("busy"), LATER, ("overloaded", 503, 7.0, "req_9", "503: busy")),
    (529, {}, {}, ("overloaded", 529, None, "", None)),
    (502, b"<html>bad gateway</html>", {"content-type": "text/html"}, ("server", 502, None, "", None)),
    (200, error("oops"), {"x-request-id": "r"}, ("server", 200, None, "r", "an error inside a 200: oops")),
    (200, error("slow", "x", "rate_limit_exceeded"), {}, ("rate_limited", 200, None, "", None)),
    (200, error("full", "overloaded_error"), {}, ("overloaded", 200, None, "", None)),
    (200, error("busy", "x", 503), {}, ("overloaded", 503, None, "", None)),
    (200, {"error": "just words"}, {}, ("server", 200, None, "", "an error inside a 200: just words")),
    (200, {"object": "error", "message": "old", "code": 40303}, {}, ("server", 200, None, "", None)),
    (200, completion("x", "error"), {}, ("server", 200, None, "", None)),
    (200, completion("x", "insufficient_system_resource"), {}, ("overloaded", 200, None, "", None)),
    (200, completion("x", choice={"error": {"message": "up", "code": 429}}), {}, ("rate_limited", 429, None, "", None)),
]


@pytest.mark.parametrize("how", [whole, streamed])
@pytest.mark.parametrize(("status", "body", "headers", "wanted"), REFUSED)
def test_a_refusal_says_what_kind_it_is(
    server: WireServer, how: Answers, status: int, body: Any, headers: dict[str, str], wanted: tuple[Any, ...]
) -> None:
    """Every status and every error inside a 200 is a failure of its kind, asked once, without secrets."""
    server.reply(status, body, headers)
    failure = failed(server, how)
    kind, code, retry_after, request_id, message = wanted
    assert (failure.kind, failure.status, failure.retry_after) == (kind, code, retry_after)
    assert failure.request_id == request_id and message in (None, failure.message)
    assert len(server.seen) == 1


@pytest.mark.parametrize("how", [whole, streamed])
@pytest.mark.parametrize("code", ["content_filter", "invalid_prompt"])
def test_a_refusal_of_the_content_is_a_reply(server: WireServer, how: Answers, code: str) -> None:
    """A model that will not answer this has replied, with nothing, so that the next tier is asked."""
    server.reply(400, error(f"no: {KEY}", "invalid_request_error", code), {"x-request-id": "req_9"})
    deltas, reply = ask(server, how=how)
    assert (deltas, reply.stop, reply.empty, reply.raw_stop, reply.id) == ([], "refusal", True, code, "req_9")
    assert KEY not in repr(reply) and len(server.seen) == 1


UNREADABLE: list[Any] = [
    b"", b"Hello", b"[1]", b"null", b'"x"', {}, {"choices": None}, {"choices": []}, {"choices": [None]},
    {"choices": {"a": 1}}, {"choices": [{"message": {"content": "x"}}]}, completion(7), completion("x", None),
    completion("x", choice={"finish_reason": 7}), completion("x", usage={"prompt_tokens": "many"}),
    completion("x", tokens=[{"token": "x"}]), completion("x", tokens=[{"token": 1, "logprob": 0}]),
    completion(tool_calls=[7]), completion(calls=[{"id": "c", "function": {}}]), completion(reasoning=["x"]),
    completion([{"no": "type"}]), b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("how", [whole, streamed])
@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_is_no_completion_is_malformed(server: WireServer, how: Answers, body: Any) -> None:
    """A body that is not JSON, or not of the shape of a completion, is a failure, and never an empty reply."""
    server.reply(body=body)
    failure = failed(server, how)
    assert failure.kind == "malformed", failure


STREAMS: list[tuple[str, Sequence[bytes], Fault | None, int, str, str]] = [
    ("cut within the text", HELLO, "cut", 2, "cut", "Hello"),
    ("cut before its end", HELLO, "cut", FINISH, "cut", "Hello, world"),
    ("reset", HELLO, "reset", 2, "cut", "Hello"),
    ("garbled", HELLO, "garble", 2, "cut", "Hello"),
    ("ended without a finish", HELLO, "drop_end", FINISH, "cut", "Hello, world"),
    ("ended without usage and [DONE]", HELLO, "drop_end", FINISH + 1, "cut", "Hello, world"),
    ("ended without [DONE]", HELLO, "drop_end", len(HELLO) - 1, "cut", "Hello, world"),
    ("[DONE] without a finish", [*HELLO[:3], DONE], None, 0, "malformed", "Hello, world"),
    ("[DONE] alone", [DONE], None, 0, "malformed", ""),
    ("nothing", [], None, 0, "cut", ""),
    ("half a chunk", [*HELLO[:2], HELLO[2][:40] + b"\n\n", *HELLO[3:]], None, 0, "malformed", "Hello"),
    ("not UTF-8", [*HELLO[:2], b'data: {"choices": "\xff"}\n\n'], None, 0, "malformed", "Hello"),
    ("a chunk of another shape", [*HELLO[:2], event({"choices": [{"delta": "x"}]})], None, 0, "malformed", "Hello"),
    ("an error", [*HELLO[:2], event(error("oops"))], None, 0, "server", "Hello"),
    ("an error with a code", [*HELLO[:2], event(error("slow", "x", 429))], None, 0, "rate_limited", "Hello"),
    ("an error event", [b"event: error\n" + event({"type": "overloaded_error"})], None, 0, "overloaded", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("events", "fault", "at", "kind", "seen"), [case[1:] for case in STREAMS], ids=[case[0] for case in STREAMS]
)
def test_a_stream_that_breaks_is_never_a_clean_end(
    server: WireServer, events: Sequence[bytes], fault: Fault | None, at: int, kind: str, seen: str
) -> None:
    """What was said before the break is given; then comes a failure, and no reply."""
    pieces: list[Delta | Reply] = []

    async def go(model: OpenAI, request: Request) -> Any:
        async with aclosing(model.stream(request)) as stream:  # type: ignore[type-var] # an async generator
            async for piece in stream:
                pieces.append(piece)  # noqa: PERF401 # one by one, for they are wanted where it raises

    server.stream(events, fault, at, {"x-request-id": "req_3"})
    failure = failed(server, go)
    assert (failure.kind, failure.request_id) == (kind, "req_3")
    assert all(isinstance(piece, Delta) for piece in pieces)
    assert "".join(piece.text for piece in pieces if isinstance(piece, Delta)) == seen


@pytest.mark.parametrize("how", [whole, streamed])
def test_no_connection_is_a_failure_of_its_own(server: WireServer, how: Answers) -> None:
    """A server that is not there, or hangs up before it answers, is a failed connection."""
    assert failed(server, how, base_url="http://127.0.0.1:9/v1").kind == "connection"
    server.reply(body=completion("Hello"), fault="cut")
    assert failed(server, how).kind == ("connection" if how is whole else "cut")


@pytest.mark.parametrize(("how", "at"), [(whole, 0), (streamed, 0), (streamed, 2)])
def test_a_stall_ends_at_the_timeout_of_the_backend(server: WireServer, how: Answers, at: int) -> None:
    """A backend with a timeout waits no longer than that for the next bytes."""
    if how is whole:
        server.reply(body=completion("Hello"), fault="stall")
    else:
        server.stream(HELLO, "stall", at)
    assert failed(server, how, timeout=0.05).kind == "timeout"


@pytest.mark.parametrize("way", ["complete", "stream", "leave"])
def test_cancelling_closes_the_connection(server: WireServer, way: str) -> None:
    """A call that is cancelled, or a stream that is left, is not kept up behind the caller's back."""

    async def go() -> None:
        async with asking(server) as model:
            if way == "complete":
                server.reply(fault="stall")
                task = asyncio.ensure_future(model.complete(HI))
                while not server.seen:  # noqa: ASYNC110 # it is seen in another thread
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                return
            server.stream(HELLO, "stall", 2)
            stream: Any = model.stream(HI)
            assert (await anext(stream)).text == "Hello"
            if way == "leave":
                await stream.aclose()
                return
            task = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(go())
    assert server.gone.wait(10)


def test_pieces_are_given_as_they_come(server: WireServer) -> None:
    """The first piece is there before the stream has ended."""

    async def go(model: OpenAI, request: Request) -> Any:
        stream: Any = model.stream(request)
        first = await anext(stream)
        await stream.aclose()
        return [first], Reply((Text(first.text),))

    server.stream(HELLO, "stall", 2)
    assert ask(server, how=go)[0] == [Delta("text", "Hello")]
