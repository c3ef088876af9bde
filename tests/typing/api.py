"""Never run, only type-checked: the types are what a user expects of them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal, assert_never, assert_type

from fastcascade import (
    Answer,
    Budget,
    Cache,
    CacheStats,
    Cascade,
    Clock,
    Delta,
    ExpectedGain,
    FastPath,
    Hit,
    Identity,
    Key,
    KeyRing,
    Lane,
    Lanes,
    Match,
    Message,
    PathPolicy,
    PatternSet,
    Price,
    Quota,
    RateLimiter,
    Refused,
    Reply,
    Request,
    Route,
    Routed,
    Router,
    Step,
    TextPolicy,
    Tier,
    ToolCall,
    gates,
    replay,
)
from fastcascade.backends import Anthropic, OpenAI, Recorded, Rules

Handler = Callable[[dict[str, str]], bytes]


def routers(handler: Handler) -> None:
    """A router is generic in its target, from each kind of table."""
    by_mapping = Router({"/users/{id}": 1, re.compile(r"^/x+$"): 2})
    assert_type(by_mapping, Router[int])
    assert_type(by_mapping.match("/users/7"), Match[int] | None)
    assert_type(by_mapping.lookup("/users/7", "GET"), int | None)
    assert_type(by_mapping.match_many(["/a"], method="GET"), list[Match[int] | None])
    assert_type(by_mapping.explain("/a"), list[Step])
    assert_type(by_mapping.allowed("/a"), tuple[str, ...])
    by_routes: Router[Handler] = Router([Route("/a", handler, ("GET",), scopes=["read"], share="tenant", cost=2)])
    by_routes.replace({"/b": handler})
    if (match := by_routes.match("/a")) is not None:
        assert_type(match.target, Handler)
        assert_type(match.params, dict[str, str])
        assert_type(match.by, Literal["exact", "prefix", "regex", "wildcard"])
    empty: Router[str] = Router({}, normalize=PathPolicy(trailing_slash="strip"))
    Router[str]({"hello {name}": "greet"}, normalize=TextPolicy(form="nfc"))
    assert_type(len(empty), int)


def wrong(router: Router[int], cache: Cache[str]) -> None:
    """Each of these is a mistake that a type checker finds; an unused `ignore` would be one as well."""
    router.match(b"/a")  # type: ignore[arg-type]
    router.replace({"/a": "text"})  # type: ignore[arg-type]
    cache.put("a", 1)  # type: ignore[arg-type]
    cache.get(1.5)  # type: ignore[call-overload]
    PathPolicy(trailing_slash="drop")  # type: ignore[arg-type]
    Quota(1, per="week")  # type: ignore[arg-type]
    Route("/a", 1, share="all")  # type: ignore[arg-type]


def caches() -> None:
    """A cache is generic in its value, and `get` in its default."""
    cache = Cache[bytes](max_items=10, ttl=timedelta(minutes=1), stale_for=5, policy="lru", clock=Clock())
    assert_type(cache.get("k"), bytes | None)
    assert_type(cache.get("k", None), bytes | None)
    assert_type(cache.get(("k", 1), 0), bytes | int)
    assert_type(cache.peek(Key("k")), tuple[bytes, Literal["fresh", "stale"]] | None)
    assert_type(cache.put(b"k", b"v", ttl=1, weight=2, tags={"t"}), bool)
    assert_type(cache.invalidate("t"), int)
    assert_type(cache.stats(), CacheStats)
    assert_type(cache.stats().hit_ratio, float)
    assert_type("k" in cache, bool)


def guards(clock: Clock) -> None:
    """Limiter and key ring take what their signatures say."""
    limiter = RateLimiter(Quota(100, per="minute", burst=20), max_clients=1_000, clock=clock)
    assert_type(limiter.admit("ann", cost=0.5), float)
    assert_type(limiter.settle(7, reserved=100, used=80), None)
    ring = KeyRing(clock=clock)
    assert_type(ring.add("s", "ann", ["read"], "acme", datetime.now(UTC)), Identity)
    assert_type(ring.rotate("s", b"t", timedelta(hours=1)), Identity)
    assert_type(ring.identify("s"), Identity | None)
    assert_type(PatternSet(["a", re.compile("b")]).first("b"), int | None)


def answer(front: FastPath[Handler], path: str) -> tuple[int, object]:
    """Every answer of a front is one of three, and a checker knows it."""
    result = front.take(path, "GET", credential=b"s", client="c", vary=Key("de"))
    match result:
        case Hit(value):
            return 200, value
        case Routed(target, params, by):
            assert_type(target, Handler)
            assert_type(params, dict[str, str])
            assert_type(by, Literal["exact", "prefix", "regex", "wildcard"])
            assert_type(result.key, Key | None)
            return 200, target(params)
        case Refused(429, reason):
            assert_type(result.retry_after, float | None)
            return 429, reason
        case Refused(status, reason):
            assert_type(status, Literal[400, 401, 403, 404, 405, 429])
            assert_type(reason, str)
            return status, result.allow
        case never:  # pyright: ignore[reportUnnecessaryComparison]
            assert_never(never)  # a fourth kind of answer would be an error here


def parts(front: FastPath[int]) -> None:
    """A front gives back its parts with their types."""
    assert_type(front.router, Router[int])
    assert_type(front.limiter, RateLimiter | None)
    assert_type(front.keys, KeyRing | None)


async def cascades() -> None:
    """A cascade is made of tiers or of plain functions, and its answers have the types they state."""

    async def small(request: Request) -> str:
        return request.text

    cascade = Cascade(
        Tier(Rules({"(?i)hello": "Hello."})),
        Tier(
            Anthropic("small", api_key="k"),
            gate=gates.Consistency(k=3),
            accept=0.8,
            price=Price(1.0, 5.0),
            temperature=0.2,
        ),
        Tier(OpenAI("middle", api_key="k"), gate=gates.all_of(gates.Structure(), gates.Hedging()), timeout=3),
        Tier(Recorded({"q": Reply("r")})),
        small,
        policy=ExpectedGain(lam=10.0),
        budget=Budget(deadline=10, usd=0.01, attempts=5),
        lanes=Lanes([Lane(start="small", task="summary")], large_tasks=["code"]),
    )
    answer = await cascade.run("q", task="summary")
    assert_type(answer, Answer)
    assert_type(answer.text, str)
    assert_type(answer.cost_usd, float | None)
    assert_type(answer.tool_calls, tuple[ToolCall, ...])
    assert_type(cascade.run_sync([Message("user", "q"), "and"]), Answer)
    assert_type(replay(cascade.adjusted(accept={"small": 0.9}), answer), Answer)
    async with cascade.stream("q") as stream:
        async for delta in stream:
            assert_type(delta, Delta)


def wrong_cascades() -> None:
    """Mistakes that a type checker finds."""
    Tier("claude-haiku-4-5")  # type: ignore[arg-type]
    Budget(deadline="soon")  # type: ignore[arg-type]
    Reply(7)  # type: ignore[arg-type]
    Message("system", "q")  # type: ignore[arg-type]
