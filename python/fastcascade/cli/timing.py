"""The clock: what reading it costs, one call at a time, and many calls in a tight loop.

Two figures, because neither tells all. A clock read around each call gives percentiles, but reading it costs as much
as the call itself and it ticks in steps; that cost is measured in the same run and subtracted. A tight loop over many
calls, less the same loop doing nothing, gives the truer mean and nothing else; it is timed in processor time.
"""

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from time import get_clock_info, perf_counter_ns, thread_time_ns
from typing import Any, TypeAlias

from fastcascade.cli.figures import Tally, median

__all__ = ["CHUNK", "Inside", "Job", "Timer", "each_empty", "loop", "loop_clock", "loop_empty", "quiet", "run"]

CHUNK = 1_000  # calls between two looks at anything else: few enough for their arguments to stay in the cache
ROUNDS = 3  # at least so many, however short the time

# On a busy machine a long loop is interrupted and a short one is not, which would tell against whoever is slower; so
# loops are timed by what the thread used, where the system counts that finely.
loop_clock = thread_time_ns if get_clock_info("thread_time").resolution < 1e-6 else perf_counter_ns

Call: TypeAlias = Callable[..., object]
Inside: TypeAlias = Callable[[Sequence[Any]], tuple[list[int], list[int]]]


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection meanwhile: it would fall on whichever call comes next."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def loop(fn: Call, args: Sequence[Any], arity: int) -> int:
    """Nanoseconds of all calls together."""
    start = loop_clock()
    if arity == 1:
        for a in args:
            fn(a)
    elif arity == 2:
        for a, b in args:
            fn(a, b)
    else:
        for a, b, c in args:
            fn(a, b, c)
    return loop_clock() - start


def loop_empty(args: Sequence[Any], arity: int) -> int:
    """The same without the calls."""
    start = loop_clock()
    if arity == 1:
        for _ in args:
            pass
    elif arity == 2:
        for _, _ in args:
            pass
    else:
        for _, _, _ in args:
            pass
    return loop_clock() - start


def each(fn: Call, args: Sequence[Any], arity: int) -> list[int]:
    """Nanoseconds of each call, the clock's own cost in it."""
    clock, out = perf_counter_ns, []
    if arity == 1:
        for a in args:
            start = clock()
            fn(a)
            out.append(clock() - start)
    elif arity == 2:
        for a, b in args:
            start = clock()
            fn(a, b)
            out.append(clock() - start)
    else:
        for a, b, c in args:
            start = clock()
            fn(a, b, c)
            out.append(clock() - start)
    return out


def each_empty(count: int) -> list[int]:
    """What the clock says of nothing."""
    clock, out = perf_counter_ns, []
    for _ in range(count):
        start = clock()
        out.append(clock() - start)
    return out


class Timer:
    """A clock as it was seen during the run."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.tally = Tally()
        self._steps: Counter[int] = Counter()

    def saw(self, empty: Sequence[int]) -> None:
        """Take in some readings of nothing."""
        self.tally.add(empty)
        self._steps.update(abs(after - before) for before, after in pairwise(empty) if after != before)

    @property
    def cost(self) -> int:
        """What is subtracted from each timing: the middle reading of nothing."""
        return self.tally.percentile(50) or 0

    @property
    def step(self) -> int:
        """What two readings most often differ by: finer than this it does not tell."""
        return self._steps.most_common(1)[0][0] if self._steps else 0

    @property
    def jitter(self) -> int:
        """How far a reading of nothing strays in 99 of 100 cases: smaller differences of a p99 mean nothing."""
        return (self.tally.percentile(99) or 0) - self.cost


@dataclass
class Job:
    """Something to be timed, with fresh arguments for every chunk, and what came of it."""

    call: str
    case: str
    fn: Call
    draw: Callable[[], Sequence[Any]]
    arity: int = 1
    per: int = 1  # things done in one call
    inside: Inside | None = None
    note: str = ""
    singles: Tally = field(default_factory=Tally)
    means: list[float] = field(default_factory=list)
    loops: list[float] = field(default_factory=list)
    loop_calls: int = 0
    rust_singles: Tally = field(default_factory=Tally)
    rust_means: list[float] = field(default_factory=list)
    warm_up: int = 0

    def turn(self, python: Timer, rust: Timer) -> None:
        """One chunk not counted, as others have had the processor's caches meanwhile; then one chunk each way."""
        args = self.draw()
        loop(self.fn, args, self.arity)
        self.warm_up += len(args)

        args = self.draw()
        spent = loop(self.fn, args, self.arity) - loop_empty(args, self.arity)
        self.loops.append(max(0, spent) / len(args) / self.per)
        self.loop_calls += len(args)

        args, empty = self.draw(), each_empty(CHUNK)
        samples = each(self.fn, args, self.arity)
        python.saw(empty)
        self.singles.add(samples)
        self.means.append(_mean(samples, empty) / self.per)

        if self.inside is not None:
            empty, samples = self.inside(self.draw())
            rust.saw(empty)
            self.rust_singles.add(samples)
            self.rust_means.append(_mean(samples, empty))


def _mean(samples: Sequence[int], empty: Sequence[int]) -> float:
    return max(0.0, sum(samples) / len(samples) - median(empty))


def run(jobs: Sequence[Job], seconds: float) -> tuple[Timer, Timer]:
    """Let the jobs take turns until the time is up; Python's clock and Rust's as they were meanwhile."""
    python, rust = Timer(), Timer()
    with quiet():
        start, rounds = perf_counter_ns(), 0
        while rounds < ROUNDS or perf_counter_ns() - start < seconds * 1e9:
            for job in jobs:
                job.turn(python, rust)
            rounds += 1
    return python, rust
