"""A body of Anthropic's Messages API as a `Request`. No I/O, and nothing of the SDK.

What becomes of what a request has no place for:

    parameters of Anthropic's own      options["anthropic"], which another provider is not shown
    parameters nobody here knows       there too, and named in `Asked.not_carried`
    top_k                              named: current models refuse it
    what picks other models or pays    named: `fallbacks`, `billing_policy`, the headers of a workspace or a profile
    fields of a block (cache_control)  the block's extra["anthropic"]
    other blocks (documents, files)    `Opaque`, which no backend but Anthropic's takes
    a tool that Anthropic defines      `Tool` with its fields in extra["anthropic"], its `type` among them
    adaptive thinking                  as many tokens as its effort stands for, which current models of Anthropic's read
                                       as "adaptive" again, and others as an effort
    thinking without a signature       a `Thinking` by nobody, which no provider is sent
    a system message further down      goes to the end of the system's texts, and its place is named
"""

from collections.abc import Mapping
from typing import Any, Final

from fastcascade.blocks import Message, Text, nothing
from fastcascade.messages import Request
from fastcascade.wire.anthropic_blocks import NAME, block_of, texts_of, tools_of
from fastcascade.wire.anthropic_fields import (
    OBJECT,
    REQUIRED,
    STRING,
    Where,
    a_count,
    a_flag,
    a_list,
    a_share,
    a_string,
    a_text,
    an_object,
    texts,
    wrong,
)
from fastcascade.wire.format import Asked

__all__ = ["read"]

READ: Final = frozenset({
    *("max_tokens", "messages", "metadata", "model", "output_config", "output_format", "stop_sequences", "stream"),
    *("system", "temperature", "thinking", "tool_choice", "tools", "top_p"),
})  # fmt: skip
"""The fields that are read here one by one."""
SIMPLE: Final = frozenset({"max_tokens", "messages", "model", "stream", "system", "temperature"})
"""The fields of most requests: where there are no others, none are looked for."""
OWN: Final = frozenset(
    {
        "cache_control",
        "compaction",
        "container",
        "context_management",
        "diagnostics",
        "inference_geo",
        "mcp_servers",
        "service_tier",
        "speed",
    }
)
"""The fields that only a backend of Anthropic's has a use for."""
KEPT_OUT: Final = frozenset({"billing_policy", "extra_headers", "fallback_credit_token", "fallbacks", "top_k"})
"""What must not get to a provider: models nobody allowed, somebody else's bill, headers by way of the body."""
ACCOUNT: Final = ("anthropic-user-profile-id", "anthropic-workspace-id")
"""Headers that are about the account of whoever holds the provider's key."""
CHOICE: Final = frozenset({"type", "name", "disable_parallel_tool_use"})
EFFORTS: Final = {"low": 1024, "medium": 4096}
HIGH: Final = 16_384
"""Tokens that an effort stands for; adaptive thinking without one has the effort high."""


def read(body: Mapping[str, Any], headers: Mapping[str, str], *, counting: bool = False) -> Asked:
    """Read a body; one whose tokens are to be counted says no max_tokens."""
    model = body.get("model")
    if type(model) is not str or not model:
        wrong(("model",), REQUIRED if not model else STRING)
    if body.get("thread") is not None:
        wrong(("thread",), "nothing is stored here: send the whole conversation as messages")
    own: dict[str, Any] = {}
    left: list[str] = []
    max_tokens = body.get("max_tokens")
    if max_tokens is not None or not counting:
        a_count(max_tokens, ("max_tokens",), 0)
    system = _system(body.get("system"))
    messages, further = _messages(body.get("messages"), left)
    if SIMPLE.issuperset(body) and "anthropic-beta" not in headers:
        left.extend([name for name in ACCOUNT if name in headers])
        request = Request(
            messages,
            system + further if further else system,
            max_tokens=max_tokens,
            temperature=a_share(body.get("temperature"), ("temperature",)),
        )
        return _asked(request, model, body, left)
    tools = tools_of(body.get("tools"))
    choice = _choice(body.get("tool_choice"), own)
    metadata = an_object(body.get("metadata"), ("metadata",))
    user = a_text(metadata.get("user_id"), ("metadata", "user_id"))
    if metadata:
        own["metadata"] = metadata
    schema = _schema(body, own)
    thinking = _thought(body, max_tokens, own)
    if not body.keys() <= READ:
        _others(body, own, left)
    _headers(headers, own, left)
    options = {NAME: own} if own else {}
    if tools and own.get("tool_choice", {}).get("disable_parallel_tool_use"):
        options["openai"] = {"parallel_tool_calls": False}  # the one word of the other provider for the same wish
    request = Request(
        messages,
        system + further if further else system,
        tools,
        choice,
        max_tokens,
        a_share(body.get("temperature"), ("temperature",)),
        a_share(body.get("top_p"), ("top_p",)),
        texts(body.get("stop_sequences"), ("stop_sequences",)),
        thinking=thinking,
        schema=schema,
        options=options or nothing(),
        user=user,
    )
    return _asked(request, model, body, left)


def _asked(request: Request, model: str, body: Mapping[str, Any], left: list[str]) -> Asked:
    stream = a_flag(body.get("stream"), ("stream",))
    return Asked(request, model, body, stream, not_carried=tuple(dict.fromkeys(left)) if left else ())


def _others(body: Mapping[str, Any], own: dict[str, Any], left: list[str]) -> None:
    for name, value in body.items():
        if name in READ or value is None:
            continue
        if name not in KEPT_OUT:
            own[name] = value
        if name not in OWN:
            left.append(name)


def _headers(headers: Mapping[str, str], own: dict[str, Any], left: list[str]) -> None:
    if beta := headers.get("anthropic-beta"):
        if not (beta.isascii() and beta.isprintable()):  # it goes on to the provider as it is
            wrong(("anthropic-beta",), STRING)
        own["extra_headers"] = {"anthropic-beta": beta}
    left.extend(name for name in ACCOUNT if name in headers)


def _system(given: object) -> tuple[Text, ...]:
    if given is None or given == "":
        return ()
    return texts_of(given, ("system",))


def _messages(given: object, left: list[str]) -> tuple[tuple[Message, ...], tuple[Text, ...]]:
    """The turns of the conversation, and what the system says between them."""
    found: list[Message] = []
    further: list[Text] = []
    for at, message in enumerate(a_list(given, ("messages",))):
        if type(message) is not dict:
            wrong(("messages", at), OBJECT)
        role, content = message.get("role"), message.get("content")
        if len(message) > 2:
            left.extend(f"messages.{name}" for name in message if name not in ("role", "content"))
        if role == "system":
            if found:
                left.append(f"messages.{at}.role")
            further += texts_of(content, ("messages", at, "content"))
            continue
        if role not in ("user", "assistant"):
            words = "Input should be 'user', 'assistant' or 'system'"
            wrong(("messages", at, "role"), REQUIRED if role is None else words)
        if type(content) is str:
            found.append(Message(role, (Text(content),)))
        else:
            where = ("messages", at, "content")
            if type(content) is not list:
                wrong(where, REQUIRED if content is None else "Input should be a valid string or array")
            found.append(Message(role, tuple([block_of(each, (*where, n)) for n, each in enumerate(content)])))
    if not found:
        wrong(("messages",), "at least one message is required")
    return tuple(found), tuple(further)


def _choice(given: object, own: dict[str, Any]) -> str:
    if given is None:
        return "auto"
    where = ("tool_choice",)
    data = an_object(given, where)
    kind = a_string(data, "type", where)
    if kind not in ("auto", "any", "none", "tool"):
        wrong((*where, "type"), "Input should be 'auto', 'any', 'none' or 'tool'")
    single = a_flag(data.get("disable_parallel_tool_use"), (*where, "disable_parallel_tool_use"))
    choice = a_string(data, "name", where) if kind == "tool" else kind
    # A tool may be called what a choice is called, and is then told from it by Anthropic alone.
    if single or (kind == "tool" and choice in ("auto", "any", "none")) or not data.keys() <= CHOICE:
        own["tool_choice"] = data
    return choice


def _schema(body: Mapping[str, Any], own: dict[str, Any]) -> Mapping[str, Any] | None:
    """The schema that the text must fit, by the name it has now or by the one it had; the rest goes to `own`."""
    config = an_object(body.get("output_config"), ("output_config",))
    where: Where = ("output_config", "format")
    form = config.get("format")
    if form is None:
        where, form = ("output_format",), body.get("output_format")
    form = an_object(form, where)
    if form and a_string(form, "type", where) != "json_schema":
        wrong((*where, "type"), "Input should be 'json_schema'")
    schema = form.get("schema")
    if form and type(schema) is not dict:
        wrong((*where, "schema"), REQUIRED if schema is None else OBJECT)
    if rest := {name: value for name, value in config.items() if name != "format" and value is not None}:
        own["output_config"] = rest
    return schema


def _thought(body: Mapping[str, Any], max_tokens: int | None, own: dict[str, Any]) -> int | None:
    where = ("thinking",)
    given = an_object(body.get("thinking"), where)
    if not given:
        return None
    kind = a_string(given, "type", where)
    plain = 1
    tokens = None
    if kind == "enabled":
        tokens, plain = given.get("budget_tokens"), 2
        a_count(tokens, ("thinking", "budget_tokens"), 1)
    elif kind == "disabled":
        tokens = 0
    elif kind == "adaptive":
        effort = own.get("output_config", {}).get("effort")
        tokens = EFFORTS.get(effort, HIGH) if type(effort) is str else HIGH
        if max_tokens is not None:
            tokens = max(1, min(tokens, max_tokens // 2))  # a classic model's must leave room for the answer
    if tokens is None or len(given) > plain:
        own["thinking"] = given  # it says more than a number of tokens does
    return tokens
