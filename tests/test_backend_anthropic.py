"""The Anthropic backend: what reaches the wire and what comes back, through the real SDK, over the loopback."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from fastcascade.backends.anthropic import Anthropic
from fastcascade.backends.backend import Backend, Streaming
from fastcascade.errors import BackendError, ConfigError
from fastcascade.messages import Image, Message, Opaque, Request, Text, Thinking, Tool, ToolCall, ToolResult, Usage
from wire.anthropic import MODEL, error, frames, message, redacted, text, thinking, tool_use
from wire.claude import KEY, Asked, backend, failed, streamed, whole
from wire.server import WireServer

anthropic = pytest.importorskip("anthropic")

OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture
def server() -> Iterator[WireServer]:
    """A server of this test's own."""
    with WireServer() as running:
        yield running


def sent(server: WireServer, model: Anthropic, request: Request) -> dict[str, Any]:
    """What the server sees of a request."""
    server.reply(body=message([text("ok")]))
    asyncio.run(model.complete(request))
    body: dict[str, Any] = server.seen[-1].body
    return body


SENT: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {}, {"model": MODEL, "max_tokens": 4096, "stream": False}),
    ({}, {"max_tokens": 9}, {"max_tokens": 9}),
    ({"max_tokens": 50}, {}, {"max_tokens": 50}),
    (
        {},
        {"system": (Text("Be brief", {"anthropic": {"cache_control": {"type": "ephemeral"}}}),)},
        {"system": [{"type": "text", "text": "Be brief", "cache_control": {"type": "ephemeral"}}]},
    ),
    ({}, {"stop": ("END", "STOP")}, {"stop_sequences": ["END", "STOP"]}),
    (
        {},
        {"tools": (Tool("find", "Looks it up", OBJECT),)},
        {"tools": [{"name": "find", "description": "Looks it up", "input_schema": OBJECT}], "tool_choice": None},
    ),
    ({}, {"tools": (Tool("find"),), "tool_choice": "any"}, {"tool_choice": {"type": "any"}}),
    ({}, {"tools": (Tool("find"),), "tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
    ({}, {"tools": (Tool("find"),), "tool_choice": "find"}, {"tool_choice": {"type": "tool", "name": "find"}}),
    (
        {},
        {"tools": (Tool("web_search", extra={"anthropic": {"type": "web_search_20260209", "max_uses": 2}}),)},
        {"tools": [{"name": "web_search", "type": "web_search_20260209", "max_uses": 2}]},
    ),
    ({}, {"temperature": 0.2, "top_p": 0.9, "seed": 1}, {"temperature": None, "top_p": None, "seed": None}),
    ({"classic": True}, {"temperature": 1.7, "top_p": 0.9}, {"temperature": 1.0, "top_p": None}),
    ({"classic": True}, {"top_p": 0.9}, {"top_p": 0.9}),
    ({}, {"thinking": 2000}, {"thinking": {"type": "adaptive"}, "max_tokens": 6096}),
    ({}, {"thinking": 2000, "max_tokens": 3000}, {"max_tokens": 3000}),
    ({}, {"thinking": 0}, {"thinking": {"type": "disabled"}, "max_tokens": 4096}),
    (
        {"classic": True},
        {"thinking": 2000, "temperature": 0.0},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "temperature": None},
    ),
    ({}, {"options": {"anthropic": {"service_tier": "auto"}, "openai": {"n": 2}}}, {"service_tier": "auto", "n": None}),
    (
        {},
        {"schema": OBJECT, "options": {"anthropic": {"output_config": {"effort": "low"}}}},
        {
            "output_config": {
                "format": {"type": "json_schema", "schema": {**OBJECT, "additionalProperties": False}},
                "effort": "low",
            }
        },
    ),
]


@pytest.mark.parametrize(("settings", "fields", "expected"), SENT)
def test_settings_reach_the_wire(
    server: WireServer, settings: dict[str, Any], fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Every setting of a request arrives as the API takes it; None means that it is not sent."""
    body = sent(server, backend(server, **settings), Request.of("Hi", **fields))
    assert {name: body.get(name) for name in expected} == expected
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "array", "items": {"type": "object", "properties": OBJECT, "additionalProperties": True}},
        {"type": ["string", "null"]},
        {"not": {"type": "string"}},
    ],
)
def test_open_schemas_are_asked_for_in_words(server: WireServer, schema: dict[str, Any]) -> None:
    """A schema that the API would narrow to something else is put to the model as an instruction."""
    body = sent(server, backend(server), Request.of("Hi", system="Be brief", schema=schema))
    assert "output_config" not in body
    assert body["system"][0] == text("Be brief")
    assert "JSON schema" in body["system"][1]["text"]


def test_headers(server: WireServer) -> None:
    """The key arrives, and the headers of backend and request; classic asks as of the old version."""
    request = Request.of("Hi", options={"anthropic": {"extra_headers": {"anthropic-beta": "new"}}})
    sent(server, backend(server, headers={"x-team": "blue"}), request)
    sent(server, backend(server, classic=True), Request.of("Hi"))
    new, old = (each.headers for each in server.seen)
    assert (new["authorization"], new["x-team"], new["anthropic-beta"]) == (f"Bearer {KEY}", "blue", "new")
    assert new["anthropic-version"] > old["anthropic-version"] == "2023-06-01"
    assert server.seen[0].path == "/v1/messages"


def test_what_is_not_sent_is_said(server: WireServer) -> None:
    """What of a request the API has no place for is named in the reply."""
    server.reply(body=message([]))
    request = Request.of("Hi", temperature=0.5, top_p=0.5, seed=3, logprobs=0, thinking=1024)
    reply = asyncio.run(backend(server).complete(request))
    assert set(reply.extra["anthropic"]["not_sent"]) == {"temperature", "top_p", "seed", "logprobs", "thinking tokens"}


SAYABLE: list[tuple[Any, list[dict[str, Any]]]] = [
    (Text(" \n"), []),
    (Thinking("hm", "sig", by="anthropic"), [thinking("hm", "sig")]),
    (Thinking("", "sig", by="anthropic"), [thinking("", "sig")]),
    (Thinking(redacted="xyz", by="anthropic"), [redacted("xyz")]),
    (Thinking("hm", by="anthropic"), []),
    (Thinking("hm", "sig", by="openai"), []),
    (ToolCall("call_1", "find", ""), [tool_use("call_1", "find", {})]),
    (Opaque("anthropic", {"type": "new", "x": [1]}), [{"type": "new", "x": [1]}]),
    (
        Image(url="data:image/png;base64,QUJD"),
        [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}],
    ),
    (Image(url="https://x.test/a.png"), [{"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}]),
    (ToolResult("call_1"), [{"type": "tool_result", "tool_use_id": "call_1"}]),
    (
        ToolResult("call_1", (Text("no"),), is_error=True),
        [{"type": "tool_result", "tool_use_id": "call_1", "content": [text("no")], "is_error": True}],
    ),
]


@pytest.mark.parametrize(("block", "expected"), SAYABLE)
def test_blocks_reach_the_wire(server: WireServer, block: Any, expected: list[dict[str, Any]]) -> None:
    """Every kind of block arrives as the API takes it, or not at all where the API would refuse it."""
    body = sent(
        server, backend(server), Request((Message("assistant", (Text("So"), block)), Message("user", (Text("?"),))))
    )
    assert body["messages"][0]["content"] == [text("So"), *expected]


def test_ids_of_other_providers_still_match(server: WireServer) -> None:
    """A tool call's id that the API would refuse is changed, in the call and its result alike, and two stay two."""
    calls = (ToolCall("functions.find:0", "find"), ToolCall("functions/find:0", "find"))
    results = tuple(ToolResult(call.id, (Text("found"),)) for call in calls)
    body = sent(server, backend(server), Request((Message("assistant", calls), Message("user", results))))
    asked = [block["id"] for block in body["messages"][0]["content"]]
    assert asked == [block["tool_use_id"] for block in body["messages"][1]["content"]]
    assert len(set(asked)) == 2 and all(call.replace("_", "").isalnum() for call in asked)


UNSAYABLE: list[tuple[Any, str]] = [
    (Opaque("openai", {"type": "refusal_part"}), "refusal_part"),
    (ToolCall("call_7", "find", "{oops"), "call_7"),
    (ToolCall("call_7", "find", "[1]"), "call_7"),
    (ToolCall("call_7", "find", '{"n": NaN}'), "call_7"),
    (ToolCall("call_7", "find", '{"n": 1e999}'), "out of range"),
    (ToolResult("call_7", (Opaque("openai", {"type": "audio"}),)), "audio"),
    (Image(), "image"),
    (Image(data="QUJD"), "media_type"),
    (Text(" "), "white space"),
    (Text("\ud800"), "surrogates"),
]


@pytest.mark.parametrize(("block", "named"), UNSAYABLE)
def test_what_cannot_be_said_is_named(server: WireServer, block: Any, named: str) -> None:
    """What cannot be sent faithfully is refused before anything is sent, by name."""
    request = Request((Message("user", (block,)),))
    for ask in (whole, streamed):
        failure = failed(ask(backend(server), request))
        assert failure.kind == "unsupported" and named in failure.message.lower()
    assert server.seen == []


def test_the_whole_of_a_reply(server: WireServer) -> None:
    """A reply holds what the API said, whole or streamed: blocks, usage, why it ended, and both ids."""
    cited = {"type": "char_location", "cited_text": "so"}
    content = [
        thinking("Let me see", "sig"),
        redacted("opaque"),
        text("It is so", citations=[cited]),
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "so"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        tool_use("toolu_1", "find", {"n": 1}, caller={"type": "direct"}),
        tool_use("toolu_2", "list", {}),
    ]
    usage = {
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 100,
        "output_tokens_details": {"thinking_tokens": 7},
    }
    said = message(content, "tool_use", usage)
    server.reply(body=said, headers={"request-id": "req_1"})
    server.stream(frames(said), headers={"request-id": "req_1"})
    request = Request.of("Is it so?")
    reply = asyncio.run(backend(server).complete(request))
    deltas, again = asyncio.run(streamed(backend(server), request))
    assert reply.content == (
        Thinking("Let me see", "sig", by="anthropic"),
        Thinking(redacted="opaque", by="anthropic"),
        Text("It is so", {"anthropic": {"citations": [cited]}}),
        Opaque("anthropic", content[3]),
        Opaque("anthropic", content[4]),
        ToolCall("toolu_1", "find", '{"n": 1}', {"anthropic": {"caller": {"type": "direct"}}}),
        ToolCall("toolu_2", "list", "{}"),
    )
    assert (reply.model, reply.stop, reply.raw_stop, reply.id) == (MODEL, "tool", "tool_use", "req_1")
    assert reply.usage == Usage(input=117, output=34, cache_read=100, cache_write=5, reasoning=7)
    assert reply.extra["anthropic"]["id"] == said["id"]
    assert again == reply
    assert [(delta.kind, delta.index, delta.id, delta.name) for delta in deltas if delta.id] == [
        ("tool", 5, "toolu_1", "find"),
        ("tool", 6, "toolu_2", "list"),
    ]
    # What came back can be sent back as it came, which tools and signatures depend on.
    assert sent(server, backend(server), Request((Message("assistant", reply.content),)))["messages"] == [
        {"role": "assistant", "content": content}
    ]


@pytest.mark.parametrize("ask", [whole, streamed])
@pytest.mark.parametrize(
    ("raw", "stop"),
    [
        ("end_turn", "end"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("stop_sequence", "stop_sequence"),
        ("tool_use", "tool"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
        ("something_new", "other"),
    ],
)
def test_stop_reasons(server: WireServer, ask: Asked, raw: str, stop: str) -> None:
    """Every reason to stop has its word among ours, and is kept in the API's own."""
    said = message([], raw)
    if ask is whole:
        server.reply(body=said)
    else:
        server.stream(frames(said))
    _, reply = asyncio.run(ask(backend(server), Request.of("Hi")))
    assert (reply.stop, reply.raw_stop) == (stop, raw)


def test_connections_are_kept(server: WireServer) -> None:
    """Calls of one event loop share a connection, streams too; another loop has its own; close and it is made anew."""
    model = backend(server)

    async def calls() -> None:
        for _ in range(2):
            server.reply(body=message([]))
            server.stream(frames(message([text("Hello")])))
            await model.complete(Request.of("Hi"))
            await streamed(model, Request.of("Hi"))

    async def closed() -> None:
        await calls()
        await model.aclose()
        await calls()

    asyncio.run(calls())
    assert server.connections == 1
    asyncio.run(closed())
    assert server.connections == 3


def test_a_client_of_ones_own(server: WireServer) -> None:
    """A client that is given is used, without its retries, and is not closed."""

    async def calls() -> None:
        async with anthropic.AsyncAnthropic(api_key=KEY, base_url=server.url, max_retries=5) as client:
            model = Anthropic(MODEL, client=client, headers={"x-team": "blue"})
            server.reply(500, error("api_error", f"about {KEY}"))
            with pytest.raises(BackendError, match=r"^about \[removed\]$"):
                await model.complete(Request.of("Hi"))
            await model.aclose()
            server.reply(body=message([text("ok")]))
            assert (await model.complete(Request.of("Hi"))).text == "ok"

    asyncio.run(calls())
    assert [seen.headers["x-team"] for seen in server.seen] == ["blue", "blue"]


SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model"),
    ({"api_key": ""}, "api_key"),
    ({"api_key": f"{KEY}\n"}, "api_key"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"timeout": 0.0}, "timeout"),
    ({"api_key": None}, "ANTHROPIC_API_KEY"),
    ({"client": object(), "api_key": None}, "object"),
    ({"client": object()}, "api_key"),
]


@pytest.mark.parametrize(("settings", "named"), SETTINGS)
def test_bad_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, settings: dict[str, Any], named: str) -> None:
    """Settings that cannot work are found when the backend is built, by name, and the key is not repeated."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE", "ANTHROPIC_FEDERATION_RULE_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=named) as caught:
        Anthropic(**{"model": MODEL, "api_key": KEY, **settings})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("lacking", ["anthropic", "httpx2"])
def test_without_the_sdk(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    """Where the SDK is not installed, building the backend says what to install."""
    monkeypatch.setitem(sys.modules, lacking, None)
    with pytest.raises(ConfigError, match=r"pip install 'fastcascade\[anthropic\]'"):
        Anthropic(MODEL, api_key=KEY)


def test_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a backend that streams, has a name, gives nothing beyond content, and does not show its key."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    model = Anthropic(MODEL, base_url=f"https://me:{KEY}@x.test", headers={"cookie": "sweet-secret"})
    asked: Backend = model
    assert isinstance(model, Streaming)
    assert (asked.name, asked.gives, model.price) == (MODEL, frozenset(), None)
    assert repr(model) == f"Anthropic({MODEL!r}, base_url='https://[removed]@x.test', max_tokens=4096)"
