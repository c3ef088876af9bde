"""The second part of `fastcascade demo`: the core at work on a mixed stream, without a network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter_ns
from typing import Any

from fastcascade import Cache, FastPath, Quota, RateLimiter, Routed, Router
from fastcascade.cli import shop
from fastcascade.cli.figures import Tally
from fastcascade.cli.jobs import outcome
from fastcascade.cli.report import number, share, table
from fastcascade.cli.routefile import Table, load
from fastcascade.cli.timing import Timer, each_empty, quiet

__all__ = ["Demo", "Seen", "document", "text"]

CHUNK = 500  # requests between two looks at the time
WARM_UP = 2_000
ANSWERS = 20_000  # answers the cache holds
TTL, STALE = 30.0, 60.0
QUOTA = Quota(1_000, per="second", burst=200)
POINTS = {"p50_ns": 50.0, "p99_ns": 99.0, "p999_ns": 99.9}
MATCHERS = ("exact", "prefix", "regex", "none")
REASONS = {
    401: "no or unknown key",
    403: "scope lacking",
    404: "no such route",
    405: "wrong method",
    429: "over its limit",
}


@dataclass
class Seen:
    """What was measured, by matcher and by outcome."""

    timer: Timer = field(default_factory=Timer)
    matchers: dict[str, Tally] = field(default_factory=dict)
    outcomes: dict[str, Tally] = field(default_factory=dict)
    served: int = 0
    serving_ns: int = 0
    asked: int = 0

    @property
    def rate(self) -> float | None:
        """Requests per second; None where none were counted."""
        return self.served / self.serving_ns * 1e9 if self.serving_ns else None

    def take(self, tallies: dict[str, Tally], fell: dict[str, list[int]]) -> None:
        """File a chunk's timings, and what the clock says of nothing just now."""
        self.timer.saw(each_empty(CHUNK))
        for name, samples in fell.items():
            tallies.setdefault(name, Tally()).add(samples)


class Demo:
    """The built-in shop behind a `FastPath` with keys, cache and limits."""

    def __init__(self, seed: int) -> None:
        """Build all parts from embedded defaults."""
        self.table: Table = load(None)
        self.router = Router(shop.routes(self.table))
        self.cache: Cache[bytes] = Cache(max_items=ANSWERS, ttl=TTL, stale_for=STALE)
        self.front = FastPath(self.router, self.cache, shop.key_ring(), RateLimiter(QUOTA))
        self.stream = shop.Stream(self.table, self.table.router, seed)
        self.seen = Seen()

    def run(self, for_seconds: float, requests: int | None) -> Seen:
        """The stream in chunks that go by turns to the router, to the whole decision, and to the count per second.

        No two of them get the same requests: the second would find the processor's caches warm from the first.
        """
        turns = cycle((self.look_at_matches, self.look_at_decisions, self.time))
        with quiet():
            self.serve(shop.new(self.stream.draw(WARM_UP)))
            end = perf_counter_ns() + for_seconds * 1e9
            while self.seen.asked < requests if requests else perf_counter_ns() < end:
                next(turns)(shop.new(self.next(requests)))
        return self.seen

    def next(self, requests: int | None) -> list[Any]:
        """The next chunk, the last as long as is left."""
        length = min(CHUNK, requests - self.seen.asked) if requests else CHUNK
        self.seen.asked += length
        return self.stream.draw(length)

    def serve(self, asked: Sequence[shop.Request]) -> None:
        """What a server does with each request, its handler taken to answer at once."""
        take, put = self.front.take, self.cache.put
        for path, method, secret in asked:
            found = take(path, method, secret)
            if type(found) is Routed and found.key is not None:
                put(found.key, b"answer")

    def time(self, asked: Sequence[shop.Request]) -> None:
        """Requests per second, without a clock in between."""
        start = perf_counter_ns()
        self.serve(asked)
        self.seen.serving_ns += perf_counter_ns() - start
        self.seen.served += len(asked)

    def look_at_matches(self, asked: Sequence[shop.Request]) -> None:
        """Each call of the router on its own."""
        clock, match = perf_counter_ns, self.router.match
        fell: dict[str, list[int]] = {}
        for path, method, _ in asked:
            start = clock()
            found = match(path, method)
            spent = clock() - start
            fell.setdefault(found.by if found is not None else "none", []).append(spent)
        self.seen.take(self.seen.matchers, fell)

    def look_at_decisions(self, asked: Sequence[shop.Request]) -> None:
        """Each call of `take` on its own; what is routed is answered and filed between."""
        clock, take, put = perf_counter_ns, self.front.take, self.cache.put
        fell: dict[str, list[int]] = {}
        for path, method, secret in asked:
            start = clock()
            found = take(path, method, secret)
            spent = clock() - start
            name = outcome(found)
            if isinstance(found, Routed):
                name = f"routed by {found.by}"
                if found.key is not None:
                    put(found.key, b"answer")
            fell.setdefault(name, []).append(spent)
        self.seen.take(self.seen.outcomes, fell)


def text(demo: Demo, seen: Seen, seed: int) -> Iterable[str]:
    """The report."""
    wished = ", ".join(f"{100 * part:g} % {kind}" for kind, part in shop.STREAM_MIX.items())
    routes, limit = len(demo.table.lines), f"{QUOTA.n:,.0f} a second, bursts of {QUOTA.burst:,.0f}"
    yield f"2. The core below it, on {seen.asked:,} requests, {routes} routes, seed {seed}, no network"
    yield ""
    yield f"traffic:  {wished}; {100 * shop.READS:.0f} % reads"
    yield f"keys:     {shop.CALLERS} callers; cache: {ANSWERS:,} answers, ttl {TTL:.0f} s; limit: {limit}"
    yield ""
    yield "Which matcher answers (Router.match, ns)"
    yield from _table("matcher", [(name, "") for name in MATCHERS], seen.matchers, seen.timer)
    yield ""
    yield "What becomes of a request (FastPath.take: identify, cache, match, admit in one call, ns)"
    yield from _table("outcome", _outcomes(), seen.outcomes, seen.timer)
    yield ""
    if seen.rate is not None:
        yield f"{seen.rate:,.0f} requests per second in one thread ({seen.served:,} requests): take, look at the"
        yield "result, and put the answer of a routed one into the cache"
        yield ""
    timer = seen.timer
    yield "Measured: each call on its own, through Python, every text a new object, collector off, after a"
    yield f"warm-up of {WARM_UP:,} requests. Reading the clock costs {timer.cost} ns, which is subtracted; it ticks by"
    yield f"{timer.step} ns and strays by {timer.jitter} ns at its own p99, so smaller differences mean nothing. The"
    yield "stream goes in turns to the first table, to the second, and to the count per second, which has no"
    yield "clock in between. No handler ran and no byte was sent. A dash: too few for that percentile."


def document(seen: Seen, seed: int) -> dict[str, Any]:
    """The same for `--json`: nanoseconds, the clock's cost taken off."""
    return {
        "seed": seed,
        "requests": seen.asked,
        "served": seen.served,
        "requests_per_second": seen.rate,
        "matchers": _rows([(name, "") for name in MATCHERS], seen.matchers, seen.timer),
        "outcomes": _rows(_outcomes(), seen.outcomes, seen.timer),
    }


def _outcomes() -> list[tuple[str, str]]:
    names = [("hit", "answered from the cache")]
    names += [(f"routed by {matcher}", "to its handler") for matcher in MATCHERS[:3]]
    return names + [(f"refused {status}", reason) for status, reason in REASONS.items()]


def _rows(names: Sequence[tuple[str, str]], tallies: dict[str, Tally], timer: Timer) -> list[dict[str, Any]]:
    rows = []
    for name, meaning in names:
        tally = tallies.get(name, Tally()).less(timer.cost)
        points = {point: tally.percentile(percent) for point, percent in POINTS.items()}
        rows.append({"name": name, "n": tally.n, **points, "note": meaning})
    return rows


def _table(what: str, names: Sequence[tuple[str, str]], tallies: dict[str, Tally], timer: Timer) -> list[str]:
    total = sum(tally.n for tally in tallies.values())
    rows = []
    for row in _rows(names, tallies, timer):
        points = [number(row[point]) for point in POINTS]
        rows.append([row["name"], share(row["n"], total), f"{row['n']:,}", *points, row["note"]])
    return table([what, "share", "n", "p50", "p99", "p99.9", "note"], rows)
