"""The litellm adapter, through the real litellm, against a server on the loopback that speaks chat completions.

litellm wants the OpenAI SDK before its version 3, so that it is tested where that one is installed.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import pytest

from fastcascade import Cascade, Price, PriceSheet, Tier
from fastcascade.backends.litellm import LiteLLM
from fastcascade.errors import BackendError, ConfigError, Failure
from fastcascade.messages import (
    Block,
    Delta,
    Image,
    Message,
    Opaque,
    Reply,
    Request,
    Text,
    Thinking,
    Token,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from wire.asking import KEY, Answers, streamed, whole
from wire.openai import DONE, completion, error, event, frames, token, tool_call
from wire.server import Fault, WireServer

pytestmark = pytest.mark.filterwarnings("ignore")  # litellm warns of what it does itself
real = pytest.mark.skipif(find_spec("litellm") is None, reason="litellm is not installed: it wants openai before 3")
HI = Request.of("hi")
HELLO = frames(completion("Hello, world"), lambda said: [said[:5], said[5:]])
FINISH = next(number for number, frame in enumerate(HELLO) if b'"finish_reason": "stop"' in frame)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test fetches a price list."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")


@pytest.fixture
def server() -> Iterator[WireServer]:
    """A server of this test's own."""
    with WireServer() as running:
        yield running


def ask(server: WireServer, request: Request = HI, how: Answers = whole, **params: Any) -> tuple[list[Delta], Reply]:
    """Ask once, and close what litellm keeps open."""

    async def go() -> tuple[list[Delta], Reply]:
        model = LiteLLM("openai/small", **{"api_key": KEY, "api_base": f"{server.url}/v1", **params})
        try:
            return await how(model, request)
        finally:
            import litellm  # type: ignore[import-not-found, unused-ignore] # noqa: PLC0415 # where it is installed

            await litellm.close_litellm_async_clients()

    return asyncio.run(go())


def failed(server: WireServer, how: Answers, request: Request = HI, **params: Any) -> Failure:
    """The failure that asking comes to."""
    with pytest.raises(BackendError) as caught:
        ask(server, request, how, **params)
    assert KEY not in f"{caught.value!r} {caught.value.failure}"
    assert caught.value.__context__ is None
    return caught.value.failure


MISBUILT: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "a model needs a name"),
    ({"model": "m", "num_retries": 2}, "litellm may not be told num_retries"),
    ({"model": "m", "fallbacks": ["n"]}, "litellm may not be told fallbacks"),
    ({"model": "m"}, r"pip install 'fastcascade\[litellm\]'"),
]


@pytest.mark.parametrize(("settings", "said"), MISBUILT, ids=[case[1] for case in MISBUILT])
def test_settings_that_cannot_work_are_found_when_it_is_built(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], said: str
) -> None:
    """A bad setting is an error that names it, and so is a litellm that is not installed."""
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(ConfigError, match=said):
        LiteLLM(**settings)


@real
def test_it_says_what_it_gives_and_hides_its_parameters() -> None:
    """It gives log-probabilities where it is told so, and its repr shows no parameter."""
    assert repr(LiteLLM("groq/m", api_key=KEY, logprobs=True)) == "LiteLLM('groq/m', logprobs=True)"
    assert LiteLLM("groq/m").gives == frozenset()


@real
def test_a_conversation_goes_out_as_chat_completions(server: WireServer) -> None:
    """System, pictures, tools, calls and results are sent as the OpenAI backend sends them."""
    turns: Sequence[Message] = (
        Message("user", (Text("look"), Image("iVBORw0K", "image/png"))),
        Message("assistant", (Thinking("hm", by="anthropic"), Text("so"), ToolCall("c", "f", '{"a": "東"}'))),
        Message("user", (ToolResult("c", (Text("sun"),)), Text("and?"))),
    )
    sampling: dict[str, Any] = {"max_tokens": 9, "temperature": 0.5, "logprobs": 2, "options": {"litellm": {"seed": 7}}}
    request = Request(tuple(turns), (Text("be brief"),), (Tool("f"),), "any", **sampling)
    server.reply(body=completion("ok"))
    ask(server, request, logprobs=True)
    body = server.seen[-1].body
    url = {"url": "data:image/png;base64,iVBORw0K"}
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": url}]},
        {"role": "assistant", "content": "so", "tool_calls": [tool_call("c", "f", '{"a": "東"}')]},
        {"role": "tool", "tool_call_id": "c", "content": "sun"},
        {"role": "user", "content": "and?"},
    ]
    settings = {"model": "small", "max_tokens": 9, "temperature": 0.5, "seed": 7, "logprobs": True, "top_logprobs": 2}
    assert {name: body[name] for name in settings} == settings
    assert body.keys() == settings.keys() | {"messages", "tools", "tool_choice"}
    assert (body["tool_choice"], body["tools"][0]["function"]["name"]) == ("required", "f")
    assert server.seen[-1].headers["authorization"] == f"Bearer {KEY}"


SIGNED = {"extra_content": {"google": {"thought_signature": "x"}}}
REPLIES: list[tuple[dict[str, Any], tuple[Block, ...], dict[str, Any]]] = [
    (completion("Hello"), (Text("Hello"),), {"stop": "end", "usage": Usage(12, 34)}),
    (completion("Hel\u2028", "length"), (Text("Hel\u2028"),), {"stop": "length"}),
    (completion("No", "content_filter"), (Text("No"),), {"stop": "refusal"}),
    (completion("4", reasoning_content="2+2"), (Thinking("2+2", by="litellm"), Text("4")), {}),
    (
        completion(None, "tool_calls", calls=[tool_call("a", "f", '{"q'), tool_call("b", "f", "{}")]),
        (ToolCall("a", "f", '{"q'), ToolCall("b", "f", "{}")),
        {"stop": "tool"},
    ),
    (
        completion("Hi yo", tokens=[token("Hi", -0.5, [("Yo", -1.5), ("Hi", -0.5)]), token(" yo")]),
        (Text("Hi yo"),),
        {"logprobs": (Token("Hi", -0.5, (("Hi", -0.5), ("Yo", -1.5))), Token(" yo", -0.25))},
    ),
]


@real
@pytest.mark.parametrize("how", [whole, streamed])
@pytest.mark.parametrize(("body", "content", "fields"), REPLIES)
def test_a_reply_comes_back_as_it_was_said(
    server: WireServer, how: Answers, body: dict[str, Any], content: tuple[Block, ...], fields: dict[str, Any]
) -> None:
    """Whole or in pieces, what the endpoint says is the reply, with the request's id."""
    if how is whole:
        server.reply(200, body, {"x-request-id": "req_1"})
    else:
        server.stream(frames(body, list), "slow", headers={"x-request-id": "req_1"})
    _, reply = ask(server, how=how)
    assert reply.content == content
    assert reply.id == "req_1"
    assert {name: getattr(reply, name) for name in fields} == fields


@real
def test_a_whole_reply_keeps_what_litellm_files_elsewhere(server: WireServer) -> None:
    """A refusal is one, and what a call carries for its provider goes back to it."""
    server.reply(body=completion(None, refusal="I will not."))
    _, reply = ask(server)
    assert (reply.content, reply.stop) == ((Text("I will not."),), "refusal")
    server.reply(body=completion(None, "tool_calls", calls=[tool_call("b", "f", "{}", **SIGNED)]))
    _, reply = ask(server)
    assert reply.content == (ToolCall("b", "f", "{}", {"litellm": SIGNED}),)
    server.reply(body=completion("ok"))
    ask(server, Request((Message("assistant", reply.content), Message("user", "so?"))))
    assert server.seen[-1].body["messages"][0]["tool_calls"] == [tool_call("b", "f", "{}", **SIGNED)]


LATER = {"retry-after": "7", "x-request-id": "req_9"}
REFUSED: list[tuple[int, Any, dict[str, str], tuple[Any, ...]]] = [
    (400, error("too long", "invalid_request_error"), {}, ("bad_request", 400, None)),
    (401, error(f"wrong: {KEY}"), {}, ("auth", 401, None)),
    (403, error("not you"), {}, ("auth", 403, None)),
    (404, error("no such model"), {}, ("not_found", 404, None)),
    (400, error("no such model", "x", "model_not_found"), {}, ("not_found", 400, None)),
    (402, error("pay"), {}, ("billing", 402, None)),
    (409, error("not now"), {}, ("conflict", 409, None)),
    (410, error("gone"), {}, ("not_found", 410, None)),
    (429, error("broke", "insufficient_quota", "insufficient_quota"), LATER, ("billing", 429, 7.0)),
    (422, error("shape"), {}, ("bad_request", 422, None)),
    (429, error("slow down"), LATER, ("rate_limited", 429, 7.0)),
    (500, error("oops"), {}, ("server", 500, None)),
    (503, error("busy"), LATER, ("overloaded", 503, 7.0)),
    (529, {}, {}, ("overloaded", 529, None)),
    (502, b"<html>bad gateway</html>", {"content-type": "text/html"}, ("server", 502, None)),
]


@real
@pytest.mark.parametrize("how", [whole, streamed])
@pytest.mark.parametrize(("status", "body", "headers", "wanted"), REFUSED)
def test_a_refusal_says_what_kind_it_is(
    server: WireServer, how: Answers, status: int, body: Any, headers: dict[str, str], wanted: tuple[Any, ...]
) -> None:
    """Every status is a failure of its kind, asked once, without secrets."""
    server.reply(status, body, headers)
    failure = failed(server, how)
    assert (failure.kind, failure.status, failure.retry_after) == wanted
    assert failure.request_id == headers.get("x-request-id", "")
    assert len(server.seen) == 1


@real
@pytest.mark.parametrize("how", [whole, streamed])
@pytest.mark.parametrize(
    "said",
    [
        error(f"no: {KEY}", "invalid_request_error", "content_policy_violation"),
        error(f"no: {KEY}", "invalid_request_error", "content_filter"),
        error(f"no: {KEY}. The request was rejected as a result of the safety system", "invalid_request_error"),
    ],
)
def test_a_refusal_of_the_content_is_a_reply(server: WireServer, how: Answers, said: dict[str, Any]) -> None:
    """A model that will not answer this has replied, with nothing, whether by its code or by litellm's reading."""
    server.reply(400, said, {"x-request-id": "req_9"})
    deltas, reply = ask(server, how=how)
    assert (deltas, reply.stop, reply.empty, reply.id) == ([], "refusal", True, "req_9")
    assert KEY not in repr(reply) and len(server.seen) == 1


WRONG: list[tuple[Any, str]] = [
    (error("oops"), "server"),
    (b"Hello", "malformed"),
    ({"choices": []}, "malformed"),
]


@real
@pytest.mark.parametrize(("body", "kind"), WRONG)
def test_what_is_no_completion_is_a_failure(server: WireServer, body: Any, kind: str) -> None:
    """An error inside a 200, and what is not a completion, is a failure, whole or in a stream."""
    server.reply(body=body)
    server.reply(body=body)
    assert failed(server, whole).kind == kind
    assert failed(server, streamed).kind in (kind, "cut")


STREAMS: list[tuple[str, Sequence[bytes], Fault | None, int, str]] = [
    ("cut", HELLO, "cut", 2, "cut"),
    ("reset", HELLO, "reset", 2, "cut"),
    ("ended without a finish", HELLO, "drop_end", FINISH, "cut"),
    ("nothing", [], None, 0, "cut"),
    ("[DONE] without a finish", [*HELLO[:3], DONE], None, 0, "cut"),
    ("half a chunk", [*HELLO[:2], HELLO[2][:40] + b"\n\n", *HELLO[3:]], None, 0, "malformed"),
    ("an error", [*HELLO[:2], event(error("oops"))], None, 0, "server"),
    ("too many", [*HELLO[:2], event(error("slow", "rate_limit_error"))], None, 0, "rate_limited"),
]


@real
@pytest.mark.parametrize(
    ("events", "fault", "at", "kind"), [case[1:] for case in STREAMS], ids=[case[0] for case in STREAMS]
)
def test_a_stream_that_breaks_is_never_a_clean_end(
    server: WireServer, events: Sequence[bytes], fault: Fault | None, at: int, kind: str
) -> None:
    """A stream that ends before its finish reason is a failure, though litellm makes one up."""
    server.stream(events, fault, at)
    assert failed(server, streamed).kind == kind


@real
@pytest.mark.parametrize("how", [whole, streamed])
def test_what_is_not_said_by_the_provider_has_its_own_kind(server: WireServer, how: Answers) -> None:
    """No connection, no answer in time, a parameter the model has not, and a foreign block are told apart."""
    assert failed(server, how, api_base="http://127.0.0.1:9/v1").kind == "connection"
    server.reply(fault="stall")
    assert failed(server, how, timeout=0.05).kind == "timeout"
    foreign = Request((Message("user", (Opaque("anthropic", {"type": "document"}),)),))
    assert failed(server, how, foreign).kind == "unsupported"


@real
def test_leaving_a_stream_closes_its_connection(server: WireServer) -> None:
    """A stream that is left is not kept up behind the caller's back."""

    async def go(model: LiteLLM, request: Request) -> Any:
        stream: Any = model.stream(request)
        assert (await anext(stream)).text == "Hello"
        await stream.aclose()

    server.stream(HELLO, "stall", 2)
    ask(server, how=go)
    assert server.gone.wait(10)


@real
def test_a_model_of_litellms_is_a_tier(server: WireServer) -> None:
    """Its name with the provider before it makes a tier, and is priced as that provider's or not at all."""
    server.reply(200, completion("Four"))

    async def go() -> str:
        model = LiteLLM("openai/small", api_key=KEY, api_base=f"{server.url}/v1")
        cascade = Cascade(Tier(model))
        answer = await cascade.run("Two and two?")
        import litellm  # type: ignore[import-not-found, unused-ignore] # noqa: PLC0415 # where it is installed

        await litellm.close_litellm_async_clients()
        return f"{answer.tier}: {answer.text}, {answer.cost_usd}"

    assert asyncio.run(go()) == "openai:small: Four, None"
    sheet = PriceSheet({"groq/llama-3.3": Price(1.0, 2.0)}, source=None)
    assert Tier(LiteLLM("groq/llama-3.3", api_key=KEY)).rate(sheet) == Price(1.0, 2.0)
    assert Tier(LiteLLM("ollama/llama-3.3", api_key=KEY)).rate(sheet) is None
