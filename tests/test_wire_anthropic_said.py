"""The Messages format said: what goes out is what Anthropic's own SDK reads as the answer, whole or streamed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings

from fastcascade.answers import Answer
from fastcascade.backends.anthropic_reply import Assembly
from fastcascade.backends.anthropic_reply import read as replied
from fastcascade.messages import (
    Block,
    Delta,
    Image,
    Opaque,
    Reply,
    Request,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from fastcascade.streaming import pieces
from fastcascade.wire.anthropic import MESSAGES, Messages
from fastcascade.wire.format import Asked
from test_backend_anthropic_roundtrip import SAID, SIZES, STOPS
from wire.anthropic import frames, message, text, thinking, tool_use

anthropic = pytest.importorskip("anthropic")
httpx2 = pytest.importorskip("httpx2")

NAME = "clever"
ASKED = Asked(Request.of("hi"), NAME, {})
ASK: Any = {"model": NAME, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def answer(*content: Block, stop: Stop = "end", usage: Usage | None = None, **more: Any) -> Answer:
    """An answer with this content."""
    return Answer(Reply(content, "gpt-x", stop, usage, **more), ASKED.request)


def whole(given: Answer) -> Any:
    """The answer, as the SDK's own model reads it."""
    return anthropic.types.Message.model_validate(json.loads(json.dumps(MESSAGES.whole(ASKED, given))))


def streamed(given: Answer, deltas: Sequence[Delta] = (), broken: str = "") -> Any:
    """The answer, as the SDK puts it together from the bytes of the stream."""
    encoder = Messages(lambda: "1").encoder(ASKED)
    pieces = [encoder.start(), encoder.ping(), *map(encoder.delta, deltas)]
    pieces.append(encoder.broken(broken) if broken else encoder.end(given))

    def play(_: Any) -> Any:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=b"".join(pieces))

    http = httpx2.Client(transport=httpx2.MockTransport(play))
    client = anthropic.Anthropic(api_key="k", max_retries=0, http_client=http)
    with client, client.messages.stream(**ASK) as stream:
        return stream.get_final_message()


def plain(model: Any) -> Any:
    """What the SDK has read, as JSON."""
    return {name: each for name, each in model.to_dict(mode="json").items() if name != "id"}


SIGNED = Thinking("hm", "EqQB", by="anthropic")
CITATION = {
    "type": "char_location",
    "cited_text": "x",
    "document_index": 0,
    "start_char_index": 0,
    "end_char_index": 1,
    "document_title": "t",
}
CITED = Text("so", {"anthropic": {"citations": [CITATION]}})
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "é"}}
CONTENTS: list[tuple[tuple[Block, ...], list[dict[str, Any]]]] = [
    ((), []),
    ((Text("a\n\u2028é"),), [text("a\n\u2028é")]),
    ((Text(""),), []),
    ((SIGNED, Text("so")), [thinking("hm"), text("so")]),
    ((Thinking("", "EqQB", by="anthropic"),), [thinking("")]),
    ((Thinking(redacted="x", by="anthropic"),), [{"type": "redacted_thinking", "data": "x"}]),
    ((Thinking("hm", "theirs", by="openai"), Text("so")), [thinking("hm", ""), text("so")]),
    ((Thinking(redacted="x", by="openai"), Text("so")), [text("so")]),
    ((ToolCall("t", "find", '{"a": [1]}'),), [tool_use("t", "find", {"a": [1]})]),
    ((ToolCall("t", "find", ""),), [tool_use("t", "find", {})]),
    ((ToolCall("t", "find", '{"a": '),), [tool_use("t", "find", {"INVALID_JSON": '{"a": '})]),
    ((ToolCall("t", "find", '{"a": NaN}'),), [tool_use("t", "find", {"INVALID_JSON": '{"a": NaN}'})]),
    ((ToolCall("t", "find", "[1]"),), [tool_use("t", "find", {"INVALID_JSON": "[1]"})]),
    ((Opaque("anthropic", SEARCH),), [SEARCH]),
    ((CITED,), [text("so", citations=[CITATION])]),
]


@pytest.mark.parametrize(("content", "said"), CONTENTS, ids=lambda each: str(each)[:40])
def test_content(content: tuple[Block, ...], said: list[dict[str, Any]]) -> None:
    """Each block is said as the API's clients read it, in a whole message and in a stream without a piece before."""
    given = answer(*content)
    assert MESSAGES.whole(ASKED, given)["content"] == said
    found = whole(given)
    assert (found.model, found.role, found.type) == (NAME, "assistant", "message")
    assert plain(streamed(given))["content"] == said
    if {*MESSAGES.unsaid(given)} <= {"thinking.signature"} and all(
        each["type"] != "tool_use" or "INVALID_JSON" not in each["input"] for each in said
    ):
        assert plain(streamed(given, pieces(given.reply or Reply(()))))["content"] == said


STOPPED: list[tuple[Stop, str]] = [
    ("end", "end_turn"),
    ("length", "max_tokens"),
    ("stop_sequence", "stop_sequence"),
    ("tool", "tool_use"),
    ("refusal", "refusal"),
    ("pause", "pause_turn"),
    ("other", "end_turn"),
]


@pytest.mark.parametrize(("stop", "reason"), STOPPED)
def test_why_it_stopped(stop: Stop, reason: str) -> None:
    """Another provider's reason is said in the API's words, and tools to be run are never said to be an end."""
    given = answer(Text("a"), stop=stop)
    assert whole(given).stop_reason == streamed(given).stop_reason == reason
    if stop in ("end", "other"):
        assert whole(answer(ToolCall("t", "n"), stop=stop)).stop_reason == "tool_use"


def test_what_anthropic_says_beside_the_content_goes_on() -> None:
    """Anthropic's own reason, the stop sequence, the container and the usage are told as Anthropic told them."""
    used = {"web_search_requests": 2, "web_fetch_requests": 0}
    usage = {"cache_read_input_tokens": 5, "service_tier": "priority", "server_tool_use": used}
    held = {"id": "c", "expires_at": "2026-11-21T00:00:00Z"}
    told = message([text("a")], "model_context_window_exceeded", usage, container=held)
    told["stop_sequence"] = "END"
    given = Answer(replied(told), ASKED.request)
    said = MESSAGES.whole(ASKED, given)
    assert {**said, "id": 0, "model": 0} == {**told, "id": 0, "model": 0}
    assert whole(given).container.id == streamed(given).container.id == "c"
    assert streamed(given).usage.server_tool_use == whole(given).usage.server_tool_use


def test_usage_of_another_provider() -> None:
    """Tokens are counted as the API does: what the cache had a part in is no part of the input."""
    given = answer(Text("a"), usage=Usage(100, 20, cache_read=60, cache_write=10, reasoning=5))
    for usage in (whole(given).usage, streamed(given).usage):
        counts = (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
        assert counts == (30, 60, 10)
        assert (usage.output_tokens, usage.output_tokens_details.thinking_tokens) == (20, 5)
    assert whole(answer(Text("a"))).usage.input_tokens == 0


def test_no_reply_and_a_static_one() -> None:
    """An answer that was made beforehand is an ordinary message, and none at all is an empty one."""
    static = Answer(Reply("sorry"), ASKED.request, degraded="no tier answered", via="static")
    assert (whole(static).content[0].text, whole(static).stop_reason) == ("sorry", "end_turn")
    assert whole(Answer(None, ASKED.request)).content == []


def test_ids_are_their_own() -> None:
    """No two answers have the same id, not even when both were kept."""
    given = answer(Text("a"))
    assert len({MESSAGES.whole(ASKED, given)["id"] for _ in range(100)}) == 100


def test_what_cannot_be_said_is_named() -> None:
    """What the format has no words for is left out, and can be named."""
    given = answer(Text("a"), Image(url="https://x.test"), Opaque("openai", {"type": "audio"}), Text(""))
    assert [each.type for each in whole(given).content] == ["text"]
    assert MESSAGES.unsaid(given) == ("image", "audio")
    thought = (Thinking("hm"), Thinking("hm", "s", by="other"), Thinking("hm", "s", by="anthropic"), Thinking(""))
    assert MESSAGES.unsaid(answer(*thought)) == ("thinking.signature",)


SEQUENCES: list[tuple[tuple[str, ...], str, Stop, str, str | None]] = [
    # What was asked for, the text, how it stopped; the reason that is told, and the sequence.
    (("END",), "a", "stop_sequence", "stop_sequence", "END"),
    (("END", "\n"), "a\n", "stop_sequence", "stop_sequence", "\n"),
    (("D", "END"), "a END", "stop_sequence", "stop_sequence", "END"),
    (("END", "\n"), "a", "stop_sequence", "stop_sequence", None),
    ((), "a", "stop_sequence", "stop_sequence", None),
    (("END",), "a", "end", "end_turn", None),
    (("END",), "a END", "length", "max_tokens", None),
]


@pytest.mark.parametrize(("stops", "said", "stop", "reason", "wanted"), SEQUENCES)
def test_the_sequence_that_was_met_is_told(
    stops: tuple[str, ...], said: str, stop: Stop, reason: str, wanted: str | None
) -> None:
    """Where another provider stopped at one, it is the only one there is, or the one that the text ends with."""
    given = Answer(Reply((Text(said),), "gpt-x", stop), Request.of("hi", stop=stops))
    for found in (whole(given), streamed(given), streamed(given, pieces_of(said))):
        assert (found.stop_reason, found.stop_sequence) == (reason, wanted)


def pieces_of(said: str) -> list[Delta]:
    """A text in two."""
    return [Delta("text", said[:1], 0), Delta("text", said[1:], 0)]


def test_a_stream_goes_from_block_to_block() -> None:
    """A block is ended when the next one begins, a thought with its signature."""
    encoder = Messages(lambda: "1").encoder(ASKED)
    told = b"".join(
        [
            encoder.start(),
            encoder.delta(Delta("thinking", "h", 0)),
            encoder.delta(Delta("thinking", "m", 0)),
            encoder.delta(Delta("block", index=0, block=SIGNED)),
            encoder.delta(Delta("text", "so", 1)),
            encoder.delta(Delta("tool", "", 2, "t", "find")),
            encoder.delta(Delta("tool", "{}", 2)),
            encoder.end(answer(SIGNED, Text("so"), ToolCall("t", "find"))),
        ]
    )
    events = [json.loads(line[6:]) for line in told.decode().splitlines() if line.startswith("data: ")]
    short = [(each["type"].removeprefix("content_block_"), each.get("index")) for each in events]
    assert short == [
        ("message_start", None),
        *(("start", 0), ("delta", 0), ("delta", 0)),
        *(("delta", 0), ("stop", 0)),
        *(("start", 1), ("delta", 1), ("stop", 1)),
        *(("start", 2), ("delta", 2), ("stop", 2)),
        ("message_delta", None),
        ("message_stop", None),
    ]
    named = [line[7:] for line in told.decode().splitlines() if line.startswith("event: ")]
    assert named == [each["type"] for each in events]


def test_tools_that_come_by_turns() -> None:
    """Arguments of two calls that come by turns end up in the call that they belong to."""
    deltas = [
        Delta("tool", '{"a"', 0, "t", "one"),
        Delta("tool", '{"b"', 1, "u", "two"),
        Delta("tool", ": 1}", 0),
        Delta("tool", ": 2}", 1),
        Delta("tool", " ", 0),
    ]
    found = streamed(answer(ToolCall("t", "one", '{"a": 1} '), ToolCall("u", "two", '{"b": 2}')), deltas)
    assert [(each.name, each.input) for each in found.content] == [("one", {"a": 1}), ("two", {"b": 2})]


def test_half_a_character() -> None:
    """A character whose halves come in two pieces, as the escapes of JSON allow, is whole at the client."""
    encoder = MESSAGES.encoder(ASKED)
    told = encoder.delta(Delta("text", "\ud83d")) + encoder.delta(Delta("text", "\ude00"))
    lines = [json.loads(line[6:]) for line in told.decode().splitlines() if line.startswith("data: ")]
    pieces = [each["delta"]["text"] for each in lines if "delta" in each]
    assert "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16") == "\U0001f600"


def test_a_stream_that_breaks_off_is_an_error() -> None:
    """A client never takes what broke off for a whole answer: the SDK raises, with what was told."""
    with pytest.raises(anthropic.APIError, match="it broke") as caught:
        streamed(answer(), [Delta("text", "so")], broken="it broke")
    assert caught.value.body["error"]["type"] == "api_error"


def cut(deltas: Sequence[Delta], sizes: Sequence[int]) -> Iterator[Delta]:
    """The same in smaller pieces."""
    size = cycle(sizes)
    for delta in deltas:
        at = 0
        yield Delta(delta.kind, "", delta.index, delta.id, delta.name, block=delta.block)
        while at < len(delta.text):
            end = at + next(size) * (1 + len(delta.text) // 200)
            yield Delta(delta.kind, delta.text[at:end], delta.index)
            at = end


@settings(max_examples=60, deadline=None)
@given(SAID, STOPS, SIZES)
def test_what_anthropic_said_is_said_again(said: list[Any], stop: str, sizes: list[int]) -> None:
    """A message of Anthropic's that came whole or in pieces goes out with the same blocks, whole and in pieces."""
    told = message(said, stop)
    assembly = Assembly()
    deltas: list[Delta] = []
    for frame in frames(told):
        delta = assembly.feed(json.loads(frame.partition(b"data: ")[2]))
        deltas += [] if delta is None else [delta]
    given = Answer(assembly.reply(), ASKED.request)
    kept = [each for each in said if each != text("")]
    assert MESSAGES.whole(ASKED, given)["content"] == kept
    again = Assembly()
    encoder = MESSAGES.encoder(ASKED)
    pieces = [encoder.start(), *map(encoder.delta, cut(deltas, sizes)), encoder.end(given)]
    for event in b"".join(pieces).split(b"\n\n")[:-1]:
        again.feed(json.loads(event.partition(b"data: ")[2]))
    assert again.done
    reply = again.reply()
    assert MESSAGES.whole(ASKED, Answer(reply, ASKED.request))["content"] == kept
    assert (reply.raw_stop, reply.usage) == (stop, assembly.reply().usage)


ERRORS: list[tuple[int, str, str]] = [
    (400, "invalid_request_error", "BadRequestError"),
    (401, "authentication_error", "AuthenticationError"),
    (402, "billing_error", "APIStatusError"),
    (403, "permission_error", "PermissionDeniedError"),
    (404, "not_found_error", "NotFoundError"),
    (405, "invalid_request_error", "APIStatusError"),
    (413, "request_too_large", "APIStatusError"),
    (429, "rate_limit_error", "RateLimitError"),
    (500, "api_error", "InternalServerError"),
    (502, "api_error", "InternalServerError"),
    (503, "overloaded_error", "InternalServerError"),
    (504, "timeout_error", "InternalServerError"),
    (529, "overloaded_error", "InternalServerError"),
]


@pytest.mark.parametrize(("status", "kind", "raised"), ERRORS)
def test_errors(status: int, kind: str, raised: str) -> None:
    """An error of each status is raised by the SDK as the error it is, and has the API's form."""
    said = MESSAGES.error(status, "no", request_id="req_1")
    assert said == {"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "req_1"}

    def refuse(_: Any) -> Any:
        return httpx2.Response(status, json=said)

    http = httpx2.Client(transport=httpx2.MockTransport(refuse))
    client = anthropic.Anthropic(api_key="k", max_retries=0, http_client=http)
    with client, pytest.raises(getattr(anthropic, raised)) as caught:
        client.messages.create(**ASK)
    assert caught.value.body == said


def test_errors_name_the_field_and_the_kind_that_was_given() -> None:
    """The path of a field stands before the message, once, and a kind that is given is the type."""
    assert MESSAGES.error(400, "bad", where="a.0")["error"]["message"] == "a.0: bad"
    assert MESSAGES.error(400, "a.0: bad", where="a.0")["error"]["message"] == "a.0: bad"
    assert MESSAGES.error(400, "bad", kind="billing_error")["error"]["type"] == "billing_error"


def test_models() -> None:
    """The names there are to ask for are listed as the SDK lists models, and one is told of by itself."""

    def serve(request: Any) -> Any:
        path: str = request.url.path
        page: Mapping[str, Any] = MESSAGES.models_page(["a", "b"])
        return httpx2.Response(200, json=page if path.endswith("/models") else MESSAGES.model(path.rpartition("/")[2]))

    http = httpx2.Client(transport=httpx2.MockTransport(serve))
    with anthropic.Anthropic(api_key="k", http_client=http) as client:
        assert [each.id for each in client.models.list()] == ["a", "b"]
        found = anthropic.types.ModelInfo.model_validate(client.models.retrieve("b").to_dict(mode="json"))
    assert (found.id, found.type) == ("b", "model")
    assert MESSAGES.models_page([])["data"] == []
