"""The shared level: entries, leases and marks in Redis, each asked for in one round trip.

An entry and the lease for making it lie in one slot of a cluster, so one script looks for the one and takes the other.
"""

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from fastcascade.caching.levels_entry import Draft, Record, read, written
from fastcascade.caching.levels_purges import MOST_MARKS, score
from fastcascade.caching.levels_scripts import DROP, FREE, LOAD, LOOK, MARK, PUT, RENEW
from fastcascade.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastcascade.caching.levels_flights import Flight
    from fastcascade.shared.shared import Shared

__all__ = ["Far", "Look"]

LED: Final = 3
AGAIN: Final = 0.25
"""Seconds between two tries to end a lease."""
FARTHEST: Final = 2.0**53
SLOT: Final = "slot-of-a-key"


class Look(NamedTuple):
    """What a look-up came to."""

    fresh: bool
    leads: bool
    """Whether the lease is ours now."""
    known: bool
    """Whether the entry is the one the asker has already."""
    record: Record | None
    now: float
    """By the server's clock."""
    left: float
    """Seconds that another's lease lasts."""


class Far:
    """What `Levels` of one name has in Redis."""

    def __init__(self, shared: "Shared", name: str, lease: float, most: float) -> None:
        """Nothing is asked yet."""
        if not name or ":" in name:
            raise ConfigError(f"the name {name!r} of cache levels cannot be used: take one without a colon")
        self.shared = shared
        self.kind = f"purge {name}"
        self.away = 0
        self._name, self._lease, self._most = name, int(lease * 1000), most
        self._marks = [shared.key(name, "marks")]
        self._entry = self._around("e")
        self._held = self._around("l")

    def _around(self, what: str) -> tuple[bytes, bytes]:
        before, _, after = self.shared.key(self._name, what, slot=SLOT).partition(SLOT.encode())
        return before, after

    def keys(self, key: bytes) -> list[bytes]:
        """The entry's and the lease's."""
        slot = key.hex().encode()
        (before, after), (first, last) = self._entry, self._held
        return [before + slot + after, first + slot + last]

    def key_of(self, name: bytes) -> tuple[bytes, bool] | None:
        """The key whose entry (True) or lease has this name; None: it is none of ours."""
        before = self._entry[0]
        if not name.startswith(before):
            return None
        for (_, after), entry in ((self._entry, True), (self._held, False)):
            if name.endswith(after):
                with suppress(ValueError):
                    return bytes.fromhex(name[len(before) : -len(after)].decode("ascii", "replace")), entry
        return None

    async def look(self, key: bytes, least: float, nonce: bytes, token: bytes) -> Look:
        """Find an entry not older than the mark `least`, else take the lease. `StoreError`."""
        try:
            said = await self.shared.run(LOOK, self.keys(key), (f"{least:.0f}", nonce, token, self._lease))
        except StoreError:
            self.away += 1
            raise
        raw = said[2] if len(said) > 2 else None
        return Look(
            fresh=said[0] == 1,
            leads=said[0] == 2,
            known=raw == b"",
            record=read(raw) if raw else None,
            now=said[1] / 1e6,
            left=max(0, said[3]) / 1000 if said[0] == LED else 0.0,
        )

    async def put(self, key: bytes, draft: Draft, serial: int, token: bytes) -> bool:
        """Keep it, and end the lease; False where another was faster. `StoreError`."""
        try:
            life = int((draft.fresh_for + draft.stale_for) * 1000)
            args = (token, max(1, life), written(draft, serial))
            return bool(await self.shared.run(PUT, self.keys(key), args))
        except StoreError:
            self.away += 1
            raise

    async def free(self, key: bytes, token: bytes) -> None:
        """End the lease; if that fails it ends by itself."""
        with suppress(StoreError):
            await self.shared.run(FREE, self.keys(key)[1:], (token,))

    async def free_surely(self, key: bytes, token: bytes) -> None:
        """End the lease as soon as that can be done, while it lasts: it was taken of a server that then was lost."""
        for _ in range(max(1, int(self._lease / 1000 / AGAIN))):
            try:
                await self.shared.run(FREE, self.keys(key)[1:], (token,))
            except StoreError:
                await asyncio.sleep(AGAIN)
            else:
                return

    async def renew(self, flights: "Sequence[Flight]") -> None:
        """Hold their leases for longer, and those that were lost and that nobody has taken."""
        await asyncio.gather(*(self._renew(each) for each in flights), return_exceptions=True)

    async def _renew(self, flight: "Flight") -> None:
        # What has ended since would come back, and nobody would end it.
        if flight.token:
            await self.shared.run(RENEW, self.keys(flight.key)[1:], (flight.token, self._lease))

    async def load(self) -> tuple[int, dict[bytes, int]]:
        """The server's time as a number of marks, and all marks. `StoreError`."""
        now, flat = await self.shared.run(LOAD, self._marks, (int(self._most * 1000),))
        return now // 1000 * 2048, dict(zip(flat[::2], map(_number, flat[1::2]), strict=True))

    async def tell(self, member: bytes, key: bytes | None) -> int:
        """Tell all processes, and those to come, of a purge; its number. `StoreError`: some may not have been told."""
        about = await self.shared.run(MARK, self._marks, (member, "", "", MOST_MARKS))
        number = score(await self.shared.news.tell(self.kind, {"member": member}))
        kept = self.shared.run(MARK, self._marks, (member, number, about, MOST_MARKS))
        if key is None:
            await kept
        else:
            await asyncio.gather(kept, self.shared.run(DROP, self.keys(key)[:1], (number,)))
        return number


def _number(said: bytes | float) -> int:
    """A score; one that is none of ours, such as infinity, is as far as one of ours can be."""
    return int(min(max(float(said), 0.0), FARTHEST))


def token() -> bytes:
    """What a lease is known by."""
    return os.urandom(12)
