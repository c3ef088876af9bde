"""What is looked at when somebody asks, and not counted: breakers, caches, reviews, promises."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from fastcascade._core import __version__
from fastcascade.errors import ConfigError
from fastcascade.telemetry import prometheus_caches
from fastcascade.telemetry.prometheus_kinds import Sample

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.gateway.settings_seen import Promises

__all__ = ["Seen", "breaker_open", "by_name", "known_slices"]

EVERY: Final = 5.0
"""Seconds between two looks at the reviews."""
PAGE: Final = 100
OPEN: Final = {"open": 1.0, "held open": 1.0, "half-open": 0.5}
STATES: Final = ("waiting", "claimed", "answered", "expired")


class Seen:
    """Looks at cascades.

    Args:
        cascades: by name.
        promises: what alerts go by.
        clock: seconds, as of `time.monotonic`.
        now: seconds since 1970.
    """

    def __init__(
        self,
        cascades: "Mapping[str, Cascade]",
        promises: "Promises | None" = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Look at nothing yet."""
        self.cascades, self.promises = cascades, promises
        self.caches: list[Any] = [
            *{id(each.cache): each.cache for each in cascades.values() if each.cache is not None}.values()
        ]
        self.dropped: dict[str, Callable[[], float]] = {}
        """By what for: how many events were dropped there."""
        self._clock, self._now = clock, now
        self._desks = {id(desk): (name, desk) for name, desk in _desks(cascades)}
        self._reviews: dict[str, list[Sample]] = {}
        self._looked: float | None = None

    def samples(self) -> Iterator[Sample]:
        """All of them, as they are now; of reviews as they were at the last `refresh`."""
        yield "fastcascade_build_info", (("version", __version__),), 1
        for name, cascade in self.cascades.items():
            yield from _rungs(name, cascade)
        yield from prometheus_caches.samples(self.caches)
        for reviews in self._reviews.values():
            yield from reviews
        for what, dropped in self.dropped.items():
            yield "fastcascade_dropped_total", (("what", what),), dropped()
        if self.promises is not None:
            yield "fastcascade_promised_escalation", (), self.promises.escalation
            for tier, promised in self.promises.quality.items():
                yield "fastcascade_promised_quality", (("tier", tier),), promised

    async def refresh(self) -> bool:
        """Count the reviews, at most every five seconds; whether that was done now."""
        now = self._clock()
        if not self._desks or (self._looked is not None and now - self._looked < EVERY):
            return False
        self._looked = now
        for name, desk in self._desks.values():
            try:
                self._reviews[name] = [*await self._counted(name, desk)]
            except Exception:  # noqa: BLE001 - a store that is away, or a user's own
                self._reviews[name] = [("fastcascade_review_store_up", (("cascade", name),), 0)]
        return True

    async def _counted(self, name: str, desk: Any) -> Iterable[Sample]:
        counts, now, sla = await desk.counts(), self._now(), getattr(desk, "sla", None)
        own = ("cascade", name)
        waited = 0.0 if counts.oldest is None else max(0.0, now - counts.oldest)
        overdue = 0
        if sla is not None and waited > sla:  # hardly ever: the desk's upkeep ends such reviews
            page = await desk.store.listed("waiting", "", PAGE)
            overdue = sum(each.due is not None and each.due <= now for each in page)
        samples: list[Sample] = [
            *(("fastcascade_reviews", (own, ("state", state)), getattr(counts, state)) for state in STATES),
            ("fastcascade_review_oldest_seconds", (own,), waited),
            ("fastcascade_reviews_overdue", (own,), overdue),
            ("fastcascade_review_store_up", (own,), 1),
        ]
        return samples if sla is None else [*samples, ("fastcascade_review_sla_seconds", (own,), sla)]


def _desks(cascades: "Mapping[str, Cascade]") -> Iterator[tuple[str, Any]]:
    for name, cascade in cascades.items():
        review = cascade.chain.review
        if review is not None and hasattr(review.desk, "counts"):
            yield name, review.desk


def _rungs(name: str, cascade: "Cascade") -> Iterator[Sample]:
    """Whom the tiers ask, those of the region behind the ladder too."""
    top = cascade.tiers[-1].name
    yield "fastcascade_tier_last", (("cascade", name), ("tier", top)), 1
    for tier in cascade.rungs:
        look = getattr(tier.backend, "look", None)
        if look is None:
            continue
        pool = look()
        groups = {priority: str(place) for place, priority in enumerate(sorted({each.priority for each in pool}))}
        for each in pool:
            labels = (
                *(("cascade", name), ("tier", tier.name), ("instance", each.name)),
                *(("region", each.region), ("group", groups[each.priority])),
            )
            if each.circuit:
                yield "fastcascade_breaker_open", labels, OPEN.get(each.circuit, 0.0)
            yield "fastcascade_instance_usable", labels, float(each.usable)


def breaker_open(state: str) -> float:
    """A breaker's state as a number: 1 open, 0.5 half open, 0 closed."""
    return OPEN.get(state, 0.0)


def by_name(cascades: "Cascade | Iterable[Cascade] | Mapping[str, Cascade]") -> "dict[str, Cascade]":
    """Several cascades, by name. Raises `ConfigError` where two have the same."""
    several: Any = cascades
    if isinstance(several, Mapping):
        return dict(several)
    found: dict[str, Cascade] = {}
    for each in (several,) if hasattr(several, "tiers") else several:
        if found.setdefault(each.name, each) is not each:
            raise ConfigError(f"two cascades are called {each.name!r}: give each a name, as Cascade(..., name='shop')")
    return found


def known_slices(cascades: "Iterable[Cascade]") -> list[str]:
    """The routes and tasks that lanes name: what clients make up does not take their place."""
    found: dict[str, None] = {}
    for cascade in cascades:
        lanes = cascade.lanes
        for told in (*(each for lane in lanes.lanes for each in (lane.route, lane.task)), lanes.large_tasks):
            if told is not None:
                found.update(dict.fromkeys((told,) if isinstance(told, str) else sorted(told)))
    return list(found)
