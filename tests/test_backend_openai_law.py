"""What goes into the OpenAI backend comes out of it: random conversations and replies through the real SDK."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastcascade.backends.openai import OpenAI
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
    ToolCall,
    ToolResult,
    Usage,
)
from wire.asking import streamed
from wire.openai import completion, frames, token, tool_call
from wire.server import WireServer

pytest.importorskip("openai")

FEW = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
NASTY = ["\u2028", "\x85", "\r\n", "\n\n", "data: [DONE]\n\n", "\x00", "\ufeff", '"\\', "e\u0301"]
NASTY.append("\U0001f469\u200d\U0001f680")
ENDS = [("stop", "end"), ("length", "length"), ("content_filter", "refusal"), ("tool_calls", "tool"), ("?", "other")]
words = st.text(st.characters(codec="utf-8"), max_size=20)
texts = st.one_of(words, st.lists(st.one_of(words, st.sampled_from(NASTY)), max_size=6).map("".join))
long_texts = st.builds(lambda text, times: text * times, texts, st.sampled_from([1, 1, 1, 200]))
some = long_texts.filter(bool)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
arguments = st.one_of(st.just("{}"), st.dictionaries(names, texts, min_size=1).map(repr), some)
pictures = st.one_of(
    st.builds(lambda raw: Image(base64.b64encode(raw).decode(), "image/png"), st.binary(min_size=1)),
    st.builds(lambda name: Image(url=f"https://x.test/{name}.png"), names),
)
own = st.builds(lambda text: Opaque("openai", {"type": "file", "file": {"file_data": text}}), texts)
thoughts = st.builds(Thinking, texts, by=st.sampled_from(["openai", "anthropic"]))
calls = st.builds(ToolCall, names, names, arguments)
results = st.builds(
    ToolResult, names, st.lists(st.one_of(st.builds(Text, texts), pictures, own), max_size=3).map(tuple), st.booleans()
)
user_turns = st.builds(
    lambda content: Message("user", content),
    st.lists(st.one_of(st.builds(Text, texts), pictures, own, results), max_size=4),
)
model_turns = st.builds(
    lambda content: Message("assistant", content),
    st.lists(st.one_of(st.builds(Text, texts), thoughts, calls), max_size=4),
)
conversations = st.builds(
    Request,
    st.lists(st.one_of(user_turns, model_turns), min_size=1, max_size=4).map(tuple),
    st.lists(st.builds(Text, texts), max_size=2).map(tuple),
)


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[asyncio.Runner, WireServer, OpenAI]]:
    """One server, one loop and one backend, so that a hundred examples take no more than their own time."""
    with asyncio.Runner() as runner, WireServer() as server:
        model = OpenAI("m", base_url=f"{server.url}/v1", thinking_field="reasoning_content")
        yield runner, server, model
        runner.run(model.aclose())


World = tuple[asyncio.Runner, WireServer, OpenAI]


def parts(content: Any) -> list[dict[str, Any]]:
    """Content as parts, whichever way it was sent."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())


def part(block: Block) -> dict[str, Any]:
    """A block as a part, said once more and otherwise."""
    if isinstance(block, Image):
        url = block.url or "data:" + block.media_type + ";base64," + block.data
        return {"type": "image_url", "image_url": {"url": url}}
    if isinstance(block, Opaque):
        return dict(block.data)
    assert isinstance(block, Text)
    return {"type": "text", "text": block.text}


def kept(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts without empty texts, which stand for no content at all."""
    return [each for each in given if each.get("text") != ""]


def check_user(turn: Message, sent: Iterator[dict[str, Any]]) -> None:
    """All a user's turn holds is there: its results, each by its id, then its pictures, then the rest."""
    shown: list[Block] = []
    for result in (block for block in turn.content if isinstance(block, ToolResult)):
        message = next(sent)
        assert (message["role"], message["tool_call_id"]) == ("tool", result.id)
        wanted: list[dict[str, Any]] = []
        for block in result.content:
            if isinstance(block, Image):
                shown.append(block)
                block = Text(f"[picture of tool result {result.id}]: see the next message")  # noqa: PLW2901 # in its place
            wanted.append(part(block))
        if result.is_error:
            if not wanted or wanted[0]["type"] != "text":
                wanted.insert(0, part(Text("")))
            wanted[0]["text"] = "The tool failed: " + wanted[0]["text"]
        assert kept(parts(message["content"])) == kept(wanted)
    rest = [block for block in turn.content if not isinstance(block, ToolResult)]
    if shown or rest or not turn.content:
        message = next(sent)
        assert message["role"] == "user"
        told = parts(message["content"])
        assert [each for each in told[: 2 * len(shown)] if each["type"] != "text"] == [part(block) for block in shown]
        assert kept(told[2 * len(shown) :]) == kept([part(block) for block in rest])


def check_model(turn: Message, message: dict[str, Any]) -> None:
    """All a model's turn holds is there, but for the thinking of others."""
    assert message["role"] == "assistant"
    assert kept(parts(message["content"])) == kept([part(block) for block in turn.content if isinstance(block, Text)])
    wanted = [tool_call(call.id, call.name, call.arguments) for call in turn.content if isinstance(call, ToolCall)]
    assert message.get("tool_calls", []) == wanted
    thoughts = [each.text for each in turn.content if isinstance(each, Thinking) and each.by == "openai"]
    assert message["reasoning_content"] == "".join(thoughts)


@FEW
@given(request_=conversations)
def test_a_conversation_goes_out_whole(world: World, request_: Request) -> None:
    """Whatever a conversation is made of, the endpoint sees all of it, in order, and nothing else."""
    runner, server, model = world
    server.clear()
    server.reply(body=completion("ok"))
    runner.run(model.complete(request_))
    sent = iter(server.seen[-1].body["messages"])
    if request_.system:
        message = next(sent)
        assert message["role"] == "system"
        assert parts(message["content"]) == [part(block) for block in request_.system]
    for turn in request_.messages:
        if turn.role == "user":
            check_user(turn, sent)
        else:
            check_model(turn, next(sent))
    assert next(sent, None) is None


@st.composite
def replies(draw: st.DrawFn) -> tuple[Reply, dict[str, Any]]:
    """A reply, and the completion that says it."""
    thought, refusal = draw(st.one_of(st.just(""), some)), draw(st.one_of(st.just(""), some))
    listed: list[tuple[str, float, list[tuple[str, float]]]] | None = None
    content = draw(long_texts)
    if draw(st.booleans()):
        weights = st.floats(-50, 0)
        alternatives = st.lists(st.tuples(texts, weights), max_size=3)
        listed = draw(st.lists(st.tuples(some, weights, alternatives), min_size=1, max_size=4))
        content = "".join(text for text, _, _ in listed)
    called = draw(st.lists(calls, max_size=3, unique_by=lambda call: call.id))
    ends = [
        ("stop", "end"),
        ("length", "length"),
        ("content_filter", "refusal"),
        ("tool_calls", "tool"),
        ("odd", "other"),
    ]
    finish, stop = draw(st.sampled_from(ends))
    stop = "refusal" if refusal else "tool" if called and stop == "end" else stop
    blocks: list[Block] = [Thinking(thought, by="openai")] if thought else []
    blocks += [Text(said) for said in (content, refusal) if said]
    tokens = None
    if listed is not None:
        tokens = tuple(
            Token(text, weight, tuple(sorted(top, key=lambda pair: pair[1], reverse=True)))
            for text, weight, top in listed
        )
    body = completion(
        content or None,
        finish,
        calls=[tool_call(call.id, call.name, call.arguments) for call in called],
        tokens=None if listed is None else [token(*each) for each in listed],
        reasoning_content=thought or None,
        refusal=refusal or None,
    )
    usage = Usage(12, 34)
    reply = Reply((*blocks, *called), body["model"], stop, usage, tokens, body["id"], raw_stop=finish)  # type: ignore[arg-type] # drawn from its words
    return reply, body


def same(reply: Reply, wanted: Reply) -> None:
    """Two replies are the same, but for what only the provider knows."""
    for name in ("content", "model", "stop", "usage", "logprobs", "id", "raw_stop"):
        assert getattr(reply, name) == getattr(wanted, name), name


@FEW
@given(pair=replies(), sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5), slow=st.integers(0, 9))
def test_a_reply_comes_back_whole(
    world: World, pair: tuple[Reply, dict[str, Any]], sizes: list[int], slow: int
) -> None:
    """A reply is the same whole, in chunks of any size, and byte by byte; its deltas make it up and weigh it."""
    runner, server, model = world
    wanted, body = pair
    server.clear()
    server.reply(body=body)
    same(runner.run(model.complete(Request.of("hi"))), wanted)

    def split(text: str) -> list[str]:
        pieces: list[str] = []
        at = 0
        while at < len(text):
            pieces.append(text[at : at + sizes[len(pieces) % len(sizes)]])
            at += len(pieces[-1])
        return pieces

    events = frames(body, split)
    server.stream(events, "slow" if slow == 0 and sum(map(len, events)) < 10_000 else None)
    deltas, reply = runner.run(streamed(model, Request.of("hi")))
    same(reply, wanted)
    assert [each for delta in deltas for each in delta.tokens] == list(wanted.logprobs or ())
    assert all(isinstance(delta, Delta) for delta in deltas)
