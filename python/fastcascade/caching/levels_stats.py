"""What the levels did: hits, misses and time of each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fastcascade.caching.levels_entry import Entry

__all__ = ["Counts", "Level", "LevelsStats"]


EACH: Final = 64
"""Of so many hits in memory one is timed."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level: memory, shared, or the origin, whose hits are what was made and whose misses what was given up."""

    hits: int = 0
    misses: int = 0
    seconds: float = 0.0
    """Spent in look-ups, all together; of memory, estimated from one hit in 64."""
    bytes: int = 0
    """Of the values of its hits."""

    @property
    def ratio(self) -> float:
        """Hits among all that came here; 0.0 before the first."""
        return self.hits / (self.hits + self.misses) if self.hits else 0.0


@dataclass(frozen=True, slots=True)
class LevelsStats:
    """Counters since the levels were made, and what they hold now."""

    memory: Level = field(default_factory=Level)
    shared: Level = field(default_factory=Level)
    origin: Level = field(default_factory=Level)
    stale: int = 0
    """Entries past their life that were given while they were made anew."""
    negative: int = 0
    """Hits, at whatever level, that say that there is nothing."""
    joined_here: int = 0
    joined_across: int = 0
    """Requests that were given what another made meanwhile: in this process, in another one."""
    purges: int = 0
    fenced: int = 0
    """Entries that were not kept or not taken since they began before a purge."""
    not_kept: int = 0
    """Values that were too large, or that another was faster with."""
    away: int = 0
    """Look-ups and writes that the shared level failed."""
    pending: int = 0
    """Purges still to be sent on."""
    items: int = 0
    held: int = 0
    """Entries in memory now, and what they weigh in bytes."""


class Counts:
    """What is counted as it happens."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.memory_hits = self.memory_misses = self.memory_bytes = 0
        self.memory_seconds = self.shared_seconds = self.origin_seconds = 0.0
        self.shared_hits = self.shared_misses = self.shared_bytes = 0
        self.origin_hits = self.origin_misses = self.origin_bytes = 0
        self.stale = self.negative = self.joined_here = self.joined_across = self.fenced = self.not_kept = 0

    def in_memory(self, entry: Entry, began: float, mono: Callable[[], float]) -> None:
        """A hit."""
        self.memory_hits += 1
        self.memory_bytes += len(entry.value)
        if entry.negative:
            self.negative += 1
        if not self.memory_hits % EACH:
            self.memory_seconds += EACH * (mono() - began)

    def in_shared(self, entry: Entry | None, seconds: float) -> None:
        """A look-up in Redis."""
        self.shared_seconds += seconds
        if entry is None:
            self.shared_misses += 1
        else:
            self.shared_hits += 1
            self.shared_bytes += len(entry.value)

    def made(self, size: int, seconds: float) -> None:
        """An entry was made."""
        self.origin_hits += 1
        self.origin_bytes += size
        self.origin_seconds += seconds

    def given(self, entry: Entry, *, stale: bool = False) -> Entry:
        """An entry that was not in memory is given to who asked."""
        if stale:
            self.stale += 1
        if entry.negative:
            self.negative += 1
        return entry

    def stats(self, *, purges: int, away: int, pending: int, items: int, held: int) -> LevelsStats:
        """All of it, as it is now."""
        return LevelsStats(
            memory=Level(self.memory_hits, self.memory_misses, self.memory_seconds, self.memory_bytes),
            shared=Level(self.shared_hits, self.shared_misses, self.shared_seconds, self.shared_bytes),
            origin=Level(self.origin_hits, self.origin_misses, self.origin_seconds, self.origin_bytes),
            stale=self.stale,
            negative=self.negative,
            joined_here=self.joined_here,
            joined_across=self.joined_across,
            purges=purges,
            fenced=self.fenced,
            not_kept=self.not_kept,
            away=away,
            pending=pending,
            items=items,
            held=held,
        )
