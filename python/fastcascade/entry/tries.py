"""One call on its way through a pool: whom to ask, what to do when it fails, and when to stop.

A generator of effects, run by the driver wherever it performs a call to a pool. A further try is made for one of two
reasons, and every one is within the request's own budget (time, money, calls):

- A *move*, to an instance that this call has not asked, because the one asked was refused by its provider, is in a
  region that fails, or cannot be reached. It adds no load to whoever failed, and is free.
- A *repeat*: anything else. Repeats are paid for from the pool's retry budget, at most `Retry.times` in a call, after a
  pause that grows.

So each instance gets at most one call of a request, and what the retry budget pays for beyond that.
"""

from collections.abc import Callable, Generator, Sequence
from math import inf
from typing import TYPE_CHECKING, Final

from fastcascade.effects import Call, Effect, Handle, Next, Open, Outcome, Sleep, Try
from fastcascade.entry.instance import Instance
from fastcascade.entry.turn import Turn, asked, entered
from fastcascade.errors import Failure
from fastcascade.fallbacks.remedies import PASSING, Remedy
from fastcascade.messages import Delta

if TYPE_CHECKING:
    from fastcascade.entry.pool import Pool

__all__ = ["Tries"]

RESTS: Final = 3
"""How often one call waits for a time that a provider named. New ones may be named meanwhile."""


class Tries:
    """The state of one call."""

    __slots__ = (
        "asked",
        "barred",
        "call",
        "deadline",
        "failed",
        "instance",
        "keys",
        "moving",
        "past",
        "pool",
        "regions",
        "repeats",
        "rests",
        "started",
    )

    def __init__(self, pool: "Pool", call: Call, now: float) -> None:
        """Begin."""
        self.pool = pool
        self.call = call
        self.started = now
        self.deadline = inf if call.timeout is None else now + call.timeout
        self.past: list[Try] = []
        self.asked: list[Instance] = []
        self.barred: list[Instance] = []  # which will refuse this call again
        self.regions: list[str] = []  # that were left
        self.keys: list[str] = []
        self.moving = False  # whether only an instance not asked yet will do
        self.repeats = 0
        self.rests = 0
        self.instance: Instance | None = None  # the last that was asked
        self.failed: Outcome | None = None

    def run(self, now: float) -> Generator[Effect, Outcome, Outcome]:
        """Ask until somebody replies, or nobody is left to ask."""
        return self.stamped((yield from self._through(now, asked)))

    def open(self, now: float) -> Generator[Effect, Outcome, Outcome]:
        """As `run`, for a stream: ask until a first piece is there."""
        return (yield from self._through(now, self._opened))

    def _through(
        self, now: float, begin: Callable[[Turn], Generator[Effect, Outcome, Outcome]]
    ) -> Generator[Effect, Outcome, Outcome]:
        while True:
            found = yield from self._choose(now)
            if isinstance(found, Outcome):
                return found
            turn = yield from entered(self, *found)
            if not isinstance(turn, Turn | Outcome):
                now = turn
                continue
            if self.failed is None:
                self.pool.count(found[1])
            elif self._refused(turn):
                return self._given_up(found[1])
            outcome = turn if isinstance(turn, Outcome) else (yield from begin(turn))
            if outcome.failure is None:
                return outcome
            again = yield from self.after(outcome, outcome.ended)
            if isinstance(again, Outcome):
                return again
            now = again

    def _refused(self, turn: Turn | Outcome) -> bool:
        """Whether the request's budget is against one more try."""
        call, failed = self.call, self.failed
        if call.again is None or failed is None or not isinstance(turn, Turn):
            return False
        if call.again(call, turn.now, failed.failure) is None:
            return False
        turn.drop()
        return True

    def stamped(self, outcome: Outcome) -> Outcome:
        """What the whole call came to."""
        outcome.started = self.started
        if self.instance is not None:
            outcome.by = self.instance.name
        if self.past:
            outcome.tries = tuple(self.past)
        return outcome

    # Whom to ask.

    def _choose(self, now: float) -> Generator[Effect, Outcome, tuple[Instance, float] | Outcome]:
        """Somebody who may be asked now, or as soon as a provider lets us; or why there is nobody."""
        while True:
            instance = self._usable(now)
            if instance is not None:
                self.instance = instance
                return instance, now
            if self.moving:  # nobody new: then one that was asked before, if the retry budget is for it
                self.moving = False
                failure = self.failed.failure if self.failed is not None else None
                pause = self._repeat(now) if failure is not None and failure.kind in PASSING else None
                if pause is None:
                    return self._given_up(now)
                if pause > 0.0:
                    now = (yield Sleep(pause)).ended
                continue
            wait = self._rest(now)
            if wait is None:
                return self._given_up(now)
            now = (yield Sleep(wait)).ended

    def _usable(self, now: float) -> Instance | None:
        pool = self.pool
        if pool.only is not None and not self.asked:
            only = pool.only
            if only.closed_until > now or (only.circuit is not None and only.circuit.admit(now) > 0.0):
                return None
            return only
        for group in pool.groups:
            chosen = self._picked(pool.standing(group, now), now)
            if chosen is not None:
                return chosen
        # Rather somebody who was left out than nobody; the dead only where nobody is alive.
        anyone = [each for each in pool.instances if each.alive] or pool.instances
        return self._picked(anyone, now)

    def _open_to(self, instance: Instance, now: float) -> bool:
        if instance.closed_until > now or instance in self.barred:
            return False
        if not self.moving:
            return True
        left = (instance.region and instance.region in self.regions) or (instance.key and instance.key in self.keys)
        return not left and instance not in self.asked

    def _picked(self, candidates: Sequence[Instance], now: float) -> Instance | None:
        """One of them that its provider and its breaker let us ask; those not asked yet come first."""
        candidates = [each for each in candidates if self._open_to(each, now)]
        fresh = [each for each in candidates if each not in self.asked]
        candidates = fresh or candidates
        while candidates:
            chosen = candidates[0]
            if len(candidates) > 1:
                chosen = self.pool.pick(candidates, self.call.request, now)
            if chosen.circuit is None or chosen.circuit.admit(now) <= 0.0:
                return chosen
            candidates = [each for each in candidates if each is not chosen]
        return None

    # What to do when it fails.

    def after(self, outcome: Outcome, now: float) -> Generator[Effect, Outcome, float | Outcome]:
        """Go on after a failure: from when, or the end of it."""
        failure, instance, retry = outcome.failure, self.instance, self.pool.retry
        self.failed = outcome
        if failure is None or instance is None or retry is None:
            return self.stamped(outcome)
        remedy = retry.remedy(failure)
        if remedy in ("next tier", "give up") or not self.pool.repeatable(self.call.request, failure):
            return self.stamped(outcome)
        self._leave(instance, remedy, failure)
        pause = 0.0 if self.moving else self._repeat(now)
        if pause is None:
            return self.stamped(outcome)
        self.past.append(Try(instance.name, outcome.started, outcome.ended, failure))
        if pause > 0.0:
            now = (yield Sleep(pause)).ended
        return now

    def _leave(self, instance: Instance, remedy: Remedy, failure: Failure) -> None:
        """Say whom not to ask next."""
        if instance not in self.asked:
            self.asked.append(instance)
        self.regions = [instance.region] if remedy == "next region" and instance.region else []
        self.keys = [instance.key] if remedy == "next key" and instance.key else []
        if failure.kind not in PASSING:
            self.barred.append(instance)  # it would say the same again
        self.moving = remedy != "retry"

    def _repeat(self, now: float) -> float | None:
        """Pay for one more call to somebody who was asked before: the pause before it, or None if there is none."""
        pool = self.pool
        retry = pool.retry
        if retry is None or self.repeats >= retry.times:
            return None
        pause = retry.delay(self.repeats)
        if self.instance is not None and self.instance.closed_until > now:
            pause = 0.0  # its provider has named a time, which is waited for instead
        if now + pause >= self.deadline:
            return None
        if pool.allowance is not None and not pool.allowance.withdraw(now):
            return None
        self.repeats += 1
        return pause

    def _rest(self, now: float) -> float | None:
        """How long to wait until a provider lets us ask; None where that is too long, or is not why we cannot."""
        retry = self.pool.retry
        waits = [each.closed_until - now for each in self.pool.instances if each not in self.barred]
        wait = min((each for each in waits if each > 0.0), default=None)
        if wait is None or retry is None or self.rests >= RESTS:
            return None
        self.rests += 1
        rest = retry.rest(wait)
        return None if rest is None or now + rest >= self.deadline else rest

    def _given_up(self, now: float) -> Outcome:
        """Nobody may be asked: the last failure, if somebody was, or why not."""
        if self.failed is not None:
            if self.past and self.past[-1].failure is self.failed.failure:
                self.past.pop()
            self.failed.ended = max(self.failed.ended, now)
            return self.stamped(self.failed)
        return Outcome(None, self.pool.unavailable(now), self.started, now)

    # Streams.

    def _opened(self, turn: Turn) -> Generator[Effect, Outcome, Outcome]:
        """A stream of which the first piece is there."""
        try:
            opened = yield Open(turn.call)
            handle: Handle | None = opened.value
            if handle is None:
                turn.end(opened)
                return opened
            first = yield Next(handle, turn.call.timeout)
        except GeneratorExit:
            turn.drop()
            raise
        whole = Outcome(first.value, first.failure, turn.now, first.ended)
        if first.failure is not None:
            turn.end(whole)
            return whole
        handle.started, handle.outcome, handle.tries = self.started, first, self
        if type(first.value) is Delta:
            soon = first.ended - turn.now  # what comes after goes by how fast the client reads
            handle.ending = lambda outcome: self._broken(turn, outcome, soon)
        else:
            turn.end(whole)
        return Outcome(handle, None, self.started, first.ended)

    def _broken(self, turn: Turn, outcome: Outcome, soon: float) -> None:
        """How a stream ended, some pieces on."""
        whole = Outcome(outcome.value, outcome.failure, turn.now, outcome.ended)
        self.failed = whole if outcome.failure is not None else None
        turn.end(whole, soon)
