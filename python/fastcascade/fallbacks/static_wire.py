"""Any answer, and a static one above all, as a whole message in the words of the caller's own API.

    body = as_message(answer, "anthropic", model="claude-sonnet-5")            # a dict, to be sent as JSON
    frames = as_message(answer, "openai", stream=True)                        # bytes, one for each event
    headers = as_headers(answer)                                              # how it came, beside the body

A caller who reads with the SDK of Anthropic or of OpenAI reads these as it reads its provider's. Text and tool calls
are carried; what only a provider can say of itself (thinking, pictures, blocks of its own) is not. What a strict reader
might refuse is never in a body: that an answer is degraded is told by the headers, by the message's id, and in
`metadata` where the format has such a place.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import ceil, isfinite
from typing import Any, Final, Literal, NoReturn, TypeAlias, overload
from urllib.parse import quote

from fastcascade.answers import Answer
from fastcascade.errors import ConfigError
from fastcascade.fallbacks.static import LAST_RESORT
from fastcascade.messages import Reply, Stop, Text, ToolCall, Usage

__all__ = ["Wire", "as_headers", "as_message"]

Wire: TypeAlias = Literal["anthropic", "openai", "openai-responses"]
Json: TypeAlias = dict[str, Any]

ANTHROPIC_STOPS: Final[Mapping[Stop, str]] = {
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool": "tool_use",
    "refusal": "refusal",
    "pause": "pause_turn",
}
OPENAI_STOPS: Final[Mapping[Stop, str]] = {"length": "length", "tool": "tool_calls", "refusal": "content_filter"}
CUT_SHORT: Final[Mapping[Stop, str]] = {"length": "max_output_tokens", "refusal": "content_filter"}
"""Why a response is incomplete, in the words of OpenAI's Responses; any other is complete."""
PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_-]+")
VISIBLE: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
"""What may stand in a header as it is."""
LONGEST: Final = 500
"""Characters of a header, and of one entry of `metadata`, which has room for 512."""
DONE: Final = b"data: [DONE]\n\n"


@overload
def as_message(answer: Answer | Reply, wire: Wire, *, model: str = ..., stream: Literal[False] = ...) -> Json: ...


@overload
def as_message(
    answer: Answer | Reply, wire: Wire, *, model: str = ..., stream: Literal[True], usage: bool = ...
) -> tuple[bytes, ...]: ...


@overload
def as_message(
    answer: Answer | Reply, wire: Wire, *, model: str = ..., stream: bool, usage: bool = ...
) -> Json | tuple[bytes, ...]: ...


def as_message(
    answer: Answer | Reply, wire: Wire, *, model: str = "", stream: bool = False, usage: bool = False
) -> Json | tuple[bytes, ...]:
    """A whole message, or with `stream` the events of one; it is valid whatever the answer holds.

    An answer without a reply, or whose reply has nothing that can be carried, says the plain text of last resort. A
    tool call whose arguments are no JSON object is carried as it is to OpenAI's readers, who expect that, and left out
    for Anthropic's, whose format has no place for it.

    Args:
        answer: a reply alone is taken for one that is not degraded.
        wire: "anthropic" is Messages, "openai" Chat Completions, "openai-responses" Responses.
        model: what the caller asked for, where it expects to read that; else who answered.
        stream: gives the frames of `text/event-stream`.
        usage: whether a stream of Chat Completions ends with the tokens, as `stream_options.include_usage` asks.
    """
    if wire not in WRITERS:
        msg = f"there is no wire format {wire!r}; there are: {', '.join(WRITERS)}"
        raise ConfigError(msg)
    said = _said(answer, model, strict=wire == "anthropic")
    whole, events = WRITERS[wire]
    return tuple(events(said, usage)) if stream else whole(said)


def as_headers(answer: Answer | Reply) -> dict[str, str]:
    """How an answer came, as HTTP headers; only those that say something.

    `x-cascade-degraded` and `x-cascade-via` as in `Answer`, `x-cascade-age` and `retry-after` in whole seconds,
    `x-cascade-ticket`. What a header cannot hold is percent-encoded.
    """
    marks = _marks(answer)
    told = {f"x-cascade-{name}": quote(value, safe=VISIBLE) for name, value in marks.items()}
    wait = answer.retry_after if isinstance(answer, Answer) else None
    if wait is not None and isfinite(wait):
        told["retry-after"] = str(max(0, ceil(wait)))
    return told


@dataclass(frozen=True, slots=True)
class _Said:
    """What is to be written: texts and calls, and what is the same in all formats."""

    id: str  # without the prefix each format gives it
    model: str
    content: tuple[str | ToolCall, ...]
    stop: Stop
    usage: Usage
    marks: Mapping[str, str]
    created: int

    @property
    def text(self) -> str:
        return "".join(part for part in self.content if isinstance(part, str))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.content if isinstance(part, ToolCall))


def _said(answer: Answer | Reply, model: str, *, strict: bool) -> _Said:
    reply = answer.reply if isinstance(answer, Answer) else answer
    marks = _marks(answer)
    content = tuple(_carried(reply, strict=strict)) if reply is not None else ()
    stop: Stop = "end" if reply is None else reply.stop
    calling = any(isinstance(part, ToolCall) for part in content)
    if calling and stop in ("end", "other"):
        stop = "tool"
    elif stop == "tool" and not calling:
        stop = "end"
    return _Said(
        ("degraded_" if "degraded" in marks else "") + secrets.token_hex(12),
        _clean(model or (reply.model if reply is not None else "") or "fastcascade"),
        content or (LAST_RESORT,),
        stop,
        (reply.usage if reply is not None else None) or Usage(),
        {f"cascade_{name}": value for name, value in marks.items()},
        int(time.time()),
    )


def _marks(answer: Answer | Reply) -> dict[str, str]:
    """What is to be known of how it came, by name."""
    if isinstance(answer, Reply):
        return {}
    nobody = answer.reply is None
    age = answer.age if answer.age is not None and isfinite(answer.age) else None
    marks = {
        "degraded": answer.degraded or ("no tier answered" if nobody else ""),
        "via": "static" if nobody else answer.via,
        "age": "" if age is None else str(max(0, int(age))),
        "ticket": answer.ticket,
    }
    return {name: _clean(value)[:LONGEST] for name, value in marks.items() if value}


def _carried(reply: Reply, *, strict: bool) -> Iterator[str | ToolCall]:
    """The texts, neighbors joined, and the calls; with `strict` only those whose arguments are an object."""
    text = ""
    for number, block in enumerate(reply.content):
        if type(block) is Text:
            text += _clean(block.text)
        elif type(block) is ToolCall:
            call = _call(block, number)
            if strict and _object(call.arguments) is None:
                continue
            if text.strip():
                yield text
            text = ""
            yield call
    if text.strip():
        yield text


def _call(call: ToolCall, number: int) -> ToolCall:
    """A call as any format takes it: some have rules for ids, by which the caller will send the result."""
    known = PLAIN_ID.fullmatch(call.id)
    made = f"call_{sha256(f'{number} {call.id}'.encode('utf-8', 'replace')).hexdigest()[:24]}"
    return ToolCall(call.id if known else made, _clean(call.name), _clean(call.arguments) or "{}")


def _object(arguments: str) -> Json | None:
    """Arguments as the object they are; None if they are not, or cannot be written as JSON again."""
    try:
        given = json.loads(arguments, parse_constant=_not_json)
        json.dumps(given, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) else None


def _not_json(word: str) -> NoReturn:
    raise ValueError(word)


def _clean(text: str) -> str:
    """Without halves of surrogate pairs, which no strict reader of JSON takes."""
    return text.encode("utf-8", "replace").decode()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _event(data: Json) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (data["type"].encode(), _json(data))


# Anthropic Messages.


def _message(said: _Said) -> Json:
    content: list[Json] = []
    for part in said.content:
        if isinstance(part, str):
            content.append({"type": "text", "text": part})
        else:
            content.append({"type": "tool_use", "id": part.id, "name": part.name, "input": _object(part.arguments)})
    used = said.usage
    fresh = max(0, used.input - used.cache_read - used.cache_write)
    cached = {"cache_read_input_tokens": used.cache_read, "cache_creation_input_tokens": used.cache_write}
    return {
        "id": f"msg_{said.id}",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": content,
        "stop_reason": ANTHROPIC_STOPS.get(said.stop, "end_turn"),
        "stop_sequence": None,
        "usage": {"input_tokens": fresh, **cached, "output_tokens": used.output},
    }


def _message_frames(said: _Said, _usage: bool, /) -> Iterator[bytes]:  # noqa: FBT001 - as all of them
    return map(_event, _message_events(said))


def _message_events(said: _Said) -> Iterator[Json]:
    whole = _message(said)
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 0}}
    yield {"type": "message_start", "message": begun}
    for index, (part, block) in enumerate(zip(said.content, whole["content"], strict=True)):
        if isinstance(part, str):
            empty, delta = {**block, "text": ""}, {"type": "text_delta", "text": part}
        else:
            empty, delta = {**block, "input": {}}, {"type": "input_json_delta", "partial_json": part.arguments}
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": said.usage.output}}
    yield {"type": "message_stop"}


# OpenAI Chat Completions.


def _completion(said: _Said) -> Json:
    message: Json = {"role": "assistant", "content": said.text or None, "refusal": None}
    if said.calls:
        message["tool_calls"] = [_function(call) for call in said.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(said)}
    base = {"id": f"chatcmpl-{said.id}", "object": "chat.completion", "created": said.created, "model": said.model}
    marked = {"metadata": dict(said.marks)} if said.marks else {}
    return {**base, "choices": [choice], "usage": _counted(said.usage, "prompt", "completion"), **marked}


def _chunks(said: _Said, usage: bool, /) -> Iterator[bytes]:  # noqa: FBT001 - as all of them
    base: Json = {"id": f"chatcmpl-{said.id}", "object": "chat.completion.chunk", "created": said.created}
    base |= {"model": said.model}
    unsaid = {"usage": None} if usage else {}

    def chunk(delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: %s\n\n" % _json({**base, "choices": [choice], **unsaid})

    yield chunk({"role": "assistant", "content": "" if said.text else None})
    if said.text:
        yield chunk({"content": said.text})
    for index, call in enumerate(said.calls):
        yield chunk({"tool_calls": [{"index": index, **_function(call)}]})
    yield chunk({}, _finish(said))
    if usage:
        counted = _counted(said.usage, "prompt", "completion")
        yield b"data: %s\n\n" % _json({**base, "choices": [], "usage": counted})
    yield DONE


def _finish(said: _Said) -> str:
    return OPENAI_STOPS.get(said.stop, "stop")


def _function(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _counted(used: Usage, read: str, written: str) -> Json:
    """Tokens, under the names that one of OpenAI's formats has for what was read and written."""
    counted: Json = {f"{read}_tokens": used.input, f"{written}_tokens": used.output}
    counted["total_tokens"] = used.input + used.output
    # Responses wants what was written to the cache named too.
    cached = {"cached_tokens": used.cache_read, "cache_write_tokens": used.cache_write}
    counted[f"{read}_tokens_details"] = cached
    counted[f"{written}_tokens_details"] = {"reasoning_tokens": used.reasoning}
    return counted


# OpenAI Responses.


def _response(said: _Said) -> Json:
    why = CUT_SHORT.get(said.stop)
    state = "incomplete" if why else "completed"
    return {
        "id": f"resp_{said.id}",
        "object": "response",
        "created_at": said.created,
        "status": state,
        "error": None,
        "incomplete_details": {"reason": why} if why else None,
        "instructions": None,
        "metadata": dict(said.marks),
        "model": said.model,
        "output": [_item(said, place, state) for place in range(len(said.content))],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": _counted(said.usage, "input", "output"),
    }


def _item(said: _Said, place: int, state: str) -> Json:
    part, named = said.content[place], f"{said.id}_{place}"
    if isinstance(part, str):
        content = [_part(part)]
        return {"type": "message", "id": f"msg_{named}", "role": "assistant", "status": state, "content": content}
    given = {"call_id": part.id, "name": part.name, "arguments": part.arguments}
    return {"type": "function_call", "id": f"fc_{named}", "status": state, **given}


def _part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response_frames(said: _Said, _usage: bool, /) -> Iterator[bytes]:  # noqa: FBT001 - as all of them
    whole = _response(said)
    begun = {**whole, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    events: list[Json] = [{"type": f"response.{name}", "response": begun} for name in ("created", "in_progress")]
    for place, (part, item) in enumerate(zip(said.content, whole["output"], strict=True)):
        events += _item_events(part, item, place)
    events.append({"type": f"response.{whole['status']}", "response": whole})
    for number, event in enumerate(events):
        yield _event({**event, "sequence_number": number})


def _item_events(part: str | ToolCall, item: Json, place: int) -> list[Json]:
    """One item as it comes: begun, said, done."""
    at = {"item_id": item["id"], "output_index": place}
    begun = {**item, "status": "in_progress"}
    if isinstance(part, str):
        begun["content"] = []
        at["content_index"] = 0
        said = [
            {"type": "response.content_part.added", **at, "part": _part("")},
            {"type": "response.output_text.delta", **at, "delta": part, "logprobs": []},
            {"type": "response.output_text.done", **at, "text": part, "logprobs": []},
            {"type": "response.content_part.done", **at, "part": _part(part)},
        ]
    else:
        begun["arguments"] = ""
        name = "response.function_call_arguments"
        said = [
            {"type": f"{name}.delta", **at, "delta": part.arguments},
            {"type": f"{name}.done", **at, "arguments": part.arguments},
        ]
    added = {"type": "response.output_item.added", "output_index": place, "item": begun}
    return [added, *said, {"type": "response.output_item.done", "output_index": place, "item": item}]


WRITERS: Final[Mapping[str, tuple[Callable[[_Said], Json], Callable[[_Said, bool], Iterator[bytes]]]]] = {
    "anthropic": (_message, _message_frames),
    "openai": (_completion, _chunks),
    "openai-responses": (_response, _response_frames),
}
