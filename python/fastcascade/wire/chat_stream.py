"""An answer as the chunks of a chat completion: pure translation, to bytes. What is said how is told in chat_out.

A stream says each piece as it comes. What its pieces left out of a block is said at the end, and an answer without
pieces is said there whole. A stream that broke has an error, which the SDK raises, and neither a finish_reason nor
[DONE].
"""

from collections.abc import Sequence
from json.encoder import JSONEncoder, encode_basestring_ascii
from typing import Final

from fastcascade.answers import Answer
from fastcascade.messages import Block, Delta, Opaque, Text, Thinking, Token, ToolCall
from fastcascade.wire.chat_out import NOTHING, SAID, TOP, finish, logprobs_of, opaque, own_of, usage_of
from fastcascade.wire.format import Asked, Json
from fastcascade.wire.openai_errors import error
from fastcascade.wire.openai_fields import BY

__all__ = ["PING", "ChatEncoder", "compact", "quoted"]

PING: Final = b": ping\n\n"
DONE: Final = b"data: [DONE]\n\n"
quoted: Final = encode_basestring_ascii
"""A text as JSON, without line ends and within ASCII: a lone surrogate cannot break a stream."""
compact: Final = JSONEncoder(separators=(",", ":"), check_circular=False).encode
"""Anything else as JSON, likewise."""


class ChatEncoder:
    """One stream of chunks. See `Encoder`."""

    __slots__ = ("_asked", "_calls", "_head", "_last", "_said", "_tail", "_weighed", "_weighs")

    def __init__(self, asked: Asked, number: str, created: int) -> None:
        """Make what every chunk begins with."""
        self._asked = asked
        self._weighs = asked.request.logprobs is not None
        self._weighed = 0  # tokens told so far
        self._said: dict[int, int] = {}  # characters told so far of each block
        self._calls: dict[int, int] = {}  # the number among the calls of each block that is one
        start = f'{{"id":{quoted(number)},"object":"chat.completion.chunk","created":{created}'
        self._head = f'data: {start},"model":{quoted(asked.model)},"choices":[{{"index":0,"delta":'
        self._last = ',"usage":null}\n\n' if asked.usage else "}\n\n"  # of all chunks but the one that tells it
        self._tail = f'}},"logprobs":null,"finish_reason":null}}]{self._last}'

    def start(self) -> bytes:
        """Who speaks."""
        return f'{self._head}{{"role":"assistant","content":"","refusal":null{self._tail}'.encode()

    def delta(self, delta: Delta, /) -> bytes:
        """A piece of a text, of thinking or of a call."""
        if delta.kind == "block":  # whole blocks of a provider's own have no words here
            return b""
        index = delta.index
        self._said[index] = self._said.get(index, 0) + len(delta.text)
        if delta.kind == "tool":
            said = self._called(index, delta.text, delta.id, delta.name)
        else:
            said = f'{{"{"content" if delta.kind == "text" else "reasoning_content"}":{quoted(delta.text)}'
        return f"{self._head}{said}{self._weighs_in(delta.tokens)}".encode()

    def end(self, answer: Answer, /) -> bytes:
        """What is left to say, why it ended, and what it took."""
        reply = answer.reply or NOTHING
        out: list[bytes] = []
        extra: Json = {}
        for index, block in enumerate(reply.content):
            if rest := self._rest(index, block):
                out.append(self.delta(rest))
            if type(block) is Opaque:
                self._opaque(index, block, extra, out)
            elif type(block) is ToolCall and (own := own_of(block)):
                said = compact({"tool_calls": [{"index": self._calls[index], "function": {"arguments": ""}, **own}]})
                out.append(f"{self._head}{said[:-1]}{self._tail}".encode())
        own = reply.extra.get(BY, {})
        extra |= {name: value for name, value in own.items() if name not in SAID}
        tokens = (reply.logprobs or ())[self._weighed :] if self._weighs else ()
        weights = compact(logprobs_of(tokens)) if tokens else "null"
        head = self._head
        if reply.model and reply.model != self._asked.model:
            head = head.replace(f'"model":{quoted(self._asked.model)},', f'"model":{quoted(reply.model)},', 1)
        top = "".join(f',"{name}":{compact(own[name])}' for name in TOP if name in own)
        told = f'"logprobs":{weights},"finish_reason":"{finish(reply)}"}}]{top}{self._last}'
        out.append(f"{head}{compact(extra) if extra else '{}'},{told}".encode())
        if self._asked.usage:
            common = head.partition('"choices"')[0]
            out.append(f'{common}"choices":[],"usage":{compact(usage_of(reply.usage))}}}\n\n'.encode())
        out.append(DONE)
        return b"".join(out)

    def broken(self, message: str, /) -> bytes:
        """An error, which the SDK raises; what came before it is no whole answer."""
        return f"data: {compact(error(500, message))}\n\n".encode()

    def ping(self) -> bytes:
        """A comment."""
        return PING

    def _called(self, index: int, text: str, call: str, name: str) -> str:
        """A piece of a call, open at its end; the first has its id and its name."""
        if index in self._calls:
            return f'{{"tool_calls":[{{"index":{self._calls[index]},"function":{{"arguments":{quoted(text)}}}}}]'
        number = self._calls[index] = len(self._calls)
        function = f'{{"name":{quoted(name)},"arguments":{quoted(text)}}}'
        return f'{{"tool_calls":[{{"index":{number},"id":{quoted(call)},"type":"function","function":{function}}}]'

    def _weighs_in(self, tokens: Sequence[Token]) -> str:
        """The end of a chunk, with the tokens it is of."""
        if not tokens or not self._weighs:
            return self._tail
        self._weighed += len(tokens)
        return f'}},"logprobs":{compact(logprobs_of(tokens))},"finish_reason":null}}]{self._last}'

    def _rest(self, index: int, block: Block) -> Delta | None:
        """What no piece has said of a block."""
        said = self._said.get(index, 0)
        match block:
            case Text(text) if text[said:]:
                return Delta("text", text[said:], index)
            case Thinking(text) if text[said:]:
                return Delta("thinking", text[said:], index)
            case ToolCall() if index not in self._calls:
                return Delta("tool", block.arguments or "{}", index, block.id, block.name)
            case ToolCall() if rest := (block.arguments or "{}")[said:]:
                return Delta("tool", rest, index)
            case _:
                return None

    def _opaque(self, index: int, block: Opaque, extra: Json, out: list[bytes]) -> None:
        """A custom call or audio: pieces have no word for them."""
        calls: list[Json] = []
        opaque(block, extra, calls)
        for call in calls:
            number = self._calls[index] = len(self._calls)
            said = compact({"tool_calls": [{"index": number, **call}]})
            out.append(f"{self._head}{said[:-1]}{self._tail}".encode())
