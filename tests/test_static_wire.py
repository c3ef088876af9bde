"""Any answer as a whole message of the caller's own API, read by the real SDKs: as a value, over HTTP, in pieces."""

import json
from collections.abc import Iterator
from typing import Any, TypeAlias, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade import Answer, Cascade, ConfigError, Request, Tier
from fastcascade.fallbacks import Static
from fastcascade.fallbacks.static import LAST_RESORT
from fastcascade.fallbacks.static_wire import Wire, as_headers, as_message
from fastcascade.messages import Image, Opaque, Reply, Stop, Text, Thinking, ToolCall, Usage
from fastcascade.testing import Fault, ScriptedBackend, run_virtual
from wire.server import Canned, Seen, WireServer

anthropic = pytest.importorskip("anthropic")
openai = pytest.importorskip("openai")
from anthropic.lib.streaming import MessageStream  # noqa: E402 - there is one only with the SDK
from anthropic.types import Message  # noqa: E402
from openai.types.chat import ChatCompletion, ChatCompletionChunk  # noqa: E402
from openai.types.responses import Response, ResponseStreamEvent  # noqa: E402
from pydantic import TypeAdapter  # noqa: E402

WIRES: tuple[Wire, ...] = get_args(Wire)
ASKED = Request.of("?")
TOKENS = Usage(input=10, output=5, cache_read=3, cache_write=2, reasoning=1)
LOST = Answer(None, ASKED, degraded="no tier answered", retry_after=4.2)
STATIC = Answer(Reply("Call us.", cost_usd=0.0), ASKED, degraded="no tier answered", via="static", ticket="rv_1")
LOOK = ToolCall("call_1", "look", '{"at": "the gate", "n": 2}')
CALLING = Answer(Reply((Text("I shall "), Text("look."), LOOK), "m1", "tool", TOKENS), ASKED, "small", 0.9)

# What is answered, what is to be read: text, tool calls as (id, name, arguments), why it stopped.
Said: TypeAlias = tuple[str, list[Any], Stop]
CASES: list[tuple[str, Answer | Reply, str, list[Any], Stop]] = [
    ("static", STATIC, "Call us.", [], "end"),
    ("nobody answered", LOST, LAST_RESORT, [], "end"),
    ("a reply alone", Reply("Hi", "m1", "length", TOKENS), "Hi", [], "length"),
    ("refused", Answer(Reply("No.", stop="refusal"), ASKED, degraded="refused"), "No.", [], "refusal"),
    ("a call", CALLING, "I shall look.", [("call_1", "look", {"at": "the gate", "n": 2})], "tool"),
    ("a call alone", Reply((LOOK,)), "", [("call_1", "look", {"at": "the gate", "n": 2})], "tool"),
    ("a call that is not there", Reply("Hm.", stop="tool"), "Hm.", [], "end"),
    ("a call without arguments", Reply((ToolCall("x-1", "go", ""),)), "", [("x-1", "go", {})], "tool"),
    ("nothing but thought", Reply((Thinking("hm", by="anthropic"), Opaque("openai", {}))), LAST_RESORT, [], "end"),
    ("a picture beside a text", Reply((Text("See: "), Image(url="http://x/y.png"))), "See: ", [], "end"),
    ("white space", Reply((Text(" \n"),)), LAST_RESORT, [], "end"),
    ("half a letter", Reply("a\ud800b"), "a?b", [], "end"),
    ("two texts around a call", Reply((Text("a"), LOOK, Text("b"))), "ab", [("call_1", "look", LOOK.input)], "tool"),
]
EACH = pytest.mark.parametrize(
    ("answer", "said"), [(case[1], case[2:]) for case in CASES], ids=[case[0] for case in CASES]
)


def claude(message: Any) -> tuple[str, list[Any], str]:
    """What Anthropic's SDK made of it: the text, the calls, why it stopped."""
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
    return (
        text,
        calls,
        {"end_turn": "end", "max_tokens": "length", "tool_use": "tool"}.get(message.stop_reason, message.stop_reason),
    )


def chat(completion: Any) -> tuple[str, list[Any], str]:
    """Likewise, what OpenAI's made of a chat completion."""
    (choice,) = completion.choices
    given = choice.message.tool_calls or ()
    calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in given]
    stops = {"stop": "end", "tool_calls": "tool", "content_filter": "refusal"}
    return choice.message.content or "", calls, stops.get(choice.finish_reason, choice.finish_reason)


def response(answer: Any) -> tuple[str, list[Any], str]:
    """Likewise, what it made of a response."""
    calls = [
        (item.call_id, item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"
    ]
    reason = answer.incomplete_details.reason if answer.status == "incomplete" else ""
    stop = {"max_output_tokens": "length", "content_filter": "refusal", "": "tool" if calls else "end"}[reason]
    return answer.output_text, calls, stop


def read(wire: Wire, message: Any) -> tuple[str, list[Any], str]:
    """The same of each format."""
    return {"anthropic": claude, "openai": chat, "openai-responses": response}[wire](message)


@pytest.fixture(scope="module")
def server() -> Iterator[WireServer]:
    """One server for all."""
    with WireServer() as running:
        yield running


def served(server: WireServer, wire: Wire, answer: Answer | Reply, *, stream: bool) -> tuple[Any, Any]:
    """What the real client reads of it over HTTP, and the headers it came with."""
    headers = as_headers(answer)

    def handler(_seen: Seen) -> Canned:
        if stream:
            return Canned.streamed(as_message(answer, wire, model="asked", stream=True, usage=True), headers=headers)
        return Canned.plain(200, as_message(answer, wire, model="asked"), headers)

    server.handler = handler
    return (streamed if stream else whole)(server.url, wire)


def whole(url: str, wire: Wire) -> tuple[Any, Any]:
    """Ask with the real client, and read the reply and its headers."""
    said: Any = {"model": "asked"}
    turns: Any = [{"role": "user", "content": "?"}]
    if wire == "anthropic":
        with anthropic.Anthropic(api_key="made-up", base_url=url, max_retries=0) as client:
            raw = client.messages.with_raw_response.create(**said, messages=turns, max_tokens=9)
            return raw.parse(), raw.headers
    with openai.OpenAI(api_key="made-up", base_url=url, max_retries=0) as client:
        if wire == "openai":
            raw = client.chat.completions.with_raw_response.create(**said, messages=turns)
        else:
            raw = client.responses.with_raw_response.create(**said, input="?")
        return raw.parse(), raw.headers


def streamed(url: str, wire: Wire) -> tuple[Any, Any]:
    """Likewise in pieces, put together by the client itself."""
    said: Any = {"model": "asked"}
    turns: Any = [{"role": "user", "content": "?"}]
    if wire == "anthropic":
        with (
            anthropic.Anthropic(api_key="made-up", base_url=url, max_retries=0) as client,
            client.messages.stream(**said, messages=turns, max_tokens=9) as stream,
        ):
            assert isinstance(stream, MessageStream)
            return stream.get_final_message(), stream.response.headers
    with openai.OpenAI(api_key="made-up", base_url=url, max_retries=0) as client:
        if wire == "openai":
            asked = client.chat.completions.stream(**said, messages=turns, stream_options={"include_usage": True})
            with asked as stream:
                stream.until_done()
                state = stream.current_completion_snapshot
                return state, stream._response.headers  # noqa: SLF001 - there is no other way to them
        with client.responses.stream(**said, input="?") as stream:
            last = list(stream)[-1]
            assert last.type in ("response.completed", "response.incomplete")
            return last.response, stream._response.headers  # noqa: SLF001 - as above


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@EACH
def test_the_real_sdk_reads_it(
    server: WireServer, wire: Wire, stream: bool, answer: Answer | Reply, said: Said
) -> None:
    """Served over HTTP, each answer is to the provider's own SDK what one of the provider's would be."""
    message, headers = served(server, wire, answer, stream=stream)
    assert read(wire, message) == said
    assert message.model == "asked"
    assert {name: headers[name] for name in as_headers(answer)} == as_headers(answer)


@pytest.mark.parametrize("wire", WIRES)
@EACH
def test_it_is_valid(wire: Wire, answer: Answer | Reply, said: Said) -> None:
    """Each is JSON, and the SDK's own types, strictly read, find nothing wrong with it and nothing they do not know."""
    body = as_message(answer, wire)
    validated(wire, json.dumps(body, allow_nan=False))
    for frame in as_message(answer, wire, stream=True):
        event_of(wire, frame)


TYPES: Any = {"anthropic": Message, "openai": ChatCompletion, "openai-responses": Response}
EVENTS: Any = {
    "anthropic": TypeAdapter(anthropic.types.RawMessageStreamEvent),
    "openai": TypeAdapter(ChatCompletionChunk),
    "openai-responses": TypeAdapter(ResponseStreamEvent),
}


def validated(wire: Wire, raw: str) -> Any:
    """The message as its type reads it, strictly, if there is nothing in it beyond what the type knows."""
    read = TYPES[wire].model_validate_json(raw, strict=True)
    unknown(read)
    return read


def unknown(value: Any) -> None:
    """Fail where there is a field that its type does not know."""
    if hasattr(value, "model_extra"):
        assert not value.model_extra, f"{type(value).__name__} knows nothing of {value.model_extra}"
        for name in type(value).model_fields:
            unknown(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            unknown(each)


def event_of(wire: Wire, frame: bytes) -> Any:
    """The event in a frame; None for the mark of the end."""
    assert frame.endswith(b"\n\n") and frame.count(b"\n\n") == 1
    lines = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n"))
    if wire == "openai" and lines == {"data": "[DONE]"}:
        return None
    event = EVENTS[wire].validate_json(lines["data"])
    unknown(event)
    assert set(lines) == ({"data"} if wire == "openai" else {"data", "event"})
    assert wire == "openai" or lines["event"] == event.type
    return event


TEXTS = st.text(st.characters(), max_size=12)  # halves of surrogate pairs too
ARGUMENTS = TEXTS | st.sampled_from(
    ["", "{}", "[1]", "{oops", '{"a": NaN}', '{"a": 1e999}', '{"\\ud800": 1}', '{"a": [{}]}']
)
BLOCKS = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(Thinking, TEXTS, TEXTS),
    st.builds(ToolCall, TEXTS, TEXTS, ARGUMENTS),
    st.just(Opaque("someone", {"type": "odd"})),
)
STOPS: tuple[Stop, ...] = get_args(Stop)
COUNT = st.integers(0, 10**9)
REPLIES = st.builds(
    Reply,
    st.lists(BLOCKS, max_size=4).map(tuple),
    TEXTS,
    st.sampled_from(STOPS),
    st.none() | st.builds(Usage, COUNT, COUNT, COUNT, COUNT, COUNT),
)
ANSWERS = st.builds(
    Answer,
    st.none() | REPLIES,
    st.just(ASKED),
    degraded=TEXTS,
    via=st.sampled_from(["", "cache", "joined", "region", "stale", "static"]),
    age=st.none() | st.floats(),
    ticket=TEXTS | st.text(min_size=600, max_size=700),
    retry_after=st.none() | st.floats(),
)


@settings(max_examples=200)
@given(ANSWERS | REPLIES, st.sampled_from(WIRES), TEXTS)
def test_whatever_it_holds_it_is_valid(answer: Answer | Reply, wire: Wire, model: str) -> None:
    """No answer there can be makes an invalid message, an empty one, or a header that HTTP would not carry."""
    body = as_message(answer, wire, model=model)
    raw = json.dumps(body, ensure_ascii=False, allow_nan=False)
    raw.encode()
    TYPES[wire].model_validate_json(raw, strict=True)
    assert body["content"] if wire == "anthropic" else body.get("choices") or body["output"]
    frames = as_message(answer, wire, model=model, stream=True)
    assert [event_of(wire, frame) is None for frame in frames].count(True) == (wire == "openai")
    for name, value in as_headers(answer).items():
        assert name.isascii() and value.isprintable() and value.isascii() and value
    for value in (body.get("metadata") or {}).values():
        assert isinstance(value, str) and 0 < len(value) <= 512


UNREADABLE = ["{oops", "[1]", '"x"', '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', "[" * 100_000]


@pytest.mark.parametrize("arguments", UNREADABLE, ids=[each[:12] for each in UNREADABLE])
def test_a_call_that_cannot_be_read(arguments: str) -> None:
    """Arguments that are no JSON object reach OpenAI's readers as they are, and no reader of Anthropic's."""
    reply = Reply((Text("Now."), ToolCall("c", "go", arguments)), stop="tool")
    for wire in ("openai", "openai-responses"):
        assert json.dumps(arguments)[1:-1] in json.dumps(as_message(reply, wire))
    message = as_message(reply, "anthropic")
    assert [block["type"] for block in message["content"]] == ["text"]
    assert message["stop_reason"] == "end_turn"


HEADERS = [
    (STATIC, {"x-cascade-degraded": "no tier answered", "x-cascade-via": "static", "x-cascade-ticket": "rv_1"}),
    (LOST, {"x-cascade-degraded": "no tier answered", "x-cascade-via": "static", "retry-after": "5"}),
    (CALLING, {}),
    (Reply("Hi"), {}),
    (
        Answer(Reply("Hi"), ASKED, degraded="stale", via="stale", age=90.7),
        {"x-cascade-degraded": "stale", "x-cascade-via": "stale", "x-cascade-age": "90"},
    ),
    (Answer(Reply("Hi"), ASKED, via="cache", age=0.0), {"x-cascade-via": "cache", "x-cascade-age": "0"}),
    (Answer(Reply("Hi"), ASKED, ticket="a\r\nb: ö%"), {"x-cascade-ticket": "a%0D%0Ab: %C3%B6%25"}),
]


@pytest.mark.parametrize(("answer", "headers"), HEADERS)
def test_headers_say_how_it_came(answer: Answer | Reply, headers: dict[str, str]) -> None:
    """They say in what an answer falls short, how it came, how old it is, and when to come again; or nothing."""
    assert as_headers(answer) == headers


@pytest.mark.parametrize("wire", WIRES)
def test_the_body_says_that_it_is_degraded(wire: Wire) -> None:
    """The id of a degraded message shows it, and so does `metadata` where there is one; others are as usual."""
    bad, good = as_message(STATIC, wire), as_message(CALLING, wire)
    assert "_degraded_" in bad["id"] or "-degraded_" in bad["id"]
    assert "degraded" not in good["id"]
    assert good["model"] == "m1"
    if wire == "anthropic":
        assert "metadata" not in bad
    else:
        said = {"cascade_degraded": "no tier answered", "cascade_via": "static", "cascade_ticket": "rv_1"}
        assert bad["metadata"] == said and not good.get("metadata")


USED = {
    "anthropic": {
        "input_tokens": 5,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 2,
        "output_tokens": 5,
    },
    "openai": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    "openai-responses": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
}


@pytest.mark.parametrize("wire", WIRES)
def test_tokens_are_told_as_the_format_counts_them(wire: Wire) -> None:
    """Anthropic's input leaves out what the prompt cache read and wrote; OpenAI's has it in."""
    assert as_message(CALLING, wire)["usage"].items() >= USED[wire].items()
    assert as_message(STATIC, wire)["usage"].items() >= dict.fromkeys(USED[wire], 0).items()


def test_tokens_of_a_stream_are_told_where_they_were_asked_for() -> None:
    """A chunk without choices, which would surprise who did not ask for it, comes only to who did."""
    for usage in (False, True):
        frames = as_message(CALLING, "openai", stream=True, usage=usage)
        events = [each for frame in frames if (each := event_of("openai", frame)) is not None]
        counts = [event.usage.total_tokens for event in events if event.usage is not None]
        assert counts == ([15] if usage else []) and len([each for each in events if not each.choices]) == len(counts)


def test_ids_are_its_own() -> None:
    """No two messages have one id, however often the same is said; a stream has one throughout."""
    ids = {as_message(STATIC, wire)["id"] for wire in WIRES for _ in range(50)}
    assert len(ids) == 150
    frames = as_message(CALLING, "openai", stream=True)
    assert len({event.id for frame in frames if (event := event_of("openai", frame)) is not None}) == 1


def test_the_ids_of_calls_are_such_as_can_be_sent_back() -> None:
    """An id that Anthropic would refuse in the result that follows has another in its place, always the same."""
    odd = Reply((ToolCall("functions.go:0", "go"), ToolCall("functions.go:0", "go"), ToolCall("", "go")))
    first, second = ([block["id"] for block in as_message(odd, "anthropic")["content"]] for _ in range(2))
    assert first == second and len(set(first)) == 3
    assert all(each.replace("_", "").isalnum() for each in first)


def test_no_such_wire() -> None:
    """A format that is not known is a mistake of the operator's, which names those there are."""
    with pytest.raises(ConfigError, match="anthropic, openai, openai-responses"):
        as_message(STATIC, "morse")  # type: ignore[call-overload]


def test_the_last_answer_of_a_cascade_is_a_valid_message(server: WireServer) -> None:
    """What a cascade says when every tier is down is read by each SDK, as a whole and in pieces, as degraded."""
    down = ScriptedBackend(Fault("server", status=500), name="down")
    answer = run_virtual(Cascade(Tier(down), fallbacks=[Static("Please call us.")]).run("?"))
    for wire in WIRES:
        for stream in (False, True):
            message, headers = served(server, wire, answer, stream=stream)
            assert read(wire, message)[0] == "Please call us."
            assert (headers["x-cascade-via"], headers["x-cascade-degraded"]) == ("static", "no tier answered")
