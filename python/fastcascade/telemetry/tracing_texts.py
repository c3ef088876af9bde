"""Prompts and answers as attributes: JSON in the form of the conventions' schemas. For those who want them kept."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from fastcascade.blocks import Image, Text, Thinking, ToolCall, ToolResult

if TYPE_CHECKING:
    from fastcascade.messages import Block, Reply, Request

__all__ = ["STOPS", "texts_in", "texts_out"]

STOPS: Final = {
    "end": "stop", "stop_sequence": "stop", "length": "length", "tool": "tool_call", "refusal": "content_filter",
}  # fmt: skip
"""Why a reply ended, in the conventions' words."""


def texts_in(request: "Request") -> dict[str, Any]:
    """What is asked."""
    said = {
        "gen_ai.input.messages": _json({"role": each.role, "parts": _parts(each.content)} for each in request.messages)
    }
    if request.system:
        said["gen_ai.system_instructions"] = _json(_parts(request.system))
    return said


def texts_out(reply: "Reply") -> dict[str, Any]:
    """What was said."""
    message = {"role": "assistant", "parts": _parts(reply.content), "finish_reason": STOPS.get(reply.stop, reply.stop)}
    return {"gen_ai.output.messages": _json([message])}


def _parts(blocks: "Iterable[Block]") -> list[Mapping[str, object]]:
    return [_part(each) for each in blocks]


def _part(block: "Block") -> Mapping[str, object]:
    """One part; of pictures and what one provider alone knows there is only that it was there."""
    match block:
        case Text():
            return {"type": "text", "content": block.text}
        case Thinking():
            return {"type": "reasoning", "content": block.text}
        case ToolCall():
            return {"type": "tool_call", "id": block.id, "name": block.name, "arguments": block.arguments}
        case ToolResult():
            return {"type": "tool_call_response", "id": block.id, "response": _parts(block.content)}
        case Image():
            return {"type": "image"}
        case _:
            return {"type": "other"}


def _json(value: Iterable[object]) -> str:
    return json.dumps(list(value), ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
