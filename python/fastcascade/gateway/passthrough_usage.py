"""What a request that is passed through asks for, and what its answer has used. Nothing is changed, little is read."""

import json
import re
from typing import Any, Final

import msgspec

from fastcascade.backends.anthropic_reply import read
from fastcascade.backends.direct_json import decoded
from fastcascade.backends.direct_sse import Events, TooLong
from fastcascade.backends.openai_events import usage_of
from fastcascade.errors import BackendError
from fastcascade.messages import Usage
from fastcascade.wire.endpoint_paths import Words
from fastcascade.wire.format import WireError

__all__ = ["Peeked", "Reading", "peek"]

ENDS: Final = (b"message_stop", b"response.completed", b"response.incomplete", b"response.failed")
SPELLED: Final = re.compile(rb"\\u00[67]")
"""A letter as an escape, which no encoder writes, and which could spell the name of a field."""


class Peeked(msgspec.Struct, frozen=True):
    """What must be known of a body: whose model, whether it streams; and how long it is."""

    model: str
    stream: bool | None = None
    size: int = 0


_PEEK: Final = msgspec.json.Decoder(Peeked)


def peek(body: bytes) -> Peeked:
    """Read just that. Raises `WireError`.

    A body that names two models is refused: the provider might take the one that was not checked.
    """
    try:
        found = _PEEK.decode(body)
        if body.count(b'"model"') != 1 or SPELLED.search(body):
            json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        told = str(error) if isinstance(error, msgspec.ValidationError | _TwiceError) else "it is no JSON"
        msg = f"the body cannot be passed on: {told}"
        raise WireError(msg) from None
    return Peeked(found.model, found.stream, len(body))


class _TwiceError(ValueError):
    """A field that is there twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs) and [name for name, _ in pairs].count("model") > 1:
        raise _TwiceError("it says twice which model it is for")
    return made


class Reading:
    """Reads what an answer used out of its bytes: `whole`, or `feed` for a stream; then look at the rest.

    Args:
        words: in which format it comes.
    """

    __slots__ = ("_events", "_usage", "_words", "ended", "id", "model", "pieces")

    def __init__(self, words: Words) -> None:
        """Begin with nothing."""
        self._words = words
        self._events: Events | None = Events()
        self._usage: dict[str, Any] = {}
        self.model = ""
        self.id = ""
        self.pieces = 0  # events of a stream, each about a token
        self.ended = False  # the stream has said that it is whole

    def whole(self, body: bytes) -> None:
        """Take in a body."""
        self.ended = True
        self._take(body)

    def feed(self, data: bytes) -> None:
        """Take in bytes of a stream. What makes no sense is the client's to find."""
        if self._events is None:
            return
        try:
            events = self._events.feed(data)
        except TooLong:
            self._events = None
            return
        for name, said in events:
            self.pieces += 1
            if name in ENDS or said.startswith(b"[DONE]"):
                self.ended = True
            if b'"usage"' in said and b'"usage":null' not in said:
                self._take(said)

    @property
    def usage(self) -> Usage | None:
        """What was used; None where nothing was said of it."""
        given = self._usage
        if not given:
            return None
        try:
            if self._words == "anthropic":
                return read({"content": [], "model": "", "stop_reason": "", "usage": given}).usage
            return usage_of(given) if self._words == "chat" else _responses(given)
        except (BackendError, TypeError, ValueError, AttributeError):
            return None

    def _take(self, said: bytes) -> None:
        try:
            found = decoded(said)
        except (ValueError, RecursionError):
            return
        if not isinstance(found, dict):
            return
        within = found.get("message") or found.get("response")
        for each in (within, found):
            if isinstance(each, dict):
                self.model = str(each.get("model") or self.model)
                self.id = str(each.get("id") or self.id)
                usage = each.get("usage")
                if isinstance(usage, dict):  # a later event amends what an earlier one said
                    self._usage.update({name: value for name, value in usage.items() if value is not None})


def _responses(given: dict[str, Any]) -> Usage:
    asked, written = given.get("input_tokens_details") or {}, given.get("output_tokens_details") or {}
    return Usage(
        int(given.get("input_tokens") or 0),
        int(given.get("output_tokens") or 0),
        int(asked.get("cached_tokens") or 0),
        0,
        int(written.get("reasoning_tokens") or 0),
    )
