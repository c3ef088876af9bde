"""What a request that is passed through asks for, and what its answer has used. Nothing is changed, little is read."""

import json
import re
from typing import Any, Final, NamedTuple

import msgspec

from fastcascade.backends.anthropic_reply import read
from fastcascade.backends.direct_json import decoded
from fastcascade.backends.direct_sse import Events, TooLong
from fastcascade.backends.openai_events import usage_of
from fastcascade.errors import BackendError, WireError
from fastcascade.messages import MOST_TOKENS, Usage
from fastcascade.wire.endpoint_paths import Words

__all__ = ["Peeked", "Reading", "once", "peek", "responses_usage"]

ENDS: Final = (b"message_stop", b"response.completed", b"response.incomplete", b"response.failed")
SPELLED: Final = re.compile(rb"\\u00[4-7]")
"""A letter as an escape, which no encoder writes, and which could spell the name of a field."""


class Peeked(NamedTuple):
    """What must be known of a body: whose model, whether it streams; and how long it is."""

    model: str
    stream: bool
    size: int


class _Look(msgspec.Struct):
    """What is read of a body; the rest is skipped."""

    model: str
    stream: bool | None = None


_LOOK: Final = msgspec.json.Decoder(_Look)


def peek(body: bytes) -> Peeked:
    """Read just that. Raises `WireError`."""
    try:
        found = _LOOK.decode(body)
    except (ValueError, RecursionError) as error:
        raise _unfit(error) from None
    return Peeked(found.model, bool(found.stream), len(body))


def once(body: bytes) -> None:
    """Refuse a body that names two models: the provider might take the one that was not looked at.

    Some servers tell fields apart by their letters but not by their case.
    """
    if body.lower().count(b'"model"') == 1 and (b"\\u00" not in body or not SPELLED.search(body)):
        return
    try:
        pairs: list[tuple[str, Any]] = json.loads(body, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise _unfit(error) from None
    if [name.lower() for name, _ in pairs].count("model") > 1:
        raise WireError("the body cannot be passed on: it says twice which model it is for", "model")


def _unfit(error: Exception) -> WireError:
    told = str(error) if isinstance(error, msgspec.ValidationError) else "it is no JSON"
    return WireError(f"the body cannot be passed on: {told}")


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
            return usage_of(given) if self._words == "chat" else responses_usage(given)
        except (BackendError, TypeError, ValueError, AttributeError, OverflowError):
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


def responses_usage(given: dict[str, Any]) -> Usage | None:
    """What a response says that it used; None of what cannot be meant."""
    asked, written = given.get("input_tokens_details") or {}, given.get("output_tokens_details") or {}
    counts = (
        int(given.get("input_tokens") or 0),
        int(given.get("output_tokens") or 0),
        int(asked.get("cached_tokens") or 0),
        0,
        int(written.get("reasoning_tokens") or 0),
    )
    return Usage(*counts) if min(counts) >= 0 and max(counts) < MOST_TOKENS else None
