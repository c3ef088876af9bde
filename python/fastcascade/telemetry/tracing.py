"""Spans for OpenTelemetry, with its conventions for generative AI.

    tracing = Tracing()              # the global provider's; or Tracing(provider)
    tracing.begin()

    POST /v1/chat/completions        the request: what came to the gateway or the middleware; `invoke_workflow NAME` is
      attempt small                  that of `cascade.run`. A try of a tier: verdict, score, cost
        chat haiku                   a call; what it sends to the model's server says that this span asks
      attempt large
        chat opus

Spans are made as things happen, so that a server that is asked can put its own below; what is known at the end alone
comes from the decision. A request of which nothing was traced when it was answered gets its span afterwards. Its
parent is the span that is current where it comes in, or else that of the `traceparent` that came with it. Where
OpenTelemetry's API is there without its SDK, all of this does nothing.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, Self

from fastcascade import spans
from fastcascade.errors import ConfigError
from fastcascade.telemetry.events import HUB, Decision, Event

try:
    from opentelemetry import context, trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    raise ConfigError("tracing needs OpenTelemetry: pip install 'fastcascade[otel]'") from None

from fastcascade.telemetry.tracing_trail import KEY, Trail

__all__ = ["Tracing"]

PARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,400})?", re.ASCII
)
"""A `traceparent`; what a version to come adds to it is passed over."""
MEMBER: Final = r"[a-z0-9][a-z0-9_*/@-]{0,255}=[!-+\--<>-~]{1,256}"
STATE: Final = re.compile(rf"{MEMBER}(?:,\s?{MEMBER}){{0,31}}", re.ASCII)
STATE_LONGEST: Final = 512
W3C: Final = TraceContextTextMapPropagator()


class Tracing:
    """Makes spans of all that cascades, middleware and gateways in this process do, from `begin` to `end`.

    Args:
        provider: whose spans they are; the global one by default.
        texts: whether prompts, answers and the reasons of gates, which may repeat them, are part of them.
        share: of requests that come without a trace, how many get one. Those that come with one go by it.
    """

    def __init__(
        self, provider: "trace.TracerProvider | None" = None, *, texts: bool = False, share: float = 1.0
    ) -> None:
        """Trace nothing yet."""
        if not 0 <= share <= 1:
            msg = f"tracing: share goes from 0 to 1, and is {share!r}"
            raise ConfigError(msg)
        self.texts, self.share, self.provider = texts, share, provider
        self.tracer = trace.get_tracer("fastcascade", tracer_provider=provider)
        self._unsubscribe: Callable[[], None] | None = None

    def begin(self) -> None:
        """Trace from here on."""
        if spans.tracer is not None:
            raise ConfigError("tracing: something in this process traces already; end that first")
        spans.tracer = self
        self._unsubscribe = HUB.subscribe(self.heard)

    def end(self) -> None:
        """Trace no more, and have what waits sent, where the provider was given and can do that."""
        if spans.tracer is self:
            spans.tracer = None
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        flush = getattr(self.provider, "force_flush", None)
        if flush is not None:
            flush()

    def __enter__(self) -> Self:
        """Trace for a block."""
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.end()

    # What `spans` asks for.

    def begun(self, headers: Mapping[str, str] | None = None, *, served: bool = False) -> Trail:
        """A request has come."""
        return Trail(self, self._around(headers or {}), served=served)

    def current(self) -> Trail | None:
        """The trail that what runs here belongs to."""
        trail: Trail | None = context.get_value(KEY)  # type: ignore[assignment] # nobody else has this key
        return trail

    def headers(self) -> dict[str, str]:
        """What tells a server which span asks it."""
        told: dict[str, str] = {}
        W3C.inject(told)
        return told

    def heard(self, event: Event) -> None:
        """A request is over: that of the trail that is current here, or one of which nothing was traced."""
        if type(event) is not Decision:
            return
        trail = self.current()
        if trail is not None and not trail.over:
            trail.finish(event)
        elif trail is None or not trail.has_heard(event.answer):
            around = self._around({"traceparent": event.parent})
            end = int(event.at * 1e9)
            began = end - int((event.seconds or 0.0) * 1e9)
            Trail(self, around, served=bool(event.status), began=began).finish(event, end)

    @staticmethod
    def _around(headers: Mapping[str, str]) -> context.Context:
        """Where a request stands: the span that is current has the word before the headers."""
        around = context.get_current()
        parent = headers.get("traceparent", "").strip()
        if not parent or trace.get_current_span(around).get_span_context().is_valid:
            return around
        if PARENT.fullmatch(parent) is None or (parent.startswith("00") and parent.count("-") > 3):
            return around
        told, state = {"traceparent": parent}, headers.get("tracestate", "").strip()
        if len(state) <= STATE_LONGEST and STATE.fullmatch(state) is not None:
            told["tracestate"] = state
        return W3C.extract(told, around)
