"""A cascade like the one that is drilled, in a state of its own.

The drill runs on the twin: same settings, same policies and gates, own breakers, budgets, caches and queues, and each
backend behind faults. So nothing of the cascade itself is changed, even if the drill is killed, and one that serves
traffic meanwhile does not notice.
"""

import copy
from collections.abc import Callable, Generator
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from fastcascade._core import Clock, RateLimiter
from fastcascade.backends.backend import Backend
from fastcascade.drills.load import label_of
from fastcascade.drills.places import Group, Kept, Place, Probed, Watched
from fastcascade.drills.primary import chosen, is_local
from fastcascade.drills.scenarios import Scenario
from fastcascade.drills.schedule import detached
from fastcascade.drills.stand_in import StandIn
from fastcascade.effects import Call, Effect, Handle, Outcome
from fastcascade.entry.instance import Instance
from fastcascade.entry.pool import Pool
from fastcascade.fallbacks.latencies import Latencies
from fastcascade.fallbacks.review import Review
from fastcascade.fallbacks.stale import Shelf, Stale
from fastcascade.gates.gate import Gate
from fastcascade.lanes import Sessions
from fastcascade.testing.plans import Plan

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.fallbacks.chain import Chain
    from fastcascade.tiers import Tier

__all__ = ["Twin"]

LOCK: Final = type(Lock())
SLACK: Final = 5.0
"""Seconds on top of what is promised: requests come one by one, and take a while."""


class Twin:
    """The copy, and all places in it.

    Args:
        cascade: whose copy.
        latency: seconds in which stand-ins reply; None has the backends themselves asked.
        clock: the drill's.
    """

    def __init__(self, cascade: "Cascade", latency: float | None, clock: Callable[[], float]) -> None:
        """Copy what has state."""
        self.latency = latency
        self.clock = clock
        self.places: list[Place] = []
        self.groups: list[Group] = []
        self.store = Kept()
        self.quotas = Clock()
        self._known: dict[int, Any] = {}  # by the original's id
        self._tiers: dict[int, list[str]] = {}  # the names of the tiers that ask a group, by its id
        self.cascade = other = detached(copy.copy(cascade))
        tiers = [self._tier(tier) for tier in cascade.rungs]
        for tier in tiers:  # now that all are known who may be asked by a gate too
            tier.gate = None if latency is not None else self._asking(tier.gate)
        self.first = tiers[: len(cascade.tiers)]
        other.tiers, other.rungs = tuple(self.first), tuple(tiers)
        other.chain = self._chain(cascade.chain)
        other.lanes = self._lanes(cascade.lanes)
        other.cache = None  # what is drilled must not be kept for others, nor hidden by what was kept before
        other.sessions = None if cascade.sessions is None else Sessions()
        other.spares = None if cascade.hedge is None else cascade.hedge.allowance()
        other.slots = None if cascade.bulkhead is None else cascade.bulkhead.slots("the cascade")

    @property
    def reviewed(self) -> bool:
        """Whether the cascade hands anything to people."""
        return self.cascade.chain.review is not None

    def strike(self, whom: str, tier: str = "") -> list[Place]:
        """Choose who is struck: the primary, and whoever is in its region, or everybody but what is local."""
        struck = chosen(self.places, whom, [tier] if tier else [each.name for each in self.first])
        for each in struck:
            each.struck = True
        return struck

    def labels(self, place: Place) -> set[str]:
        """What answers from there are counted under."""
        asked = place.backend if place.group.pool is None else place.group.pool
        return {label_of(tier, place.name) for tier in self._tiers.get(id(asked), ())}

    def recovery(self, scenario: Scenario, lasting: float, spacing: float) -> float:
        """Seconds after which all is to be as it was, by the cascade's own settings."""
        least = max((recovery(each.pool, lasting, spacing) for each in self.groups if each.pool), default=0.0)
        under_way = self._patience() if scenario.hangs else scenario.slowed
        return least + under_way + 1.1 * scenario.told + 5 * spacing + SLACK

    def _patience(self) -> float:
        """Seconds that a call may hang, and keep a place from others."""
        longest = 0.0
        for tier in self.cascade.rungs:
            bounds = (tier.timeout, getattr(tier.backend, "timeout", None), self.cascade.budget.deadline)
            longest = max(longest, min((each for each in bounds if each is not None), default=inf))
        return longest

    def busy(self) -> bool:
        """Whether a call is under way anywhere."""
        return any(each.outstanding for group in self.groups if group.pool for each in group.pool.instances)

    # The parts.

    def _tier(self, tier: "Tier") -> "Tier":
        other = copy.copy(tier)
        other.backend = self._backend(tier.backend, tier.name)
        self._tiers.setdefault(id(other.backend), []).append(tier.name)
        other.latencies = None if tier.latencies is None else Latencies()
        for name in ("_requests", "_tokens"):
            limiter = getattr(tier, name)
            setattr(other, name, None if limiter is None else RateLimiter(limiter.quota, clock=self.quotas))
        return other

    def _backend(self, backend: Backend, tier: str) -> Any:
        known = self._known.get(id(backend))
        if known is None:
            known = self._pool(backend, tier) if isinstance(backend, Pool) else self._plain(backend, tier)
            self._known[id(backend)] = known
        return known

    def _plain(self, backend: Backend, tier: str) -> Watched:
        group = Group(tier, tier, None)
        watched = self._watched(backend, probed=False, probe=None)
        group.asked = watched.times
        self.groups.append(group)
        self.places.append(Place(tier, tier, "", 0, group, watched, is_local(backend)))
        return watched

    def _pool(self, pool: Pool, tier: str) -> Pool:
        group = Group(pool.name, tier, None)
        health = copy.copy(pool.health)
        probe = None if health is None else health.probe
        if health is not None:
            health.probe = None
        instances = []
        for each in pool.instances:
            probed = probe is not None or any(hasattr(each.backend, name) for name in ("probe", "base_url"))
            watched = self._watched(each.backend, probed=probed, probe=probe)
            label = label_of(tier, each.name)
            local = is_local(each.backend)
            self.places.append(Place(each.name, label, each.region, each.priority, group, watched, local))
            instances.append(
                Instance(
                    watched,
                    name=each.name,
                    weight=each.weight,
                    region=each.region,
                    key=each.key,
                    priority=each.priority,
                )
            )
        circuit, slots = pool.instances[0].circuit, pool.instances[0].slots
        other = copy.copy(pool)  # of its own class, with what that has
        Pool.__init__(
            other,
            *instances,
            retry=pool.retry,
            breaker=None if circuit is None else circuit.breaker,
            bulkhead=None if slots is None else slots._config,  # noqa: SLF001 - a pool does not keep it
            hedge=pool.hedge,
            balance=_own(pool.balancer),
            outliers=pool.outliers,
            health=health,
            timeout=pool.timeout,
            effects=pool.effects,
            name=pool.name,
        )
        other.automatic = pool.automatic
        group.pool = other
        _count(other, group.asked)
        self.groups.append(group)
        return other

    def _watched(self, backend: Backend, *, probed: bool, probe: Callable[[Backend], Any] | None) -> Watched:
        asked: Any = backend
        if self.latency is not None and not is_local(backend):
            asked = StandIn(backend, self.latency, probed=probed)
        elif probe is not None or (probed and not hasattr(backend, "probe")):
            asked = Probed(backend, probe)
        return Watched(asked, Plan(), self.clock)

    def _asking(self, given: Any) -> Any:
        """A gate, or what it is made of, with the copies of those whom it asks."""
        if id(given) in self._known:
            return self._known[id(given)]
        if hasattr(given, "complete") and hasattr(given, "gives"):
            return self._backend(given, f"gate:{given.name}")
        if isinstance(given, Gate):
            other = copy.copy(given)
            for name, value in vars(given).items():
                found = self._asking(value)
                if found is not value:
                    setattr(other, name, found)
            return other
        if isinstance(given, list | tuple) and any(isinstance(each, Gate) for each in given):
            return type(given)(self._asking(each) for each in given)
        return given

    def _chain(self, chain: "Chain") -> "Chain":
        other = copy.copy(chain)
        if chain.stale is not None:
            other.stale = copy.copy(chain.stale)
            other.stale.shelf = Shelf(chain.stale.max_items)
        if chain.review is not None:
            other.review = copy.copy(chain.review)
            other.review.desk = copy.copy(chain.review.desk)
            other.review.desk.store = self.store  # type: ignore[assignment] # all that the cascade's side needs
        places: dict[type, Any] = {Stale: other.stale, Review: other.review}
        other.order = tuple(
            next((new for kind, new in places.items() if isinstance(link, kind)), link) for link in chain.order
        )
        return other

    def _lanes(self, lanes: Any) -> Any:
        other = copy.copy(lanes)
        other._seen = None  # noqa: SLF001 - what users have asked before is no matter of a drill's
        if self.latency is not None:
            other.semantic = None  # it may ask an embedder that is paid
        return other


def recovery(pool: Pool, lasting: float, spacing: float) -> float:
    """Seconds after which a pool is to be as it was, by its own settings, if it is asked every `spacing` seconds."""
    total = 0.0
    breaker = pool.instances[0].circuit.breaker if pool.instances[0].circuit is not None else None
    if breaker is not None:
        total += breaker.cooling + (breaker.probes + 2) * spacing * len(pool.instances)
    if pool.health is not None:
        total += pool.health.back * pool.health.every + pool.health.timeout
    out = pool.outliers
    if out is not None and any(len(group) > 1 for group in pool.groups):
        times, left = 0, lasting
        while left > 0 and times * out.ejection < out.longest:
            times += 1
            left -= times * out.ejection
        total += min(out.longest, out.ejection * (times + 1))
    return total if total < inf else 0.0


def _own(balancer: Any) -> Any:
    """A balancer with notes of its own, so that it does not come to know the twin's instances."""
    other = copy.copy(balancer)
    slots = [name for kind in type(balancer).__mro__ for name in getattr(kind, "__slots__", ())]
    for name in (*getattr(balancer, "__dict__", ()), *slots):
        value = getattr(balancer, name, None)
        if isinstance(value, LOCK):
            setattr(other, name, Lock())
        elif isinstance(value, dict | list | set):
            setattr(other, name, copy.copy(value))
    return other


def _count(pool: Pool, asked: list[float]) -> None:
    """Take note of each time the pool is asked."""
    asking, opening, let_in = pool.asking, pool.opening, pool.let_in

    def counted(call: Call, now: float) -> Generator[Effect, Outcome, Outcome]:
        asked.append(now)
        return asking(call, now)

    def counted_opening(call: Call, now: float, after: Handle | None = None) -> Generator[Effect, Outcome, Outcome]:
        if after is None:
            asked.append(now)
        return opening(call, now, after)

    def counted_straight(only: Instance, now: float) -> bool:
        if not let_in(only, now):
            return False  # the pool itself is asked then
        asked.append(now)
        return True

    pool.let_in = counted_straight  # type: ignore[method-assign]
    pool.asking = counted  # type: ignore[method-assign]
    pool.opening = counted_opening  # type: ignore[method-assign]
