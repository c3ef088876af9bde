"""Which calls fail, and how: by rate, by time, and changed while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from random import Random
from threading import Lock
from typing import Final

from fastcascade.errors import ConfigError
from fastcascade.testing.faults import Latency, Refused, Reset, SlowBytes, StallStream, Timeout, Trouble

__all__ = ["Plan", "Struck"]

TAKE_TIME: Final = (Latency, Reset, SlowBytes, StallStream, Timeout)


@dataclass(frozen=True, slots=True)
class Struck:
    """What one call meets: it waits, its pieces come `pace` seconds apart, and `fault` ends it; None is no fault."""

    wait: float = 0.0
    pace: float = 0.0
    fault: Trouble | None = None


UNHARMED: Final = Struck()


@dataclass(frozen=True, slots=True)
class _Entry:
    number: int
    fault: Trouble
    rate: float
    start: float = -inf
    end: float = inf


class Plan:
    """Says what each call meets. One plan can be shared, and changed from any thread while calls are made.

        plan = Plan(Latency(0.2, spread=0.1), seed=7)
        plan.set(Error("rate_limited", retry_after=5.0))             # from now on this, and nothing else
        plan.between(60.0, 90.0, Refused())                          # and this for half a minute
        plan.clear()                                                 # all is well again

    Each fault is drawn for by itself, at its own rate. Of those that strike, latencies add up, and of the others the
    first ends the call: those of a time before the standing ones, and the earlier before the later. What a call
    meets depends on the seed, on how many there were before it, and on the faults; not on the threads.

    Args:
        faults: what stands from the beginning.
        rate: the share of calls that a fault strikes, where it is not told otherwise.
        seed: of what is drawn. The same calls of the same plan meet the same.
    """

    def __init__(self, *faults: Trouble, rate: float = 1.0, seed: int = 0) -> None:
        """Begin with these faults."""
        _check(rate)
        self.rate = rate
        self.seed = seed
        self._standing: tuple[_Entry, ...] = ()
        self._timed: tuple[_Entry, ...] = ()
        self._made = 0
        self._calls = 0
        self._watchers: list[Callable[[], object]] = []
        self._lock = Lock()
        self.add(*faults)

    def set(self, *faults: Trouble, rate: float | None = None) -> None:
        """Have these faults stand, and no others. Those set for a time stay."""
        with self._lock:
            self._standing = self._entries(faults, rate)
        self._tell()

    def add(self, *faults: Trouble, rate: float | None = None) -> None:
        """Have these faults stand too, at a rate of their own."""
        with self._lock:
            self._standing += self._entries(faults, rate)
        self._tell()

    def between(self, start: float, end: float, *faults: Trouble, rate: float | None = None) -> None:
        """Have these faults too from `start` until `end`, by the clock of the event loop (`loop.time()`).

        That is the virtual time in `run_virtual`, and else `time.monotonic()`.
        """
        if not start < end:
            raise ConfigError(f"a plan's time must begin before it ends, not {start!r} and {end!r}")
        with self._lock:
            self._timed += self._entries(faults, rate, start, end)
        self._tell()

    def clear(self) -> None:
        """Have no faults, now or later."""
        with self._lock:
            self._standing = self._timed = ()
        self._tell()

    def draw(self, now: float) -> Struck:
        """What the next call meets."""
        with self._lock:
            number = self._calls
            self._calls += 1
            entries = (*self._timed, *self._standing)
        return self._drawn(number, now, entries) if entries else UNHARMED

    @property
    def takes_time(self) -> bool:
        """Whether any of its faults does, so that a call must be able to wait."""
        return any(isinstance(entry.fault, TAKE_TIME) for entry in (*self._timed, *self._standing))

    def refusing(self, now: float) -> bool:
        """Whether there is no connection to be had at all."""
        return any(
            entry.start <= now < entry.end and entry.rate >= 1.0 and isinstance(entry.fault, Refused)
            for entry in (*self._timed, *self._standing)
        )

    def next_change(self, now: float) -> float | None:
        """When the next fault begins or ends by its time; None if none does."""
        times = (time for entry in self._timed for time in (entry.start, entry.end))
        return min((time for time in times if now < time < inf), default=None)

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        """Call this after each change; gives how to stop that."""
        with self._lock:
            self._watchers.append(changed)

        def stop() -> None:
            with self._lock:
                self._watchers.remove(changed)

        return stop

    def __repr__(self) -> str:
        """Show its faults."""
        faults = [repr(entry.fault) for entry in (*self._timed, *self._standing)]
        return f"Plan({', '.join([*faults, f'rate={self.rate}', f'seed={self.seed}'])})"

    def _entries(
        self, faults: tuple[Trouble, ...], rate: float | None, start: float = -inf, end: float = inf
    ) -> tuple[_Entry, ...]:
        rate = self.rate if rate is None else rate
        _check(rate)
        first = self._made
        self._made += len(faults)
        return tuple(_Entry(first + place, fault, rate, start, end) for place, fault in enumerate(faults))

    def _drawn(self, number: int, now: float, entries: tuple[_Entry, ...]) -> Struck:
        wait = pace = 0.0
        ending: Trouble | None = None
        for entry in entries:
            if not entry.start <= now < entry.end:
                continue
            # Each has chances of its own, so that no fault's coming or going changes what another one strikes.
            key = f"{self.seed}:{number}:{entry.number}"
            if entry.rate < 1.0 and Random(key).random() >= entry.rate:
                continue
            fault = entry.fault
            if isinstance(fault, Latency):
                off = fault.spread * Random(f"{key}:spread").uniform(-1.0, 1.0) if fault.spread else 0.0
                wait += max(0.0, fault.seconds + off)
            elif isinstance(fault, SlowBytes):
                pace += fault.seconds
            elif ending is None:
                ending = fault
        return Struck(wait, pace, ending)

    def _tell(self) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for changed in watchers:
            changed()


def _check(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise ConfigError(f"a plan's rate must be from 0 to 1, not {rate!r}")
