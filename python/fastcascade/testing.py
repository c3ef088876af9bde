"""What the tests of a cascade are made of; ours use nothing else.

    backend = ScriptedBackend("first reply", Fault("overloaded"), Slow(5.0, "late"), Cut("half of it"))
    answer = run_virtual(cascade.run("?"))      # five seconds go by at once

Time in `run_virtual` is the event loop's own, and jumps to whatever is due next: nothing waits.
"""

import asyncio
import selectors
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from fastcascade.errors import BackendError, ConfigError, FailureKind
from fastcascade.messages import Delta, Reply, Request
from fastcascade.prices import Price
from fastcascade.streaming import pieces

__all__ = ["Cut", "FakeClock", "Fault", "ScriptedBackend", "Slow", "Stall", "Step", "run_virtual"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """The call fails at once."""

    kind: FailureKind
    message: str = "as scripted"
    status: int | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Slow:
    """What comes, comes only after so many seconds. In a stream each piece does."""

    seconds: float
    then: "str | Reply | Fault | None" = "late"


@dataclass(frozen=True, slots=True)
class Cut:
    """The reply breaks off after so many pieces; without a stream it fails."""

    reply: "str | Reply"
    after: int = 1
    kind: FailureKind = "cut"


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing more comes after so many pieces, and the call never ends."""

    reply: "str | Reply" = ""
    after: int = 0


Step: TypeAlias = str | Reply | Fault | Slow | Cut | Stall | None


class ScriptedBackend:
    """Plays one step of its script per call, and the last one for ever. `seen` holds the requests.

    A text streams word by word. `cancelled` counts the calls that were given up by the cascade.
    """

    def __init__(
        self, *script: Step, name: str = "scripted", gives: Iterable[str] = ("logprobs",), price: Price | None = None
    ) -> None:
        """Begin at the first step."""
        if not script:
            raise ConfigError("a scripted backend needs at least one step")
        self.script = script
        self.name = name
        self.gives = frozenset(gives)
        self.price = price
        self.seen: list[Request] = []
        self.cancelled = 0

    async def complete(self, request: Request, /) -> Reply | None:
        """Play the next step."""
        step = self._next(request)
        try:
            if isinstance(step, Slow):
                await asyncio.sleep(step.seconds)
                step = step.then
            if isinstance(step, Stall):
                await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(step, Cut):
            raise BackendError(step.kind, "cut, as scripted")
        return self._reply(step)

    async def stream(self, request: Request, /) -> AsyncIterator[Delta | Reply | None]:
        """Play the next step piece by piece."""
        step = self._next(request)
        pause = 0.0
        if isinstance(step, Slow):
            pause, step = step.seconds, step.then
        whole = step.reply if isinstance(step, Cut | Stall) else step
        reply = self._reply(whole)
        if reply is None:
            yield None
            return
        try:
            for count, delta in enumerate(_words(reply)):
                if isinstance(step, Cut | Stall) and count >= step.after:
                    break
                if pause:
                    await asyncio.sleep(pause)
                yield delta
            if isinstance(step, Stall):
                await asyncio.get_running_loop().create_future()
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        if isinstance(step, Cut):
            raise BackendError(step.kind, "cut, as scripted")
        yield reply

    def _next(self, request: Request) -> Step:
        step = self.script[min(len(self.seen), len(self.script) - 1)]
        self.seen.append(request)
        return step

    def _reply(self, step: "Step") -> Reply | None:
        if isinstance(step, Fault):
            raise BackendError(step.kind, step.message, status=step.status, retry_after=step.retry_after)
        return Reply(step, model=self.name) if isinstance(step, str) else step  # type: ignore[return-value]


def _words(reply: Reply) -> Iterable[Delta]:
    """The pieces of a reply, its texts word by word."""
    for piece in pieces(reply):
        if piece.kind == "text":
            words = piece.text.split(" ")
            for place, word in enumerate(words):
                yield Delta("text", word if place == len(words) - 1 else f"{word} ", piece.index)
        else:
            yield piece


class FakeClock:
    """The time of a virtual event loop: goes on only where the loop would have waited."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.now = 0.0


class _VirtualLoop(asyncio.SelectorEventLoop):
    """Waits for no time at all, and moves the clock by what it would have waited; for threads it really waits."""

    def __init__(self, clock: FakeClock) -> None:
        self._virtual = clock
        self._threads: set[asyncio.Future[Any]] = set()
        selector = selectors.DefaultSelector()
        self._select = selector.select
        selector.select = self._jump  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual.now

    def _jump(self, timeout: float | None = None) -> Any:
        ready = self._select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self._threads:
            return self._select(0.01)  # its end comes from outside
        self._virtual.now += timeout
        return ready

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> "asyncio.Future[Any]":  # type: ignore[override]
        future: asyncio.Future[Any] = super().run_in_executor(executor, func, *args)
        self._threads.add(future)
        future.add_done_callback(self._threads.discard)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        executor = getattr(self, "_default_executor", None)
        if executor is not None:
            executor.shutdown(wait=True)


def run_virtual(main: Coroutine[Any, Any, T], clock: FakeClock | None = None) -> T:
    """Run a coroutine in an event loop whose time is virtual. Not for real sockets: these take real time."""
    clock = clock or FakeClock()
    with asyncio.Runner(loop_factory=lambda: _VirtualLoop(clock)) as runner:
        return runner.run(main)
