"""What the OpenAI backend sends, through the real SDK, to a server on the loopback that speaks chat completions."""

from collections.abc import Iterator
from typing import Any

import pytest

from fastcascade.messages import (
    Block,
    Image,
    Message,
    Opaque,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from wire.asking import Answers, ask, failed, streamed, whole
from wire.openai import completion
from wire.server import WireServer

openai = pytest.importorskip("openai")

SCHEMA = {"type": "object", "title": "A city!", "properties": {"name": {"type": "string"}}}
CALL = ToolCall("call_1", "look", '{"at": 1}')
PIXEL = Image("iVBORw0K", "image/png")


@pytest.fixture
def server() -> Iterator[WireServer]:
    """A server of this test's own."""
    with WireServer() as running:
        yield running


def sent(server: WireServer, request: Request, **settings: Any) -> dict[str, Any]:
    """What the server sees of a request, but for what every request has."""
    server.reply(body=completion("ok"))
    ask(server, request, **settings)
    body: dict[str, Any] = server.seen[-1].body
    assert body.pop("model") == "small"
    return body


def user(*content: Block) -> Message:
    """A turn of the user."""
    return Message("user", content)


def model_said(*content: Block) -> Message:
    """A turn of the model."""
    return Message("assistant", content)


FUNCTION = {"name": "look", "arguments": '{"at": 1}'}
CARRIED_CALL = {"id": "call_1", "type": "function", "function": FUNCTION}
TURNS: list[tuple[str, Message, list[dict[str, Any]]]] = [
    ("a text", user(Text("hi")), [{"role": "user", "content": "hi"}]),
    (
        "texts",
        user(Text("a"), Text("b")),
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    ),
    (
        "pictures",
        user(PIXEL, Image(url="https://x.test/a.png", extra={"openai": {"image_url": {"detail": "low"}}})),
        [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}},
                    {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
                ],
            }
        ],
    ),
    (
        "its own block",
        user(Opaque("openai", {"type": "file", "file": {"file_id": "f"}})),
        [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}],
    ),
    ("nothing", user(), [{"role": "user", "content": ""}]),
    (
        "results before text",
        user(Text("so?"), ToolResult("call_1", (Text("sun"),)), ToolResult("call_2")),
        [
            {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
            {"role": "tool", "tool_call_id": "call_2", "content": ""},
            {"role": "user", "content": "so?"},
        ],
    ),
    (
        "a failed tool",
        user(ToolResult("call_1", (Text("no sun"),), is_error=True), ToolResult("call_2", (), is_error=True)),
        [
            {"role": "tool", "tool_call_id": "call_1", "content": "The tool failed: no sun"},
            {"role": "tool", "tool_call_id": "call_2", "content": "The tool failed: "},
        ],
    ),
    (
        "a picture from a tool",
        user(ToolResult("call_1", (PIXEL,))),
        [
            {
                "role": "tool",
                "tool_call_id": "call_1",
                "content": "[picture of tool result call_1]: see the next message",
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "[picture of tool result call_1]:"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}},
                ],
            },
        ],
    ),
    (
        "a call alone",
        model_said(Thinking("hm", by="anthropic", signature="s"), CALL),
        [{"role": "assistant", "content": None, "tool_calls": [CARRIED_CALL]}],
    ),
    (
        "text after a call",
        model_said(CALL, Text("wait")),
        [{"role": "assistant", "content": "wait", "tool_calls": [CARRIED_CALL]}],
    ),
    (
        "a call with a signature",
        model_said(ToolCall("c", "f", "", extra={"openai": {"extra_content": {"g": "s"}}, "anthropic": {"x": 1}})),
        [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                        "extra_content": {"g": "s"},
                    }
                ],
            }
        ],
    ),
    (
        "its own calls and audio",
        model_said(
            Opaque("openai", {"type": "custom", "id": "c", "custom": {"name": "f", "input": "x"}}),
            Opaque("openai", {"type": "audio", "audio": {"id": "a", "data": "UklGRg=="}}),
        ),
        [
            {
                "role": "assistant",
                "content": None,
                "audio": {"id": "a"},
                "tool_calls": [{"type": "custom", "id": "c", "custom": {"name": "f", "input": "x"}}],
            }
        ],
    ),
    ("only foreign thinking", model_said(Thinking("hm", by="anthropic")), [{"role": "assistant", "content": ""}]),
    ("only its thinking", model_said(Thinking("hm", by="openai")), [{"role": "assistant", "content": ""}]),
]


@pytest.mark.parametrize(("turn", "wire"), [case[1:] for case in TURNS], ids=[case[0] for case in TURNS])
def test_a_turn_goes_out_as_its_messages(server: WireServer, turn: Message, wire: list[dict[str, Any]]) -> None:
    """Every block goes where chat completions want it, and nothing is lost on the way."""
    assert sent(server, Request((turn,)))["messages"] == wire


TOOL = Tool("look", "Looks.", SCHEMA, {"openai": {"function": {"strict": True}}})
LOOK = {"name": "look", "description": "Looks.", "parameters": SCHEMA, "strict": True}
SETTINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"max_tokens": 9, "temperature": 0.0, "top_p": 0.5, "seed": 0, "stop": ["a", "b"]}, {
        "max_completion_tokens": 9, "temperature": 0.0, "top_p": 0.5, "seed": 0, "stop": ["a", "b"]}),
    ({"tools": [TOOL]}, {"tools": [{"type": "function", "function": LOOK}]}),
    ({"tools": [Tool("f")], "tool_choice": "any"}, {"tool_choice": "required"}),
    ({"tools": [Tool("f")], "tool_choice": "none"}, {"tool_choice": "none"}),
    ({"tools": [Tool("f")], "tool_choice": "f"}, {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
    ({"schema": SCHEMA}, {"response_format": {
        "type": "json_schema", "json_schema": {"name": "A_city_", "schema": SCHEMA, "strict": True}}}),
    ({"thinking": 0}, {"reasoning_effort": "none"}),
    ({"thinking": 1024}, {"reasoning_effort": "low"}),
    ({"thinking": 4096}, {"reasoning_effort": "medium"}),
    ({"thinking": 30000}, {"reasoning_effort": "high"}),
    ({"logprobs": 0}, {"logprobs": True}),
    ({"logprobs": 5}, {"logprobs": True, "top_logprobs": 5}),
    ({"options": {"openai": {"top_k": 3, "seed": 7}, "anthropic": {"x": 1}}, "seed": 1}, {"top_k": 3, "seed": 7}),
    ({"options": {"openai": {"stream_options": {"include_obfuscation": False}}}}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "wire"), SETTINGS, ids=[str(list(case[1])) for case in SETTINGS])
def test_a_setting_goes_out_under_its_own_name(server: WireServer, asked: dict[str, Any], wire: dict[str, Any]) -> None:
    """What is asked is sent as the API calls it, and what is not asked is not sent."""
    body = sent(server, Request.of("hi", **asked))
    del body["messages"]
    if "tool_choice" in wire:
        del body["tools"]
    assert body == wire


def test_the_endpoint_says_what_its_fields_are_called(server: WireServer) -> None:
    """The name of the token limit, the thinking that is given back and the log-probabilities are the endpoint's own."""
    turns = (user(Text("a")), model_said(Thinking("hm", by="openai"), Text("b")), model_said(Text("c")))
    request = Request(turns, (Text("be"), Text("brief")), max_tokens=3, logprobs=2)
    settings: dict[str, Any] = {"max_tokens_field": "max_tokens", "thinking_field": "reasoning", "logprobs": False}
    parts = [{"type": "text", "text": "be"}, {"type": "text", "text": "brief"}]
    assert sent(server, request, **settings) == {
        "max_tokens": 3,
        "messages": [
            {"role": "system", "content": parts},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b", "reasoning": "hm"},
            {"role": "assistant", "content": "c", "reasoning": ""},
        ],
    }


UNSUPPORTED: list[tuple[Request, str]] = [
    (
        Request((user(Opaque("anthropic", {"type": "document"})),)),
        "a block of kind document, which only anthropic knows",
    ),
    (
        Request((user(ToolResult("c", (Opaque("anthropic", {}),))),)),
        "a block of kind untyped, which only anthropic knows",
    ),
    (Request((user(Image(data="aGk=")),)), "media_type"),
    (Request((user(CALL),)), "a block of kind ToolCall cannot be carried in a turn of the user"),
    (Request((model_said(PIXEL),)), "a block of kind Image cannot"),
    (Request((model_said(ToolResult("c")),)), "a block of kind ToolResult cannot"),
    (Request.of("hi", options={"openai": {"n": 2, "stream": True}}), "may not set n, stream"),
    (Request.of("lone \ud800"), "surrogates not allowed"),
]


@pytest.mark.parametrize("how", [whole, streamed])
@pytest.mark.parametrize(("request_", "said"), UNSUPPORTED, ids=[case[1] for case in UNSUPPORTED])
def test_what_cannot_be_carried_is_refused_before_anything_is_sent(
    server: WireServer, how: Answers, request_: Request, said: str
) -> None:
    """A block that chat completions have no place for is a failure that names it, and never left out."""
    failure = failed(server, how, request_)
    assert failure.kind == "unsupported" and said in failure.message and not server.seen
