"""A request's flow with somebody taken out of it: calls to them fail before they are made.

A flow is a generator of effects, so that nothing else needs to know: each effect is passed on with another backend in
the place of the one that is out, and a pool with one that runs the pool's own flow in the same way.
"""

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from fastcascade.backends.backend import Backend
from fastcascade.effects import Call, Effect, Gather, Handle, Open, Outcome, Start
from fastcascade.entry.pool import Pool
from fastcascade.errors import BackendError, Failure
from fastcascade.messages import Reply, Request

__all__ = ["Out", "View", "Views", "seen_through", "views_of"]

T = TypeVar("T")

OUT: Final = Failure("unavailable", "treated as off, as drilled")
"""Says nothing about the backend: it counts for no breaker, and another instance is asked at no cost."""


class View:
    """Stands for a backend in one flow."""

    straight = None  # the driver makes no first try by itself, as it does for a pool of one

    def __init__(self, backend: Backend) -> None:
        """Have its name."""
        self.backend = backend
        self.name = backend.name
        self.gives = backend.gives

    async def complete(self, request: Request, /) -> Reply | None:  # noqa: ARG002 - the driver asks by a flow
        """Nobody asks so."""
        raise BackendError.of(OUT)


class Out(View):
    """Somebody who is out."""

    def asking(self, _call: Call, now: float) -> Generator[Effect, Outcome, Outcome]:
        """No call at all."""
        return _out(now)

    def opening(self, _call: Call, now: float, _after: Handle | None = None) -> Generator[Effect, Outcome, Outcome]:
        """No call at all."""
        return _out(now)


class Through(View):
    """A pool of which some are out."""

    def __init__(self, pool: Pool, views: "Views") -> None:
        """Keep who is out."""
        super().__init__(pool)
        self.pool = pool
        self.views = views

    def asking(self, call: Call, now: float) -> Generator[Effect, Outcome, Outcome]:
        """The pool's own flow."""
        return seen_through(self.pool.asking(replace(call, backend=self.pool), now), self.views)

    def opening(self, call: Call, now: float, after: Handle | None = None) -> Generator[Effect, Outcome, Outcome]:
        """The pool's own flow."""
        return seen_through(self.pool.opening(replace(call, backend=self.pool), now, after), self.views)


Views = Mapping[int, View]
"""Who stands for whom, by the id of the backend."""


def seen_through(flow: Generator[Effect, Outcome, T], views: Views) -> Generator[Effect, Outcome, T]:
    """A flow, with these in the place of others."""
    try:
        effect = next(flow)
        while True:
            sent, call = _sent(effect, views)
            outcome = yield sent
            if call is not None and isinstance(outcome.value, Handle):
                outcome.value.call = call  # what the flow has asked for, which its book is kept by
            effect = flow.send(outcome)
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        flow.close()


def _sent(effect: Effect, views: Views) -> tuple[Effect, Any]:
    match effect:
        case Call():
            return _instead(effect, views), None
        case Gather(calls):
            return replace(effect, calls=tuple([_instead(call, views) for call in calls])), None
        case Start(Call() as call):
            return Start(_instead(call, views)), call
        case Open(Call() as call, after):
            return Open(_instead(call, views), after), None
        case _:
            return effect, None


def _instead(call: Call, views: Views) -> Call:
    view = views.get(id(call.backend))
    return call if view is None else replace(call, backend=view)


def views_of(backend: Backend, out: frozenset[int]) -> View | None:
    """What stands for a tier's backend, where it or some of its instances, by the ids of their backends, are out."""
    if not isinstance(backend, Pool):
        return Out(backend) if id(backend) in out else None
    mine = [each.backend for each in backend.instances if id(each.backend) in out]
    if not mine:
        return None
    if len(mine) == len(backend.instances):
        return Out(backend)  # nobody to move to: it is not kept waiting for them
    return Through(backend, {id(each): Out(each) for each in mine})


def _out(now: float) -> Generator[Effect, Outcome, Outcome]:
    return Outcome(None, OUT, now, now)
    yield  # type: ignore[unreachable] # what makes it a generator
