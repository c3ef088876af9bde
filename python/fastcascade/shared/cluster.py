"""A cluster: one connection to each primary, and a map of who has which slots that follows what becomes of them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from fastcascade.errors import StoreError
from fastcascade.shared.codes import Trouble
from fastcascade.shared.link import Follower, Link, Way
from fastcascade.shared.resp import Nobody, Wire, pack
from fastcascade.shared.slots import SLOTS, owners_of, slot_of
from fastcascade.shared.target import Place, Target, written

__all__ = ["Cluster", "Gathered"]

TURNS: Final = 6
"""Times that one command is sent on, while slots move."""
QUIET: Final = 10.0
"""Seconds between two looks at the map where nothing is wrong."""
WORRIED: Final = 0.1
"""Seconds between two looks where something is."""
ASKED: Final = 5
"""Nodes that are asked at each look: what most of them say holds, since one that is cut off lags behind."""
SHOW: Final = pack(("CLUSTER", "SLOTS"))
ASKING: Final = pack(("ASKING",))
ASTRAY: Final = frozenset({"MOVED", "CLUSTERDOWN", "READONLY", "LOST", "LATE", "UNSENT", "MASTERDOWN", "UNBLOCKED"})


class Gathered(Follower, Protocol):
    """Who hears of all the nodes together."""

    def forgot(self) -> None:
        """What was read may have changed without a word."""

    def shifted(self) -> None:
        """Likewise; and a key may lie elsewhere than before."""


class Cluster:
    """The nodes of a cluster. It follows its links, and tells one follower of them as if they were one."""

    def __init__(self, target: Target, follower: Gathered, timeout: float) -> None:
        """Belong to the running loop."""
        self.link: Link | None = None
        self._target = target
        self._follower = follower
        self._timeout = timeout
        self._way = Way(target, timeout=timeout)
        self._links: dict[Place, Link] = {}
        self._leaving: set[Link] = set()
        self._needed: set[Place] = set()
        self._owners: list[Place | None] = [None] * SLOTS
        self._up = False
        self._turn = 0
        self._look = asyncio.Event()
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the map and connect; come back after the first try."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep())
        await self._tried.wait()

    async def ask(self, packed: bytes, key: bytes) -> Any:
        """Send a command to the node of its key, and on to where that says it lies now."""
        slot = slot_of(key)
        place = self._owners[slot]
        if place is None:
            place = await self._placed(slot)
        asking = False
        for _ in range(TURNS):
            link = self._links.get(place) or self._add(place)
            wire = link.wire or await self._wire(link)
            if asking:
                wire.ask(ASKING)
            reply = await wire.ask(packed)
            if reply.__class__ is not Trouble or reply.code == "NOSCRIPT":
                return reply
            if reply.code == "TRYAGAIN":
                await asyncio.sleep(self._timeout / 10)
            elif reply.place is None:
                raise self.refused(link, reply)
            else:
                asking = reply.code == "ASK"
                place = reply.place if reply.place[0] else (place[0], reply.place[1])
                if not asking:
                    self._owners[slot] = place
                    self._look.set()
        raise self._error("is a cluster that is moving this key just now, and nothing was carried out; try again soon")

    def finder(self, key: bytes) -> Callable[[], Awaitable[Place]]:
        """What finds the node of a key."""
        slot = slot_of(key)

        async def find() -> Place:
            return self._owners[slot] or await self._placed(slot)

        return find

    def refused(self, link: Link, trouble: Trouble) -> StoreError:
        """What to raise; the map is looked at where it may be wrong."""
        if trouble.code in ASTRAY:
            self._look.set()
        return link.error(trouble)

    async def aclose(self) -> None:
        """Close all."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._tried.set()
        links = [*self._links.values(), *self._leaving]
        self._links, self._leaving, self._needed = {}, set(), set()
        self._owners = [None] * SLOTS
        for link in links:
            await link.aclose()

    # What links tell.

    def link_up(self, link: Link, /, *, fresh: bool) -> None:
        """One node takes commands."""
        if fresh:
            self._follower.forgot()
        self._count(link)

    def link_down(self, link: Link, /) -> None:
        """One node takes none."""
        self._look.set()
        self._count(link)

    def link_said(self, link: Link, pieces: list[list[Any]], /) -> None:
        """One node has something to say."""
        self._follower.link_said(link, pieces)

    def _count(self, link: Link) -> None:
        """See whether all that have slots are up."""
        up = bool(self._needed) and all(self._links[each].wire is not None for each in self._needed)
        if up is not self._up:
            self._up = up
            if up:
                self._follower.link_up(link, fresh=False)
            else:
                self._follower.link_down(link)

    async def _keep(self) -> None:
        """Follow the map."""
        while True:
            self._look.clear()
            said = await self._shown()
            if said:
                await self._take(max(said, key=lambda each: sum(each == other for other in said)))
            self._tried.set()
            await asyncio.sleep(WORRIED)
            if self._up:
                with suppress(TimeoutError):
                    async with asyncio.timeout(QUIET):
                        await self._look.wait()

    async def _shown(self) -> list[list[Place | None]]:
        """What some nodes say of who has which slots: those we are connected to, and else all that were ever named."""
        up = [(place, link.wire) for place, link in self._links.items() if link.wire is not None]
        self._turn += 1
        start = self._turn % len(up) if up else 0
        asked = (up[start:] + up[:start])[:ASKED]
        told = [(place, wire.ask(SHOW)) for place, wire in asked]
        found = [owners_of(await reply, place) for place, reply in told]
        if not any(found):
            places = {*self._target.places, *self._links}
            found = list(await asyncio.gather(*(self._opened(each) for each in places)))
        return [each for each in found if each is not None and any(each)]

    async def _opened(self, place: Place) -> list[Place | None] | None:
        """What a node says that we are not connected to."""
        wire = Wire(Nobody(), self._timeout)
        try:
            if await self._way.open(wire, place):
                return None
            return owners_of(await wire.ask(SHOW), place)
        except (OSError, TimeoutError):
            return None
        finally:
            wire.abort()

    async def _take(self, owners: list[Place | None]) -> None:
        """Take a map: connect to who is new in it, and then leave who is not in it any more."""
        needed: set[Place] = {each for each in owners if each is not None}
        await asyncio.gather(*[self._add(place).tried() for place in needed - self._links.keys()])
        before, self._owners, self._needed = self._owners, owners, needed
        for place in self._links.keys() - needed:
            self._leave(self._links.pop(place))
        if any(old is not None and old != new for old, new in zip(before, owners, strict=True)):
            self._follower.shifted()
        self._count(next(iter(self._links.values())))

    def _add(self, place: Place) -> Link:
        link = self._links[place] = Link(self._way, _fixed(place), self, written(place))
        link.begin()
        return link

    def _leave(self, link: Link) -> None:
        """Close it once it has replied to what it was asked: that may be that the key lies elsewhere now."""
        self._leaving.add(link)

        def close() -> None:
            self._leaving.discard(link)
            link.close()

        asyncio.get_running_loop().call_later(2 * self._timeout, close)

    async def _placed(self, slot: int) -> Place:
        """Who has a slot, once the map has been looked for."""
        self._look.set()
        await self._within(self.start())
        place = self._owners[slot]
        if place is None:
            raise self._error("cannot be reached, or has no node for this key")
        return place

    async def _wire(self, link: Link) -> Wire:
        """The connection of a node, once there has been a try to connect."""
        await self._within(link.tried())
        if link.wire is None:
            self._look.set()
            raise link.error()
        return link.wire

    async def _within(self, waiting: Awaitable[None]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                await waiting

    def _error(self, what: str) -> StoreError:
        return StoreError(f"redis at {self._target.where} {what}")


def _fixed(place: Place) -> Callable[[], Awaitable[Place]]:
    async def find() -> Place:
        return place

    return find
