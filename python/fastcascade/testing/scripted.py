"""A backend that plays a script."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from fastcascade.errors import BackendError, ConfigError, FailureKind
from fastcascade.messages import Delta, Reply, Request
from fastcascade.prices import Price
from fastcascade.streaming import pieces

__all__ = ["Cut", "Fault", "ScriptedBackend", "Slow", "Stall", "Step"]


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
            for count, delta in enumerate(words_of(reply)):
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


def words_of(reply: Reply) -> Iterable[Delta]:
    """The pieces of a reply, its texts word by word."""
    for piece in pieces(reply):
        if piece.kind == "text":
            words = piece.text.split(" ")
            for place, word in enumerate(words):
                yield Delta("text", word if place == len(words) - 1 else f"{word} ", piece.index)
        else:
            yield piece
