"""A circuit breaker: a backend that fails, or has become slow, is left alone for a while, then tried with a few calls.

Here is what can be set; circuit.py has the state, and the table of what leads to what.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final, ParamSpec, TypeVar, get_args

from fastcascade.errors import ConfigError, FailureKind
from fastcascade.fallbacks.circuit import SILENT, Circuit, State

__all__ = ["COUNTS", "SILENT", "Breaker", "Circuit", "State"]

P = ParamSpec("P")
T = TypeVar("T")

COUNTS: Final[frozenset[FailureKind]] = frozenset(
    {
        "timeout",
        "overloaded",
        "server",
        "connection",
        "cut",
        "malformed",
        # A key that was refused will be refused again, and a model that is gone stays gone: the next call would be
        # lost too. A circuit is for one backend with one key, so nobody else is shut out.
        "auth",
        "billing",
        "not_found",
        # Any exception of a function that is wrapped is of this kind.
        "bug",
    }
)
"""What counts as a failure of the backend, unless told otherwise. Not `rate_limited`: Retry-After governs that."""

SHORTEST: Final = 0.001
MOST_CALLS: Final = 1_000_000


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Breaker:
    """When to leave a backend alone, and when to try it again. One may serve many backends: `circuit` has the state.

    Either by rates over a window, or by three numbers: so many failures one after another open the circuit, and a
    success between them begins the count anew. That is what `failure_threshold` means in circuitbreaker, fail_max
    in pybreaker, and in most code written with these names. It is short for a window of as many calls with a
    failure rate of 1.

    Args:
        failure_rate: share of failed calls in the window that opens the circuit; 0.5 by default.
        slow_rate: share of slow calls that does; 1.0 by default.
        slow_after: a call that took longer, in seconds, is slow, whether it failed or not; None: none is.
        window: seconds looked back on; 30 by default. Forgotten in tenths, so between 0.9 and 1.0 of it.
        calls: how many calls to look back on, instead of a time.
        minimum: calls in the window below which nothing is decided; 10 by default, or `calls` if that is less.
        cooling: seconds for which an open circuit lets no call through; 30 by default.
        probes: calls let through after that, all of which must succeed; 3 by default.
        failure_threshold: failures one after another that open the circuit; 5 by default in the three-number form.
        recovery_timeout: what `cooling` is called in the three-number form.
        half_open_max_calls: what `probes` is called in the three-number form.
        counts: the kinds of failure that count as such; see `COUNTS`.
        lapse: seconds after which a probe that has not ended no longer holds up others. With the longest timeout
            of a call or more, there are never more than `probes` calls under way half-open.
    """

    failure_rate: float
    slow_rate: float
    slow_after: float | None
    window: float | None
    calls: int | None
    minimum: int
    cooling: float
    probes: int
    counts: frozenset[FailureKind]
    lapse: float

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        *,
        failure_rate: float | None = None,
        slow_rate: float | None = None,
        slow_after: float | None = None,
        window: float | None = None,
        calls: int | None = None,
        minimum: int | None = None,
        cooling: float | None = None,
        probes: int | None = None,
        failure_threshold: int | None = None,
        recovery_timeout: float | None = None,
        half_open_max_calls: int | None = None,
        counts: Iterable[FailureKind] = COUNTS,
        lapse: float = 60.0,
    ) -> None:
        """Check that the settings go together."""
        rates = {
            "failure_rate": failure_rate,
            "slow_rate": slow_rate,
            "slow_after": slow_after,
            "window": window,
            "calls": calls,
            "minimum": minimum,
            "cooling": cooling,
            "probes": probes,
        }
        three = {
            "failure_threshold": failure_threshold,
            "recovery_timeout": recovery_timeout,
            "half_open_max_calls": half_open_max_calls,
        }
        if _one_form(rates, three):
            threshold = 5 if failure_threshold is None else failure_threshold
            _whole("failure_threshold", threshold)
            _seconds("recovery_timeout", recovery_timeout)
            _whole("half_open_max_calls", half_open_max_calls)
            failure_rate, calls, minimum, cooling, probes = (
                1.0,
                threshold,
                threshold,
                recovery_timeout,
                half_open_max_calls,
            )
        kinds = _kinds(counts)
        _rate("failure_rate", failure_rate)
        _rate("slow_rate", slow_rate)
        for name, seconds in (("slow_after", slow_after), ("window", window), ("cooling", cooling), ("lapse", lapse)):
            _seconds(name, seconds)
        for name, number in (("calls", calls), ("minimum", minimum), ("probes", probes)):
            _whole(name, number)
        _together(rates, kinds)
        least = min(10, calls or 10) if minimum is None else minimum
        if calls is not None and least > calls:
            raise ConfigError(f"breaker: minimum {least} is never reached in a window of {calls} calls: lower it")
        settle = object.__setattr__
        settle(self, "failure_rate", 0.5 if failure_rate is None else float(failure_rate))
        settle(self, "slow_rate", 1.0 if slow_rate is None else float(slow_rate))
        settle(self, "slow_after", None if slow_after is None else float(slow_after))
        settle(self, "window", None if calls is not None else 30.0 if window is None else float(window))
        settle(self, "calls", calls)
        settle(self, "minimum", least)
        settle(self, "cooling", 30.0 if cooling is None else float(cooling))
        settle(self, "probes", 3 if probes is None else probes)
        settle(self, "counts", kinds)
        settle(self, "lapse", float(lapse))

    def circuit(self, name: str = "") -> Circuit:
        """The state for one backend, with one key, in one region."""
        return Circuit(self, name)

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Leave an async function alone while it keeps failing; `function.pool` shows and holds its circuit."""
        from fastcascade.entry.guarded import guarded  # noqa: PLC0415 - it is made of us

        return guarded(function, breaker=self)

    def __repr__(self) -> str:
        """Show how it can be made."""
        if self.calls == self.minimum and self.failure_rate == 1.0 and self.slow_after is None:
            parts = [f"failure_threshold={self.calls}", f"recovery_timeout={self.cooling}"]
            parts.append(f"half_open_max_calls={self.probes}")
        else:
            parts = [f"failure_rate={self.failure_rate}"]
            if self.slow_after is not None:
                parts.append(f"slow_rate={self.slow_rate}, slow_after={self.slow_after}")
            parts.append(f"window={self.window}" if self.calls is None else f"calls={self.calls}")
            parts.append(f"minimum={self.minimum}, cooling={self.cooling}, probes={self.probes}")
        if self.counts != COUNTS:
            parts.append(f"counts={{{', '.join(map(repr, sorted(self.counts)))}}}" if self.counts else "counts=()")
        if self.lapse != 60.0:
            parts.append(f"lapse={self.lapse}")
        return f"Breaker({', '.join(parts)})"


# Checks.


def _one_form(rates: Mapping[str, object], three: Mapping[str, object]) -> bool:
    """Whether it is the three-number form."""
    given = [name for name, value in three.items() if value is not None]
    if given and (others := [name for name, value in rates.items() if value is not None]):
        msg = (
            f"breaker: {given[0]} and {others[0]} belong to two ways of setting it; use the three numbers or the rates"
        )
        raise ConfigError(msg)
    return bool(given)


def _together(rates: Mapping[str, object], kinds: frozenset[FailureKind]) -> None:
    if rates["window"] is not None and rates["calls"] is not None:
        raise ConfigError("breaker: window is in seconds, calls is a number of calls; give one of the two")
    if rates["slow_after"] is None:
        if rates["slow_rate"] is not None:
            raise ConfigError("breaker: slow_rate needs slow_after, the seconds after which a call is slow")
        if not kinds:
            raise ConfigError("breaker: counts is empty and there is no slow_after, so nothing would ever open it")


def _rate(name: str, value: float | None) -> None:
    if value is not None and not 0.0 < value <= 1.0:
        raise ConfigError(f"breaker: {name} is a share above 0 and up to 1, not {value!r}")


def _seconds(name: str, value: float | None) -> None:
    if value is not None and not SHORTEST <= value < inf:
        raise ConfigError(f"breaker: {name} is a number of seconds, at least {SHORTEST}, not {value!r}")


def _whole(name: str, value: object) -> None:
    if value is not None and (type(value) is not int or not 1 <= value <= MOST_CALLS):
        raise ConfigError(f"breaker: {name} is a whole number from 1 to {MOST_CALLS}, not {value!r}")


def _kinds(counts: Iterable[FailureKind]) -> frozenset[FailureKind]:
    if isinstance(counts, str):
        raise ConfigError(f"breaker: counts is a set of kinds of failure, not the text {counts!r}")
    kinds = frozenset(counts)
    if unknown := kinds - set(get_args(FailureKind)):
        raise ConfigError(f"breaker: counts has {min(map(repr, unknown))}, which is no kind of failure")
    if alien := kinds & (SILENT | {"bad_request"}):
        msg = f"breaker: counts may not have {min(alien)!r}: it is no fault of the backend's"
        raise ConfigError(msg)
    return kinds
