"""Spans of calls: to a model, whole or as a stream, and of what is passed on as it came.

A span is current in its task while its call is made, so that what the call sends says which span asks, and so that
spans of an HTTP client's own instrumentation stand below it. It ends however the call does.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from fastcascade.effects import Outcome
from fastcascade.telemetry import tracing_said as words

if TYPE_CHECKING:
    from contextvars import Token

    from fastcascade.messages import Reply, Usage

__all__ = ["Asking", "Traced", "closed", "held", "opened"]

log: Final = logging.getLogger("fastcascade")
ERRORS: Final = 400
GIVEN_UP: Final = {"fastcascade.cancelled": True}


def opened(
    tracer: Tracer,
    name: str,
    around: context.Context,
    kind: SpanKind = SpanKind.INTERNAL,
    said: Mapping[str, Any] | None = None,
    at: int | None = None,
) -> Span:
    """A span that begins. Where a sampler or a processor of somebody's fails, the request is not to."""
    try:
        return tracer.start_span(name.encode("utf-8", "replace").decode(), around, kind, said, start_time=at)
    except Exception as error:  # noqa: BLE001 - it may raise anything
        log.warning("a span could not be begun: %s", type(error).__name__)
        return NonRecordingSpan(get_current_span(around).get_span_context())


def closed(span: Span, now: int | None = None) -> None:
    """End it, likewise."""
    try:
        span.end(now)
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("a span could not be ended: %s", type(error).__name__)


@contextmanager
def held(at: context.Context) -> Iterator[None]:
    """Have this context for a block."""
    token = context.attach(at)
    try:
        yield
    finally:
        left(at, token)


def left(at: context.Context, token: "Token[context.Context]") -> None:
    """Leave a context, where it is the one: a generator that the collector ends runs in another task than before."""
    if context.get_current() is at:
        context.detach(token)


class Asking:
    """One call."""

    __slots__ = ("_at", "_ended", "_over", "_span", "_started", "_texts", "_token")

    def __init__(
        self,
        span: Span,
        around: context.Context,
        ended: Callable[[int], object] | None = None,
        *,
        texts: bool = False,
        current: bool = True,
    ) -> None:
        """It begins, and is current from here on, unless it is said otherwise."""
        self._span, self._ended, self._texts = span, ended, texts
        self._at = set_span_in_context(span, around)
        self._token = context.attach(self._at) if current else None
        self._started = time.perf_counter()
        self._over = False

    def left(self) -> None:
        """Be current no more; it goes on."""
        token, self._token = self._token, None
        if token is not None:
            left(self._at, token)

    def held(self) -> Any:
        """Be current for a block."""
        return held(self._at)

    def came(self) -> None:
        """The first piece of a stream has come."""
        self._span.set_attribute("gen_ai.response.time_to_first_chunk", time.perf_counter() - self._started)

    def end(self, outcome: Outcome | None, /) -> None:
        """It is over; None is one that was given up. Only the first word counts."""
        self.left()
        if self._over:
            return
        self._over = True
        span = self._span
        if span.is_recording():
            failure = None if outcome is None else outcome.failure
            if outcome is None or (failure is not None and failure.kind == "cancelled"):
                span.set_attributes(GIVEN_UP)
            elif failure is not None:
                span.set_attributes(words.failed(failure.kind, failure.status))
                span.set_status(Status(StatusCode.ERROR, failure.kind))
            else:
                reply: Reply | None = outcome.value
                span.set_attributes(words.replied(reply, texts=self._texts))
        self._closed()

    def answered(self, status: int, /, failure: str = "", model: str = "", usage: "Usage | None" = None) -> None:
        """It is over: what was passed on was answered with this status, or came to nothing."""
        self.left()
        if self._over:
            return
        self._over = True
        span = self._span
        if span.is_recording():
            if status:
                span.set_attribute("http.response.status_code", status)
            if model:
                span.set_attribute("gen_ai.response.model", words.fit(model))
            if usage is not None:
                span.set_attributes(words.used(usage))
            if failure == "cancelled":
                span.set_attributes(GIVEN_UP)
            elif failure or status >= ERRORS:
                kind = failure or str(status)
                span.set_attribute("error.type", kind)
                span.set_status(Status(StatusCode.ERROR, kind))
        self._closed()

    def _closed(self) -> None:
        now = time.time_ns()
        closed(self._span, now)
        if self._ended is not None:
            self._ended(now)


class Traced:
    """A stream whose span begins with its first piece, and ends with it."""

    __slots__ = ("_begin", "_call", "_stream", "relay")

    def __init__(self, stream: Any, begin: Callable[[], Asking]) -> None:
        """Begin nothing yet."""
        self._stream, self._begin = stream, begin
        self._call: Asking | None = None
        if hasattr(stream, "relay"):
            self.relay = self._relay

    def __aiter__(self) -> Self:
        """Iterate over its pieces."""
        return self

    async def __anext__(self) -> Any:
        """The next piece. How it ended is told by whoever reads it, who knows why."""
        call, first = self._call, False
        if call is None:
            call, first = self._begin(), True
            self._call = call
        with call.held():
            piece = await anext(self._stream)
        if first:
            call.came()
        return piece

    async def _relay(self, take: Callable[..., Any]) -> Any:
        if self._call is None:
            self._call = self._begin()
        with self._call.held():
            return await self._stream.relay(take)

    def told(self, outcome: Outcome) -> None:
        """How it ended."""
        if self._call is not None:
            self._call.end(outcome)

    async def aclose(self) -> None:
        """Close it; where nobody has told how it ended, it was not wanted any more."""
        try:
            close = getattr(self._stream, "aclose", None)
            if close is not None:
                await close()
        finally:
            if self._call is not None:
                self._call.end(None)
