"""What the OpenAI backend reads, through the real SDK, from a server on the loopback that speaks chat completions."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from fastcascade.messages import (
    Block,
    Delta,
    Opaque,
    Request,
    Text,
    Thinking,
    Token,
    ToolCall,
    Usage,
)
from wire.asking import Answers, ask, streamed, whole
from wire.openai import DONE, MODEL, USAGE, completion, event, frames, token, tool_call
from wire.server import WireServer

openai = pytest.importorskip("openai")

HELLO = frames(completion("Hello, world"), lambda said: [said[:5], said[5:]])
CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": MODEL}


@pytest.fixture
def server() -> Iterator[WireServer]:
    """A server of this test's own."""
    with WireServer() as running:
        yield running


SEARCH = tool_call("call_1", "search", '{"q": "東京"}')
SEARCHED = (ToolCall("call_1", "search", '{"q": "東京"}'),)
SIGNED = {"extra_content": {"google": {"thought_signature": "x"}}}
BROKEN = tool_call("c", "f", '{"a')
TWO = [tool_call("a", "f", ""), tool_call("b", "f", "{}", **SIGNED)]
CACHED = {"prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 2}}
THOUGHT = {"completion_tokens_details": {"reasoning_tokens": 3}}
BESIDE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 6, **THOUGHT}
DEEPSEEK = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4}
WEIGHED = [token("Hi", -0.5, [("Yo", -1.5), ("Hi", -0.5)]), token(" yo")]
HEAVY = (Token("Hi", -0.5, (("Hi", -0.5), ("Yo", -1.5))), Token(" yo", -0.25))
REPLIES: list[tuple[str, dict[str, Any], tuple[Block, ...], dict[str, Any]]] = [
    ("text", completion("Hello"), (Text("Hello"),), {"stop": "end"}),
    ("length", completion("Hel", "length"), (Text("Hel"),), {"stop": "length"}),
    ("a call", completion(None, "tool_calls", calls=[SEARCH]), SEARCHED, {"stop": "tool"}),
    ("a call asked for by name", completion(None, "stop", calls=[SEARCH]), SEARCHED, {"stop": "tool"}),
    (
        "a call whose arguments are broken",
        completion("So", "length", calls=[BROKEN]),
        (Text("So"), ToolCall("c", "f", '{"a')),
        {"stop": "length"},
    ),
    (
        "calls",
        completion(None, "tool_calls", calls=TWO),
        (ToolCall("a", "f", ""), ToolCall("b", "f", "{}", {"openai": SIGNED})),
        {"stop": "tool"},
    ),
    ("a refusal", completion(None, refusal="I will not."), (Text("I will not."),), {"stop": "refusal"}),
    ("a filter", completion("Well", "content_filter"), (Text("Well"),), {"stop": "refusal"}),
    ("thinking", completion("4", reasoning_content="2+2"), (Thinking("2+2", by="openai"), Text("4")), {}),
    ("thinking by another name", completion("4", reasoning="2+2"), (Thinking("2+2", by="openai"), Text("4")), {}),
    ("nothing", completion(""), (), {"stop": "end"}),
    ("a stop text", completion("Hel", choice={"stop_reason": "lo"}), (Text("Hel"),), {"stop": "stop_sequence"}),
    ("a stop token", completion("Hel", choice={"stop_reason": 151645}), (Text("Hel"),), {"stop": "end"}),
    ("an unknown end", completion("Hel", "weary"), (Text("Hel"),), {"stop": "other"}),
    ("no usage", completion("Hel", usage=None), (Text("Hel"),), {"usage": None}),
    ("usage", completion("a", usage={**USAGE, **CACHED, **THOUGHT}), (Text("a"),), {"usage": Usage(12, 34, 8, 2, 3)}),
    ("thinking counted beside", completion("a", usage=BESIDE), (Text("a"),), {"usage": Usage(1, 5, 0, 0, 3)}),
    ("DeepSeek's cache", completion("a", usage=DEEPSEEK), (Text("a"),), {"usage": Usage(9, 2, 4)}),
    ("tokens", completion("Hi yo", tokens=WEIGHED), (Text("Hi yo"),), {"logprobs": HEAVY}),
    ("no tokens", completion("Hi", tokens=[]), (Text("Hi"),), {"logprobs": ()}),
    ("tokens of no text", completion("", tokens=WEIGHED), (), {"logprobs": HEAVY}),
]


@pytest.mark.parametrize("how", [whole, streamed])
@pytest.mark.parametrize(
    ("body", "content", "fields"), [case[1:] for case in REPLIES], ids=[case[0] for case in REPLIES]
)
def test_a_reply_comes_back_as_it_was_said(
    server: WireServer, how: Answers, body: dict[str, Any], content: tuple[Block, ...], fields: dict[str, Any]
) -> None:
    """Whole or in pieces, a completion is the same reply, with the provider's own word for its end."""
    if how is whole:
        server.reply(200, body, {"x-request-id": "req_1"})
    else:
        server.stream(frames(body, list), headers={"x-request-id": "req_1"})
    _, reply = ask(server, how=how)
    assert reply.content == content
    assert (reply.model, reply.id) == (MODEL, "req_1")
    assert reply.raw_stop == body["choices"][0]["finish_reason"]
    assert reply.extra["openai"] == {"id": "chatcmpl-C8x1", "service_tier": "default"}
    assert {name: getattr(reply, name) for name in fields} == fields
    assert not reply.tool_calls or not reply.empty


def said(finish: str | None = None, **delta: Any) -> bytes:
    """A frame with this delta."""
    return event({**CHUNK, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def called(index: int | None = 0, call: str | None = None, **more: Any) -> list[dict[str, Any]]:
    """A piece of a tool call."""
    named = {"index": index, "id": call, **more}
    return [{name: value for name, value in named.items() if value is not None}]


ACCENTS: list[tuple[str, list[bytes], tuple[Block, ...], str]] = [
    (
        "one index for all calls",
        [
            said(tool_calls=called(0, "a", function={"name": "f"})),
            said(tool_calls=called(0, "a", function={"arguments": "1"})),
            said("tool_calls", tool_calls=called(0, "b", function={"name": "f", "arguments": "2"})),
            DONE,
        ],
        (ToolCall("a", "f", "1"), ToolCall("b", "f", "2")),
        "tool",
    ),
    (
        "calls without index and id, with arguments read",
        [said("stop", tool_calls=called(None, function={"name": "f", "arguments": {"a": 1}})), DONE],
        (ToolCall("chatcmpl-1_0", "f", '{"a": 1}'),),
        "tool",
    ),
    (
        "a function call of old",
        [
            said(function_call={"name": "f", "arguments": ""}),
            said("function_call", function_call={"arguments": "{}"}),
            DONE,
        ],
        (ToolCall("chatcmpl-1_0", "f", "{}"),),
        "tool",
    ),
    (
        "content in parts",
        [
            said(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
            said(content=[{"type": "text", "text": "so"}, {"type": "reference", "ids": [1]}]),
            said("stop", content=" be it"),
            DONE,
        ],
        (Thinking("hm", by="openai"), Text("so be it"), Opaque("openai", {"type": "reference", "ids": [1]})),
        "end",
    ),
    (
        "a custom call and audio in pieces",
        [
            said(audio={"id": "a", "data": "Ukl"}),
            said(tool_calls=called(0, "c", type="custom", custom={"name": "f", "input": "x"})),
            said("tool_calls", audio={"id": "a", "data": "GRg"}, tool_calls=called(0, custom={"input": "y"})),
            DONE,
        ],
        (
            Opaque("openai", {"id": "c", "type": "custom", "custom": {"name": "f", "input": "xy"}}),
            Opaque("openai", {"type": "audio", "audio": {"id": "a", "data": "UklGRg"}}),
        ),
        "tool",
    ),
    (
        "comments, pings, line ends of all kinds, and an end without its blank line",
        [
            b": still at work\r\n\r\n",
            b"data:\n\n",
            b"event: ping\ndata: {}\n\n",
            event({**CHUNK, "choices": [], "prompt_filter_results": []}),
            said(content="a\u2028b\x85").replace(b"\n", b"\r\n"),
            said("stop"),
            b"data: [DONE]",
        ],
        (Text("a\u2028b\x85"),),
        "end",
    ),
]


@pytest.mark.parametrize("fault", [None, "slow"])
@pytest.mark.parametrize(
    ("events", "content", "stop"), [case[1:] for case in ACCENTS], ids=[case[0] for case in ACCENTS]
)
def test_endpoints_that_speak_with_an_accent_are_understood(
    server: WireServer, fault: Any, events: Sequence[bytes], content: tuple[Block, ...], stop: str
) -> None:
    """What compatible endpoints do otherwise than OpenAI is read all the same, however its bytes arrive."""
    server.stream(events, fault)
    _, reply = ask(server, how=streamed)
    assert (reply.content, reply.stop) == (content, stop)


def test_the_tokens_of_a_tools_arguments_say_so(server: WireServer) -> None:
    """Tokens past the text are a tool's where there is a tool, whether they come at once or in chunks."""
    listed = [token("So"), token("{}")]
    call = [tool_call("c", "f", "{}")]
    tokens = (Token("So", -0.25), Token("{}", -0.25, tool=True))
    server.reply(body=completion("So", "tool_calls", calls=call, tokens=listed))
    server.reply(body=completion(None, "tool_calls", calls=call, tokens=listed[1:]))
    server.reply(body=completion("So", "tool_calls", calls=call, tokens=listed, reasoning="hm"))
    assert [ask(server)[1].logprobs for _ in range(3)] == [tokens, tokens[1:], (tokens[0], Token("{}", -0.25))]
    text, *_ = frames(completion("So", tokens=listed[:1]))[1:]
    first = {"delta": {"tool_calls": [{**call[0], "index": 0}]}, "logprobs": {"content": listed[1:]}}
    server.stream([text, event({**CHUNK, "choices": [first]}), said("tool_calls"), DONE])
    deltas, reply = ask(server, how=streamed)
    assert reply.logprobs == tokens and [delta.tokens for delta in deltas] == [tokens[:1], tokens[1:]]


def test_an_endpoint_that_does_not_stream_still_answers(server: WireServer) -> None:
    """A whole completion where a stream was asked for is taken as one piece."""
    server.reply(body=completion("Hello"))
    deltas, reply = ask(server, how=streamed)
    assert deltas == [Delta("text", "Hello")] and reply.text == "Hello"


def test_a_stream_asks_for_its_usage(server: WireServer) -> None:
    """Usage is asked for in a stream, unless the endpoint is said not to know of it."""
    settings: list[tuple[Any, Any]] = [
        ({}, {"include_usage": True}),
        ({"stream_options": {"x": 1}}, {"include_usage": True, "x": 1}),
        ({"stream_options": None}, None),
    ]
    for options, wanted in settings:
        server.stream(HELLO)
        _, reply = ask(server, Request.of("hi", options={"openai": options}), streamed)
        assert reply.usage == Usage(12, 34)
        assert server.seen[-1].body["stream"] is True and server.seen[-1].body.get("stream_options") == wanted
