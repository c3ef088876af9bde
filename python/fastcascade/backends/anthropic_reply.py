"""A reply as Anthropic's Messages API says it, whole or in the events of a stream. No I/O, and nothing of the SDK.

What this does not know comes back as `Opaque`, as it was; what breaks the API's own rules is a `BackendError` of
kind malformed, and is never guessed at.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar

from fastcascade.backends.anthropic_wire import NAME
from fastcascade.backends.failures import failure_kind, scrub
from fastcascade.blocks import Block, Extra, Opaque, Text, Thinking, ToolCall, nothing
from fastcascade.errors import BackendError
from fastcascade.messages import MOST_TOKENS, Delta, Reply, Stop, Usage

__all__ = ["Assembly", "named", "raise_error", "read"]

T = TypeVar("T")

STOPS: Final[dict[str, Stop]] = {
    "end_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "pause",
    "refusal": "refusal",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool",
}
SAID: Final = frozenset({"type", "role", "content", "model", "stop_reason"})
"""The fields of a message that a `Reply` has a place for; the others go into its `extra`."""


def read(
    message: object, *, spelled: Mapping[int, str] | None = None, request_id: str = "", not_sent: Sequence[str] = ()
) -> Reply:
    """Translate a message. `spelled` holds the arguments of its tool calls as text, by block, where they are known."""
    if type(message) is not dict and not isinstance(message, Mapping):
        _malformed("the answer is not a JSON object")
    if message.get("type") == "error":
        raise_error(message)
    content = _field(message, "content", list)
    spelled = spelled or {}
    blocks = tuple([_block(data, spelled.get(index)) for index, data in enumerate(content)])
    raw_stop = _field(message, "stop_reason", str)
    own = {name: value for name, value in message.items() if value is not None and name not in SAID}
    if not_sent:
        own["not_sent"] = tuple(not_sent)
    return Reply(
        blocks,
        model=_field(message, "model", str),
        stop=STOPS.get(raw_stop, "other"),
        usage=_usage(message.get("usage")),
        id=request_id or str(message.get("id") or ""),
        raw_stop=raw_stop,
        extra={NAME: own},
    )


def raise_error(body: Mapping[str, Any]) -> NoReturn:
    """Raise the error that came where a message was due."""
    error = body.get("error")
    error = error if isinstance(error, Mapping) else {}
    kind = failure_kind(200, *named(error))
    message = scrub(str(error.get("message") or error.get("type") or "an error without a message"))
    raise BackendError(kind, message, status=200, request_id=str(body.get("request_id") or ""))


def named(error: Mapping[str, Any]) -> tuple[object, object]:
    """What an error is called: its type, and the code among its details."""
    details = error.get("details")
    return error.get("type"), details.get("error_code") if isinstance(details, Mapping) else None


@dataclass(slots=True)
class _Growing:
    """A block of a stream, so far."""

    index: int
    data: dict[str, Any]
    pieces: dict[str, list[str]] = field(default_factory=dict)
    whole: bool = False

    def add(self, name: str, piece: str) -> None:
        """Add to a text."""
        self.pieces.setdefault(name, []).append(piece)


class Assembly:
    """A reply as its stream spells it: `feed` it each event, and once it is `done`, ask for the `reply`."""

    __slots__ = ("_blocks", "_message", "done")

    def __init__(self) -> None:
        """Begin before the first event."""
        self._message: dict[str, Any] | None = None
        self._blocks: dict[int, _Growing] = {}
        self.done = False

    def feed(self, event: object) -> Delta | None:
        """Take one event in; gives the piece of the reply that it holds, where it holds one."""
        if not isinstance(event, dict):
            _malformed("an event of the stream is not a JSON object")
        kind = event.get("type")
        if kind == "content_block_delta" and (delta := self._text(event)) is not None:
            return delta
        if kind == "error":
            raise_error(event)
        if kind == "message_start" or self._message is None:
            self._begin(event)
        elif kind == "content_block_start":
            return self._start(event)
        elif kind == "content_block_delta":
            return _grow(self._block(event), _field(event, "delta", dict))
        elif kind == "content_block_stop":
            return _finish(self._block(event))
        elif kind == "message_delta":
            self._amend(self._message, event)
        elif kind == "message_stop":
            self._stop()
        return None  # a ping, or a kind of event that is newer than this

    def _text(self, event: dict[str, Any]) -> Delta | None:
        """A piece of text in a block of texts, which most events are; None for all others, and for what is wrong."""
        number, delta = event.get("index"), event.get("delta")
        block = self._blocks.get(number) if type(number) is int else None
        if block is None or block.whole or type(delta) is not dict or delta.get("type") != "text_delta":
            return None
        text = delta.get("text")
        if block.data["type"] != "text" or type(text) is not str or not text:
            return None
        block.add("text", text)
        return Delta("text", text, block.index)

    def reply(self, *, request_id: str = "", not_sent: Sequence[str] = ()) -> Reply:
        """The whole reply, of the pieces that `feed` gave."""
        spelled = {
            block.index: "".join(block.pieces["input"])
            for block in self._blocks.values()
            if block.data["type"] == "tool_use"
        }
        message = {**(self._message or {}), "content": [_data(block) for block in self._blocks.values()]}
        return read(message, spelled=spelled, request_id=request_id, not_sent=not_sent)

    def _begin(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "message_start" and self._message is None:
            self._message = _field(event, "message", dict)
        elif kind != "ping":
            _malformed(f"{str(kind)[:40]!r} where the stream begins, or message_start where it has begun")

    def _start(self, event: Mapping[str, Any]) -> Delta | None:
        number = _field(event, "index", int)
        if number in self._blocks:
            _malformed(f"block {number} begins twice")
        data = dict(_field(event, "content_block", dict))
        block = self._blocks[number] = _Growing(len(self._blocks), data)
        kind = _field(data, "type", str)
        if kind == "tool_use":
            return Delta("tool", "", block.index, _field(data, "id", str), _field(data, "name", str))
        return _piece(block, kind, _field(data, kind, str)) if kind in ("text", "thinking") else None

    def _block(self, event: Mapping[str, Any]) -> _Growing:
        block = self._blocks.get(_field(event, "index", int))
        if block is None or block.whole:
            _malformed(f"{event['type']} for block {event['index']}, which is not open")
        return block

    def _amend(self, message: dict[str, Any], event: Mapping[str, Any]) -> None:
        # Counts are totals so far, and what is left out stands as message_start had it.
        message.update(_given(_field(event, "delta", dict)))
        usage = event.get("usage")
        if isinstance(usage, Mapping):
            message["usage"] = {**(message.get("usage") or {}), **_given(usage)}

    def _stop(self) -> None:
        if any(not block.whole for block in self._blocks.values()):
            _malformed("the stream ends while a block is open")
        self.done = True


def _piece(block: _Growing, kind: str, text: str) -> Delta | None:
    block.add(kind, text)
    if not text:
        return None
    return Delta("text" if kind == "text" else "thinking", text, block.index)


def _grow(block: _Growing, delta: Mapping[str, Any]) -> Delta | None:
    """Add a delta to its block. Of a kind not known, texts are added on and the rest is put in place."""
    kind, of = delta.get("type"), block.data["type"]
    if kind in ("text_delta", "thinking_delta") and of in ("text", "thinking", "tool_use"):
        if kind != f"{of}_delta":
            _malformed(f"a {kind} for a block of type {of!r}")
        return _piece(block, of, _field(delta, of, str))
    if kind == "input_json_delta":
        text = _field(delta, "partial_json", str)
        block.add("input", text)
        return Delta("tool", text, block.index) if text and of == "tool_use" else None
    if kind == "citations_delta":
        block.data["citations"] = [*(block.data.get("citations") or ()), delta.get("citation")]
        return None
    if kind == "signature_delta":
        block.data["signature"] = _field(delta, "signature", str)
        return None
    for name, value in delta.items():
        if name != "type":
            old = block.data.get(name)
            block.data[name] = old + value if isinstance(old, str) and isinstance(value, str) else value
    return None


def _finish(block: _Growing) -> Delta | None:
    """End a block. Arguments that were not streamed are spelled here, so that the pieces add up to the whole."""
    block.whole = True
    kind = block.data["type"]
    if kind != "tool_use":
        made = _block(_data(block), None)
        if type(made) is Text and not made.extra:
            return None  # its pieces have said it all, and so they have of what is only thought
        if type(made) is Thinking and not (made.signature or made.redacted):
            return None
        return Delta("block", index=block.index, block=made)
    if any(block.pieces.get("input", ())):
        return None
    text = _json(block.data.get("input") or {})
    block.pieces["input"] = [text]
    return Delta("tool", text, block.index)


def _data(block: _Growing) -> dict[str, Any]:
    """A block as it would stand in a message that is not streamed; a tool call has its arguments beside it."""
    data = dict(block.data)
    for name, pieces in block.pieces.items():
        text = "".join(pieces)
        if name != "input":
            data[name] = text
        elif text and data["type"] != "tool_use":
            try:
                data[name] = json.loads(text)
            except (ValueError, RecursionError):
                data[name] = text  # cut short: as it was written
    return data


def _block(data: object, spelled: str | None) -> Block:
    if type(data) is not dict and not isinstance(data, Mapping):
        _malformed("a block of the answer is not a JSON object")
    kind = _field(data, "type", str)
    if kind == "text":
        if len(data) == 2:
            return Text(_field(data, "text", str))
        return Text(_field(data, "text", str), _own(data, "text"))
    if kind == "thinking":
        return Thinking(_field(data, "thinking", str), str(data.get("signature") or ""), by=NAME)
    if kind == "redacted_thinking":
        return Thinking(redacted=_field(data, "data", str), by=NAME)
    if kind == "tool_use":
        arguments = _json(_field(data, "input", dict)) if spelled is None else spelled
        return ToolCall(
            _field(data, "id", str), _field(data, "name", str), arguments, _own(data, "id", "name", "input")
        )
    return Opaque(NAME, dict(data))


def _own(data: Mapping[str, Any], *said: str) -> Extra:
    """What a block holds that ours has no place for, such as citations."""
    own = {name: value for name, value in data.items() if name != "type" and name not in said and value is not None}
    return {NAME: own} if own else nothing()


def _usage(given: object) -> Usage | None:
    if type(given) is not dict and not isinstance(given, Mapping):
        return None
    read_, written = _count(given, "cache_read_input_tokens"), _count(given, "cache_creation_input_tokens")
    details = given.get("output_tokens_details")
    return Usage(
        _count(given, "input_tokens") + read_ + written,  # theirs is what the cache had no part in
        _count(given, "output_tokens"),
        read_,
        written,
        _count(details, "thinking_tokens") if isinstance(details, Mapping) else 0,
    )


def _count(usage: Mapping[str, Any], name: str) -> int:
    count = usage.get(name)
    if count is None:
        return 0
    if type(count) is not int or not 0 <= count < MOST_TOKENS:
        _malformed(f"{name} is not a count")
    return count


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _field(data: Mapping[str, Any], name: str, kind: type[T]) -> T:
    value = data.get(name)
    if type(value) is not kind and not isinstance(value, kind):
        _malformed(f"{name} is missing or of the wrong type in {str(data.get('type', 'the answer'))[:40]!r}")
    return value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _malformed(what: str) -> NoReturn:
    raise BackendError("malformed", what)
