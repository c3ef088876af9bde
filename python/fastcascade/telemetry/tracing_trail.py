"""What is traced of one request: a span for it, one for each attempt, one for each call."""

import random
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from fastcascade.asking import instant
from fastcascade.telemetry import tracing_said as words
from fastcascade.telemetry.tracing_calls import Asking, Traced, closed, held, opened

if TYPE_CHECKING:
    from fastcascade.answers import Answer, Attempt
    from fastcascade.effects import Outcome
    from fastcascade.messages import Request
    from fastcascade.telemetry.events import Decision
    from fastcascade.telemetry.tracing import Tracing

__all__ = ["KEY", "Trail"]

KEY: Final = context.create_key("fastcascade")
WRONG: Final = frozenset({"failed", "incomplete"})
ERRORS: Final = 500
MOST: Final = 64
"""Answers of one request that are remembered as told."""


class Trail:
    """See `spans.Trail`.

    Args:
        tracing: whose it is.
        around: where the request stands.
        served: whether it came over a network.
        began: when, in nanoseconds since 1970; now by default.
    """

    __slots__ = (
        "_around",
        "_at",
        "_entered",
        "_last",
        "_outside",
        "_span",
        "_tiers",
        "began",
        "heard",
        "kind",
        "over",
        "tracing",
        "wanted",
    )

    def __init__(
        self, tracing: "Tracing", around: context.Context, *, served: bool = False, began: int | None = None
    ) -> None:
        """Begin no span yet."""
        self.tracing, self._around = tracing, around
        self.began = time.time_ns() if began is None else began
        parent = get_current_span(around).get_span_context()
        local = parent.is_valid and not parent.is_remote
        self.kind = SpanKind.SERVER if served and not local else SpanKind.INTERNAL
        outside: Trail | None = around.get(KEY)  # type: ignore[assignment] # nobody else has this key
        self._outside = outside
        self.wanted: bool = _wanted(tracing.share, parent) if outside is None else outside.wanted
        self._span: Span | None = None
        self._at = around
        self._tiers: dict[str, tuple[Span, context.Context]] = {}
        self._last: dict[str, int] = {}  # when the last call of a tier ended
        self._entered: AbstractContextManager[None] | None = None
        self.heard: list[Answer] = []  # that were told of by trails within this one
        self.over = False

    @property
    def span(self) -> Span:
        """That of the request, begun when it is first needed."""
        span = self._span
        if span is None:
            span = self._begun() if self.wanted else _unwanted()
            self._span = span
            self._at = context.set_value(KEY, self, set_span_in_context(span, self._around))
        return span

    @property
    def at(self) -> context.Context:
        """The context in which it is current."""
        if self._span is None:
            _ = self.span
        return self._at

    def _begun(self) -> Span:
        return opened(self.tracing.tracer, "request", self._around, self.kind, at=self.began)

    # Being current.

    def __enter__(self) -> Self:
        """Be current."""
        self._entered = held(self.at)
        self._entered.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Be over."""
        if self._entered is not None:
            self._entered.__exit__(None, None, None)
        if not self.over:
            self._end({}, None)

    def within(self) -> AbstractContextManager[None]:
        """Be current for a block, and go on after it."""
        return held(self.at)

    # What happens.

    def call(
        self, backend: Any, request: "Request", label: str, /, *, stream: bool = False, current: bool = True
    ) -> Asking:
        """A call to a model begins."""
        if not self.wanted:
            return Asking(self.span, self.at, current=current)
        texts, tier = self.tracing.texts, words.tier_of(label)[0]
        said = words.asked(backend, request, label, stream=stream, texts=texts)
        around = self._tier(tier) if tier else self.at
        span = self._started(f"chat {said['gen_ai.request.model']}", around, said)
        last = self._last
        return Asking(span, around, lambda now: last.__setitem__(tier, now), texts=texts, current=current)

    def passed(
        self, name: str, url: str, method: str, /, *, model: str = "", speaks: str = "", stream: bool = False
    ) -> Asking:
        """A request is passed on as it came: to a model's provider, or to an app."""
        if not self.wanted:
            return Asking(self.span, self.at)
        said = words.passed(name, url, method, model=model, speaks=speaks, stream=stream)
        around = self._tier(name) if model else self.at
        return Asking(self._started(f"chat {words.fit(model)}" if model else words.verb(method), around, said), around)

    def stream(self, stream: Any, backend: Any, request: "Request", label: str, /) -> Any:
        """A stream that begins with its first piece, traced; that of what needs no I/O as it is."""
        if instant(backend) is not None:
            return stream
        return Traced(stream, lambda: self.call(backend, request, label, stream=True, current=False))

    @staticmethod
    def ended(stream: Any, outcome: "Outcome", /) -> None:
        """How a traced stream ended."""
        if type(stream) is Traced:
            stream.told(outcome)

    def _started(self, name: str, around: context.Context, said: Mapping[str, Any]) -> Span:
        return opened(self.tracing.tracer, name, around, SpanKind.CLIENT, said)

    def _tier(self, name: str) -> context.Context:
        """Where calls of a tier stand: below its attempt, which begins with the first of them."""
        if self.over:
            return self.at
        found = self._tiers.get(name)
        if found is None:
            span = opened(self.tracing.tracer, f"attempt {name}", self.at, said={"fastcascade.tier": name})
            found = self._tiers[name] = (span, set_span_in_context(span, self.at))
        return found[1]

    # Ends.

    def has_heard(self, answer: "Answer | None") -> bool:
        """Whether a trail within this one has told of it."""
        return any(each is answer for each in self.heard)

    def finish(self, event: "Decision", now: int | None = None) -> None:
        """It is over, and this is what came of it."""
        span, texts, answer = self.span, self.tracing.texts, event.answer
        told: dict[str, Any] = {}
        if self.wanted and span.is_recording():
            inside = self.has_heard(answer)
            told = words.decided(event, texts=texts, inside=inside)
            named = (
                f"{words.verb(event.method)} {told.get('http.route', '')}"
                if event.status
                else f"invoke_workflow {event.cascade}"
            )
            span.update_name(named.strip() or "request")
            if answer is not None and not inside:
                self._attempts(answer, event)
            if wrong := _wrong(event):
                told["error.type"] = wrong
                span.set_status(Status(StatusCode.ERROR, wrong))
        if self._outside is not None and answer is not None and len(self._outside.heard) < MOST:
            self._outside.heard.append(answer)
        self._end(told, now)

    def _attempts(self, answer: "Answer", event: "Decision") -> None:
        """End their spans; those that asked nobody get theirs now."""
        start = int((event.at - answer.latency) * 1e9)
        ladder = () if event.ladder is None else event.ladder.rungs
        gates = {each.name: str(getattr(each.gate, "name", "")) for each in ladder}
        for attempt in answer.attempts:
            began = start + int(attempt.started * 1e9)
            known = self._tiers.pop(attempt.tier, None)
            if known is None:
                span = opened(self.tracing.tracer, f"attempt {attempt.tier}", self.at, at=began)
            else:
                span = known[0]
            self._judged(span, attempt, gates.get(attempt.tier, ""))
            closed(span, max(began + int(attempt.latency * 1e9), self._last.get(attempt.tier, 0)))

    def _judged(self, span: Span, attempt: "Attempt", gate: str) -> None:
        span.set_attributes(words.attempted(attempt, gate, texts=self.tracing.texts))
        if attempt.verdict in WRONG and attempt.error is not None:
            span.set_status(Status(StatusCode.ERROR, attempt.error.kind))

    def _end(self, told: Mapping[str, Any], now: int | None) -> None:
        self.over = True
        for each, _ in self._tiers.values():
            closed(each)
        self._tiers.clear()
        self.span.set_attributes(told)
        closed(self.span, time.time_ns() if now is None else now)


def _wanted(share: float, parent: SpanContext) -> bool:
    return share >= 1 or parent.is_valid or random.random() < share


def _wrong(event: "Decision") -> str:
    """What went wrong here; what its client did wrong, or has given up, did not."""
    failure = event.failure.removeprefix("error: ")
    if event.status:
        return failure or str(event.status) if event.status >= ERRORS else ""
    return "" if failure == "cancelled" else failure


def _unwanted() -> Span:
    """A span that nobody keeps, and that tells those below so."""
    made = SpanContext(random.getrandbits(128) or 1, random.getrandbits(64) or 1, False, TraceFlags(0))  # noqa: FBT003 # as it is called
    return NonRecordingSpan(made)
