"""One hot call through Python, so many times: `instructions_calls.py <case> <n>`, run by `instructions.py`.

Each call gets the next of 1,024 inputs. What the loop takes around a call of one argument is counted as the case
`empty`; taking three arguments apart costs some 30 instructions more, which are left in the two cases of `take`.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import TypeVar

from fastcascade import Cache, Clock, FastPath, KeyRing, Quota, RateLimiter, Route, Routed, Router
from fastcascade._core import DEBUG_BUILD

TURN = 1024
T = TypeVar("T")
Case = Callable[[int], None]


def static_path(number: int) -> str:
    return f"/catalog/{number * 7919 % 1000}/item-{number}"


def router() -> Router[int]:
    parts = ["items", "events", "labels", "comments", "history", "files"]
    names = ["users", "orders", "invoices", "carts", "customers", "shipments", "reviews", "returns", "tickets", "teams"]
    texts = [static_path(number) for number in range(1000)]
    texts += [f"/v1/{name}/{{id}}/{part}/{{{part}_id}}" for name in names for part in parts]
    return Router([Route(text, target) for target, text in enumerate(texts)])


def static_paths() -> list[str]:
    return [static_path(number * 617 % 1000) for number in range(TURN)]


def param_paths() -> list[str]:
    names = ["users", "orders", "invoices", "carts", "customers", "shipments"]
    return [f"/v1/{names[number % 6]}/v{number * 31:x}/labels/v{number * 77:x}" for number in range(TURN)]


def secrets() -> list[str]:
    return [f"sk-live-{number * 0x9E3779B97F4A7C15 % 2**128:032x}" for number in range(TURN)]


def turns(inputs: list[T], calls: int) -> Iterator[T]:
    gc.disable()  # else how often it runs depends on the number of calls
    return islice(cycle(inputs), calls)


def one(call: Callable[[str], object], inputs: list[str]) -> Case:
    """Call with one argument each time."""

    def run(calls: int) -> None:
        for argument in turns(inputs, calls):
            call(argument)

    return run


def none(calls: int) -> None:
    """The loop alone."""
    for _ in turns(static_paths(), calls):
        pass


def cache_get(ttl: float | None) -> Case:
    cache: Cache[int] = Cache(2 * TURN, ttl=ttl, clock=Clock())
    for number, path in enumerate(static_paths()):
        cache.put(path, number)
    return one(cache.get, static_paths())


def admit() -> Case:
    limiter = RateLimiter(Quota(1e6, "second"), clock=Clock())
    clients = [f"client-{number}" for number in range(TURN)]
    for client in clients:
        limiter.admit(client)
    return one(limiter.admit, clients)


def ring(clock: Clock) -> KeyRing:
    keys = KeyRing(clock=clock)
    for number, secret in enumerate(secrets()):
        keys.add(secret, f"user-{number}", tenant="tenant")
    return keys


def take(*, hit: bool) -> Case:
    clock = Clock()
    keys = ring(clock)
    limiter = RateLimiter(Quota(1e6, "second"), clock=clock)
    cache: Cache[int] = Cache(2 * TURN, ttl=1e6, clock=clock)
    front = FastPath(router(), cache, keys, limiter)
    paths = static_paths() if hit else param_paths()
    asks = [(path, "GET", secret) for path, secret in zip(paths, secrets(), strict=True)]
    for number, ask in enumerate(asks if hit else []):
        routed = front.take(*ask)
        if isinstance(routed, Routed) and routed.key is not None:
            cache.put(routed.key, number)

    def run(calls: int) -> None:
        for path, method, secret in turns(asks, calls):
            front.take(path, method, secret)

    return run


CASES: dict[str, Callable[[], Case]] = {
    "empty": lambda: none,
    "router_match_exact": lambda: one(router().match, static_paths()),
    "router_match_prefix": lambda: one(router().match, param_paths()),
    "router_lookup_exact": lambda: one(router().lookup, static_paths()),
    "router_lookup_prefix": lambda: one(router().lookup, param_paths()),
    "cache_get": lambda: cache_get(None),
    "cache_get_ttl": lambda: cache_get(60.0),
    "limiter_admit": admit,
    "keyring_identify": lambda: one(ring(Clock()).identify, secrets()),
    "take_hit": lambda: take(hit=True),
    "take_routed": lambda: take(hit=False),
}


def main() -> None:
    if DEBUG_BUILD:
        raise SystemExit("the extension is a debug build: its counts say nothing; build it with --release")
    if sys.argv[1:] == ["--list"]:
        print("\n".join(CASES))
        return
    name, calls = sys.argv[1], int(sys.argv[2])
    CASES[name]()(calls)


if __name__ == "__main__":
    main()
