"""Does what a flow asks for: with asyncio, or from plain code.

A driver knows nothing of tiers or gates. It does one effect at a time, tells what came of it, and turns every
error into a value, so that the flow decides what an error means.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator
from inspect import isawaitable, iscoroutinefunction
from typing import Any, ClassVar, Protocol, TypeAlias

from fastcascade.answers import Answer
from fastcascade.backends.backend import Streaming
from fastcascade.background import background
from fastcascade.effects import (
    Call,
    Cancel,
    Check,
    Close,
    Effect,
    Emit,
    Gather,
    Handle,
    Next,
    Open,
    Outcome,
    Start,
    Wait,
)
from fastcascade.errors import BackendError, Failure, FastcascadeError
from fastcascade.messages import Delta, Reply, Request
from fastcascade.streaming import pieces

__all__ = ["Driver", "Flows", "run", "run_sync"]

Flow: TypeAlias = Generator[Effect, Outcome, Answer]


class Flows(Protocol):
    """What starts a flow."""

    def __call__(self, request: Request, now: float, /, *, streaming: bool = False) -> Flow:
        """The flow of one request, which begins now."""
        ...


async def run(flows: Flows, request: Request) -> Answer:
    """Run a flow in this event loop, by its clock."""
    driver = Driver(clock=asyncio.get_running_loop().time)
    return await driver.run(flows(request, driver.clock()))


def run_sync(flows: Flows, request: Request) -> Answer:
    """Run a flow from plain code. What needs no I/O is done here; for the rest there is a loop in a thread."""
    driver = Driver()
    flow = flows(request, driver.clock())
    try:
        effect = next(flow)
        while type(effect) is Call and (answer := getattr(effect.backend, "answer", None)) is not None:
            effect = flow.send(driver.at_once(answer, effect.request))
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    return background.result(driver.run(flow, effect))


class Driver:
    """Runs one flow. Whatever it started is stopped when the flow ends, however it ends."""

    def __init__(self, *, full: bool = False, clock: Callable[[], float] | None = None) -> None:
        """Go by this clock. With `full` every sample is taken, also those that cannot change the vote: to record."""
        self.clock = clock or time.monotonic
        self._full = full
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._open: set[AsyncIterator[Any]] = set()

    async def run(self, flow: Flow, effect: Effect | None = None) -> Answer:
        """Do effects until the flow returns; `effect` is one that it has asked for already."""
        try:
            if effect is None:
                effect = next(flow)
            while True:
                effect = flow.send(await self.perform(effect))
        except StopIteration as done:
            answer: Answer = done.value
            return answer
        finally:
            flow.close()
            if self._tasks or self._open:
                await self._stop_all()

    async def stream(self, flow: Flow) -> AsyncGenerator[Delta | Answer, None]:
        """As `run`, giving out what the flow emits, and the answer last."""
        try:
            effect = next(flow)
            while True:
                if type(effect) is Emit:
                    for delta in effect.deltas:
                        yield delta
                    now = self.clock()
                    effect = flow.send(Outcome(None, None, now, now))
                else:
                    effect = flow.send(await self.perform(effect))
        except StopIteration as done:
            answer: Answer = done.value
        finally:
            flow.close()
            await self._stop_all()
        yield answer

    async def perform(self, effect: Effect) -> Outcome:
        """Do one effect."""
        if type(effect) is Call:
            return await self._call(effect)
        return await self._PERFORM[type(effect)](self, effect)

    def at_once(self, answer: Callable[[Request], Reply | None], request: Request) -> Outcome:
        """Ask a backend that needs no I/O."""
        started = self.clock()
        try:
            return Outcome(answer(request), None, started, self.clock())
        except Exception as error:  # noqa: BLE001 - errors are values from here on
            return Outcome(None, failure_of(error), started, self.clock())

    async def _call(self, call: Call) -> Outcome:
        answer = getattr(call.backend, "answer", None)
        if answer is not None:
            return self.at_once(answer, call.request)
        return await self._timed(call.backend.complete(call.request), call.timeout)

    async def _timed(self, waiting: Awaitable[Any], seconds: float | None) -> Outcome:
        started = self.clock()
        try:
            if seconds is None:
                value = await waiting
            else:
                async with asyncio.timeout(seconds):
                    value = await waiting
        except TimeoutError as error:
            return Outcome(None, _timed_out(error, seconds), started, self.clock())
        except Exception as error:  # noqa: BLE001 - errors are values from here on
            return Outcome(None, failure_of(error), started, self.clock())
        return Outcome(value, None, started, self.clock())

    async def _check(self, check: Check) -> Outcome:
        async def asked() -> Any:
            found = check.function(*check.arguments) if check.inline else await self._asked(check)
            return await found if isawaitable(found) else found

        return await self._timed(asked(), check.timeout)

    async def _asked(self, check: Check) -> Any:
        if iscoroutinefunction(check.function) or iscoroutinefunction(type(check.function).__call__):
            return check.function(*check.arguments)
        return await asyncio.to_thread(check.function, *check.arguments)

    async def _gather(self, gather: Gather) -> Outcome:
        started = self.clock()
        tasks = [self._begin(self._call(call)) for call in gather.calls]
        outcomes: list[Outcome | None] = [None] * len(tasks)
        places = {task: place for place, task in enumerate(tasks)}
        waiting = set(tasks)
        enough = None if self._full else gather.enough
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                outcomes[places[task]] = task.result()
            if waiting and enough is not None and enough(outcomes):
                break
        for task in waiting:
            outcomes[places[task]] = await self._cancelled(task, started)
        return Outcome(outcomes, None, started, self.clock())

    async def _start(self, start: Start) -> Outcome:
        now = self.clock()
        return Outcome(Handle(start.call, self._begin(self._call(start.call))), None, now, now)

    async def _wait(self, wait: Wait) -> Outcome:
        started = self.clock()
        tasks = [handle.task for handle in wait.handles]
        await asyncio.wait(tasks, timeout=wait.timeout, return_when=asyncio.FIRST_COMPLETED)
        for handle in wait.handles:
            if handle.task.done():
                handle.outcome = handle.task.result()
        return Outcome(None, None, started, self.clock())

    async def _cancel(self, cancel: Cancel) -> Outcome:
        started = self.clock()
        handle = cancel.handle
        handle.outcome = handle.task.result() if handle.task.done() else await self._cancelled(handle.task, started)
        return Outcome(None, None, started, self.clock())

    async def _open_stream(self, opening: Open) -> Outcome:
        now = self.clock()
        backend = opening.call.backend
        stream: AsyncIterator[Any]
        if isinstance(backend, Streaming):
            stream = backend.stream(opening.call.request)
        else:
            stream = _whole(backend.complete(opening.call.request))
        self._open.add(stream)
        return Outcome(Handle(opening.call, stream), None, now, now)

    async def _next(self, following: Next) -> Outcome:
        stream: AsyncIterator[Any] = following.handle.task
        outcome = await self._timed(_piece(stream), following.timeout)
        if outcome.failure is not None or type(outcome.value) is not Delta:
            await self._shut(stream)
        return outcome

    async def _close(self, closing: Close) -> Outcome:
        started = self.clock()
        await self._shut(closing.handle.task)
        return Outcome(None, None, started, self.clock())

    def _begin(self, work: Coroutine[Any, Any, Outcome]) -> "asyncio.Task[Outcome]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _cancelled(self, task: "asyncio.Task[Outcome]", started: float) -> Outcome:
        """Stop a task; it may have been done just in time."""
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            return task.result()
        return Outcome(None, Failure("cancelled", "not wanted any more"), started, self.clock())

    async def _shut(self, stream: AsyncIterator[Any]) -> None:
        self._open.discard(stream)
        closing = getattr(stream, "aclose", None)
        if closing is not None:
            await closing()

    async def _stop_all(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for stream in list(self._open):
            await self._shut(stream)
        if tasks:
            await asyncio.wait(tasks)

    _PERFORM: ClassVar[dict[type, Callable[[Any, Any], Coroutine[Any, Any, Outcome]]]] = {
        Check: _check,
        Gather: _gather,
        Start: _start,
        Wait: _wait,
        Cancel: _cancel,
        Open: _open_stream,
        Next: _next,
        Close: _close,
    }


def failure_of(error: Exception) -> Failure:
    """An exception as a value."""
    if isinstance(error, BackendError):
        return error.failure
    if isinstance(error, TimeoutError):
        return Failure("timeout", str(error) or "no answer in time")
    if isinstance(error, FastcascadeError):
        return Failure("bad_request" if error.fault == "caller" else "bug", str(error))
    return Failure("bug", f"{type(error).__name__}: {error}")


def _timed_out(error: TimeoutError, timeout: float | None) -> Failure:
    return Failure(
        "timeout", str(error) or (f"no answer within {timeout:g} s" if timeout is not None else "no answer in time")
    )


async def _piece(stream: AsyncIterator[Any]) -> Any:
    """The next piece; None where there is none, as from a function that has no answer."""
    return await anext(stream, None)


async def _whole(waiting: Awaitable[Reply | None]) -> AsyncIterator[Delta | Reply | None]:
    """The reply of a backend that cannot stream, as a stream of its blocks. None where it has no answer."""
    reply = await waiting
    if reply is not None:
        for delta in pieces(reply):
            yield delta
    yield reply
