"""A backend that fails as planned."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from threading import Lock
from typing import Any, NoReturn

from fastcascade.backends.backend import Backend
from fastcascade.errors import BackendError
from fastcascade.messages import Delta, Reply, Request
from fastcascade.testing.faults import (
    CutStream,
    Error,
    Garbage,
    Refused,
    Reset,
    StallStream,
    Timeout,
    Trouble,
    WrongContent,
)
from fastcascade.testing.plans import Plan, Struck
from fastcascade.testing.scripted import words_of

__all__ = ["Faulty"]


class Faulty:
    """Passes requests on to a backend, and has them fail as a plan says.

        primary = Faulty(Anthropic("claude-haiku-5-5"))
        primary.plan.set(Error("overloaded"))

    It has what the backend has: `answer`, `stream`, `probe`, `cost`, `price`, `free`, `base_url`, `aclose`. While its
    plan holds a fault that takes time it has no `answer`, which cannot wait: it is then asked by `complete`. Put it
    around the backends of a pool, not around the pool.

    A call whose reply breaks off or stalls, or is not what was asked for, fails on its way back: but for
    `WrongContent` the backend has been asked, and has done its work. All other faults strike before.

    Attributes:
        calls: how many there were; a stream is one.
        times: when each began, by the clock of the event loop.
        served: how many of them came to a whole reply, be it a wrong one, or None.
        probes: how many calls of `probe` there were, which count apart.
        probe_times: when each of these began.
        struck: how many calls and probes each kind of fault ended, by the name of its class.
    """

    def __init__(self, backend: Backend, plan: Plan | None = None) -> None:
        """Stand in front of a backend; without a plan nothing fails until it is told to."""
        self.backend = backend
        self.plan = Plan() if plan is None else plan
        self.name = backend.name
        self.gives = backend.gives
        # Only what the backend has: others look for these to see what it can do.
        for name in ("cost", "price", "free", "base_url", "provider", "listed", "aclose"):
            if hasattr(backend, name):
                setattr(self, name, getattr(backend, name))
        if hasattr(backend, "stream"):
            self.stream = self._stream
        if hasattr(backend, "probe"):
            self.probe = self._probe
        self.calls = self.served = self.probes = 0
        self.times: list[float] = []
        self.probe_times: list[float] = []
        self.struck: Counter[str] = Counter()
        self._lock = Lock()

    @property
    def answer(self) -> Callable[[Request], Reply | None]:
        """Ask at once; only there if the backend needs no I/O, and the plan has nothing that takes time."""
        if not hasattr(self.backend, "answer") or self.plan.takes_time:
            raise AttributeError("answer")
        return self._answer

    async def complete(self, request: Request, /) -> Reply | None:
        """Ask, and wait for the whole reply."""
        return self._given(await self._whole(self._begin(), self.backend.complete, request))

    async def _probe(self, *arguments: Any, **settings: Any) -> Any:
        backend: Any = self.backend
        return await self._whole(self._begin(probe=True), backend.probe, *arguments, **settings)

    def _answer(self, request: Request, /) -> Reply | None:
        backend: Any = self.backend
        fault = self._begin().fault
        _refuse(fault)
        reply = self._wrong(fault) if isinstance(fault, WrongContent) else backend.answer(request)
        _break(fault, 1)
        return self._given(reply)

    async def _stream(self, request: Request, /) -> AsyncIterator[Any]:
        struck = self._begin()
        fault = struck.fault
        await _ready(struck)
        limit = fault.after if isinstance(fault, CutStream | StallStream | Reset) else None
        seen = 0
        backend: Any = self.backend
        wrong = isinstance(fault, WrongContent)
        async with aclosing(_streamed(self._wrong(fault) if wrong else backend.stream(request))) as items:
            async for item in items:
                if limit is not None and (seen >= limit or not isinstance(item, Delta)):
                    break
                if isinstance(item, Delta):
                    seen += 1
                    if struck.pace:
                        await asyncio.sleep(struck.pace)
                else:
                    self._given(item)
                yield item
        await _broken(fault, seen)

    def _begin(self, *, probe: bool = False) -> Struck:
        now = _now()
        with self._lock:
            if probe:
                self.probes += 1
                self.probe_times.append(now)
            else:
                self.calls += 1
                self.times.append(now)
            struck = self.plan.draw(now)
            if struck.fault is not None:
                self.struck[type(struck.fault).__name__] += 1
        return struck

    async def _whole(self, struck: Struck, ask: Callable[..., Awaitable[Any]], *given: Any, **settings: Any) -> Any:
        fault = struck.fault
        await _ready(struck)
        reply = self._wrong(fault) if isinstance(fault, WrongContent) else await ask(*given, **settings)
        if struck.pace:
            words = len(reply.text.split(" ")) if isinstance(reply, Reply) else 1
            await asyncio.sleep(struck.pace * words)
        await _broken(fault, 1)
        return reply

    def _wrong(self, fault: Any) -> Reply:
        return Reply(fault.text, model=self.name, stop=fault.stop)

    def _given(self, reply: Reply | None) -> Reply | None:
        with self._lock:
            self.served += 1
        return reply

    def __repr__(self) -> str:
        """Show what fails, and how."""
        return f"Faulty({self.backend!r}, {self.plan!r})"


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


async def _ready(struck: Struck) -> None:
    """Wait, and then fail if the backend is never to hear of the call."""
    fault = struck.fault
    if struck.wait:
        await asyncio.sleep(struck.wait)
    if isinstance(fault, Timeout):
        await _forever()
    if isinstance(fault, Reset) and not fault.after:
        await asyncio.sleep(fault.seconds)
    _refuse(fault)


def _refuse(fault: Trouble | None) -> None:
    match fault:
        case Error():
            raise BackendError(fault.kind, "as planned", status=fault.code, retry_after=fault.retry_after)
        case Refused():
            raise BackendError("connection", "refused, as planned")
        case Reset(after=0):
            raise BackendError("connection", "reset, as planned")
        case Garbage():
            raise BackendError("malformed", "not to be read, as planned")
        case Timeout():  # only where there is no time to wait in
            raise BackendError("timeout", "no answer, as planned")
        case _:
            return


async def _broken(fault: Trouble | None, seen: int) -> None:
    """Fail, if the reply is to break off after the `seen` pieces that have come."""
    if isinstance(fault, StallStream):
        await _forever()
    if isinstance(fault, Reset):
        await asyncio.sleep(fault.seconds)
    _break(fault, seen)


def _break(fault: Trouble | None, seen: int) -> None:
    if isinstance(fault, StallStream):  # as above
        raise BackendError("timeout", "stalled, as planned")
    if isinstance(fault, CutStream | Reset):
        raise BackendError("cut", f"cut after {seen} pieces, as planned")


async def _forever() -> NoReturn:
    while True:
        await asyncio.get_running_loop().create_future()


async def _streamed(source: Any) -> AsyncGenerator[Any, None]:
    """The items of a stream, or those of a reply that is streamed word by word; closes the stream at its end."""
    if isinstance(source, Reply):
        for delta in words_of(source):
            yield delta
        yield source
        return
    try:
        async for item in source:
            yield item
    finally:
        if hasattr(source, "aclose"):
            await source.aclose()
