"""Until when providers want no call, known to all gateways as soon as one is told.

A door that is closed here is noted in the store and told as news; what is heard closes it here. It is named after the
account: the same provider, model and key, see names.py. Nothing waits for the store, and none of it is on the way of
a call that goes well. While the store is away each gateway goes on by what it knows, and tells it once it is back.

Whoever can write to the store can keep doors closed, for `most` seconds with each word; it can open none.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from fastcascade.shared.standing import Standing, milliseconds
from fastcascade.shared.telling import Telling

if TYPE_CHECKING:
    from fastcascade.entry.instance import Door
    from fastcascade.shared.names import Names
    from fastcascade.shared.server_time import ServerTime
    from fastcascade.shared.shared import Shared

__all__ = ["Doors"]

KIND: Final = "door"
LONGEST: Final = 3600.0
"""Seconds, unless told otherwise."""


class Doors:
    """The doors of one process, held together with those of others. Of one event loop, as the store is.

    Args:
        shared: where it is told.
        names: how doors are called there.
        server: how its clock stands to ours.
        doors: each with what is lasting of its account (`Account.lasting`).
        most: seconds for which others may close one, with one word.
        clock: what calls go by.
    """

    def __init__(
        self,
        shared: "Shared",
        names: "Names",
        server: "ServerTime",
        doors: "Mapping[bytes, Door]",
        *,
        most: float = LONGEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen to the doors, and to the others."""
        self._shared, self._names, self._server = shared, names, server
        self._doors = dict(doors)
        self._most, self._clock = most, clock
        self._standing = Standing(shared, "doors")
        self._telling: Telling[float] = Telling(self._send)
        self._named: dict[bytes, Door] = {}
        self._loop = asyncio.get_running_loop()
        for account, door in self._doors.items():
            door.told = lambda until, account=account: self._closed(account, until)
        shared.news.on(KIND, self._heard)

    async def read(self) -> None:
        """Learn what stands, and tell what nobody knows yet. `StoreError`."""
        self._named = {self._names.of(b"door", account): door for account, door in self._doors.items()}
        found = await self._standing.read()
        now = self._clock()
        for name, door in self._named.items():
            here, there = door.until - now, found.get(name, 0.0)
            if there > 0.0:
                self._close(door, there)
            if here > max(there, 0.0) + 0.1:  # what went to and fro is not told anew
                self._telling.say(next(key for key, each in self._doors.items() if each is door), door.until)
        self._telling.again()

    def named(self) -> dict[object, bytes]:
        """How each is called there."""
        return {door: name for name, door in self._named.items()}

    async def aclose(self) -> None:
        """Tell and hear no more."""
        for door in self._doors.values():
            door.told = None
        self._named = {}
        await self._telling.aclose()

    def _closed(self, account: bytes, until: float) -> None:
        """One was closed here, in whatever thread."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._telling.say, account, until)

    async def _send(self, words: dict[bytes, float]) -> None:
        if not self._names.known:
            await self._names.draw()
        now = self._clock()
        left = {self._names.of(b"door", account): until - now for account, until in words.items() if until > now}
        if not left:
            return
        await self._standing.note(left)
        for name, seconds in left.items():
            await self._shared.news.tell(KIND, {"d": name, "left": str(milliseconds(seconds))})

    def _heard(self, news: str, said: Mapping[bytes, bytes]) -> None:
        door = self._named.get(said.get(b"d", b""))
        if door is not None:
            with suppress(ValueError, OverflowError):  # no number: none of ours has told it
                self._close(door, int(said.get(b"left", b"")) / 1000 - self._server.age(news))

    def _close(self, door: "Door", seconds: float) -> None:
        if seconds > 0.0:
            door.hear(self._clock() + min(seconds, self._most))
