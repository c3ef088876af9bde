"""The level in this process: entries in the compiled cache, and which of them the server would tell us of.

An entry may be served from memory while the server tells of every change of it. `epoch` numbers the times through which
it told all: what was put under an older one is looked at again in Redis first. While Redis is away entries are served
by their own lives, for at most `alone` seconds if that is given.

What we write ourselves changes what we have read, and the server tells of that too: of each write exactly once, since
the script reads the key before and after. `writing` and `own` tell that one from what others change.
"""

import time
from typing import TYPE_CHECKING, Final

from fastcascade._core import Cache, Clock
from fastcascade.caching.levels_entry import Held

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AWAY", "LOST", "Memory"]

AWAY: Final = -1
"""The epoch of what was put while the server could not be told of it."""
LOST: Final = -2
"""The epoch of what may have changed since it was read."""
SOON: Final = 1.0
"""Seconds in which the server's word of our own write comes: it follows the reply at once."""


class Memory:
    """Entries by key; of one event loop."""

    def __init__(self, items: int, size: int, alone: float | None, clock: Clock | None, *, shared: bool) -> None:
        """`size` in bytes; `shared`: whether there is a level behind."""
        self.cache: Cache[Held] = Cache(max_items=items, max_weight=size, clock=clock)
        self.mono: Callable[[], float] = time.monotonic if clock is None else clock.now
        self.shared = shared
        self.up = False
        self.epoch = 0
        self.news_up: Callable[[], bool] = lambda: True
        """Whether purges by tag can be heard; they come by another connection."""
        self.alone = alone
        self._down_at = self.mono()
        self._writing: dict[bytes, int] = {}
        self._own: dict[bytes, float] = {}

    def put(self, key: bytes, held: Held, weight: int) -> bool:
        """Keep it for its whole life, in the place of what there was."""
        left = held.stale_until - self.mono()
        kept = left > 0 and self.cache.put(key, held, ttl=left, weight=weight, tags=held.entry.tags)
        if not kept:
            self.cache.remove(key)
        return kept

    def find(self, key: bytes) -> Held | None:
        """What is kept and not over, whether it may be served or not."""
        held = self.cache.get(key)
        return held if held is not None and held.stale_until > self.mono() else None

    def sure(self, held: Held, now: float, *, away: bool = False) -> bool:
        """Whether it may be served without asking Redis; with `away` as though that could not be reached."""
        if not self.shared:
            return True
        if self.up and not away and (self.news_up() or self.alone is None):
            return held.epoch == self.epoch
        return self.alone is None or now < max(held.at, held.at if self.up else self._down_at) + self.alone

    def doubt(self) -> None:
        """The server may have told others, or nobody, what changed."""
        self.epoch += 1
        self._own.clear()
        for key in self._writing:
            self._writing[key] = 2

    def went_down(self) -> None:
        """Nothing is told any more."""
        if self.up:
            self.up = False
            self._down_at = self.mono()
        self.doubt()

    def came_up(self) -> None:
        """It is told again."""
        self.up = True
        self.doubt()

    def changed(self, key: bytes) -> bool:
        """The server says that an entry was changed; False where that was ourselves."""
        if key in self._writing:
            self._writing[key] += 1
            return False
        until = self._own.pop(key, None)
        if until is not None and self.mono() < until:
            return False
        self.cache.remove(key)
        return True

    def begin(self, key: bytes) -> None:
        """A write of ours goes out."""
        # Of two at once nobody can say which is the later one.
        self._writing[key] = 2 if key in self._writing else 0

    def fail(self, key: bytes, nonce: bytes) -> None:
        """Whether it got through is not known."""
        self._writing.pop(key, None)
        held = self._there(key)
        if held is not None and held.nonce == nonce:
            held.epoch = AWAY

    def end(self, key: bytes, nonce: bytes, *, kept: bool) -> None:
        """It is through. What it wrote stands in memory already, unless something else came in between."""
        told = self._writing.pop(key, 2)
        held = self._there(key)
        if not kept or told > 1 or held is None or held.nonce != nonce:
            self.cache.remove(key)
        if kept and told == 0:
            if len(self._own) > 1_000:
                now = self.mono()
                self._own = {other: until for other, until in self._own.items() if until > now}
            self._own[key] = self.mono() + SOON

    def _there(self, key: bytes) -> Held | None:
        """What is kept, looked at without using it: who writes is not who asks."""
        found = self.cache.peek(key)
        return None if found is None else found[0]
