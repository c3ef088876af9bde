"""What a chat completion says, whole or in chunks, as deltas and a reply: pure translation, no I/O."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from fastcascade.backends.failures import failure_kind
from fastcascade.backends.openai_events import grown, text_in, tokens_of, usage_of
from fastcascade.backends.openai_wire import Dialect
from fastcascade.blocks import nothing
from fastcascade.errors import BackendError, FailureKind
from fastcascade.messages import Block, Delta, Opaque, Reply, Stop, Text, Thinking, Token, ToolCall, Usage

__all__ = ["Pieces", "read"]

STOPS: Final[dict[str, Stop]] = {
    "stop": "end",
    "eos": "end",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool",
    "function_call": "tool",
    "content_filter": "refusal",
}
THOUGHT: Final = ("reasoning_content", "reasoning")
NAMED: Final = frozenset({"index", "id", "type", "function"})
OWN: Final = ("id", "service_tier", "system_fingerprint")
KNOWN: Final = frozenset({"role", "content", "refusal", "tool_calls", "function_call", "index", *THOUGHT, *OWN})
BROKEN: Final[dict[str, FailureKind]] = {"error": "server", "insufficient_system_resource": "overloaded"}
"""Finish reasons of a reply that was given up by who wrote it."""

Kind: TypeAlias = Literal["text", "thinking", "tool", "opaque"]


@dataclass(slots=True)
class _Piece:
    """One block of a reply, as far as it has come."""

    kind: Kind
    texts: list[str] = field(default_factory=list)
    id: str = ""
    name: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def block(self, by: str) -> Block:
        match self.kind:
            case "text":
                return Text("".join(self.texts))
            case "thinking":
                return Thinking("".join(self.texts), by=by)
            case "tool":
                return ToolCall(self.id, self.name, "".join(self.texts), {by: self.extra} if self.extra else nothing())
            case _:
                return Opaque(by, self.extra)


class Pieces:
    """A reply that comes in chunks: gives the deltas of each, and the reply that is made of them."""

    def __init__(self, dialect: Dialect, model: str, request_id: str = "") -> None:
        """Begin with nothing."""
        self.done = False
        self._dialect = dialect
        self._model = model
        self._request_id = request_id
        self._pieces: list[_Piece] = []
        self._at: dict[Any, int] = {}
        self._tokens: list[Token] | None = None
        self._waiting: tuple[Token, ...] = ()  # tokens that came without a text
        self._chosen = False
        self._finish = ""
        self._stopped = False
        self._refused = False
        self._usage: Usage | None = None
        self._own: dict[str, Any] = {}

    def event(self, data: bytes, *, error: bool = False) -> list[Delta]:
        """The deltas of an event of a stream."""
        if self.done or not data.strip():
            return []
        if data.startswith(b"[DONE]"):
            self.done = True
            return []
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError) as why:
            raise self._malformed(f"a chunk is not JSON: {why}") from None
        return self.feed({"error": chunk} if error and isinstance(chunk, dict) and "error" not in chunk else chunk)

    def feed(self, chunk: Any) -> list[Delta]:
        """The deltas of a chunk. A whole completion is one chunk, whose delta is its message."""
        try:
            return self._feed(chunk)
        except (TypeError, KeyError, AttributeError, IndexError, ValueError) as why:
            raise self._malformed(f"the completion cannot be read: {type(why).__name__}: {why}") from None

    def reply(self) -> Reply:
        """The whole; an error of kind cut or malformed where its end is missing."""
        if not self._chosen and self.done:
            raise self._malformed("the completion has no choices")
        if not self._finish and self.done:
            raise self._malformed("the reply ended without a finish_reason")
        if not self.done:
            missing = "[DONE]" if self._finish else "a finish_reason"
            raise BackendError("cut", f"the stream ended without {missing}", request_id=self._request_id)
        by = self._dialect.by
        content: list[Block] = [piece.block(by) for piece in self._pieces]
        own = dict(self._own)
        if audio := own.pop("audio", None):
            content.append(Opaque(by, {"type": "audio", "audio": audio}))
        number = self._request_id or own.pop("id", "")
        return Reply(
            tuple(content),
            self._model,
            self._stop(),
            self._usage,
            None if self._tokens is None else (*self._tokens, *self._waiting),
            number,
            raw_stop=self._finish,
            extra={by: own} if own else nothing(),
        )

    def _feed(self, chunk: Any) -> list[Delta]:
        self._check(chunk.get("error") or (chunk if chunk.get("object") == "error" else None))
        self._model = chunk.get("model") or self._model
        for name in OWN:
            if value := chunk.get(name):
                self._own[name] = value
        self._usage = usage_of(chunk.get("usage")) or self._usage
        choices = chunk.get("choices")
        if not choices:
            return []
        self._chosen = True
        return self._choice(choices[0])

    def _choice(self, choice: Any) -> list[Delta]:
        self._check(choice.get("error"))
        if finish := choice.get("finish_reason"):
            if finish in BROKEN:
                message = f"the reply was given up: finish_reason {finish}"
                raise BackendError(BROKEN[finish], message, status=200, request_id=self._request_id)
            self._finish = text_in(finish)
        self._stopped = self._stopped or isinstance(choice.get("stop_reason"), str)
        said = choice.get("delta") or choice.get("message") or {}
        deltas = list(self._said(said))
        calls: list[Any] = list(said.get("tool_calls") or ())
        if called := said.get("function_call"):  # what came before tool calls, and has no id
            calls.append({"index": "function_call", "function": called})
        deltas += [delta for number, call in enumerate(calls) if (delta := self._call(call, number)) is not None]
        for name, value in said.items():
            if name not in KNOWN and value:
                self._own[name] = grown(self._own.get(name), value)
        tokens = tokens_of(choice.get("logprobs"))
        return deltas if tokens is None and not self._waiting else self._weighed(deltas, tokens or ())

    def _said(self, said: Mapping[str, Any]) -> Iterator[Delta]:
        """What is thought, spoken and refused."""
        for name in THOUGHT:
            if thought := text_in(said.get(name)):
                yield self._grow("thinking", thought)
                break  # some say it under both names
        content = said.get("content")
        parts: Any = content if isinstance(content, list) else ({"type": "text", "text": content},)
        for part in parts:
            kind = part["type"]
            if kind == "text" and (text := text_in(part["text"])):
                yield self._grow("text", text)
            elif kind == "thinking":
                yield self._grow("thinking", "".join(text_in(each.get("text")) for each in part["thinking"]))
            elif kind != "text":
                self._pieces.append(_Piece("opaque", extra=part))
        if refusal := text_in(said.get("refusal")):
            self._refused = True
            yield self._grow("text", refusal, "refusal")

    def _grow(self, kind: Literal["text", "thinking"], text: str, key: str = "") -> Delta:
        at = self._at.setdefault(key or kind, len(self._pieces))
        if at == len(self._pieces):
            self._pieces.append(_Piece(kind))
        self._pieces[at].texts.append(text)
        return Delta(kind, text, at)

    def _call(self, call: Mapping[str, Any], number: int) -> Delta | None:
        function = call.get("function") or {}
        name, given = function.get("name"), call.get("id")
        index = call.get("index")
        key = ("tool", number if index is None else index)
        at = self._at.get(key)
        # Some give every call the same index; a call begins where there are an id and a name that are new.
        begins = at is None or bool(name and given and given != self._pieces[at].id)
        if at is None or begins:
            at = self._at[key] = len(self._pieces)
            self._pieces.append(self._begun(call, name, given))
        piece = self._pieces[at]
        if piece.kind == "opaque":
            piece.extra = grown(piece.extra, {key: value for key, value in call.items() if key != "index"})
            return None
        if more := {name: value for name, value in call.items() if name not in NAMED and value}:
            piece.extra = grown(piece.extra, more)
        arguments = function.get("arguments")
        text = json.dumps(arguments) if isinstance(arguments, dict) else text_in(arguments)
        piece.texts.append(text)
        if begins:
            return Delta("tool", text, at, piece.id, piece.name)
        return Delta("tool", text, at) if text else None

    def _begun(self, call: Mapping[str, Any], name: Any, given: Any) -> _Piece:
        if call.get("type") == "custom":
            return _Piece("opaque")
        if not name:
            raise ValueError("a tool call without a name")
        made_up = f"{self._own.get('id', 'call')}_{len(self._pieces)}"  # results must say whose they are
        return _Piece("tool", id=text_in(given) or made_up, name=text_in(name))

    def _weighed(self, deltas: list[Delta], tokens: Sequence[Token]) -> list[Delta]:
        """Hand the tokens to the deltas they are of."""
        tokens = (*self._waiting, *tokens)
        self._tokens = [] if self._tokens is None else self._tokens
        if not deltas:
            self._waiting = tokens
            return []
        self._waiting = ()
        kinds = [delta.kind for delta in deltas]
        spoken = _spoken(deltas, tokens) if "tool" in kinds else len(tokens)
        if spoken < len(tokens):
            at = kinds.index("tool")
            deltas[at] = replace(deltas[at], tokens=tuple(replace(token, tool=True) for token in tokens[spoken:]))
        if spoken:
            at = kinds.index("text") if "text" in kinds else 0
            deltas[at] = replace(deltas[at], tokens=(*tokens[:spoken], *deltas[at].tokens))
        for delta in deltas:
            self._tokens += delta.tokens
        return deltas

    def _stop(self) -> Stop:
        if self._refused:
            return "refusal"
        stop = STOPS.get(self._finish, "other")
        if stop == "end" and any(piece.kind == "tool" for piece in self._pieces):
            return "tool"  # where one tool was asked for by name, the API says no more than stop
        return "stop_sequence" if stop == "end" and self._stopped else stop

    def _check(self, error: Any) -> None:
        """Raise what is wrong, where a chunk says that something is."""
        if not error:
            return
        told = error if isinstance(error, dict) else {"message": str(error)}
        code = str(told.get("code") or "")
        status = int(code) if code.isascii() and code.isdecimal() and 400 <= int(code) < 600 else 200
        kind = failure_kind(status, str(told.get("type") or ""))
        if kind == "server" and status == 200:
            kind = failure_kind(status, code)
        message = self._dialect.hide(f"an error inside a 200: {told.get('message') or told}")
        raise BackendError(kind, message, status=status, request_id=self._request_id)

    def _malformed(self, message: str) -> BackendError:
        return BackendError("malformed", self._dialect.hide(message), request_id=self._request_id)


def read(body: Any, dialect: Dialect, model: str, request_id: str = "") -> Reply:
    """The reply of a whole completion, given as bytes or as what was read of them."""
    pieces = Pieces(dialect, model, request_id)
    pieces.event(body) if isinstance(body, bytes) else pieces.feed(body)
    pieces.done = True
    return pieces.reply()


def _spoken(deltas: Sequence[Delta], tokens: Sequence[Token]) -> int:
    """How many tokens, from the first on, are not of a tool's arguments; all where that cannot be told."""
    if any(delta.kind == "thinking" for delta in deltas):
        return len(tokens)
    text = "".join(delta.text for delta in deltas if delta.kind == "text")
    said = ""
    for number, token in enumerate(tokens):
        if said == text:
            return number
        said += token.text
    return len(tokens)
