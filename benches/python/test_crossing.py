"""What a call costs from Python, by pytest-benchmark: `make bench`, or pytest on this folder."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from fastcascade import Cache, FastPath, Key, KeyRing, PathPolicy, PatternSet, Quota, RateLimiter, Route, Router

SECRET = "sk-bench-0123456789abcdefghijklmnopqrstuv"
ROUTES = {
    "/health": "exact",
    "/users/{id}/keys/{key}": "prefix",
    "/static/{path...}": "tail",
    re.compile(r"^/v\d+/legacy"): "regex",
    "*": "wildcard",
}


def cache(policy: Any, **settings: float) -> Cache[str]:
    """A thousand answers."""
    kept: Cache[str] = Cache(max_items=1_000, policy=policy, **settings)
    for number in range(1_000):
        kept.put(f"/answers/{number:04}", "answer")
    return kept


def ring() -> KeyRing:
    """A hundred credentials, one of them known to the benchmarks."""
    keys = KeyRing()
    for number in range(100):
        keys.add(f"{SECRET}-{number}", f"tenant-{number}")
    return keys


def front() -> FastPath[str]:
    """All of L1 to L3, with one answer kept."""
    router = Router([Route("/kept", "kept"), Route("/users/{id}", "user")])
    limiter = RateLimiter(Quota(1e9))
    path = FastPath(router, Cache(max_items=1_000, ttl=3_600), ring(), limiter)
    routed: Any = path.take("/kept", "GET", f"{SECRET}-7")
    assert path.cache is not None
    path.cache.put(routed.key, "answer")
    return path


ROUTER, FRONT, KNOWN = Router(ROUTES), front(), f"{SECRET}-7"
LRU, ADAPTIVE, MORTAL = cache("lru"), cache("adaptive"), cache("lru", ttl=60, stale_for=60)
CALLS: dict[str, tuple[Callable[..., object], tuple[object, ...]]] = {
    "lookup exact": (ROUTER.lookup, ("/health",)),
    "match exact": (ROUTER.match, ("/health",)),
    "match prefix": (ROUTER.match, ("/users/42/keys/7",)),
    "match regex": (ROUTER.match, ("/v2/legacy",)),
    "match wildcard": (ROUTER.match, ("/nowhere",)),
    "normalize path": (PathPolicy().normalize, ("/a/b//c/./d%41",)),
    "patterns first": (PatternSet(["foo", "bar", "baz"]).first, ("a bar",)),
    "key of parts": (Key, ("POST", "/v1", {"model": "small", "temperature": 0})),
    "cache get lru": (LRU.get, ("/answers/0500",)),
    "cache get lru ttl": (MORTAL.get, ("/answers/0500",)),
    "cache get adaptive": (ADAPTIVE.get, ("/answers/0500",)),
    "cache put": (LRU.put, ("/answers/0500", "answer")),
    "admit": (RateLimiter(Quota(1e9)).admit, ("ann",)),
    "identify": (ring().identify, (KNOWN,)),
    "take hit": (FRONT.take, ("/kept", "GET", KNOWN)),
    "take routed": (FRONT.take, ("/users/42", "GET", KNOWN)),
    "take refused 401": (FRONT.take, ("/users/42", "GET", "unknown")),
}


@pytest.mark.parametrize("name", CALLS)
def test_call(benchmark: Any, name: str) -> None:
    """One call with arguments made beforehand."""
    call, arguments = CALLS[name]
    benchmark(call, *arguments)
