"""Requests for one key at one time: one goes, the others wait for what it brings.

A flight has one task that drives it (looks into Redis, or waits for another process), or one `Lead`. Who drops out,
however that comes, hands its part to the next that waits; so nobody waits for somebody who is gone.
"""

import asyncio
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

from fastcascade.caching.levels_entry import Entry

if TYPE_CHECKING:
    from fastcascade.caching.levels import Levels

__all__ = ["Flight", "Lead", "Part"]


class Part(Enum):
    """What a waiting request is told to do, where it is not given an entry."""

    DRIVE = "drive"
    LEAD = "lead"
    ALONE = "alone"


class Flight:
    """All requests for one key that is not there."""

    __slots__ = ("began", "dirty", "key", "lead", "token", "waiters", "woken")

    def __init__(self, key: bytes, began: float) -> None:
        """Nobody waits yet."""
        self.key, self.began = key, began
        self.waiters: dict[asyncio.Future[Entry | Part], None] = {}
        self.token = b""
        """Of the lease that this process has; empty: none."""
        self.lead = 0
        """Which Lead is the one, counted; 0: none is."""
        self.dirty = False
        """Whether the entry was changed since it was asked for."""
        self.woken: asyncio.Future[None] | None = None

    def wait(self) -> "asyncio.Future[Entry | Part]":
        """Take a place among those that wait."""
        future: asyncio.Future[Entry | Part] = asyncio.get_running_loop().create_future()
        self.waiters[future] = None
        return future

    def wake(self, *, dirty: bool) -> None:
        """What another process had to do with it has changed; `dirty`: the entry itself."""
        self.dirty = self.dirty or dirty
        if self.woken is not None and not self.woken.done():
            self.woken.set_result(None)

    def settle(self, entry: Entry) -> None:
        """Give it to all that wait."""
        waiters, self.waiters = self.waiters, {}
        joined = entry.at("joined")
        for future in waiters:
            if not future.done():
                future.set_result(joined)

    def let_go(self) -> None:
        """Have all that wait make it for themselves."""
        waiters, self.waiters = self.waiters, {}
        for future in waiters:
            if not future.done():
                future.set_result(Part.ALONE)

    def hand(self, part: Part) -> bool:
        """Give the part to the first that waits; False if nobody does."""
        while self.waiters:
            future = next(iter(self.waiters))
            del self.waiters[future]
            if not future.done():
                future.set_result(part)
                return True
        return False


class Lead:
    """It is yours to make the entry: `put` it, say there is `nothing`, or `give_up`, as one that is dropped does.

    `let_go` is for what each is to make for itself.
    """

    __slots__ = ("_levels", "began", "flight", "key", "marks", "number", "stale")

    def __init__(self, levels: "Levels", flight: Flight, stale: Entry | None, marks: tuple[int, int]) -> None:
        """Made by `Levels.ask`. `marks`: the last purges that were known, of all processes and of this one."""
        self._levels: Levels | None = levels
        self.flight, self.key, self.stale, self.marks = flight, flight.key, stale, marks
        self.began = levels.mono()
        flight.lead += 1
        self.number = flight.lead

    async def put(
        self, value: bytes, *, ttl: float, stale: float = 0.0, tags: Sequence[str] = (), meta: bytes = b""
    ) -> bool:
        """Keep it, and give it to all that wait; whether it is kept, here at least.

        Those that wait have it before this comes back from Redis. `ttl` and `stale` in seconds: for how long it is
        fresh, and for how long after that it may stand in while it is made anew.
        """
        draft = self._open().keeping.draft(value, ttl, stale, tags, meta)
        return await self._end().made(self, draft)

    async def nothing(self, ttl: float | None = None, *, tags: Sequence[str] = ()) -> bool:
        """Keep that there is nothing, by default for as long as the levels' `negative`; see `put`."""
        levels = self._open()
        seconds = levels.negative if ttl is None else ttl
        draft = levels.keeping.draft(b"", seconds, 0.0, tags, b"", negative=True)
        return await self._end().made(self, draft)

    def give_up(self) -> None:
        """Leave it to the next; again, or after `put`, this does nothing."""
        levels, self._levels = self._levels, None
        if levels is not None:
            levels.gave_up(self.flight, self.number)

    def let_go(self) -> None:
        """Have all that wait here make it for themselves, at once; again, or after `put`, this does nothing."""
        levels, self._levels = self._levels, None
        if levels is not None:
            levels.let_go(self.flight, self.number)

    def _open(self) -> "Levels":
        if self._levels is None:
            raise ValueError("this Lead has ended: ask for another")
        return self._levels

    def _end(self) -> "Levels":
        levels, self._levels = self._open(), None
        return levels

    def __del__(self) -> None:
        """Whoever had it is gone without a word."""
        levels = getattr(self, "_levels", None)
        if levels is not None:
            levels.dropped(self.flight, self.number)

    def __repr__(self) -> str:
        """Without what it is for."""
        return f"Lead(ended={self._levels is None})"
