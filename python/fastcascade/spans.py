"""Where tracing takes hold of what happens: nothing does, until somebody sets `tracer`.

    if spans.tracer is not None: ...

is all that it costs then. `telemetry.tracing` sets it; nothing else here knows OpenTelemetry.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

if TYPE_CHECKING:
    from fastcascade.effects import Outcome
    from fastcascade.messages import Request, Usage

__all__ = ["CallSpan", "Tracer", "Trail", "current", "headers", "told", "tracer", "within"]

NAMES: Final = ("traceparent", "tracestate")
NOTHING: Final[AbstractContextManager[None]] = nullcontext()


class CallSpan(Protocol):
    """One call, from when it is made. It is current in its task until it ends."""

    def end(self, outcome: "Outcome | None", /) -> None:
        """It is over; None is one that was given up. Only the first word counts."""
        ...

    def answered(self, status: int, /, failure: str = "", model: str = "", usage: "Usage | None" = None) -> None:
        """It is over: what was passed on was answered with this status, or came to nothing."""
        ...

    def left(self) -> None:
        """It is current no more, and goes on."""
        ...


class Trail(Protocol):
    """What is traced of one request, of which one decision will be told.

    As a block it is current within it, and over with it, should its decision not have been told by then.
    """

    def __enter__(self) -> Self:
        """Be current."""
        ...

    def __exit__(self, *_: object) -> None:
        """Be over."""
        ...

    def within(self) -> AbstractContextManager[Any]:
        """Be current for a block, and go on after it."""
        ...

    def call(self, backend: Any, request: "Request", label: str, /) -> CallSpan:
        """A call to a model begins."""
        ...

    def passed(
        self, name: str, url: str, method: str, /, *, model: str = "", speaks: str = "", stream: bool = False
    ) -> CallSpan:
        """A request is passed on as it came, to what goes by this name: an app, or the provider of a model."""
        ...

    def stream(self, stream: Any, backend: Any, request: "Request", label: str, /) -> Any:
        """A stream that begins with its first piece, traced."""
        ...

    def ended(self, stream: Any, outcome: "Outcome", /) -> None:
        """How a traced stream ended; whoever reads it knows better than it does."""
        ...


class Tracer(Protocol):
    """What makes trails."""

    def begun(self, headers: Mapping[str, str] | None = None, *, served: bool = False) -> Trail:
        """A request has come: with these headers, names in lower case, and over a network where it is `served`."""
        ...

    def current(self) -> Trail | None:
        """The trail that what runs here belongs to."""
        ...

    def headers(self) -> dict[str, str]:
        """What tells a server which span asks it."""
        ...

    def heard(self, event: Any, /) -> None:
        """A decision, where it is not told through `telemetry.events` at once."""
        ...


tracer: Tracer | None = None
"""Who traces; nobody by default."""


def current() -> Trail | None:
    """The trail that what runs here belongs to."""
    return None if tracer is None else tracer.current()


def headers() -> dict[str, str]:
    """What tells a server which span asks it: `traceparent`, and `tracestate` where there is one."""
    return {} if tracer is None else tracer.headers()


def told(header: Callable[[str], str]) -> dict[str, str]:
    """What a request that came in says of the span that asks it."""
    return {name: value for name in NAMES if (value := header(name))}


def within(trail: Trail | None) -> AbstractContextManager[Any]:
    """A trail that is current for a block; for None nothing is."""
    return NOTHING if trail is None else trail.within()
