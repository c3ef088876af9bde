"""Rate limits: is this one of 10,000 clients to be let in? And bytes per client.

The file is not called limits.py because a rival is, and a script's own folder comes first on the import path.
All are given a burst so large that nobody is refused: refusing is cheaper for most, and letting in is the common case.
That all do refuse is checked first, with a burst of five.
"""

import random
import time
from collections.abc import Callable
from typing import Any

from cython_core import core
from harness import Contender, Inline, Job, Missing, timed
from inputs import SEED
from memory import Target
from memory import table as memory_table
from ours import fastcascade
from report import run

CLIENTS = 10_000
RATE, BURST = 10, 100_000  # a second, and at once: nobody is refused here, and no bucket is ever full again


def clients(count: int) -> list[str]:
    """Names as a key ring would give them."""
    rng = random.Random(SEED)
    return [f"client-{rng.getrandbits(40):010x}-{index:x}" for index in range(count)]


def gcra(rate: float, burst: float) -> Callable[[str], bool]:
    """The shortest correct limiter in Python: per client the time at which its bucket will be full. Never forgets."""
    full_at: dict[str, float] = {}
    get, monotonic = full_at.get, time.monotonic
    step, span = 1.0 / rate, burst / rate

    def admit(client: str) -> bool:
        now = monotonic()
        at = get(client, 0.0)
        if at < now:
            at = now
        at += step
        if at - now > span:
            return False
        full_at[client] = at
        return True

    return admit


def dict_and_clock(count: int) -> Inline:
    """The limit: read a number and the time."""
    return Inline("get(a)", "get(a); now()", get=dict.fromkeys(clients(count), True).get, now=time.monotonic)


def token_bucket(rate: float, burst: int) -> Inline:
    import token_bucket

    limiter = token_bucket.Limiter(rate, burst, token_bucket.MemoryStorage())
    return Inline("admit(a)", admit=limiter.consume)


def limits(rate: float, burst: int, strategy: str = "FixedWindowRateLimiter") -> Inline:
    from limits import RateLimitItemPerSecond, storage, strategies

    limiter = getattr(strategies, strategy)(storage.MemoryStorage())
    # A window, not a bucket: `burst` per as long as a bucket of it takes to fill.
    item = RateLimitItemPerSecond(burst, max(1, round(burst / rate)))
    return Inline("admit(item, a)", admit=limiter.hit, item=item)


def throttled(rate: float, burst: int) -> Inline:
    from throttled import MemoryStore, RateLimiterType, Throttled, per_sec

    store = MemoryStore(options={"MAX_SIZE": 4_000_000})  # its default of 1,024 would forget most of them
    throttle = Throttled(using=RateLimiterType.GCRA.value, quota=per_sec(int(rate), burst=burst), store=store)
    return Inline("not admit(a).limited", "admit(a)", admit=throttle.limit)


def pyrate(rate: float, burst: int) -> Inline:
    from pyrate_limiter import (
        BucketFactory,
        Duration,
        Limiter,
        MonotonicClock,
        Rate,
        RateItem,
        StateBucket,
        TokenBucket,
    )

    clock, algorithm = MonotonicClock(), TokenBucket()
    rates = [Rate(int(rate), Duration.SECOND, burst=burst)]
    buckets: dict[str, StateBucket] = {}

    class PerClient(BucketFactory):
        """A bucket to a client, as its manual shows; no thread that empties them: a state bucket needs none."""

        def wrap_item(self, name: str, weight: int = 1) -> RateItem:
            return RateItem(name, clock.now(), weight=weight)

        def get(self, item: RateItem) -> StateBucket:
            bucket = buckets.get(item.name)
            if bucket is None:
                bucket = buckets[item.name] = StateBucket(rates, algorithm=algorithm)
            return bucket

    limiter = Limiter(PerClient())
    return Inline("admit(a, blocking=False)", admit=limiter.try_acquire)


def cython(rate: float, burst: float) -> Inline:
    return Inline("admit(a) == 0.0", "admit(a)", admit=core().Buckets(rate, burst).admit)


def ours(rate: float, burst: float, max_clients: int = 1_000_000) -> Inline:
    package = fastcascade()
    limiter = package.RateLimiter(package.Quota(rate, per="second", burst=burst), max_clients=max_clients)
    return Inline("admit(a) == 0.0", "admit(a)", admit=limiter.admit)


MAKERS: dict[str, tuple[str | None, Callable[[float, int], Any], str]] = {
    "fastcascade RateLimiter.admit": ("fastcascade", ours, "returns the wait; memory bounded"),
    "cython GCRA": ("Cython", cython, "never forgets a client"),
    "GCRA in a Python dict": (None, gcra, "never forgets a client"),
    "token-bucket": ("token-bucket", token_bucket, "never forgets a client"),
    "limits, fixed window": ("limits", limits, "a counter per window, not a bucket; a thread that sweeps"),
    "limits, sliding window": (
        "limits",
        lambda rate, burst: limits(rate, burst, "SlidingWindowCounterRateLimiter"),
        "two counters",
    ),
    "throttled-py, GCRA": ("throttled-py", throttled, "returns a result with state; bounded"),
    "pyrate-limiter, token bucket": ("pyrate-limiter", pyrate, "whole milliseconds; never forgets a client"),
}


def refuses(make: Callable[[float, int], Any]) -> bool:
    """At one a second with a burst of five, are five of six let in at once, and does another client not feel it?"""
    made = make(1, 5)
    code = made if callable(made) else eval(f"lambda a: {made.expr}", dict(made.names))
    return [bool(code("x")) for _ in range(6)] == [True] * 5 + [False] and bool(code("y"))


def checked(make: Callable[[float, int], Any]) -> Any:
    """The limiter to be timed, once a small one has shown that it limits."""
    if not refuses(make):
        raise Missing("does not let in exactly five of a burst of six, so not timed")
    return make(RATE, BURST)


def admit(quick: bool) -> list[dict[str, Any]]:
    """10,000 clients, each call by another at random."""
    names = clients(CLIENTS)
    drawn = random.Random(SEED).choices(names, k=20_000)
    job = Job("limits", [(name,) for name in drawn], [True] * len(drawn))
    rows = [Contender("dict.get + time.monotonic", lambda: dict_and_clock(CLIENTS), role="limit")]
    for name, (package, make, note) in MAKERS.items():
        role = "ours" if package == "fastcascade" else "rival"
        settle = 0.1 if package == "limits" else 0.0
        rows.append(
            Contender(name, lambda make=make: checked(make), package=package, role=role, note=note, settle=settle)
        )
    return timed(f"rate limits: {CLIENTS:,} clients, new str each time", rows, job, quick)


def fill(count: int, maker: str) -> Callable[[], Any]:
    """For `memory`: a limiter that has met each of `count` clients once."""
    names, make = clients(count), MAKERS[maker][1]
    refuses(make)
    # Slow enough that no client's bucket is full again, and so may be forgotten, before it is measured.
    made = make(1, 1_000)
    code = made if callable(made) else eval(f"lambda a: {made.expr}", dict(made.names))

    def build() -> Any:
        for name in names:
            code(name)
        return code

    return build


def memory(quick: bool) -> list[dict[str, Any]]:
    """Bytes per client beyond the key."""
    count = 20_000 if quick else 100_000
    targets: dict[str, Target] = {name: ("rate_limits:fill", {"maker": name}) for name in MAKERS}
    title = f"rate limits: bytes per client, about {count:,} clients, keys not counted"
    return memory_table(title, targets, count, {name: note for name, (_, _, note) in MAKERS.items()}, span=not quick)


def main(quick: bool) -> dict[str, Any]:
    """Admission, then memory."""
    return {"rate limits": admit(quick), "rate limits, memory": memory(quick)}


if __name__ == "__main__":
    run(main, __doc__)
