"""An answer in the events of Anthropic's Messages API. No I/O, and nothing of the SDK.

In a stream a block ends when the next one begins, or with the piece that has the whole of it. Two may stay open until
the end of the answer: thinking without a signature, and a tool's arguments where they are no JSON yet.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastcascade.answers import Answer
from fastcascade.blocks import Block, Text, Thinking, nothing
from fastcascade.messages import Delta
from fastcascade.wire.anthropic_out import (
    NAME,
    arguments_of,
    beside,
    block_of,
    met,
    reason_of,
    signature_of,
    usage_of,
)

__all__ = ["MessagesEncoder"]

quoted: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
said_as: Final = json.encoder.encode_basestring
"""A text alone, at a third of the time."""
STOPPED: Final = 'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class _Said:
    """A block of a stream: its number in the message, and as far as it has come."""

    __slots__ = ("kind", "number", "open", "pieces")

    def __init__(self, kind: str, number: int) -> None:
        self.kind = kind
        self.number = number
        self.open = True
        self.pieces: list[str] = []  # of a tool's arguments

    @property
    def ends(self) -> bool:
        """Whether there is nothing to say of it any more, once another begins."""
        if self.kind == "tool":
            return bool(self.pieces) and arguments_of("".join(self.pieces)) is not None
        return self.kind == "text"


class MessagesEncoder:
    """The events of one message. See `Encoder`."""

    __slots__ = ("_at", "_blocks", "_head", "_index", "_model", "_number", "_said")

    def __init__(self, model: str, number: str) -> None:
        """Begin before the first event."""
        self._model = model
        self._number = number
        self._blocks: list[_Said] = []  # in the order they were begun
        self._said: dict[int, _Said] = {}  # by the index of the delta
        self._index = -1
        self._at: _Said | None = None
        self._head = ""

    def start(self) -> bytes:
        """Say that a message begins; what it has taken is not known yet."""
        return _bytes(
            "event: message_start\n"
            f'data: {{"type":"message_start","message":{{"id":{quoted(self._number)},"type":"message",'
            f'"role":"assistant","model":{quoted(self._model)},"content":[],"stop_reason":null,"stop_sequence":null,'
            '"usage":{"input_tokens":0,"output_tokens":0}}}\n\n'
        )

    def delta(self, delta: Delta, /) -> bytes:
        """Say a piece, and that its block begins where it does."""
        text = delta.text
        if delta.block is not None:
            return _bytes("".join(self._rest(delta.index, delta.block)))
        if not text and delta.kind != "tool":
            return b""  # it may be of a block that has no text, and is another kind of block then
        turned = "" if delta.index == self._index else self._turn(delta)
        said = self._at
        if not text or said is None or not said.open:  # to arguments that are whole, only blanks can be added
            return _bytes(turned)
        if said.kind == "tool":
            said.pieces.append(text)
        # The head is the same for every piece of a block.
        return _bytes(f"{turned}{self._head}{said_as(text)}}}}}\n\n")

    def end(self, answer: Answer, /) -> bytes:
        """Say what is left: of the blocks that are open, the blocks that had no pieces, the reason and the usage."""
        content = answer.content
        left = {id(said): content[index] for index, said in self._said.items() if index < len(content)}
        parts = [piece for said in self._blocks if said.open for piece in _close(said, left.get(id(said)))]
        for index, block in enumerate(content):
            if index not in self._said:
                number = len(self._blocks)
                if whole := _whole(number, block):
                    self._blocks.append(_Said("", number))
                    parts.append(whole)
        parts.append(_ended(answer))
        return _bytes("".join(parts))

    def broken(self, told: str, /) -> bytes:
        """Say that it broke off."""
        return _bytes(_event("error", f'"error":{quoted({"type": "api_error", "message": told})}'))

    def ping(self) -> bytes:
        """Say that all is well."""
        return b'event: ping\ndata: {"type":"ping"}\n\n'

    def _rest(self, index: int, block: Block) -> Iterator[str]:
        """What pieces did not say of a block, or all of it; then its end."""
        said, before = self._said.get(index), self._at
        if said is not None:
            if said.open:
                yield from _close(said, block)
            return
        if before is not None and before.open and before.ends:
            yield from _close(before, None)
        if whole := _whole(len(self._blocks), block):
            said = self._said[index] = _Said("", len(self._blocks))
            said.open = False
            self._blocks.append(said)
            yield whole

    def _turn(self, delta: Delta) -> str:
        """Go to the block of a delta: end the one before, where nothing of it is left to say, and begin this one."""
        parts: list[str] = []
        before = self._at
        if before is not None and before.open and before.ends:
            parts.extend(_close(before, None))
        said = self._said.get(delta.index)
        if said is None or not (said.open or said.kind == "tool"):
            said = self._said[delta.index] = _Said(delta.kind, len(self._blocks))
            self._blocks.append(said)
            parts.append(_begin(said.number, _empty(delta.kind, delta.id, delta.name)))
        self._index, self._at = delta.index, said
        self._head = _head(said.number, said.kind)
        return "".join(parts)


def _empty(kind: str, id: str = "", name: str = "") -> str:  # noqa: A002 # as a block has it
    """The block as it is before any piece of it."""
    if kind == "text":
        return '{"type":"text","text":""}'
    if kind == "thinking":
        return '{"type":"thinking","thinking":"","signature":""}'
    return f'{{"type":"tool_use","id":{quoted(id)},"name":{quoted(name)},"input":{{}}}}'


def _head(number: int, kind: str) -> str:
    """All of a piece but its text and the braces after it."""
    if kind == "text":
        of = '"text_delta","text"'
    elif kind == "thinking":
        of = '"thinking_delta","thinking"'
    else:
        of = '"input_json_delta","partial_json"'
    return f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":{number},"delta":{{"type":{of}:'


def _close(said: _Said, block: Block | None) -> Iterator[str]:
    """What is left to say of an open block, as the answer has it; then its end."""
    said.open = False
    if block is not None:
        yield from _afterwards(said.number, block)
    yield _event("content_block_stop", f'"index":{said.number}')


def _afterwards(number: int, block: Block) -> Iterator[str]:
    """What is no part of the text of a block, and follows it."""
    if type(block) is Thinking:
        if signature := signature_of(block):
            yield _delta(number, {"type": "signature_delta", "signature": signature})
    elif type(block) is Text and block.extra:
        for citation in block.extra.get(NAME, nothing()).get("citations") or ():
            yield _delta(number, {"type": "citations_delta", "citation": citation})


def _whole(number: int, block: Block) -> str:
    """A block from its beginning to its end; nothing where the format has no words for it."""
    data = block_of(block)
    if data is None:
        return ""
    kind = data["type"]
    parts: list[str] = []
    if kind == "text":
        parts += (_begin(number, _empty(kind)), _head(number, kind), quoted(data["text"]), "}}\n\n")
    elif kind == "thinking":
        parts.append(_begin(number, _empty(kind)))
        if data["thinking"]:
            parts += (_head(number, kind), quoted(data["thinking"]), "}}\n\n")
    elif type(data.get("input")) is dict:  # a tool's, ours to run or the provider's
        parts += (_begin(number, quoted({**data, "input": {}})), _head(number, "tool"))
        parts += (quoted(quoted(data["input"])), "}}\n\n")
    else:
        parts.append(_begin(number, quoted(data)))
    parts.extend(_afterwards(number, block))
    parts.append(_event("content_block_stop", f'"index":{number}'))
    return "".join(parts)


def _ended(answer: Answer) -> str:
    reply = answer.reply
    delta = {
        "stop_reason": reason_of(reply),
        "stop_sequence": met(answer),
        **beside(reply),
    }
    body = f'"delta":{quoted(delta)},"usage":{quoted(usage_of(reply))}'
    return f"{_event('message_delta', body)}{STOPPED}"


def _begin(number: int, block: str) -> str:
    return _event("content_block_start", f'"index":{number},"content_block":{block}')


def _delta(number: int, delta: Mapping[str, Any]) -> str:
    return _event("content_block_delta", f'"index":{number},"delta":{quoted(delta)}')


def _event(kind: str, rest: str) -> str:
    return f'event: {kind}\ndata: {{"type":"{kind}",{rest}}}\n\n'


def _bytes(text: str) -> bytes:
    # Half of a surrogate pair, which two pieces may share, is no UTF-8: it goes as the escape that JSON has for it.
    return text.encode("utf-8", "backslashreplace")
