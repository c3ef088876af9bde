"""The Anthropic backend carries whatever it is given, out and back, unchanged, through the real SDK."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    ToolCall,
    ToolResult,
)
from wire.anthropic import frames, message, redacted, text, thinking, tool_use
from wire.claude import backend, streamed
from wire.server import WireServer

pytest.importorskip("anthropic")

# Letters of every length in UTF-8, what SSE and JSON give a meaning of their own, and one long text.
SNIPPETS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "data: x\n\n",
            "event: error",
            "\r\n",
            "\u2028\x85\x0c",
            "\\u0041",
            '{"a": ',
            "\x00",
            "e\u0301\U0001f9d1\u200d\U0001f52c",
        ]
    ),
    st.just("long \U0001f600 " * 2_000),
)
WORDS = SNIPPETS.filter(lambda said: said.strip() != "")
IDS = st.text("abcXYZ019_-", min_size=1, max_size=12).map(lambda each: f"toolu_{each}")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
GIVEN = st.dictionaries(st.text(max_size=5), VALUES, max_size=3)
NAMES = st.sampled_from(["find", "get_weather", "list-all"])
MARKS = st.sampled_from([{}, {"anthropic": {"cache_control": {"type": "ephemeral"}}}])

TEXTS = st.builds(Text, WORDS, MARKS)
IMAGES = st.builds(Image, data=st.text("ABCabc+/", min_size=4), media_type=st.just("image/png")) | st.builds(
    Image, url=st.just("https://x.test/a.png"), extra=MARKS
)
THOUGHTS = st.builds(Thinking, SNIPPETS, IDS, by=st.just("anthropic")) | st.builds(
    Thinking, redacted=IDS, by=st.just("anthropic")
)
CALLS = st.builds(ToolCall, IDS, NAMES, GIVEN.map(json.dumps))
RESULTS = st.builds(ToolResult, IDS, st.lists(TEXTS | IMAGES, max_size=3).map(tuple), st.booleans(), MARKS)
NEW = st.builds(lambda more: Opaque("anthropic", {"type": "new", "more": more}), VALUES)
UNSENT = st.sampled_from(
    [Text(""), Text(" \n\t"), Thinking("unsigned", by="anthropic"), Thinking("hm", "sig", by="openai")]
)
TURNS = st.builds(
    lambda asked, said: [Message("user", asked), Message("assistant", said)],
    st.lists(TEXTS | IMAGES | RESULTS | NEW | UNSENT, max_size=4).map(lambda blocks: (Text("so"), *blocks)),
    st.lists(TEXTS | THOUGHTS | CALLS | NEW | UNSENT, max_size=4).map(lambda blocks: (*blocks, Text("there"))),
)
REQUESTS = st.builds(
    Request,
    st.lists(TURNS, min_size=1, max_size=3).map(lambda turns: tuple(each for turn in turns for each in turn)),
    system=st.lists(TEXTS, max_size=2).map(tuple),
    stop=st.lists(WORDS, max_size=2).map(tuple),
)

SAID = st.lists(
    st.one_of(
        st.builds(text, SNIPPETS),
        st.builds(thinking, SNIPPETS, IDS),
        st.builds(redacted, IDS),
        st.builds(tool_use, IDS, NAMES, GIVEN),
        st.builds(lambda call, given: {**tool_use(call, "web_search", given), "type": "server_tool_use"}, IDS, GIVEN),
        st.builds(lambda more: {"type": "new", "more": more}, VALUES.filter(lambda more: more is not None)),
    ),
    max_size=5,
)
STOPS = st.sampled_from(["end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"])
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=5)


class Wire:
    """A server, a backend that asks it, and a loop in which it does."""

    def __init__(self, server: WireServer, runner: "asyncio.Runner") -> None:
        self.server = server
        self.model = backend(server)
        self.run = runner.run


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """One for all examples."""
    with WireServer() as server, asyncio.Runner() as runner:
        yield Wire(server, runner)


def heard(block: Mapping[str, Any]) -> Block:  # noqa: PLR0911 # a table
    """A block of a request, as whoever serves it would understand it."""
    own = {"cache_control": block["cache_control"]} if "cache_control" in block else {}
    extra = {"anthropic": own} if own else {}
    match block["type"]:
        case "text":
            return Text(block["text"], extra)
        case "image" if block["source"]["type"] == "url":
            return Image(url=block["source"]["url"], extra=extra)
        case "image":
            return Image(block["source"]["data"], block["source"]["media_type"], extra=extra)
        case "thinking":
            return Thinking(block["thinking"], block["signature"], by="anthropic")
        case "redacted_thinking":
            return Thinking(redacted=block["data"], by="anthropic")
        case "tool_use":
            return ToolCall(block["id"], block["name"], json.dumps(block["input"]))
        case "tool_result":
            parts: Any = tuple(heard(part) for part in block.get("content", ()))
            return ToolResult(block["tool_use_id"], parts, block.get("is_error", False), extra)
        case _:
            return Opaque("anthropic", block)


def sayable(block: Block) -> bool:
    """Whether the API takes such a block at all."""
    match block:
        case Text(said):
            return said.strip() != ""
        case Thinking(by=by):
            return by == "anthropic" and bool(block.signature or block.redacted)
        case _:
            return True


def spelled(deltas: Sequence[Delta]) -> dict[int, tuple[str, str, str, str]]:
    """What the pieces of a stream add up to, by block: kind, id, name and text."""
    blocks: dict[int, tuple[str, str, str, str]] = {}
    for delta in deltas:
        if delta.kind == "block":
            continue
        kind, call, name, before = blocks.get(delta.index, (delta.kind, delta.id, delta.name, ""))
        assert kind == delta.kind
        blocks[delta.index] = (kind, call, name, before + delta.text)
    return blocks


def told(reply: Reply) -> dict[int, tuple[str, str, str, str]]:
    """What a reply's blocks say, in the same form; those that no piece tells of are left out."""
    blocks: dict[int, tuple[str, str, str, str]] = {}
    for index, block in enumerate(reply.content):
        match block:
            case Text(said) if said:
                blocks[index] = ("text", "", "", said)
            case Thinking(thought) if thought:
                blocks[index] = ("thinking", "", "", thought)
            case ToolCall(call, name, arguments):
                blocks[index] = ("tool", call, name, arguments)
            case _:
                continue
    return blocks


@settings(max_examples=150)
@given(request=REQUESTS, streaming=st.booleans())
def test_what_goes_out_is_what_was_asked(wire: Wire, request: Request, streaming: bool) -> None:
    """Any conversation reaches the server block by block as it is, whole or streamed."""
    wire.server.clear()
    done = message([text("ok")])
    if streaming:
        wire.server.stream(frames(done))
        wire.run(streamed(wire.model, request))
    else:
        wire.server.reply(body=done)
        wire.run(wire.model.complete(request))
    body = wire.server.seen[-1].body
    assert [(turn["role"], tuple(map(heard, turn["content"]))) for turn in body["messages"]] == [
        (turn.role, tuple(filter(sayable, turn.content))) for turn in request.messages
    ]
    assert tuple(map(heard, body.get("system", ()))) == request.system
    assert tuple(body.get("stop_sequences", ())) == request.stop


@settings(max_examples=150)
@given(content=SAID, stop=STOPS, sizes=SIZES, slow=st.booleans())
def test_what_comes_back_is_what_was_said(
    wire: Wire, content: list[dict[str, Any]], stop: str, sizes: list[int], slow: bool
) -> None:
    """Any reply comes back as it is, whole or in any pieces, and its pieces spell it."""
    said = message(content, stop)

    def cut(whole: str) -> list[str]:
        """Short texts in pieces of these sizes, long ones in larger."""
        pieces, at, each = [], 0, cycle(sizes)
        while at < len(whole):
            size = next(each) * (1 + len(whole) // 500)
            pieces.append(whole[at : at + size])
            at += size
        return pieces

    sent = frames(said, cut)
    slow = slow and sum(map(len, sent)) < 8_000
    wire.server.clear()
    wire.server.reply(body=said)
    wire.server.stream(sent, "slow" if slow else None)
    request = Request.of("Hi")
    reply = wire.run(wire.model.complete(request))
    deltas, again = wire.run(streamed(wire.model, request))
    assert reply.content == tuple(
        ToolCall(block["id"], block["name"], json.dumps(block["input"], ensure_ascii=False))
        if block["type"] == "tool_use"
        else heard(block)
        for block in content
    )
    assert reply.raw_stop == stop
    assert again == reply
    assert spelled(deltas) == told(reply)
