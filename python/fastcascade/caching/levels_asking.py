"""Looking for an entry in Redis, and keeping one: what stands there against what this process knows."""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from fastcascade.caching.levels_entry import Draft, Entry, Held, weight_of
from fastcascade.caching.levels_far import Far, Look, token
from fastcascade.caching.levels_flights import Flight
from fastcascade.caching.levels_hearing import Hearing
from fastcascade.caching.levels_memory import AWAY, LOST, Memory
from fastcascade.caching.levels_stats import Counts
from fastcascade.errors import StoreError

__all__ = ["Asking", "Found", "Keeping", "Parts"]

NEVER: Final = 2.0**53
"""A mark beyond all others: nothing that stands in Redis will do."""
TURNS: Final = 8
MOST_LATE: Final = 1_000
"""Leases that are being ended late, at once: with more, the others end by themselves."""


class Parts(NamedTuple):
    """What levels are made of."""

    memory: Memory
    far: Far | None
    hearing: Hearing
    counts: Counts
    wall: Callable[[], float]


class Found(NamedTuple):
    """What a look-up came to: an entry, or `leads`, or neither: another process makes it, and has `left` seconds."""

    entry: Entry | None = None
    fresh: bool = False
    leads: bool = False
    """It is ours to make; the entry, if there is one, may stand in."""
    left: float = 0.0


class Asking:
    """Looks into Redis; without it, into memory as it is."""

    def __init__(self, parts: Parts) -> None:
        """Of these parts."""
        self._memory, self._far, self._hearing, self._counts, self._wall = parts
        self._late: set[bytes] = set()

    def usable(self, key: bytes) -> Held | None:
        """What memory has, fresh or not, that may be served now."""
        held = self._memory.find(key)
        return held if held is not None and self._memory.sure(held, self._memory.mono()) else None

    async def _free_surely(self, far: Far, key: bytes, lease: bytes) -> None:
        try:
            await far.free_surely(key, lease)
        finally:
            self._late.discard(lease)

    def free(self, key: bytes, lease: bytes) -> None:
        """End a lease behind what is going on."""
        if lease and self._far is not None:
            self._hearing.later(self._far.free(key, lease))

    async def look(self, flight: Flight) -> Found:
        """Find the entry, or take the lead."""
        far = self._far
        if far is not None:
            up, flight.token = far.shared.up, b""  # where it is away, nothing is even sent
            try:
                if await self._hearing.load():
                    return await self._shared(far, flight)
            except StoreError:
                # Should it have been taken after all, others need not wait for its end.
                if up and flight.token and len(self._late) < MOST_LATE:
                    self._late.add(flight.token)
                    self._hearing.later(self._free_surely(far, flight.key, flight.token))
            flight.token = b""
        return self._alone(flight.key)

    def _alone(self, key: bytes) -> Found:
        """Redis is away, or there is none: what memory has, and else it is ours to make."""
        held, now = self._memory.find(key), self._memory.mono()
        if held is None or not self._memory.sure(held, now, away=True):
            return Found(leads=True)
        fresh = now < held.fresh_until
        return Found(held.entry, fresh=fresh, leads=not fresh)

    async def _shared(self, far: Far, flight: Flight) -> Found:
        memory, hearing, key = self._memory, self._hearing, flight.key
        least: float = NEVER if hearing.pending.holds(key) else hearing.marks.least(key)
        for _ in range(TURNS):
            held = memory.find(key)
            epoch, sent, wall = memory.epoch, memory.mono(), self._wall()
            flight.dirty, flight.woken = False, asyncio.get_running_loop().create_future()
            flight.token = token()
            try:
                look = await far.look(key, least, b"" if held is None else held.nonce, flight.token)
            except asyncio.CancelledError:
                self.free(key, flight.token)
                flight.token = b""
                raise
            if not look.leads:
                flight.token = b""
            if not look.known:
                held = self._read(look, sent, wall)
            if held is not None and memory.mono() >= (held.fresh_until if look.fresh else held.stale_until):
                # Its life ended on the way here.
                if not look.leads:
                    continue
                held = None
            if held is not None and not hearing.holds(key, held.entry.tags, held.serial):
                self._counts.fenced += 1
                memory.cache.remove(key)
                if not look.leads:
                    # By its tags it is no entry: ask for one that began later.
                    least = max(least, NEVER if hearing.pending.holds(key, held.entry.tags) else held.serial + 1)
                    continue
                held = None
            self._counts.in_shared(held.entry if held is not None and look.fresh else None, memory.mono() - sent)
            return await self._taken(flight, look, held, epoch)
        return Found(leads=True)

    async def _taken(self, flight: Flight, look: Look, held: Held | None, epoch: int) -> Found:
        """What stands in Redis is good, or nothing is there: keep it in memory too."""
        memory, key = self._memory, flight.key
        if held is None:
            kept = memory.find(key)
            if kept is not None and self._apart(key, kept):
                if look.leads:
                    await self._offer(flight, kept)
                return Found(kept.entry, fresh=True)
            memory.cache.remove(key)
            # What stands there as fresh and cannot be read is made anew, without a lease.
            return Found(leads=look.leads or look.fresh, left=look.left)
        held.epoch = LOST if flight.dirty or epoch != memory.epoch else epoch
        held.at = memory.mono()
        memory.put(key, held, weight_of(held.entry))
        if look.fresh or not look.leads:
            return Found(held.entry.at("shared"), fresh=look.fresh, left=look.left)
        return Found(held.entry, leads=True)

    def _apart(self, key: bytes, kept: Held) -> bool:
        """Whether it is a good entry that Redis was never given, since it was away."""
        fresh = kept.epoch == AWAY and kept.fresh_until > self._memory.mono()
        return fresh and self._hearing.holds(key, kept.entry.tags, kept.serial)

    async def _offer(self, flight: Flight, kept: Held) -> None:
        """Give Redis what was made while it was away; that ends the lease."""
        entry, key, epoch = kept.entry, flight.key, self._memory.epoch
        left, behind = kept.fresh_until - self._memory.mono(), kept.stale_until - kept.fresh_until
        draft = Draft(entry.value, left, behind, entry.tags, entry.meta, entry.negative, kept.nonce)
        lease, flight.token = flight.token, b""
        if self._far is not None and await _stored(self._memory, self._far, key, (draft, kept.serial, lease)):
            kept.epoch = epoch

    def _read(self, look: Look, sent: float, wall: float) -> Held | None:
        """An entry as Redis has it, brought onto the clocks here; it is aged by the whole way there and back."""
        record = look.record
        if record is None:
            return None
        draft, age = record.draft, look.now - record.born
        fresh, stale = draft.fresh_for - age, draft.fresh_for + draft.stale_for - age
        entry = Entry(
            draft.value, wall - age, wall + fresh, wall + stale, draft.tags, draft.meta, "memory", draft.negative
        )
        return Held(entry, draft.nonce, record.serial, (sent, sent + fresh, sent + stale), LOST)


class Keeping:
    """Keeps entries, in memory and in Redis."""

    def __init__(self, parts: Parts, most: float, largest: int) -> None:
        """No entry lives longer than `most` seconds or has more than `largest` bytes."""
        self._memory, self._far, self._hearing, self._counts, self._wall = parts
        self._most, self._largest = most, largest

    def draft(
        self, value: bytes, ttl: float, stale: float, tags: Sequence[str], meta: bytes, *, negative: bool = False
    ) -> Draft:
        """What is to be kept, within the bounds; `ValueError` where it cannot be."""
        if not (0 <= ttl < math.inf and 0 <= stale < math.inf):
            raise ValueError(f"ttl is {ttl} and stale {stale}: take numbers of seconds from 0 on")
        if isinstance(tags, str):
            raise ValueError("tags is one text: take a list of texts")  # noqa: TRY004 - a list of letters is a value
        if len(tags) > 1_000 or any(len(tag.encode()) > 1_000 for tag in tags):
            raise ValueError("an entry has at most 1,000 tags of at most 1,000 bytes")
        fresh = min(ttl, self._most)
        return Draft(value, fresh, min(stale, self._most - fresh), tuple(dict.fromkeys(tags)), meta, negative)

    async def keep(self, key: bytes, draft: Draft, serial: int, lease: bytes) -> bool:
        """Keep it in memory at once, then in Redis, which ends the lease; whether it is kept here at least."""
        memory, far, life = self._memory, self._far, draft.fresh_for + draft.stale_for
        if life <= 0 or len(draft.value) + len(draft.meta) > self._largest:
            self._counts.not_kept += life > 0
            memory.cache.remove(key)
            if far is not None and lease:
                await far.free(key, lease)
            return False
        now, entry = memory.mono(), draft.entry(self._wall())
        moments = (now, now + draft.fresh_for, now + life)
        kept = memory.put(key, Held(entry, draft.nonce, serial, moments, memory.epoch), weight_of(entry))
        if far is None:
            return kept
        stored = await _stored(memory, far, key, (draft, serial, lease))
        if not stored:
            self._counts.not_kept += 1
        return stored or memory.find(key) is not None


async def _stored(memory: Memory, far: Far, key: bytes, what: tuple[Draft, int, bytes]) -> bool:
    """Write an entry that memory has already; whether it stands in Redis now."""
    draft, serial, lease = what
    memory.begin(key)
    stored = through = False
    try:
        stored = await far.put(key, draft, serial, lease)
        through = True
    except StoreError:
        return False
    finally:
        if through:
            memory.end(key, draft.nonce, kept=stored)
        else:
            memory.fail(key, draft.nonce)
    return stored
