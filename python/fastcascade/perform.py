"""Does effects, one at a time: tells what came of each, and turns every error into a value.

Whoever does them knows nothing of tiers or gates; the flow decides what an error means.
"""

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, ClassVar, Final, Self, TypeAlias, TypeVar

from fastcascade import spans
from fastcascade.asking import (
    checked,
    failure_of,
    instant,
    is_cancelled,
    is_enough,
    is_given_up,
    opened,
    piece,
    reply_of,
)
from fastcascade.backends.backend import Backend
from fastcascade.effects import (
    NOT_WANTED,
    Call,
    Cancel,
    Check,
    Close,
    Effect,
    Gather,
    Handle,
    Next,
    Open,
    Outcome,
    Sleep,
    Spawn,
    Start,
    Wait,
)
from fastcascade.messages import Delta, Reply, Request
from fastcascade.notices import log
from fastcascade.patience import GRACE, Bound, Limit, asleep, stop, waited
from fastcascade.signals import Signal

__all__ = ["Flow", "Performer"]

T = TypeVar("T")
Flow: TypeAlias = Generator[Effect, Outcome, T]

UNBOUND: Final = nullcontext()

_beside: set[asyncio.Task[Any]] = set()
"""Flows that run beside others: a loop by itself would forget them."""


class Performer:
    """Runs one flow. Whatever it started is stopped when the flow ends, however it ends."""

    def __init__(self, *, full: bool = False, clock: Callable[[], float] | None = None) -> None:
        """Go by this clock. With `full` every sample is taken, also those that cannot change the vote: to record."""
        self.clock = clock or time.monotonic
        self._full = full
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._open: dict[int, Handle] = {}
        self._bound: Bound | None = None  # of what is done one after the other
        self.trail = None if spans.tracer is None else spans.tracer.current()

    async def run(self, flow: Flow[T], effect: Effect | None = None) -> T:
        """Do effects until the flow returns; `effect` is one that it has asked for already."""
        try:
            if effect is None:
                effect = next(flow)
            while True:
                kind = type(effect)
                if kind is Call:
                    effect = flow.send(await self._call(effect))  # type: ignore[arg-type] # as its kind says
                elif kind is Check:
                    effect = flow.send(await self._check(effect))  # type: ignore[arg-type] # likewise
                else:
                    effect = flow.send(await self.perform(effect))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        finally:
            await self._end(flow)

    async def alone(self, effect: Effect) -> Outcome:
        """Do one effect, and nothing after it."""
        try:
            return await self.perform(effect)
        finally:
            self._unbind()

    async def perform(self, effect: Effect) -> Outcome:
        """Do one effect."""
        return await self._PERFORM[type(effect)](self, effect)

    def at_once(self, answer: Callable[[Request], Reply | None], request: Request) -> Outcome:
        """Ask a backend that needs no I/O."""
        started = self.clock()
        try:
            return Outcome(reply_of(answer(request)), None, started, self.clock())
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - errors are values from here on
            return Outcome(None, failure_of(error), started, self.clock())

    async def _call(self, call: Call) -> Outcome:
        backend: Any = call.backend
        if hasattr(backend, "asking"):
            return await (
                self._within(backend.asking(call, self.clock()))
                if backend.straight is None
                else self._one(backend, call)
            )
        return await self._asked(backend, call, call.timeout, call.until)

    async def _asked(self, backend: Backend, call: Call, seconds: float | None, until: Signal | None = None) -> Outcome:
        """Ask a backend that is no pool."""
        request = call.request
        answer = instant(backend)
        if answer is not None:
            return self.at_once(answer, request)
        started = self.clock()
        outcome: Outcome | None = None
        span = None if self.trail is None else self.trail.call(backend, request, call.label)
        try:
            with self._limit(seconds, until):
                value = reply_of(await backend.complete(request))
            outcome = Outcome(value, None, started, self.clock())
        except (Exception, asyncio.CancelledError) as error:
            if is_given_up(error):
                raise
            outcome = Outcome(None, failure_of(error), started, self.clock())
            return outcome
        else:
            return outcome
        finally:
            if span is not None:
                span.end(outcome)

    async def _one(self, pool: Any, call: Call) -> Outcome:
        """A call to a pool with nobody to choose among: what it does on the way to a failure costs little."""
        only, now = pool.straight, self.clock()
        if not pool.let_in(only, now):
            return await self._within(pool.asking(call, now))
        seconds = call.timeout
        if pool.timeout is not None:
            seconds = pool.timeout if seconds is None else min(seconds, pool.timeout)
        try:
            outcome = await self._asked(only.backend, call, seconds)
        except BaseException:
            pool.given_up(only, now)
            raise
        if outcome.failure is None:
            answered: Outcome = pool.replied(only, outcome)
            return answered
        return await self._within(pool.resumed(call, outcome))

    async def _within(self, flow: Flow[Outcome]) -> Outcome:
        """Run the flow of one call, such as a pool's. Whatever it started is stopped when it ends."""
        try:
            effect = next(flow)
            while type(effect) is Call:
                effect = flow.send(await self._call(effect))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        except BaseException:
            flow.close()
            raise
        inner = Performer(full=self._full, clock=self.clock)
        inner.trail = self.trail
        return await inner.run(flow, effect)

    def _limit(self, seconds: float | None, until: Signal | None = None) -> AbstractContextManager[None]:
        """What bounds the next thing that is done, in time and by a signal."""
        if until is not None:
            return Limit(seconds, until)
        if seconds is None:
            return UNBOUND
        return self._bounded()(seconds)

    def _bounded(self) -> Bound:
        bound = self._bound
        if bound is None:
            bound = self._bound = Bound()
        return bound

    async def _check(self, check: Check) -> Outcome:
        started = self.clock()
        try:
            with self._limit(check.timeout):
                value = await checked(check)
        except (Exception, asyncio.CancelledError) as error:
            if is_given_up(error):
                raise
            return Outcome(None, failure_of(error), started, self.clock())
        return Outcome(value, None, started, self.clock())

    async def _gather(self, gather: Gather) -> Outcome:
        started = self.clock()
        tasks = [self._begin(call) for call in gather.calls]
        outcomes: list[Outcome | None] = [None] * len(tasks)
        places = {task: place for place, task in enumerate(tasks)}
        waiting = set(tasks)
        enough = None if self._full else gather.enough
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                outcomes[places[task]] = self._outcome(task, started)
            if waiting and enough is not None and is_enough(enough, outcomes):
                break
        await stop(waiting)
        for task in waiting:
            outcomes[places[task]] = self._outcome(task, started)
        return Outcome(outcomes, None, started, self.clock())

    async def _start(self, start: Start) -> Outcome:
        now = self.clock()
        return Outcome(Handle(start.call, self._begin(start.call), started=now), None, now, now)

    async def _wait(self, wait: Wait) -> Outcome:
        started = self.clock()
        await waited([handle.task for handle in wait.handles], wait.timeout, wait.until)
        for handle in wait.handles:
            if handle.task.done():
                handle.outcome = self._outcome(handle.task, handle.started)
        return Outcome(None, None, started, self.clock())

    async def _cancel(self, cancel: Cancel) -> Outcome:
        started = self.clock()
        handle = cancel.handle
        if not handle.task.done():
            await stop((handle.task,))
        handle.outcome = self._outcome(handle.task, handle.started)
        return Outcome(None, None, started, self.clock())

    async def _sleep(self, sleep: Sleep) -> Outcome:
        started = self.clock()
        given = await asleep(sleep.seconds, sleep.until)
        return Outcome(given, None, started, self.clock())

    async def _spawn(self, spawn: Spawn) -> Outcome:
        now = self.clock()
        beside: Coroutine[Any, Any, Any] = Performer(clock=self.clock).run(spawn.flow(now))
        # In a context of its own, and in no driver's list: it goes on when this flow has ended.
        task = asyncio.get_running_loop().create_task(beside)
        _beside.add(task)
        task.add_done_callback(_forgotten)
        return Outcome(None, None, now, now)

    async def _open_stream(self, opening: Open) -> Outcome:
        now = self.clock()
        asked = getattr(opening.call.backend, "opening", None)
        if asked is not None:
            return await self._opened_within(asked(opening.call, now, opening.after))
        try:
            stream = opened(opening.call.backend, opening.call.request)
            if self.trail is not None:
                stream = self.trail.stream(stream, opening.call.backend, opening.call.request, opening.call.label)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - errors are values from here on
            return Outcome(None, failure_of(error), now, self.clock())
        handle = Handle(opening.call, stream, started=now)
        self._open[id(stream)] = handle
        return Outcome(handle, None, now, now)

    async def _opened_within(self, flow: Flow[Outcome]) -> Outcome:
        """Run the flow that opens a stream of a pool's. The stream itself stays open when the flow ends."""
        try:
            effect = next(flow)
            while True:
                effect = flow.send(await self.perform(effect))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        finally:
            flow.close()

    async def _next(self, following: Next) -> Outcome:
        handle = following.handle
        if handle.outcome is not None:  # the first piece, which was waited for before the stream was given out
            outcome, handle.outcome = handle.outcome, None
            return outcome
        started = self.clock()
        try:
            with self._limit(following.timeout, handle.call.until):
                value = await piece(handle.task)
        except (Exception, asyncio.CancelledError) as error:
            if is_given_up(error):
                raise
            outcome = Outcome(None, failure_of(error), started, self.clock())
        else:
            outcome = Outcome(value, None, started, self.clock())
            if type(value) is Delta:
                return outcome
        return await self._ended(handle, outcome)

    async def _ended(self, handle: Handle, outcome: Outcome) -> Outcome:
        """What a stream has ended with."""
        if self.trail is not None:
            self.trail.ended(handle.task, outcome)
        await self._shut(handle.task)
        outcome.ended = self.clock()
        handle.settle(outcome)
        return outcome

    async def _close(self, closing: Close) -> Outcome:
        started = self.clock()
        await self._shut(closing.handle.task)
        ended = self.clock()
        closing.handle.settle(Outcome(None, NOT_WANTED, started, ended))
        return Outcome(None, None, started, ended)

    def _apart(self) -> Self:
        """One of the same kind, for what is done at the same time."""
        other = copy.copy(self)
        other._tasks, other._open, other._bound = set(), {}, None  # noqa: SLF001 - it is one of us
        return other

    def _begin(self, effect: Call | Check) -> "asyncio.Task[Outcome]":
        task = asyncio.get_running_loop().create_task(self._apart().alone(effect))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _outcome(self, task: "asyncio.Task[Outcome]", started: float) -> Outcome:
        """What came of a task. One that was cancelled may have been done just in time, or be cleaning up still."""
        if task.done() and not task.cancelled():
            return task.result()
        return Outcome(None, NOT_WANTED, started, self.clock())

    async def _shut(self, stream: AsyncIterator[Any]) -> None:
        """Close a stream. What goes wrong with that is no matter of the request's."""
        self._open.pop(id(stream), None)
        closing = getattr(stream, "aclose", None)
        if closing is None:
            return
        try:
            with suppress(Exception), Limit(GRACE):
                await closing()
        except asyncio.CancelledError:
            if is_cancelled():
                raise

    async def _end(self, flow: Flow[Any]) -> None:
        """End a flow, and whatever it has under way."""
        try:
            flow.close()
        finally:
            self._unbind()
            if self._tasks or self._open:
                await self._stop_all()

    def _unbind(self) -> None:
        if self._bound is not None:
            self._bound.close()
            self._bound = None

    async def _stop_all(self) -> None:
        try:
            await stop(self._tasks)
        finally:
            for handle in list(self._open.values()):
                started = self.clock()
                await self._shut(handle.task)
                handle.settle(Outcome(None, NOT_WANTED, started, self.clock()))

    _PERFORM: ClassVar[dict[type, Callable[[Any, Any], Coroutine[Any, Any, Outcome]]]] = {
        Call: _call,
        Check: _check,
        Gather: _gather,
        Start: _start,
        Wait: _wait,
        Cancel: _cancel,
        Sleep: _sleep,
        Spawn: _spawn,
        Open: _open_stream,
        Next: _next,
        Close: _close,
    }


def _forgotten(task: "asyncio.Task[Any]") -> None:
    """End of a flow that ran beside others. Nobody waits for it, so that its errors would be heard by nobody."""
    _beside.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("work in the background failed: %s", type(error).__name__)
