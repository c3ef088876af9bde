"""Responses towards clients: what the real SDK sends is read, and what is said it can read."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

openai = pytest.importorskip("openai")

from openai.lib import _pydantic as sdk_schema  # noqa: E402
from openai.types.responses import Response, ResponseStreamEvent, response_create_params  # noqa: E402

from fastcascade.answers import Answer  # noqa: E402
from fastcascade.backends.openai_wire import Dialect, chat  # noqa: E402
from fastcascade.errors import WireError  # noqa: E402
from fastcascade.messages import (  # noqa: E402
    Delta,
    Image,
    Message,
    Opaque,
    Reply,
    Text,
    Thinking,
    Token,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from fastcascade.wire import responses_in  # noqa: E402
from fastcascade.wire.format import Format  # noqa: E402
from fastcascade.wire.responses import RESPONSES, Responses  # noqa: E402
from playing import Playing, asked, events, stream_of  # noqa: E402
from test_wire_chat import Step, Weather  # noqa: E402

FEW = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
FORMAT: Format = Responses(lambda: 1_795_000_000.0, lambda: "n0")
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
USAGE = Usage(12, 5, 4, 1, 2)
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": True}


def body(**fields: Any) -> dict[str, Any]:
    """A body that asks for little."""
    return {"model": "m", "input": "hi", **fields}


def test_a_text_and_its_settings_are_read() -> None:
    """Every setting has its place in a request, or in the options of OpenAI."""
    given = body(
        instructions="be brief",
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.25,
        reasoning={"effort": "high", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}, "verbosity": "low"},
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        top_logprobs=2,
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "weather"},
        parallel_tool_calls=False,
        metadata={"a": "b"},
        service_tier="flex",
        safety_identifier="u",
        store=False,
        truncation="disabled",
        stream=True,
    )
    read = RESPONSES.read(given, {})
    request = read.request
    assert (read.model, read.stream, list(read.not_carried)) == ("m", True, ["safety_identifier"])
    assert (request.system, request.messages) == ((Text("be brief"),), (Message("user", "hi"),))
    assert (request.max_tokens, request.temperature, request.top_p, request.thinking) == (9, 0.5, 0.25, 16384)
    assert (request.schema, request.logprobs, request.user) == ({"type": "object"}, 2, "u")
    schema = {"type": "object", "properties": {}}
    assert request.tools == (Tool("weather", "", schema, {"openai": {"function": {"strict": True}}}),)
    assert request.tool_choice == "weather"
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    own = {"response_format": form, "verbosity": "low", "parallel_tool_calls": False}
    assert request.options["openai"] == {**own, "metadata": {"a": "b"}, "service_tier": "flex"}
    assert request.options["anthropic"]["tool_choice"]["disable_parallel_tool_use"] is True


def test_every_parameter_the_sdk_knows_is_read() -> None:
    """No parameter that the SDK types is taken for unknown."""
    known = set(response_create_params.ResponseCreateParamsBase.__annotations__)
    elsewhere = {"include", "input", "instructions", "max_output_tokens", "model", "reasoning", "safety_identifier"}
    elsewhere |= {"stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "user"}
    assert known - elsewhere == responses_in.OWN | responses_in.STEERS | set(responses_in.INSTEAD)


def test_what_steers_a_service_elsewhere_is_told() -> None:
    """What is not followed is named, and what nobody knows is kept."""
    given = body(
        store=True,
        truncation="auto",
        max_tool_calls=3,
        stream_options={"include_obfuscation": False},
        include=["file_search_call.results"],
        reasoning={"mode": "pro", "effort": "medium"},
        shiny=1,
    )
    read = RESPONSES.read(given, {})
    assert set(read.not_carried) == {
        "store",
        "truncation",
        "max_tool_calls",
        "stream_options.include_obfuscation",
        "include file_search_call.results",
        "reasoning.mode",
        "shiny",
    }
    assert read.request.options == {"responses": {"shiny": 1}}


@pytest.mark.parametrize("effort", ["none", "low", "medium", "high", "minimal", "xhigh", "max"])
def test_an_effort_is_written_again_as_it_was_asked(effort: str) -> None:
    """What the backend sends for the tokens of an effort is that effort, or it is told it in OpenAI's own words."""
    request = RESPONSES.read(body(reasoning={"effort": effort}), {}).request
    own = request.options.get("openai", {})
    assert {**chat(request, "m", Dialect(), logprobs=True), **own}["reasoning_effort"] == effort


def test_items_are_read_as_turns() -> None:
    """What a model thought, said and called is one turn; what came back and what was said next is another."""
    given = [
        {"role": "developer", "content": "be brief"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "look"}]},
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
                {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "auto"},
                {"type": "input_file", "filename": "a.txt", "file_data": "x"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "E",
        },
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "wait"}]},
        {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": "{}", "namespace": "n"},
        {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
        {"role": "user", "content": "and?"},
        {"role": "system", "content": "be kind"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ]
    read = RESPONSES.read(body(input=given), {})
    assert read.request.system == (Text("be brief"), Text("be kind"))
    assert read.request.messages == (
        Message("user", "look"),
        Message(
            "user",
            (
                Image("aGk=", "image/png", extra={"openai": {"image_url": {"detail": "low"}}}),
                Image(url="https://x.test/a.png"),
                Opaque("openai", {"type": "file", "file": {"file_data": "x", "filename": "a.txt"}}),
            ),
        ),
        Message("assistant", (Thinking("hm", by="openai"), Text("wait"), ToolCall("a", "f"), ToolCall("b", "f"))),
        Message("user", (ToolResult("a", "1"), ToolResult("b", "2"), Text("and?"))),
        Message("assistant", "no"),
    )
    assert list(read.not_carried) == [
        "input.encrypted_content",
        "input.namespace",
        "input[10]: moved before the conversation",
    ]


REFUSED = [
    ({"previous_response_id": "resp_1"}, "previous_response_id", "send the whole conversation"),
    ({"conversation": "c"}, "conversation", "send the whole conversation"),
    ({"prompt": {"id": "p"}}, "prompt", "as instructions and input"),
    ({"background": True}, "background", "set stream"),
    ({"input": None}, "input", "is missing"),
    ({"input": []}, "input", "at least one"),
    ({"input": [{"role": "boss", "content": ""}]}, "input[0].role", "developer"),
    ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, "input[0].content[0].type", "cannot be carried"),
    ({"input": [{"role": "system", "content": [{"type": "input_audio"}]}]}, "input[0].content", "texts alone"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].content[0]",
        "send its image_url",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]},
        "input[0].content[0].file_url",
        "as file_data",
    ),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]", "send the item itself"),
    ({"input": [{"id": "msg_1"}]}, "input[0]", "send the item itself"),
    ({"input": [{"type": "mcp_call", "id": "x"}]}, "input[0].type", "mcp_call cannot be carried"),
    ({"input": [{"type": "function_call", "call_id": "a", "name": "f"}]}, "input[0].arguments", "is missing"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type", "web_search cannot be run by any tier"),
    ({"tools": [{"type": "function"}]}, "tools[0].name", "is missing"),
    ({"tool_choice": {"type": "mcp"}}, "tool_choice.type", "run no other tools"),
    ({"tool_choice": {"type": "function", "name": "none"}}, "tool_choice.name", "another name"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type", "json_schema"),
    ({"include": [["x"]]}, "include", "not a list"),
    ({"max_output_tokens": 0}, "max_output_tokens", "at least 1"),
    ({"reasoning": {"effort": 3}}, "reasoning.effort", "a text, not a number"),
]


@pytest.mark.parametrize(("fields", "where", "message"), REFUSED)
def test_what_cannot_be_followed_is_refused_by_its_path(fields: dict[str, Any], where: str, message: str) -> None:
    """The error names the field, and what to send instead."""
    with pytest.raises(WireError) as refused:
        RESPONSES.read(body(**fields), {})
    assert refused.value.where == where
    assert message in str(refused.value)


junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["role", "content", "type", "name", "text", "id", "summary", "call_id", "format"]),
            st.one_of(
                inner, st.sampled_from(["user", "assistant", "message", "reasoning", "function_call", "input_text"])
            ),
        ),
    ),
    max_leaves=12,
)


@FEW
@given(st.dictionaries(st.sampled_from([*response_create_params.ResponseCreateParamsBase.__annotations__]), junk))
def test_any_json_is_read_or_refused(given: dict[str, Any]) -> None:
    """Nothing but a WireError comes of a body that makes no sense."""
    try:
        RESPONSES.read(given, {})
    except WireError as refused:
        assert refused.where


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
names = st.from_regex(r"[a-z][a-z0-9_]{2,8}x", fullmatch=True)
thoughts = st.one_of(
    st.builds(Thinking, st.one_of(texts, st.just("")), names, by=st.just("anthropic")),
    st.builds(lambda text: Thinking(redacted=text, by="anthropic"), names),
    st.builds(Thinking, texts, by=st.just("openai")),
)
contents = st.lists(
    st.one_of(thoughts, st.builds(Text, texts), st.builds(ToolCall, names, names, texts)),
    min_size=1,
    max_size=6,
    unique_by=lambda block: block.id if isinstance(block, ToolCall) else id(block),
).map(tuple)


def pieces(content: Any, cut: int) -> list[Delta]:
    """Blocks as a backend would stream them, so many characters at once."""
    out: list[Delta] = []
    for index, block in enumerate(content):
        text = block.arguments if isinstance(block, ToolCall) else block.text
        kind: Any = {Text: "text", Thinking: "thinking", ToolCall: "tool"}[type(block)]
        parts = [text[at : at + cut] for at in range(0, len(text), cut)]
        if isinstance(block, ToolCall):
            out.append(Delta("tool", "", index, block.id, block.name))
        out += [Delta(kind, part, index) for part in parts]
    return out


@FEW
@given(contents, st.integers(1, 5), st.sampled_from([0.0, 0.5, 1.0]))
def test_what_is_said_can_be_sent_back_as_the_same_turn(content: Any, cut: int, share: float) -> None:
    """Whole, in pieces, in the first of its pieces and without any: with what proves thinking to its provider."""
    reply = Reply(content, "m", usage=USAGE)
    who = asked()
    wire = FORMAT.whole(who, Answer(reply, who.request))
    assert Response.model_validate(wire, strict=True).output_text == reply.text
    back = json.loads(json.dumps(wire["output"]))
    assert RESPONSES.read(body(input=back), {}).request.messages == (Message("assistant", content),)
    deltas = pieces(content, cut)
    raw = stream_of(FORMAT, who, reply, deltas[: int(len(deltas) * share)])
    came = events(raw)
    for event in came:
        EVENT.validate_python(event)
    assert [event["sequence_number"] for event in came] == list(range(len(came)))
    done = [event["item"] for event in came if event["type"] == "response.output_item.done"]
    assert came[-1]["type"] == "response.completed"
    assert came[-1]["response"]["output"] == done
    assert RESPONSES.read(body(input=done), {}).request.messages == (Message("assistant", content),)
    assert _told(came) == [(item["id"], _text(item)) for item in done]


def _text(item: dict[str, Any]) -> str:
    parts = item.get("content") or item.get("summary") or ()
    return item["arguments"] if "arguments" in item else "".join(part["text"] for part in parts)


def _told(came: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the deltas of each item say, in the order the items were added."""
    added = [event["item"]["id"] for event in came if event["type"] == "response.output_item.added"]
    pieces = [(event["item_id"], event["delta"]) for event in came if event["type"].endswith(".delta")]
    return [(item, "".join(text for of, text in pieces if of == item)) for item in added]


def test_the_sdk_parses_an_answer_into_the_types_of_a_client() -> None:
    """`parse` sends a schema that is read, and gets its own type back; tools likewise."""
    play = Playing(FORMAT, Reply('{"text": "do", "number": 3}', "gpt", usage=USAGE))
    done = play.client().responses.parse(model="m", input="hi", text_format=Step, metadata={"a": "b"})
    assert done.output_parsed == Step(text="do", number=3)
    assert done.usage is not None
    assert (done.model, done.status, done.metadata, done.usage.total_tokens) == ("gpt", "completed", {"a": "b"}, 17)
    assert play.asked[0].request.schema == sdk_schema.to_strict_json_schema(Step)
    assert play.asked[0].request.options == {"openai": {"metadata": {"a": "b"}}}  # the backend would write the schema
    call = ToolCall("c1", "Weather", '{"city": "Rome"}')
    play = Playing(FORMAT, Reply((Thinking("hm", "sig", by="anthropic"), call), stop="tool"))
    tool: Any = openai.pydantic_function_tool(Weather)  # which the SDK puts into the words of this format
    client = play.client()
    done = client.responses.parse(model="m", input="hi", tools=[tool])
    called = done.output[1]
    assert called.type == "function_call"
    assert called.parsed_arguments == Weather(city="Rome")
    back: Any = [*done.output, {"type": "function_call_output", "call_id": "c1", "output": "hot"}]
    client.responses.create(model="m", input=back)
    read = play.asked[1]
    assert read.request.messages == (
        Message("assistant", (Thinking("hm", "sig", by="anthropic"), call)),
        Message("user", (ToolResult("c1", "hot"),)),
    )
    assert not read.not_carried


def test_the_sdks_stream_helper_makes_the_whole_of_the_pieces() -> None:
    """Thinking, texts, calls, tokens and usage, through `responses.stream`."""
    content = (Thinking("hm", "sig", by="anthropic"), Text('{"text": "a", "number": 1}'), ToolCall("c1", "Weather"))
    weighed = (Token("{", -0.1, (("{", -0.1), ("[", -2.0))), Token('"', -0.2))
    reply = Reply(content, "gpt", "tool", USAGE, weighed)
    deltas = [
        Delta("thinking", "h", 0),
        Delta("thinking", "m", 0),
        Delta("text", '{"', 1, tokens=weighed),
        Delta("text", 'text": "a", "number": 1}', 1),
        Delta("tool", "", 2, "c1", "Weather"),
    ]
    play = Playing(FORMAT, reply, deltas)
    tool: Any = openai.pydantic_function_tool(Weather)
    with play.client().responses.stream(
        model="m", input="hi", text_format=Step, tools=[tool], include=["message.output_text.logprobs"]
    ) as stream:
        came = list(stream)
        done = stream.get_final_response()
    assert done.output_parsed == Step(text="a", number=1)
    thought, said, called = done.output
    assert thought.type == "reasoning"
    assert (thought.summary[0].text, thought.encrypted_content) == ("hm", "fastcascade:anthropic::signed:sig")
    assert said.type == "message"
    assert said.content[0].type == "output_text"
    assert [token.token for token in said.content[0].logprobs or ()] == ["{", '"']
    assert called.type == "function_call"
    assert (called.call_id, called.parsed_arguments) == ("c1", Weather())
    assert done.usage is not None
    assert (done.usage.input_tokens_details.cached_tokens, done.usage.output_tokens_details.reasoning_tokens) == (4, 2)
    assert [event.type for event in came] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.delta",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_without_thinking_an_item_is_done_when_the_next_begins() -> None:
    """A client need not wait for the end to run a tool."""
    reply = Reply((Text("a"), ToolCall("c", "f", "{}"), ToolCall("d", "f", "[]")), stop="tool")
    deltas = [Delta("text", "a", 0), Delta("tool", "", 1, "c", "f"), Delta("tool", "[]", 2, "d", "f")]
    came = events(stream_of(FORMAT, asked(), reply, deltas))
    kinds = [event["type"] for event in came]
    assert kinds.index("response.output_item.done") < kinds.index("response.function_call_arguments.delta")
    assert [event["arguments"] for event in came if event["type"].endswith("arguments.done")] == ["{}", "[]"]


def test_blocks_that_come_interleaved_are_whole() -> None:
    """A text that goes on after a call has begun, and calls that take turns."""
    calls = (ToolCall("c", "f", '{"a": 1}'), ToolCall("d", "f", '{"b": 2}'))
    reply = Reply((Text("ab"), *calls), stop="tool")
    deltas = [
        Delta("text", "a", 0),
        Delta("tool", '{"a"', 1, "c", "f"),
        Delta("tool", '{"b"', 2, "d", "f"),
        Delta("text", "b", 0),
        Delta("tool", ": 1}", 1),
        Delta("tool", ": 2}", 2),
    ]
    came = events(stream_of(FORMAT, asked(), reply, deltas))
    done = [event["item"] for event in came if event["type"] == "response.output_item.done"]
    assert came[-1]["response"]["output"] == done
    read = RESPONSES.read(body(input=done), {}).request.messages[0].content
    assert read == (Text("a"), *calls, Text("b"))
    reply = Reply((Text("ab"), calls[0]), stop="tool")
    deltas = [
        Delta("text", "a", 0),
        Delta("tool", '{"a": 1}', 1, "c", "f"),
        Delta("text", "b", 0),
        Delta("tool", " ", 1),
    ]
    came = events(stream_of(FORMAT, asked(), reply, deltas))
    done = [event["item"] for event in came if event["type"] == "response.output_item.done"]
    assert RESPONSES.read(body(input=done), {}).request.messages[0].content == (Text("a"), calls[0], Text("b"))


@pytest.mark.parametrize(
    ("stop", "reason"), [("length", "max_output_tokens"), ("pause", "max_output_tokens"), ("refusal", "content_filter")]
)
def test_what_is_not_whole_is_incomplete(stop: Any, reason: str) -> None:
    """It says why, whole and in a stream."""
    reply = Reply("he", stop=stop, raw_stop=stop)
    who = asked()
    wire = Response.model_validate(FORMAT.whole(who, Answer(reply, who.request)), strict=True)
    last = events(stream_of(FORMAT, who, reply, [Delta("text", "he")]))[-1]
    assert last["type"] == "response.incomplete"
    for said in (wire, Response.model_validate(last["response"], strict=True)):
        assert said.status == "incomplete"
        assert said.incomplete_details is not None
        assert said.incomplete_details.reason == reason
        assert said.output[-1].status == "incomplete"  # type: ignore[union-attr]


def test_a_refusal_in_words_of_its_own_is_a_refusal() -> None:
    """A whole answer has it in the part that the SDK has for it."""
    reply = Reply("I will not", stop="refusal", raw_stop="stop")
    done = Playing(FORMAT, reply).client().responses.create(model="m", input="hi")
    said = done.output[0]
    assert said.type == "message"
    assert said.content[0].type == "refusal"
    assert (said.content[0].refusal, done.status) == ("I will not", "completed")


@pytest.mark.parametrize("reply", [None, Reply(()), Reply((Opaque("anthropic", {"type": "x"}),))])
def test_an_answer_without_words_has_no_items(reply: Reply | None) -> None:
    """It is a response all the same."""
    who = asked()
    wire = FORMAT.whole(who, Answer(reply, who.request))
    assert Response.model_validate(wire, strict=True).output == []
    assert events(stream_of(FORMAT, who, reply or Reply(())))[-1]["response"]["output"] == []


def test_a_stream_that_broke_is_taken_for_whole_by_no_one() -> None:
    """It fails with what was done, and the SDK raises, whichever way it is asked."""
    deltas = [Delta("text", "a", 0), Delta("tool", "{", 1, "c", "f")]
    play = Playing(FORMAT, Reply("x"), deltas, broken="the tier went away")
    seen: list[Any] = []
    with pytest.raises(openai.APIError, match="the tier went away"):
        seen.extend(play.client().responses.create(model="m", input="hi", stream=True))
    with pytest.raises(openai.APIError), play.client().responses.stream(model="m", input="hi") as stream:
        stream.until_done()
    came = events(stream_of(FORMAT, asked(), Reply("x"), deltas, "gone"))
    failed = Response.model_validate(came[-2]["response"], strict=True)
    assert (came[-2]["type"], failed.status, came[-1]["type"]) == ("response.failed", "failed", "error")
    assert failed.error is not None
    assert (failed.error.code, failed.error.message) == ("server_error", "gone")
    assert [item.type for item in failed.output] == ["message"]
    for event in came:
        EVENT.validate_python(event)


def test_a_refused_field_reaches_the_client_by_name() -> None:
    """The SDK raises it with the path."""
    with pytest.raises(openai.BadRequestError, match="nothing is stored here") as raised:
        Playing(FORMAT, Reply("x")).client().responses.create(model="m", input="hi", previous_response_id="resp_1")
    assert raised.value.param == "previous_response_id"
