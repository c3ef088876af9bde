"""A request in the words of Anthropic's Messages API. No I/O, and nothing of the SDK.

What the API would refuse and nobody would miss is left out: text without anything but white space, thinking
that Anthropic did not sign. What cannot be said at all is a `BackendError` of kind unsupported, which names it.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple, NoReturn

from fastcascade.blocks import Block, Extra, Image, Message, Opaque, Text, Thinking, Tool, ToolCall, ToolResult
from fastcascade.errors import BackendError
from fastcascade.messages import Request

__all__ = ["NAME", "Sent", "Style", "write"]

NAME: Final = "anthropic"
CLASSIC_VERSION: Final = "2023-06-01"
"""The last version of the API that takes a temperature."""
PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_-]+")
DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)
CHOICES: Final = ("auto", "any", "none")
CLASSIC: Final[Mapping[str, str]] = {"anthropic-version": CLASSIC_VERSION}


@dataclass(frozen=True, slots=True)
class Style:
    """What is the same for all requests of a backend.

    `shape` brings a JSON schema into the form the API takes, and raises where it has none.
    """

    model: str
    max_tokens: int
    classic: bool
    shape: Callable[[dict[str, Any]], dict[str, Any]]


class Sent(NamedTuple):
    """A request, ready to be sent: its body, headers of its own, and what of it the API has no place for."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    not_sent: tuple[str, ...]


def write(request: Request, style: Style) -> Sent:
    """Translate a request."""
    body: dict[str, Any] = {
        "model": style.model,
        "max_tokens": _max_tokens(request, style),
        "messages": [said for message in request.messages if (said := _message(message)) is not None],
    }
    if not body["messages"]:
        _refuse("the request holds nothing but white space")
    if system := _texts(request.system):
        body["system"] = system
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice != "auto":
            body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    not_sent = _sampling(request, style, body)
    if request.schema is not None:
        _schema(request.schema, style, body)
    headers = CLASSIC if style.classic else {}
    if NAME in request.options and (own := _options(request.options[NAME], body)):
        headers = {**headers, **own}
    return Sent(body, headers, not_sent)


def _max_tokens(request: Request, style: Style) -> int:
    if request.max_tokens is not None:
        return request.max_tokens
    # The API counts thinking as output: a default made for answers alone would be used up by it.
    return style.max_tokens + (request.thinking or 0)


def _sampling(request: Request, style: Style, body: dict[str, Any]) -> tuple[str, ...]:
    """Say how to think and how to sample; gives what could not be said."""
    unsaid: list[str] = []
    if request.seed is not None:
        unsaid.append("seed")
    if request.logprobs is not None:
        unsaid.append("logprobs")
    if request.thinking is not None:
        if request.thinking <= 0:
            body["thinking"] = {"type": "disabled"}
        elif style.classic:
            body["thinking"] = {"type": "enabled", "budget_tokens": request.thinking}
        else:
            body["thinking"] = {"type": "adaptive"}
            unsaid.append("thinking tokens")
    # A classic model takes one of the two, and none while it thinks; a current one takes neither.
    takes = style.classic and not request.thinking
    if request.temperature is not None:
        if takes:
            body["temperature"] = min(request.temperature, 1.0)
        else:
            unsaid.append("temperature")
    if request.top_p is not None:
        if takes and request.temperature is None:
            body["top_p"] = request.top_p
        else:
            unsaid.append("top_p")
    return tuple(unsaid)


def _schema(schema: Mapping[str, Any], style: Style, body: dict[str, Any]) -> None:
    """Have the API hold the text to a schema, or ask the model to where the API's form would say something else."""
    try:
        if _open(schema):
            raise ValueError  # noqa: TRY301 # as one that cannot be brought into form
        body["output_config"] = {"format": {"type": "json_schema", "schema": style.shape(dict(schema))}}
    except Exception:  # noqa: BLE001 # whatever shape() makes of a schema that it was not written for
        told = f"Answer with JSON alone, which fits this JSON schema:\n{json.dumps(schema, ensure_ascii=False)}"
        body["system"] = [*body.get("system", ()), {"type": "text", "text": told}]


def _open(schema: object) -> bool:
    """Whether it allows objects with keys it does not name: the API would make them objects without any keys."""
    if isinstance(schema, list | tuple):
        return any(_open(each) for each in schema)
    if not isinstance(schema, Mapping):
        return False
    if schema.get("type") == "object":
        if schema.get("additionalProperties", False) is not False or "patternProperties" in schema:
            return True
        if not schema.get("properties") and "additionalProperties" not in schema:
            return True
    return any(_open(each) for each in schema.values())


def _options(given: Extra, body: dict[str, Any]) -> Mapping[str, str]:
    """Put the parameters that are Anthropic's own into the body; gives the headers among them."""
    own = dict(given)
    headers: Mapping[str, str] = own.pop("extra_headers", {})
    if "output_config" in own and "output_config" in body:
        own["output_config"] = {**body["output_config"], **own["output_config"]}
    own.pop("stream", None)  # whether it streams is said by the method that is called
    body.update(own)
    return headers


def _message(message: Message) -> dict[str, Any] | None:
    blocks = _texts(message.content)
    return {"role": message.role, "content": blocks} if blocks else None


def _block(block: Block) -> dict[str, Any] | None:  # noqa: PLR0911 - a table
    """One block; None where there is nothing to be sent."""
    if type(block) is Text:  # which most are; to match a pattern takes ten times as long
        return _text(block)
    match block:
        case Image():
            return {"type": "image", "source": _source(block), **block.extra.get(NAME, {})}
        case Thinking():
            return _thinking(block)
        case ToolCall():
            said = {"type": "tool_use", "id": _id(block.id), "name": block.name, "input": _input(block)}
            return {**said, **block.extra.get(NAME, {})}
        case ToolResult():
            return _result(block)
        case Opaque(by, data):
            if by != NAME:
                _refuse(f"a block of type {data.get('type', '?')!r} is {by!r}'s own")
            return dict(data)
        case Text():
            return _text(block)


def _text(block: Text) -> dict[str, Any] | None:
    if not block.text or block.text.isspace():
        return None
    said = {"type": "text", "text": block.text}
    return {**said, **block.extra.get(NAME, {})} if block.extra else said


def _thinking(block: Thinking) -> dict[str, Any] | None:
    # A signature is checked: thought of another's, or without one, would have the whole request refused.
    if block.by != NAME:
        return None
    if block.redacted:
        return {"type": "redacted_thinking", "data": block.redacted}
    return {"type": "thinking", "thinking": block.text, "signature": block.signature} if block.signature else None


def _source(image: Image) -> dict[str, Any]:
    if image.data:
        if not image.media_type:
            _refuse("an image of base64 data has no media_type")
        return {"type": "base64", "media_type": image.media_type, "data": image.data}
    if not image.url:
        _refuse("an image holds neither data nor a url")
    inline = DATA_URL.fullmatch(image.url)
    if inline is None:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": inline[1], "data": inline[2]}


def _result(block: ToolResult) -> dict[str, Any]:
    said: dict[str, Any] = {"type": "tool_result", "tool_use_id": _id(block.id)}
    if content := [part for each in block.content if (part := _block(each)) is not None]:
        said["content"] = content
    if block.is_error:
        said["is_error"] = True
    return {**said, **block.extra.get(NAME, {})}


def _id(given: str) -> str:
    """The id of a tool call: another provider's may have letters that the API refuses."""
    return given if PLAIN_ID.fullmatch(given) else f"toolu_{sha256(given.encode('utf-8', 'replace')).hexdigest()[:24]}"


def _input(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call as the object that the API wants."""
    try:
        # The words NaN and Infinity are read by Python alone.
        given = json.loads(call.arguments or "{}", parse_constant=_not_json)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        _refuse(f"the arguments of tool call {call.id!r} to {call.name!r} are not a JSON object")
    return given


def _not_json(word: str) -> NoReturn:
    raise ValueError(word)


def _texts(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    return [said for block in blocks if (said := _block(block)) is not None]


def _tool(tool: Tool) -> dict[str, Any]:
    own = tool.extra.get(NAME, {})
    if own.get("type", "custom") != "custom":  # a tool that the provider runs has a schema of its own
        return {"name": tool.name, **own} if tool.name else dict(own)
    said: dict[str, Any] = {"name": tool.name, "input_schema": dict(tool.schema)}
    if tool.description:
        said["description"] = tool.description
    return {**said, **own}


def _tool_choice(choice: str) -> dict[str, Any]:
    return {"type": choice} if choice in CHOICES else {"type": "tool", "name": choice}


def _refuse(what: str) -> NoReturn:
    message = f"{what}, which cannot be sent to anthropic"
    raise BackendError("unsupported", message)
