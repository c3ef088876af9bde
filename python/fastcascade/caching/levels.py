"""Levels of cache: this process's memory, then what all processes share in Redis, then whoever makes the entry.

    levels = Levels("answers", Shared("redis://..."))
    entry = levels.peek(key)                              # memory alone, without any I/O
    if entry is None:
        found = await levels.ask(key, within=30)          # one round trip
        if isinstance(found, Lead):
            value = await make()
            await found.put(value, ttl=60, tags=["product-7"])

Rules, each with a test:

1. An entry is served from memory only while Redis would tell of its change, or is away.
2. No entry passes that began before a purge of its key or one of its tags that this process knows of: neither from
   memory, nor from Redis, nor what is being made, nor what is handed to those that wait for it.
3. While Redis can be reached one process at a time makes an entry, and in it one `Lead`. Who drops out is replaced.
4. Without Redis every process goes on by itself; nothing here raises `StoreError`.

Of one event loop, the one of its `Shared`.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from fastcascade._core import Clock
from fastcascade.caching.levels_asking import Asking, Keeping, Parts
from fastcascade.caching.levels_entry import Draft, Entry
from fastcascade.caching.levels_far import Far
from fastcascade.caching.levels_flights import Flight, Lead, Part
from fastcascade.caching.levels_hearing import Hearing, member_of
from fastcascade.caching.levels_memory import Memory
from fastcascade.caching.levels_purges import Purged
from fastcascade.caching.levels_stats import Counts, LevelsStats
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.shared.shared import Shared

__all__ = ["Entry", "Lead", "Levels", "LevelsStats", "Purged"]

DAY: Final = 86_400.0


class Levels:
    """Memory, then Redis, then who makes it."""

    def __init__(  # noqa: PLR0913 - the settings, each named
        self,
        name: str,
        shared: "Shared | None" = None,
        *,
        items: int = 10_000,
        memory: int = 64 << 20,
        largest: int = 8 << 20,
        negative: float = 0.0,
        lease: float = 10.0,
        longest: float = 600.0,
        most: float = 30 * DAY,
        alone: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Settings.

        Args:
            name: what these levels are called in Redis; processes with the same name and `Shared` share them.
            shared: the level behind memory; None: there is none.
            items: entries in memory at most.
            memory: bytes in memory at most.
            largest: bytes of a value that is kept at most.
            negative: for how long `Lead.nothing` holds where it does not say, in seconds; 0: not at all.
            lease: seconds after which another process goes, if one that was making an entry has died.
            longest: seconds that a `Lead` is waited for at most.
            most: seconds that an entry lives at most; purges are remembered for as long.
            alone: seconds that entries are served from memory while Redis is away; None: for their own lives.
            clock: for tests; it counts as seconds since 1970 too.
        """
        _check(items=items, memory=memory, largest=largest, lease=lease, longest=longest, most=most)
        if negative < 0 or (alone or 0.0) < 0:
            raise ConfigError(f"negative is {negative} and alone {alone} for cache levels: take numbers from 0 on")
        self.name, self.negative = name, negative
        self._longest, self._lease = longest, lease
        self.memory = Memory(items, memory, alone, clock, shared=shared is not None)
        self.far = None if shared is None else Far(shared, name, lease, most)
        self.flights: dict[bytes, Flight] = {}
        self.hearing = Hearing(self.memory, self.far, most, self._wake)
        self.counts: Final = Counts()
        self.mono = self.memory.mono
        self._wall = time.time if clock is None else clock.now
        parts = Parts(self.memory, self.far, self.hearing, self.counts, self._wall)
        self._asking, self.keeping = Asking(parts), Keeping(parts, most, largest)
        self._renewing: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def peek(self, key: bytes, *, stale: bool = False) -> Entry | None:
        """What memory has that is fresh; with `stale`, also what is past its life and may stand in. No I/O."""
        memory = self.memory
        now = memory.mono()
        held = memory.cache.get(key)
        if held is None:
            return None
        if now >= (held.stale_until if stale else held.fresh_until):
            return None
        if (held.epoch != memory.epoch or memory.alone is not None) and not memory.sure(held, now):
            return None
        if now < held.fresh_until:
            self.counts.in_memory(held.entry, now, memory.mono)
        return held.entry

    async def ask(self, key: bytes, *, within: float | None = None, fresh: bool = False) -> Entry | Lead | None:
        """Find it, or make it.

        An `Entry`: from memory or Redis, or made by another meanwhile. It may be past its life where another is
        making it anew, unless `fresh` is wanted: then that one is waited for. A `Lead`: it is yours to make; its
        `stale` may stand in, or be served while you do. None: others are making it, and did not within so many
        seconds, or it is made for nobody else; make it for yourself.
        """
        if (entry := self.peek(key)) is not None:
            return entry
        self.counts.memory_misses += 1
        deadline = None if within is None else asyncio.get_running_loop().time() + within
        flight = self.flights.get(key)
        if flight is None:
            flight = self.flights[key] = Flight(key, self.mono())
            return await self._drive(flight, deadline, fresh=fresh)
        if flight.lead and not fresh and (held := self._asking.usable(key)) is not None:
            return self.counts.given(held.entry, stale=True)
        return await self._join(flight, deadline, fresh=fresh)

    @property
    def seen(self) -> tuple[int, int]:
        """The last purges that are known: for `put`, of what is begun now."""
        return self.hearing.seen

    async def put(
        self,
        key: bytes,
        value: bytes,
        *,
        ttl: float,
        stale: float = 0.0,
        tags: Sequence[str] = (),
        meta: bytes = b"",
        since: tuple[int, int] | None = None,
    ) -> bool:
        """Keep a value that nobody had asked for; whether it is kept, here at least.

        With `since`, what was `seen` when its making began, it is not kept if anything was purged here meanwhile.
        """
        draft = self.keeping.draft(value, ttl, stale, tags, meta)
        began = since or self.hearing.seen
        if began[1] != self.hearing.seen[1] or not self.hearing.stands(key, draft.tags, began):
            self.counts.fenced += 1
            return False
        return await self.keeping.keep(key, draft, began[0], b"")

    def on_purge(self, told: Callable[[str | None], object]) -> None:
        """Have this called whenever a tag, or everything (None), is purged, here or by another process."""
        self.hearing.told.append(told)

    async def purge(self, *, key: bytes | None = None, tag: str | None = None, all: bool = False) -> Purged:  # noqa: A002
        """Forget a key, or what has a tag, or everything, in all levels of all processes.

        Here that is done when this is called; in the other processes as soon as they hear of it.
        """
        return await self.hearing.purge(member_of(key, tag, all))

    def forget(self, tag: str | None, mark: bool = False) -> None:  # noqa: FBT001, FBT002 - as `call_soon` gives it on
        """Forget what has a tag, or everything, in this memory alone: what another loop of the process has purged.

        From any thread; what is being made meanwhile needs a `mark`, which is for this loop alone to make.
        """
        if mark:
            self.hearing.strike(member_of(None, tag, tag is None))
        elif tag is None:
            self.memory.cache.clear()
        else:
            self.memory.cache.invalidate(tag)

    def stats(self) -> LevelsStats:
        """What the levels did since they were made."""
        hearing, kept = self.hearing, self.memory.cache.stats()
        return self.counts.stats(
            purges=hearing.purges,
            away=0 if self.far is None else self.far.away,
            pending=len(hearing.pending.members),
            items=kept.items,
            held=kept.weight,
        )

    async def start(self) -> None:
        """Read the marks of what was purged, which else the first question does. A Redis that is away is no error."""
        if self.far is not None:
            await self.hearing.load()

    async def aclose(self) -> None:
        """End what is under way behind, and every lease."""
        self.stop_renewing()
        leases = [(flight.key, flight.token) for flight in self.flights.values() if flight.token]
        if self.far is not None:
            await asyncio.gather(*(self.far.free(key, token) for key, token in leases))
        await self.hearing.aclose()

    # The way of a request that is not in memory.

    async def _drive(self, flight: Flight, deadline: float | None, *, fresh: bool) -> Entry | Lead | None:
        """Look into Redis, and wait for whoever makes it there, until there is an entry or it is ours to make."""
        waited = False
        try:
            while True:
                found = await self._asking.look(flight)
                if found.leads:
                    return self._lead(flight, found.entry)
                if found.entry is not None and (found.fresh or not fresh):
                    self._settle(flight, found.entry)
                    if not waited or not found.fresh:
                        return self.counts.given(found.entry, stale=not found.fresh)
                    self.counts.joined_across += 1
                    return self.counts.given(found.entry.at("joined"))
                waited = True
                if not await _until(flight.woken, found.left, deadline):
                    self._hand(flight, Part.DRIVE)
                    return None
        except BaseException:
            self._hand(flight, Part.DRIVE)
            raise

    async def _join(self, flight: Flight, deadline: float | None, *, fresh: bool) -> Entry | Lead | None:
        """Wait for what the flight brings, or for a part in it."""
        future = flight.wait()
        told: Entry | Part | None = None
        try:
            async with asyncio.timeout_at(deadline):
                told = await future
        except TimeoutError:
            flight.waiters.pop(future, None)
            told = _told(future)
            if isinstance(told, Part):
                self._hand(flight, told)
                return None
        except BaseException:
            flight.waiters.pop(future, None)
            if isinstance(part := _told(future), Part):
                self._hand(flight, part)
            raise
        if told is Part.DRIVE:
            return await self._drive(flight, deadline, fresh=fresh)
        if told is Part.LEAD:
            held = self._asking.usable(flight.key)
            return self._lead(flight, None if held is None else held.entry)
        if isinstance(told, Entry):
            self.counts.joined_here += 1
            return self.counts.given(told)
        return None

    def _lead(self, flight: Flight, stale: Entry | None) -> Lead:
        self._loop = asyncio.get_running_loop()
        if self._renewing is None:
            self._renewing = self._loop.call_later(self._lease / 3, self._renew)
        flight.began = self.mono()
        return Lead(self, flight, stale, self.hearing.seen)

    def _settle(self, flight: Flight, entry: Entry) -> None:
        self._end(flight)
        flight.settle(entry)

    def _hand(self, flight: Flight, part: Part) -> None:
        """Who had this part in the flight has it no more: the next does, or it is over."""
        if self.flights.get(flight.key) is not flight:
            return
        if part is Part.LEAD:
            flight.lead += 1
        if not flight.hand(part):
            self._end(flight)
            self._free(flight)

    def _free(self, flight: Flight) -> None:
        token, flight.token = flight.token, b""  # it is not to be renewed after this
        self._asking.free(flight.key, token)

    def _end(self, flight: Flight) -> None:
        if self.flights.get(flight.key) is flight:
            del self.flights[flight.key]
        if not self.flights:
            self.hearing.quiet()

    def _wake(self, key: bytes | None, dirty: bool) -> None:  # noqa: FBT001 - what `Hearing` tells
        flight = None if key is None else self.flights.get(key)
        if flight is not None:
            flight.wake(dirty=dirty)
        elif key is None:
            for each in list(self.flights.values()):
                each.wake(dirty=dirty)
            self._hold()

    def stop_renewing(self) -> None:
        """Let leases run out, as a process that hangs does."""
        if self._renewing is not None:
            self._renewing.cancel()

    def _renew(self) -> None:
        """Hold the leases of what is being made, but for what is being made for too long."""
        self._renewing = None
        late = self.mono() - self._longest
        for flight in list(self.flights.values()):
            if flight.lead and flight.began <= late:
                flight.began = self.mono()
                self._hand(flight, Part.LEAD)
        if self._hold() and self._loop is not None:
            self._renewing = self._loop.call_later(self._lease / 3, self._renew)

    def _hold(self) -> bool:
        """Renew the leases of what is being made; whether anything is."""
        leading = [flight for flight in self.flights.values() if flight.lead]
        leased = [flight for flight in leading if flight.token]
        if self.far is not None and leased and self.memory.up:
            self.hearing.later(self.far.renew(leased))
        return bool(leading)

    # What a Lead tells.

    async def made(self, lead: Lead, draft: Draft) -> bool:
        """It is made: give it to those that wait, and keep it, unless it was purged meanwhile."""
        flight = lead.flight
        if self.flights.get(flight.key) is not flight or flight.lead != lead.number:
            self.counts.not_kept += 1
            return False
        self.counts.made(len(draft.value), self.mono() - lead.began)
        if not self.hearing.stands(lead.key, draft.tags, lead.marks):
            # Those that wait may have asked after the purge.
            self.counts.fenced += 1
            self._hand(flight, Part.LEAD)
            return False
        token, flight.token = flight.token, b""
        kept = self.keeping.keep(lead.key, draft, lead.marks[0], token)
        self._settle(flight, draft.entry(self._wall()))
        return await kept

    def gave_up(self, flight: Flight, number: int) -> None:
        """It is not made: the next goes."""
        if self.flights.get(flight.key) is flight and flight.lead == number:
            self.counts.origin_misses += 1
            self._hand(flight, Part.LEAD)

    def let_go(self, flight: Flight, number: int) -> None:
        """It is not made for all: none waits for it any more."""
        if self.flights.get(flight.key) is flight and flight.lead == number:
            self.counts.origin_misses += 1
            self._end(flight)
            flight.let_go()
            self._free(flight)

    def dropped(self, flight: Flight, number: int) -> None:
        """Nobody has the Lead any more; this may be told from any thread."""
        if self._loop is not None:
            # Where the loop is closed nobody waits.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.gave_up, flight, number)


async def _until(woken: "asyncio.Future[None] | None", left: float, deadline: float | None) -> bool:
    """Wait until woken, or so long; False once the deadline is over."""
    loop = asyncio.get_running_loop()
    until = loop.time() + left
    with suppress(TimeoutError):
        async with asyncio.timeout_at(until if deadline is None else min(until, deadline)):
            if woken is not None:
                await woken
    return deadline is None or loop.time() < deadline


def _told(future: "asyncio.Future[Entry | Part]") -> Entry | Part | None:
    """What was told to who did not hear it any more."""
    return future.result() if future.done() and not future.cancelled() else None


def _check(**settings: float) -> None:
    for name, value in settings.items():
        if not 0 < value < math.inf:
            raise ConfigError(f"{name} is {value} for cache levels: take a number above 0")
