"""Each field that the official SDKs know is carried, refused by name, or told: at its own provider, and at the other.

The tables must name each field of the installed SDKs: one that is new fails here until somebody has decided.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import pytest

anthropic = pytest.importorskip("anthropic")
openai = pytest.importorskip("openai")

from anthropic.types import message_count_tokens_params, message_create_params  # noqa: E402
from anthropic.types.beta import message_create_params as beta_create_params  # noqa: E402
from openai.types.chat import completion_create_params  # noqa: E402
from openai.types.responses import response_create_params  # noqa: E402

from fastcascade import Cascade, Price, Tier  # noqa: E402
from fastcascade.answers import Answer  # noqa: E402
from fastcascade.backends.anthropic_wire import Style, write  # noqa: E402
from fastcascade.backends.openai_wire import Dialect, chat, own_options  # noqa: E402
from fastcascade.entry import Instance, Pool  # noqa: E402
from fastcascade.errors import BackendError, WireError  # noqa: E402
from fastcascade.messages import Image, Opaque, Reply, Request, Text, Thinking, ToolCall  # noqa: E402
from fastcascade.wire.anthropic import MESSAGES  # noqa: E402
from fastcascade.wire.chat import CHAT  # noqa: E402
from fastcascade.wire.format import Asked, Format  # noqa: E402
from fastcascade.wire.responses import RESPONSES  # noqa: E402
from fastcascade.wire.unsaid import left_out, unsaid  # noqa: E402

Fate = Literal["carried", "told", "refused", "here"]
"""To the provider; in x-cascade-not-carried; a 400 that names it; or it is the gateway's own to follow."""


class Case(NamedTuple):
    """A field with a value, what becomes of it at Anthropic and at OpenAI, and what else the body must have."""

    value: Any
    anthropic: Fate
    openai: Fate
    more: Mapping[str, Any] = {}


STYLE = Style("m", 4096, classic=True, shape=anthropic.transform_schema)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
HI = [{"role": "user", "content": "hi"}]
OURS = {"tools": [{"name": "f", "input_schema": SCHEMA}]}
THEIRS = {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]}
FLAT = {"tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]}
FREE = {"type": "custom", "custom": {"name": "free"}}
SHAPE = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}

HEADERS = {
    "betas": ("anthropic-beta", "new-2026-01-01"),
    "user_profile_id": ("anthropic-user-profile-id", "p"),
    "workspace_id": ("anthropic-workspace-id", "w"),
}
"""Fields that the SDK sends as headers."""

MESSAGE: dict[str, Case] = {
    "betas": Case(None, "carried", "told"),
    "billing_policy": Case({"x": 1}, "told", "told"),
    "cache_control": Case({"type": "ephemeral"}, "carried", "told"),
    "compaction": Case({"x": 1}, "carried", "told"),
    "container": Case("c", "carried", "told"),
    "context_management": Case({"edits": []}, "carried", "told"),
    "diagnostics": Case({"x": 1}, "carried", "told"),
    "fallback_credit_token": Case("t", "told", "told"),
    "fallbacks": Case([{"model": "x"}], "told", "told"),
    "inference_geo": Case("us", "carried", "told"),
    "max_tokens": Case(77, "carried", "carried"),
    "mcp_servers": Case([{"url": "https://x.test"}], "carried", "told"),
    "messages": Case(HI, "here", "here"),
    "metadata": Case({"user_id": "u"}, "carried", "told"),
    "model": Case("m", "here", "here"),
    "output_config": Case({"effort": "low"}, "carried", "told"),
    "output_format": Case({"type": "json_schema", "schema": SCHEMA}, "carried", "carried"),
    "service_tier": Case("standard_only", "carried", "told"),
    "speed": Case("fast", "carried", "told"),
    "stop_sequences": Case(["END"], "carried", "carried"),
    "stream": Case(True, "here", "here"),
    "system": Case([{"type": "text", "text": "be brief"}], "carried", "carried"),
    "temperature": Case(0.5, "carried", "carried"),
    "thinking": Case({"type": "enabled", "budget_tokens": 2_000}, "carried", "carried"),
    "thread": Case("t", "refused", "refused"),
    "tool_choice": Case({"type": "any"}, "carried", "carried", OURS),
    "tools": Case(OURS["tools"], "carried", "carried"),
    "top_k": Case(5, "told", "told"),
    "top_p": Case(0.5, "carried", "carried"),
    "user_profile_id": Case(None, "told", "told"),
    "workspace_id": Case(None, "told", "told"),
}
"""Of Anthropic's Messages; temperature, top_p and top_k are typed no more, and sent all the same."""

COMPLETION: dict[str, Case] = {
    "audio": Case({"voice": "alloy", "format": "wav"}, "told", "carried"),
    "frequency_penalty": Case(0.5, "told", "carried"),
    "function_call": Case("auto", "refused", "refused"),
    "functions": Case([{"name": "f"}], "refused", "refused"),
    "logit_bias": Case({"1": 5}, "told", "carried"),
    "logprobs": Case(True, "told", "carried"),
    "max_completion_tokens": Case(77, "carried", "carried"),
    "max_tokens": Case(77, "carried", "carried"),
    "messages": Case(HI, "here", "here"),
    "metadata": Case({"a": "b"}, "told", "carried"),
    "modalities": Case(["text", "audio"], "told", "carried"),
    "model": Case("m", "here", "here"),
    "moderation": Case({"x": 1}, "told", "carried"),
    "n": Case(2, "refused", "refused"),
    "parallel_tool_calls": Case(False, "carried", "carried", THEIRS),
    "prediction": Case({"type": "content", "content": "x"}, "told", "carried"),
    "presence_penalty": Case(0.5, "told", "carried"),
    "prompt_cache_key": Case("k", "told", "carried"),
    "prompt_cache_options": Case({"x": 1}, "told", "carried"),
    "prompt_cache_retention": Case("24h", "told", "carried"),
    "reasoning_effort": Case("xhigh", "carried", "carried"),
    "response_format": Case(SHAPE, "carried", "carried"),
    "safety_identifier": Case("u", "told", "told"),
    "seed": Case(7, "told", "carried"),
    "service_tier": Case("flex", "told", "carried"),
    "stop": Case("END", "carried", "carried"),
    "store": Case(True, "told", "carried"),
    "stream": Case(True, "here", "here"),
    "stream_options": Case({"include_obfuscation": False}, "told", "told"),
    "temperature": Case(0.5, "carried", "carried"),
    "tool_choice": Case("required", "carried", "carried", THEIRS),
    "tools": Case(THEIRS["tools"], "carried", "carried"),
    "top_logprobs": Case(2, "told", "carried", {"logprobs": True}),
    "top_p": Case(0.5, "carried", "carried"),
    "user": Case("u", "told", "told"),
    "verbosity": Case("low", "told", "carried"),
    "web_search_options": Case({}, "told", "carried"),
}

RESPONSE: dict[str, Case] = {
    "access_programs": Case(["x"], "told", "told"),
    "background": Case(True, "refused", "refused"),
    "context_management": Case([{"type": "compaction"}], "told", "told"),
    "conversation": Case("c", "refused", "refused"),
    "image": Case({"x": 1}, "told", "told"),
    "include": Case(["file_search_call.results"], "told", "told"),
    "input": Case("hi", "here", "here"),
    "instructions": Case("be brief", "carried", "carried"),
    "max_output_tokens": Case(77, "carried", "carried"),
    "max_tool_calls": Case(3, "told", "told"),
    "metadata": Case({"a": "b"}, "told", "carried"),
    "model": Case("m", "here", "here"),
    "moderation": Case({"x": 1}, "told", "told"),
    "parallel_tool_calls": Case(False, "carried", "carried", FLAT),
    "previous_response_id": Case("r", "refused", "refused"),
    "prompt": Case({"id": "p"}, "refused", "refused"),
    "prompt_cache_key": Case("k", "told", "carried"),
    "prompt_cache_options": Case({"x": 1}, "told", "told"),
    "prompt_cache_retention": Case("24h", "told", "carried"),
    "reasoning": Case({"effort": "high"}, "carried", "carried"),
    "safety_identifier": Case("u", "told", "told"),
    "service_tier": Case("flex", "told", "carried"),
    "store": Case(True, "told", "told"),
    "stream": Case(True, "here", "here"),
    "stream_options": Case({"include_obfuscation": False}, "told", "told"),
    "temperature": Case(0.5, "carried", "carried"),
    "text": Case({"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}, "carried", "carried"),
    "tool_choice": Case("required", "carried", "carried", FLAT),
    "tools": Case(FLAT["tools"], "carried", "carried"),
    "top_logprobs": Case(2, "told", "carried"),
    "top_p": Case(0.5, "carried", "carried"),
    "truncation": Case("auto", "told", "told"),
    "user": Case("u", "told", "told"),
}

FORMATS: dict[str, tuple[Format, dict[str, Any], dict[str, Case]]] = {
    "messages": (MESSAGES, {"model": "m", "max_tokens": 4_000, "messages": HI}, MESSAGE),
    "chat": (CHAT, {"model": "m", "messages": HI}, COMPLETION),
    "responses": (RESPONSES, {"model": "m", "input": "hi"}, RESPONSE),
}
KNOWN: dict[str, set[str]] = {
    "messages": {
        *message_create_params.MessageCreateParamsStreaming.__annotations__,
        *message_count_tokens_params.MessageCountTokensParams.__annotations__,
        *beta_create_params.MessageCreateParamsStreaming.__annotations__,
    },
    "chat": {*completion_create_params.CompletionCreateParamsStreaming.__annotations__},
    "responses": {*response_create_params.ResponseCreateParamsStreaming.__annotations__},
}
UNTYPED = {"temperature", "top_k", "top_p", "output_format"}
"""What clients of older SDKs send."""


@pytest.mark.parametrize("name", FORMATS)
def test_each_field_of_the_sdk_is_decided(name: str) -> None:
    """None is missing from the tables, and none is in them that the SDK does not have."""
    assert KNOWN[name] - UNTYPED == FORMATS[name][2].keys() - UNTYPED


def read(name: str, field: str, value: Any, more: Mapping[str, Any]) -> Asked:
    """A small body with this field, read after its way through JSON; without it, where the value is ..."""
    style, small, _ = FORMATS[name]
    body, headers = {**small, **more}, {}
    if value is not ...:
        if field in HEADERS and name == "messages":
            headers = dict([HEADERS[field]])
        else:
            body[field] = value
    return style.read(json.loads(json.dumps(body)), headers)


def sent(asked: Asked, provider: str) -> tuple[Any, list[str]]:
    """What a provider is sent, and what is told of it."""
    told = [*asked.not_carried, *unsaid(asked.request, provider)]
    if provider == "openai":
        return {**chat(asked.request, "m", Dialect(), logprobs=True), **own_options(asked.request, "openai")}, told
    written = write(asked.request, STYLE)
    return (written.body, written.headers), [*told, *written.not_sent]


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
@pytest.mark.parametrize(("name", "field"), [(name, field) for name in FORMATS for field in FORMATS[name][2]])
def test_no_field_is_dropped_in_silence(name: str, field: str, provider: str) -> None:
    """What is carried changes what the provider is sent and is not told of; what is not is told of, or refused."""
    case = FORMATS[name][2][field]
    fate: Fate = getattr(case, provider)
    if fate == "here":
        return
    if fate == "refused":
        with pytest.raises(WireError) as caught:
            read(name, field, case.value, case.more)
        assert (caught.value.where, caught.value.code) == (
            field,
            400,
        ) and field in f"{caught.value.where}: {caught.value}"
        return
    without, _ = sent(read(name, field, ..., case.more), provider)
    given, told = sent(read(name, field, case.value, case.more), provider)
    header = HEADERS[field][0] if name == "messages" and field in HEADERS else field
    parts = {"top_logprobs": "logprobs", "include": "include "}
    named = [each for each in told if each.startswith((header, parts.get(field, header)))]
    assert (given != without, bool(named)) == ((True, False) if fate == "carried" else (False, True)), (told, given)


PARTS: list[tuple[str, dict[str, Any], str, list[str]]] = [
    # A field inside of another; for whom; what is told there.
    ("messages", {"thinking": {"type": "adaptive", "display": "omitted"}}, "openai", ["thinking.display"]),
    ("messages", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "openai", []),
    ("messages", {"tools": [{**OURS["tools"][0], "strict": True, "input_examples": []}]}, "openai",
     ["tools.strict", "tools.input_examples"]),
    ("messages", {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}, **OURS}, "openai", []),
    ("messages", {"tool_choice": {"type": "auto", "newer": 1}, **OURS}, "openai", ["tool_choice"]),
    ("messages", {"system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}, "openai",
     ["content.cache_control"]),
    ("messages", {"messages": [{**HI[0], "name": "al"}]}, "anthropic", ["messages.name"]),
    ("messages", {"messages": [*HI, {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "x"}]}, *HI]},
     "openai", ["content.thinking"]),
    ("chat", {"response_format": {"type": "json_object"}}, "anthropic", ["response_format"]),
    ("chat", {"tools": [*THEIRS["tools"], FREE]}, "anthropic", ["tools"]),
    ("chat", {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]}, "anthropic",
     ["tools.strict"]),
    ("chat", {"tool_choice": {"type": "allowed_tools", "allowed_tools": {
        "mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}}, **THEIRS}, "anthropic", []),
    ("chat", {"store": False, "modalities": ["text"], "presence_penalty": 0, "parallel_tool_calls": True}, "anthropic",
     []),
    ("chat", {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "high"}}]}]}, "anthropic",
     ["content.detail"]),
    ("chat", {"messages": [{"role": "user", "name": "al", "content": "hi"}]}, "openai", ["messages.name"]),
    ("chat", {"messages": [*HI, {"role": "assistant", "content": "a", "reasoning_content": "hm"}, *HI]}, "anthropic",
     ["content.thinking"]),
    ("responses", {"text": {"verbosity": "low", "newer": 1}}, "openai", ["text.newer"]),
    ("responses", {"reasoning": {"effort": "low", "context": "x", "summary": "auto"}}, "openai", ["reasoning.context"]),
    ("responses", {"tools": [{**FLAT["tools"][0], "defer_loading": True, "strict": None}]}, "openai",
     ["tools.defer_loading"]),
    ("responses", {"input": [{**HI[0], "phase": "final"}]}, "openai", ["input.phase"]),
    ("responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "a", "newer": 1}]}]}, "openai",
     ["input.newer"]),
    ("responses", {"input": [{"role": "user", "content": [
        {"type": "input_file", "file_data": "x", "detail": "high"}]}]}, "openai", ["input.detail"]),
    ("responses", {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                             {"type": "function_call_output", "call_id": "c", "output": "a", "caller": {"x": 1}}]},
     "openai", ["input.caller"]),
    ("responses", {"input": [*HI, {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}, *HI]}, "openai",
     ["input.encrypted_content"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields", "provider", "wanted"), PARTS)
def test_parts_of_fields_are_told_too(name: str, fields: dict[str, Any], provider: str, wanted: list[str]) -> None:
    """What stands inside of a field, a block or a tool is told by where it stood; what changes nothing is not."""
    asked = FORMATS[name][0].read({**FORMATS[name][1], **fields}, {})
    assert sent(asked, provider)[1] == wanted


def test_a_place_for_the_prompt_cache_is_carried() -> None:
    """Responses and completions say it alike: in a text, a picture and a file."""
    mark = {"prompt_cache_breakpoint": {"type": "x"}}
    parts = [
        {"type": "input_text", "text": "a", **mark},
        {"type": "input_image", "image_url": "https://x.test/a.png", **mark},
        {"type": "input_file", "file_data": "x", **mark},
    ]
    asked = RESPONSES.read({"model": "m", "input": [{"role": "user", "content": parts}]}, {})
    content = sent(asked, "openai")[0]["messages"][0]["content"]
    assert [each["prompt_cache_breakpoint"] for each in content] == [mark["prompt_cache_breakpoint"]] * 3


@pytest.mark.parametrize(
    ("name", "block", "said"),
    [
        ("chat", {"type": "file", "file": {"file_id": "f"}}, "a block of kind|a block of type"),
        ("chat", {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}, "input_audio"),
    ],
)
def test_what_another_provider_has_no_block_for_is_refused(name: str, block: dict[str, Any], said: str) -> None:
    """A tier of the other's says which block it is, in place of an answer without it."""
    asked = FORMATS[name][0].read({"model": "m", "messages": [{"role": "user", "content": [block]}]}, {})
    with pytest.raises(BackendError, match=said):
        sent(asked, "anthropic")
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    message = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [document]}]}
    with pytest.raises(BackendError, match="document"):
        sent(MESSAGES.read(message, {}), "openai")


LEFT: list[tuple[Format, list[str]]] = [
    (CHAT, ["thinking.signature", "redacted_thinking", "image", "server_tool_use"]),
    (RESPONSES, ["image", "server_tool_use", "audio"]),
    (MESSAGES, ["image", "audio"]),
]


@pytest.mark.parametrize(("style", "wanted"), LEFT)
def test_what_an_answer_cannot_say_is_named(style: Any, wanted: list[str]) -> None:
    """Blocks that have no word in a client's format are named by their kind; those that have are not."""
    blocks = (
        Text("a"), ToolCall("c", "f", "{}"), Thinking("hm", "s", by="anthropic"), Thinking("hm"),
        Thinking(redacted="x", by="anthropic"), Image(url="https://x.test"),
        Opaque("anthropic", {"type": "server_tool_use"}), Opaque("openai", {"type": "audio", "audio": {}}),
    )  # fmt: skip
    assert list(style.unsaid(Answer(Reply(blocks), Request.of("hi")))) == wanted


class Speaks:
    """A backend that says in whose words it asks."""

    gives: frozenset[str] = frozenset()

    def __init__(self, speaks: str) -> None:
        self.name = self.speaks = speaks

    async def complete(self, request: Request, /) -> Reply:
        """Answer nothing."""
        return Reply(())


def test_all_that_is_left_out_is_told_together() -> None:
    """By the tier that answers: what was read and has no place, what it is not told, and what its answer cannot say."""
    price = Price(1.0, 1.0)
    pool = Pool(Instance(Speaks("openai")))
    cascade = Cascade(Tier(Speaks("anthropic"), name="a", price=price), Tier(pool, name="o", price=price))
    asked = CHAT.read({"model": "m", "messages": HI, "store": True, "newer": 1}, {})
    answer = Answer(Reply((Thinking(redacted="x", by="anthropic"),)), asked.request, "a")
    assert left_out(asked, cascade, "a", CHAT) == ["newer", "store", "newer"]
    assert left_out(asked, cascade, "o", CHAT) == ["newer"]
    assert left_out(asked, cascade, "", CHAT, answer) == ["newer", "redacted_thinking"]


def test_whoever_reads_the_request_itself_is_told_all() -> None:
    """A backend of one's own has the whole request: nothing is named as unsaid."""
    assert unsaid(CHAT.read({"model": "m", "messages": HI, "store": True}, {}).request, "") == []
