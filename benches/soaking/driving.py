"""Traffic: so many requests a second, whether those before have been answered or not, after the curve of a day."""

import asyncio
import math
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from .mix import Asking, drawn, fault
from .sums import Tally
from .wire import Client, Said, Stale

EXAMPLES = 20


@dataclass(slots=True)
class Traffic:
    """What was asked of a gateway, and what came.

    Args:
        client: asks.
        secrets: of the keys, by name.
        rate: requests a second, in the mean.
        seconds: how long it goes on.
        seen: whether a prompt came to the provider.
    """

    client: Client
    secrets: dict[str, str]
    rate: float
    seconds: float
    seen: Callable[[str], Awaitable[bool]]
    seed: int = 0
    tally: Tally = field(default_factory=Tally)
    faults: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    stale: int = 0
    created: float = math.inf
    revoked: float = math.inf
    total: int = 0
    spent: float = 0.0
    took: deque[float] = field(default_factory=lambda: deque(maxlen=2_000))
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    def now(self) -> float:
        """Requests a second at this point: two humps in a day, from a fifth of the mean to nine fifths."""
        return self.rate * (1 - 0.8 * math.cos(4 * math.pi * self.spent / self.seconds))

    async def go(self, until: float, due: Callable[[float], bool]) -> None:
        """Ask until this point of the day, or until something else is due."""
        rng = random.Random(f"{self.seed}:{until}")
        loop = asyncio.get_running_loop()
        start, before = loop.time(), self.spent
        at = before
        while at < until:
            at += rng.expovariate(self.now())
            wait = start + at - before - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            self.spent = at
            if due(at):
                return
            self.total += 1
            asked = drawn(rng, self.total, self._known())
            task = loop.create_task(self._one(asked), name=str(asked))
            self.under_way.add(task)
            task.add_done_callback(self.under_way.discard)

    async def rest(self) -> None:
        """Wait for all that is under way, and close the connections."""
        while self.under_way:
            await asyncio.wait(tuple(self.under_way))
        await self.client.rest()

    def _known(self) -> dict[str, str]:
        """Keys that the gateway has heard of: it looks for new ones every quarter of a second."""
        if time.monotonic() > self.created + 1.5:
            return self.secrets
        return {name: secret for name, secret in self.secrets.items() if name != "temporary"}

    async def _one(self, asked: Asking) -> None:
        began = time.monotonic()
        try:
            said = await self._answered(asked)
        except TimeoutError:
            self._wrong(asked, "hung")
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            self._wrong(asked, f"{type(error).__name__}: {error} after {time.monotonic() - began:.2f} s")
        else:
            self.tally.add(asked, said)
            self.took.append(time.monotonic() - began)
            if said is not None and (wrong := fault(asked, said) or self._badly_timed(asked, said, began)):
                self._wrong(asked, wrong)

    async def _answered(self, asked: Asking) -> Said | None:
        try:
            return await self.client.ask(asked.head, asked.body, asked.case.manner)
        except Stale:  # as every client does, if it was not taken up
            self.stale += 1
            await asyncio.sleep(0.3)
            if not asked.case.repeats and await self.seen(asked.prompt):
                raise ConnectionError("taken up and never answered") from None
            return await self.client.ask(asked.head, asked.body, asked.case.manner, fresh=True)

    def _badly_timed(self, asked: Asking, said: Said, began: float) -> str:
        """A key works from soon after it was made until soon after it was revoked."""
        if asked.case.key != "temporary":
            return ""
        if said.status == 401 and time.monotonic() < self.revoked:
            return "a key that works was refused"
        return "a revoked key works" if said.status == 200 and began > self.revoked + 2.0 else ""

    def _wrong(self, asked: Asking, what: str) -> None:
        self.faults[asked.case.name] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{asked}: {what}")
