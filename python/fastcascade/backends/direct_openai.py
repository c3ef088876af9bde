"""Chat completions for `Direct`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from fastcascade.backends.direct_json import decoded, encoded
from fastcascade.backends.direct_links import Exchange
from fastcascade.backends.direct_parse import LinkError
from fastcascade.backends.direct_sse import Events, TooLong
from fastcascade.backends.direct_wire import Said
from fastcascade.backends.failures import REFUSALS, failure_kind, retry_after
from fastcascade.backends.openai_reply import Pieces, read
from fastcascade.backends.openai_wire import Dialect, chat, own_options
from fastcascade.errors import BackendError, FailureKind
from fastcascade.messages import Delta, Reply, Request

__all__ = ["Chat"]

REQUEST_ID: Final = "x-request-id"


class Chat:
    """How completions are asked for, and read."""

    path = "/chat/completions"

    def __init__(self, model: str, dialect: Dialect, *, logprobs: bool) -> None:
        """Keep what is the same for all requests."""
        self._model, self._dialect, self._logprobs = model, dialect, logprobs
        self.always: Mapping[str, str] = {}
        self.alive = f"/models/{quote(model, safe='')}"

    def asks(self, request: Request, /, *, stream: bool) -> Said:
        """Write a request."""
        sent = chat(request, self._model, self._dialect, logprobs=self._logprobs)
        own = own_options(request, "openai")
        told = own.pop("stream_options", {})
        if stream:
            sent["stream"] = True
            if told is not None:  # an endpoint that knows no such thing is spared it
                sent["stream_options"] = {"include_usage": True, **told}
        sent.update(own)
        return Said(encoded(sent), {}, ())

    def request_id(self, exchange: Exchange, /) -> str:
        """What OpenAI calls it."""
        return exchange.header(REQUEST_ID)

    def reply(self, body: bytes, request_id: str, not_sent: Sequence[str], /) -> Reply:
        """Read a completion."""
        del not_sent  # all has a place here, or is refused
        return read(_json(body), self._dialect, self._model, request_id)

    def flow(self, exchange: Exchange, request_id: str, not_sent: Sequence[str], /) -> "Flow":
        """Begin to read chunks; one that does not stream, as some do not, answers with one body."""
        del not_sent
        whole = "json" in exchange.header("content-type")
        return Flow(Pieces(self._dialect, self._model, request_id), whole=whole)

    def refused(self, exchange: Exchange, body: bytes, request_id: str, /) -> Reply:
        """Raise what a status means; a model that will not answer this has replied."""
        what, words = _error(body)
        message = (
            f"{exchange.status}: {what.get('message') or body.decode(errors='replace').strip() or 'no reason given'}"
        )
        meant = BackendError(
            failure_kind(exchange.status, *words),
            self._dialect.hide(message),
            status=exchange.status,
            retry_after=retry_after(dict(exchange.headers)),
            request_id=request_id,
        )
        refusing = next((word for word in words if word in REFUSALS), "")
        if not refusing:
            raise meant
        said = {"refused": meant.failure.message}
        return Reply((), stop="refusal", id=request_id, raw_stop=refusing, extra={self._dialect.by: said})

    def broken(self, error: LinkError, /, *, stream: bool) -> FailureKind:
        """A whole reply that breaks off never was one: nothing of it had been seen."""
        if error.kind in ("cut", "garbled"):
            return "cut" if stream and error.began else "connection"
        return error.kind if error.kind != "garbled" else "connection"


class Flow:
    """A completion as it streams in."""

    def __init__(self, pieces: Pieces, *, whole: bool) -> None:
        """Begin with nothing."""
        self.done = False
        self._pieces = pieces
        self._events = Events()
        self._body: list[bytes] | None = [] if whole else None

    def feed(self, data: bytes, /) -> Iterator[Delta]:
        """The pieces within these bytes; those that came before an error are given before it is raised."""
        if self._body is not None:
            self._body.append(data)
            return
        try:
            events = self._events.feed(data)
        except TooLong:
            raise BackendError("malformed", "an event of the stream has no end") from None
        for name, said in events:
            yield from self._event(name, said)
            if self.done:
                return

    def end(self) -> Iterator[Delta]:
        """What is left: a whole body, or a last [DONE] without its blank line."""
        if self._body is not None:
            body = b"".join(self._body)
            if body.strip():
                yield from self._pieces.feed(_json(body))
            self._pieces.done = True
        elif not self.done and self._events.end().startswith(b"[DONE]"):
            self._pieces.done = True

    def reply(self) -> Reply:
        """The whole."""
        return self._pieces.reply()

    def _event(self, name: bytes, said: bytes) -> Sequence[Delta]:
        if said.startswith(b"[DONE]"):
            self.done = self._pieces.done = True
            return ()
        if not said.strip():
            return ()
        chunk = _json(said)
        if name.strip() == b"error" and isinstance(chunk, dict) and "error" not in chunk:
            chunk = {"error": chunk}
        return self._pieces.feed(chunk)


def _json(data: bytes) -> Any:
    try:
        return decoded(data)
    except (ValueError, RecursionError) as error:
        why = type(error).__name__
    raise BackendError("malformed", f"a chunk is not JSON: {why}")


def _error(body: bytes) -> tuple[dict[str, Any], list[str]]:
    """What the body of an error holds, and what the error is called: its type, what Azure says within, its code."""
    try:
        found = decoded(body)
    except (ValueError, RecursionError):
        return {}, []
    what = found.get("error", found) if isinstance(found, dict) else None
    if not isinstance(what, dict):
        return {"message": what if isinstance(what, str) else ""}, []
    within = what.get("innererror")
    words = [what.get("type"), within.get("code") if isinstance(within, dict) else None, what.get("code")]
    return what, [word for word in words if isinstance(word, str)]
