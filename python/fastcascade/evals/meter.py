"""The bounds of a recording: how many calls at once, how many a minute, how much money.

No call is made that could pass the cap: what the calls under way may cost is counted as spent until they end. A call
may cost what its longest reply would (`max_tokens`, else what the tier expects), or more by as much as one of its kind
did before. The cap is for the file as a whole, what was spent by earlier sittings among it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from fastcascade._core import Clock, Quota, RateLimiter
from fastcascade.drive import Driver
from fastcascade.effects import Call, Effect, Outcome
from fastcascade.errors import ConfigError, Failure
from fastcascade.evals.runs import Runs
from fastcascade.ledger import PAID_UNSEEN
from fastcascade.messages import Reply, Usage
from fastcascade.prices import PriceSheet
from fastcascade.tiers import CHARACTERS_PER_TOKEN, Tier, cost_of, rate_of

__all__ = ["Meter", "Metered", "Ticket"]

T = TypeVar("T")
ALL: Final = "all"
ROUNDING: Final = 1e-12
"""Dollars that a sum of floats may be off by."""


class Ticket:
    """The right to make one call: its number in the file, and what is held for it."""

    __slots__ = ("held", "number", "once")

    def __init__(self, number: int, once: float) -> None:
        """Held for one try."""
        self.number = number
        self.once = self.held = once


class Meter:
    """Lets calls through, each in its turn."""

    def __init__(
        self,
        runs: Runs,
        *,
        cap_usd: float | None = None,
        concurrency: int = 4,
        per_minute: float | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Begin with what the file has cost so far."""
        self.runs = runs
        self.cap = cap_usd
        self.spent = self.began = runs.spent_usd
        self.held = 0.0
        self.stop = asyncio.Event()
        """Set when a call was not made for lack of money; none is let through from then on."""
        self._slots = asyncio.Semaphore(concurrency)
        # One at a time: a burst would put twice the rate into some minutes.
        self._limiter = RateLimiter(Quota(per_minute, per="minute", burst=1), clock=clock) if per_minute else None
        self._turn = asyncio.Lock()
        self._sleep = sleep
        self._settled = asyncio.Condition()
        self._ratio: dict[str, float] = {}
        self._most: dict[str, float] = {}
        self._under_way: set[asyncio.Task[object]] = set()

    async def through(
        self, kind: str, usd: float, job: Callable[[Ticket], Awaitable[tuple[T, float]]], *, free: bool = False
    ) -> T:
        """Do the job in its turn. It gives a value and what that cost, which it has written down.

        Once begun it goes on when its caller is cancelled: it is paid for, and `drained` waits for it.
        """
        await self._slots.acquire()
        try:
            if not free:
                await self._paced()
            ticket = Ticket(0, 0.0) if free else await self._afforded(kind, usd)
        except BaseException:
            self._slots.release()
            raise
        task = asyncio.create_task(self._done(kind, usd, ticket, job))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def drained(self) -> None:
        """Wait for all that is under way; the first error is raised."""
        for found in await asyncio.gather(*self._under_way, return_exceptions=True):
            if isinstance(found, BaseException):
                raise found

    @property
    def under_way(self) -> int:
        """How many calls are being made."""
        return len(self._under_way)

    def again(self, ticket: Ticket, before: Failure | None) -> Failure | None:
        """Whether a call may be tried once more, or why not. One that may have been paid for is paid for twice."""
        if before is None or before.kind in PAID_UNSEEN:
            if self.stop.is_set() or not self._fits(ticket.once):
                return Failure("budget", "the recording's cap leaves no money for another try")
            self.held += ticket.once
            ticket.held += ticket.once
            self.runs.hold_more(ticket.number, ticket.once)
        if self._limiter is not None:
            self._limiter.settle(ALL, 0.0, 1.0)  # it cannot wait here; those after it do
        return None

    async def _done(
        self, kind: str, usd: float, ticket: Ticket, job: Callable[[Ticket], Awaitable[tuple[T, float]]]
    ) -> T:
        cost = ticket.held
        try:
            value, cost = await job(ticket)
            if usd > 0:
                self._ratio[kind] = max(self._ratio.get(kind, 1.0), cost / usd)
            self._most[kind] = max(self._most.get(kind, 0.0), cost)
        finally:
            self.held -= ticket.held
            self.spent += cost
            self._slots.release()
        async with self._settled:
            self._settled.notify_all()
        return value

    async def _paced(self) -> None:
        if self._limiter is None:
            return
        async with self._turn:
            while wait := self._limiter.admit(ALL):
                await self._sleep(wait)

    async def _afforded(self, kind: str, usd: float) -> Ticket:
        """Hold what it may cost. Where it does not fit beside what is under way, that may turn out cheaper."""
        once = usd * self._ratio.get(kind, 1.0) if usd > 0 else self._most.get(kind, 0.0)
        async with self._settled:
            while not self.stop.is_set() and not self._fits(once):
                if not self._under_way or (self.cap is not None and self.spent + once > self.cap + ROUNDING):
                    self.stop.set()
                else:
                    await self._settled.wait()
        if self.stop.is_set():
            await asyncio.get_running_loop().create_future()  # until its case is given up
        self.held += once
        try:
            return Ticket(self.runs.hold(kind, once), once)
        except BaseException:
            self.held -= once
            raise

    def _fits(self, usd: float) -> bool:
        return self.cap is None or usd == 0.0 or self.spent + self.held + usd <= self.cap + ROUNDING


class Metered(Driver):
    """Runs the flow of one case: each call through the meter and into the file, unless the file has it already."""

    def __init__(
        self, meter: Meter, tiers: dict[str, Tier], sheet: PriceSheet, at: tuple[int, int], kept: dict[str, Outcome]
    ) -> None:
        """Go by the running loop's clock; `at` are the rows of the cascade and the case."""
        super().__init__(full=True, clock=asyncio.get_running_loop().time)
        self._meter, self._tiers, self._sheet, self._at, self._kept = meter, tiers, sheet, at, kept

    async def perform(self, effect: Effect) -> Outcome:
        """Do one effect."""
        return await self._call(effect) if type(effect) is Call else await super().perform(effect)

    async def _call(self, call: Call) -> Outcome:
        if (held := self._kept.get(call.label)) is not None:
            now = self.clock()
            return Outcome(held.value, None, now, now, held.by)
        tier = self._tiers[call.label.partition("/")[0]]
        kind = f"{tier.name}/{call.purpose}"
        usd = self._most(tier, call)
        if usd is None and self._meter.cap is not None:
            msg = f"a cap needs the price of every model, and that of {call.backend.name!r} ({kind}) is not known"
            raise ConfigError(f"{msg}; give it a price, or install 'fastcascade[prices]'")
        free = bool(getattr(call.backend, "free", False))
        return await self._meter.through(kind, usd or 0.0, lambda ticket: self._made(tier, call, ticket), free=free)

    async def _made(self, tier: Tier, call: Call, ticket: Ticket) -> tuple[Outcome, float]:
        theirs = call.again
        if theirs is not None:
            call.again = lambda made, now, before: theirs(made, now, before) or self._meter.again(ticket, before)
        outcome = await Driver(full=True, clock=self.clock).perform(call)
        cost = self._cost(tier, call, outcome, ticket)
        self._meter.runs.keep(ticket.number, cost, *self._at, call.label, outcome)
        return outcome, cost

    def _most(self, tier: Tier, call: Call) -> float | None:
        own = call.backend is tier.backend
        price = tier.rate(self._sheet) if own else rate_of(call.backend, self._sheet)
        if price is None:
            return None
        read = call.request.size // CHARACTERS_PER_TOKEN
        return price.cost(Usage(read, call.request.max_tokens or tier.expected_output))

    def _cost(self, tier: Tier, call: Call, outcome: Outcome, ticket: Ticket) -> float:
        """What it cost; what is not known counts as it was estimated."""
        lost = sum(each.failure.kind in PAID_UNSEEN for each in outcome.tries) * ticket.once
        if outcome.failure is not None:
            return lost + ticket.once * (outcome.failure.kind in PAID_UNSEEN)
        if not isinstance(outcome.value, Reply):
            return lost
        own = call.backend is tier.backend
        try:
            cost = tier.cost(outcome.value, self._sheet) if own else cost_of(call.backend, outcome.value, self._sheet)
        except Exception:  # noqa: BLE001 - a backend's own sums must not lose a reply that is paid for
            cost = None
        return lost + (ticket.once if cost is None else cost)
