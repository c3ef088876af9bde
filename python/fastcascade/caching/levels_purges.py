"""What was purged when: marks by key, by tag and for everything, numbered, in bounded memory.

An entry carries the number that its maker had seen when it began. It holds while no mark of its key or its tags has a
later one. What is forgotten for want of room turns into a mark for everything that is as old: it makes entries
invalid, and never valid.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["ALL", "MOST_MARKS", "Marks", "Pending", "Purged", "Waiting", "key_mark", "score", "tag_mark"]

ALL: Final = b"a"
MOST_MARKS: Final = 200_000
PER_SECOND: Final = 1000 * 2048


@dataclass(frozen=True, slots=True)
class Purged:
    """What came of a purge."""

    here: int
    """Entries dropped from this process's memory."""
    everywhere: bool
    """Whether it was told to all; if not, Redis is away: it is done here, and sent on when Redis is back."""


def key_mark(key: bytes) -> bytes:
    """What the purge of a key is filed under."""
    return b"k" + key


def tag_mark(tag: str) -> bytes:
    """What the purge of a tag is filed under."""
    return b"t" + tag.encode()


def score(news: str) -> int:
    """A number for the id of a piece of news, in the same order, that a double holds exactly until 2109."""
    milliseconds, _, count = news.partition("-")
    beyond = int(count or 0)
    return int(milliseconds) * 2048 + beyond if beyond < 2048 else (int(milliseconds) + 1) * 2048


class Marks:
    """The latest purge of each key and tag; `seen` is the last one that was added."""

    __slots__ = ("_about", "_at", "_most", "_span", "floor", "seen")

    def __init__(self, most: int = MOST_MARKS, span: float | None = None) -> None:
        """At most so many, and where numbers are scores of none older than `span` seconds."""
        self._at: dict[bytes, int] = {}
        self._about: dict[bytes, int] = {}
        self._most, self._span = most, None if span is None else int(span * PER_SECOND)
        self.floor = 0
        """Whatever began before this does not hold."""
        self.seen = 0

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._at)

    def add(self, member: bytes, number: int, *, seen: bool = True) -> None:
        """Note a purge; one that may not have been heard yet is not `seen`."""
        if seen:
            self._about.pop(member, None)  # another of the same that was told before is older, one that comes is heard
            self.seen = max(self.seen, number)
        if member == ALL:
            self.floor = max(self.floor, number)
            return
        number = max(number, self._at.pop(member, 0))
        self._at[member] = number
        if len(self._at) > self._most:
            oldest = next(iter(self._at))
            self.floor = max(self.floor, self._at.pop(oldest))
        if self._span is not None:
            self._forget(number - self._span)

    def _forget(self, before: int) -> None:
        """Drop marks older than any entry can be."""
        while self._at:
            oldest = next(iter(self._at))
            if self._at[oldest] >= before:
                return
            del self._at[oldest]

    @property
    def open(self) -> bool:
        """Whether purges are about to be told, of which it is not known whether they were: see `load`."""
        return bool(self._about)

    def clear(self) -> None:
        """Forget all, where nothing that began before now can come any more."""
        self._at.clear()

    def reset(self) -> None:
        """Forget everything, to be loaded anew."""
        self._at.clear()
        self._about.clear()
        self.floor = self.seen = 0

    def least(self, key: bytes) -> int:
        """The serial that an entry of this key must have at least."""
        least = max(self.floor, self._at.get(key_mark(key), 0)) if self._at else self.floor
        about = self._about
        return max(least, about.get(ALL, 0), about.get(key_mark(key), 0)) if about else least

    def least_of(self, key: bytes, tags: Iterable[str]) -> int:
        """The serial that an entry with these tags must have at least."""
        least = self.least(key)
        if self._at or self._about:
            for tag in tags:
                mark = tag_mark(tag)
                least = max(least, self._at.get(mark, 0), self._about.get(mark, 0))
        return least

    def lost(self, members: Mapping[bytes, int], now: int) -> bool:
        """Whether what is kept in Redis is less than what was heard here."""
        known = 0
        for name, number in members.items():
            if name[:1] != b"?":
                known = max(known, number)
            elif number > now:  # it is being told: it may be heard already, and not be noted there yet
                known = max(known, self.floor if name[1:] == ALL else self._at.get(name[1:], 0))
        return known < self.seen

    def load(self, members: Mapping[bytes, int], now: int) -> list[bytes]:
        """Take in what is kept in Redis: `o` for what is not known any more, `?` for what is about to be told.

        The latter has a number in the near future, and nothing holds that it may concern: until it was told, or this is
        done again and it is not there any more, or that future has come and its teller died. Comes to the members
        whose marks are new here.
        """
        known, about, new = self._about, {}, []
        for name, number in sorted(members.items(), key=lambda each: each[1]):
            if name[:1] == b"?":
                if number > now:
                    about[name[1:]] = number
                continue
            member = ALL if name == b"o" else name
            self.seen = max(self.seen, number)  # of one that was told here the news may have been missed
            if number > (self.floor if member == ALL else self._at.get(member, 0)):
                new.append(member)
                self.add(member, number)
        self._about = about
        return [*new, *(member for member in about if member not in known)]


class Waiting:
    """A purge that was done here, and is to be told."""

    __slots__ = ("member",)

    def __init__(self, member: bytes) -> None:
        """Not told yet."""
        self.member = member


class Pending:
    """Purges that were done here and are not told: in a bounded number, beyond which everything is purged."""

    def __init__(self, most: int = 1_000) -> None:
        """None yet."""
        self._most = most
        self.members: dict[bytes, Waiting] = {}

    def add(self, member: bytes) -> Waiting:
        """Keep one, in the place of an older one of the same."""
        waiting = Waiting(member)
        if member != ALL and ALL in self.members:
            return waiting
        if member == ALL:
            self.members.clear()
        self.members.pop(member, None)
        self.members[member] = waiting
        if len(self.members) > self._most:
            self.members = {ALL: Waiting(ALL)}
        return waiting

    def remove(self, waiting: Waiting) -> None:
        """It was told; one of the same that came later stays."""
        if self.members.get(waiting.member) is waiting:
            del self.members[waiting.member]

    def holds(self, key: bytes, tags: Iterable[str] = ()) -> bool:
        """Whether an entry from elsewhere is purged by one of them."""
        members = self.members
        if not members:
            return False
        return ALL in members or key_mark(key) in members or any(tag_mark(tag) in members for tag in tags)
