"""Answers as chat completions give them: bodies, and the frames of a stream."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["DONE", "MODEL", "completion", "error", "event", "frames", "token", "tool_call"]

MODEL = "gpt-5.2-mini-2026-08-01"
DONE = b"data: [DONE]\n\n"
USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 34,
    "total_tokens": 46,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0},
}
Split = Callable[[str], Sequence[str]]


def token(text: str, logprob: float = -0.25, top: Sequence[tuple[str, float]] = ()) -> dict[str, Any]:
    """A token with what it weighed."""
    alternatives = [{"token": other, "logprob": weight, "bytes": None} for other, weight in top]
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": alternatives}


def tool_call(call: str, name: str, arguments: str, **more: Any) -> dict[str, Any]:
    """A tool the model wants run."""
    return {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def completion(
    content: Any = None,
    finish: str | None = "stop",
    *,
    calls: Sequence[Mapping[str, Any]] = (),
    tokens: Sequence[Mapping[str, Any]] | None = None,
    usage: Mapping[str, Any] | None = USAGE,
    choice: Mapping[str, Any] | None = None,
    **message: Any,
) -> dict[str, Any]:
    """A whole completion; what is named beyond the known goes into its message."""
    said = {"role": "assistant", "content": content, "refusal": None, "annotations": [], **message}
    if calls:
        said["tool_calls"] = list(calls)
    weighed = None if tokens is None else {"content": list(tokens), "refusal": None}
    body = {
        "id": "chatcmpl-C8x1",
        "object": "chat.completion",
        "created": 1795000000,
        "model": MODEL,
        "choices": [{"index": 0, "message": said, "logprobs": weighed, "finish_reason": finish, **(choice or {})}],
        "service_tier": "default",
        "system_fingerprint": None,
    }
    return body if usage is None else {**body, "usage": dict(usage)}


def error(message: str, kind: str = "server_error", code: Any = None) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def event(data: Mapping[str, Any]) -> bytes:
    """A frame of a stream."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def frames(whole: Mapping[str, Any], split: Split = lambda said: [said]) -> list[bytes]:
    """The frames of a completion that is streamed. `split` cuts texts and arguments into the pieces they come in.

    Where the tokens make up the text, each comes in a chunk of its own, as from the API.
    """
    choice = whole["choices"][0]
    base = {name: whole.get(name) for name in ("id", "created", "model", "service_tier", "system_fingerprint")}
    base = {**base, "object": "chat.completion.chunk", "obfuscation": "aB3"}
    chunks: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": "", "refusal": None}}]
    chunks += _chunks(choice, split)
    last = {name: value for name, value in choice.items() if name not in ("message", "logprobs")}
    chunks.append({**last, "delta": {}, "logprobs": None})
    sent = [{**base, "choices": [{"index": 0, "finish_reason": None, **chunk}], "usage": None} for chunk in chunks]
    if "usage" in whole:
        sent.append({**base, "choices": [], "usage": whole["usage"]})
    return [*map(event, sent), DONE]


def _chunks(choice: Mapping[str, Any], split: Split) -> Iterator[dict[str, Any]]:
    message = choice["message"]
    for name in ("reasoning_content", "reasoning"):
        for piece in _cut(message.get(name), split):
            yield {"delta": {name: piece}}
    listed = (choice.get("logprobs") or {}).get("content")
    if listed is not None and "".join(each["token"] for each in listed) == (message["content"] or ""):
        for each in listed:
            yield {"delta": {"content": each["token"]}, "logprobs": {"content": [each], "refusal": None}}
    else:
        pieces = _cut(message["content"], split)
        for number, piece in enumerate(pieces or [""] * bool(listed)):
            weighed = {"content": listed, "refusal": None} if number == 0 and listed is not None else None
            yield {"delta": {"content": piece}, "logprobs": weighed}
    for piece in _cut(message.get("refusal"), split):
        yield {"delta": {"refusal": piece}}
    for index, call in enumerate(message.get("tool_calls") or ()):
        yield from _call(index, call, split)


def _call(index: int, call: Mapping[str, Any], split: Split) -> Iterator[dict[str, Any]]:
    function = call["function"]
    first = {**call, "index": index, "function": {"name": function["name"], "arguments": ""}}
    yield {"delta": {"tool_calls": [first]}}
    for piece in _cut(function["arguments"], split):
        yield {"delta": {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}}


def _cut(text: str | None, split: Split) -> Sequence[str]:
    return split(text) if text else []
