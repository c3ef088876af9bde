"""Which desks a console has, and what waits at each: read at most once a second, however many look.

A review is read whole, in the loop that answers callers too: so a few at a time, and the less often the longer it took.
"""

import asyncio
from dataclasses import dataclass, field
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from fastcascade.console.asked import Refusal, Sight
from fastcascade.reviews.held import HeldAnswers
from fastcascade.reviews.shown import brief

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastcascade.reviews.desk import ReviewDesk
    from fastcascade.stores.reviews import ReviewState

__all__ = ["Counter", "counter", "counters_of", "held_of"]

KEPT: Final = "reviews"
MOST: Final = 200
"""Reviews of each state that are listed; those beyond are counted."""
PAGE: Final = 10
FRESH: Final = 1.0
SHARE: Final = 0.05
"""Of the time of a worker, at most, that goes into reading queues."""


@dataclass(slots=True)
class Counter:
    """A desk with the cascades that share it. It is called by the first of them."""

    name: str
    desk: "ReviewDesk"
    cascades: list[str]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    read: float = -inf
    fresh: float = FRESH
    seen: "dict[str, Any]" = field(default_factory=dict)

    async def board(self, sight: Sight) -> "dict[str, Any]":
        """What waits here, who has what, and how much there is."""
        async with self.lock:
            if not 0 <= sight.clock() - self.read < self.fresh:
                began = perf_counter()
                counts = await self.desk.counts()
                once: dict[str, dict[str, Any]] = {}  # one may have moved in between
                await self._listed("claimed", once)
                await self._listed("waiting", once)
                self.seen = {
                    "counts": {name: getattr(counts, name) for name in ("waiting", "claimed", "answered", "expired")},
                    "reviews": list(once.values()),
                }
                self.read, self.fresh = sight.clock(), max(FRESH, (perf_counter() - began) / SHARE)
            return self.seen

    async def _listed(self, state: "ReviewState", once: "dict[str, dict[str, Any]]") -> None:
        after, left = "", MOST
        while left > 0 and (page := await self.desk.store.listed(state, after, PAGE)):
            once |= {review.id: {"desk": self.name, **brief(review)} for review in page}
            after, left = page[-1].id, left - len(page)

    def stale(self) -> None:
        """Have it read anew: something was done."""
        self.read = -inf


class _Kept:
    """What the console keeps for the review desk; closed with it."""

    def __init__(self, sight: Sight) -> None:
        self.held = HeldAnswers(sight.now)
        self.counters: dict[str, Counter] = {}

    async def aclose(self) -> None:
        await self.held.aclose()


def counters_of(sight: Sight) -> "Mapping[str, Counter]":
    """The desks of the cascades that are served, by name. Cascades may change while the console runs."""
    kept = _kept(sight)
    found: dict[str, Counter] = {}
    for name, cascade in sight.cascades.items():
        review = cascade.chain.review
        if review is None:
            continue
        same = next((each for each in found.values() if each.desk is review.desk), None)
        if same is not None:
            same.cascades.append(name)
            continue
        before = kept.counters.get(name)
        found[name] = before if before is not None and before.desk is review.desk else Counter(name, review.desk, [])
        found[name].cascades = [name]
    kept.counters = found
    return found


def held_of(sight: Sight) -> HeldAnswers:
    """Answers that this worker holds back."""
    return _kept(sight).held


def _kept(sight: Sight) -> _Kept:
    found = sight.kept.get(KEPT)
    if not isinstance(found, _Kept):
        found = sight.kept[KEPT] = _Kept(sight)
    return found


def counter(sight: Sight, name: object) -> Counter:
    """The desk of this name."""
    found = counters_of(sight).get(name) if isinstance(name, str) else None
    if found is None:
        raise Refusal(404, "there is no review desk of this name; it may have been taken out of the cascade's file")
    return found
