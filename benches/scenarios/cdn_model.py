"""What levels of cache would do with a trace, by a model of them: edges that keep so many keys, and a shield behind.

Each request comes to one of the edges, drawn at random, since traces do not say who asked; an entry never gets old.
`Cache` of fastcascade is what keeps, with its own policies, so that this is the model of what is run, not of an ideal.
The bound is an edge that keeps everything: no policy, not even one that knows the future, does better than that, as
the first request for a key has to leave the edge.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from heapq import heappop, heappush
from typing import Any, Final, Literal

from cdn_traces import Trace

from fastcascade import Cache

__all__ = ["EDGE", "JOINED", "ORIGIN", "SHIELD", "TARGET", "Shares", "Site", "Timed", "chosen", "figures"]

Policy = Literal["lru", "adaptive"]

EDGE, SHIELD, ORIGIN, JOINED = range(4)
TARGET: Final = 0.96
"""The share of requests that the reference has answered by the edge."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of some requests were answered by which level."""

    edge: int
    shield: int
    origin: int
    joined: int = 0
    """By what another request was fetching meanwhile."""

    @property
    def all(self) -> int:
        return self.edge + self.shield + self.origin + self.joined

    def of(self, level: int) -> float:
        return (self.edge, self.shield, self.origin, self.joined)[level] / max(1, self.all)

    def __str__(self) -> str:
        """In percent; what was joined with the shield."""
        found = [self.of(EDGE), self.of(SHIELD) + self.of(JOINED), self.of(ORIGIN)]
        return "/".join(f"{100 * each:.1f}" for each in found)


@dataclass(frozen=True, slots=True)
class Timed:
    """How long levels take, and how many clients ask each edge at once, each as soon as it has its answer."""

    clients: int
    distances: tuple[float, float, float]
    """Round trips in seconds: client to edge, edge to shield, edge to origin."""


class Site:
    """What the levels do with all of a trace."""

    def __init__(
        self,
        of: Trace,
        items: int | None,
        policy: Policy = "lru",
        shield: int | None = None,
        timed: "Timed | None" = None,
    ) -> None:
        """`items`: what each edge keeps; None: all. `shield`: likewise. Without `timed` nothing takes any time."""
        self.items = items
        self.levels = _levels(of, items, policy, shield) if timed is None else _timed(of, items, timed)

    def shares(self, since: int = 0, until: int | None = None) -> Shares:
        """Of the requests of a window, where what was before it has warmed the caches."""
        window = self.levels[since:until]
        return Shares(*(window.count(level) for level in (EDGE, SHIELD, ORIGIN, JOINED)))


def _levels(of: Trace, items: int | None, policy: Policy, shield: int | None) -> bytes:
    """The level that answers each request."""
    edges: list[Cache[bool]] = [Cache(max_items=items or of.distinct, policy=policy) for _ in range(of.edges)]
    ways = [(edge.get, edge.put) for edge in edges]
    kept: Cache[bool] = Cache(max_items=shield or of.distinct, policy=policy)
    get_far, put_far = kept.get, kept.put
    found = bytearray(len(of))
    for number, (key, at) in enumerate(zip(of.keys, of.at, strict=True)):
        get, put = ways[at]
        if get(key):
            continue
        put(key, True)
        if get_far(key):
            found[number] = SHIELD
        else:
            put_far(key, True)
            found[number] = ORIGIN
    return bytes(found)


def _timed(of: Trace, items: int | None, timed: Timed) -> bytes:
    """The level that answers each request, where what is fetched is there only once it has come.

    A request for a key that its edge, or another, fetches meanwhile joins it.
    """
    near, middle, far = timed.distances
    edges: list[Cache[bool]] = [Cache(max_items=items or of.distinct) for _ in range(of.edges)]
    places: list[Iterator[int]] = [iter([n for n, at in enumerate(of.at) if at == edge]) for edge in range(of.edges)]
    coming: list[dict[int, float]] = [{} for _ in range(of.edges)]
    shield: dict[int, float] = {}  # from when on
    found = bytearray(len(of))
    free = [(0.0, edge, client) for client in range(timed.clients) for edge in range(of.edges)]
    while free:
        began, edge, client = heappop(free)
        number = next(places[edge], None)
        if number is None:
            continue
        key, until, now = of.keys[number], began + near, began + near / 2
        arrives = coming[edge].get(key)
        if arrives is not None and arrives > now:
            found[number], until = JOINED, arrives + near / 2
            edges[edge].get(key)
        elif not edges[edge].get(key):
            since = shield.get(key)
            if since is None:
                found[number], arrives = ORIGIN, now + middle + far
                shield[key] = arrives + middle / 2
            elif since > now + middle / 2:
                found[number], arrives = JOINED, since + middle / 2
            else:
                found[number], arrives = SHIELD, now + middle
            coming[edge][key], until = arrives, arrives + near / 2
            edges[edge].put(key, True)
        heappush(free, (until, edge, client))
    return bytes(found)


def least_share(of: Trace, since: int, target: float = TARGET) -> float | None:
    """The smallest edge, as a share of the keys in hundredths, with which LRU has so many hits; None: there is none.

    LRU of one size has whatever a smaller one has, so halving finds it.
    """

    @cache
    def reached(percent: int) -> bool:
        return Site(of, of.items(percent / 100)).shares(since).of(EDGE) >= target

    if not reached(100):
        return None
    low, high = 0, 100
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high / 100


def windows(site: Site, size: int) -> list[tuple[int, Shares]]:
    """All windows of so many requests, one after another, where each begins, and its shares."""
    last = len(site.levels) - size
    return [(since, site.shares(since, since + size)) for since in range(0, last + 1, size)]


def chosen(site: Site, size: int, target: float = TARGET) -> tuple[int, list[float]]:
    """Where the window begins whose edge hits are the fewest that reach the target, and the edge hits of all windows.

    Where none reaches it, the one with the most.
    """
    found = [(shares.of(EDGE), since) for since, shares in windows(site, size)]
    _, since = min((each for each in found if each[0] >= target), default=max(found))
    return since, [hits for hits, _ in found]


def figures(of: Trace, *, edge_shares: Sequence[float], shield_shares: Sequence[float]) -> dict[str, Any]:
    """All that is printed of one trace: cold is all of it, warm its second half."""
    half = len(of) // 2
    alone = Trace(of.name, 1, len(of))
    one, all_edges = Site(alone, None), Site(of, None)
    row: dict[str, Any] = {
        "trace": of.name,
        "requests": len(of),
        "keys": of.distinct,
        "bound_one_edge": {"cold": one.shares().of(EDGE), "warm": one.shares(half).of(EDGE)},
        "bound": {"cold": all_edges.shares().of(EDGE), "warm": all_edges.shares(half).of(EDGE)},
        "least": {"cold": least_share(of, 0), "warm": least_share(of, half)},
        "edges": {},
        "shields": {},
    }
    for policy in ("lru", "adaptive"):
        for share in edge_shares:
            site = Site(of, of.items(share), policy)
            row["edges"][f"{policy} {share:.0%}"] = {"cold": site.shares(), "warm": site.shares(half)}
    for share in shield_shares:
        site = Site(of, of.items(0.1), "lru", of.items(share))
        row["shields"][f"shield {share:.0%}"] = {"cold": site.shares(), "warm": site.shares(half)}
    return row
