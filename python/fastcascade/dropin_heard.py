"""What the middleware tells of: each request once, and what cascades have decided within it in its place.

An app behind the middleware may ask a cascade; that is one request all the same. So what a cascade decides while a
request is under way is held, and told at its end, with the path and the status that the client has seen.
"""

import time
from contextvars import ContextVar
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Final

from fastcascade import spans
from fastcascade.telemetry.events import HUB, Decision, Layer

if TYPE_CHECKING:
    from fastcascade.guards.guard import Call

__all__ = ["Outer", "apart", "begun", "current", "tell", "tell_within"]

GUARDED: Final = frozenset({400, 401, 403, 404, 405, 429})
KEPT: Final = frozenset({"hit", "stale", "revalidated"})


class Outer:
    """One request that the middleware has taken in."""

    __slots__ = ("_lock", "decisions", "over", "started")

    def __init__(self) -> None:
        """Hold what is decided from here on in this context."""
        self.decisions: list[Decision] = []
        self.over = False
        self.started = time.perf_counter()
        self._lock = Lock()
        _outer.set(self)

    def hold(self, decision: Decision) -> bool:
        """Keep it for the end; whether it is not over yet. Any thread may call."""
        with self._lock:
            if not self.over:
                self.decisions.append(decision)
            return not self.over

    def end(self, call: "Call") -> None:
        """It is over: tell of it."""
        with self._lock:
            if self.over:
                return
            self.over = True
            # A thread of a pool, and a task that goes on, keep their context: not what was asked and said with it.
            decisions, self.decisions = self.decisions, []
        path = call.template if call.match is not None else ""
        parent, status = call.header("traceparent"), 499 if call.gone else call.status
        for each in decisions:
            HUB.tell(replace(each, status=status, path=path, parent=each.parent or parent, method=call.method))
        if decisions:
            return
        layer, by = _layer(call)
        identity = call.identity
        HUB.tell(
            Decision(
                layer,
                by,
                time.time(),
                time.perf_counter() - self.started,
                call.request_id,
                status,
                path,
                "" if identity is None else identity.name,
                failure="broken" if call.broken else "cancelled" if call.gone else "",
                parent=parent,
                method=call.method,
                target=call.path,
            )
        )


_outer: ContextVar[Outer | None] = ContextVar("fastcascade_outer", default=None)


def begun(*, within: bool) -> Outer | None:
    """A request has come; None where nobody listens, or where a middleware that this one stands `within` tells."""
    outside = _outer.get() if within else None
    return Outer() if HUB.listeners and (outside is None or outside.over) else None


def current() -> Outer | None:
    """The request within which this runs."""
    return _outer.get()


def apart() -> None:
    """From here on in this context nothing belongs to a request: for what is done beside one."""
    _outer.set(None)


def tell(decision: Decision) -> None:
    """Tell everybody; or, while a request is under way that the middleware tells of, once that is over."""
    tell_within(_outer.get(), decision)


def tell_within(outer: Outer | None, decision: Decision) -> None:
    """The same, of a request that is known: what the collector ends runs in anybody's context."""
    if outer is None or not outer.hold(decision):
        HUB.tell(decision)
    elif spans.tracer is not None:
        spans.tracer.heard(decision)


def _layer(call: "Call") -> tuple[Layer, str]:
    """Where it was answered."""
    if call.cache in KEPT:
        return "cache", call.cache
    if call.degraded:
        return "fallback", "static"
    if not call.went_on and call.status in GUARDED:
        return "guard", str(call.status)
    return "match", "app" if call.match is None else call.match.by
