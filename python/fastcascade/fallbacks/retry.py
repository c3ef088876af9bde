"""When a failed call is made again: after which failures, how often, how long after, and how many in all.

Nothing here waits or asks: a `Retry` says what to do, and an `Allowance` keeps count for all who share it. Both are
told the time.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from math import inf
from random import random as drawn
from threading import Lock
from typing import Any, Final, ParamSpec, TypeVar, get_args

from fastcascade.errors import ConfigError, Failure, FailureKind
from fastcascade.fallbacks.remedies import REMEDIES, Remedy

__all__ = ["Allowance", "Retry", "RetryShare"]

P = ParamSpec("P")
R = TypeVar("R")

MOST_TIMES: Final = 5
"""More retries than this keep an outage going and help nobody."""
SPREAD: Final = 0.1
"""How much of a provider's wait is added to it at most, so that those who were told the same do not come at once."""
MOST_SPREAD: Final = 1.0
"""Seconds that are added at most."""
ROUNDING: Final = 1e-9
"""Ten deposits of a tenth make a token, though floats fall short of it."""


def _check(settings: object, what: str, **bounds: tuple[float, float]) -> None:
    for name, (least, most) in bounds.items():
        value = getattr(settings, name)
        if not (least <= value <= most and value < inf):
            upper = "" if most == inf else f" and at most {most:g}"
            msg = f"{what} needs {name} of at least {least:g}{upper}, not {value!r}"
            raise ConfigError(msg)


@dataclass(frozen=True, slots=True)
class RetryShare:
    """How many calls may be retries, so that an outage is not made worse by those who ask again.

    The law, for each stretch of time and however many threads share one allowance: retries are never more than
    `most` + `share` x the first calls made in it + `refill` x its seconds; from the beginning on, they are never
    more than `reserve` + `share` x first calls + `refill` x seconds. What is not used is not kept beyond `most`: an
    hour of good traffic does not save up an hour's retries.

    Args:
        share: the part of a retry that each first call earns.
        reserve: retries there are to begin with, for a service with little traffic.
        refill: retries earned back by each second, while there are fewer than the reserve.
        most: retries that are kept at most; as many as the reserve by default, and at least one.
    """

    share: float = 0.08
    reserve: float = 10.0
    refill: float = 0.1
    most: float | None = None

    def __post_init__(self) -> None:
        """Refuse what could never be meant."""
        _check(self, "a retry share", share=(0.0, 1.0), reserve=(0.0, inf), refill=(0.0, inf))
        if self.most is not None and not max(self.reserve, 1.0) <= self.most < inf:
            msg = f"a retry share needs most of at least 1 and its reserve of {self.reserve:g}, not {self.most!r}"
            raise ConfigError(msg)
        if not self.share and self.reserve < 1.0:
            raise ConfigError("a retry share with no share and a reserve below 1 allows no retry: give it either")

    def allowance(self) -> "Allowance":
        """The count of one such share, as it is at the beginning."""
        most = max(self.reserve, 1.0) if self.most is None else self.most
        return Allowance(self.share, self.reserve, self.refill, most)


class Allowance:
    """Retries that may still be made, counted for all that share them, in whichever thread.

    `deposit` once per first call, `withdraw` before each retry. Both are a few sums under a lock.
    """

    __slots__ = ("_lock", "_most", "_refill", "_reserve", "_share", "_since", "_tokens")

    def __init__(self, share: float, reserve: float, refill: float, most: float) -> None:
        """Begin with the reserve."""
        self._share = share
        self._reserve = reserve
        self._refill = refill
        self._most = most
        self._tokens = reserve
        self._since = -inf
        self._lock = Lock()

    def deposit(self, now: float) -> None:
        """Count a first call."""
        with self._lock:
            tokens = self._tokens
            if tokens < self._reserve:
                tokens = self._refilled(now)
            tokens += self._share
            self._tokens = tokens if tokens < self._most else self._most  # noqa: FURB136 - a call of min costs more than all the rest

    def withdraw(self, now: float) -> bool:
        """Take one retry; False where none is left."""
        with self._lock:
            tokens = self._refilled(now)
            if tokens < 1.0 - ROUNDING:
                return False
            self._tokens = tokens - 1.0
            return True

    def left(self, now: float) -> float:
        """How many retries could be made now."""
        with self._lock:
            return self._refilled(now)

    def _refilled(self, now: float) -> float:
        # Threads may come in another order than that in which they read the clock: no second is counted twice.
        passed = now - self._since
        if passed > 0.0:
            self._since = now
            if self._tokens < self._reserve:
                self._tokens = min(self._reserve, self._tokens + self._refill * passed)
        return self._tokens

    def __repr__(self) -> str:
        """Show what is left, as of when it was last asked."""
        return f"<Allowance of {self._tokens:.4g} retries>"


@dataclass(frozen=True, slots=True)
class Retry:
    """Which failed calls are made again, how often, and how long after.

        Retry()                                         # after 1, 2 and 4 seconds, each up to half of it sooner
        Retry(times=5, jitter=0.0)                      # after 1, 2, 4, 8 and 8
        Retry(remedies={"timeout": "next tier"})        # one that was slow is not waited for again

    It can be used for many places. Each has its own `allowance()`, unless they are given the same.

    Args:
        times: retries of one call, at most 5. 0 turns retries off.
        base: seconds before the first, where the provider does not say how long to wait.
        factor: how much longer each further wait is.
        cap: seconds that are waited at most. A provider's wait that is longer is not waited for.
        jitter: the part of a wait that is left to chance, from 0 to 1, so that those who failed together do not come
            back together.
        budget: how many of all calls may be retries; None is no bound, and lets an outage be made worse.
        remedies: what to do about some kinds of failure, where it is not what `REMEDIES` says.
        random: gives numbers from 0 to 1; for tests.
    """

    times: int = 3
    base: float = 1.0
    factor: float = 2.0
    cap: float = 8.0
    jitter: float = 0.5
    budget: RetryShare | None = RetryShare()
    remedies: Mapping[FailureKind, Remedy] | None = field(default=None, hash=False)
    random: Callable[[], float] = field(default=drawn, repr=False, compare=False)
    _remedies: Mapping[FailureKind, Remedy] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what could never be meant."""
        if type(self.times) is not int or not 0 <= self.times <= MOST_TIMES:
            msg = f"a retry needs times from 0 to {MOST_TIMES}, not {self.times!r}: more keep an outage going"
            raise ConfigError(msg)
        _check(self, "a retry", base=(0.0, inf), factor=(1.0, inf), cap=(0.0, inf), jitter=(0.0, 1.0))
        if self.cap < self.base:
            msg = f"a retry cannot begin with {self.base:g} seconds and wait at most {self.cap:g}: raise cap"
            raise ConfigError(msg)
        object.__setattr__(self, "_remedies", {**REMEDIES, **_checked(self.remedies or {})})

    def remedy(self, failure: Failure) -> Remedy:
        """What to do about a failure."""
        return self._remedies[failure.kind]

    def delay(self, nth: int) -> float:
        """Seconds to wait before a retry, counted from 0, where nobody has said how long."""
        try:
            seconds = min(self.cap, self.base * self.factor**nth)
        except OverflowError:
            seconds = self.cap
        return seconds * (1.0 - self.jitter * self.random())

    def rest(self, seconds: float) -> float | None:
        """Seconds to wait where a provider has said how long: never less. None where that is too long to be waited for.

        Up to a tenth is added, and no more than a second, so that not all who were told the same come at once.
        """
        if not seconds <= self.cap:
            return None
        seconds = max(0.0, seconds)
        return seconds + min(seconds * SPREAD, MOST_SPREAD) * self.random()

    def pause(self, nth: int, failure: Failure) -> float | None:
        """Seconds to wait before a retry after this failure; None where it is not to be waited for.

        What the provider says comes first. That it may be asked at once says nothing of when it is well again.
        """
        if not failure.retry_after:
            return self.delay(nth)
        return self.rest(failure.retry_after)

    def allowance(self) -> Allowance:
        """The count of the retries that are allowed, as it is at the beginning."""
        return Allowance(0.0, inf, 0.0, inf) if self.budget is None else self.budget.allowance()

    def __call__(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """Call an async function again where it fails in a way that may pass; at last its own error is raised."""
        from fastcascade.entry.guarded import guarded  # noqa: PLC0415 - it is made of us

        return guarded(function, retry=self)


def _checked(remedies: Mapping[FailureKind, Remedy]) -> Mapping[FailureKind, Remedy]:
    for kind, remedy in remedies.items():
        if kind not in REMEDIES:
            msg = f"there is no failure of kind {kind!r}; kinds are {', '.join(REMEDIES)}"
            raise ConfigError(msg)
        if remedy not in get_args(Remedy):
            msg = f"there is no remedy {remedy!r} for {kind!r}; remedies are {', '.join(get_args(Remedy))}"
            raise ConfigError(msg)
        if REMEDIES[kind] == "give up" != remedy:
            msg = f"after a failure of kind {kind!r} nothing can be done but give up, not {remedy!r}"
            raise ConfigError(msg)
    return remedies
