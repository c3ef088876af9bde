"""Anthropic's Messages for `Direct`."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from fastcascade.backends.anthropic_reply import Assembly, named, raise_error, read
from fastcascade.backends.anthropic_wire import CLASSIC, CLASSIC_VERSION, Style, write
from fastcascade.backends.direct_json import decoded, encoded
from fastcascade.backends.direct_links import Exchange
from fastcascade.backends.direct_parse import LinkError
from fastcascade.backends.direct_schema import shape
from fastcascade.backends.direct_sse import Events, TooLong
from fastcascade.backends.direct_wire import Said
from fastcascade.backends.failures import failure_kind, retry_after
from fastcascade.errors import BackendError, FailureKind
from fastcascade.messages import Delta, Reply, Request

__all__ = ["VERSION", "Messages"]

VERSION: Final = "2026-10-21"
"""The version of the API that is asked for, where a model is not a classic one: the SDK's own."""
NO_MORE: Final[dict[str, str]] = {}
"""Headers beside those that are always sent."""
EVENTS: Final = frozenset(
    {
        *(b"", b"message", b"ping", b"error", b"message_start", b"message_delta", b"message_stop"),
        *(b"content_block_start", b"content_block_delta", b"content_block_stop"),
    }
)
"""Names of events that are read; a newer kind need not even be JSON."""


class Messages:
    """How Messages are asked for, and read."""

    path = "/v1/messages"
    alive = "/v1/models?limit=1"

    def __init__(self, model: str, max_tokens: int, *, classic: bool) -> None:
        """Keep what is the same for all requests."""
        self.always = {"anthropic-version": CLASSIC_VERSION if classic else VERSION}
        self._style = Style(model, max_tokens, classic, shape)

    def asks(self, request: Request, /, *, stream: bool) -> Said:
        """Write a request."""
        body, headers, not_sent = write(request, self._style)
        body["stream"] = stream
        return Said(encoded(body), NO_MORE if headers is CLASSIC else headers, not_sent)

    def request_id(self, exchange: Exchange, /) -> str:
        """What Anthropic calls it."""
        return exchange.header("request-id")

    def reply(self, body: bytes, request_id: str, not_sent: Sequence[str], /) -> Reply:
        """Read a message."""
        return read(_json(body, "the answer"), request_id=request_id, not_sent=not_sent)

    def flow(self, exchange: Exchange, request_id: str, not_sent: Sequence[str], /) -> "Flow":
        """Begin to read events, or the error that comes in their place."""
        whole = exchange.header("content-type").startswith("application/json")
        return Flow(request_id, not_sent, whole=whole)

    def refused(self, exchange: Exchange, body: bytes, request_id: str, /) -> Reply:
        """Raise what a status means."""
        said = _object(body)
        what = said.get("error")
        what = what if isinstance(what, dict) else {}
        told = str(what.get("message") or what.get("type") or body.decode(errors="replace").strip())
        raise BackendError(
            failure_kind(exchange.status, *named(what)),
            told or f"status {exchange.status}",
            status=exchange.status,
            retry_after=retry_after(dict(exchange.headers)),
            request_id=request_id or str(said.get("request_id") or ""),
        )

    def broken(self, error: LinkError, /, *, stream: bool) -> FailureKind:
        """Once a response has begun, what breaks HTTP is malformed, and what ends too soon is cut."""
        del stream
        if error.kind == "garbled":
            return "malformed" if error.began else "connection"
        return error.kind


class Flow:
    """A message as it streams in."""

    def __init__(self, request_id: str, not_sent: Sequence[str], *, whole: bool) -> None:
        """Begin with nothing."""
        self.done = False
        self._assembly = Assembly()
        self._events = Events()
        self._body: list[bytes] | None = [] if whole else None
        self._request_id, self._not_sent = request_id, not_sent

    def feed(self, data: bytes, /) -> Iterator[Delta]:
        """The pieces within these bytes; those that came before an error are given before it is raised."""
        if self._body is not None:
            self._body.append(data)
            return
        assembly = self._assembly
        try:
            events = self._events.feed(data)
        except TooLong:
            raise BackendError("malformed", "an event of the stream has no end") from None
        for name, said in events:
            if name not in EVENTS:
                continue
            if name == b"error":
                _failed(said)
            delta = assembly.feed(_json(said, "an event of the stream"))
            if delta is not None:
                yield delta
            if assembly.done:
                self.done = True
                return

    def end(self) -> Iterator[Delta]:
        """Nothing; but what came whole where a stream was asked for is an error."""
        if self._body is None:
            return iter(())
        body = _json(b"".join(self._body), "the answer")
        if isinstance(body, dict) and body.get("type") == "error":
            raise_error(body)
        raise BackendError("malformed", "a whole answer came where a stream was asked for")

    def reply(self) -> Reply:
        """The whole."""
        if not self.done:
            raise BackendError("cut", "the stream ended without message_stop", request_id=self._request_id)
        return self._assembly.reply(request_id=self._request_id, not_sent=self._not_sent)


def _json(data: bytes, what: str) -> Any:
    try:
        return decoded(data)
    except (ValueError, RecursionError) as error:
        why = type(error).__name__
    raise BackendError("malformed", f"{what} is no JSON: {why}")


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = decoded(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _failed(said: bytes) -> None:
    """Raise what an event called error says, whatever its form."""
    body = _object(said)
    if isinstance(body.get("error"), dict):
        raise_error(body)
    raise BackendError("server", said.decode(errors="replace").strip() or "an error without a message", status=200)
