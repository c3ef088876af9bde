"""The Messages format read: what clients of Anthropic's API send is the request that it says, and nothing is lost."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade.backends.anthropic_wire import Style, write
from fastcascade.backends.openai_wire import Dialect, chat
from fastcascade.errors import BackendError, WireError
from fastcascade.messages import Image, Message, Opaque, Request, Text, Thinking, Tool, ToolCall, ToolResult
from fastcascade.wire.anthropic import MESSAGES
from fastcascade.wire.format import Asked
from test_backend_anthropic_roundtrip import MARKS, REQUESTS, VALUES, WORDS, sayable

anthropic = pytest.importorskip("anthropic")
httpx2 = pytest.importorskip("httpx2")

MODEL = "claude-opus-5-5"
STYLES = {classic: Style(MODEL, 4096, classic, anthropic.transform_schema) for classic in (True, False)}
MARK = {"cache_control": {"type": "ephemeral"}}
OWN = {"anthropic": MARK}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
ASK = {"role": "user", "content": "hi"}


def body(**fields: Any) -> dict[str, Any]:
    """A small body, with these fields."""
    return {"model": MODEL, "max_tokens": 100, "messages": [ASK], **fields}


def read(said: Mapping[str, Any], **headers: str) -> Asked:
    """Read a body, as it is after its way through JSON."""
    return MESSAGES.read(json.loads(json.dumps(said)), {name.replace("_", "-"): each for name, each in headers.items()})


def turn(*content: Any, role: str = "user") -> tuple[Any, ...]:
    """The blocks that are read of these."""
    return read(body(messages=[{"role": role, "content": list(content)}])).request.messages[0].content


def base64(data: str = "aGk=") -> dict[str, Any]:
    """A picture in the body."""
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "title": "t"}
FILE = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
SEARCHED = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}

BLOCKS: list[tuple[dict[str, Any], object]] = [
    ({"type": "text", "text": "a"}, Text("a")),
    ({"type": "text", "text": "a", **MARK, "citations": None}, Text("a", OWN)),
    (base64(), Image("aGk=", "image/png")),
    ({**base64(), **MARK}, Image("aGk=", "image/png", extra=OWN)),
    ({"type": "image", "source": {"type": "url", "url": "https://x.test/a"}}, Image(url="https://x.test/a")),
    (FILE, Opaque("anthropic", FILE)),
    (DOCUMENT, Opaque("anthropic", DOCUMENT)),
    (SEARCHED, Opaque("anthropic", SEARCHED)),
    ({"type": "newer", "n": [1]}, Opaque("anthropic", {"type": "newer", "n": [1]})),
    ({"type": "thinking", "thinking": "hm", "signature": "s"}, Thinking("hm", "s", by="anthropic")),
    ({"type": "thinking", "thinking": "", "signature": "s"}, Thinking("", "s", by="anthropic")),
    ({"type": "thinking", "thinking": "hm", "signature": ""}, Thinking("hm")),
    ({"type": "redacted_thinking", "data": "x"}, Thinking(redacted="x", by="anthropic")),
    ({"type": "tool_use", "id": "t", "name": "n", "input": {}}, ToolCall("t", "n", "{}")),
    ({"type": "tool_use", "id": "t", "name": "n", "input": {"é": 1}, **MARK}, ToolCall("t", "n", '{"é": 1}', OWN)),
    ({"type": "tool_result", "tool_use_id": "t"}, ToolResult("t")),
    ({"type": "tool_result", "tool_use_id": "t", "content": "ok"}, ToolResult("t", (Text("ok"),))),
    (
        {"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": [base64(), DOCUMENT], **MARK},
        ToolResult("t", (Image("aGk=", "image/png"), Opaque("anthropic", DOCUMENT)), True, OWN),
    ),
]


@pytest.mark.parametrize(("said", "meant"), BLOCKS, ids=lambda each: str(each)[:40])
def test_blocks(said: dict[str, Any], meant: object) -> None:
    """Each block of a message is the block that it says, and what has no place in ours is kept."""
    assert turn(said) == (meant,)


SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "n"}
TOOL = {"name": "find", "description": "finds", "input_schema": {"type": "object"}}
ADAPTIVE = {"type": "adaptive", "display": "summarized"}
CHOICE = {"type": "auto", "disable_parallel_tool_use": True}
NAMED = {"type": "tool", "name": "auto"}

FIELDS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"system": "s"}, {"system": (Text("s"),)}, {}),
    ({"system": [{"type": "text", "text": "s", **MARK}]}, {"system": (Text("s", OWN),)}, {}),
    ({"temperature": 0.5, "top_p": 1}, {"temperature": 0.5, "top_p": 1}, {}),
    ({"stop_sequences": ["a", "b"]}, {"stop": ("a", "b")}, {}),
    ({"tools": [TOOL]}, {"tools": (Tool("find", "finds", {"type": "object"}),)}, {}),
    ({"tools": [{**TOOL, "type": "custom", **MARK}]}, {"tools": (Tool("find", "finds", extra=OWN),)}, {}),
    (
        {"tools": [SEARCH]},
        {"tools": (Tool("web_search", extra={"anthropic": {"type": "web_search_20250305", "max_uses": 3}}),)},
        {},
    ),
    ({"tools": [TOOLSET]}, {"tools": (Tool("", extra={"anthropic": TOOLSET}),)}, {}),
    ({"tools": [TOOL], "tool_choice": {"type": "any"}}, {"tool_choice": "any"}, {}),
    ({"tool_choice": {"type": "none"}}, {"tool_choice": "none"}, {}),
    ({"tool_choice": {"type": "tool", "name": "find"}}, {"tool_choice": "find"}, {}),
    ({"tool_choice": NAMED}, {"tool_choice": "auto"}, {"tool_choice": NAMED}),
    ({"tool_choice": CHOICE}, {"tool_choice": "auto"}, {"tool_choice": CHOICE}),
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, {"thinking": 2000}, {}),
    ({"thinking": {"type": "disabled"}}, {"thinking": 0}, {}),
    ({"thinking": {"type": "adaptive"}}, {"thinking": 50}, {}),
    ({"max_tokens": 64_000, "thinking": ADAPTIVE}, {"thinking": 16_384}, {"thinking": ADAPTIVE}),
    ({"thinking": {"type": "between_tools"}}, {"thinking": None}, {"thinking": {"type": "between_tools"}}),
    (
        {"max_tokens": 64_000, "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        {"thinking": 1024},
        {"output_config": {"effort": "low"}},
    ),
    ({"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, {"schema": SCHEMA}, {}),
    ({"output_format": {"type": "json_schema", "schema": SCHEMA}}, {"schema": SCHEMA}, {}),
    ({"metadata": {"user_id": "u"}}, {"user": "u"}, {"metadata": {"user_id": "u"}}),
    ({"service_tier": "auto", "container": "c", "speed": None}, {}, {"service_tier": "auto", "container": "c"}),
    ({"mcp_servers": [{"name": "n"}], **MARK}, {}, {"mcp_servers": [{"name": "n"}], **MARK}),
]


@pytest.mark.parametrize(("said", "fields", "own"), FIELDS, ids=lambda each: str(each)[:40])
def test_fields(said: dict[str, Any], fields: dict[str, Any], own: dict[str, Any]) -> None:
    """Each field of a body is in the request, or among what Anthropic alone is sent; none of these is missed."""
    asked = read(body(**said))
    assert {name: getattr(asked.request, name) for name in fields} == fields
    assert asked.request.options.get("anthropic", {}) == own
    assert asked.not_carried == ()
    assert (asked.model, asked.stream, asked.body) == (MODEL, False, body(**said))


def test_what_is_not_carried_is_named() -> None:
    """What nobody knows goes to Anthropic and is named; headers by way of the body and other models do not go."""
    said = body(novel=1, extra_headers={"x-api-key": "theirs"}, fallbacks=[{"model": "dear"}], top_k=5, stream=True)
    asked = read(said, anthropic_beta="a,b", anthropic_workspace_id="w")
    assert asked.stream
    assert asked.request.options == {"anthropic": {"novel": 1, "extra_headers": {"anthropic-beta": "a,b"}}}
    assert asked.not_carried == ("novel", "extra_headers", "fallbacks", "top_k", "anthropic-workspace-id")
    sent = write(asked.request, STYLES[False])
    assert (sent.body["novel"], sent.headers) == (1, {"anthropic-beta": "a,b"})


def test_system_messages() -> None:
    """What the system says in the conversation is the system's, and is named where it came later than the rest."""
    first, later = {"role": "system", "content": "a"}, {"role": "system", "content": [{"type": "text", "text": "b"}]}
    asked = read(body(system="s", messages=[first, ASK, later]))
    assert asked.request.system == (Text("s"), Text("a"), Text("b"))
    assert asked.request.messages == (Message("user", "hi"),)
    assert asked.not_carried == ("messages.2.role",)


def test_one_tool_at_a_time() -> None:
    """Whoever wants one tool at a time has the same wish told to both providers."""
    request = read(body(tools=[TOOL], tool_choice=CHOICE)).request
    assert request.options["openai"] == {"parallel_tool_calls": False}
    assert write(request, STYLES[False]).body["tool_choice"] == CHOICE


@pytest.mark.parametrize("own", [DOCUMENT, FILE, SEARCHED])
def test_what_only_anthropic_can_read_is_refused_by_others(own: dict[str, Any]) -> None:
    """A block of Anthropic's own goes to Anthropic unchanged, and another backend says that it cannot carry it."""
    request = read(body(messages=[{"role": "user", "content": [{"type": "text", "text": "see"}, own]}])).request
    assert write(request, STYLES[False]).body["messages"][0]["content"][1] == own
    with pytest.raises(BackendError) as caught:
        chat(request, "gpt", Dialect(), logprobs=False)
    assert caught.value.failure.kind == "unsupported"


def block(**fields: Any) -> dict[str, Any]:
    """A body with one block that has these fields."""
    return body(messages=[ASK, {"role": "user", "content": [{"type": "text", "text": "a"}, fields]}])


WRONG: list[tuple[object, str]] = [
    ({"messages": [ASK], "max_tokens": 1}, "model: Field required"),
    (body(model=3), "model: Input should be a valid string"),
    ({"model": MODEL, "messages": [ASK]}, "max_tokens: Field required"),
    (body(max_tokens=True), "max_tokens: Input should be a valid integer"),
    (body(max_tokens=-1), "max_tokens: Input should be greater than or equal to 0"),
    ({"model": MODEL, "max_tokens": 1}, "messages: Field required"),
    (body(messages="hi"), "messages: Input should be a valid array"),
    (body(messages=[]), "messages: at least one message is required"),
    (body(messages=["hi"]), "messages.0: Input should be an object"),
    (body(messages=[{"content": "x"}]), "messages.0.role: Field required"),
    (
        body(messages=[{"role": "tool", "content": ""}]),
        "messages.0.role: Input should be 'user', 'assistant' or 'system'",
    ),
    (body(messages=[{"role": "user"}]), "messages.0.content: Field required"),
    (body(messages=[{"role": "user", "content": {}}]), "messages.0.content: Input should be a valid string or array"),
    (block(), "messages.1.content.1.type: Field required"),
    (block(type=3), "messages.1.content.1.type: Input should be a valid string"),
    (block(type=["text"]), "messages.1.content.1.type: Input should be a valid string"),
    (block(type="text"), "messages.1.content.1.text: Field required"),
    (block(type="image", source="x"), "messages.1.content.1.source: Input should be an object"),
    (block(type="image", source={"type": "url"}), "messages.1.content.1.source.url: Field required"),
    (
        block(type="thinking", thinking=1, signature="s"),
        "messages.1.content.1.thinking: Input should be a valid string",
    ),
    (block(type="tool_use", id="t", name="n", input="{}"), "messages.1.content.1.input: Input should be an object"),
    (
        block(type="tool_use", id="", name="n", input={}),
        "messages.1.content.1.id: String should have at least 1 character",
    ),
    (
        block(type="tool_result", tool_use_id="t", content=[{"type": "text", "text": None}]),
        "messages.1.content.1.content.0.text: Field required",
    ),
    (
        block(type="tool_result", tool_use_id="t", is_error="no"),
        "messages.1.content.1.is_error: Input should be a valid boolean",
    ),
    (body(system=[DOCUMENT]), "system.0.type: Input should be 'text'"),
    (body(tools={}), "tools: Input should be a valid array"),
    (body(tools=[{"name": "n"}]), "tools.0.input_schema: Field required"),
    (body(tools=[{"input_schema": {}}]), "tools.0.name: Field required"),
    (body(tool_choice="auto"), "tool_choice: Input should be an object"),
    (body(tool_choice={"type": "some"}), "tool_choice.type: Input should be 'auto', 'any', 'none' or 'tool'"),
    (body(tool_choice={"type": "tool"}), "tool_choice.name: Field required"),
    (body(thinking={"type": "enabled"}), "thinking.budget_tokens: Field required"),
    (body(temperature="warm"), "temperature: Input should be a valid number"),
    (body(temperature=1.5), "temperature: range: 0..1"),
    (body(stop_sequences=["a", 1]), "stop_sequences.1: Input should be a valid string"),
    (body(metadata={"user_id": 1}), "metadata.user_id: Input should be a valid string"),
    (body(stream="yes"), "stream: Input should be a valid boolean"),
    (body(output_config={"format": {"type": "xml"}}), "output_config.format.type: Input should be 'json_schema'"),
    (body(output_format={"type": "json_schema"}), "output_format.schema: Field required"),
]


@pytest.mark.parametrize(("said", "told"), WRONG, ids=lambda each: str(each)[:40])
def test_what_is_wrong_is_told_by_its_path(said: dict[str, Any], told: str) -> None:
    """A body that breaks the rules is refused, with the path of the field at fault."""
    with pytest.raises(WireError) as caught:
        read(said)
    assert str(caught.value) == told
    assert caught.value.where == told.partition(":")[0]
    assert caught.value.code == 400


FULL = body(
    system=[{"type": "text", "text": "s", **MARK}],
    messages=[{"role": "user", "content": [each for each, _ in BLOCKS]}, {"role": "system", "content": "x"}],
    tools=[TOOL, SEARCH, TOOLSET],
    tool_choice=CHOICE,
    thinking=ADAPTIVE,
    output_config={"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
    metadata={"user_id": "u"},
    stop_sequences=["a"],
    temperature=0.1,
    top_p=0.2,
    stream=True,
)
JSON = VALUES | st.just({"type": "text"}) | st.just({"type": "tool_result", "content": [{"type": "thinking"}]})


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_json_is_read_or_refused(data: st.DataObject) -> None:
    """Whatever JSON stands wherever in a body: it is read, or refused as a `WireError`, and nothing else happens."""
    said: Any = copy.deepcopy(FULL)
    at = said
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not (isinstance(at[key], dict | list) and at[key]) or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(JSON)
    try:
        assert MESSAGES.read(said, {}).request.messages
    except WireError as error:
        assert error.where


TOOLS = st.lists(
    st.builds(
        Tool, st.sampled_from(["find", "auto"]), st.sampled_from(["", "finds"]), st.just({"type": "object"}), MARKS
    )
    | st.just(Tool("web_search", extra={"anthropic": {"type": "web_search_20250305"}})),
    max_size=2,
).map(tuple)
SAYABLE = st.builds(
    lambda request, fields: replace(request, **fields),
    REQUESTS,
    st.fixed_dictionaries(
        {},
        optional={
            "tools": TOOLS,
            "tool_choice": st.sampled_from(["auto", "any", "none", "find"]),
            "max_tokens": st.integers(1, 9999),
            "temperature": st.floats(0, 2),
            "top_p": st.floats(0, 1),
            "thinking": st.integers(0, 20_000),
            "schema": st.just(SCHEMA),
            "options": st.just({"anthropic": {"service_tier": "auto", "extra_headers": {"anthropic-beta": "b"}}}),
        },
    ),
)


def said_of(block: Any) -> Any:
    """A block as it comes back: the arguments of a call by what they mean, not by how they are spelled."""
    match block:
        case ToolCall(id, name):
            return (id, name, block.input, dict(block.extra))
        case ToolResult(id, content, is_error, extra):
            return (id, tuple(part for part in content if sayable(part)), is_error, dict(extra))
        case _:
            return block


@settings(max_examples=150, deadline=None)
@given(SAYABLE, st.booleans())
def test_what_our_backend_writes_is_read_as_it_was_meant(request: Request, classic: bool) -> None:
    """A request that was written for the API is read as the same request, but for what the writing left out."""
    sent = write(request, STYLES[classic])
    asked = MESSAGES.read(json.loads(json.dumps(sent.body)), sent.headers)
    again = asked.request
    assert [(each.role, [said_of(one) for one in each.content]) for each in again.messages] == [
        (each.role, [said_of(one) for one in each.content if sayable(one)]) for each in request.messages
    ]
    assert again.system == tuple(each for each in request.system if sayable(each))
    assert (again.tools, again.stop, again.schema) == (request.tools, request.stop, request.schema)
    assert again.options == request.options
    assert again.tool_choice == (request.tool_choice if request.tools else "auto")
    assert again.max_tokens == sent.body["max_tokens"]
    if request.thinking is None or classic:
        assert again.thinking == request.thinking
    else:
        assert bool(again.thinking) == bool(request.thinking)
    assert "temperature" in sent.not_sent or again.temperature == sent.body.get("temperature")
    assert asked.not_carried == ()
    # And written again it is the same, letter for letter.
    assert write(again, STYLES[classic]).body == sent.body


def captured(ask: Callable[[Any], object]) -> tuple[Asked, str]:
    """What the real SDK sends when it is asked like this, read; and to which path."""
    seen: list[Any] = []

    def answer(request: Any) -> Any:
        seen.append(request)
        return httpx2.Response(400, json=MESSAGES.error(400, "no"))

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = anthropic.Anthropic(api_key="k", max_retries=0, http_client=http)
    with client, pytest.raises(anthropic.BadRequestError):
        ask(client)
    sent = seen[0]
    reader = MESSAGES.read_count if sent.url.path.endswith("count_tokens") else MESSAGES.read
    return reader(
        json.loads(sent.content), {name.lower(): value for name, value in sent.headers.items()}
    ), sent.url.path


TALK: Any = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [{"type": "text", "text": "yes"}]}]


def test_what_the_sdk_sends() -> None:
    """Bodies and headers as Anthropic's own SDK makes them are read."""
    asked, path = captured(
        lambda client: client.messages.create(
            model=MODEL,
            max_tokens=50,
            messages=TALK,
            system="s",
            stream=True,
            tools=[TOOL, SEARCH],
            thinking={"type": "adaptive"},
            metadata={"user_id": "u"},
            user_profile_id="profile",
        )
    )
    assert (path, asked.model, asked.stream, asked.request.user) == ("/v1/messages", MODEL, True, "u")
    assert [each.text for each in asked.request.messages] == ["hi", "yes"]
    assert [tool.name for tool in asked.request.tools] == ["find", "web_search"]
    assert asked.not_carried == ("anthropic-user-profile-id",)
    server = {"type": "url", "url": "https://x.test", "name": "n"}
    asked, _ = captured(
        lambda client: client.beta.messages.create(
            model=MODEL, max_tokens=50, messages=TALK, betas=["one", "two"], mcp_servers=[server], tools=[TOOLSET]
        )
    )
    own = {"mcp_servers": [server], "extra_headers": {"anthropic-beta": "one,two"}}
    assert (asked.request.options, asked.not_carried) == ({"anthropic": own}, ())


def test_what_the_sdk_sends_to_have_counted() -> None:
    """A body whose tokens are to be counted needs no max_tokens, and is estimated as the cascade does."""
    asked, path = captured(lambda client: client.messages.count_tokens(model=MODEL, messages=TALK, system="s" * 394))
    assert path == "/v1/messages/count_tokens"
    counted = anthropic.types.MessageTokensCount.model_validate(MESSAGES.count(asked))
    assert (asked.request.size, counted.input_tokens) == (399, 100)


def test_what_the_sdk_says_of_a_model() -> None:
    """A schema that the SDK makes of a class is the request's schema."""

    class Found(anthropic.BaseModel):  # type: ignore[misc, name-defined] # pydantic's, with the SDK's settings
        n: int

    asked, _ = captured(
        lambda client: client.messages.parse(model=MODEL, max_tokens=9, messages=TALK, output_format=Found)
    )
    assert asked.request.schema is not None
    assert asked.request.schema["required"] == ["n"]
    assert write(asked.request, STYLES[False]).body["output_config"] == asked.body["output_config"]


@given(WORDS)
def test_texts_are_read_as_they_are(text: str) -> None:
    """No text is changed on its way in."""
    assert read(body(messages=[{"role": "user", "content": text}])).request.text == text


@pytest.mark.parametrize("value", ["a\r\nx-own: 1", "caf\xe9", "a\0b"])
def test_a_beta_that_is_no_header_is_refused(value: str) -> None:
    """The one header that goes on to the provider is plain text, or the caller's fault."""
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    with pytest.raises(WireError, match="anthropic-beta"):
        MESSAGES.read(body, {"anthropic-beta": value})
