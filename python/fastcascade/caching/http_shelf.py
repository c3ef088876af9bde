"""Where answers are kept: the variants of a page as one entry of the compiled cache, and what was struck from it when.

A request that was under way while its page was invalidated may bring what the page was before. So strikes are
numbered, each request notes the number it started at, and what it brings is kept only if its page was not struck
since. Numbers of pages are kept in a table of fixed size by hash: pages that share a place lose a chance to be kept,
and no strike is ever forgotten.
"""

from threading import Lock

from fastcascade._core import Cache, Clock
from fastcascade.caching.http_records import Stored, Token

__all__ = ["PLACES", "Leaders", "Shelf"]

PLACES = 4096
# An entry's own cost, so that a million empty answers are not free.
_OVERHEAD = 512


class Shelf:
    """Variants by key, newest first; safe in threads."""

    def __init__(
        self,
        cache: Cache[tuple[Stored, ...]] | None,
        max_bytes: int,
        max_variants: int,
        keep: float,
        clock: Clock | None,
    ) -> None:
        """`keep`: how long past its life what has a validator is of use."""
        self.cache: Cache[tuple[Stored, ...]] = Cache(max_weight=max_bytes, clock=clock) if cache is None else cache
        self._max_variants, self._keep = max_variants, keep
        self._lock = Lock()
        self.serial = 0
        self._struck = [0] * PLACES
        self._purged = 0

    def put(self, token: Token, stored: Stored, now: float) -> bool:
        """Keep a variant in the place of one chosen by the same headers; whether it is kept."""
        uri = token.key[-1]
        with self._lock:
            if max(self._purged, self._struck[hash(uri) % PLACES]) > token.serial:
                return False
            others = [old for old in self.cache.get(token.key) or () if old.vary != stored.vary]
            kept = (stored, *[old for old in others if self._left(old, now) > 0])[: self._max_variants]
            left = max(self._left(one, now) for one in kept)
            return left > 0 and self.cache.put(
                token.key, kept, ttl=left, weight=sum(map(_weight, kept)), tags=_tags(str(uri), kept)
            )

    def _left(self, stored: Stored, now: float) -> float:
        """For how long it is of use: fresh, as a stand-in, or as what a validator speaks of."""
        stale = max(stored.behind, stored.on_error, self._keep if stored.etag or stored.modified else 0.0)
        return stored.born + stored.fresh_for + stale - now

    def drop(self, token: Token) -> None:
        """Forget one page as one scope has it."""
        with self._lock:
            self.cache.remove(token.key)

    def not_kept(self, token: Token, status: int) -> None:
        """An answer is not to be kept: nobody waits for it here."""

    def strike(self, uri: str) -> int:
        """Forget a page for every scope and host; how many entries there were."""
        with self._lock:
            self.serial += 1
            self._struck[hash(uri) % PLACES] = self.serial
            return self.cache.invalidate("uri " + uri)

    def purge(self, tag: str | None) -> int:
        """Forget what has a tag, or everything; what is under way now is not kept either."""
        with self._lock:
            self.serial += 1
            self._purged = self.serial
            if tag is not None:
                return self.cache.invalidate(tag)
            count = len(self.cache)
            self.cache.clear()
            return count


def _weight(stored: Stored) -> int:
    heads = sum(len(name) + len(value) for name, value in stored.headers)
    return len(stored.body) + heads + _OVERHEAD


def _tags(uri: str, variants: tuple[Stored, ...]) -> list[str]:
    own = dict.fromkeys(f"tag {tag}" for one in variants for tag in one.tags)
    return ["uri " + uri, "path " + uri.partition("?")[0], *own]


class Leaders:
    """Who is asking the app for a key now, and until when that is believed."""

    def __init__(self) -> None:
        """Nobody is under way."""
        self._until: dict[tuple[str | bytes, ...], float] = {}
        self._lock = Lock()

    def lead(self, key: tuple[str | bytes, ...], now: float, seconds: float) -> bool:
        """Whether the caller is the one; a leader that never came back is forgotten when its time is over."""
        with self._lock:
            if self._until.get(key, now) > now:
                return False
            if len(self._until) >= PLACES:
                self._until = {other: until for other, until in self._until.items() if until > now}
            self._until[key] = now + seconds
            return True

    def release(self, key: tuple[str | bytes, ...]) -> None:
        """The leader is done."""
        with self._lock:
            self._until.pop(key, None)
