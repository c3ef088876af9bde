"""What the middleware tells of: each request once, and what cascades have decided within it in its place.

An app behind the middleware may ask a cascade; that is one request all the same. So what a cascade decides while a
request is under way is held, and told at its end, with the path and the status that the client has seen.
"""

import time
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fastcascade import spans
from fastcascade.telemetry.events import HUB, Decision, Layer

if TYPE_CHECKING:
    from fastcascade.guards.guard import Call

__all__ = ["Outer", "tell"]

GUARDED: Final = frozenset({400, 401, 403, 404, 405, 429})
KEPT: Final = frozenset({"hit", "stale", "revalidated"})


class Outer:
    """One request that the middleware has taken in."""

    __slots__ = ("decisions", "over", "started")

    def __init__(self) -> None:
        """Hold what is decided from here on in this context."""
        self.decisions: list[Decision] = []
        self.over = False
        self.started = time.perf_counter()
        _outer.set(self)

    def end(self, call: "Call") -> None:
        """It is over: tell of it."""
        if self.over:
            return
        self.over = True
        path = call.template if call.match is not None else ""
        parent, status = call.header("traceparent"), 499 if call.gone else call.status
        for each in self.decisions:
            HUB.tell(replace(each, status=status, path=path, parent=each.parent or parent, method=call.method))
        if self.decisions:
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


def tell(decision: Decision) -> None:
    """Tell everybody; or, while a request is under way that the middleware tells of, once that is over."""
    outer = _outer.get()
    if outer is None or outer.over:
        HUB.tell(decision)
    else:
        outer.decisions.append(decision)
        if spans.tracer is not None:
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
