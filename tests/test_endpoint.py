"""From HTTP's bytes to a cascade and back."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import Budget, Cascade, ConfigError, Hedge, Instance, Pool, Price, Reply, Request, Tier, Usage
from fastcascade.backends.function import Function
from fastcascade.errors import WireError
from fastcascade.fallbacks.stale import Stale
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.testing import Cut, Fault, ScriptedBackend, Stall
from fastcascade.wire import endpoint_body
from fastcascade.wire.chat import CHAT
from fastcascade.wire.endpoint import Caller, Done, Endpoint, Response
from fastcascade.wire.endpoint_fields import fields_of

ASKED: Mapping[str, Any] = {"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
MINE: Mapping[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
BODIES: Mapping[str, Mapping[str, Any]] = {
    "/v1/messages": ASKED,
    "/v1/chat/completions": MINE,
    "/v1/responses": {"model": "m", "input": "Hi"},
}
PRICE = Price(input=1.0, output=5.0)


def cascade_of(*script: Any, **settings: Any) -> tuple[Cascade, ScriptedBackend]:
    """A cascade with one tier, "small", that plays this script."""
    backend = ScriptedBackend(*script, name="scripted", price=PRICE)
    return Cascade(Tier(backend, name="small"), **settings), backend


def run(work: Awaitable[Any]) -> Any:
    """In an event loop of its own."""

    async def main() -> Any:
        return await work

    return asyncio.run(main())


async def asked(
    endpoint: Endpoint, path: str = "/v1/messages", body: Any = None, caller: Caller | None = None, **headers: str
) -> Response:
    """Ask; header names are written with underscores."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    data = json.dumps(BODIES[path] if body is None else body).encode()
    return await endpoint.handle("POST", path, given, data, caller or Caller())


def said(response: Response) -> Any:
    """Its body, read."""
    assert response.body is not None
    return json.loads(response.body)


async def read(response: Response) -> bytes:
    """All pieces of it."""
    assert response.pieces is not None
    return b"".join([piece async for piece in response.pieces])


def streaming(path: str = "/v1/messages") -> dict[str, Any]:
    """A body that asks for a stream."""
    return {**BODIES[path], "stream": True}


PATHS = [
    ("POST", "/v1/messages", 200, ""),
    ("POST", "/messages", 200, ""),
    ("POST", "/v1/messages/", 200, ""),
    ("POST", "/v1/messages?beta=true", 200, ""),
    ("GET", "/v1/messages", 405, "anthropic"),
    ("POST", "/v1/messages/batches", 404, "anthropic"),
    ("DELETE", "/v1/models", 405, "openai"),
    ("POST", "/v1/embeddings", 404, "openai"),
    ("POST", "/", 404, "openai"),
    ("GET", "/chat/completions", 405, "openai"),
    ("PUT", "/v1/responses", 405, "openai"),
    ("GET", "/v1/responses/input_tokens", 405, "openai"),
]


@pytest.mark.parametrize(("method", "path", "status", "words"), PATHS)
def test_paths(method: str, path: str, status: int, words: str) -> None:
    """A path is known with and without its prefix and slash; errors are in the words its clients read."""
    endpoint = Endpoint(cascade_of("Hello")[0])
    response = run(endpoint.handle(method, path, {}, json.dumps(ASKED).encode()))
    assert response.status == status
    if words:
        error = said(response)
        assert (error.get("type") == "error") is (words == "anthropic")
        assert error["error"]["message"]
        assert (status == 405) is any(name == "allow" for name, _ in response.headers)


@pytest.mark.parametrize("path", BODIES)
def test_answers(path: str) -> None:
    """Each format is answered in its own words, with who answered and what it cost, and is told of once."""
    told: list[Done] = []
    reply = Reply("Hello", usage=Usage(1_000_000, 0), model="scripted")
    response = run(asked(Endpoint(cascade_of(reply)[0], on_done=told.append), path, x_request_id="abc-1"))
    headers = dict(response.headers)
    assert response.status == 200 and b"Hello" in (response.body or b"")
    assert (headers["x-cascade-tier"], headers["x-cascade-cost-usd"], headers["x-request-id"]) == (
        "small",
        "1",
        "abc-1",
    )
    assert ("request-id" in headers) is (path == "/v1/messages")
    (done,) = told
    assert (done.status, done.failure, done.asked.model, done.asked.request.id) == (200, "", "m", "abc-1")
    assert done.answer is not None and done.answer.text == "Hello" and done.seconds >= 0


@pytest.mark.parametrize("given", ["", "a b", "x\r\ny: z", "é", "-", "a" * 129])
def test_ids(given: str) -> None:
    """An id that cannot stand in a header or a log is replaced by one of ours."""
    headers = dict(run(asked(Endpoint(cascade_of("Hello")[0]), x_request_id=given)).headers)
    assert headers["x-request-id"].startswith("req_") and headers["x-request-id"] == headers["request-id"]


MODELS = [
    ("chat", 200, "small", "one"),
    ("chat/small", 200, "small", "one"),
    ("chat:large", 200, "large", "two"),
    ("a/b/small", 200, "small", "three"),
    ("chat/none", 404, "", ""),
    ("other", 404, "", ""),
    ("", 404, "", ""),
]


def two_tiers(*names: str) -> Cascade:
    """A cascade of two tiers, whose first is good enough."""
    small, large = (ScriptedBackend(name, name=name) for name in names)
    return Cascade(Tier(small, name="small"), Tier(large, name="large"))


@pytest.mark.parametrize(("model", "status", "tier", "text"), MODELS)
def test_models(model: str, status: int, tier: str, text: str) -> None:
    """A model is a cascade by name, or one tier of it; a name that is not known is not there."""
    endpoint = Endpoint({"chat": two_tiers("one", "two"), "a/b": two_tiers("three", "four")})
    response = run(asked(endpoint, "/v1/chat/completions", {**MINE, "model": model}))
    assert response.status == status
    if status == 200:
        assert dict(response.headers)["x-cascade-tier"] == tier
        assert said(response)["choices"][0]["message"]["content"] == text
    elif model:
        assert said(response)["error"]["code"] == "model_not_found"


class Rich(Gate):
    """Accepts what is rich."""

    def judge(self, exam: Exam, /) -> Judging:
        return Verdict(1.0 if "rich" in exam.reply.text else 0.1)


def test_one_tier_alone() -> None:
    """A tier that is asked for by name is not gone above, however poor its answer is."""
    small, large = ScriptedBackend("poor"), ScriptedBackend("rich")
    cascade = Cascade(Tier(small, gate=Rich(), name="small"), Tier(large, name="large"))
    endpoint = Endpoint({"chat": cascade})
    response = run(asked(endpoint, body={**ASKED, "model": "chat/small"}))
    assert said(response)["content"][0]["text"] == "poor" and not large.seen
    assert dict(response.headers)["x-cascade-degraded"] == "below threshold"
    assert said(run(asked(endpoint, body={**ASKED, "model": "chat"})))["content"][0]["text"] == "rich"


def test_default() -> None:
    """Where there is a default, a name that is not known means that; a misspelt tier of a known one does not."""
    endpoint = Endpoint({"chat": two_tiers("one", "two"), "code": two_tiers("three", "four")}, default="code")
    names = {"claude-sonnet-5": "three", "chat": "one", "openai/gpt": "three"}
    for name, text in names.items():
        assert said(run(asked(endpoint, body={**ASKED, "model": name})))["content"][0]["text"] == text
    assert run(asked(endpoint, body={**ASKED, "model": "chat/smal"})).status == 404
    with pytest.raises(ConfigError, match="'none'"):
        Endpoint({"chat": two_tiers("one", "two")}, default="none")


ALLOWED = [
    (None, "chat", 200),
    (frozenset({"chat"}), "chat/large", 200),
    (frozenset({"chat/small"}), "chat/small", 200),
    (frozenset({"chat/small"}), "chat/large", 404),
    (frozenset({"chat/small"}), "chat", 404),
    (frozenset({"code"}), "anything", 404),
    (frozenset[str](), "chat", 404),
]


@pytest.mark.parametrize(("models", "model", "status"), ALLOWED)
def test_allowed_models(models: frozenset[str] | None, model: str, status: int) -> None:
    """A model that a caller may not use is, for that caller, not there; nor is it in the list."""
    endpoint = Endpoint({"chat": two_tiers("one", "two"), "code": two_tiers("a", "b")}, default="chat")
    caller = Caller("me", models=models)
    assert run(asked(endpoint, body={**ASKED, "model": model}, caller=caller)).status == status
    listed = said(run(endpoint.handle("GET", "/v1/models", {}, b"", caller)))["data"]
    assert all(caller.may(*each["id"].partition("/")[::2]) for each in listed)


def test_lists() -> None:
    """Models are listed, and looked up by name, in the words of whoever asks; tiers are among them."""
    endpoint = Endpoint({"chat": two_tiers("one", "two")})
    theirs = said(run(endpoint.handle("GET", "/v1/models", {"anthropic-version": "2023-06-01"}, b"")))
    assert [each["id"] for each in theirs["data"]] == ["chat", "chat/small", "chat/large"]
    assert (theirs["first_id"], theirs["has_more"], theirs["data"][0]["type"]) == ("chat", False, "model")
    ours = said(run(endpoint.handle("GET", "/v1/models", {}, b"")))
    assert (ours["object"], ours["data"][1]["id"]) == ("list", "chat/small")
    assert said(run(endpoint.handle("GET", "/v1/models/chat/small", {}, b"")))["id"] == "chat/small"
    assert run(endpoint.handle("GET", "/models/none", {}, b"")).status == 404


def test_count() -> None:
    """Tokens are counted without asking anyone, as an estimate that says so."""
    cascade, backend = cascade_of("Hello")
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * 400}]}
    response = run(asked(Endpoint(cascade), "/v1/messages/count_tokens", body))
    assert said(response) == {"input_tokens": 100} and not backend.seen
    assert dict(response.headers)["x-cascade-estimated"] == "input_tokens"


def test_fields() -> None:
    """Headers set the fields of a request, and what is set for a caller wins over them."""
    cascade, backend = cascade_of("Hello")
    headers = {
        **{f"x_cascade_{name}": name for name in ("task", "route", "customer", "feature", "session", "user")},
        "x_cascade_min_tier": "small",
        "x_cascade_max_tier": "small",
        "x_cascade_budget_usd": "0.5",
        "x_cascade_deadline": "7",
        "x_cascade_regenerate": "true",
        "x_cascade_priority": "-3",
        "idempotency_key": "k1",
    }
    caller = Caller("me", fields={"customer": "theirs", "priority": 9})
    assert run(asked(Endpoint(cascade), caller=caller, **headers)).status == 200
    (request,) = backend.seen
    assert (request.task, request.route, request.feature) == ("task", "route", "feature")
    assert (request.session, request.user) == ("session", "user")
    assert (request.customer, request.priority) == ("theirs", 9)
    assert request.budget == Budget(7.0, 0.5) and request.regenerate and request.idempotency == "k1"
    assert request.min_tier == request.max_tier == "small"


WRONG = [
    ("x_cascade_deadline", "soon", "a number above zero"),
    ("x_cascade_deadline", "-1", "a number above zero"),
    ("x_cascade_budget_usd", "inf", "a number above zero"),
    ("x_cascade_priority", "1.5", "a whole number"),
    ("x_cascade_regenerate", "maybe", "true or false"),
    ("x_cascade_task", "x" * 1_001, "a text of at most"),
    ("x_cascade_min_tier", "huge", "huge"),
]


@pytest.mark.parametrize(("header", "value", "words"), WRONG)
def test_headers_refused(header: str, value: str, words: str) -> None:
    """A header that cannot be read is refused, with what is wrong; it is never passed over."""
    named: Any = {header: value}
    response = run(asked(Endpoint(cascade_of("Hello")[0]), "/v1/chat/completions", **named))
    assert response.status == 400 and words in said(response)["error"]["message"]


NAMES = st.sampled_from(["x-cascade-task", "x-cascade-deadline", "x-cascade-priority", "x-cascade-regenerate", "other"])


@given(st.dictionaries(NAMES, st.text(max_size=12)))
def test_fields_law(headers: dict[str, str]) -> None:
    """Whatever headers hold, they make fields that a request takes, or an error that names one of them."""
    try:
        fields = fields_of(headers, Budget())
    except WireError as error:
        assert error.where in headers
    else:
        Request.of("Hi", **fields)


def bodies() -> "st.SearchStrategy[bytes]":
    """Anything that could come as a body."""
    leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["user", "text"])
    value = st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
    return st.binary(max_size=30) | st.dictionaries(KEYS, value).map(lambda each: json.dumps(each).encode())


KEYS = st.sampled_from(
    ["model", "messages", "input", "role", "content", "type", "text", "max_tokens", "stream", "tools"]
)


@given(bodies(), st.sampled_from(list(BODIES)))
def test_bodies_law(body: bytes, path: str) -> None:
    """No body is an exception or a fault of ours: it is answered, or refused with a message."""
    endpoint = Endpoint(cascade_of("Hello")[0])

    async def main() -> int:
        response = await endpoint.handle("POST", path, {}, body)
        if response.pieces is not None:
            await read(response)
            return 200
        assert response.status == 200 or said(response)["error"]["message"]
        return response.status

    assert 200 <= asyncio.run(main()) < 500


FAILURES = [
    ((Fault("bad_request", "no such field", 422),), 422, "no such field", False),
    ((Fault("bad_request", "who are you", 401),), 400, "who are you", False),
    ((Fault("unsupported", "pictures are not taken"),), 400, "pictures are not taken", False),
    ((Fault("auth", "key sk-secret is wrong", 401),), 502, "operator", True),
    ((Fault("billing", "account acct_1 is empty", 402),), 502, "operator", True),
    ((Fault("not_found", "no model x", 404),), 502, "operator", True),
    ((Fault("timeout", "late"),), 504, "in time", True),
    ((Fault("rate_limited", "slow down", 429, 7.0),), 503, "no tier answered", True),
    ((Fault("server", "trace 0x1", 500),), 503, "no tier answered", True),
    ((Fault("bug", "TypeError: secret"),), 500, "not foreseen", True),
]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(("script", "status", "words", "final"), FAILURES)
@pytest.mark.parametrize("stream", [False, True])
def test_failures(path: str, script: Any, status: int, words: str, final: bool, stream: bool) -> None:
    """What nobody could answer is told by whose fault it is, without a provider's secrets, streaming or not."""
    told: list[Done] = []
    cascade, _ = cascade_of(*script, last_resort=None)
    body = streaming(path) if stream else None
    response = run(asked(Endpoint(cascade, on_done=told.append), path, body))
    headers, message = dict(response.headers), said(response)["error"]["message"]
    assert response.status == status and words in message
    assert not any(secret in message for secret in ("sk-secret", "acct_1", "0x1", "TypeError"))
    assert (headers.get("x-should-retry") == "false") is final
    assert headers.get("retry-after") == ("7" if script[0].retry_after else None)
    (done,) = told
    assert done.status == status and done.failure and done.answer is not None and done.answer.attempts


def test_whose_fault() -> None:
    """A request that one tier found fault with and another failed for is not called the caller's fault."""
    tiers = [Tier(ScriptedBackend(Fault(kind)), name=kind) for kind in ("bad_request", "server")]
    assert run(asked(Endpoint(Cascade(*tiers, last_resort=None)))).status == 503


@pytest.mark.parametrize("stream", [False, True])
def test_last_resort(stream: bool) -> None:
    """An answer made beforehand is a 200 that says so in its headers, before its first byte where it streams."""
    cascade, _ = cascade_of(Fault("server", retry_after=3.0))

    async def main() -> tuple[Response, bytes]:
        response = await asked(Endpoint(cascade), body=streaming() if stream else None)
        return response, await read(response) if stream else response.body or b""

    response, body = asyncio.run(main())
    headers = dict(response.headers)
    assert response.status == 200 and b"try again in a moment" in body
    assert (headers["x-cascade-degraded"], headers["x-cascade-via"]) == ("no tier answered", "static")
    assert headers["retry-after"] == "3"


@pytest.mark.parametrize("stream", [False, True])
def test_hopeless(stream: bool) -> None:
    """A request that every tier finds fault with is told so, for to try again in a moment would not help."""
    told: list[Done] = []
    cascade, _ = cascade_of(Fault("bad_request", "max_tokens is too large", 400))
    response = run(asked(Endpoint(cascade, on_done=told.append), body=streaming() if stream else None))
    assert response.status == 400 and "max_tokens" in said(response)["error"]["message"]
    assert [done.status for done in told] == [400] and told[0].answer is not None


def test_not_carried() -> None:
    """What a request held and nobody could carry is named in a header."""
    body = {**ASKED, "top_k": 5}
    headers = dict(run(asked(Endpoint(cascade_of("Hello")[0]), body=body)).headers)
    assert "top_k" in headers["x-cascade-not-carried"]


@pytest.mark.parametrize("stream", [False, True])
def test_instance(stream: bool) -> None:
    """The instance of a pool that answered is named, in a stream too."""
    pool = Pool(Instance(ScriptedBackend("Hello"), name="eu"), name="pooled")

    async def main() -> Response:
        response = await asked(Endpoint(Cascade(Tier(pool, name="small"))), body=streaming() if stream else None)
        if stream:
            await read(response)
        return response

    headers = dict(asyncio.run(main()).headers)
    assert (headers["x-cascade-tier"], headers["x-cascade-instance"]) == ("small", "eu")


# Streams.


@pytest.mark.parametrize("path", BODIES)
def test_streams(path: str) -> None:
    """A stream is the answer's pieces in the events of its format, and is told of once, at its end."""
    told: list[Done] = []

    async def main() -> tuple[Response, bytes]:
        endpoint = Endpoint(cascade_of("one two three")[0], on_done=told.append)
        response = await asked(endpoint, path, streaming(path))
        assert not told or told[0].status == 200
        return response, await read(response)

    response, body = asyncio.run(main())
    headers = dict(response.headers)
    assert response.status == 200 and headers["content-type"].startswith("text/event-stream")
    assert headers["x-cascade-tier"] == "small"
    assert all(word in body for word in (b"one ", b"two ", b"three"))
    (done,) = told
    assert done.failure == "" and done.answer is not None and done.answer.text == "one two three"


def test_stream_kept() -> None:
    """A kept answer streams whole, and its headers say that it was kept."""
    cascade, backend = cascade_of("one two", fallbacks=[Stale(fresh_for=60)])

    async def main() -> tuple[Response, bytes]:
        endpoint = Endpoint(cascade)
        await read(await asked(endpoint, body=streaming()))
        response = await asked(endpoint, body=streaming())
        return response, await read(response)

    response, body = asyncio.run(main())
    headers = dict(response.headers)
    assert (headers["x-cascade-via"], headers["x-cascade-tier"]) == ("cache", "small")
    assert len(backend.seen) == 1 and b"one two" in body and b"message_stop" in body


@pytest.mark.parametrize("path", BODIES)
def test_stream_broken(path: str) -> None:
    """A stream that breaks off after its beginning was sent says so, and is never taken for whole."""
    told: list[Done] = []

    async def main() -> bytes:
        endpoint = Endpoint(cascade_of(Cut("one two three", after=1))[0], on_done=told.append)
        return await read(await asked(endpoint, path, streaming(path)))

    body = asyncio.run(main())
    assert b"one " in body and b"error" in body
    assert not any(end in body for end in (b"message_stop", b"[DONE]", b"response.completed"))
    (done,) = told
    assert done.failure == "incomplete" and done.answer is not None and done.answer.text == "one "


def test_heartbeat() -> None:
    """A stream in which nothing is said gives a sign of life, and goes on giving it."""

    async def main() -> list[bytes]:
        endpoint = Endpoint(cascade_of(Stall("one two", after=1))[0], heartbeat=0.001)
        response = await asked(endpoint, body=streaming())
        pieces: Any = response.pieces
        found = [await anext(pieces) for _ in range(3)]
        await pieces.aclose()
        return found

    first, *pings = asyncio.run(main())
    assert b"one " in first and all(b"ping" in each for each in pings)


async def closes(pieces: Any) -> None:
    """Close it after the first piece."""
    assert b"one " in await anext(pieces)
    await pieces.aclose()


async def never_reads(pieces: Any) -> None:
    """Close it before any is read."""
    await pieces.aclose()
    await pieces.aclose()


async def is_cancelled(pieces: Any) -> None:
    """Be cancelled while waiting, and never come back."""
    await anext(pieces)
    reader = asyncio.ensure_future(anext(pieces))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait([reader])


async def drops(pieces: Any) -> None:
    """Forget it, and have it dropped."""
    pieces.drop()


@pytest.mark.parametrize("leave", [closes, never_reads, is_cancelled, drops])
def test_leaving(leave: Callable[[Any], Awaitable[None]]) -> None:
    """A client that goes away cancels the call upstream; it is told of once, with the answer as far as it got."""
    told: list[Done] = []
    cascade, backend = cascade_of(Stall("one two", after=1))

    async def main() -> None:
        gone = asyncio.Event()

        def done(each: Done) -> None:
            told.append(each)
            gone.set()

        endpoint = Endpoint(cascade, on_done=done)
        response = await asked(endpoint, body=streaming())
        await leave(response.pieces)
        await gone.wait()

    asyncio.run(main())
    assert backend.cancelled == 1
    (done,) = told
    assert (done.status, done.failure) == (499, "cancelled")
    answer = done.answer
    assert answer is not None and answer.text == "one " and answer.incomplete
    (attempt,) = answer.attempts
    assert (attempt.tier, attempt.verdict) == ("small", "cancelled")
    assert attempt.calls[0].cost_usd and attempt.calls[0].estimated
    assert answer.trace()["attempts"]


@pytest.mark.parametrize("stream", [False, True])
def test_leaving_early(stream: bool) -> None:
    """A client that goes away before anything was said cancels the call too, and leaves a trace."""
    told: list[Done] = []
    cascade, backend = cascade_of(Stall())

    async def main() -> None:
        endpoint = Endpoint(cascade, on_done=told.append)
        task = asyncio.ensure_future(asked(endpoint, body=streaming() if stream else None))
        for _ in range(20):
            await asyncio.sleep(0)
        assert backend.seen
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    (done,) = told
    assert (done.status, done.failure, backend.cancelled) == (499, "cancelled", 1)
    assert done.answer is not None and done.answer.reply is None
    assert [attempt.verdict for attempt in done.answer.attempts] == ["cancelled"]


def test_slow_reader() -> None:
    """Of a client that reads nothing, no more is kept than a bound."""
    drawn = 0

    async def endless(_request: Request) -> Any:
        nonlocal drawn
        while True:
            drawn += 1
            yield "x" * 1_000

    async def main() -> None:
        response = await asked(Endpoint(Cascade(Function(endless, free=True))), body=streaming())
        before = -1
        while before != drawn:
            before = drawn
            for _ in range(50):
                await asyncio.sleep(0)
        pieces: Any = response.pieces
        assert drawn < 100
        await anext(pieces)
        for _ in range(50):
            await asyncio.sleep(0)
        assert drawn > before
        await pieces.aclose()

    asyncio.run(main())


STEPS = st.sampled_from(
    ["one two three", "", None, Reply("whole"), Fault("server"), Fault("bad_request"), Cut("a b c", 2), Stall("a b", 1)]
)


@given(st.lists(STEPS, min_size=1, max_size=3), st.integers(0, 6), st.booleans(), st.booleans())
def test_ends_law(steps: list[Any], reads: int, stream: bool, last_resort: bool) -> None:
    """However tiers behave and whenever a client goes, a request is told of once, and nothing is left under way."""
    told: list[Done] = []
    tiers = [Tier(ScriptedBackend(step, name=str(place)), name=str(place)) for place, step in enumerate(steps)]
    cascade = Cascade(*tiers, last_resort="Sorry." if last_resort else None)

    async def main() -> None:
        endpoint = Endpoint(cascade, on_done=told.append, heartbeat=0.001)
        task = asyncio.ensure_future(asked(endpoint, body=streaming() if stream else None))
        done, _ = await asyncio.wait([task], timeout=0.02 if any(isinstance(step, Stall) for step in steps) else 5)
        if not done:
            task.cancel()
            await asyncio.wait([task])
            return
        pieces: Any = task.result().pieces
        if pieces is not None:
            for _ in range(reads):
                await anext(pieces, None)
            await pieces.aclose()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert len(told) == 1
    assert told[0].answer is not None and told[0].answer.trace()


# What nobody meant.


@pytest.mark.parametrize("stream", [False, True])
def test_listener_fails(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    """What goes wrong with whoever keeps count is logged, and no matter of the client's."""

    def fails(_done: Done) -> None:
        raise ValueError("secret")

    async def main() -> int:
        response = await asked(Endpoint(cascade_of("Hello")[0], on_done=fails), body=streaming() if stream else None)
        if stream:
            await read(response)
        return response.status

    assert asyncio.run(main()) == 200
    assert "on_done failed" in caplog.text and "secret" not in caplog.text


class Broken:
    """A format that cannot say what it is given."""

    name = "anthropic"

    def __getattr__(self, name: str) -> Any:
        """What else a format has."""
        from fastcascade.wire.anthropic import MESSAGES  # noqa: PLC0415 - stands in for its rest

        return getattr(MESSAGES, name)

    def whole(self, *_given: Any) -> Any:
        raise ValueError("secret")

    encoder = whole


@pytest.mark.parametrize("stream", [False, True])
def test_unforeseen(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody meant is a 500 in the format's words, with the id it is logged under, and no secret."""
    told: list[Done] = []
    broken: Any = {"anthropic": Broken()}
    endpoint = Endpoint(cascade_of("Hello")[0], formats=broken, on_done=told.append)
    with caplog.at_level(logging.ERROR):
        response = run(asked(endpoint, body=streaming() if stream else None, x_request_id="abc"))
    assert response.status == 500 and "abc" in said(response)["error"]["message"]
    assert "abc failed: ValueError" in caplog.text and "secret" not in caplog.text
    assert [(done.status, done.failure) for done in told] == [(500, "error: ValueError")]


class Stops(Gate):
    """Gives a stream up at its first piece."""

    def judge(self, exam: Exam, /) -> Judging:
        return Verdict(0.0)

    def watch(self, request: Request, accept: float, /) -> Any:
        return self

    def feed(self, delta: Any, /) -> str:
        return "abort"

    verdict = Verdict(0.0, "a bad word")


def test_stream_given_up_unseen() -> None:
    """What is said in the place of streams that nobody saw is known as that before its first byte."""
    tiers = (Tier(ScriptedBackend("bad word"), gate=Stops(), name="small"), Tier(ScriptedBackend(None), name="large"))

    async def main() -> tuple[Response, bytes]:
        response = await asked(Endpoint(Cascade(*tiers)), body=streaming())
        return response, await read(response)

    response, body = asyncio.run(main())
    assert dict(response.headers)["x-cascade-via"] == "static" and b"bad" not in body


@pytest.mark.parametrize("hedged", [False, True])
def test_leaving_while_hedged(hedged: bool) -> None:
    """Of tiers that are asked at once, each call is in the trace of a request that was given up."""
    told: list[Done] = []
    backends = [ScriptedBackend(Stall(), name=name, price=PRICE) for name in ("one", "two")]
    hedge = Hedge(after=0.0001) if hedged else None
    cascade = Cascade(*(Tier(each, name=each.name) for each in backends), hedge=hedge)

    async def main() -> None:
        task = asyncio.ensure_future(asked(Endpoint(cascade, on_done=told.append)))
        asking = backends[-1 if hedged else 0]
        async with asyncio.timeout(10):
            while not asking.seen:  # noqa: ASYNC110 - a script has no event to wait for
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    assert told[0].answer is not None
    labels = [call.label for call in told[0].answer.calls]
    assert labels == (["one/answer", "two/answer"] if hedged else ["one/answer"])


# Hostile callers.

ODD = [
    b'{"model": "m", "max_tokens": 9, "metadata": {"user_id": "\\ud800"}, "messages": [], "input": "x"}',
    b'{"model": "m", "max_tokens": 9, "\\uDC00": 1, "messages": [{"role": "user", "content": "x"}], "input": "x"}',
    b'{"model": "m", "max_tokens": 9, "top_p": 1e999, "messages": [{"role": "user", "content": "x"}], "input": "x"}',
    b'{"model": "m", "max_tokens": 9, "x": -1e999, "messages": [{"role": "user", "content": "x"}], "input": "x"}',
    b'{"model": "m", "max_tokens": 9, "x": NaN, "messages": [{"role": "user", "content": "x"}], "input": "x"}',
    json.dumps({**ASKED, "input": "x"}).encode("utf-16"),
    b"\xef\xbb\xbf" + json.dumps({**ASKED, "input": "x"}).encode(),
    b"{" * 100_000,
    b'{"model": "m", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("installed", [True, False])
def test_odd_json_is_refused(path: str, installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no JSON that can be sent on is a 400 in every format, by either reader, and asks no model."""
    if not installed:
        monkeypatch.setattr(endpoint_body, "msgspec", None)
    cascade, backend = cascade_of("ok")
    endpoint = Endpoint(cascade)
    for body in ODD:
        assert run(endpoint.handle("POST", path, {}, body)).status == 400, body[:80]
    assert not backend.seen


@pytest.mark.parametrize("path", BODIES)
def test_escapes_that_pair_up_are_read(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two halves of a pair are one letter to the plain reader too."""
    monkeypatch.setattr(endpoint_body, "msgspec", None)
    cascade, backend = cascade_of("ok")
    body = json.dumps(BODIES[path]).replace("Hi", "\\ud83d\\ude00").encode()
    assert run(Endpoint(cascade).handle("POST", path, {}, body)).status == 200
    assert backend.seen[0].text == "\U0001f600"


def test_a_caller_has_no_say_in_what_is_locked() -> None:
    """Headers, bodies and names of models set no field that is locked; what the operator sets for it still holds."""
    locked = frozenset({"customer", "priority", "budget", "min_tier", "max_tier", "options", "user"})
    caller = Caller("key", "acme", fields={"priority": 2}, locked=locked)
    small, large = ScriptedBackend("ok", "ok", name="s"), ScriptedBackend("ok", name="l")
    endpoint = Endpoint({"m": Cascade(Tier(small, name="small"), Tier(large, name="large"))})
    said_by = {"x_cascade_customer": "other", "x_cascade_priority": "9", "x_cascade_deadline": "9999"}
    body = {**ASKED, "service_tier": "priority", "metadata": {"user_id": "other"}}
    assert run(asked(endpoint, body=body, caller=caller, x_cascade_min_tier="large", **said_by)).status == 200
    request = small.seen[0]
    assert (request.customer, request.priority, request.user, request.budget) == ("acme", 2, "", None)
    assert not request.options and not large.seen
    assert run(asked(endpoint, body={**ASKED, "model": "m/large"}, caller=caller)).status == 404
    listed = run(endpoint.handle("GET", "/v1/models", {}, b"", caller))
    assert [each["id"] for each in said(listed)["data"]] == ["m"]
    named = Caller(models=frozenset({"m/large"}), locked=locked)
    assert run(asked(endpoint, body={**ASKED, "model": "m/large"}, caller=named)).status == 200
    with pytest.raises(ConfigError, match="cannot have id, messages locked"):
        Caller(locked=frozenset({"messages", "id"}))


def test_kept_answers_do_not_cross_callers() -> None:
    """Without a word on the customer each tenant is one, and each caller without a tenant: none is given another's."""

    async def main() -> None:
        backend = ScriptedBackend("for ann", "for bob", "for cy", name="scripted")
        endpoint = Endpoint(Cascade(Tier(backend, name="small"), fallbacks=[Stale(fresh_for=60)]))
        texts: dict[tuple[str, str], list[str]] = {}
        for caller in (Caller("ann"), Caller("bob"), Caller("cy", "acme"), Caller("dee", "acme"), Caller("ann")):
            response = await asked(endpoint, caller=caller)
            texts.setdefault((caller.name, caller.tenant), []).append(said(response)["content"][0]["text"])
        shared = {("ann", ""): ["for ann"] * 2, ("bob", ""): ["for bob"]}
        assert texts == {**shared, ("cy", "acme"): ["for cy"], ("dee", "acme"): ["for cy"]}

    run(main())


def test_bodies_of_many_parts_name_each_once() -> None:
    """Thousands of fields, functions and turns that have no place are each told once, in the order they came."""
    turns: list[Any] = [{"role": "user", "content": "x", **{f"k{i}": 1 for i in range(3_000)}}] * 2
    turns += [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}] * 2_000
    turns += [{"role": "function", "name": "f", "content": "x"}] * 2_000
    found = CHAT.read({"model": "m", "messages": turns}, {})
    assert list(found.not_carried) == [f"messages.k{i}" for i in range(3_000)]
    last: Any = found.request.messages[-1].content[-1]
    assert last.id == "function_call_2001"


@pytest.mark.parametrize("name", ["m" * 501, "/" * 1_000_000, "m/" * 500_000])
@pytest.mark.parametrize("path", BODIES)
def test_names_of_models_have_an_end(path: str, name: str) -> None:
    """A name that no model has is not searched, nor repeated in each chunk of a stream."""
    cascade, backend = cascade_of("ok")
    response = run(asked(Endpoint(cascade), path, {**BODIES[path], "model": name, "stream": True}))
    assert response.status == 400 and len(response.body or b"") < 300 and not backend.seen


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("depth", [100, 400, 600, 800, 950])
def test_deep_bodies_are_answered_or_refused(path: str, depth: int) -> None:
    """However deep a body is, what goes through it comes to an answer or to a 400."""
    function = {"name": "f", "input_schema": "DEEP", "parameters": "DEEP"}
    tool = {"type": "function", "function": function, **function} if path != "/v1/messages" else function
    cascade, _ = cascade_of("ok", fallbacks=[Stale(fresh_for=60)])
    levels = depth // 2
    deep = '{"type": "object", "properties": {"a": ' * levels + "{}" + "}}" * levels
    # Put in as text: whether `json` could write it hangs on how deep the test itself is called.
    body = json.dumps({**BODIES[path], "tools": [tool]}).replace('"DEEP"', deep)
    status = run(Endpoint(cascade).handle("POST", path, {}, body.encode())).status
    assert status == 200 if depth == 100 else status in {200, 400}
