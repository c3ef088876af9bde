"""What `fastcascade bench --json` writes. Keys are only ever added while `schema` stays the same.

Every `*_ns` is in nanoseconds. Percentiles are of single timings, the clock's cost (`timer_ns`) already taken off;
one is null where there are too few samples for it to mean anything.
"""

import os
import platform
import sys
from collections.abc import Sequence
from typing import Literal, TypedDict

from fastcascade import __version__
from fastcascade._core import DEBUG_BUILD
from fastcascade.cli.figures import EDGES, Tally, median
from fastcascade.cli.jobs import Workload
from fastcascade.cli.timing import Job, Timer

__all__ = ["Document", "Machine", "Python", "Rival", "Routes", "Row", "TimerNs", "Timers", "document", "rows_of"]

SCHEMA = 1


class Python(TypedDict):
    """The interpreter."""

    version: str
    implementation: str
    compiler: str
    gil: bool


class Machine(TypedDict):
    """What it ran on; `load` is the load average over a minute when it ended, null where there is none."""

    system: str
    processor: str
    cores: int | None
    load: float | None


class Routes(TypedDict):
    """The table: routes in all and per matcher, and what no request was made for.

    `other_methods` take not the `method` that is asked with; `barren` are hidden behind other routes, or are patterns
    that no path could be made from.
    """

    source: str
    count: int
    kinds: dict[str, int]
    method: str
    mix: dict[str, float]
    other_methods: int
    barren: int


class TimerNs(TypedDict):
    """A clock: what a reading costs (subtracted), the step it ticks in, and how far its p99 lies over that cost."""

    cost: int
    step: int
    jitter: int


class Timers(TypedDict):
    """The clock of the calls timed from Python, and that of those timed inside Rust."""

    python: TimerNs
    rust: TimerNs


class Row(TypedDict):
    """One call in one case, seen from Python or from inside Rust.

    `warm_up` calls were made beside the `n` and not counted: each turn begins with some, so the figures are those of
    a warm cache. `mean_ns` is the median, over rounds, of the mean of a round's single timings. `loop_ns` is the
    median, over rounds, of what a tight loop takes per call in processor time, less an empty loop: the truer mean of
    the two, null inside Rust. `per` things are done in one call, and all times are for one of them. `histogram` counts
    single timings in buckets `[from which ns on, how many]`; the counts add up to `n`.
    """

    call: str
    case: str
    side: Literal["python", "rust"]
    per: int
    n: int
    warm_up: int
    mean_ns: float
    loop_ns: float | None
    loop_calls: int
    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None
    p999_ns: int | None
    max_ns: int
    histogram: list[list[int]]
    note: str


class Rival(TypedDict):
    """One rival at one job, in turns with ours on the same requests.

    `ratio` is theirs over ours, so above 1 ours is the faster. `left_out` routes it could not be given; requests to
    them were put to neither. `other` of `checked` requests it answers with another route, or with an error.
    `absent` says why it did not take part; the figures are then null.
    """

    job: str
    name: str
    version: str
    role: Literal["rival", "limit"]
    pip: str | None
    ours: str
    ns: float | None
    ours_ns: float | None
    ratio: float | None
    calls: int
    left_out: int
    other: int
    checked: int
    absent: str | None
    note: str


class Document(TypedDict):
    """The whole."""

    schema: int
    version: str
    debug_build: bool
    python: Python
    machine: Machine
    routes: Routes
    seed: int
    seconds: float
    timer_ns: Timers
    rows: list[Row]
    rivals: list[Rival]
    warnings: list[str]


def document(
    work: Workload, jobs: Sequence[Job], timers: tuple[Timer, Timer], rivals: list[Rival], seed: int, seconds: float
) -> Document:
    """Everything that was measured, and on what."""
    kinds = [line.kind for line in work.table.lines]
    return {
        "schema": SCHEMA,
        "version": __version__,
        "debug_build": DEBUG_BUILD,
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "compiler": platform.python_compiler(),
            "gil": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
        },
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        },
        "routes": {
            "source": work.table.source,
            "count": len(kinds),
            "kinds": {kind: kinds.count(kind) for kind in ("exact", "prefix", "regex", "wildcard")},
            "method": work.method,
            "mix": {kind: round(share, 4) for kind, share in work.shares.items()},
            "other_methods": work.other_methods,
            "barren": work.barren,
        },
        "seed": seed,
        "seconds": seconds,
        "timer_ns": {"python": _timer(timers[0]), "rust": _timer(timers[1])},
        "rows": [row for job in jobs for row in rows_of(job, *timers)],
        "rivals": rivals,
        "warnings": list(work.table.warnings),
    }


def _timer(timer: Timer) -> TimerNs:
    return {"cost": timer.cost, "step": timer.step, "jitter": timer.jitter}


def rows_of(job: Job, python: Timer, rust: Timer) -> list[Row]:
    """One row from Python and, where it was timed there too, one from inside."""
    outside = _row(job, "python", job.singles.less(python.cost, job.per), job.means, job.per)
    outside["loop_ns"], outside["loop_calls"] = round(median(job.loops), 2), job.loop_calls
    if job.inside is None:
        return [outside]
    return [outside, _row(job, "rust", job.rust_singles.less(rust.cost), job.rust_means, 1)]


def _row(job: Job, side: Literal["python", "rust"], tally: Tally, means: Sequence[float], per: int) -> Row:
    points = {
        f"p{name}_ns": tally.percentile(percent)
        for name, percent in (("50", 50), ("90", 90), ("99", 99), ("999", 99.9))
    }
    return {
        "call": job.call,
        "case": job.case,
        "side": side,
        "per": per,
        "n": tally.n,
        "warm_up": job.warm_up,
        "mean_ns": round(median(means), 2),
        "loop_ns": None,
        "loop_calls": 0,
        "p50_ns": points["p50_ns"],
        "p90_ns": points["p90_ns"],
        "p99_ns": points["p99_ns"],
        "p999_ns": points["p999_ns"],
        "max_ns": tally.most,
        "histogram": [[edge, count] for edge, count in zip(EDGES, tally.histogram(), strict=True)],
        "note": job.note,
    }
