"""Does what a flow asks for: with asyncio, or from plain code.

A driver knows nothing of tiers or gates. It does one effect at a time, tells what came of it, and turns every
error into a value, so that the flow decides what an error means.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Sequence
from math import inf
from types import coroutine
from typing import Any, Protocol, TypeAlias, TypeVar

from fastcascade import background
from fastcascade.answers import Answer
from fastcascade.asking import failure_of, instant, is_given_up, reply_of
from fastcascade.effects import (
    Call,
    Emit,
    Next,
    Open,
    Outcome,
    Relay,
)
from fastcascade.errors import BackendError
from fastcascade.messages import Delta, Reply, Request
from fastcascade.perform import Flow, Performer

__all__ = ["Driver", "Flows", "close_sync", "run", "run_sync"]

T = TypeVar("T")
Tell: TypeAlias = Callable[[Sequence[Delta]], Awaitable[object] | None]
"""Told of pieces that came together; what it gives is waited for before there are more."""
Pouring: TypeAlias = Callable[[Tell], Awaitable[Any]]
"""`relay` of a stream that has one: it tells all pieces that are still to come, and gives the whole at last."""


class Flows(Protocol):
    """What starts a flow."""

    def __call__(self, request: Request, now: float, /, *, streaming: bool = False) -> Flow[Answer]:
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
        while type(effect) is Call and (answer := instant(effect.backend)) is not None:
            effect = flow.send(driver.at_once(answer, effect.request))
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    return background.result(driver.run(flow, effect))


def close_sync(closing: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run a coroutine function where `run_sync` opens connections: `close_sync(cascade.aclose)`.

    Nothing happens where `run_sync` has never needed an event loop.
    """
    background.everywhere(closing)


class Driver(Performer):
    """Runs one flow, and gives out what it emits."""

    async def told(self, flow: Flow[T], tell: Tell) -> T:
        """As `run`, telling the pieces that the flow emits as they come."""
        try:
            effect = next(flow)
            while True:
                kind = type(effect)
                if kind is Emit:
                    if (wait := tell(effect.deltas)) is not None:  # type: ignore[union-attr] # as its kind says
                        await wait
                    now = self.clock()
                    effect = flow.send(Outcome(None, None, now, now))
                elif kind is Relay:
                    effect = flow.send(await self._relayed(effect, tell))  # type: ignore[arg-type] # likewise
                else:
                    effect = flow.send(await self.perform(effect))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        finally:
            await self._end(flow)

    async def stream(self, flow: Flow[Answer]) -> AsyncGenerator[Delta | Answer, None]:
        """As `run`, giving out what the flow emits, and the answer last."""
        try:
            effect = next(flow)
            while True:
                if type(effect) is Emit:
                    for delta in effect.deltas:
                        yield delta
                    now = self.clock()
                    effect = flow.send(Outcome(None, None, now, now))
                elif type(effect) is Relay:
                    while type((outcome := await self._next(effect.following(self.clock()))).value) is Delta:
                        effect.deltas.append(outcome.value)
                        yield outcome.value
                    effect = flow.send(outcome)
                else:
                    effect = flow.send(await self.perform(effect))
        except StopIteration as done:
            answer: Answer = done.value
        finally:
            await self._end(flow)
        yield answer

    async def items(self, call: Call) -> AsyncGenerator[Delta | Reply | None, None]:
        """One call as a stream, with no flow around it."""
        try:
            opened = await self.perform(Open(call))
            while True:
                outcome = opened if opened.failure is not None else await self.perform(Next(opened.value))
                if outcome.failure is not None:
                    raise BackendError.of(outcome.failure)
                yield outcome.value
                if type(outcome.value) is not Delta:
                    return
        finally:
            await self._stop_all()

    async def _relayed(self, relay: Relay, tell: Tell) -> Outcome:
        handle = relay.handle
        pouring: Pouring | None = getattr(handle.task, "relay", None)
        if pouring is not None and handle.outcome is None and handle.call.until is None:
            return await self._poured(relay, pouring, tell)
        while type((outcome := await self._next(relay.following(self.clock()))).value) is Delta:
            relay.deltas.append(outcome.value)
            if (wait := tell((outcome.value,))) is not None:
                await wait
        return outcome

    async def _poured(self, relay: Relay, pouring: Pouring, tell: Tell) -> Outcome:
        """As `_relayed`, from a stream that gives its pieces in the very turn of the loop that they come in."""
        started, bound, deltas = self.clock(), self._bounded(), relay.deltas
        theirs = False  # whether an error is of whoever is told, and not of the stream

        def take(came: Sequence[Delta]) -> Awaitable[object] | None:
            nonlocal theirs
            deltas.extend(came)
            theirs = True
            wait = tell(came)
            if wait is not None:
                return held(wait)
            theirs = False
            bound.extend(relay.patience(self.clock()))
            return None

        @coroutine  # one that is never waited for, since its stream was given up, is no mistake
        def held(wait: Awaitable[object]) -> Generator[Any, Any, None]:
            nonlocal theirs
            bound.extend(inf)  # how slowly a client reads is no fault of the stream's
            yield from wait.__await__()
            theirs = False
            bound.extend(relay.patience(self.clock()))

        try:
            with bound(relay.patience(started)):
                outcome = Outcome(reply_of(await pouring(take)), None, started)
        except (Exception, asyncio.CancelledError) as error:
            if theirs or is_given_up(error):
                raise
            outcome = Outcome(None, failure_of(error), started, self.clock())
        return await self._ended(relay.handle, outcome)
