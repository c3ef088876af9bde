"""The upkeep of reviews: what is overdue ends, callbacks are made, what is old is dropped.

Any number of processes may do it at once: the store gives each piece of work to one of them.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from fastcascade.errors import ConfigError, StoreError
from fastcascade.notices import notify
from fastcascade.reviews.bells import Bells, rung
from fastcascade.reviews.callbacks import Callbacks
from fastcascade.signals import Signal
from fastcascade.stores.reviews import Review, ReviewStore

__all__ = ["SERVE", "Tidied", "Upkeep"]

PURGE_EVERY: Final = 60.0
LONGEST_REST: Final = 60.0
BATCH: Final = 20
BATCHES: Final = 5
SERVE: Final = ""
"""The bell for whoever serves; no review has this for a ticket."""

log: Final = logging.getLogger("fastcascade")


@dataclass(frozen=True, slots=True)
class Tidied:
    """What one round of upkeep did."""

    expired: int = 0
    called: int = 0  # callbacks that were taken
    failed: int = 0  # and that were not
    purged: int = 0


class Upkeep:
    """See `ReviewDesk`, whose part this is."""

    def __init__(
        self, store: ReviewStore, callbacks: Callbacks, bells: Bells, clock: Callable[[], float], keep: float
    ) -> None:
        """Begin with nothing done."""
        self._store = store
        self._callbacks = callbacks
        self._bells = bells
        self._clock = clock
        self._keep = keep
        self._purged = -inf

    async def tidy(self) -> Tidied:
        """One round: end what is overdue, make the callbacks that are due, drop what is old."""
        expired = await self._store.expire(self._clock())
        for review in expired:
            self._bells.ring(review.id)
        for kind, count in sorted(Counter(review.slice for review in expired).items()):
            notify("review", kind or "reviews", f"{count} expired with no answer")
        called, failed = await self._call_back() if self._callbacks else (0, 0)
        purged, now = 0, self._clock()
        if abs(now - self._purged) >= PURGE_EVERY:
            purged = await self._store.purge(now - self._keep)
            self._purged = now
        return Tidied(len(expired), called, failed, purged)

    async def serve(self, every: float = 1.0) -> None:
        """Tidy every so many seconds, until cancelled. While the store is off it tries less and less often."""
        if not every > 0:
            msg = f"a review desk is served every so many seconds, above zero, not {every!r}"
            raise ConfigError(msg)
        rest, fine = every, True
        while True:
            with self._bells.hung(SERVE) as hurry:
                try:
                    await self.tidy()
                    if not fine:
                        notify("returned", "reviews", "the store of reviews can be used again")
                    rest, fine = every, True
                except StoreError:
                    notify("store off", "reviews", "the store of reviews cannot be used")
                    rest, fine = min(rest * 2.0, max(every, LONGEST_REST)), False
                except Exception as error:  # noqa: BLE001 - one bad review must not end the upkeep of all others
                    log.error("the upkeep of reviews failed: %s", type(error).__name__)  # noqa: TRY400 - may hold a prompt
                    rest = min(rest * 2.0, max(every, LONGEST_REST))
                # Spread a little, so that several processes do not all come at once.
                await rung(hurry if fine else Signal(), rest * random.uniform(0.9, 1.1))

    async def _call_back(self) -> tuple[int, int]:
        """Make what is due, some at a time. Each is ours for longer than a try can take."""
        lease = 3.0 * self._callbacks.timeout + 30.0
        taken: list[bool] = []
        for _ in range(BATCHES):
            due = await self._store.due_callbacks(self._clock(), lease, BATCH)
            came = await asyncio.gather(*(self._tell(review) for review in due), return_exceptions=True)
            for each in came:
                if isinstance(each, BaseException):
                    raise each
                taken.append(each)
            if len(due) < BATCH:
                break
        return sum(taken), len(taken) - sum(taken)

    async def _tell(self, review: Review) -> bool:
        delivery = await self._callbacks.send(review, self._clock())
        again = None if delivery.taken else self._callbacks.again(review, delivery, self._clock())
        await self._store.called_back(review.id, delivery.taken, again)
        if not delivery.taken and again is None:
            notify("review", review.slice or "reviews", f"a callback was given up: {delivery.why}")
        return delivery.taken
