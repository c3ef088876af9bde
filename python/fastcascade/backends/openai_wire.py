"""A request as a chat completion asks for it: pure translation, no I/O.

What chat completions cannot carry, and what becomes of it:

    thinking of another provider     left out: it proves nothing to anyone else
    thinking of this provider        left out, unless the endpoint has a field for it (`thinking_field`)
    a picture in a tool's result     put into the user's message that follows, with a text in its place that says so
    a tool that failed (`is_error`)  its result begins with "The tool failed: "
    text after a tool call           goes before it: content and tool calls are two fields of one message
    tool results after text          go before it: they must follow their calls
    a thinking budget in tokens      one of the efforts none, low, medium and high; see `EFFORTS`
    an `Opaque` of another provider  an error of kind unsupported, and so are blocks in the wrong turn
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from fastcascade.backends.failures import scrub
from fastcascade.blocks import Extra
from fastcascade.errors import BackendError
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

__all__ = ["EFFORTS", "FAILED", "Dialect", "MaxTokensField", "chat", "own_options"]

Wire: TypeAlias = dict[str, Any]
MaxTokensField: TypeAlias = Literal["max_completion_tokens", "max_tokens"]

EFFORTS: Final = ((1, "none"), (2048, "low"), (8192, "medium"))
"""A thinking budget below the figure is this effort; from the last on it is high."""
FAILED: Final = "The tool failed: "
CHOICES: Final = {"any": "required", "none": "none"}
RESERVED: Final = frozenset({"messages", "n", "stream"})
NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one endpoint speaks: under what name its own things are kept, and what its fields are called."""

    by: str = "openai"
    max_tokens_field: MaxTokensField = "max_completion_tokens"
    thinking_field: str | None = None
    hide: Callable[[str], str] = field(default=scrub, repr=False)


def chat(request: Request, model: str, dialect: Dialect, *, logprobs: bool) -> Wire:
    """The body that asks for this, without the caller's own options."""
    sent: Wire = {"model": model, "messages": _messages(request, dialect)}
    if request.tools:
        sent["tools"] = [_tool(tool, dialect.by) for tool in request.tools]
        if request.tool_choice != "auto":
            named = {"type": "function", "function": {"name": request.tool_choice}}
            sent["tool_choice"] = CHOICES.get(request.tool_choice, named)
    sampling = {
        dialect.max_tokens_field: request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": list(request.stop) or None,
        "reasoning_effort": None if request.thinking is None else _effort(request.thinking),
        "response_format": None if request.schema is None else _format(request.schema),
    }
    sent |= {name: value for name, value in sampling.items() if value is not None}
    if logprobs and request.logprobs is not None:
        sent["logprobs"] = True
        if request.logprobs:
            sent["top_logprobs"] = request.logprobs
    return sent


def own_options(request: Request, by: str) -> Wire:
    """The parameters that this provider alone knows."""
    options = dict(request.options.get(by, ()))
    if taken := RESERVED.intersection(options):
        names = ", ".join(sorted(taken))
        raise BackendError("unsupported", f"options[{by!r}] may not set {names}: the request itself says it")
    return options


def _effort(tokens: int) -> str:
    return next((effort for below, effort in EFFORTS if tokens < below), "high")


def _format(schema: Mapping[str, Any]) -> Wire:
    name = NOT_IN_A_NAME.sub("_", str(schema.get("title", "")))[:64] or "answer"
    return {"type": "json_schema", "json_schema": {"name": name, "schema": dict(schema), "strict": True}}


def _tool(tool: Tool, by: str) -> Wire:
    for whose, own in tool.extra.items():
        if whose != by and own.get("type", "custom") not in ("custom", "function"):
            what = f"a tool of type {own['type']}, which only {whose} knows"
            raise BackendError("unsupported", f"{what}, cannot be carried to {by}")
    function: Wire = {"name": tool.name, "parameters": dict(tool.schema)}
    if tool.description:
        function["description"] = tool.description
    return _merged({"type": "function", "function": function}, tool.extra, by)


def _messages(request: Request, dialect: Dialect) -> list[Wire]:
    sent: list[Wire] = []
    if request.system:
        sent.append({"role": "system", "content": _flat([_part(block, dialect.by) for block in request.system])})
    for message in request.messages:
        if message.role == "assistant":
            sent.append(_assistant(message, dialect))
        else:
            sent.extend(_user(message, dialect.by))
    return sent


def _user(message: Message, by: str) -> list[Wire]:
    """The results of tools, each a message of its own, then whatever else the turn holds."""
    sent: list[Wire] = []
    shown: list[Wire] = []
    said: list[Wire] = []
    for block in message.content:
        if type(block) is ToolResult:
            sent.append(_result(block, by, shown))
        elif type(block) is ToolCall:
            raise _misplaced(block, "user")
        elif type(block) is not Thinking:
            said.append(_part(block, by))
    if shown or said or not sent:
        sent.append({"role": "user", "content": _flat(shown + said)})
    return sent


def _result(result: ToolResult, by: str, shown: list[Wire]) -> Wire:
    """The message of a result; its pictures are added to those `shown` after it."""
    parts: list[Wire] = []
    for part in result.content:
        if type(part) is Image:
            label = f"[picture of tool result {result.id}]"
            parts.append({"type": "text", "text": f"{label}: see the next message"})
            shown += ({"type": "text", "text": f"{label}:"}, _part(part, by))
        else:
            parts.append(_part(part, by))
    if result.is_error:
        if parts and parts[0].get("type") == "text":
            parts[0]["text"] = f"{FAILED}{parts[0]['text']}"
        else:
            parts.insert(0, {"type": "text", "text": FAILED})
    return _merged({"role": "tool", "tool_call_id": result.id, "content": _flat(parts)}, result.extra, by)


def _assistant(message: Message, dialect: Dialect) -> Wire:
    by = dialect.by
    parts: list[Wire] = []
    calls: list[Wire] = []
    sent: Wire = {"role": "assistant"}
    thought = ""
    for block in message.content:
        if type(block) is ToolCall:
            calls.append(_call(block, by))
        elif type(block) is Thinking:
            thought += block.text if block.by == by else ""
        elif type(block) is ToolResult or type(block) is Image:
            raise _misplaced(block, "assistant")
        elif type(block) is Opaque and block.by == by and block.data.get("type") == "custom":
            calls.append(dict(block.data))
        elif type(block) is Opaque and block.by == by and block.data.get("type") == "audio":
            if not isinstance(block.data.get("audio"), Mapping):
                raise BackendError("unsupported", "an audio block without its object cannot be carried")
            sent["audio"] = {"id": block.data["audio"].get("id")}  # all the API takes back
        else:
            parts.append(_part(block, by))
    sent["content"] = _flat(parts) if parts or not calls else None
    if calls:
        sent["tool_calls"] = calls
    if dialect.thinking_field:
        sent[dialect.thinking_field] = thought  # in every turn: endpoints that want it refuse a turn without
    return sent


def _call(call: ToolCall, by: str) -> Wire:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return _merged({"id": call.id, "type": "function", "function": function}, call.extra, by)


def _part(block: Block, by: str) -> Wire:
    match block:
        case Text(text, extra):
            return _merged({"type": "text", "text": text}, extra, by)
        case Image(extra=extra):
            return _merged({"type": "image_url", "image_url": {"url": _url(block)}}, extra, by)
        case Opaque(wrote, data) if wrote == by:
            return dict(data)
        case Opaque(wrote, data):
            kind = data.get("type", "untyped")
            raise BackendError(
                "unsupported", f"a block of kind {kind}, which only {wrote} knows, cannot be carried to {by}"
            )
        case _:
            raise BackendError("unsupported", f"a block of kind {type(block).__name__} cannot be carried here")


def _url(image: Image) -> str:
    if image.url:
        return image.url
    if not image.data or not image.media_type:
        raise BackendError("unsupported", "a picture needs a url, or data with its media_type")
    return f"data:{image.media_type};base64,{image.data}"


def _flat(parts: Sequence[Wire]) -> str | list[Wire]:
    """A plain text where that is all there is: not every endpoint reads parts everywhere."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return list(parts)


def _merged(wire: Wire, extra: Extra, by: str) -> Wire:
    """Add what the caller says for this provider alone; a mapping is added to, all else is replaced."""
    for name, value in extra.get(by, {}).items() if extra else ():
        old = wire.get(name)
        wire[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, Mapping) else value
    return wire


def _misplaced(block: Block, role: str) -> BackendError:
    return BackendError(
        "unsupported", f"a block of kind {type(block).__name__} cannot be carried in a turn of the {role}"
    )
