"""Chat completions towards clients: what the real SDK sends is read, and what is said it can read."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

openai = pytest.importorskip("openai")

from openai.lib import _pydantic as sdk_schema  # noqa: E402
from openai.types.chat import ChatCompletion, ChatCompletionChunk, completion_create_params  # noqa: E402
from openai.types.model import Model  # noqa: E402

from fastcascade.answers import Answer  # noqa: E402
from fastcascade.backends.openai_reply import Pieces  # noqa: E402
from fastcascade.backends.openai_reply import read as read_reply  # noqa: E402
from fastcascade.backends.openai_wire import Dialect, chat  # noqa: E402
from fastcascade.errors import WireError  # noqa: E402
from fastcascade.messages import (  # noqa: E402
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
from fastcascade.wire import chat_in, chat_turns, openai_errors  # noqa: E402
from fastcascade.wire.chat import CHAT, Chat  # noqa: E402
from fastcascade.wire.format import Format  # noqa: E402
from playing import Playing, asked, events, stream_of  # noqa: E402

FEW = settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
DIALECT = Dialect(thinking_field="reasoning_content")
FORMAT: Format = Chat(lambda: 1_795_000_000.0, lambda: "n0")
USAGE = Usage(12, 5, 4, 0, 2)
HI: list[Any] = [{"role": "user", "content": "hi"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
FREE = {"type": "custom", "custom": {"name": "free"}}


class Step(BaseModel):
    """A step, as a client's own type."""

    text: str
    number: int


class Weather(BaseModel):
    """Arguments of a tool, as a client's own type."""

    city: str = ""


def body(**fields: Any) -> dict[str, Any]:
    """A body that asks for little."""
    return {"model": "m", "messages": HI, **fields}


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
names = st.from_regex(r"[a-z][a-z0-9_]{2,8}x", fullmatch=True)
objects = st.dictionaries(names, st.one_of(texts, st.integers(), st.none()), max_size=3)
extras = st.one_of(st.just({}), st.builds(lambda value: {"openai": {"cache_control": {"type": value}}}, texts))
spoken = st.builds(Text, texts, extras)
pictures = st.one_of(
    st.builds(lambda name, extra: Image(url=f"https://x.test/{name}.png", extra=extra), names, extras),
    st.builds(lambda name: Image("aGk=", f"image/{name}", extra={"openai": {"image_url": {"detail": "low"}}}), names),
)
files = st.builds(lambda text: Opaque("openai", {"type": "file", "file": {"file_data": text}}), texts)
calls = st.builds(ToolCall, names, names, st.builds(json.dumps, objects), extras)
results = st.builds(ToolResult, names, st.lists(spoken, min_size=1, max_size=2).map(tuple))
thoughts = st.builds(Thinking, texts, by=st.just("openai"))
said = st.lists(st.one_of(spoken, pictures, files), min_size=1, max_size=3)
user_turns = st.builds(lambda content: Message("user", content), said)
model_turns = st.builds(
    lambda thought, text, called: Message("assistant", (*thought, *text, *called)),
    st.lists(thoughts, max_size=1),
    st.lists(spoken, max_size=2),
    st.lists(calls, min_size=1, max_size=2),
)
answered = st.builds(lambda back, text: Message("user", (*back, *text)), st.lists(results, min_size=1), said)
conversations = st.builds(
    lambda first, rest: (first, *(turn for pair in rest for turn in pair)),
    user_turns,
    st.lists(st.tuples(model_turns, answered), max_size=2),
)
tools = st.builds(
    Tool, names, st.one_of(st.just(""), texts), st.fixed_dictionaries({"type": st.just("object")}), extras
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """All that a chat completion can ask for."""
    fields: dict[str, Any] = {"tools": tuple(draw(st.lists(tools, max_size=2)))}
    if fields["tools"]:
        fields["tool_choice"] = draw(st.sampled_from(["auto", "any", "none", fields["tools"][0].name]))
    fields["max_tokens"] = draw(st.one_of(st.none(), st.integers(1, 10**6)))
    fields["temperature"] = draw(st.one_of(st.none(), st.floats(0, 2)))
    fields["top_p"] = draw(st.one_of(st.none(), st.floats(0, 1)))
    fields["stop"] = tuple(draw(st.lists(texts, max_size=3)))
    fields["seed"] = draw(st.one_of(st.none(), st.integers(-(2**40), 2**40)))
    fields["thinking"] = draw(st.sampled_from([None, 0, 1024, 4096, 16384]))
    fields["schema"] = draw(st.one_of(st.none(), st.builds(lambda name: {"title": name, "type": "object"}, names)))
    fields["logprobs"] = draw(st.one_of(st.none(), st.integers(0, 20)))
    return Request(draw(conversations), tuple(draw(st.lists(spoken, max_size=2))), **fields)


@FEW
@given(requests(), st.sampled_from(["max_tokens", "max_completion_tokens"]))
def test_what_the_backend_writes_is_read_as_the_same_request(request: Request, field: Any) -> None:
    """Reading is the inverse of writing, for all that writing can say."""
    dialect = Dialect(max_tokens_field=field, thinking_field="reasoning_content")
    wire = json.loads(json.dumps(chat(request, "m", dialect, logprobs=True)))
    read = CHAT.read(wire, {})
    assert read.request == request
    assert (read.model, read.stream, list(read.not_carried)) == ("m", False, [])


@pytest.mark.parametrize("effort", ["none", "low", "medium", "high", "minimal", "xhigh", "max"])
def test_an_effort_is_written_again_as_it_was_asked(effort: str) -> None:
    """What the backend sends for the tokens of an effort is that effort, or it is told it in OpenAI's own words."""
    request = CHAT.read(body(reasoning_effort=effort), {}).request
    own = request.options.get("openai", {})
    assert {**chat(request, "m", DIALECT, logprobs=True), **own}["reasoning_effort"] == effort
    assert request.thinking == 0 or (request.thinking or 0) >= 1024


def test_every_parameter_the_sdk_knows_is_read() -> None:
    """No parameter that the SDK types is taken for unknown."""
    known = set(completion_create_params.CompletionCreateParamsBase.__annotations__) - set(chat_in.INSTEAD)
    elsewhere = {"n", "messages", "model", "stream", "stream_options", "tools", "tool_choice", "max_tokens", "seed"}
    elsewhere |= {"max_completion_tokens", "temperature", "top_p", "stop", "reasoning_effort", "response_format"}
    elsewhere |= {"logprobs", "top_logprobs", "user", "safety_identifier"}
    assert known - elsewhere == chat_in.OWN - {"stream"}


def test_what_only_openai_knows_is_kept_and_what_nobody_knows_is_named() -> None:
    """Parameters of its own go to OpenAI alone; unknown ones go too, and are told."""
    given = body(store=True, metadata={"a": "b"}, service_tier="flex", frequency_penalty=0.5, shiny=1, top_k=None)
    read = CHAT.read({**given, "stream_options": {"include_usage": True, "include_obfuscation": False}}, {})
    own = {"store": True, "metadata": {"a": "b"}, "service_tier": "flex", "frequency_penalty": 0.5, "shiny": 1}
    assert read.request.options == {"openai": own}
    assert list(read.not_carried) == ["stream_options.include_obfuscation", "shiny"]
    assert read.usage


def test_who_asks_is_known_and_not_sent_on() -> None:
    """The newer field goes before the older; that no provider is told who asks is said."""
    assert CHAT.read(body(user="u"), {}).request.user == "u"
    read = CHAT.read(body(user="u", safety_identifier="s"), {})
    assert (read.request.user, read.request.options) == ("s", {})
    assert list(read.not_carried) == ["user", "safety_identifier"]


def test_messages_that_have_no_place_of_their_own_are_moved_and_told() -> None:
    """Late system texts, names of participants, and the ways of old."""
    given = [
        {"role": "developer", "content": [{"type": "text", "text": "be brief"}]},
        {"role": "user", "content": "hi", "name": "Ann"},
        {"role": "assistant", "content": None, "function_call": {"name": "old", "arguments": "{}"}},
        {"role": "function", "name": "old", "content": "7"},
        {"role": "system", "content": "be kind"},
        {"role": "assistant", "content": "", "refusal": "no", "odd": 1, "annotations": []},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "audio": {"id": "a"}},
    ]
    read = CHAT.read(body(messages=given), {})
    assert read.request.system == (Text("be brief"), Text("be kind"))
    assert read.request.messages == (
        Message("user", "hi"),
        Message("assistant", (ToolCall("function_call_1", "old", "{}"),)),
        Message("user", (ToolResult("function_call_1", "7"),)),
        Message("assistant", "no"),
        Message("assistant", (Text("no"), Opaque("openai", {"type": "audio", "audio": {"id": "a"}}))),
    )
    assert list(read.not_carried) == ["messages.name", "messages[4]: moved before the conversation", "messages.odd"]


def test_results_and_what_the_user_says_next_are_one_turn() -> None:
    """Other providers want all results in the turn after the calls."""
    given = [
        *HI,
        {
            "role": "assistant",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]},
        {"role": "user", "content": "and?"},
        {"role": "user", "content": "well?"},
    ]
    turns = CHAT.read(body(messages=given), {}).request.messages[2:]
    assert turns == (
        Message("user", (ToolResult("a", "1"), ToolResult("b", "2"), Text("and?"))),
        Message("user", "well?"),
    )


def test_custom_and_allowed_tools_reach_openai_in_its_own_words() -> None:
    """Others get the functions that are allowed."""
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "weather"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    other = {"type": "function", "function": {"name": "other"}}
    request = CHAT.read(body(tools=[WEATHER, other, FREE], tool_choice=choice), {}).request
    assert [tool.name for tool in request.tools] == ["weather"]
    assert request.tool_choice == "any"
    assert request.options["openai"] == {"tools": [WEATHER, other, FREE], "tool_choice": choice}


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("auto", {"type": "auto"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
        ("none", None),
    ],
)
def test_one_call_at_a_time_is_asked_of_both_providers(choice: Any, told: Any) -> None:
    """Each has a field of its own for it."""
    request = CHAT.read(body(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=False), {}).request
    assert request.options["openai"] == {"parallel_tool_calls": False}
    want = told and {"tool_choice": {**told, "disable_parallel_tool_use": True}}
    assert request.options.get("anthropic") == want


FORMS: list[Any] = [
    ({"type": "text"}, None, False),
    ({"type": "json_object"}, None, True),
    ({"type": "json_schema", "json_schema": {"name": "answer", "schema": {}, "strict": True}}, {}, False),
    ({"type": "json_schema", "json_schema": {"name": "x", "schema": {}, "strict": True}}, {}, True),
    ({"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}}, {}, True),
]


@pytest.mark.parametrize(("form", "schema", "raw"), FORMS)
def test_a_schema_is_for_all_and_its_own_words_for_openai(form: Any, schema: Any, raw: bool) -> None:
    """What the backend would not write by itself is kept as it came."""
    request = CHAT.read(body(response_format=form), {}).request
    assert request.schema == schema
    assert request.options.get("openai", {}).get("response_format") == (form if raw else None)


CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}
REFUSED = [
    ({"n": 2}, "n", "send the request again for another"),
    ({"functions": []}, "functions", "send tools"),
    ({"function_call": "auto"}, "function_call", "send tool_choice"),
    ({"messages": None}, "messages", "messages is missing"),
    ({"messages": []}, "messages", "at least one"),
    ({"messages": "hi"}, "messages", "not a text"),
    ({"messages": ["hi"]}, "messages[0]", "an object, not a text"),
    ({"messages": [{"role": "boss", "content": ""}]}, "messages[0].role", "system, developer"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "a list of parts, not a number"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "is missing"),
    ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type", "is missing"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "u"}]}]},
        "messages[0].content[0].image_url",
        "an object, not a text",
    ),
    ({"messages": [{"role": "system", "content": [{"type": "file"}]}]}, "messages[0].content", "texts alone"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "is missing"),
    ({"messages": [{"role": "function", "name": "f", "content": ""}]}, "messages[0].name", "calls this function"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [CALL]}]},
        "messages[0].tool_calls[0].function.arguments",
        "a text, not an object",
    ),
    ({"tools": [{"type": "web"}]}, "tools[0].type", "function or custom"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "is missing"),
    ({"tool_choice": "some"}, "tool_choice", "auto, none, required"),
    (
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": ["x"]}]}}},
        "tool_choice.allowed_tools.tools[0].type",
        "not a list",
    ),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role", "user, assistant"),
    ({"tool_choice": {"type": "x"}}, "tool_choice.type", "allowed_tools"),
    (
        {"tool_choice": {"type": "function", "function": {"name": "any"}}},
        "tool_choice.function.name",
        "give it another name",
    ),
    ({"max_tokens": 0}, "max_tokens", "at least 1"),
    ({"max_tokens": True}, "max_tokens", "not true or false"),
    ({"temperature": "hot"}, "temperature", "a number, not a text"),
    ({"stop": [1]}, "stop[0]", "a text, not a number"),
    ({"top_logprobs": 2}, "top_logprobs", "logprobs: true"),
    ({"stream": "yes"}, "stream", "true or false"),
    ({"model": 1}, "model", "a text"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "is missing"),
]


@pytest.mark.parametrize(("fields", "where", "message"), REFUSED)
def test_what_cannot_be_read_is_refused_by_its_path(fields: dict[str, Any], where: str, message: str) -> None:
    """The error names the field, and says what is wanted."""
    with pytest.raises(WireError) as refused:
        CHAT.read(body(**fields), {})
    assert refused.value.where == where
    assert message in str(refused.value)


junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts, st.sampled_from(["user", "tool", "function", "text"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["role", "content", "type", "function", "name", "text", "id"]), inner),
    ),
)


@FEW
@given(st.dictionaries(st.sampled_from([*completion_create_params.CompletionCreateParamsBase.__annotations__]), junk))
def test_any_json_is_read_or_refused(given: dict[str, Any]) -> None:
    """Nothing but a WireError comes of a body that makes no sense."""
    try:
        CHAT.read(given, {})
    except WireError as refused:
        assert refused.where
        assert refused.code == 400


weights = st.floats(-20, 0)
tops = st.lists(st.tuples(texts, weights), max_size=2)
tokens = st.builds(Token, texts, weights, tops.map(lambda top: tuple(sorted(top, key=lambda pair: -pair[1]))))
ENDS = [("end", "stop"), ("length", "length"), ("refusal", "content_filter"), ("tool", "tool_calls")]
blocks = st.tuples(
    st.lists(st.builds(Thinking, texts, by=st.just("openai")), max_size=1),
    st.lists(st.builds(Text, texts), max_size=1),
    st.lists(st.builds(ToolCall, names, names, texts), max_size=3, unique_by=lambda call: call.id),
).map(lambda parts: tuple(block for part in parts for block in part))


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    """All that a chat completion can say."""
    content = draw(blocks)
    called = any(type(block) is ToolCall for block in content)
    stop, raw = ("tool", "tool_calls") if called else draw(st.sampled_from(ENDS[:3]))
    usage = draw(st.one_of(st.none(), st.builds(Usage, *(st.integers(0, 99) for _ in range(3)))))
    weighed = tuple(draw(st.lists(tokens, min_size=1, max_size=3))) if content and not called else None
    return Reply(content, "m", stop, usage, weighed, "chatcmpl-n0", raw_stop=raw)  # type: ignore[arg-type] # one of them


def pieces(reply: Reply, cut: int) -> list[Delta]:
    """A reply as a backend would stream it, so many characters at once."""
    out: list[Delta] = []
    for index, block in enumerate(reply.content):
        text = block.arguments if isinstance(block, ToolCall) else getattr(block, "text", "")
        parts = [text[at : at + cut] for at in range(0, len(text), cut)] or [""]
        kind: Any = {Text: "text", Thinking: "thinking", ToolCall: "tool"}[type(block)]
        for number, part in enumerate(parts):
            first = isinstance(block, ToolCall) and not number
            out.append(Delta(kind, part, index, block.id if first else "", block.name if first else ""))  # type: ignore[union-attr]
    return out


@FEW
@given(replies(), st.integers(1, 5), st.sampled_from([0.0, 0.5, 1.0]))
def test_what_is_said_is_read_by_the_backend_as_the_same_reply(reply: Reply, cut: int, share: float) -> None:
    """Whole, in pieces, in the first of its pieces, and without any: a client gets the reply there was."""
    who = asked(logprobs=0)
    wire = FORMAT.whole(who, Answer(reply, who.request))
    ChatCompletion.model_validate(wire, strict=True)
    assert read_reply(json.loads(json.dumps(wire)), DIALECT, "", "") == reply
    deltas = pieces(reply, cut)
    who = type(who)(who.request, "m", {}, stream=True, usage=True)
    raw = stream_of(FORMAT, who, reply, deltas[: int(len(deltas) * share)])
    came = Pieces(DIALECT, "")
    for event in raw.decode().split("\n\n"):
        if event.startswith("data: "):
            if event.startswith("data: {"):
                ChatCompletionChunk.model_validate_json(event[6:], strict=True)
            came.event(event[6:].encode())
    streamed = came.reply()
    assert (streamed.text, streamed.tool_calls, streamed.stop) == (reply.text, reply.tool_calls, reply.stop)
    assert (streamed.usage, streamed.logprobs or None) == (reply.usage, reply.logprobs)
    assert [block for block in streamed.content if type(block) is Thinking] == [
        block for block in reply.content if type(block) is Thinking
    ]


def test_the_sdk_parses_an_answer_into_the_types_of_a_client() -> None:
    """`parse` sends a schema that is read, and gets its own type back; tools likewise."""
    play = Playing(FORMAT, Reply('{"text": "do", "number": 3}', "gpt", usage=USAGE))
    done = play.client().chat.completions.parse(model="m", messages=HI, response_format=Step)
    assert done.choices[0].message.parsed == Step(text="do", number=3)
    assert done.usage is not None
    assert (done.model, done.usage.total_tokens) == ("gpt", 17)
    request = play.asked[0].request
    assert request.schema == sdk_schema.to_strict_json_schema(Step)
    assert not request.options  # the backend would write the same
    call = ToolCall("c1", "Weather", '{"city": "Rome"}')
    play = Playing(FORMAT, Reply((call,), stop="tool"))
    tool = openai.pydantic_function_tool(Weather)
    done = play.client().chat.completions.parse(model="m", messages=HI, tools=[tool], tool_choice="required")
    called = done.choices[0].message.tool_calls
    assert called is not None
    assert called[0].function.parsed_arguments == Weather(city="Rome")
    assert play.asked[0].request.tools[0].extra == {"openai": {"function": {"strict": True}}}
    assert play.asked[0].request.tool_choice == "any"


def test_what_the_sdk_gives_can_be_sent_back() -> None:
    """A message of a reply, dumped or as it is, is a message of the next request."""
    call = ToolCall("c1", "Weather", '{"city": "Rome"}')
    play = Playing(FORMAT, Reply((Thinking("hm", "sig", by="anthropic"), Text("wait"), call), stop="tool"))
    tool = openai.pydantic_function_tool(Weather)
    client = play.client()
    done = client.chat.completions.parse(model="m", messages=HI, tools=[tool])
    back: Any = done.choices[0].message
    client.chat.completions.create(
        model="m", messages=[*HI, back, {"role": "tool", "tool_call_id": "c1", "content": "hot"}]
    )
    read = play.asked[1]
    assert read.request.messages[1:] == (
        Message("assistant", (Thinking("hm", by="openai"), Text("wait"), call)),
        Message("user", (ToolResult("c1", "hot"),)),
    )
    assert not read.not_carried


def test_the_sdks_stream_helper_makes_the_whole_of_the_pieces() -> None:
    """Roles, texts, calls, the reason it stopped, tokens and usage, through `chat.completions.stream`."""
    content = (Text("hello"), ToolCall("c1", "Weather", '{"city": "Rome"}'), ToolCall("c2", "Weather", "{}"))
    weighed = (Token("hel", -0.1), Token("lo", -0.2, (("lo", -0.2), ("p", -2.0))))
    reply = Reply(content, "gpt", "tool", USAGE, weighed)
    deltas = [
        Delta("text", "hel", 0, tokens=weighed[:1]),
        Delta("text", "lo", 0, tokens=weighed[1:]),
        Delta("tool", "", 1, "c1", "Weather"),
        Delta("tool", '{"city": ', 1),
        Delta("tool", '"Rome"}', 1),
        Delta("tool", "", 2, "c2", "Weather"),
    ]
    play = Playing(FORMAT, reply, deltas)
    tool = openai.pydantic_function_tool(Weather)
    options: Any = {"include_usage": True}
    with play.client().chat.completions.stream(
        model="m",
        messages=HI,
        tools=[tool],
        logprobs=True,
        top_logprobs=2,
        stream_options=options,
    ) as stream:
        kinds = [event.type for event in stream]
        done = stream.get_final_completion()
    choice = done.choices[0]
    assert (choice.message.content, choice.message.role, choice.finish_reason) == ("hello", "assistant", "tool_calls")
    assert choice.message.tool_calls is not None
    assert [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls] == [
        ("c1", "Weather", '{"city": "Rome"}'),
        ("c2", "Weather", "{}"),
    ]
    assert choice.message.tool_calls[0].function.parsed_arguments == Weather(city="Rome")
    assert choice.logprobs is not None
    assert [(token.token, token.logprob) for token in choice.logprobs.content or ()] == [("hel", -0.1), ("lo", -0.2)]
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (12, 5, 17)
    assert "tool_calls.function.arguments.done" in kinds
    assert kinds.count("logprobs.content.delta") == 2


def test_the_chunks_of_a_stream_come_in_order() -> None:
    """The role is first, the reason is last but for usage where it is asked for, and then it is done."""
    reply = Reply(
        (Text("hi"),), "gpt", usage=USAGE, extra={"openai": {"id": "x", "service_tier": "flex", "annotations": [1]}}
    )
    raw = stream_of(FORMAT, asked(), reply, [Delta("text", "h")])
    chunks = events(raw)
    assert raw.endswith(b"data: [DONE]\n\n")
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "h"},
        {"content": "i"},
        {"annotations": [1]},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert chunks[-1]["service_tier"] == "flex"
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-n0"}
    assert all("usage" not in chunk for chunk in chunks)


def test_logprobs_are_told_to_those_who_asked_alone() -> None:
    """A gate may have wanted them, which is no business of the client's."""
    reply = Reply("h", logprobs=(Token("h", -0.5),))
    who = asked()
    assert FORMAT.whole(who, Answer(reply, who.request))["choices"][0]["logprobs"] is None
    assert b"-0.5" not in stream_of(FORMAT, who, reply, [Delta("text", "h", tokens=(Token("h", -0.5),))])
    assert b"-0.5" in stream_of(FORMAT, asked(logprobs=0), reply)


def test_what_cannot_happen_has_a_weight_that_json_can_hold() -> None:
    """Some endpoints give minus infinity, which is no JSON."""
    impossible = float("-inf")
    who = asked(logprobs=1)
    reply = Reply("\ufffd", logprobs=(Token("\ufffd", impossible, (("\ud800", float("nan")),)),))
    wire = json.dumps(FORMAT.whole(who, Answer(reply, who.request)), allow_nan=False)
    told = json.loads(wire)["choices"][0]["logprobs"]["content"][0]
    assert (told["logprob"], told["bytes"], told["top_logprobs"][0]["bytes"]) == (-9999.0, None, None)


def test_what_a_call_is_said_to_be_besides_is_said_again() -> None:
    """Some endpoints want it back with the call, however the client was answered."""
    more = {"extra_content": {"google": {"thought_signature": "s"}}}
    call = ToolCall("c", "f", "{}", {"openai": more})
    reply = Reply((call,), stop="tool")
    play = Playing(FORMAT, reply, [Delta("tool", "{}", 0, "c", "f")])
    with play.client().chat.completions.stream(model="m", messages=HI) as stream:
        streamed = stream.get_final_completion().choices[0].message
    whole = play.client().chat.completions.create(model="m", messages=HI).choices[0].message
    for message in (streamed, whole):
        back = json.loads(message.to_json())
        turns = CHAT.read(body(messages=[*HI, back]), {}).request.messages
        assert turns[1].content == (call,)


def test_a_refusal_in_words_of_its_own_is_a_refusal() -> None:
    """A whole answer has it in the field that the SDK has for it; a stream, as content that was filtered."""
    reply = Reply("I will not", stop="refusal", raw_stop="stop")
    done = Playing(FORMAT, reply).client().chat.completions.parse(model="m", messages=HI, response_format=Step)
    assert (done.choices[0].message.refusal, done.choices[0].message.parsed) == ("I will not", None)
    last = events(stream_of(FORMAT, asked(), reply))[-1]
    assert last["choices"][0]["finish_reason"] == "content_filter"


def test_what_is_openais_own_is_said_in_its_own_words() -> None:
    """A custom call and audio come through, whole and in a stream; what is another's is left out."""
    custom = Opaque("openai", {"id": "c", "type": "custom", "custom": {"name": "free", "input": "x"}})
    audio = Opaque("openai", {"type": "audio", "audio": {"id": "a", "data": "", "expires_at": 1, "transcript": "t"}})
    reply = Reply((Opaque("anthropic", {"type": "x"}), custom, audio), stop="tool")
    done = Playing(FORMAT, reply).client().chat.completions.create(model="m", messages=HI)
    called = done.choices[0].message.tool_calls
    assert called is not None
    assert called[0].model_dump(exclude_none=True) == custom.data
    assert done.choices[0].message.audio is not None
    deltas = [event["choices"][0]["delta"] for event in events(stream_of(FORMAT, asked(), reply))]
    assert deltas[1:] == [{"tool_calls": [{"index": 0, **custom.data}]}, {"audio": audio.data["audio"]}]


@pytest.mark.parametrize("reply", [None, Reply(())])
def test_an_answer_without_words_is_empty(reply: Reply | None) -> None:
    """It is a completion all the same."""
    who = asked()
    wire = FORMAT.whole(who, Answer(reply, who.request))
    assert ChatCompletion.model_validate(wire, strict=True).choices[0].message.content == ""
    assert wire["model"] == "m"


def test_a_stream_that_broke_raises_in_the_sdk() -> None:
    """No client takes what came for the whole."""
    play = Playing(FORMAT, Reply("hello"), [Delta("text", "hel")], broken="the tier went away")
    seen: list[Any] = []
    with pytest.raises(openai.APIError, match="the tier went away") as raised:
        seen.extend(play.client().chat.completions.create(model="m", messages=HI, stream=True))
    assert [chunk.choices[0].delta.content for chunk in seen] == ["", "hel"]
    assert all(chunk.choices[0].finish_reason is None for chunk in seen)
    assert raised.value.code == "server_error"
    raw = stream_of(FORMAT, asked(), Reply("x"), broken="gone")
    assert b"[DONE]" not in raw


STATUSES = [
    (400, "BadRequestError", None),
    (401, "AuthenticationError", "invalid_api_key"),
    (403, "PermissionDeniedError", "permission_denied"),
    (404, "NotFoundError", "model_not_found"),
    (409, "ConflictError", "conflict"),
    (413, "APIStatusError", "request_too_large"),
    (422, "UnprocessableEntityError", None),
    (429, "RateLimitError", "rate_limit_exceeded"),
    (500, "InternalServerError", "server_error"),
    (503, "InternalServerError", "server_error"),
]


@pytest.mark.parametrize(("status", "raises", "code"), STATUSES)
def test_an_error_is_raised_by_the_sdk_as_its_status_is_called(status: int, raises: str, code: str | None) -> None:
    """With its message, its code and the path of the field."""
    import httpx2  # noqa: PLC0415 # comes with the SDK

    told = httpx2.MockTransport(lambda _: httpx2.Response(status, json=FORMAT.error(status, "no", where="a[0].b")))
    client = openai.OpenAI(
        api_key="k", base_url="http://h.test", http_client=httpx2.Client(transport=told), max_retries=0
    )
    with pytest.raises(getattr(openai, raises)) as raised:
        client.chat.completions.create(model="m", messages=HI)
    assert (raised.value.code, raised.value.param, raised.value.body["message"]) == (code, "a[0].b", "no")


def test_a_kind_takes_the_place_of_what_the_status_is_called() -> None:
    """Being out of money is a type of its own."""
    assert FORMAT.error(429, "pay", kind="insufficient_quota")["error"] == {
        "message": "pay",
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }
    assert FORMAT.error(404, "no", kind="unknown_url")["error"]["type"] == "invalid_request_error"


def test_models_are_listed_as_the_sdk_has_them() -> None:
    """One, and all."""
    listed = openai_errors.models(["a", "b"])
    assert [Model.model_validate(each, strict=True).id for each in listed["data"]] == ["a", "b"]
    assert listed["object"] == "list"


def test_the_roles_that_are_read_are_all_that_the_sdk_types() -> None:
    """A role that the SDK adds is to be looked at."""
    named = [name for name in dir(openai.types.chat) if name.startswith("ChatC") and name.endswith("MessageParam")]
    typed = [name for name in named if name != "ChatCompletionMessageParam"]
    roles = {name.removeprefix("ChatCompletion").removesuffix("MessageParam").lower() for name in typed}
    assert roles == set(chat_turns.ROLES.replace(" or ", ", ").split(", "))


@pytest.mark.parametrize("part", [{"type": "audio"}, {"type": "audio", "audio": 5}])
def test_audio_that_is_none_is_refused(part: Any) -> None:
    """A part that says it is an answer's audio, and is not, is the caller's fault, and no backend's to trip over."""
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": [part]}]
    with pytest.raises(WireError, match=r"content\[0\].audio"):
        CHAT.read({"model": "m", "messages": turns}, {})


@pytest.mark.parametrize("usage", [True, False])
def test_usage_is_null_until_the_end(usage: bool) -> None:
    """Where usage is asked for, every chunk has it, null but in the last; else none has it."""
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream_options": {"include_usage": usage}}
    asked = CHAT.read(body, {})
    encoder = CHAT.encoder(asked)
    answer = Answer(Reply("ab", usage=Usage(1, 2), extra={"openai": {"service_tier": "x"}}), asked.request)
    events = encoder.start() + encoder.delta(Delta("text", "a", 0)) + encoder.end(answer)
    chunks = [json.loads(line[6:]) for line in events.decode().split("\n\n") if line.startswith("data: {")]
    *rest, last = chunks
    assert all(("usage" in chunk) is usage and chunk.get("usage") is None for chunk in rest)
    assert last["usage"]["total_tokens"] == 3 if usage else "usage" not in last
