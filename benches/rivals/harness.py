"""Times several contenders at one job, on the same input, in one run.

Machines drift, so the contenders take turns: every round runs each of them once, and what counts is the ratio between
two rows of one table. A contender is timed as inline source (`get(a)`), so that none pays for a wrapper the others do
not have; an empty loop over the same arguments is subtracted. The garbage collector is off while the clock runs.
"""

import gc
import operator
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from time import perf_counter_ns, sleep
from typing import Any, Literal

from report import show

CHUNK = 1_000  # arguments made at once: few enough to lie in the L2 cache, as a request just parsed does
ROUNDS = 9
BUDGET = 0.25  # seconds a contender may take of one round


class Missing(Exception):
    """A contender cannot take part; the text says what to install."""


class Inline:
    """What is timed, as source text: an expression of `a` (of `a, b, ...` where a call has more arguments).

    `timed`, where given, is what runs on the clock; the value of `expr` is what gets checked.
    """

    def __init__(self, expr: str, timed: str = "", **names: Any) -> None:
        self.expr, self.timed, self.names = expr, timed or expr, names


@dataclass
class Contender:
    """One row of a table.

    `setup` returns a callable (called as `fn(a)` or `fn(a, b)`) or an `Inline`. `convert` turns the arguments into what
    the contender wants to be given, off the clock. `answer` reads its result for the check, `same` compares that with
    what is right, and `may_differ` says how often it is not instead of leaving the contender out. `settle` is how many
    seconds to wait after its turn, where threads of its own would otherwise run in the next one's.
    """

    name: str
    setup: Callable[[], Callable[..., Any] | Inline]
    package: str | None = None
    role: Literal["limit", "rival", "ours"] = "rival"
    answer: Callable[[Any], Any] = lambda result: result
    convert: Callable[..., tuple[Any, ...]] | None = None
    note: str = ""
    same: Callable[[Any, Any], bool] = operator.eq
    may_differ: bool = False
    settle: float = 0.0


@dataclass
class Job:
    """The arguments every contender gets, and the right answers to them.

    `fresh` marks which arguments are made anew before each call, as new str objects whose hash is not yet known.
    """

    title: str
    args: Sequence[tuple[Any, ...]]
    expect: Sequence[Any]
    fresh: tuple[bool, ...] = (True,)
    percentiles: bool = False
    per: int = 1  # things done in one call, for figures per thing
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class _Ready:
    contender: Contender
    loop: Callable[[Sequence[Any]], int]
    each: Callable[[Sequence[Any], list[int]], None]
    note: str
    arity: int
    args: Sequence[tuple[Any, ...]]
    calls: int = CHUNK
    at: int = 0
    samples: list[float] = field(default_factory=list)
    single: list[int] = field(default_factory=list)


def version_of(package: str | None) -> str:
    """The installed version of a distribution, or Python's own."""
    if package is None:
        return platform.python_version()
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # put on the path without being installed
        return str(getattr(sys.modules.get(package), "__version__", "?"))


_SOURCE = """
def one({target}, *, {kept}):
    return {expr}
def loop(args, *, {kept}):
    start = clock()
    for {target} in args:
        {timed}
    return clock() - start
def each(args, out, *, {kept}):
    for {target} in args:
        start = clock()
        {timed}
        out.append(clock() - start)
"""


def compiled(statement: Inline, arity: int) -> tuple[Callable[..., Any], Callable[..., int], Callable[..., None]]:
    """The statement as a function, as a timed loop, and as a loop with a clock around each call."""
    names = {"clock": perf_counter_ns, **statement.names}
    # Names as defaults of the functions: locals, the cheapest there are, and the same for everyone.
    kept = ", ".join(f"{name}={name}" for name in names)
    target = ", ".join("abcdef"[:arity])
    exec(_SOURCE.format(target=target, kept=kept, expr=statement.expr, timed=statement.timed), names)
    return names["one"], names["loop"], names["each"]


def fresh_args(args: Sequence[tuple[Any, ...]], fresh: tuple[bool, ...]) -> list[Any]:
    """The same arguments with new str objects where asked; a lone argument without its tuple."""
    columns: list[list[Any]] = []
    for index, anew in enumerate(fresh):
        column = [arg[index] for arg in args]
        columns.append([str(text.encode(), "utf-8") for text in column] if anew else column)
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def convert(contender: Contender, args: list[Any], arity: int) -> tuple[list[Any], int]:
    """The arguments as the contender wants them, and how many there are to a call."""
    if contender.convert is None:
        return args, arity
    rows = [contender.convert(*(arg if arity > 1 else (arg,))) for arg in args]
    return ([row[0] for row in rows], 1) if len(rows[0]) == 1 else (rows, len(rows[0]))


def _ready(contender: Contender, job: Job) -> _Ready:
    try:
        made = contender.setup()
    except ImportError:
        raise Missing(f"not installed: pip install {contender.package}") from None
    args, arity = convert(contender, fresh_args(job.args, job.fresh), len(job.fresh))
    if not isinstance(made, Inline):
        made = Inline(f"fn({', '.join('abcdef'[:arity])})", fn=made)
    one, loop, each = compiled(made, arity)
    wrong, usable, last = 0, [], ""
    for plain, arg, want in zip(job.args, args, job.expect, strict=True):
        try:
            got = contender.answer(one(*arg) if arity > 1 else one(arg))
            usable.append(plain)
            wrong += not contender.same(got, want)
        except Exception as error:  # noqa: BLE001 - a router that raises for "no match" has disagreed, not crashed
            last = f"{type(error).__name__}: {error}"
    notes = [contender.note] if contender.note else []
    if wrong or last:
        differ = wrong + len(args) - len(usable)
        share = f"other answer on {differ:,} of {len(args):,} inputs ({100 * differ / len(args):.1f} %)"
        if not contender.may_differ or not usable:
            raise Missing(f"not timed: {share}{', last: ' + last if last else ''}"[:200])
        notes.append(share)
    if last:
        notes.append(f"raises on {100 - 100 * len(usable) / len(args):.1f} %, not timed")
    return _Ready(contender, loop, each, "; ".join(notes), arity, usable)


def _slice(job: Job, ready: _Ready, count: int) -> list[Any]:
    """The next `count` arguments, going round: slow contenders see other inputs in each round."""
    total = len(ready.args)
    picked = [ready.args[(ready.at + i) % total] for i in range(count)]
    ready.at = (ready.at + count) % total
    return convert(ready.contender, fresh_args(picked, job.fresh), len(job.fresh))[0]


def _round(job: Job, ready: _Ready, calls: int) -> float:
    spent, left = 0, calls
    while left > 0:
        chunk = _slice(job, ready, min(CHUNK, left))
        spent += ready.loop(chunk)
        left -= len(chunk)
    return spent / calls


def _round_of_single_calls(job: Job, ready: _Ready, calls: int) -> None:
    left = calls
    while left > 0:
        chunk = _slice(job, ready, min(CHUNK, left))
        ready.each(chunk, ready.single)
        left -= len(chunk)


def ns_per_call(
    contenders: Sequence[Contender], job: Job, *, rounds: int = ROUNDS, budget: float = BUDGET
) -> list[dict[str, Any]]:
    """Set up and check everybody, time them in turns, and fill `job.rows`."""
    ready: list[_Ready] = []
    absent: list[dict[str, Any]] = []
    for contender in contenders:
        try:
            ready.append(_ready(contender, job))
        except Missing as why:
            absent.append({"name": contender.name, "role": contender.role, "absent": str(why)})
        except Exception as why:  # noqa: BLE001 - one rival that breaks must not take the table with it
            text = f"failed: {type(why).__name__}: {why}"
            absent.append({"name": contender.name, "role": contender.role, "absent": text[:200]})
    empty = {arity: _empty(job, arity) for arity in {item.arity for item in ready}}
    gc.collect()
    gc.disable()
    try:
        for item in ready:
            pace = _round(job, item, min(200, len(job.args)))
            item.calls = min(len(item.args), max(50, int(budget * 1e9 / pace)))
        for _ in range(rounds):
            for item in [*empty.values(), *ready]:
                item.samples.append(_round(job, item, item.calls))
                if job.percentiles:
                    _round_of_single_calls(job, item, item.calls)
                sleep(item.contender.settle)
    finally:
        gc.enable()
    job.rows = [_row(item, empty[item.arity], job) for item in ready] + absent
    _ratios(job.rows)
    return job.rows


def _empty(job: Job, arity: int) -> _Ready:
    """The loop that does nothing, over as many arguments."""
    _, loop, each = compiled(Inline("None", "pass"), arity)
    same = Contender("empty loop", lambda: Inline("None"), convert=lambda *args: (args * arity)[:arity])
    return _Ready(same, loop, each, "", arity, job.args, calls=min(len(job.args), 20 * CHUNK))


def _row(item: _Ready, empty: _Ready, job: Job) -> dict[str, Any]:
    base = min(empty.samples)
    rounds = [max(sample - base, 0.1) / job.per for sample in item.samples]
    row = {
        "name": item.contender.name,
        "version": version_of(item.contender.package),
        "role": item.contender.role,
        "ns": statistics.median(rounds),
        "min": min(rounds),
        "rounds": rounds,
        "calls": item.calls * len(rounds),
        "note": item.note,
    }
    if job.percentiles:
        cost, calls = statistics.median(empty.single), sorted(item.single)
        for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
            row[name] = max(calls[min(int(part * len(calls)), len(calls) - 1)] - cost, 0)
    return row


def _ratios(rows: list[dict[str, Any]]) -> None:
    """To ours and to the limit: the median of the ratios within each round, so that a slow round slows both sides."""
    for role in ("ours", "limit"):
        other = next((row["rounds"] for row in rows if row["role"] == role and "ns" in row), None)
        for row in rows:
            if "ns" in row:
                pairs = zip(row["rounds"], other, strict=True) if other else ()
                row[f"x_{role}"] = statistics.median([one / two for one, two in pairs]) if other else None


def pace(quick: bool) -> dict[str, Any]:
    """Rounds and budget of a run."""
    return {"rounds": 3, "budget": 0.03} if quick else {"rounds": ROUNDS, "budget": BUDGET}


def timed(title: str, contenders: Sequence[Contender], job: Job, quick: bool) -> list[dict[str, Any]]:
    """`ns_per_call`, and the table printed."""
    rows = ns_per_call(contenders, job, **pace(quick))
    show(title, rows)
    return rows
