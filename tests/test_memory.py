"""No leak, no wrong count of references, no cycle that stays, no deadlock when a value's end calls back."""

import contextlib
import gc
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastcascade import (
    Cache,
    Clock,
    FastPath,
    Hit,
    Key,
    KeyRing,
    PathPolicy,
    PatternSet,
    Quota,
    RateLimiter,
    Route,
    Routed,
    Router,
)

STATM = Path("/proc/self/statm")


def resident() -> int:
    """Bytes of this process in memory, 0 where the system does not say."""
    return int(STATM.read_text().split()[1]) * 4_096 if STATM.exists() else 0


def router_work() -> Callable[[int], None]:
    """Match, look up, batch, and replace the table now and then."""
    router = Router(
        {f"/a/{n}": object() for n in range(500)} | {"/b/{x}/{y}": object(), "*": object()}, normalize=PathPolicy()
    )
    batch = ["/a/1", "/b/1/2", "/c"]

    def work(rounds: int) -> None:
        for n in range(rounds // 10):
            router.match("/a/7")
            router.lookup("/b/1/2", "GET")
            assert router.match("/b/1/%32").params["y"] == "2"  # type: ignore[union-attr]
            router.match_many(batch)
            router.lookup("/nothing")
            assert router.match("/b/x/y").target  # type: ignore[union-attr]
            if n % 500 == 0:
                router.replace({f"/a/{n}": object() for n in range(50)} | {"/b/{x}/{y}": object(), "*": object()})
                router.explain("/b/1/2")
                router.allowed("/b/1/2")

    return work


def cache_work(policy: Any) -> Callable[[int], None]:
    """Get, put, peek and tag under eviction and expiry."""
    clock = Clock()
    cache = Cache[list[int]](max_items=1_000, ttl=60, stale_for=60, policy=policy, clock=clock)
    keys = [f"key {n}" for n in range(3_000)]

    def work(rounds: int) -> None:
        for n in range(rounds // 5):
            key = keys[n * 7 % 3_000]
            cache.get(key)
            cache.put(key, [n])
            cache.get(keys[n % 100], None)
            cache.peek(key)
            cache.put((1, n % 50), [n], tags=("a", str(n % 10)))
            if n % 1_000 == 0:
                cache.invalidate(str(n % 10))
                cache.remove(key)
                clock.advance(1)
            if n % 50_000 == 0:
                cache.clear()

    return work


def limiter_work() -> Callable[[int], None]:
    """Ever new clients beside one that stays."""
    clock = Clock()
    limiter = RateLimiter(Quota(10, burst=5), max_clients=10_000, clock=clock)

    def work(rounds: int) -> None:
        for n in range(rounds // 4):
            limiter.admit(n)
            limiter.admit("one", 0.5)
            limiter.settle(n, 1, 2)
            limiter.available(n)
            if n % 100 == 0:
                clock.advance(0.1)

    return work


def keyring_work() -> Callable[[int], None]:
    """Identify, beside secrets that come and go."""
    ring = KeyRing()
    ring.add("s", "ann", ["a", "b"], "acme")

    def work(rounds: int) -> None:
        for n in range(rounds // 4):
            ring.identify("s")
            ring.identify("unknown")
            ring.identify(b"s")
            assert ring.identify("s").scopes  # type: ignore[union-attr]
            if n % 100 == 0:
                ring.add(f"old {n}", "bob", ["a"])
                ring.rotate(f"old {n}", f"new {n}")
                ring.remove(f"old {n}")
                ring.revoke("bob")

    return work


def front_work() -> Callable[[int], None]:
    """Hits, routed ones and every kind of refusal."""
    clock = Clock()
    cache, ring = Cache[object](max_items=100, ttl=10, stale_for=10, clock=clock), KeyRing(clock=clock)
    ring.add("s", "ann")
    limiter = RateLimiter(Quota(100_000, burst=100_000), clock=clock)
    front = FastPath(
        Router([Route("/a/{x}", 1), Route("GET /b", 2, public=True)], normalize=PathPolicy()), cache, ring, limiter
    )
    paths = [f"/a/{n}" for n in range(300)]

    def work(rounds: int) -> None:
        for n in range(rounds // 5):
            taken: Any = front.take(paths[n % 300], "GET", "s")
            if type(taken) is Routed and taken.key is not None:
                cache.put(taken.key, [taken.params, taken.match, taken.stale])
            front.take("/b")
            front.take("/b", "POST")
            front.take("/a/%00", client="c", vary=Key("de", n))
            front.take("/a/1", "GET", "unknown")
            if n % 100 == 0:
                clock.advance(0.1)

    return work


def pattern_work() -> Callable[[int], None]:
    """First, all and params, and sets made anew."""
    patterns = PatternSet([f"user-{n}/(?P<version>\\d+)" for n in range(50)] + ["(?P<all>.*)end$"])

    def work(rounds: int) -> None:
        for n in range(rounds // 16):
            patterns.first("x user-7/12")
            patterns.all("x user-7/12 end")
            patterns.params(7, "x user-7/12")
            if n % 500 == 0:
                PatternSet(["a+", "b(?P<c>c)"])
                with pytest.raises(ValueError, match="pattern"):
                    PatternSet(["a", "("])

    return work


def failing_work() -> Callable[[int], None]:
    """Calls that fail, halfway through at times."""
    calls: list[Callable[[], object]] = [
        lambda: Router({"/{": object()}),
        lambda: Router([Route("/a", object()), Route("/a", object())]),
        lambda: Router({"/a": 1}).match(7),  # type: ignore[arg-type]
        lambda: Cache[int](max_items=1).put([], 1),  # type: ignore[arg-type]
        lambda: Cache[Any](max_items=1).put("a", object(), tags=["a", 7]),  # type: ignore[list-item]
        lambda: Key("a", [object()]),
        lambda: KeyRing().add("", "ann"),
        lambda: PathPolicy().normalize("/.."),
        lambda: FastPath(Router({})).take("/a", b"GET"),  # type: ignore[arg-type]
        lambda: RateLimiter(Quota(1)).admit("a", -1),
    ]

    def work(rounds: int) -> None:
        for _ in range(rounds // 100):
            for call in calls:
                with pytest.raises((ValueError, TypeError)):
                    call()

    return work


LOADS: list[tuple[Callable[[], Callable[[int], None]], int]] = [
    (router_work, 3_000_000),
    (lambda: cache_work("lru"), 2_500_000),
    (limiter_work, 2_000_000),
    (keyring_work, 2_000_000),
    (front_work, 2_000_000),
    (pattern_work, 500_000),
    (failing_work, 200_000),
]


def grow_not(work: Callable[[int], None], rounds: int) -> None:
    """After a warm-up, so many rounds leave neither blocks nor pages behind."""
    work(rounds // 5)
    gc.collect()
    blocks, pages = sys.getallocatedblocks(), resident()
    work(rounds)
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 500
    assert resident() - pages < 6 * 2**20


@pytest.mark.parametrize(
    ("load", "rounds"), LOADS, ids=["router", "cache", "limiter", "keyring", "front", "patterns", "failures"]
)
def test_nothing_grows(load: Callable[[], Callable[[int], None]], rounds: int) -> None:
    """Ten million calls in all, on full structures that change all the time, leave memory where it was."""
    grow_not(load(), rounds)


def test_no_policy_grows(policy: Any) -> None:
    """The cache stays as large as it is under each policy."""
    grow_not(cache_work(policy), 500_000)


def test_structures_give_back_what_they_hold() -> None:
    """Making and dropping every structure, full, leaves nothing behind."""

    def work(rounds: int) -> None:
        for _ in range(rounds):
            cache = Cache[object](max_items=100)
            ring, limiter = KeyRing(), RateLimiter(Quota(1))
            for n in range(50):
                cache.put(n, object(), tags=[str(n)])
                ring.add(str(n + 1), "ann", ["a"])
                limiter.admit(n)
            front = FastPath(Router({f"/{n}/{{x}}": object() for n in range(50)}), cache, None, limiter)
            front.take("/1/2")
            front.router.match("/1/2")

    grow_not(work, 3_000)


def test_a_cache_counts_its_references(policy: Any) -> None:
    """A value is held once while it is in the cache, and let go whichever way it leaves."""
    clock, value = Clock(), object()
    cache = Cache[object](max_items=10, max_weight=100, ttl=10, stale_for=10, policy=policy, clock=clock)

    def expire() -> None:
        clock.advance(20)
        assert cache.get("k") is None

    def evict() -> None:
        for n in range(100):
            cache.put(n, None, ttl=1_000, weight=10)
            cache.get(n)
        # Only LRU must have let it go by now: another policy may think more of it than of any newcomer.
        assert not (cache.remove("k") and policy == "lru")

    leaves: list[Callable[[], object]] = [
        lambda: cache.put("k", None),
        lambda: cache.put("k", None, weight=101),
        lambda: cache.remove("k"),
        lambda: cache.invalidate("t"),
        cache.clear,
        expire,
        evict,
    ]
    free = sys.getrefcount(value)
    for leave in leaves:
        cache.clear()
        assert cache.put("k", value, tags=["t"])
        assert sys.getrefcount(value) == free + 1
        for _ in range(100):
            assert cache.get("k") is value
            assert cache.get("other", value) is value
            peeked = cache.peek("k")
            assert peeked is not None
            assert "k" in cache
        del peeked
        assert sys.getrefcount(value) == free + 1
        held = cache.get("k")
        assert sys.getrefcount(value) == free + 2
        del held
        leave()
        assert sys.getrefcount(value) == free
    assert not cache.put("heavy", value, weight=101)
    assert sys.getrefcount(value) == free
    cache.put("k", value, ttl=1)
    clock.advance(2)
    for _ in range(100):
        assert cache.get("k") is None
        assert cache.peek("k") == (value, "stale")
    assert sys.getrefcount(value) == free + 1


def test_a_dropped_cache_lets_its_values_go(policy: Any) -> None:
    """A cache that ends lets go of all it held."""
    value = object()
    free = sys.getrefcount(value)
    cache = Cache[object](max_items=10, policy=policy)
    for key in "abc":
        cache.put(key, value)
    assert sys.getrefcount(value) == free + 3
    del cache
    assert sys.getrefcount(value) == free


def test_a_router_counts_its_references() -> None:
    """A target is held by the table and by the matches of it, and let go with them, failed tables included."""
    target = object()
    free = sys.getrefcount(target)
    router = Router({"/a": target, "/b/{x}": target, "*": target})
    assert sys.getrefcount(target) == free + 3
    matches = [router.match(path) for path in ("/a", "/b/1", "/c") for _ in range(100)]
    assert all(router.lookup("/a") is target for _ in range(100))
    # A route's matches share what is the same for all of them, which is made once.
    assert sys.getrefcount(target) == free + 6
    router.replace({"/d": None})
    assert all(match is not None and match.target is target for match in matches)
    assert sys.getrefcount(target) == free + 3
    del matches
    assert sys.getrefcount(target) == free
    for bad in ("/{", "/a"):
        with pytest.raises(ValueError, match="route"):
            Router([Route("/a", target), Route(bad, target)])
    gc.collect()
    assert sys.getrefcount(target) == free


def test_a_front_counts_its_references() -> None:
    """Hit, Routed and its stale answer hold what they show for as long as they live."""
    clock, value, target = Clock(), object(), object()
    cache = Cache[object](max_items=10, ttl=10, stale_for=10, clock=clock)
    front = FastPath(Router({"/a": target}), cache)
    front.take("/a")
    free = sys.getrefcount(value), sys.getrefcount(target)
    cache.put("/a", value)
    for kind in (Hit, Routed):
        taken: list[Any] = [front.take("/a") for _ in range(100)]
        assert all(type(one) is kind for one in taken)
        assert sys.getrefcount(value) == free[0] + 101
        assert all((one.value if kind is Hit else one.stale) is value for one in taken)
        del taken
        assert (sys.getrefcount(value), sys.getrefcount(target)) == (free[0] + 1, free[1])
        clock.advance(10)
    front.take("/a")
    assert sys.getrefcount(value) == free[0]


def test_arguments_are_not_kept() -> None:
    """Keys, paths, secrets, clients, tags and defaults are let go after the call, failed calls included."""
    texts = [f"text number {n}" for n in range(3)]
    default = object()
    free = [sys.getrefcount(each) for each in (*texts, default)]
    cache, ring, limiter = Cache[int](max_items=9), KeyRing(), RateLimiter(Quota(1))
    front = FastPath(Router({"/a": 1}), cache, ring, limiter)
    for n in range(100):
        cache.put(texts[0], 1, tags=texts[1:])
        cache.get(texts[1], default)
        cache.get(key=texts[0], default=default)
        limiter.admit(texts[0], cost=0.001)
        ring.identify(texts[1])
        front.take(texts[0], texts[1], texts[2], client=texts[0])
        front.router.match(texts[0], method=texts[1])
        if n == 0:
            ring.add(texts[0], texts[1], [texts[2]], tenant=texts[2])
    assert [sys.getrefcount(each) for each in (*texts, default)] == free


class Node:
    """Something that can hold anything, and be watched."""

    def __init__(self) -> None:
        self.held: Any = None


def cycles() -> Iterator[tuple[str, Callable[[Node], object]]]:  # noqa: C901 - a list, each way in its own function
    """Every way in which what is kept can hold what keeps it."""

    def in_cache(node: Node) -> object:
        cache = Cache[Node](max_items=9)
        cache.put("k", node)
        return cache

    def in_router(node: Node) -> object:
        return Router({"/a": node})

    def in_matched_router(node: Node) -> object:
        router = Router({"/a/{x}": node, "/b": node})
        return [router, router.match("/a/1"), router.match("/b"), router.match_many(["/b", "/a/1"])]

    def in_match(node: Node) -> object:
        return Router({"/a/{x}": node}).match("/a/1")

    def in_hit(node: Node) -> object:
        cache = Cache[Node](max_items=9)
        cache.put("/a", node)
        return FastPath(Router({"/a": None}), cache).take("/a")

    def in_routed(node: Node) -> object:
        return FastPath(Router({"/a/{x}": node})).take("/a/1")

    def in_stale(node: Node) -> object:
        clock = Clock()
        cache = Cache[Node](max_items=9, ttl=1, stale_for=9, clock=clock)
        cache.put("/a", node)
        clock.advance(2)
        routed = FastPath(Router({"/a": None}), cache).take("/a")
        assert isinstance(routed, Routed)
        assert routed.stale is node
        cache.clear()
        return routed

    def in_front(node: Node) -> object:
        cache = Cache[Node](max_items=9)
        cache.put("k", node)
        return FastPath(Router({"/a": node}), cache)

    def in_route(node: Node) -> object:
        return [Route("/a", node)]

    for make in (in_cache, in_router, in_matched_router, in_match, in_hit, in_routed, in_stale, in_front, in_route):
        yield make.__name__, make


@pytest.mark.parametrize(("name", "make"), list(cycles()))
def test_cycles_are_collected(name: str, make: Callable[[Node], object]) -> None:
    """A value or target that leads back to what keeps it is found by the collector and goes."""
    node = Node()
    node.held = make(node)
    watched = weakref.ref(node)
    del node
    gc.collect()
    assert watched() is None, name


def test_a_cycle_through_many_structures_is_collected() -> None:
    """A front, its cache, its router and a value that holds them all go together."""
    node = Node()
    cache = Cache[Node](max_items=9)
    router = Router({"/a": node})
    node.held = [FastPath(router, cache), cache, router, router.match("/a")]
    cache.put("/a", node)
    node.held.append(node.held[0].take("/a"))
    watched = weakref.ref(node)
    del node, cache, router
    gc.collect()
    assert watched() is None


def test_a_collection_takes_nothing_that_is_still_held() -> None:
    """The collector leaves alone what can be reached, inside the structures as well."""
    cache, router = Cache[Node](max_items=9), Router({"/a/{x}": Node()})
    cache.put("k", Node())
    found = cache.get("k")
    assert found is not None
    found.held = cache
    for _ in range(3):
        gc.collect()
        assert cache.get("k") is found
        assert router.match("/a/1") is not None


REENTRY = """
    import faulthandler, gc, sys
    faulthandler.dump_traceback_later(20, exit=True)
    from fastcascade import Cache, Clock, FastPath, Route, Router

    ended = []

    class Value:
        def __init__(self, cache, name):
            self.cache, self.name = cache, name

        def __del__(self):
            cache = self.cache
            cache.get("other"), cache.peek("other"), len(cache), cache.stats(), "k" in cache, repr(cache)
            cache.put("from the end", self.name, tags=["again"])
            cache.remove("from the end")
            cache.invalidate("again")
            FastPath(ROUTER, cache).take("/a")
            ended.append(self.name)

    ROUTER = Router({"/a": 1, "/stale": 2})
    for policy in sys.argv[1:]:
        del ended[:]
        clock = Clock()
        cache = Cache(max_items=4, max_weight=100, ttl=10, policy=policy, clock=clock)

        def fill(key, name):
            cache.put(key, Value(cache, name), tags=["t"])

        fill("k", "replaced"); cache.put("k", None)
        fill("k", "too heavy"); cache.put("k", None, weight=101)
        fill("k", "removed"); cache.remove("k")
        fill("k", "invalidated"); cache.invalidate("t")
        fill("k", "cleared"); cache.clear()
        fill("k", "expired"); clock.advance(10); cache.get("k")
        fill("/stale", "expired under a front"); clock.advance(10); FastPath(ROUTER, cache).take("/stale")
        for n in range(50):
            fill(n, "evicted")

        def tags():
            cache.clear()
            yield "t"
            fill("k", "put while tags are read")

        cache.put("k", None, tags=tags())
        cache.clear()
        wanted = {"replaced", "too heavy", "removed", "invalidated", "cleared", "expired", "expired under a front"}
        assert wanted | {"evicted", "put while tags are read"} <= set(ended), ended

    class Target:
        def __init__(self, router):
            self.router = router

        def __del__(self):
            self.router.match("/a"), self.router.match_many(["/a"]), self.router.explain("/a"), len(self.router)
            if len(ended) < 100:
                self.router.replace({"/a": Target(self.router)})
            ended.append("target")

    del ended[:]
    router = Router({})
    router.replace({"/a": Target(router), "/b/{x}": Target(router)})

    def routes():
        yield Route("/a", 1)
        router.replace({"/c": Target(router)})
        router.match("/c")
        yield Route("/b", 2)

    router.replace(routes())
    assert router.lookup("/b") == 2 or len(ended) >= 100
    router.replace({})
    assert ended.count("target") >= 3

    class Garbage:
        def __del__(self):
            ended.append("garbage")

    del ended[:]
    cache = Cache(max_items=4)
    garbage = Garbage()
    garbage.cache = cache
    cache.put("k", garbage)
    cache.put("v", Value(cache, "in a cycle"))
    del garbage, cache
    gc.collect()
    assert sorted(ended) == ["garbage", "in a cycle"], ended
    print("done")
"""


def test_the_end_of_a_value_may_call_back(policy: Any) -> None:
    """A `__del__` that uses the cache or router it leaves, however it leaves, finds it unlocked."""
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REENTRY), policy],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout, run.stderr, run.returncode) == ("done\n", "", 0)


def test_a_process_ends_with_full_structures() -> None:
    """Structures that live as long as the interpreter let it end in peace."""
    code = """
        import fastcascade as f
        class Value:
            def __del__(self): CACHE and CACHE.get("k")
        CACHE = f.Cache(max_items=9)
        CACHE.put("k", Value())
        ROUTER = f.Router({"/a": Value()})
        FRONT = f.FastPath(ROUTER, CACHE)
        KEPT = [ROUTER.match("/a"), FRONT.take("/a"), f.Key("a")]
        Value.kept = KEPT
        print("done")
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.stdout, run.stderr, run.returncode) == ("done\n", "", 0)


def test_errors_and_large_numbers_leave_nothing_behind() -> None:
    """A loop of nothing but refused and odd calls holds on to no error, no secret and no number."""
    limiter, ring, router = RateLimiter(Quota(1e9)), KeyRing(), Router({"/a": 1})
    secret = "s" * 1_000 + "\ud800"
    before = sys.getrefcount(secret)
    for _ in range(2_000):
        limiter.admit(2**100)
        with contextlib.suppress(ValueError):
            ring.identify(secret)
        with contextlib.suppress(TypeError):
            router.lookup(1)  # type: ignore[arg-type]
    assert sys.getrefcount(secret) == before


def test_a_long_chain_of_hits_is_freed() -> None:
    """Hits that hold hits, three hundred thousand deep, are freed without using up the stack."""
    cache: Cache[object] = Cache(10)
    fast = FastPath(Router({"/a": 1}), cache)
    cache.put("/a", "the first")
    for _ in range(300_000):
        cache.put("/a", fast.take("/a"))
    cache.clear()
    assert len(cache) == 0
