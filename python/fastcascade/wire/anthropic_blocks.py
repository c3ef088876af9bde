"""Blocks and tools of a Messages body as ours. What there is no place for is kept for Anthropic; see anthropic_in."""

import json
from collections.abc import Callable
from typing import Any, Final

from fastcascade.blocks import Block, Extra, Image, Opaque, Text, Thinking, Tool, ToolCall, ToolResult, nothing
from fastcascade.wire.anthropic_fields import OBJECT, REQUIRED, STRING, Where, a_flag, a_list, a_string, a_text, wrong

__all__ = ["NAME", "block_of", "texts_of", "tools_of"]

NAME: Final = "anthropic"
SOURCE: Final = {"base64": 3, "url": 2}
"""How many fields a picture's source has, by its kind."""

compact: Final = json.JSONEncoder(ensure_ascii=False).encode


def texts_of(given: object, where: Where) -> tuple[Text, ...]:
    """A text, or a list of blocks of text."""
    if type(given) is str:
        return (Text(given),)
    found: list[Text] = []
    for at, each in enumerate(a_list(given, where)):
        block = block_of(each, (*where, at))
        if type(block) is not Text:
            wrong((*where, at, "type"), "Input should be 'text'")
        found.append(block)
    return tuple(found)


def block_of(data: object, where: Where) -> Block:
    """A block of a message."""
    if type(data) is not dict:
        wrong(where, OBJECT)
    kind = data.get("type")
    if type(kind) is not str:
        wrong((*where, "type"), REQUIRED if kind is None else STRING)
    reader = READERS.get(kind)
    return Opaque(NAME, data) if reader is None else reader(data, where)


def _text(data: dict[str, Any], where: Where) -> Text:
    text = data.get("text")
    if type(text) is not str:
        wrong((*where, "text"), REQUIRED if text is None else STRING)
    return Text(text) if len(data) == 2 else Text(text, _extra(data, "text"))


def _image(data: dict[str, Any], where: Where) -> Block:
    source = data.get("source")
    where = (*where, "source")
    if type(source) is not dict:
        wrong(where, REQUIRED if source is None else OBJECT)
    kind = a_string(source, "type", where)
    if len(source) > SOURCE.get(kind, 0):  # it says more than a picture of ours can
        return Opaque(NAME, data)
    if kind == "base64":
        content, media = a_string(source, "data", where), a_string(source, "media_type", where)
        return Image(content, media, extra=_extra(data, "source"))
    return Image(url=a_string(source, "url", where), extra=_extra(data, "source"))


def _thinking(data: dict[str, Any], where: Where) -> Block:
    signature = a_text(data.get("signature"), (*where, "signature"))
    text = data.get("thinking")
    if type(text) is not str:
        wrong((*where, "thinking"), REQUIRED if text is None else STRING)
    if not signature:
        return Thinking(text)
    if len(data) > 3 and _extra(data, "thinking", "signature"):
        return Opaque(NAME, data)
    return Thinking(text, signature, by=NAME)


def _redacted(data: dict[str, Any], where: Where) -> Block:
    given = a_string(data, "data", where)
    return Thinking(redacted=given, by=NAME) if len(data) == 2 else Opaque(NAME, data)


def _tool_use(data: dict[str, Any], where: Where) -> Block:
    given = data.get("input")
    if type(given) is not dict:
        wrong((*where, "input"), REQUIRED if given is None else OBJECT)
    extra = nothing() if len(data) == 4 else _extra(data, "id", "name", "input")
    return ToolCall(
        a_string(data, "id", where), a_string(data, "name", where), compact(given) if given else "{}", extra
    )


def _tool_result(data: dict[str, Any], where: Where) -> Block:
    content = data.get("content")
    parts: tuple[Any, ...] = ()
    if type(content) is str:
        parts = (Text(content),) if content else ()
    elif content is not None:
        inside = (*where, "content")
        parts = tuple([_part(each, (*inside, at)) for at, each in enumerate(a_list(content, inside))])
    return ToolResult(
        a_string(data, "tool_use_id", where),
        parts,
        a_flag(data.get("is_error"), (*where, "is_error")),
        _extra(data, "tool_use_id", "content", "is_error"),
    )


def _part(data: object, where: Where) -> Block:
    block = block_of(data, where)
    return block if type(block) in (Text, Image, Opaque) else Opaque(NAME, data)  # type: ignore[arg-type] # a block's


READERS: Final[dict[str, Callable[[dict[str, Any], Where], Block]]] = {
    "text": _text,
    "image": _image,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}


def tools_of(given: object) -> tuple[Tool, ...]:
    """The tools a model may call."""
    if given is None:
        return ()
    return tuple([tool_of(each, ("tools", at)) for at, each in enumerate(a_list(given, ("tools",)))])


def tool_of(data: object, where: Where) -> Tool:
    if type(data) is not dict:
        wrong(where, OBJECT)
    kind = data.get("type")
    if kind is not None and type(kind) is not str:
        wrong((*where, "type"), STRING)
    if kind not in (None, "custom"):
        # Some, like a toolset, have no name at all.
        name = a_text(data.get("name"), (*where, "name"))
        fields = {field: value for field, value in data.items() if field != "name"}
        return Tool(name, extra={NAME: fields})
    schema = data.get("input_schema")
    if type(schema) is not dict:
        wrong((*where, "input_schema"), REQUIRED if schema is None else OBJECT)
    description = a_text(data.get("description"), (*where, "description"))
    plain = len(data) == 3 and bool(description)
    extra = nothing() if plain else _extra(data, "name", "description", "input_schema")
    return Tool(a_string(data, "name", where), description, schema, extra)


def _extra(data: dict[str, Any], *said: str) -> Extra:
    """What is left of a block or a tool, for Anthropic alone."""
    own = {name: value for name, value in data.items() if name != "type" and name not in said and value is not None}
    return {NAME: own} if own else nothing()
