"""What a server says in the language of Anthropic Messages and of OpenAI Chat Completions, and no more than that."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from math import ceil
from typing import Any, Final

from fastcascade.messages import Stop
from fastcascade.testing.faults import Error

__all__ = ["Asked", "Response", "failed", "garbage", "listed", "lost", "replied"]

TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}
ANTHROPIC_STOP: Final[Mapping[Stop, str]] = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal"}
OPENAI_STOP: Final[Mapping[Stop, str]] = {"end": "stop", "length": "length", "refusal": "content_filter"}
EVENTS: Final = "text/event-stream; charset=utf-8"
JSON: Final = "application/json"
CREATED: Final = 1_767_225_600


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came in: header names in lower case; `body` is what its JSON holds, or empty."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    number: int = 0

    @property
    def messages(self) -> bool:
        """Whether it speaks Anthropic's language."""
        return self.path.endswith("/messages")

    @property
    def completions(self) -> bool:
        """Whether it speaks OpenAI's."""
        return self.path.endswith("/chat/completions")

    @property
    def prompt(self) -> str:
        """The text of the user's last turn."""
        turns = self.body.get("messages") or ()
        for turn in reversed(turns):
            if isinstance(turn, dict) and turn.get("role") == "user" and (text := _text(turn.get("content"))):
                return text
        return ""

    @property
    def model(self) -> str:
        """The model that is asked for."""
        return str(self.body.get("model") or "faulty")


@dataclass(frozen=True, slots=True)
class Response:
    """What goes out: one body, or events; which of these are pieces of text. `words` are those of a whole body."""

    status: int
    content_type: str
    frames: tuple[bytes, ...]
    headers: Mapping[str, str]
    pieces: frozenset[int] = frozenset()
    words: int = 1

    @property
    def streamed(self) -> bool:
        """Whether it goes out in chunks."""
        return self.content_type == EVENTS


def replied(asked: Asked, text: str, stop: Stop = "end") -> Response:
    """A reply with this text, as the request wants it."""
    if not asked.body.get("stream"):
        whole = _message(asked, text, stop) if asked.messages else _completion(asked, text, stop)
        return Response(200, JSON, (_json(whole),), _named(asked), words=len(text.split(" ")))
    frames = tuple(_message_events(asked, text, stop) if asked.messages else _chunks(asked, text, stop))
    pieces = frozenset(place for place, (_, is_piece) in enumerate(frames) if is_piece)
    return Response(200, EVENTS, tuple(frame for frame, _ in frames), _named(asked), pieces)


def failed(asked: Asked, error: Error, now: float) -> Response:
    """A refusal. `now` in seconds since 1970 is what a date to wait for is counted from."""
    status = error.code or 500
    headers = _named(asked)
    wait = error.retry_after
    if wait is not None:
        name, value = {
            "seconds": ("retry-after", f"{wait:g}"),
            "date": ("retry-after", formatdate(ceil(now + wait), usegmt=True)),
            "ms": ("retry-after-ms", f"{wait * 1000:g}"),
        }[error.told]
        headers[name] = value
    what = {"type": TYPES.get(status, "api_error"), "message": "as planned", "param": None, "code": None}
    body = {"type": "error", "error": what, "request_id": headers["request-id"]}
    return Response(status, JSON, (_json(body),), headers)


def garbage(asked: Asked, content_type: str) -> Response:
    """What cannot be read; what is called a page is one."""
    if "html" in content_type:
        return Response(200, content_type, (b"<html><body>It works!</body></html>",), _named(asked))
    if asked.body.get("stream"):
        event = b'event: message_start\ndata: {"type": "message_start", oops\n\n'
        return Response(200, content_type or EVENTS, (event,), _named(asked))
    return Response(200, content_type or JSON, (b'{"id": "oops", ',), _named(asked))


def listed(asked: Asked, model: str = "faulty") -> Response:
    """The models there are, for either SDK; or the one that is asked for."""
    prefix, _, name = asked.path.partition("/models/")
    one: dict[str, Any] = {"id": name or model, "type": "model", "object": "model", "display_name": name or model}
    one |= {"created_at": "2026-01-01T00:00:00Z", "created": CREATED, "owned_by": "faulty"}
    if name and prefix:
        return Response(200, JSON, (_json(one),), _named(asked))
    page = {"object": "list", "data": [one], "has_more": False, "first_id": one["id"], "last_id": one["id"]}
    return Response(200, JSON, (_json(page),), _named(asked))


def lost(asked: Asked) -> Response:
    """Where nothing is."""
    return failed(asked, Error("not_found"), 0.0)


def _named(asked: Asked) -> dict[str, str]:
    number = f"req_{asked.number}"
    return {"request-id": number, "x-request-id": number}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict) and part.get("type") == "text")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word if place == len(words) - 1 else f"{word} " for place, word in enumerate(words)] if text else []


def _usage(asked: Asked, text: str) -> tuple[int, int]:
    """Tokens, a word being one."""
    return len(asked.prompt.split()), len(text.split())


def _message(asked: Asked, text: str, stop: Stop) -> dict[str, Any]:
    read, written = _usage(asked, text)
    return {
        "id": f"msg_{asked.number}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": ANTHROPIC_STOP[stop],
        "stop_sequence": None,
        "usage": {"input_tokens": read, "output_tokens": written},
    }


def _message_events(asked: Asked, text: str, stop: Stop) -> Iterator[tuple[bytes, bool]]:
    whole = _message(asked, text, stop)
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 0}}
    yield _event({"type": "message_start", "message": begun}), False
    if text:
        yield _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}), False
        for word in _words(text):
            delta = {"type": "text_delta", "text": word}
            yield _event({"type": "content_block_delta", "index": 0, "delta": delta}), True
        yield _event({"type": "content_block_stop", "index": 0}), False
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    used = {"output_tokens": whole["usage"]["output_tokens"]}
    yield _event({"type": "message_delta", "delta": ended, "usage": used}), False
    yield _event({"type": "message_stop"}), False


def _event(data: Mapping[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (data["type"].encode(), _json(data))


def _completion(asked: Asked, text: str, stop: Stop) -> dict[str, Any]:
    said = {"role": "assistant", "content": text, "refusal": None}
    choice = {
        "index": 0,
        "message": said,
        "logprobs": _weighed(asked, _words(text)),
        "finish_reason": OPENAI_STOP[stop],
    }
    return {**_base(asked, "chat.completion"), "choices": [choice], "usage": _counted(asked, text)}


def _chunks(asked: Asked, text: str, stop: Stop) -> Iterator[tuple[bytes, bool]]:
    base = _base(asked, "chat.completion.chunk")

    def chunk(delta: Mapping[str, Any], finish: str | None = None, weighed: Any = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": weighed, "finish_reason": finish}
        return b"data: %s\n\n" % _json({**base, "choices": [choice], "usage": None})

    yield chunk({"role": "assistant", "content": ""}), False
    for word in _words(text):
        yield chunk({"content": word}, weighed=_weighed(asked, [word])), True
    yield chunk({}, OPENAI_STOP[stop]), False
    if (asked.body.get("stream_options") or {}).get("include_usage"):
        yield b"data: %s\n\n" % _json({**base, "choices": [], "usage": _counted(asked, text)}), False
    yield b"data: [DONE]\n\n", False


def _base(asked: Asked, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{asked.number}", "object": kind, "created": CREATED, "model": asked.model}


def _counted(asked: Asked, text: str) -> dict[str, int]:
    read, written = _usage(asked, text)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _weighed(asked: Asked, words: list[str]) -> dict[str, Any] | None:
    """Each word as a token of which the model is all but sure, where that was asked for."""
    if not asked.body.get("logprobs"):
        return None
    tokens = [{"token": word, "logprob": -0.01, "bytes": list(word.encode()), "top_logprobs": []} for word in words]
    return {"content": tokens, "refusal": None}
