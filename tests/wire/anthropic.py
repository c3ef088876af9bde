"""Answers as Anthropic's Messages API gives them: bodies, and the frames of a stream."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["MODEL", "error", "event", "frames", "message", "redacted", "text", "thinking", "tool_use"]

MODEL = "claude-haiku-5-5"
USAGE = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 34,
    "service_tier": "standard",
}


def text(said: str, **more: Any) -> dict[str, Any]:
    """A block of text."""
    return {"type": "text", "text": said, **more}


def thinking(thought: str, signature: str = "EqQB") -> dict[str, Any]:
    """A block of thinking."""
    return {"type": "thinking", "thinking": thought, "signature": signature}


def redacted(data: str) -> dict[str, Any]:
    """A block of thinking that is not shown."""
    return {"type": "redacted_thinking", "data": data}


def tool_use(call: str, name: str, given: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A block that calls a tool."""
    return {"type": "tool_use", "id": call, "name": name, "input": dict(given), **more}


def message(
    content: Sequence[Mapping[str, Any]],
    stop_reason: str | None = "end_turn",
    usage: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A whole message."""
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {**USAGE, **(usage or {})},
        **more,
    }


def error(kind: str, told: str = "it did not work", request_id: str = "req_body") -> dict[str, Any]:
    """The body of an error."""
    return {"type": "error", "error": {"type": kind, "message": told}, "request_id": request_id}


def event(data: Mapping[str, Any], name: str | None = None) -> bytes:
    """A frame of a stream: named for the type in its data, as the API does."""
    return f"event: {name or data['type']}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def frames(whole: Mapping[str, Any], split: Callable[[str], Sequence[str]] = lambda said: [said]) -> list[bytes]:
    """The frames of a message that is streamed. `split` cuts texts and arguments into the pieces they come in."""
    usage = whole["usage"]
    begun = {**whole, "content": [], "stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for index, block in enumerate(whole["content"]):
        events += _block(index, block, split)
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": whole["stop_sequence"]}
    events.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": usage["output_tokens"]}})
    events.append({"type": "message_stop"})
    return [event(each) for each in events]


def _block(index: int, block: Mapping[str, Any], split: Callable[[str], Sequence[str]]) -> Iterator[dict[str, Any]]:
    start, deltas = _deltas(block, split)
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _deltas(
    block: Mapping[str, Any], split: Callable[[str], Sequence[str]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How a block begins, and what is added to it."""
    match block["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": each} for each in block.get("citations") or ()]
            said = [{"type": "text_delta", "text": piece} for piece in split(block["text"])]
            return {**block, "text": "", **({"citations": []} if cited else {})}, [*said, *cited]
        case "thinking":
            thought = [{"type": "thinking_delta", "thinking": piece} for piece in split(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*thought, signed]
        case "tool_use" | "server_tool_use":
            given = json.dumps(block["input"], ensure_ascii=False)
            pieces = ["", *split(given)] if block["input"] else [""]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        case _:
            return dict(block), []
