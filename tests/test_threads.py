"""Many threads at once: answers stay consistent, and counts that are exact stay exact."""

import random
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastcascade import (
    Cache,
    Clock,
    CredentialError,
    FastPath,
    Hit,
    KeyRing,
    PathPolicy,
    PatternSet,
    Quota,
    RateLimiter,
    Refused,
    Route,
    Routed,
    Router,
)

THREADS = 6


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    """Threads take turns every few microseconds, so that they meet in the middle of things."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-6)
    yield
    sys.setswitchinterval(before)


def hammer(*works: Callable[[int], None]) -> None:
    """Run the works side by side, each in its own thread, from one signal on; pass on what any of them raises."""
    start, failures = threading.Barrier(len(works)), list[BaseException]()

    def run(number: int, work: Callable[[int], None]) -> None:
        start.wait()
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - a failed assertion must reach the test
            failures.append(error)

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def tables() -> tuple[list[Route[str]], list[Route[str]]]:
    """Two tables over the same paths; every target and every param's name says which of the two it is of."""
    one, two = (
        [Route(f"/plain/{n}", f"{name} plain") for n in range(50)]
        + [Route(f"/user/{{{name}}}/{n}", f"{name} user") for n in range(50)]
        + [Route(f"/tail/{{{name}...}}", f"{name} tail"), Route("*", f"{name} rest")]
        for name in ("one", "two")
    )
    return one, two + [Route(f"/more/{n}", "two more") for n in range(200)]


PATHS = ["/plain/7", "/user/x/8", "/tail/a/b", "/tail/", "/else"]


def test_a_table_is_replaced_whole() -> None:
    """While two threads replace the table, every answer is of one table, and a batch is of one alone."""
    both = tables()
    router = Router(both[0], normalize=PathPolicy())

    def replace(number: int) -> None:
        for n in range(300):
            router.replace(both[(n + number) % 2])
            assert len(router) in {len(table) for table in both}

    def match(_: int) -> None:
        for n in range(20_000):
            found = router.match(PATHS[n % len(PATHS)])
            assert found is not None
            table = found.target[:3]
            assert set(found.params) <= {table}
            assert found.target in {f"{table} {kind}" for kind in ("plain", "user", "tail", "rest")}

    def match_many(_: int) -> None:
        for _ in range(1_000):
            found = [match.target[:3] for match in router.match_many(PATHS) if match is not None]
            assert found in (["one"] * 5, ["two"] * 5)

    def explain(_: int) -> None:
        for _ in range(1_000):
            assert router.explain("/else")[-1].route == "*"
            assert router.lookup("/plain/1") in ("one plain", "two plain")
            assert router.allowed("/nothing") == ("*",)

    hammer(replace, replace, match, match, match_many, explain)


def test_a_cache_loses_no_count_and_mixes_no_values(policy: Any) -> None:
    """Every value found is one that was put under its key, bounds hold, and lookups and puts are all counted."""
    clock = Clock()
    cache = Cache[tuple[int, int]](max_items=100, max_weight=300, ttl=50, stale_for=50, policy=policy, clock=clock)
    rounds = 20_000

    def work(number: int) -> None:
        draw = random.Random(number)
        for n in range(rounds):
            key = draw.randrange(300)
            if n % 2:
                assert cache.put(key, (key, n), weight=draw.randrange(1, 5), tags=[str(key % 7)])
            elif (value := cache.get(key)) is not None:
                assert value[0] == key
            if n % 16 == 0:
                peeked = cache.peek(key)
                assert peeked is None or peeked[0][0] == key
                assert len(cache) <= 100
            if n % 256 == 0:
                cache.invalidate(str(draw.randrange(7)))
                cache.remove(key)
                clock.advance(1)
            if n % 2_048 == 0:
                cache.clear()

    hammer(*[work] * THREADS)
    stats = cache.stats()
    assert stats.hits + stats.stale + stats.misses == THREADS * rounds / 2
    assert stats.puts == THREADS * rounds / 2
    assert (stats.items, stats.items <= 100, stats.weight <= 300) == (len(cache), True, True)


def test_a_limiter_admits_exactly_the_burst() -> None:
    """While the clock stands still, all threads together are admitted exactly as often as the burst says."""
    limiter = RateLimiter(Quota(1, "day", burst=25_000), clock=Clock())
    admitted: list[int] = []

    def work(_: int) -> None:
        admitted.append(sum(limiter.admit("everybody") == 0 for _ in range(10_000)))

    hammer(*[work] * THREADS)
    assert sum(admitted) == 25_000
    assert limiter.available("everybody") == 0


def test_a_limiter_loses_no_settlement() -> None:
    """What all threads reserved, used and gave back adds up, for many clients and a bounded table."""
    limiter = RateLimiter(Quota(1, "second", burst=100_000), clock=Clock())

    def work(number: int) -> None:
        for n in range(8_000):
            client = n % 10
            assert limiter.admit(client, 4) == 0
            limiter.settle(client, 4, 3)
            assert limiter.admit((number << 20) + n + 10) == 0

    hammer(*[work] * THREADS)
    assert [limiter.available(client) for client in range(10)] == [100_000 - THREADS * 800 * 3] * 10
    assert limiter.available(10) == 99_999


def test_a_key_ring_gives_a_secret_to_one_alone() -> None:
    """Of all threads that add the same secret one succeeds, and rotation never loses or doubles an identity."""
    ring = KeyRing()
    ring.add("fixed", "fixed", ["read"])
    won: list[str] = []

    def add(number: int) -> None:
        for n in range(500):
            try:
                ring.add(f"contested {n}", str(number))
            except CredentialError:
                continue
            won.append(f"{n}")

    def rotate(number: int) -> None:
        ring.add(f"{number} 0", f"rotating {number}")
        for n in range(500):
            ring.rotate(f"{number} {n}", f"{number} {n + 1}", grace=100)
            old, new = ring.identify(f"{number} {n}"), ring.identify(f"{number} {n + 1}")
            assert old is new is not None
            assert ring.remove(f"{number} {n}")

    def identify(_: int) -> None:
        for n in range(5_000):
            found = ring.identify("fixed")
            assert found is not None
            assert (found.name, ring.identify(f"unknown {n}")) == ("fixed", None)
        assert ring.revoke("nobody") == 0

    hammer(add, add, rotate, rotate, identify, identify)
    assert sorted(won, key=int) == [str(n) for n in range(500)]
    assert len(ring) == 1 + 500 + 2


def test_a_front_crosses_no_identities_while_all_changes() -> None:
    """With tables, secrets and entries changing under it, a hit is its asker's own, and the burst is exact."""
    clock = Clock()
    cache, ring = Cache[str](max_items=500, ttl=60, clock=clock), KeyRing(clock=clock)
    limiter = RateLimiter(Quota(1, "day", burst=400), clock=clock)
    routes = [
        Route("/own/{x}", "own"),
        Route("/open/{x}", "open", public=True),
        Route("/ours/{x}", "ours", share="tenant"),
    ]
    router = Router(routes)
    front = FastPath(router, cache, ring, limiter)
    for number in range(THREADS):
        ring.add(f"secret {number}", f"user {number}", tenant=f"tenant {number % 2}")
    passed: list[int] = []

    def take(number: int) -> None:
        draw, routed = random.Random(number), 0
        for _ in range(8_000):
            path = f"/{draw.choice(['own', 'open', 'ours'])}/{draw.randrange(60)}"
            whose = {"own": f"user {number}", "open": "anyone", "ours": f"tenant {number % 2}"}[path.split("/")[1]]
            match front.take(path, "GET", f"secret {number}", "everybody"):
                case Hit(value):
                    assert value == f"{path} for {whose}"
                case Routed() as found:
                    routed += 1
                    assert found.key is not None
                    cache.put(found.key, f"{path} for {whose}")
                case Refused(status):
                    assert status == 429
        passed.append(routed)

    def change(_: int) -> None:
        for n in range(300):
            router.replace(routes[n % 2 :] + routes[: n % 2])
            ring.add(f"new {n}", "user 0", tenant="tenant 0")
            ring.rotate(f"new {n}", f"newer {n}")
            ring.remove(f"newer {n}")

    hammer(*[take] * THREADS, change)
    assert (len(passed), sum(passed), limiter.available("everybody")) == (THREADS, 400, 0)
    assert cache.stats().hits > 0


def test_patterns_and_policies_are_shared_by_threads() -> None:
    """A pattern set has no state that two threads could disturb for each other."""
    patterns = PatternSet([f"user-{n}/(?P<version>\\d+)" for n in range(300)] + [r"(?P<all>.*)end$"])
    policy = PathPolicy()

    def work(number: int) -> None:
        for n in range(1_000):
            which = (n * 7 + number) % 300
            text = f"x user-{which}/{n} end"
            assert patterns.first(text) == which
            assert patterns.all(text) == [which, 300]
            assert patterns.params(which, text) == {"version": str(n)}
            assert policy.normalize(f"/a//{n}/../b%20") == "/a/b "

    hammer(*[work] * THREADS)


def test_params_may_be_read_by_many_at_once() -> None:
    """One match, read by many threads, says the same to all."""
    router = Router({"/{a}/{b}": "target"})
    for _ in range(50):
        found: Any = router.match("/1/2")

        def read(_: int, found: Any = found) -> None:
            for _ in range(20):
                assert (found.params, found.target, found.by) == ({"a": "1", "b": "2"}, "target", "prefix")

        hammer(*[read] * 4)
