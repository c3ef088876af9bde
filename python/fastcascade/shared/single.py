"""One server at a time: the one that the URL names, or whichever Sentinel names."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from fastcascade.errors import StoreError
from fastcascade.shared.codes import Trouble
from fastcascade.shared.link import Follower, Link, Way
from fastcascade.shared.sentinel import Sentinel
from fastcascade.shared.target import Place, Target

__all__ = ["Nodes", "Single"]


class Nodes(Protocol):
    """Where commands go."""

    link: Link | None
    """The one they all go to, where there is but one."""

    async def start(self) -> None:
        """Connect; come back after the first try."""

    async def ask(self, packed: bytes, key: bytes) -> Any:
        """Send a command to the node of its key; comes to the reply. `Trouble` is a `StoreError` here but NOSCRIPT."""
        ...

    def finder(self, key: bytes) -> Callable[[], Awaitable[Place]]:
        """What finds the node of a key."""
        ...

    def refused(self, link: Link, trouble: Trouble, /) -> StoreError:
        """What to raise, after what is to be done about it."""
        ...

    async def aclose(self) -> None:
        """Close all."""


class Single:
    """One server."""

    def __init__(self, target: Target, follower: Follower, timeout: float) -> None:
        """Belong to the running loop."""
        self._place = target.places[0]
        self._timeout = timeout
        self._sentinel = Sentinel(target, self._moved) if target.kind == "sentinel" else None
        way = Way(target, timeout=timeout, primary=self._sentinel is not None)
        self._link = Link(way, self.finder(b""), follower, target.where)
        self.link: Link | None = self._link

    async def start(self) -> None:
        """Connect; come back after the first try."""
        if self._sentinel is not None:
            self._sentinel.begin()
        await self._link.tried()

    async def ask(self, packed: bytes, key: bytes) -> Any:  # noqa: ARG002 - there is one node
        """Send a command, once there has been a try to connect."""
        link = self._link
        try:
            async with asyncio.timeout(self._timeout):
                await link.tried()
        except TimeoutError:
            raise link.error() from None
        if link.wire is None:
            raise link.error()
        reply = await link.wire.ask(packed)
        if reply.__class__ is Trouble and reply.code != "NOSCRIPT":
            raise self.refused(link, reply)
        return reply

    def finder(self, key: bytes) -> Callable[[], Awaitable[Place]]:  # noqa: ARG002
        """What finds the server."""
        return self._named if self._sentinel is None else self._sentinel.find

    def refused(self, link: Link, trouble: Trouble) -> StoreError:
        """What to raise. A server that Sentinel named, and that is no primary any more, is left."""
        if trouble.code == "READONLY" and self._sentinel is not None:
            link.drop()
        return link.error(trouble)

    async def aclose(self) -> None:
        """Close all."""
        if self._sentinel is not None:
            await self._sentinel.aclose()
        await self._link.aclose()

    async def _named(self) -> Place:
        return self._place

    def _moved(self, place: Place) -> None:
        if self._link.place not in (None, place):
            self._link.drop()
