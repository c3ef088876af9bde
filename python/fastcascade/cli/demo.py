"""`fastcascade demo`: the core at work on a mixed stream, without a network."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter_ns
from typing import Any

from fastcascade import Cache, FastPath, Quota, RateLimiter, Routed, Router, __version__
from fastcascade._core import DEBUG_BUILD
from fastcascade.cli import shop
from fastcascade.cli.figures import Tally
from fastcascade.cli.jobs import outcome
from fastcascade.cli.options import count, seconds
from fastcascade.cli.report import number, share, table, warn
from fastcascade.cli.routefile import Table, load
from fastcascade.cli.timing import Timer, each_empty, quiet

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "route a mixed stream of requests through the core and show what came of them"
CHUNK = 500  # requests between two looks at the time
WARM_UP = 2_000
ANSWERS = 20_000  # answers the cache holds
TTL, STALE = 30.0, 60.0
QUOTA = Quota(1_000, per="second", burst=200)
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=seconds, default=3.0, metavar="N", help="how long to run (default: 3)")
    length.add_argument("--requests", type=count, metavar="N", help="how many requests to run instead")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="which requests are made (default: 1)")


def execute(args: argparse.Namespace) -> int:
    """Run, then show."""
    if DEBUG_BUILD:
        warn("this is a debug build, many times slower than a release; these figures say nothing about fastcascade")
    demo = Demo(args.seed)
    seen = demo.run(args.seconds, args.requests)
    sys.stdout.write("\n".join(text(demo, seen, args.seed)) + "\n")
    return 0


def text(demo: Demo, seen: Seen, seed: int) -> Iterable[str]:
    """The report."""
    wished = ", ".join(f"{100 * part:g} % {kind}" for kind, part in shop.STREAM_MIX.items())
    routes, limit = len(demo.table.lines), f"{QUOTA.n:,.0f} a second, bursts of {QUOTA.burst:,.0f}"
    yield f"fastcascade {__version__} demo: {seen.asked:,} requests, {routes} routes, seed {seed}, no network"
    yield f"traffic:  {wished}; {100 * shop.READS:.0f} % reads; popular paths and busy callers come often"
    yield f"keys:     {shop.CALLERS} callers; cache: {ANSWERS:,} answers, ttl {TTL:.0f} s; limit: {limit}"
    yield ""
    yield "Which matcher answers (Router.match, ns)"
    yield from _rows("matcher", [(name, "") for name in MATCHERS], seen.matchers, seen.timer)
    yield ""
    yield "What becomes of a request (FastPath.take: identify, cache, match and admit in one call, ns)"
    names = [("hit", "answered from the cache")]
    names += [(f"routed by {matcher}", "to its handler") for matcher in MATCHERS[:3]]
    names += [(f"refused {status}", reason) for status, reason in REASONS.items()]
    yield from _rows("outcome", names, seen.outcomes, seen.timer)
    yield ""
    if seen.served:
        rate = seen.served / seen.serving_ns * 1e9
        yield f"{rate:,.0f} requests per second in one thread ({seen.served:,} requests): take, look at the result,"
        yield "and put the answer of a routed one into the cache"
        yield ""
    timer = seen.timer
    yield "Measured: each call on its own, through Python, every text a new object, collector off, after a warm-up of"
    yield f"{WARM_UP:,} requests. Reading the clock costs {timer.cost} ns, which is subtracted; it ticks by"
    yield f"{timer.step} ns and strays by {timer.jitter} ns at its own p99, so smaller differences mean nothing."
    yield "The stream goes in turns to the first table, to the second, and to the count per second, which has no clock"
    yield "in between. No handler ran and no byte was sent. A dash: too few for that percentile."


def _rows(what: str, names: Sequence[tuple[str, str]], tallies: dict[str, Tally], timer: Timer) -> list[str]:
    total = sum(tally.n for tally in tallies.values())
    rows = []
    for name, meaning in names:
        tally = tallies.get(name, Tally()).less(timer.cost)
        points = [number(tally.percentile(percent)) for percent in (50, 99, 99.9)]
        rows.append([name, share(tally.n, total), f"{tally.n:,}", *points, meaning])
    return table([what, "share", "n", "p50", "p99", "p99.9", "note"], rows)
