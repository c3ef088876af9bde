"""What was decided, told once for each request: log, metrics, traces, the store and the console hear the same.

    end = subscribe(lambda event: print(event))

Whoever is outermost tells: the gateway of what came to it, the middleware likewise, else the endpoint of an SDK's
client, else the cascade. Where nobody listens nothing is made. A listener is called where the decision was made, in its
thread and its loop, and must not wait; what it raises is logged by name and goes no further. It passes over kinds of
event that it does not know.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from fastcascade.quick import quick

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastcascade.answers import Answer
    from fastcascade.cascade import Cascade

__all__ = [
    "HUB",
    "Decision",
    "Event",
    "Events",
    "Graded",
    "Layer",
    "Listener",
    "by_name",
    "layer_of",
    "slice_of",
    "subscribe",
]

Layer: TypeAlias = Literal["entry", "cache", "match", "guard", "dispatch", "fallback"]
"""L0 to L5: where a request was answered."""

log: Final = logging.getLogger("fastcascade")


@quick
@dataclass(frozen=True, slots=True)
class Decision:
    """A request that is over: which layer answered it, and all that is known of how.

    Args:
        layer: where it was answered.
        by: what of that layer: a tier; "static"; "memory" for a cache's level; the pool of a route; for a refusal its
            status, as "429".
        at: when it was over, in seconds since 1970.
        seconds: how long it took; None where it took none, as an answer that is always the same.
        id: the request's.
        status: what an HTTP client was told; 0 where there is none, 499 where it went away.
        path: a path of the APIs, or the name of a route: never what a client made up.
        caller: the name of its key.
        cascade: the name of the cascade that was asked.
        answer: what that came to, with request and attempts; None where no cascade was reached.
        failure: empty, or what went wrong, as `Done` has it.
        ladder: the cascade itself.
        parent: the `traceparent` that came with it.
        detail: of a route the instance that answered; of an answer that was kept as bytes the tier that had made it.
        method: of HTTP.
        target: the path as the client has it, for logs alone: it may be anything.
        model: the name that the client asked for, likewise.
        cut: why it was ended early, as `gateway.work.Cut` has it.
    """

    layer: Layer
    by: str
    at: float
    seconds: float | None
    id: str = ""
    status: int = 0
    path: str = ""
    caller: str = ""
    cascade: str = ""
    answer: "Answer | None" = None
    failure: str = ""
    ladder: "Cascade | None" = field(default=None, repr=False, compare=False)
    parent: str = ""
    detail: str = ""
    method: str = ""
    target: str = ""
    model: str = ""
    cut: str = ""


@dataclass(frozen=True, slots=True)
class Graded:
    """How good an answer was: told when a label comes, long after its decision.

    Args:
        tier: whose answer it was.
        score: from 0, wrong, to 1.
        at: when the label came, in seconds since 1970.
        slice: the kind of case.
        propensity: how likely it was to be drawn; None where nobody drew it, as a thumb or a complaint.
        source: who says so.
        cascade: the name of the cascade.
        id: a digest of the request's.
    """

    tier: str
    score: float
    at: float
    slice: str = ""
    propensity: float | None = None
    source: str = ""
    cascade: str = ""
    id: str = ""


Event: TypeAlias = Decision | Graded
Listener: TypeAlias = Callable[[Event], object]


class Events:
    """Who listens. `if events.listeners:` is all that an event costs which nobody wants."""

    __slots__ = ("_lock", "listeners")

    def __init__(self) -> None:
        """Nobody yet."""
        self.listeners: tuple[Listener, ...] = ()
        self._lock = Lock()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Hear of all that comes. Comes to a function that ends it."""
        with self._lock:
            self.listeners = (*self.listeners, listener)

        over = False

        def end() -> None:
            nonlocal over
            with self._lock:
                if over:
                    return
                over, left = True, self.listeners
                place = next(at for at, each in enumerate(left) if each is listener)  # one may listen twice
                self.listeners = (*left[:place], *left[place + 1 :])

        return end

    def tell(self, event: Event) -> None:
        """Tell everybody. Nothing that goes wrong with that reaches the caller."""
        for listener in self.listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a listener's fault is no matter of the request's
                log.warning("a listener to events failed: %s", type(error).__name__)


HUB: Final = Events()
"""Everybody in this process who listens."""
subscribe: Final = HUB.subscribe

LEVELS: Final = {"cache": "kept", "joined": "joined", "semantic": "semantic"}


def by_name(cascades: "Mapping[str, Cascade]") -> "Mapping[str, Cascade]":
    """By the names that decisions bear, which a file may give beside those they are asked for by."""
    found = {each.name or name: each for name, each in cascades.items()}
    return found if len(found) == len(cascades) else cascades


def layer_of(answer: "Answer") -> tuple[Layer, str]:
    """Which layer a cascade's answer came from, and what of it."""
    via = answer.via
    if not via:
        return ("fallback", "review") if answer.reply is None and answer.ticket else ("dispatch", answer.tier)
    if via in LEVELS:
        return "cache", LEVELS[via]
    if via == "static" and answer.ticket:
        return "fallback", "review"
    return "fallback", via


def slice_of(answer: "Answer") -> str:
    """The kind of case a request is: its route, or else its task."""
    return answer.request.route or answer.request.task
