"""What `fastcascade bench` times, and on what."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from fastcascade import Cache, FastPath, Hit, KeyRing, Quota, RateLimiter, Refused, Routed, Router, _core
from fastcascade.cli.routefile import Line, Table, compiled
from fastcascade.cli.timing import CHUNK, Inside, Job
from fastcascade.cli.traffic import KINDS, MIX, Kind, fresh, mixed, of_kind, strays

__all__ = ["Workload", "jobs", "outcome", "workload"]

PATHS = 1_000  # different concrete paths of each kind
CLIENTS = 10_000
SECRETS = 1_000
TENANTS = 100  # those who call `FastPath.take`
MANY = 1_000  # paths to one call of `match_many`
BATCHES = 2  # such calls in a turn
CHUNKS = 8  # chunks drawn beforehand and gone through in turns
NEVER = 1e12  # a quota that nobody exhausts


@dataclass(frozen=True)
class Workload:
    """The user's table and the requests made from it, all of one method."""

    table: Table
    method: str
    pools: dict[Kind, Sequence[str]]
    routers: dict[Kind, Router[Line]]
    notes: dict[Kind, str]
    mix: list[str]
    shares: dict[Kind, float]
    barren: int
    other_methods: int


def workload(table: Table, rng: random.Random) -> Workload:
    """Choose the method, make the paths, and add or drop the wildcard where a case needs it so."""
    method = _method(table.lines)
    wild = any(line.kind == "wildcard" for line in table.lines)
    without = [line for line in table.lines if line.kind != "wildcard"]
    routers: dict[Kind, Router[Line]] = dict.fromkeys(KINDS, table.router)
    notes: dict[Kind, str] = {}
    if wild:
        routers["miss"] = compiled(without, table.source) if without else Router[Line]([])
        notes["miss"] = "the table without its wildcard"
    else:
        routers["wildcard"] = compiled([*without, Line(0, (), "*")], table.source)
        notes["wildcard"] = "the table with a wildcard added"
    pools: dict[Kind, Sequence[str]] = {}
    barren = 0
    for kind in MIX:
        pools[kind], none = of_kind(table.lines, kind, table.router, method, PATHS, rng)
        barren += none
    for fallen in ("wildcard", "miss"):
        pools[fallen] = strays(routers[fallen], method, fallen, PATHS, rng)
    mix = mixed(pools, MIX, PATHS * 5, rng)
    others = sum(1 for line in table.lines if line.methods and method not in line.methods)
    there: dict[Kind, float] = {kind: share for kind, share in MIX.items() if pools[kind]}
    shares: dict[Kind, float] = {kind: share / sum(there.values()) for kind, share in there.items()}
    return Workload(table, method, pools, routers, notes, mix, shares, barren, others)


def _method(lines: Sequence[Line]) -> str:
    """GET where any route takes it, else what most take."""
    named = [method for line in lines for method in line.methods]
    if "GET" in named or any(not line.methods for line in lines):
        return "GET"
    return max(named, key=named.count)


def jobs(work: Workload, rng: random.Random) -> list[Job]:
    """All of them, in the order they are shown."""
    return [*_router_jobs(work, rng), *_part_jobs(rng), *_take_jobs(work, rng)]


def _inside(what: str, subject: object, column: Callable[[Sequence[Any]], list[Any]] = list) -> Inside:
    """The same calls timed by the core; these functions are for this command alone, so the stubs leave them out."""
    measure: Callable[..., tuple[list[int], list[int]]] = vars(_core)[f"measure_{what}"]
    return lambda args: measure(subject, column(args))


def drawn(rng: random.Random, pool: Sequence[str], count: int, *rest: str) -> Callable[[], list[Any]]:
    """Chunks of a pool, drawn evenly, each text a new object; `rest` goes along unchanged."""
    encoded = [text.encode() for text in pool]
    chunks = cycle([rng.choices(encoded, k=count) for _ in range(CHUNKS)])

    def draw() -> list[Any]:
        texts = fresh(next(chunks))
        return [(text, *rest) for text in texts] if rest else texts

    return draw


def _router_jobs(work: Workload, rng: random.Random) -> list[Job]:
    cases: list[tuple[str, Sequence[str], Router[Line], str]]
    cases = [(kind, work.pools[kind], work.routers[kind], work.notes.get(kind, "")) for kind in KINDS]
    mix = "/".join(f"{100 * share:.0f}" for share in work.shares.values())
    cases = [*cases, (f"mix {mix}", work.mix if len(work.shares) > 1 else [], work.table.router, "")]
    made: list[list[Job]] = [[], [], []]
    for case, pool, router, note in cases:
        if not pool:
            continue
        one = drawn(rng, pool, CHUNK, work.method)
        batch = drawn(rng, pool, MANY)

        def many(batch: Callable[[], list[Any]] = batch) -> list[Any]:
            return [(batch(), work.method) for _ in range(BATCHES)]

        # The inside asks for GET alone.
        get = _inside("router", router, _paths) if work.method == "GET" else None
        made[0].append(Job("Router.match", case, router.match, one, 2, inside=get, note=note))
        made[1].append(Job("Router.lookup", case, router.lookup, one, 2, note=note))
        made[2].append(
            Job(
                "Router.match_many",
                case,
                router.match_many,
                many,
                2,
                MANY,
                note="; ".join(filter(None, (note, "per path"))),
            )
        )
    return [job for group in made for job in group]


def _part_jobs(rng: random.Random) -> list[Job]:
    known = [f"/cached/{number}" for number in range(PATHS)]
    unknown = [f"/absent/{number}" for number in range(PATHS)]
    cache: Cache[bytes] = Cache(max_items=2 * PATHS, ttl=3600.0)
    for key in known:
        cache.put(key, b"answer")
    limiter = RateLimiter(Quota(NEVER, per="second"))
    ring = KeyRing()
    secrets = [f"sk-{rng.getrandbits(128):032x}" for _ in range(SECRETS)]
    for number, secret in enumerate(secrets):
        ring.add(secret, f"user-{number}")
    clients = [f"client-{number}" for number in range(CLIENTS)]

    get, admit = _inside("cache", cache), _inside("limiter", limiter)
    return [
        Job("Cache.get", "hit", cache.get, drawn(rng, known, CHUNK), inside=get, note=f"{PATHS:,} entries"),
        Job("Cache.get", "miss", cache.get, drawn(rng, unknown, CHUNK), inside=get, note=f"{PATHS:,} entries"),
        Job("RateLimiter.admit", "admitted", limiter.admit, drawn(rng, clients, CHUNK), inside=admit,
            note=f"{CLIENTS:,} clients"),
        Job("KeyRing.identify", "known", ring.identify, drawn(rng, secrets, CHUNK), note=f"{SECRETS:,} secrets"),
    ]  # fmt: skip


def _take_jobs(work: Workload, rng: random.Random) -> list[Job]:
    paths = work.mix or [path for kind in KINDS for path in work.pools[kind]]
    secrets = [f"sk-{rng.getrandbits(128):032x}" for _ in range(TENANTS)]
    pairs = [(path, rng.choice(secrets)) for path in rng.choices(paths, k=PATHS)] if paths else []

    def front(quota: Quota) -> FastPath[Line]:
        ring = KeyRing()
        for number, secret in enumerate(secrets):
            ring.add(secret, f"user-{number}")
        return FastPath(work.table.router, Cache(max_items=2 * PATHS, ttl=3600.0), ring, RateLimiter(quota))

    hit, routed, refused = front(Quota(NEVER)), front(Quota(NEVER)), front(Quota(1, per=1e9))
    for path, secret in pairs:
        found = hit.take(path, work.method, secret)
        if isinstance(found, Routed) and found.key is not None and hit.cache is not None:
            hit.cache.put(found.key, b"answer")
        refused.take(path, work.method, secret)
    cases = [("hit", hit), ("routed", routed), ("refused 429", refused)]
    return [job for case, path in cases if (job := _take_job(case, path, pairs, work, rng))]


def outcome(found: object) -> str:
    """What a decision is called here."""
    if isinstance(found, Refused):
        return f"refused {found.status}"
    return "hit" if isinstance(found, Hit) else "routed"


def _take_job(
    case: str, front: FastPath[Line], pairs: list[tuple[str, str]], work: Workload, rng: random.Random
) -> Job | None:
    # Only what does come out this way: an answer to a POST, say, is never kept.
    pairs = [pair for pair in pairs if outcome(front.take(pair[0], work.method, pair[1])) == case]
    if not pairs:
        return None
    encoded = [(path.encode(), secret.encode()) for path, secret in pairs]
    chunks = cycle([rng.choices(encoded, k=CHUNK) for _ in range(CHUNKS)])

    def draw() -> list[Any]:
        chosen = next(chunks)
        secrets = fresh(secret for _, secret in chosen)
        return [
            (path, work.method, secret) for path, secret in zip(fresh(path for path, _ in chosen), secrets, strict=True)
        ]

    inside = _inside("front", front, _paths_and_secrets) if work.method == "GET" else None
    note = f"{TENANTS} identities, {len(set(pairs)):,} requests"
    return Job("FastPath.take", case, front.take, draw, 3, inside=inside, note=note)


def _paths(args: Sequence[Any]) -> list[Any]:
    return [path for path, _ in args]


def _paths_and_secrets(args: Sequence[Any]) -> list[Any]:
    return [(path, secret) for path, _, secret in args]
