"""A bulkhead: so many calls to a backend at once, some more that wait a while, and the rest is turned away.

    slots = Bulkhead(20, queue=100, patience=5.0).slots("eu")
    ticket = slots.enter(now, priority=1)
    if ticket.state == "waiting":
        ...                                     # for `ticket.signal`, until `ticket.until`
    if ticket.state == "in":
        ...                                     # make the call
        slots.leave(ticket, now, took, failed)
    else:
        slots.give_up(ticket, now)              # turned away: `slots.hint(now)` seconds for Retry-After

Who waits is let in by priority, then by arrival. A queue that has not been empty for as long as one may wait in it is
no burst any more: more is asked than can be served, and the queue decides only how long everybody waits for the same
share of answers. From then on no more may join it than are served in a fifth of the patience.

That is instead of serving the newest first, which was tried beside it (simulated: 20 slots, calls of 1 s that deviate
by 70 %, 100 places, patience 5 s, 1.5 times the load that can be served). The share that is served is the same, 68 %,
with each; so it is at 3 times the load, and with 2 slots or 100 within a point. What differs is how long everybody
waits for an answer, or for a fallback:

                                            let in after   turned away after, on average
    by arrival, the whole queue             4.6 s          0.5 s
    newest first while overloaded           0.1 s          5.0 s
    by arrival, a short queue (this)        0.9 s          0.0 s

Near the capacity, at 1.05 times the load, it costs one point of the share: 95 % instead of 96 %.
"""

from bisect import bisect_left, insort
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from math import ceil, inf
from threading import Lock
from typing import Any, Final, Literal, ParamSpec, TypeAlias, TypeVar

from fastcascade.errors import ConfigError, FailureKind
from fastcascade.fallbacks.limits import Adaptive
from fastcascade.signals import Signal

__all__ = ["OVERLOADS", "Bulkhead", "Slots", "Ticket"]

P = ParamSpec("P")
T = TypeVar("T")
OVERLOADS: Final[frozenset[FailureKind]] = frozenset({"timeout", "rate_limited", "overloaded"})
"""Failures that say that it was too much: `Slots.leave(..., failed=kind in OVERLOADS)`."""
SHORT: Final = 0.2
"""The share of the patience that is served from a queue which does not empty."""
FEWEST: Final = 3
"""Places that such a queue has in any case: with fewer a slot may be free and nobody there."""
UNKNOWN: Final = 1.0
"""Seconds a call is taken to need before one has ended."""

State: TypeAlias = Literal["in", "waiting", "refused", "left"]

GIVEN: Final = Signal()
GIVEN.give()


class Ticket:
    """One call's place: it is in, it waits, it was refused, or it has left.

    `signal` is given once it does not wait any more; `until` is when its wait ends.
    """

    # Defaults of the class: most tickets are let in at once, and one of these is made in half the time.
    state: State = "in"
    signal: Signal = GIVEN
    until: float = inf
    place: tuple[int, int] = (0, 0)  # in the queue: the greatest is let in first

    def __repr__(self) -> str:
        """Show how it stands."""
        return f"<Ticket {self.state}>"


def _place(ticket: Ticket) -> tuple[int, int]:
    return ticket.place


@dataclass(frozen=True, slots=True)
class Bulkhead:
    """How many calls may be under way at once, and how many more may wait, for how long.

    Args:
        limit: calls at once; or `Adaptive(...)`, which finds the number from latencies and failures.
        queue: calls that may wait; 0 for none.
        patience: seconds that a call may wait; a caller may have less.
    """

    limit: int | Adaptive = field(default_factory=Adaptive)
    queue: int = 100
    patience: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what would let nobody in, or never let go."""
        if not isinstance(self.limit, Adaptive) and (type(self.limit) is not int or self.limit < 1):
            msg = f"a bulkhead needs a whole limit of 1 or more, or Adaptive(), not {self.limit!r}"
            raise ConfigError(msg)
        if type(self.queue) is not int or self.queue < 0:
            msg = f"a bulkhead's queue must be a whole number, 0 or more, not {self.queue!r}"
            raise ConfigError(msg)
        if not 0 < self.patience < inf:
            msg = f"a bulkhead's patience must be above 0 seconds, not {self.patience!r}; queue=0 lets nobody wait"
            raise ConfigError(msg)

    def slots(self, name: str = "") -> "Slots":
        """The state of one place that is guarded so."""
        return Slots(self, name)

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Bound the calls of an async function that are under way at once."""
        from fastcascade.entry.guarded import guarded  # noqa: PLC0415 - it is made of us

        return guarded(function, bulkhead=self)


class Slots:
    """Who is in and who waits, at one place. Safe for threads; signals are given when its lock is free again.

    `busy` calls are in, `waiting` wait, `limit` may be in, `refused` were turned away so far.
    """

    __slots__ = (
        "_acquire",
        "_config",
        "_earliest",
        "_governor",
        "_queue",
        "_release",
        "_service",
        "_since",
        "_turn",
        "busy",
        "limit",
        "name",
        "refused",
    )

    def __init__(self, config: Bulkhead, name: str = "") -> None:
        """Nobody is in."""
        lock = Lock()
        # `with lock` takes twice as long as these two.
        self._acquire, self._release = lock.acquire, lock.release
        self._config = config
        self.name = name
        self._governor = config.limit.governor() if isinstance(config.limit, Adaptive) else None
        self.limit = config.limit.initial if isinstance(config.limit, Adaptive) else config.limit
        self.busy = 0
        self.refused = 0
        self._queue: list[Ticket] = []  # by place, so that the next is the last
        self._turn = 0
        self._earliest = inf  # nobody's wait ends before
        self._since = inf  # when somebody joined the queue that was empty
        self._service = 0.0  # seconds a call takes, of late

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    def enter(self, now: float, priority: int = 0, patience: float | None = None) -> Ticket:
        """Ask to be let in. Who is in has to `leave`; who waits has to `give_up`, or be let in and leave."""
        self._acquire()
        try:
            if self.busy < self.limit:  # then nobody waits
                self.busy += 1
                return Ticket()
            ticket, ended = self._join(now, priority, patience)
        finally:
            self._release()
        for other in ended:
            other.signal.give()
        return ticket

    def leave(
        self,
        ticket: Ticket,
        now: float,
        took: float | None = None,
        failed: bool = False,  # noqa: FBT001, FBT002 - by position it is faster
    ) -> None:
        """Be done: the next is let in. A second time it does nothing.

        `took` is how long the call took, None where that says nothing about the backend; `failed` is whether it
        failed in a way that says that the backend has too much to do (`OVERLOADS`).
        """
        ended = None
        self._acquire()
        try:
            if ticket.state == "in":
                if took is not None:
                    if not failed or took > self._service:  # a call that is turned away at once needs no time
                        self._service += (took - self._service) * 0.1 if self._service else took
                    if self._governor is not None:
                        self.limit = self._governor.observe(self.busy, took, failed)
                self.busy -= 1
                ticket.state = "left"
                if self._queue:
                    ended = self._let_in(now)
            elif ticket.state == "waiting":
                del self._queue[bisect_left(self._queue, ticket.place, key=_place)]
                ticket.state = "left"
                ended = [ticket]
        finally:
            self._release()
        if ended:
            for other in ended:
                other.signal.give()

    def give_up(self, ticket: Ticket, now: float) -> None:
        """Wait no longer. A slot that it was given at this very moment goes on to the next."""
        self.leave(ticket, now)

    def hint(self, now: float) -> float:
        """Seconds after which a newcomer could be let in: what to tell who was turned away."""
        self._acquire()
        try:
            ended = self._put_out_late(now)
            ahead = len(self._queue) + 1 + max(0, self.busy - self.limit)
            seconds = ahead * (self._service or UNKNOWN) / self.limit
        finally:
            self._release()
        for other in ended:
            other.signal.give()
        return seconds

    # With the lock held. Each comes to the tickets whose signals are to be given.

    def _join(self, now: float, priority: int, patience: float | None) -> tuple[Ticket, list[Ticket]]:
        """Put a newcomer into the queue, if there is a place, or somebody who matters less."""
        ended = self._put_out_late(now)
        queue, ticket = self._queue, Ticket()
        wait = self._config.patience if patience is None else min(patience, self._config.patience)
        full = len(queue) >= self._places(now)
        if not wait > 0 or (full and not (queue and queue[0].place[0] < priority)):
            self._refuse(ticket)
            return ticket, ended
        if full:
            ended.append(queue.pop(0))
            self._refuse(ended[-1])
        if not queue:
            self._since = now
        self._turn -= 1
        ticket.state, ticket.signal, ticket.until, ticket.place = (
            "waiting",
            Signal(),
            now + wait,
            (priority, self._turn),
        )
        insort(queue, ticket, key=_place)
        self._earliest = min(self._earliest, ticket.until)
        return ticket, ended

    def _places(self, now: float) -> int:
        """How long the queue may be."""
        config = self._config
        if not self._queue or now - self._since <= config.patience:
            return config.queue
        served = self.limit * config.patience * SHORT / (self._service or UNKNOWN)
        return int(min(config.queue, max(FEWEST, ceil(served))))

    def _put_out_late(self, now: float) -> list[Ticket]:
        """Put out those whose wait is over: they are not let in any more."""
        if now < self._earliest:
            return []
        late = [ticket for ticket in self._queue if ticket.until <= now]
        self._queue = [ticket for ticket in self._queue if ticket.until > now]
        self._earliest = min((ticket.until for ticket in self._queue), default=inf)
        for ticket in late:
            self._refuse(ticket)
        return late

    def _let_in(self, now: float) -> list[Ticket]:
        ended = self._put_out_late(now)
        while self._queue and self.busy < self.limit:
            ticket = self._queue.pop()
            ticket.state = "in"
            self.busy += 1
            ended.append(ticket)
        return ended

    def _refuse(self, ticket: Ticket) -> None:
        ticket.state = "refused"
        self.refused += 1

    def __repr__(self) -> str:
        """Show how full it is."""
        return f"<Slots {self.name!r}: {self.busy} of {self.limit} in, {self.waiting} waiting>"
