"""Answers to what was asked before in other words: an embedding that is close, and a guard that finds no difference.

Off unless one is given. Two judges who know nothing of each other must agree: the embedder, by a cosine, and the
guard, by the words. See `semantic_guard` for what it lets pass.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Protocol

from fastcascade._core import cosine
from fastcascade.caching import semantic_asked
from fastcascade.caching.semantic_asked import Per
from fastcascade.caching.semantic_guard import Guard
from fastcascade.caching.semantic_shelf import Bucket, SemanticEntry
from fastcascade.embedders import Vector, as_embedder, checked
from fastcascade.messages import Request

__all__ = ["Judge", "Near", "SemanticCache", "SemanticEntry", "SemanticStats"]

_PLACES: Final = 4096


class Judge(Protocol):
    """Whether two texts may have one answer. Symmetric, and true of a text and itself."""

    def same(self, a: str, b: str, /) -> bool:
        """Whether they ask the same."""
        ...


@dataclass(frozen=True, slots=True)
class Near:
    """What was found: an entry, and the cosine of its text and the one that was asked."""

    entry: SemanticEntry
    similarity: float


@dataclass(slots=True)
class SemanticStats:
    """Counters since the cache was made, and what it holds now."""

    hits: int = 0
    misses: int = 0
    refused: int = 0  # misses for which there was one of the two: near enough, or asking the same, but not both
    adds: int = 0
    evictions: int = 0
    expirations: int = 0
    items: int = 0


class SemanticCache:
    """Kept answers, found by meaning. Safe in threads; no I/O but `embed`, and the caller says what time it is.

        cache = SemanticCache(OpenAIEmbedder("text-embedding-3-small"), threshold=0.85, per="customer")
        if (text := cache.text_of(request)) and cache.could(text, scope := cache.scope_of(request), now):
            found = cache.find(await cache.embed(text), text, scope, now)

    Args:
        embedder: one of `fastcascade.embedders`, a function, or a model with an `encode` method.
        threshold: the least cosine. Embedders differ in what one means: measure it with `benches/semantic_cache.py`.
        guard: what must find no difference besides. Any object with `same(a, b)` will do; one that has `form(text)` too
            spares a search. None trusts the embedder alone, which takes "enable" for "disable".
        items: how many answers are kept; the one not used for longest leaves.
        ttl: for how many seconds.
        per: whose answers are shared: each user has their own, or each customer, or all share.
        longest: texts of more characters are not answered by meaning.
    """

    def __init__(
        self,
        embedder: Any,
        *,
        threshold: float = 0.8,
        guard: Judge | None = Guard(),  # noqa: B008 # it keeps no state but what words it has seen
        items: int = 10_000,
        ttl: float = 3600.0,
        per: Per = "user",
        longest: int = 400,
    ) -> None:
        """Check the settings; nothing is embedded."""
        semantic_asked.check(threshold, guard, items, ttl, per, longest)
        self.threshold, self.ttl, self.items, self.longest = float(threshold), float(ttl), items, longest
        self.per: Per = per
        self.guard = guard
        self._form = getattr(guard, "form", None)
        self._embedder = as_embedder(embedder)
        self._lock = Lock()
        self._used: OrderedDict[SemanticEntry, None] = OrderedDict()
        self._buckets: dict[Any, Bucket] = {}
        self._tags: dict[str, set[SemanticEntry]] = {}
        self._stats = SemanticStats()
        self._serial = self._emptied = 0
        self._struck = [0] * _PLACES

    def text_of(self, request: Request, identity: bytes = b"") -> str | None:
        """The wording, where the request may be answered by meaning at all: see `semantic_asked.text_of`.

        `identity` is whoever asks, where the request does not say: a caller's name, a key's.
        """
        return semantic_asked.text_of(request, self.per, identity, self.longest)

    def scope_of(self, request: Request, identity: bytes = b"") -> bytes:
        """All but the wording that an answer may depend on. Entries of another scope are never looked at."""
        return semantic_asked.scope_of(request, self.per, identity)

    async def embed(self, text: str) -> Vector:
        """The text's vector. Raises `BackendError`, and whatever the embedder raises."""
        return checked(await self._embedder([text]), 1)[0]

    @property
    def serial(self) -> int:
        """How often was dropped; noted when an answer's making begins, and given to `add` as `since`."""
        return self._serial

    def could(self, text: str, scope: bytes, now: float) -> bool:
        """Whether `find` may find something. A False is a miss, counted here, and saves the embedding."""
        place = self._place(text, scope)
        with self._lock:
            bucket = self._buckets.get(place)
            if bucket is not None and self._alive(next(reversed(bucket.texts.values())), now):
                return True  # its newest is alive
            self._stats.misses += 1
            return False

    def find(self, vector: Sequence[float], text: str, scope: bytes, now: float) -> Near | None:
        """The nearest entry of the scope that is near enough and that the guard lets pass. It counts as a use."""
        place = self._place(text, scope)
        with self._lock:
            bucket = self._buckets.get(place)
            other = self._form is not None and bucket is not None  # asks the same
            for similarity, entry in () if bucket is None else bucket.near(vector, self.threshold):
                if not self._alive(entry, now):
                    other = False
                elif self._form is None and self.guard is not None and not self.guard.same(text, entry.text):
                    other = True  # is near
                else:
                    self._used.move_to_end(entry)
                    self._stats.hits += 1
                    return Near(entry, similarity)
            self._stats.misses += 1
            self._stats.refused += other
            return None

    def add(
        self,
        vector: Sequence[float],
        text: str,
        scope: bytes,
        value: Any,
        now: float,
        tags: Iterable[str] = (),
        *,
        since: int | None = None,
    ) -> bool:
        """Keep an answer, in the place of one to the same text; whether it is kept.

        Not where the vector has no direction, nor where something of its tags was dropped after `since`.
        """
        row = vector if isinstance(vector, array) and vector.typecode == "f" else array("f", vector)
        try:
            cosine(row, row)
        except ValueError:
            return False
        place, tags = self._place(text, scope), tuple(tags)
        entry = SemanticEntry(text, row, value, now, tags, place)
        with self._lock:
            if (
                since is not None
                and max(self._emptied, *(self._struck[hash(tag) % _PLACES] for tag in tags), 0) > since
            ):
                return False
            bucket = self._buckets.setdefault(place, Bucket())
            if (old := bucket.texts.get(text)) is not None:
                self._remove(old)
                bucket = self._buckets.setdefault(place, Bucket())
            bucket.put(entry)
            self._used[entry] = None
            for tag in tags:
                self._tags.setdefault(tag, set()).add(entry)
            self._stats.adds += 1
            while len(self._used) > self.items:
                self._remove(next(iter(self._used)))
                self._stats.evictions += 1
        return True

    def drop(self, *, tag: str | None = None) -> int:
        """Forget all with this tag, or all; how many."""
        with self._lock:
            self._serial += 1
            if tag is None:
                count, self._emptied = len(self._used), self._serial
                self._used, self._buckets, self._tags = OrderedDict(), {}, {}
                return count
            self._struck[hash(tag) % _PLACES] = self._serial
            entries = tuple(self._tags.get(tag, ()))
            for entry in entries:
                self._remove(entry)
            return len(entries)

    def stats(self) -> SemanticStats:
        """A copy of the counters."""
        with self._lock:
            counted = self._stats
            return SemanticStats(
                counted.hits, counted.misses, counted.refused, counted.adds, counted.evictions, counted.expirations,
                len(self._used),
            )  # fmt: skip

    def __len__(self) -> int:
        """How many answers are held, expired ones included until they are met."""
        return len(self._used)

    def __repr__(self) -> str:
        """Show the settings, and no answer."""
        return f"SemanticCache({self._embedder!r}, threshold={self.threshold}, per={self.per!r}, guard={self.guard!r})"

    def _place(self, text: str, scope: bytes) -> Any:
        return scope if self._form is None else (scope, self._form(text))

    def _alive(self, entry: SemanticEntry, now: float) -> bool:
        if now - entry.born < self.ttl:
            return True
        self._remove(entry)
        self._stats.expirations += 1
        return False

    def _remove(self, entry: SemanticEntry) -> None:
        del self._used[entry]
        bucket = self._buckets[entry.place]
        bucket.remove(entry)
        if not bucket.texts:
            del self._buckets[entry.place]
        for tag in entry.tags:
            held = self._tags.get(tag)
            if held is not None:
                held.discard(entry)
                if not held:
                    del self._tags[tag]
